//! Making an object of level 1 out of blocks in memory.

use super::gather::Gathered;
use crate::format::{IndexBuilder, ObjectKind};
use crate::open_object::{OpenObject, SealedObject};
use crate::pool::Pool;
use crate::registrar::{NewExtent, NewObject};
use crate::types::NewBatch;
use levee_base::BrokerEpoch;
use levee_base::limits::{COPY_STEP_BYTES, OBJECT_HEADER_BYTES};
use levee_object::Key;
use levee_object::log::Stamp;

/// Where the objects of an epoch are that are no write-ahead log's.
///
/// # Panics
/// Never: the key is made of a number.
#[must_use]
pub fn data_prefix(epoch: BrokerEpoch) -> Key {
    Key::new("data").expect("a word makes a key").join_number(epoch.0)
}

/// Copies what `gathered` says into one object, sorted by stream. Gives way to others between the copying of parts.
/// `None` when the memory is not to be had.
pub(crate) async fn make(
    gathered: &Gathered,
    stamp: &Stamp,
    pool: &Pool,
) -> Option<(NewObject, SealedObject)> {
    let mut parts = gathered.parts.clone();
    parts.sort_unstable();
    // Every part may begin a block, and its batches take what they took in the indexes that they come from.
    let index = IndexBuilder::default().encoded_bytes() + parts.len() * IndexBuilder::GROWTH_BYTES;
    let needed = OBJECT_HEADER_BYTES + gathered.copied_bytes + index + gathered.index_bytes;
    let number = stamp.slot.0;
    let mut object = OpenObject::begin(number, pool.take(needed)?);
    let mut copied = 0;
    for part in parts {
        let source = &gathered.sources[part.source];
        let block = &source.index.blocks[part.block];
        let (mut base, mut at) = (block.offsets.start, block.position as usize);
        for entry in source.index.batches(block) {
            let end = at + entry.bytes as usize;
            let batch = NewBatch { bytes: &source.bytes[at..end], count: entry.count, note: entry.note };
            object.add(block.stream, block.leader_epoch, base, &batch);
            base.0 += u64::from(entry.count);
            at = end;
        }
        copied += block.bytes as usize;
        if copied >= COPY_STEP_BYTES {
            copied = 0;
            tokio::task::yield_now().await;
        }
    }
    let sealed = object.cut().0.seal(ObjectKind::Level1, stamp);
    let new = NewObject::of(number, &sealed, NewExtent::all_of(&sealed.index));
    Some((new, sealed))
}
