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
//! given up, and its streams are passed over for an hour: the reads that need the object say so.
//!
//! Going through a stream to keep only some of it (`rewrite`) is the same, with a filter in between.
//!
//! Bounds: one job or stretch at a time, whose objects are made one after the other in `COPIES_BYTES`; what is read and
//! not written yet is bounded by `COMPACT_HELD_BYTES`, requests by `COMPACT_READ_BYTES` each and `COMPACT_READS` at
//! once, and each begins no sooner than its bytes may have been moved at so many a second (`WalOptions`, `plan`).
//!
//! Cancellation: dropped, it is a crash.

mod blocks;
pub mod plan;
mod requests;
mod rewrite;
mod run;
mod writer;

pub use plan::PlanOptions;
pub use rewrite::{Filter, StoredBatch, Verdict};
pub(crate) use run::compact;

use crate::store::Shared;
use crate::types::ReadError;
use levee_base::StreamId;
use levee_base::clock::Instant;
use std::time::Duration;

/// Why writing a part of a stream anew came to nothing. All is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum CompactError {
    /// A stream's object can't be read.
    #[error("stream {0} can't be read: {1}")]
    Unreadable(StreamId, ReadError),
    /// The store has not answered for long.
    #[error("the store does not answer reads")]
    Silent,
    /// There is no room for new objects on the store's disk, or in memory.
    #[error("there is no room for new objects")]
    NoRoom,
    /// The stream was closed meanwhile, or is held by other objects by now.
    #[error("the stream has changed meanwhile")]
    Changed,
    /// The store of streams has stopped.
    #[error("the stream store has stopped")]
    Stopped,
}

/// How fast something may go, and since when.
#[derive(Debug, Clone, Copy)]
struct Pace {
    began: Instant,
    /// What is asked for,
    enough: u64,
    /// and what is allowed, both in bytes a second.
    most: u64,
}

impl Pace {
    /// From now on, no faster than compaction may go and than is asked for.
    fn begin(shared: &Shared, enough: u64) -> Self {
        let most = shared.compaction_bytes_per_second.max(1);
        Self { began: shared.ctx.clock.now(), enough: enough.clamp(1, most), most }
    }

    /// From now on, as fast as compaction may go.
    fn full(shared: &Shared) -> Self {
        Self::begin(shared, u64::MAX)
    }

    /// Waits for as long as moving so many bytes takes at least; as fast as may be when others are in a hurry.
    async fn keep(self, shared: &Shared, bytes: u64) {
        let (clock, mut hurried) = (shared.ctx.clock, shared.hurried.subscribe());
        let due = |rate: u64| self.began + Duration::from_secs_f64(bytes as f64 / rate as f64);
        let in_a_hurry = async {
            // It fails when the store is gone, and this with it.
            let _ = hurried.wait_for(|waiting| *waiting > 0).await;
            clock.sleep_until(due(self.most)).await;
        };
        tokio::select! {
            biased;
            () = clock.sleep_until(due(self.enough)) => {}
            () = in_a_hurry => {}
        }
    }
}

/// Somebody who makes leisurely jobs go faster.
struct Hurry<'a>(&'a Shared);

impl<'a> Hurry<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.hurried.send_modify(|waiting| *waiting += 1);
        Self(shared)
    }
}

impl Drop for Hurry<'_> {
    fn drop(&mut self) {
        self.0.hurried.send_modify(|waiting| *waiting -= 1);
    }
}
