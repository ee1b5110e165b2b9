//! Produce. Batches enter the log before this returns, in the order of the connection; the answer waits for the
//! last of them to be durable, or for the client's time-out. acks=1 is acks=all; acks=0 gets no answer.

use crate::batch::{Rules, TimestampType, validate};
use crate::broker::{Broker, TopicView};
use crate::errors::{Code, Failure};
use crate::partition::{AppendRefused, Appended, PartitionLog};
use crate::wire::produce::{
    PartitionResponse, ProducePartition, ProduceRequest, ProduceResponse, Topic, TopicRef, TopicResponse,
};
use levee_base::Slot;
use levee_base::clock::Instant;
use levee_meta::TopicId;
use levee_store::AppendError;
use std::sync::Arc;
use std::time::Duration;

/// A request whose batches have entered the log.
#[derive(Debug)]
pub struct Pending {
    acks: i16,
    /// The client's time is over then.
    deadline: Instant,
    topics: Vec<PendingTopic>,
}

#[derive(Debug)]
struct PendingTopic {
    topic: Topic,
    partitions: Vec<PendingPartition>,
}

#[derive(Debug)]
struct PendingPartition {
    index: i32,
    outcome: Result<(Appended, Arc<PartitionLog>), Failure>,
}

/// Appends what is produced.
pub async fn begin(broker: &Broker, version: i16, request: ProduceRequest<'_>) -> Pending {
    let deadline = broker.clock.now() + Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let refusal = if !(-1..=1).contains(&request.acks) {
        Some(Code::InvalidRequiredAcks)
    } else if request.transactional_id.is_some() {
        // There are no transactions yet, so no id can be known.
        Some(Code::InvalidProducerIdMapping)
    } else {
        None
    };
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let view = match topic.topic {
            TopicRef::Name(name) => broker.topic(name).ok_or(Code::UnknownTopicOrPartition),
            TopicRef::Id(id) => broker.topic_by_id(TopicId(id)).ok_or(Code::UnknownTopicId),
        };
        let view = refusal.map_or(view, Err).map_err(Failure::plain);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for ProducePartition { index, records } in topic.partitions {
            let outcome = match &view {
                Ok(view) => append(broker, version, view, index, records.unwrap_or_default()).await,
                Err(error) => Err(error.clone()),
            };
            partitions.push(PendingPartition { index, outcome });
        }
        topics.push(PendingTopic { topic: topic.topic.into(), partitions });
    }
    Pending { acks: request.acks, deadline, topics }
}

async fn append(
    broker: &Broker,
    version: i16,
    topic: &TopicView,
    index: i32,
    records: &mut [u8],
) -> Result<(Appended, Arc<PartitionLog>), Failure> {
    let log = broker.partition(topic, index).await?;
    let log_append_time =
        topic.configs.get("message.timestamp.type").is_some_and(|kind| kind == "LogAppendTime");
    let timestamp_type =
        if log_append_time { TimestampType::LogAppendTime } else { TimestampType::CreateTime };
    let rules = Rules { timestamp_type, ..Rules::default() };
    let mut checked = validate::check(records, version, &rules, broker.clock.wall_ms())?;
    loop {
        let now_ms = broker.clock.wall_ms();
        match log.append(&mut checked, log_append_time.then_some(now_ms), now_ms) {
            Ok(appended) => {
                broker.metrics.produced(checked.view().bytes().len(), checked.count());
                return Ok((appended, log));
            }
            // The connection is not read while this waits: that is how a producer is slowed.
            Err(AppendRefused::Store(AppendError::Full)) => broker.store.room().await,
            Err(refused) => return Err(refused.into()),
        }
    }
}

/// The answer, once everything is durable or the time is over. acks=0 waits for nothing.
pub async fn finish(broker: &Broker, pending: Pending) -> ProduceResponse {
    let last = pending.topics.iter().flat_map(|topic| &topic.partitions);
    let last = last.filter_map(|partition| partition.outcome.as_ref().ok()?.0.slot).max();
    let failure = match last {
        Some(slot) if pending.acks != 0 => durable(broker, slot, pending.deadline).await.err(),
        _ => None,
    };
    let topics = pending.topics.into_iter().map(|PendingTopic { topic, partitions }| TopicResponse {
        topic,
        partitions: partitions.into_iter().map(|partition| answer(broker, failure, partition)).collect(),
    });
    ProduceResponse { topics: topics.collect(), ..ProduceResponse::default() }
}

/// Waits until `slot` is durable.
async fn durable(broker: &Broker, slot: Slot, deadline: Instant) -> Result<(), Code> {
    let mut status = broker.store.status();
    let reached = status.wait_for(|status| status.durable > slot || status.stopped.is_some());
    match broker.clock.timeout(deadline - broker.clock.now(), reached).await {
        None => Err(Code::RequestTimedOut),
        Some(Ok(status)) if status.durable > slot => Ok(()),
        Some(_) => Err(Code::NotLeaderOrFollower),
    }
}

fn answer(broker: &Broker, failure: Option<Code>, partition: PendingPartition) -> PartitionResponse {
    let PendingPartition { index, outcome } = partition;
    let outcome = outcome.and_then(|(appended, log)| match failure {
        // What was durable all along is not touched by what has become of the rest.
        Some(error) if appended.slot.is_some_and(|slot| broker.store.status().borrow().durable <= slot) => {
            Err(Failure::plain(error))
        }
        _ => Ok((appended, log)),
    });
    match outcome {
        Ok((appended, log)) => PartitionResponse {
            base_offset: i64::try_from(appended.base.0).unwrap_or(i64::MAX),
            log_append_time_ms: appended.log_append_time,
            log_start_offset: log.ends().map_or(-1, |ends| i64::try_from(ends.start.0).unwrap_or(i64::MAX)),
            ..PartitionResponse::error(index, 0, None)
        },
        Err(error) => PartitionResponse::error(
            index,
            error.code.code(),
            Some(error.message).filter(|text| !text.is_empty()),
        ),
    }
}
