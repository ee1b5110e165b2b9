//! What is kept of a batch in the index of its object, so that a partition is opened without reading records.
//!
//! Integers are big-endian, as in the batch. The index itself keeps base offset, count of offsets and length.
//!
//! | at | bytes | field |
//! |---|---|---|
//! | 0 | 1 | version, 1; 2 for a transaction marker |
//! | 1 | 1 | 0 |
//! | 2 | 2 | attributes |
//! | 4 | 4 | leader epoch |
//! | 8 | 8 | producer id |
//! | 16 | 2 | producer epoch |
//! | 18 | 2 | 0 |
//! | 20 | 4 | base sequence |
//! | 24 | 8 | base timestamp |
//! | 32 | 8 | maximum timestamp |
//! | 40 | 8 | when the leader appended it, Unix milliseconds |
//! | 48 | 4 | version 2: the epoch of the coordinator that decided the transaction |
//! | 52 | 2 | version 2: the marker's type, 0 abort, 1 commit |
//! | 54 | 2 | version 2: 0 |
//!
//! The append time makes the age of a producer a matter of the leader's clock. (Kafka goes by the batches'
//! timestamps, so a producer that replays old data is forgotten at the next check.) The offset of the largest
//! timestamp is not kept: whoever asks for it opens that one batch.

use crate::batch::header::Attributes;
use crate::batch::{BatchView, Marker};
use levee_base::limits::BATCH_NOTE_BYTES;
use std::ops::Deref;

/// The length in bytes of a note of records,
pub const NOTE_BYTES: usize = 48;
/// and of a transaction marker's.
pub const MARKER_NOTE_BYTES: usize = 56;
/// The version of a note of records,
const VERSION: u8 = 1;
/// and of a transaction marker's.
const MARKER_VERSION: u8 = 2;
const _: () = assert!(NOTE_BYTES < MARKER_NOTE_BYTES && MARKER_NOTE_BYTES <= BATCH_NOTE_BYTES);

/// What is kept of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Note {
    /// The batch's attributes.
    pub attributes: Attributes,
    /// The epoch of the leader that appended it.
    pub leader_epoch: i32,
    /// Who produced it, -1 if no idempotent producer did.
    pub producer_id: i64,
    /// That producer's epoch.
    pub producer_epoch: i16,
    /// The sequence number of its first record.
    pub base_sequence: i32,
    /// The first record's timestamp, as a rule, in Unix milliseconds.
    pub base_timestamp: i64,
    /// The largest timestamp, in Unix milliseconds.
    pub max_timestamp: i64,
    /// When the leader appended it, in Unix milliseconds of the leader's clock.
    pub appended_ms: i64,
    /// What it says, if it is a transaction marker: `None` for records, and for control batches that hold nothing any
    /// more.
    pub marker: Option<Marker>,
}

/// A note's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoded {
    bytes: [u8; MARKER_NOTE_BYTES],
    length: usize,
}

impl Deref for Encoded {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// A note that this version of Levee doesn't read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Another length than its version has.
    #[error("a batch's note has {0} bytes instead of {NOTE_BYTES}, or {MARKER_NOTE_BYTES} for a marker")]
    Length(usize),
    /// A later version, as a rule.
    #[error(
        "a batch's note has version {0}; this release reads versions {VERSION} and {MARKER_VERSION}: upgrade Levee"
    )]
    Version(u8),
    /// A kind of marker that this release doesn't know.
    #[error(
        "a batch's note is of a transaction marker of type {0}, which this release doesn't know: upgrade Levee"
    )]
    Marker(i16),
}

impl Note {
    /// The note of a batch whose leader epoch and timestamps are final.
    #[must_use]
    pub fn of(batch: &BatchView<'_>, appended_ms: i64) -> Self {
        Self {
            attributes: batch.attributes(),
            leader_epoch: batch.leader_epoch(),
            producer_id: batch.producer_id(),
            producer_epoch: batch.producer_epoch(),
            base_sequence: batch.base_sequence(),
            base_timestamp: batch.base_timestamp(),
            max_timestamp: batch.max_timestamp(),
            appended_ms,
            marker: Marker::read(batch),
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Encoded {
        let mut bytes = [0; MARKER_NOTE_BYTES];
        bytes[0] = VERSION;
        bytes[2..4].copy_from_slice(&self.attributes.0.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.leader_epoch.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.producer_id.to_be_bytes());
        bytes[16..18].copy_from_slice(&self.producer_epoch.to_be_bytes());
        bytes[20..24].copy_from_slice(&self.base_sequence.to_be_bytes());
        bytes[24..32].copy_from_slice(&self.base_timestamp.to_be_bytes());
        bytes[32..40].copy_from_slice(&self.max_timestamp.to_be_bytes());
        bytes[40..48].copy_from_slice(&self.appended_ms.to_be_bytes());
        let Some(marker) = self.marker else { return Encoded { bytes, length: NOTE_BYTES } };
        bytes[0] = MARKER_VERSION;
        bytes[48..52].copy_from_slice(&marker.coordinator_epoch.to_be_bytes());
        bytes[52..54].copy_from_slice(&marker.kind().to_be_bytes());
        Encoded { bytes, length: MARKER_NOTE_BYTES }
    }

    /// Reads what [`Note::encode`] wrote.
    ///
    /// # Errors
    /// See [`NoteError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, NoteError> {
        let length = match bytes.first() {
            None => return Err(NoteError::Length(0)),
            Some(&VERSION) => NOTE_BYTES,
            Some(&MARKER_VERSION) => MARKER_NOTE_BYTES,
            Some(&version) => return Err(NoteError::Version(version)),
        };
        if bytes.len() != length {
            return Err(NoteError::Length(bytes.len()));
        }
        let marker = match length {
            MARKER_NOTE_BYTES => {
                let kind = i16::from_be_bytes(array(bytes, 52));
                let marker = Marker::of_kind(kind, i32::from_be_bytes(array(bytes, 48)));
                Some(marker.ok_or(NoteError::Marker(kind))?)
            }
            _ => None,
        };
        Ok(Self {
            attributes: Attributes(i16::from_be_bytes(array(bytes, 2))),
            leader_epoch: i32::from_be_bytes(array(bytes, 4)),
            producer_id: i64::from_be_bytes(array(bytes, 8)),
            producer_epoch: i16::from_be_bytes(array(bytes, 16)),
            base_sequence: i32::from_be_bytes(array(bytes, 20)),
            base_timestamp: i64::from_be_bytes(array(bytes, 24)),
            max_timestamp: i64::from_be_bytes(array(bytes, 32)),
            appended_ms: i64::from_be_bytes(array(bytes, 40)),
            marker,
        })
    }
}

/// `N` bytes of a note; `at + N` lies within it, which `decode` has seen to.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::build::Build;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            shorts in any::<[i16; 2]>(), ints in any::<[i32; 2]>(), longs in any::<[i64; 4]>(),
            marker in any::<Option<(bool, i32)>>(),
        ) {
            let marker =
                marker.map(|(commit, coordinator_epoch)| Marker { commit, coordinator_epoch });
            let note = Note {
                attributes: Attributes(shorts[0]),
                leader_epoch: ints[0],
                producer_id: longs[0],
                producer_epoch: shorts[1],
                base_sequence: ints[1],
                base_timestamp: longs[1],
                max_timestamp: longs[2],
                appended_ms: longs[3],
                marker,
            };
            prop_assert_eq!(Note::decode(&note.encode()), Ok(note));
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Note::decode(&bytes);
        }
    }

    const NOTE: Note = Note {
        attributes: Attributes(0x0102),
        leader_epoch: 3,
        producer_id: 4,
        producer_epoch: 5,
        base_sequence: 6,
        base_timestamp: 7,
        max_timestamp: 8,
        appended_ms: 9,
        marker: None,
    };

    fn hex(note: &Note) -> String {
        note.encode().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_layout_does_not_change() {
        let expected = "01000102000000030000000000000004000500000000000600000000000000070000000000000008\
                        0000000000000009";
        assert_eq!(hex(&NOTE), expected);
        assert_eq!(Note::decode(&[]), Err(NoteError::Length(0)));
        let mut later = NOTE.encode().to_vec();
        later[0] = 2;
        assert_eq!(Note::decode(&later), Err(NoteError::Length(48)));
        later[0] = 3;
        assert_eq!(Note::decode(&later), Err(NoteError::Version(3)));
    }

    #[test]
    fn nor_does_that_of_markers() {
        let marker = Note { marker: Some(Marker { commit: true, coordinator_epoch: 10 }), ..NOTE };
        let expected = "02000102000000030000000000000004000500000000000600000000000000070000000000000008\
                        00000000000000090000000a00010000";
        assert_eq!(hex(&marker), expected);
        let mut other = marker.encode().to_vec();
        other[53] = 2;
        assert_eq!(Note::decode(&other), Err(NoteError::Marker(2)));
        assert_eq!(Note::decode(&other[..48]), Err(NoteError::Length(48)));
    }

    #[test]
    fn it_says_what_the_batch_says() {
        let bytes = Build::marker(1, 2, 3, true).bytes();
        let note = Note::of(&BatchView::first(&bytes).unwrap(), 5);
        assert_eq!(note.marker, Some(Marker { commit: true, coordinator_epoch: 0 }));
        let bytes = Build::records(1, 2).bytes();
        assert_eq!(Note::of(&BatchView::first(&bytes).unwrap(), 5).marker, None);
    }
}
