//! What is kept of a batch in the index of its object, so that a partition is opened without reading records.
//!
//! Integers are big-endian, as in the batch. The index itself keeps base offset, count of offsets and length.
//!
//! | at | bytes | field |
//! |---|---|---|
//! | 0 | 1 | version, 1 |
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
//!
//! The append time makes the age of a producer a matter of the leader's clock. (Kafka goes by the batches'
//! timestamps, so a producer that replays old data is forgotten at the next check.) The offset of the largest
//! timestamp is not kept: whoever asks for it opens that one batch.

use crate::batch::BatchView;
use crate::batch::header::Attributes;
use levee_base::limits::BATCH_NOTE_BYTES;

/// A note's length in bytes.
pub const NOTE_BYTES: usize = 48;
const VERSION: u8 = 1;
const _: () = assert!(NOTE_BYTES <= BATCH_NOTE_BYTES);

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
}

/// A note that this version of Levee doesn't read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Another length.
    #[error("a batch's note has {0} bytes instead of {NOTE_BYTES}")]
    Length(usize),
    /// A later version, as a rule.
    #[error("a batch's note has version {0}; this release reads version {VERSION}: upgrade Levee")]
    Version(u8),
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
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; NOTE_BYTES] {
        let mut out = [0; NOTE_BYTES];
        out[0] = VERSION;
        out[2..4].copy_from_slice(&self.attributes.0.to_be_bytes());
        out[4..8].copy_from_slice(&self.leader_epoch.to_be_bytes());
        out[8..16].copy_from_slice(&self.producer_id.to_be_bytes());
        out[16..18].copy_from_slice(&self.producer_epoch.to_be_bytes());
        out[20..24].copy_from_slice(&self.base_sequence.to_be_bytes());
        out[24..32].copy_from_slice(&self.base_timestamp.to_be_bytes());
        out[32..40].copy_from_slice(&self.max_timestamp.to_be_bytes());
        out[40..48].copy_from_slice(&self.appended_ms.to_be_bytes());
        out
    }

    /// Reads what [`Note::encode`] wrote.
    ///
    /// # Errors
    /// See [`NoteError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, NoteError> {
        let bytes: &[u8; NOTE_BYTES] = bytes.try_into().map_err(|_| NoteError::Length(bytes.len()))?;
        if bytes[0] != VERSION {
            return Err(NoteError::Version(bytes[0]));
        }
        Ok(Self {
            attributes: Attributes(i16::from_be_bytes(array(bytes, 2))),
            leader_epoch: i32::from_be_bytes(array(bytes, 4)),
            producer_id: i64::from_be_bytes(array(bytes, 8)),
            producer_epoch: i16::from_be_bytes(array(bytes, 16)),
            base_sequence: i32::from_be_bytes(array(bytes, 20)),
            base_timestamp: i64::from_be_bytes(array(bytes, 24)),
            max_timestamp: i64::from_be_bytes(array(bytes, 32)),
            appended_ms: i64::from_be_bytes(array(bytes, 40)),
        })
    }
}

fn array<const N: usize>(bytes: &[u8; NOTE_BYTES], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            shorts in any::<[i16; 2]>(), ints in any::<[i32; 2]>(), longs in any::<[i64; 4]>(),
        ) {
            let note = Note {
                attributes: Attributes(shorts[0]),
                leader_epoch: ints[0],
                producer_id: longs[0],
                producer_epoch: shorts[1],
                base_sequence: ints[1],
                base_timestamp: longs[1],
                max_timestamp: longs[2],
                appended_ms: longs[3],
            };
            prop_assert_eq!(Note::decode(&note.encode()), Ok(note));
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Note::decode(&bytes);
        }
    }

    #[test]
    fn the_layout_does_not_change() {
        let note = Note {
            attributes: Attributes(0x0102),
            leader_epoch: 3,
            producer_id: 4,
            producer_epoch: 5,
            base_sequence: 6,
            base_timestamp: 7,
            max_timestamp: 8,
            appended_ms: 9,
        };
        let hex: String = note.encode().iter().map(|byte| format!("{byte:02x}")).collect();
        let expected = "01000102000000030000000000000004000500000000000600000000000000070000000000000008\
                        0000000000000009";
        assert_eq!(hex, expected);
        assert_eq!(Note::decode(&[]), Err(NoteError::Length(0)));
        let mut later = note.encode();
        later[0] = 2;
        assert_eq!(Note::decode(&later), Err(NoteError::Version(2)));
    }
}
