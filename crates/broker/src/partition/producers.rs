//! The idempotent producers of one partition: which batches they sent last, and what each may send next. Pure.
//!
//! A producer numbers the records that it sends to a partition. A batch that repeats one of the producer's last
//! five is answered with the first one's offset; a batch that leaves a gap is refused, for the one before it
//! is missing. (KIP-98; the rules are those of Kafka 4's `ProducerAppendInfo`.) Batches count from the moment
//! they are appended, so that a repetition is found while the first is not durable yet. What is counted and
//! never becomes durable goes with the whole state, as its epoch has ended then.

use levee_base::Offset;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Batches remembered a producer; clients have as many requests in flight at most
/// (`max.in.flight.requests.per.connection`).
pub const BATCHES: usize = 5;

/// How a batch names itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Which producer sends it.
    pub producer_id: i64,
    /// That producer's epoch.
    pub epoch: i16,
    /// The sequence number of the first record, not negative.
    pub base_sequence: i32,
    /// How many records there are, at least one.
    pub count: u32,
}

impl Claim {
    /// The sequence number of the last record. Numbers go on with 0 after `i32::MAX`.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        const NUMBERS: u64 = 1 << 31;
        let last = (u64::from(self.base_sequence.unsigned_abs()) + u64::from(self.count) - 1) % NUMBERS;
        i32::try_from(last).unwrap_or(i32::MAX)
    }
}

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

/// What a producer wrote last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastWritten {
    /// Who.
    pub producer_id: i64,
    /// Its epoch.
    pub epoch: i16,
    /// The offset of its last record.
    pub last: Offset,
}

/// What to do with a batch that is in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Append it.
    New,
    /// It is there already: answer with this one.
    Duplicate(Remembered),
}

/// Why a batch is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SequenceError {
    /// Another instance of the producer has been seen since.
    #[error("producer {producer_id} sends with epoch {epoch} after epoch {current} was seen")]
    OldEpoch {
        /// Who.
        producer_id: i64,
        /// The batch's epoch.
        epoch: i16,
        /// The newest epoch seen.
        current: i16,
    },
    /// Not the number that comes next.
    #[error("producer {producer_id} sends sequence number {got} where {expected} is next")]
    OutOfOrder {
        /// Who.
        producer_id: i64,
        /// The batch's first number.
        got: i32,
        /// The number that comes next.
        expected: i32,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Producer {
    pub(super) epoch: i16,
    /// Oldest first; never empty.
    pub(super) batches: VecDeque<Remembered>,
    pub(super) appended_ms: i64,
}

impl Producer {
    fn last(&self) -> Option<&Remembered> {
        self.batches.back()
    }
}

/// The producers of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Producers {
    limit: usize,
    // Producer ids come from outside, so this is no hash map.
    by_id: BTreeMap<i64, Producer>,
    /// (base offset of the last batch, producer id): who has been silent for longest comes first.
    by_age: BTreeSet<(Offset, i64)>,
}

impl Producers {
    /// None yet, and `limit` at most, not counting those with batches that wait for durability.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, by_id: BTreeMap::new(), by_age: BTreeSet::new() }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (i64, &Producer)> {
        self.by_id.iter().map(|(id, producer)| (*id, producer))
    }

    /// One that is remembered from before, with at least one batch.
    pub(super) fn restore(&mut self, id: i64, producer: Producer) {
        if let Some(last) = producer.last() {
            self.by_age.insert((last.base, id));
            self.by_id.insert(id, producer);
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Whether a batch may be appended. A producer that is not known may begin with any number: its state may
    /// have been forgotten.
    ///
    /// # Errors
    /// See [`SequenceError`].
    pub fn check(&self, claim: &Claim) -> Result<Verdict, SequenceError> {
        let Some(producer) = self.by_id.get(&claim.producer_id) else { return Ok(Verdict::New) };
        let (producer_id, got) = (claim.producer_id, claim.base_sequence);
        if claim.epoch < producer.epoch {
            let current = producer.epoch;
            return Err(SequenceError::OldEpoch { producer_id, epoch: claim.epoch, current });
        }
        if claim.epoch > producer.epoch {
            // A new epoch begins anew.
            return match got {
                0 => Ok(Verdict::New),
                _ => Err(SequenceError::OutOfOrder { producer_id, got, expected: 0 }),
            };
        }
        let same =
            |batch: &&Remembered| (batch.base_sequence, batch.last_sequence) == (got, claim.last_sequence());
        if let Some(batch) = producer.batches.iter().find(same) {
            return Ok(Verdict::Duplicate(*batch));
        }
        let last = producer.last().map_or(-1, |batch| batch.last_sequence);
        let expected = last.checked_add(1).unwrap_or(0);
        if got == expected {
            Ok(Verdict::New)
        } else {
            Err(SequenceError::OutOfOrder { producer_id, got, expected })
        }
    }

    /// A batch has been appended at `base`, or is read back on opening. Bases only grow. Everything below
    /// `durable` is durable.
    pub fn record(
        &mut self,
        claim: &Claim,
        base: Offset,
        max_timestamp: i64,
        appended_ms: i64,
        durable: Offset,
    ) {
        let producer = self.by_id.entry(claim.producer_id).or_insert_with(|| Producer {
            epoch: claim.epoch,
            batches: VecDeque::new(),
            appended_ms,
        });
        if let Some(last) = producer.last() {
            self.by_age.remove(&(last.base, claim.producer_id));
        }
        if producer.epoch != claim.epoch {
            producer.batches.clear();
            producer.epoch = claim.epoch;
        }
        if producer.batches.len() == BATCHES {
            producer.batches.pop_front();
        }
        producer.batches.push_back(Remembered {
            base,
            count: claim.count,
            base_sequence: claim.base_sequence,
            last_sequence: claim.last_sequence(),
            max_timestamp,
        });
        producer.appended_ms = appended_ms;
        self.by_age.insert((base, claim.producer_id));
        while self.by_id.len() > self.limit && self.forget_oldest(|oldest, _| oldest < durable) {}
    }

    /// What each wrote last.
    pub fn last_written(&self) -> impl Iterator<Item = LastWritten> {
        self.by_id.iter().filter_map(|(&producer_id, producer)| {
            let last = producer.last()?;
            let last = Offset(last.base.0 + u64::from(last.count) - 1);
            Some(LastWritten { producer_id, epoch: producer.epoch, last })
        })
    }

    /// Forgets the producers that appended nothing at or after `before_ms` of the leader's clock and have
    /// nothing at or above `durable`.
    pub fn expire(&mut self, before_ms: i64, durable: Offset) {
        while self.forget_oldest(|oldest, appended_ms| oldest < durable && appended_ms < before_ms) {}
    }

    fn forget_oldest(&mut self, may_go: impl Fn(Offset, i64) -> bool) -> bool {
        let Some((base, producer_id)) = self.by_age.first().copied() else { return false };
        let appended_ms = self.by_id.get(&producer_id).map_or(i64::MIN, |producer| producer.appended_ms);
        let goes = may_go(base, appended_ms);
        if goes {
            self.by_age.pop_first();
            self.by_id.remove(&producer_id);
        }
        goes
    }
}

#[cfg(test)]
#[path = "producers_tests.rs"]
mod tests;
