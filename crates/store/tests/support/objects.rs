//! Registered objects as compaction would leave them, made by hand: any layout, with gaps.

use levee_base::{Epoch, Offset, Random, StreamId};
use levee_object::{Key, Purpose, Store};
use levee_store::format::{BatchEntry, BlockKind, IndexBuilder};
use levee_store::{Extent, NewExtent, ObjectRef};
use std::sync::{Arc, OnceLock};

/// Offsets of every batch and gap that is made here.
pub const COUNT: u32 = 2;

/// The bytes of the batch of a stream at an offset, which it begins with.
pub fn batch(stream: u64, base: u64, bytes: usize) -> Vec<u8> {
    const NOISE: usize = 1 << 17;
    static NOISES: OnceLock<Vec<u8>> = OnceLock::new();
    let noise = NOISES.get_or_init(|| {
        let random = Random::seeded(7);
        (0..NOISE / 4).flat_map(|_| random.next_u64().to_le_bytes()).collect()
    });
    let start = ((stream * 7_919 + base * 104_729) % NOISE as u64) as usize;
    let mut made = noise[start..start + bytes].to_vec();
    made[..8].copy_from_slice(&base.to_le_bytes());
    made
}

/// Creates `data/1/<number>` with these blocks: a stream, where the block begins, and the lengths of its batches, 0 for
/// gaps. Returns its extents.
pub async fn object(
    store: &dyn Store,
    number: u64,
    blocks: &[(u64, u64, Vec<usize>)],
) -> Vec<(StreamId, Extent)> {
    let mut builder = IndexBuilder::default();
    let mut bytes = vec![0; 4_096];
    for (stream, base, batches) in blocks {
        let (start, mut at) = (bytes.len(), *base);
        builder.begin_block(StreamId(*stream), 0, Offset(at), start as u64);
        for length in batches {
            if *length > 0 {
                bytes.extend(batch(*stream, at, *length));
            }
            let entry = BatchEntry { count: COUNT, bytes: *length as u32, note: &[] };
            builder.add_batch(entry, crc32c::crc32c(&bytes[start..]));
            at += u64::from(COUNT);
        }
    }
    let start = bytes.len() as u64;
    builder.encode(Epoch(1), number, |part| bytes.extend_from_slice(part));
    let index = start..bytes.len() as u64;
    let encoded = bytes[start as usize..].to_vec().into();
    let decoded = builder.into_index(Epoch(1), number, &encoded);
    assert!(decoded.blocks.iter().all(|block| block.kind == BlockKind::Batches));
    let key = Key::new("data").unwrap().join_number(1).join_number(number);
    let object = Arc::new(ObjectRef { key: key.clone(), total_bytes: bytes.len() as u64, index });
    store.create(&key, bytes.into(), Purpose::Compact).await.unwrap();
    let extents = NewExtent::all_of(&decoded).into_iter();
    extents
        .map(|NewExtent { stream, range, bytes, .. }| {
            (stream, Extent { range, bytes, object: object.clone() })
        })
        .collect()
}
