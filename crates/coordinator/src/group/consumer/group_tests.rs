//! Scenarios of consumer groups, by what members send and are told, with time moved by hand.

use super::*;
use crate::context::TopicView;
use crate::effects::Record;
use crate::schema::consumer::{Assigned, Partitions};
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions as OwnedPartitions;
use kafka_protocol::messages::{
    ConsumerGroupHeartbeatRequest as Heartbeat, ConsumerGroupHeartbeatResponse as Response, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

#[path = "classic_tests.rs"]
mod classic;
#[path = "kafka_tests.rs"]
mod kafka;
#[path = "life_tests.rs"]
mod life;

/// Topics by name, with ids and sizes; and the configurations of all groups.
#[derive(Debug, Clone, Default)]
struct Topics {
    topics: BTreeMap<String, TopicView>,
    configs: BTreeMap<String, String>,
    made: u128,
}

impl Topics {
    fn set(&mut self, name: &str, partitions: u32) -> Uuid {
        self.made += 1;
        let new = TopicView { name: name.into(), id: Uuid::from_u128(self.made), partitions };
        let topic = self.topics.entry(name.to_owned()).or_insert(new);
        topic.partitions = partitions;
        topic.id
    }
}

impl Cluster for Topics {
    fn topic(&self, name: &str) -> Option<TopicView> {
        self.topics.get(name).cloned()
    }

    fn topic_by_id(&self, id: Uuid) -> Option<TopicView> {
        self.topics.values().find(|topic| topic.id == id).cloned()
    }

    fn topics(&self) -> Vec<TopicView> {
        self.topics.values().cloned().collect()
    }

    fn group_configs(&self, _: &str) -> BTreeMap<String, String> {
        self.configs.clone()
    }
}

/// A group with its world.
struct World {
    topics: Topics,
    options: ConsumerOptions,
    time: Time,
    full: bool,
    group: ConsumerGroup,
    log: Vec<Record>,
    /// What a group is that reads the log as it is written.
    shadow: ConsumerGroup,
}

const START_MS: i64 = 1_700_000_000_000;

impl World {
    fn new(topics: &[(&str, u32)]) -> Self {
        let mut world = Self {
            topics: Topics::default(),
            options: ConsumerOptions::default(),
            time: Time { wall_ms: START_MS, now: Duration::from_secs(100) },
            full: false,
            group: ConsumerGroup::new("grp"),
            log: Vec::new(),
            shadow: ConsumerGroup::new("grp"),
        };
        for (name, partitions) in topics {
            world.topics.set(name, *partitions);
        }
        world
    }

    fn rename(&mut self, group: &str) {
        self.group = ConsumerGroup::new(group);
        self.shadow = ConsumerGroup::new(group);
    }

    fn pass(&mut self, ms: u64) {
        self.time.wall_ms += ms as i64;
        self.time.now += Duration::from_millis(ms);
    }

    /// Calls the group, takes down what is written, and looks whether a group that reads it is the same.
    fn call<T>(
        &mut self,
        act: impl FnOnce(&mut ConsumerGroup, &Call<'_>) -> Result<(T, Outcome), Refusal>,
    ) -> Result<(T, Outcome), Refusal> {
        let Self { topics, options, time, full, group, log, shadow } = self;
        let call = Call { time: *time, cluster: topics, options, classic_size_max: 1_000, full: *full };
        let before = group.state.clone();
        let result = act(group, &call);
        match &result {
            Ok((_, outcome)) => {
                for change in outcome.batches.iter().flatten() {
                    let record = change.record(&shadow.id);
                    replay(shadow, &record);
                    log.push(record);
                }
                if outcome.downgrade.is_none() {
                    assert_eq!(shadow.state, group.state, "what is read is what was");
                }
            }
            Err(_) => assert_eq!(group.state, before, "what is refused changes nothing"),
        }
        result
    }

    /// Adds a record as another release may have written it, and loads the group anew.
    fn write_and_load(&mut self, record: Record) {
        self.log.push(record);
        self.group = self.loaded();
        self.shadow = self.loaded();
    }

    /// The group as it is loaded from its records.
    fn loaded(&self) -> ConsumerGroup {
        let mut group = ConsumerGroup::new("grp");
        for record in &self.log {
            replay(&mut group, record);
        }
        group
    }

    fn send(&mut self, request: &Heartbeat) -> Result<Response, ResponseError> {
        let client = Client { id: "cli".into(), host: "/127.0.0.1".into() };
        check_request(request, 1, &self.options).map_err(|refusal| refusal.error)?;
        let result = self.call(|group, call| {
            if request.member_epoch < 0 {
                return group.leave(call, request);
            }
            group.heartbeat(call, Caller { client: &client, member_id: &request.member_id }, request)
        });
        result.map(|(response, _)| response).map_err(|refusal| refusal.error)
    }

    fn tick(&mut self) -> Outcome {
        let result = self.call(|group, call| Ok(((), group.on_time(call))));
        result.unwrap().1
    }

    fn kinds(&self) -> Vec<i16> {
        self.log.iter().map(|record| i16::from_be_bytes([record.key[0], record.key[1]])).collect()
    }

    fn id(&self, topic: &str) -> Uuid {
        self.topics.topics[topic].id
    }

    fn member(&self, id: &str) -> &member::Member {
        &self.group.state.members[id]
    }
}

fn replay(group: &mut ConsumerGroup, record: &Record) {
    let (id, change) = Change::parse(&record.key, record.value.as_ref()).unwrap();
    assert_eq!(id, group.id);
    group.replay(&change);
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn names(topics: &[&str]) -> Option<Vec<TopicName>> {
    Some(topics.iter().map(|topic| TopicName(text(topic))).collect())
}

/// The first heartbeat of a member.
fn join(id: &str, topics: &[&str]) -> Heartbeat {
    Heartbeat::default()
        .with_group_id(text("grp").into())
        .with_member_id(text(id))
        .with_member_epoch(0)
        .with_rebalance_timeout_ms(60_000)
        .with_subscribed_topic_names(names(topics))
        .with_topic_partitions(Some(Vec::new()))
}

/// Any other.
fn beat(id: &str, epoch: i32) -> Heartbeat {
    Heartbeat::default()
        .with_group_id(text("grp").into())
        .with_member_id(text(id))
        .with_member_epoch(epoch)
        .with_rebalance_timeout_ms(-1)
        .with_subscribed_topic_names(None)
        .with_topic_partitions(None)
}

fn owning(request: Heartbeat, topic: Uuid, partitions: &[i32]) -> Heartbeat {
    let owned = OwnedPartitions::default().with_topic_id(topic).with_partitions(partitions.to_vec());
    request.with_topic_partitions(Some(if partitions.is_empty() { Vec::new() } else { vec![owned] }))
}

/// What an answer assigns.
fn assigned(response: &Response) -> Option<Partitions> {
    let assignment = response.assignment.as_ref()?;
    let topics = assignment.topic_partitions.iter();
    Some(topics.map(|topic| (topic.topic_id, topic.partitions.iter().copied().collect())).collect())
}

fn partitions(topic: Uuid, each: &[i32]) -> Partitions {
    [(topic, each.iter().copied().collect())].into()
}

#[test]
fn a_member_that_is_alone_gets_all() {
    let mut world = World::new(&[("foo", 3)]);
    let response = world.send(&join("a", &["foo", "none"])).unwrap();
    assert_eq!((response.member_epoch, response.heartbeat_interval_ms), (2, 5_000));
    assert_eq!(response.member_id.as_deref(), Some("a"));
    assert_eq!(assigned(&response), Some(partitions(world.id("foo"), &[0, 1, 2])));
    // The member, the group, the target assignment and its epoch, the current assignment.
    assert_eq!(world.kinds(), [5, 3, 7, 6, 8]);
    assert_eq!(world.group.group_state(), GroupState::Stable);
    // Nothing has changed: no record, no assignment.
    let response = world.send(&beat("a", 2)).unwrap();
    assert_eq!((response.member_epoch, response.assignment), (2, None));
    assert_eq!(world.log.len(), 5);
    // Whoever tells all is told all.
    let all = owning(join("a", &["foo", "none"]).with_member_epoch(2), world.id("foo"), &[0, 1, 2]);
    assert_eq!(assigned(&world.send(&all).unwrap()), Some(partitions(world.id("foo"), &[0, 1, 2])));
    // Of what it leaves behind only the group is left.
    let response = world.send(&beat("a", -1)).unwrap();
    assert_eq!((response.member_epoch, response.heartbeat_interval_ms), (-1, 0));
    assert_eq!(world.kinds()[5..], [8, 7, 5, 3]);
    assert_eq!((world.group.group_state(), world.group.next_deadline()), (GroupState::Empty, None));
}

#[test]
fn a_partition_changes_hands_when_it_is_given_up() {
    let mut world = World::new(&[("foo", 2)]);
    let foo = world.id("foo");
    world.send(&join("a", &["foo"])).unwrap();
    // The target assignment is too young to be replaced: the second member gets into its epoch, with nothing.
    world.pass(999);
    let response = world.send(&join("b", &["foo"])).unwrap();
    assert_eq!((response.member_epoch, assigned(&response)), (2, Some(Partitions::new())));
    assert_eq!(world.group.group_state(), GroupState::Assigning);
    world.pass(1);
    // Now it is replaced. What the second one is to have the first one holds still.
    let response = world.send(&beat("b", 2)).unwrap();
    assert_eq!((response.member_epoch, response.assignment), (3, None));
    assert_eq!(world.group.group_state(), GroupState::Reconciling);
    let response = world.send(&beat("a", 2)).unwrap();
    assert_eq!((response.member_epoch, assigned(&response)), (2, Some(partitions(foo, &[0]))));
    assert_eq!(world.send(&beat("b", 3)).unwrap().assignment, None);
    // It says that it still owns both, then that it doesn't.
    let response = world.send(&owning(beat("a", 2), foo, &[0, 1])).unwrap();
    assert_eq!((response.member_epoch, response.assignment), (2, None));
    let response = world.send(&owning(beat("a", 2), foo, &[0])).unwrap();
    assert_eq!((response.member_epoch, response.assignment), (3, None));
    let response = world.send(&beat("b", 3)).unwrap();
    assert_eq!((response.member_epoch, assigned(&response)), (3, Some(partitions(foo, &[1]))));
    assert_eq!(world.group.group_state(), GroupState::Stable);
    // Each partition remembers the epoch at which its member got it.
    assert_eq!(world.member("a").assigned, Assigned::from([(foo, [(0, 2)].into())]));
    assert_eq!(world.member("b").assigned, Assigned::from([(foo, [(1, 3)].into())]));
}

#[test]
fn who_gives_nothing_up_in_time_is_gone() {
    let mut world = World::new(&[("foo", 2)]);
    let foo = world.id("foo");
    world.send(&join("a", &["foo"])).unwrap();
    world.pass(1_000);
    world.send(&join("b", &["foo"])).unwrap();
    world.send(&beat("a", 2)).unwrap();
    // It sends heartbeats, but owns what it has to give up.
    for _ in 0..3 {
        world.pass(19_000);
        world.send(&owning(beat("a", 2), foo, &[0, 1])).unwrap();
        world.send(&beat("b", 3)).unwrap();
        assert_eq!(world.tick(), Outcome::default());
    }
    world.pass(3_000);
    assert_eq!(world.tick().batches.len(), 1);
    assert_eq!(world.send(&owning(beat("a", 2), foo, &[0, 1])), Err(ResponseError::UnknownMemberId));
    let response = world.send(&beat("b", 3)).unwrap();
    assert_eq!((response.member_epoch, assigned(&response)), (4, Some(partitions(foo, &[0, 1]))));
}

#[test]
fn who_is_silent_is_gone() {
    let mut world = World::new(&[("foo", 2)]);
    world.send(&join("a", &["foo"])).unwrap();
    world.pass(44_999);
    assert_eq!(world.tick(), Outcome::default());
    world.send(&beat("a", 2)).unwrap();
    world.pass(44_999);
    assert_eq!(world.tick(), Outcome::default());
    assert_eq!(world.group.next_deadline(), Some(world.time.now + Duration::from_millis(1)));
    world.pass(1);
    assert_eq!(world.tick().batches.len(), 1);
    assert!(world.group.is_empty());
    // A group may have its own time, and whoever takes over waits as long again.
    let own = [("consumer.session.timeout.ms", "50000"), ("consumer.heartbeat.interval.ms", "6000")];
    world.topics.configs = own.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    assert_eq!(world.send(&join("b", &["foo"])).unwrap().heartbeat_interval_ms, 6_000);
    world.group = world.loaded();
    world.call(|group, call| Ok((group.loaded(call), Outcome::default()))).unwrap();
    assert_eq!(world.group.next_deadline(), Some(world.time.now + Duration::from_secs(50)));
}

#[test]
fn epochs_that_are_not_the_members_own_are_fenced() {
    let mut world = World::new(&[("foo", 2)]);
    let foo = world.id("foo");
    assert_eq!(world.send(&beat("a", 2)), Err(ResponseError::UnknownMemberId));
    world.send(&join("a", &["foo"])).unwrap();
    assert_eq!(world.send(&beat("a", 3)), Err(ResponseError::FencedMemberEpoch));
    // An answer may be lost: the epoch before will do for one that owns nothing else.
    let two = owning(beat("a", 2).with_subscribed_topic_names(names(&["foo", "bar"])), foo, &[0, 1]);
    world.pass(1_000);
    assert_eq!(world.send(&two).unwrap().member_epoch, 3);
    assert_eq!(world.send(&owning(beat("a", 2), foo, &[1])).unwrap().member_epoch, 3);
    assert_eq!(world.send(&owning(beat("a", 2), foo, &[2])), Err(ResponseError::FencedMemberEpoch));
    assert_eq!(world.send(&beat("a", 2)), Err(ResponseError::FencedMemberEpoch));
    assert_eq!(world.send(&beat("a", 1)), Err(ResponseError::FencedMemberEpoch));
    // Rejoining is always allowed.
    let response = world.send(&join("a", &["foo", "bar"])).unwrap();
    assert_eq!((response.member_epoch, assigned(&response)), (3, Some(partitions(foo, &[0, 1]))));
}

#[test]
fn what_is_wrong_with_a_request_is_said() {
    let mut world = World::new(&[]);
    let blank = || join("a", &["foo"]);
    let mut refuse = |request: Heartbeat, error| assert_eq!(world.send(&request), Err(error), "{request:?}");
    let invalid = ResponseError::InvalidRequest;
    refuse(blank().with_member_id(text(" ")), invalid);
    refuse(blank().with_group_id(text("").into()), invalid);
    refuse(blank().with_instance_id(Some(text(""))), invalid);
    refuse(blank().with_rack_id(Some(text(" "))), invalid);
    refuse(blank().with_rebalance_timeout_ms(-1), invalid);
    refuse(blank().with_topic_partitions(None), invalid);
    refuse(owning(blank(), Uuid::from_u128(1), &[0]), invalid);
    refuse(blank().with_subscribed_topic_names(None), invalid);
    refuse(blank().with_member_epoch(-2), invalid);
    refuse(blank().with_member_epoch(-3), invalid);
    refuse(blank().with_server_assignor(Some(text("sticky"))), ResponseError::UnsupportedAssignor);
    refuse(blank().with_subscribed_topic_regex(Some(text("["))), ResponseError::InvalidRegularExpression);
    let nameless = blank().with_member_id(text(""));
    let options = ConsumerOptions::default();
    assert_eq!(check_request(&nameless, 0, &options), Ok(()));
    assert!(check_request(&nameless.clone().with_member_epoch(1), 0, &options).is_err());
    assert!(check_request(&nameless.with_member_epoch(-1), 0, &options).is_err());
}

#[test]
fn a_full_group_takes_nobody_else() {
    let mut world = World::new(&[("foo", 2)]);
    world.options.size_max = 1;
    world.send(&join("a", &["foo"])).unwrap();
    assert_eq!(world.send(&join("b", &["foo"])), Err(ResponseError::GroupMaxSizeReached));
    world.send(&join("a", &["foo"])).unwrap();
}

#[test]
fn a_static_member_comes_back_to_what_it_had() {
    let mut world = World::new(&[("foo", 3)]);
    let foo = world.id("foo");
    let by = |id: &str| join(id, &["foo"]).with_instance_id(Some(text("i")));
    let own = |request: Heartbeat| request.with_instance_id(Some(text("i")));
    world.send(&by("a")).unwrap();
    assert_eq!(world.send(&by("b")), Err(ResponseError::UnreleasedInstanceId));
    assert_eq!(world.send(&own(beat("b", 2))), Err(ResponseError::FencedInstanceId));
    assert_eq!(world.send(&own(beat("b", -1))), Err(ResponseError::FencedInstanceId));
    let other = beat("a", 2).with_instance_id(Some(text("j")));
    assert_eq!(world.send(&other), Err(ResponseError::UnknownMemberId));
    assert_eq!(world.send(&own(beat("a", -2))).unwrap().member_epoch, -2);
    assert_eq!(world.member("a").assigned, Assigned::from([(foo, [(0, 0), (1, 0), (2, 0)].into())]));
    // Nothing is assigned anew: it gets what it had, in the same epoch of the group.
    let before = world.log.len();
    let response = world.send(&by("b")).unwrap();
    assert_eq!((response.member_epoch, assigned(&response)), (2, Some(partitions(foo, &[0, 1, 2]))));
    assert_eq!(world.kinds()[before..], [8, 7, 5, 5, 7, 8, 8]);
    assert_eq!((world.group.len(), world.group.state.epoch), (1, 2));
    // The session of the one it was is over, and nobody minds.
    world.pass(44_000);
    world.send(&own(beat("b", 2))).unwrap();
    world.pass(1_000);
    assert_eq!(world.tick(), Outcome::default());
    // One that doesn't come back is gone when its session is over.
    world.send(&own(beat("b", -2))).unwrap();
    world.pass(44_000);
    assert_eq!(world.tick().batches.len(), 1);
    assert!(world.group.is_empty());
}

#[test]
fn patterns_are_matched_and_matched_again() {
    let mut world = World::new(&[("foo-1", 1), ("bar", 1)]);
    let by = |id: &str, regex: &str| {
        join(id, &[]).with_subscribed_topic_names(None).with_subscribed_topic_regex(Some(text(regex)))
    };
    // Until a pattern is matched its member has nothing; that it matches something begins an epoch.
    let response = world.send(&by("a", "foo.*")).unwrap();
    assert_eq!((response.member_epoch, assigned(&response)), (1, Some(Partitions::new())));
    assert_eq!(world.kinds(), [5, 8, 16, 3]);
    let response = world.send(&beat("a", 1)).unwrap();
    let foo_1 = partitions(world.id("foo-1"), &[0]);
    assert_eq!((response.member_epoch, assigned(&response)), (2, Some(foo_1.clone())));
    // A topic that comes is noticed when it was long enough ago.
    let id = world.topics.set("foo-2", 1);
    world.pass(10_000);
    assert_eq!(world.send(&beat("a", 2)).unwrap().member_epoch, 2);
    world.pass(1);
    assert_eq!(world.send(&beat("a", 2)).unwrap().member_epoch, 2);
    let response = world.send(&beat("a", 2)).unwrap();
    let both: Partitions = foo_1.into_iter().chain(partitions(id, &[0])).collect();
    assert_eq!((response.member_epoch, assigned(&response)), (3, Some(both)));
    // One that goes is noticed by its hash.
    world.topics.topics.remove("foo-2");
    world.pass(5_000);
    let response = world.send(&beat("a", 3)).unwrap();
    assert_eq!(assigned(&response), Some(partitions(world.id("foo-1"), &[0])));
    // The same pattern is matched once for all; with its last member it is gone.
    world.pass(1_000);
    let response = world.send(&by("b", "foo.*")).unwrap();
    assert_eq!(response.member_epoch, 5);
    world.send(&beat("a", -1)).unwrap();
    assert_eq!(world.group.state.resolved.len(), 1);
    world.send(&beat("b", -1)).unwrap();
    assert_eq!(world.group.state.resolved.len(), 0);
    assert!(world.group.state.subscribed.is_empty());
}

#[test]
fn a_topic_that_changes_is_noticed() {
    let mut world = World::new(&[("foo", 1)]);
    let foo = world.id("foo");
    world.send(&join("a", &["foo"])).unwrap();
    world.topics.set("foo", 2);
    world.pass(999);
    assert_eq!(world.send(&beat("a", 2)).unwrap().assignment, None);
    world.pass(1);
    let response = world.send(&beat("a", 2)).unwrap();
    assert_eq!((response.member_epoch, assigned(&response)), (3, Some(partitions(foo, &[0, 1]))));
    // Whoever is told of it needn't wait.
    world.topics.topics.clear();
    world.pass(1_000);
    world.send(&beat("a", 3)).unwrap();
    let id = world.topics.set("foo", 1);
    assert_ne!(id, foo);
    world.group.request_metadata_refresh();
    world.send(&owning(beat("a", 3), foo, &[])).unwrap();
    assert_eq!(world.group.group_state(), GroupState::Assigning);
}

#[test]
fn what_is_subscribed_to_no_longer_is_given_up_at_once() {
    let mut world = World::new(&[("foo", 1), ("bar", 1)]);
    let (foo, bar) = (world.id("foo"), world.id("bar"));
    world.send(&join("a", &["foo", "bar"])).unwrap();
    // The target assignment can't be replaced yet, which doesn't matter for that.
    let less = beat("a", 2).with_subscribed_topic_names(names(&["bar"]));
    let response = world.send(&less).unwrap();
    assert_eq!((response.member_epoch, assigned(&response)), (2, Some(partitions(bar, &[0]))));
    assert_eq!(world.member("a").state, member::MemberState::UnrevokedPartitions);
    assert!(world.group.state.is_held(foo, 0));
    world.pass(1_000);
    let response = world.send(&owning(beat("a", 2), bar, &[0])).unwrap();
    assert_eq!((response.member_epoch, response.assignment), (3, None));
    assert!(!world.group.state.is_held(foo, 0));
}

#[test]
fn the_assignor_that_most_ask_for_is_taken() {
    let mut world = World::new(&[("foo", 4), ("bar", 2)]);
    let by = |id: &str, assignor: &str| join(id, &["foo", "bar"]).with_server_assignor(Some(text(assignor)));
    let described = |world: &mut World| {
        world.call(|group, call| Ok((group.describe(call), Outcome::default()))).unwrap().0
    };
    world.send(&by("a", "range")).unwrap();
    assert_eq!(described(&mut world).assignor_name.as_str(), "range");
    world.send(&by("b", "uniform")).unwrap();
    assert_eq!(described(&mut world).assignor_name.as_str(), "uniform");
    world.send(&by("c", "range")).unwrap();
    world.pass(1_000);
    world.send(&beat("c", 2)).unwrap();
    let group = described(&mut world);
    assert_eq!(
        (group.group_state.as_str(), group.group_epoch, group.assignment_epoch),
        ("Reconciling", 4, 4)
    );
    // By ranges: two, one and one of the one topic, one and one and none of the other.
    let targets = group.members.iter().map(|member| {
        let topics = member.target_assignment.topic_partitions.iter();
        topics
            .map(|topic| format!("{}{:?}", topic.topic_name.as_str(), topic.partitions))
            .collect::<Vec<_>>()
            .join(" ")
    });
    assert_eq!(targets.collect::<Vec<_>>(), ["foo[0, 1] bar[0]", "foo[2] bar[1]", "foo[3]"]);
    let first = &group.members[0];
    assert_eq!((first.member_epoch, first.member_type, first.client_host.as_str()), (2, 1, "/127.0.0.1"));
    assert_eq!(first.assignment.topic_partitions.len(), 2);
    assert_eq!(first.subscribed_topic_regex.as_deref(), Some(""));
}

#[test]
fn commits_and_fetches_need_the_right_epoch() {
    let mut world = World::new(&[("foo", 2)]);
    let foo = world.id("foo");
    let commit = |world: &World, id: &str, epoch, version, partition| {
        let check = world.group.check_commit(id, None, epoch, false, version);
        check.and_then(|check| check.partition("foo", foo, partition)).map_err(|refusal| refusal.error)
    };
    // Nobody is in it: tools may commit, and members may not.
    assert_eq!(commit(&world, "", -1, 9, 0), Ok(()));
    assert_eq!(commit(&world, "a", 2, 9, 0), Err(ResponseError::UnknownMemberId));
    world.send(&join("a", &["foo"])).unwrap();
    world.pass(1_000);
    world.send(&join("b", &["foo"])).unwrap();
    assert_eq!(commit(&world, "", -1, 9, 0), Err(ResponseError::UnknownMemberId));
    assert_eq!(commit(&world, "a", 2, 9, 0), Ok(()));
    assert_eq!(commit(&world, "a", 2, 8, 0), Err(ResponseError::UnsupportedVersion));
    assert_eq!(commit(&world, "a", 3, 9, 0), Err(ResponseError::StaleMemberEpoch));
    // An older epoch will do for what the member has had since.
    world.send(&owning(beat("a", 2), foo, &[0])).unwrap();
    world.send(&beat("b", 3)).unwrap();
    assert_eq!(commit(&world, "a", 2, 9, 0), Ok(()));
    assert_eq!(commit(&world, "a", 2, 9, 1), Err(ResponseError::StaleMemberEpoch));
    assert_eq!(commit(&world, "a", 1, 9, 0), Err(ResponseError::StaleMemberEpoch));
    assert_eq!(commit(&world, "b", 2, 9, 1), Err(ResponseError::StaleMemberEpoch));
    assert!(world.group.check_commit("", None, -1, true, 3).is_ok());
    let fetch = |id, epoch| world.group.check_fetch(id, epoch).map_err(|refusal| refusal.error);
    assert_eq!(fetch(None, -1), Ok(()));
    assert_eq!(fetch(Some("a"), 3), Ok(()));
    assert_eq!(fetch(Some("a"), 2), Err(ResponseError::StaleMemberEpoch));
    assert_eq!(fetch(Some("c"), 2), Err(ResponseError::UnknownMemberId));
    assert_eq!(
        world.group.check_delete().map_err(|refusal| refusal.error),
        Err(ResponseError::NonEmptyGroup)
    );
    assert!(world.group.is_subscribed_to("foo") && !world.group.is_subscribed_to("bar"));
}

#[test]
fn an_old_release_s_record_of_topics_is_deleted() {
    let mut world = World::new(&[("foo", 1)]);
    world.send(&join("a", &["foo"])).unwrap();
    // What it says doesn't matter: a record without topics.
    let old = Record {
        key: Change::PartitionMetadata(false).record("grp").key,
        value: Some(vec![0, 0, 1, 0].into()),
    };
    world.write_and_load(old);
    assert!(world.group.state.has_partition_metadata);
    world.send(&beat("a", 2)).unwrap();
    assert_eq!(world.kinds()[6..], [4]);
    assert!(!world.group.state.has_partition_metadata);
}

#[test]
fn a_member_in_a_state_from_the_future_starts_over() {
    let mut world = World::new(&[("foo", 1)]);
    let foo = world.id("foo");
    world.send(&join("a", &["foo"])).unwrap();
    let mut current = world.member("a").current();
    current.state = 9;
    world.write_and_load(Change::CurrentMember("a".to_owned(), Some(current)).record("grp"));
    assert_eq!(world.send(&owning(beat("a", 2), foo, &[0])), Err(ResponseError::FencedMemberEpoch));
    let response = world.send(&join("a", &["foo"])).unwrap();
    assert_eq!((response.member_epoch, assigned(&response)), (2, Some(partitions(foo, &[0]))));
}

#[test]
fn an_assignment_that_fits_into_no_batch_is_refused() {
    let topics: Vec<_> = (0..10).map(|number| (format!("t{number}"), 10_000)).collect();
    let topics: Vec<_> = topics.iter().map(|(name, size)| (name.as_str(), *size)).collect();
    let mut world = World::new(&topics);
    let all: Vec<_> = topics.iter().map(|(name, _)| *name).collect();
    assert_eq!(world.send(&join("a", &all)), Err(ResponseError::UnknownServerError));
    assert!(world.group.is_empty() && world.log.is_empty());
}

#[test]
fn nothing_is_left_of_a_group_that_is_deleted() {
    let mut world = World::new(&[("foo", 1)]);
    world.send(&join("a", &["foo"])).unwrap();
    world.send(&join("b", &[]).with_subscribed_topic_regex(Some(text("f.*")))).unwrap();
    let tombstones = world.group.tombstones();
    world.log.extend(tombstones.iter().map(|change| change.record("grp")));
    assert_eq!(world.kinds()[world.log.len() - tombstones.len()..], [8, 8, 7, 7, 6, 5, 5, 16, 4, 3]);
    assert_eq!(world.loaded().state, ConsumerGroup::new("grp").state);
    // Every key that was ever written has a tombstone after it.
    let mut last = BTreeMap::new();
    for record in &world.log {
        last.insert(record.key.clone(), record.value.is_none());
    }
    assert!(last.values().all(|deleted| *deleted));
    assert_eq!(last.keys().collect::<BTreeSet<_>>().len(), 10);
}

#[test]
fn what_a_refused_member_brings_to_notice_is_noticed_by_the_next_one() {
    let mut world = World::new(&[("foo", 2)]);
    assert_eq!(world.send(&join("a", &["foo"])).unwrap().member_epoch, 2);
    world.topics.set("foo", 3);
    world.pass(2_000);
    let names: Vec<String> = (0..6_000).map(|number| format!("{number:0200}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).chain(["foo"]).collect();
    assert_eq!(world.send(&join("b", &names)).map(|_| ()), Err(ResponseError::UnknownServerError));
    let response = world.send(&beat("a", 2)).unwrap();
    assert_eq!(response.member_epoch, 3);
    let id = world.id("foo");
    assert_eq!(assigned(&response).map(|all| all[&id].len()), Some(3));
}
