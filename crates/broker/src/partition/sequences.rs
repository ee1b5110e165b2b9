//! The sequence numbers of one producer in its epoch: the batches that it sent last, and which number comes next. Pure.

use super::claim::Claim;
use crate::batch::compose::NO_SEQUENCE;
use levee_base::Offset;
use std::collections::VecDeque;

/// Batches remembered a producer; clients have as many requests in flight at most
/// (`max.in.flight.requests.per.connection`).
pub const BATCHES: usize = 5;

/// A batch that was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remembered {
    /// The offset of its first record.
    pub base: Offset,
    /// How many records it has.
    pub count: u32,
    /// The sequence number of its first record.
    pub base_sequence: i32,
    /// The sequence number of its last record.
    pub last_sequence: i32,
    /// Its largest timestamp, in Unix milliseconds.
    pub max_timestamp: i64,
}

/// See the module's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sequences {
    /// It may have sent batches in its epoch that were removed, or can't be read, before they were seen: any number may
    /// come next.
    Unknown,
    /// Its last batches, oldest first. Without any it has sent nothing in its epoch.
    Last(VecDeque<Remembered>),
}

impl Sequences {
    /// Of a producer that has sent nothing in its epoch.
    pub(super) fn none() -> Self {
        Self::Last(VecDeque::new())
    }

    /// Whether it has sent nothing in its epoch, for sure.
    pub(super) fn is_none(&self) -> bool {
        matches!(self, Self::Last(batches) if batches.is_empty())
    }

    /// The batches that are known, oldest first.
    pub(super) fn batches(&self) -> impl DoubleEndedIterator<Item = &Remembered> {
        let known = match self {
            Self::Unknown => None,
            Self::Last(batches) => Some(batches),
        };
        known.into_iter().flatten()
    }

    pub(super) fn last(&self) -> Option<&Remembered> {
        self.batches().next_back()
    }

    /// The number of its last record, -1 if that is not known.
    pub(super) fn last_sequence(&self) -> i32 {
        self.last().map_or(NO_SEQUENCE, |batch| batch.last_sequence)
    }

    /// The number that must come next; `None` if any may. Numbers go on with 0 after `i32::MAX`.
    pub(super) fn next(&self) -> Option<i32> {
        match self {
            Self::Unknown => None,
            Self::Last(_) => Some(self.last_sequence().checked_add(1).unwrap_or(0)),
        }
    }

    /// The batch that a claim repeats.
    pub(super) fn repeated(&self, claim: &Claim) -> Option<&Remembered> {
        let numbers = (claim.base_sequence, claim.last_sequence());
        self.batches().find(|batch| (batch.base_sequence, batch.last_sequence) == numbers)
    }

    /// A batch has been appended.
    pub(super) fn push(&mut self, batch: Remembered) {
        match self {
            Self::Unknown => *self = Self::Last(VecDeque::from([batch])),
            Self::Last(batches) => {
                if batches.len() == BATCHES {
                    batches.pop_front();
                }
                batches.push_back(batch);
            }
        }
    }
}
