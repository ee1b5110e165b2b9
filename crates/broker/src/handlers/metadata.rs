//! Metadata: brokers, topics, and who leads what.

use crate::broker::{Broker, TopicView};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId, MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use levee_meta::TopicId;

/// The first version that says whether topics may be created.
const MAY_CREATE: i16 = 4;

/// Answers.
pub async fn answer(broker: &Broker, version: i16, request: MetadataRequest) -> MetadataResponse {
    let node = broker_id(broker);
    let mut topics = Vec::new();
    match request.topics {
        // In version 0 an empty list asks for all, later null does.
        Some(wanted) if version > 0 || !wanted.is_empty() => {
            let create = version < MAY_CREATE || request.allow_auto_topic_creation;
            for topic in wanted {
                topics.push(match topic.name {
                    Some(name) => by_name(broker, version, name, create).await,
                    None => by_id(broker, version, TopicId(topic.topic_id)),
                });
            }
        }
        _ => topics = broker.topics().into_iter().map(|topic| found(broker, version, topic)).collect(),
    }
    let us = MetadataResponseBroker::default()
        .with_node_id(node)
        .with_host(StrBytes::from_string(broker.config.host.clone()))
        .with_port(i32::from(broker.config.port));
    let cluster = StrBytes::from_string(cluster_id(broker));
    MetadataResponse::default()
        .with_brokers(vec![us])
        .with_cluster_id(Some(cluster))
        .with_controller_id(node)
        .with_topics(topics)
}

fn broker_id(broker: &Broker) -> BrokerId {
    BrokerId(i32::try_from(broker.config.node.0).unwrap_or(i32::MAX))
}

/// The cluster's id in the form of Kafka's: 22 characters of URL-safe base64.
fn cluster_id(broker: &Broker) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let number = broker.cluster.0.as_u128();
    // 128 bits in groups of six from the highest; the last group has two bits.
    (0..22)
        .map(|at| {
            let group = if at < 21 { number >> (122 - 6 * at) } else { number << 4 };
            char::from(DIGITS[(group & 0x3f) as usize])
        })
        .collect()
}

async fn by_name(broker: &Broker, version: i16, name: TopicName, create: bool) -> MetadataResponseTopic {
    match broker.topic_or_create(&name, create).await {
        Ok(topic) => found(broker, version, topic),
        Err(error) => MetadataResponseTopic::default().with_name(Some(name)).with_error_code(error.code()),
    }
}

fn by_id(broker: &Broker, version: i16, id: TopicId) -> MetadataResponseTopic {
    match broker.topic_by_id(id) {
        Some(topic) => found(broker, version, topic),
        None => MetadataResponseTopic::default()
            .with_name(None)
            .with_topic_id(id.0)
            .with_error_code(ResponseError::UnknownTopicId.code()),
    }
}

fn found(broker: &Broker, version: i16, topic: TopicView) -> MetadataResponseTopic {
    let node = broker_id(broker);
    let partitions = topic.partitions.iter().zip(0..).map(|((_, leader_epoch), index)| {
        let partition = MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(node)
            .with_replica_nodes(vec![node])
            .with_isr_nodes(vec![node]);
        if version >= 7 {
            partition.with_leader_epoch(i32::try_from(*leader_epoch).unwrap_or(i32::MAX))
        } else {
            partition
        }
    });
    let response = MetadataResponseTopic::default()
        .with_name(Some(TopicName(StrBytes::from_string(topic.name))))
        .with_partitions(partitions.collect());
    if version >= 10 { response.with_topic_id(topic.id.0) } else { response }
}
