//! Static members (KIP-345): they keep their place through a restart.

use super::harness::{Broker, Consumer, joined, stabilize, subscribed, synced};
use crate::effects::When;
use crate::group::classic::State;
use crate::schema::group::GroupMetadataValue;

fn restarted(consumer: &Consumer) -> Consumer {
    Consumer { id: String::new(), generation: -1, ..consumer.clone() }
}

#[test]
fn a_follower_comes_back_without_a_rebalance_and_its_former_self_is_fenced() {
    let mut broker = Broker::new();
    let mut consumers = [Consumer::fixed("a"), Consumer::fixed("b")];
    stabilize(&mut broker, &mut consumers);
    let [first, second] = &consumers;
    assert!(second.id.starts_with("b-"), "ids are made of the instance");
    let written = broker.log.len();
    let mut again = restarted(second);
    let token = again.join(&mut broker);
    assert_eq!(broker.when(token), When::Durable, "the new id must not be lost");
    let response = again.joined(&broker, token);
    assert_eq!((response.error_code, response.generation_id), (0, 1));
    assert_eq!((&*response.leader, response.members.len()), (&*first.id, 0));
    assert!(!response.skip_assignment);
    assert_ne!(again.id, second.id);
    assert_eq!(broker.state("g"), State::Stable);
    let group = GroupMetadataValue::read(broker.records(written)[0].value.clone().unwrap()).unwrap();
    let ids: Vec<_> = group.members.iter().map(|member| &member.member_id).collect();
    assert!(ids.contains(&&again.id) && !ids.contains(&&second.id));
    let token = again.sync(&mut broker, &[]);
    assert_eq!(&synced(&broker, token).assignment[..], b"1");

    assert_eq!(second.heartbeat(&mut broker), 82, "FENCED_INSTANCE_ID");
    let token = second.join(&mut broker);
    assert_eq!(joined(&broker, token).error_code, 82, "FENCED_INSTANCE_ID");
    let token = second.sync(&mut broker, &[]);
    assert_eq!(synced(&broker, token).error_code, 82, "FENCED_INSTANCE_ID");
    assert_eq!(first.heartbeat(&mut broker), 0);
    broker.fail_over();
    assert_eq!((first.heartbeat(&mut broker), again.heartbeat(&mut broker)), (0, 0));
}

#[test]
fn a_leader_comes_back_and_is_told_not_to_assign() {
    for version in [5, 8, 9] {
        let mut broker = Broker::new();
        let mut consumers = [Consumer::fixed("a"), Consumer::fixed("b")];
        for consumer in &mut consumers {
            consumer.version = version;
        }
        stabilize(&mut broker, &mut consumers);
        let mut again = restarted(&consumers[0]);
        let token = again.join(&mut broker);
        let response = again.joined(&broker, token);
        assert_eq!(response.error_code, 0);
        if version == 9 {
            assert!(response.skip_assignment);
            assert_eq!((&*response.leader, response.members.len()), (&*again.id, 2));
        } else {
            // It can't be told so, and is left to believe that its former self leads.
            assert_eq!((&*response.leader, response.members.len()), (&*consumers[0].id, 0));
        }
        let token = again.sync(&mut broker, &[]);
        assert_eq!(&synced(&broker, token).assignment[..], b"0");
        // It does lead: what it wants is a rebalance.
        again.join(&mut broker);
        assert_eq!(broker.state("g"), State::PreparingRebalance);
    }
}

#[test]
fn a_change_of_the_protocol_is_a_rebalance() {
    let mut broker = Broker::new();
    let both = vec![("range", subscribed("t")), ("sticky", subscribed("t"))];
    let mut consumers = [Consumer::fixed("a")];
    consumers[0].protocols.clone_from(&both);
    stabilize(&mut broker, &mut consumers);
    let mut again = restarted(&consumers[0]);
    again.protocols.reverse();
    let token = again.join(&mut broker);
    let response = again.joined(&broker, token);
    assert_eq!((response.generation_id, response.protocol_name.as_deref()), (2, Some("sticky")));
    assert_eq!(broker.state("g"), State::CompletingRebalance);
}

#[test]
fn an_instance_that_joins_twice_fences_the_one_that_waits() {
    let mut broker = Broker::new();
    let consumer = Consumer::fixed("a");
    let first = consumer.join(&mut broker);
    let second = consumer.join(&mut broker);
    let response = joined(&broker, first);
    assert_eq!((response.error_code, response.protocol_name), (82, None), "FENCED_INSTANCE_ID");
    assert!(response.member_id.starts_with("a-"));
    broker.pass_ms(3_000);
    let response = joined(&broker, second);
    assert_eq!((response.error_code, response.members.len()), (0, 1));
    assert_eq!(response.leader, response.member_id);
}

#[test]
fn an_instance_that_comes_back_while_it_is_assigned_to_makes_a_rebalance() {
    let mut broker = Broker::new();
    let mut consumers = [Consumer::fixed("a"), Consumer::fixed("b")];
    let tokens = consumers.each_ref().map(|consumer| consumer.join(&mut broker));
    broker.pass_ms(6_000);
    for (consumer, token) in consumers.iter_mut().zip(tokens) {
        consumer.joined(&broker, token);
    }
    let [first, second] = &consumers;
    let sync = second.sync(&mut broker, &[]);
    let mut again = restarted(second);
    let token = again.join(&mut broker);
    assert_eq!(synced(&broker, sync).error_code, 82, "FENCED_INSTANCE_ID");
    assert_eq!(broker.state("g"), State::PreparingRebalance);
    let other = first.join(&mut broker);
    assert_eq!(again.joined(&broker, token).generation_id, 2);
    assert_eq!(joined(&broker, other).members.len(), 2);
}

#[test]
fn a_static_member_that_does_not_join_again_keeps_its_place_for_its_session() {
    let mut broker = Broker::new();
    let mut consumers = [Consumer::fixed("a"), Consumer::fixed("b")];
    for consumer in &mut consumers {
        consumer.session_timeout_ms = 100_000;
        consumer.rebalance_timeout_ms = 20_000;
    }
    stabilize(&mut broker, &mut consumers);
    let [first, second] = &mut consumers;
    let token = first.join(&mut broker);
    broker.pass_ms(20_000);
    let response = first.joined(&broker, token);
    assert_eq!((response.generation_id, response.members.len()), (2, 2), "it is still assigned to");
    let token = first.sync(&mut broker, &[]);
    assert_eq!(synced(&broker, token).error_code, 0);
    // But it has to ask for what is assigned.
    broker.pass_ms(20_000);
    assert_eq!(second.heartbeat(&mut broker), 25, "UNKNOWN_MEMBER_ID");
    assert_eq!(first.heartbeat(&mut broker), 27, "REBALANCE_IN_PROGRESS");
}

#[test]
fn a_rebalance_that_no_static_member_joins_waits_until_their_sessions_end() {
    let mut broker = Broker::new();
    let mut consumers = [Consumer::fixed("a"), Consumer::new()];
    consumers[0].session_timeout_ms = 50_000;
    consumers[0].rebalance_timeout_ms = 15_000;
    consumers[1].rebalance_timeout_ms = 15_000;
    stabilize(&mut broker, &mut consumers);
    // The dynamic one's session ends after 10 s, which begins a rebalance that nobody joins.
    broker.pass_ms(49_999);
    assert_eq!(broker.state("g"), State::PreparingRebalance);
    broker.pass_ms(1);
    assert_eq!(broker.state("g"), State::Empty);
}
