//! Reading: from memory, else from registered objects by range GET.
//!
//! An object's index comes first (from the cache, or by one GET; a small object comes whole), then the blocks
//! that the reader needs, each checked against its CRC. Blocks of the stream that lie close together are one
//! request. Several small objects are asked for at once, but never more than is wanted for sure.
//!
//! A missing or corrupt object fails the reads that need it, with an error that names it; nothing else. Missing is an
//! object only if the stream still refers to it after the miss: else it was compacted meanwhile, and the read begins
//! anew.

use crate::format::{Block, BlockKind, FormatError, Index};
use crate::registrar::{Extent, ObjectRef};
use crate::runs::Runs;
use crate::state::Found;
use crate::store::{Shared, StreamStore};
use crate::types::{ReadError, Run};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use levee_base::limits::{OBJECT_HEAD_BYTES, READ_GAP_BYTES, READ_OBJECTS};
use levee_base::{Offset, StreamId};
use levee_object::{ErrorKind, Key, Purpose};
use std::ops::Range;
use std::sync::Arc;

impl StreamStore {
    /// Reads whole durable batches of a stream, from the one that holds `from` on, `max_bytes` at most; the first
    /// batch whatever its length if `at_least_one`. May return fewer than there are, but none only at the end, or
    /// when the first is too long.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn read(
        &self,
        stream: StreamId,
        from: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<Vec<Run>, ReadError> {
        loop {
            let found = self.shared.state().read(stream, from, max_bytes, at_least_one)?;
            let extents = match found {
                Found::Tail(runs) => {
                    self.shared.metrics.tail_reads.add(1);
                    return Ok(runs);
                }
                Found::Cold(extents) => extents,
            };
            self.shared.metrics.cold_reads.add(1);
            let runs = Runs::new(from, max_bytes, at_least_one).apart();
            let result = self.shared.read_cold(stream, extents, runs, max_bytes).await;
            match &result {
                // Each time round the stream has other objects than the time before.
                Err(error) if self.shared.is_outdated(stream, error) => continue,
                Err(ReadError::Missing { .. } | ReadError::Corrupt { .. }) => {
                    self.shared.metrics.damaged_reads.add(1);
                }
                _ => {}
            }
            return result;
        }
    }
}

/// Blocks of a stream that were read together: the bytes, which begin at `at` of their object.
struct Piece {
    index: Arc<Index>,
    /// Their places among the index's blocks.
    blocks: Vec<usize>,
    at: u64,
    bytes: Bytes,
}

impl Shared {
    /// Whether an object is missing because compaction, or the stream's start, has moved on since it was looked up.
    pub(crate) fn is_outdated(&self, stream: StreamId, error: &ReadError) -> bool {
        match error {
            ReadError::Missing { key, .. } => !self.state().refers(stream, key),
            _ => false,
        }
    }

    async fn read_cold(
        &self,
        stream: StreamId,
        extents: Vec<Extent>,
        mut runs: Runs,
        max_bytes: usize,
    ) -> Result<Vec<Run>, ReadError> {
        let from = runs.next();
        let mut objects = stream::iter(extents)
            .map(|extent| async move {
                let pieces = self.read_extent(stream, &extent, from, max_bytes).await?;
                Ok::<_, ReadError>((extent, pieces))
            })
            .buffered(READ_OBJECTS);
        while let Some((extent, pieces)) = objects.try_next().await? {
            for Piece { index, blocks, at, bytes } in pieces {
                for block in blocks.into_iter().map(|block| &index.blocks[block]) {
                    let start = (block.position - at) as usize;
                    let own = &bytes[start..start + block.bytes as usize];
                    block.verify(own).map_err(|what| ReadError::Corrupt {
                        key: extent.object.key.clone(),
                        range: block.range(),
                        what,
                    })?;
                    if block.offsets.start > runs.next() {
                        return Err(ReadError::Unregistered { stream, offset: runs.next() });
                    }
                    if !runs.add(&index, block, &bytes, start) || runs.left() == 0 {
                        return Ok(runs.finish());
                    }
                }
            }
            // What was read of it ends before it does: the next read goes on there.
            if runs.next() < extent.range.end {
                break;
            }
        }
        if runs.next() == from && runs.left() > 0 {
            return Err(ReadError::Unregistered { stream, offset: from });
        }
        Ok(runs.finish())
    }

    /// The blocks of `stream` in one object that hold `from` and, after it, `max_bytes`.
    async fn read_extent(
        &self,
        stream: StreamId,
        extent: &Extent,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Vec<Piece>, ReadError> {
        let object = &extent.object;
        let (index, whole) = match self.indexes.get(&object.key) {
            Some(index) => (index, None),
            None if object.total_bytes <= OBJECT_HEAD_BYTES as u64 => {
                let whole = self.get(&object.key, 0..object.total_bytes, Purpose::CatchUp).await?;
                let range = object.index.start as usize..object.index.end as usize;
                let index = whole.get(range).map(Bytes::copy_from_slice).unwrap_or_default();
                (self.keep(object, &index)?, Some(whole))
            }
            None => (self.index(object, Purpose::CatchUp).await?, None),
        };
        let mut wanted = Vec::new();
        let mut bytes = 0;
        for (at, block) in index.blocks.iter().enumerate() {
            let ours = block.stream == stream
                && block.kind == BlockKind::Batches
                && block.offsets.end > from
                && extent.range.start <= block.offsets.start
                && block.offsets.end <= extent.range.end;
            if !ours {
                continue;
            }
            wanted.push(at);
            // The first may begin before `from`, and count for nothing.
            if wanted.len() > 1 {
                bytes += block.bytes as usize;
            }
            if bytes >= max_bytes {
                break;
            }
        }
        if let Some(bytes) = whole {
            return Ok(vec![Piece { index, blocks: wanted, at: 0, bytes }]);
        }
        stream::iter(together(&index.blocks, &wanted, u64::MAX))
            .map(|(range, blocks)| {
                let index = index.clone();
                async move {
                    let bytes = self.get(&object.key, range.clone(), Purpose::CatchUp).await?;
                    Ok(Piece { index, blocks, at: range.start, bytes })
                }
            })
            .buffered(READ_OBJECTS)
            .try_collect()
            .await
    }

    /// An object's index, from the cache or the store.
    pub(crate) async fn index(&self, object: &ObjectRef, purpose: Purpose) -> Result<Arc<Index>, ReadError> {
        if let Some(index) = self.indexes.get(&object.key) {
            return Ok(index);
        }
        // Many streams want the same one when they are opened together: one reads it, the others find it.
        let _turn = self.indexes.turn(&object.key).lock().await;
        if let Some(index) = self.indexes.get(&object.key) {
            return Ok(index);
        }
        let bytes = self.get(&object.key, object.index.clone(), purpose).await?;
        self.keep(object, &bytes)
    }

    fn keep(&self, object: &ObjectRef, bytes: &Bytes) -> Result<Arc<Index>, ReadError> {
        let index = decode_index(object, bytes).map_err(|what| ReadError::Corrupt {
            key: object.key.clone(),
            range: object.index.clone(),
            what,
        })?;
        let index = Arc::new(index);
        self.indexes.put(&object.key, index.clone());
        Ok(index)
    }

    /// Exactly `range` of an object.
    pub(crate) async fn get(
        &self,
        key: &Key,
        range: Range<u64>,
        purpose: Purpose,
    ) -> Result<Bytes, ReadError> {
        let missing = || ReadError::Missing { key: key.clone(), range: range.clone() };
        match self.ctx.store.get(key, Some(range.clone()), purpose).await {
            Ok(bytes) if bytes.len() as u64 == range.end - range.start => Ok(bytes),
            Ok(bytes) => {
                let (found, needed) = (bytes.len(), (range.end - range.start) as usize);
                let what = FormatError::TooShort { part: "object", found, needed };
                Err(ReadError::Corrupt { key: key.clone(), range: range.clone(), what })
            }
            Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::OutOfRange) => Err(missing()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Decodes the index of `object`, and checks that it is its own: a key names epoch and number.
pub(crate) fn decode_index(object: &ObjectRef, bytes: &Bytes) -> Result<Index, FormatError> {
    let index = Index::decode(bytes, object.index.start)?;
    if object.key.as_str().ends_with(&format!("/{:020}/{:020}", index.epoch.0, index.number)) {
        Ok(index)
    } else {
        Err(FormatError::Inconsistent { part: "index", what: "it is another object's" })
    }
}

/// Joins blocks that lie close to each other into one range of `most` bytes, but for a block that is longer.
pub(crate) fn together(blocks: &[Block], wanted: &[usize], most: u64) -> Vec<(Range<u64>, Vec<usize>)> {
    let mut joined: Vec<(Range<u64>, Vec<usize>)> = Vec::new();
    for &at in wanted {
        let range = blocks[at].range();
        match joined.last_mut() {
            Some((last, members))
                if range.start - last.end <= READ_GAP_BYTES && range.end - last.start <= most =>
            {
                last.end = range.end;
                members.push(at);
            }
            _ => joined.push((range, vec![at])),
        }
    }
    joined
}
