//! CreateTopics. The replication factor is the store's business: any is accepted.

use crate::broker::{Broker, TopicView};
use crate::errors::KafkaError;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};
use kafka_protocol::protocol::StrBytes;
use levee_base::limits::TOPIC_PARTITIONS;
use std::collections::BTreeMap;

/// Answers.
pub async fn answer(broker: &Broker, version: i16, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let mut times = BTreeMap::<StrBytes, usize>::new();
    for topic in &request.topics {
        *times.entry(topic.name.0.clone()).or_default() += 1;
    }
    let mut results = Vec::with_capacity(times.len());
    for topic in request.topics {
        match times.remove(&topic.name.0) {
            Some(1) => results.push(result(broker, version, topic, request.validate_only).await),
            Some(_) => {
                let message = format!(
                    "Create topics request from client contains multiple entries for the following topics: {}",
                    topic.name.0
                );
                results.push(refused(
                    version,
                    &topic,
                    &KafkaError::because(ResponseError::InvalidRequest, message),
                ));
            }
            // Answered with its first entry.
            None => {}
        }
    }
    CreateTopicsResponse::default().with_topics(results)
}

async fn result(
    broker: &Broker,
    version: i16,
    topic: CreatableTopic,
    validate_only: bool,
) -> CreatableTopicResult {
    match create(broker, &topic, validate_only).await {
        Ok((created, partitions)) => {
            let result = CreatableTopicResult::default().with_name(topic.name);
            if version < 5 {
                return result;
            }
            let partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
            let result = result
                .with_num_partitions(partitions)
                .with_replication_factor(1)
                .with_configs(Some(Vec::new()));
            match created {
                Some(created) if version >= 7 => result.with_topic_id(created.id.0),
                _ => result,
            }
        }
        Err(error) => refused(version, &topic, &error),
    }
}

fn refused(version: i16, topic: &CreatableTopic, error: &KafkaError) -> CreatableTopicResult {
    let result = CreatableTopicResult::default().with_name(topic.name.clone()).with_error_code(error.code());
    let result = result.with_error_message(error.message.clone().map(StrBytes::from_string));
    if version >= 5 { result.with_num_partitions(-1).with_replication_factor(-1) } else { result }
}

/// The topic, unless it was only to be checked, and its number of partitions.
async fn create(
    broker: &Broker,
    topic: &CreatableTopic,
    validate_only: bool,
) -> Result<(Option<TopicView>, usize), KafkaError> {
    let partitions = partitions(broker, topic)?;
    let name = topic.name.as_str();
    let configs: BTreeMap<String, String> = topic
        .configs
        .iter()
        .filter_map(|config| Some((config.name.to_string(), config.value.as_ref()?.to_string())))
        .collect();
    if validate_only {
        if !levee_meta::state::is_topic_name(name) {
            return Err(levee_meta::Refusal::InvalidTopicName.into());
        }
        if broker.topic(name).is_some() {
            return Err(KafkaError::because(
                ResponseError::TopicAlreadyExists,
                format!("Topic '{name}' already exists."),
            ));
        }
        return Ok((None, partitions as usize));
    }
    let created = broker.create_topic(name, Some(partitions), configs).await.map_err(|error| {
        if error.error == ResponseError::TopicAlreadyExists {
            return KafkaError::because(error.error, format!("Topic '{name}' already exists."));
        }
        error
    })?;
    Ok((Some(created), partitions as usize))
}

fn partitions(broker: &Broker, topic: &CreatableTopic) -> Result<u32, KafkaError> {
    let invalid = |error, message: &str| Err(KafkaError::because(error, message));
    if !topic.assignments.is_empty() {
        if topic.num_partitions != -1 || topic.replication_factor != -1 {
            return invalid(
                ResponseError::InvalidRequest,
                "A manual partition assignment was specified, but numPartitions or replicationFactor was not set to -1.",
            );
        }
        let mut indexes: Vec<i32> = topic.assignments.iter().map(|a| a.partition_index).collect();
        indexes.sort_unstable();
        if indexes.iter().zip(0..).any(|(index, expected)| *index != expected) {
            return invalid(
                ResponseError::InvalidReplicaAssignment,
                "partitions should be a consecutive 0-based integer sequence",
            );
        }
    }
    if topic.replication_factor == 0 || topic.replication_factor < -1 {
        return invalid(
            ResponseError::InvalidReplicationFactor,
            "Replication factor must be larger than 0, or -1 to use the default value.",
        );
    }
    let partitions = match topic.num_partitions {
        -1 if topic.assignments.is_empty() => broker.config.num_partitions,
        -1 => u32::try_from(topic.assignments.len()).unwrap_or(u32::MAX),
        given => u32::try_from(given).unwrap_or(0),
    };
    if partitions == 0 {
        return invalid(
            ResponseError::InvalidPartitions,
            "Number of partitions was set to an invalid non-positive value.",
        );
    }
    if partitions as usize > TOPIC_PARTITIONS {
        let message = format!("a topic has at most {TOPIC_PARTITIONS} partitions");
        return invalid(ResponseError::InvalidPartitions, &message);
    }
    Ok(partitions)
}
