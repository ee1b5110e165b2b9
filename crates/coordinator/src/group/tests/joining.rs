//! JoinGroup and SyncGroup: how generations come about.

use super::harness::{Broker, Consumer, START_MS, joined, stabilize, subscribed, synced};
use crate::effects::When;
use crate::group::GroupOptions;
use crate::group::classic::State;
use crate::schema::group::{GroupMetadataKey, GroupMetadataValue};
use bytes::Bytes;
use levee_base::limits::{GROUP_MEMBER_BYTES, GROUP_PENDING_MEMBERS, MESSAGE_BYTES};

fn written(broker: &Broker, from: usize) -> Vec<GroupMetadataValue> {
    let read = |record: crate::effects::Record| {
        assert_eq!(GroupMetadataKey::read(record.key).unwrap().group, super::harness::arc("g"));
        GroupMetadataValue::read(record.value.unwrap()).unwrap()
    };
    broker.records(from).into_iter().map(read).collect()
}

#[test]
fn the_first_member_is_given_an_id_waits_for_others_and_leads() {
    let mut broker = Broker::new();
    let mut consumer = Consumer::new();
    let token = consumer.join(&mut broker);
    let response = joined(&broker, token);
    assert_eq!(response.error_code, 79, "MEMBER_ID_REQUIRED");
    assert_eq!(broker.when(token), When::Now);
    assert!(response.member_id.starts_with("client-"));
    assert_eq!(response.member_id.len(), "client-".len() + 36);
    // That the group exists is written.
    let group = &written(&broker, 0)[0];
    assert_eq!((group.generation, &*group.protocol_type, &group.protocol), (0, "", &None));
    assert_eq!(group.current_state_timestamp_ms, START_MS);

    consumer.id = response.member_id.to_string();
    let token = consumer.join(&mut broker);
    broker.pass_ms(2_999);
    assert_eq!((broker.answer(token), broker.state("g")), (None, State::PreparingRebalance));
    broker.pass_ms(1);
    let response = consumer.joined(&broker, token);
    assert_eq!((response.error_code, response.generation_id), (0, 1));
    assert_eq!((&response.leader, response.skip_assignment), (&response.member_id, false));
    assert_eq!(response.protocol_type.as_deref(), Some("consumer"));
    assert_eq!(response.protocol_name.as_deref(), Some("range"));
    assert_eq!(response.members.len(), 1);
    assert_eq!(response.members[0].metadata, subscribed("t"));
    assert_eq!(broker.log.len(), 1, "a generation is written when it is assigned");

    let id = consumer.id.clone();
    let token = consumer.sync(&mut broker, &[(&id, b"all"), ("nobody", b"some")]);
    let response = synced(&broker, token);
    assert_eq!((response.error_code, &response.assignment[..]), (0, &b"all"[..]));
    assert_eq!(response.protocol_name.as_deref(), Some("range"));
    assert_eq!(broker.when(token), When::Durable);
    let group = &written(&broker, 1)[0];
    assert_eq!((group.generation, &*group.protocol_type), (1, "consumer"));
    assert_eq!(group.protocol.as_deref(), Some("range"));
    assert_eq!(group.leader.as_deref(), Some(&*id));
    // The state as of which it is written is the one before.
    assert_eq!(group.current_state_timestamp_ms, START_MS + 3_000);
    let member = &group.members[0];
    assert_eq!((&*member.client_id, &*member.client_host), ("client", "/127.0.0.1"));
    assert_eq!((member.session_timeout_ms, member.rebalance_timeout_ms), (10_000, 60_000));
    assert_eq!((&member.subscription, &member.assignment[..]), (&subscribed("t"), &b"all"[..]));
    assert_eq!(consumer.heartbeat(&mut broker), 0);
}

#[test]
fn old_clients_join_without_an_id() {
    for version in 0..4 {
        let mut broker = Broker::new();
        let mut consumer = Consumer::old(version);
        let token = consumer.join(&mut broker);
        broker.pass_ms(3_000);
        let response = consumer.joined(&broker, token);
        assert_eq!((response.error_code, response.generation_id), (0, 1));
        let token = consumer.sync(&mut broker, &[(&consumer.id.clone(), b"x")]);
        assert_eq!(&synced(&broker, token).assignment[..], b"x");
        let member = written(&broker, 1).remove(0).members.remove(0);
        // The first version has one time-out for both.
        assert_eq!(member.rebalance_timeout_ms, if version == 0 { 10_000 } else { 60_000 });
    }
}

#[test]
fn the_first_rebalance_waits_on_while_members_come_but_not_beyond_the_time_out() {
    let mut broker = Broker::new();
    let consumer = || Consumer { rebalance_timeout_ms: 8_000, ..Consumer::old(3) };
    let first = consumer().join(&mut broker);
    broker.pass_ms(2_000);
    let second = consumer().join(&mut broker);
    broker.pass_ms(3_999);
    assert_eq!((broker.answer(first), broker.answer(second)), (None, None), "3 s, and 3 more");
    let third = consumer().join(&mut broker);
    broker.pass_ms(1);
    assert_eq!(broker.answer(first), None, "what is left of the time-out: 2 s");
    consumer().join(&mut broker);
    broker.pass_ms(1_999);
    assert_eq!(broker.answer(first), None);
    broker.pass_ms(1);
    assert_eq!(joined(&broker, first).members.len(), 4);
    assert_eq!(joined(&broker, third).members.len(), 0, "only the leader is told");
    assert_eq!(joined(&broker, third).leader, joined(&broker, first).member_id);
    assert_eq!(joined(&broker, first).generation_id, 1);
}

#[test]
fn what_joins_wrongly_is_refused() {
    let mut broker = Broker::new();
    let refused = |broker: &mut Broker, consumer: &Consumer| {
        let token = consumer.join(broker);
        assert_eq!(broker.when(token), When::Now);
        joined(broker, token).error_code
    };
    let unnamed = Consumer { group: "", ..Consumer::new() };
    assert_eq!(refused(&mut broker, &unnamed), 24, "INVALID_GROUP_ID");
    for session_timeout_ms in [5_999, 1_800_001, -1] {
        let consumer = Consumer { session_timeout_ms, ..Consumer::new() };
        assert_eq!(refused(&mut broker, &consumer), 26, "INVALID_SESSION_TIMEOUT");
    }
    let unknown = Consumer { id: "nobody".to_owned(), ..Consumer::new() };
    assert_eq!(refused(&mut broker, &unknown), 25, "UNKNOWN_MEMBER_ID: no such group");
    assert!(broker.log.is_empty());
    let none = Consumer { protocols: Vec::new(), ..Consumer::new() };
    assert_eq!(refused(&mut broker, &none), 23, "INCONSISTENT_GROUP_PROTOCOL");
    assert_eq!(broker.log.len(), 1, "as in Kafka, there is a group now");

    stabilize(&mut broker, &mut [Consumer::new()]);
    assert_eq!(refused(&mut broker, &unknown), 25, "UNKNOWN_MEMBER_ID: no such member");
    let other = Consumer { protocols: vec![("other", Bytes::new())], ..Consumer::new() };
    assert_eq!(refused(&mut broker, &other), 23, "INCONSISTENT_GROUP_PROTOCOL");
    let request = Consumer::new().request().with_protocol_type("connect".into());
    let token = broker.ask(9, request);
    assert_eq!(joined(&broker, token).error_code, 23, "INCONSISTENT_GROUP_PROTOCOL");
    let fixed = Consumer { instance: Some("i"), ..unknown };
    assert_eq!(refused(&mut broker, &fixed), 25, "UNKNOWN_MEMBER_ID: no such instance");

    // An id that was handed out is a dynamic member's.
    let token = Consumer::new().join(&mut broker);
    let id = joined(&broker, token).member_id.to_string();
    assert_eq!(refused(&mut broker, &Consumer { id, instance: Some("i"), ..Consumer::new() }), -1);
}

#[test]
fn an_error_names_no_protocol() {
    let mut broker = Broker::new();
    for (version, name) in [(6, Some("")), (7, None)] {
        let token = Consumer { version, session_timeout_ms: 1, ..Consumer::new() }.join(&mut broker);
        assert_eq!(joined(&broker, token).protocol_name.as_deref(), name);
    }
}

#[test]
fn the_protocol_is_the_one_that_most_like_best_of_those_that_all_support() {
    let with = |names: &[&'static str]| Consumer {
        protocols: names.iter().map(|name| (*name, Bytes::from_static(name.as_bytes()))).collect(),
        ..Consumer::old(3)
    };
    for (members, chosen) in [
        (vec![with(&["a", "b", "c"]), with(&["c", "b", "a"]), with(&["b", "c"])], "b"),
        (vec![with(&["a", "b", "c"]), with(&["c", "b"])], "b"),
        (vec![with(&["range", "sticky"]), with(&["range", "sticky"]), with(&["sticky", "range"])], "range"),
        // As many votes: as Java's hash maps have them.
        (vec![with(&["range", "sticky"]), with(&["sticky", "range"])], "sticky"),
        (vec![with(&["range", "roundrobin"]), with(&["roundrobin", "range"])], "range"),
    ] {
        let mut broker = Broker::new();
        let tokens: Vec<_> = members.iter().map(|member| member.join(&mut broker)).collect();
        broker.pass_ms(60_000);
        for token in &tokens {
            assert_eq!(joined(&broker, *token).protocol_name.as_deref(), Some(chosen));
        }
        for member in joined(&broker, tokens[0]).members {
            assert_eq!(member.metadata, chosen.as_bytes());
        }
    }
}

#[test]
fn a_new_member_makes_the_others_join_again() {
    let mut broker = Broker::new();
    let mut consumers = [Consumer::new(), Consumer::new()];
    stabilize(&mut broker, &mut consumers);
    let [first, second] = &mut consumers;
    let mut third = Consumer::new();
    let token = third.enter(&mut broker);
    assert_eq!(broker.state("g"), State::PreparingRebalance);
    assert_eq!(first.heartbeat(&mut broker), 27, "REBALANCE_IN_PROGRESS");
    let a = first.join(&mut broker);
    assert_eq!(broker.waiting(), 2);
    let b = second.join(&mut broker);
    assert_eq!(broker.waiting(), 0, "all have joined: nothing is waited for");
    assert_eq!(first.joined(&broker, a).members.len(), 3);
    assert_eq!(second.joined(&broker, b).generation_id, 2);
    assert_eq!(&*third.joined(&broker, token).leader, first.id);
    assert_eq!(first.heartbeat(&mut broker), 0, "also while the group completes");
    // Who has another generation finds out.
    second.generation = 1;
    assert_eq!(second.heartbeat(&mut broker), 22, "ILLEGAL_GENERATION");
    let token = second.sync(&mut broker, &[]);
    assert_eq!(synced(&broker, token).error_code, 22, "ILLEGAL_GENERATION");
}

#[test]
fn who_does_not_join_again_in_time_is_gone() {
    let mut broker = Broker::new();
    let mut consumers = [Consumer::new(), Consumer::new()];
    for consumer in &mut consumers {
        consumer.session_timeout_ms = 100_000;
    }
    stabilize(&mut broker, &mut consumers);
    let [first, second] = &mut consumers;
    // The follower has something new to say. The leader stays away, but for its heartbeats.
    second.protocols = vec![("range", subscribed("u"))];
    let token = second.join(&mut broker);
    broker.pass_ms(59_999);
    assert_eq!(first.heartbeat(&mut broker), 27, "REBALANCE_IN_PROGRESS");
    assert_eq!(broker.waiting(), 1);
    broker.pass_ms(1);
    let response = second.joined(&broker, token);
    assert_eq!((&*response.leader, response.members.len()), (&*second.id, 1), "another one leads");
    assert_eq!(first.heartbeat(&mut broker), 25, "UNKNOWN_MEMBER_ID");
}

#[test]
fn a_member_that_says_nothing_new_is_told_what_it_has_missed() {
    let mut broker = Broker::new();
    let mut consumers = [Consumer::new(), Consumer::new()];
    stabilize(&mut broker, &mut consumers);
    let [first, second] = &mut consumers;
    let token = second.join(&mut broker);
    let response = second.joined(&broker, token);
    assert_eq!((response.error_code, response.generation_id, response.members.len()), (0, 1, 0));
    let token = second.sync(&mut broker, &[]);
    assert_eq!(&synced(&broker, token).assignment[..], b"1");
    assert_eq!(broker.state("g"), State::Stable);
    // The leader's JoinGroup is a wish for a rebalance.
    let token = first.join(&mut broker);
    assert_eq!(broker.state("g"), State::PreparingRebalance);
    let other = second.join(&mut broker);
    assert_eq!(first.joined(&broker, token).generation_id, 2);
    assert_eq!(second.joined(&broker, other).generation_id, 2);
    // While the group completes, the leader too is told again.
    let token = first.join(&mut broker);
    assert_eq!(first.joined(&broker, token).members.len(), 2);
    assert_eq!(broker.state("g"), State::CompletingRebalance);
    // Other metadata does need a rebalance.
    second.protocols = vec![("range", subscribed("u"))];
    second.join(&mut broker);
    assert_eq!(broker.state("g"), State::PreparingRebalance);
}

#[test]
fn followers_wait_for_the_leader_or_for_the_next_rebalance() {
    let mut broker = Broker::new();
    let mut consumers = [Consumer::old(3), Consumer::old(3)];
    let tokens = consumers.each_ref().map(|consumer| consumer.join(&mut broker));
    broker.pass_ms(6_000);
    for (consumer, token) in consumers.iter_mut().zip(tokens) {
        consumer.joined(&broker, token);
    }
    let [first, second] = &consumers;
    let waits = second.sync(&mut broker, &[]);
    // Its session doesn't end meanwhile.
    for _ in 0..4 {
        broker.pass_ms(9_000);
        assert_eq!(first.heartbeat(&mut broker), 0);
    }
    assert_eq!(broker.answer(waits), None);
    Consumer::old(3).join(&mut broker);
    assert_eq!(synced(&broker, waits).error_code, 27, "REBALANCE_IN_PROGRESS");
    let token = second.sync(&mut broker, &[]);
    assert_eq!(synced(&broker, token).error_code, 27, "REBALANCE_IN_PROGRESS");
    // From its answer on it is expected again.
    broker.pass_ms(9_999);
    assert_eq!(second.heartbeat(&mut broker), 27, "REBALANCE_IN_PROGRESS");
    broker.pass_ms(1);
    assert_eq!(first.heartbeat(&mut broker), 25, "UNKNOWN_MEMBER_ID: the leader has not been heard of");
}

#[test]
fn who_does_not_ask_for_its_assignment_in_time_is_gone() {
    let mut broker = Broker::new();
    let mut consumers = [Consumer::old(3), Consumer::old(3), Consumer::old(3)];
    let tokens = consumers.each_ref().map(|consumer| consumer.join(&mut broker));
    broker.pass_ms(6_000);
    for (consumer, token) in consumers.iter_mut().zip(tokens) {
        consumer.joined(&broker, token);
    }
    let [first, second, third] = &consumers;
    for consumer in [first, second] {
        consumer.sync(&mut broker, &[]);
    }
    assert_eq!(broker.state("g"), State::Stable);
    for _ in 0..6 {
        broker.pass_ms(9_000);
        for consumer in &consumers {
            assert_eq!(consumer.heartbeat(&mut broker), 0);
        }
    }
    broker.pass_ms(6_000);
    assert_eq!(broker.state("g"), State::PreparingRebalance);
    assert_eq!(third.heartbeat(&mut broker), 25, "UNKNOWN_MEMBER_ID");
    assert_eq!(second.heartbeat(&mut broker), 27, "REBALANCE_IN_PROGRESS");
}

#[test]
fn a_sync_says_what_it_believes() {
    let mut broker = Broker::new();
    let mut consumers = [Consumer::new()];
    stabilize(&mut broker, &mut consumers);
    let sync = |broker: &mut Broker, version, kind: Option<&'static str>, name: Option<&'static str>| {
        let request = kafka_protocol::messages::SyncGroupRequest::default()
            .with_group_id(super::harness::group_id("g"))
            .with_generation_id(1)
            .with_member_id(super::harness::text(&consumers[0].id))
            .with_protocol_type(kind.map(Into::into))
            .with_protocol_name(name.map(Into::into));
        let token = broker.ask(version, request);
        synced(broker, token).error_code
    };
    assert_eq!(sync(&mut broker, 5, Some("consumer"), Some("range")), 0);
    assert_eq!(sync(&mut broker, 4, None, None), 0);
    for (kind, name) in [(None, Some("range")), (Some("consumer"), None), (Some("x"), Some("range"))] {
        assert_eq!(sync(&mut broker, 5, kind, name), 23, "INCONSISTENT_GROUP_PROTOCOL");
    }
    assert_eq!(sync(&mut broker, 5, Some("consumer"), Some("x")), 23, "INCONSISTENT_GROUP_PROTOCOL");
    for (group, error) in [("", 24), ("nothing", 25)] {
        let token = Consumer { group, ..consumers[0].clone() }.sync(&mut broker, &[]);
        assert_eq!(synced(&broker, token).error_code, error);
    }
}

#[test]
fn an_assignment_that_is_too_large_to_be_written_is_an_error_for_all() {
    let mut broker = Broker::new();
    let mut consumers = [Consumer::old(3), Consumer::old(3)];
    let tokens = consumers.each_ref().map(|consumer| consumer.join(&mut broker));
    broker.pass_ms(6_000);
    for (consumer, token) in consumers.iter_mut().zip(tokens) {
        consumer.joined(&broker, token);
    }
    let large: &'static [u8] = vec![0; MESSAGE_BYTES].leak();
    let [first, second] = &consumers;
    let waits = second.sync(&mut broker, &[]);
    let written = broker.log.len();
    let token = first.sync(&mut broker, &[(&first.id, large)]);
    for token in [token, waits] {
        let response = synced(&broker, token);
        assert_eq!((response.error_code, response.assignment.len()), (-1, 0), "UNKNOWN_SERVER_ERROR");
    }
    assert_eq!((broker.log.len(), broker.state("g")), (written, State::PreparingRebalance));
}

#[test]
fn a_group_has_no_more_members_than_it_may() {
    let mut broker = Broker::with(GroupOptions { size_max: 2, ..GroupOptions::default() });
    let mut consumers = [Consumer::new(), Consumer::new()];
    stabilize(&mut broker, &mut consumers);
    let token = Consumer::new().join(&mut broker);
    assert_eq!(joined(&broker, token).error_code, 81, "GROUP_MAX_SIZE_REACHED");
    assert_eq!(broker.state("g"), State::Stable);
    // The bound is lowered: whoever joins last has no place.
    broker.options.size_max = 1;
    broker.fail_over();
    assert_eq!(broker.state("g"), State::PreparingRebalance);
    let [first, second] = &consumers;
    let last = second.join(&mut broker);
    let token = first.join(&mut broker);
    assert_eq!(joined(&broker, token).error_code, 81, "GROUP_MAX_SIZE_REACHED");
    assert_eq!(joined(&broker, token).member_id.len(), 0);
    broker.pass_ms(60_000);
    assert_eq!(joined(&broker, last).members.len(), 1);
}

#[test]
fn what_clients_can_make_the_group_keep_is_bounded() {
    let mut broker = Broker::new();
    let large =
        Consumer { protocols: vec![("range", vec![0; GROUP_MEMBER_BYTES].into())], ..Consumer::new() };
    let token = large.join(&mut broker);
    assert_eq!(joined(&broker, token).error_code, 42, "INVALID_REQUEST");
    assert_eq!(broker.state("g"), State::Empty);
    // (By the counter: a test of ten thousand clients would only be slower.)
    broker.shard.pending_members = levee_base::limits::GROUPS_PENDING_MEMBERS;
    let before = broker.shard.pending_members;
    assert!(before >= GROUP_PENDING_MEMBERS);
    let request = Consumer { group: "h", ..Consumer::new() }.request();
    let effects = broker.handle_unchecked(9, request);
    match &effects.answers[0].response {
        kafka_protocol::messages::ResponseKind::JoinGroup(response) => {
            assert_eq!(response.error_code, 15, "COORDINATOR_NOT_AVAILABLE");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(broker.shard.pending_members, before);
    assert!(!broker.shard.groups.contains_key("h"), "nor is there a group for each attempt");
}

#[test]
fn a_request_on_a_connection_that_was_given_up_is_answered_too() {
    let mut broker = Broker::new();
    let mut consumer = Consumer::new();
    let first = consumer.enter(&mut broker);
    let second = consumer.join(&mut broker);
    assert_eq!(joined(&broker, first).error_code, 27, "REBALANCE_IN_PROGRESS");
    broker.pass_ms(3_000);
    consumer.joined(&broker, second);
    let mut other = Consumer::new();
    other.enter(&mut broker);
    let token = consumer.join(&mut broker);
    assert_eq!(consumer.joined(&broker, token).generation_id, 2);
}
