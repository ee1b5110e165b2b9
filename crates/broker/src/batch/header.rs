//! The 61-byte header of a version 2 record batch, read and patched in place.
//!
//! All integers are big-endian. The CRC-32C covers everything from the attributes on, so base offset and
//! leader epoch are set without touching it; the timestamp type and the maximum timestamp are not.
//! (Apache Kafka documentation, "Record Batch".)
//!
//! | at | bytes | field |
//! |---|---|---|
//! | 0 | 8 | base offset |
//! | 8 | 4 | length of all that follows |
//! | 12 | 4 | partition leader epoch |
//! | 16 | 1 | magic, 2 |
//! | 17 | 4 | CRC-32C of bytes 21 and on |
//! | 21 | 2 | attributes |
//! | 23 | 4 | last offset delta |
//! | 27 | 8 | base timestamp |
//! | 35 | 8 | maximum timestamp |
//! | 43 | 8 | producer id |
//! | 51 | 2 | producer epoch |
//! | 53 | 4 | base sequence |
//! | 57 | 4 | record count |

use super::codec::Compression;

/// The header's size, and the size of the smallest batch, in bytes.
pub const HEADER_BYTES: usize = 61;
/// Base offset and length, which the length does not count, in bytes.
pub const OVERHEAD_BYTES: usize = 12;
/// The only format version that is written and read.
pub const MAGIC: i8 = 2;
/// The timestamp of a record that has none.
pub const NO_TIMESTAMP: i64 = -1;
/// The producer id of a batch that no idempotent producer sent.
pub const NO_PRODUCER_ID: i64 = -1;

pub(crate) const AT_LENGTH: usize = 8;
pub(crate) const AT_LEADER_EPOCH: usize = 12;
pub(crate) const AT_MAGIC: usize = 16;
pub(crate) const AT_CRC: usize = 17;
pub(crate) const AT_ATTRIBUTES: usize = 21;
pub(crate) const AT_LAST_OFFSET_DELTA: usize = 23;
pub(crate) const AT_BASE_TIMESTAMP: usize = 27;
pub(crate) const AT_MAX_TIMESTAMP: usize = 35;
pub(crate) const AT_PRODUCER_ID: usize = 43;
pub(crate) const AT_PRODUCER_EPOCH: usize = 51;
pub(crate) const AT_BASE_SEQUENCE: usize = 53;
pub(crate) const AT_COUNT: usize = 57;

const ATTRIBUTE_COMPRESSION: i16 = 0b111;
const ATTRIBUTE_LOG_APPEND_TIME: i16 = 1 << 3;
const ATTRIBUTE_TRANSACTIONAL: i16 = 1 << 4;
const ATTRIBUTE_CONTROL: i16 = 1 << 5;
const ATTRIBUTE_DELETE_HORIZON: i16 = 1 << 6;

/// Whose clock a batch's timestamps come from (Kafka's `message.timestamp.type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimestampType {
    /// The producer's; each record has its own.
    #[default]
    CreateTime,
    /// The leader's when it appended the batch; all records share the maximum timestamp.
    LogAppendTime,
}

/// The attributes of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attributes(pub i16);

impl Attributes {
    /// How the records are compressed; `None` for a number that no codec has.
    #[must_use]
    pub fn compression(self) -> Option<Compression> {
        Compression::from_id(self.0 & ATTRIBUTE_COMPRESSION)
    }

    /// Whose clock the timestamps come from.
    #[must_use]
    pub fn timestamp_type(self) -> TimestampType {
        if self.0 & ATTRIBUTE_LOG_APPEND_TIME != 0 {
            TimestampType::LogAppendTime
        } else {
            TimestampType::CreateTime
        }
    }

    /// The same attributes with another timestamp type.
    #[must_use]
    pub fn with_timestamp_type(self, kind: TimestampType) -> Self {
        match kind {
            TimestampType::CreateTime => Self(self.0 & !ATTRIBUTE_LOG_APPEND_TIME),
            TimestampType::LogAppendTime => Self(self.0 | ATTRIBUTE_LOG_APPEND_TIME),
        }
    }

    /// Part of a transaction.
    #[must_use]
    pub fn transactional(self) -> bool {
        self.0 & ATTRIBUTE_TRANSACTIONAL != 0
    }

    /// Written by a broker, not by a client: a transaction marker.
    #[must_use]
    pub fn control(self) -> bool {
        self.0 & ATTRIBUTE_CONTROL != 0
    }

    /// The same attributes, of a transaction's batch.
    #[must_use]
    pub fn with_transactional(self) -> Self {
        Self(self.0 | ATTRIBUTE_TRANSACTIONAL)
    }

    /// The same attributes, of a control batch.
    #[must_use]
    pub fn with_control(self) -> Self {
        Self(self.0 | ATTRIBUTE_CONTROL)
    }

    /// The base timestamp is a delete horizon (KIP-534): when the batch's tombstones or marker may go.
    #[must_use]
    pub fn delete_horizon(self) -> bool {
        self.0 & ATTRIBUTE_DELETE_HORIZON != 0
    }

    /// The same attributes with another codec, with or without a delete horizon, and without bits that have no
    /// meaning.
    #[must_use]
    pub fn rewritten(self, compression: Compression, delete_horizon: bool) -> Self {
        let kept = self.0 & (ATTRIBUTE_LOG_APPEND_TIME | ATTRIBUTE_TRANSACTIONAL | ATTRIBUTE_CONTROL);
        let horizon = if delete_horizon { ATTRIBUTE_DELETE_HORIZON } else { 0 };
        Self(kept | compression.id() | horizon)
    }
}

/// `N` bytes of a header; `at + N` lies within it, which the callers' constants see to.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

/// One whole batch, read in place.
#[derive(Debug, Clone, Copy)]
pub struct BatchView<'a>(&'a [u8]);

impl<'a> BatchView<'a> {
    /// A view of the batch that `bytes` begin with, without what follows it. `None` if there are too few
    /// bytes for it, or if its length or its magic can't be a version 2 batch's.
    #[must_use]
    pub fn first(bytes: &'a [u8]) -> Option<Self> {
        if bytes.len() < HEADER_BYTES {
            return None;
        }
        let length = usize::try_from(i32::from_be_bytes(array(bytes, AT_LENGTH))).ok()?;
        let whole = bytes.get(..length.checked_add(OVERHEAD_BYTES)?)?;
        let view = Self(whole);
        (whole.len() >= HEADER_BYTES && view.magic() == MAGIC).then_some(view)
    }

    /// The batch's bytes, header included.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.0
    }

    /// The records, compressed or not.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        &self.0[HEADER_BYTES..]
    }

    /// The offset of the first record.
    #[must_use]
    pub fn base_offset(&self) -> i64 {
        i64::from_be_bytes(array(self.0, 0))
    }

    /// The epoch of the leader that appended the batch.
    #[must_use]
    pub fn leader_epoch(&self) -> i32 {
        i32::from_be_bytes(array(self.0, AT_LEADER_EPOCH))
    }

    /// The format version.
    #[must_use]
    pub fn magic(&self) -> i8 {
        i8::from_be_bytes(array(self.0, AT_MAGIC))
    }

    /// The checksum that the header states.
    #[must_use]
    pub fn crc(&self) -> u32 {
        u32::from_be_bytes(array(self.0, AT_CRC))
    }

    /// The checksum that the bytes have.
    #[must_use]
    pub fn computed_crc(&self) -> u32 {
        crc32c::crc32c(&self.0[AT_ATTRIBUTES..])
    }

    /// Compression, timestamp type and the rest.
    #[must_use]
    pub fn attributes(&self) -> Attributes {
        Attributes(i16::from_be_bytes(array(self.0, AT_ATTRIBUTES)))
    }

    /// The last record's offset, from the base offset.
    #[must_use]
    pub fn last_offset_delta(&self) -> i32 {
        i32::from_be_bytes(array(self.0, AT_LAST_OFFSET_DELTA))
    }

    /// The last offset that belongs to the batch, whether a record still has it or not.
    #[must_use]
    pub fn last_offset(&self) -> i64 {
        self.base_offset().wrapping_add(i64::from(self.last_offset_delta()))
    }

    /// The timestamp that the records' are counted from, in Unix milliseconds; see
    /// [`BatchView::delete_horizon_ms`] for what it may be besides.
    #[must_use]
    pub fn base_timestamp(&self) -> i64 {
        i64::from_be_bytes(array(self.0, AT_BASE_TIMESTAMP))
    }

    /// The largest timestamp of a record, in Unix milliseconds.
    #[must_use]
    pub fn max_timestamp(&self) -> i64 {
        i64::from_be_bytes(array(self.0, AT_MAX_TIMESTAMP))
    }

    /// From when on the batch's tombstones or its marker may go, in Unix milliseconds, once the cleaner has said so.
    #[must_use]
    pub fn delete_horizon_ms(&self) -> Option<i64> {
        self.attributes().delete_horizon().then(|| self.base_timestamp())
    }

    /// The idempotent producer that sent the batch, or [`NO_PRODUCER_ID`].
    #[must_use]
    pub fn producer_id(&self) -> i64 {
        i64::from_be_bytes(array(self.0, AT_PRODUCER_ID))
    }

    /// That producer's epoch.
    #[must_use]
    pub fn producer_epoch(&self) -> i16 {
        i16::from_be_bytes(array(self.0, AT_PRODUCER_EPOCH))
    }

    /// The sequence number of the first record.
    #[must_use]
    pub fn base_sequence(&self) -> i32 {
        i32::from_be_bytes(array(self.0, AT_BASE_SEQUENCE))
    }

    /// The number of records.
    #[must_use]
    pub fn count(&self) -> i32 {
        i32::from_be_bytes(array(self.0, AT_COUNT))
    }
}

/// One whole batch whose broker fields can be set in place.
#[derive(Debug)]
pub struct BatchMut<'a>(&'a mut [u8]);

impl<'a> BatchMut<'a> {
    /// As [`BatchView::first`].
    #[must_use]
    pub fn first(bytes: &'a mut [u8]) -> Option<Self> {
        let size = BatchView::first(bytes)?.bytes().len();
        Some(Self(&mut bytes[..size]))
    }

    /// The batch as it is now.
    #[must_use]
    pub fn view(&self) -> BatchView<'_> {
        BatchView(self.0)
    }

    /// Sets the offset of the first record. Outside the checksum.
    pub fn set_base_offset(&mut self, offset: i64) {
        self.0[..8].copy_from_slice(&offset.to_be_bytes());
    }

    /// Sets the leader's epoch. Outside the checksum.
    pub fn set_leader_epoch(&mut self, epoch: i32) {
        self.0[AT_LEADER_EPOCH..AT_LEADER_EPOCH + 4].copy_from_slice(&epoch.to_be_bytes());
    }

    /// Sets whose clock the timestamps come from, and the largest one, and hashes the batch again unless
    /// both are so already.
    pub fn set_max_timestamp(&mut self, kind: TimestampType, max_timestamp: i64) {
        let view = self.view();
        let attributes = view.attributes().with_timestamp_type(kind);
        if attributes == view.attributes() && max_timestamp == view.max_timestamp() {
            return;
        }
        self.0[AT_ATTRIBUTES..AT_ATTRIBUTES + 2].copy_from_slice(&attributes.0.to_be_bytes());
        self.0[AT_MAX_TIMESTAMP..AT_MAX_TIMESTAMP + 8].copy_from_slice(&max_timestamp.to_be_bytes());
        let crc = self.view().computed_crc();
        self.0[AT_CRC..AT_CRC + 4].copy_from_slice(&crc.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::build::Build;

    #[test]
    fn a_view_reads_what_was_written() {
        let bytes = Build::new().producer(9, 3, 40).record(1_000, "k", "v").record(1_007, "k", "w").bytes();
        let view = BatchView::first(&bytes).unwrap();
        assert_eq!(view.bytes().len(), bytes.len());
        assert_eq!((view.base_offset(), view.leader_epoch(), view.magic()), (0, -1, 2));
        assert_eq!((view.base_timestamp(), view.max_timestamp()), (1_000, 1_007));
        assert_eq!((view.producer_id(), view.producer_epoch(), view.base_sequence()), (9, 3, 40));
        assert_eq!((view.count(), view.last_offset_delta()), (2, 1));
        assert_eq!(view.crc(), view.computed_crc());
    }

    #[test]
    fn offset_and_epoch_lie_outside_the_checksum() {
        let mut bytes = Build::new().record(5, "k", "v").bytes();
        let mut batch = BatchMut::first(&mut bytes).unwrap();
        batch.set_base_offset(1 << 40);
        batch.set_leader_epoch(7);
        let view = batch.view();
        assert_eq!((view.base_offset(), view.leader_epoch()), (1 << 40, 7));
        assert_eq!(view.crc(), view.computed_crc());
    }

    #[test]
    fn log_append_time_is_hashed_again() {
        let mut bytes = Build::new().record(5, "k", "v").bytes();
        let mut batch = BatchMut::first(&mut bytes).unwrap();
        let before = batch.view().crc();
        batch.set_max_timestamp(TimestampType::LogAppendTime, 99);
        let view = batch.view();
        assert_eq!(view.attributes().timestamp_type(), TimestampType::LogAppendTime);
        assert_eq!(view.max_timestamp(), 99);
        assert_eq!(view.crc(), view.computed_crc());
        assert_ne!(view.crc(), before);
    }

    #[test]
    fn what_follows_a_batch_is_not_part_of_it() {
        let mut bytes = Build::new().record(5, "k", "v").bytes();
        let size = bytes.len();
        bytes.extend_from_slice(b"rest");
        assert_eq!(BatchView::first(&bytes).unwrap().bytes().len(), size);
        assert!(BatchView::first(&bytes[..size - 1]).is_none());
        assert!(BatchView::first(&[]).is_none());
    }
}
