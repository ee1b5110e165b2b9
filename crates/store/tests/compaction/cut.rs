//! Where the objects of a job end: as `compact/run.rs` cuts them, by their length and that of their index.

use levee_base::Offset;
use levee_base::limits::{BLOCK_BYTES, OBJECT_HEADER_BYTES};
use levee_store::Extent;
use levee_store::compact::plan::PlanOptions;
use std::ops::Range;

/// An index without entries.
pub const INDEX_BYTES: u64 = 36;
const BLOCK_ENTRY_BYTES: u64 = 56;
/// With the note of 48 bytes that the broker writes.
const BATCH_ENTRY_BYTES: u64 = 9 + 48;
/// What a piece takes in an index.
pub fn index_bytes(bytes: u64, batches: u64) -> u64 {
    bytes.div_ceil(BLOCK_BYTES as u64) * BLOCK_ENTRY_BYTES + batches * BATCH_ENTRY_BYTES
}

/// Cuts what it is given into objects as the runner does.
pub struct Writer<'a> {
    options: &'a PlanOptions,
    /// Payload and index of each object.
    pub made: Vec<(u64, u64)>,
}

/// The object that it is in, its offsets and bytes.
pub type Made = (usize, Range<Offset>, u64);

impl<'a> Writer<'a> {
    pub fn new(options: &'a PlanOptions) -> Self {
        Self { options, made: vec![(0, 0)] }
    }

    pub fn copy(&mut self, extent: &Extent, pieces: &mut Vec<Made>) {
        let (mut from, end) = (extent.range.start.0, extent.range.end.0);
        let (batches, mut left) = (end - from, extent.bytes);
        let batch = (extent.bytes / batches).max(1);
        while from < end {
            let (payload, index) = self.made.last().copied().unwrap_or_default();
            let held = OBJECT_HEADER_BYTES as u64 + INDEX_BYTES + payload + index;
            let by_bytes = self.options.object_bytes.saturating_sub(held) / (batch + BATCH_ENTRY_BYTES);
            let by_index =
                (self.options.index_bytes + BATCH_ENTRY_BYTES).saturating_sub(index) / BATCH_ENTRY_BYTES;
            let fit = by_bytes.min(by_index).max(u64::from(payload == 0)).min(end - from);
            if fit == 0 {
                self.made.push((0, 0));
                continue;
            }
            let bytes = if from + fit == end { left } else { (batch * fit).min(left) };
            left -= bytes;
            let at = self.made.len() - 1;
            self.made[at] = (payload + bytes, index + index_bytes(bytes, fit));
            match pieces.last_mut() {
                Some((made, range, before)) if *made == at => {
                    range.end = Offset(from + fit);
                    *before += bytes;
                }
                _ => pieces.push((at, Offset(from)..Offset(from + fit), bytes)),
            }
            from += fit;
        }
    }
}
