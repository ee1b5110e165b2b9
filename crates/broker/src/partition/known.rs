//! What a partition knows of its batches without reading them: the producers that wrote them, how old they are, and
//! under which leaders they were written. All of it follows from the notes of the batches, in order. Pure.

use super::epochs::LeaderEpochs;
use super::note::{Note, NoteError};
use super::producers::{Claim, Producers};
use super::times::TimeIndex;
use levee_base::Offset;
use levee_base::limits::{
    PARTITION_PRODUCERS, TIME_INDEX_ENTRIES, TIME_INDEX_SPACING, TIME_INDEX_SPACING_TIME,
};
use levee_store::BatchInfo;
use std::ops::Range;

/// A batch has a note that this release doesn't read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the batch at offset {base}: {error}")]
pub struct UnknownNote {
    /// The batch.
    pub base: Offset,
    /// What is wrong with its note.
    pub error: NoteError,
}

/// See the module's text.
#[derive(Debug, Clone)]
pub struct Known {
    pub(super) producers: Producers,
    pub(super) times: TimeIndex,
    pub(super) epochs: LeaderEpochs,
    /// The leader's clock at the last append: the next one is never earlier.
    pub(super) appended_ms: i64,
    /// What was passed over since the last batch.
    pub(super) unread: Option<Range<Offset>>,
}

impl Default for Known {
    /// Of no batches.
    fn default() -> Self {
        let spacing_ms = i64::try_from(TIME_INDEX_SPACING_TIME.as_millis()).unwrap_or(i64::MAX);
        Self {
            producers: Producers::new(PARTITION_PRODUCERS),
            times: TimeIndex::new(TIME_INDEX_ENTRIES, TIME_INDEX_SPACING, spacing_ms),
            epochs: LeaderEpochs::default(),
            appended_ms: i64::MIN,
            unread: None,
        }
    }
}

impl Known {
    /// The next durable batch.
    ///
    /// # Errors
    /// See [`UnknownNote`].
    pub fn replay(&mut self, batch: BatchInfo<'_>) -> Result<(), UnknownNote> {
        let base = batch.base;
        let note = Note::decode(batch.note).map_err(|error| UnknownNote { base, error })?;
        let end = Offset(base.0 + u64::from(batch.count));
        if let Some(unread) = self.unread.take() {
            self.times.push(unread.start, unread.end, note.max_timestamp, note.appended_ms);
        }
        if note.producer_id >= 0 {
            let claim = Claim {
                producer_id: note.producer_id,
                epoch: note.producer_epoch,
                base_sequence: note.base_sequence,
                count: batch.count,
            };
            self.producers.record(&claim, base, note.max_timestamp, note.appended_ms, end);
        }
        self.times.push(base, end, note.max_timestamp, note.appended_ms);
        self.epochs.assign(note.leader_epoch, base);
        self.appended_ms = self.appended_ms.max(note.appended_ms);
        Ok(())
    }

    /// Batches that can't be read now. Their producers are not known, nor whether those from before wrote any of them, so
    /// all are forgotten: each may go on with any sequence number, as when its records have expired. In time they count as
    /// the batch after them.
    pub fn pass_over(&mut self, unread: Range<Offset>) {
        self.producers = Producers::new(PARTITION_PRODUCERS);
        let start = self.unread.take().map_or(unread.start, |before| before.start);
        self.unread = Some(start..unread.end);
    }

    /// There is no batch after these: what was passed over last is no older than now.
    pub fn end(&mut self, now_ms: i64) {
        if let Some(unread) = self.unread.take() {
            self.times.push(unread.start, unread.end, -1, now_ms);
        }
    }

    /// Forgets what is only about what lies below `start`, and producers that appended nothing since `before_ms` of the
    /// leader's clock. All batches are below `end`.
    pub fn forget(&mut self, start: Offset, before_ms: i64, end: Offset) {
        self.times.drop_below(start);
        self.producers.expire(before_ms, end);
    }
}
