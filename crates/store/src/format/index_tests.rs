//! The index: round trips, and that no bytes panic it or pass for what they are not.

use super::*;
use proptest::prelude::*;

#[derive(Debug, Clone)]
struct Made {
    stream: u64,
    leader_epoch: u32,
    base: u64,
    gap: u64,
    crc: u32,
    batches: Vec<(u32, u32, Vec<u8>)>,
}

prop_compose! {
    fn made()(
        stream in any::<u64>(), leader_epoch in any::<u32>(), base in 0u64..1 << 60, gap in 0u64..9_999,
        crc in any::<u32>(),
        batches in prop::collection::vec(
            (1u32.., 0u32..1 << 20, prop::collection::vec(any::<u8>(), 0..=BATCH_NOTE_BYTES)), 1..9),
        gaps in any::<u8>(),
    ) -> Made {
        let is_gap = |at: usize| gaps >> at & 3 == 3;
        let batches = batches.into_iter().enumerate().map(|(at, (count, bytes, note))| {
            if is_gap(at) { (count, 0, Vec::new()) } else { (count, bytes.max(1), note) }
        });
        let batches = batches.collect();
        Made { stream, leader_epoch, base, gap, crc, batches }
    }
}

/// Builds an index of the blocks and returns it encoded, with the position it stands at.
fn build(made: &[Made]) -> (IndexBuilder, Bytes, u64) {
    let mut builder = IndexBuilder::default();
    let mut position = OBJECT_HEADER_BYTES as u64;
    for block in made {
        position += block.gap;
        builder.begin_block(StreamId(block.stream), block.leader_epoch, Offset(block.base), position);
        for (count, bytes, note) in &block.batches {
            builder.add_batch(BatchEntry { count: *count, bytes: *bytes, note }, block.crc);
            position += u64::from(*bytes);
        }
        builder.add_checkpoint(StreamId(block.stream), Offset(block.base), position, 10, block.crc);
        position += 10;
    }
    let mut encoded = Vec::new();
    builder.encode(Epoch(7), 9, |bytes| encoded.extend_from_slice(bytes));
    (builder, encoded.into(), position)
}

fn with_checksum(mut bytes: Vec<u8>) -> Bytes {
    let at = bytes.len() - CRC_BYTES;
    let crc = crc32c::crc32c(&bytes[..at]);
    bytes[at..].copy_from_slice(&crc.to_le_bytes());
    bytes.into()
}

/// What a decoded index promises to whoever uses it without checking again.
fn assert_sound(index: &Index, position: u64) {
    let mut end = OBJECT_HEADER_BYTES as u64;
    for block in &index.blocks {
        assert!(block.position >= end && block.range().end <= position);
        end = block.range().end;
        let batches: Vec<_> = index.batches(block).collect();
        assert_eq!(batches.len(), block.batches as usize);
        let offsets: u64 = batches.iter().map(|b| u64::from(b.count)).sum();
        assert_eq!(block.offsets.end.0 - block.offsets.start.0, offsets);
        if block.kind == BlockKind::Batches {
            assert_eq!(batches.iter().map(|b| u64::from(b.bytes)).sum::<u64>(), u64::from(block.bytes));
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(made in prop::collection::vec(made(), 0..8)) {
        let (builder, encoded, position) = build(&made);
        prop_assert_eq!(encoded.len(), builder.encoded_bytes());
        let decoded = Index::decode(&encoded, position).unwrap();
        assert_sound(&decoded, position);
        let direct = builder.into_index(Epoch(7), 9, &encoded);
        prop_assert_eq!((decoded.epoch, decoded.number), (Epoch(7), 9));
        prop_assert_eq!(&decoded.blocks, &direct.blocks);
        prop_assert_eq!(&decoded.entries, &direct.entries);
        let checkpoints = decoded.blocks.iter().filter(|block| block.kind == BlockKind::Checkpoint);
        prop_assert!(checkpoints.clone().all(|block| block.bytes == 10 && decoded.batches(block).count() == 0));
        prop_assert_eq!(checkpoints.count(), made.len());
        let blocks = decoded.blocks.iter().filter(|block| block.kind == BlockKind::Batches);
        for (block, made) in blocks.zip(&made) {
            let read: Vec<_> = decoded.batches(block).map(|b| (b.count, b.bytes, b.note.to_vec())).collect();
            prop_assert_eq!(&read, &made.batches);
        }
    }

    #[test]
    fn changed_and_cut_bytes_are_noticed(
        made in prop::collection::vec(made(), 0..5), at in any::<prop::sample::Index>(), flip in 1u8..,
    ) {
        let (_, encoded, position) = build(&made);
        let at = at.index(encoded.len());
        let mut changed = encoded.to_vec();
        changed[at] ^= flip;
        prop_assert!(Index::decode(&changed.into(), position).is_err());
        prop_assert!(Index::decode(&encoded.slice(..at), position).is_err());
    }

    /// Changes under a checksum that is right again: refused, or still sound.
    #[test]
    fn what_passes_is_sound(
        made in prop::collection::vec(made(), 0..5),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let (_, encoded, position) = build(&made);
        let mut changed = encoded.to_vec();
        for (at, byte) in changes {
            let at = at.index(changed.len() - CRC_BYTES);
            changed[at] = byte;
        }
        if let Ok(index) = Index::decode(&with_checksum(changed), position) {
            assert_sound(&index, position);
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), position in any::<u64>()) {
        let _ = Index::decode(&Bytes::from(bytes.clone()), position);
        if bytes.len() > 36 {
            let mut bytes = bytes;
            bytes[..4].copy_from_slice(&MAGIC);
            bytes[4..6].copy_from_slice(&VERSION.to_le_bytes());
            let blocks = u32::from(bytes[24] % 4);
            bytes[24..28].copy_from_slice(&blocks.to_le_bytes());
            if let Ok(index) = Index::decode(&with_checksum(bytes), position) {
                assert_sound(&index, position);
            }
        }
    }
}

#[test]
fn a_gap_is_refused_where_there_were_none_yet() {
    let block = Made {
        stream: 1,
        leader_epoch: 0,
        base: 0,
        gap: 0,
        crc: 0,
        batches: vec![(5, 0, vec![]), (1, 3, vec![])],
    };
    let (_, encoded, position) = build(&[block]);
    assert!(Index::decode(&encoded, position).is_ok());
    let mut first = encoded.to_vec();
    first[4..6].copy_from_slice(&1u16.to_le_bytes());
    let error = Index::decode(&with_checksum(first), position).unwrap_err();
    assert_eq!(error, inconsistent("a batch is empty, or its note too long"));
}
