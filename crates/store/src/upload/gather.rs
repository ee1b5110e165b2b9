//! What of the objects that are to be trimmed stays where it is, and what is copied into level 1. Pure.
//!
//! Long runs are as good to read in place as anywhere, unless they lie in many short stretches with others' batches in
//! between: then whoever reads one reads all. But an object is kept or given up as a whole: one run of it that stays keeps
//! all of it. So an object keeps its long runs only if they are most of it.

use crate::format::{BlockKind, Index};
use crate::registrar::{NewExtent, Registration};
use bytes::Bytes;
use levee_base::{HashMap, Offset, Slot, StreamId};
use std::ops::Range;
use std::sync::Arc;

/// An object of the write-ahead log in memory.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) slot: Slot,
    pub(crate) bytes: Bytes,
    pub(crate) index: Arc<Index>,
    pub(crate) index_range: Range<u64>,
}

/// A block that is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Part {
    pub(crate) stream: StreamId,
    pub(crate) base: Offset,
    /// Its object's place among the sources,
    pub(crate) source: usize,
    /// and its own among the object's blocks.
    pub(crate) block: usize,
}

/// What becomes of some objects, which follow each other in the log.
#[derive(Debug)]
pub(crate) struct Gathered {
    /// From so many bytes on a run is long.
    long_bytes: u64,
    pub(crate) sources: Vec<Source>,
    /// One for each source, with the extents that stay.
    pub(crate) objects: Vec<Registration>,
    /// What is copied.
    pub(crate) parts: Vec<Part>,
    /// Bytes of batches that are copied,
    pub(crate) copied_bytes: usize,
    /// and of the indexes of what they are copied from.
    pub(crate) index_bytes: usize,
    /// Extents that are promoted, and blocks that are copied.
    pub(crate) pieces: usize,
}

/// Whether an object of the log, of so many bytes in all and in long runs, keeps these: whether they are most of it.
#[must_use]
pub fn keeps_long_runs(long_bytes: u64, total_bytes: u64) -> bool {
    2 * long_bytes >= total_bytes
}

/// How many stretches the batches of each stream lie in.
fn stretches(index: &Index) -> HashMap<(StreamId, u32), u64> {
    let mut stretches: HashMap<(StreamId, u32), u64> = HashMap::default();
    let mut last = None;
    for block in index.blocks.iter().filter(|block| block.kind == BlockKind::Batches) {
        let of = (block.stream, block.leader_epoch);
        if last.replace(of) != Some(of) {
            *stretches.entry(of).or_default() += 1;
        }
    }
    stretches
}

impl Gathered {
    /// Nothing yet. From `long_bytes` on a run is long.
    pub(crate) fn new(long_bytes: usize) -> Self {
        Self {
            long_bytes: long_bytes as u64,
            sources: Vec::new(),
            objects: Vec::new(),
            parts: Vec::new(),
            copied_bytes: 0,
            index_bytes: 0,
            pieces: 0,
        }
    }

    /// The next object of the log.
    pub(crate) fn add(&mut self, source: Source) {
        let Source { slot, index, index_range, bytes } = &source;
        let runs = NewExtent::all_of(index);
        let stretches = stretches(index);
        let long = |run: &NewExtent| {
            let stretches = stretches.get(&(run.stream, run.leader_epoch)).copied().unwrap_or(1);
            run.bytes >= self.long_bytes * stretches
        };
        let long_bytes: u64 = runs.iter().filter(|run| long(run)).map(|run| run.bytes).sum();
        let total_bytes = bytes.len() as u64;
        let extents: Vec<NewExtent> = if keeps_long_runs(long_bytes, total_bytes) {
            runs.into_iter().filter(long).collect()
        } else {
            Vec::new()
        };
        let mut promoted: HashMap<(StreamId, u32), Vec<Range<Offset>>> = HashMap::default();
        for run in &extents {
            promoted.entry((run.stream, run.leader_epoch)).or_default().push(run.range.clone());
        }
        self.pieces += extents.len();
        let before = self.parts.len();
        for (at, block) in index.blocks.iter().enumerate() {
            let stays = promoted
                .get(&(block.stream, block.leader_epoch))
                .is_some_and(|ranges| ranges.iter().any(|range| range.contains(&block.offsets.start)));
            if block.kind == BlockKind::Batches && !stays {
                let (stream, base, source) = (block.stream, block.offsets.start, self.sources.len());
                self.parts.push(Part { stream, base, source, block: at });
                self.copied_bytes += block.bytes as usize;
            }
        }
        if self.parts.len() > before {
            self.index_bytes += (index_range.end - index_range.start) as usize;
            self.pieces += self.parts.len() - before;
        }
        let index = index_range.clone();
        self.objects.push(Registration { slot: *slot, total_bytes, index, extents });
        self.sources.push(source);
    }

    /// Nothing is copied, everything stays: for a disk without room.
    pub(crate) fn promote_all(&mut self) {
        for (object, source) in self.objects.iter_mut().zip(&self.sources) {
            object.extents = NewExtent::all_of(&source.index);
        }
        self.parts.clear();
        (self.copied_bytes, self.index_bytes) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::ObjectKind;
    use crate::open_object::OpenObject;
    use crate::pool::Pool;
    use crate::types::NewBatch;
    use levee_base::limits::PROMOTED_BYTES;
    use levee_base::{ClusterId, Epoch, WriterId};
    use levee_object::log::Stamp;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// An object of appends (stream, bytes), one offset each, that go on at `ends`.
    fn object(slot: u64, appends: &[(u64, usize)], ends: &mut BTreeMap<u64, u64>) -> Source {
        let pool = Pool::new(4 << 20, 1, Arc::default());
        let mut open = OpenObject::begin(slot, pool.take(1).unwrap());
        for (stream, bytes) in appends {
            let end = ends.entry(*stream).or_default();
            let bytes = vec![*stream as u8; *bytes];
            open.add(StreamId(*stream), 1, Offset(*end), &NewBatch { bytes: &bytes, count: 1, note: b"" });
            *end += 1;
        }
        let stamp = Stamp {
            cluster: ClusterId(uuid::Uuid::from_u128(1)),
            epoch: Epoch(1),
            slot: Slot(slot),
            writer: WriterId(uuid::Uuid::from_u128(2)),
        };
        let sealed = open.cut().0.seal(ObjectKind::Wal, &stamp);
        let (index, index_range) = (Arc::new(sealed.index), sealed.index_range);
        Source { slot: Slot(slot), bytes: sealed.bytes, index, index_range }
    }

    #[test]
    fn long_runs_stay_where_they_are_most_of_their_object() {
        let mut ends = BTreeMap::new();
        let mut gathered = Gathered::new(PROMOTED_BYTES);
        let (long, short) = (PROMOTED_BYTES, PROMOTED_BYTES / 8);
        gathered.add(object(0, &[(1, long / 2), (1, long / 2), (2, short)], &mut ends));
        gathered.add(object(1, &[(1, short), (2, short)], &mut ends));
        // As long, but no more than a part of its object.
        let many: Vec<_> = (10..30).map(|stream| (stream, short)).chain([(1, long)]).collect();
        gathered.add(object(2, &many, &mut ends));
        // Long enough, but not as it lies.
        gathered.add(object(3, &[(1, long / 2), (2, short), (1, long / 2)], &mut ends));
        gathered.add(object(4, &[(1, long), (2, long), (1, long), (2, long)], &mut ends));
        let extents: Vec<_> = gathered.objects.iter().map(|object| object.extents.len()).collect();
        assert_eq!(extents, [1, 0, 0, 0, 2]);
        assert_eq!(gathered.objects[0].extents[0].range, Offset(0)..Offset(2));
        assert_eq!(gathered.parts.len(), 1 + 2 + 21 + 3);
        gathered.promote_all();
        assert_eq!(
            gathered.objects.iter().map(|object| object.extents.len()).sum::<usize>(),
            2 + 2 + 21 + 2 + 2
        );
        assert!(gathered.parts.is_empty());
    }

    proptest! {
        /// Each offset of each stream is either promoted or copied, once.
        #[test]
        fn nothing_is_lost_and_nothing_taken_twice(
            objects in prop::collection::vec(
                prop::collection::vec((0u64..4, 1usize..PROMOTED_BYTES), 1..12), 1..8),
        ) {
            let (mut ends, mut gathered) = (BTreeMap::new(), Gathered::new(PROMOTED_BYTES));
            for (slot, appends) in objects.iter().enumerate() {
                gathered.add(object(slot as u64, appends, &mut ends));
            }
            let mut taken = BTreeMap::new();
            for extent in gathered.objects.iter().flat_map(|object| &object.extents) {
                for offset in extent.range.start.0..extent.range.end.0 {
                    *taken.entry((extent.stream.0, offset)).or_insert(0) += 1;
                }
            }
            for part in &gathered.parts {
                let block = &gathered.sources[part.source].index.blocks[part.block];
                prop_assert_eq!((block.stream, block.offsets.start), (part.stream, part.base));
                for offset in block.offsets.start.0..block.offsets.end.0 {
                    *taken.entry((block.stream.0, offset)).or_insert(0) += 1;
                }
            }
            let all: u64 = ends.values().sum();
            prop_assert!(taken.len() as u64 == all && taken.values().all(|times| *times == 1));
        }
    }
}
