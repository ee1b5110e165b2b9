//! A partition's log: gives batches their offsets and hands them to the stream store.
//!
//! One lock orders what is appended: the sequence check, the offset and the append happen under it, so offsets
//! are given in the order of the store's. A batch is remembered for its producer when it enters the store, not
//! when it is durable: a retry that comes before then waits for the first try's slot. When the epoch stops,
//! nothing of this is carried over; the next opening replays the indexes of what is durable.

use super::note::Note;
use super::producers::{Known, Producers, Refused, Verdict};
use super::times::Times;
use crate::batch::{Checked, TimestampType};
use levee_base::limits::PRODUCER_ID_EXPIRATION;
use levee_base::{Offset, Slot, StreamId};
use levee_store::{AppendError, NewBatch, ReadError, StreamEnds, StreamStore};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Producers are looked through for old ones every so many appends.
const EXPIRE_EVERY: u32 = 10_000;

/// A partition that this broker leads.
#[derive(Debug)]
pub struct PartitionLog {
    stream: StreamId,
    leader_epoch: u32,
    store: Arc<StreamStore>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    producers: Producers,
    times: Times,
    appends: u32,
}

/// Where a batch went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Its base offset.
    pub base: Offset,
    /// The broker's time that it got, or -1.
    pub log_append_time: i64,
    /// The slot that makes it durable; `None` when it is durable.
    pub slot: Option<Slot>,
}

/// Why a batch was not appended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendRefused {
    /// By its producer's history.
    #[error(transparent)]
    Producer(#[from] Refused),
    /// By the store.
    #[error(transparent)]
    Store(#[from] AppendError),
}

impl PartitionLog {
    /// Opens the partition on a stream that is open in `store`: what it has to remember is read from the
    /// indexes of its objects.
    ///
    /// # Errors
    /// When an index can't be read.
    pub async fn open(
        store: Arc<StreamStore>,
        stream: StreamId,
        leader_epoch: u32,
    ) -> Result<Self, ReadError> {
        let mut state = State::default();
        let start = store.end(stream).ok_or(ReadError::UnknownStream)?.start;
        store.replay(stream, start, &mut |info| state.replay(info.base, info.count, info.note)).await?;
        Ok(Self { stream, leader_epoch, store, state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its stream.
    #[must_use]
    pub fn stream(&self) -> StreamId {
        self.stream
    }

    /// The epoch of its leader.
    #[must_use]
    pub fn leader_epoch(&self) -> u32 {
        self.leader_epoch
    }

    /// Its offsets: log start, high watermark, end. `None` once the stream is closed.
    #[must_use]
    pub fn ends(&self) -> Option<StreamEnds> {
        self.store.end(self.stream)
    }

    /// Appends a batch; sets its offset and leader epoch in place. `log_append_time` is the broker's time where
    /// the topic asks for it.
    ///
    /// # Errors
    /// Nothing was appended. After `AppendError::Full` wait for the store's room and call again.
    pub fn append(
        &self,
        checked: &mut Checked<'_>,
        log_append_time: Option<i64>,
        now_ms: i64,
    ) -> Result<Appended, AppendRefused> {
        let mut state = self.state();
        if let Verdict::Duplicate(Known { base, log_append_time, slot, .. }) =
            state.producers.check(&Note::of(&checked.view()))?
        {
            return Ok(Appended { base, log_append_time, slot });
        }
        let base = self.store.end(self.stream).ok_or(AppendError::UnknownStream)?.appended;
        let batch = checked.batch();
        batch.set_base_offset(i64::try_from(base.0).unwrap_or(i64::MAX));
        batch.set_leader_epoch(i32::try_from(self.leader_epoch).unwrap_or(i32::MAX));
        if let Some(time) = log_append_time {
            batch.set_max_timestamp(TimestampType::LogAppendTime, time);
        }
        let view = checked.view();
        let note = Note::of(&view);
        let new = NewBatch { bytes: view.bytes(), count: note.count, note: &note.write() };
        let slot = self.store.append(self.stream, base, &[new])?;
        let log_append_time = log_append_time.unwrap_or(-1);
        state.producers.appended(&note, base, Some(slot), log_append_time, now_ms);
        state.times.appended(base, note.max_timestamp);
        state.appends = state.appends.wrapping_add(1);
        if state.appends.is_multiple_of(EXPIRE_EVERY) {
            state.producers.expire(
                now_ms.saturating_sub(i64::try_from(PRODUCER_ID_EXPIRATION.as_millis()).unwrap_or(i64::MAX)),
            );
        }
        Ok(Appended { base, log_append_time, slot: Some(slot) })
    }

    /// Where to begin to look for `timestamp`; see [`Times::start_for`].
    #[must_use]
    pub fn start_for(&self, timestamp: i64) -> Option<Offset> {
        self.state().times.start_for(timestamp)
    }

    /// The largest timestamp and the base offset of the first batch that has it.
    #[must_use]
    pub fn max_timestamp(&self) -> Option<(i64, Offset)> {
        self.state().times.max()
    }
}

impl State {
    fn replay(&mut self, base: Offset, count: u32, note: &[u8]) {
        // A note of a later version: its producer is unknown here, which Kafka's rules allow for.
        let Some(note) = Note::read(note, count) else { return };
        let time = if note.is_log_append_time() { note.max_timestamp } else { -1 };
        self.producers.appended(&note, base, None, time, note.max_timestamp);
        self.times.appended(base, note.max_timestamp);
    }
}
