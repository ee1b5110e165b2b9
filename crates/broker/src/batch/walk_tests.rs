//! Every way in which records can be wrong, and that what is walked is what is read.

use super::*;
use crate::batch::build::{Build, rehash};
use crate::batch::header::{AT_COUNT, AT_LENGTH, HEADER_BYTES, OVERHEAD_BYTES};
use crate::batch::records;
use proptest::prelude::*;

/// A batch that says it has `count` records, with this for them.
fn batch(count: i32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Build::records(1, 5).bytes();
    bytes.truncate(HEADER_BYTES);
    bytes.extend_from_slice(payload);
    let length = i32::try_from(bytes.len() - OVERHEAD_BYTES).unwrap();
    bytes[AT_LENGTH..AT_LENGTH + 4].copy_from_slice(&length.to_be_bytes());
    bytes[AT_COUNT..AT_COUNT + 4].copy_from_slice(&count.to_be_bytes());
    rehash(&mut bytes);
    bytes
}

fn walk(bytes: &[u8]) -> io::Result<Vec<Record>> {
    Walk::of(&BatchView::first(bytes).expect("a batch")).collect()
}

fn is_refused(count: i32, payload: &[u8]) -> bool {
    walk(&batch(count, payload)).is_err()
}

/// Length, attributes, deltas, then a key and a value of one byte and one header without a value.
const RECORD: [u8; 12] = [22, 0, 2, 0, 2, b'k', 2, b'v', 2, 2, b'h', 1];

#[test]
fn what_is_walked_is_what_is_read() {
    let plain = Build::new().record(10, "k", "v").record_without_key(9, "v").tombstone(1 << 50, "k");
    for bytes in
        [plain.clone().bytes(), plain.clone().header("h").at(7, 1).bytes(), plain.attribute(3).bytes()]
    {
        let view = BatchView::first(&bytes).unwrap();
        let read: Vec<_> = records::open(&view, 1 << 20).unwrap().map(Result::unwrap).collect();
        assert_eq!(walk(&bytes).unwrap(), read);
    }
    let record = [Record { offset: 0, timestamp: 6, has_key: true }];
    assert_eq!(walk(&batch(1, &RECORD)).unwrap(), record);
    // The same with a length of five bytes, of which the last says more than 32 bits hold.
    let bytes = batch(1, &[&[0x96, 0x80, 0x80, 0x80, 0x70], &RECORD[1..]].concat());
    assert_eq!(walk(&bytes).unwrap(), record);
    let view = BatchView::first(&bytes).unwrap();
    assert_eq!(records::open(&view, 1 << 20).unwrap().map(Result::unwrap).collect::<Vec<_>>(), record);
}

#[test]
fn a_count_that_lies_is_found_out() {
    let twice = [RECORD, RECORD].concat();
    assert_eq!(walk(&batch(2, &twice)).unwrap().len(), 2);
    for count in [-1, 0, 1, 3, i32::MAX] {
        assert!(is_refused(count, &twice), "{count}");
    }
    assert!(is_refused(1, &[]));
    assert!(is_refused(1, b"garbage"));
}

#[test]
fn every_part_of_a_record_has_to_be_whole() {
    for cut in 0..RECORD.len() {
        assert!(is_refused(1, &RECORD[..cut]), "the batch ends after {cut} bytes");
        let mut shorter = RECORD[..cut.max(1)].to_vec();
        shorter[0] = 2 * (u8::try_from(shorter.len()).unwrap() - 1);
        assert!(is_refused(1, &shorter), "the record ends after {cut} bytes");
    }
    let changed = |at: usize, value: u8| {
        let mut record = RECORD;
        record[at] = value;
        is_refused(1, &record)
    };
    assert!(changed(0, 1), "a negative length");
    assert!(changed(0, 20), "shorter than what is in it");
    assert!(changed(0, 24), "longer than what is there");
    assert!(changed(4, 100), "a key beyond its record");
    assert!(changed(6, 0x7e), "a value beyond its record");
    assert!(changed(8, 1), "fewer headers than none");
    assert!(changed(8, 0x7e), "more headers than bytes");
    assert!(changed(8, 0), "a header that is not counted");
    assert!(changed(9, 1), "a header's key that is null");
    assert!(changed(11, 2), "a header's value beyond its record");
    // A number of six bytes, where lengths have five at most.
    let long = [&[0x80, 0x80, 0x80, 0x80, 0x80, 0][..], &RECORD[1..]].concat();
    let refusal = walk(&batch(1, &long)).expect_err("refused");
    assert_eq!(refusal.kind(), io::ErrorKind::InvalidInput);
}

proptest! {
    /// It ends whatever the bytes are, and after the first error.
    #[test]
    fn no_bytes_panic(count in any::<i32>(), payload in prop::collection::vec(any::<u8>(), 0..200)) {
        let bytes = batch(count, &payload);
        let view = BatchView::first(&bytes).unwrap();
        let errors = Walk::of(&view).filter(Result::is_err).count();
        prop_assert!(errors <= 1);
        prop_assert!(Walk::of(&view).count() <= payload.len() + 1);
    }
}
