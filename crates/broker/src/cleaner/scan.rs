//! The records of a batch as the cleaner sees them: where each is, a hash of its key, whether it has a value. Nothing
//! of a record is held in memory, however large it is.
//!
//! This is stricter than what a broker checks when it appends: a batch counts as readable only if its checksum is
//! right, if it holds as many records as it says and nothing else, and if their offsets ascend within its own. The
//! cleaner writes batches anew and deletes what they outdate, so it acts on nothing that is in doubt.

use super::offset_map::{KeyHash, KeyHasher};
use crate::batch::compose::put_varint;
use crate::batch::header::{BatchView, TimestampType};
use crate::batch::records::{Unreadable, byte, invalid, varint, varlong};
use std::io::{self, BufRead, BufReader, Read, Write};

/// A record, without its key and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) offset: i64,
    pub(super) key: Option<KeyHash>,
    pub(super) has_value: bool,
}

/// The records of one batch, from the first on.
pub(super) struct Scan<'a> {
    input: BufReader<Box<dyn Read + 'a>>,
    left: i32,
    base_offset: i64,
    base_timestamp: i64,
    append_time: Option<i64>,
    offset_delta_min: i64,
    offset_delta_max: i64,
}

impl<'a> Scan<'a> {
    /// Opens `batch`, unpacking at most `limit_bytes`.
    pub(super) fn open(batch: &BatchView<'a>, limit_bytes: usize) -> Result<Self, Unreadable> {
        sound(batch)?;
        let compression =
            batch.attributes().compression().ok_or_else(|| invalid("no codec has this number"))?;
        if batch.count() < 0 || batch.last_offset_delta() < 0 || batch.base_offset() < 0 {
            return Err(invalid("its count or its offsets are negative").into());
        }
        // A batch that was cleaned to nothing has no stream to open.
        let input: Box<dyn Read + 'a> = if batch.payload().is_empty() {
            Box::new(io::empty())
        } else {
            compression.open(batch.payload(), limit_bytes)?
        };
        Ok(Self {
            input: BufReader::new(input),
            left: batch.count(),
            base_offset: batch.base_offset(),
            base_timestamp: batch.base_timestamp(),
            append_time: match batch.attributes().timestamp_type() {
                TimestampType::CreateTime => None,
                TimestampType::LogAppendTime => Some(batch.max_timestamp()),
            },
            offset_delta_min: 0,
            offset_delta_max: i64::from(batch.last_offset_delta()),
        })
    }

    /// The next record, `None` after the last. What is read after an error has no meaning.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, Unreadable> {
        if self.left == 0 {
            return if self.input.fill_buf()?.is_empty() {
                Ok(None)
            } else {
                Err(invalid("there is more than its records").into())
            };
        }
        self.left -= 1;
        let mut record = self.begin()?;
        let key = hashed(&mut record.body)?;
        let value = varint(&mut record.body)?;
        if u64::try_from(value).is_ok_and(|value| value > record.body.limit()) {
            return Err(invalid("a value reaches beyond its record").into());
        }
        let rest = record.body.limit();
        if io::copy(&mut record.body, &mut io::sink())? != rest {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(Some(Entry { offset: record.offset, key, has_value: value >= 0 }))
    }

    /// The next record's timestamp. Then it is passed over if `out` is `None`, and otherwise written to it, as a
    /// record of a batch with the base timestamp that `out` names; without one, the record's own is the base.
    /// `None` after the last record.
    pub(super) fn copy(
        &mut self,
        out: Option<(&mut dyn Write, &mut Option<i64>)>,
    ) -> Result<Option<i64>, Unreadable> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let mut record = self.begin()?;
        let rest = record.body.limit();
        let copied = match out {
            None => io::copy(&mut record.body, &mut io::sink())?,
            Some((out, base_timestamp)) => {
                let base = *base_timestamp.get_or_insert(record.timestamp);
                let mut head = Vec::with_capacity(32);
                head.push(record.attributes);
                put_varint(&mut head, record.timestamp.wrapping_sub(base));
                put_varint(&mut head, record.offset_delta);
                let mut length = Vec::with_capacity(5);
                let bytes =
                    i32::try_from(head.len() as u64 + rest).map_err(|_| invalid("a record is too long"))?;
                put_varint(&mut length, i64::from(bytes));
                out.write_all(&length)?;
                out.write_all(&head)?;
                io::copy(&mut record.body, out)?
            }
        };
        if copied != rest {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(Some(record.timestamp))
    }

    /// The first bytes of the next record's key, as many as `N`; `None` if there is no record or no such key.
    pub(super) fn key_start<const N: usize>(&mut self) -> Result<Option<[u8; N]>, Unreadable> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let mut record = self.begin()?;
        let length = varint(&mut record.body)?;
        if usize::try_from(length).is_ok_and(|length| length >= N) {
            let mut start = [0; N];
            record.body.read_exact(&mut start)?;
            return Ok(Some(start));
        }
        Ok(None)
    }

    fn begin(&mut self) -> io::Result<Record<'_, 'a>> {
        let length = varint(&mut self.input)?;
        let length = u64::try_from(length).map_err(|_| invalid("a record's length is negative"))?;
        let mut body = (&mut self.input).take(length);
        let attributes = byte(&mut body)?;
        let timestamp_delta = varlong(&mut body)?;
        let offset_delta = varint(&mut body)?;
        if !(self.offset_delta_min..=self.offset_delta_max).contains(&offset_delta) {
            return Err(invalid("a record's offset is out of order"));
        }
        self.offset_delta_min = offset_delta + 1;
        Ok(Record {
            attributes,
            timestamp: self.append_time.unwrap_or(self.base_timestamp.wrapping_add(timestamp_delta)),
            offset_delta,
            offset: self.base_offset.wrapping_add(offset_delta),
            body,
        })
    }
}

/// Checks that the bytes are those that were sent.
pub(super) fn sound(batch: &BatchView<'_>) -> Result<(), Unreadable> {
    if batch.crc() == batch.computed_crc() { Ok(()) } else { Err(invalid("its checksum is wrong").into()) }
}

/// A record of which key, value and headers are still to be read.
struct Record<'s, 'a> {
    attributes: u8,
    timestamp: i64,
    offset_delta: i64,
    offset: i64,
    body: io::Take<&'s mut BufReader<Box<dyn Read + 'a>>>,
}

/// Reads a key and gives its hash, `None` for no key.
fn hashed(body: &mut io::Take<impl BufRead>) -> io::Result<Option<KeyHash>> {
    let length = varint(body)?;
    let Ok(mut left) = usize::try_from(length) else { return Ok(None) };
    let mut hasher = KeyHasher::new();
    while left > 0 {
        let ready = body.fill_buf()?;
        let piece = &ready[..ready.len().min(left)];
        if piece.is_empty() {
            return Err(invalid("a key reaches beyond its record"));
        }
        hasher.update(piece);
        let taken = piece.len();
        body.consume(taken);
        left -= taken;
    }
    Ok(Some(hasher.finish()))
}
