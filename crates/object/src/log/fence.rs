//! Reading one epoch to its end, and ending it, as a pure state machine.
//!
//! A reader goes upward to the first empty slot. A successor creates a fence there. If an entry took the slot
//! meanwhile it tries the next; if another's fence did, it has lost. A create's answer other than 'created' is
//! doubt here as it is for entries, and settled by reading the slot: fences are not hedged, but they may be
//! sent again. From the moment that the fence exists the epoch is exactly the prefix before it: whatever its
//! writer has in flight at or after the fence is never acknowledged.
//!
//! What doesn't belong here: going on into the next epoch, and the check that makes a fence count (`chain`).

use super::append::CreateAnswer;
use super::rules::{Broken, Rules};
use levee_base::{Slot, WriterId};

/// What a slot was seen to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Seen {
    /// Nothing.
    Missing,
    /// An entry, by whom.
    Entry(WriterId),
    /// A fence, by whom.
    Fence(WriterId),
}

/// How far an epoch reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EpochEnd {
    /// It goes on: `next` was empty when it was read.
    Open {
        /// The first empty slot.
        next: Slot,
    },
    /// It is over.
    Fenced {
        /// The fence's slot: the epoch is exactly the slots before it.
        at: Slot,
        /// Whose fence it is.
        by: WriterId,
    },
}

/// What the walk asks for next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WalkAsk {
    /// Read this slot.
    Get(Slot),
    /// Create the fence in this slot.
    Create(Slot),
    /// The end is known.
    Done(EpochEnd),
}

/// One step of a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WalkStep {
    /// Whether the slot is an entry of the log.
    pub entry: bool,
    /// What comes next.
    pub ask: WalkAsk,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    Reading,
    /// Reading on beyond an empty slot: only when `Broken::FenceAfterLastEntry`.
    Beyond(Slot),
    Sent,
    Doubt,
    Done(EpochEnd),
}

/// A walk up one epoch: to read it, or to fence it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Walk {
    /// Whose fence is to end the epoch; none for a reader.
    fence_by: Option<WriterId>,
    at: Slot,
    phase: Phase,
    /// Whether the fence was sent: who meets another's fence after that has lost.
    tried: bool,
    rules: Rules,
}

impl Walk {
    /// A walk from `from` on. With `fence_by`, it ends the epoch for that writer.
    pub fn new(from: Slot, fence_by: Option<WriterId>, rules: Rules) -> Self {
        Self { fence_by, at: from, phase: Phase::Reading, tried: false, rules }
    }

    /// What is asked for now.
    pub fn ask(&self) -> WalkAsk {
        match self.phase {
            Phase::Reading | Phase::Beyond(_) | Phase::Doubt => WalkAsk::Get(self.at),
            Phase::Sent => WalkAsk::Create(self.at),
            Phase::Done(end) => WalkAsk::Done(end),
        }
    }

    /// Whether a fence was sent.
    pub fn tried(&self) -> bool {
        self.tried
    }

    /// The create of the fence was answered.
    pub fn answered(&mut self, answer: CreateAnswer) -> WalkAsk {
        debug_assert_eq!(self.phase, Phase::Sent, "only a fence that was sent is answered");
        let trusted = answer == CreateAnswer::Exists && self.rules.breaks(Broken::FenceExistsIsSuccess);
        match self.fence_by {
            Some(by) if answer == CreateAnswer::Created || trusted => {
                self.phase = Phase::Done(EpochEnd::Fenced { at: self.at, by });
            }
            _ => self.phase = Phase::Doubt,
        }
        self.ask()
    }

    /// The slot that was asked for was read.
    pub fn read(&mut self, seen: Seen) -> WalkStep {
        let mut entry = false;
        match (self.phase, seen) {
            (Phase::Done(_) | Phase::Sent, _) => debug_assert!(false, "no slot was asked for"),
            // Our own writer id settles the doubt: the fence was created.
            (Phase::Doubt, Seen::Fence(by) | Seen::Entry(by)) if Some(by) == self.fence_by => {
                self.phase = Phase::Done(EpochEnd::Fenced { at: self.at, by });
            }
            (Phase::Doubt, Seen::Fence(_)) if self.rules.breaks(Broken::NextSlotAfterFence) => {
                self.at = self.at.next();
                self.phase = Phase::Reading;
            }
            (_, Seen::Fence(by)) => self.phase = Phase::Done(EpochEnd::Fenced { at: self.at, by }),
            (_, Seen::Entry(_)) => {
                entry = true;
                self.at = self.at.next();
                self.phase = Phase::Reading;
            }
            (Phase::Reading, Seen::Missing)
                if self.rules.breaks(Broken::FenceAfterLastEntry) && self.fence_by.is_some() =>
            {
                self.phase = Phase::Beyond(self.at);
                self.at = self.at.next();
            }
            (Phase::Beyond(empty), Seen::Missing) => {
                self.at = empty;
                self.send_or_end();
            }
            (Phase::Reading | Phase::Doubt, Seen::Missing) => self.send_or_end(),
        }
        WalkStep { entry, ask: self.ask() }
    }

    fn send_or_end(&mut self) {
        if self.fence_by.is_some() {
            self.tried = true;
            self.phase = Phase::Sent;
        } else {
            self.phase = Phase::Done(EpochEnd::Open { next: self.at });
        }
    }
}
