//! How commands, answers and snapshots are written down. Decoding takes any bytes and never panics.
//!
//! A journal entry is a frame around a list of envelopes: magic (4 bytes), format version (4), CRC32C (4) of
//! the format version, the length and the body, the body's length (4); all little-endian; then the body, a
//! protobuf message (`wire`). A snapshot has a head of its own (`snapshot`). What the messages mean is in
//! `command` and `state`.

mod answers;
mod commands;
mod parts;
mod snapshot;
mod wire;

#[cfg(test)]
mod tests;

pub use answers::{decode_answer, encode_answer};
pub use commands::{decode_envelope, encode_envelope};
pub(crate) use snapshot::HEAD_BYTES as SNAPSHOT_HEAD_BYTES;
pub use snapshot::{Snapshot, SnapshotHead, decode_snapshot, decode_snapshot_head, encode_snapshot};

use crate::command::Envelope;
use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};
use uuid::Uuid;

/// Why bytes could not be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// They are something else, or cut short.
    #[error("it is not a {what}, or only a part of one")]
    NotA {
        /// What was expected.
        what: &'static str,
    },
    /// They were changed since they were written.
    #[error("its checksum does not match: it was damaged after it was written")]
    Damaged,
    /// They were written by a newer version, whose meaning isn't known here.
    #[error("it was written by a newer Levee ({what}); start that version, or a newer one, instead")]
    Newer {
        /// What isn't known.
        what: String,
    },
    /// They were written whole, and contradict themselves.
    #[error("it contradicts itself: {reason}")]
    Malformed {
        /// How.
        reason: String,
    },
}

impl CodecError {
    fn malformed(reason: impl ToString) -> Self {
        Self::Malformed { reason: reason.to_string() }
    }
}

const ENTRY: &str = "journal entry";
const ENTRY_MAGIC: &[u8; 4] = b"LVJE";
const ENTRY_FORMAT: u32 = 1;
/// The bytes that a journal entry takes besides its commands.
pub const ENTRY_HEAD_BYTES: usize = 16;

/// A journal entry of envelopes that are encoded already.
///
/// # Panics
/// When they take more than 4 GiB: a caller keeps to `JOURNAL_ENTRY_BYTES` and `COMMAND_BYTES`.
pub fn encode_entry<'a>(envelopes: impl Iterator<Item = &'a [u8]>) -> Bytes {
    let mut body = Vec::new();
    for envelope in envelopes {
        encode_key(1, WireType::LengthDelimited, &mut body);
        encode_varint(envelope.len() as u64, &mut body);
        body.put_slice(envelope);
    }
    let length = u32::try_from(body.len()).expect("a journal entry is bounded far below 4 GiB");
    let mut entry = BytesMut::with_capacity(ENTRY_HEAD_BYTES + body.len());
    entry.put_slice(ENTRY_MAGIC);
    entry.put_u32_le(ENTRY_FORMAT);
    entry.put_u32_le(checksum(&[&ENTRY_FORMAT.to_le_bytes(), &length.to_le_bytes(), &body]));
    entry.put_u32_le(length);
    entry.put_slice(&body);
    entry.freeze()
}

/// The envelopes of a journal entry.
///
/// # Errors
/// Any `CodecError`.
pub fn decode_entry(entry: &[u8]) -> Result<Vec<Envelope>, CodecError> {
    let not = CodecError::NotA { what: ENTRY };
    let (head, body) = entry.split_at_checked(ENTRY_HEAD_BYTES).ok_or(not.clone())?;
    let (magic, head) = head.split_at(4);
    if magic != ENTRY_MAGIC {
        return Err(not);
    }
    let format = u32_at(head, 0).ok_or(not.clone())?;
    if format > ENTRY_FORMAT {
        return Err(CodecError::Newer { what: format!("format {format} of a journal entry") });
    }
    let (crc, length) = (u32_at(head, 4).ok_or(not.clone())?, u32_at(head, 8).ok_or(not.clone())?);
    if body.len() != length as usize {
        return Err(not);
    }
    if checksum(&[&format.to_le_bytes(), &length.to_le_bytes(), body]) != crc {
        return Err(CodecError::Damaged);
    }
    let entry = wire::Entry::decode(body).map_err(CodecError::malformed)?;
    entry.envelopes.into_iter().map(commands::envelope_from).collect()
}

fn checksum(parts: &[&[u8]]) -> u32 {
    parts.iter().fold(0, |crc, part| crc32c::crc32c_append(crc, part))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn uuid(bytes: &[u8]) -> Result<Uuid, CodecError> {
    Uuid::from_slice(bytes).map_err(|_| CodecError::malformed("an id is 16 bytes long"))
}

/// The columns of a table all have as many rows.
fn rows<const N: usize>(lengths: [usize; N]) -> Result<usize, CodecError> {
    let rows = lengths.first().copied().unwrap_or(0);
    if lengths.iter().all(|&length| length == rows) {
        Ok(rows)
    } else {
        Err(CodecError::malformed("the columns of a table differ in length"))
    }
}
