//! Reads Kafka's primitive types off a byte slice, shared or mutable, never beyond its end. The only place that
//! interprets a length from the wire. Nothing here allocates.

use std::mem;

/// Why bytes are not what they claim to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A length or a fixed field reaches beyond the end.
    #[error("{wanted} bytes are announced where {left} are left")]
    Truncated {
        /// How many bytes the field takes.
        wanted: usize,
        /// How many there are.
        left: usize,
    },
    /// A string is longer than Kafka's may be.
    #[error("a string has {0} bytes, and none may have more than {max}", max = i16::MAX)]
    LongString(usize),
    /// A length below zero that does not mean null.
    #[error("a length is {0}")]
    NegativeLength(i64),
    /// Null where the version allows none.
    #[error("a field is null that may not be")]
    Null,
    /// More than 32 bits, or more than five bytes.
    #[error("a variable-length number has more than 32 bits")]
    Varint,
    /// The marker of a nullable struct is neither 1 nor -1.
    #[error("a nullable struct begins with {0}, which is neither 1 nor -1")]
    StructMarker(i8),
    /// A tagged field is shorter than the size it was given.
    #[error("a tagged field has {0} bytes too many")]
    TaggedField(usize),
    /// A string is not UTF-8.
    #[error("a string is not UTF-8")]
    Utf8,
    /// The decoded request would take more memory than it may.
    #[error("the request would take more than {limit} bytes of memory; send fewer elements in one request")]
    TooMuchMemory {
        /// What it may take, in bytes.
        limit: usize,
    },
    /// There is no such API.
    #[error("there is no API with key {0}")]
    UnknownApi(i16),
    /// The API has no such version.
    #[error("version {version} of API {api} does not exist")]
    UnknownVersion {
        /// The API's key.
        api: i16,
        /// The version that was asked for.
        version: i16,
    },
    /// The kafka-protocol crate refused what the guard let through.
    #[error("the body does not decode")]
    Undecodable,
}

/// A slice that can be taken apart: `&[u8]` or `&mut [u8]`.
pub trait Slice: Default {
    /// The bytes.
    fn bytes(&self) -> &[u8];
    /// The first `at` bytes and the rest; `at` is not beyond the end.
    fn split(self, at: usize) -> (Self, Self);
}

impl Slice for &[u8] {
    fn bytes(&self) -> &[u8] {
        self
    }
    fn split(self, at: usize) -> (Self, Self) {
        self.split_at(at)
    }
}

impl Slice for &mut [u8] {
    fn bytes(&self) -> &[u8] {
        self
    }
    fn split(self, at: usize) -> (Self, Self) {
        self.split_at_mut(at)
    }
}

/// A position in a slice. Every method that fails leaves it unusable.
#[derive(Debug)]
pub struct Cursor<S>(S);

impl<S: Slice> Cursor<S> {
    /// At the start of `bytes`.
    pub const fn new(bytes: S) -> Self {
        Self(bytes)
    }

    /// How many bytes are left.
    #[must_use]
    pub fn left(&self) -> usize {
        self.0.bytes().len()
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// `Truncated` when there are fewer.
    pub fn take(&mut self, count: usize) -> Result<S, Malformed> {
        let left = self.left();
        if count > left {
            return Err(Malformed::Truncated { wanted: count, left });
        }
        let (head, tail) = mem::take(&mut self.0).split(count);
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let bytes = self.take(N)?;
        Ok(bytes.bytes().try_into().expect("take gives as many bytes as asked for"))
    }

    /// INT8.
    ///
    /// # Errors
    /// `Truncated`.
    pub fn int8(&mut self) -> Result<i8, Malformed> {
        self.array().map(i8::from_be_bytes)
    }

    /// INT16.
    ///
    /// # Errors
    /// `Truncated`.
    pub fn int16(&mut self) -> Result<i16, Malformed> {
        self.array().map(i16::from_be_bytes)
    }

    /// INT32.
    ///
    /// # Errors
    /// `Truncated`.
    pub fn int32(&mut self) -> Result<i32, Malformed> {
        self.array().map(i32::from_be_bytes)
    }

    /// UUID.
    ///
    /// # Errors
    /// `Truncated`.
    pub fn uuid(&mut self) -> Result<uuid::Uuid, Malformed> {
        self.array().map(uuid::Uuid::from_bytes)
    }

    /// UNSIGNED_VARINT: at most five bytes and 32 bits. The crate drops what is beyond; we refuse it.
    ///
    /// # Errors
    /// `Truncated`, `Varint`.
    pub fn unsigned_varint(&mut self) -> Result<u32, Malformed> {
        let mut value = 0_u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            if shift == 28 && byte > 0x0f {
                return Err(Malformed::Varint);
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed::Varint)
    }

    fn compact_length(&mut self) -> Result<Option<usize>, Malformed> {
        Ok(self.unsigned_varint()?.checked_sub(1).map(|length| length as usize))
    }

    /// The length of an array or of bytes: COMPACT in flexible versions, else an INT32; `None` for null.
    ///
    /// # Errors
    /// `Truncated`, `Varint`, `NegativeLength`.
    pub fn long_length(&mut self, flexible: bool) -> Result<Option<usize>, Malformed> {
        if flexible { self.compact_length() } else { signed_length(self.int32()?) }
    }

    /// The length of a string: COMPACT in flexible versions, else an INT16; `None` for null. A COMPACT one is no longer
    /// than an INT16 can say, as in Kafka, so that a string of one version can be written in another.
    ///
    /// # Errors
    /// `Truncated`, `Varint`, `NegativeLength`, `LongString`.
    pub fn short_length(&mut self, flexible: bool) -> Result<Option<usize>, Malformed> {
        if !flexible {
            return signed_length(i32::from(self.int16()?));
        }
        match self.compact_length()? {
            Some(length) if i16::try_from(length).is_err() => Err(Malformed::LongString(length)),
            length => Ok(length),
        }
    }

    /// Passes over a section of tagged fields, none of which is known.
    ///
    /// # Errors
    /// `Truncated`, `Varint`.
    pub fn skip_tagged_fields(&mut self) -> Result<(), Malformed> {
        for _ in 0..self.unsigned_varint()? {
            self.unsigned_varint()?;
            let size = self.unsigned_varint()?;
            self.take(size as usize)?;
        }
        Ok(())
    }
}

fn signed_length(length: i32) -> Result<Option<usize>, Malformed> {
    match length {
        -1 => Ok(None),
        length => usize::try_from(length).map(Some).map_err(|_| Malformed::NegativeLength(length.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn varint(bytes: &[u8]) -> Result<u32, Malformed> {
        Cursor::new(bytes).unsigned_varint()
    }

    #[test]
    fn varints_of_up_to_32_bits_are_read_and_longer_ones_refused() {
        assert_eq!(varint(&[0]), Ok(0));
        assert_eq!(varint(&[0x80, 0x01]), Ok(128));
        assert_eq!(varint(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Ok(u32::MAX));
        assert_eq!(varint(&[0xff, 0xff, 0xff, 0xff, 0x1f]), Err(Malformed::Varint));
        assert_eq!(varint(&[0xff, 0xff, 0xff, 0xff, 0x8f, 0x00]), Err(Malformed::Varint));
        assert_eq!(varint(&[0x80]), Err(Malformed::Truncated { wanted: 1, left: 0 }));
    }

    #[test]
    fn no_string_is_longer_than_an_int16_says() {
        let compact = |bytes: &[u8]| Cursor::new(bytes).short_length(true);
        assert_eq!(compact(&[0]), Ok(None));
        assert_eq!(compact(&[0x80, 0x80, 0x02]), Ok(Some(32_767)));
        assert_eq!(compact(&[0x81, 0x80, 0x02]), Err(Malformed::LongString(32_768)));
        assert_eq!(
            compact(&[0xff, 0xff, 0xff, 0xff, 0x0f]),
            Err(Malformed::LongString(u32::MAX as usize - 1))
        );
    }

    #[test]
    fn lengths_below_minus_one_are_refused() {
        assert_eq!(Cursor::new(&[0xff, 0xff][..]).short_length(false), Ok(None));
        assert_eq!(Cursor::new(&[0xff, 0xfe][..]).short_length(false), Err(Malformed::NegativeLength(-2)));
        assert_eq!(
            Cursor::new(&[0x80, 0, 0, 0][..]).long_length(false),
            Err(Malformed::NegativeLength(i32::MIN.into()))
        );
        assert_eq!(Cursor::new(&[0][..]).long_length(true), Ok(None));
        assert_eq!(Cursor::new(&[1][..]).long_length(true), Ok(Some(0)));
    }
}
