//! What a writer left behind: fencing its epoch, and reading headers and indexes of its un-trimmed objects.
//!
//! Reads nothing but the store, and no records. The first read of an object takes its first 64 KiB, so a small
//! one costs one GET; a larger one's index is read by a second, several at once. What comes back is what the
//! closing commit registers. That commit is the fence's check: until it is accepted nothing read here may be
//! used. Running twice, or on two brokers at once, does no harm: both find the same fence.
//!
//! The offsets of a stream in one leader epoch must be contiguous from object to object. They are when Levee wrote
//! them; anything else is an error that names the object, since guessing would lose records silently.

use crate::format::{BlockKind, FormatError, Index, ObjectHeader};
use crate::read::decode_index;
use crate::registrar::{ObjectRef, Registration};
use futures::{StreamExt, TryStreamExt, stream};
use levee_base::limits::{OBJECT_HEAD_BYTES, RECOVERY_INDEXES};
use levee_base::{BrokerEpoch, Epoch, HashMap, LogPosition, Offset, Slot, StreamId, WriterId};
use levee_object::log::{self, LogContext, SlotRead, fence_epoch, patiently};
use levee_object::{Key, Purpose};
use std::sync::Arc;

/// Why an epoch can't be recovered.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RecoverError {
    /// The log itself can't be read.
    #[error(transparent)]
    Log(#[from] log::ReadError),
    /// An object is gone, or shorter than its header says.
    #[error(transparent)]
    Store(#[from] levee_object::Error),
    /// An object is not what it should be.
    #[error("{key} is corrupt: {what}. Restore it from a backup")]
    Corrupt {
        /// The object.
        key: Key,
        /// What is wrong.
        what: FormatError,
    },
    /// An object does not go on where the one before it ends.
    #[error(
        "{key} holds offset {found} of stream {stream} (leader epoch {leader_epoch}) where {expected} is due: \
         restore the objects before it from a backup"
    )]
    Gap {
        /// The object.
        key: Key,
        /// The stream.
        stream: StreamId,
        /// Its leader epoch.
        leader_epoch: u32,
        /// The offset due.
        expected: Offset,
        /// The offset found.
        found: Offset,
    },
}

/// The decoded indexes that a recovery has read.
#[derive(Debug, Clone, Default)]
pub struct RecoveredIndexes(pub(crate) Vec<(Key, Arc<Index>)>);

/// An epoch that was ended.
#[derive(Debug, Clone)]
pub struct Recovered {
    /// Its fence: the epoch is exactly the slots before it.
    pub fence: Slot,
    /// Its objects from the slot asked for to the fence, to be registered in place.
    pub objects: Vec<Registration>,
    /// Their indexes, for `StreamStore::keep_indexes`.
    pub indexes: RecoveredIndexes,
}

/// An object whose header has been read.
struct Headed {
    slot: Slot,
    object: ObjectRef,
    /// When it was in what was read with the header.
    index: Option<Index>,
}

/// Ends `epoch` for good and reads what it holds from its trim point `from` on. `writer` names who fences.
///
/// # Errors
/// When the log or an object can't be read, or objects contradict each other. The store's passing failures are
/// waited out.
pub async fn recover(
    ctx: &LogContext,
    epoch: BrokerEpoch,
    from: Slot,
    writer: WriterId,
) -> Result<Recovered, RecoverError> {
    let epoch = Epoch::from(epoch);
    let mut heads = Vec::new();
    let fence = fence_epoch(ctx, epoch, from, writer, Some(OBJECT_HEAD_BYTES as u64), |read| {
        heads.push(head(ctx, epoch, &read));
    })
    .await?;
    let read: Vec<(Headed, Arc<Index>)> = stream::iter(heads)
        .map(|head| async move {
            let mut head = head?;
            let index = match head.index.take() {
                Some(index) => index,
                None => {
                    let ObjectRef { key, index, .. } = &head.object;
                    let get = || ctx.store.get(key, Some(index.clone()), Purpose::Recovery);
                    let bytes =
                        patiently(ctx.clock, &ctx.random, "reading an object's index", key, get).await?;
                    decode_index(&head.object, &bytes)
                        .map_err(|what| RecoverError::Corrupt { key: key.clone(), what })?
                }
            };
            Ok::<_, RecoverError>((head, Arc::new(index)))
        })
        .buffered(RECOVERY_INDEXES)
        .try_collect()
        .await?;
    check_contiguous(&read)?;
    let objects = read
        .iter()
        .map(|(head, index)| {
            Registration::of(head.slot, head.object.total_bytes, head.object.index.clone(), index)
        })
        .collect();
    let indexes = RecoveredIndexes(read.into_iter().map(|(head, index)| (head.object.key, index)).collect());
    Ok(Recovered { fence: fence.at, objects, indexes })
}

fn head(ctx: &LogContext, epoch: Epoch, read: &SlotRead) -> Result<Headed, RecoverError> {
    let key = ctx.key(LogPosition { epoch, slot: read.slot });
    let corrupt = |what| RecoverError::Corrupt { key: key.clone(), what };
    let header = ObjectHeader::decode(&read.bytes).map_err(corrupt)?;
    let same = header.cluster == read.header.cluster
        && (header.epoch, header.number) == (read.header.epoch, read.header.slot.0)
        && (header.writer, header.total_bytes) == (read.header.writer, read.header.total_bytes);
    if !same {
        return Err(corrupt(FormatError::Inconsistent {
            part: "object header",
            what: "it does not agree with the log's header",
        }));
    }
    let object = ObjectRef { key: key.clone(), total_bytes: header.total_bytes, index: header.index.clone() };
    let end = usize::try_from(header.index.end).unwrap_or(usize::MAX);
    let index = match read.bytes.get(header.index.start as usize..end) {
        // A copy, so as not to keep the rest of what was read.
        Some(bytes) => Some(decode_index(&object, &bytes.to_vec().into()).map_err(corrupt)?),
        None => None,
    };
    Ok(Headed { slot: read.slot, object, index })
}

fn check_contiguous(objects: &[(Headed, Arc<Index>)]) -> Result<(), RecoverError> {
    let mut ends: HashMap<(StreamId, u32), Offset> = HashMap::default();
    for (head, index) in objects {
        for block in index.blocks.iter().filter(|block| block.kind == BlockKind::Batches) {
            let (stream, leader_epoch) = (block.stream, block.leader_epoch);
            if let Some(expected) = ends.insert((stream, leader_epoch), block.offsets.end)
                && expected != block.offsets.start
            {
                let (key, found) = (head.object.key.clone(), block.offsets.start);
                return Err(RecoverError::Gap { key, stream, leader_epoch, expected, found });
            }
        }
    }
    Ok(())
}
