//! Compaction: parts of streams written anew, in fewer and larger objects.
//!
//! Layout: objects of `format` at `data/<broker epoch>/<number>`, sorted by stream and offset.
//!
//! Order: `plan` says what is worth doing; `run` reads it, writes objects, creates each (`crate::upload`), and commits
//! all of them in one `Replace`. Only then does the open stream get its new extents, and the metadata calls the old
//! objects garbage.
//!
//! Crash: what was created and not committed is an orphan of an epoch that is out. Nothing refers to it.
//!
//! Retry: reads and creates are tried until the store answers. A part whose stream has changed meanwhile is left out by
//! the metadata, and what was written of it is garbage. A job that fails on an object that is missing or corrupt is
//! given up, and its streams are passed over by this process from then on: the reads that need the object say so.
//!
//! Bounds: one job at a time, whose objects are made one after the other in `COPIES_BYTES`; what is read is bounded by
//! `COMPACT_READ_BYTES` a request and paced to `COMPACT_BYTES_PER_SECOND`.
//!
//! Cancellation: dropped, it is a crash.

pub mod plan;
mod run;

pub use plan::PlanOptions;
pub(crate) use run::compact;
