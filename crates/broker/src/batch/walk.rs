//! The records of a batch that is not compressed, walked in place.
//!
//! Kafka's leader looks at every record before it takes a batch in. For what is not compressed that costs little: some
//! numbers for each record, and no byte of its key, value or headers. So a count that lies, and lengths that can't be,
//! are found out before they get offsets and stop every consumer that comes to them.

use super::header::{BatchView, TimestampType};
use super::records::{Record, invalid, varint, varlong};
use std::io;

/// An iterator over the records of a batch that is not compressed, of which there must be as many as its header says,
/// no more and no less. It ends after the first error, which is of the kind `InvalidInput` where Kafka fails, and of
/// another where it refuses.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    rest: &'a [u8],
    left: i32,
    base_offset: i64,
    base_timestamp: i64,
    append_time: Option<i64>,
}

impl<'a> Walk<'a> {
    /// Of a batch whose payload is its records.
    pub(super) fn of(batch: &BatchView<'a>) -> Self {
        let stamped = batch.attributes().timestamp_type() == TimestampType::LogAppendTime;
        Self {
            rest: batch.payload(),
            left: batch.count().max(0),
            base_offset: batch.base_offset(),
            base_timestamp: batch.base_timestamp(),
            append_time: stamped.then(|| batch.max_timestamp()),
        }
    }

    fn record(&mut self) -> io::Result<Record> {
        // Where Kafka reads this number it is not ready for one that is too long, and fails otherwise than on the rest.
        let length = varint(&mut self.rest).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => io::Error::new(io::ErrorKind::InvalidInput, error),
            _ => error,
        })?;
        let length = usize::try_from(length).map_err(|_| invalid("a record's length is negative"))?;
        let (mut body, rest) =
            self.rest.split_at_checked(length).ok_or_else(|| invalid("a record reaches beyond its batch"))?;
        self.rest = rest;
        // The attributes, which have no meaning yet.
        skip(&mut body, 1)?;
        let timestamp_delta = varlong(&mut body)?;
        let offset_delta = varint(&mut body)?;
        let has_key = bytes_or_null(&mut body)?;
        bytes_or_null(&mut body)?;
        let headers = varint(&mut body)?;
        // Each takes two bytes at least, so this is what ends the loop however many there are said to be.
        if usize::try_from(headers).map_or(true, |headers| headers > body.len()) {
            return Err(invalid("a record can't have so many headers"));
        }
        for _ in 0..headers {
            if !bytes_or_null(&mut body)? {
                return Err(invalid("a header's key is null"));
            }
            bytes_or_null(&mut body)?;
        }
        if !body.is_empty() {
            return Err(invalid("a record is longer than what is in it"));
        }
        Ok(Record {
            offset: self.base_offset.wrapping_add(offset_delta),
            timestamp: self.append_time.unwrap_or(self.base_timestamp.wrapping_add(timestamp_delta)),
            has_key,
        })
    }
}

impl Iterator for Walk<'_> {
    type Item = io::Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            let rest = std::mem::take(&mut self.rest);
            return (!rest.is_empty())
                .then(|| Err(invalid("there is more than the records that the batch says it has")));
        }
        self.left -= 1;
        let record = self.record();
        if record.is_err() {
            (self.left, self.rest) = (0, &[]);
        }
        Some(record)
    }
}

fn ended() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}

fn skip(from: &mut &[u8], bytes: usize) -> io::Result<()> {
    *from = from.get(bytes..).ok_or_else(ended)?;
    Ok(())
}

/// A length, and as many bytes. A negative length is null, of which this says so.
fn bytes_or_null(from: &mut &[u8]) -> io::Result<bool> {
    match usize::try_from(varint(from)?) {
        Ok(bytes) => skip(from, bytes).map(|()| true),
        Err(_) => Ok(false),
    }
}

#[cfg(test)]
#[path = "walk_tests.rs"]
mod tests;
