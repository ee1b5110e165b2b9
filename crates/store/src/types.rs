//! What goes in and out of the store: batches, options, ends, errors. What it asks of the metadata is in
//! [`crate::registrar`].

use crate::compact::PlanOptions;
use crate::format::FormatError;
use bytes::Bytes;
use levee_base::limits::{
    COMPACT_BYTES_PER_SECOND, PAGE, PROMOTED_BYTES, UPLOAD_AFTER, WAL_BUFFER_BYTES, WAL_IN_FLIGHT_CLOUD,
    WAL_IN_FLIGHT_FOLDER, WAL_IN_FLIGHT_MAX, WAL_LIGHT_BYTES_FOLDER, WAL_OBJECT_BYTES, WAL_OBJECT_BYTES_MAX,
    WAL_PACE_CLOUD, WAL_PACE_FOLDER, WAL_UNTRIMMED_BYTES, WAL_UNTRIMMED_OBJECTS,
};
use levee_base::{Offset, Slot, StreamId};
use levee_object::Key;
use levee_object::log;
use std::ops::Range;
use std::time::Duration;

/// A batch to be appended.
#[derive(Debug, Clone, Copy)]
pub struct NewBatch<'a> {
    /// Its bytes as they will be read: offset and leader epoch are already in them.
    pub bytes: &'a [u8],
    /// Offsets that it takes, at least 1.
    pub count: u32,
    /// Kept in the index and read back on opening; at most `BATCH_NOTE_BYTES`.
    pub note: &'a [u8],
}

/// How the write-ahead log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalOptions {
    /// Flushes of objects that are not full begin so far apart at least.
    pub pace: Duration,
    /// An object of at most so many bytes doesn't wait for the pace when nothing is in flight, while less than half
    /// of `untrimmed_objects` is there. 0: all wait.
    pub light_bytes: usize,
    /// Creates in flight, at most `WAL_IN_FLIGHT_MAX`.
    pub in_flight: usize,
    /// An object is full when it has so many bytes; one append may make it up to twice as long.
    pub object_bytes: usize,
    /// Un-trimmed bytes: trimming starts at half, appends are refused at all of it.
    pub untrimmed_bytes: usize,
    /// Un-trimmed objects: trimming starts at half, appends are refused at all of it.
    pub untrimmed_objects: usize,
    /// Objects that are durable for so long are trimmed, however few there are.
    pub upload_after: Duration,
    /// A stream's run of batches in one object stays where it is from so many bytes on, if such runs are most of the
    /// object; what is shorter is gathered into larger objects.
    pub promoted_bytes: usize,
    /// Memory for objects, in bytes of buffers held.
    pub buffer_bytes: usize,
    /// Whether an object whose create is slow is sent once more.
    pub hedges: bool,
    /// How what is registered is compacted.
    pub compaction: PlanOptions,
    /// Bytes a second that compaction moves at most.
    pub compaction_bytes_per_second: u64,
}

impl WalOptions {
    /// For a folder: often, few in flight, and none twice: one disk is not faster when it is asked twice.
    #[must_use]
    pub const fn folder() -> Self {
        Self {
            pace: WAL_PACE_FOLDER,
            light_bytes: WAL_LIGHT_BYTES_FOLDER,
            in_flight: WAL_IN_FLIGHT_FOLDER,
            object_bytes: WAL_OBJECT_BYTES,
            untrimmed_bytes: WAL_UNTRIMMED_BYTES,
            untrimmed_objects: WAL_UNTRIMMED_OBJECTS,
            upload_after: UPLOAD_AFTER,
            promoted_bytes: PROMOTED_BYTES,
            buffer_bytes: WAL_BUFFER_BYTES,
            hedges: false,
            compaction: PlanOptions::SUITABLE,
            compaction_bytes_per_second: COMPACT_BYTES_PER_SECOND,
        }
    }

    /// For a cloud store, where every create costs money.
    #[must_use]
    pub const fn cloud() -> Self {
        let (pace, in_flight) = (WAL_PACE_CLOUD, WAL_IN_FLIGHT_CLOUD);
        Self { pace, light_bytes: 0, in_flight, hedges: true, ..Self::folder() }
    }

    /// The same, with every value raised or lowered to where the store can work at all: a buffer for each
    /// object in flight, the open one and one more, and at least two objects before appends are refused.
    #[must_use]
    pub fn workable(self) -> Self {
        let in_flight = self.in_flight.clamp(1, WAL_IN_FLIGHT_MAX);
        let object_bytes = self.object_bytes.clamp(2 * PAGE, WAL_OBJECT_BYTES_MAX);
        let sized = Self { in_flight, object_bytes, ..self };
        Self {
            untrimmed_bytes: self.untrimmed_bytes.max(2 * sized.one_buffer_bytes()),
            untrimmed_objects: self.untrimmed_objects.max(2),
            buffer_bytes: self.buffer_bytes.max((in_flight + 2) * sized.one_buffer_bytes()),
            ..sized
        }
    }

    /// The size of a buffer: two objects, so that one append may go beyond the size of one.
    #[must_use]
    pub const fn one_buffer_bytes(&self) -> usize {
        (2 * self.object_bytes).next_multiple_of(PAGE)
    }
}

/// Why an append was not taken. Nothing of it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// A limit is reached: wait for `StreamStore::room`.
    #[error("the write-ahead log is at its limit")]
    Full,
    /// The disk has no room, and what was appended before waits for some already. Not to be waited for: it may
    /// take a person.
    #[error("the store's disk is full: make room, or shorten retention")]
    NoSpace,
    /// The epoch has ended or the store was shut down; see its status.
    #[error("the stream store has stopped")]
    Stopped,
    /// It is larger than all the memory for objects.
    #[error("the batches are larger than all the memory for objects")]
    TooLarge,
    /// The stream is not open here.
    #[error("the stream is not open here")]
    UnknownStream,
}

/// Why a store takes nothing more.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Stopped {
    /// The log's writer stopped: fenced, or refused by the store.
    #[error(transparent)]
    Log(#[from] log::Stopped),
    /// The metadata refused a trim: the epoch is out.
    #[error("the metadata refused a trim: {0}")]
    Refused(String),
    /// It was shut down.
    #[error("the stream store was shut down")]
    Shutdown,
}

/// How far a store has come.
#[derive(Debug, Clone)]
pub struct StoreStatus {
    /// The first slot that is not known to be durable: batches of the slots before may be acknowledged.
    pub durable: Slot,
    /// Once set, nothing more becomes durable, and what was pending never is.
    pub stopped: Option<Stopped>,
}

/// A stream's offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamEnds {
    /// The first that can be read.
    pub start: Offset,
    /// The end of what is registered: what lies above is in the write-ahead log alone.
    pub registered: Offset,
    /// The end of what is durable: Kafka's high watermark. Nothing at or above it is ever shown.
    pub durable: Offset,
    /// The end of what was appended: the next batch's base offset.
    pub appended: Offset,
}

/// Whole batches of a stream that lie together in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The first batch's base offset.
    pub base: Offset,
    /// The offset after the last batch.
    pub end: Offset,
    /// The batches, end to end.
    pub bytes: Bytes,
}

/// A batch, as an index remembers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchInfo<'a> {
    /// Its base offset.
    pub base: Offset,
    /// Offsets that it takes.
    pub count: u32,
    /// Its length in bytes.
    pub bytes: u32,
    /// The writer's note.
    pub note: &'a [u8],
}

/// Why a read failed. The rest of the store goes on.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// The stream is not open here.
    #[error("the stream is not open here")]
    UnknownStream,
    /// The offset is below the stream's start or above its durable end.
    #[error("offset {from} is not within {} to {}", ends.start, ends.durable)]
    OutOfRange {
        /// The offset asked for.
        from: Offset,
        /// What there is.
        ends: StreamEnds,
    },
    /// No registered object holds an offset that one should hold.
    #[error("no registered object holds offset {offset} of stream {stream}: see `levee inspect`")]
    Unregistered {
        /// The stream.
        stream: StreamId,
        /// The offset.
        offset: Offset,
    },
    /// A registered object is gone.
    #[error("{key} is missing (bytes {} to {}): restore it from a backup", range.start, range.end)]
    Missing {
        /// The object.
        key: Key,
        /// What was to be read, in bytes.
        range: Range<u64>,
    },
    /// A registered object is not what it should be.
    #[error("{key} is corrupt (bytes {} to {}): {what}. Restore it from a backup", range.start, range.end)]
    Corrupt {
        /// The object.
        key: Key,
        /// What was read, in bytes.
        range: Range<u64>,
        /// What is wrong.
        what: FormatError,
    },
    /// The store did not answer as it should.
    #[error(transparent)]
    Store(#[from] levee_object::Error),
}

impl ReadError {
    /// The object that is missing or corrupt, if that is what is wrong.
    #[must_use]
    pub fn damaged(&self) -> Option<&Key> {
        match self {
            Self::Missing { key, .. } | Self::Corrupt { key, .. } => Some(key),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_out_of_bounds_are_made_workable_and_defaults_are_left_alone() {
        for options in [WalOptions::folder(), WalOptions::cloud()] {
            assert_eq!(options.workable(), options);
        }
        let zero = WalOptions {
            pace: Duration::ZERO,
            light_bytes: 0,
            in_flight: 0,
            object_bytes: 0,
            untrimmed_bytes: 0,
            untrimmed_objects: 0,
            upload_after: Duration::ZERO,
            promoted_bytes: 0,
            buffer_bytes: 0,
            hedges: false,
            compaction: PlanOptions::SUITABLE,
            compaction_bytes_per_second: 1,
        };
        let options = zero.workable();
        assert_eq!((options.in_flight, options.untrimmed_objects), (1, 2));
        assert_eq!(options.buffer_bytes, 3 * options.one_buffer_bytes());
    }
}
