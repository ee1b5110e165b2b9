//! OffsetCommit, TxnOffsetCommit, OffsetFetch, OffsetDelete.

use super::harness::{Broker, Consumer, START_MS, arc, group_id, joined, stabilize, text, topic_id};
use crate::effects::{Producer, When};
use crate::group::classic::State;
use crate::group::consumer::ConsumerGroup;
use crate::group::kind::Group;
use crate::schema::group::{OffsetCommitKey, OffsetCommitValue};
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::offset_fetch_response::OffsetFetchResponseGroup;
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest, OffsetFetchResponse, ResponseKind,
    TopicName, TxnOffsetCommitRequest,
};
use levee_base::limits::{GROUPS, GROUPS_BYTES, MESSAGE_BYTES};
use uuid::Uuid;

pub(super) fn topic(name: &str) -> TopicName {
    TopicName(text(name))
}

/// A commit of nobody's.
pub(super) fn request(group: &str, offsets: &[(&str, i32, i64)]) -> OffsetCommitRequest {
    let topics = offsets.iter().map(|(name, partition, offset)| {
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(*partition)
            .with_committed_offset(*offset)
            .with_committed_metadata(Some(text("")));
        OffsetCommitRequestTopic::default().with_name(topic(name)).with_partitions(vec![partition])
    });
    OffsetCommitRequest::default()
        .with_group_id(group_id(group))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(topics.collect())
}

/// Commits; the errors by topic and partition, in the answer's order.
pub(super) fn ask(
    broker: &mut Broker,
    version: i16,
    request: OffsetCommitRequest,
) -> Vec<(String, i32, i16)> {
    let token = broker.ask(version, request);
    assert_eq!(broker.when(token), When::Durable);
    let Some(ResponseKind::OffsetCommit(response)) = broker.answer(token) else { panic!() };
    let topics = response.topics.iter().flat_map(|topic| {
        let name = topic.name.to_string();
        topic.partitions.iter().map(move |p| (name.clone(), p.partition_index, p.error_code))
    });
    topics.collect()
}

pub(super) fn commit(broker: &mut Broker, group: &str, offsets: &[(&str, i32, i64)]) {
    for (_, _, error) in ask(broker, 9, request(group, offsets)) {
        assert_eq!(error, 0);
    }
}

/// As a member.
fn commit_as(broker: &mut Broker, consumer: &Consumer, version: i16) -> i16 {
    let request = request(consumer.group, &[("t", 0, 7)])
        .with_generation_id_or_member_epoch(consumer.generation)
        .with_member_id(text(&consumer.id))
        .with_group_instance_id(consumer.instance.map(Into::into));
    ask(broker, version, request)[0].2
}

pub(super) fn transactional(
    producer: Producer,
    group: &str,
    offsets: &[(&str, i32, i64)],
) -> TxnOffsetCommitRequest {
    let topics = offsets.iter().map(|(name, partition, offset)| {
        let partition = TxnOffsetCommitRequestPartition::default()
            .with_partition_index(*partition)
            .with_committed_offset(*offset);
        TxnOffsetCommitRequestTopic::default().with_name(topic(name)).with_partitions(vec![partition])
    });
    TxnOffsetCommitRequest::default()
        .with_group_id(group_id(group))
        .with_producer_id(producer.id.into())
        .with_producer_epoch(producer.epoch)
        .with_topics(topics.collect())
}

fn commit_in(broker: &mut Broker, request: TxnOffsetCommitRequest) -> Vec<i16> {
    let token = broker.ask(5, request);
    assert_eq!(broker.when(token), When::Durable);
    let Some(ResponseKind::TxnOffsetCommit(response)) = broker.answer(token) else { panic!() };
    response.topics.iter().flat_map(|topic| topic.partitions.iter().map(|p| p.error_code)).collect()
}

fn fetch(broker: &mut Broker, version: i16, request: OffsetFetchRequest) -> OffsetFetchResponse {
    let token = broker.ask(version, request);
    assert_eq!(broker.when(token), When::Durable);
    match broker.answer(token) {
        Some(ResponseKind::OffsetFetch(response)) => response.clone(),
        other => panic!("{other:?}"),
    }
}

fn fetch_group(
    broker: &mut Broker,
    group: &str,
    topics: Option<&[(&str, &[i32])]>,
    stable: bool,
) -> OffsetFetchResponseGroup {
    let topics = topics.map(|topics| {
        let topics = topics.iter().map(|(name, partitions)| {
            OffsetFetchRequestTopics::default()
                .with_name(topic(name))
                .with_partition_indexes(partitions.to_vec())
        });
        topics.collect()
    });
    let group = OffsetFetchRequestGroup::default().with_group_id(group_id(group)).with_topics(topics);
    let request = OffsetFetchRequest::default().with_groups(vec![group]).with_require_stable(stable);
    fetch(broker, 9, request).groups.remove(0)
}

/// The offset and the error of a partition.
pub(super) fn fetched(broker: &mut Broker, group: &str, topic: &str, partition: i32) -> (i64, i16) {
    let group = fetch_group(broker, group, Some(&[(topic, &[partition])]), false);
    let partition = &group.topics[0].partitions[0];
    (partition.committed_offset, partition.error_code)
}

#[test]
fn anybody_commits_to_a_group_without_members() {
    let mut broker = Broker::new();
    let mut asked = request("g", &[("t", 0, 5), ("t", 3, 6), ("u", 0, 7)]);
    asked.topics[1].partitions[0].committed_leader_epoch = 4;
    asked.topics[1].partitions[0].committed_metadata = Some(text("note"));
    asked.topics[2].partitions[0].committed_metadata = None;
    ask(&mut broker, 8, asked);
    let record = broker.records(0).remove(1);
    let key = OffsetCommitKey { group: arc("g"), topic: arc("t"), partition: 3 };
    assert_eq!(OffsetCommitKey::read(record.key), Ok(key));
    let value = OffsetCommitValue::read(record.value.unwrap()).unwrap();
    assert_eq!((value.offset, value.leader_epoch, &*value.metadata), (6, 4, "note"));
    assert_eq!((value.commit_timestamp_ms, value.expire_timestamp_ms), (START_MS, None));
    assert_eq!(value.topic_id, topic_id("t"), "also where the client goes by names");
    assert_eq!(broker.log.len(), 3, "that there is such a group is not written");
    assert!(broker.state("g") == State::Empty);

    for reloaded in [false, true] {
        if reloaded {
            broker.fail_over();
        }
        let group = fetch_group(&mut broker, "g", Some(&[("u", &[0, 1]), ("t", &[3]), ("x", &[9])]), false);
        let names: Vec<_> = group.topics.iter().map(|topic| &**topic.name).collect();
        assert_eq!(names, ["u", "t", "x"]);
        let partition = &group.topics[1].partitions[0];
        assert_eq!((partition.committed_offset, partition.committed_leader_epoch), (6, 4));
        assert_eq!((partition.metadata.as_deref(), partition.error_code), (Some("note"), 0));
        let none = &group.topics[0].partitions[1];
        assert_eq!((none.committed_offset, none.committed_leader_epoch, none.error_code), (-1, -1, 0));
        assert_eq!(none.metadata.as_deref(), Some(""));
        let all = fetch_group(&mut broker, "g", None, true);
        assert_eq!(all.topics.iter().map(|topic| topic.partitions.len()).sum::<usize>(), 3);
    }
    assert_eq!(fetch_group(&mut broker, "nothing", None, false).topics, []);
    assert_eq!(fetched(&mut broker, "nothing", "t", 0), (-1, 0));
}

#[test]
fn the_empty_group_id_holds_offsets_as_it_did_of_old() {
    let mut broker = Broker::new();
    commit(&mut broker, "", &[("t", 0, 5)]);
    assert_eq!(fetched(&mut broker, "", "t", 0), (5, 0));
}

#[test]
fn old_versions_fetch_one_group() {
    let mut broker = Broker::new();
    commit(&mut broker, "g", &[("t", 0, 5)]);
    for version in 1..8 {
        let topics =
            vec![OffsetFetchRequestTopic::default().with_name(topic("t")).with_partition_indexes(vec![0, 1])];
        let request = OffsetFetchRequest::default().with_group_id(group_id("g")).with_topics(Some(topics));
        let response = fetch(&mut broker, version, request);
        let offsets: Vec<_> = response.topics[0].partitions.iter().map(|p| p.committed_offset).collect();
        assert_eq!((offsets, response.error_code), (vec![5, -1], 0));
    }
    let request = OffsetFetchRequest::default().with_group_id(group_id("g")).with_topics(None);
    assert_eq!(fetch(&mut broker, 7, request).topics.len(), 1);
}

#[test]
fn what_can_not_be_committed_does_not_keep_the_rest() {
    let mut broker = Broker::new();
    let mut asked = request("g", &[("t", 0, 5), ("t", 4, 5), ("x", 0, 5), ("t", 1, 6), ("t", -1, 6)]);
    asked.topics[3].partitions[0].committed_metadata = Some(text(&"€".repeat(4_097)));
    let errors = ask(&mut broker, 9, asked);
    // What the cluster doesn't have comes first, as in Kafka.
    let error = |topic: &str, partition, error| (topic.to_owned(), partition, error);
    let expected =
        [error("t", 4, 3), error("t", -1, 3), error("t", 0, 0), error("t", 1, 12), error("x", 0, 3)];
    assert_eq!(errors, expected);
    let mut longest = request("g", &[("t", 1, 6)]);
    longest.topics[0].partitions[0].committed_metadata = Some(text(&"€".repeat(4_096)));
    assert_eq!(ask(&mut broker, 9, longest)[0].2, 0);
    // If there is nothing to commit, nobody asks for the group.
    let errors = ask(&mut broker, 9, request("h", &[("x", 0, 5)]).with_generation_id_or_member_epoch(3));
    assert_eq!(errors, [error("x", 0, 3)]);
    assert!(!broker.shard.groups.contains_key("h"));
}

#[test]
fn a_commit_must_fit_into_a_batch() {
    let mut broker = Broker::new();
    broker.topics.0.insert("large", 1_000);
    let note = "x".repeat(4_096);
    let with = |partitions: i32| {
        let partitions = (0..partitions).map(|partition| {
            OffsetCommitRequestPartition::default()
                .with_partition_index(partition)
                .with_committed_metadata(Some(text(&note)))
        });
        let topic = OffsetCommitRequestTopic::default()
            .with_name(topic("large"))
            .with_partitions(partitions.collect());
        request("g", &[]).with_topics(vec![topic])
    };
    let most = (MESSAGE_BYTES / 4_180) as i32;
    assert!(ask(&mut broker, 9, with(most)).iter().all(|(_, _, error)| *error == 0));
    let written = broker.log.len();
    let errors = ask(&mut broker, 9, with(most + 10));
    assert!(errors.iter().all(|(_, _, error)| *error == 28), "INVALID_COMMIT_OFFSET_SIZE");
    assert_eq!(broker.log.len(), written);
}

#[test]
fn what_does_not_fit_into_a_batch_takes_no_memory() {
    let mut broker = Broker::new();
    // Each record repeats the group's id: all of them would take 6 GB.
    let group = "g".repeat(i16::MAX as usize);
    let mut offsets = vec![("t", 0, 1); 200_000];
    offsets.push(("nowhere", 0, 1));
    let errors = ask(&mut broker, 9, request(&group, &offsets));
    let refused = errors.iter().filter(|(_, _, error)| *error == 28).count();
    assert_eq!((refused, errors.len()), (200_000, 200_001), "INVALID_COMMIT_OFFSET_SIZE");
    assert_eq!(broker.log.len(), 0);
    commit(&mut broker, &group, &[("t", 0, 1)]);
    let deleted = vec![("t", 0); 200_000];
    assert_eq!(delete(&mut broker, &group, &deleted).0, -1, "UNKNOWN_SERVER_ERROR");
    assert_eq!(fetched(&mut broker, &group, "t", 0), (1, 0));
}

#[test]
fn members_commit_as_of_their_generation() {
    let mut broker = Broker::new();
    let mut consumers = [Consumer::new(), Consumer::fixed("i")];
    let stranger = Consumer { generation: 1, id: "nobody".to_owned(), ..Consumer::new() };
    assert_eq!(commit_as(&mut broker, &stranger, 9), 69, "GROUP_ID_NOT_FOUND");
    assert_eq!(commit_as(&mut broker, &stranger, 8), 22, "ILLEGAL_GENERATION");
    stabilize(&mut broker, &mut consumers);
    let [first, second] = &consumers;
    assert_eq!(commit_as(&mut broker, first, 9), 0);
    assert_eq!(commit_as(&mut broker, second, 9), 0);
    assert_eq!(commit_as(&mut broker, &stranger, 9), 25, "UNKNOWN_MEMBER_ID");
    assert_eq!(
        commit_as(&mut broker, &Consumer { generation: 2, ..first.clone() }, 9),
        22,
        "ILLEGAL_GENERATION"
    );
    assert_eq!(commit_as(&mut broker, &Consumer { id: first.id.clone(), ..second.clone() }, 9), 82, "FENCED");
    assert_eq!(commit_as(&mut broker, &Consumer { instance: Some("j"), ..second.clone() }, 9), 25, "UNKNOWN");
    // Nobody commits beside the members.
    assert_eq!(ask(&mut broker, 9, request("g", &[("t", 0, 1)]))[0].2, 25, "UNKNOWN_MEMBER_ID");
    // While members join, commits of the generation that ends are welcome; not once the next one has begun.
    let a = first.join(&mut broker);
    assert_eq!(broker.state("g"), State::PreparingRebalance);
    assert_eq!(commit_as(&mut broker, second, 9), 0);
    let b = second.join(&mut broker);
    assert!(broker.answer(a).is_some() && broker.answer(b).is_some());
    assert_eq!(commit_as(&mut broker, first, 9), 22, "ILLEGAL_GENERATION");
    assert_eq!(
        commit_as(&mut broker, &Consumer { generation: 2, ..first.clone() }, 9),
        27,
        "REBALANCE_IN_PROGRESS"
    );
    // Without members anybody may again, but not as a member.
    broker.pass_ms(3_600_000);
    assert_eq!(broker.state("g"), State::Empty);
    assert_eq!(ask(&mut broker, 9, request("g", &[("t", 0, 1)]))[0].2, 0);
    assert_eq!(commit_as(&mut broker, first, 9), 25, "UNKNOWN_MEMBER_ID");
}

#[test]
fn commits_keep_a_session_alive() {
    let mut broker = Broker::new();
    let mut consumers = [Consumer::new()];
    stabilize(&mut broker, &mut consumers);
    for _ in 0..5 {
        broker.pass_ms(9_000);
        assert_eq!(commit_as(&mut broker, &consumers[0], 9), 0);
    }
    assert_eq!(consumers[0].heartbeat(&mut broker), 0);
}

const A: Producer = Producer { id: 7, epoch: 2 };

#[test]
fn transactional_offsets_are_seen_when_the_transaction_commits() {
    for commits in [true, false] {
        let mut broker = Broker::new();
        commit(&mut broker, "g", &[("t", 0, 1)]);
        assert_eq!(
            commit_in(&mut broker, transactional(A, "g", &[("t", 0, 10), ("t", 1, 11), ("x", 0, 1)])),
            [3, 0, 0]
        );
        for reloaded in [false, true] {
            if reloaded {
                broker.fail_over();
            }
            assert_eq!(fetched(&mut broker, "g", "t", 0), (1, 0));
            let group = fetch_group(&mut broker, "g", Some(&[("t", &[0, 1, 2])]), true);
            let told: Vec<_> =
                group.topics[0].partitions.iter().map(|p| (p.committed_offset, p.error_code)).collect();
            assert_eq!(told, [(-1, 88), (-1, 88), (-1, 0)], "UNSTABLE_OFFSET_COMMIT");
        }
        broker.end_transaction(A, commits);
        for reloaded in [false, true] {
            if reloaded {
                broker.fail_over();
            }
            let group = fetch_group(&mut broker, "g", Some(&[("t", &[0, 1])]), true);
            let told: Vec<_> =
                group.topics[0].partitions.iter().map(|p| (p.committed_offset, p.error_code)).collect();
            assert_eq!(told, if commits { [(10, 0), (11, 0)] } else { [(1, 0), (-1, 0)] });
        }
    }
}

#[test]
fn a_producer_that_is_fenced_commits_nothing() {
    let mut broker = Broker::new();
    assert_eq!(commit_in(&mut broker, transactional(A, "g", &[("t", 0, 10)])), [0]);
    let (older, newer) = (Producer { epoch: 1, ..A }, Producer { epoch: 3, ..A });
    assert_eq!(
        commit_in(&mut broker, transactional(older, "g", &[("t", 0, 10)])),
        [47],
        "INVALID_PRODUCER_EPOCH"
    );
    // With transactions of the second version the marker carries the next epoch.
    broker.end_transaction(newer, true);
    for reloaded in [false, true] {
        if reloaded {
            broker.fail_over();
        }
        assert_eq!(
            commit_in(&mut broker, transactional(A, "g", &[("t", 0, 10)])),
            [47],
            "INVALID_PRODUCER_EPOCH"
        );
    }
    assert_eq!(commit_in(&mut broker, transactional(newer, "g", &[("t", 0, 10)])), [0]);
    let nobody = Producer { id: -1, epoch: -1 };
    assert_eq!(commit_in(&mut broker, transactional(nobody, "g", &[("t", 0, 10)])), [49]);
    assert_eq!(commit_in(&mut broker, transactional(A, "", &[("t", 0, 10)])), [24], "INVALID_GROUP_ID");
}

#[test]
fn transactional_commits_are_checked_as_far_as_they_say_who_they_are() {
    let mut broker = Broker::new();
    let of = |consumer: &Consumer| {
        transactional(A, "g", &[("t", 0, 10)])
            .with_generation_id(consumer.generation)
            .with_member_id(text(&consumer.id))
            .with_group_instance_id(consumer.instance.map(Into::into))
    };
    let stranger = Consumer { generation: 1, id: "nobody".to_owned(), ..Consumer::new() };
    assert_eq!(commit_in(&mut broker, of(&stranger)), [22], "ILLEGAL_GENERATION");
    let mut consumers = [Consumer::fixed("i")];
    stabilize(&mut broker, &mut consumers);
    let [first] = &consumers;
    assert_eq!(commit_in(&mut broker, of(first)), [0]);
    assert_eq!(commit_in(&mut broker, of(&stranger)), [25], "UNKNOWN_MEMBER_ID");
    assert_eq!(commit_in(&mut broker, of(&Consumer { generation: 9, ..first.clone() })), [22]);
    assert_eq!(commit_in(&mut broker, of(&Consumer { id: "x".to_owned(), ..first.clone() })), [82]);
    // Old clients don't say.
    assert_eq!(commit_in(&mut broker, of(&Consumer::new())), [0]);
    // A rebalance is no reason.
    let token = first.join(&mut broker);
    assert!(broker.answer(token).is_some());
    assert_eq!(broker.state("g"), State::CompletingRebalance);
    assert_eq!(commit_in(&mut broker, of(&Consumer { generation: 2, ..first.clone() })), [0]);
}

fn delete(broker: &mut Broker, group: &str, offsets: &[(&str, i32)]) -> (i16, Vec<(String, i32, i16)>) {
    let topics = offsets.iter().map(|(name, partition)| {
        let partition = OffsetDeleteRequestPartition::default().with_partition_index(*partition);
        OffsetDeleteRequestTopic::default().with_name(topic(name)).with_partitions(vec![partition])
    });
    let request = OffsetDeleteRequest::default().with_group_id(group_id(group)).with_topics(topics.collect());
    let token = broker.ask(0, request);
    let Some(ResponseKind::OffsetDelete(response)) = broker.answer(token) else { panic!() };
    let topics = response.topics.iter().flat_map(|topic| {
        let name = topic.name.to_string();
        topic.partitions.iter().map(move |p| (name.clone(), p.partition_index, p.error_code))
    });
    (response.error_code, topics.collect())
}

#[test]
fn offsets_that_nobody_reads_are_deleted() {
    let mut broker = Broker::new();
    let result = |topic: &str, partition, error| (topic.to_owned(), partition, error);
    assert_eq!(delete(&mut broker, "g", &[("t", 0)]), (69, vec![]), "GROUP_ID_NOT_FOUND");
    assert_eq!(delete(&mut broker, "", &[("t", 0)]), (24, vec![]), "INVALID_GROUP_ID");
    assert_eq!(delete(&mut broker, "g", &[("x", 0)]), (69, vec![]), "GROUP_ID_NOT_FOUND");
    commit(&mut broker, "g", &[("t", 0, 1), ("t", 1, 1), ("u", 0, 1)]);
    commit_in(&mut broker, transactional(A, "g", &[("t", 2, 1)]));
    let written = broker.log.len();
    let deleted = delete(&mut broker, "g", &[("t", 0), ("t", 2), ("t", 3), ("x", 0)]);
    let expected = vec![result("x", 0, 3), result("t", 0, 0), result("t", 2, 0), result("t", 3, 0)];
    assert_eq!(deleted, (0, expected));
    assert_eq!(broker.records(written).len(), 2, "tombstones where there was something");
    assert_eq!(fetched(&mut broker, "g", "t", 0), (-1, 0));
    assert_eq!(fetched(&mut broker, "g", "t", 1), (1, 0));
    broker.end_transaction(A, true);
    assert_eq!(fetched(&mut broker, "g", "t", 2), (-1, 0));
    // Consumers subscribe to "t".
    stabilize(&mut broker, &mut [Consumer::new()]);
    let deleted = delete(&mut broker, "g", &[("t", 1), ("u", 0)]);
    assert_eq!(deleted, (0, vec![result("t", 1, 86), result("u", 0, 0)]), "GROUP_SUBSCRIBED_TO_TOPIC");
    // Of others it isn't known what they do.
    let request = Consumer { group: "h", ..Consumer::old(3) }.request().with_protocol_type("connect".into());
    broker.ask(3, request);
    assert_eq!(delete(&mut broker, "h", &[("t", 1)]), (68, vec![]), "NON_EMPTY_GROUP");
}

#[test]
fn an_offset_is_of_a_topic_not_of_its_name() {
    let mut broker = Broker::new();
    let (old, new) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let mut asked = request("g", &[("t", 0, 5)]);
    asked.topics[0].topic_id = old;
    let token = broker.ask(10, asked);
    let Some(ResponseKind::OffsetCommit(response)) = broker.answer(token) else { panic!() };
    assert_eq!((response.topics[0].topic_id, response.topics[0].partitions[0].error_code), (old, 0));
    broker.fail_over();
    for (id, offset) in [(old, 5), (new, -1), (Uuid::nil(), 5)] {
        let topic = OffsetFetchRequestTopics::default()
            .with_name(topic("t"))
            .with_topic_id(id)
            .with_partition_indexes(vec![0]);
        let group =
            OffsetFetchRequestGroup::default().with_group_id(group_id("g")).with_topics(Some(vec![topic]));
        let response = fetch(&mut broker, 10, OffsetFetchRequest::default().with_groups(vec![group]));
        let told = &response.groups[0].topics[0];
        assert_eq!((told.topic_id, told.partitions[0].committed_offset), (id, offset));
    }
    // The topic of that name that is deleted is another one; then it is this one.
    broker.delete_topics(&[("t".to_owned(), new)]);
    assert_eq!(fetched(&mut broker, "g", "t", 0), (5, 0));
    broker.delete_topics(&[("t".to_owned(), old)]);
    assert_eq!(fetched(&mut broker, "g", "t", 0), (-1, 0));
    broker.fail_over();
    assert_eq!(fetched(&mut broker, "g", "t", 0), (-1, 0));
}

#[test]
fn offsets_of_deleted_topics_go_in_all_groups_and_transactions() {
    let mut broker = Broker::new();
    commit(&mut broker, "g", &[("t", 0, 1), ("u", 0, 1)]);
    commit(&mut broker, "h", &[("t", 1, 1)]);
    commit_in(&mut broker, transactional(A, "h", &[("t", 1, 2), ("t", 2, 2)]));
    let written = broker.log.len();
    broker.delete_topics(&[("t".to_owned(), topic_id("t")), ("v".to_owned(), topic_id("v"))]);
    assert_eq!(broker.records(written).len(), 3);
    broker.end_transaction(A, true);
    assert_eq!(fetched(&mut broker, "g", "t", 0), (-1, 0));
    assert_eq!(fetched(&mut broker, "g", "u", 0), (1, 0));
    assert_eq!(fetch_group(&mut broker, "h", None, true).topics, []);
}

#[test]
fn many_tombstones_are_several_batches() {
    let mut broker = Broker::new();
    const NAME: &str = "a-topic-whose-name-is-not-that-short";
    broker.topics.0.insert(NAME, 10_000);
    for from in [0, 5_000] {
        let offsets: Vec<_> = (from..from + 5_000).map(|partition| (NAME, partition, 1)).collect();
        commit(&mut broker, "g", &offsets);
    }
    let effects = broker.shard.cluster_changed(
        crate::Context {
            time: crate::Time { wall_ms: START_MS, now: std::time::Duration::ZERO },
            cluster: &broker.topics,
        },
        &[(NAME.to_owned(), topic_id(NAME))],
    );
    assert!(effects.appends.len() > 1);
    assert_eq!(effects.appends.iter().map(|append| append.records.len()).sum::<usize>(), 10_000);
    assert!(effects.appends.iter().all(|append| crate::group::turn::fit(&append.records)));
}

#[test]
fn there_is_room_for_so_many_groups() {
    let mut broker = Broker::new();
    commit(&mut broker, "g", &[("t", 0, 1)]);
    for number in broker.shard.groups.len()..GROUPS {
        let id = arc(&number.to_string());
        broker.shard.groups.insert(id.clone(), Group::new(id, START_MS));
    }
    broker.shard.measure_all();
    let refused = ask(&mut broker, 8, request("h", &[("t", 0, 1)]));
    assert_eq!(refused, [("t".to_owned(), 0, 44)], "POLICY_VIOLATION");
    let mut consumer = Consumer { group: "h", ..Consumer::new() };
    let token = consumer.join(&mut broker);
    assert_eq!(joined(&broker, token).error_code, 44, "POLICY_VIOLATION");
    // Those that are there go on.
    commit(&mut broker, "g", &[("t", 1, 1)]);
    consumer.group = "g";
    let token = consumer.join(&mut broker);
    assert_eq!(joined(&broker, token).error_code, 79, "MEMBER_ID_REQUIRED");
}

#[test]
fn there_is_room_for_so_much_of_what_clients_say() {
    let mut broker = Broker::new();
    commit(&mut broker, "offsets", &[("t", 0, 1)]);
    let mut member =
        Consumer { group: "g", protocols: vec![("range", vec![0; 1_000].into())], ..Consumer::new() };
    let token = member.enter(&mut broker);
    broker.pass_ms(4_000);
    assert_eq!(member.joined(&broker, token).error_code, 0);
    let mut fixed = Consumer { group: "fixed", ..Consumer::fixed("i") };
    let token = fixed.join(&mut broker);
    broker.pass_ms(4_000);
    assert_eq!(fixed.joined(&broker, token).error_code, 0);
    let empty = ConsumerGroup::new("empty");
    broker.shard.groups.insert(arc("empty"), Group::Consumer(Box::new(empty)));
    for number in 0..GROUPS_BYTES / 32_768 {
        let id = arc(&format!("{number:032767}"));
        broker.shard.groups.insert(id.clone(), Group::new(id, START_MS));
    }
    broker.shard.measure_all();
    let refused = ask(&mut broker, 8, request("h", &[("t", 0, 1)]));
    assert_eq!(refused, [("t".to_owned(), 0, 44)], "POLICY_VIOLATION");
    let token = Consumer { group: "g", ..Consumer::new() }.join(&mut broker);
    assert_eq!(joined(&broker, token).error_code, 81, "GROUP_MAX_SIZE_REACHED");
    // Those that are there go on, unless they want more.
    commit(&mut broker, "offsets", &[("t", 1, 1)]);
    member.protocols = vec![("range", vec![0; 2_000].into())];
    let token = member.join(&mut broker);
    assert_eq!(joined(&broker, token).error_code, 81, "GROUP_MAX_SIZE_REACHED");
    member.protocols = vec![("range", vec![0; 1_000].into())];
    let token = member.join(&mut broker);
    assert_eq!(member.joined(&broker, token).error_code, 0);
    // A static one that starts anew is there; and an empty group keeps its offsets, whatever it was.
    let token = Consumer { id: String::new(), ..fixed.clone() }.join(&mut broker);
    assert_eq!(joined(&broker, token).error_code, 0);
    let token = Consumer { group: "empty", ..Consumer::new() }.join(&mut broker);
    assert_eq!(joined(&broker, token).error_code, 44, "POLICY_VIOLATION");
    assert!(matches!(broker.shard.groups.get("empty"), Some(Group::Consumer(_))));
}
