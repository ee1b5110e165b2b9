//! How an object is read: its index, cut into spans, and the place of each stream's blocks. Pure, and the same for
//! every reader of the object.
//!
//! A span is blocks that lie together. It grows to `one` bytes while all its blocks are of one stream, and to `mixed`
//! bytes whoever's they are. The second is for objects in which many streams have little each: whoever reads one of them
//! there often reads the others too, and a request for less costs as much. A small object is one span.

use crate::format::{Block, BlockKind, Index};
use levee_base::limits::{OBJECT_HEAD_BYTES, READ_GAP_BYTES, SPAN_BYTES, SPAN_MIXED_BYTES};
use levee_base::{Offset, StreamId};
use std::ops::Range;
use std::sync::Arc;

/// How long spans may be, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Of one stream.
    pub one: u64,
    /// Of several.
    pub mixed: u64,
}

impl Cut {
    /// What suits every store.
    pub const SUITABLE: Self = Self { one: SPAN_BYTES, mixed: SPAN_MIXED_BYTES };
}

/// Blocks that are read together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SpanRange {
    /// Their places among the index's blocks; checkpoints and what has no bytes may be between them.
    pub(crate) blocks: Range<u32>,
    /// Where they lie, in bytes from the object's start.
    pub(crate) bytes: Range<u64>,
}

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) index: Arc<Index>,
    spans: Box<[SpanRange]>,
    /// The blocks of batches, sorted by stream and offset.
    by_stream: Box<[u32]>,
}

impl Layout {
    pub(crate) fn new(index: Arc<Index>, cut: Cut) -> Self {
        let spans = spans(&index.blocks, cut).into();
        let is_batches = |at: &u32| index.blocks[*at as usize].kind == BlockKind::Batches;
        let mut by_stream: Box<[u32]> = (0..index.blocks.len() as u32).filter(is_batches).collect();
        by_stream.sort_by_key(|at| {
            let block = &index.blocks[*at as usize];
            (block.stream, block.offsets.start)
        });
        Self { index, spans, by_stream }
    }

    pub(crate) fn block(&self, at: u32) -> &Block {
        &self.index.blocks[at as usize]
    }

    pub(crate) fn span(&self, at: u32) -> &SpanRange {
        &self.spans[at as usize]
    }

    /// How many spans there are.
    pub(crate) fn spans(&self) -> usize {
        self.spans.len()
    }

    /// The span that a block is in, if it has bytes.
    pub(crate) fn span_of(&self, block: u32) -> Option<u32> {
        let at = self.spans.partition_point(|span| span.blocks.end <= block);
        (self.block(block).bytes > 0).then_some(at as u32)
    }

    /// The blocks of `stream` that lie within the extent `range` and end above `from`, in order.
    pub(crate) fn blocks(
        &self,
        stream: StreamId,
        range: &Range<Offset>,
        from: Offset,
    ) -> impl Iterator<Item = u32> + use<'_> {
        let (start, end) = (range.start, range.end);
        let first = self.by_stream.partition_point(|at| {
            let block = self.block(*at);
            (block.stream, block.offsets.end) <= (stream, from.max(start))
        });
        let rest = self.by_stream[first..].iter().copied();
        rest.skip_while(move |at| self.block(*at).offsets.start < start && self.block(*at).stream == stream)
            .take_while(move |at| {
                let block = self.block(*at);
                block.stream == stream && block.offsets.end <= end
            })
    }

    /// What it takes in memory, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.index.memory_bytes() + self.spans.len() * size_of::<SpanRange>() + self.by_stream.len() * 4
    }
}

fn spans(blocks: &[Block], cut: Cut) -> Vec<SpanRange> {
    let mut spans: Vec<SpanRange> = Vec::new();
    // Of the last span: the stream whose blocks it has, if it is one's.
    let mut owner = None;
    let small = blocks.last().is_some_and(|last| last.range().end <= OBJECT_HEAD_BYTES as u64);
    for (at, block) in (0u32..).zip(blocks) {
        if block.kind != BlockKind::Batches || block.bytes == 0 {
            continue;
        }
        if let Some(last) = spans.last_mut() {
            let long = block.range().end - last.bytes.start;
            let close = block.position - last.bytes.end <= READ_GAP_BYTES;
            let fits = long <= cut.mixed || long <= cut.one && owner == Some(block.stream);
            if small || close && fits {
                last.bytes.end = block.range().end;
                last.blocks.end = at + 1;
                owner = owner.filter(|owner| *owner == block.stream);
                continue;
            }
        }
        spans.push(SpanRange { blocks: at..at + 1, bytes: block.range() });
        owner = Some(block.stream);
    }
    spans
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
