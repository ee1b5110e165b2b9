//! Offsets and groups that nothing needs any more.

use super::harness::{Broker, Consumer, stabilize, text};
use super::offsets::{ask, commit, fetched, request, transactional};
use crate::effects::Producer;
use crate::group::classic::State;
use crate::schema::group::{OFFSET_COMMIT, OffsetCommitValue, kind_of};

const DAY_MS: u64 = 86_400_000;
const CHECK_MS: u64 = 600_000;

fn exists(broker: &Broker, group: &str) -> bool {
    broker.shard.groups.contains_key(group)
}

#[test]
fn a_simple_groups_offsets_expire_by_their_commits_and_the_group_with_them() {
    let mut broker = Broker::new();
    commit(&mut broker, "g", &[("t", 0, 1)]);
    broker.pass_ms(DAY_MS);
    commit(&mut broker, "g", &[("t", 1, 1)]);
    broker.pass_ms(6 * DAY_MS - CHECK_MS);
    assert_eq!(fetched(&mut broker, "g", "t", 0), (1, 0));
    broker.pass_ms(CHECK_MS);
    assert_eq!(fetched(&mut broker, "g", "t", 0), (-1, 0));
    assert_eq!(fetched(&mut broker, "g", "t", 1), (1, 0));
    let written = broker.log.len();
    broker.pass_ms(DAY_MS);
    assert!(!exists(&broker, "g"));
    assert_eq!(broker.records(written).len(), 2);
    broker.fail_over();
    assert!(!exists(&broker, "g"));
}

#[test]
fn a_client_may_ask_for_a_retention_of_its_own() {
    let mut broker = Broker::new();
    let asked = request("g", &[("t", 0, 1)]).with_retention_time_ms(3_600_000);
    ask(&mut broker, 4, asked);
    let value = OffsetCommitValue::read(broker.records(0)[0].value.clone().unwrap()).unwrap();
    assert_eq!(value.expire_timestamp_ms, Some(value.commit_timestamp_ms + 3_600_000));
    broker.pass_ms(3_600_000 - 1);
    assert_eq!(fetched(&mut broker, "g", "t", 0), (1, 0));
    broker.fail_over();
    broker.pass_ms(CHECK_MS);
    assert_eq!(fetched(&mut broker, "g", "t", 0), (-1, 0));
}

#[test]
fn offsets_of_a_group_count_from_when_it_became_empty() {
    let mut broker = Broker::new();
    let mut consumers = [Consumer { session_timeout_ms: 1_800_000, ..Consumer::new() }];
    commit(&mut broker, "g", &[("u", 0, 1)]);
    stabilize(&mut broker, &mut consumers);
    let [consumer] = &consumers;
    let as_member =
        request("g", &[("t", 0, 1)]).with_generation_id_or_member_epoch(1).with_member_id(text(&consumer.id));
    ask(&mut broker, 9, as_member);
    // Ten days: what it doesn't subscribe to goes, what it does stays.
    for _ in 0..(10 * DAY_MS / 1_700_000) {
        broker.pass_ms(1_700_000);
        assert_eq!(consumer.heartbeat(&mut broker), 0);
    }
    assert_eq!(fetched(&mut broker, "g", "u", 0), (-1, 0));
    assert_eq!(fetched(&mut broker, "g", "t", 0), (1, 0));
    broker.pass_ms(1_800_000);
    assert_eq!(broker.state("g"), State::Empty);
    broker.pass_ms(7 * DAY_MS - 2 * CHECK_MS);
    broker.fail_over();
    assert_eq!(fetched(&mut broker, "g", "t", 0), (1, 0));
    broker.pass_ms(3 * CHECK_MS);
    assert!(!exists(&broker, "g"));
    assert_eq!(fetched(&mut broker, "g", "t", 0), (-1, 0));
}

#[test]
fn a_group_that_is_not_of_consumers_keeps_its_offsets_while_it_has_members() {
    let mut broker = Broker::new();
    commit(&mut broker, "g", &[("t", 0, 1)]);
    let request = Consumer { session_timeout_ms: 1_800_000, ..Consumer::old(3) }.request();
    broker.ask(3, request.with_protocol_type("connect".into()));
    broker.pass_ms(3_000);
    let member = broker.classic("g").leader().unwrap().to_owned();
    let consumer = Consumer { id: member, generation: 1, version: 3, ..Consumer::new() };
    let sync = kafka_protocol::messages::SyncGroupRequest::default()
        .with_group_id(super::harness::group_id("g"))
        .with_generation_id(1)
        .with_member_id(text(&consumer.id));
    broker.ask(3, sync);
    for _ in 0..(8 * DAY_MS / 1_700_000) {
        broker.pass_ms(1_700_000);
        assert_eq!(consumer.heartbeat(&mut broker), 0);
    }
    assert_eq!(fetched(&mut broker, "g", "t", 0), (1, 0));
}

#[test]
fn what_a_transaction_is_about_does_not_expire() {
    let mut broker = Broker::new();
    let producer = Producer { id: 3, epoch: 0 };
    commit(&mut broker, "g", &[("t", 0, 1), ("t", 1, 1)]);
    broker.ask(5, transactional(producer, "g", &[("t", 0, 2)]));
    broker.ask(5, transactional(producer, "h", &[("t", 0, 2)]));
    broker.pass_ms(8 * DAY_MS);
    assert_eq!(fetched(&mut broker, "g", "t", 0), (1, 0));
    assert_eq!(fetched(&mut broker, "g", "t", 1), (-1, 0));
    assert!(exists(&broker, "h"), "it has nothing but what is pending");
    broker.end_transaction(producer, true);
    assert_eq!(fetched(&mut broker, "g", "t", 0), (2, 0));
    broker.pass_ms(CHECK_MS);
    assert!(!exists(&broker, "g") && !exists(&broker, "h"));
}

#[test]
fn a_group_without_offsets_goes_once_it_is_empty() {
    let mut broker = Broker::new();
    Consumer::new().join(&mut broker);
    assert!(exists(&broker, "g"));
    let written = broker.log.len();
    broker.pass_ms(CHECK_MS);
    assert!(!exists(&broker, "g"));
    let records = broker.records(written);
    assert_eq!(records.len(), 1);
    assert_ne!(kind_of(&records[0].key), Ok(OFFSET_COMMIT));
    broker.pass_ms(10 * CHECK_MS);
    assert_eq!(broker.log.len(), written + 1);
}
