//! Level 1: what is small in the write-ahead log, gathered from memory into one object, sorted by stream.
//!
//! Layout: objects of `format` at `data/<broker epoch>/<number>`. The maker numbers them itself, so an upload needs one
//! commit and no reservation. Compaction's objects (`crate::compact`) are of the same kind and numbered with them.
//!
//! Order: an object of the write-ahead log either is worth reading where it lies (most of it is long runs of a
//! stream's batches), and these runs are *promoted*; or all of it is copied (`gather`). What is copied becomes one
//! object (`make`), which is created (`create`) before the one commit that registers it, registers what was promoted,
//! and moves the trim point (`wal::trimmer`). A byte is so written once where traffic is high, twice where it is not.
//!
//! Crash: an object that was created and not committed belongs to an epoch that is out then; the sweep of orphans
//! finds it. The records are still in the write-ahead log, whose recovery registers them where they lie.
//!
//! Retry: creates are tried until the store answers. On a full disk nothing is copied: everything is promoted, which
//! needs no room and lets retention free some.

mod create;
mod gather;
mod make;

pub(crate) use create::{NotCreated, create};
pub use gather::keeps_long_runs;
pub(crate) use gather::{Gathered, Source};
pub use make::data_prefix;
pub(crate) use make::make;
