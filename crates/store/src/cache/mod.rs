//! What is kept of objects that are not in memory any more, and how it is got.
//!
//! An object's blocks are cut into *spans* (`layout`): blocks that lie together and are never read apart. A span is the
//! unit of the cache (`spans`) and of read-ahead, so each has its memory to itself and counts for what it takes; a
//! request brings one, or, of a bucket and ahead of a reader, several. Readers that want the same span share one request
//! (`flights`); what they may ask of the store is limited apart from everything else (`lanes`, `bucket`). What has to
//! leave memory may go to a local disk (`disk`, `shelves`).
//!
//! Objects never change and keys are never used twice, so nothing here is ever out of date.

mod bucket;
pub(crate) mod disk;
pub(crate) mod flights;
pub(crate) mod indexes;
pub(crate) mod lanes;
pub(crate) mod layout;
mod shelves;
pub(crate) mod spans;

pub use bucket::TokenBucket;
pub use disk::{DiskCache, DiskCacheMetrics};
pub(crate) use flights::{Flight, Flights};
pub(crate) use indexes::IndexCache;
pub(crate) use lanes::{Lane, Lanes};
pub use layout::Cut;
pub(crate) use layout::Layout;
pub(crate) use spans::{Span, SpanCache, SpanKey};

use levee_base::limits::CACHE_HOT_PERCENT;
use quick_cache::OptionsBuilder;
use std::hash::{BuildHasherDefault, DefaultHasher};

/// The same order in every run.
type Hasher = BuildHasherDefault<DefaultHasher>;

/// Of a cache for `bytes` of things of about `each`.
fn cache_options(bytes: usize, each: usize) -> quick_cache::Options {
    OptionsBuilder::new()
        // One lock, which is held for a look-up: shards would bound what one of them can hold.
        .shards(1)
        .estimated_items_capacity((bytes / each).max(1))
        .weight_capacity(bytes as u64)
        .hot_allocation(f64::from(CACHE_HOT_PERCENT) / 100.0)
        .build()
        .expect("capacities are given")
}
