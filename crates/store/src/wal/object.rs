//! The object that is being filled. Batches are copied into its region as they arrive, which is the only time
//! that a record byte is copied; the header's place is kept free in front, the index is written behind when the
//! object is sealed.
//!
//! Filling is pure bookkeeping over memory, under the store's lock. What doesn't belong here: which object is
//! next (`state`) and when one is sealed (`pacer`).

use crate::buffer::Region;
use crate::format::{BatchEntry, Index, IndexBuilder, ObjectHeader, ObjectKind};
use crate::types::NewBatch;
use bytes::Bytes;
use levee_base::limits::{BLOCK_BYTES, LOG_HEADER_BYTES, OBJECT_HEADER_BYTES};
use levee_base::{Offset, Slot, StreamId};
use levee_object::log::{Kind, Stamp};
use std::ops::Range;

/// An object that batches can be added to.
#[derive(Debug)]
pub(crate) struct OpenObject {
    slot: Slot,
    region: Region,
    index: IndexBuilder,
}

impl OpenObject {
    /// Begins an object that will take `slot`.
    pub(crate) fn begin(slot: Slot, mut region: Region) -> Self {
        debug_assert!(region.is_empty(), "an object has its region for itself");
        region.extend(&[0; OBJECT_HEADER_BYTES]);
        Self { slot, region, index: IndexBuilder::default() }
    }

    /// The most bytes that an object needs for `batches`, with all that isn't batches.
    pub(crate) fn bytes_for(batches: &[NewBatch<'_>]) -> usize {
        OBJECT_HEADER_BYTES + IndexBuilder::default().encoded_bytes() + growth(batches)
    }

    /// Whether all of `batches` fit.
    pub(crate) fn fits(&self, batches: &[NewBatch<'_>]) -> bool {
        self.index.encoded_bytes() + growth(batches) <= self.region.room()
    }

    pub(crate) fn slot(&self) -> Slot {
        self.slot
    }

    /// Its length if it were sealed now.
    pub(crate) fn total_bytes(&self) -> usize {
        self.region.len() + self.index.encoded_bytes()
    }

    /// Adds a batch of `stream` whose first offset is `base`, to its last block if it goes on there. There is
    /// room for it: the caller has asked `fits`.
    pub(crate) fn add(&mut self, stream: StreamId, leader_epoch: u32, base: Offset, batch: &NewBatch<'_>) {
        let goes_on = self.index.last().is_some_and(|block| {
            (block.stream, block.leader_epoch, block.offsets.end) == (stream, leader_epoch, base)
                && block.bytes as usize + batch.bytes.len() <= BLOCK_BYTES
        });
        if !goes_on {
            self.index.begin_block(stream, leader_epoch, base, self.region.len() as u64);
        }
        let crc = self.index.last().map_or(0, |block| block.crc);
        let crc = self.region.extend_hashed(batch.bytes, crc);
        let bytes = u32::try_from(batch.bytes.len()).expect("a batch is smaller than its buffer");
        self.index.add_batch(BatchEntry { count: batch.count, bytes, note: batch.note }, crc);
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
    pub(crate) fn slot(&self) -> Slot {
        self.0.slot
    }

    pub(crate) fn total_bytes(&self) -> usize {
        self.0.total_bytes()
    }

    /// Writes index and header. From now on the bytes are fixed.
    ///
    /// # Panics
    /// When the log gives it another slot than the one its batches' producers were told.
    pub(crate) fn seal(self, stamp: &Stamp) -> SealedObject {
        let OpenObject { slot, mut region, index, .. } = self.0;
        assert_eq!(slot, stamp.slot, "objects take the log's slots in the order in which they were begun");
        let index_start = region.len();
        index.encode(stamp.epoch, slot.0, |bytes| region.extend(bytes));
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
            kind: ObjectKind::Wal,
            cluster: stamp.cluster,
            epoch: stamp.epoch,
            number: slot.0,
            writer: stamp.writer,
            total_bytes,
            index: index_range.clone(),
            blocks: index.blocks().len() as u32,
        }
        .write(head);
        let bytes = region.freeze();
        let index = index.into_index(stamp.epoch, slot.0, &bytes.slice(index_start..));
        SealedObject { bytes, index, index_range }
    }
}
