//! The idempotent and transactional producers of one partition: which batches they sent last, what each may send next,
//! and which transactions are open. Pure.
//!
//! A producer numbers the records that it sends to a partition. A batch that repeats one of the producer's last
//! five is answered with the first one's offset; a batch that leaves a gap is refused, for the one before it
//! is missing. (KIP-98; the rules are those of Kafka 4's `ProducerAppendInfo`.) Batches count from the moment
//! they are appended, so that a repetition is found while the first is not durable yet. What is counted and
//! never becomes durable goes with the whole state, as its epoch has ended then.
//!
//! A successor learns all this from the batches that are left. What was removed before they were seen, or can't be read,
//! may have been of any producer: see [`Producers::lose_track`]. (Kafka has snapshots of its producers, which retention
//! does not shorten.)
//!
//! A marker ends the producer's transaction. One of a newer epoch makes that the producer's: it begins anew with
//! sequence number 0, and what comes late from the transaction before is refused (KIP-890).

use super::claim::{ActiveProducer, Claim, End, LastWritten, Origin, Place, ProducerError};
use super::sequences::{Remembered, Sequences};
use super::transactions::Transactions;
use super::verifications::Verification;
use levee_base::Offset;
use std::collections::{BTreeMap, BTreeSet};

/// The epoch of a producer whose own is not known.
const NO_EPOCH: i16 = -1;
/// The epoch of a coordinator that has ended nothing.
const NO_COORDINATOR: i32 = -1;
/// From this version on a transaction's marker has an epoch of its own (KIP-890).
const EPOCH_EACH_FROM_VERSION: i8 = 2;

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
    pub(super) sequences: Sequences,
    /// Where its transaction begins, if one is open.
    pub(super) transaction: Option<Offset>,
    pub(super) last_timestamp: i64,
    pub(super) appended_ms: i64,
    /// The offset of the batch or marker that it wrote last.
    pub(super) touched: Offset,
}

impl Producer {
    /// One of which nothing is known but what it may have sent.
    fn new(sequences: Sequences) -> Self {
        Self {
            epoch: NO_EPOCH,
            coordinator_epoch: NO_COORDINATOR,
            sequences,
            transaction: None,
            last_timestamp: -1,
            appended_ms: i64::MIN,
            touched: Offset::ZERO,
        }
    }

    fn begin_epoch(&mut self, epoch: i16) {
        if self.epoch != epoch {
            // What it may have sent unseen may have been of this epoch, unless an older one has been seen since.
            if self.epoch != NO_EPOCH {
                self.sequences = Sequences::none();
            }
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
            if verification.bumps_epochs && got != 0 && self.sequences.is_none() {
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
        // A new epoch begins anew.
        let next = if claim.epoch == self.epoch { self.sequences.next() } else { Some(0) };
        match next {
            Some(next) if next != got => expects(next),
            _ => Ok(()),
        }
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
    /// Until then, in Unix milliseconds of the leader's clock, some may have written that are not known; `i64::MAX` until
    /// the next batch says when that was.
    lost_ms: Option<i64>,
}

impl Producers {
    /// None yet, and `limit` at most, not counting those with batches that wait for durability or with open
    /// transactions. As many as `transactions` may be open or have been aborted.
    #[must_use]
    pub fn new(limit: usize, transactions: usize) -> Self {
        let transactions = Transactions::new(transactions);
        Self { limit, by_id: BTreeMap::new(), by_age: BTreeSet::new(), transactions, lost_ms: None }
    }

    /// One that is not known.
    fn unknown(&self) -> Producer {
        Producer::new(if self.lost_ms.is_some() { Sequences::Unknown } else { Sequences::none() })
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

    pub(super) fn lost_ms(&self) -> Option<i64> {
        self.lost_ms
    }

    pub(super) fn set_lost_ms(&mut self, lost_ms: Option<i64>) {
        self.lost_ms = lost_ms;
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
        let unknown = self.unknown();
        let producer_id = claim.producer_id;
        let producer = self.by_id.get(&producer_id).unwrap_or(&unknown);
        let client = matches!(origin, Origin::Client(_));
        if client
            && claim.epoch == producer.epoch
            && let Some(batch) = producer.sequences.repeated(claim)
        {
            return Ok(Verdict::Duplicate(*batch));
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
            let open = producer.transaction.is_some();
            return Err(ProducerError::OldCoordinator {
                producer_id,
                epoch: coordinator_epoch,
                current,
                open,
            });
        }
        Ok(())
    }

    /// A batch has been appended, or is read back on opening. Bases only grow.
    pub fn record(&mut self, claim: &Claim, place: &Place) {
        let unknown = self.unknown();
        let producer = self.by_id.entry(claim.producer_id).or_insert(unknown);
        self.by_age.remove(&(producer.touched, claim.producer_id));
        producer.begin_epoch(claim.epoch);
        producer.sequences.push(Remembered {
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
        let unknown = self.unknown();
        let producer = self.by_id.entry(end.producer_id).or_insert(unknown);
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

    /// What comes next, batches or the first that are left, is not all there is: before it some of any producer, and any
    /// producer's markers, may be missing. All but the transactions that are open is forgotten, with the epochs of their
    /// producers, and any number may come next of a producer until a batch of its epoch has been seen. That is over
    /// once a producer that wrote there would have expired.
    pub fn lose_track(&mut self) {
        self.lost_ms = Some(i64::MAX);
        self.by_age.clear();
        self.by_id.retain(|_, producer| {
            (producer.epoch, producer.sequences) = (NO_EPOCH, Sequences::Unknown);
            producer.transaction.is_some()
        });
    }

    /// What was lost lay before a batch, whoever's, that is at `place`.
    pub(super) fn lost_before(&mut self, place: &Place) {
        self.lost_ms = self.lost_ms.map(|lost_ms| lost_ms.min(place.appended_ms));
    }

    /// What each wrote last.
    pub fn last_written(&self) -> impl Iterator<Item = LastWritten> {
        self.by_id.iter().map(|(&producer_id, producer)| {
            let last = producer.sequences.last().map(|last| Offset(last.base.0 + u64::from(last.count) - 1));
            LastWritten { producer_id, epoch: producer.epoch, last }
        })
    }

    /// All that is known, for DescribeProducers.
    pub fn active(&self) -> impl Iterator<Item = ActiveProducer> {
        self.by_id.iter().map(|(&producer_id, producer)| ActiveProducer {
            producer_id,
            epoch: producer.epoch,
            last_sequence: producer.sequences.last_sequence(),
            last_timestamp: producer.last_timestamp,
            coordinator_epoch: producer.coordinator_epoch,
            transaction: producer.transaction,
        })
    }

    /// Forgets the producers that appended nothing at or after `before_ms` of the leader's clock, have nothing at or
    /// above `durable`, and no transaction open.
    pub fn expire(&mut self, before_ms: i64, durable: Offset) {
        while self.forget_oldest(|oldest, appended_ms| oldest < durable && appended_ms < before_ms) {}
        self.lost_ms = self.lost_ms.filter(|lost_ms| *lost_ms >= before_ms);
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
