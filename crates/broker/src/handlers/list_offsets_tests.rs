//! Each question, and each way to be refused.

use super::*;
use crate::batch::build::Build;
use crate::handlers::api_versions::on_the_wire;
use crate::partition::log::LogConfig;
use crate::partition::simulated::Simulated;
use crate::partition::{Streams, Topic};
use crate::wire::writer::Leader;
use kafka_protocol::messages::list_offsets_request::ListOffsetsTopic;
use kafka_protocol::messages::{ApiKey, TopicName};
use kafka_protocol::protocol::StrBytes;
use levee_base::{Clock, Offset, StreamId};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

const VERSION: i16 = 11;

/// Two batches with timestamps 10, 30 and 20, of which the second is not durable, at offsets from 100 on.
async fn table() -> (Arc<Simulated>, PartitionTable) {
    let simulated = Simulated::new();
    simulated.open(StreamId(1), Offset(100));
    let streams: Arc<dyn Streams> = Arc::new(simulated.clone());
    let clock = Clock::simulated(1_000);
    let log = PartitionLog::open(streams, StreamId(1), 3, LogConfig::default(), clock, None).await.unwrap();
    for build in [Build::new().record(10, "k", "v").record(30, "k", "v"), Build::records(1, 40)] {
        log.append(&mut log.check(&mut build.bytes(), 11).unwrap()).unwrap();
    }
    simulated.flush(1);
    let partitions = vec![
        Partition::Here(Arc::new(log)),
        Partition::Elsewhere(Leader { id: 2, epoch: 1 }),
        Partition::Unavailable,
    ];
    let table = PartitionTable::default();
    table.insert(Topic { name: "t".into(), id: Uuid::from_u128(1), configs: BTreeMap::new(), partitions });
    (simulated, table)
}

fn asked(index: i32, timestamp: i64) -> ListOffsetsPartition {
    ListOffsetsPartition::default()
        .with_partition_index(index)
        .with_timestamp(timestamp)
        .with_current_leader_epoch(-1)
}

/// (error, offset, timestamp, leader epoch) of each partition.
async fn ask(
    table: &PartitionTable,
    topic: &'static str,
    partitions: Vec<ListOffsetsPartition>,
    version: i16,
) -> Vec<(i16, i64, i64, i32)> {
    let topic = ListOffsetsTopic::default()
        .with_name(TopicName(StrBytes::from_static_str(topic)))
        .with_partitions(partitions);
    let response = list_offsets(table, ListOffsetsRequest::default().with_topics(vec![topic]), version).await;
    let answers = response.topics[0].partitions.iter();
    answers.map(|one| (one.error_code, one.offset, one.timestamp, one.leader_epoch)).collect()
}

#[tokio::test(start_paused = true)]
async fn each_question_has_its_answer() {
    let (_, table) = table().await;
    for (timestamp, answer) in [
        (-1, (0, 102, -1, 3)),
        (-2, (0, 100, -1, 3)),
        (-3, (0, 101, 30, 3)),
        (-4, (0, 100, -1, 3)),
        (-5, (0, -1, -1, -1)),
        (-6, (0, -1, -1, -1)),
        (0, (0, 100, 10, 3)),
        (11, (0, 101, 30, 3)),
        (31, (0, -1, -1, -1)),
        (i64::MAX, (0, -1, -1, -1)),
    ] {
        assert_eq!(ask(&table, "t", vec![asked(0, timestamp)], VERSION).await, [answer], "{timestamp}");
    }
}

/// DeleteRecords can say any offset.
#[tokio::test(start_paused = true)]
async fn an_isolation_level_that_does_not_exist_fails_as_in_kafka() {
    let (_, table) = table().await;
    for level in [2, -1] {
        let topic = ListOffsetsTopic::default()
            .with_name(TopicName(StrBytes::from_static_str("t")))
            .with_partitions(vec![asked(0, -1), asked(9, -1), asked(0, -1)]);
        let request = ListOffsetsRequest::default().with_topics(vec![topic]).with_isolation_level(level);
        let response = list_offsets(&table, request, VERSION).await;
        let told: Vec<_> = response.topics[0]
            .partitions
            .iter()
            .map(|one| (one.partition_index, one.error_code, one.offset))
            .collect();
        assert_eq!(told, [(0, -1, -1), (9, -1, -1), (0, -1, -1)]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_partition_may_begin_within_a_batch() {
    let (simulated, table) = table().await;
    simulated.set_start(StreamId(1), Offset(101));
    for (timestamp, answer) in
        [(-2, (0, 101, -1, 3)), (-3, (0, 101, 30, 3)), (0, (0, 101, 30, 3)), (31, (0, -1, -1, -1))]
    {
        assert_eq!(ask(&table, "t", vec![asked(0, timestamp)], VERSION).await, [answer], "{timestamp}");
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_have_kafkas_codes() {
    let (simulated, table) = table().await;
    let code = |code| vec![(code, -1, -1, -1)];
    for (timestamp, version) in [(-3, 6), (-4, 7), (-5, 8), (-6, 10), (-7, 11), (i64::MIN, 11)] {
        assert_eq!(ask(&table, "t", vec![asked(0, timestamp)], version).await, code(35), "{timestamp}");
    }
    assert_eq!(ask(&table, "u", vec![asked(0, -1)], VERSION).await, code(3));
    assert_eq!(ask(&table, "t", vec![asked(3, -1)], VERSION).await, code(3));
    assert_eq!(ask(&table, "t", vec![asked(1, -1)], VERSION).await, code(6));
    assert_eq!(ask(&table, "t", vec![asked(2, -1)], VERSION).await, code(6));
    let epoch = |epoch| vec![asked(0, -1).with_current_leader_epoch(epoch)];
    assert_eq!(ask(&table, "t", epoch(2), VERSION).await, code(74));
    assert_eq!(ask(&table, "t", epoch(4), VERSION).await, code(75));
    assert_eq!(ask(&table, "t", epoch(-2), VERSION).await, code(74));
    let twice = ask(&table, "t", vec![asked(0, -1), asked(0, -2), asked(1, -1)], VERSION).await;
    assert_eq!(twice.iter().map(|one| one.0).collect::<Vec<_>>(), [42, 6]);
    simulated.set_broken(true);
    assert_eq!(ask(&table, "t", vec![asked(0, 5)], VERSION).await, code(56));
}

/// librdkafka 2.0 asks with version 2, which has no leader epoch to say.
#[tokio::test(start_paused = true)]
async fn every_version_encodes() {
    let (_, table) = table().await;
    for version in 1..=VERSION {
        for index in 0..3 {
            let topic = ListOffsetsTopic::default()
                .with_name(TopicName(StrBytes::from_static_str("t")))
                .with_partitions(vec![asked(index, LATEST)]);
            let request = ListOffsetsRequest::default().with_topics(vec![topic]);
            let response = list_offsets(&table, request, version).await;
            let mut bytes = bytes::BytesMut::new();
            kafka_protocol::protocol::Encodable::encode(
                &response,
                &mut bytes,
                on_the_wire(ApiKey::ListOffsets, version),
            )
            .unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn readers_of_committed_records_find_nothing_undecided() {
    let (simulated, table) = table().await;
    let topic = table.by_name("t").unwrap();
    let Some(Partition::Here(log)) = topic.partition(0) else { panic!() };
    log.append_records(&[(None, None)], Some((7, 0))).unwrap();
    simulated.flush_all();
    let committed = |timestamp| {
        let topic = ListOffsetsTopic::default()
            .with_name(TopicName(StrBytes::from_static_str("t")))
            .with_partitions(vec![asked(0, timestamp)]);
        let request = ListOffsetsRequest::default().with_topics(vec![topic]).with_isolation_level(1);
        let table = &table;
        async move {
            let response = list_offsets(table, request, VERSION).await;
            let one = &response.topics[0].partitions[0];
            (one.error_code, one.offset, one.timestamp, one.leader_epoch)
        }
    };
    assert_eq!(committed(-1).await, (0, 103, -1, 3));
    assert_eq!(ask(&table, "t", vec![asked(0, -1)], VERSION).await, [(0, 104, -1, 3)]);
    // The record of the transaction has the leader's time, which is the largest.
    assert_eq!(ask(&table, "t", vec![asked(0, -3)], VERSION).await, [(0, 103, 1_000, 3)]);
    assert_eq!(committed(-3).await, (0, -1, -1, -1));
    assert_eq!(committed(500).await, (0, -1, -1, -1));
    assert_eq!((committed(40).await, committed(-2).await), ((0, 102, 40, 3), (0, 100, -1, 3)));
    log.append_marker(7, 0, 0, false, 1).unwrap();
    assert_eq!(committed(-1).await.1, 103);
    simulated.flush_all();
    assert_eq!((committed(-1).await.1, committed(500).await.1), (105, 103));
}
