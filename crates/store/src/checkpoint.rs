//! Checkpoints of streams: what a stream's owner knew of it as of an offset, so that opening it replays only what
//! follows. Opaque here.
//!
//! Layout: blocks of their own kind in objects of `format` at `data/<broker epoch>/<number>`, many streams' in one. The
//! objects hold nothing else, so compaction has nothing to carry along: an object goes when every stream in it has a
//! newer checkpoint.
//!
//! Order: create the object, commit it, and only then open streams know of it. A checkpoint is of what is registered.
//!
//! Crash: an object that was not committed is an orphan. A checkpoint that is lost costs a longer replay, nothing else.

use crate::compact::CompactError;
use crate::format::{Block, BlockKind, IndexBuilder, ObjectKind};
use crate::open_object::OpenObject;
use crate::registrar::{Checkpoint, NewObject, ObjectRef};
use crate::store::StreamStore;
use crate::types::ReadError;
use crate::upload::NotCreated;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use levee_base::limits::{
    CHECKPOINT_OBJECT_BYTES, CHECKPOINT_STREAMS, OBJECT_HEADER_BYTES, READ_GAP_BYTES, READ_OBJECTS,
};
use levee_base::{HashMap, Offset, StreamId};
use levee_object::{Key, Purpose};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// A checkpoint to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCheckpoint {
    /// Whose it is.
    pub stream: StreamId,
    /// As of which offset, not above what is registered.
    pub offset: Offset,
    /// What is known.
    pub bytes: Bytes,
}

/// What opening a stream has to go through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// Which.
    pub stream: StreamId,
    /// Its extents after the checkpoint: each is an index that is read.
    pub extents: usize,
    /// The newest checkpoint.
    pub checkpoint: Option<Checkpoint>,
}

/// What is wanted of an object.
struct Wanted {
    object: Arc<ObjectRef>,
    streams: HashMap<StreamId, Offset>,
}

impl StreamStore {
    /// What opening each of the open streams would have to go through by now.
    #[must_use]
    pub fn replays(&self) -> Vec<Replay> {
        self.shared.state().replays()
    }

    /// Reads checkpoints, several objects at once; of one object, what lies together by one request. Those that are not
    /// where they should be, or not right, are missing from the answer, and a line in the log says so.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn checkpoints(
        &self,
        wanted: &[(StreamId, Checkpoint)],
    ) -> Result<HashMap<StreamId, Bytes>, levee_object::Error> {
        let mut by_object: BTreeMap<Key, Wanted> = BTreeMap::new();
        for (stream, Checkpoint { offset, object }) in wanted {
            let wanted = by_object
                .entry(object.key.clone())
                .or_insert_with(|| Wanted { object: object.clone(), streams: HashMap::default() });
            wanted.streams.insert(*stream, *offset);
        }
        let found: Vec<_> = stream::iter(by_object.into_values())
            .map(|Wanted { object, streams }| async move {
                match self.checkpoints_of(&object, &streams).await {
                    Ok(found) => Ok(found),
                    Err(ReadError::Store(error)) => Err(error),
                    Err(error) => {
                        let streams = streams.len();
                        tracing::warn!(%error, streams, "checkpoints can't be read: replaying all there is");
                        Ok(Vec::new())
                    }
                }
            })
            .buffer_unordered(READ_OBJECTS)
            .try_collect()
            .await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn checkpoints_of(
        &self,
        object: &ObjectRef,
        wanted: &HashMap<StreamId, Offset>,
    ) -> Result<Vec<(StreamId, Bytes)>, ReadError> {
        let layout = self.shared.index(object, Purpose::Recovery).await?;
        let index = &layout.index;
        let ours = |at: &usize| {
            let block = &index.blocks[*at];
            block.kind == BlockKind::Checkpoint && wanted.get(&block.stream) == Some(&block.offsets.start)
        };
        let places = (0..index.blocks.len()).filter(ours);
        let mut found = Vec::with_capacity(wanted.len());
        for (range, blocks) in together(&index.blocks, places, CHECKPOINT_OBJECT_BYTES as u64) {
            let bytes = self.shared.get(&object.key, range.clone(), Purpose::Recovery).await?;
            for block in blocks.into_iter().map(|at| &index.blocks[at]) {
                let start = (block.position - range.start) as usize;
                let own = bytes.slice(start..start + block.bytes as usize);
                match block.verify(&own) {
                    Ok(()) => found.push((block.stream, own)),
                    Err(what) => {
                        let (key, stream) = (&object.key, block.stream);
                        tracing::warn!(%key, %stream, %what, "a checkpoint is corrupt: replaying all there is");
                    }
                }
            }
        }
        Ok(found)
    }

    /// Writes checkpoints of open streams: in as many objects as it takes, with one commit each.
    ///
    /// # Errors
    /// See [`CompactError`].
    pub async fn write_checkpoints(&self, checkpoints: &[NewCheckpoint]) -> Result<(), CompactError> {
        let mut rest = checkpoints;
        while !rest.is_empty() {
            let mut bytes = 0;
            let taken = rest.iter().take(CHECKPOINT_STREAMS).take_while(|checkpoint| {
                let first = bytes == 0;
                bytes += checkpoint.bytes.len();
                first || bytes <= CHECKPOINT_OBJECT_BYTES
            });
            let (now, later) = rest.split_at(taken.count());
            self.write_object(now).await?;
            rest = later;
        }
        Ok(())
    }

    async fn write_object(&self, checkpoints: &[NewCheckpoint]) -> Result<(), CompactError> {
        let shared = &self.shared;
        let bytes: usize = checkpoints.iter().map(|checkpoint| checkpoint.bytes.len()).sum();
        let index = IndexBuilder::default().encoded_bytes() + checkpoints.len() * IndexBuilder::GROWTH_BYTES;
        let region = shared.copies.take(OBJECT_HEADER_BYTES + bytes + index).ok_or(CompactError::NoRoom)?;
        let number = shared.next_number();
        let mut object = OpenObject::begin(number, region);
        for NewCheckpoint { stream, offset, bytes } in checkpoints {
            object.add_checkpoint(*stream, *offset, bytes);
        }
        let sealed = object.cut().0.seal(ObjectKind::Level1, &shared.stamp(number));
        let mut new = NewObject::of(number, &sealed, Vec::new());
        new.checkpoints =
            checkpoints.iter().map(|checkpoint| (checkpoint.stream, checkpoint.offset)).collect();
        let made = match shared.make(new, sealed, Purpose::Checkpoint).await {
            Ok(made) => made,
            Err(NotCreated::NoSpace) => {
                shared.give_up(&[number]).await?;
                return Err(CompactError::NoRoom);
            }
            Err(NotCreated::Stopped) => return Err(CompactError::Stopped),
        };
        let streams: Vec<StreamId> = checkpoints.iter().map(|checkpoint| checkpoint.stream).collect();
        shared.replace("checkpoints", [made], Vec::new(), &streams).await?;
        shared.metrics.checkpoints.add(checkpoints.len() as u64);
        shared.metrics.checkpoint_bytes.add(bytes as u64);
        Ok(())
    }
}

/// Joins blocks that lie close to each other into one range of `most` bytes, but for a block that is longer.
fn together(
    blocks: &[Block],
    wanted: impl IntoIterator<Item = usize>,
    most: u64,
) -> Vec<(Range<u64>, Vec<usize>)> {
    let mut joined: Vec<(Range<u64>, Vec<usize>)> = Vec::new();
    for at in wanted {
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
