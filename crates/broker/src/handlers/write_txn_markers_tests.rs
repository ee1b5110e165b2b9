//! How the answers for many markers are put together.

use super::*;
use kafka_protocol::messages::RequestKind;
use kafka_protocol::messages::ResponseKind;
use levee_base::Clock;
use levee_coordinator::Client;
use std::sync::Arc;
use std::time::Duration;

/// Where no partition exists.
struct Nowhere;

impl Coordination for Nowhere {
    async fn coordinate(&self, _: Client, _: i16, _: RequestKind) -> Option<ResponseKind> {
        None
    }

    async fn write_marker(
        &self,
        _: &str,
        _: i32,
        _: Marker,
    ) -> Result<(Arc<PartitionLog>, Option<Slot>), Unwritten> {
        Err(Unwritten::Unknown)
    }
}

fn marker(producer_id: i64, topics: &[(&str, &[i32])]) -> TxnMarker {
    let topics = topics.iter().map(|(name, indexes)| ((*name).to_owned(), indexes.to_vec()));
    TxnMarker {
        producer_id,
        producer_epoch: 0,
        commit: true,
        topics: topics.collect(),
        coordinator_epoch: 0,
        transaction_version: 0,
    }
}

type ToldTopic = (String, Vec<i32>);

fn told(response: &WriteTxnMarkersResponse) -> Vec<(i64, Vec<ToldTopic>)> {
    let topic = |topic: &WritableTxnMarkerTopicResult| {
        let partitions = topic.partitions.iter().map(|one| one.partition_index);
        (topic.name.to_string(), partitions.collect())
    };
    let producer =
        |one: &WritableTxnMarkerResult| (one.producer_id.0, one.topics.iter().map(topic).collect());
    response.markers.iter().map(producer).collect()
}

#[tokio::test]
async fn a_producers_markers_are_answered_together_in_the_order_in_which_they_are_named() {
    let markers = vec![
        marker(9, &[("b", &[1]), ("a", &[0]), ("b", &[2])]),
        marker(3, &[]),
        marker(1, &[("a", &[5])]),
        marker(9, &[("c", &[4]), ("b", &[3]), ("c", &[6])]),
    ];
    let topic = |name: &str, indexes: &[i32]| (name.to_owned(), indexes.to_vec());
    let expected = [
        (9, vec![topic("b", &[1, 3]), topic("a", &[0]), topic("b", &[2]), topic("c", &[4, 6])]),
        (1, vec![topic("a", &[5])]),
    ];
    assert_eq!(told(&handle(&Nowhere, markers).await), expected);
}

#[tokio::test]
async fn many_markers_and_topics_take_time_by_their_number_and_not_by_its_square() {
    let mut markers: Vec<_> = (0..100_000).map(|producer_id| marker(producer_id, &[("t", &[0])])).collect();
    for _ in 0..2 {
        let topics = (0..50_000).map(|number| (format!("a topic with a long name {number}"), vec![0]));
        markers.push(TxnMarker { topics: topics.collect(), ..marker(0, &[]) });
    }
    let clock = Clock::system();
    let began = clock.now();
    let response = handle(&Nowhere, markers).await;
    assert_eq!((response.markers.len(), response.markers[0].topics.len()), (100_000, 50_001));
    // By the square it is a minute and more.
    let took = clock.now() - began;
    assert!(took < Duration::from_secs(10), "{took:?}");
}
