//! Random lives of groups: members come and go, answers get lost, time passes, topics change, coordinators move. Nothing
//! is ever owned by two; in the end everybody has what is theirs; and a group that is loaded is the one that was (which
//! `World::call` looks at after every call, too).

use super::classic::classic_join;
use super::*;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use proptest::prelude::*;

const TOPICS: &[&str] = &["foo", "bar", "baz"];
const MEMBERS: usize = 5;

#[derive(Debug, Clone)]
enum Step {
    /// A member sends a heartbeat, joining if it has to. Its answer may get lost; and what it has to give up it may not
    /// have given up yet.
    Beat {
        member: usize,
        lost: bool,
        slow: bool,
    },
    Leave {
        member: usize,
    },
    Subscribe {
        member: usize,
        to: u8,
    },
    Pass {
        ms: u64,
    },
    Topic {
        topic: usize,
        partitions: u32,
    },
    Load,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..MEMBERS, prop::bool::weighted(0.1), prop::bool::weighted(0.2))
            .prop_map(|(member, lost, slow)| Step::Beat { member, lost, slow }),
        1 => (0..MEMBERS).prop_map(|member| Step::Leave { member }),
        1 => (0..MEMBERS, any::<u8>()).prop_map(|(member, to)| Step::Subscribe { member, to }),
        3 => prop::sample::select(vec![1_u64, 500, 1_000, 5_000, 20_000, 50_000]).prop_map(|ms| Step::Pass { ms }),
        1 => (0..TOPICS.len(), 0..6_u32).prop_map(|(topic, partitions)| Step::Topic { topic, partitions }),
        1 => Just(Step::Load),
    ]
}

/// A client, as Apache Kafka's consumer behaves.
#[derive(Debug, Clone, Default)]
struct Consumer {
    id: String,
    instance_id: Option<String>,
    /// How often it has come back by another id.
    lives: usize,
    epoch: i32,
    /// Topics by a bit each; beyond them, a pattern.
    subscription: u8,
    owned: Partitions,
    /// What it was told last that it may have.
    assignment: Option<Partitions>,
    /// It tells all of itself; one of the classic protocol rejoins.
    full: bool,
    /// It uses the classic protocol.
    classic: bool,
}

impl Consumer {
    fn new(number: usize) -> Self {
        let instance_id = (number == 0).then(|| "i".to_owned());
        let id = format!("m{number}");
        let classic = number == MEMBERS - 1;
        Self { id, instance_id, subscription: 0b111, full: true, classic, ..Self::default() }
    }

    fn topics(&self) -> Vec<&'static str> {
        TOPICS
            .iter()
            .enumerate()
            .filter(|(at, _)| self.subscription & (1 << at) != 0)
            .map(|(_, name)| *name)
            .collect()
    }

    fn pattern(&self) -> &'static str {
        if self.subscription & 0b1000 != 0 && !self.classic { "ba.*" } else { "" }
    }

    fn request(&self) -> Heartbeat {
        let mut request = if self.full || self.epoch == 0 {
            join(&self.id, &self.topics()).with_subscribed_topic_regex(Some(text(self.pattern())))
        } else {
            beat(&self.id, self.epoch)
        };
        let owned = self.owned.iter().map(|(topic, partitions)| {
            OwnedPartitions::default()
                .with_topic_id(*topic)
                .with_partitions(partitions.iter().copied().collect())
        });
        request.member_epoch = self.epoch;
        request.topic_partitions = Some(owned.collect());
        request.with_instance_id(self.instance_id.as_deref().map(text))
    }

    fn start_over(&mut self) {
        self.epoch = 0;
        self.owned.clear();
        self.assignment = None;
        self.full = true;
    }

    fn beat(&mut self, world: &mut World, lost: bool, slow: bool) {
        if !slow && let Some(assignment) = &self.assignment {
            self.owned.retain(|topic, partitions| {
                partitions.retain(|each| assignment.get(topic).is_some_and(|those| those.contains(each)));
                !partitions.is_empty()
            });
        }
        if self.classic {
            return self.classic_beat(world, lost);
        }
        match world.send(&self.request()) {
            Ok(_) if lost => self.full = true,
            Ok(response) => {
                self.epoch = response.member_epoch;
                self.full = false;
                if let Some(assignment) = assigned(&response) {
                    for (topic, partitions) in &assignment {
                        self.owned.entry(*topic).or_default().extend(partitions);
                    }
                    self.assignment = Some(assignment);
                }
            }
            Err(ResponseError::FencedMemberEpoch | ResponseError::UnknownMemberId) => self.start_over(),
            // The one that it was has not left yet: it tries again until that one's session is over.
            Err(ResponseError::UnreleasedInstanceId) => {}
            Err(error) => panic!("{error:?}: {:?}", self.request()),
        }
    }

    fn classic_beat(&mut self, world: &mut World, lost: bool) {
        if self.full {
            if !world.group.state.members.contains_key(&self.id) {
                // It was gone without having heard of it, and is a new member by joining. What it owned until it is told
                // what it may have is as that of any that has not heard of it.
                self.owned.clear();
            }
            let named = |topic: &Uuid| world.topics.topic_by_id(*topic).map(|topic| topic.name.to_string());
            let owned: Vec<(String, Vec<i32>)> = self
                .owned
                .iter()
                .filter_map(|(topic, each)| Some((named(topic)?, each.iter().copied().collect())))
                .collect();
            let owned: Vec<(&str, &[i32])> =
                owned.iter().map(|(topic, each)| (topic.as_str(), each.as_slice())).collect();
            let (response, _) = world.classic_join(&classic_join(&self.id, &self.topics(), &owned)).unwrap();
            self.epoch = response.generation_id;
            match world.sync(&self.id, self.epoch) {
                // It asks again.
                Ok(_) if lost => {}
                Ok(assignment) => {
                    self.full = false;
                    let ids = assignment
                        .into_iter()
                        .filter_map(|(topic, each)| Some((world.topics.topic(&topic)?.id, each)));
                    let assignment: Partitions = ids.collect();
                    for (topic, partitions) in &assignment {
                        self.owned.entry(*topic).or_default().extend(partitions);
                    }
                    self.assignment = Some(assignment);
                }
                Err(ResponseError::RebalanceInProgress) => {}
                Err(error) => panic!("{error:?}"),
            }
            return;
        }
        match world.classic_beat(&self.id, self.epoch) {
            Ok(()) => {}
            Err(ResponseError::RebalanceInProgress) => self.full = true,
            Err(ResponseError::UnknownMemberId | ResponseError::IllegalGeneration) => self.start_over(),
            Err(error) => panic!("{error:?}"),
        }
    }

    fn leave(&mut self, world: &mut World) {
        if self.classic {
            let leaving = MemberIdentity::default().with_member_id(text(&self.id));
            world.classic_leave(vec![leaving]);
        } else if self.epoch > 0 {
            let is_static = self.instance_id.is_some();
            let epoch = if is_static { -2 } else { -1 };
            let request = beat(&self.id, epoch).with_instance_id(self.instance_id.as_deref().map(text));
            let left = world.send(&request);
            assert!(matches!(left, Ok(_) | Err(ResponseError::UnknownMemberId)), "{left:?}");
        }
        self.start_over();
        self.lives += 1;
        self.id = format!("{}-{}", &self.id[..2], self.lives);
    }
}

/// Nothing is held by two members, and nothing is owned by two clients that are members.
fn check(world: &World, consumers: &[Consumer]) {
    let mut held = BTreeMap::new();
    for member in world.group.state.members.values() {
        for partition in member.held() {
            assert_eq!(held.insert(partition, &member.id), None, "{partition:?} is held by two");
        }
    }
    let mut owned = BTreeMap::new();
    for consumer in consumers {
        // One that is not a member any more has yet to hear of it.
        let member = world.group.state.members.get(&consumer.id);
        if member.is_none_or(|member| member.epoch < consumer.epoch) {
            continue;
        }
        for (topic, partitions) in &consumer.owned {
            for partition in partitions {
                let before = owned.insert((*topic, *partition), &consumer.id);
                assert_eq!(before, None, "{topic}-{partition} is owned by two");
            }
        }
    }
}

fn live(steps: Vec<Step>) {
    let mut world = World::new(&[("foo", 3), ("bar", 4)]);
    // The group stays one of the consumer protocol, whoever is in it.
    world.options.migration_policy = MigrationPolicy::Upgrade;
    let mut consumers: Vec<_> = (0..MEMBERS).map(Consumer::new).collect();
    for step in steps {
        match step {
            Step::Beat { member, lost, slow } => consumers[member].beat(&mut world, lost, slow),
            Step::Leave { member } => consumers[member].leave(&mut world),
            Step::Subscribe { member, to } => {
                consumers[member].subscription = to % 16;
                consumers[member].full = true;
            }
            Step::Pass { ms } => {
                world.pass(ms);
                world.tick();
            }
            Step::Topic { topic, partitions } => {
                let name = TOPICS[topic];
                let before = world.topics.topic(name).map_or(0, |topic| topic.partitions);
                // Topics only grow; but they may be deleted, and made anew.
                if partitions == 0 {
                    world.topics.topics.remove(name);
                } else {
                    world.topics.set(name, partitions.max(before));
                }
            }
            Step::Load => {
                let loaded = world.loaded();
                let before = std::mem::replace(&mut world.group, loaded);
                assert_eq!(before.state, world.group.state, "what is loaded is what was");
                world.call(|group, call| Ok((group.loaded(call), Outcome::default()))).unwrap();
            }
        }
        check(&world, &consumers);
    }
    // All go on sending heartbeats: even one whose place a silent one has, whose session has to be over first.
    for _ in 0..40 {
        world.pass(5_000);
        for consumer in &mut consumers {
            consumer.beat(&mut world, false, false);
        }
        world.tick();
        check(&world, &consumers);
    }
    assert_eq!(world.group.group_state(), GroupState::Stable);
    let mut all = BTreeSet::new();
    for consumer in &consumers {
        let state = &world.group.state;
        let member = &state.members[&consumer.id];
        let target = state.target_of(&consumer.id, member.instance_id());
        assert_eq!(consumer.owned, target, "{}", consumer.id);
        assert_eq!(consumer.owned, member::without_epochs(&member.assigned), "{}", consumer.id);
        let topics: BTreeSet<Uuid> = state.subscribed_ids(member, &world.topics);
        assert!(consumer.owned.keys().all(|topic| topics.contains(topic)));
        all.extend(consumer.owned.iter().flat_map(|(topic, each)| each.iter().map(|each| (*topic, *each))));
    }
    let wanted = world.group.state.subscribed.keys().filter_map(|name| world.topics.topic(name));
    let wanted = wanted.flat_map(|topic| (0..topic.partitions as i32).map(move |each| (topic.id, each)));
    assert_eq!(all, wanted.collect());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn nothing_is_ever_owned_by_two_and_all_settles(steps in prop::collection::vec(step(), 1..120)) {
        live(steps);
    }
}

/// A member whose pattern matches nothing comes back just when its session is over, which began an epoch.
#[test]
fn a_pattern_that_matches_nothing_takes_nothing_from_others() {
    live(vec![
        Step::Subscribe { member: 0, to: 0b1000 },
        Step::Topic { topic: 1, partitions: 0 },
        Step::Beat { member: 0, lost: true, slow: false },
    ]);
}
