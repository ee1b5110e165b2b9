//! One partition, led by this broker: offsets, producers, and where durability stands.
//!
//! One lock holds the order of things; `append` appends under it, `read` and `look_up` read.
//!
//! Appended is not durable. Whoever appended waits for the batch's slot (`handlers::produce` does), and nothing
//! that is not durable is read, listed, entered in the time index, or moves the last stable offset. Producers' state
//! does count what is pending: that is how the retry of a request that timed out finds its batch. Cancelling a wait
//! takes nothing back. When the epoch ends, pending batches are lost together with this log, which is opened anew from
//! the store, by its successor or here.

use super::checkpoint::Resumed;
use super::claim::{ActiveProducer, LastWritten};
use super::known::{Known, UnknownNote};
use super::stream::Streams;
use super::verifications::Verifications;
use crate::batch::{Checked, Invalid, validate};
use crate::cleaner::Aborted;
use crate::retention;
use crate::seeded_bugs::{Bug, seeded};
use crate::topic_config::TopicConfig;
use bytes::Bytes;
use levee_base::limits::{PARTITION_VERIFICATIONS, PRODUCER_ID_EXPIRATION};
use levee_base::{Clock, Offset, Slot, StreamId};
use levee_object::Purpose;
use levee_store::{BatchInfo, ReadError, StoreStatus, StreamEnds};
use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tokio::sync::watch;

/// What can be configured of a partition while it is open.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogConfig {
    /// Its topic's configurations.
    pub topic: TopicConfig,
    /// `producer.id.expiration.ms`: for how long a silent producer is remembered.
    pub producer_expiration_ms: i64,
}

impl From<TopicConfig> for LogConfig {
    fn from(topic: TopicConfig) -> Self {
        let expiration = i64::try_from(PRODUCER_ID_EXPIRATION.as_millis()).unwrap_or(i64::MAX);
        Self { topic, producer_expiration_ms: expiration }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        TopicConfig::default().into()
    }
}

/// Why a partition can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store has not opened its stream.
    #[error("the stream of the partition is not open")]
    NotOpen,
    /// Its indexes can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An index says of a batch what this release doesn't understand.
    #[error(transparent)]
    Note(#[from] UnknownNote),
}

/// A client whose idea of the leader is not this one (KIP-320).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EpochError {
    /// The client's is older.
    #[error("the client's leader epoch is older than this broker's")]
    Fenced,
    /// The client's is newer.
    #[error("the client's leader epoch is newer than this broker's")]
    Unknown,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Pending {
    pub(super) base: Offset,
    pub(super) end: Offset,
    pub(super) slot: Slot,
    pub(super) max_timestamp: i64,
    pub(super) appended_ms: i64,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) known: Known,
    pub(super) verifications: Verifications,
    /// Oldest first. The store bounds what is not durable, and so this.
    pub(super) pending: VecDeque<Pending>,
}

impl State {
    /// Enters what has become durable in the time index, and what it decides.
    pub(super) fn settle(&mut self, durable: Offset) {
        self.known.producers.transactions_mut().settle(durable);
        while let Some(batch) = self.pending.front().copied().filter(|batch| batch.end <= durable) {
            self.known.times.push(batch.base, batch.end, batch.max_timestamp, batch.appended_ms);
            self.pending.pop_front();
        }
    }

    /// The slot of the batch at `base`, if it is pending.
    pub(super) fn slot_of(&self, base: Offset) -> Option<Slot> {
        let at = self.pending.partition_point(|batch| batch.base < base);
        self.pending.get(at).filter(|batch| batch.base == base).map(|batch| batch.slot)
    }
}

/// Brings `known` up to the stream's durable end.
async fn replay(
    streams: &dyn Streams,
    stream: StreamId,
    mut from: Offset,
    known: &mut Known,
) -> Result<(), OpenError> {
    loop {
        let mut outcome = Ok(());
        let mut each = |batch: BatchInfo<'_>| {
            if outcome.is_ok() {
                outcome = known.replay(batch);
            }
        };
        let replayed = streams.replay(stream, from, Purpose::Recovery, &mut each).await;
        outcome?;
        let Err(error) = replayed else { return Ok(()) };
        let lost = error.damaged().and_then(|key| streams.part_in(stream, key, from));
        let Some(lost) = lost else { return Err(error.into()) };
        let lost = from.max(lost.start)..lost.end;
        tracing::error!(
            %stream, %error, from = lost.start.0, to = lost.end.0,
            "a part of a partition can't be read; the rest is served. What its producers wrote there is not known, so a \
             batch that they repeat now may be there twice"
        );
        known.pass_over(lost.clone());
        from = lost.end;
    }
}

/// A partition that this broker leads.
#[derive(Debug)]
pub struct PartitionLog {
    pub(super) streams: Arc<dyn Streams>,
    pub(super) stream: StreamId,
    pub(super) leader_epoch: i32,
    pub(super) clock: Clock,
    config: RwLock<LogConfig>,
    state: Mutex<State>,
    /// What lies below has gone through keyed compaction.
    cleaned_until: AtomicU64,
}

impl PartitionLog {
    /// Opens the partition on a stream that the store has opened with the same leader epoch, and that nobody else
    /// appends to. Replays the stream's indexes, from the checkpoint's offset on where there is one that can be read.
    /// Objects that are missing or corrupt are passed over: reads of them fail, and nothing else.
    ///
    /// # Errors
    /// See [`OpenError`]. Opening may be tried again.
    pub async fn open(
        streams: Arc<dyn Streams>,
        stream: StreamId,
        leader_epoch: i32,
        config: LogConfig,
        clock: Clock,
        checkpoint: Option<(Offset, Bytes)>,
    ) -> Result<Self, OpenError> {
        let ends = streams.ends(stream).ok_or(OpenError::NotOpen)?;
        let checkpoint = checkpoint.filter(|(offset, _)| *offset <= ends.durable);
        let Resumed { mut known, offset, cleaned_until } = Resumed::from(stream, checkpoint, ends.start);
        known.drop_below(ends.start);
        replay(&*streams, stream, ends.start.max(offset), &mut known).await?;
        known.end(clock.wall_ms());
        if seeded(Bug::ForgetSequences) {
            known.producers.expire(i64::MAX, ends.durable);
        }
        known.epochs.assign(leader_epoch, ends.appended);
        let log = Self {
            streams,
            stream,
            leader_epoch,
            clock,
            config: RwLock::new(config),
            state: Mutex::new(State {
                known,
                verifications: Verifications::new(PARTITION_VERIFICATIONS),
                pending: VecDeque::new(),
            }),
            cleaned_until: AtomicU64::new(cleaned_until.0),
        };
        log.expire_producers();
        Ok(log)
    }

    /// The stream that it lies on.
    #[must_use]
    pub fn stream(&self) -> StreamId {
        self.stream
    }

    /// The store that it lies in.
    #[must_use]
    pub fn streams(&self) -> &Arc<dyn Streams> {
        &self.streams
    }

    /// The epoch that this broker leads it with.
    #[must_use]
    pub fn leader_epoch(&self) -> i32 {
        self.leader_epoch
    }

    /// What is configured now.
    #[must_use]
    pub fn config(&self) -> LogConfig {
        *self.config.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the configuration; batches that are checked from now on are checked by it.
    pub fn configure(&self, config: LogConfig) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    /// Where the partition begins, ends, and how far it is durable.
    #[must_use]
    pub fn ends(&self) -> Option<StreamEnds> {
        self.streams.ends(self.stream)
    }

    /// Waits until everything below `end` is durable. False when the store stops before, or this broker leads the
    /// partition no more.
    pub async fn is_durable_to(&self, end: Offset) -> bool {
        let mut status = self.status();
        loop {
            // Looked at first: what changes after that wakes it.
            let stopped = status.borrow_and_update().stopped.is_some();
            let Some(ends) = self.ends() else { return false };
            if ends.durable >= end {
                return true;
            }
            if stopped || status.changed().await.is_err() {
                return false;
            }
        }
    }

    /// How far the store has come.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<StoreStatus> {
        self.streams.status()
    }

    /// Compares a client's leader epoch with this one; -1 is a client that has none.
    ///
    /// # Errors
    /// See [`EpochError`].
    pub fn check_epoch(&self, epoch: i32) -> Result<(), EpochError> {
        match epoch {
            ..0 => Ok(()),
            _ if epoch < self.leader_epoch => Err(EpochError::Fenced),
            _ if epoch > self.leader_epoch => Err(EpochError::Unknown),
            _ => Ok(()),
        }
    }

    /// Checks what a client sent with Produce `version`. Takes no lock.
    ///
    /// # Errors
    /// See [`Invalid`].
    pub fn check<'a>(&self, records: &'a mut [u8], version: i16) -> Result<Checked<'a>, Invalid> {
        validate::check(records, version, &self.config().topic.rules, self.clock.wall_ms())
    }

    /// Whether the producer has a transaction open here in this epoch, durable or not: then its batches need no
    /// verification (Kafka's `hasOngoingTransaction`).
    #[must_use]
    #[cfg(test)]
    pub(crate) fn ongoing_transaction(&self, producer_id: i64, producer_epoch: i16) -> bool {
        self.state().known.producers.has_open_transaction(producer_id, producer_epoch)
    }

    /// Below this all is durable and decided: no transaction that began there is open, and the markers of those that
    /// ended are durable. `None` if this broker leads the partition no more.
    #[must_use]
    pub fn last_stable_offset(&self) -> Option<Offset> {
        self.ends().map(|ends| self.stable(&ends))
    }

    pub(super) fn stable(&self, ends: &StreamEnds) -> Offset {
        if seeded(Bug::PassOpen) {
            return ends.durable;
        }
        self.state().known.producers.transactions().last_stable(ends.start, ends.durable)
    }

    /// The producers that are known, by id; what they wrote may not be durable.
    #[must_use]
    pub fn active_producers(&self) -> Vec<ActiveProducer> {
        self.state().known.producers.active().collect()
    }

    /// The transactions that were aborted, in the order of their markers. Those that end below the last stable offset
    /// are durable.
    #[must_use]
    pub fn aborted(&self) -> Vec<Aborted> {
        self.state().known.producers.transactions().iter().collect()
    }

    /// A pass of keyed compaction that was told of the aborted transactions `told` has left something of `left`. The
    /// rest is forgotten: its markers may go next.
    pub fn set_aborted(&self, told: &[Aborted], left: &[Aborted]) {
        let mut gone: BTreeSet<_> = told.iter().map(|aborted| aborted.last_offset).collect();
        for aborted in left {
            gone.remove(&aborted.last_offset);
        }
        let mut state = self.state();
        state.known.producers.transactions_mut().retain(|aborted| !gone.contains(&aborted.last_offset));
    }

    /// Forgets producers that have been silent for too long. To be called from time to time.
    pub fn expire_producers(&self) {
        let Some(ends) = self.ends() else { return };
        let before_ms = self.producers_expire_before();
        let mut state = self.state();
        state.known.producers.expire(before_ms, ends.durable);
        state.verifications.expire(before_ms);
    }

    /// Producers that appended nothing since then are forgotten, in Unix milliseconds.
    #[must_use]
    pub fn producers_expire_before(&self) -> i64 {
        self.clock.wall_ms().saturating_sub(self.config().producer_expiration_ms)
    }

    /// What lies below has gone through keyed compaction: Kafka's first dirty offset.
    #[must_use]
    pub fn cleaned_until(&self) -> Offset {
        Offset(self.cleaned_until.load(Relaxed))
    }

    /// A pass of keyed compaction has covered what lies below.
    pub fn set_cleaned_until(&self, until: Offset) {
        self.cleaned_until.fetch_max(until.0, Relaxed);
    }

    /// What each idempotent producer wrote last, durable or not, and where the partition ended then.
    #[must_use]
    pub fn last_written(&self) -> Option<(Vec<LastWritten>, Offset)> {
        let state = self.state();
        let ends = self.ends()?;
        Some((state.known.producers.last_written().collect(), ends.appended))
    }

    /// How many idempotent producers are remembered.
    #[must_use]
    pub fn producers(&self) -> usize {
        self.state().known.producers.len()
    }

    /// Where the partition is to begin by its topic's retention, if that is later than now. `extents` is where its
    /// registered batches lie and how many bytes they take, oldest first; they are looked at only where
    /// `retention.bytes` is set.
    #[must_use]
    pub fn retained_from(&self, extents: &[retention::Held]) -> Option<Offset> {
        let ends = self.ends()?;
        let topic = self.config().topic;
        let now_ms = self.clock.wall_ms();
        let mut state = self.state();
        state.settle(ends.durable);
        retention::new_start(&ends, extents, &state.known.times, &topic, now_ms)
    }

    /// The partition's start has moved: what is only about what lies before is forgotten.
    pub fn start_moved(&self) {
        let Some(ends) = self.ends() else { return };
        self.state().known.drop_below(ends.start);
    }

    #[cfg(test)]
    pub(crate) fn known(&self) -> Known {
        self.state().known.clone()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics under the lock but the store's own assertions, which come before any change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
