//! The object format: how batches lie in an object, byte by byte. `docs/format.md` is the same in words.
//!
//! An object is a header of 4 KiB (`header`; its first 256 bytes are the fenced log's), then blocks, which are
//! nothing but batches of one stream laid end to end, then the index (`index`), which alone says where a block
//! begins, which offsets it holds, and what its checksum is. Header, index and every block carry a CRC-32C.
//! Reading never starts from an object's end: the header, or whoever remembers the object, knows where the
//! index is. Numbers are little-endian.
//!
//! The same format serves write-ahead log objects (level 0) and what is to come: level 1 and 2 objects, and
//! checkpoint blocks, which this version reads past. Decoding takes any bytes and never panics.
//!
//! What doesn't belong here: I/O, buffers, and when an object is sealed.

pub mod header;
pub mod index;

#[cfg(test)]
mod golden_tests;

pub use header::{ObjectHeader, ObjectKind};
pub use index::{BatchEntry, Block, BlockKind, Index, IndexBuilder};

/// Bytes that are no object of this format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Fewer bytes than the part needs.
    #[error("the {part} is cut short: {found} bytes where {needed} are needed")]
    TooShort {
        /// Which part.
        part: &'static str,
        /// Bytes there are.
        found: usize,
        /// Bytes there should be.
        needed: usize,
    },
    /// Something else's bytes.
    #[error("there is no {part} of a Levee object here")]
    Magic {
        /// Which part.
        part: &'static str,
    },
    /// A later version's.
    #[error("the {part} has version {found}, and this Levee reads up to {known}: use a newer one")]
    Version {
        /// Which part.
        part: &'static str,
        /// Its version.
        found: u16,
        /// The newest that is known here.
        known: u16,
    },
    /// Bytes were changed.
    #[error("the checksum of the {part} is wrong")]
    Checksum {
        /// Which part.
        part: &'static str,
    },
    /// The checksum is right and the content contradicts itself.
    #[error("the {part} contradicts itself: {what}")]
    Inconsistent {
        /// Which part.
        part: &'static str,
        /// What is wrong.
        what: &'static str,
    },
}

/// Reads a fixed number of bytes at a place that the caller has checked to be there.
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}
