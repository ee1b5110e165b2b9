//! Going through what is registered of a stream, batch by batch, and writing it anew with what a filter leaves of it.
//! The decisions are the filter's; here is what any of them needs: order, bounds, commits.
//!
//! A rewrite goes by *stretches*: neighbouring extents whose outcome makes one object, and one commit each. Between two
//! of them compaction has its turn. A stretch of which nothing changes is not written.

use super::blocks::{BlockRead, Blocks};
use super::plan::{Part, up_to};
use super::run::as_it_is;
use super::writer::{New, Writer};
use super::{CompactError, Hurry, Pace};
use crate::registrar::Extent;
use crate::store::StreamStore;
use crate::types::NewBatch;
use levee_base::limits::{REWRITE_EXTENTS, REWRITE_SOURCE_BYTES, REWRITE_TOGETHER_BYTES};
use levee_base::{Offset, StreamId};
use std::ops::{ControlFlow, Range};

/// A batch of a stream.
#[derive(Debug, Clone, Copy)]
pub struct StoredBatch<'a> {
    /// Its first offset.
    pub base: Offset,
    /// Offsets that it takes.
    pub count: u32,
    /// Its bytes.
    pub bytes: &'a [u8],
    /// Its writer's note.
    pub note: &'a [u8],
}

/// What becomes of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It stays, byte for byte.
    Keep,
    /// It goes; its offsets are a gap.
    Drop,
    /// Another takes its place, with the same offsets.
    Replace {
        /// The other's bytes.
        bytes: Vec<u8>,
        /// The other's note.
        note: Vec<u8>,
    },
}

/// Says what is left of a stream.
pub trait Filter: Send {
    /// What becomes of the next batch. All of what is rewritten is shown, in order, each batch once.
    fn batch(&mut self, batch: StoredBatch<'_>) -> Verdict;
}

impl StreamStore {
    /// Shows the batches of a stream that overlap `range`, as far as they are registered, to `each`, in order, until it
    /// breaks. Reads at compaction's pace.
    ///
    /// # Errors
    /// See [`CompactError`]. Some batches may have been shown then.
    pub async fn scan(
        &self,
        stream: StreamId,
        range: Range<Offset>,
        each: &mut (dyn FnMut(StoredBatch<'_>) -> ControlFlow<()> + Send),
    ) -> Result<(), CompactError> {
        let mut next = range.start;
        let _hurry = Hurry::new(&self.shared);
        loop {
            let _one_at_a_time = self.shared.compacting.lock().await;
            let pace = Pace::full(&self.shared);
            let extents = self.extents(stream, next, range.end)?;
            let extents =
                &extents[..up_to(REWRITE_SOURCE_BYTES, extents.iter(), |extent| extent.bytes).count()];
            let Some(last) = extents.last() else { return Ok(()) };
            let own = extents.iter().map(|extent| (stream, extent)).collect();
            let mut blocks = Blocks::new(&self.shared, own, REWRITE_TOGETHER_BYTES, pace);
            while let Some(block) = blocks.next().await? {
                for (at, entry, bytes) in block.batches() {
                    let (base, end) = (at.base, at.after(entry.count).base);
                    let shown = end > next && base < range.end && !entry.is_gap();
                    let batch = StoredBatch { base, count: entry.count, bytes, note: entry.note };
                    if shown && each(batch).is_break() {
                        return Ok(());
                    }
                    next = next.max(end);
                }
                tokio::task::yield_now().await;
            }
            next = next.max(last.range.end);
            let bytes: u64 = extents.iter().map(|extent| extent.bytes).sum();
            pace.keep(&self.shared, bytes.max(blocks.bytes_read())).await;
        }
    }

    /// Writes what is registered of a stream, from its start to the end of the extent that holds the last offset below
    /// `until`, anew with what `filter` makes of it. What was written when an error comes stays written.
    ///
    /// # Errors
    /// See [`CompactError`].
    pub async fn rewrite(
        &self,
        stream: StreamId,
        until: Offset,
        filter: &mut dyn Filter,
    ) -> Result<(), CompactError> {
        let mut next = Offset::ZERO;
        let _hurry = Hurry::new(&self.shared);
        loop {
            let _one_at_a_time = self.shared.compacting.lock().await;
            let pace = Pace::full(&self.shared);
            let extents = self.extents(stream, next, until)?;
            if extents.is_empty() {
                return Ok(());
            }
            let mut writer = Writer::new(&self.shared, &self.shared.compaction);
            let written = self.stretch(stream, next, &extents, pace, &mut writer, filter).await;
            let committed = match written {
                Ok(Stretch { part, changed, bytes_read }) if changed || !writer.has_made_nothing() => {
                    match writer.commit(std::slice::from_ref(&part)).await {
                        Ok(0) => {
                            self.shared.state().rewritten(stream, part.range().end);
                            Ok((part, bytes_read))
                        }
                        Ok(_) => Err(CompactError::Changed),
                        Err(error) => Err(error),
                    }
                }
                Ok(Stretch { part, bytes_read, .. }) => Ok((part, bytes_read)),
                Err(error) => Err(error),
            };
            writer.give_up().await?;
            let (part, bytes_read) = committed?;
            let bytes = part.extents.iter().map(|extent| extent.bytes).sum();
            self.shared.metrics.rewritten_bytes.add(bytes);
            next = part.range().end;
            pace.keep(&self.shared, bytes_read.max(bytes)).await;
        }
    }

    fn extents(&self, stream: StreamId, from: Offset, until: Offset) -> Result<Vec<Extent>, CompactError> {
        let state = self.shared.state();
        match state.stopped() {
            Some(_) => Err(CompactError::Stopped),
            None => state.stretch(stream, from, until, REWRITE_EXTENTS).ok_or(CompactError::Changed),
        }
    }

    /// Writes as many of `extents` as make an object, at least one.
    async fn stretch(
        &self,
        stream: StreamId,
        next: Offset,
        extents: &[Extent],
        pace: Pace,
        writer: &mut Writer<'_>,
        filter: &mut dyn Filter,
    ) -> Result<Stretch, CompactError> {
        let (mut source, mut changed, mut taken) = (0, false, 0);
        let own = extents.iter().map(|extent| (stream, extent)).collect();
        let mut blocks = Blocks::new(&self.shared, own, REWRITE_TOGETHER_BYTES, pace);
        loop {
            if let Some(extent) = extents.get(taken)
                && blocks.next_extent() == taken
            {
                let long = writer.open_bytes() + extent.bytes > self.shared.compaction.object_bytes;
                if taken > 0 && (long || !writer.has_made_nothing() || source >= REWRITE_SOURCE_BYTES) {
                    break;
                }
                source += extent.bytes;
                taken += 1;
            }
            let Some(block) = blocks.next().await? else { break };
            changed |= filtered(next, &block, writer, filter).await?;
            tokio::task::yield_now().await;
        }
        let part = Part { stream, extents: extents[..taken].to_vec() };
        Ok(Stretch { part, changed, bytes_read: blocks.bytes_read() })
    }
}

/// Extents that were written anew.
struct Stretch {
    part: Part,
    /// Whether the filter has changed anything.
    changed: bool,
    bytes_read: u64,
}

/// Writes what is left of a block; whether that is not all of it. What is below `next` was filtered before.
async fn filtered(
    next: Offset,
    block: &BlockRead,
    writer: &mut Writer<'_>,
    filter: &mut dyn Filter,
) -> Result<bool, CompactError> {
    let mut changed = false;
    for (at, entry, bytes) in block.batches() {
        let (base, count) = (at.base, entry.count);
        let passed_on = entry.is_gap() || base < next;
        let verdict = match passed_on {
            true => Verdict::Keep,
            false => filter.batch(StoredBatch { base, count, bytes, note: entry.note }),
        };
        changed |= verdict != Verdict::Keep;
        let new = match &verdict {
            Verdict::Keep => as_it_is(&entry, bytes),
            Verdict::Drop => New::Gap(count),
            Verdict::Replace { bytes, note } => New::Batch(NewBatch { bytes, count, note }),
        };
        writer.add(at, new).await?;
    }
    Ok(changed)
}
