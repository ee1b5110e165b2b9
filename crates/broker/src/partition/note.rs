//! What the broker keeps with each batch in an object's index (the store's opaque note): enough to open a
//! partition again, producers and time included, without reading a record.
//!
//! Layout, little-endian: version 1, attributes 2, producer id 8, producer epoch 2, base sequence 4, base
//! timestamp 8, max timestamp 8. The record count is the index's own.

use super::producers::plus;
use crate::batch::BatchView;

/// The note's length in bytes.
pub const NOTE_BYTES: usize = 33;
const VERSION: u8 = 1;
const _: () = assert!(NOTE_BYTES <= levee_base::limits::BATCH_NOTE_BYTES);

/// A batch as the index remembers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Note {
    /// As in the batch.
    pub attributes: i16,
    /// Or -1.
    pub producer_id: i64,
    /// Or -1.
    pub producer_epoch: i16,
    /// Or -1.
    pub base_sequence: i32,
    /// Unix milliseconds.
    pub base_timestamp: i64,
    /// Unix milliseconds.
    pub max_timestamp: i64,
    /// Its records.
    pub count: u32,
}

impl Note {
    /// Of a batch.
    #[must_use]
    pub fn of(batch: &BatchView<'_>) -> Self {
        Self {
            attributes: batch.attributes().0,
            producer_id: batch.producer_id(),
            producer_epoch: batch.producer_epoch(),
            base_sequence: batch.base_sequence(),
            base_timestamp: batch.base_timestamp(),
            max_timestamp: batch.max_timestamp(),
            count: batch.count().unsigned_abs(),
        }
    }

    /// Whether it comes from an idempotent producer.
    #[must_use]
    pub const fn has_producer(&self) -> bool {
        self.producer_id >= 0
    }

    /// The last record's sequence, or -1.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 { -1 } else { plus(self.base_sequence, self.count.saturating_sub(1)) }
    }

    /// Whether its timestamps are the broker's.
    #[must_use]
    pub const fn is_log_append_time(&self) -> bool {
        self.attributes & 0x08 != 0
    }

    /// As bytes.
    #[must_use]
    pub fn write(&self) -> [u8; NOTE_BYTES] {
        let mut bytes = [0; NOTE_BYTES];
        bytes[0] = VERSION;
        bytes[1..3].copy_from_slice(&self.attributes.to_le_bytes());
        bytes[3..11].copy_from_slice(&self.producer_id.to_le_bytes());
        bytes[11..13].copy_from_slice(&self.producer_epoch.to_le_bytes());
        bytes[13..17].copy_from_slice(&self.base_sequence.to_le_bytes());
        bytes[17..25].copy_from_slice(&self.base_timestamp.to_le_bytes());
        bytes[25..33].copy_from_slice(&self.max_timestamp.to_le_bytes());
        bytes
    }

    /// From bytes, and the count that the index has; `None` when they are no note of a version that is known.
    #[must_use]
    pub fn read(bytes: &[u8], count: u32) -> Option<Self> {
        let bytes: &[u8; NOTE_BYTES] = bytes.try_into().ok()?;
        let at = |at: usize| -> [u8; 8] { bytes[at..at + 8].try_into().expect("eight bytes") };
        (bytes[0] == VERSION).then(|| Self {
            attributes: i16::from_le_bytes([bytes[1], bytes[2]]),
            producer_id: i64::from_le_bytes(at(3)),
            producer_epoch: i16::from_le_bytes([bytes[11], bytes[12]]),
            base_sequence: i32::from_le_bytes([bytes[13], bytes[14], bytes[15], bytes[16]]),
            base_timestamp: i64::from_le_bytes(at(17)),
            max_timestamp: i64::from_le_bytes(at(25)),
            count,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_reads_as_it_was_written() {
        let note = Note {
            attributes: 0x13,
            producer_id: -1,
            producer_epoch: 7,
            base_sequence: i32::MAX,
            base_timestamp: -1,
            max_timestamp: 1 << 50,
            count: 3,
        };
        assert_eq!(note.last_sequence(), 1, "sequences wrap");
        assert_eq!(Note::read(&note.write(), 3), Some(note));
        assert_eq!(Note::read(&[9; NOTE_BYTES], 3), None);
        assert_eq!(Note::read(&[1; 3], 3), None);
    }
}
