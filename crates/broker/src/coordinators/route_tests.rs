//! Requests that name many groups or transactions.

use super::super::Open;
use super::super::tests::{client, commit, on_simulated_streams, with_internal_topics};
use super::*;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, DescribeGroupsRequest, DescribeTransactionsRequest, GroupId,
    OffsetFetchRequest, TransactionalId,
};
use kafka_protocol::protocol::StrBytes;
use levee_base::limits::NAMED_IN_A_REQUEST;
use std::collections::BTreeMap;

const OFTEN: usize = NAMED_IN_A_REQUEST;

/// One too many, with another in between.
fn named<T>(make: impl Fn(StrBytes) -> T) -> Vec<T> {
    let mut names = vec![StrBytes::from_static_str("one"); OFTEN + 2];
    names.insert(1, StrBytes::from_static_str("other"));
    names.into_iter().map(make).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_named_again_is_answered_again_up_to_a_bound() {
    let led = with_internal_topics().await;
    led.clock.sleep(Duration::from_secs(1)).await;
    let requests = [
        (6, RequestKind::DescribeGroups(DescribeGroupsRequest::default().with_groups(named(GroupId)))),
        (
            1,
            RequestKind::ConsumerGroupDescribe(
                ConsumerGroupDescribeRequest::default().with_group_ids(named(GroupId)),
            ),
        ),
        (
            8,
            RequestKind::OffsetFetch(OffsetFetchRequest::default().with_groups(named(|id| {
                OffsetFetchRequestGroup::default().with_group_id(GroupId(id)).with_topics(None)
            }))),
        ),
        (
            0,
            RequestKind::DescribeTransactions(
                DescribeTransactionsRequest::default().with_transactional_ids(named(TransactionalId)),
            ),
        ),
    ];
    let expected = named(|id| id.to_string());
    for (version, request) in requests {
        let told: Vec<(String, i16)> =
            match led.coordinators.coordinate(client(), version, request).await.unwrap() {
                ResponseKind::DescribeGroups(response) => {
                    response.groups.iter().map(|one| (one.group_id.to_string(), one.error_code)).collect()
                }
                ResponseKind::ConsumerGroupDescribe(response) => {
                    response.groups.iter().map(|one| (one.group_id.to_string(), one.error_code)).collect()
                }
                ResponseKind::OffsetFetch(response) => {
                    response.groups.iter().map(|one| (one.group_id.to_string(), one.error_code)).collect()
                }
                ResponseKind::DescribeTransactions(response) => {
                    let states = response.transaction_states.iter();
                    states.map(|one| (one.transactional_id.to_string(), one.error_code)).collect()
                }
                other => panic!("{other:?}"),
            };
        let (names, codes): (Vec<_>, Vec<_>) = told.into_iter().unzip();
        assert_eq!(names, expected);
        let (answered, refused) = codes.split_at(OFTEN + 1);
        assert!(answered.iter().all(|code| *code == codes[0] && *code != 42), "{codes:?}");
        assert_eq!(refused, [42, 42]);
    }
}

#[tokio::test(start_paused = true)]
async fn few_parts_of_a_request_wait_at_once_however_many_it_has() {
    let led = with_internal_topics().await;
    led.create("t".to_owned(), 1, BTreeMap::new()).await.unwrap();
    let (streams, handle, task) = on_simulated_streams(&led).await;
    let shared = led.coordinators.shared();
    *shared.groups.open.write().unwrap() = (1, BTreeMap::from([(0, Open { handle: handle.clone(), task })]));
    // It waits for room, and with it all who ask.
    streams.set_full(true);
    let asked = led.clone();
    let committing =
        tokio::spawn(async move { asked.coordinators.coordinate(client(), 8, commit("g", 1)).await });
    led.clock.sleep(Duration::from_millis(10)).await;
    assert_eq!(handle.calls.capacity(), handle.calls.max_capacity());
    let ids: Vec<_> = (0..1_000).map(|id| GroupId(StrBytes::from_string(format!("group {id}")))).collect();
    let describe = DescribeGroupsRequest::default().with_groups(ids.clone());
    let asked = led.clone();
    let describing = tokio::spawn(async move {
        asked.coordinators.coordinate(client(), 5, RequestKind::DescribeGroups(describe)).await
    });
    led.clock.sleep(Duration::from_millis(10)).await;
    assert_eq!(handle.calls.max_capacity() - handle.calls.capacity(), COORDINATOR_PARTS_AT_ONCE);
    // All are answered in order once there is room,
    streams.set_full(false);
    let Some(ResponseKind::DescribeGroups(response)) = describing.await.unwrap() else { panic!() };
    let told: Vec<_> = response.groups.into_iter().map(|group| group.group_id).collect();
    assert_eq!(told, ids);
    streams.flush_all();
    committing.await.unwrap().unwrap();
    // and if there is none, all are told so after the time that one may take.
    streams.set_full(true);
    let asked = led.clone();
    tokio::spawn(async move { asked.coordinators.coordinate(client(), 8, commit("g", 2)).await });
    led.clock.sleep(Duration::from_millis(10)).await;
    let began = led.clock.now();
    let describe = RequestKind::DescribeGroups(DescribeGroupsRequest::default().with_groups(ids));
    let Some(ResponseKind::DescribeGroups(response)) =
        led.coordinators.coordinate(client(), 5, describe).await
    else {
        panic!()
    };
    assert!(response.groups.iter().all(|group| group.error_code == Code::CoordinatorNotAvailable.code()));
    // (What is told so before it was its turn was not handed on.)
    assert_eq!(handle.calls.max_capacity() - handle.calls.capacity(), COORDINATOR_PARTS_AT_ONCE);
    assert_eq!(response.groups.len(), 1_000);
    assert!(led.clock.now() - began < GROUP_ANSWER * 2, "{:?}", led.clock.now() - began);
}
