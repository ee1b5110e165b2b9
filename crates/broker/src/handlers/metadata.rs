//! Metadata: brokers, the controller, topics and who leads their partitions. Creates topics that are asked for by
//! name, where the broker's option and the request both allow it.

use super::backend::{Backend, NewTopic, Topic, create_or_find};
use super::operations::{CLUSTER_OPERATIONS, TOPIC_OPERATIONS};
use super::topic_name;
use crate::errors::{Code, NONE};
use crate::internal_topics::{InternalTopic, internal_topic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId, MetadataRequest, MetadataResponse, TopicName};
use levee_base::Clock;
use levee_base::limits::AUTO_CREATE_WAIT;
use levee_coordinator::uuid_text;
use std::collections::BTreeSet;
use std::sync::Arc;
use tracing::warn;
use uuid::Uuid;

/// The first version whose null means all topics, and whose empty list means none.
const NULL_IS_ALL_FROM: i16 = 1;
/// The first version that asks by id (KIP-516). Versions 10 and 11 have the field and must leave it alone.
const BY_ID_FROM: i16 = 12;
/// Authorized operations are asked for of the cluster in these versions (KIP-430; later by DescribeCluster).
const CLUSTER_OPERATIONS_IN: std::ops::RangeInclusive<i16> = 8..=10;

/// Answers a request.
pub async fn handle<B: Backend>(
    backend: &B,
    clock: &Clock,
    request: MetadataRequest,
    version: i16,
) -> MetadataResponse {
    if let Some(code) = refusal(request.topics.as_deref().unwrap_or_default(), version) {
        return refused(request.topics.unwrap_or_default(), code);
    }
    let operations = request.include_topic_authorized_operations;
    let topics = match request.topics {
        None => everything(backend),
        Some(asked) if asked.is_empty() && version < NULL_IS_ALL_FROM => everything(backend),
        Some(asked) => named(backend, clock, asked, request.allow_auto_topic_creation).await,
    };
    let topics = topics
        .into_iter()
        .map(
            |topic| if operations { topic.with_topic_authorized_operations(TOPIC_OPERATIONS) } else { topic },
        )
        .collect();
    let brokers = backend.brokers().into_iter().map(|broker| {
        MetadataResponseBroker::default()
            .with_node_id(BrokerId(broker.id))
            .with_host(broker.host.into())
            .with_port(broker.port.into())
    });
    let response = MetadataResponse::default()
        .with_brokers(brokers.collect())
        .with_cluster_id(Some(uuid_text::text(backend.cluster_id()).into()))
        .with_controller_id(BrokerId(backend.controller_id()))
        .with_topics(topics);
    if request.include_cluster_authorized_operations && CLUSTER_OPERATIONS_IN.contains(&version) {
        return response.with_cluster_authorized_operations(CLUSTER_OPERATIONS);
    }
    response
}

fn everything<B: Backend>(backend: &B) -> Vec<MetadataResponseTopic> {
    backend.topics().iter().map(found).collect()
}

/// Why a request can't be answered at all: it asks by id too early, or has topics with neither a name nor an id.
fn refusal(asked: &[MetadataRequestTopic], version: i16) -> Option<Code> {
    let misused = |topic: &MetadataRequestTopic| topic.name.is_none() || !topic.topic_id.is_nil();
    if version < BY_ID_FROM {
        return asked.iter().any(misused).then_some(Code::InvalidRequest);
    }
    // Kafka fails on the name that is null. Where there are ids it doesn't look at names.
    let neither = asked.iter().all(|topic| topic.topic_id.is_nil()) && asked.iter().any(|t| t.name.is_none());
    neither.then_some(Code::UnknownServerError)
}

/// What Kafka answers where it can't: the topics with the error, and no word about the cluster.
fn refused(asked: Vec<MetadataRequestTopic>, code: Code) -> MetadataResponse {
    let topics = asked.into_iter().map(|topic| {
        failed(Some(topic.name.unwrap_or_default()), topic.topic_id, code).with_is_internal(false)
    });
    MetadataResponse::default().with_cluster_id(None).with_topics(topics.collect())
}

async fn named<B: Backend>(
    backend: &B,
    clock: &Clock,
    asked: Vec<MetadataRequestTopic>,
    may_create: bool,
) -> Vec<MetadataResponseTopic> {
    let may_create = may_create && backend.defaults().auto_create;
    // As in Kafka, names count only where there are no ids.
    let by_id = asked.iter().any(|topic| !topic.topic_id.is_nil());
    let (mut names, mut ids) = (BTreeSet::new(), BTreeSet::new());
    let deadline = clock.now() + AUTO_CREATE_WAIT;
    let mut answers = Vec::new();
    for MetadataRequestTopic { name, topic_id, .. } in asked {
        if !topic_id.is_nil() && ids.insert(topic_id) {
            let topic = backend.topic_by_id(topic_id);
            answers.push(topic.map_or_else(|| failed(None, topic_id, Code::UnknownTopicId), |t| found(&t)));
        }
        if let Some(name) = name.filter(|name| !by_id && names.insert(name.clone())) {
            let left = deadline.saturating_duration_since(clock.now());
            // Those topics that there are must not wait for one that is made. It is made all the same, but none is begun
            // for which nobody would wait.
            let may_create = may_create && !left.is_zero();
            let answer = clock.timeout(left, by_name(backend, name.clone(), may_create)).await;
            answers.push(answer.unwrap_or_else(|| failed(Some(name), Uuid::nil(), Code::LeaderNotAvailable)));
        }
    }
    answers
}

async fn by_name<B: Backend>(backend: &B, name: TopicName, may_create: bool) -> MetadataResponseTopic {
    if let Some(topic) = backend.topic(&name) {
        return found(&topic);
    }
    if topic_name::check(&name).is_err() {
        return failed(Some(name), Uuid::nil(), Code::InvalidTopicException);
    }
    if !may_create || &**name == topic_name::CLUSTER_METADATA {
        return failed(Some(name), Uuid::nil(), Code::UnknownTopicOrPartition);
    }
    if backend.topic_colliding(&name).is_some() {
        return failed(Some(name), Uuid::nil(), Code::InvalidTopicException);
    }
    let internal = internal_topic(&name);
    let new = NewTopic {
        name: Arc::from(&**name),
        partitions: internal.map_or(backend.defaults().partitions, |internal| internal.partitions),
        leaders: Vec::new(),
        configs: internal.map(InternalTopic::configs).unwrap_or_default(),
    };
    match create_or_find(backend, new).await {
        Ok(Some(topic)) => found(&topic),
        Ok(None) => failed(Some(name), Uuid::nil(), Code::LeaderNotAvailable),
        Err(error) => {
            warn!(topic = %&**name, %error, "a topic could not be created automatically; the client tries again");
            failed(Some(name), Uuid::nil(), Code::LeaderNotAvailable)
        }
    }
}

fn failed(name: Option<TopicName>, id: Uuid, code: Code) -> MetadataResponseTopic {
    let is_internal = name.as_ref().is_some_and(|name| topic_name::is_internal(name));
    MetadataResponseTopic::default()
        .with_error_code(code.code())
        .with_name(name)
        .with_topic_id(id)
        .with_is_internal(is_internal)
}

fn found(topic: &Topic) -> MetadataResponseTopic {
    let partitions = topic.partitions.iter().zip(0..).map(|(partition, index)| {
        let code = if partition.leader.is_some() { NONE } else { Code::LeaderNotAvailable.code() };
        // Replication is the store's: the one replica is the leader.
        let replicas: Vec<_> = partition.leader.map(BrokerId).into_iter().collect();
        MetadataResponsePartition::default()
            .with_error_code(code)
            .with_partition_index(index)
            .with_leader_id(BrokerId(partition.leader.unwrap_or(-1)))
            .with_leader_epoch(partition.leader_epoch)
            .with_replica_nodes(replicas.clone())
            .with_isr_nodes(replicas)
    });
    MetadataResponseTopic::default()
        .with_error_code(NONE)
        .with_name(Some(TopicName(topic.name.to_string().into())))
        .with_topic_id(topic.id)
        .with_is_internal(topic_name::is_internal(&topic.name))
        .with_partitions(partitions.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::memory::Memory;
    use bytes::BytesMut;
    use kafka_protocol::protocol::{Encodable, StrBytes};

    fn name(name: &'static str) -> MetadataRequestTopic {
        MetadataRequestTopic::default().with_name(Some(TopicName(StrBytes::from_static_str(name))))
    }

    fn id(id: u128) -> MetadataRequestTopic {
        MetadataRequestTopic::default().with_name(None).with_topic_id(Uuid::from_u128(id))
    }

    async fn handle(backend: &Memory, request: MetadataRequest, version: i16) -> MetadataResponse {
        super::handle(backend, &Clock::system(), request, version).await
    }

    async fn ask(
        backend: &Memory,
        topics: Option<Vec<MetadataRequestTopic>>,
        version: i16,
    ) -> Vec<(String, i16)> {
        let request = MetadataRequest::default().with_topics(topics);
        let response = handle(backend, request, version).await;
        assert_eq!((response.brokers.len(), response.controller_id), (1, BrokerId(1)));
        assert_eq!(response.cluster_id.as_deref(), Some("AAAAAAAAAAAAAAAAAAAABw"));
        response.encode(&mut BytesMut::new(), version).unwrap();
        let row = |topic: MetadataResponseTopic| {
            (topic.name.map_or_else(String::new, |name| name.to_string()), topic.error_code)
        };
        response.topics.into_iter().map(row).collect()
    }

    #[tokio::test]
    async fn all_none_by_name_and_by_id_in_every_version() {
        let backend = Memory::default().with("a", 2).await.with("b", 1).await;
        let both = vec![("a".to_owned(), NONE), ("b".to_owned(), NONE)];
        for version in 0..=13 {
            let all = if version == 0 { Some(vec![]) } else { None };
            assert_eq!(ask(&backend, all, version).await, both);
            assert_eq!(ask(&backend, Some(vec![name("b"), name("b")]), version).await, both[1..]);
            if version >= 1 {
                assert_eq!(ask(&backend, Some(vec![]), version).await, []);
            }
            if version >= 12 {
                assert_eq!(
                    ask(&backend, Some(vec![id(102), id(101), id(102)]), version).await,
                    [both[1].clone(), both[0].clone()]
                );
                let unknown = ask(&backend, Some(vec![id(5)]), version).await;
                assert_eq!(unknown, [(String::new(), Code::UnknownTopicId.code())]);
            }
        }
        let by_id_too_early =
            handle(&backend, MetadataRequest::default().with_topics(Some(vec![id(101)])), 10).await;
        assert_eq!(by_id_too_early.topics[0].error_code, Code::InvalidRequest.code());
        assert_eq!(by_id_too_early.topics[0].name.as_deref().map(|name| &**name), Some(""));
    }

    #[tokio::test]
    async fn names_count_only_where_there_are_no_ids() {
        let backend = Memory::default().with("a", 2).await.with("b", 1).await;
        let null = || MetadataRequestTopic::default().with_name(None);
        let b = vec![("b".to_owned(), NONE)];
        for other in [name("a"), name("nobody"), null()] {
            assert_eq!(ask(&backend, Some(vec![other, id(102)]), 12).await, b);
        }
        assert!(backend.created("nobody").is_none());
        // With neither, and with no other id, Kafka fails.
        for (other, named) in [(name("a"), "a"), (null(), "")] {
            let request = MetadataRequest::default().with_topics(Some(vec![other, null()]));
            let response = handle(&backend, request, 12).await;
            let told: Vec<_> = response
                .topics
                .iter()
                .map(|t| (t.name.as_ref().unwrap().to_string(), t.error_code))
                .collect();
            assert_eq!(told, [(named.to_owned(), -1), (String::new(), -1)]);
            assert_eq!(
                (response.brokers.len(), response.controller_id, response.cluster_id),
                (0, BrokerId(-1), None)
            );
        }
    }

    #[tokio::test]
    async fn topics_are_created_where_both_sides_allow_it() {
        let backend = Memory::default().with("a.b", 1).await;
        let created = ask(&backend, Some(vec![name("new")]), 4).await;
        assert_eq!(created, [("new".to_owned(), NONE)]);
        assert_eq!(backend.created("new").unwrap().partitions, 1);

        let request = MetadataRequest::default()
            .with_topics(Some(vec![name("other")]))
            .with_allow_auto_topic_creation(false);
        let response = handle(&backend, request, 4).await;
        assert_eq!(response.topics[0].error_code, Code::UnknownTopicOrPartition.code());
        for bad in ["no/name", "", "..", "a_b"] {
            let refused = ask(&backend, Some(vec![name(bad)]), 4).await;
            assert_eq!(refused, [(bad.to_owned(), Code::InvalidTopicException.code())]);
        }
        backend.no_auto_create();
        assert_eq!(ask(&backend, Some(vec![name("x")]), 4).await[0].1, Code::UnknownTopicOrPartition.code());
    }

    #[tokio::test]
    async fn kafkas_own_topics_are_created_as_kafka_does_and_marked() {
        let backend = Memory::default();
        let internal = internal_topic("__transaction_state").unwrap();
        let request = MetadataRequest::default().with_topics(Some(vec![name(internal.name)]));
        let unknown = handle(&backend, request.clone().with_allow_auto_topic_creation(false), 9).await;
        assert_eq!((unknown.topics[0].error_code, unknown.topics[0].is_internal), (3, true));
        let created = handle(&backend, request.with_allow_auto_topic_creation(true), 9).await;
        assert!(created.topics[0].is_internal);
        assert_eq!(created.topics[0].partitions.len(), 50);
        assert_eq!(backend.created(internal.name).unwrap().configs, internal.configs());
    }

    #[tokio::test]
    async fn a_topic_that_cannot_be_created_now_is_asked_for_again() {
        let backend = Memory::default();
        backend.fail();
        assert_eq!(ask(&backend, Some(vec![name("x")]), 4).await[0].1, Code::LeaderNotAvailable.code());
    }

    #[tokio::test]
    async fn operations_are_told_where_asked_for() {
        let backend = Memory::default().with("a", 1).await;
        let request = MetadataRequest::default()
            .with_topics(None)
            .with_include_cluster_authorized_operations(true)
            .with_include_topic_authorized_operations(true);
        let response = handle(&backend, request.clone(), 8).await;
        assert_eq!(response.cluster_authorized_operations, 8_096);
        assert_eq!(response.topics[0].topic_authorized_operations, 3_576);
        assert_eq!(handle(&backend, request, 13).await.cluster_authorized_operations, i32::MIN);
    }
}
