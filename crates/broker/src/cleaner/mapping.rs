//! The first half of a pass: reads the dirty part of a log and notes the latest offset of every key.
//!
//! A batch counts with all of its keys or with none: if it turns out to be unreadable half way, no record that is
//! readable may go for the sake of one that isn't. Aborted transactions' records outdate nothing.

use super::offset_map::{KeyHash, OffsetMap};
use super::scan::Scan;
use super::transactions::{Aborted, Transactions};
use crate::batch::BatchView;
use crate::batch::records::Unreadable;
use levee_base::limits::CLEANER_BATCH_KEYS;

/// Whether a map takes more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// The next batch may come.
    More,
    /// It is full: the pass covers what was read until then, perhaps a part of the last batch.
    Full,
}

/// A map in the making.
#[derive(Debug)]
pub struct Mapping {
    map: OffsetMap,
    transactions: Transactions,
    start: i64,
    unpacked_bytes: usize,
    found: Vec<(KeyHash, i64)>,
}

impl Mapping {
    /// For the offsets from `start`, the plan's, on. `keys` is how many to expect at most (the number of those
    /// offsets will do), `aborted` the aborted transactions that overlap them, and `unpacked_bytes` what one batch
    /// may unpack to.
    #[must_use]
    pub fn new(keys: usize, start: i64, aborted: Vec<Aborted>, unpacked_bytes: usize) -> Self {
        Self {
            map: OffsetMap::new(keys, start),
            transactions: Transactions::new(aborted),
            start,
            unpacked_bytes,
            found: Vec::new(),
        }
    }

    /// Reads the next batch, the first being the one that holds the start.
    ///
    /// # Errors
    /// When it can't be read: report it and go on with the next one. None of its keys counts, and [`super::Cleaner`]
    /// will keep it.
    pub fn batch(&mut self, batch: &BatchView<'_>) -> Result<Room, Unreadable> {
        let room = if batch.attributes().control() {
            self.transactions.marker(batch, self.unpacked_bytes).map(|_| Room::More)
        } else if self.transactions.batch(batch) {
            Ok(Room::More)
        } else {
            self.keys(batch)
        };
        if !matches!(room, Ok(Room::Full)) {
            self.map.cover(batch.last_offset().saturating_add(1));
        }
        room
    }

    /// The map. `until` is where the plan ends, if the map wasn't full before: what lies between the last batch and
    /// there is a gap.
    #[must_use]
    pub fn finish(mut self, until: Option<i64>) -> OffsetMap {
        if let Some(until) = until {
            self.map.cover(until);
        }
        self.map
    }

    fn keys(&mut self, batch: &BatchView<'_>) -> Result<Room, Unreadable> {
        self.found.clear();
        let mut scan = Scan::open(batch, self.unpacked_bytes)?;
        let mut all_found = true;
        while let Some(entry) = scan.next()? {
            let Some(key) = entry.key.filter(|_| entry.offset >= self.start) else { continue };
            if self.found.len() < CLEANER_BATCH_KEYS {
                self.found.push((key, entry.offset));
            } else {
                all_found = false;
            }
        }
        if all_found {
            let fits = self.found.iter().all(|(key, offset)| self.map.put(*key, *offset));
            return Ok(if fits { Room::More } else { Room::Full });
        }
        // It is readable, and has more keys than are worth the memory: read it again.
        let mut scan = Scan::open(batch, self.unpacked_bytes)?;
        while let Some(entry) = scan.next()? {
            let Some(key) = entry.key.filter(|_| entry.offset >= self.start) else { continue };
            if !self.map.put(key, entry.offset) {
                return Ok(Room::Full);
            }
        }
        Ok(Room::More)
    }
}
