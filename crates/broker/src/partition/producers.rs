//! What a partition remembers of its idempotent producers: which sequences it has, so that a retry is answered
//! with the first try's offsets and a gap is refused (KIP-98). Pure.
//!
//! Kafka's rules (ProducerStateManager, ProducerAppendInfo): the last five batches of a producer are known for
//! retries; a producer that isn't known may begin with any sequence; a new epoch begins with sequence 0.

use super::note::Note;
use levee_base::limits::PARTITION_PRODUCERS;
use levee_base::{Offset, Slot};
use std::collections::{BTreeMap, VecDeque};

/// Batches remembered of each producer; the most that a client keeps in flight.
const BATCHES: usize = 5;

/// A batch that a producer has appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    first_sequence: i32,
    last_sequence: i32,
    /// Its base offset.
    pub base: Offset,
    /// The time that the broker gave it, or -1.
    pub log_append_time: i64,
    /// The slot that makes it durable; `None` when it is durable.
    pub slot: Option<Slot>,
}

/// What is to be done with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It continues its producer's sequence, or has none.
    Append,
    /// It was appended before.
    Duplicate(Known),
}

/// Why a batch is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The producer has been given a newer epoch since.
    #[error("producer {producer_id} has epoch {current}, the batch has {epoch}")]
    InvalidProducerEpoch {
        /// Whose.
        producer_id: i64,
        /// The batch's.
        epoch: i16,
        /// The newest known.
        current: i16,
    },
    /// A batch before it is missing.
    #[error("producer {producer_id}: sequence {sequence} does not follow {last}")]
    OutOfOrderSequence {
        /// Whose.
        producer_id: i64,
        /// The batch's first.
        sequence: i32,
        /// The last known.
        last: i32,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Producer {
    epoch: i16,
    batches: VecDeque<Known>,
    /// Unix milliseconds, for expiry.
    last_used_ms: i64,
}

/// A sequence so many further on; after `i32::MAX` comes 0.
#[must_use]
pub fn plus(sequence: i32, delta: u32) -> i32 {
    let sum = u64::from(sequence.unsigned_abs()) + u64::from(delta);
    i32::try_from(sum % (1 << 31)).expect("less than 2^31")
}

/// The producers of one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Producers(BTreeMap<i64, Producer>);

impl Producers {
    /// What is to be done with a batch. Changes nothing.
    ///
    /// # Errors
    /// When its epoch is old, or its sequence leaves a gap.
    pub fn check(&self, batch: &Note) -> Result<Verdict, Refused> {
        let Some(producer) = batch.has_producer().then(|| self.0.get(&batch.producer_id)).flatten() else {
            return Ok(Verdict::Append);
        };
        let (producer_id, epoch, sequence) = (batch.producer_id, batch.producer_epoch, batch.base_sequence);
        if epoch < producer.epoch {
            return Err(Refused::InvalidProducerEpoch { producer_id, epoch, current: producer.epoch });
        }
        let last = producer.batches.back().map_or(-1, |known| known.last_sequence);
        let expected = if epoch > producer.epoch {
            0
        } else {
            let same = |known: &&Known| {
                known.first_sequence == sequence && known.last_sequence == batch.last_sequence()
            };
            if let Some(known) = producer.batches.iter().find(same) {
                return Ok(Verdict::Duplicate(*known));
            }
            plus(last, 1)
        };
        if sequence == expected {
            Ok(Verdict::Append)
        } else {
            Err(Refused::OutOfOrderSequence { producer_id, sequence, last })
        }
    }

    /// Remembers a batch that has been given its place.
    pub fn appended(
        &mut self,
        batch: &Note,
        base: Offset,
        slot: Option<Slot>,
        log_append_time: i64,
        now_ms: i64,
    ) {
        if !batch.has_producer() {
            return;
        }
        if self.0.len() >= PARTITION_PRODUCERS && !self.0.contains_key(&batch.producer_id) {
            self.forget_longest_unused();
        }
        let fresh =
            || Producer { epoch: batch.producer_epoch, batches: VecDeque::new(), last_used_ms: now_ms };
        let producer = self.0.entry(batch.producer_id).or_insert_with(fresh);
        if producer.epoch != batch.producer_epoch {
            *producer = fresh();
        }
        if producer.batches.len() == BATCHES {
            producer.batches.pop_front();
        }
        producer.batches.push_back(Known {
            first_sequence: batch.base_sequence,
            last_sequence: batch.last_sequence(),
            base,
            log_append_time,
            slot,
        });
        producer.last_used_ms = now_ms;
    }

    /// Forgets producers that were not used since then (`producer.id.expiration.ms`).
    pub fn expire(&mut self, unused_since_ms: i64) {
        self.0.retain(|_, producer| producer.last_used_ms >= unused_since_ms);
    }

    /// How many are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn forget_longest_unused(&mut self) {
        if let Some(id) = self.0.iter().min_by_key(|(_, producer)| producer.last_used_ms).map(|(id, _)| *id) {
            self.0.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(producer_id: i64, producer_epoch: i16, base_sequence: i32, count: u32) -> Note {
        let (attributes, base_timestamp, max_timestamp) = (0, 0, 0);
        Note { attributes, producer_id, producer_epoch, base_sequence, base_timestamp, max_timestamp, count }
    }

    fn append(producers: &mut Producers, batch: &Note, base: u64) {
        assert_eq!(producers.check(header), Ok(Verdict::Append));
        producers.appended(header, Offset(base), Some(Slot(base)), -1, 0);
    }

    #[test]
    fn a_retry_of_the_last_five_is_a_duplicate_and_an_older_one_is_out_of_order() {
        let mut producers = Producers::default();
        for n in 0..6 {
            append(&mut producers, &header(1, 0, n * 10, 10), u64::try_from(n).unwrap() * 10);
        }
        for n in 1..6u64 {
            let sequence = i32::try_from(n * 10).unwrap();
            let Ok(Verdict::Duplicate(known)) = producers.check(&header(1, 0, sequence, 10)) else {
                panic!("{n}")
            };
            assert_eq!((known.base, known.slot), (Offset(n * 10), Some(Slot(n * 10))));
        }
        for wrong in [header(1, 0, 0, 10), header(1, 0, 61, 10), header(1, 0, 50, 5)] {
            assert!(matches!(producers.check(&wrong), Err(Refused::OutOfOrderSequence { .. })));
        }
    }

    #[test]
    fn unknown_producers_begin_anywhere_and_new_epochs_with_0() {
        let mut producers = Producers::default();
        append(&mut producers, &header(1, 3, 77, 1), 0);
        assert!(matches!(producers.check(&header(1, 2, 78, 1)), Err(Refused::InvalidProducerEpoch { .. })));
        assert!(matches!(producers.check(&header(1, 4, 78, 1)), Err(Refused::OutOfOrderSequence { .. })));
        append(&mut producers, &header(1, 4, 0, 1), 1);
        append(&mut producers, &header(2, 0, 5, 1), 2);
    }

    #[test]
    fn sequences_wrap_after_the_largest() {
        let mut producers = Producers::default();
        append(&mut producers, &header(1, 0, i32::MAX - 1, 2), 0);
        append(&mut producers, &header(1, 0, 0, 3), 2);
        assert!(matches!(producers.check(&header(1, 0, i32::MAX - 1, 2)), Ok(Verdict::Duplicate(_))));
    }

    #[test]
    fn their_number_is_bounded_and_unused_ones_expire() {
        let mut producers = Producers::default();
        for id in 0..=PARTITION_PRODUCERS {
            let id = i64::try_from(id).unwrap();
            producers.appended(&header(id, 0, 0, 1), Offset(0), None, -1, id);
        }
        assert_eq!(producers.len(), PARTITION_PRODUCERS);
        producers.expire(i64::MAX);
        assert!(producers.is_empty());
    }
}
