//! Bounds what a request decodes to, before it is decoded.
//!
//! The kafka-protocol crate allocates an array by the length that the wire announces: a body of twelve bytes
//! (Produce 3 with a topic array of 0x7fffffff) asks for a hundred gigabytes and aborts the process. Small
//! amplifications are as bad: an array element of two bytes may decode to a hundred, and one unknown tagged
//! field of two bytes allocates a tree node of some 400.
//!
//! So nothing is handed to the crate that has not been walked first. The walk goes over the frame by a table of
//! Kafka's own message definitions (`schema.rs`, generated), allocates nothing, and
//!
//! - checks every length of strings, bytes, arrays and tagged fields against what is left of the frame (of the
//!   tagged field, inside one);
//! - sums what the crate will allocate for it: for an array its announced length times the size of the crate's
//!   own element type, checked *before* its elements are walked, and for each unknown tagged field its share of a
//!   `BTreeMap`. Strings and bytes are references into the frame, as decoding is from `Bytes`;
//! - refuses what the crate reads otherwise than Kafka does: numbers of more than 32 bits, a nullable struct
//!   whose marker is neither 1 nor -1, a tagged field that is not as long as it says.
//!
//! Why not another codec, or patches to the crate? `docs/adr/0002-bounded-decode.md`. That the table and the
//! crate agree, for every API, is shown by `tests/bounded_decode.rs`.

#[rustfmt::skip]
mod schema;
pub mod shape;

use super::cursor::{Cursor, Malformed};
use bytes::Bytes;
use kafka_protocol::messages::{ApiKey, RequestKind};
use levee_base::limits::DECODED_REQUEST_BYTES;
use shape::{Field, Kind, Message, Shape};

pub use schema::MESSAGES;

/// What a `BTreeMap<i32, Bytes>` takes for its first entry: a leaf node.
const TAG_MAP_BYTES: usize = 512;
/// What each further entry takes at most: nodes are at least five elevenths full, and have parents.
const TAG_BYTES: usize = 128;

/// What a body was found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Walked {
    /// How many of its bytes the request takes; Kafka ignores what follows, and so do we.
    pub bytes: usize,
    /// From above, the memory that decoding allocates, in bytes, beside the frame itself.
    pub memory: usize,
}

/// The definition of an API's request.
#[must_use]
pub fn message(api: i16) -> Option<&'static Message> {
    MESSAGES.binary_search_by_key(&api, |message| message.key).ok().and_then(|at| MESSAGES.get(at))
}

/// Walks the body of a request (what follows the header) without decoding it.
///
/// # Errors
/// Why it must not be decoded. Of a body that passes, decoding may still fail (a string that is not UTF-8), but
/// neither panics nor takes more memory than was summed.
pub fn walk(api: i16, version: i16, body: &[u8]) -> Result<Walked, Malformed> {
    let message = message(api).ok_or(Malformed::UnknownApi(api))?;
    if !message.versions.contain(version) {
        return Err(Malformed::UnknownVersion { api, version });
    }
    let flexible = message.flexible.contain(version);
    let mut walk = Walk { version, flexible, memory: 0, limit: DECODED_REQUEST_BYTES };
    let mut cursor = Cursor::new(body);
    walk.shape(message.body, &mut cursor)?;
    Ok(Walked { bytes: body.len() - cursor.left(), memory: walk.memory })
}

/// Decodes a body that `walk` has passed.
///
/// # Errors
/// `Undecodable` when the crate refuses it all the same.
pub fn decode(api: ApiKey, version: i16, mut body: Bytes) -> Result<RequestKind, Malformed> {
    RequestKind::decode(api, &mut body, version).map_err(|_| Malformed::Undecodable)
}

struct Walk {
    version: i16,
    flexible: bool,
    memory: usize,
    limit: usize,
}

impl Walk {
    fn charge(&mut self, count: usize, each: usize) -> Result<(), Malformed> {
        self.memory = self.memory.saturating_add(count.saturating_mul(each));
        if self.memory > self.limit { Err(Malformed::TooMuchMemory { limit: self.limit }) } else { Ok(()) }
    }

    fn shape(&mut self, shape: &Shape, cursor: &mut Cursor<&[u8]>) -> Result<(), Malformed> {
        for field in shape.0 {
            if field.tag.is_none() && field.versions.contain(self.version) {
                self.field(field, cursor)?;
            }
        }
        if self.flexible { self.tagged_fields(shape, cursor) } else { Ok(()) }
    }

    fn tagged_fields(&mut self, shape: &Shape, cursor: &mut Cursor<&[u8]>) -> Result<(), Malformed> {
        let mut unknown = false;
        for _ in 0..cursor.unsigned_varint()? {
            let tag = cursor.unsigned_varint()?;
            let size = cursor.unsigned_varint()?;
            let value = cursor.take(size as usize)?;
            let known =
                shape.0.iter().find(|field| field.tag == Some(tag) && field.versions.contain(self.version));
            if let Some(field) = known {
                let mut value = Cursor::new(value);
                self.field(field, &mut value)?;
                if value.left() > 0 {
                    return Err(Malformed::TaggedField(value.left()));
                }
            } else {
                self.charge(1, if unknown { TAG_BYTES } else { TAG_MAP_BYTES })?;
                unknown = true;
            }
        }
        Ok(())
    }

    fn field(&mut self, field: &Field, cursor: &mut Cursor<&[u8]>) -> Result<(), Malformed> {
        let nullable = field.nullable.contain(self.version);
        match &field.kind {
            Kind::Struct(shape) if nullable => match cursor.int8()? {
                1 => self.shape(shape, cursor),
                -1 => Ok(()),
                marker => Err(Malformed::StructMarker(marker)),
            },
            kind => self.value(kind, nullable, cursor),
        }
    }

    fn value(&mut self, kind: &Kind, nullable: bool, cursor: &mut Cursor<&[u8]>) -> Result<(), Malformed> {
        let fixed = match kind {
            Kind::B1 => 1,
            Kind::B2 => 2,
            Kind::B4 => 4,
            Kind::B8 => 8,
            Kind::B16 => 16,
            Kind::Struct(shape) => return self.shape(shape, cursor),
            Kind::Text => length(cursor.short_length(self.flexible)?, nullable)?,
            Kind::Blob => length(cursor.long_length(self.flexible)?, nullable)?,
            Kind::Array(element, each) => {
                let count = length(cursor.long_length(self.flexible)?, nullable)?;
                self.charge(count, *each)?;
                for _ in 0..count {
                    self.value(element, false, cursor)?;
                }
                return Ok(());
            }
        };
        cursor.take(fixed).map(|_| ())
    }
}

fn length(length: Option<usize>, nullable: bool) -> Result<usize, Malformed> {
    match length {
        Some(length) => Ok(length),
        None if nullable => Ok(0),
        None => Err(Malformed::Null),
    }
}

#[cfg(test)]
mod tests;
