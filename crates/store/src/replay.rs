//! Going through a stream's batches by the indexes alone: how a stream's owner rebuilds what it knows of it.

use crate::format::{Block, Index};
use crate::outdated::Views;
use crate::state::Indexes;
use crate::store::StreamStore;
use crate::types::{BatchInfo, ReadError};
use futures::{StreamExt, TryStreamExt, stream};
use levee_base::limits::READ_OBJECTS;
use levee_base::{Offset, StreamId};
use levee_object::{Key, Purpose};
use std::ops::Range;

impl StreamStore {
    /// Calls `each` for every durable batch of a stream that ends above `from`, in order. Reads indexes, several
    /// at once and for this purpose, and never records. After an error `each` may have been called for some.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn replay(
        &self,
        stream: StreamId,
        from: Offset,
        purpose: Purpose,
        each: &mut (dyn FnMut(BatchInfo<'_>) + Send),
    ) -> Result<(), ReadError> {
        let (mut next, mut views) = (from, Views::new(&self.shared));
        loop {
            match self.replay_known(stream, &mut next, purpose, each).await {
                Err(error) if views.outdated(stream, next, &error).await => {}
                result => {
                    if result.as_ref().is_err_and(|error| error.damaged().is_some()) {
                        self.shared.metrics.damaged_reads.add(1);
                    }
                    return result;
                }
            }
        }
    }

    /// The first part of a stream that ends above `from` and lies in this object.
    #[must_use]
    pub fn part_in(&self, stream: StreamId, object: &Key, from: Offset) -> Option<Range<Offset>> {
        self.shared.state().part_in(stream, object, from)
    }

    /// As `replay`, by the extents that are known when it begins. `next` is where it has come to.
    async fn replay_known(
        &self,
        stream: StreamId,
        next: &mut Offset,
        purpose: Purpose,
        each: &mut (dyn FnMut(BatchInfo<'_>) + Send),
    ) -> Result<(), ReadError> {
        let Indexes { cold, tail } = self.shared.state().indexes(stream, *next)?;
        let first_in_memory = tail.first().map(|(index, at)| index.blocks[*at as usize].offsets.start);
        let mut indexes = stream::iter(cold)
            .map(|extent| async move {
                let (layout, _) = self.shared.layout(&extent.object, purpose).await?;
                Ok::<_, ReadError>((extent, layout))
            })
            .buffered(READ_OBJECTS);
        while let Some((extent, layout)) = indexes.try_next().await? {
            for at in layout.blocks(stream, &extent.range, *next) {
                let block = layout.block(at);
                if first_in_memory.is_none_or(|tail| block.offsets.start < tail) {
                    *next = replay_block(stream, &layout.index, block, *next, each)?;
                }
            }
        }
        for (index, at) in &tail {
            *next = replay_block(stream, index, &index.blocks[*at as usize], *next, each)?;
        }
        Ok(())
    }
}

/// Replays a block's batches that end above `next`; returns the offset after the last.
fn replay_block(
    stream: StreamId,
    index: &Index,
    block: &Block,
    next: Offset,
    each: &mut (dyn FnMut(BatchInfo<'_>) + Send),
) -> Result<Offset, ReadError> {
    if block.offsets.start > next {
        return Err(ReadError::Unregistered { stream, offset: next });
    }
    let mut base = block.offsets.start;
    for batch in index.batches(block) {
        let end = Offset(base.0 + u64::from(batch.count));
        if end > next && !batch.is_gap() {
            each(BatchInfo { base, count: batch.count, bytes: batch.bytes, note: batch.note });
        }
        base = end;
    }
    Ok(base.max(next))
}
