//! The bytes of a partition's checkpoint: what is known of all batches below an offset, so that opening it replays only
//! what follows. Protocol Buffers; what is numerous is in columns. Decoding takes any bytes and never panics.
//!
//! A checkpoint spares time and nothing else: one that can't be read is passed over, and all is replayed.

use super::claim::Claim;
use super::epochs::LeaderEpochs;
use super::known::Known;
use super::producers::{Producer, Producers};
use super::sequences::{BATCHES, Remembered, Sequences};
use super::times::{Entry, Seen, TimeIndex};
use crate::cleaner::Aborted;
use bytes::Bytes;
use levee_base::limits::{PARTITION_PRODUCERS, PARTITION_TRANSACTIONS, TIME_INDEX_ENTRIES};
use levee_base::{Offset, StreamId};
use prost::Message;
use std::collections::VecDeque;

/// What this release writes. It reads all versions up to here.
///
/// | version | since then |
/// |---|---|
/// | 2 | transactions: who reads version 1 only would show what is not decided |
const VERSION: u32 = 2;

#[derive(Clone, PartialEq, Message)]
struct Written {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(sint64, tag = "2")]
    appended_ms: i64,
    /// What lies below has gone through keyed compaction.
    #[prost(uint64, tag = "3")]
    cleaned_until: u64,
    #[prost(int32, repeated, tag = "4")]
    epochs: Vec<i32>,
    #[prost(uint64, repeated, tag = "5")]
    epoch_starts: Vec<u64>,
    #[prost(message, optional, tag = "6")]
    times: Option<WrittenTimes>,
    #[prost(message, repeated, tag = "7")]
    producers: Vec<WrittenProducer>,
    /// The aborted transactions, in the order of their markers: where each begins, counted back from its marker,
    #[prost(uint64, repeated, tag = "8")]
    aborted_lengths: Vec<u64>,
    /// where the marker is, counted from the one before,
    #[prost(uint64, repeated, tag = "9")]
    aborted_markers: Vec<u64>,
    /// and whose it was.
    #[prost(int64, repeated, tag = "10")]
    aborted_producers: Vec<i64>,
    /// Until when producers may have written that are not known.
    #[prost(sint64, optional, tag = "11")]
    lost_ms: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct WrittenTimes {
    #[prost(uint64, tag = "1")]
    spacing: u64,
    #[prost(uint64, tag = "2")]
    since: u64,
    #[prost(sint64, tag = "3")]
    spacing_ms: i64,
    #[prost(sint64, tag = "4")]
    since_ms: i64,
    #[prost(sint64, tag = "5")]
    largest: i64,
    #[prost(uint64, tag = "6")]
    largest_at: u64,
    #[prost(sint64, tag = "7")]
    newest: i64,
    #[prost(uint64, tag = "8")]
    end: u64,
    #[prost(sint64, repeated, tag = "9")]
    entries_most: Vec<i64>,
    #[prost(sint64, repeated, tag = "10")]
    entries_newest: Vec<i64>,
    #[prost(uint64, repeated, tag = "11")]
    entries_from: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
struct WrittenProducer {
    #[prost(int64, tag = "1")]
    id: i64,
    #[prost(int32, tag = "2")]
    epoch: i32,
    #[prost(sint64, tag = "3")]
    appended_ms: i64,
    #[prost(uint64, repeated, tag = "4")]
    bases: Vec<u64>,
    #[prost(uint32, repeated, tag = "5")]
    counts: Vec<u32>,
    #[prost(int32, repeated, tag = "6")]
    base_sequences: Vec<i32>,
    #[prost(sint64, repeated, tag = "7")]
    max_timestamps: Vec<i64>,
    /// What follows came with version 2.
    #[prost(sint32, optional, tag = "8")]
    coordinator_epoch: Option<i32>,
    /// Where its transaction begins, if one is open.
    #[prost(uint64, optional, tag = "9")]
    transaction: Option<u64>,
    #[prost(sint64, optional, tag = "10")]
    last_timestamp: Option<i64>,
    #[prost(uint64, optional, tag = "11")]
    touched: Option<u64>,
    /// Whether it may have sent batches in its epoch that are not known: there are none then.
    #[prost(bool, tag = "12")]
    unknown: bool,
}

/// Why a checkpoint is passed over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// It is no Protocol Buffers message of this kind.
    #[error(transparent)]
    Decode(#[from] prost::DecodeError),
    /// A later version, as a rule.
    #[error("a checkpoint has version {0}; this release reads version {VERSION} and before")]
    Version(u32),
    /// It contradicts itself.
    #[error("a checkpoint contradicts itself: {0}")]
    Unsound(&'static str),
}

/// Where opening a partition begins.
#[derive(Debug, Clone)]
pub struct Resumed {
    /// What is known so far.
    pub known: Known,
    /// The first offset that is not.
    pub offset: Offset,
    /// What lies below has gone through keyed compaction.
    pub cleaned_until: Offset,
}

impl Resumed {
    /// From a checkpoint and its offset, for a partition that begins at `start`; from nothing if there is none that can
    /// be read.
    ///
    /// What was appended between a checkpoint and a later start can't be replayed any more. The producers of that would
    /// be refused what they send next, so none is known then; nor is a transaction. One that was open at the checkpoint
    /// may have ended, and has no records left but those that are replayed: it begins with the first of them.
    #[must_use]
    pub fn from(stream: StreamId, checkpoint: Option<(Offset, Bytes)>, start: Offset) -> Self {
        let read = checkpoint.and_then(|(offset, bytes)| match decode(&bytes) {
            Ok((known, cleaned_until)) => Some(Self { known, offset, cleaned_until }),
            Err(error) => {
                tracing::warn!(%stream, %error, "a checkpoint can't be used: replaying all there is");
                None
            }
        });
        let nothing = || Self { known: Known::default(), offset: Offset::ZERO, cleaned_until: Offset::ZERO };
        let mut resumed = read.unwrap_or_else(nothing);
        if resumed.offset < start {
            resumed.known.begin_late();
        }
        resumed
    }
}

/// The bytes of a checkpoint.
#[must_use]
pub fn encode(known: &Known, cleaned_until: Offset) -> Vec<u8> {
    let Known { producers, times, epochs, appended_ms, unread: _ } = known;
    let times = times.seen.map(|seen| WrittenTimes {
        spacing: times.spacing,
        since: times.since,
        spacing_ms: times.spacing_ms,
        since_ms: times.since_ms,
        largest: seen.largest.0,
        largest_at: seen.largest.1.0,
        newest: seen.newest,
        end: seen.end.0,
        entries_most: times.entries.iter().map(|entry| entry.most).collect(),
        entries_newest: times.entries.iter().map(|entry| entry.newest).collect(),
        entries_from: times.entries.iter().map(|entry| entry.from.0).collect(),
    });
    let producers = producers.iter().map(|(id, producer)| WrittenProducer {
        id,
        epoch: i32::from(producer.epoch),
        appended_ms: producer.appended_ms,
        bases: producer.sequences.batches().map(|batch| batch.base.0).collect(),
        counts: producer.sequences.batches().map(|batch| batch.count).collect(),
        base_sequences: producer.sequences.batches().map(|batch| batch.base_sequence).collect(),
        max_timestamps: producer.sequences.batches().map(|batch| batch.max_timestamp).collect(),
        coordinator_epoch: Some(producer.coordinator_epoch),
        transaction: producer.transaction.map(|first| first.0),
        last_timestamp: Some(producer.last_timestamp),
        touched: Some(producer.touched.0),
        unknown: producer.sequences == Sequences::Unknown,
    });
    let aborted = || known.producers.transactions().iter();
    let mut before = 0;
    let mut since_before =
        |aborted: Aborted| aborted.last_offset - std::mem::replace(&mut before, aborted.last_offset);
    let written = Written {
        version: VERSION,
        appended_ms: *appended_ms,
        cleaned_until: cleaned_until.0,
        epochs: epochs.0.iter().map(|(epoch, _)| *epoch).collect(),
        epoch_starts: epochs.0.iter().map(|(_, start)| start.0).collect(),
        times,
        producers: producers.collect(),
        aborted_lengths: aborted()
            .map(|aborted| (aborted.last_offset - aborted.first_offset).cast_unsigned())
            .collect(),
        aborted_markers: aborted().map(|aborted| since_before(aborted).cast_unsigned()).collect(),
        aborted_producers: aborted().map(|aborted| aborted.producer_id).collect(),
        lost_ms: known.producers.lost_ms(),
    };
    written.encode_to_vec()
}

/// Reads what [`encode`] wrote: what is known, and what has gone through keyed compaction.
///
/// # Errors
/// See [`CheckpointError`].
pub fn decode(bytes: &[u8]) -> Result<(Known, Offset), CheckpointError> {
    let written = Written::decode(bytes)?;
    if !(1..=VERSION).contains(&written.version) {
        return Err(CheckpointError::Version(written.version));
    }
    let mut known = Known { appended_ms: written.appended_ms, ..Known::default() };
    if written.epochs.len() != written.epoch_starts.len() {
        return Err(CheckpointError::Unsound("its leader epochs' columns have different lengths"));
    }
    let starts = written.epoch_starts.into_iter().map(Offset);
    known.epochs = LeaderEpochs(written.epochs.into_iter().zip(starts).collect());
    if !known.epochs.0.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1) {
        return Err(CheckpointError::Unsound("its leader epochs don't ascend"));
    }
    if let Some(times) = written.times {
        restore_times(&mut known.times, times)?;
    }
    if written.producers.len() > PARTITION_PRODUCERS + PARTITION_TRANSACTIONS {
        return Err(CheckpointError::Unsound("it has too many producers"));
    }
    for producer in written.producers {
        restore_producer(&mut known.producers, &producer)?;
    }
    known.producers.set_lost_ms(written.lost_ms);
    let (lengths, markers) = (written.aborted_lengths, written.aborted_markers);
    restore_aborted(&mut known.producers, &lengths, &markers, written.aborted_producers)?;
    Ok((known, Offset(written.cleaned_until)))
}

fn restore_times(times: &mut TimeIndex, written: WrittenTimes) -> Result<(), CheckpointError> {
    let count = written.entries_from.len();
    if count > TIME_INDEX_ENTRIES
        || [written.entries_most.len(), written.entries_newest.len()] != [count, count]
        || written.spacing == 0
        || written.spacing_ms < 1
    {
        return Err(CheckpointError::Unsound("its time index has columns of different lengths"));
    }
    let columns = written.entries_most.into_iter().zip(written.entries_newest).zip(written.entries_from);
    times.entries =
        columns.map(|((most, newest), from)| Entry { most, newest, from: Offset(from) }).collect();
    times.spacing = written.spacing;
    times.since = written.since;
    times.spacing_ms = written.spacing_ms;
    times.since_ms = written.since_ms;
    times.seen = Some(Seen {
        largest: (written.largest, Offset(written.largest_at)),
        newest: written.newest,
        end: Offset(written.end),
    });
    Ok(())
}

fn restore_producer(producers: &mut Producers, written: &WrittenProducer) -> Result<(), CheckpointError> {
    let WrittenProducer { id, epoch, appended_ms, bases, counts, base_sequences, max_timestamps, .. } =
        written;
    let batches = bases.len();
    if batches > BATCHES || [counts.len(), base_sequences.len(), max_timestamps.len()] != [batches; 3] {
        return Err(CheckpointError::Unsound("a producer has columns of different lengths"));
    }
    let epoch = i16::try_from(*epoch).map_err(|_| CheckpointError::Unsound("a producer's epoch"))?;
    let batches = (0..batches).map(|at| {
        let (count, base_sequence) = (counts[at], base_sequences[at]);
        // -1 is a batch that a coordinator wrote.
        if count == 0 || base_sequence < -1 {
            return Err(CheckpointError::Unsound("a producer's batch"));
        }
        let claim = Claim { producer_id: *id, epoch, base_sequence, count, transactional: false };
        let last_sequence = claim.last_sequence();
        let (base, max_timestamp) = (Offset(bases[at]), max_timestamps[at]);
        Ok(Remembered { base, count, base_sequence, last_sequence, max_timestamp })
    });
    let batches = batches.collect::<Result<VecDeque<_>, _>>()?;
    // Version 1 knew of nothing but batches.
    let touched = written.touched.map(Offset).or_else(|| batches.back().map(|last| last.base));
    let touched = touched.ok_or(CheckpointError::Unsound("a producer that wrote nothing"))?;
    let last_timestamp = written.last_timestamp.or_else(|| batches.back().map(|last| last.max_timestamp));
    let transaction = written.transaction.map(Offset);
    if transaction.is_some_and(|first| !producers.transactions().may_begin(first)) {
        return Err(CheckpointError::Unsound("two transactions begin with one batch, or there are too many"));
    }
    if producers.knows(*id) {
        return Err(CheckpointError::Unsound("a producer is there twice"));
    }
    let coordinator_epoch = written.coordinator_epoch.unwrap_or(-1);
    let last_timestamp = last_timestamp.unwrap_or(-1);
    let appended_ms = *appended_ms;
    let sequences = match written.unknown {
        true if !batches.is_empty() => return Err(CheckpointError::Unsound("a producer's unknown batches")),
        true => Sequences::Unknown,
        false => Sequences::Last(batches),
    };
    let producer =
        Producer { epoch, coordinator_epoch, sequences, transaction, last_timestamp, appended_ms, touched };
    producers.restore(*id, producer);
    Ok(())
}

fn restore_aborted(
    producers: &mut Producers,
    lengths: &[u64],
    markers: &[u64],
    ids: Vec<i64>,
) -> Result<(), CheckpointError> {
    if [lengths.len(), markers.len()] != [ids.len(); 2] {
        return Err(CheckpointError::Unsound("its aborted transactions' columns have different lengths"));
    }
    let mut marker = 0_u64;
    let aborted = lengths.iter().zip(markers).zip(ids).map(|((length, since), producer_id)| {
        marker = marker.checked_add(*since)?;
        let (first, last) = (i64::try_from(marker.checked_sub(*length)?), i64::try_from(marker));
        Some(Aborted { first_offset: first.ok()?, last_offset: last.ok()?, producer_id })
    });
    let aborted = aborted.collect::<Option<_>>();
    let aborted = aborted.ok_or(CheckpointError::Unsound("an aborted transaction's offsets"))?;
    producers.transactions_mut().restore(aborted).map_err(CheckpointError::Unsound)
}

#[cfg(test)]
#[path = "checkpoint_tests.rs"]
mod tests;
