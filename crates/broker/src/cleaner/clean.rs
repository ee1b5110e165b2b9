//! The second half of a pass: reads a log from its start to the map's end, batch by batch, and says of each whether it
//! stays, goes, or is to be written anew. The rules are those of Kafka's `Cleaner`:
//!
//! - A record stays if it is its key's latest, and, if it has no value (a tombstone), as long as its batch's delete
//!   horizon has not passed. A record without a key goes: it can never be outdated. (Produce refuses such records
//!   where the topic is compacted; they are from before it was.)
//! - The first pass that leaves a tombstone, or a marker of whose transaction nothing is left, gives its batch a delete
//!   horizon: the time of the pass and `delete.retention.ms`.
//! - Records of aborted transactions go. Their batches aren't opened for that.
//! - A marker that the partition's checkpoint has not seen stays, whatever its horizon. (Kafka's snapshots of producers
//!   are taken when a segment is rolled, so they know what it cleans.) In that checkpoint the transaction may be open:
//!   who opens the partition from it must find the marker, or it is open for good.
//! - A batch of which nothing stays goes itself, unless its producer is active and it is the last one that it sent:
//!   then an empty batch stays, for the producer's sequence number is in it, or, in a marker, its epoch.

use super::offset_map::OffsetMap;
use super::rewrite;
use super::scan::{Entry, Scan, sound};
use super::transactions::{Aborted, Transactions};
use crate::batch::header::NO_PRODUCER_ID;
use crate::batch::records::Unreadable;
use crate::batch::{BatchView, HEADER_BYTES};
use std::collections::BTreeMap;

/// What a pass goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// When the pass began, in Unix milliseconds.
    pub now_ms: i64,
    /// The topic's `delete.retention.ms`.
    pub delete_retention_ms: i64,
    /// What one batch may unpack to ([`crate::batch::Rules::unpacked_bytes`]).
    pub unpacked_bytes: usize,
    /// The partition's checkpoint has seen what lies below, and 0 if there is none. It must have been in effect when the
    /// pass began, and none that is older may be used from then on.
    pub checkpoint: i64,
}

/// The last that an active producer wrote to the partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastRecord {
    /// The offset of its last record; `None` if all that is known of it is a marker.
    pub last_data_offset: Option<i64>,
    /// Its epoch.
    pub producer_epoch: i16,
}

/// What to do with a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It stays, byte for byte.
    Keep,
    /// It goes; its offsets are a gap.
    Drop,
    /// This takes its place, with the same offsets. Its note follows from it, but for the append time, which stays.
    Rewrite(Vec<u8>),
}

/// What a pass has seen and done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Batches that stay as they are.
    pub kept: u64,
    /// Batches that go.
    pub dropped: u64,
    /// Batches written anew.
    pub rewritten: u64,
    /// Batches that couldn't be read, and stay.
    pub unreadable: u64,
    /// Bytes of all batches before.
    pub bytes_before: u64,
    /// Bytes of all batches after.
    pub bytes_after: u64,
    /// Records without a key, which went.
    pub without_key: u64,
}

/// What a pass leaves behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The first dirty offset from now on.
    pub cleaned_until: i64,
    /// In numbers.
    pub counts: Counts,
    /// What is left of the aborted transactions that the pass was told of.
    pub aborted: Vec<Aborted>,
}

/// A pass in its second half.
#[derive(Debug)]
pub struct Cleaner {
    map: OffsetMap,
    transactions: Transactions,
    producers: BTreeMap<i64, LastRecord>,
    settings: Settings,
    counts: Counts,
    kept: Vec<bool>,
}

impl Cleaner {
    /// For a log whose keys are in `map`. `aborted` are all of its aborted transactions, and `producers` its active
    /// producers with what they wrote last, wherever in the log that is. Both must be as of a time after the map's
    /// last batch was appended.
    #[must_use]
    pub fn new(
        map: OffsetMap,
        aborted: Vec<Aborted>,
        producers: BTreeMap<i64, LastRecord>,
        settings: Settings,
    ) -> Self {
        let transactions = Transactions::new(aborted);
        Self { map, transactions, producers, settings, counts: Counts::default(), kept: Vec::new() }
    }

    /// The first offset that the pass leaves alone: batches from there on need not be shown to it.
    #[must_use]
    pub fn end(&self) -> i64 {
        self.map.end()
    }

    /// What to do with the next batch. They come in order, from the log's start on, without one left out.
    ///
    /// # Errors
    /// When it can't be read. It stays as it is; report it.
    pub fn batch(&mut self, batch: &BatchView<'_>) -> Result<Verdict, Unreadable> {
        let before = batch.bytes().len() as u64;
        self.counts.bytes_before += before;
        let verdict = self.judge(batch);
        let (count, after) = match &verdict {
            Ok(Verdict::Keep) => (&mut self.counts.kept, before),
            Ok(Verdict::Drop) => (&mut self.counts.dropped, 0),
            Ok(Verdict::Rewrite(bytes)) => (&mut self.counts.rewritten, bytes.len() as u64),
            Err(_) => (&mut self.counts.unreadable, before),
        };
        *count += 1;
        self.counts.bytes_after += after;
        verdict
    }

    /// What the pass has come to.
    #[must_use]
    pub fn finish(self) -> Summary {
        Summary { cleaned_until: self.map.end(), counts: self.counts, aborted: self.transactions.finish() }
    }

    fn judge(&mut self, batch: &BatchView<'_>) -> Result<Verdict, Unreadable> {
        if batch.base_offset() >= self.map.end() {
            return Ok(Verdict::Keep);
        }
        let control = batch.attributes().control();
        let obsolete = if control {
            self.transactions.marker(batch, self.settings.unpacked_bytes)?
        } else {
            self.transactions.batch(batch)
        };
        // An obsolete marker waits for its horizon and for a checkpoint, obsolete records don't.
        if obsolete && (!control || (self.horizon_passed(batch) && self.in_checkpoint(batch))) {
            sound(batch)?;
            return Ok(self.without_records(batch));
        }
        let limit_bytes = self.settings.unpacked_bytes;
        let mut scan = Scan::open(batch, limit_bytes)?;
        self.kept.clear();
        let (mut stay, mut tombstones, mut without_key) = (0_usize, false, 0);
        while let Some(entry) = scan.next()? {
            let stays = control || self.stays(batch, &entry);
            self.kept.push(stays);
            stay += usize::from(stays);
            tombstones |= stays && !entry.has_value;
            without_key += u64::from(!stays && entry.key.is_none());
        }
        let new_horizon = (tombstones || (control && obsolete)) && batch.delete_horizon_ms().is_none();
        let verdict = if stay == 0 {
            self.without_records(batch)
        } else if stay == self.kept.len() && !new_horizon {
            Verdict::Keep
        } else {
            // A retention that is longer than time itself gives a horizon that never passes.
            let new = self.settings.now_ms.saturating_add(self.settings.delete_retention_ms.max(0));
            let horizon = if new_horizon { Some(new) } else { batch.delete_horizon_ms() };
            Verdict::Rewrite(rewrite::with(batch, &self.kept, horizon, limit_bytes)?)
        };
        self.counts.without_key += without_key;
        Ok(verdict)
    }

    fn stays(&self, batch: &BatchView<'_>, entry: &Entry) -> bool {
        if entry.offset >= self.map.end() {
            return true;
        }
        let Some(key) = entry.key else { return false };
        let latest = self.map.get(key).is_none_or(|latest| entry.offset >= latest);
        latest && (entry.has_value || !self.horizon_passed(batch))
    }

    fn horizon_passed(&self, batch: &BatchView<'_>) -> bool {
        batch.delete_horizon_ms().is_some_and(|horizon| horizon <= self.settings.now_ms)
    }

    fn in_checkpoint(&self, batch: &BatchView<'_>) -> bool {
        batch.last_offset() < self.settings.checkpoint
    }

    /// No record of the batch stays.
    fn without_records(&self, batch: &BatchView<'_>) -> Verdict {
        if !self.is_last_of_producer(batch) {
            Verdict::Drop
        } else if batch.count() == 0 && batch.bytes().len() == HEADER_BYTES {
            Verdict::Keep
        } else {
            Verdict::Rewrite(rewrite::empty(batch))
        }
    }

    fn is_last_of_producer(&self, batch: &BatchView<'_>) -> bool {
        let producer_id = batch.producer_id();
        self.producers.get(&producer_id).is_some_and(|last| match last.last_data_offset {
            Some(offset) => producer_id > NO_PRODUCER_ID && batch.last_offset() == offset,
            None => batch.attributes().control() && batch.producer_epoch() == last.producer_epoch,
        })
    }
}
