//! ListOffsets: the earliest and the latest offset, and look-ups by time.
//!
//! Timestamps below zero are questions of their own, each known from some version on. A question that finds
//! nothing is answered with offset -1 and no error.

use super::fetch::read_code;
use crate::errors::Code;
use crate::partition::log::EpochError;
use crate::partition::look_up::Located;
use crate::partition::read::{FetchError, Isolation};
use crate::partition::{Partition, PartitionLog, PartitionTable};
use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};
use std::collections::BTreeSet;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
/// The record with the largest timestamp (KIP-734).
const MAX_TIMESTAMP: i64 = -3;
/// The earliest offset outside of tiered storage (KIP-405). There is none here, so it is the earliest.
const EARLIEST_LOCAL: i64 = -4;
/// The latest offset in tiered storage (KIP-1005). There is none here.
const LATEST_TIERED: i64 = -5;
/// The earliest offset that is yet to go to tiered storage (KIP-1023). There is none here.
const EARLIEST_PENDING_UPLOAD: i64 = -6;

/// Whether a client may ask this of a broker in `version`.
fn known(timestamp: i64, version: i16) -> bool {
    match timestamp {
        0.. | LATEST | EARLIEST => true,
        MAX_TIMESTAMP => version >= 7,
        EARLIEST_LOCAL => version >= 8,
        LATEST_TIERED => version >= 9,
        EARLIEST_PENDING_UPLOAD => version >= 11,
        _ => false,
    }
}

/// Answers a request.
pub async fn list_offsets(
    table: &PartitionTable,
    request: ListOffsetsRequest,
    version: i16,
) -> ListOffsetsResponse {
    // Kafka's leader fails on one that doesn't exist.
    let Some(isolation) = Isolation::of(request.isolation_level) else {
        return failed(request, version, Code::UnknownServerError);
    };
    let mut seen = BTreeSet::new();
    let mut twice = BTreeSet::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let key = (topic.name.as_str(), partition.partition_index);
            if !seen.insert(key) {
                twice.insert(key);
            }
        }
    }
    let mut refused = BTreeSet::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let known_topic = table.by_name(&topic.name);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in &topic.partitions {
            let repeated = twice.contains(&(topic.name.as_str(), asked.partition_index));
            // What is asked twice is answered once.
            if repeated && !refused.insert((topic.name.as_str(), asked.partition_index)) {
                continue;
            }
            let place = known_topic.as_ref().and_then(|topic| topic.partition(asked.partition_index));
            let answer = if repeated {
                Err(Code::InvalidRequest)
            } else if !known(asked.timestamp, version) {
                Err(Code::UnsupportedVersion)
            } else {
                match place {
                    None => Err(Code::UnknownTopicOrPartition),
                    Some(Partition::Here(log)) => look_up(log, asked, isolation).await,
                    Some(Partition::Elsewhere(_) | Partition::Unavailable) => Err(Code::NotLeaderOrFollower),
                }
            };
            partitions.push(response(version, asked.partition_index, answer));
        }
        topics.push(
            ListOffsetsTopicResponse::default().with_name(topic.name.clone()).with_partitions(partitions),
        );
    }
    ListOffsetsResponse::default().with_topics(topics)
}

/// The answer to a request of which nothing can be answered.
fn failed(request: ListOffsetsRequest, version: i16, code: Code) -> ListOffsetsResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions =
            topic.partitions.iter().map(|asked| response(version, asked.partition_index, Err(code)));
        ListOffsetsTopicResponse::default().with_partitions(partitions.collect()).with_name(topic.name)
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}

/// Compares a client's leader epoch with the log's.
pub(super) fn check_epoch(log: &PartitionLog, epoch: i32) -> Result<(), Code> {
    // Only -1 is no epoch here; Fetch takes all negative ones for none. Both are Kafka's.
    if epoch < -1 {
        return Err(Code::FencedLeaderEpoch);
    }
    log.check_epoch(epoch).map_err(|error| match error {
        EpochError::Fenced => Code::FencedLeaderEpoch,
        EpochError::Unknown => Code::UnknownLeaderEpoch,
    })
}

async fn look_up(
    log: &PartitionLog,
    asked: &ListOffsetsPartition,
    isolation: Isolation,
) -> Result<Option<Located>, Code> {
    check_epoch(log, asked.current_leader_epoch)?;
    located(log, asked.timestamp, isolation).await.map_err(|error| read_code(log.stream(), &error))
}

async fn located(
    log: &PartitionLog,
    timestamp: i64,
    isolation: Isolation,
) -> Result<Option<Located>, FetchError> {
    // As in Kafka, a record that the reader is not given yet is not found, and none before it is sought.
    let readable = log.readable_end(isolation)?;
    let found = match timestamp {
        EARLIEST | EARLIEST_LOCAL => return log.earliest().map(Some),
        LATEST => return log.latest(isolation).map(Some),
        LATEST_TIERED | EARLIEST_PENDING_UPLOAD => return Ok(None),
        MAX_TIMESTAMP => log.at_largest_timestamp().await?,
        timestamp => log.at_timestamp(timestamp).await?,
    };
    Ok(found.filter(|located| located.offset < readable))
}

fn response(version: i16, index: i32, answer: Result<Option<Located>, Code>) -> ListOffsetsPartitionResponse {
    let response = ListOffsetsPartitionResponse::default()
        .with_partition_index(index)
        .with_offset(-1)
        .with_timestamp(-1);
    match answer {
        Err(code) => response.with_error_code(code.code()),
        Ok(None) => response,
        Ok(Some(located)) => {
            let response = response
                .with_offset(located.offset.0.cast_signed())
                .with_timestamp(located.timestamp.unwrap_or(-1));
            // The field came with version 4 (KIP-320); its default is the unknown epoch.
            match located.leader_epoch {
                Some(epoch) if version >= 4 => response.with_leader_epoch(epoch),
                _ => response,
            }
        }
    }
}

#[cfg(test)]
#[path = "list_offsets_tests.rs"]
mod tests;
