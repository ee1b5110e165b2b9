//! What is known of one transactional id, and how it changes: Kafka's `TransactionMetadata`.
//!
//! A change is made by computing the metadata after it, which is then written and put in place.

use super::state::State;
use crate::effects::Producer;
use crate::schema::transaction::TransactionLogValue;
use crate::schema::wire::SchemaError;
use kafka_protocol::ResponseError;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// No producer id.
pub(super) const NO_PRODUCER_ID: i64 = -1;
/// No producer epoch.
pub(super) const NO_PRODUCER_EPOCH: i16 = -1;
/// No time.
const NO_TIMESTAMP: i64 = -1;
/// The version of the transaction protocol by which every transaction has an epoch of its own (KIP-890).
pub(super) const EPOCH_BUMP: i8 = 2;
/// The timeout of transactions that some other coordinator decides (KIP-939): none.
const TWO_PHASE_COMMIT: i32 = i32::MAX;

/// Partitions, by topic and number.
pub(super) type Partitions = BTreeMap<Arc<str>, BTreeSet<i32>>;

/// How many there are.
pub(super) fn count(partitions: &Partitions) -> usize {
    partitions.values().map(BTreeSet::len).sum()
}

/// Whether all of `some` are among `all`.
fn among(some: &Partitions, all: &Partitions) -> bool {
    some.iter().all(|(topic, numbers)| all.get(topic).is_some_and(|all| numbers.is_subset(all)))
}

/// Whether a producer may not go on to the epoch after this one: the last one is kept for fencing it.
pub(super) const fn is_exhausted(epoch: i16) -> bool {
    epoch >= i16::MAX - 1
}

/// What is known of one transactional id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Metadata {
    pub(super) producer_id: i64,
    /// The producer id before the last change, whatever that was.
    pub(super) previous_producer_id: i64,
    /// The producer id that the producer goes on with when the transaction is complete.
    pub(super) next_producer_id: i64,
    pub(super) producer_epoch: i16,
    /// The epoch that the producer had before the one it has, if it was itself that asked for the new one. Kafka doesn't
    /// write it either.
    pub(super) last_producer_epoch: i16,
    pub(super) timeout_ms: i32,
    pub(super) state: State,
    pub(super) partitions: Partitions,
    pub(super) start_ms: i64,
    pub(super) last_update_ms: i64,
    /// The version of the transaction protocol by which the state was reached.
    pub(super) version: i8,
}

impl Metadata {
    /// Of an id that is seen for the first time.
    pub(super) const fn new(producer_id: i64, timeout_ms: i32, now_ms: i64) -> Self {
        Self {
            producer_id,
            previous_producer_id: NO_PRODUCER_ID,
            next_producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            last_producer_epoch: NO_PRODUCER_EPOCH,
            timeout_ms,
            state: State::Empty,
            partitions: Partitions::new(),
            start_ms: NO_TIMESTAMP,
            last_update_ms: now_ms,
            version: 0,
        }
    }

    /// As a record says.
    pub(super) fn of_value(value: TransactionLogValue) -> Result<Self, SchemaError> {
        let state = State::of_number(value.transaction_status);
        let state = state.ok_or(SchemaError::Value(i64::from(value.transaction_status)))?;
        let version =
            i8::try_from(value.client_transaction_version).ok().filter(|it| (0..=EPOCH_BUMP).contains(it));
        let version = version.ok_or(SchemaError::Value(i64::from(value.client_transaction_version)))?;
        let mut partitions = Partitions::new();
        if state != State::Empty {
            for (topic, numbers) in value.transaction_partitions.ok_or(SchemaError::Null)? {
                partitions.entry(topic.into()).or_default().extend(numbers);
            }
        }
        Ok(Self {
            producer_id: value.producer_id,
            previous_producer_id: value.previous_producer_id,
            next_producer_id: value.next_producer_id,
            producer_epoch: value.producer_epoch,
            last_producer_epoch: NO_PRODUCER_EPOCH,
            timeout_ms: value.transaction_timeout_ms,
            state,
            partitions,
            start_ms: value.transaction_start_timestamp_ms,
            last_update_ms: value.transaction_last_update_timestamp_ms,
            version,
        })
    }

    /// What to write.
    pub(super) fn to_value(&self) -> TransactionLogValue {
        let partitions = || {
            let numbers = |(topic, numbers): (&Arc<str>, &BTreeSet<i32>)| {
                (topic.to_string(), numbers.iter().copied().collect::<Vec<_>>())
            };
            self.partitions.iter().map(numbers).collect()
        };
        TransactionLogValue {
            producer_id: self.producer_id,
            previous_producer_id: self.previous_producer_id,
            next_producer_id: self.next_producer_id,
            producer_epoch: self.producer_epoch,
            next_producer_epoch: NO_PRODUCER_EPOCH,
            transaction_timeout_ms: self.timeout_ms,
            transaction_status: self.state.number(),
            transaction_partitions: (self.state != State::Empty).then(partitions),
            transaction_last_update_timestamp_ms: self.last_update_ms,
            transaction_start_timestamp_ms: self.start_ms,
            client_transaction_version: i16::from(self.version),
        }
    }

    /// The producer as it is to name itself.
    pub(super) const fn producer(&self) -> Producer {
        Producer { id: self.producer_id, epoch: self.producer_epoch }
    }

    /// Whether the producer needs another id before it gets another epoch.
    pub(super) const fn is_exhausted(&self) -> bool {
        is_exhausted(self.producer_epoch)
    }

    /// Whether all of `partitions` take part.
    pub(super) fn has(&self, partitions: &Partitions) -> bool {
        among(partitions, &self.partitions)
    }

    /// Whether the transaction has taken longer than it may.
    pub(super) const fn is_timed_out(&self, now_ms: i64) -> bool {
        matches!(self.state, State::Ongoing)
            && self.timeout_ms != TWO_PHASE_COMMIT
            && self.start_ms.saturating_add(self.timeout_ms as i64) < now_ms
    }

    /// Whether nothing was heard of the id for `expiration_ms`.
    pub(super) const fn is_expired(&self, expiration_ms: i64, now_ms: i64) -> bool {
        self.state.may_expire() && self.last_update_ms <= now_ms.saturating_sub(expiration_ms)
    }

    fn after(&self, state: State) -> Self {
        Self { state, previous_producer_id: self.producer_id, ..self.clone() }
    }

    /// The producer is initialized and gets the next epoch. If it says which one it has (KIP-360), this may also be its
    /// second try.
    ///
    /// # Errors
    /// `ProducerFenced` if it has neither the current epoch nor the one before. `UnknownServerError`, as in Kafka, if
    /// epochs are exhausted: whoever says the current epoch, or none, gets another id instead.
    pub(super) fn initialized(
        &self,
        timeout_ms: i32,
        expected: Option<i16>,
        now_ms: i64,
    ) -> Result<Self, ResponseError> {
        if self.is_exhausted() {
            return Err(ResponseError::UnknownServerError);
        }
        let (epoch, last) = match expected {
            None => (self.producer_epoch + 1, NO_PRODUCER_EPOCH),
            Some(expected) if self.producer_epoch == NO_PRODUCER_EPOCH || expected == self.producer_epoch => {
                (self.producer_epoch + 1, self.producer_epoch)
            }
            // The answer to its first try was lost. Nobody else has initialized the id since: that forgets the last epoch.
            Some(expected) if expected == self.last_producer_epoch => {
                (self.producer_epoch, self.last_producer_epoch)
            }
            Some(_) => return Err(ResponseError::ProducerFenced),
        };
        Ok(Self {
            producer_epoch: epoch,
            last_producer_epoch: last,
            timeout_ms,
            partitions: Partitions::new(),
            start_ms: NO_TIMESTAMP,
            last_update_ms: now_ms,
            ..self.after(State::Empty)
        })
    }

    /// The producer is initialized and gets another id, as the epochs of this one are exhausted. `known` says whether it
    /// said which epoch it has.
    pub(super) fn rotated(&self, producer_id: i64, timeout_ms: i32, known: bool, now_ms: i64) -> Self {
        Self {
            producer_id,
            producer_epoch: 0,
            last_producer_epoch: if known { self.producer_epoch } else { NO_PRODUCER_EPOCH },
            timeout_ms,
            partitions: Partitions::new(),
            start_ms: NO_TIMESTAMP,
            last_update_ms: now_ms,
            ..self.after(State::Empty)
        }
    }

    /// Partitions take part from now on.
    pub(super) fn with(&self, partitions: &Partitions, version: i8, now_ms: i64) -> Self {
        let mut after = self.after(State::Ongoing);
        for (topic, numbers) in partitions {
            after.partitions.entry(topic.clone()).or_default().extend(numbers);
        }
        if self.state != State::Ongoing {
            after.start_ms = now_ms;
        }
        after.last_update_ms = now_ms;
        after.version = version;
        after
    }

    /// The transaction is decided. By version 2 of the protocol its markers carry the next epoch, and the producer goes on
    /// with that, or with `next_producer_id` if it is given. `empty` says that there is no transaction: a producer
    /// that isn't sure whether one of its records got through aborts it all the same.
    ///
    /// # Errors
    /// `UnknownServerError` if there is no next epoch.
    pub(super) fn decided(
        &self,
        commit: bool,
        version: i8,
        next_producer_id: i64,
        empty: bool,
        now_ms: i64,
    ) -> Result<Self, ResponseError> {
        let mut after = self.after(if commit { State::PrepareCommit } else { State::PrepareAbort });
        if version >= EPOCH_BUMP {
            let next = self.producer_epoch.checked_add(1);
            after.producer_epoch = next.ok_or(ResponseError::UnknownServerError)?;
            after.last_producer_epoch = self.producer_epoch;
        }
        if empty {
            after.start_ms = now_ms;
        }
        after.next_producer_id = next_producer_id;
        after.last_update_ms = now_ms;
        after.version = version;
        Ok(after)
    }

    /// The transaction is decided and its markers are written.
    pub(super) fn completed(&self, now_ms: i64) -> Self {
        let commit = self.state == State::PrepareCommit;
        let mut after = self.after(if commit { State::CompleteCommit } else { State::CompleteAbort });
        if self.version >= EPOCH_BUMP && self.next_producer_id != NO_PRODUCER_ID {
            after.producer_id = self.next_producer_id;
            after.producer_epoch = 0;
        }
        after.next_producer_id = NO_PRODUCER_ID;
        after.partitions = Partitions::new();
        after.last_update_ms = now_ms;
        after
    }
}
