//! ElectLeaders (KIP-460). A partition's one replica is its leader, whenever it has one, so no election is ever needed
//! but where nobody leads; and there nobody is eligible yet.

use super::backend::Backend;
use super::topic_name;
use crate::errors::{Code, NONE};
use kafka_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use kafka_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

/// What kinds of elections there are: 0 of the preferred replica, 1 unclean.
const KINDS: std::ops::RangeInclusive<i8> = 0..=1;

/// The first version whose answer has an error of its own.
const ERROR_FROM: i16 = 1;

/// Answers a request.
#[must_use]
pub fn handle<B: Backend>(backend: &B, request: ElectLeadersRequest, version: i16) -> ElectLeadersResponse {
    let kind = request.election_type;
    // Kafka's controller has no time to look at anything else then, but for a request that names nothing.
    let nothing = request.topic_partitions.as_ref().is_some_and(Vec::is_empty);
    if request.timeout_ms <= 0 && !nothing {
        return timed_out(request, version);
    }
    let unknown = (!KINDS.contains(&kind))
        .then(|| (Code::InvalidRequest, StrBytes::from(format!("Unknown election type {kind}"))));
    let response = ElectLeadersResponse::default()
        .with_error_code(unknown.as_ref().map_or(NONE, |(code, _)| code.code()));
    let Some(asked) = request.topic_partitions else {
        // All there are: of those only the elections that were held are told.
        let names = if unknown.is_some() { Vec::new() } else { backend.topics() };
        let held = names.iter().map(|topic| result(TopicName(topic.name.to_string().into()), Vec::new()));
        return response.with_replica_election_results(held.collect());
    };
    let results = asked.into_iter().map(|topic| {
        let known = backend.topic(&topic.topic);
        // All partitions of the topic share the words, but those that it doesn't have.
        let of_all = unknown.clone().or_else(|| known.is_none().then(|| unknown_topic(&topic.topic)));
        let partitions = topic.partitions.into_iter().map(|partition| {
            let (code, words) = of_all.clone().unwrap_or_else(|| {
                let found = known.as_ref().and_then(|topic| {
                    usize::try_from(partition).ok().and_then(|index| topic.partitions.get(index))
                });
                match found {
                    None => {
                        let words = format!("No such partition as {}-{partition}", topic.topic.as_str());
                        (Code::UnknownTopicOrPartition, words.into())
                    }
                    Some(found) if found.leader.is_some() => (
                        Code::ElectionNotNeeded,
                        StrBytes::from_static_str("Leader election not needed for topic partition."),
                    ),
                    Some(_) if kind == 0 => (
                        Code::PreferredLeaderNotAvailable,
                        StrBytes::from_static_str("The preferred leader was not available."),
                    ),
                    Some(_) => (
                        Code::EligibleLeadersNotAvailable,
                        StrBytes::from_static_str("Eligible topic partition leaders are not available."),
                    ),
                }
            });
            PartitionResult::default()
                .with_partition_id(partition)
                .with_error_code(code.code())
                .with_error_message(Some(words))
        });
        result(topic.topic.clone(), partitions.collect())
    });
    response.with_replica_election_results(results.collect())
}

/// The answer to a request that gives no time.
fn timed_out(request: ElectLeadersRequest, version: i16) -> ElectLeadersResponse {
    let code = Code::RequestTimedOut.code();
    let of_all = if version >= ERROR_FROM { code } else { NONE };
    let results = request.topic_partitions.unwrap_or_default().into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|partition| {
            PartitionResult::default()
                .with_partition_id(partition)
                .with_error_code(code)
                .with_error_message(None)
        });
        result(topic.topic, partitions.collect())
    });
    ElectLeadersResponse::default().with_error_code(of_all).with_replica_election_results(results.collect())
}

/// The words are in the answer once for each partition: what can't be a topic's name, however long, is left out.
fn unknown_topic(name: &str) -> (Code, StrBytes) {
    let words = match topic_name::check(name) {
        Ok(()) => format!("No such topic as {name}").into(),
        Err(_) => StrBytes::from_static_str("No such topic"),
    };
    (Code::UnknownTopicOrPartition, words)
}

fn result(topic: TopicName, partitions: Vec<PartitionResult>) -> ReplicaElectionResult {
    ReplicaElectionResult::default().with_topic(topic).with_partition_result(partitions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::memory::Memory;
    use bytes::BytesMut;
    use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
    use kafka_protocol::protocol::Encodable;

    fn of(topic: &'static str, partitions: &[i32]) -> TopicPartitions {
        TopicPartitions::default().with_topic(TopicName(topic.into())).with_partitions(partitions.to_vec())
    }

    fn ask(
        backend: &Memory,
        kind: i8,
        asked: Option<Vec<TopicPartitions>>,
    ) -> (i16, Vec<(String, Vec<i16>)>) {
        timed(backend, kind, asked, 1_000)
    }

    fn timed(
        backend: &Memory,
        kind: i8,
        asked: Option<Vec<TopicPartitions>>,
        timeout_ms: i32,
    ) -> (i16, Vec<(String, Vec<i16>)>) {
        let request = ElectLeadersRequest::default()
            .with_election_type(kind)
            .with_topic_partitions(asked)
            .with_timeout_ms(timeout_ms);
        let response = handle(backend, request.clone(), 2);
        for version in 1..=2 {
            response.encode(&mut BytesMut::new(), version).unwrap();
        }
        if kind == 0 {
            // The only kind that version 0 can ask for.
            handle(backend, request, 0).encode(&mut BytesMut::new(), 0).unwrap();
        }
        let results = response.replica_election_results.iter().map(|topic| {
            let codes = topic.partition_result.iter().map(|partition| partition.error_code).collect();
            (topic.topic.to_string(), codes)
        });
        (response.error_code, results.collect())
    }

    #[tokio::test]
    async fn who_leads_stays() {
        let backend = Memory::default().with("a", 2).await;
        let asked = || Some(vec![of("a", &[1, 0, 2, -1, 0]), of("none", &[0])]);
        let told = vec![("a".to_owned(), vec![84, 84, 3, 3, 84]), ("none".to_owned(), vec![3])];
        for kind in [0, 1] {
            assert_eq!(ask(&backend, kind, asked()), (0, told.clone()));
            assert_eq!(ask(&backend, kind, None), (0, vec![("a".to_owned(), vec![])]));
        }
        let refused = vec![("a".to_owned(), vec![42; 5]), ("none".to_owned(), vec![42])];
        assert_eq!(ask(&backend, 2, asked()), (42, refused));
        assert_eq!(ask(&backend, -1, None), (42, vec![]));
    }

    #[tokio::test]
    async fn without_time_nothing_is_looked_at() {
        let backend = Memory::default().with("a", 2).await;
        for (timeout_ms, kind) in [(0, 0), (-1, 1), (0, 9)] {
            let told = timed(&backend, kind, Some(vec![of("a", &[1, 7]), of("none", &[])]), timeout_ms);
            assert_eq!(told, (7, vec![("a".to_owned(), vec![7, 7]), ("none".to_owned(), vec![])]));
            assert_eq!(timed(&backend, kind, None, timeout_ms), (7, vec![]));
            assert_eq!(timed(&backend, 0, Some(vec![]), timeout_ms), (0, vec![]));
        }
    }

    #[tokio::test]
    async fn nobody_is_eligible_where_nobody_leads() {
        let backend = Memory::default().with("a", 1).await;
        backend.without_leader("a");
        let told = |code| (0, vec![("a".to_owned(), vec![code])]);
        assert_eq!(
            ask(&backend, 0, Some(vec![of("a", &[0])])),
            told(Code::PreferredLeaderNotAvailable.code())
        );
        assert_eq!(
            ask(&backend, 1, Some(vec![of("a", &[0])])),
            told(Code::EligibleLeadersNotAvailable.code())
        );
    }

    #[tokio::test]
    async fn the_words_about_a_topic_are_held_once_and_without_a_name_that_none_can_have() {
        let backend = Memory::default().with("a", 1).await;
        let long = "n".repeat(32_767);
        for (kind, name, words) in [
            (0, "none", "No such topic as none"),
            (0, "a b", "No such topic"),
            (0, long.as_str(), "No such topic"),
            (9, long.as_str(), "Unknown election type 9"),
            (0, "a", "No such partition as a-7"),
        ] {
            let topic = TopicPartitions::default()
                .with_topic(TopicName(name.to_owned().into()))
                .with_partitions(vec![7; 3]);
            let request = ElectLeadersRequest::default()
                .with_election_type(kind)
                .with_topic_partitions(Some(vec![topic]))
                .with_timeout_ms(1_000);
            let response = handle(&backend, request, 2);
            let partitions = &response.replica_election_results[0].partition_result;
            let told: Vec<_> = partitions.iter().map(|one| one.error_message.as_deref().unwrap()).collect();
            assert_eq!(told, [words; 3]);
            let shared = told.iter().all(|one| one.as_ptr() == told[0].as_ptr());
            assert_eq!(shared, name != "a", "one copy for all, but where it names a partition");
        }
    }
}
