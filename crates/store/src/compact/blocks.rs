//! Reading extents of a stream in order, some blocks by one request, for whoever writes them anew.

use super::CompactError;
use crate::backoff::Backoff;
use crate::format::{BatchEntry, Index};
use crate::load::together;
use crate::registrar::Extent;
use crate::store::Shared;
use crate::types::ReadError;
use bytes::Bytes;
use levee_base::limits::{COMPACT_PATIENCE, COMPACT_READ_BYTES};
use levee_base::{Offset, StreamId};
use levee_object::Purpose;
use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;

/// A block that was read, its checksum right.
#[derive(Debug)]
pub(super) struct BlockRead {
    index: Arc<Index>,
    at: usize,
    bytes: Bytes,
}

/// Where a batch or a gap begins, and who led its stream when it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) stream: StreamId,
    pub(super) leader_epoch: u32,
    pub(super) base: Offset,
}

impl Place {
    /// The place after so many offsets.
    pub(super) fn after(self, count: u32) -> Self {
        Self { base: Offset(self.base.0 + u64::from(count)), ..self }
    }
}

impl BlockRead {
    /// Its batches and gaps, each with its place and its bytes.
    pub(super) fn batches(&self) -> impl Iterator<Item = (Place, BatchEntry<'_>, &[u8])> {
        let block = &self.index.blocks[self.at];
        let (stream, leader_epoch, base) = (block.stream, block.leader_epoch, block.offsets.start);
        let (mut place, mut at) = (Place { stream, leader_epoch, base }, 0);
        self.index.batches(block).map(move |entry| {
            let (own, start) = (place, at);
            place = place.after(entry.count);
            at += entry.bytes as usize;
            (own, entry, &self.bytes[start..at])
        })
    }
}

/// An extent that is being read.
struct Current<'a> {
    extent: &'a Extent,
    index: Arc<Index>,
    /// What is still to be read of it, with the blocks in it.
    reads: VecDeque<(Range<u64>, Vec<usize>)>,
    next: Offset,
}

/// Extents that are being read.
pub(super) struct Blocks<'a> {
    shared: &'a Shared,
    stream: StreamId,
    extents: std::slice::Iter<'a, Extent>,
    current: Option<Current<'a>>,
}

impl<'a> Blocks<'a> {
    /// `extents` are contiguous parts of `stream`.
    pub(super) fn new(shared: &'a Shared, stream: StreamId, extents: &'a [Extent]) -> Self {
        Self { shared, stream, extents: extents.iter(), current: None }
    }

    /// The next blocks, which are all that one request reads; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<BlockRead>>, CompactError> {
        loop {
            let mut current = match self.current.take() {
                Some(current) => current,
                None => match self.extents.next() {
                    Some(extent) => self.open(extent).await?,
                    None => return Ok(None),
                },
            };
            let Some((range, blocks)) = current.reads.pop_front() else {
                if current.next == current.extent.range.end {
                    continue;
                }
                return Err(self.hole(current.next));
            };
            let read = self.read(&mut current, &range, blocks).await?;
            self.current = Some(current);
            return Ok(Some(read));
        }
    }

    async fn open(&self, extent: &'a Extent) -> Result<Current<'a>, CompactError> {
        let layout = self.patiently(|| self.shared.index(&extent.object, Purpose::Compact)).await?;
        let (range, index) = (&extent.range, layout.index.clone());
        let wanted = layout.blocks(self.stream, range, range.start).map(|at| at as usize);
        // They are joined in the order of their positions.
        let wanted: BTreeSet<usize> = wanted.collect();
        let reads = together(&index.blocks, wanted, COMPACT_READ_BYTES).into();
        Ok(Current { extent, index, reads, next: range.start })
    }

    async fn read(
        &self,
        current: &mut Current<'a>,
        range: &Range<u64>,
        blocks: Vec<usize>,
    ) -> Result<Vec<BlockRead>, CompactError> {
        let key = &current.extent.object.key;
        let get = || self.shared.get(key, range.clone(), Purpose::Compact);
        // Gaps have no bytes.
        let bytes = if range.is_empty() { Bytes::new() } else { self.patiently(get).await? };
        let mut read = Vec::with_capacity(blocks.len());
        for at in blocks {
            let block = &current.index.blocks[at];
            let start = (block.position - range.start) as usize;
            let own = bytes.slice(start..start + block.bytes as usize);
            block.verify(&own).map_err(|what| {
                let error = ReadError::Corrupt { key: key.clone(), range: block.range(), what };
                CompactError::Unreadable(self.stream, error)
            })?;
            if block.offsets.start != current.next {
                return Err(self.hole(current.next));
            }
            current.next = block.offsets.end;
            read.push(BlockRead { index: current.index.clone(), at, bytes: own });
        }
        Ok(read)
    }

    fn hole(&self, offset: Offset) -> CompactError {
        let stream = self.stream;
        CompactError::Unreadable(stream, ReadError::Unregistered { stream, offset })
    }

    /// Repeats a request until the store answers, or for long enough.
    async fn patiently<T, F: Future<Output = Result<T, ReadError>>>(
        &self,
        request: impl Fn() -> F,
    ) -> Result<T, CompactError> {
        let clock = self.shared.ctx.clock;
        let (until, mut backoff) = (clock.now() + COMPACT_PATIENCE, Backoff::new(clock));
        loop {
            match request().await {
                Ok(answer) => return Ok(answer),
                Err(ReadError::Store(error)) if !error.kind.is_answer() => {}
                Err(error) => return Err(CompactError::Unreadable(self.stream, error)),
            }
            if self.shared.is_stopped() {
                return Err(CompactError::Stopped);
            }
            if clock.now() >= until {
                return Err(CompactError::Silent);
            }
            backoff.wait().await;
        }
    }
}
