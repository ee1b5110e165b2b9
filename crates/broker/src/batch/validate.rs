//! What a client may append, checked before a partition's lock is taken.
//!
//! The rules and their order are those of Kafka 4 (`ProduceRequest.validateRecords`, then
//! `UnifiedLog.analyzeAndValidateRecords`, then `LogValidator.validateMessagesAndAssignOffsets`), with one difference:
//! Kafka looks at every record of every batch. Here that is so of batches that are not compressed, whose records are
//! walked in place. Compressed ones are opened only where the topic asks for a check that the header can't answer
//! (keys for compaction, a lower bound on timestamps) or where the header's maximum timestamp has already shown that
//! some record will be refused and the client wants to know which. A producer whose header doesn't agree with its
//! compressed records is therefore not found out here: unpacking all that is produced would cost many times what taking
//! it in does, to find what only a defective producer makes.

use super::codec::Compression;
use super::header::{BatchMut, BatchView, NO_PRODUCER_ID, NO_TIMESTAMP, TimestampType};
use super::records::{self, Record, Unreadable};
use super::{split, walk::Walk};
use levee_base::limits::{DECOMPRESSION_RATIO, MESSAGE_BYTES, RECORD_ERRORS, TIMESTAMP_AFTER_MAX};
use std::io;

/// The first version of Produce that may carry zstd (KIP-110).
const ZSTD_FROM_VERSION: i16 = 7;

/// What a topic asks of its batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// `max.message.bytes`: the largest batch, header included.
    pub max_message_bytes: usize,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`: how old a record may say it is.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`: how far ahead of the leader's clock a record may say it is.
    pub timestamp_after_max_ms: i64,
    /// `cleanup.policy` contains `compact`: every record needs a key.
    pub compacted: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            max_message_bytes: MESSAGE_BYTES,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: i64::try_from(TIMESTAMP_AFTER_MAX.as_millis()).unwrap_or(i64::MAX),
            compacted: false,
        }
    }
}

impl Rules {
    /// What opening one batch may unpack to, in bytes.
    #[must_use]
    pub fn unpacked_bytes(&self) -> usize {
        self.max_message_bytes.saturating_mul(DECOMPRESSION_RATIO)
    }
}

/// One record of a refused batch and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordError {
    /// Which record of the batch, from 0.
    pub index: i32,
    /// Why it is refused.
    pub message: String,
}

/// Why a batch is refused. The protocol's error code for each is chosen in `handlers`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum Invalid {
    #[error("there must be one record batch for each partition, and there is none")]
    NoBatch,
    #[error("there must be one record batch for each partition, and there are several")]
    SeveralBatches,
    #[error("a record batch can't be {length} bytes long")]
    Length { length: i32 },
    #[error("a record batch of {size} bytes is shorter than its header")]
    Short { size: usize },
    #[error("no record format has the version {magic}")]
    MagicByte { magic: i8 },
    #[error("record batches must be of format version 2, and this one is of version {magic}")]
    OldFormat { magic: i8 },
    #[error("zstd needs Produce version 7 or later, and the request is of version {version}")]
    ZstdTooEarly { version: i16 },
    #[error("no codec has the number that the batch's attributes name")]
    UnknownCodec,
    #[error("the base offset of a new batch must be 0, and it is {base_offset}")]
    BaseOffset { base_offset: i64 },
    #[error("the record batch has {size} bytes, more than the topic's max.message.bytes of {limit}")]
    TooLarge { size: usize, limit: usize },
    #[error("the record batch is corrupt: its CRC is {computed:#010x} and its header says {stated:#010x}")]
    Crc { stated: u32, computed: u32 },
    #[error("the batch's last offset delta is {last_offset_delta}")]
    OffsetRange { last_offset_delta: i32 },
    #[error("the batch says that it has {count} records")]
    Count { count: i32 },
    #[error("the batch's last offset delta is {last_offset_delta}, and it says that it has {count} records")]
    Inconsistent { last_offset_delta: i32, count: i32 },
    #[error("clients may not write control batches")]
    Control,
    #[error("the batch has the producer id {producer_id} and the sequence number {base_sequence}")]
    Sequence { producer_id: i64, base_sequence: i32 },
    #[error("the batch's records can't be read: {reason}")]
    Unreadable { reason: String },
    #[error("the length of one of the batch's records is longer than its type")]
    LengthOfRecord,
    #[error("one or more records have been rejected because of their timestamps")]
    Timestamps { records: Vec<RecordError> },
    #[error("one or more records have been rejected: records of a compacted topic need keys")]
    Keys { records: Vec<RecordError> },
}

/// A batch that may be appended. Only [`check`] makes one.
#[derive(Debug)]
pub struct Checked<'a> {
    batch: BatchMut<'a>,
}

impl Checked<'_> {
    /// The batch as it is now.
    #[must_use]
    pub fn view(&self) -> BatchView<'_> {
        self.batch.view()
    }

    /// How many offsets it takes.
    #[must_use]
    pub fn count(&self) -> u32 {
        // `check` refused all counts that are not positive.
        self.view().count().unsigned_abs()
    }
}

impl<'a> Checked<'a> {
    /// The batch, to give it its offset, leader epoch and append time.
    pub(crate) fn batch(&mut self) -> &mut BatchMut<'a> {
        &mut self.batch
    }
}

/// Checks the records that a client sent for one partition with Produce `version`, at `now_ms` of the
/// leader's clock, and gives back the one batch in them.
///
/// # Errors
/// [`Invalid`], of which the first in Kafka's order is returned.
pub fn check<'a>(
    records: &'a mut [u8],
    version: i16,
    rules: &Rules,
    now_ms: i64,
) -> Result<Checked<'a>, Invalid> {
    let size = split::sole(records)?;
    let view = BatchView::first(records).ok_or(Invalid::Short { size })?;
    check_header(&view, version, rules)?;
    let found = check_records(&view, rules, now_ms)?;
    let max_timestamp = found.unwrap_or(view.max_timestamp());
    let mut batch = BatchMut::first(records).ok_or(Invalid::Short { size })?;
    if rules.timestamp_type == TimestampType::CreateTime {
        // What a producer says of the leader's clock is taken away, and what it says wrongly of its records set right.
        batch.set_max_timestamp(TimestampType::CreateTime, max_timestamp);
    }
    Ok(Checked { batch })
}

fn check_header(view: &BatchView<'_>, version: i16, rules: &Rules) -> Result<(), Invalid> {
    let size = view.bytes().len();
    let codec = view.attributes().compression();
    if version < ZSTD_FROM_VERSION {
        match codec {
            Some(Compression::Zstd) => return Err(Invalid::ZstdTooEarly { version }),
            Some(_) => {}
            None => return Err(Invalid::UnknownCodec),
        }
    }
    if view.base_offset() != 0 {
        return Err(Invalid::BaseOffset { base_offset: view.base_offset() });
    }
    if size > rules.max_message_bytes {
        return Err(Invalid::TooLarge { size, limit: rules.max_message_bytes });
    }
    let (stated, computed) = (view.crc(), view.computed_crc());
    if stated != computed {
        return Err(Invalid::Crc { stated, computed });
    }
    if codec.is_none() {
        return Err(Invalid::UnknownCodec);
    }
    let (last_offset_delta, count) = (view.last_offset_delta(), view.count());
    if last_offset_delta < 0 {
        return Err(Invalid::OffsetRange { last_offset_delta });
    }
    if count <= 0 {
        return Err(Invalid::Count { count });
    }
    if last_offset_delta != count - 1 {
        return Err(Invalid::Inconsistent { last_offset_delta, count });
    }
    if view.attributes().control() {
        return Err(Invalid::Control);
    }
    let (producer_id, base_sequence) = (view.producer_id(), view.base_sequence());
    if producer_id > NO_PRODUCER_ID && base_sequence < 0 {
        return Err(Invalid::Sequence { producer_id, base_sequence });
    }
    Ok(())
}

/// Looks at the records, where they are there to be looked at or the topic asks for it; their largest timestamp then.
fn check_records(view: &BatchView<'_>, rules: &Rules, now_ms: i64) -> Result<Option<i64>, Invalid> {
    let mut looking = Looking::new(view, rules, now_ms);
    let unreadable = |error: Unreadable| Invalid::Unreadable { reason: error.0.to_string() };
    if view.attributes().compression() == Some(Compression::None) {
        for (index, record) in (0..).zip(Walk::of(view)) {
            let record = record.map_err(|error| match error.kind() {
                io::ErrorKind::InvalidInput => Invalid::LengthOfRecord,
                _ => unreadable(error.into()),
            });
            looking.at(index, &record?);
        }
        return looking.result().map(Some);
    }
    if !looking.has_to_open(view) {
        return Ok(None);
    }
    let mut records = records::open(view, rules.unpacked_bytes()).map_err(unreadable)?;
    for (index, record) in (0..).zip(records.by_ref()) {
        looking.at(index, &record.map_err(unreadable)?);
    }
    if !records.at_end().map_err(unreadable)? {
        let reason = "there is more than the records that the batch says it has".to_owned();
        return Err(Invalid::Unreadable { reason });
    }
    looking.result().map(Some)
}

/// What records are looked at for, and what was found.
struct Looking<'a> {
    rules: &'a Rules,
    range: TimestampRange,
    /// The producer says that the leader's clock has stamped the batch.
    stamped: bool,
    max_timestamp: i64,
    timestamps: Vec<RecordError>,
    keys: Vec<RecordError>,
}

impl<'a> Looking<'a> {
    fn new(view: &BatchView<'_>, rules: &'a Rules, now_ms: i64) -> Self {
        Self {
            rules,
            range: TimestampRange::of(rules, now_ms),
            stamped: view.attributes().timestamp_type() == TimestampType::LogAppendTime,
            max_timestamp: NO_TIMESTAMP,
            timestamps: Vec::new(),
            keys: Vec::new(),
        }
    }

    /// Whether the header leaves open what the topic asks, or says that some record will be refused.
    fn has_to_open(&self, view: &BatchView<'_>) -> bool {
        let create_time = self.rules.timestamp_type == TimestampType::CreateTime;
        let max = view.max_timestamp();
        let refused_by_header =
            if create_time && max != NO_TIMESTAMP { !self.range.holds(max) } else { self.stamped };
        let lower_bound = create_time && self.rules.timestamp_before_max_ms != i64::MAX;
        refused_by_header || lower_bound || self.rules.compacted
    }

    #[inline]
    fn at(&mut self, index: i32, record: &Record) {
        self.max_timestamp = self.max_timestamp.max(record.timestamp);
        if self.rules.compacted && !record.has_key {
            let message = "Compacted topic cannot accept message without key".to_owned();
            note(&mut self.keys, RecordError { index, message });
        } else if self.rules.timestamp_type == TimestampType::CreateTime && record.timestamp != NO_TIMESTAMP {
            if !self.range.holds(record.timestamp) {
                let TimestampRange { least, most } = self.range;
                let message = format!("the timestamp {} is outside of [{least}, {most}]", record.timestamp);
                note(&mut self.timestamps, RecordError { index, message });
            }
        } else if self.stamped {
            let message = "a producer may not set the timestamp type to LogAppendTime".to_owned();
            note(&mut self.timestamps, RecordError { index, message });
        }
    }

    /// The largest timestamp, if nothing was found wrong.
    fn result(mut self) -> Result<i64, Invalid> {
        if !self.timestamps.is_empty() {
            self.timestamps.append(&mut self.keys);
            self.timestamps.sort_by_key(|error| error.index);
            return Err(Invalid::Timestamps { records: self.timestamps });
        }
        if !self.keys.is_empty() {
            return Err(Invalid::Keys { records: self.keys });
        }
        Ok(self.max_timestamp)
    }
}

fn note(errors: &mut Vec<RecordError>, error: RecordError) {
    if errors.len() < RECORD_ERRORS {
        errors.push(error);
    }
}

/// The timestamps that a topic takes now, both ends included.
struct TimestampRange {
    least: i64,
    most: i64,
}

impl TimestampRange {
    fn of(rules: &Rules, now_ms: i64) -> Self {
        Self {
            least: now_ms.saturating_sub(rules.timestamp_before_max_ms),
            most: now_ms.saturating_add(rules.timestamp_after_max_ms),
        }
    }

    fn holds(&self, timestamp: i64) -> bool {
        (self.least..=self.most).contains(&timestamp)
    }
}

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
