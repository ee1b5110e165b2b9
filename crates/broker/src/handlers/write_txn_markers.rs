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

/// Answers a request.
pub async fn handle<C: Coordination>(coordination: &C, markers: Vec<TxnMarker>) -> WriteTxnMarkersResponse {
    let mut results: Vec<(i64, Vec<AppendedTopic>)> = Vec::new();
    for marker in markers {
        let mut topics = Vec::with_capacity(marker.topics.len());
        for (topic, partitions) in &marker.topics {
            let mut answered = Vec::with_capacity(partitions.len());
            for index in partitions {
                answered.push((*index, append(coordination, topic, *index, &marker).await));
            }
            topics.push((topic.clone(), answered));
        }
        // Those of one producer are answered together, and one that asks for nothing not at all, as in Kafka.
        let told = results.iter_mut().find(|(producer_id, _)| *producer_id == marker.producer_id);
        match told {
            _ if topics.is_empty() => {}
            Some((_, told)) => {
                for (name, partitions) in topics {
                    match told.iter_mut().find(|(known, _)| *known == name) {
                        Some((_, known)) => known.extend(partitions),
                        None => told.push((name, partitions)),
                    }
                }
            }
            None => results.push((marker.producer_id, topics)),
        }
    }
    // All are appended by now, so one flush makes most of them durable.
    let mut answered = Vec::with_capacity(results.len());
    for (producer_id, topics) in results {
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
