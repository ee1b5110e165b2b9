//! What a partition knows of its batches without reading them: the producers that wrote them and their transactions, how
//! old they are, and under which leaders they were written. All of it follows from the notes of the batches, in order. Pure.

use super::claim::{Claim, End, Place};
use super::epochs::LeaderEpochs;
use super::note::{Note, NoteError};
use super::producers::Producers;
use super::times::TimeIndex;
use crate::cleaner::Aborted;
use levee_base::Offset;
use levee_base::limits::{
    PARTITION_PRODUCERS, PARTITION_TRANSACTIONS, TIME_INDEX_ENTRIES, TIME_INDEX_SPACING,
    TIME_INDEX_SPACING_TIME,
};
use levee_store::BatchInfo;
use std::collections::BTreeSet;
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

/// No producers yet, within a partition's bounds.
fn new_producers() -> Producers {
    Producers::new(PARTITION_PRODUCERS, PARTITION_TRANSACTIONS)
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
            producers: new_producers(),
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
        let place =
            Place { base, max_timestamp: note.max_timestamp, appended_ms: note.appended_ms, durable: end };
        self.producer(&note, batch.count, &place);
        self.times.push(base, end, note.max_timestamp, note.appended_ms);
        self.epochs.assign(note.leader_epoch, base);
        self.appended_ms = self.appended_ms.max(note.appended_ms);
        Ok(())
    }

    /// What a batch of these offsets says of its producer, once it is appended.
    pub(super) fn producer(&mut self, note: &Note, count: u32, place: &Place) {
        let Note { producer_id, producer_epoch: epoch, attributes, marker, base_sequence, .. } = *note;
        self.producers.lost_before(place);
        if producer_id < 0 {
            return;
        }
        if attributes.control() {
            self.producers.end(&End { producer_id, epoch, marker }, place);
        } else {
            let transactional = attributes.transactional();
            let claim = Claim { producer_id, epoch, base_sequence, count, transactional };
            self.producers.record(&claim, place);
        }
    }

    /// What lay before the next batch was removed before it was seen: no producer is known, nor a transaction.
    pub(super) fn begin_late(&mut self) {
        self.producers = new_producers();
        self.producers.lose_track();
    }

    /// Batches that can't be read now. Their producers are not known, nor whether those from before wrote any of them, so
    /// all are forgotten: each may go on with any sequence number, as when its records have expired. In time they count as
    /// the batch after them.
    ///
    /// A transaction that was open before may have ended there or not. It counts as open, lest somebody who reads only
    /// what is committed is given what was aborted, until the next marker of its producer. If its own marker is what was
    /// lost, and the producer writes no more, it hangs: DescribeProducers shows it, and it can be ended by an
    /// administrator (`kafka-transactions.sh abort`), as one that hangs in Kafka. A transaction that began there begins
    /// with its first batch after it, and one that began and ended there is not known: neither are its records.
    pub fn pass_over(&mut self, unread: Range<Offset>) {
        self.producers.lose_track();
        let start = self.unread.take().map_or(unread.start, |before| before.start);
        self.unread = Some(start..unread.end);
    }

    /// There is no batch after these: what was passed over last is no older than now.
    pub fn end(&mut self, now_ms: i64) {
        if let Some(unread) = self.unread.take() {
            self.times.push(unread.start, unread.end, -1, now_ms);
        }
    }

    /// Forgets what is only about what lies below `start`, but for producers.
    pub fn drop_below(&mut self, start: Offset) {
        self.times.drop_below(start);
        self.producers.transactions_mut().drop_below(start);
    }

    /// Forgets the aborted transactions that are not among `left`: keyed compaction has removed their records.
    pub fn forget_aborted(&mut self, left: &[Aborted]) {
        let markers: BTreeSet<_> = left.iter().map(|aborted| aborted.last_offset).collect();
        self.producers.transactions_mut().retain(|aborted| markers.contains(&aborted.last_offset));
    }

    /// Forgets what is only about what lies below `start`, and producers that appended nothing since `before_ms` of the
    /// leader's clock. All batches are below `end`.
    pub fn forget(&mut self, start: Offset, before_ms: i64, end: Offset) {
        self.drop_below(start);
        self.producers.expire(before_ms, end);
    }
}
