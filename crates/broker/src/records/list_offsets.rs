//! ListOffsets: the first, the next, and by timestamp.

use super::fetch::check_epoch;
use crate::batch::{BatchView, Rules, records};
use crate::broker::{Broker, TopicView};
use crate::errors::{Code, of_read};
use crate::partition::PartitionLog;
use crate::partition::note::Note;
use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};
use levee_base::Offset;

/// Special timestamps, as Kafka has them.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;

/// Answers.
pub async fn answer(broker: &Broker, version: i16, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let view = broker.topic(&topic.name);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in topic.partitions {
            partitions.push(of_partition(broker, version, view.as_ref(), &partition).await);
        }
        topics.push(ListOffsetsTopicResponse::default().with_name(topic.name).with_partitions(partitions));
    }
    ListOffsetsResponse::default().with_topics(topics)
}

async fn of_partition(
    broker: &Broker,
    version: i16,
    topic: Option<&TopicView>,
    wanted: &ListOffsetsPartition,
) -> ListOffsetsPartitionResponse {
    let response = ListOffsetsPartitionResponse::default().with_partition_index(wanted.partition_index);
    match look_up(broker, topic, wanted).await {
        Ok((offset, timestamp, leader_epoch)) => {
            let response = response.with_offset(offset).with_timestamp(timestamp);
            if version >= 4 { response.with_leader_epoch(leader_epoch) } else { response }
        }
        Err(error) => response.with_error_code(error.code()).with_offset(-1).with_timestamp(-1),
    }
}

/// Offset, timestamp and leader epoch.
async fn look_up(
    broker: &Broker,
    topic: Option<&TopicView>,
    wanted: &ListOffsetsPartition,
) -> Result<(i64, i64, i32), Code> {
    let topic = topic.ok_or(Code::UnknownTopicOrPartition)?;
    let log = broker.partition(topic, wanted.partition_index).await.map_err(|failure| failure.code)?;
    check_epoch(&log, wanted.current_leader_epoch)?;
    let ends = log.ends().ok_or(Code::NotLeaderOrFollower)?;
    let epoch = i32::try_from(log.leader_epoch()).unwrap_or(i32::MAX);
    let kafka = |offset: Offset| i64::try_from(offset.0).unwrap_or(i64::MAX);
    match wanted.timestamp {
        LATEST => Ok((kafka(ends.durable), -1, epoch)),
        EARLIEST | EARLIEST_LOCAL => Ok((kafka(ends.start), -1, epoch)),
        // Nothing is tiered: everything is in the one store.
        LATEST_TIERED => Ok((-1, -1, -1)),
        MAX_TIMESTAMP => match log.max_timestamp() {
            Some((timestamp, base)) if base < ends.durable => at(broker, &log, base, timestamp, epoch).await,
            _ => Ok((-1, -1, -1)),
        },
        timestamp if timestamp >= 0 => by_time(broker, &log, timestamp, epoch).await,
        _ => Err(Code::UnsupportedVersion),
    }
}

/// The first record at or after `timestamp`: the first batch that has one is found by the indexes, and opened.
async fn by_time(
    broker: &Broker,
    log: &PartitionLog,
    timestamp: i64,
    epoch: i32,
) -> Result<(i64, i64, i32), Code> {
    let ends = log.ends().ok_or(Code::NotLeaderOrFollower)?;
    let from = log.start_for(timestamp).map_or(ends.start, |offset| offset.max(ends.start));
    let mut first = None;
    let mut look = |info: levee_store::BatchInfo<'_>| {
        let late = Note::read(info.note, info.count).is_none_or(|note| note.max_timestamp >= timestamp);
        if first.is_none() && late && info.base < ends.durable {
            first = Some(info.base);
        }
    };
    broker.store.replay(log.stream(), from, &mut look).await.map_err(|error| of_read(&error))?;
    match first {
        Some(base) => at(broker, log, base, timestamp, epoch).await,
        None => Ok((-1, -1, -1)),
    }
}

/// The first record at or after `timestamp` in the batch at `base`.
async fn at(
    broker: &Broker,
    log: &PartitionLog,
    base: Offset,
    timestamp: i64,
    epoch: i32,
) -> Result<(i64, i64, i32), Code> {
    let runs = broker.store.read(log.stream(), base, 1, true).await.map_err(|error| of_read(&error))?;
    let run = runs.first().ok_or(Code::KafkaStorageError)?;
    let view = BatchView::first(&run.bytes).ok_or(Code::CorruptMessage)?;
    let unreadable = |error: records::Unreadable| {
        tracing::warn!(stream = %log.stream(), %base, %error, "can't open a batch to look up a timestamp");
        Code::CorruptMessage
    };
    for record in records::open(&view, Rules::default().unpacked_bytes()).map_err(unreadable)? {
        let record = record.map_err(unreadable)?;
        if record.timestamp >= timestamp {
            return Ok((record.offset, record.timestamp, epoch));
        }
    }
    Ok((-1, -1, -1))
}
