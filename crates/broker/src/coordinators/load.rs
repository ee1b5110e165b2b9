//! Reading an internal partition back into its shard, from its start to its end.
//!
//! What was appended before, by this registration too, may not be durable yet when a shard is loaded anew: it is
//! waited for, so that a shard never forgets what it has answered.

use super::machine::{Machine, Replayed};
use crate::batch::key_values::{KeyValue, key_values};
use crate::batch::{BatchView, Marker};
use crate::partition::PartitionLog;
use crate::partition::read::FetchError;
use levee_base::limits::{COORDINATOR_BATCH_BYTES, COORDINATOR_LOAD_BYTES};
use levee_coordinator::Producer;
use levee_store::StreamEnds;

/// Why a shard is not loaded.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    /// This broker leads the partition no more.
    #[error("this broker does not lead the partition")]
    NotLeader,
    /// It can't be read now.
    #[error(transparent)]
    Read(#[from] FetchError),
}

/// How much a load has read.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Loaded {
    pub(super) records: u64,
    pub(super) bytes: u64,
    /// Records and batches that could not be understood, and were passed over.
    pub(super) passed_over: u64,
}

/// Reads all of `log` into `machine`.
pub(super) async fn load(log: &PartitionLog, machine: &mut impl Machine) -> Result<Loaded, LoadError> {
    let mut loaded = Loaded::default();
    let StreamEnds { start, appended: end, .. } = log.ends().ok_or(LoadError::NotLeader)?;
    if !log.is_durable_to(end).await {
        return Err(LoadError::NotLeader);
    }
    let mut from = start.0.cast_signed();
    while from < end.0.cast_signed() {
        let fetched = match log.read(from, COORDINATOR_LOAD_BYTES, true).await {
            // Retention or DeleteRecords has moved the start meanwhile.
            Err(FetchError::OutOfRange { start, .. }) if start.0.cast_signed() > from => {
                from = start.0.cast_signed();
                continue;
            }
            fetched => fetched?,
        };
        let Some(last) = fetched.runs.last() else {
            // What is left is a gap that keyed compaction has left at the end.
            break;
        };
        let next = last.end.0.cast_signed();
        for run in &fetched.runs {
            let mut rest = &run.bytes[..];
            while let Some(batch) = BatchView::first(rest) {
                rest = &rest[batch.bytes().len()..];
                replay(log, &batch, machine, &mut loaded);
            }
        }
        loaded.bytes += fetched.runs.iter().map(|run| run.bytes.len() as u64).sum::<u64>();
        from = next;
    }
    Ok(loaded)
}

/// One that can't be understood is passed over: the others are no worse for it, and it says so.
fn replay(log: &PartitionLog, batch: &BatchView<'_>, machine: &mut impl Machine, loaded: &mut Loaded) {
    let attributes = batch.attributes();
    let producer = Producer { id: batch.producer_id(), epoch: batch.producer_epoch() };
    let records = match key_values(batch, COORDINATOR_BATCH_BYTES) {
        Ok(records) => records,
        Err(error) => {
            let offset = batch.base_offset();
            tracing::error!(stream = %log.stream(), offset, %error, "a batch of an internal topic is passed over");
            loaded.passed_over += 1;
            return;
        }
    };
    if attributes.control() {
        let of_record =
            |record: &KeyValue| Marker::of_record(record.key.as_deref()?, record.value.as_deref()?);
        if let Some(marker) = records.first().and_then(of_record) {
            machine.replay_marker(producer, marker.commit);
        }
        return;
    }
    let producer = attributes.transactional().then_some(producer);
    for record in records {
        let Some(key) = record.key else { continue };
        let record = Replayed { producer, key, value: record.value, timestamp_ms: batch.max_timestamp() };
        loaded.records += 1;
        if let Err(error) = machine.replay(record) {
            let offset = batch.base_offset();
            tracing::error!(stream = %log.stream(), offset, %error, "a record of an internal topic is passed over");
            loaded.passed_over += 1;
        }
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
