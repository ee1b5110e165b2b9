//! The shards of a registration in a simulated store.

use super::*;
use crate::led_topics::LedTopics;
use crate::led_topics::tests::led;
use crate::partition::Streams;
use crate::partition::log::LogConfig;
use crate::partition::simulated::Simulated;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::{
    GroupId, JoinGroupRequest, OffsetCommitRequest, OffsetFetchRequest, RequestKind, ResponseKind, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use levee_base::{Offset, StreamId};
use levee_coordinator::{Client, Producer};
use levee_meta::{Command, TopicId};

pub(super) fn client() -> Client {
    Client { id: "test".into(), host: "/127.0.0.1".into() }
}

pub(super) async fn with_internal_topics() -> Arc<LedTopics> {
    let led = led().await;
    for name in [CONSUMER_OFFSETS, TRANSACTION_STATE] {
        let topic = internal_topic(name).unwrap();
        led.create(name.to_owned(), topic.partitions, topic.configs()).await.unwrap();
    }
    led
}

/// A loaded shard of groups, over a partition in streams that the test has in its hands.
pub(super) async fn on_simulated_streams(led: &LedTopics) -> (Arc<Simulated>, Handle, AbortHandle) {
    let streams = Simulated::new();
    streams.open(StreamId(1), Offset::ZERO);
    let over: Arc<dyn Streams> = Arc::new(streams.clone());
    let log = PartitionLog::open(over, StreamId(1), 0, LogConfig::default(), led.clock, None).await.unwrap();
    let make = || GroupShard::new(GroupOptions::default(), Random::seeded(1));
    let (handle, task) = shard::shard(led.coordinators.shared(), 0, Arc::new(log), make);
    let task = tokio::spawn(task).abort_handle();
    while !handle.is_loaded() {
        led.clock.sleep(Duration::from_millis(1)).await;
    }
    (streams, handle, task)
}

pub(super) fn commit(group: &'static str, offset: i64) -> RequestKind {
    let partition = OffsetCommitRequestPartition::default().with_committed_offset(offset);
    let topic = OffsetCommitRequestTopic::default()
        .with_name(TopicName(StrBytes::from("t")))
        .with_partitions(vec![partition]);
    RequestKind::OffsetCommit(
        OffsetCommitRequest::default()
            .with_group_id(GroupId(StrBytes::from(group)))
            .with_generation_id_or_member_epoch(-1)
            .with_topics(vec![topic]),
    )
}

async fn committed(led: &LedTopics, group: &'static str) -> Result<i64, i16> {
    let topic = OffsetFetchRequestTopic::default()
        .with_name(TopicName(StrBytes::from("t")))
        .with_partition_indexes(vec![0]);
    let request = OffsetFetchRequest::default()
        .with_group_id(GroupId(StrBytes::from(group)))
        .with_topics(Some(vec![topic]));
    match led.coordinators.coordinate(client(), 7, RequestKind::OffsetFetch(request)).await {
        Some(ResponseKind::OffsetFetch(response)) if response.error_code == 0 => {
            Ok(response.topics[0].partitions[0].committed_offset)
        }
        Some(ResponseKind::OffsetFetch(response)) => Err(response.error_code),
        other => panic!("{other:?}"),
    }
}

async fn commit_code(led: &LedTopics, request: RequestKind) -> i16 {
    match led.coordinators.coordinate(client(), 8, request).await {
        Some(ResponseKind::OffsetCommit(response)) => response.topics[0].partitions[0].error_code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn offsets_are_committed_and_a_shard_of_a_topic_that_is_made_anew_knows_none() {
    let led = with_internal_topics().await;
    led.create("t".to_owned(), 1, BTreeMap::new()).await.unwrap();
    assert_eq!(commit_code(&led, commit("group", 7)).await, 0);
    assert_eq!(committed(&led, "group").await, Ok(7));
    let old = led.table.by_name(CONSUMER_OFFSETS).unwrap().id;
    led.delete(old).await.unwrap();
    assert_eq!(committed(&led, "group").await, Err(16), "nobody coordinates it");
    let topic = internal_topic(CONSUMER_OFFSETS).unwrap();
    led.create(CONSUMER_OFFSETS.to_owned(), topic.partitions, topic.configs()).await.unwrap();
    led.clock.sleep(Duration::from_secs(1)).await;
    assert_eq!(committed(&led, "group").await, Ok(-1));
    assert_eq!(commit_code(&led, commit("group", 8)).await, 0);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_others_is_told_when_the_epoch_ends() {
    let led = with_internal_topics().await;
    led.clock.sleep(Duration::from_secs(1)).await;
    let protocol = JoinGroupRequestProtocol::default().with_name(StrBytes::from("range"));
    let join = JoinGroupRequest::default()
        .with_group_id(GroupId(StrBytes::from("group")))
        .with_session_timeout_ms(60_000)
        .with_rebalance_timeout_ms(300_000)
        .with_protocol_type(StrBytes::from("consumer"))
        .with_protocols(vec![protocol]);
    let asked = led.clone();
    let joining = tokio::spawn(async move {
        asked.coordinators.coordinate(client(), 3, RequestKind::JoinGroup(join)).await
    });
    // It waits for further members.
    led.clock.sleep(Duration::from_secs(1)).await;
    assert!(!joining.is_finished());
    led.store.shutdown().await;
    let answered = led.clock.timeout(Duration::from_secs(1), joining).await.expect("it is told").unwrap();
    match answered {
        Some(ResponseKind::JoinGroup(response)) => assert_eq!(response.error_code, 16),
        other => panic!("{other:?}"),
    }
    assert_eq!(committed(&led, "group").await, Err(16), "and so is who comes later");
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_is_not_open_yet_is_not_taken_for_one_that_is_gone() {
    let led = with_internal_topics().await;
    let marker = Marker {
        producer: Producer { id: 1, epoch: 0 },
        coordinator_epoch: 0,
        commit: true,
        transaction_version: 1,
    };
    let write = |topic: &'static str| led.coordinators.write_marker(topic, 0, marker);
    assert_eq!(write("t").await.unwrap_err(), Unwritten::Unknown);
    // In the metadata, and nobody has opened it.
    let topic = TopicId(Uuid::from_u128(7));
    let (configs, leader) = (BTreeMap::new(), led.epoch);
    let create = Command::CreateTopic { name: "t".to_owned(), topic, partitions: 1, configs, leader };
    led.metadata.commit(create).await.unwrap();
    assert_eq!(write("t").await.unwrap_err(), Unwritten::NotLeader);
    let maintained = led.clone();
    let maintaining = tokio::spawn(async move { maintained.maintain().await });
    led.clock.sleep(Duration::from_secs(1)).await;
    write("t").await.unwrap();
    maintaining.abort();
}
