//! One small object, byte by byte, so that the format can't drift unnoticed. When this fails, objects that are
//! out there can't be read any more: raise a version and keep reading the old one instead of changing it here.

use crate::format::ObjectKind;
use crate::open_object::OpenObject;
use crate::pool::Pool;
use crate::types::NewBatch;
use expect_test::{Expect, expect};
use levee_base::limits::PAGE;
use levee_base::{ClusterId, Epoch, Offset, Slot, StreamId, WriterId};
use levee_object::log::Stamp;
use std::fmt::Write;
use std::sync::Arc;

/// 16 bytes a line; lines of zeros are left out.
fn check(bytes: &[u8], expect: &Expect) {
    let mut dump = format!("{} bytes\n", bytes.len());
    for (line, row) in bytes.chunks(16).enumerate().filter(|(_, row)| row.iter().any(|b| *b != 0)) {
        write!(dump, "{:04x}:", line * 16).unwrap();
        row.iter().for_each(|byte| write!(dump, " {byte:02x}").unwrap());
        dump.push('\n');
    }
    expect.assert_eq(&dump);
}

#[test]
fn a_small_object_is_what_it_always_was() {
    let pool = Pool::new(4 * PAGE, 1, Arc::default());
    let mut object = OpenObject::begin(3, pool.take(1).unwrap());
    let batch = |bytes: &'static [u8], count, note: &'static [u8]| NewBatch { bytes, count, note };
    object.add(StreamId(1), 5, Offset(100), &batch(b"first", 2, b"n1"));
    object.add(StreamId(1), 5, Offset(102), &batch(b"second", 1, b""));
    object.add(StreamId(2), 0, Offset(0), &batch(b"third", 0x0102_0304, b"note"));
    let stamp = Stamp {
        cluster: ClusterId(uuid::Uuid::from_u128(0xc0)),
        epoch: Epoch(7),
        slot: Slot(3),
        writer: WriterId(uuid::Uuid::from_u128(0xe0)),
    };
    let sealed = object.cut().0.seal(ObjectKind::Wal, &stamp);
    check(
        &sealed.bytes,
        &expect![[r#"
            4293 bytes
            0000: 4c 45 56 45 45 4c 4f 47 01 00 01 00 00 00 00 00
            0010: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 c0
            0020: 07 00 00 00 00 00 00 00 03 00 00 00 00 00 00 00
            0030: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 e0
            0040: c5 10 00 00 00 00 00 00 00 00 00 00 00 00 00 00
            00f0: 00 00 00 00 00 00 00 00 00 00 00 00 92 92 cf 13
            0100: 4c 45 56 45 45 4f 42 4a 01 00 01 00 00 00 00 00
            0110: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 c0
            0120: 07 00 00 00 00 00 00 00 03 00 00 00 00 00 00 00
            0130: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 e0
            0140: c5 10 00 00 00 00 00 00 10 10 00 00 00 00 00 00
            0150: c5 10 00 00 00 00 00 00 02 00 00 00 00 00 00 00
            0ff0: 00 00 00 00 00 00 00 00 00 00 00 00 ba 70 82 94
            1000: 66 69 72 73 74 73 65 63 6f 6e 64 74 68 69 72 64
            1010: 4c 56 49 58 02 00 00 00 07 00 00 00 00 00 00 00
            1020: 03 00 00 00 00 00 00 00 02 00 00 00 21 00 00 00
            1030: 01 00 00 00 00 00 00 00 64 00 00 00 00 00 00 00
            1040: 67 00 00 00 00 00 00 00 00 10 00 00 00 00 00 00
            1050: 0b 00 00 00 f3 3f b7 09 05 00 00 00 02 00 00 00
            1060: 14 00 00 00 01 00 00 00 02 00 00 00 00 00 00 00
            1070: 00 00 00 00 00 00 00 00 04 03 02 01 00 00 00 00
            1080: 0b 10 00 00 00 00 00 00 05 00 00 00 47 69 5a 09
            1090: 00 00 00 00 01 00 00 00 0d 00 00 00 01 00 00 00
            10a0: 02 00 00 00 05 00 00 00 02 6e 31 01 00 00 00 06
            10b0: 00 00 00 00 04 03 02 01 05 00 00 00 04 6e 6f 74
            10c0: 65 94 0e f4 b5
        "#]],
    );
}
