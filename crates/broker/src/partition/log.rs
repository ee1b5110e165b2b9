//! One partition, led by this broker: offsets, producers, and where durability stands.
//!
//! One lock holds the order of things. Under it a batch's sequence is checked, its offset and epoch are written
//! into its bytes, and the store takes it: so the order of offsets is the order of the store, and a batch that
//! the store refuses (it is full, or has stopped) has changed nothing but its own bytes, and may be tried again.
//! Checksums and all else that takes time happen before, in [`PartitionLog::check`].
//!
//! Appended is not durable. Whoever appended waits for the batch's slot (`handlers::produce` does), and nothing
//! that is not durable is read, listed, or entered in the time index. Producers' state does count what is
//! pending: that is how the retry of a request that timed out finds its batch. Cancelling a wait takes nothing
//! back. When the epoch ends, pending batches are lost together with this log, which is opened anew from the
//! store, by its successor or here.

use super::checkpoint::Resumed;
use super::known::{Known, UnknownNote};
use super::note::Note;
use super::producers::{Claim, LastWritten, SequenceError, Verdict};
use super::stream::Streams;
use crate::batch::{Checked, Invalid, TimestampType, validate};
use crate::retention;
use crate::topic_config::TopicConfig;
use bytes::Bytes;
use levee_base::limits::PRODUCER_ID_EXPIRATION;
use levee_base::{Clock, Offset, Slot, StreamId};
use levee_object::Purpose;
use levee_store::{self as store, BatchInfo, NewBatch, ReadError, Run, StoreStatus, StreamEnds};
use std::collections::VecDeque;
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
    /// The producer's epoch or sequence number is wrong.
    #[error(transparent)]
    Sequence(#[from] SequenceError),
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

/// Why records can't be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// There is no such offset, and there won't be until others have been appended.
    #[error("the offset is not within {start} to {end}")]
    OutOfRange {
        /// Where the partition begins.
        start: Offset,
        /// The end of what was appended.
        end: Offset,
    },
    /// This broker leads the partition no more.
    #[error("this broker does not lead the partition")]
    NotLeader,
    /// The store can't give them.
    #[error(transparent)]
    Store(ReadError),
}

impl From<ReadError> for FetchError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::UnknownStream => Self::NotLeader,
            ReadError::OutOfRange { ends, .. } => Self::OutOfRange { start: ends.start, end: ends.appended },
            error => Self::Store(error),
        }
    }
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

/// What was read.
#[derive(Debug)]
pub struct Fetched {
    /// The partition's offsets before the read.
    pub ends: StreamEnds,
    /// Whole batches.
    pub runs: Vec<Run>,
}

#[derive(Debug, Clone, Copy)]
struct Pending {
    base: Offset,
    end: Offset,
    slot: Slot,
    max_timestamp: i64,
    appended_ms: i64,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) known: Known,
    /// Oldest first. The store bounds what is not durable, and so this.
    pending: VecDeque<Pending>,
}

impl State {
    /// Enters what has become durable in the time index.
    pub(super) fn settle(&mut self, durable: Offset) {
        while let Some(batch) = self.pending.front().copied().filter(|batch| batch.end <= durable) {
            self.known.times.push(batch.base, batch.end, batch.max_timestamp, batch.appended_ms);
            self.pending.pop_front();
        }
    }

    /// The slot of the batch at `base`, if it is pending.
    fn slot_of(&self, base: Offset) -> Option<Slot> {
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
    clock: Clock,
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
        known.times.drop_below(ends.start);
        replay(&*streams, stream, ends.start.max(offset), &mut known).await?;
        known.end(clock.wall_ms());
        known.epochs.assign(leader_epoch, ends.appended);
        let log = Self {
            streams,
            stream,
            leader_epoch,
            clock,
            config: RwLock::new(config),
            state: Mutex::new(State { known, pending: VecDeque::new() }),
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

    /// Appends a batch. After [`AppendError::Full`] the same one may be tried again.
    ///
    /// # Errors
    /// See [`AppendError`].
    pub fn append(&self, checked: &mut Checked<'_>) -> Result<Appended, AppendError> {
        let stamped = self.config().topic.rules.timestamp_type == TimestampType::LogAppendTime;
        let mut state = self.state();
        // Nobody else appends to this stream, so the end holds for as long as the lock is held.
        let ends = self.ends().ok_or(AppendError::NotLeader)?;
        state.settle(ends.durable);
        let view = checked.view();
        let claim = (view.producer_id() >= 0).then(|| Claim {
            producer_id: view.producer_id(),
            epoch: view.producer_epoch(),
            base_sequence: view.base_sequence(),
            count: checked.count(),
        });
        if let Some(claim) = &claim
            && let Verdict::Duplicate(first) = state.known.producers.check(claim)?
        {
            return Ok(Appended {
                base: first.base,
                log_append_time_ms: stamped.then_some(first.max_timestamp),
                log_start: ends.start,
                slot: state.slot_of(first.base),
            });
        }
        let base = ends.appended;
        let appended_ms = self.clock.wall_ms().max(state.known.appended_ms);
        let batch = checked.batch();
        // Offsets are counted up from 0 one by one; they don't reach 2^63.
        batch.set_base_offset(base.0.cast_signed());
        batch.set_leader_epoch(self.leader_epoch);
        if stamped {
            batch.set_max_timestamp(TimestampType::LogAppendTime, appended_ms);
        }
        let (view, count) = (checked.view(), checked.count());
        let max_timestamp = view.max_timestamp();
        let note = Note::of(&view, appended_ms).encode();
        let new = NewBatch { bytes: view.bytes(), count, note: &note };
        let slot = self.streams.append(self.stream, base, &[new]).map_err(|error| match error {
            store::AppendError::Full => AppendError::Full,
            store::AppendError::NoSpace => AppendError::NoSpace,
            store::AppendError::TooLarge => AppendError::TooLarge,
            store::AppendError::Stopped | store::AppendError::UnknownStream => AppendError::NotLeader,
        })?;
        state.known.appended_ms = appended_ms;
        let end = Offset(base.0 + u64::from(count));
        state.pending.push_back(Pending { base, end, slot, max_timestamp, appended_ms });
        if let Some(claim) = claim {
            state.known.producers.record(&claim, base, max_timestamp, appended_ms, ends.durable);
        }
        Ok(Appended {
            base,
            log_append_time_ms: stamped.then_some(appended_ms),
            log_start: ends.start,
            slot: Some(slot),
        })
    }

    /// Forgets producers that have been silent for too long. To be called from time to time.
    pub fn expire_producers(&self) {
        let Some(ends) = self.ends() else { return };
        let before_ms = self.producers_expire_before();
        self.state().known.producers.expire(before_ms, ends.durable);
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
        self.state().known.times.drop_below(ends.start);
    }

    /// Reads whole durable batches from the one that holds `from` on, `max_bytes` at most, but for the first one
    /// if `at_least_one`. Nothing at the end.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn read(&self, from: i64, max_bytes: usize, at_least_one: bool) -> Result<Fetched, FetchError> {
        let ends = self.ends().ok_or(FetchError::NotLeader)?;
        let out_of_range = FetchError::OutOfRange { start: ends.start, end: ends.appended };
        let Ok(from) = u64::try_from(from).map(Offset) else { return Err(out_of_range) };
        if !(ends.start..=ends.appended).contains(&from) {
            return Err(out_of_range);
        }
        let nothing_to_read = from >= ends.durable || (max_bytes == 0 && !at_least_one);
        let runs = match nothing_to_read {
            true => Vec::new(),
            false => self.streams.read(self.stream, from, max_bytes, at_least_one).await?,
        };
        Ok(Fetched { ends, runs })
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
