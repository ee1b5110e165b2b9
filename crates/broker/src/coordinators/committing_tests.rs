//! Offsets in transactions, as far as the shard of their group.

use super::super::shard::shard;
use super::super::tests::with_internal_topics;
use super::*;
use crate::partition::Partition;
use kafka_protocol::messages::txn_offset_commit_request::TxnOffsetCommitRequestPartition;
use kafka_protocol::messages::{GroupId, ProducerId, TopicName, TransactionalId};
use kafka_protocol::protocol::StrBytes;
use levee_base::Random;
use levee_coordinator::group::{GroupOptions, GroupShard};
use std::collections::BTreeMap;

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
    led.create("t".to_owned(), 1, BTreeMap::new()).await.unwrap();
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
