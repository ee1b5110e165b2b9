//! DescribeGroups, ListGroups, DeleteGroups.

use super::harness::{Broker, Consumer, group_id, stabilize, subscribed, text};
use super::offsets::{commit, fetched};
use crate::effects::When;
use crate::schema::group::{GROUP_METADATA, OFFSET_COMMIT, kind_of};
use kafka_protocol::messages::describe_groups_response::DescribedGroup;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, GroupId, ListGroupsRequest, ResponseKind,
};

fn describe(broker: &mut Broker, version: i16, groups: &[&str]) -> Vec<DescribedGroup> {
    let groups: Vec<GroupId> = groups.iter().map(|id| group_id(id)).collect();
    let token = broker.ask(version, DescribeGroupsRequest::default().with_groups(groups));
    assert_eq!(broker.when(token), When::Durable);
    match broker.answer(token) {
        Some(ResponseKind::DescribeGroups(response)) => response.groups.clone(),
        other => panic!("{other:?}"),
    }
}

fn list(broker: &mut Broker, states: &[&str], types: &[&str]) -> Vec<(String, String, String, String)> {
    let request = ListGroupsRequest::default()
        .with_states_filter(states.iter().map(|state| text(state)).collect())
        .with_types_filter(types.iter().map(|kind| text(kind)).collect());
    let token = broker.ask(5, request);
    let Some(ResponseKind::ListGroups(response)) = broker.answer(token) else { panic!() };
    let strings = response.groups.iter().map(|group| {
        let [kind, state, ty] = [&group.protocol_type, &group.group_state, &group.group_type];
        (group.group_id.to_string(), kind.to_string(), state.to_string(), ty.to_string())
    });
    strings.collect()
}

fn delete(broker: &mut Broker, groups: &[&str]) -> Vec<(String, i16)> {
    let groups: Vec<GroupId> = groups.iter().map(|id| group_id(id)).collect();
    let token = broker.ask(2, DeleteGroupsRequest::default().with_groups_names(groups));
    assert_eq!(broker.when(token), When::Durable);
    let Some(ResponseKind::DeleteGroups(response)) = broker.answer(token) else { panic!() };
    response.results.iter().map(|result| (result.group_id.to_string(), result.error_code)).collect()
}

#[test]
fn a_group_is_described_by_its_state() {
    let mut broker = Broker::new();
    let mut consumers = [Consumer::new(), Consumer::fixed("i")];
    stabilize(&mut broker, &mut consumers);
    let group = describe(&mut broker, 6, &["g"]).remove(0);
    assert_eq!((&*group.group_state, group.error_code), ("Stable", 0));
    assert_eq!((&*group.protocol_type, &*group.protocol_data), ("consumer", "range"));
    let of = |id: &str| group.members.iter().find(|member| &*member.member_id == id).unwrap();
    let member = of(&consumers[1].id);
    assert_eq!((member.group_instance_id.as_deref(), &member.member_assignment[..]), (Some("i"), &b"1"[..]));
    assert_eq!((&*member.client_id, &*member.client_host), ("client", "/127.0.0.1"));
    assert_eq!(member.member_metadata, subscribed("t"));
    // While it rebalances the protocol is open.
    consumers[0].join(&mut broker);
    let group = describe(&mut broker, 0, &["g"]).remove(0);
    assert_eq!((&*group.group_state, &*group.protocol_data), ("PreparingRebalance", ""));
    assert!(group.members.iter().all(|member| member.member_metadata.is_empty()));
    broker.pass_ms(100_000);
    let group = describe(&mut broker, 5, &["g"]).remove(0);
    assert_eq!((&*group.group_state, &*group.protocol_type), ("Empty", "consumer"));
}

#[test]
fn a_group_that_is_not_there_is_dead() {
    let mut broker = Broker::new();
    let old = describe(&mut broker, 5, &["x"]).remove(0);
    assert_eq!((&*old.group_state, old.error_code, old.error_message), ("Dead", 0, None));
    let new = describe(&mut broker, 6, &["x", ""]);
    assert_eq!((&*new[0].group_state, new[0].error_code), ("Dead", 69));
    assert_eq!(new[0].error_message.as_deref(), Some("Group x not found."));
    assert_eq!(new[1].error_message.as_deref(), Some("Group  not found."));
}

#[test]
fn groups_are_listed_by_state_and_type() {
    let mut broker = Broker::new();
    stabilize(&mut broker, &mut [Consumer::new()]);
    commit(&mut broker, "simple", &[("t", 0, 1)]);
    let stable = ("g".to_owned(), "consumer".to_owned(), "Stable".to_owned(), "classic".to_owned());
    let simple = ("simple".to_owned(), String::new(), "Empty".to_owned(), "classic".to_owned());
    assert_eq!(list(&mut broker, &[], &[]), [stable.clone(), simple.clone()]);
    assert_eq!(list(&mut broker, &["sTable", "nonsense"], &[]), std::slice::from_ref(&stable));
    assert_eq!(list(&mut broker, &["empty"], &["classic"]), [simple]);
    assert_eq!(list(&mut broker, &[], &["CLASSIC"]).len(), 2);
    assert_eq!(list(&mut broker, &[], &["consumer"]), []);
    assert_eq!(list(&mut broker, &["dead"], &[]), []);
    for version in 0..4 {
        broker.ask(version, ListGroupsRequest::default());
    }
}

#[test]
fn only_a_group_without_members_is_deleted_and_its_offsets_with_it() {
    let mut broker = Broker::new();
    stabilize(&mut broker, &mut [Consumer::new()]);
    commit(&mut broker, "simple", &[("t", 0, 1), ("t", 1, 2), ("u", 0, 3)]);
    let written = broker.log.len();
    let results = delete(&mut broker, &["g", "simple", "nothing", "simple"]);
    let result = |id: &str, error| (id.to_owned(), error);
    assert_eq!(results, [result("g", 68), result("nothing", 69), result("simple", 0)]);
    let records = broker.records(written);
    assert!(records.iter().all(|record| record.value.is_none()));
    let kinds: Vec<_> = records.iter().map(|record| kind_of(&record.key).unwrap()).collect();
    assert_eq!(kinds, [OFFSET_COMMIT, OFFSET_COMMIT, OFFSET_COMMIT, GROUP_METADATA]);
    assert_eq!(fetched(&mut broker, "simple", "t", 0), (-1, 0));
    assert_eq!(delete(&mut broker, &["simple"]), [result("simple", 69)]);
    broker.fail_over();
    assert_eq!(list(&mut broker, &[], &[]).len(), 1);
    // When the last member is gone, the other one goes too, with the ids that were handed out.
    broker.pass_ms(3_600_000);
    Consumer::new().join(&mut broker);
    assert_eq!(delete(&mut broker, &["g"]), [result("g", 0)]);
    assert_eq!(list(&mut broker, &[], &[]), []);
}
