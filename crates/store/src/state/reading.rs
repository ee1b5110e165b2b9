//! Where readers find what they ask for: in memory, or in which registered objects.

use super::{Found, Indexes, State};
use crate::cache::Lane;
use crate::read::Cold;
use crate::registrar::Extent;
use crate::runs::Runs;
use crate::stream::Stream;
use crate::types::ReadError;
use levee_base::limits::{READ_AHEAD_OBJECTS, READ_NEAR_END_BYTES, READ_OBJECTS};
use levee_base::{Offset, StreamId};
use levee_object::Key;
use std::ops::Range;

impl State {
    pub(crate) fn read(
        &self,
        stream: StreamId,
        from: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<Found, ReadError> {
        let known = self.readable(stream, from)?;
        if from == known.durable {
            return Ok(Found::Tail(Vec::new()));
        }
        if from < known.tail_start() {
            return known.cold(stream, from, max_bytes).map(Found::Cold);
        }
        let mut runs = Runs::new(from, max_bytes, at_least_one);
        for at in known.tail_from(from) {
            let object = self.tail_object(at.slot);
            let block = &object.index.blocks[at.block as usize];
            if !runs.add(&object.index, block, &object.bytes, block.position as usize) {
                break;
            }
        }
        Ok(Found::Tail(runs.finish()))
    }

    /// Registered objects from the one that holds `from` on, for about `bytes` beyond it, as far as they are not in
    /// memory.
    pub(crate) fn ahead(&self, stream: StreamId, from: Offset, bytes: usize) -> Vec<Extent> {
        let Some(known) = self.streams.get(&stream).filter(|known| from >= known.start) else {
            return Vec::new();
        };
        let (extents, tail) = (known.extents_from(from), known.tail_start());
        let mut sum = 0;
        let wanted = extents.iter().take(READ_AHEAD_OBJECTS).take_while(|extent| {
            let wanted = sum <= bytes as u64 && extent.range.start < tail;
            // The first may be passed already.
            sum += if extent.range.start > from { extent.bytes } else { 0 };
            wanted
        });
        wanted.cloned().collect()
    }

    /// The indexes of all durable batches of a stream from `from` on.
    pub(crate) fn indexes(&self, stream: StreamId, from: Offset) -> Result<Indexes, ReadError> {
        let known = self.readable(stream, from)?;
        let cold = match from < known.tail_start() {
            true => {
                let last = known.extents.partition_point(|extent| extent.range.start < known.tail_start());
                let first = known.extents.partition_point(|extent| extent.range.end <= from).min(last);
                known.extents[first..last].to_vec()
            }
            false => Vec::new(),
        };
        let tail =
            known.tail_from(from).map(|at| (self.tail_object(at.slot).index.clone(), at.block)).collect();
        Ok(Indexes { cold, tail })
    }

    /// Whether an object still holds a part of a stream from `from` on, as far as is known here.
    pub(crate) fn refers(&self, stream: StreamId, from: Offset, key: &Key) -> bool {
        let known = self.streams.get(&stream).filter(|known| from >= known.start);
        known.is_some_and(|known| known.extents_from(from).iter().any(|extent| extent.object.key == *key))
    }

    /// The first part of a stream that ends above `from` and lies in this object.
    pub(crate) fn part_in(&self, stream: StreamId, key: &Key, from: Offset) -> Option<Range<Offset>> {
        let extents = self.streams.get(&stream)?.extents_from(from);
        extents.iter().find(|extent| extent.object.key == *key).map(|extent| extent.range.clone())
    }

    fn readable(&self, stream: StreamId, from: Offset) -> Result<&Stream, ReadError> {
        let known = self.streams.get(&stream).ok_or(ReadError::UnknownStream)?;
        if from < known.start || from > known.durable {
            return Err(ReadError::OutOfRange { from, ends: known.ends() });
        }
        Ok(known)
    }
}

impl Stream {
    /// Registered objects from the one that holds `from` on, as many as `max_bytes` may need: the first, and
    /// those after it that are all wanted for sure, so that asking for them at once wastes nothing.
    fn cold(&self, stream: StreamId, from: Offset, max_bytes: usize) -> Result<Cold, ReadError> {
        let extents = self.extents_from(from);
        if extents.first().is_none_or(|extent| extent.range.start > from) {
            return Err(ReadError::Unregistered { stream, offset: from });
        }
        let mut bytes = 0;
        let wanted = extents.iter().take(READ_OBJECTS).take_while(|extent| {
            let first = bytes == 0;
            bytes += extent.bytes;
            first || bytes <= max_bytes as u64
        });
        let extents = wanted.cloned().collect();
        let mut left = 0;
        let near_end = self.extents_from(from).iter().all(|extent| {
            left += if extent.range.start < self.tail_start() { extent.bytes } else { 0 };
            left <= READ_NEAR_END_BYTES
        });
        Ok(Cold { extents, lane: if near_end { Lane::Tail } else { Lane::CatchUp } })
    }
}
