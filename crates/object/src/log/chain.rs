//! The chain of epochs, as a pure state machine: reading it, and taking it over.
//!
//! A fence in epoch e names the writer of e+1. Create-if-absent makes that choice unique, so the chain is one
//! totally ordered log. Epoch 0 has no writer: a cluster begins by fencing `0/0`.
//!
//! Whoever reads starts from the trim point. While it reads, entries may be trimmed and collected, and then a
//! slot may look empty that is not the log's end; somebody may even have put a fence there. So once the end is
//! reached, or the own fence stands, the trim point is read again: unless it is at or below every fence that
//! was followed, and the end, what was read is *void* and everything starts over. Until the check has passed
//! nothing that was read may be used, and a successor writes, reports and collects nothing.
//!
//! What doesn't belong here: what entries mean, and who decides when to take over.

use super::append::CreateAnswer;
use super::fence::{EpochEnd, Seen, Walk, WalkAsk};
use super::rules::{Broken, Rules};
use levee_base::{Epoch, LogPosition, Slot, WriterId};

/// What came of it, once checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    /// A reader's: everything before this position was read.
    Reached(LogPosition),
    /// Our fence stands and counts: this epoch is ours to write, from slot 0.
    Won(Epoch),
    /// Another's fence was first; what was read ends there, and goes on in the epoch that it gave away.
    Lost(LogPosition),
    /// The trim point has passed what was read: start over from it.
    Void,
}

/// What the machine asks for next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ChainAsk {
    /// Read this slot.
    Get(LogPosition),
    /// Create our fence in this slot.
    Create(LogPosition),
    /// Read the trim point, now.
    ReadTrim,
    /// It is over.
    Done(Outcome),
}

/// What the slot just read turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Took {
    /// Nothing of the log.
    Nothing,
    /// An entry of the log.
    Entry(LogPosition),
    /// The fence that ends its epoch, naming the next one's writer.
    Fence(LogPosition, WriterId),
}

/// One step: what was taken into the log that is being read, and what comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ChainStep {
    pub(crate) took: Took,
    pub(crate) ask: ChainAsk,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    Walking,
    /// The check is due; this is the outcome if it passes.
    Checking(Outcome),
    Done(Outcome),
}

/// A reader of the chain, or a successor of its writer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Chain {
    writer: Option<WriterId>,
    epoch: Epoch,
    walk: Walk,
    /// The lowest position that the trim point must not have passed: that of the first fence followed, as the
    /// chain ascends.
    lowest: Option<LogPosition>,
    /// The last fence followed, or the own one.
    highest: Option<LogPosition>,
    phase: Phase,
    rules: Rules,
}

impl Chain {
    /// A reader that stops at the first empty slot.
    pub(crate) fn reader(from: LogPosition, rules: Rules) -> Self {
        Self::new(from, None, rules)
    }

    /// A successor that fences the newest epoch for `writer`, an id drawn for this purpose.
    pub(crate) fn successor(from: LogPosition, writer: WriterId, rules: Rules) -> Self {
        Self::new(from, Some(writer), rules)
    }

    fn new(from: LogPosition, writer: Option<WriterId>, rules: Rules) -> Self {
        Self {
            writer,
            epoch: from.epoch,
            walk: Walk::new(from.slot, writer, rules),
            lowest: None,
            highest: None,
            phase: Phase::Walking,
            rules,
        }
    }

    /// What is asked for now.
    pub(crate) fn ask(&self) -> ChainAsk {
        match self.phase {
            Phase::Walking => match self.walk.ask() {
                WalkAsk::Get(slot) => ChainAsk::Get(self.position(slot)),
                WalkAsk::Create(slot) => ChainAsk::Create(self.position(slot)),
                WalkAsk::Done(_) => unreachable!("a walk that is done is followed at once"),
            },
            Phase::Checking(_) => ChainAsk::ReadTrim,
            Phase::Done(outcome) => ChainAsk::Done(outcome),
        }
    }

    /// The slot that was asked for was read.
    pub(crate) fn read(&mut self, seen: Seen) -> ChainStep {
        let ChainAsk::Get(at) = self.ask() else { unreachable!("only a slot that was asked for is read") };
        let step = self.walk.read(seen);
        let took = match step.ask {
            WalkAsk::Done(end) => self.ended(end),
            _ if step.entry => Took::Entry(at),
            _ => Took::Nothing,
        };
        ChainStep { took, ask: self.ask() }
    }

    /// The create of our fence was answered.
    pub(crate) fn answered(&mut self, answer: CreateAnswer) -> ChainStep {
        let took = match self.walk.answered(answer) {
            WalkAsk::Done(end) => self.ended(end),
            _ => Took::Nothing,
        };
        ChainStep { took, ask: self.ask() }
    }

    /// The trim point was read.
    pub(crate) fn trimmed(&mut self, trim: LogPosition) -> ChainAsk {
        if let Phase::Checking(outcome) = self.phase {
            let end = match outcome {
                Outcome::Reached(end) => Some(end),
                _ => self.highest,
            };
            let own_only = self.rules.breaks(Broken::CheckOwnFenceOnly);
            let stands = [self.lowest.filter(|_| !own_only), end].into_iter().flatten().all(|at| trim <= at);
            self.phase = Phase::Done(if stands { outcome } else { Outcome::Void });
        }
        self.ask()
    }

    fn ended(&mut self, end: EpochEnd) -> Took {
        match end {
            EpochEnd::Open { next } => {
                self.check(Outcome::Reached(self.position(next)));
                Took::Nothing
            }
            EpochEnd::Fenced { at, by } => {
                let fence = self.position(at);
                self.lowest.get_or_insert(fence);
                self.highest = Some(fence);
                let next = Epoch(self.epoch.0 + 1);
                if Some(by) == self.writer {
                    self.check(Outcome::Won(next));
                } else if self.walk.tried() {
                    let claims = self.rules.breaks(Broken::ClaimUngivenEpoch);
                    self.check(if claims {
                        Outcome::Won(next)
                    } else {
                        Outcome::Lost(LogPosition::start_of(next))
                    });
                } else {
                    self.epoch = next;
                    self.walk = Walk::new(Slot::ZERO, self.writer, self.rules);
                }
                Took::Fence(fence, by)
            }
        }
    }

    fn check(&mut self, outcome: Outcome) {
        let unchecked = self.rules.breaks(Broken::NoCheck);
        self.phase = if unchecked { Phase::Done(outcome) } else { Phase::Checking(outcome) };
    }

    fn position(&self, slot: Slot) -> LogPosition {
        LogPosition { epoch: self.epoch, slot }
    }
}

/// The id under which a process opens an epoch: drawn anew each time, whatever it was called before. With the
/// same id it could take what an earlier incarnation of it left in a slot for its own.
pub(crate) fn writer_id(earlier: Option<WriterId>, drawn: WriterId, rules: Rules) -> WriterId {
    match earlier {
        Some(earlier) if rules.breaks(Broken::KeepWriterId) => earlier,
        _ => drawn,
    }
}
