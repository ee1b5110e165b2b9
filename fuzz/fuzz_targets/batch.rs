//! Record batches as clients send them: finding the one batch, its validation under every kind of topic, and the
//! iteration over its records, raw and as each codec would deliver them. Magic and CRC are set, as random bytes
//! never have them; unpacking is bounded, so a run with `-malloc_limit_mb` finds what escapes the bound.

#![no_main]

use levee_broker::batch::header::HEADER_BYTES;
use levee_broker::batch::{BatchView, Rules, TimestampType, records, split, validate};
use libfuzzer_sys::fuzz_target;
use std::io::Write;

const UNPACKED_BYTES: usize = 1 << 20;

fuzz_target!(|input: (u8, u8, Vec<u8>)| {
    let (version, options, mut bytes) = input;
    let rules = Rules {
        max_message_bytes: if options & 1 == 0 { UNPACKED_BYTES / 64 } else { 1 << 20 },
        timestamp_type: if options & 2 == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        },
        timestamp_before_max_ms: if options & 4 == 0 { i64::MAX } else { 1_000 },
        compacted: options & 8 != 0,
        ..Rules::default()
    };
    let version = i16::from(version % 14);
    let _ = split::sole(&bytes);
    let _ = validate::check(&mut bytes.clone(), version, &rules, 1_000_000);
    if bytes.len() < HEADER_BYTES {
        return;
    }
    // The bytes as they are, and the same taken for what lies within each codec.
    let packed = (options >> 4) % 6;
    if packed > 0 {
        let payload = pack(packed, &bytes[HEADER_BYTES..]);
        bytes.truncate(HEADER_BYTES);
        bytes.extend_from_slice(&payload);
        let id = [0, 1, 2, 3, 4, 2][usize::from(packed)];
        bytes[22] = bytes[22] & !7 | id;
    }
    seal(&mut bytes);
    if let Some(batch) = BatchView::first(&bytes) {
        iterate(&batch);
    }
    // Given a body that may pass, and one in which every check is left to the bytes.
    let _ = validate::check(&mut bytes.clone(), version, &rules, 1_000_000);
    bytes[..8].fill(0);
    let count = i32::from(bytes[60]).max(1);
    bytes[23..27].copy_from_slice(&(count - 1).to_be_bytes());
    bytes[57..61].copy_from_slice(&count.to_be_bytes());
    bytes[21] = 0;
    bytes[22] &= 0x0f;
    seal(&mut bytes);
    if let Ok(checked) = validate::check(&mut bytes, version, &rules, 1_000_000) {
        let view = checked.view();
        assert_eq!(view.crc(), view.computed_crc());
        assert!(checked.count() > 0 && view.bytes().len() <= rules.max_message_bytes);
    }
});

fn iterate(batch: &BatchView<'_>) {
    let Ok(all) = records::open(batch, UNPACKED_BYTES) else { return };
    let mut count = 0;
    for record in all {
        count += 1;
        if record.is_err() {
            break;
        }
    }
    // A record has seven bytes at least, so no count makes the iteration longer than its input.
    assert!(count <= UNPACKED_BYTES / 2);
}

/// Makes `bytes` one batch, whose length, magic and CRC are right.
fn seal(bytes: &mut [u8]) {
    let length = i32::try_from(bytes.len() - 12).expect("the input is small");
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[16] = 2;
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
}

fn pack(codec: u8, bytes: &[u8]) -> Vec<u8> {
    const FAILS_NEVER: &str = "a vector takes everything";
    match codec {
        1 => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            out.write_all(bytes).expect(FAILS_NEVER);
            out.finish().expect(FAILS_NEVER)
        }
        2 => snap::raw::Encoder::new().compress_vec(bytes).expect(FAILS_NEVER),
        3 => {
            let mut out = lz4_flex::frame::FrameEncoder::new(Vec::new());
            out.write_all(bytes).expect(FAILS_NEVER);
            out.finish().expect(FAILS_NEVER)
        }
        4 => zstd::encode_all(bytes, 1).expect(FAILS_NEVER),
        // snappy-java's framing, with as many blocks as bytes allow.
        _ => {
            let mut out = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
            for block in bytes.chunks(64) {
                let block = snap::raw::Encoder::new().compress_vec(block).expect(FAILS_NEVER);
                out.extend_from_slice(&u32::try_from(block.len()).expect("a block is small").to_be_bytes());
                out.extend_from_slice(&block);
            }
            out
        }
    }
}
