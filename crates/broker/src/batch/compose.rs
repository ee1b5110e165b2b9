//! Batches that the broker itself writes: the records of its coordinators, and transaction markers. Uncompressed, as
//! Kafka's coordinators write them.

use super::header::{
    AT_ATTRIBUTES, AT_CRC, Attributes, HEADER_BYTES, MAGIC, NO_PRODUCER_ID, NO_TIMESTAMP, OVERHEAD_BYTES,
};
use super::marker::Marker;

/// The sequence number of a batch that no client numbered.
pub const NO_SEQUENCE: i32 = -1;
/// The epoch of a batch that no producer wrote.
const NO_PRODUCER_EPOCH: i16 = -1;

/// One batch in the making.
#[derive(Debug)]
pub struct Composer {
    out: Vec<u8>,
    attributes: Attributes,
    producer: (i64, i16),
    base_timestamp: i64,
    max_timestamp: i64,
    count: i32,
}

impl Composer {
    /// An empty batch, of no producer.
    #[must_use]
    pub fn new() -> Self {
        Self {
            out: vec![0; HEADER_BYTES],
            attributes: Attributes::default(),
            producer: (NO_PRODUCER_ID, NO_PRODUCER_EPOCH),
            base_timestamp: NO_TIMESTAMP,
            max_timestamp: NO_TIMESTAMP,
            count: 0,
        }
    }

    /// An empty batch of a producer's transaction, by the producer's id and epoch. It has no sequence number: the
    /// coordinator that writes it sends nothing twice.
    #[must_use]
    pub fn transactional(producer_id: i64, producer_epoch: i16) -> Self {
        let attributes = Attributes::default().with_transactional();
        Self { attributes, producer: (producer_id, producer_epoch), ..Self::new() }
    }

    /// The batch of a transaction marker, at `timestamp` in Unix milliseconds.
    #[must_use]
    pub fn marker(producer_id: i64, producer_epoch: i16, marker: Marker, timestamp: i64) -> Vec<u8> {
        let mut batch = Self::transactional(producer_id, producer_epoch);
        batch.attributes = batch.attributes.with_control();
        batch.push(timestamp, Some(&marker.key()), Some(&marker.value()));
        batch.finish()
    }

    /// Adds a record, with its timestamp in Unix milliseconds.
    pub fn push(&mut self, timestamp: i64, key: Option<&[u8]>, value: Option<&[u8]>) {
        if self.count == 0 {
            self.base_timestamp = timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        // Attributes, timestamp and offset from the batch's; no headers at the end.
        let mut head = vec![0];
        put_varint(&mut head, timestamp.wrapping_sub(self.base_timestamp));
        put_varint(&mut head, i64::from(self.count));
        let lengths = [key, value].map(|field| {
            let mut length = Vec::with_capacity(5);
            put_varint(&mut length, field.map_or(-1, |field| length_of(field.len())));
            (length, field.unwrap_or_default())
        });
        let body =
            head.len() + lengths.iter().map(|(length, field)| length.len() + field.len()).sum::<usize>();
        put_varint(&mut self.out, length_of(body + 1));
        self.out.extend_from_slice(&head);
        for (length, field) in lengths {
            self.out.extend_from_slice(&length);
            self.out.extend_from_slice(field);
        }
        self.out.push(0);
        self.count += 1;
    }

    /// How long the batch is so far, header included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.out.len()
    }

    /// The batch at base offset 0, without a leader epoch: whoever appends it sets both.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        let mut header = Vec::with_capacity(HEADER_BYTES);
        header.extend_from_slice(&0_i64.to_be_bytes());
        // No batch comes near 2 GiB: whoever writes one keeps to the topic's limit.
        let length = i32::try_from(self.out.len() - OVERHEAD_BYTES).unwrap_or(i32::MAX);
        header.extend_from_slice(&length.to_be_bytes());
        header.extend_from_slice(&(-1_i32).to_be_bytes());
        header.extend_from_slice(&MAGIC.to_be_bytes());
        header.extend_from_slice(&[0; 4]);
        header.extend_from_slice(&self.attributes.0.to_be_bytes());
        header.extend_from_slice(&(self.count - 1).to_be_bytes());
        header.extend_from_slice(&self.base_timestamp.to_be_bytes());
        header.extend_from_slice(&self.max_timestamp.to_be_bytes());
        header.extend_from_slice(&self.producer.0.to_be_bytes());
        header.extend_from_slice(&self.producer.1.to_be_bytes());
        header.extend_from_slice(&NO_SEQUENCE.to_be_bytes());
        header.extend_from_slice(&self.count.to_be_bytes());
        self.out[..HEADER_BYTES].copy_from_slice(&header);
        let crc = crc32c::crc32c(&self.out[AT_ATTRIBUTES..]);
        self.out[AT_CRC..AT_CRC + 4].copy_from_slice(&crc.to_be_bytes());
        self.out
    }
}

impl Default for Composer {
    fn default() -> Self {
        Self::new()
    }
}

fn length_of(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// Appends a zigzag number.
pub(crate) fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::build::Build;
    use crate::batch::{BatchView, Rules, records, validate};
    use proptest::prelude::*;

    type Record = (i64, Option<Vec<u8>>, Option<Vec<u8>>);

    proptest! {
        /// What is composed is what a producer would have sent.
        #[test]
        fn it_writes_what_a_producer_writes(
            all in prop::collection::vec((0_i64..1 << 40, any::<Option<Vec<u8>>>(), any::<Option<Vec<u8>>>()), 1..20),
            producer in any::<Option<(u32, u16)>>(),
        ) {
            let all: Vec<Record> = all;
            let producer = producer.map(|(id, epoch)| (i64::from(id), (epoch >> 1).cast_signed()));
            let mut composed = match producer {
                Some((id, epoch)) => Composer::transactional(id, epoch),
                None => Composer::new(),
            };
            let mut build = match producer {
                Some((id, epoch)) => Build::new().producer(id, epoch, -1).attribute(4),
                None => Build::new(),
            };
            for (timestamp, key, value) in &all {
                composed.push(*timestamp, key.as_deref(), value.as_deref());
                build = build.entry(*timestamp, key.as_deref(), value.as_deref());
            }
            let size = composed.bytes();
            let bytes = composed.finish();
            prop_assert_eq!(bytes.len(), size);
            prop_assert_eq!(&bytes, &build.bytes());
            let view = BatchView::first(&bytes).unwrap();
            let read: Vec<_> = records::open(&view, 1 << 20).unwrap().collect::<Result<_, _>>().unwrap();
            prop_assert_eq!(read.len(), all.len());
        }
    }

    #[test]
    fn a_marker_is_kafkas() {
        let marker = Marker { commit: true, coordinator_epoch: 5 };
        let bytes = Composer::marker(7, 3, marker, 1_000);
        let view = BatchView::first(&bytes).unwrap();
        assert_eq!((view.producer_id(), view.producer_epoch(), view.base_sequence()), (7, 3, -1));
        assert!(view.attributes().transactional() && view.attributes().control());
        assert_eq!((view.count(), view.max_timestamp()), (1, 1_000));
        assert_eq!(Marker::read(&view), Some(marker));
        // Length, attributes, timestamp, offset; key: version 0, type 1; value: version 0, coordinator epoch 5.
        let record = [32, 0, 0, 0, 8, 0, 0, 0, 1, 12, 0, 0, 0, 0, 0, 5, 0];
        assert_eq!(view.payload(), record);
        // Nobody but a coordinator may send one.
        let mut bytes = bytes;
        let refused = validate::check(&mut bytes, 11, &Rules::default(), 1_000);
        assert_eq!(refused.unwrap_err(), validate::Invalid::Control);
    }
}
