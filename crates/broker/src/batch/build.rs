//! Batches for tests, as a producer makes them.

use super::codec::Compression;
use super::header::{AT_ATTRIBUTES, AT_CRC, HEADER_BYTES, NO_PRODUCER_ID, NO_TIMESTAMP, OVERHEAD_BYTES};
use std::io::Write;

/// Timestamp, key, value.
type Record = (i64, Option<Vec<u8>>, Option<Vec<u8>>);

/// A batch that is being put together.
#[derive(Debug, Clone)]
pub(crate) struct Build {
    attributes: i16,
    producer: (i64, i16, i32),
    base_offset: i64,
    leader_epoch: i32,
    records: Vec<Record>,
    headers: Vec<&'static str>,
    compression: Compression,
    xerial: bool,
}

impl Build {
    pub(crate) fn new() -> Self {
        Self {
            attributes: 0,
            producer: (NO_PRODUCER_ID, -1, -1),
            base_offset: 0,
            leader_epoch: -1,
            records: Vec::new(),
            headers: Vec::new(),
            compression: Compression::None,
            xerial: false,
        }
    }

    /// `count` records at `timestamp`.
    pub(crate) fn records(count: usize, timestamp: i64) -> Self {
        (0..count).fold(Self::new(), |batch, n| batch.record(timestamp, "key", &format!("value {n}")))
    }

    pub(crate) fn record(self, timestamp: i64, key: &str, value: &str) -> Self {
        self.entry(timestamp, Some(key.as_bytes()), Some(value.as_bytes()))
    }

    pub(crate) fn record_without_key(self, timestamp: i64, value: &str) -> Self {
        self.entry(timestamp, None, Some(value.as_bytes()))
    }

    pub(crate) fn tombstone(self, timestamp: i64, key: &str) -> Self {
        self.entry(timestamp, Some(key.as_bytes()), None)
    }

    pub(crate) fn entry(mut self, timestamp: i64, key: Option<&[u8]>, value: Option<&[u8]>) -> Self {
        self.records.push((timestamp, key.map(<[u8]>::to_vec), value.map(<[u8]>::to_vec)));
        self
    }

    /// A transaction marker of `producer`, as a coordinator has it written.
    pub(crate) fn marker(timestamp: i64, producer_id: i64, producer_epoch: i16, commit: bool) -> Self {
        Self::new().producer(producer_id, producer_epoch, -1).attribute(4).attribute(5).entry(
            timestamp,
            Some(&[0, 0, 0, u8::from(commit)]),
            Some(&[0; 6]),
        )
    }

    pub(crate) fn at(mut self, base_offset: i64, leader_epoch: i32) -> Self {
        (self.base_offset, self.leader_epoch) = (base_offset, leader_epoch);
        self
    }

    /// Gives every record a header, with some value.
    pub(crate) fn header(mut self, name: &'static str) -> Self {
        self.headers.push(name);
        self
    }

    pub(crate) fn producer(mut self, id: i64, epoch: i16, sequence: i32) -> Self {
        self.producer = (id, epoch, sequence);
        self
    }

    pub(crate) fn attribute(mut self, bit: u32) -> Self {
        self.attributes |= 1 << bit;
        self
    }

    pub(crate) fn compressed(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    pub(crate) fn xerial(mut self) -> Self {
        self.compression = Compression::Snappy;
        self.xerial = true;
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let base = self.records.first().map_or(NO_TIMESTAMP, |record| record.0);
        let max = self.records.iter().map(|record| record.0).max().unwrap_or(NO_TIMESTAMP);
        let mut plain = Vec::new();
        for (at, (timestamp, key, value)) in self.records.iter().enumerate() {
            let mut body = vec![0];
            varint(&mut body, timestamp - base);
            varint(&mut body, i64::try_from(at).unwrap());
            for field in [key, value] {
                match field {
                    None => varint(&mut body, -1),
                    Some(field) => {
                        varint(&mut body, i64::try_from(field.len()).unwrap());
                        body.extend_from_slice(field);
                    }
                }
            }
            varint(&mut body, i64::try_from(self.headers.len()).unwrap());
            for header in &self.headers {
                for field in [*header, "value"] {
                    varint(&mut body, i64::try_from(field.len()).unwrap());
                    body.extend_from_slice(field.as_bytes());
                }
            }
            varint(&mut plain, i64::try_from(body.len()).unwrap());
            plain.extend_from_slice(&body);
        }
        let payload = self.compress(&plain);
        let count = i32::try_from(self.records.len()).unwrap();
        let mut out = Vec::with_capacity(HEADER_BYTES + payload.len());
        out.extend_from_slice(&self.base_offset.to_be_bytes());
        let length = i32::try_from(HEADER_BYTES - OVERHEAD_BYTES + payload.len()).unwrap();
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&self.leader_epoch.to_be_bytes());
        out.push(2);
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&(self.attributes | self.compression.id()).to_be_bytes());
        out.extend_from_slice(&(count - 1).to_be_bytes());
        out.extend_from_slice(&base.to_be_bytes());
        out.extend_from_slice(&max.to_be_bytes());
        out.extend_from_slice(&self.producer.0.to_be_bytes());
        out.extend_from_slice(&self.producer.1.to_be_bytes());
        out.extend_from_slice(&self.producer.2.to_be_bytes());
        out.extend_from_slice(&count.to_be_bytes());
        out.extend_from_slice(&payload);
        rehash(&mut out);
        out
    }

    fn compress(&self, plain: &[u8]) -> Vec<u8> {
        match self.compression {
            Compression::None => plain.to_vec(),
            Compression::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(plain).unwrap();
                encoder.finish().unwrap()
            }
            Compression::Snappy if self.xerial => {
                let mut out = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
                for block in plain.chunks(32 * 1024) {
                    let packed = snap::raw::Encoder::new().compress_vec(block).unwrap();
                    out.extend_from_slice(&u32::try_from(packed.len()).unwrap().to_be_bytes());
                    out.extend_from_slice(&packed);
                }
                out
            }
            Compression::Snappy => snap::raw::Encoder::new().compress_vec(plain).unwrap(),
            Compression::Lz4 => {
                let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
                encoder.write_all(plain).unwrap();
                encoder.finish().unwrap()
            }
            Compression::Zstd => zstd::stream::encode_all(plain, 3).unwrap(),
        }
    }
}

/// Sets the checksum of a batch that a test has changed.
pub(crate) fn rehash(batch: &mut [u8]) {
    let crc = crc32c::crc32c(&batch[AT_ATTRIBUTES..]);
    batch[AT_CRC..AT_CRC + 4].copy_from_slice(&crc.to_be_bytes());
}

fn varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}
