//! CreatePartitions. The checks, their order and their words are those of Apache Kafka's controller.

use super::backend::Backend;
use super::create_topics::check_replicas;
use crate::errors::{Code, Failure, NONE};
use crate::internal_topics::internal_topic;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};
use levee_base::Clock;
use levee_base::limits::TOPIC_PARTITIONS;
use std::collections::BTreeSet;
use std::time::Duration;
use uuid::Uuid;

/// Answers a request.
pub async fn handle<B: Backend>(
    backend: &B,
    clock: &Clock,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let timeout = Duration::from_millis(request.timeout_ms.max(0).unsigned_abs().into());
    let deadline = clock.now() + timeout;
    let (mut names, mut twice) = (BTreeSet::new(), BTreeSet::new());
    for topic in &request.topics {
        if !names.insert(topic.name.clone()) {
            twice.insert(topic.name.clone());
        }
    }
    let mut results = Vec::new();
    // One answer for all that are named more than once, and before the others.
    for name in &twice {
        let failure = Failure::new(Code::InvalidRequest, "Duplicate topic name.");
        results.push(result(&CreatePartitionsTopic::default().with_name(name.clone()), Err(failure)));
    }
    for topic in request.topics.iter().filter(|topic| !twice.contains(&topic.name)) {
        let outcome = match check(backend, topic) {
            // What may take no time is not begun, as in Kafka.
            _ if request.timeout_ms <= 0 => Err(timed_out()),
            Err(failure) => Err(failure),
            Ok(_) if request.validate_only => Ok(()),
            Ok((id, count)) => {
                let add = backend.add_partitions(id, count);
                match clock.timeout(deadline.saturating_duration_since(clock.now()), add).await {
                    Some(outcome) => outcome.map_err(Failure::from),
                    None => Err(timed_out()),
                }
            }
        };
        results.push(result(topic, outcome));
    }
    CreatePartitionsResponse::default().with_results(results)
}

fn result(topic: &CreatePartitionsTopic, outcome: Result<(), Failure>) -> CreatePartitionsTopicResult {
    let result = CreatePartitionsTopicResult::default().with_name(topic.name.clone());
    match outcome {
        Ok(()) => result.with_error_code(NONE).with_error_message(None),
        Err(failure) => result.with_error_code(failure.code.code()).with_error_message(failure.words()),
    }
}

/// Which topic it is, and how many partitions it is to have.
fn check<B: Backend>(backend: &B, topic: &CreatePartitionsTopic) -> Result<(Uuid, u32), Failure> {
    let name = topic.name.as_str();
    // Kafka has no words for this.
    let known = backend.topic(name).ok_or_else(|| Failure::new(Code::UnknownTopicOrPartition, ""))?;
    if internal_topic(name).is_some() {
        // Which partition has the state of a group or a transaction follows from how many there are.
        let message = format!("The number of partitions of {name} can't be changed.");
        return Err(Failure::new(Code::PolicyViolation, message));
    }
    let (has, count) = (known.partitions.len(), topic.count);
    let more = usize::try_from(count).ok().and_then(|count| count.checked_sub(has));
    let additional = match more {
        Some(0) => return Err(invalid(format!("Topic already has {has} partition(s)."))),
        Some(additional) => additional,
        None => {
            return Err(invalid(format!(
                "The topic {name} currently has {has} partition(s); {count} would not be an increase."
            )));
        }
    };
    if let Some(assignments) = &topic.assignments {
        let wrong = |message| Err(Failure::new(Code::InvalidReplicaAssignment, message));
        if assignments.len() != additional {
            return wrong(format!(
                "Attempted to add {additional} additional partition(s), but only {} assignment(s) were specified.",
                assignments.len()
            ));
        }
        for assignment in assignments {
            // What partitions have now is one replica, their leader.
            check_replicas(backend, &assignment.broker_ids, &mut Some(1))?;
        }
    }
    if has + additional > TOPIC_PARTITIONS {
        let message =
            format!("Excessively large number of partitions: a topic has at most {TOPIC_PARTITIONS}.");
        return Err(Failure::new(Code::PolicyViolation, message));
    }
    Ok((known.id, count.unsigned_abs()))
}

fn timed_out() -> Failure {
    Failure::new(Code::RequestTimedOut, "")
}

fn invalid(message: String) -> Failure {
    Failure::new(Code::InvalidPartitions, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::memory::Memory;
    use bytes::BytesMut;
    use kafka_protocol::messages::create_partitions_request::CreatePartitionsAssignment;
    use kafka_protocol::messages::{BrokerId, TopicName};
    use kafka_protocol::protocol::{Encodable, StrBytes};

    fn topic(name: &'static str, count: i32) -> CreatePartitionsTopic {
        let name = TopicName(StrBytes::from_static_str(name));
        CreatePartitionsTopic::default().with_name(name).with_count(count).with_assignments(None)
    }

    fn assigned(count: i32, brokers: &[&[i32]]) -> CreatePartitionsTopic {
        let assignments = brokers.iter().map(|ids| {
            let ids = ids.iter().map(|id| BrokerId(*id)).collect();
            CreatePartitionsAssignment::default().with_broker_ids(ids)
        });
        topic("a", count).with_assignments(Some(assignments.collect()))
    }

    async fn send(backend: &Memory, request: CreatePartitionsRequest) -> Vec<CreatePartitionsTopicResult> {
        let request = request.with_timeout_ms(1_000);
        let response = handle(backend, &Clock::system(), request).await;
        for version in 0..=3 {
            response.encode(&mut BytesMut::new(), version).unwrap();
        }
        response.results
    }

    async fn ask(backend: &Memory, topics: Vec<CreatePartitionsTopic>) -> Vec<i16> {
        let results = send(backend, CreatePartitionsRequest::default().with_topics(topics)).await;
        results.iter().map(|result| result.error_code).collect()
    }

    fn partitions(backend: &Memory, name: &str) -> usize {
        backend.topic(name).unwrap().partitions.len()
    }

    #[tokio::test]
    async fn topics_get_more_partitions_each_by_itself() {
        let backend = Memory::default().with("a", 2).await.with("b", 1).await;
        let asked = vec![topic("a", 4), topic("none", 3), topic("b", 1)];
        let unknown = Code::UnknownTopicOrPartition.code();
        assert_eq!(ask(&backend, asked).await, [0, unknown, Code::InvalidPartitions.code()]);
        assert_eq!((partitions(&backend, "a"), partitions(&backend, "b")), (4, 1));
        let results =
            send(&backend, CreatePartitionsRequest::default().with_topics(vec![topic("none", 3)])).await;
        assert_eq!(results[0].error_message, None);
    }

    #[tokio::test]
    async fn a_count_that_is_no_increase_is_refused() {
        let backend = Memory::default().with("a", 2).await;
        for (count, words) in [
            (2, "Topic already has 2 partition(s)."),
            (1, "The topic a currently has 2 partition(s); 1 would not be an increase."),
            (-1, "The topic a currently has 2 partition(s); -1 would not be an increase."),
        ] {
            let request = CreatePartitionsRequest::default().with_topics(vec![topic("a", count)]);
            let result = send(&backend, request).await.remove(0);
            assert_eq!(result.error_code, Code::InvalidPartitions.code());
            assert_eq!(result.error_message.as_deref(), Some(words));
        }
        let most = i32::try_from(TOPIC_PARTITIONS).unwrap();
        assert_eq!(ask(&backend, vec![topic("a", most + 1)]).await, [Code::PolicyViolation.code()]);
        assert_eq!(partitions(&backend, "a"), 2);
        assert_eq!(ask(&backend, vec![topic("a", most)]).await, [0]);
    }

    #[tokio::test]
    async fn a_topic_that_is_named_twice_is_answered_once() {
        let backend = Memory::default().with("a", 1).await.with("b", 1).await;
        let asked = vec![topic("b", 2), topic("a", 2), topic("a", 3), topic("a", 2)];
        let results = send(&backend, CreatePartitionsRequest::default().with_topics(asked)).await;
        let told: Vec<_> = results.iter().map(|result| (result.name.as_str(), result.error_code)).collect();
        assert_eq!(told, [("a", Code::InvalidRequest.code()), ("b", 0)]);
        assert_eq!(partitions(&backend, "a"), 1);
    }

    #[tokio::test]
    async fn assignments_must_name_the_brokers_that_there_are() {
        let backend = Memory::default().with("a", 2).await;
        let wrong: [&[&[i32]]; 6] = [&[], &[&[1], &[1]], &[&[]], &[&[2]], &[&[1, 1]], &[&[1, 2]]];
        for brokers in wrong {
            let answer = ask(&backend, vec![assigned(3, brokers)]).await;
            assert_eq!(answer, [Code::InvalidReplicaAssignment.code()], "{brokers:?}");
        }
        // The number comes before the assignments.
        assert_eq!(ask(&backend, vec![assigned(2, &[&[9]])]).await, [Code::InvalidPartitions.code()]);
        assert_eq!(ask(&backend, vec![assigned(4, &[&[1], &[1]])]).await, [0]);
        assert_eq!(partitions(&backend, "a"), 4);
    }

    #[tokio::test]
    async fn nothing_is_done_where_it_is_only_to_be_checked_or_cannot_be() {
        let backend = Memory::default().with("a", 1).await;
        let request =
            CreatePartitionsRequest::default().with_topics(vec![topic("a", 2)]).with_validate_only(true);
        assert_eq!(send(&backend, request).await[0].error_code, 0);
        assert_eq!(partitions(&backend, "a"), 1);
        for timeout_ms in [0, -1] {
            let request =
                CreatePartitionsRequest::default().with_topics(vec![topic("a", 2), topic("none", 2)]);
            let response = handle(&backend, &Clock::system(), request.with_timeout_ms(timeout_ms)).await;
            let told =
                response.results.iter().map(|result| (result.error_code, result.error_message.is_none()));
            assert_eq!(told.collect::<Vec<_>>(), [(Code::RequestTimedOut.code(), true); 2]);
            assert_eq!(partitions(&backend, "a"), 1);
        }
        backend.fail();
        assert_eq!(ask(&backend, vec![topic("a", 2)]).await, [Code::RequestTimedOut.code()]);
    }
}
