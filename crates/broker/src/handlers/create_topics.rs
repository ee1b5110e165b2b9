//! CreateTopics. The checks, their order and their words are those of Apache Kafka's controller, as tools and
//! people match on them. Any replication factor is accepted: replication is the store's.

use super::backend::{Backend, NewTopic};
use super::dynamic::Dynamic;
use super::{topic_configs, topic_name};
use crate::errors::{Code, Failure};
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use kafka_protocol::messages::{BrokerId, CreateTopicsRequest, CreateTopicsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use levee_base::Clock;
use levee_base::limits::TOPIC_PARTITIONS;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The first version whose answer tells partitions, replication factor and configs (KIP-525).
const DETAILS_FROM: i16 = 5;

struct Checked {
    new: NewTopic,
    replication_factor: i16,
}

/// Answers a request.
pub async fn handle<B: Backend>(
    backend: &B,
    clock: &Clock,
    request: CreateTopicsRequest,
    version: i16,
) -> CreateTopicsResponse {
    let deadline = clock.now() + Duration::from_millis(request.timeout_ms.max(0).unsigned_abs().into());
    let mut seen = BTreeSet::new();
    let twice: BTreeSet<TopicName> = request
        .topics
        .iter()
        .filter(|topic| !seen.insert(&topic.name))
        .map(|topic| topic.name.clone())
        .collect();
    if partitions(&request, &twice, backend.defaults().partitions) > TOPIC_PARTITIONS {
        let message = "Excessively large number of partitions per request.";
        let refused =
            |topic: CreatableTopic| failed(topic.name, Failure::new(Code::PolicyViolation, message));
        return CreateTopicsResponse::default()
            .with_topics(request.topics.into_iter().map(refused).collect());
    }
    let mut answered = BTreeSet::new();
    let mut results = Vec::new();
    for topic in request.topics {
        let name = topic.name.clone();
        if twice.contains(&name) {
            // One answer for all of them.
            if answered.insert(name.clone()) {
                results.push(failed(name, Failure::new(Code::InvalidRequest, "Duplicate topic name.")));
            }
            continue;
        }
        let outcome = match check(backend, topic) {
            Err(failure) => Err(failure),
            Ok(checked) if request.validate_only => Ok((Uuid::nil(), checked)),
            Ok(checked) => {
                let create = backend.create_topic(checked.new.clone());
                match clock.timeout(deadline.saturating_duration_since(clock.now()), create).await {
                    Some(Ok(topic)) => Ok((topic.id, checked)),
                    Some(Err(error)) => Err(describe(error.into(), &checked.new.name)),
                    None => Err(Failure::new(Code::RequestTimedOut, "The request timed out.")),
                }
            }
        };
        results.push(match outcome {
            Ok((id, checked)) => created(name, id, &checked, &backend.dynamic(), version),
            Err(failure) => failed(name, failure),
        });
    }
    CreateTopicsResponse::default().with_topics(results)
}

/// How many partitions all topics are to have that are named once, whether they can be created or not.
fn partitions(request: &CreateTopicsRequest, twice: &BTreeSet<TopicName>, default: u32) -> usize {
    let topics = request.topics.iter().filter(|topic| !twice.contains(&topic.name));
    let of_topic = |topic: &CreatableTopic| match topic.num_partitions {
        _ if !topic.assignments.is_empty() => topic.assignments.len(),
        -1 => default as usize,
        count => usize::try_from(count).unwrap_or(0),
    };
    topics.map(of_topic).fold(0, usize::saturating_add)
}

fn check<B: Backend>(backend: &B, topic: CreatableTopic) -> Result<Checked, Failure> {
    let name: &str = &topic.name;
    if name == topic_name::CLUSTER_METADATA {
        let message = format!("Creation of internal topic {name} is prohibited.");
        return Err(Failure::new(Code::InvalidRequest, message));
    }
    topic_name::check(name).map_err(|wrong| Failure::new(Code::InvalidTopicException, wrong))?;
    match backend.topic_colliding(name) {
        Some(other) if *other == *name => return Err(exists(name)),
        Some(other) => {
            let message = format!("Topic '{name}' collides with existing topic: {other}");
            return Err(Failure::new(Code::InvalidTopicException, message));
        }
        None => {}
    }
    let mut configs = BTreeMap::new();
    for config in &topic.configs {
        let value = topic_configs::check(&config.name, config.value.as_deref())?;
        configs.insert(config.name.to_string(), value);
    }
    topic_configs::check_together(&configs)?;
    let defaults = backend.defaults();
    let (count, leaders, replication_factor) = if topic.assignments.is_empty() {
        let factor = match topic.replication_factor {
            -1 => defaults.replication_factor,
            factor if factor > 0 => factor,
            _ => {
                let message = "Replication factor must be larger than 0, or -1 to use the default value.";
                return Err(Failure::new(Code::InvalidReplicationFactor, message));
            }
        };
        let count = match topic.num_partitions {
            -1 => defaults.partitions,
            count if count > 0 => count.unsigned_abs(),
            _ => {
                let message = "Number of partitions was set to an invalid non-positive value.";
                return Err(Failure::new(Code::InvalidPartitions, message));
            }
        };
        (count, Vec::new(), factor)
    } else {
        assigned(backend, &topic)?
    };
    Ok(Checked {
        new: NewTopic { name: Arc::from(name), partitions: count, leaders, configs },
        replication_factor,
    })
}

/// Checks a manual assignment: number of partitions, who is to lead each, and the replication factor.
fn assigned<B: Backend>(backend: &B, topic: &CreatableTopic) -> Result<(u32, Vec<i32>, i16), Failure> {
    let misused = |what: &str| {
        let message = format!("A manual partition assignment was specified, but {what} was not set to -1.");
        Err(Failure::new(Code::InvalidRequest, message))
    };
    if topic.replication_factor != -1 {
        return misused("replication factor");
    }
    if topic.num_partitions != -1 {
        return misused("numPartitions");
    }
    let wrong = |message: String| Err(Failure::new(Code::InvalidReplicaAssignment, message));
    let mut leaders = BTreeMap::new();
    let mut factor = None;
    for assignment in &topic.assignments {
        let index = assignment.partition_index;
        let leader = check_replicas(backend, &assignment.broker_ids, &mut factor)?;
        if leaders.insert(index, leader).is_some() {
            return wrong(format!("Found multiple manual partition assignments for partition {index}"));
        }
    }
    if !leaders.keys().copied().eq((0..).take(leaders.len())) {
        return wrong("partitions should be a consecutive 0-based integer sequence".to_owned());
    }
    let count = u32::try_from(leaders.len()).unwrap_or(u32::MAX);
    let factor = i16::try_from(factor.unwrap_or(1)).unwrap_or(i16::MAX);
    Ok((count, leaders.into_values().collect(), factor))
}

/// Checks the replicas that a client wants for a partition, and takes the first one for its leader. All partitions
/// have as many of them as `factor` says, once it says something.
pub(super) fn check_replicas<B: Backend>(
    backend: &B,
    ids: &[BrokerId],
    factor: &mut Option<usize>,
) -> Result<i32, Failure> {
    let wrong = |message: String| Err(Failure::new(Code::InvalidReplicaAssignment, message));
    let brokers: BTreeSet<i32> = backend.brokers().iter().map(|broker| broker.id).collect();
    let Some(&leader) = ids.first() else {
        return wrong("The manual partition assignment includes an empty replica list.".to_owned());
    };
    let mut replicas = BTreeSet::new();
    for &BrokerId(replica) in ids {
        if !replicas.insert(replica) {
            return wrong(format!(
                "The manual partition assignment includes the broker {replica} more than once."
            ));
        }
        if !brokers.contains(&replica) {
            return wrong(format!(
                "The manual partition assignment includes broker {replica}, but no such broker is registered."
            ));
        }
    }
    let (count, before) = (replicas.len(), *factor.get_or_insert(replicas.len()));
    if count != before {
        return wrong(format!(
            "The manual partition assignment includes a partition with {count} replica(s), but this is not consistent \
             with previous partitions, which have {before} replica(s)."
        ));
    }
    Ok(leader.0)
}

fn exists(name: &str) -> Failure {
    Failure::new(Code::TopicAlreadyExists, format!("Topic '{name}' already exists."))
}

fn describe(failure: Failure, name: &str) -> Failure {
    if failure.code == Code::TopicAlreadyExists { exists(name) } else { failure }
}

fn failed(name: TopicName, failure: Failure) -> CreatableTopicResult {
    CreatableTopicResult::default()
        .with_name(name)
        .with_error_code(failure.code.code())
        .with_error_message(Some(failure.message.into()))
}

fn created(
    name: TopicName,
    id: Uuid,
    checked: &Checked,
    dynamic: &Dynamic,
    version: i16,
) -> CreatableTopicResult {
    // The crate's default is an empty message; Kafka has none, and clients may take any for a failure.
    let result = CreatableTopicResult::default().with_name(name).with_topic_id(id).with_error_message(None);
    if version < DETAILS_FROM {
        return result;
    }
    let config = |config: topic_configs::Effective<'_>| {
        CreatableTopicConfigs::default()
            .with_name(StrBytes::from_static_str(config.name))
            .with_value(Some(config.value.to_owned().into()))
            .with_config_source(config.source)
    };
    result
        .with_num_partitions(i32::try_from(checked.new.partitions).unwrap_or(i32::MAX))
        .with_replication_factor(checked.replication_factor)
        .with_configs(Some(topic_configs::effective(&checked.new.configs, dynamic).map(config).collect()))
}

#[cfg(test)]
mod tests;
