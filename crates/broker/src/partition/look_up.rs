//! Looking a partition's offsets up: the ends, and records by their timestamps.
//!
//! The time index says where to begin, the notes of the batches which batch it is, and that one batch is opened to
//! find the record. Only what is durable is found. Levee does not open what it appends, so a header may promise
//! what its records don't hold, and records may be junk: neither may make a look-up fail or run for ever.

use super::log::PartitionLog;
use super::note::Note;
use super::read::{FetchError, Isolation};
use crate::batch::{BatchView, records};
use crate::seeded_bugs::{Bug, seeded};
use levee_base::Offset;
use levee_base::limits::LOOK_UP_BATCHES;
use levee_object::Purpose;
use levee_store::BatchInfo;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;

/// A place in the log that was looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Located {
    /// The offset.
    pub offset: Offset,
    /// The record's timestamp in Unix milliseconds, if the look-up was for a record.
    pub timestamp: Option<i64>,
    /// The epoch of the leader that wrote, or will write, there.
    pub leader_epoch: Option<i32>,
}

impl PartitionLog {
    /// Where the partition begins.
    ///
    /// # Errors
    /// [`FetchError::NotLeader`].
    pub fn earliest(&self) -> Result<Located, FetchError> {
        let ends = self.ends().ok_or(FetchError::NotLeader)?;
        let leader_epoch = self.state().known.epochs.at(ends.start);
        Ok(Located { offset: ends.start, timestamp: None, leader_epoch })
    }

    /// Where the next record will be read: the high watermark, or the last stable offset.
    ///
    /// # Errors
    /// [`FetchError::NotLeader`].
    pub fn latest(&self, isolation: Isolation) -> Result<Located, FetchError> {
        let offset = self.readable_end(isolation)?;
        Ok(Located { offset, timestamp: None, leader_epoch: Some(self.leader_epoch) })
    }

    /// The end of what a reader is given.
    ///
    /// # Errors
    /// [`FetchError::NotLeader`].
    pub fn readable_end(&self, isolation: Isolation) -> Result<Offset, FetchError> {
        let ends = self.ends().ok_or(FetchError::NotLeader)?;
        Ok(match isolation {
            Isolation::Uncommitted => ends.durable,
            Isolation::Committed => self.stable(&ends),
        })
    }

    /// Where what leaders wrote up to `epoch` ends, as far as it is durable, and the newest epoch of those; `None` for an
    /// epoch that is not known (KIP-320).
    ///
    /// # Errors
    /// [`FetchError::NotLeader`].
    pub fn end_of_epoch(&self, epoch: i32) -> Result<Option<(i32, Offset)>, FetchError> {
        let ends = self.ends().ok_or(FetchError::NotLeader)?;
        Ok(self.state().known.epochs.end_of(epoch, ends.start, ends.durable))
    }

    /// The epoch and its end from which on the log has other records than a reader at `from` whose last record is of
    /// `last_epoch`, if it has; below 0 the reader doesn't say (KIP-595).
    ///
    /// # Errors
    /// [`FetchError::OutOfRange`] where that epoch isn't known, or `from` is before the start.
    pub fn diverging(&self, from: i64, last_epoch: i32) -> Result<Option<(i32, Offset)>, FetchError> {
        if last_epoch < 0 {
            return Ok(None);
        }
        let ends = self.ends().ok_or(FetchError::NotLeader)?;
        let out_of_range = FetchError::OutOfRange { start: ends.start, end: ends.appended };
        let Ok(from) = u64::try_from(from).map(Offset) else { return Err(out_of_range) };
        match self.end_of_epoch(last_epoch)? {
            Some((epoch, end)) if from >= ends.start => {
                Ok((epoch < last_epoch || end < from).then_some((epoch, end)))
            }
            _ => Err(out_of_range),
        }
    }

    /// The first record whose timestamp is `timestamp` or more, and that is durable; `None` if there is none.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn at_timestamp(&self, timestamp: i64) -> Result<Option<Located>, FetchError> {
        let ends = self.ends().ok_or(FetchError::NotLeader)?;
        let from = {
            let mut state = self.state();
            state.settle(ends.durable);
            state.known.times.look_from(timestamp)
        };
        let Some(mut from) = from.map(|from| from.max(ends.start)) else { return Ok(None) };
        // A header may promise a timestamp that no record has. Then the next batch is looked at, but one look-up
        // does not open batch after batch for ever.
        for tried in 1.. {
            let Some(base) = self.first_batch(from, |note| note.max_timestamp >= timestamp).await? else {
                return Ok(None);
            };
            let (located, end) = self
                .first_record(base, tried == LOOK_UP_BATCHES, |record| record.timestamp >= timestamp)
                .await?;
            if located.is_some() && !(tried == 1 && seeded(Bug::LookUpLate)) {
                return Ok(located);
            }
            from = end;
        }
        Ok(None)
    }

    /// The first of the records with the largest timestamp of all that are durable; `None` if there are none.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn at_largest_timestamp(&self) -> Result<Option<Located>, FetchError> {
        let ends = self.ends().ok_or(FetchError::NotLeader)?;
        let largest = {
            let mut state = self.state();
            state.settle(ends.durable);
            state.known.times.largest()
        };
        let Some((most, base)) = largest.filter(|(most, _)| *most >= 0) else { return Ok(None) };
        let same = match base >= ends.start {
            true => self.batch_with(base, most).await?,
            false => None,
        };
        let (most, base, batch) = match same {
            Some(batch) => (most, base, batch),
            // Retention or keyed compaction has removed the batch that had it, or the record. Look for that of what is left.
            None => match self.largest_left(ends.start).await? {
                Some((most, base)) if most >= 0 => (most, base, self.batch_at(base).await?.0),
                _ => return Ok(None),
            },
        };
        let Some(view) = BatchView::first(&batch) else { return Ok(None) };
        if view.count() == 0 {
            // What is left of a producer's last batch still has the timestamp of what was in it. Kafka comes to it, too,
            // and finds no record there.
            return Ok(None);
        }
        Ok(self.first_record(base, true, |record| record.timestamp == most).await?.0)
    }

    /// The base offset of the first batch from the one at `from` on whose note is `wanted`.
    async fn first_batch(
        &self,
        from: Offset,
        wanted: impl Fn(&Note) -> bool + Send + Sync,
    ) -> Result<Option<Offset>, FetchError> {
        let found = Mutex::new(None);
        let lock = || found.lock().unwrap_or_else(PoisonError::into_inner);
        let mut each = |batch: BatchInfo<'_>| {
            let mut found = lock();
            if found.is_none() && Note::decode(batch.note).is_ok_and(|note| wanted(&note)) {
                *found = Some(batch.base);
            }
        };
        {
            let mut replay = pin!(self.streams.replay(self.stream, from, Purpose::CatchUp, &mut each));
            // A replay may be dropped at any time, and what follows the batch is not wanted.
            std::future::poll_fn(|cx| match replay.as_mut().poll(cx) {
                Poll::Pending if lock().is_some() => Poll::Ready(Ok(())),
                poll => poll,
            })
            .await?;
        }
        let found = *lock();
        Ok(found)
    }

    async fn largest_left(&self, from: Offset) -> Result<Option<(i64, Offset)>, FetchError> {
        let mut largest: Option<(i64, Offset)> = None;
        let mut each = |batch: BatchInfo<'_>| {
            if let Ok(note) = Note::decode(batch.note)
                && largest.is_none_or(|(most, _)| note.max_timestamp > most)
            {
                largest = Some((note.max_timestamp, batch.base));
            }
        };
        self.streams.replay(self.stream, from, Purpose::CatchUp, &mut each).await?;
        Ok(largest)
    }

    /// The durable batch at `base`, if it is still there and its largest timestamp still is `most`.
    async fn batch_with(&self, base: Offset, most: i64) -> Result<Option<bytes::Bytes>, FetchError> {
        let (batch, _) = self.batch_at(base).await?;
        let same = BatchView::first(&batch)
            .is_some_and(|view| view.base_offset() == base.0.cast_signed() && view.max_timestamp() == most);
        Ok(same.then_some(batch))
    }

    /// The durable batch at `base`, and its end. The partition may begin within it.
    async fn batch_at(&self, base: Offset) -> Result<(bytes::Bytes, Offset), FetchError> {
        let start = self.ends().ok_or(FetchError::NotLeader)?.start;
        let runs = self.streams.read(self.stream, base.max(start), 1, true).await?;
        let run = runs.into_iter().next().ok_or(FetchError::NotLeader)?;
        let end = run.end;
        Ok((run.bytes, end))
    }

    /// The first record of the batch at `base` that is `wanted`, and the end of the batch. If its records can't be
    /// read (Levee does not open what it appends), or none is wanted and `settle` says so, the batch itself is the
    /// answer: its first offset and its largest timestamp.
    async fn first_record(
        &self,
        base: Offset,
        settle: bool,
        wanted: impl Fn(&records::Record) -> bool,
    ) -> Result<(Option<Located>, Offset), FetchError> {
        let (bytes, end) = self.batch_at(base).await?;
        let Some(view) = BatchView::first(&bytes) else { return Ok((None, end)) };
        let start = self.ends().ok_or(FetchError::NotLeader)?.start.0.cast_signed();
        let whole = located(&view, view.base_offset().max(start), view.max_timestamp());
        let limit_bytes = self.config().topic.rules.unpacked_bytes();
        let Ok(records) = records::open(&view, limit_bytes) else { return Ok((Some(whole), end)) };
        for record in records {
            match record {
                Ok(record) if record.offset >= start && wanted(&record) => {
                    return Ok((Some(located(&view, record.offset, record.timestamp)), end));
                }
                Ok(_) => {}
                Err(_) => return Ok((Some(whole), end)),
            }
        }
        Ok((settle.then_some(whole), end))
    }
}

fn located(view: &BatchView<'_>, offset: i64, timestamp: i64) -> Located {
    // A record's own offset is what its producer wrote: it can't be outside of its batch.
    let last = view.base_offset().saturating_add(i64::from(view.last_offset_delta().max(0)));
    Located {
        offset: Offset(offset.clamp(view.base_offset(), last).cast_unsigned()),
        timestamp: Some(timestamp),
        leader_epoch: Some(view.leader_epoch()).filter(|epoch| *epoch >= 0),
    }
}
