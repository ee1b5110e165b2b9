//! The idempotent and transactional producers of one partition: which batches they sent last, what each may send next,
//! and which transactions are open. Pure.
//!
//! A producer numbers the records that it sends to a partition. A batch that repeats one of the producer's last
//! five is answered with the first one's offset; a batch that leaves a gap is refused, for the one before it
//! is missing. (KIP-98; the rules are those of Kafka 4's `ProducerAppendInfo`.) Batches count from the moment
//! they are appended, so that a repetition is found while the first is not durable yet. What is counted and
//! never becomes durable goes with the whole state, as its epoch has ended then.
//!
//! A marker ends the producer's transaction. One of a newer epoch makes that the producer's: it begins anew with
//! sequence number 0, and what comes late from the transaction before is refused (KIP-890).

use super::claim::{ActiveProducer, Claim, End, LastWritten, Origin, Place, ProducerError};
use super::transactions::Transactions;
use super::verifications::Verification;
use crate::batch::compose::NO_SEQUENCE;
use levee_base::Offset;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The epoch of a producer whose own is not known.
const NO_EPOCH: i16 = -1;
/// The epoch of a coordinator that has ended nothing.
const NO_COORDINATOR: i32 = -1;
/// From this version on a transaction's marker has an epoch of its own (KIP-890).
const EPOCH_EACH_FROM_VERSION: i8 = 2;

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

/// What to do with a batch that is in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Append it.
    New,
    /// It is there already: answer with this one.
    Duplicate(Remembered),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Producer {
    pub(super) epoch: i16,
    pub(super) coordinator_epoch: i32,
    /// Oldest first; empty when all that is known of the epoch is a marker.
    pub(super) batches: VecDeque<Remembered>,
    /// Where its transaction begins, if one is open.
    pub(super) transaction: Option<Offset>,
    pub(super) last_timestamp: i64,
    pub(super) appended_ms: i64,
    /// The offset of the batch or marker that it wrote last.
    pub(super) touched: Offset,
}

impl Producer {
    fn new() -> Self {
        Self {
            epoch: NO_EPOCH,
            coordinator_epoch: NO_COORDINATOR,
            batches: VecDeque::new(),
            transaction: None,
            last_timestamp: -1,
            appended_ms: i64::MIN,
            touched: Offset::ZERO,
        }
    }

    fn last(&self) -> Option<&Remembered> {
        self.batches.back()
    }

    fn last_sequence(&self) -> i32 {
        self.last().map_or(NO_SEQUENCE, |batch| batch.last_sequence)
    }

    fn begin_epoch(&mut self, epoch: i16) {
        if self.epoch != epoch {
            self.batches.clear();
            self.epoch = epoch;
        }
    }

    fn touch(&mut self, place: &Place) {
        self.touched = place.base;
        self.last_timestamp = place.max_timestamp;
        self.appended_ms = place.appended_ms;
    }

    fn check_sequence(
        &self,
        claim: &Claim,
        verification: Option<&Verification>,
    ) -> Result<(), ProducerError> {
        let (producer_id, got) = (claim.producer_id, claim.base_sequence);
        let expects = |expected| Err(ProducerError::OutOfOrder { producer_id, got, expected });
        if let Some(verification) = verification {
            if verification.bumps_epochs && got != 0 && self.batches.is_empty() {
                return expects(0);
            }
            if got > verification.lowest_sequence {
                return expects(verification.lowest_sequence);
            }
        }
        // Of a producer that is not known what comes next can't be known either: it may have been forgotten.
        if self.epoch == NO_EPOCH {
            return Ok(());
        }
        let next = match claim.epoch == self.epoch {
            true => self.last_sequence().checked_add(1).unwrap_or(0),
            // A new epoch begins anew.
            false => 0,
        };
        if got == next { Ok(()) } else { expects(next) }
    }
}

/// The producers of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Producers {
    limit: usize,
    // Producer ids come from outside, so this is no hash map.
    by_id: BTreeMap<i64, Producer>,
    /// (base offset of the last batch, producer id): who has been silent for longest comes first. Those with an open
    /// transaction are not here, for they are not forgotten.
    by_age: BTreeSet<(Offset, i64)>,
    transactions: Transactions,
}

impl Producers {
    /// None yet, and `limit` at most, not counting those with batches that wait for durability or with open
    /// transactions. As many as `transactions` may be open or have been aborted.
    #[must_use]
    pub fn new(limit: usize, transactions: usize) -> Self {
        let transactions = Transactions::new(transactions);
        Self { limit, by_id: BTreeMap::new(), by_age: BTreeSet::new(), transactions }
    }

    /// Their transactions.
    #[must_use]
    pub fn transactions(&self) -> &Transactions {
        &self.transactions
    }

    pub(super) fn transactions_mut(&mut self) -> &mut Transactions {
        &mut self.transactions
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (i64, &Producer)> {
        self.by_id.iter().map(|(id, producer)| (*id, producer))
    }

    pub(super) fn knows(&self, id: i64) -> bool {
        self.by_id.contains_key(&id)
    }

    /// One that is remembered from before. It has no transaction open that another has.
    pub(super) fn restore(&mut self, id: i64, producer: Producer) {
        match producer.transaction {
            Some(first) => self.transactions.begin(first, id),
            None => _ = self.by_age.insert((producer.touched, id)),
        }
        self.by_id.insert(id, producer);
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

    /// Whether the producer has a transaction open in the epoch.
    #[must_use]
    pub fn has_open_transaction(&self, producer_id: i64, epoch: i16) -> bool {
        let known = self.by_id.get(&producer_id);
        known.is_some_and(|producer| producer.transaction.is_some() && producer.epoch == epoch)
    }

    /// Whether a producer may write with an epoch.
    ///
    /// # Errors
    /// [`ProducerError::OldEpoch`].
    pub fn check_epoch(&self, producer_id: i64, epoch: i16) -> Result<(), ProducerError> {
        let current = self.by_id.get(&producer_id).map_or(NO_EPOCH, |producer| producer.epoch);
        if epoch < current {
            return Err(ProducerError::OldEpoch { producer_id, epoch, current });
        }
        Ok(())
    }

    /// Whether a batch may be appended. A client's producer that is not known may begin with any number: its state may
    /// have been forgotten. `verification` is what is known of its asking the coordinator.
    ///
    /// # Errors
    /// See [`ProducerError`].
    pub fn check(
        &self,
        claim: &Claim,
        origin: Origin,
        verification: Option<&Verification>,
    ) -> Result<Verdict, ProducerError> {
        let unknown = Producer::new();
        let producer_id = claim.producer_id;
        let producer = self.by_id.get(&producer_id).unwrap_or(&unknown);
        let client = matches!(origin, Origin::Client(_));
        if client && claim.epoch == producer.epoch {
            let numbers = (claim.base_sequence, claim.last_sequence());
            let same = |batch: &&Remembered| (batch.base_sequence, batch.last_sequence) == numbers;
            if let Some(batch) = producer.batches.iter().find(same) {
                return Ok(Verdict::Duplicate(*batch));
            }
        }
        self.check_epoch(producer_id, claim.epoch)?;
        if claim.transactional && !self.has_open_transaction(producer_id, claim.epoch) {
            let (Origin::Client(guard) | Origin::Coordinator(guard)) = origin;
            if verification.is_none_or(|known| Some(known.guard) != guard) {
                return Err(ProducerError::NotVerified);
            }
        }
        if client {
            producer.check_sequence(claim, verification)?;
        }
        match (producer.transaction, claim.transactional) {
            (Some(_), false) => Err(ProducerError::NotTransactional { producer_id }),
            (None, true) if !self.transactions.has_room() => Err(ProducerError::TooManyTransactions),
            _ => Ok(Verdict::New),
        }
    }

    /// Whether a marker may be appended: with the epoch of its transaction, or from version 2 of the transaction protocol
    /// on with a newer one, for each transaction has its own then.
    ///
    /// # Errors
    /// See [`ProducerError`].
    pub fn check_end(
        &self,
        producer_id: i64,
        epoch: i16,
        coordinator_epoch: i32,
        transaction_version: i8,
    ) -> Result<(), ProducerError> {
        let Some(producer) = self.by_id.get(&producer_id) else { return Ok(()) };
        let current = producer.epoch;
        // A marker that is sent again finds its epoch, and no transaction. The last epoch of all can't be followed by
        // another.
        let again = epoch == current && (producer.transaction.is_none() || epoch == i16::MAX);
        let late = epoch == current && transaction_version >= EPOCH_EACH_FROM_VERSION && !again;
        if epoch < current || late {
            return Err(ProducerError::OldEpoch { producer_id, epoch, current });
        }
        let current = producer.coordinator_epoch;
        if coordinator_epoch < current {
            return Err(ProducerError::OldCoordinator { producer_id, epoch: coordinator_epoch, current });
        }
        Ok(())
    }

    /// A batch has been appended, or is read back on opening. Bases only grow.
    pub fn record(&mut self, claim: &Claim, place: &Place) {
        let producer = self.by_id.entry(claim.producer_id).or_insert_with(Producer::new);
        self.by_age.remove(&(producer.touched, claim.producer_id));
        producer.begin_epoch(claim.epoch);
        if producer.batches.len() == BATCHES {
            producer.batches.pop_front();
        }
        producer.batches.push_back(Remembered {
            base: place.base,
            count: claim.count,
            base_sequence: claim.base_sequence,
            last_sequence: claim.last_sequence(),
            max_timestamp: place.max_timestamp,
        });
        producer.touch(place);
        if claim.transactional && producer.transaction.is_none() {
            producer.transaction = Some(place.base);
            self.transactions.begin(place.base, claim.producer_id);
        }
        if producer.transaction.is_none() {
            self.by_age.insert((place.base, claim.producer_id));
        }
        self.forget_beyond(place.durable);
    }

    /// A marker has been appended, or is read back on opening.
    pub fn end(&mut self, end: &End, place: &Place) {
        let producer = self.by_id.entry(end.producer_id).or_insert_with(Producer::new);
        self.by_age.remove(&(producer.touched, end.producer_id));
        producer.begin_epoch(end.epoch);
        producer.touch(place);
        if let Some(marker) = end.marker {
            producer.coordinator_epoch = marker.coordinator_epoch;
            if let Some(first) = producer.transaction.take() {
                self.transactions.end(first, place.base, marker.commit, place.durable);
            }
        }
        if producer.transaction.is_none() {
            self.by_age.insert((place.base, end.producer_id));
        }
        self.forget_beyond(place.durable);
    }

    /// Forgets all but the transactions that are open: what follows was written by nobody knows whom. Their producers'
    /// epochs are not known any more, nor what they send next.
    pub fn lose_track(&mut self) {
        self.by_age.clear();
        self.by_id.retain(|_, producer| {
            producer.begin_epoch(NO_EPOCH);
            producer.transaction.is_some()
        });
    }

    /// What each wrote last.
    pub fn last_written(&self) -> impl Iterator<Item = LastWritten> {
        self.by_id.iter().map(|(&producer_id, producer)| {
            let last = producer.last().map(|last| Offset(last.base.0 + u64::from(last.count) - 1));
            LastWritten { producer_id, epoch: producer.epoch, last }
        })
    }

    /// All that is known, for DescribeProducers.
    pub fn active(&self) -> impl Iterator<Item = ActiveProducer> {
        self.by_id.iter().map(|(&producer_id, producer)| ActiveProducer {
            producer_id,
            epoch: producer.epoch,
            last_sequence: producer.last_sequence(),
            last_timestamp: producer.last_timestamp,
            coordinator_epoch: producer.coordinator_epoch,
            transaction: producer.transaction,
        })
    }

    /// Forgets the producers that appended nothing at or after `before_ms` of the leader's clock, have nothing at or
    /// above `durable`, and no transaction open.
    pub fn expire(&mut self, before_ms: i64, durable: Offset) {
        while self.forget_oldest(|oldest, appended_ms| oldest < durable && appended_ms < before_ms) {}
    }

    fn forget_beyond(&mut self, durable: Offset) {
        // Those with open transactions have a bound of their own.
        while self.by_age.len() > self.limit && self.forget_oldest(|oldest, _| oldest < durable) {}
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
