//! Finding the one batch that Produce allows a partition.
//!
//! Kafka reads a blob as a sequence of batches and stops, without an error, at the first one that is not
//! there whole; it throws at a length or a magic that can't be. Both are kept, because they decide which
//! error a client sees: a truncated batch is 'no batch', and bytes after the batch that can't be another
//! one whole are dropped.

use super::header::{AT_LENGTH, AT_MAGIC, HEADER_BYTES, MAGIC, OVERHEAD_BYTES};
use super::validate::Invalid;

/// The least that a batch's length may state: a version 0 message without key and value.
const LEAST_LENGTH: usize = 14;
/// Magic and all before it.
const UP_TO_MAGIC_BYTES: usize = AT_MAGIC + 1;

/// The size of the batch that `bytes` begin with; `None` if it is not there whole.
///
/// # Errors
/// [`Invalid::Length`] and [`Invalid::MagicByte`], where no batch can be.
pub fn next(bytes: &[u8]) -> Result<Option<usize>, Invalid> {
    let Some((_, rest)) = bytes.split_at_checked(AT_LENGTH) else { return Ok(None) };
    let Some((length, _)) = rest.split_first_chunk::<4>() else { return Ok(None) };
    let length = i32::from_be_bytes(*length);
    let size = match usize::try_from(length) {
        Ok(length) if length >= LEAST_LENGTH => length.saturating_add(OVERHEAD_BYTES),
        _ => return Err(Invalid::Length { length }),
    };
    if bytes.len() < UP_TO_MAGIC_BYTES {
        return Ok(None);
    }
    let magic = bytes[AT_MAGIC].cast_signed();
    if !(0..=MAGIC).contains(&magic) {
        return Err(Invalid::MagicByte { magic });
    }
    Ok((size <= bytes.len()).then_some(size))
}

/// The size of the only batch in `records`, which has the size of a header at least and magic 2.
///
/// # Errors
/// As Kafka's `ProduceRequest.validateRecords`: none, more than one, or one of an older format.
pub fn sole(records: &[u8]) -> Result<usize, Invalid> {
    let size = next(records)?.ok_or(Invalid::NoBatch)?;
    let magic = records[AT_MAGIC].cast_signed();
    if magic != MAGIC {
        return Err(Invalid::OldFormat { magic });
    }
    if next(&records[size..])?.is_some() {
        return Err(Invalid::SeveralBatches);
    }
    if size < HEADER_BYTES {
        return Err(Invalid::Short { size });
    }
    Ok(size)
}
