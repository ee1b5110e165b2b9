//! CreateTopics on a backend in memory.

use super::*;
use crate::handlers::memory::Memory;
use bytes::BytesMut;
use kafka_protocol::messages::BrokerId;
use kafka_protocol::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopicConfig};
use kafka_protocol::protocol::Encodable;

fn topic(name: &'static str) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(TopicName(name.into()))
        .with_num_partitions(-1)
        .with_replication_factor(-1)
}

fn assigned_to(rows: &[(i32, &[i32])]) -> CreatableTopic {
    let rows = rows.iter().map(|(index, brokers)| {
        CreatableReplicaAssignment::default()
            .with_partition_index(*index)
            .with_broker_ids(brokers.iter().copied().map(BrokerId).collect())
    });
    topic("t").with_assignments(rows.collect())
}

async fn send(
    backend: &Memory,
    topics: Vec<CreatableTopic>,
    validate_only: bool,
) -> Vec<CreatableTopicResult> {
    let request = CreateTopicsRequest::default()
        .with_topics(topics)
        .with_validate_only(validate_only)
        .with_timeout_ms(1_000);
    let mut results = Vec::new();
    for version in (2..=7).rev() {
        // Of the versions, the last creates; the others before it are checked for encoding only.
        if version == 7 {
            results = handle(backend, &Clock::system(), request.clone(), version).await.topics;
        } else {
            let response =
                handle(backend, &Clock::system(), request.clone().with_validate_only(true), version).await;
            response.encode(&mut BytesMut::new(), version).unwrap();
        }
    }
    results
}

async fn refused(backend: &Memory, topic: CreatableTopic) -> (Code, String) {
    let result = send(backend, vec![topic], false).await.remove(0);
    assert!(result.topic_id.is_nil());
    let code = kafka_protocol::ResponseError::try_from_code(result.error_code).unwrap();
    (code, result.error_message.unwrap().to_string())
}

#[tokio::test]
async fn a_topic_is_created_with_what_was_asked_for() {
    let backend = Memory::default();
    let config =
        CreatableTopicConfig::default().with_name("retention.ms".into()).with_value(Some("1000".into()));
    let asked = topic("t").with_num_partitions(12).with_replication_factor(3).with_configs(vec![config]);
    let result = send(&backend, vec![asked.clone()], true).await.remove(0);
    assert_eq!((result.error_code, result.num_partitions, result.replication_factor), (0, 12, 3));
    assert!(result.topic_id.is_nil() && backend.created("t").is_none(), "it was only to be validated");

    let result = send(&backend, vec![asked], false).await.remove(0);
    assert_eq!(result.topic_id, backend.topic("t").unwrap().id);
    let created = backend.created("t").unwrap();
    assert_eq!((created.partitions, created.configs["retention.ms"].as_str()), (12, "1000"));
    assert_eq!(result.error_message, None, "an empty one would be taken for a failure");
    let configs = result.configs.unwrap();
    let told = |name: &str| {
        let config = configs.iter().find(|config| &*config.name == name).unwrap();
        (config.value.as_deref().unwrap(), config.config_source)
    };
    assert_eq!((told("retention.ms"), told("cleanup.policy")), (("1000", 1), ("delete", 5)));

    let result = send(&backend, vec![topic("defaults")], false).await.remove(0);
    assert_eq!((result.error_code, result.num_partitions, result.replication_factor), (0, 1, 1));
}

#[tokio::test]
async fn names_and_numbers_are_refused_as_kafka_does() {
    let backend = Memory::default().with("a.b", 1).await;
    for (asked, code, words) in [
        (topic("a.b"), Code::TopicAlreadyExists, "Topic 'a.b' already exists."),
        (topic("a_b"), Code::InvalidTopicException, "Topic 'a_b' collides with existing topic: a.b"),
        (topic(".."), Code::InvalidTopicException, "Topic name is invalid: '..' is not allowed"),
        (
            topic("__cluster_metadata"),
            Code::InvalidRequest,
            "Creation of internal topic __cluster_metadata is prohibited.",
        ),
        (
            topic("x").with_num_partitions(0),
            Code::InvalidPartitions,
            "Number of partitions was set to an invalid non-positive value.",
        ),
        (
            topic("x").with_replication_factor(0),
            Code::InvalidReplicationFactor,
            "Replication factor must be larger than 0, or -1 to use the default value.",
        ),
        (
            topic("x").with_num_partitions(10_001),
            Code::PolicyViolation,
            "Excessively large number of partitions per request.",
        ),
        (
            topic("x").with_configs(vec![CreatableTopicConfig::default().with_name("no.such".into())]),
            Code::InvalidConfig,
            "Unknown topic config name: no.such",
        ),
    ] {
        assert_eq!(refused(&backend, asked).await, (code, words.to_owned()));
    }
    let results = send(&backend, vec![topic("x"), topic("y"), topic("x")], false).await;
    let codes: Vec<_> = results.iter().map(|result| (&**result.name, result.error_code)).collect();
    assert_eq!(codes, [("x", Code::InvalidRequest.code()), ("y", 0)]);
    assert!(backend.topic("x").is_none());
}

#[tokio::test]
async fn of_too_many_partitions_none_is_made() {
    let backend = Memory::default();
    let asked = vec![topic("x").with_num_partitions(9_999), topic("y").with_num_partitions(1), topic("z")];
    let results = send(&backend, asked, false).await;
    assert_eq!(results.len(), 3);
    assert!(results.iter().all(|result| result.error_code == Code::PolicyViolation.code()));
    assert!(backend.topics().is_empty());
}

#[tokio::test]
async fn manual_assignments_are_checked() {
    let backend = Memory::default();
    let result = send(&backend, vec![assigned_to(&[(1, &[1]), (0, &[1])])], false).await.remove(0);
    assert_eq!((result.error_code, result.num_partitions, result.replication_factor), (0, 2, 1));
    assert_eq!(backend.created("t").unwrap().leaders, [1, 1]);

    let backend = Memory::default();
    let wrong = Code::InvalidReplicaAssignment;
    for (asked, code) in [
        (assigned_to(&[(0, &[])]), wrong),
        (assigned_to(&[(0, &[2])]), wrong),
        (assigned_to(&[(0, &[1, 1])]), wrong),
        (assigned_to(&[(0, &[1]), (0, &[1])]), wrong),
        (assigned_to(&[(0, &[1]), (2, &[1])]), wrong),
        (assigned_to(&[(0, &[1])]).with_num_partitions(1), Code::InvalidRequest),
        (assigned_to(&[(0, &[1])]).with_replication_factor(1), Code::InvalidRequest),
    ] {
        assert_eq!(refused(&backend, asked).await.0, code);
    }
}

#[tokio::test]
async fn metadata_that_cannot_be_written_is_a_retriable_error() {
    let backend = Memory::default();
    backend.fail();
    assert_eq!(refused(&backend, topic("x")).await.0, Code::RequestTimedOut);
}
