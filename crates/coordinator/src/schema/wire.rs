//! Reading and writing the types of Kafka's message format, plain and flexible (KIP-482).
//!
//! Reading takes any bytes and never panics; nothing is allocated by an announced length.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use uuid::Uuid;

/// Bytes that are no record of the kind that they say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// They end too early.
    #[error("a record ends in the middle of a field")]
    Short,
    /// A length that can't be.
    #[error("a record has a field of length {0}")]
    Length(i64),
    /// A string that is not UTF-8.
    #[error("a record has a string that is not UTF-8")]
    Text,
    /// What may not be null is.
    #[error("a record has a field that is null and may not be")]
    Null,
    /// A version of this kind that is not known.
    #[error("a record has version {0}, which this release doesn't read: upgrade Levee")]
    Version(i16),
    /// A kind that is not known.
    #[error("a record is of kind {0}, which this release doesn't know")]
    Kind(i16),
    /// A field with a value that is not known.
    #[error("a record has a field of value {0}, which this release doesn't know: upgrade Levee")]
    Value(i64),
}

/// Reads fields off the front of some bytes.
#[derive(Debug)]
pub struct Reader {
    bytes: Bytes,
    flexible: bool,
}

type Read<T> = Result<T, SchemaError>;

macro_rules! number {
    ($(#[$doc:meta] $name:ident: $type:ty = $get:ident, $put:ident;)*) => {
        impl Reader {
            $(
                #[$doc]
                ///
                /// # Errors
                /// `Short`.
                pub fn $name(&mut self) -> Read<$type> {
                    self.bytes.$get().map_err(|_| SchemaError::Short)
                }
            )*
        }

        impl Writer {
            $(
                #[$doc]
                pub fn $name(&mut self, value: $type) -> &mut Self {
                    self.bytes.$put(value);
                    self
                }
            )*
        }
    };
}

number! {
    /// An int8.
    i8: i8 = try_get_i8, put_i8;
    /// An int16.
    i16: i16 = try_get_i16, put_i16;
    /// An int32.
    i32: i32 = try_get_i32, put_i32;
    /// An int64.
    i64: i64 = try_get_i64, put_i64;
}

impl Reader {
    /// Over the fields that follow kind or version; `flexible` says how lengths are written.
    #[must_use]
    pub const fn new(bytes: Bytes, flexible: bool) -> Self {
        Self { bytes, flexible }
    }

    /// What has not been read yet, in bytes.
    #[must_use]
    pub fn left(&self) -> usize {
        self.bytes.len()
    }

    fn varint(&mut self) -> Read<u32> {
        let mut value = 0_u32;
        for at in 0..5 {
            let next = self.bytes.try_get_u8().map_err(|_| SchemaError::Short)?;
            value |= u32::from(next & 0x7f).checked_shl(7 * at).unwrap_or(0);
            if next & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(SchemaError::Length(-1))
    }

    /// A length; `None` is null. Fixed lengths have `short` bytes for strings (2) and 4 otherwise.
    fn length(&mut self, string: bool) -> Read<Option<usize>> {
        let length = if self.flexible {
            i64::from(self.varint()?) - 1
        } else if string {
            i64::from(self.i16()?)
        } else {
            i64::from(self.i32()?)
        };
        match length {
            -1 => Ok(None),
            _ => usize::try_from(length).map(Some).map_err(|_| SchemaError::Length(length)),
        }
    }

    fn take(&mut self, length: usize) -> Read<Bytes> {
        if length > self.bytes.len() {
            return Err(SchemaError::Short);
        }
        Ok(self.bytes.split_to(length))
    }

    /// A string, or null.
    ///
    /// # Errors
    /// See [`SchemaError`].
    pub fn nullable_string(&mut self) -> Read<Option<String>> {
        let Some(length) = self.length(true)? else { return Ok(None) };
        let bytes = self.take(length)?;
        String::from_utf8(bytes.into()).map(Some).map_err(|_| SchemaError::Text)
    }

    /// A string.
    ///
    /// # Errors
    /// See [`SchemaError`].
    pub fn string(&mut self) -> Read<String> {
        self.nullable_string()?.ok_or(SchemaError::Null)
    }

    /// Bytes, or null.
    ///
    /// # Errors
    /// See [`SchemaError`].
    pub fn nullable_bytes(&mut self) -> Read<Option<Bytes>> {
        self.length(false)?.map(|length| self.take(length)).transpose()
    }

    /// Bytes.
    ///
    /// # Errors
    /// See [`SchemaError`].
    pub fn bytes(&mut self) -> Read<Bytes> {
        self.nullable_bytes()?.ok_or(SchemaError::Null)
    }

    /// A UUID.
    ///
    /// # Errors
    /// `Short`.
    pub fn uuid(&mut self) -> Read<Uuid> {
        self.bytes.try_get_u128().map(Uuid::from_u128).map_err(|_| SchemaError::Short)
    }

    /// An array, or null.
    ///
    /// # Errors
    /// See [`SchemaError`], and those of `each`.
    pub fn nullable_array<T>(&mut self, mut each: impl FnMut(&mut Self) -> Read<T>) -> Read<Option<Vec<T>>> {
        let Some(length) = self.length(false)? else { return Ok(None) };
        let mut array = Vec::new();
        for _ in 0..length {
            // An element has a byte at least, so this ends.
            if self.bytes.is_empty() {
                return Err(SchemaError::Short);
            }
            array.push(each(self)?);
        }
        Ok(Some(array))
    }

    /// An array.
    ///
    /// # Errors
    /// See [`SchemaError`], and those of `each`.
    pub fn array<T>(&mut self, each: impl FnMut(&mut Self) -> Read<T>) -> Read<Vec<T>> {
        self.nullable_array(each)?.ok_or(SchemaError::Null)
    }

    /// The tagged fields that end a flexible structure; nothing of a plain one. `each` gets the number and the bytes of
    /// each, and leaves alone what it does not know.
    ///
    /// # Errors
    /// See [`SchemaError`], and those of `each`.
    pub fn tagged(&mut self, mut each: impl FnMut(u32, &mut Self) -> Read<()>) -> Read<()> {
        if !self.flexible {
            return Ok(());
        }
        for _ in 0..self.varint()? {
            let tag = self.varint()?;
            let length = self.varint()? as usize;
            let mut field = Self::new(self.take(length)?, true);
            each(tag, &mut field)?;
        }
        Ok(())
    }

    /// Tagged fields of which none is known.
    ///
    /// # Errors
    /// See [`SchemaError`].
    pub fn no_tagged(&mut self) -> Read<()> {
        self.tagged(|_, _| Ok(()))
    }
}

/// Writes fields one after the other.
#[derive(Debug)]
pub struct Writer {
    bytes: BytesMut,
    flexible: bool,
}

impl Writer {
    /// A record's key of kind `number`, or its value of version `number`.
    #[must_use]
    pub fn new(number: i16, flexible: bool) -> Self {
        let mut bytes = BytesMut::with_capacity(64);
        bytes.put_i16(number);
        Self { bytes, flexible }
    }

    fn varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.bytes.put_u8((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.put_u8(value as u8);
    }

    fn length(&mut self, length: Option<usize>, string: bool) {
        // Nothing that a request carried is longer than a frame: 100 MiB.
        let length = length.map_or(-1, |length| i32::try_from(length).unwrap_or(i32::MAX));
        if self.flexible {
            self.varint(length.wrapping_add(1).cast_unsigned());
        } else if string {
            self.bytes.put_i16(i16::try_from(length).unwrap_or(i16::MAX));
        } else {
            self.bytes.put_i32(length);
        }
    }

    /// A string, or null. Longer than a string may be (32,767 bytes), it is cut.
    pub fn nullable_string(&mut self, value: Option<&str>) -> &mut Self {
        let value = value.map(|value| {
            let mut end = value.len().min(i16::MAX as usize);
            while !value.is_char_boundary(end) {
                end -= 1;
            }
            &value[..end]
        });
        self.length(value.map(str::len), true);
        self.bytes.put_slice(value.unwrap_or_default().as_bytes());
        self
    }

    /// A string.
    pub fn string(&mut self, value: &str) -> &mut Self {
        self.nullable_string(Some(value))
    }

    /// Bytes.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.length(Some(value.len()), false);
        self.bytes.put_slice(value);
        self
    }

    /// A UUID.
    pub fn uuid(&mut self, value: Uuid) -> &mut Self {
        self.bytes.put_u128(value.as_u128());
        self
    }

    /// An array, or null.
    pub fn nullable_array<T>(
        &mut self,
        values: Option<&[T]>,
        mut each: impl FnMut(&mut Self, &T),
    ) -> &mut Self {
        self.length(values.map(<[T]>::len), false);
        for value in values.unwrap_or_default() {
            each(self, value);
        }
        self
    }

    /// An array.
    pub fn array<T>(&mut self, values: &[T], each: impl FnMut(&mut Self, &T)) -> &mut Self {
        self.nullable_array(Some(values), each)
    }

    /// The tagged fields that end a flexible structure, by ascending number; nothing in a plain one.
    pub fn tagged(&mut self, fields: &[(u32, Bytes)]) -> &mut Self {
        if self.flexible {
            self.varint(fields.len() as u32);
            for (tag, field) in fields {
                self.varint(*tag);
                self.varint(field.len() as u32);
                self.bytes.put_slice(field);
            }
        }
        self
    }

    /// What was written.
    #[must_use]
    pub fn finish(&mut self) -> Bytes {
        std::mem::take(&mut self.bytes).freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_back() {
        for flexible in [false, true] {
            let bytes = Writer::new(7, flexible)
                .i8(-1)
                .i64(1 << 40)
                .string("topic")
                .nullable_string(None)
                .bytes(b"xy")
                .array(&[1, 2, 3], |writer, value| {
                    writer.i32(*value).tagged(&[]);
                })
                .nullable_array::<i32>(None, |_, _| {})
                .tagged(&[(3, Bytes::from_static(b"\0\x05"))])
                .finish();
            let mut reader = Reader::new(bytes, flexible);
            assert_eq!((reader.i16(), reader.i8(), reader.i64()), (Ok(7), Ok(-1), Ok(1 << 40)));
            assert_eq!(reader.string().as_deref(), Ok("topic"));
            assert_eq!(reader.nullable_string(), Ok(None));
            assert_eq!(reader.bytes().as_deref(), Ok(&b"xy"[..]));
            let each = |reader: &mut Reader| {
                let value = reader.i32()?;
                reader.no_tagged()?;
                Ok(value)
            };
            assert_eq!(reader.array(each), Ok(vec![1, 2, 3]));
            assert_eq!(reader.nullable_array(Reader::i32), Ok(None));
            let mut found = None;
            let tagged = reader.tagged(|tag, field| {
                found = Some((tag, field.i16()?));
                Ok(())
            });
            assert_eq!((tagged, found), (Ok(()), flexible.then_some((3, 5))));
            assert_eq!(reader.left(), 0);
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let long = Bytes::from_static(&[0x7f, 0xff, 0xff, 0xff]);
        assert_eq!(Reader::new(long.clone(), false).array(Reader::i8), Err(SchemaError::Short));
        assert_eq!(Reader::new(long, false).bytes(), Err(SchemaError::Short));
        assert_eq!(Reader::new(Bytes::from_static(&[0, 1, 0xff]), false).string(), Err(SchemaError::Text));
        assert_eq!(Reader::new(Bytes::from_static(&[0xff, 0xff]), false).string(), Err(SchemaError::Null));
        assert_eq!(Reader::new(Bytes::from_static(&[0xff; 6]), true).bytes(), Err(SchemaError::Length(-1)));
    }
}
