//! Writing transaction markers to the partitions that took part.
//!
//! They are written until they stand, as in Kafka. Partitions that this broker leads lie in the same write-ahead log as
//! the decision, whose durable part is always a prefix: so a marker need not wait until the decision is durable, nor the
//! record that the transaction is complete until its markers are. A whole commit costs one flush.

use super::Shared;
use super::shard::{Call, Handle};
use crate::internal_topics::CONSUMER_OFFSETS;
use crate::partition::claim::ProducerError;
use crate::partition::{AppendError, Partition, PartitionLog};
use levee_base::Slot;
use levee_base::limits::COORDINATOR_MARKERS_AGAIN;
use levee_coordinator::{Cluster, Markers, Producer};
use std::sync::Arc;
use tokio::sync::oneshot;

/// What a marker says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker {
    /// Whose transaction ends, with the epoch that the marker carries.
    pub producer: Producer,
    /// The epoch of the coordinator that decided.
    pub coordinator_epoch: i32,
    /// Whether it is committed; aborted otherwise.
    pub commit: bool,
    /// The version of the transaction protocol (KIP-890).
    pub transaction_version: i8,
}

/// Why a marker is not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unwritten {
    /// There is no such partition.
    #[error("there is no such partition")]
    Unknown,
    /// It is not led here, or its coordinator is not loaded.
    #[error("the partition is not led by this broker")]
    NotLeader,
    /// The partition refuses it.
    #[error(transparent)]
    Refused(AppendError),
}

/// Appends a marker to a partition.
pub(super) fn append(log: &PartitionLog, marker: Marker) -> Result<Option<Slot>, AppendError> {
    let Marker { producer, coordinator_epoch, commit, transaction_version } = marker;
    let appended =
        log.append_marker(producer.id, producer.epoch, coordinator_epoch, commit, transaction_version)?;
    Ok(appended.slot)
}

/// Appends a marker to the partition `index` of `topic`; to one of the groups' by way of its coordinator, which ends the
/// transaction there. Returns the partition and the slot to wait for, if it is not durable yet.
pub(super) async fn write(
    shared: &Shared,
    topic: &str,
    index: i32,
    marker: Marker,
) -> Result<(Arc<PartitionLog>, Option<Slot>), Unwritten> {
    let known = shared.table.by_name(topic);
    let log = match known.as_ref().and_then(|topic| topic.partition(index)) {
        Some(Partition::Here(log)) => log.clone(),
        Some(Partition::Elsewhere(_) | Partition::Unavailable) => return Err(Unwritten::NotLeader),
        // What is not open yet exists all the same: the metadata says what does.
        None => {
            let exists = shared.cluster.topic(topic).is_some_and(|topic| topic.has(index));
            return Err(if exists { Unwritten::NotLeader } else { Unwritten::Unknown });
        }
    };
    let appended = if topic == CONSUMER_OFFSETS {
        // One that can't be loaded now keeps nobody waiting: the marker is tried again.
        let group = shared.groups.at(index).filter(Handle::is_loaded).ok_or(Unwritten::NotLeader)?;
        let (appended, outcome) = oneshot::channel();
        let call = Call::Marker { marker, appended };
        group.calls.send(call).await.map_err(|_| Unwritten::NotLeader)?;
        outcome.await.map_err(|_| Unwritten::NotLeader)?
    } else {
        loop {
            match append(&log, marker) {
                Err(AppendError::Full) => log.streams().room().await,
                outcome => break outcome,
            }
        }
    };
    match appended {
        Ok(slot) => Ok((log, slot)),
        Err(error) => Err(Unwritten::Refused(error)),
    }
}

/// Writes a transaction's markers to all its partitions, again and again until they stand; tells whose they were. One
/// partition that takes none now holds back no other. `None` when this broker's epoch has ended: whoever comes after
/// writes them.
///
/// A partition that has seen a newer epoch of the producer counts as done: whoever wrote that has ended what was open
/// there. So does one that has seen a newer epoch of its coordinator, if nothing of the producer is open there. It may be:
/// an administrator's marker carries any epoch that he likes, and the producer may have gone on after it. Then the
/// transaction stays decided for all to see, as in Kafka, until somebody ends it in that partition by hand.
pub(super) async fn write_all(shared: &Shared, markers: Markers) -> Option<(String, Producer)> {
    let Markers {
        transactional_id,
        producer,
        coordinator_epoch,
        commit,
        transaction_version,
        mut partitions,
    } = markers;
    let marker = Marker { producer, coordinator_epoch, commit, transaction_version };
    let mut told = false;
    loop {
        let mut left = Vec::new();
        for (topic, index) in partitions {
            match write(shared, &topic, index, marker).await {
                // One that was deleted takes part no more.
                Ok(_) | Err(Unwritten::Unknown) => {}
                Err(Unwritten::Refused(AppendError::Producer(
                    error @ (ProducerError::OldEpoch { .. }
                    | ProducerError::OldCoordinator { open: false, .. }),
                ))) => {
                    tracing::warn!(
                        %transactional_id, topic, index, %error, "a partition has seen a newer producer or coordinator"
                    );
                }
                Err(error) => {
                    if !told {
                        tracing::warn!(%transactional_id, topic, index, %error, "a marker can't be written; trying on");
                        told = true;
                    }
                    left.push((topic, index));
                }
            }
        }
        if left.is_empty() {
            return Some((transactional_id, producer));
        }
        if shared.has_ended() {
            return None;
        }
        partitions = left;
        shared.clock.sleep(COORDINATOR_MARKERS_AGAIN).await;
    }
}

#[cfg(test)]
#[path = "markers_tests.rs"]
mod tests;
