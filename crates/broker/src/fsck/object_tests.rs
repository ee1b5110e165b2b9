//! What the pure checks find in an index and in blocks, fault by fault, and that they find nothing in what is right.

use super::*;
use crate::batch::build::Build;
use crate::batch::{BatchView, header};
use crate::partition::note::Note;
use levee_base::{BrokerEpoch, Epoch};
use levee_store::format::{BatchEntry, IndexBuilder};

const STREAM: StreamId = StreamId(7);
const LEADER_EPOCH: u32 = 3;

/// Blocks of batches, each of a number of records; 0 is a gap of five offsets. Returns the index and the bytes.
fn object(blocks: &[(u64, &[usize])]) -> (Index, Vec<u8>) {
    let mut builder = IndexBuilder::default();
    let mut bytes = vec![0; 4096];
    for (base, batches) in blocks {
        let (start, mut next) = (bytes.len(), *base);
        builder.begin_block(STREAM, LEADER_EPOCH, Offset(*base), start as u64);
        for &records in *batches {
            if records == 0 {
                builder.add_batch(BatchEntry::gap(5), crc32c::crc32c(&bytes[start..]));
                next += 5;
                continue;
            }
            let batch = Build::records(records, 1).at(next as i64, LEADER_EPOCH as i32).bytes();
            let note = Note::of(&BatchView::first(&batch).unwrap(), 1).encode();
            bytes.extend_from_slice(&batch);
            let entry = BatchEntry { count: records as u32, bytes: batch.len() as u32, note: &note };
            builder.add_batch(entry, crc32c::crc32c(&bytes[start..]));
            next += records as u64;
        }
    }
    let mut encoded = Vec::new();
    builder.encode(Epoch(1), 2, |part| encoded.extend_from_slice(part));
    let index = Index::decode(&encoded.into(), bytes.len() as u64).unwrap();
    (index, bytes)
}

fn expected(extents: &[(u64, u64, u64)], checkpoints: &[u64]) -> Expected {
    let name = ObjectName::Data { epoch: BrokerEpoch(1), number: 2 };
    let held = |&(from, to, bytes): &(u64, u64, u64)| Held {
        stream: STREAM,
        range: Offset(from)..Offset(to),
        bytes,
    };
    Expected {
        key: name.key(),
        name,
        total_bytes: 0,
        index: 0..0,
        extents: extents.iter().map(held).collect(),
        checkpoints: checkpoints.iter().map(|&offset| (STREAM, Offset(offset))).collect(),
    }
}

fn blocks(index: &Index, bytes: &[u8]) -> (u64, Vec<Fault>) {
    let mut faults = Vec::new();
    let of = |block: &Block| &bytes[block.position as usize..block.range().end as usize];
    let batches = index.blocks.iter().map(|block| check_block(index, block, of(block), &mut faults)).sum();
    (batches, faults)
}

#[test]
fn what_is_right_has_no_fault() {
    let (index, bytes) = object(&[(10, &[1, 3, 0, 2]), (21, &[0]), (26, &[4])]);
    assert_eq!(blocks(&index, &bytes), (4, vec![]));
    let total: u64 = index.blocks.iter().map(|block| u64::from(block.bytes)).sum();
    assert_eq!(check_extents(&index, &expected(&[(10, 30, total)], &[])), []);
    let last = u64::from(index.blocks[2].bytes);
    assert_eq!(check_extents(&index, &expected(&[(10, 21, total - last), (21, 26, 0)], &[])), []);
    assert_eq!(check_extents(&index, &expected(&[], &[])), [], "what nobody refers to is no fault");
}

#[test]
fn an_extent_that_the_index_has_not_is_found_where_it_ends() {
    let (index, _) = object(&[(10, &[10]), (30, &[10])]);
    let harm = |extents: &[(u64, u64, u64)]| {
        let faults = check_extents(&index, &expected(extents, &[]));
        faults.into_iter().map(|fault| (fault.problem, fault.harm)).collect::<Vec<_>>()
    };
    let lost = |from, to| (Problem::Discontinuous, Harm::Offsets(STREAM, Offset(from)..Offset(to)));
    assert_eq!(harm(&[(10, 40, 0)]), [lost(20, 40)]);
    assert_eq!(harm(&[(5, 20, 0)]), [lost(5, 20)]);
    assert_eq!(harm(&[(15, 20, 0)]), [lost(15, 20)], "an extent begins where a block does");
    let bytes = u64::from(index.blocks[0].bytes);
    assert_eq!(harm(&[(10, 20, bytes)]), []);
    assert_eq!(harm(&[(10, 20, bytes + 1)]), [(Problem::Miscounted, Harm::Nothing)]);
}

#[test]
fn a_checkpoint_that_is_referred_to_must_be_there() {
    let mut builder = IndexBuilder::default();
    builder.add_checkpoint(STREAM, Offset(9), 4096, 4, crc32c::crc32c(b"what"));
    let mut encoded = Vec::new();
    builder.encode(Epoch(1), 2, |part| encoded.extend_from_slice(part));
    let index = Index::decode(&encoded.into(), 4100).unwrap();
    assert_eq!(check_extents(&index, &expected(&[], &[9])), []);
    let faults = check_extents(&index, &expected(&[], &[8]));
    assert_eq!(faults.len(), 1);
    assert_eq!((faults[0].part, &faults[0].harm), (Part::Checkpoint, &Harm::Checkpoint(STREAM, Offset(8))));
    let mut faults = Vec::new();
    assert_eq!(check_block(&index, &index.blocks[0], b"what", &mut faults), 0);
    assert_eq!(faults, []);
    check_block(&index, &index.blocks[0], b"that", &mut faults);
    assert_eq!(faults[0].harm, Harm::Checkpoint(STREAM, Offset(9)));
}

#[test]
fn every_changed_byte_of_a_block_is_found_and_nothing_else_is_said() {
    let (index, bytes) = object(&[(10, &[1, 3]), (14, &[2])]);
    for at in 4096..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let (_, faults) = blocks(&index, &changed);
        assert_eq!(faults.len(), 1, "byte {at}");
        let block = if (at as u64) < index.blocks[1].position { 10..14 } else { 14..16 };
        let range = Offset(block.start)..Offset(block.end);
        assert_eq!((faults[0].part, &faults[0].harm), (Part::Block, &Harm::Offsets(STREAM, range)));
    }
    let (_, faults) = {
        let mut faults = Vec::new();
        (check_block(&index, &index.blocks[0], &bytes[4096..4100], &mut faults), faults)
    };
    assert_eq!(faults[0].part, Part::Block, "cut short");
}

/// The batches of one block, of which `change` changes bytes, under checksums of the block that are right.
fn wrong_batches(change: impl Fn(&mut [u8])) -> Vec<(Part, Harm)> {
    let (index, mut bytes) = object(&[(10, &[1, 3, 2])]);
    change(&mut bytes[4096..]);
    let mut faults = Vec::new();
    batches::check(&index, &index.blocks[0], &bytes[4096..], &mut faults);
    faults.into_iter().map(|fault| (fault.part, fault.harm)).collect()
}

#[test]
fn a_batch_that_contradicts_the_index_is_found() {
    let first = [(Part::Batch, Harm::Offsets(STREAM, Offset(10)..Offset(11)))];
    assert_eq!(wrong_batches(|_| ()), []);
    for at in [0, header::AT_LENGTH, header::AT_MAGIC, header::AT_CRC, header::AT_COUNT, header::HEADER_BYTES]
    {
        assert_eq!(wrong_batches(|bytes| bytes[at] ^= 1), first, "byte {at}");
    }
    assert_eq!(wrong_batches(|bytes| bytes[header::AT_LEADER_EPOCH + 3] ^= 1), first);
    assert_eq!(
        wrong_batches(|bytes| bytes[7] += 1),
        first,
        "the base offset, which has no checksum of its own"
    );
    // A producer that the batch has and the note hasn't, with the batch's checksum made right.
    let other = wrong_batches(|bytes| {
        let length = BatchView::first(bytes).unwrap().bytes().len();
        bytes[header::AT_PRODUCER_ID + 7] ^= 1;
        let crc = BatchView::first(bytes).unwrap().computed_crc();
        bytes[header::AT_CRC..header::AT_CRC + 4].copy_from_slice(&crc.to_be_bytes());
        assert!(length > header::HEADER_BYTES);
    });
    assert_eq!(other, first);
}

#[test]
fn pieces_hold_every_block_with_bytes_once_and_are_no_longer_than_asked_for() {
    let (index, _) = object(&[(0, &[1]), (1, &[0]), (6, &[30]), (36, &[1]), (37, &[1])]);
    let one = u64::from(index.blocks[0].bytes);
    for most in [1, one, 2 * one, 1 << 20] {
        let pieces = pieces(&index.blocks, most);
        for (range, members) in &pieces {
            assert!(range.end - range.start <= most || members.len() == 1, "{most}: {pieces:?}");
        }
        for (at, block) in index.blocks.iter().enumerate().filter(|(_, block)| block.bytes > 0) {
            let holding: Vec<_> = pieces.iter().filter(|(_, members)| members.contains(&at)).collect();
            assert_eq!(holding.len(), 1);
            assert!(holding[0].0.start <= block.position && block.range().end <= holding[0].0.end);
        }
    }
}
