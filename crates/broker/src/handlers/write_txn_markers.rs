//! WriteTxnMarkers: what a coordinator on another broker, or an administrator who aborts a transaction, asks for.
//! Answered when all markers are durable.

use super::coordination::Coordination;
use super::produce::append_code;
use crate::coordinators::{Marker, Unwritten};
use crate::errors::{Code, NONE};
use crate::partition::{PartitionLog, is_durable};
use crate::wire::txn_markers::TxnMarker;
use kafka_protocol::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use kafka_protocol::messages::{ProducerId, WriteTxnMarkersResponse};
use kafka_protocol::protocol::StrBytes;
use levee_base::Slot;
use levee_coordinator::Producer;
use std::collections::BTreeMap;

/// Answers a request.
pub async fn handle<C: Coordination>(coordination: &C, markers: Vec<TxnMarker>) -> WriteTxnMarkersResponse {
    let mut results = Results::default();
    for marker in markers {
        let mut topics = Vec::with_capacity(marker.topics.len());
        for (topic, partitions) in &marker.topics {
            let mut answered = Vec::with_capacity(partitions.len());
            for index in partitions {
                answered.push((*index, append(coordination, topic, *index, &marker).await));
            }
            topics.push((topic.clone(), answered));
        }
        results.add(marker.producer_id, topics);
    }
    // All are appended by now, so one flush makes most of them durable.
    let mut answered = Vec::with_capacity(results.by_producer.len());
    for (producer_id, topics) in results.by_producer {
        let mut told = Vec::with_capacity(topics.len());
        for (name, partitions) in topics {
            let mut codes = Vec::with_capacity(partitions.len());
            for (index, appended) in partitions {
                let code = match appended {
                    Ok((log, slot)) => durable(&log, slot).await,
                    Err(code) => code.code(),
                };
                codes.push(
                    WritableTxnMarkerPartitionResult::default()
                        .with_partition_index(index)
                        .with_error_code(code),
                );
            }
            told.push(
                WritableTxnMarkerTopicResult::default()
                    .with_name(StrBytes::from_string(name).into())
                    .with_partitions(codes),
            );
        }
        answered.push(
            WritableTxnMarkerResult::default().with_producer_id(ProducerId(producer_id)).with_topics(told),
        );
    }
    WriteTxnMarkersResponse::default().with_markers(answered)
}

/// The partition, and the slot to wait for.
type Appended = (std::sync::Arc<PartitionLog>, Option<Slot>);
/// A topic, and what came of its partitions, by number.
type AppendedTopic = (String, Vec<(i32, Result<Appended, Code>)>);

/// What came of all markers.
#[derive(Default)]
struct Results {
    /// By producer, in the order in which they are named first.
    by_producer: Vec<(i64, Vec<AppendedTopic>)>,
    /// Where a producer is among them, and each of its topics among its own. A request may name as many as it has room
    /// for.
    places: BTreeMap<i64, (usize, BTreeMap<String, usize>)>,
}

impl Results {
    /// Of one marker. Those of one producer are answered together, and one that asks for nothing not at all, as in Kafka.
    fn add(&mut self, producer_id: i64, topics: Vec<AppendedTopic>) {
        if topics.is_empty() {
            return;
        }
        let first = !self.places.contains_key(&producer_id);
        let (place, names) = self.places.entry(producer_id).or_insert_with(|| {
            self.by_producer.push((producer_id, Vec::new()));
            (self.by_producer.len() - 1, BTreeMap::new())
        });
        let (_, told) = &mut self.by_producer[*place];
        for (name, partitions) in topics {
            match names.get(&name) {
                // Only what a further marker says of a topic joins what was said before.
                Some(&known) if !first => told[known].1.extend(partitions),
                _ => {
                    names.entry(name.clone()).or_insert(told.len());
                    told.push((name, partitions));
                }
            }
        }
    }
}

async fn append<C: Coordination>(
    coordination: &C,
    topic: &str,
    index: i32,
    marker: &TxnMarker,
) -> Result<Appended, Code> {
    // No transaction is of such a producer.
    if marker.producer_id < 0 || marker.producer_epoch < 0 {
        return Err(Code::UnknownServerError);
    }
    let marker = Marker {
        producer: Producer { id: marker.producer_id, epoch: marker.producer_epoch },
        coordinator_epoch: marker.coordinator_epoch,
        commit: marker.commit,
        transaction_version: marker.transaction_version,
    };
    coordination.write_marker(topic, index, marker).await.map_err(|error| match error {
        Unwritten::Unknown => Code::UnknownTopicOrPartition,
        Unwritten::NotLeader => Code::NotLeaderOrFollower,
        Unwritten::Refused(error) => append_code(&error),
    })
}

async fn durable(log: &PartitionLog, slot: Option<Slot>) -> i16 {
    match slot {
        Some(slot) if !is_durable(&mut log.status(), slot).await => Code::NotLeaderOrFollower.code(),
        _ => NONE,
    }
}

#[cfg(test)]
#[path = "write_txn_markers_tests.rs"]
mod tests;
