//! Members of a consumer group that use the classic protocol, and groups that change theirs.

use super::super::protocol::{Assignment, version};
use super::*;
use crate::schema::consumer::ClassicProtocol;
use crate::schema::wire::Writer;
use bytes::Bytes;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, SyncGroupRequest,
};

/// The subscription of a consumer, as its version 1.
fn subscription(topics: &[&str], owned: &[(&str, &[i32])]) -> Bytes {
    let mut writer = Writer::new(1, false);
    writer.array(topics, |writer, topic| {
        writer.string(topic);
    });
    writer.i32(-1).array(owned, |writer, (topic, partitions)| {
        writer.string(topic).array(partitions, |writer, partition| {
            writer.i32(*partition);
        });
    });
    writer.finish()
}

pub(super) fn classic_join(id: &str, topics: &[&str], owned: &[(&str, &[i32])]) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(text("range"))
        .with_metadata(subscription(topics, owned));
    JoinGroupRequest::default()
        .with_group_id(text("grp").into())
        .with_member_id(text(id))
        .with_session_timeout_ms(30_000)
        .with_rebalance_timeout_ms(60_000)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol])
}

impl World {
    pub(super) fn classic_join(
        &mut self,
        request: &JoinGroupRequest,
    ) -> Result<(JoinGroupResponse, Outcome), ResponseError> {
        let client = Client { id: "old".into(), host: "/127.0.0.2".into() };
        let id = if request.member_id.is_empty() { "new" } else { &request.member_id };
        let caller = Caller { client: &client, member_id: id };
        let result = self.call(|group, call| group.classic_join(call, caller, request, 9));
        result.map_err(|refusal| refusal.error)
    }

    /// What SyncGroup tells, by topic.
    pub(super) fn sync(
        &mut self,
        id: &str,
        generation: i32,
    ) -> Result<BTreeMap<String, BTreeSet<i32>>, ResponseError> {
        let request = SyncGroupRequest::default()
            .with_group_id(text("grp").into())
            .with_member_id(text(id))
            .with_generation_id(generation)
            .with_protocol_type(Some(text("consumer")))
            .with_protocol_name(Some(text("range")));
        let result = self.call(|group, call| Ok((group.classic_sync(call, &request)?, Outcome::default())));
        let (response, _) = result.map_err(|refusal| refusal.error)?;
        assert_eq!(response.protocol_type.as_deref(), Some("consumer"));
        assert_eq!(version(response.assignment.clone()), Ok(1));
        Ok(Assignment::parse(response.assignment).unwrap().partitions)
    }

    pub(super) fn classic_beat(&mut self, id: &str, generation: i32) -> Result<(), ResponseError> {
        let request = HeartbeatRequest::default().with_member_id(text(id)).with_generation_id(generation);
        let result =
            self.call(|group, call| Ok((group.classic_heartbeat(call, &request)?, Outcome::default())));
        result.map(|((), _)| ()).map_err(|refusal| refusal.error)
    }

    /// Puts a classic group, as a consumer group, in the place of the group.
    fn upgrade(&mut self, classic: Upgrade) -> Result<(), ResponseError> {
        let upgraded = self.call(|group, call| {
            let (new, records) = ConsumerGroup::upgrade(call, "grp", classic)?;
            *group = new;
            Ok(((), Outcome { batches: vec![records], downgrade: None }))
        });
        upgraded.map(|_| ()).map_err(|refusal| refusal.error)
    }

    pub(super) fn classic_leave(&mut self, members: Vec<MemberIdentity>) -> (Vec<i16>, Outcome) {
        let request = LeaveGroupRequest::default().with_members(members);
        let (response, outcome) = self.call(|group, call| group.classic_leave(call, &request)).unwrap();
        (response.members.iter().map(|member| member.error_code).collect(), outcome)
    }
}

fn foo(each: &[i32]) -> BTreeMap<String, BTreeSet<i32>> {
    if each.is_empty() {
        BTreeMap::new()
    } else {
        [("foo".to_owned(), each.iter().copied().collect())].into()
    }
}

#[test]
fn a_classic_member_gets_its_part_by_rejoining() {
    let mut world = World::new(&[("foo", 2)]);
    let id = world.id("foo");
    world.send(&join("a", &["foo"])).unwrap();
    world.pass(1_000);
    // It is named first, and joins by that name.
    let (response, _) = world.classic_join(&classic_join("", &["foo"], &[])).unwrap();
    assert_eq!((response.error_code, response.member_id.as_str()), (79, "new"));
    let (response, _) = world.classic_join(&classic_join("b", &["foo"], &[])).unwrap();
    assert_eq!((response.error_code, response.generation_id), (0, 3));
    assert_eq!((response.protocol_name.as_deref(), response.leader.as_str()), (Some("range"), ""));
    assert_eq!(world.sync("b", 3), Ok(foo(&[])));
    assert_eq!(world.classic_beat("b", 3), Ok(()));
    // The other gives up a partition: it has to rejoin, to get that.
    world.send(&beat("a", 2)).unwrap();
    world.send(&owning(beat("a", 2), id, &[0])).unwrap();
    assert_eq!(world.classic_beat("b", 3), Err(ResponseError::RebalanceInProgress));
    let (response, _) = world.classic_join(&classic_join("b", &["foo"], &[])).unwrap();
    assert_eq!(response.generation_id, 3);
    assert_eq!(world.sync("b", 3), Ok(foo(&[1])));
    assert_eq!(world.group.group_state(), GroupState::Stable);
    // A third one: it has to give up what it owns by rejoining without it.
    world.pass(1_000);
    world.topics.set("foo", 3);
    world.send(&join("0", &["foo"]).with_server_assignor(Some(text("range")))).unwrap();
    assert_eq!(world.group.state.target["b"], partitions(id, &[2]));
    assert_eq!(world.classic_beat("b", 3), Err(ResponseError::RebalanceInProgress));
    assert_eq!(world.sync("b", 3), Err(ResponseError::RebalanceInProgress));
    let (response, _) = world.classic_join(&classic_join("b", &["foo"], &[("foo", &[1])])).unwrap();
    assert_eq!(response.generation_id, 3);
    assert_eq!(world.sync("b", 3), Ok(foo(&[])));
    assert_eq!(world.classic_beat("b", 3), Err(ResponseError::RebalanceInProgress));
    let (response, _) = world.classic_join(&classic_join("b", &["foo"], &[])).unwrap();
    assert_eq!(response.generation_id, 4);
    assert_eq!(world.sync("b", 4), Ok(foo(&[2])));
}

#[test]
fn a_classic_member_is_refused_as_by_a_classic_group() {
    let mut world = World::new(&[("foo", 2)]);
    world.send(&join("a", &["foo"])).unwrap();
    world.classic_join(&classic_join("b", &["foo"], &[])).unwrap();
    let other = |name: &str| {
        let mut request = classic_join("c", &["foo"], &[]);
        request.protocols[0].name = text(name);
        request
    };
    assert_eq!(world.classic_join(&other("mine")).err(), Some(ResponseError::InconsistentGroupProtocol));
    let connect = other("range").with_protocol_type(text("connect"));
    assert_eq!(world.classic_join(&connect).err(), Some(ResponseError::InconsistentGroupProtocol));
    let mut malformed = other("range");
    malformed.protocols[0].metadata = Bytes::from_static(&[0]);
    assert_eq!(world.classic_join(&malformed).err(), Some(ResponseError::UnknownServerError));
    assert_eq!(world.sync("c", 2), Err(ResponseError::UnknownMemberId));
    assert_eq!(world.sync("a", 2), Err(ResponseError::UnknownMemberId));
    assert_eq!(world.sync("b", 1), Err(ResponseError::IllegalGeneration));
    assert_eq!(world.classic_beat("b", 1), Err(ResponseError::IllegalGeneration));
    assert_eq!(world.classic_beat("a", 2), Err(ResponseError::UnknownMemberId));
    let committed = world.group.check_commit("b", None, 5, false, 2).err().map(|refusal| refusal.error);
    assert_eq!(committed, Some(ResponseError::IllegalGeneration));
    let fetched = world.group.check_fetch(Some("b"), 5).err().map(|refusal| refusal.error);
    assert_eq!(fetched, Some(ResponseError::IllegalGeneration));
}

#[test]
fn who_neither_syncs_nor_rejoins_in_time_is_gone() {
    let mut world = World::new(&[("foo", 2)]);
    world.send(&join("a", &["foo"])).unwrap();
    world.pass(1_000);
    world.classic_join(&classic_join("b", &["foo"], &[])).unwrap();
    for _ in 0..4 {
        world.pass(15_000);
        world.send(&beat("a", world.member("a").epoch)).unwrap();
        world.classic_beat("b", 3).ok();
        world.tick();
    }
    // It has sent heartbeats all the time, but no SyncGroup.
    assert!(!world.group.state.members.contains_key("b"));
    world.classic_join(&classic_join("b", &["foo"], &[])).unwrap();
    let generation = world.member("b").epoch;
    world.sync("b", generation).unwrap();
    world.send(&join("a", &["foo", "none"])).unwrap();
    for _ in 0..5 {
        world.pass(15_000);
        let id = world.id("foo");
        world.send(&owning(beat("a", world.member("a").epoch), id, &[])).unwrap();
        world.classic_beat("b", generation).ok();
        world.tick();
    }
    assert!(!world.group.state.members.contains_key("b"));
}

fn upgraded(id: &str, topics: &[&str], assigned: &[i32]) -> UpgradedMember {
    let protocol = ClassicProtocol { name: "range".to_owned(), metadata: subscription(topics, &[]) };
    UpgradedMember {
        id: id.to_owned(),
        instance_id: None,
        client_id: "old".to_owned(),
        client_host: "/127.0.0.2".to_owned(),
        rebalance_timeout_ms: 60_000,
        session_timeout_ms: 30_000,
        subscription: protocol.metadata.clone(),
        protocols: vec![protocol],
        assignment: Assignment { partitions: foo(assigned), user_data: None }.write(1),
    }
}

/// A classic group of two members, which has become a consumer group.
fn upgrade() -> World {
    let mut world = World::new(&[("foo", 3)]);
    let classic = Upgrade {
        generation: 7,
        members: vec![upgraded("b", &["foo"], &[0, 1]), upgraded("c", &["foo"], &[2])],
    };
    world.upgrade(classic).unwrap();
    world
}

#[test]
fn a_classic_group_goes_on_as_a_consumer_group_and_back() {
    let mut world = upgrade();
    let id = world.id("foo");
    assert_eq!(world.kinds(), [5, 5, 3, 7, 7, 6, 8, 8]);
    assert_eq!((world.group.group_state(), world.group.state.epoch), (GroupState::Stable, 7));
    assert_eq!(world.classic_beat("b", 7), Ok(()));
    // The member for which it was done gets what the others give up.
    let response = world.send(&join("a", &["foo"])).unwrap();
    assert_eq!((response.member_epoch, assigned(&response)), (8, Some(Partitions::new())));
    assert_eq!(world.classic_beat("b", 7), Err(ResponseError::RebalanceInProgress));
    let (response, _) = world.classic_join(&classic_join("b", &["foo"], &[("foo", &[0, 1])])).unwrap();
    assert_eq!(response.generation_id, 7);
    let keeps: Vec<i32> = world.sync("b", 7).unwrap()["foo"].iter().copied().collect();
    assert_eq!(keeps.len(), 1);
    let (response, _) = world.classic_join(&classic_join("b", &["foo"], &[("foo", &keeps)])).unwrap();
    assert_eq!(response.generation_id, 8);
    assert_eq!(world.classic_beat("c", 7), Err(ResponseError::RebalanceInProgress));
    let (response, _) = world.classic_join(&classic_join("c", &["foo"], &[("foo", &[2])])).unwrap();
    assert_eq!(response.generation_id, 8);
    assert_eq!(assigned(&world.send(&beat("a", 8)).unwrap()).map(|all| all[&id].len()), Some(1));
    // It leaves: the others are a classic group again.
    let leaving = MemberIdentity::default().with_member_id(text("a"));
    let nobody = MemberIdentity::default().with_member_id(text("nobody"));
    let (codes, outcome) = world.classic_leave(vec![leaving, nobody]);
    assert_eq!(codes, [0, 25]);
    let kinds: Vec<_> = world.kinds()[world.log.len() - outcome.batches[0].len()..].to_vec();
    assert_eq!(kinds, [8, 8, 8, 7, 7, 7, 6, 5, 5, 5, 4, 3]);
    assert_eq!(world.loaded().state, ConsumerGroup::new("grp").state);
    let downgrade = outcome.downgrade.unwrap();
    assert_eq!((downgrade.generation, downgrade.rebalance), (8, true));
    let members: Vec<_> = downgrade.members.iter().map(|member| member.id.as_str()).collect();
    assert_eq!(members, ["b", "c"]);
    let first = &downgrade.members[0];
    assert_eq!(first.assignment.partitions, foo(&keeps));
    assert_eq!((first.session_timeout_ms, first.protocols[0].name.as_str()), (30_000, "range"));
}

#[test]
fn a_static_member_that_comes_back_by_the_classic_protocol_takes_the_group_along() {
    let mut world = World::new(&[("foo", 2)]);
    world.send(&join("a", &["foo"]).with_instance_id(Some(text("i")))).unwrap();
    let request = classic_join("", &["foo"], &[]).with_group_instance_id(Some(text("i")));
    let (response, outcome) = world.classic_join(&request).unwrap();
    assert_eq!((response.error_code, response.member_id.as_str(), response.generation_id), (0, "new", 2));
    let downgrade = outcome.downgrade.unwrap();
    // It has what it had: no rebalance is needed.
    assert_eq!((downgrade.generation, downgrade.rebalance, downgrade.members.len()), (2, false, 1));
    assert_eq!(downgrade.members[0].assignment.partitions, foo(&[0, 1]));
    assert_eq!(downgrade.members[0].instance_id.as_deref(), Some("i"));
    assert_eq!(world.loaded().state, ConsumerGroup::new("grp").state);
    // Every key that was written has a tombstone after it.
    let mut last = BTreeMap::new();
    for record in &world.log {
        last.insert(record.key.clone(), record.value.is_none());
    }
    assert!(last.values().all(|deleted| *deleted));
}

#[test]
fn groups_change_their_protocol_only_where_that_is_allowed() {
    let mut world = World::new(&[("foo", 2)]);
    let check = |world: &mut World, members, are_consumers| {
        let checked = world.call(|_, call| {
            Ok((ConsumerGroup::check_upgrade(call, "grp", members, are_consumers)?, Outcome::default()))
        });
        checked.map(|_| ()).map_err(|refusal| refusal.error)
    };
    assert_eq!(check(&mut world, 3, true), Ok(()));
    assert_eq!(check(&mut world, 3, false), Err(ResponseError::GroupIdNotFound));
    world.options.size_max = 2;
    assert_eq!(check(&mut world, 3, true), Err(ResponseError::GroupIdNotFound));
    world.options.migration_policy = MigrationPolicy::Downgrade;
    assert_eq!(check(&mut world, 1, true), Err(ResponseError::GroupIdNotFound));
    // What a client's assignor adds would be lost.
    let mut custom = upgraded("b", &["foo"], &[0]);
    custom.assignment =
        Assignment { partitions: foo(&[0]), user_data: Some(Bytes::from_static(b"x")) }.write(1);
    let mut malformed = upgraded("b", &["foo"], &[0]);
    malformed.subscription = Bytes::from_static(&[0]);
    for member in [custom, malformed] {
        let classic = Upgrade { generation: 1, members: vec![member] };
        assert_eq!(world.upgrade(classic), Err(ResponseError::GroupIdNotFound));
    }
    // Without leave to go back the group stays what it is, whoever is in it.
    world.options =
        ConsumerOptions { migration_policy: MigrationPolicy::Upgrade, ..ConsumerOptions::default() };
    world.send(&join("a", &["foo"])).unwrap();
    world.classic_join(&classic_join("b", &["foo"], &[])).unwrap();
    world.send(&beat("a", -1)).unwrap();
    assert_eq!((world.group.len(), world.group.state.classic_members), (1, 1));
}

#[test]
fn members_that_are_left_alone_by_the_classic_protocol_go_on_rebalancing() {
    let mut world = World::new(&[("foo", 2)]);
    world.options.migration_policy = MigrationPolicy::Upgrade;
    world.send(&join("a", &["foo"])).unwrap();
    let rejoin = |world: &mut World, owned: &[i32]| {
        let request = classic_join("b", &["foo"], &[("foo", owned)]);
        world.classic_join(&request).unwrap().0.generation_id
    };
    let generation = rejoin(&mut world, &[]);
    assert_eq!(world.sync("b", generation), Ok(BTreeMap::new()));
    // The one that computed targets is gone: what it had must not stay unread.
    world.send(&beat("a", -1)).unwrap();
    world.pass(1_000);
    assert_eq!(world.classic_beat("b", generation), Err(ResponseError::RebalanceInProgress));
    let generation = rejoin(&mut world, &[]);
    assert_eq!(world.sync("b", generation), Ok(foo(&[0, 1])));
    assert_eq!(world.classic_beat("b", generation), Ok(()));
    // Nor what topics have got since.
    world.topics.set("foo", 3);
    world.pass(1_000);
    assert_eq!(world.classic_beat("b", generation), Err(ResponseError::RebalanceInProgress));
    let generation = rejoin(&mut world, &[0, 1]);
    assert_eq!(world.sync("b", generation), Ok(foo(&[0, 1, 2])));
    assert_eq!(world.classic_beat("b", generation), Ok(()));
}

#[test]
fn a_group_of_many_topics_goes_back_as_it_came() {
    let names: Vec<String> = (0..150).map(|number| format!("topic-{number}")).collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut world = World::new(&all.iter().map(|name| (*name, 40)).collect::<Vec<_>>());
    let classic = Upgrade {
        generation: 7,
        members: (0..40).map(|number| upgraded(&format!("m-{number:02}"), &all, &[])).collect(),
    };
    world.upgrade(classic).unwrap();
    world.send(&join("a", &all)).unwrap();
    let (_, outcome) = world.classic_leave(vec![MemberIdentity::default().with_member_id(text("a"))]);
    assert_eq!(outcome.downgrade.map(|downgrade| downgrade.members.len()), Some(40));
}

#[test]
fn a_static_member_takes_no_group_along_that_would_not_fit_into_a_batch() {
    let mut world = World::new(&[("foo", 2)]);
    world.send(&join("a", &["foo"]).with_instance_id(Some(text("i")))).unwrap();
    let mut request = classic_join("", &["foo"], &[]).with_group_instance_id(Some(text("i")));
    let large = JoinGroupRequestProtocol::default()
        .with_name(text("large"))
        .with_metadata(Bytes::from(vec![0; levee_base::limits::MESSAGE_BYTES]));
    request.protocols.push(large);
    let refused = world.classic_join(&request).map(|_| ());
    assert_eq!(refused, Err(ResponseError::UnknownServerError));
}
