//! DescribeProducers: who writes to a partition, and which transactions are open in it. By this administrators find
//! those that hang (KIP-664).

use super::named::Named;
use super::topic_name;
use crate::errors::Code;
use crate::partition::claim::ActiveProducer;
use crate::partition::{Partition, PartitionTable, Topic};
use kafka_protocol::messages::describe_producers_response::{
    PartitionResponse, ProducerState, TopicResponse,
};
use kafka_protocol::messages::{DescribeProducersRequest, DescribeProducersResponse, ProducerId};
use kafka_protocol::protocol::StrBytes;
use levee_base::StreamId;

/// Answers a request.
#[must_use]
pub fn describe_producers(
    table: &PartitionTable,
    request: DescribeProducersRequest,
) -> DescribeProducersResponse {
    let mut named = Named::new();
    let topics = request.topics.into_iter().map(|topic| {
        let known = find(table, &topic.name);
        let partitions = topic.partition_indexes.iter().map(|&index| {
            let answer = PartitionResponse::default().with_partition_index(index);
            match &known {
                Ok(topic) => describe(topic, index, answer, &mut named),
                Err((code, message)) => answer
                    .with_error_code(code.code())
                    .with_error_message(Some(StrBytes::from_string(message.clone()))),
            }
        });
        TopicResponse::default().with_partitions(partitions.collect()).with_name(topic.name)
    });
    DescribeProducersResponse::default().with_topics(topics.collect())
}

fn find(table: &PartitionTable, name: &str) -> Result<std::sync::Arc<Topic>, (Code, String)> {
    topic_name::check(name).map_err(|message| (Code::InvalidTopicException, message))?;
    let unknown = || "This server does not host this topic-partition.".to_owned();
    table.by_name(name).ok_or_else(|| (Code::UnknownTopicOrPartition, unknown()))
}

/// With which partitions have been `named` before.
fn describe(
    topic: &Topic,
    index: i32,
    answer: PartitionResponse,
    named: &mut Named<StreamId>,
) -> PartitionResponse {
    // Kafka has words for what is wrong with a topic, and none for a partition.
    match topic.partition(index) {
        None => answer.with_error_code(Code::UnknownTopicOrPartition.code()),
        Some(Partition::Elsewhere(_) | Partition::Unavailable) => {
            answer.with_error_code(Code::NotLeaderOrFollower.code())
        }
        Some(Partition::Here(log)) => {
            // All its producers are told each time.
            if named.too_often(log.stream()) {
                return answer.with_error_code(Code::InvalidRequest.code());
            }
            answer.with_active_producers(log.active_producers().iter().map(state).collect())
        }
    }
}

fn state(producer: &ActiveProducer) -> ProducerState {
    ProducerState::default()
        .with_producer_id(ProducerId(producer.producer_id))
        .with_producer_epoch(i32::from(producer.epoch))
        .with_last_sequence(producer.last_sequence)
        .with_last_timestamp(producer.last_timestamp)
        .with_coordinator_epoch(producer.coordinator_epoch)
        .with_current_txn_start_offset(producer.transaction.map_or(-1, |first| first.0.cast_signed()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::build::Build;
    use crate::partition::log::LogConfig;
    use crate::partition::simulated::Simulated;
    use crate::partition::{PartitionLog, Streams};
    use kafka_protocol::messages::TopicName;
    use kafka_protocol::messages::describe_producers_request::TopicRequest;
    use levee_base::{Clock, Offset};
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use uuid::Uuid;

    async fn table() -> PartitionTable {
        let streams = Simulated::new();
        streams.open(StreamId(1), Offset::ZERO);
        let over: Arc<dyn Streams> = Arc::new(streams.clone());
        let clock = Clock::simulated(1_000);
        let log = PartitionLog::open(over, StreamId(1), 3, LogConfig::default(), clock, None).await.unwrap();
        let idempotent = Build::records(2, 50).producer(4, 1, 7);
        log.append(&mut log.check(&mut idempotent.bytes(), 11).unwrap()).unwrap();
        log.append_records(&[(None, None)], Some((9, 0))).unwrap();
        log.append_marker(9, 1, 6, true, 2).unwrap();
        log.append_records(&[(None, None)], Some((9, 1))).unwrap();
        let partitions = vec![Partition::Here(Arc::new(log)), Partition::Unavailable];
        let table = PartitionTable::default();
        table.insert(Topic {
            name: "t".into(),
            id: Uuid::from_u128(1),
            configs: BTreeMap::new(),
            partitions,
        });
        table
    }

    fn ask(table: &PartitionTable, topic: &'static str, indexes: &[i32]) -> Vec<PartitionResponse> {
        let topic = TopicRequest::default()
            .with_name(TopicName(StrBytes::from_static_str(topic)))
            .with_partition_indexes(indexes.to_vec());
        let request = DescribeProducersRequest::default().with_topics(vec![topic]);
        describe_producers(table, request).topics.remove(0).partitions
    }

    #[tokio::test(start_paused = true)]
    async fn producers_and_their_transactions_are_shown() {
        let table = table().await;
        let answers = ask(&table, "t", &[0]);
        let shown = |one: &ProducerState| {
            let of = (one.producer_id.0, one.producer_epoch, one.last_sequence, one.last_timestamp);
            (of, one.coordinator_epoch, one.current_txn_start_offset)
        };
        let all: Vec<_> = answers[0].active_producers.iter().map(shown).collect();
        assert_eq!(all, [((4, 1, 8, 50), -1, -1), ((9, 1, -1, 1_000), 6, 4)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_partition_is_described_as_often_as_it_is_named_up_to_a_bound() {
        let table = table().await;
        let mut topics = Vec::new();
        for _ in 0..2 {
            let name = TopicName(StrBytes::from_static_str("t"));
            topics.push(TopicRequest::default().with_name(name).with_partition_indexes(vec![0; 9]));
        }
        let request = DescribeProducersRequest::default().with_topics(topics);
        let answers = describe_producers(&table, request).topics;
        let partitions = answers.iter().flat_map(|topic| &topic.partitions);
        let told: Vec<_> = partitions.map(|one| (one.error_code, one.active_producers.len())).collect();
        assert_eq!((&told[..16], &told[16..]), (&[(0, 2); 16][..], &[(42, 0); 2][..]));
        // The next request counts anew.
        assert_eq!(ask(&table, "t", &[0])[0].error_code, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_have_kafkas_codes() {
        let table = table().await;
        let refused = |topic, indexes: &[i32]| {
            let answers = ask(&table, topic, indexes);
            answers.iter().map(|one| (one.error_code, one.error_message.is_some())).collect::<Vec<_>>()
        };
        assert_eq!(refused("t", &[1, 2, -1]), [(6, false), (3, false), (3, false)]);
        assert_eq!(refused("u", &[0]), [(3, true)]);
        assert_eq!(refused("u t", &[0, 1]), [(17, true), (17, true)]);
    }
}
