//! The records of one batch, one after the other, without holding their keys and values.
//!
//! Offsets and timestamps are all that look-ups by time need, and whether there is a key all that compacted
//! topics ask. A batch that LogAppendTime stamped gives its one timestamp for every record, as in Kafka.

use super::header::{BatchView, TimestampType};
use std::io::{self, BufRead, BufReader, Read};

/// What is read of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Its place in the log.
    pub offset: i64,
    /// Its timestamp in Unix milliseconds.
    pub timestamp: i64,
    /// Whether it has a key.
    pub has_key: bool,
}

/// Records that can't be read: a codec that fails, a bound that is passed, lengths that can't be.
#[derive(Debug, thiserror::Error)]
#[error("the records of the batch can't be read: {0}")]
pub struct Unreadable(#[from] pub io::Error);

/// Opens `batch`, reading at most `limit_bytes` of what it unpacks to.
///
/// # Errors
/// When its codec is unknown or refuses the first bytes.
pub fn open<'a>(batch: &BatchView<'a>, limit_bytes: usize) -> Result<Records<'a>, Unreadable> {
    let compression = batch.attributes().compression().ok_or_else(|| invalid("no codec has this number"))?;
    Ok(Records {
        input: BufReader::new(compression.open(batch.payload(), limit_bytes)?),
        left: batch.count().max(0),
        base_offset: batch.base_offset(),
        base_timestamp: batch.base_timestamp(),
        append_time: match batch.attributes().timestamp_type() {
            TimestampType::CreateTime => None,
            TimestampType::LogAppendTime => Some(batch.max_timestamp()),
        },
    })
}

/// An iterator over the records of a batch. It ends after the first error.
pub struct Records<'a> {
    input: BufReader<Box<dyn Read + 'a>>,
    left: i32,
    base_offset: i64,
    base_timestamp: i64,
    append_time: Option<i64>,
}

impl Records<'_> {
    /// Whether the batch is at its end, where all its records have been read.
    ///
    /// # Errors
    /// When its codec fails on what is left.
    pub fn at_end(&mut self) -> Result<bool, Unreadable> {
        Ok(self.input.fill_buf()?.is_empty())
    }

    fn record(&mut self) -> io::Result<Record> {
        let length = varint(&mut self.input)?;
        let body = u64::try_from(length).map_err(|_| invalid("a record's length is negative"))?;
        let mut body = (&mut self.input).take(body);
        let _attributes = byte(&mut body)?;
        let timestamp_delta = varlong(&mut body)?;
        let offset_delta = varint(&mut body)?;
        let key = varint(&mut body)?;
        if u64::try_from(key).is_ok_and(|key| key > body.limit()) {
            return Err(invalid("a key reaches beyond its record"));
        }
        let rest = body.limit();
        if io::copy(&mut body, &mut io::sink())? != rest {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Record {
            offset: self.base_offset.wrapping_add(offset_delta),
            timestamp: self.append_time.unwrap_or(self.base_timestamp.wrapping_add(timestamp_delta)),
            has_key: key >= 0,
        })
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let record = self.record();
        if record.is_err() {
            self.left = 0;
        }
        Some(record.map_err(Unreadable))
    }
}

pub(crate) fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

pub(crate) fn byte(input: &mut impl Read) -> io::Result<u8> {
    let mut one = [0];
    input.read_exact(&mut one)?;
    Ok(one[0])
}

/// A zigzag number of 32 bits, of 5 bytes at most. What is beyond them in a fifth byte is dropped, as Kafka does.
pub(crate) fn varint(input: &mut impl Read) -> io::Result<i64> {
    let value = unsigned(input, 5)? as u32;
    Ok(i64::from((value >> 1).cast_signed() ^ -(value & 1).cast_signed()))
}

/// A zigzag number of 64 bits, of 10 bytes at most.
pub(crate) fn varlong(input: &mut impl Read) -> io::Result<i64> {
    let value = unsigned(input, 10)?;
    Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
}

fn unsigned(input: &mut impl Read, bytes: usize) -> io::Result<u64> {
    let mut value = 0_u64;
    for at in 0..bytes {
        let next = byte(input)?;
        value |= u64::from(next & 0x7f).checked_shl(7 * at as u32).unwrap_or(0);
        if next & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(invalid("a number is longer than its type"))
}

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;
