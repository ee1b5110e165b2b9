//! What the store tells the metadata and asks of it: which objects hold which offsets of which streams.
//!
//! What doesn't belong here: how the metadata keeps that, and who leads a stream.

use crate::format::{BlockKind, Index};
use crate::open_object::SealedObject;
use async_trait::async_trait;
use levee_base::{BrokerEpoch, Offset, Slot, StreamId};
use levee_object::Key;
use std::ops::Range;
use std::sync::Arc;

/// An object that is registered: where it is, and where its index is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectRef {
    /// Its key.
    pub key: Key,
    /// Its length in bytes.
    pub total_bytes: u64,
    /// Where its index lies, in bytes from its start.
    pub index: Range<u64>,
}

/// A contiguous part of a stream, in one registered object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// Its offsets.
    pub range: Range<Offset>,
    /// Bytes of its batches.
    pub bytes: u64,
    /// The object, shared by all extents in it.
    pub object: Arc<ObjectRef>,
}

/// What the metadata says of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Registered {
    /// Where it begins.
    pub start: Offset,
    /// Where it lies, contiguous. Without any it ends where it begins.
    pub extents: Vec<Extent>,
    /// Its newest checkpoint.
    pub checkpoint: Option<Checkpoint>,
}

/// Where a checkpoint of a stream is: what its owner knew of it, so that it need not replay what lies before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// As of which offset: all batches below count.
    pub offset: Offset,
    /// The object that holds it.
    pub object: Arc<ObjectRef>,
}

/// A contiguous part of a stream in an object that is to be registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewExtent {
    /// Whose it is.
    pub stream: StreamId,
    /// Under which of its leaders it was written. Of what compaction made: under which its first batch was.
    pub leader_epoch: u32,
    /// Its offsets.
    pub range: Range<Offset>,
    /// Bytes of its batches.
    pub bytes: u64,
}

impl NewExtent {
    /// The extents of an index, in the order of their first blocks. Blocks of one stream and leader epoch that continue
    /// each other are one extent.
    #[must_use]
    pub fn all_of(index: &Index) -> Vec<Self> {
        Self::joined(index, |a, b| a == b)
    }

    /// As [`NewExtent::all_of`], where leader epochs don't divide.
    pub(crate) fn across_epochs(index: &Index) -> Vec<Self> {
        Self::joined(index, |_, _| true)
    }

    fn joined(index: &Index, same_epoch: impl Fn(u32, u32) -> bool) -> Vec<Self> {
        let mut extents: Vec<Self> = Vec::new();
        let mut last = levee_base::HashMap::default();
        for block in index.blocks.iter().filter(|block| block.kind == BlockKind::Batches) {
            let bytes = u64::from(block.bytes);
            match last.get(&block.stream).map(|&at: &usize| &mut extents[at]) {
                Some(extent)
                    if same_epoch(extent.leader_epoch, block.leader_epoch)
                        && extent.range.end == block.offsets.start =>
                {
                    extent.range.end = block.offsets.end;
                    extent.bytes += bytes;
                }
                _ => {
                    last.insert(block.stream, extents.len());
                    extents.push(Self {
                        stream: block.stream,
                        leader_epoch: block.leader_epoch,
                        range: block.offsets.clone(),
                        bytes,
                    });
                }
            }
        }
        extents
    }
}

/// What metadata keeps about a write-ahead log object where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Its slot.
    pub slot: Slot,
    /// Its length in bytes.
    pub total_bytes: u64,
    /// Where its index lies, in bytes from its start.
    pub index: Range<u64>,
    /// What is promoted of it, in the order of the first blocks. Without any it is garbage.
    pub extents: Vec<NewExtent>,
}

impl Registration {
    /// All of an object.
    #[must_use]
    pub fn of(slot: Slot, total_bytes: u64, index_range: Range<u64>, index: &Index) -> Self {
        Self { slot, total_bytes, index: index_range, extents: NewExtent::all_of(index) }
    }
}

/// An object that was gathered or compacted, to be registered: `data/<epoch>/<number>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewObject {
    /// Its number among those that its maker's epoch makes. None is used twice.
    pub number: u64,
    /// Its length in bytes.
    pub total_bytes: u64,
    /// Where its index lies, in bytes from its start.
    pub index: Range<u64>,
    /// What it holds.
    pub extents: Vec<NewExtent>,
    /// The streams whose other state it holds, and as of which offset.
    pub checkpoints: Vec<(StreamId, Offset)>,
}

impl NewObject {
    pub(crate) fn of(number: u64, sealed: &SealedObject, extents: Vec<NewExtent>) -> Self {
        let (total_bytes, index) = (sealed.bytes.len() as u64, sealed.index_range.clone());
        Self { number, total_bytes, index, extents, checkpoints: Vec::new() }
    }
}

/// The oldest durable objects of a write-ahead log, to be registered and trimmed in one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trim {
    /// Whose log.
    pub epoch: BrokerEpoch,
    /// The new trim point: the first slot that is not trimmed.
    pub to: Slot,
    /// All objects from the old trim point to the new one.
    pub objects: Vec<Registration>,
    /// What was gathered from them. Extents of both kinds together continue their streams.
    pub uploads: Vec<NewObject>,
}

/// The part of a stream that compaction has written anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// Whose it is.
    pub stream: StreamId,
    /// Its offsets: where an extent begins, and where one ends.
    pub range: Range<Offset>,
    /// The objects that hold it until now, in the order of the extents.
    pub objects: Vec<Key>,
}

/// New objects in the place of parts of streams, in one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// Who made the objects.
    pub epoch: BrokerEpoch,
    /// The objects. Their extents tile what is replaced.
    pub objects: Vec<NewObject>,
    /// What is replaced.
    pub replaced: Vec<Replaced>,
}

/// Why something was not committed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistrarError {
    /// Not now; the same will be asked for again.
    #[error("the metadata can't commit it now: {0}")]
    Unavailable(String),
    /// Never. Of a trim: this epoch is out, and the store stops.
    #[error("the metadata refuses it: {0}")]
    Refused(String),
}

/// Commits to the metadata. `Ok` once it is durable. A call is repeated with the same arguments when its outcome is
/// not known: the second succeeds as well.
#[async_trait]
pub trait Registrar: Send + Sync + 'static {
    /// Registers the objects and moves the trim point, both or neither.
    ///
    /// # Errors
    /// See [`RegistrarError`].
    async fn trim(&self, trim: Trim) -> Result<(), RegistrarError>;

    /// Replaces parts of streams by other objects that hold the same offsets. A stream that is gone, or held by
    /// other objects by now, is left out, and the rest goes on. Returns how many parts were left out.
    ///
    /// # Errors
    /// See [`RegistrarError`].
    async fn replace(&self, replacement: Replacement) -> Result<u32, RegistrarError>;

    /// The objects of these numbers of `epoch` will never be registered: they are garbage if they exist.
    ///
    /// # Errors
    /// See [`RegistrarError`].
    async fn abandon(&self, epoch: BrokerEpoch, numbers: Vec<u64>) -> Result<(), RegistrarError>;

    /// What the metadata says of streams by now. Those that are gone, or led by another, are left out.
    fn streams(&self, epoch: BrokerEpoch, streams: &[StreamId]) -> Vec<(StreamId, Registered)>;
}
