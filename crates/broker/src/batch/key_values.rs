//! The keys and values of a batch's records: for topics that the broker itself reads, its internal ones.

use super::header::BatchView;
use super::records::{self, Unreadable, invalid};
use bytes::{Buf, Bytes};
use std::io::{self, Read};

/// A record's key and value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value; `None` is a tombstone.
    pub value: Option<Bytes>,
}

/// The records of `batch`, which unpack to `limit_bytes` at most. Headers are left out.
///
/// # Errors
/// When they can't be read: a codec that fails, a bound that is passed, lengths that can't be.
pub fn key_values(batch: &BatchView<'_>, limit_bytes: usize) -> Result<Vec<KeyValue>, Unreadable> {
    let compression = batch.attributes().compression().ok_or_else(|| invalid("no codec has this number"))?;
    let mut unpacked = Vec::new();
    // A batch that was cleaned to nothing has no stream to open.
    if !batch.payload().is_empty() {
        compression.open(batch.payload(), limit_bytes)?.read_to_end(&mut unpacked)?;
    }
    let mut rest = Bytes::from(unpacked);
    // A record has seven bytes at least, so what a batch announces allocates nothing.
    let mut read = Vec::new();
    for _ in 0..batch.count().max(0) {
        let length = varint(&mut rest)?;
        let mut record = take(&mut rest, length)?.ok_or_else(|| invalid("a record's length is negative"))?;
        let _attributes = record.try_get_u8().map_err(|_| short())?;
        let _timestamp_delta = records::varlong(&mut (&mut record).reader())?;
        let _offset_delta = varint(&mut record)?;
        let mut field = || {
            let length = varint(&mut record)?;
            take(&mut record, length)
        };
        read.push(KeyValue { key: field()?, value: field()? });
    }
    Ok(read)
}

fn short() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}

/// The next `length` bytes; `None` for a negative length, which is null.
fn take(from: &mut Bytes, length: i64) -> io::Result<Option<Bytes>> {
    let Ok(length) = usize::try_from(length) else { return Ok(None) };
    if length > from.len() {
        return Err(short());
    }
    Ok(Some(from.split_to(length)))
}

fn varint(from: &mut Bytes) -> io::Result<i64> {
    records::varint(&mut from.reader())
}

#[cfg(test)]
mod tests {
    use super::super::build::Build;
    use super::super::codec::Compression;
    use super::*;
    use proptest::prelude::*;

    type Pair = (Option<Vec<u8>>, Option<Vec<u8>>);

    fn pairs() -> impl Strategy<Value = Vec<Pair>> {
        let field = || prop::option::of(prop::collection::vec(any::<u8>(), 0..20));
        prop::collection::vec((field(), field()), 1..20)
    }

    proptest! {
        #[test]
        fn what_a_producer_packed_is_read(pairs in pairs(), codec in 0_usize..5) {
            let codecs = [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
            let batch = pairs.iter().fold(Build::new(), |batch, (key, value)| batch.entry(7, key.as_deref(), value.as_deref()));
            let bytes = batch.compressed(codecs[codec]).bytes();
            let view = BatchView::first(&bytes).unwrap();
            let read = key_values(&view, 1 << 20).unwrap();
            let expected: Vec<_> = pairs.into_iter()
                .map(|(key, value)| KeyValue { key: key.map(Bytes::from), value: value.map(Bytes::from) })
                .collect();
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn no_bytes_panic(at in any::<prop::sample::Index>(), to: u8) {
            let mut bytes = Build::records(3, 7).bytes();
            let at = at.index(bytes.len());
            bytes[at] = to;
            if let Some(view) = BatchView::first(&bytes) {
                let _ = key_values(&view, 1 << 20);
            }
        }
    }
}
