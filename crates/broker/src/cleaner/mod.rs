//! Keyed compaction (`cleanup.policy=compact`): which records of a partition go, as Apache Kafka's cleaner decides
//! it, over bytes of batches. Pure: no I/O, no clock; whoever runs it reads, writes and commits.
//!
//! A pass over one partition:
//! 1. [`Segments`] are fed with every batch from the first dirty offset on and say what may be cleaned now: a
//!    [`Plan`], with the offsets from which on and before which to go.
//! 2. [`Mapping`] reads the batches of the plan, in order, and keeps the latest offset of every key in an
//!    [`OffsetMap`]; when that is full, the pass ends there.
//! 3. [`Cleaner`] reads every batch from the start of the partition to the map's end and says of each: keep, drop,
//!    or write this instead. What follows the end is not touched.
//! 4. The map's end is the first dirty offset of the next pass.
//!
//! Offsets and their order never change: a batch keeps its first and last offset, and what is dropped leaves a gap.
//! A batch that can't be opened stays as it is, and the runner is told.
//!
//! Kafka keeps the last batch of a pass as an empty one, lest the log end before its last offset. Here the index
//! holds gaps, and the active segment, which is never empty, follows them.

mod clean;
mod mapping;
mod offset_map;
mod policy;
mod rewrite;
mod scan;
mod transactions;

#[cfg(test)]
mod clean_tests;
#[cfg(test)]
mod oracle_tests;

pub use clean::{Cleaner, Counts, LastRecord, Settings, Summary, Verdict};
pub use mapping::{Mapping, Room};
pub use offset_map::{KeyHash, KeyHasher, OffsetMap};
pub use policy::{BatchSeen, Plan, Policy, Segments};
pub use transactions::{Aborted, Transactions};
