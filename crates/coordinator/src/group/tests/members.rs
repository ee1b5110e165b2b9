//! Heartbeats, leaving, and members that are not heard of.

use super::harness::{Broker, Consumer, group_id, joined, stabilize, synced, text};
use crate::effects::{Token, When};
use crate::group::classic::State;
use crate::schema::group::GroupMetadataValue;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse, ResponseKind};

fn identity(id: &str, instance: Option<&'static str>) -> MemberIdentity {
    MemberIdentity::default().with_member_id(text(id)).with_group_instance_id(instance.map(Into::into))
}

fn leave(broker: &mut Broker, group: &str, members: Vec<MemberIdentity>) -> LeaveGroupResponse {
    let request = LeaveGroupRequest::default().with_group_id(group_id(group)).with_members(members);
    let token = broker.ask(5, request);
    left(broker, token)
}

fn left(broker: &Broker, token: Token) -> LeaveGroupResponse {
    assert_eq!(broker.when(token), When::Durable);
    match broker.answer(token) {
        Some(ResponseKind::LeaveGroup(response)) => response.clone(),
        other => panic!("{other:?}"),
    }
}

fn errors(response: &LeaveGroupResponse) -> Vec<i16> {
    response.members.iter().map(|member| member.error_code).collect()
}

#[test]
fn a_member_that_is_not_heard_of_is_gone_and_the_others_rebalance() {
    let mut broker = Broker::new();
    let mut consumers = [Consumer::new(), Consumer::new()];
    stabilize(&mut broker, &mut consumers);
    let [first, second] = &mut consumers;
    broker.pass_ms(9_999);
    assert_eq!(first.heartbeat(&mut broker), 0);
    broker.pass_ms(1);
    assert_eq!(first.heartbeat(&mut broker), 27, "REBALANCE_IN_PROGRESS");
    assert_eq!(second.heartbeat(&mut broker), 25, "UNKNOWN_MEMBER_ID");
    let token = first.join(&mut broker);
    assert_eq!(first.joined(&broker, token).members.len(), 1);
    // Now nobody is heard of: the group becomes empty, and that is written.
    let written = broker.log.len();
    broker.pass_ms(60_000);
    assert_eq!(broker.state("g"), State::Empty);
    let group = GroupMetadataValue::read(broker.records(written)[0].value.clone().unwrap()).unwrap();
    assert_eq!((group.generation, &*group.protocol_type, group.protocol), (3, "consumer", None));
    assert_eq!((group.leader, group.members.len()), (None, 0));
    assert_eq!(first.heartbeat(&mut broker), 25, "UNKNOWN_MEMBER_ID");
    let token = first.sync(&mut broker, &[]);
    assert_eq!(synced(&broker, token).error_code, 25, "UNKNOWN_MEMBER_ID");
}

#[test]
fn who_waits_is_alive_but_a_new_member_not_for_ever() {
    let mut broker = Broker::new();
    let mut consumers = [Consumer::new(), Consumer::new()];
    for consumer in &mut consumers {
        consumer.rebalance_timeout_ms = 1_000_000;
    }
    stabilize(&mut broker, &mut consumers);
    let [first, second] = &consumers;
    let old = first.join(&mut broker);
    let mut third = Consumer::new();
    let new = third.enter(&mut broker);
    for _ in 0..30 {
        broker.pass_ms(9_990);
        assert_eq!(second.heartbeat(&mut broker), 27, "REBALANCE_IN_PROGRESS");
    }
    assert_eq!(broker.waiting(), 2);
    broker.pass_ms(300);
    assert_eq!(joined(&broker, new).error_code, 25, "UNKNOWN_MEMBER_ID: its client may be gone");
    assert_eq!(broker.answer(old), None);
    let token = second.join(&mut broker);
    assert_eq!(joined(&broker, old).members.len(), 2);
    assert_eq!(joined(&broker, token).error_code, 0);
}

#[test]
fn an_id_that_nobody_joins_with_holds_a_rebalance_up_for_a_session() {
    let mut broker = Broker::new();
    let mut consumers = [Consumer::new()];
    stabilize(&mut broker, &mut consumers);
    let token = Consumer::new().join(&mut broker);
    let id = joined(&broker, token).member_id.to_string();
    assert_eq!(broker.state("g"), State::Stable);
    let token = consumers[0].join(&mut broker);
    broker.pass_ms(9_999);
    assert_eq!(broker.answer(token), None, "the other one may come yet");
    broker.pass_ms(1);
    assert_eq!(joined(&broker, token).members.len(), 1);
    let late = Consumer { id, ..Consumer::new() }.join(&mut broker);
    assert_eq!(joined(&broker, late).error_code, 25, "UNKNOWN_MEMBER_ID");
}

#[test]
fn heartbeats_of_strangers_are_refused() {
    let mut broker = Broker::new();
    let mut consumers = [Consumer::new()];
    stabilize(&mut broker, &mut consumers);
    let [consumer] = &consumers;
    for (stranger, error) in [
        (Consumer { group: "", ..consumer.clone() }, 24),
        (Consumer { group: "nothing", ..consumer.clone() }, 25),
        (Consumer { id: "nobody".to_owned(), ..consumer.clone() }, 25),
        (Consumer { instance: Some("i"), ..consumer.clone() }, 25),
        (Consumer { generation: 2, ..consumer.clone() }, 22),
    ] {
        assert_eq!(stranger.heartbeat(&mut broker), error, "{stranger:?}");
    }
}

#[test]
fn members_leave_alone_or_together() {
    let mut broker = Broker::new();
    let mut consumers = [Consumer::new(), Consumer::new(), Consumer::fixed("i")];
    stabilize(&mut broker, &mut consumers);
    let [first, second, third] = &consumers;
    // One that is not there, one whose instance has another id, and one that has none.
    let members = vec![identity("nobody", None), identity("wrong", Some("i")), identity("", None)];
    let response = leave(&mut broker, "g", members);
    assert_eq!((response.error_code, errors(&response)), (0, vec![25, 82, 25]));
    assert_eq!(broker.state("g"), State::Stable);
    // An admin removes by instance.
    let members = vec![identity(&first.id, None), identity("", Some("i")), identity("", Some("j"))];
    let response = leave(&mut broker, "g", members);
    assert_eq!(errors(&response), [0, 0, 25]);
    assert_eq!(response.members[1].group_instance_id.as_deref(), Some("i"));
    assert_eq!(broker.state("g"), State::PreparingRebalance);
    assert_eq!(third.heartbeat(&mut broker), 25, "UNKNOWN_MEMBER_ID");
    assert_eq!(second.heartbeat(&mut broker), 27, "REBALANCE_IN_PROGRESS");
    let response = leave(&mut broker, "g", vec![identity(&second.id, None)]);
    assert_eq!((errors(&response), broker.state("g")), (vec![0], State::Empty));
    assert_eq!(errors(&leave(&mut broker, "g", vec![identity(&second.id, None)])), [25]);
    assert_eq!(
        errors(&leave(&mut broker, "nothing", vec![identity("a", None), identity("b", None)])),
        [25, 25]
    );
    assert_eq!(leave(&mut broker, "", vec![identity("a", None)]).error_code, 24, "INVALID_GROUP_ID");
}

#[test]
fn old_clients_leave_alone() {
    let mut broker = Broker::new();
    let mut consumers = [Consumer::new()];
    stabilize(&mut broker, &mut consumers);
    for (id, error) in [("nobody", 25), (&*consumers[0].id, 0), (&*consumers[0].id, 25)] {
        let request = LeaveGroupRequest::default().with_group_id(group_id("g")).with_member_id(text(id));
        let token = broker.ask(2, request);
        let response = left(&broker, token);
        assert_eq!((response.error_code, response.members.len()), (error, 0));
    }
}

#[test]
fn who_leaves_while_it_waits_is_answered() {
    let mut broker = Broker::new();
    let mut consumers = [Consumer::old(3), Consumer::old(3)];
    let tokens = consumers.each_ref().map(|consumer| consumer.join(&mut broker));
    broker.pass_ms(6_000);
    for (consumer, token) in consumers.iter_mut().zip(tokens) {
        consumer.joined(&broker, token);
    }
    let [first, second] = &consumers;
    let sync = second.sync(&mut broker, &[]);
    assert_eq!(errors(&leave(&mut broker, "g", vec![identity(&second.id, None)])), [0]);
    assert_eq!(synced(&broker, sync).error_code, 25, "UNKNOWN_MEMBER_ID");
    let mut third = Consumer::new();
    let join = third.enter(&mut broker);
    assert_eq!(errors(&leave(&mut broker, "g", vec![identity(&third.id, None)])), [0]);
    assert_eq!(joined(&broker, join).error_code, 25, "UNKNOWN_MEMBER_ID");
    let token = first.join(&mut broker);
    assert_eq!(joined(&broker, token).members.len(), 1);
}

#[test]
fn an_id_that_was_handed_out_can_leave() {
    let mut broker = Broker::new();
    let mut consumers = [Consumer::new()];
    stabilize(&mut broker, &mut consumers);
    let token = Consumer::new().join(&mut broker);
    let id = joined(&broker, token).member_id.to_string();
    let token = consumers[0].join(&mut broker);
    assert_eq!(errors(&leave(&mut broker, "g", vec![identity(&id, None)])), [0]);
    assert_eq!(joined(&broker, token).members.len(), 1, "nobody else is waited for");
}

#[test]
fn a_group_that_all_leave_before_its_first_generation_becomes_empty_by_its_timer() {
    let mut broker = Broker::new();
    let mut consumer = Consumer::new();
    let token = consumer.enter(&mut broker);
    leave(&mut broker, "g", vec![identity(&consumer.id, None)]);
    assert_eq!(joined(&broker, token).error_code, 25, "UNKNOWN_MEMBER_ID");
    assert_eq!(broker.state("g"), State::PreparingRebalance);
    broker.pass_ms(3_000);
    assert_eq!(broker.state("g"), State::Empty);
    stabilize(&mut broker, &mut [Consumer::new()]);
}

#[test]
fn a_coordinator_that_takes_over_knows_the_members_and_gives_them_a_session() {
    let mut broker = Broker::new();
    let mut consumers = [Consumer::new(), Consumer::fixed("i")];
    stabilize(&mut broker, &mut consumers);
    let [first, second] = &consumers;
    broker.pass_ms(9_000);
    broker.fail_over();
    assert_eq!(broker.state("g"), State::Stable);
    broker.pass_ms(9_000);
    assert_eq!((first.heartbeat(&mut broker), second.heartbeat(&mut broker)), (0, 0));
    let token = second.sync(&mut broker, &[]);
    assert_eq!(&synced(&broker, token).assignment[..], b"1");
    // A member whose JoinGroup got lost says the same again.
    let token = second.join(&mut broker);
    assert_eq!(joined(&broker, token).generation_id, 1);
    broker.pass_ms(10_000);
    assert_eq!(first.heartbeat(&mut broker), 25, "UNKNOWN_MEMBER_ID");
}
