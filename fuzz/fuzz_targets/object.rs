//! An object's header and index, as a recovery and every reader decode them. Random bytes never have the right
//! magics and checksums, so those are set first; the checks behind them are what is fuzzed.

#![no_main]

use bytes::Bytes;
use levee_base::limits::{BATCH_NOTE_BYTES, LOG_HEADER_BYTES, OBJECT_HEADER_BYTES};
use levee_base::{Epoch, Offset, StreamId};
use levee_store::format::{BatchEntry, BlockKind, Index, IndexBuilder, ObjectHeader};
use libfuzzer_sys::fuzz_target;

/// A block: stream, base offset, and of each batch the count, the size and the note.
type Laid = (u8, u32, Vec<(u16, u16, Vec<u8>)>);

fuzz_target!(|input: (u8, u64, Vec<Laid>, Vec<u8>)| {
    let (mode, position, blocks, bytes) = input;
    match mode % 3 {
        0 => object_header(bytes),
        1 => index(bytes, position),
        _ => damaged_index(&blocks, &bytes),
    }
});

/// An index as a writer makes it, with some of its bytes changed: each pair of `changes` adds to one byte.
fn damaged_index(blocks: &[Laid], changes: &[u8]) {
    let (mut builder, mut position) = (IndexBuilder::default(), OBJECT_HEADER_BYTES as u64);
    for (stream, base, batches) in blocks.iter().filter(|(.., batches)| !batches.is_empty()) {
        builder.begin_block(StreamId((*stream).into()), 0, Offset((*base).into()), position);
        for (count, bytes, note) in batches {
            let (count, bytes) = (u32::from(*count).max(1), u32::from(*bytes).max(1));
            let note = &note[..note.len().min(BATCH_NOTE_BYTES)];
            builder.add_batch(BatchEntry { count, bytes, note }, 0);
            position += u64::from(bytes);
        }
    }
    let mut encoded = Vec::new();
    builder.encode(Epoch(1), 2, |part| encoded.extend_from_slice(part));
    if changes.len() < 2 {
        let decoded = Index::decode(&encoded.into(), position).expect("what is written is read");
        assert_eq!(decoded.blocks, builder.blocks());
        return;
    }
    encoded.truncate(encoded.len() - 4);
    for change in changes.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % encoded.len();
        encoded[at] = encoded[at].wrapping_add(change[2]);
    }
    index(encoded, position);
}

fn object_header(fields: Vec<u8>) {
    // As they are: cut short, or without a magic.
    let _ = ObjectHeader::decode(&fields);
    let mut head = [0; OBJECT_HEADER_BYTES];
    let from = LOG_HEADER_BYTES;
    let count = fields.len().min(OBJECT_HEADER_BYTES - from - 12);
    head[from..from + 8].copy_from_slice(b"LEVEEOBJ");
    head[from + 8..from + 8 + count].copy_from_slice(&fields[..count]);
    let crc = crc32c::crc32c(&head[from..OBJECT_HEADER_BYTES - 4]);
    head[OBJECT_HEADER_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
    if let Ok(decoded) = ObjectHeader::decode(&head) {
        assert!(decoded.index.start < decoded.index.end && decoded.index.end <= decoded.total_bytes);
        let mut again = [0; OBJECT_HEADER_BYTES];
        decoded.write(&mut again);
        assert_eq!(ObjectHeader::decode(&again).as_ref(), Ok(&decoded));
    }
}

fn index(mut bytes: Vec<u8>, position: u64) {
    let _ = Index::decode(&Bytes::copy_from_slice(&bytes), position);
    if bytes.len() < 6 {
        return;
    }
    bytes[..6].copy_from_slice(b"LVIX\x01\0");
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    let Ok(index) = Index::decode(&bytes.into(), position) else { return };
    // What has been accepted adds up, and is what its writer would write again.
    let mut builder = IndexBuilder::default();
    let (mut end, mut whole) = (OBJECT_HEADER_BYTES as u64, true);
    for block in &index.blocks {
        assert!(end <= block.position && block.range().end <= position);
        end = block.range().end;
        whole &= block.kind == BlockKind::Batches;
        builder.begin_block(block.stream, block.leader_epoch, block.offsets.start, block.position);
        let (mut offsets, mut size, mut batches) = (0, 0, 0);
        for entry in index.batches(block) {
            offsets += u64::from(entry.count);
            size += u64::from(entry.bytes);
            batches += 1;
            builder.add_batch(entry, block.crc);
        }
        assert_eq!((offsets, batches), (block.offsets.end.0 - block.offsets.start.0, block.batches));
        assert!(!whole || size == u64::from(block.bytes));
    }
    if whole {
        let mut again = Vec::new();
        builder.encode(index.epoch, index.number, |part| again.extend_from_slice(part));
        let again = Index::decode(&again.into(), position).expect("what was accepted is accepted again");
        assert_eq!((again.epoch, again.number, &again.blocks), (index.epoch, index.number, &index.blocks));
    }
}
