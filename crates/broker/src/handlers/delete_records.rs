//! DeleteRecords: moves the starts of partitions. What lies before is gone for readers at once, and its objects go
//! when nothing else is in them.
//!
//! Kafka's time-out is for followers, as its leader deletes at once. Here the new start is committed to the metadata
//! before it is shown, so the time-out is for that; it is at least [`DELETE_RECORDS_WAIT_MIN`], as clients that give
//! none rely on the leader being quick.

use super::backend::BackendError;
use super::topic_name::is_internal;
use crate::errors::{Code, NONE};
use crate::partition::starts::Starts;
use crate::partition::{Partition, PartitionLog, PartitionTable};
use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse, TopicName};
use levee_base::limits::DELETE_RECORDS_WAIT_MIN;
use levee_base::{Clock, Offset};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The offset that stands for the high watermark.
const HIGH_WATERMARK: i64 = -1;
const NO_LOW_WATERMARK: i64 = -1;

/// Answers a request.
pub async fn delete_records(
    table: &PartitionTable,
    clock: Clock,
    starts: &dyn Starts,
    request: DeleteRecordsRequest,
) -> DeleteRecordsResponse {
    let timeout = Duration::from_millis(request.timeout_ms.max(0).unsigned_abs().into());
    let timeout = timeout.max(DELETE_RECORDS_WAIT_MIN);
    // Of a partition that is named twice the last counts, and a topic without partitions is not answered.
    let mut asked: BTreeMap<TopicName, BTreeMap<i32, i64>> = BTreeMap::new();
    for topic in request.topics {
        for partition in topic.partitions {
            asked.entry(topic.name.clone()).or_default().insert(partition.partition_index, partition.offset);
        }
    }
    let mut new_starts = Vec::new();
    let mut found = Vec::new();
    for (name, partitions) in asked {
        let known = table.by_name(&name);
        let partitions: Vec<_> = partitions
            .into_iter()
            .map(|(index, offset)| {
                let place = known.as_ref().and_then(|topic| topic.partition(index));
                let moved = place
                    .ok_or(Code::UnknownTopicOrPartition)
                    .and_then(|place| check(place, is_internal(&name), offset));
                if let Ok((log, start)) = &moved {
                    new_starts.push((log.stream(), *start));
                }
                (index, moved.map(|(log, _)| log))
            })
            .collect();
        found.push((name, partitions));
    }
    let advanced = match new_starts.is_empty() {
        true => Ok(()),
        false => match clock.timeout(timeout, starts.advance(new_starts)).await {
            Some(Ok(())) => Ok(()),
            Some(Err(BackendError::UnknownTopic)) => Err(Code::UnknownTopicOrPartition),
            Some(Err(_)) | None => Err(Code::RequestTimedOut),
        },
    };
    let topics = found.into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|(index, moved)| {
            let outcome = moved.and_then(|log| {
                advanced?;
                log.start_moved();
                log.ends().map(|ends| ends.start).ok_or(Code::NotLeaderOrFollower)
            });
            let result = DeleteRecordsPartitionResult::default().with_partition_index(index);
            match outcome {
                Ok(start) => result.with_error_code(NONE).with_low_watermark(start.0.cast_signed()),
                Err(code) => result.with_error_code(code.code()).with_low_watermark(NO_LOW_WATERMARK),
            }
        });
        DeleteRecordsTopicResult::default().with_name(name).with_partitions(partitions.collect())
    });
    DeleteRecordsResponse::default().with_topics(topics.collect())
}

/// Where a partition is to begin.
fn check(place: &Partition, is_internal: bool, offset: i64) -> Result<(Arc<PartitionLog>, Offset), Code> {
    let Partition::Here(log) = place else { return Err(Code::NotLeaderOrFollower) };
    let ends = log.ends().ok_or(Code::NotLeaderOrFollower)?;
    if is_internal {
        return Err(Code::InvalidTopicException);
    }
    let topic = log.config().topic;
    if topic.compacts && !topic.deletes {
        return Err(Code::PolicyViolation);
    }
    let start = match u64::try_from(offset) {
        Ok(offset) => Offset(offset),
        Err(_) if offset == HIGH_WATERMARK => ends.durable,
        Err(_) => return Err(Code::OffsetOutOfRange),
    };
    if start > ends.durable {
        return Err(Code::OffsetOutOfRange);
    }
    Ok((log.clone(), start))
}

#[cfg(test)]
#[path = "delete_records_tests.rs"]
mod tests;
