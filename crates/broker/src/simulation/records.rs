//! The keys and values of a batch that is not compressed.

use crate::batch::BatchView;
use crate::batch::records::{byte, varint, varlong};
use levee_base::Offset;

/// Offset, key and value of each record.
pub(super) fn records(bytes: &[u8]) -> Vec<(Offset, Vec<u8>, Vec<u8>)> {
    let batch = BatchView::first(bytes).expect("it is a batch");
    let base = u64::try_from(batch.base_offset()).expect("offsets are counted up from 0");
    let mut rest = batch.payload();
    let mut all = Vec::new();
    for _ in 0..batch.count() {
        let _length = varint(&mut rest).unwrap();
        let _attributes = byte(&mut rest).unwrap();
        let _timestamp = varlong(&mut rest).unwrap();
        let offset = Offset(base + u64::try_from(varint(&mut rest).unwrap()).unwrap());
        let (key, value) = (field(&mut rest), field(&mut rest));
        let headers = varint(&mut rest).unwrap();
        assert_eq!(headers, 0, "nobody sends headers");
        all.push((offset, key, value));
    }
    assert!(rest.is_empty(), "a batch holds its records and nothing else");
    all
}

fn field(rest: &mut &[u8]) -> Vec<u8> {
    let length = usize::try_from(varint(rest).unwrap()).unwrap();
    let (field, after) = rest.split_at(length);
    *rest = after;
    field.to_vec()
}
