//! Bytes 256 to 4096 of an object: what it is and where its index lies. The 256 before belong to the log.

use super::{FormatError, array};
use levee_base::limits::{LOG_HEADER_BYTES, OBJECT_HEADER_BYTES};
use levee_base::{ClusterId, Epoch, WriterId};
use std::ops::Range;

const PART: &str = "object header";
const MAGIC: [u8; 8] = *b"LEVEEOBJ";
/// The version that is written. Readable: 1.
const VERSION: u16 = 1;
const CRC_AT: usize = OBJECT_HEADER_BYTES - 4;

const _: () = assert!(OBJECT_HEADER_BYTES == 4096, "the layout is what readers of older objects rely on");

/// What an object holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    /// An entry of a write-ahead log: level 0, blocks in order of arrival.
    Wal,
    /// Gathered from memory and sorted by stream. Not written yet.
    Level1,
    /// Of one stream or a few, made by compaction. Not written yet.
    Level2,
}

impl ObjectKind {
    const fn code(self) -> u16 {
        match self {
            Self::Wal => 1,
            Self::Level1 => 2,
            Self::Level2 => 3,
        }
    }
}

/// What an object's header says, the log's part left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectHeader {
    /// What it holds.
    pub kind: ObjectKind,
    /// Whose it is.
    pub cluster: ClusterId,
    /// The broker epoch that made it.
    pub epoch: Epoch,
    /// Its number in that epoch: of a write-ahead log object, the slot.
    pub number: u64,
    /// Who made it.
    pub writer: WriterId,
    /// The object's length in bytes.
    pub total_bytes: u64,
    /// Where its index lies, in bytes from the object's start.
    pub index: Range<u64>,
    /// Blocks in it.
    pub blocks: u32,
}

impl ObjectHeader {
    /// Writes bytes 256 to 4096 of `head`, and leaves those before to the log.
    pub fn write(&self, head: &mut [u8; OBJECT_HEADER_BYTES]) {
        head[LOG_HEADER_BYTES..].fill(0);
        head[256..264].copy_from_slice(&MAGIC);
        head[264..266].copy_from_slice(&VERSION.to_le_bytes());
        head[266..268].copy_from_slice(&self.kind.code().to_le_bytes());
        head[272..288].copy_from_slice(self.cluster.0.as_bytes());
        head[288..296].copy_from_slice(&self.epoch.0.to_le_bytes());
        head[296..304].copy_from_slice(&self.number.to_le_bytes());
        head[304..320].copy_from_slice(self.writer.0.as_bytes());
        head[320..328].copy_from_slice(&self.total_bytes.to_le_bytes());
        head[328..336].copy_from_slice(&self.index.start.to_le_bytes());
        head[336..344].copy_from_slice(&self.index.end.to_le_bytes());
        head[344..348].copy_from_slice(&self.blocks.to_le_bytes());
        let crc = crc32c::crc32c(&head[LOG_HEADER_BYTES..CRC_AT]);
        head[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
    }

    /// Reads the header of the object whose first bytes are `bytes`: at least 4 KiB, more are ignored.
    ///
    /// # Errors
    /// When they are not such a header, or one that this version can't read.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        if bytes.len() < OBJECT_HEADER_BYTES {
            return Err(FormatError::TooShort {
                part: PART,
                found: bytes.len(),
                needed: OBJECT_HEADER_BYTES,
            });
        }
        if bytes[256..264] != MAGIC {
            return Err(FormatError::Magic { part: PART });
        }
        let crc = crc32c::crc32c(&bytes[LOG_HEADER_BYTES..CRC_AT]);
        if crc != u32::from_le_bytes(array(bytes, CRC_AT)) {
            return Err(FormatError::Checksum { part: PART });
        }
        let version = u16::from_le_bytes(array(bytes, 264));
        if version != VERSION {
            return Err(FormatError::Version { part: PART, found: version, known: VERSION });
        }
        let kind = match u16::from_le_bytes(array(bytes, 266)) {
            1 => ObjectKind::Wal,
            2 => ObjectKind::Level1,
            3 => ObjectKind::Level2,
            _ => return Err(FormatError::Inconsistent { part: PART, what: "its kind is unknown" }),
        };
        let header = Self {
            kind,
            cluster: ClusterId(uuid::Uuid::from_bytes(array(bytes, 272))),
            epoch: Epoch(u64::from_le_bytes(array(bytes, 288))),
            number: u64::from_le_bytes(array(bytes, 296)),
            writer: WriterId(uuid::Uuid::from_bytes(array(bytes, 304))),
            total_bytes: u64::from_le_bytes(array(bytes, 320)),
            index: u64::from_le_bytes(array(bytes, 328))..u64::from_le_bytes(array(bytes, 336)),
            blocks: u32::from_le_bytes(array(bytes, 344)),
        };
        let inside = header.index.start >= OBJECT_HEADER_BYTES as u64
            && header.index.start < header.index.end
            && header.index.end <= header.total_bytes;
        if !inside {
            return Err(FormatError::Inconsistent { part: PART, what: "its index lies outside the object" });
        }
        Ok(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    prop_compose! {
        fn headers()(
            kind in prop::sample::select(vec![ObjectKind::Wal, ObjectKind::Level1, ObjectKind::Level2]),
            ids in any::<(u128, u128)>(), epoch in any::<u64>(), number in any::<u64>(),
            start in 4096u64..1 << 40, length in 1u64..1 << 30, after in 0u64..1 << 30, blocks in any::<u32>(),
        ) -> ObjectHeader {
            ObjectHeader {
                kind,
                cluster: ClusterId(uuid::Uuid::from_u128(ids.0)),
                epoch: Epoch(epoch),
                number,
                writer: WriterId(uuid::Uuid::from_u128(ids.1)),
                total_bytes: start + length + after,
                index: start..start + length,
                blocks,
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(header in headers()) {
            let mut head = [0xff; OBJECT_HEADER_BYTES];
            header.write(&mut head);
            prop_assert!(head[..LOG_HEADER_BYTES].iter().all(|&b| b == 0xff), "the log's part is left alone");
            prop_assert_eq!(ObjectHeader::decode(&head).unwrap(), header);
        }

        #[test]
        fn every_changed_byte_is_noticed(
            header in headers(), at in LOG_HEADER_BYTES..OBJECT_HEADER_BYTES, flip in 1u8..,
        ) {
            let mut head = [0; OBJECT_HEADER_BYTES];
            header.write(&mut head);
            head[at] ^= flip;
            prop_assert!(ObjectHeader::decode(&head).is_err());
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..5_000)) {
            let _ = ObjectHeader::decode(&bytes);
        }

        /// Fields at random under a checksum that is right, as only a bug or an enemy would write them.
        #[test]
        fn no_fields_panic(fields in prop::collection::vec(any::<u8>(), 84)) {
            let mut head = [0; OBJECT_HEADER_BYTES];
            head[256..264].copy_from_slice(&MAGIC);
            head[264] = 1;
            head[266..350].copy_from_slice(&fields);
            head[266..268].copy_from_slice(&[fields[0] % 5, 0]);
            let crc = crc32c::crc32c(&head[LOG_HEADER_BYTES..CRC_AT]);
            head[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
            if let Ok(header) = ObjectHeader::decode(&head) {
                prop_assert!(header.index.end <= header.total_bytes);
            }
        }
    }
}
