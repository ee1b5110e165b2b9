//! Markers that a partition refuses.

use super::super::tests::{client, with_internal_topics};
use super::*;
use crate::led_topics::LedTopics;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, DescribeTransactionsRequest, EndTxnRequest, InitProducerIdRequest, ProducerId,
    RequestKind, ResponseKind, TopicName, TransactionalId,
};
use kafka_protocol::protocol::StrBytes;
use std::time::Duration;

fn id() -> TransactionalId {
    TransactionalId(StrBytes::from_static_str("transaction"))
}

async fn ask(led: &LedTopics, version: i16, kind: RequestKind) -> ResponseKind {
    led.coordinators.coordinate(client(), version, kind).await.unwrap()
}

async fn state(led: &LedTopics) -> String {
    let request = DescribeTransactionsRequest::default().with_transactional_ids(vec![id()]);
    match ask(led, 0, RequestKind::DescribeTransactions(request)).await {
        ResponseKind::DescribeTransactions(response) => {
            response.transaction_states[0].transaction_state.to_string()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_transaction_is_not_complete_while_a_partition_that_refuses_its_marker_has_it_open() {
    let led = with_internal_topics().await;
    led.create("t".to_owned(), 1, Default::default()).await.unwrap();
    led.clock.sleep(Duration::from_secs(1)).await;
    let init = InitProducerIdRequest::default()
        .with_transactional_id(Some(id()))
        .with_transaction_timeout_ms(600_000);
    let ResponseKind::InitProducerId(init) = ask(&led, 4, RequestKind::InitProducerId(init)).await else {
        panic!()
    };
    let (producer_id, epoch) = (init.producer_id.0, init.producer_epoch);
    let topic = AddPartitionsToTxnTopic::default()
        .with_name(TopicName(StrBytes::from_static_str("t")))
        .with_partitions(vec![0]);
    let add = AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(id())
        .with_v3_and_below_producer_id(ProducerId(producer_id))
        .with_v3_and_below_producer_epoch(epoch)
        .with_v3_and_below_topics(vec![topic]);
    let ResponseKind::AddPartitionsToTxn(added) = ask(&led, 3, RequestKind::AddPartitionsToTxn(add)).await
    else {
        panic!()
    };
    assert_eq!(added.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code, 0);
    let topic = led.table.by_name("t").unwrap();
    let Some(Partition::Here(log)) = topic.partition(0) else { panic!("it is led here") };
    // By hand, with a coordinator's epoch far beyond any; and the producer goes on.
    let by_hand = |coordinator_epoch| Marker {
        producer: Producer { id: producer_id, epoch },
        coordinator_epoch,
        commit: false,
        transaction_version: 0,
    };
    let records = || log.append_records(&[(None, None)], Some((producer_id, epoch))).unwrap();
    records();
    led.coordinators.write_marker("t", 0, by_hand(1_000)).await.unwrap();
    records();
    let end = EndTxnRequest::default()
        .with_transactional_id(id())
        .with_producer_id(ProducerId(producer_id))
        .with_producer_epoch(epoch)
        .with_committed(true);
    let ResponseKind::EndTxn(ended) = ask(&led, 3, RequestKind::EndTxn(end)).await else { panic!() };
    assert_eq!(ended.error_code, 0);
    led.clock.sleep(COORDINATOR_MARKERS_AGAIN * 10).await;
    assert!(log.ongoing_transaction(producer_id, epoch));
    assert_eq!(state(&led).await, "PrepareCommit");
    // It is ended by hand again, and nothing is open there any more.
    led.coordinators.write_marker("t", 0, by_hand(1_000)).await.unwrap();
    led.clock.sleep(COORDINATOR_MARKERS_AGAIN * 10).await;
    assert!(!log.ongoing_transaction(producer_id, epoch));
    assert_eq!(state(&led).await, "CompleteCommit");
}
