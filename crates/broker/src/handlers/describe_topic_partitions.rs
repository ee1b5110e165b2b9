//! DescribeTopicPartitions: topics and their partitions in the order of their names, a part at a time (KIP-966).

use super::backend::{Backend, Topic};
use super::operations::TOPIC_OPERATIONS;
use super::topic_name;
use crate::errors::{Code, NONE};
use kafka_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use kafka_protocol::messages::{
    BrokerId, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicName,
};
use levee_base::limits::DESCRIBED_PARTITIONS;
use std::collections::BTreeSet;
use std::ops::Bound;

/// Answers a request.
#[must_use]
pub fn handle<B: Backend>(
    backend: &B,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let all = request.topics.is_empty();
    let from = request.cursor.as_ref().map_or("", |cursor| cursor.topic_name.as_str());
    let asked: BTreeSet<String> = match all {
        true => backend.topics().iter().map(|topic| topic.name.to_string()).collect(),
        false => request.topics.iter().map(|topic| topic.name.to_string()).collect(),
    };
    let misplaced = |name: &str, index| index < 0 || (!all && !asked.contains(name));
    if request.cursor.as_ref().is_some_and(|cursor| misplaced(&cursor.topic_name, cursor.partition_index)) {
        let code = Code::InvalidRequest.code();
        let refused = request.topics.into_iter().map(|topic| {
            DescribeTopicPartitionsResponseTopic::default().with_error_code(code).with_name(Some(topic.name))
        });
        return DescribeTopicPartitionsResponse::default().with_topics(refused.collect());
    }
    let wanted = usize::try_from(request.response_partition_limit).unwrap_or(0);
    let mut left = wanted.clamp(1, DESCRIBED_PARTITIONS);
    let mut response = DescribeTopicPartitionsResponse::default();
    for name in asked.range::<str, _>((Bound::Included(from), Bound::Unbounded)) {
        let next = |index: usize| {
            let index = i32::try_from(index).unwrap_or(i32::MAX);
            Some(Cursor::default().with_topic_name(topic(name)).with_partition_index(index))
        };
        if left == 0 {
            return response.with_next_cursor(next(0));
        }
        let Some(known) = backend.topic(name) else {
            // Deleted meanwhile, where all were asked for.
            if !all {
                response.topics.push(unknown(name));
            }
            continue;
        };
        let cursor = request.cursor.as_ref().filter(|cursor| cursor.topic_name.as_str() == name);
        let first = cursor.map_or(0, |cursor| usize::try_from(cursor.partition_index).unwrap_or(0));
        let partitions = partitions(&known, first, left);
        let end = first + partitions.len();
        left -= partitions.len();
        response.topics.push(
            DescribeTopicPartitionsResponseTopic::default()
                .with_error_code(NONE)
                .with_name(Some(topic(name)))
                .with_topic_id(known.id)
                .with_is_internal(topic_name::is_internal(name))
                .with_partitions(partitions)
                .with_topic_authorized_operations(TOPIC_OPERATIONS),
        );
        if end < known.partitions.len() {
            return response.with_next_cursor(next(end));
        }
    }
    response
}

fn topic(name: &str) -> TopicName {
    TopicName(name.to_owned().into())
}

fn unknown(name: &str) -> DescribeTopicPartitionsResponseTopic {
    let code = match topic_name::check(name) {
        Ok(()) => Code::UnknownTopicOrPartition,
        Err(_) => Code::InvalidTopicException,
    };
    DescribeTopicPartitionsResponseTopic::default()
        .with_error_code(code.code())
        .with_name(Some(topic(name)))
        .with_is_internal(topic_name::is_internal(name))
        .with_topic_authorized_operations(TOPIC_OPERATIONS)
}

fn partitions(topic: &Topic, first: usize, most: usize) -> Vec<DescribeTopicPartitionsResponsePartition> {
    let partitions = (0..).zip(&topic.partitions).skip(first).take(most).map(|(index, partition)| {
        let code = if partition.leader.is_some() { NONE } else { Code::LeaderNotAvailable.code() };
        // Replication is the store's: the one replica is the leader, and no other was ever eligible.
        let replicas: Vec<_> = partition.leader.map(BrokerId).into_iter().collect();
        DescribeTopicPartitionsResponsePartition::default()
            .with_error_code(code)
            .with_partition_index(index)
            .with_leader_id(BrokerId(partition.leader.unwrap_or(-1)))
            .with_leader_epoch(partition.leader_epoch)
            .with_replica_nodes(replicas.clone())
            .with_isr_nodes(replicas)
            .with_eligible_leader_replicas(Some(Vec::new()))
            .with_last_known_elr(Some(Vec::new()))
    });
    partitions.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::memory::Memory;
    use bytes::BytesMut;
    use kafka_protocol::messages::describe_topic_partitions_request::{Cursor as From, TopicRequest};
    use kafka_protocol::protocol::Encodable;

    /// The topics with their codes and partitions, and what comes next.
    type Told = (Vec<(String, i16, Vec<i32>)>, Option<(String, i32)>);

    fn ask(backend: &Memory, names: &[&'static str], limit: i32, from: Option<(&'static str, i32)>) -> Told {
        let names = names.iter().map(|name| TopicRequest::default().with_name(TopicName((*name).into())));
        let from = from.map(|(name, index)| {
            From::default().with_topic_name(TopicName(name.into())).with_partition_index(index)
        });
        let request = DescribeTopicPartitionsRequest::default()
            .with_topics(names.collect())
            .with_response_partition_limit(limit)
            .with_cursor(from);
        let response = handle(backend, request);
        response.encode(&mut BytesMut::new(), 0).unwrap();
        let topics = response.topics.iter().map(|topic| {
            let indexes = topic.partitions.iter().map(|partition| partition.partition_index).collect();
            (topic.name.as_ref().unwrap().to_string(), topic.error_code, indexes)
        });
        let next = response.next_cursor.map(|next| (next.topic_name.to_string(), next.partition_index));
        (topics.collect(), next)
    }

    fn told(topics: &[(&str, i16, &[i32])], next: Option<(&str, i32)>) -> Told {
        let topics = topics.iter().map(|(name, code, indexes)| ((*name).to_owned(), *code, indexes.to_vec()));
        (topics.collect(), next.map(|(name, index)| (name.to_owned(), index)))
    }

    async fn backend() -> Memory {
        Memory::default().with("b", 3).await.with("a", 5).await
    }

    #[tokio::test]
    async fn topics_come_by_name_and_each_once() {
        let backend = backend().await;
        let (a, b) = (("a", 0, &[0, 1, 2, 3, 4][..]), ("b", 0, &[0, 1, 2][..]));
        assert_eq!(ask(&backend, &[], 2_000, None), told(&[a, b], None));
        let named = &["none", "b", "a b", "b", ""];
        let expected = [("", 17, &[][..]), ("a b", 17, &[]), b, ("none", 3, &[])];
        assert_eq!(ask(&backend, named, 2_000, None), told(&expected, None));
        let request = DescribeTopicPartitionsRequest::default().with_response_partition_limit(1);
        let response = handle(&backend, request);
        let (topic, partition) = (&response.topics[0], &response.topics[0].partitions[0]);
        assert_eq!((topic.topic_authorized_operations, topic.is_internal), (3_576, false));
        assert_eq!((partition.leader_id, &partition.isr_nodes[..]), (BrokerId(1), &[BrokerId(1)][..]));
        assert_eq!(partition.eligible_leader_replicas, Some(vec![]));
    }

    #[tokio::test]
    async fn an_answer_ends_where_it_is_full_and_goes_on_from_there() {
        let backend = backend().await;
        for names in [&[][..], &["a", "b"]] {
            let mut from = None;
            let parts = [
                told(&[("a", 0, &[0, 1, 2])], Some(("a", 3))),
                told(&[("a", 0, &[3, 4]), ("b", 0, &[0])], Some(("b", 1))),
                told(&[("b", 0, &[1, 2])], None),
            ];
            for part in parts {
                assert_eq!(ask(&backend, names, 3, from), part);
                from = part.1.map(|(name, index)| (if name == "a" { "a" } else { "b" }, index));
            }
        }
        // Full with the end of a topic: it is not known yet whether the next one exists.
        let full = told(&[("a", 0, &[0, 1, 2, 3, 4])], Some(("none", 0)));
        assert_eq!(ask(&backend, &["a", "none"], 5, None), full);
        assert_eq!(ask(&backend, &["a", "none"], 5, Some(("none", 0))), told(&[("none", 3, &[])], None));
        for none in [0, -1] {
            assert_eq!(ask(&backend, &["b"], none, None), told(&[("b", 0, &[0])], Some(("b", 1))));
        }
        assert_eq!(ask(&backend, &["b"], 9, Some(("b", 7))), told(&[("b", 0, &[])], None), "beyond its end");
        // Where all are asked for, the topic may be gone that the cursor names.
        assert_eq!(ask(&backend, &[], 9, Some(("aa", 1))), told(&[("b", 0, &[0, 1, 2])], None));
    }

    #[tokio::test]
    async fn a_cursor_must_lie_within_what_is_asked_for() {
        let backend = backend().await;
        let refused = told(&[("b", 42, &[]), ("a", 42, &[])], None);
        assert_eq!(ask(&backend, &["b", "a"], 9, Some(("a", -1))), refused);
        assert_eq!(ask(&backend, &["b", "a"], 9, Some(("c", 0))), refused);
        assert_eq!(ask(&backend, &[], 9, Some(("a", -1))), told(&[], None));
    }

    #[tokio::test]
    async fn an_answer_never_takes_more_than_the_bound() {
        let most = i32::try_from(DESCRIBED_PARTITIONS).unwrap();
        let backend = Memory::default().with("a", DESCRIBED_PARTITIONS as u32 + 1).await;
        let (topics, next) = ask(&backend, &[], i32::MAX, None);
        assert_eq!((topics[0].2.len(), next), (DESCRIBED_PARTITIONS, Some(("a".to_owned(), most))));
    }
}
