//! What is appended: anything that can be made into an object whose first 256 bytes are the log's.

use super::header::{Kind, Stamp};
use bytes::{Bytes, BytesMut};
use levee_base::limits::LOG_HEADER_BYTES;

/// An entry before it has a place in the log.
pub trait Entry: Send + 'static {
    /// The complete object: its first 256 bytes are those that [`Stamp::write`] writes for an entry of its
    /// length. Called once, when the slot is known; from then on the bytes are fixed.
    fn seal(self, stamp: &Stamp) -> Bytes;
}

/// A plain payload, copied behind a header.
impl Entry for Bytes {
    fn seal(self, stamp: &Stamp) -> Bytes {
        let mut head = [0; LOG_HEADER_BYTES];
        stamp.write(Kind::Entry, (LOG_HEADER_BYTES + self.len()) as u64, &mut head);
        let mut object = BytesMut::with_capacity(LOG_HEADER_BYTES + self.len());
        object.extend_from_slice(&head);
        object.extend_from_slice(&self);
        object.freeze()
    }
}
