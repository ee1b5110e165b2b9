//! Appending to a partition: batches of clients, records of the coordinators on this broker, and transaction markers.
//!
//! Under the partition's lock a batch's producer is checked, its offset and epoch are written into its bytes, and the
//! store takes it: so the order of offsets is the order of the store, and a batch that the store refuses (it is full, or
//! has stopped) has changed nothing but its own bytes, and may be tried again. Checksums and all else that takes time
//! happen before, in [`PartitionLog::check`].

use super::claim::{Claim, Origin, Place, ProducerError};
use super::log::{PartitionLog, Pending, State};
use super::note::Note;
use super::producers::Verdict;
use super::verifications::Guard;
use crate::batch::compose::NO_SEQUENCE;
use crate::batch::{BatchMut, Checked, Composer, Marker, TimestampType};
use crate::seeded_bugs::{Bug, seeded};
use bytes::Bytes;
use levee_base::limits::MESSAGE_BYTES;
use levee_base::{Offset, Slot};
use levee_store::{self as store, NewBatch, StreamEnds};

/// A batch that the store has taken, or had already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The offset of its first record.
    pub base: Offset,
    /// What was stamped on its records, in Unix milliseconds, if the topic asks for that.
    pub log_append_time_ms: Option<i64>,
    /// Where the partition begins.
    pub log_start: Offset,
    /// The slot to wait for; `None` if the batch is durable already.
    pub slot: Option<Slot>,
}

impl Appended {
    /// What is said of no record at all.
    fn nothing(ends: &StreamEnds) -> Self {
        Self { base: ends.appended, log_append_time_ms: None, log_start: ends.start, slot: None }
    }
}

/// Why a batch was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The store is at a limit: wait for `Streams::room`, then try the same batch again.
    #[error("the write-ahead log is at its limit")]
    Full,
    /// The store's disk has no room.
    #[error("the store's disk is full: make room, or shorten retention")]
    NoSpace,
    /// This broker leads the partition no more.
    #[error("this broker does not lead the partition")]
    NotLeader,
    /// It is larger than all the memory for objects.
    #[error("the batch is larger than all the memory for objects")]
    TooLarge,
    /// The producer's epoch, sequence number or transaction is wrong.
    #[error(transparent)]
    Producer(#[from] ProducerError),
}

impl PartitionLog {
    /// Appends a batch of no transaction, or of one that is open here. After [`AppendError::Full`] the same one may be
    /// tried again.
    ///
    /// # Errors
    /// See [`AppendError`].
    pub fn append(&self, checked: &mut Checked<'_>) -> Result<Appended, AppendError> {
        self.append_verified(checked, None)
    }

    /// Appends a batch, which may begin a transaction here by the `guard` of [`PartitionLog::verify`]. After
    /// [`AppendError::Full`] the same one may be tried again.
    ///
    /// # Errors
    /// See [`AppendError`].
    pub fn append_verified(
        &self,
        checked: &mut Checked<'_>,
        guard: Option<Guard>,
    ) -> Result<Appended, AppendError> {
        let count = checked.count();
        self.append_batch(checked.batch(), count, Origin::Client(guard))
    }

    /// What a batch of a producer's transaction needs before it is appended: nothing (`None`) if the transaction is open
    /// here, and otherwise what the transaction's coordinator says, and this guard, which is to be had before the
    /// coordinator is asked. `bumps_epochs` says that each transaction of the producer has an epoch of its own (Produce
    /// version 12, TxnOffsetCommit version 5). (KIP-890.)
    ///
    /// # Errors
    /// [`AppendError::Producer`], when the epoch is old.
    pub fn verify(
        &self,
        producer_id: i64,
        producer_epoch: i16,
        base_sequence: i32,
        bumps_epochs: bool,
    ) -> Result<Option<Guard>, AppendError> {
        let mut state = self.state();
        state.known.producers.check_epoch(producer_id, producer_epoch)?;
        if state.known.producers.has_open_transaction(producer_id, producer_epoch) {
            return Ok(None);
        }
        let now_ms = self.clock.wall_ms();
        let all = &mut state.verifications;
        Ok(Some(all.begin(producer_id, producer_epoch, base_sequence, bumps_epochs, now_ms)))
    }

    /// Appends records as the group coordinator does, verified where they begin a transaction.
    #[cfg(test)]
    pub(crate) fn append_records(
        &self,
        records: &[(Option<Bytes>, Option<Bytes>)],
        producer: Option<(i64, i16)>,
    ) -> Result<Appended, AppendError> {
        let guard = producer.map(|(id, epoch)| self.verify(id, epoch, NO_SEQUENCE, false)).transpose()?;
        self.append_records_verified(records, producer, guard.flatten())
    }

    /// Appends records of a coordinator on this broker, as one batch, at the time of its clock. By a `producer`, an id
    /// and an epoch, they are part of its transaction, which is open here or is begun by a guard of
    /// [`PartitionLog::verify`]: nothing is appended if it has ended since. Without records nothing is appended. After
    /// [`AppendError::Full`] they may be tried again.
    ///
    /// # Errors
    /// See [`AppendError`]; [`AppendError::TooLarge`] also when they are more than Kafka's default of
    /// `max.message.bytes`.
    pub fn append_records_verified(
        &self,
        records: &[(Option<Bytes>, Option<Bytes>)],
        producer: Option<(i64, i16)>,
        guard: Option<Guard>,
    ) -> Result<Appended, AppendError> {
        let mut composer = match producer {
            Some((id, epoch)) => Composer::transactional(id, epoch),
            None => Composer::new(),
        };
        let now_ms = self.clock.wall_ms();
        for (key, value) in records {
            composer.push(now_ms, key.as_deref(), value.as_deref());
        }
        let count = u32::try_from(records.len()).map_err(|_| AppendError::TooLarge)?;
        if count == 0 {
            let ends = self.ends().ok_or(AppendError::NotLeader)?;
            return Ok(Appended::nothing(&ends));
        }
        // The topic's own limit is for clients: what a coordinator has decided is written.
        if composer.bytes() > MESSAGE_BYTES {
            return Err(AppendError::TooLarge);
        }
        let mut bytes = composer.finish();
        let mut batch = BatchMut::first(&mut bytes).ok_or(AppendError::TooLarge)?;
        self.append_batch(&mut batch, count, Origin::Coordinator(guard))
    }

    /// Whether records of a coordinator would be taken as part of the producer's transaction, by a guard of
    /// [`PartitionLog::verify`] where they begin it here.
    ///
    /// # Errors
    /// As [`PartitionLog::append_records_verified`] would refuse them.
    pub fn check_records(&self, producer: (i64, i16), guard: Option<Guard>) -> Result<(), AppendError> {
        let (producer_id, epoch) = producer;
        let claim = Claim { producer_id, epoch, base_sequence: NO_SEQUENCE, count: 1, transactional: true };
        let state = self.state();
        let verification = state.verifications.get(producer_id);
        state.known.producers.check(&claim, Origin::Coordinator(guard), verification)?;
        Ok(())
    }

    /// Appends the marker that ends a producer's transaction here, for a coordinator of an epoch and by a version of the
    /// transaction protocol: 2 where each transaction has an epoch of its own, and the marker one that is newer
    /// (KIP-890, KIP-1228). After [`AppendError::Full`] it may be tried again.
    ///
    /// # Errors
    /// See [`AppendError`].
    pub fn append_marker(
        &self,
        producer_id: i64,
        producer_epoch: i16,
        coordinator_epoch: i32,
        commit: bool,
        transaction_version: i8,
    ) -> Result<Appended, AppendError> {
        let marker = Marker { commit, coordinator_epoch };
        let mut bytes = Composer::marker(producer_id, producer_epoch, marker, self.clock.wall_ms());
        let mut batch = BatchMut::first(&mut bytes).ok_or(AppendError::TooLarge)?;
        let mut state = self.state();
        let ends = self.ends().ok_or(AppendError::NotLeader)?;
        state.settle(ends.durable);
        let producers = &state.known.producers;
        producers.check_end(producer_id, producer_epoch, coordinator_epoch, transaction_version)?;
        if seeded(Bug::SkipMarker) {
            return Ok(Appended::nothing(&ends));
        }
        let appended = self.enter(&mut state, &ends, &mut batch, 1)?;
        state.verifications.ended(producer_id, producer_epoch);
        Ok(appended)
    }

    fn append_batch(
        &self,
        batch: &mut BatchMut<'_>,
        count: u32,
        origin: Origin,
    ) -> Result<Appended, AppendError> {
        let mut state = self.state();
        // Nobody else appends to this stream, so the end holds for as long as the lock is held.
        let ends = self.ends().ok_or(AppendError::NotLeader)?;
        state.settle(ends.durable);
        let view = batch.view();
        let claim = (view.producer_id() >= 0).then(|| Claim {
            producer_id: view.producer_id(),
            epoch: view.producer_epoch(),
            base_sequence: view.base_sequence(),
            count,
            transactional: view.attributes().transactional(),
        });
        if let Some(claim) = &claim {
            let verification = state.verifications.get(claim.producer_id);
            if let Verdict::Duplicate(first) = state.known.producers.check(claim, origin, verification)? {
                return Ok(Appended {
                    base: first.base,
                    log_append_time_ms: self.stamps().then_some(first.max_timestamp),
                    log_start: ends.start,
                    slot: state.slot_of(first.base),
                });
            }
        }
        let appended = self.enter(&mut state, &ends, batch, count)?;
        if let Some(claim) = claim.filter(|claim| claim.transactional) {
            state.verifications.appended(claim.producer_id);
        }
        Ok(appended)
    }

    /// Whether the leader's clock is stamped on what is appended.
    fn stamps(&self) -> bool {
        self.config().topic.rules.timestamp_type == TimestampType::LogAppendTime
    }

    /// Appends a batch that nothing speaks against.
    fn enter(
        &self,
        state: &mut State,
        ends: &StreamEnds,
        batch: &mut BatchMut<'_>,
        count: u32,
    ) -> Result<Appended, AppendError> {
        let stamped = self.stamps();
        let base = ends.appended;
        let appended_ms = self.clock.wall_ms().max(state.known.appended_ms);
        // Offsets are counted up from 0 one by one; they don't reach 2^63.
        batch.set_base_offset(base.0.cast_signed());
        batch.set_leader_epoch(self.leader_epoch);
        if stamped {
            batch.set_max_timestamp(TimestampType::LogAppendTime, appended_ms);
        }
        let view = batch.view();
        let note = Note::of(&view, appended_ms);
        let new = NewBatch { bytes: view.bytes(), count, note: &note.encode() };
        let slot = self.streams.append(self.stream, base, &[new]).map_err(|error| match error {
            store::AppendError::Full => AppendError::Full,
            store::AppendError::NoSpace => AppendError::NoSpace,
            store::AppendError::TooLarge => AppendError::TooLarge,
            store::AppendError::Stopped | store::AppendError::UnknownStream => AppendError::NotLeader,
        })?;
        state.known.appended_ms = appended_ms;
        let max_timestamp = note.max_timestamp;
        let end = Offset(base.0 + u64::from(count));
        state.pending.push_back(Pending { base, end, slot, max_timestamp, appended_ms });
        let place = Place { base, max_timestamp, appended_ms, durable: ends.durable };
        state.known.producer(&note, count, &place);
        Ok(Appended {
            base,
            log_append_time_ms: stamped.then_some(appended_ms),
            log_start: ends.start,
            slot: Some(slot),
        })
    }
}

#[cfg(test)]
#[path = "append_tests.rs"]
mod tests;
