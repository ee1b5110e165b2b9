//! The first 256 bytes of every object of a log: journal entries, write-ahead log entries and fences alike.
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | `LEVEELOG` |
//! | 8..10 | version, 1 |
//! | 10 | kind: 1 entry, 2 fence |
//! | 11..16 | zero |
//! | 16..32 | cluster id |
//! | 32..40 | epoch |
//! | 40..48 | slot |
//! | 48..64 | writer id; of a fence in a chain: the next epoch's writer |
//! | 64..72 | the whole object's length in bytes, these 256 included |
//! | 72..252 | zero; readers ignore them |
//! | 252..256 | CRC-32C of bytes 0..252 |
//!
//! Numbers are little-endian. What follows belongs to the entry. A fence is these 256 bytes and nothing else.

use levee_base::limits::LOG_HEADER_BYTES;
use levee_base::{ClusterId, Epoch, Slot, WriterId};
use uuid::Uuid;

const MAGIC: [u8; 8] = *b"LEVEELOG";
const VERSION: u16 = 1;
const CRC_AT: usize = LOG_HEADER_BYTES - 4;

const _: () = assert!(LOG_HEADER_BYTES == 256, "the layout above is what readers of older objects rely on");

/// What an object of a log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An entry.
    Entry,
    /// The end of its epoch.
    Fence,
}

impl Kind {
    const fn code(self) -> u8 {
        match self {
            Self::Entry => 1,
            Self::Fence => 2,
        }
    }
}

/// Which log, which place in it, and who writes: what a writer gives an entry to put into its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The cluster.
    pub cluster: ClusterId,
    /// The epoch.
    pub epoch: Epoch,
    /// The slot.
    pub slot: Slot,
    /// The epoch's writer; for a fence, whoever fences.
    pub writer: WriterId,
}

impl Stamp {
    /// Writes the header of an object of `total_bytes` (these 256 included) over `head`.
    pub fn write(&self, kind: Kind, total_bytes: u64, head: &mut [u8; LOG_HEADER_BYTES]) {
        head.fill(0);
        head[0..8].copy_from_slice(&MAGIC);
        head[8..10].copy_from_slice(&VERSION.to_le_bytes());
        head[10] = kind.code();
        head[16..32].copy_from_slice(self.cluster.0.as_bytes());
        head[32..40].copy_from_slice(&self.epoch.0.to_le_bytes());
        head[40..48].copy_from_slice(&self.slot.0.to_le_bytes());
        head[48..64].copy_from_slice(self.writer.0.as_bytes());
        head[64..72].copy_from_slice(&total_bytes.to_le_bytes());
        let crc = crc32c::crc32c(&head[..CRC_AT]);
        head[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
    }
}

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogHeader {
    /// Entry or fence.
    pub kind: Kind,
    /// The cluster.
    pub cluster: ClusterId,
    /// The epoch.
    pub epoch: Epoch,
    /// The slot.
    pub slot: Slot,
    /// The epoch's writer; for a fence, whoever fenced.
    pub writer: WriterId,
    /// The object's length in bytes, the header included.
    pub total_bytes: u64,
}

/// Bytes that are no header of a log's object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Fewer than 256 bytes.
    #[error("it has {0} bytes, fewer than a log header")]
    TooShort(usize),
    /// Something else's bytes.
    #[error("it does not begin as an object of a Levee log does")]
    Magic,
    /// Bytes were changed.
    #[error("the checksum of its log header is wrong")]
    Checksum,
    /// A later version's.
    #[error("its log header has version {0}, and this Levee reads version {VERSION}: use a newer Levee")]
    Version(u16),
    /// The checksum is right and the content is not.
    #[error("its log header makes no sense: {0}")]
    Malformed(&'static str),
}

impl LogHeader {
    /// Reads the header that `bytes` begin with.
    ///
    /// # Errors
    /// `HeaderError`, for any bytes that [`Stamp::write`] has not written.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let head: &[u8; LOG_HEADER_BYTES] = bytes.first_chunk().ok_or(HeaderError::TooShort(bytes.len()))?;
        if head[0..8] != MAGIC {
            return Err(HeaderError::Magic);
        }
        if u32::from_le_bytes(field(head, CRC_AT)) != crc32c::crc32c(&head[..CRC_AT]) {
            return Err(HeaderError::Checksum);
        }
        let version = u16::from_le_bytes(field(head, 8));
        if version != VERSION {
            return Err(HeaderError::Version(version));
        }
        let kind = match head[10] {
            1 => Kind::Entry,
            2 => Kind::Fence,
            _ => return Err(HeaderError::Malformed("an unknown kind")),
        };
        let total_bytes = u64::from_le_bytes(field(head, 64));
        if total_bytes < LOG_HEADER_BYTES as u64 {
            return Err(HeaderError::Malformed("a total length below that of the header"));
        }
        Ok(Self {
            kind,
            cluster: ClusterId(Uuid::from_bytes(field(head, 16))),
            epoch: Epoch(u64::from_le_bytes(field(head, 32))),
            slot: Slot(u64::from_le_bytes(field(head, 40))),
            writer: WriterId(Uuid::from_bytes(field(head, 48))),
            total_bytes,
        })
    }
}

fn field<const N: usize>(head: &[u8; LOG_HEADER_BYTES], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&head[at..at + N]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stamp(cluster: u128, epoch: u64, slot: u64, writer: u128) -> Stamp {
        Stamp {
            cluster: ClusterId(Uuid::from_u128(cluster)),
            epoch: Epoch(epoch),
            slot: Slot(slot),
            writer: WriterId(Uuid::from_u128(writer)),
        }
    }

    #[test]
    fn the_layout_of_version_1_stays_readable() {
        let mut head = [0xff; LOG_HEADER_BYTES];
        stamp(1, 2, 3, 4).write(Kind::Fence, 256, &mut head);
        assert_eq!(&head[..11], b"LEVEELOG\x01\x00\x02");
        assert_eq!((head[31], head[32], head[40], head[63], head[65]), (1, 2, 3, 4, 1));
        assert!(head[72..CRC_AT].iter().all(|&byte| byte == 0));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            cluster: u128, epoch: u64, slot: u64, writer: u128, fence: bool, total in 256u64..,
        ) {
            let kind = if fence { Kind::Fence } else { Kind::Entry };
            let stamp = stamp(cluster, epoch, slot, writer);
            let mut head = [0; LOG_HEADER_BYTES];
            stamp.write(kind, total, &mut head);
            let Stamp { cluster, epoch, slot, writer } = stamp;
            let header = LogHeader { kind, cluster, epoch, slot, writer, total_bytes: total };
            prop_assert_eq!(LogHeader::decode(&head), Ok(header));
        }

        #[test]
        fn any_changed_byte_is_noticed(at in 0..LOG_HEADER_BYTES, change in 1u8..) {
            let mut head = [0; LOG_HEADER_BYTES];
            stamp(1, 2, 3, 4).write(Kind::Entry, 4_096, &mut head);
            head[at] ^= change;
            prop_assert!(LogHeader::decode(&head).is_err());
        }

        #[test]
        fn any_bytes_are_answered_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            prop_assert!(LogHeader::decode(&bytes).is_err());
        }
    }
}
