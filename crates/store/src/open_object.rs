//! An object that is being filled: batches are copied into its region, the header's place is kept free in front, the
//! index is written behind when the object is sealed. Of a write-ahead log's object that is the only time that a
//! record byte is copied.
//!
//! Filling is pure bookkeeping over memory. What doesn't belong here: which object is next (`state`), when one is
//! sealed (`pacer`), and what goes into those that are gathered or compacted (`upload`, `compact`).

use crate::buffer::Region;
use crate::format::{BatchEntry, BlockKind, Index, IndexBuilder, ObjectHeader, ObjectKind};
use crate::types::NewBatch;
use bytes::Bytes;
use levee_base::limits::{BLOCK_BYTES, LOG_HEADER_BYTES, OBJECT_HEADER_BYTES};
use levee_base::{Offset, StreamId};
use levee_object::log::{Kind, Stamp};
use std::ops::Range;

/// An object that batches can be added to.
#[derive(Debug)]
pub(crate) struct OpenObject {
    /// Its number among those of its maker's epoch: of a write-ahead log object, the slot.
    number: u64,
    region: Region,
    index: IndexBuilder,
}

impl OpenObject {
    /// Begins an object that will have this number.
    pub(crate) fn begin(number: u64, mut region: Region) -> Self {
        debug_assert!(region.is_empty(), "an object has its region for itself");
        region.extend(&[0; OBJECT_HEADER_BYTES]);
        Self { number, region, index: IndexBuilder::default() }
    }

    /// The most bytes that an object needs for `batches`, with all that isn't batches.
    pub(crate) fn bytes_for(batches: &[NewBatch<'_>]) -> usize {
        OBJECT_HEADER_BYTES + IndexBuilder::default().encoded_bytes() + growth(batches)
    }

    /// Whether all of `batches` fit.
    pub(crate) fn fits(&self, batches: &[NewBatch<'_>]) -> bool {
        self.index.encoded_bytes() + growth(batches) <= self.region.room()
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Whether a batch of so many bytes fits.
    pub(crate) fn fits_bytes(&self, bytes: usize) -> bool {
        self.index.encoded_bytes() + bytes + IndexBuilder::GROWTH_BYTES <= self.region.room()
    }

    /// The length of its index if it were sealed now.
    pub(crate) fn index_bytes(&self) -> usize {
        self.index.encoded_bytes()
    }

    /// Whether nothing was added.
    pub(crate) fn is_empty(&self) -> bool {
        self.index.last().is_none()
    }

    /// Its length if it were sealed now.
    pub(crate) fn total_bytes(&self) -> usize {
        self.region.len() + self.index.encoded_bytes()
    }

    /// Adds a batch of `stream` whose first offset is `base`, to its last block if it goes on there. There is
    /// room for it: the caller has asked `fits`.
    pub(crate) fn add(&mut self, stream: StreamId, leader_epoch: u32, base: Offset, batch: &NewBatch<'_>) {
        self.block_for(stream, leader_epoch, base, batch.bytes.len());
        let crc = self.index.last().map_or(0, |block| block.crc);
        let crc = self.region.extend_hashed(batch.bytes, crc);
        let bytes = u32::try_from(batch.bytes.len()).expect("a batch is smaller than its buffer");
        self.index.add_batch(BatchEntry { count: batch.count, bytes, note: batch.note }, crc);
    }

    /// Adds offsets that hold no batch any more. There is room for it, as for a batch of no bytes.
    pub(crate) fn add_gap(&mut self, stream: StreamId, leader_epoch: u32, base: Offset, count: u32) {
        self.block_for(stream, leader_epoch, base, 0);
        let crc = self.index.last().map_or(0, |block| block.crc);
        self.index.add_batch(BatchEntry::gap(count), crc);
    }

    /// Adds a checkpoint of a stream as of `offset`. There is room for it, as for a batch of its length.
    pub(crate) fn add_checkpoint(&mut self, stream: StreamId, offset: Offset, bytes: &[u8]) {
        let position = self.region.len() as u64;
        let crc = self.region.extend_hashed(bytes, 0);
        let length = u32::try_from(bytes.len()).expect("a checkpoint is smaller than its buffer");
        self.index.add_checkpoint(stream, offset, position, length, crc);
    }

    /// Makes the last block one that `bytes` of a stream can be added to.
    fn block_for(&mut self, stream: StreamId, leader_epoch: u32, base: Offset, bytes: usize) {
        let goes_on = self.index.last().is_some_and(|block| {
            block.kind == BlockKind::Batches
                && (block.stream, block.leader_epoch, block.offsets.end) == (stream, leader_epoch, base)
                && block.bytes as usize + bytes <= BLOCK_BYTES
        });
        if !goes_on {
            self.index.begin_block(stream, leader_epoch, base, self.region.len() as u64);
        }
    }

    /// Nothing more is added. Hands back what is left of the buffer.
    pub(crate) fn cut(mut self) -> (CutObject, Option<Region>) {
        let rest = self.region.split_off(self.total_bytes());
        (CutObject(self), rest)
    }
}

fn growth(batches: &[NewBatch<'_>]) -> usize {
    batches.iter().map(|batch| batch.bytes.len() + IndexBuilder::GROWTH_BYTES).sum()
}

/// An object that takes no more batches, before its header and index are written.
#[derive(Debug)]
pub(crate) struct CutObject(OpenObject);

/// A complete object.
#[derive(Debug)]
pub(crate) struct SealedObject {
    pub(crate) bytes: Bytes,
    pub(crate) index: Index,
    pub(crate) index_range: Range<u64>,
}

impl CutObject {
    pub(crate) fn number(&self) -> u64 {
        self.0.number
    }

    pub(crate) fn total_bytes(&self) -> usize {
        self.0.total_bytes()
    }

    /// Writes index and header. From now on the bytes are fixed.
    ///
    /// # Panics
    /// When the stamp is another object's. Of a write-ahead log: when the log gives it another slot than the one
    /// its batches' producers were told.
    pub(crate) fn seal(self, kind: ObjectKind, stamp: &Stamp) -> SealedObject {
        let OpenObject { number, mut region, index } = self.0;
        assert_eq!(number, stamp.slot.0, "objects take their numbers in the order in which they were begun");
        let index_start = region.len();
        index.encode(stamp.epoch, number, |bytes| region.extend(bytes));
        let index_range = index_start as u64..region.len() as u64;
        let total_bytes = region.len() as u64;
        let (head, _) = region
            .filled_mut()
            .split_first_chunk_mut::<OBJECT_HEADER_BYTES>()
            .expect("an object begins with room for its header");
        let (log_head, _) = head
            .split_first_chunk_mut::<LOG_HEADER_BYTES>()
            .expect("the log's header is smaller than the object's");
        stamp.write(Kind::Entry, total_bytes, log_head);
        ObjectHeader {
            kind,
            cluster: stamp.cluster,
            epoch: stamp.epoch,
            number,
            writer: stamp.writer,
            total_bytes,
            index: index_range.clone(),
            blocks: index.blocks().len() as u32,
        }
        .write(head);
        let bytes = region.freeze();
        let index = index.into_index(stamp.epoch, number, &bytes.slice(index_start..));
        SealedObject { bytes, index, index_range }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::Pool;
    use levee_base::limits::PAGE;
    use levee_base::{ClusterId, Epoch, Slot, WriterId};
    use std::sync::Arc;

    #[test]
    fn an_index_that_is_kept_apart_does_not_keep_its_object_in_memory() {
        let pool = Pool::new(PAGE, 16, Arc::default());
        let mut object = OpenObject::begin(7, pool.take(8 * PAGE).unwrap());
        object.add(StreamId(1), 0, Offset(0), &NewBatch { bytes: &[1; PAGE], count: 1, note: b"note" });
        let (cluster, writer) = (ClusterId(uuid::Uuid::nil()), WriterId(uuid::Uuid::nil()));
        let stamp = Stamp { cluster, epoch: Epoch(1), slot: Slot(7), writer };
        let sealed = object.cut().0.seal(ObjectKind::Level2, &stamp);
        let index = sealed.index.apart();
        assert_eq!(pool.held(), 8);
        drop(sealed.bytes);
        assert_eq!(pool.held(), 0);
        assert_eq!(index.batches(&index.blocks[0]).next().unwrap().note, b"note");
    }
}
