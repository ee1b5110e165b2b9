//! Offsets in transactions, as far as the shard of their group.

use super::super::shard::shard;
use super::super::tests::with_internal_topics;
use super::*;
use crate::partition::Partition;
use kafka_protocol::messages::txn_offset_commit_request::TxnOffsetCommitRequestPartition;
use kafka_protocol::messages::{GroupId, ProducerId, TopicName, TransactionalId};
use kafka_protocol::protocol::StrBytes;
use levee_base::{Clock, Random};
use levee_coordinator::group::{GroupOptions, GroupShard};
use std::time::Duration;

fn commit_of(topics: &[(&'static str, &[i32])]) -> TxnOffsetCommitRequest {
    let topic = |(name, indexes): &(&'static str, &[i32])| {
        let partition = |index: &i32| TxnOffsetCommitRequestPartition::default().with_partition_index(*index);
        TxnOffsetCommitRequestTopic::default()
            .with_name(TopicName(StrBytes::from(*name)))
            .with_partitions(indexes.iter().map(partition).collect())
    };
    TxnOffsetCommitRequest::default()
        .with_transactional_id(TransactionalId(StrBytes::from("transaction")))
        .with_group_id(GroupId(StrBytes::from("group")))
        .with_producer_id(ProducerId(1))
        .with_topics(topics.iter().map(topic).collect())
}

/// Whether the shard is loaded is looked at once: one that is loaded a moment later must not get the request.
#[tokio::test(start_paused = true)]
async fn nobody_gets_the_right_to_begin_a_transaction_without_having_joined_it() {
    let led = with_internal_topics().await;
    led.create("t".to_owned(), 1, Default::default()).await.unwrap();
    let shared = led.coordinators.shared();
    let topic = led.table.by_name(CONSUMER_OFFSETS).unwrap();
    let Some(Partition::Here(log)) = topic.partition(0) else { panic!("it is led here") };
    let make = || GroupShard::new(GroupOptions::default(), Random::seeded(1));
    // Its task does not run, so that it is not loaded.
    let (handle, task) = shard(shared.clone(), 0, log.clone(), make);
    let request = commit_of(&[("t", &[0])]);
    for version in [3, 4, 5] {
        let loading = Err(Unenrolled::NotReady(Code::CoordinatorLoadInProgress));
        assert_eq!(enrolled(&shared, &handle, &request, version).await, loading, "{version}");
    }
    drop(task);
    let gone = Err(Unenrolled::NotReady(Code::NotCoordinator));
    assert_eq!(enrolled(&shared, &handle, &request, 5).await, gone);
}

#[test]
fn refusals_tell_first_what_does_not_exist_by_topic_in_the_order_of_the_request() {
    let request = commit_of(&[("a", &[0, 9]), ("none", &[]), ("b", &[9]), ("a", &[8, 1]), ("c", &[0])]);
    let refused = refuse_all(&request, |_, partition| partition < 5, Code::InvalidTxnState);
    let told = |topic: &TxnOffsetCommitResponseTopic| {
        let partitions = topic.partitions.iter().map(|one| (one.partition_index, one.error_code));
        (topic.name.to_string(), partitions.collect::<Vec<_>>())
    };
    let expected = [
        ("a".to_owned(), vec![(9, 3), (8, 3), (0, 48), (1, 48)]),
        ("b".to_owned(), vec![(9, 3)]),
        ("c".to_owned(), vec![(0, 48)]),
    ];
    assert_eq!(refused.topics.iter().map(told).collect::<Vec<_>>(), expected);
}

#[test]
fn refusing_takes_time_by_what_is_named_and_not_by_its_square() {
    let topic = |number: usize| {
        TxnOffsetCommitRequestTopic::default()
            .with_name(TopicName(StrBytes::from_string(format!("a topic with a long name {number}"))))
            .with_partitions(vec![TxnOffsetCommitRequestPartition::default()])
    };
    let request = TxnOffsetCommitRequest::default().with_topics((0..100_000).map(topic).collect());
    let clock = Clock::system();
    let began = clock.now();
    assert_eq!(refuse_all(&request, |_, _| true, Code::InvalidTxnState).topics.len(), 100_000);
    // By the square it is a minute and more.
    let took = clock.now() - began;
    assert!(took < Duration::from_secs(10), "{took:?}");
}
