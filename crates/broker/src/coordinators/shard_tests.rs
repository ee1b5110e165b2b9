//! A shard whose partition has no room.

use super::super::tests::{client, on_simulated_streams, with_internal_topics};
use super::*;
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{GroupId, ProducerId, TopicName, TransactionalId, TxnOffsetCommitRequest};
use kafka_protocol::protocol::StrBytes;
use levee_base::limits::PARTITION_VERIFICATIONS;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn offsets_in_a_transaction_outlast_the_rights_of_many_others_while_they_wait_for_room() {
    let led = with_internal_topics().await;
    led.create("t".to_owned(), 1, BTreeMap::new()).await.unwrap();
    let (streams, handle, _) = on_simulated_streams(&led).await;
    let topic = TxnOffsetCommitRequestTopic::default()
        .with_name(TopicName(StrBytes::from_static_str("t")))
        .with_partitions(vec![TxnOffsetCommitRequestPartition::default().with_committed_offset(7)]);
    let commit = TxnOffsetCommitRequest::default()
        .with_transactional_id(TransactionalId(StrBytes::from_static_str("transaction")))
        .with_group_id(GroupId(StrBytes::from_static_str("group")))
        .with_producer_id(ProducerId(1))
        .with_generation_id(-1)
        .with_topics(vec![topic]);
    let guard = handle.log.verify(1, 0, NO_SEQUENCE, false).unwrap();
    assert!(guard.is_some());
    streams.set_full(true);
    let (answer, answered) = oneshot::channel();
    let kind = RequestKind::TxnOffsetCommit(commit);
    let request = Box::new(Request { token: Token(1), client: client(), version: 3, kind });
    handle.calls.send(Call::Request { request, in_order: false, guard, answer }).await.unwrap();
    led.clock.sleep(Duration::from_millis(10)).await;
    for id in (2..).take(PARTITION_VERIFICATIONS) {
        handle.log.verify(id, 0, NO_SEQUENCE, false).unwrap();
    }
    streams.set_full(false);
    led.clock.sleep(Duration::from_millis(10)).await;
    streams.flush_all();
    let ResponseKind::TxnOffsetCommit(response) = answered.await.expect("the shard goes on") else {
        panic!()
    };
    assert_eq!(response.topics[0].partitions[0].error_code, 0);
    assert!(handle.is_loaded() && handle.log.ongoing_transaction(1, 0));
}
