//! DeleteTopics, by name and, from version 6 on, by id. The checks and their words are those of Apache Kafka.

use super::backend::{Backend, Topic};
use crate::errors::{Code, Failure};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse, TopicName};
use levee_base::Clock;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use uuid::Uuid;

/// The first version that may name topics by id (KIP-516).
const BY_ID_FROM: i16 = 6;

/// Answers a request.
pub async fn handle<B: Backend>(
    backend: &B,
    clock: &Clock,
    request: DeleteTopicsRequest,
    version: i16,
) -> DeleteTopicsResponse {
    let deadline = clock.now() + Duration::from_millis(request.timeout_ms.max(0).unsigned_abs().into());
    let asked = if version < BY_ID_FROM {
        request
            .topic_names
            .into_iter()
            .map(|name| DeleteTopicState::default().with_name(Some(name)))
            .collect()
    } else {
        request.topics
    };
    let mut times = BTreeMap::new();
    for topic in &asked {
        *times.entry((topic.name.clone(), topic.topic_id)).or_insert(0_usize) += 1;
    }
    // A topic that is named and also meant by its id is answered once, under both.
    let by_name = asked.iter().filter(|topic| topic.topic_id.is_nil());
    let named: BTreeSet<TopicName> = by_name.filter_map(|topic| topic.name.clone()).collect();
    let doubly: BTreeMap<Uuid, TopicName> = asked
        .iter()
        .filter(|topic| topic.name.is_none())
        .filter_map(|topic| Some((topic.topic_id, backend.topic_name(topic.topic_id)?)))
        .map(|(id, name)| (id, TopicName(name.to_string().into())))
        .filter(|(_, name)| named.contains(name))
        .collect();
    let by_both: BTreeSet<&TopicName> = doubly.values().collect();
    let mut results: Vec<_> = doubly.iter().map(|(id, name)| twice(name, *id)).collect();
    for DeleteTopicState { name, topic_id, .. } in asked {
        let skip = match &name {
            Some(name) => topic_id.is_nil() && by_both.contains(name),
            None => doubly.contains_key(&topic_id),
        };
        if skip {
            continue;
        }
        let key = (name.clone(), topic_id);
        // A repeated topic is answered once, when it is met first.
        let Some(count) = times.remove(&key) else { continue };
        let outcome = match find(backend, name.as_ref(), topic_id, count) {
            Err(failure) => Err(failure),
            Ok(topic) => {
                let delete = backend.delete_topic(topic.id);
                match clock.timeout(deadline.saturating_duration_since(clock.now()), delete).await {
                    Some(Ok(())) => Ok(topic),
                    Some(Err(error)) => Err(error.into()),
                    None => Err(Failure::new(Code::RequestTimedOut, "The request timed out.")),
                }
            }
        };
        results.push(match outcome {
            Ok(topic) => DeletableTopicResult::default()
                .with_name(Some(TopicName(topic.name.to_string().into())))
                .with_topic_id(topic.id),
            Err(failure) => DeletableTopicResult::default()
                .with_name(name)
                .with_topic_id(topic_id)
                .with_error_code(failure.code.code())
                .with_error_message((version >= 5).then(|| failure.message.into())),
        });
    }
    DeleteTopicsResponse::default().with_responses(results)
}

fn twice(name: &TopicName, id: Uuid) -> DeletableTopicResult {
    DeletableTopicResult::default()
        .with_name(Some(name.clone()))
        .with_topic_id(id)
        .with_error_code(Code::InvalidRequest.code())
        .with_error_message(Some("The topic is given by its name and by its id.".into()))
}

fn find<B: Backend>(backend: &B, name: Option<&TopicName>, id: Uuid, times: usize) -> Result<Topic, Failure> {
    let invalid = |message: &str| Err(Failure::new(Code::InvalidRequest, message));
    match name {
        Some(_) if !id.is_nil() => invalid("You may not specify both topic name and topic id."),
        None if id.is_nil() => invalid("Neither topic name nor id were specified."),
        Some(_) if times > 1 => invalid("Duplicate topic name."),
        None if times > 1 => invalid("Duplicate topic id."),
        Some(name) => backend.topic(name).ok_or_else(|| {
            Failure::new(Code::UnknownTopicOrPartition, "This server does not host this topic-partition.")
        }),
        None => backend
            .topic_by_id(id)
            .ok_or_else(|| Failure::new(Code::UnknownTopicId, "This server does not host this topic ID.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::memory::Memory;
    use bytes::BytesMut;
    use kafka_protocol::protocol::Encodable;

    async fn send(backend: &Memory, request: DeleteTopicsRequest, version: i16) -> Vec<i16> {
        let response = handle(backend, &Clock::system(), request.with_timeout_ms(1_000), version).await;
        response.encode(&mut BytesMut::new(), version).unwrap();
        response.responses.iter().map(|result| result.error_code).collect()
    }

    fn names(names: &[&'static str]) -> DeleteTopicsRequest {
        let names = names.iter().map(|name| TopicName((*name).into()));
        DeleteTopicsRequest::default().with_topic_names(names.collect())
    }

    #[tokio::test]
    async fn topics_are_deleted_by_name_in_the_older_versions() {
        for version in 1..=5 {
            let backend = Memory::default().with("a", 1).await.with("b", 1).await;
            let asked = names(&["a", "none", "b", "b"]);
            assert_eq!(
                send(&backend, asked, version).await,
                [0, Code::UnknownTopicOrPartition.code(), Code::InvalidRequest.code()]
            );
            assert!(backend.topic("a").is_none() && backend.topic("b").is_some());
        }
    }

    #[tokio::test]
    async fn topics_are_deleted_by_name_or_id_in_the_newest_version() {
        let backend = Memory::default().with("a", 1).await.with("b", 1).await;
        let id = backend.topic("b").unwrap().id;
        let by = |name: Option<&'static str>, id| {
            DeleteTopicState::default().with_name(name.map(|name| TopicName(name.into()))).with_topic_id(id)
        };
        let request = DeleteTopicsRequest::default().with_topics(vec![
            by(Some("a"), Uuid::nil()),
            by(None, id),
            by(None, Uuid::from_u128(5)),
            by(Some("b"), id),
            by(None, Uuid::nil()),
        ]);
        let invalid = Code::InvalidRequest.code();
        assert_eq!(send(&backend, request, 6).await, [0, 0, Code::UnknownTopicId.code(), invalid, invalid]);
        assert!(backend.topics().is_empty());
    }

    #[tokio::test]
    async fn a_topic_given_by_name_and_by_id_is_refused_once() {
        let backend = Memory::default().with("a", 1).await;
        let id = backend.topic("a").unwrap().id;
        let request = DeleteTopicsRequest::default().with_topics(vec![
            DeleteTopicState::default().with_name(Some(TopicName("a".into()))),
            DeleteTopicState::default().with_name(None).with_topic_id(id),
        ]);
        assert_eq!(send(&backend, request, 6).await, [Code::InvalidRequest.code()]);
        assert!(backend.topic("a").is_some());
    }

    #[tokio::test]
    async fn metadata_that_cannot_be_written_is_a_retriable_error() {
        let backend = Memory::default().with("a", 1).await;
        backend.fail();
        assert_eq!(send(&backend, names(&["a"]), 5).await, [Code::RequestTimedOut.code()]);
    }
}
