//! What may be trimmed and what may be collected, as pure rules.
//!
//! The trim point says from where on a log is read: what lies below it is no longer part of it. It never passes
//! its writer's durable prefix, nor a fence, and it is committed before anything below it is deleted. The
//! collector deletes below the trim point, and above a *checked* fence, and nothing else. So a fence that counts
//! is never deleted, also when the trim point has long moved on into later epochs: a writer that was paused for
//! a week still finds its slot taken.
//!
//! Deleting is never urgent and may be repeated: what may be deleted once may be deleted for ever, also when a
//! late duplicate of a create brings it back.
//!
//! What doesn't belong here: where the trim point is kept (snapshots of the journal; for a write-ahead log, the
//! metadata), and the deleting itself.

use super::rules::{Broken, Rules};
use levee_base::{Epoch, LogPosition, Slot};
use std::collections::BTreeMap;

/// What a process knows about a log's trim point and its fences, and thereby what it may delete. Production makes one
/// for each collection; the models move it on from there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Trimmer {
    committed: LogPosition,
    proposed: Option<LogPosition>,
    /// Checked fences by the epoch that each ends.
    fences: BTreeMap<Epoch, Slot>,
    /// The first slot that was found empty, where a reader ended: only when `Broken::DeleteUnfencedOrphans`.
    #[cfg(test)]
    empty: Option<LogPosition>,
    rules: Rules,
}

impl Trimmer {
    /// One that knows a committed trim point, and no fences yet.
    #[must_use]
    pub fn new(committed: LogPosition) -> Self {
        Self::with_rules(committed, Rules::default())
    }

    pub(crate) fn with_rules(committed: LogPosition, rules: Rules) -> Self {
        Self {
            committed,
            proposed: None,
            fences: BTreeMap::new(),
            #[cfg(test)]
            empty: None,
            rules,
        }
    }

    /// A fence that was followed or created, and checked since: [`super::take_over`] has won or lost after it,
    /// or [`super::follow_checked`] has passed it, or the metadata's `close` has been committed.
    pub fn checked_fence(&mut self, at: LogPosition) {
        self.fences.insert(at.epoch, at.slot);
    }

    /// Where a reader found the log to end.
    #[cfg(test)]
    pub(crate) fn found_empty(&mut self, at: LogPosition) {
        self.empty = Some(at);
    }

    /// Forgets the fence of an epoch that holds nothing any more to be deleted.
    #[cfg(any(test, feature = "model"))]
    pub fn forget(&mut self, epoch: Epoch) {
        self.fences.remove(&epoch);
    }

    /// The trim point as it was last committed.
    #[cfg(any(test, feature = "model"))]
    #[must_use]
    pub fn committed_point(&self) -> LogPosition {
        self.committed
    }

    /// What was proposed and is not known to be committed.
    #[cfg(any(test, feature = "model"))]
    #[must_use]
    pub fn proposed_point(&self) -> Option<LogPosition> {
        self.proposed
    }

    /// How far an epoch's writer may trim of the `wanted` slots: to its own durable prefix, in its own epoch. The
    /// position is not the trim point before [`Trimmer::committed`] says so.
    #[cfg(any(test, feature = "model"))]
    pub fn propose(&mut self, epoch: Epoch, wanted: Slot, durable: Slot) -> LogPosition {
        let past = self.rules.breaks(Broken::TrimPastDurable);
        let mut to = LogPosition { epoch, slot: if past { wanted } else { wanted.min(durable) } };
        if self.rules.breaks(Broken::TrimPastFence)
            && durable == Slot::ZERO
            && let Some((&before, &fence)) = self.fences.range(..epoch).next_back()
        {
            to = LogPosition { epoch: before, slot: fence.next() };
        }
        self.proposed = Some(to);
        to
    }

    /// The trim point is now at `to`: its snapshot exists, or the metadata's commit is durable.
    #[cfg(any(test, feature = "model"))]
    pub fn committed(&mut self, to: LogPosition) {
        self.committed = self.committed.max(to);
        if self.proposed.is_some_and(|proposed| proposed <= self.committed) {
            self.proposed = None;
        }
    }

    /// Whether the object at this position may be deleted.
    #[must_use]
    pub fn may_delete(&self, at: LogPosition) -> bool {
        let trim = match self.proposed {
            Some(proposed) if self.rules.breaks(Broken::CollectBeforeTrim) => proposed.max(self.committed),
            _ => self.committed,
        };
        #[cfg(test)]
        if self.rules.breaks(Broken::DeleteUnfencedOrphans)
            && self.empty.is_some_and(|empty| at.epoch == empty.epoch && at.slot > empty.slot)
        {
            return true;
        }
        match self.fences.get(&at.epoch) {
            Some(&fence) if at.slot == fence => self.rules.breaks(Broken::DeleteCountingFence) && at < trim,
            Some(&fence) if at.slot > fence => true,
            Some(_) => at < trim,
            // Where an earlier epoch's fence stands is not known: any object of it might be the one.
            None => {
                at.epoch == trim.epoch && at.slot < trim.slot
                    || self.rules.breaks(Broken::DeleteCountingFence) && at < trim
            }
        }
    }
}
