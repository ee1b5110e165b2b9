//! FindCoordinator: whoever leads the partition of an internal topic that a group or a transactional id belongs to.
//!
//! The first who asks has the topic created. Kafka answers COORDINATOR_NOT_AVAILABLE meanwhile; here it is there when the
//! answer is.

use super::backend::{Backend, Broker, NewTopic, Topic, create_or_find};
use crate::errors::{Code, Failure};
use crate::internal_topics::{CONSUMER_OFFSETS, TRANSACTION_STATE, internal_topic};
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};
use kafka_protocol::protocol::StrBytes;
use levee_base::Clock;
use levee_base::limits::GROUP_ANSWER;
use levee_coordinator::partition_of;
use tracing::warn;

/// The first version that asks for several keys at once (KIP-699).
const BATCHED_FROM: i16 = 4;
/// Key types: 0 a group, 1 a transactional id, 2 a share group (version 6 and up).
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;

/// Answers a request.
pub async fn handle<B: Backend>(
    backend: &B,
    clock: &Clock,
    request: FindCoordinatorRequest,
    version: i16,
) -> FindCoordinatorResponse {
    let keys = match version {
        ..BATCHED_FROM => vec![request.key.clone()],
        _ => request.coordinator_keys.clone(),
    };
    let mut found = Vec::with_capacity(keys.len());
    for key in keys {
        // Most are answered without waiting for anybody.
        tokio::task::consume_budget().await;
        found.push((key.clone(), find(backend, clock, request.key_type, &key, version).await));
    }
    if version < BATCHED_FROM {
        let answer =
            found.pop().map_or(Err(Failure::new(Code::InvalidRequest, "No key.")), |(_, found)| found);
        let response = FindCoordinatorResponse::default();
        return match answer {
            Ok(broker) => {
                let response = response
                    .with_node_id(BrokerId(broker.id))
                    .with_host(StrBytes::from_string(broker.host))
                    .with_port(i32::from(broker.port));
                if version >= 1 { response.with_error_message(Some(NO_ERROR.into())) } else { response }
            }
            Err(failure) => {
                let response =
                    response.with_error_code(failure.code.code()).with_node_id(BrokerId(-1)).with_port(-1);
                if version >= 1 {
                    response.with_error_message(Some(failure.message.into()))
                } else {
                    response
                }
            }
        };
    }
    let coordinators = found.into_iter().map(|(key, found)| {
        let coordinator = Coordinator::default().with_key(key);
        match found {
            Ok(broker) => coordinator
                .with_node_id(BrokerId(broker.id))
                .with_host(StrBytes::from_string(broker.host))
                .with_port(i32::from(broker.port))
                .with_error_message(Some(StrBytes::default())),
            Err(failure) => coordinator
                .with_node_id(BrokerId(-1))
                .with_port(-1)
                .with_error_code(failure.code.code())
                .with_error_message(Some(failure.message.into())),
        }
    });
    FindCoordinatorResponse::default().with_coordinators(coordinators.collect())
}

/// What Kafka says where there is no error, in the versions that have one message for all.
const NO_ERROR: &str = "NONE";

async fn find<B: Backend>(
    backend: &B,
    clock: &Clock,
    key_type: i8,
    key: &str,
    version: i16,
) -> Result<Broker, Failure> {
    let unavailable = || Failure::new(Code::CoordinatorNotAvailable, "The coordinator is not available.");
    let topic = match key_type {
        GROUP => CONSUMER_OFFSETS,
        TRANSACTION => TRANSACTION_STATE,
        // Nobody is to wait for it.
        SHARE if version >= 6 => {
            return Err(Failure::new(Code::InvalidRequest, "Share groups are not served here."));
        }
        _ => return Err(Failure::new(Code::InvalidRequest, Code::InvalidRequest.to_string())),
    };
    // A client tries again where this takes longer.
    let topic =
        clock.timeout(GROUP_ANSWER, topic_of(backend, topic)).await.flatten().ok_or_else(unavailable)?;
    let partitions = u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX);
    let partition = usize::try_from(partition_of(key, partitions)).unwrap_or(usize::MAX);
    let leader = topic.partitions.get(partition).and_then(|partition| partition.leader);
    let leads = |broker: &Broker| Some(broker.id) == leader;
    backend.brokers().into_iter().find(leads).ok_or_else(unavailable)
}

/// The internal topic of this name, created if it has to be.
pub async fn topic_of<B: Backend>(backend: &B, name: &str) -> Option<Topic> {
    if let Some(topic) = backend.topic(name) {
        return Some(topic);
    }
    let internal = internal_topic(name)?;
    let new = NewTopic {
        name: name.into(),
        partitions: internal.partitions,
        leaders: Vec::new(),
        configs: internal.configs(),
    };
    create_or_find(backend, new).await.unwrap_or_else(|error| {
        warn!(topic = name, %error, "an internal topic can't be created; the client tries again");
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::memory::Memory;
    use bytes::BytesMut;
    use kafka_protocol::protocol::Encodable;

    #[tokio::test]
    async fn coordinators_are_found_in_every_version_and_their_topics_made_on_the_way() {
        let (backend, clock) = (Memory::default(), Clock::system());
        for (key_type, topic) in [(0, CONSUMER_OFFSETS), (1, TRANSACTION_STATE)] {
            for version in 0..=6 {
                let request = FindCoordinatorRequest::default()
                    .with_key("group".into())
                    .with_key_type(key_type)
                    .with_coordinator_keys(vec!["a".into(), "b".into()]);
                let response = handle(&backend, &clock, request, version).await;
                if version < BATCHED_FROM {
                    assert_eq!((response.error_code, response.node_id.0, response.port), (0, 1, 9092));
                } else {
                    let keys: Vec<_> =
                        response.coordinators.iter().map(|c| (&*c.key, c.error_code, c.node_id.0)).collect();
                    assert_eq!(keys, [("a", 0, 1), ("b", 0, 1)]);
                }
                response.encode(&mut BytesMut::new(), version).unwrap();
            }
            let created = backend.created(topic).unwrap();
            assert_eq!((created.partitions, &*created.configs["cleanup.policy"]), (50, "compact"));
        }
    }

    #[tokio::test]
    async fn what_is_not_known_and_what_cannot_be_made_is_told() {
        let (backend, clock) = (Memory::default(), Clock::system());
        let request = |key_type| FindCoordinatorRequest::default().with_key_type(key_type);
        for (key_type, code) in [(9, Code::InvalidRequest), (SHARE, Code::InvalidRequest)] {
            let response = handle(&backend, &clock, request(key_type), 3).await;
            assert_eq!((response.error_code, response.node_id.0), (code.code(), -1));
        }
        backend.fail();
        let response = handle(&backend, &clock, request(GROUP), 3).await;
        assert_eq!(response.error_code, Code::CoordinatorNotAvailable.code());
    }
}
