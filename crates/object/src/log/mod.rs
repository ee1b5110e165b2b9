//! The fenced log: a sequence of immutable objects, each one single PUT that creates if absent.
//!
//! An epoch has one writer for ever; anybody may end it, and nobody can undo that. This is the whole of Levee's
//! consensus: no leases, no clocks, no election, only create-if-absent on a strongly consistent store.
//! `docs/fenced-log.md` has the rules, and where each of them lives.
//!
//! The rules are pure state machines, which the exhaustive model drives as production does: `append` (an
//! epoch's writer), `fence` (reading and ending an epoch), `chain` (a chain of epochs, and the check) and `trim`
//! (what may be trimmed and collected). Around them is a thin shell: `writer`, `reader` and `takeover` do their
//! requests, `header` is the bytes. Used twice: the metadata journal is a chain of epochs with K = 1, and each
//! broker epoch has a write-ahead log that is one epoch standing alone.
//!
//! What doesn't belong here: what entries mean, snapshots, and the deleting of objects.

mod append;
mod chain;
mod context;
mod entry;
mod fence;
mod header;
mod hedge;
mod patience;
mod reader;
mod rules;
mod takeover;
mod trim;
mod writer;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

/// The pure state machines, for the models of other crates. A rule of theirs can be broken there.
#[cfg(feature = "model")]
pub mod machines {
    pub use super::append::{Appender, CreateAnswer, Fenced, Request};
    pub use super::fence::{Seen, Walk, WalkAsk, WalkStep};
    pub use super::rules::{Broken, Rules};
    use super::trim::Trimmer;
    use levee_base::LogPosition;

    /// A [`Trimmer`] of which a rule may be broken.
    #[must_use]
    pub fn trimmer(committed: LogPosition, rules: Rules) -> Trimmer {
        Trimmer::with_rules(committed, rules)
    }
}

pub use context::{LogContext, ReadError, SlotRead};
pub use entry::Entry;
pub use fence::EpochEnd;
pub use header::{HeaderError, Kind, LogHeader, Stamp};
pub use hedge::HedgeOptions;
pub use patience::patiently;
pub use takeover::{
    ChainItem, Fence, Followed, Genesis, TakeOver, TrimPoint, fence_epoch, follow_checked, genesis, take_over,
};
pub use trim::Trimmer;
pub use writer::{LogStatus, LogWriter, Stopped, WriterOptions};
