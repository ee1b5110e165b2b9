//! Whatever clients do: groups stay sound, everybody is answered, and what is written says what is known.

use super::harness::{Broker, Consumer, group_id, subscribed, text, topic_id};
use super::offsets::{request, topic, transactional};
use crate::effects::{Producer, Token};
use crate::group::GroupShard;
use crate::group::classic::State;
use crate::group::kind::Group;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, LeaveGroupRequest, ListGroupsRequest, OffsetDeleteRequest,
    ResponseKind,
};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// What happens. Numbers choose among clients, groups, partitions.
#[derive(Debug, Clone)]
enum Step {
    Join { client: usize, forget: bool, protocols: u8 },
    Sync { client: usize },
    Heartbeat { client: usize },
    Leave { client: usize, by_instance: bool },
    Commit { client: usize, partition: i32, offset: i64, anonymous: bool },
    CommitIn { client: usize, partition: i32, offset: i64, producer: i64, epoch: i16 },
    End { producer: i64, epoch: i16, commit: bool },
    DeleteOffset { group: usize, partition: i32 },
    DeleteGroup { group: usize },
    DeleteTopic,
    Look,
    Pass { ms: u64 },
    FailOver,
}

const GROUPS: [&str; 2] = ["g", "h"];
const CLIENTS: usize = 6;

fn step() -> impl Strategy<Value = Step> {
    let client = || 0..CLIENTS;
    prop_oneof![
        8 => (client(), prop::bool::weighted(0.2), 1_u8..4).prop_map(|(client, forget, protocols)| Step::Join {
            client,
            forget,
            protocols,
        }),
        6 => client().prop_map(|client| Step::Sync { client }),
        4 => client().prop_map(|client| Step::Heartbeat { client }),
        1 => (client(), any::<bool>()).prop_map(|(client, by_instance)| Step::Leave { client, by_instance }),
        2 => (client(), 0..4, 0_i64..100, any::<bool>()).prop_map(|(client, partition, offset, anonymous)| {
            Step::Commit { client, partition, offset, anonymous }
        }),
        2 => (client(), 0..4, 0_i64..100, 0_i64..3, 0_i16..2).prop_map(
            |(client, partition, offset, producer, epoch)| {
                Step::CommitIn { client, partition, offset, producer, epoch }
            }
        ),
        1 => (0_i64..3, 0_i16..2, any::<bool>()).prop_map(|(producer, epoch, commit)| Step::End {
            producer,
            epoch,
            commit,
        }),
        1 => (0..2_usize, 0..4).prop_map(|(group, partition)| Step::DeleteOffset { group, partition }),
        1 => (0..2_usize).prop_map(|group| Step::DeleteGroup { group }),
        1 => Just(Step::DeleteTopic),
        1 => Just(Step::Look),
        8 => prop_oneof![6 => 0_u64..4_000, 1 => 0_u64..70_000, 1 => 0_u64..600_000_000]
            .prop_map(|ms| Step::Pass { ms }),
        1 => Just(Step::FailOver),
    ]
}

/// Clients, with what they wait for.
struct World {
    broker: Broker,
    clients: Vec<Consumer>,
    joins: Vec<Option<Token>>,
}

impl World {
    fn new(versions: &[i16]) -> Self {
        let clients = (0..CLIENTS).map(|at| Consumer {
            version: versions[at],
            group: GROUPS[at % 2],
            instance: (at >= 3 && versions[at] >= 5).then_some(if at == 3 { "a" } else { "b" }),
            session_timeout_ms: 6_000 + 5_000 * at as i32,
            rebalance_timeout_ms: 5_000 * at as i32,
            ..Consumer::new()
        });
        Self { broker: Broker::new(), clients: clients.collect(), joins: vec![None; CLIENTS] }
    }

    /// Clients take in what they were answered.
    fn listen(&mut self) {
        for (client, join) in self.clients.iter_mut().zip(&mut self.joins) {
            let Some(token) = *join else { continue };
            let Some(ResponseKind::JoinGroup(response)) = self.broker.answer(token) else { continue };
            *join = None;
            match response.error_code {
                0 => {
                    client.id = response.member_id.to_string();
                    client.generation = response.generation_id;
                    // It syncs with the name that was chosen.
                    let chosen = response.protocol_name.as_deref();
                    client.protocols.sort_by_key(|(name, _)| Some(*name) != chosen);
                }
                79 => client.id = response.member_id.to_string(),
                _ => client.id.clear(),
            }
        }
    }

    fn run(&mut self, step: Step) {
        let broker = &mut self.broker;
        match step {
            Step::Join { client: at, forget, protocols } => {
                let client = &mut self.clients[at];
                if forget {
                    client.id.clear();
                }
                let all = ["range", "sticky"].into_iter().enumerate();
                let chosen = all.filter(|(bit, _)| protocols & (1 << bit) != 0);
                client.protocols = chosen.map(|(_, name)| (name, subscribed("t"))).collect();
                self.joins[at] = Some(client.join(broker));
            }
            Step::Sync { client } => {
                let ids: Vec<String> = self.clients.iter().map(|client| client.id.clone()).collect();
                let all: Vec<_> = ids.iter().map(|id| (id.as_str(), &b"assigned"[..])).collect();
                self.clients[client].sync(broker, &all);
            }
            Step::Heartbeat { client } => {
                self.clients[client].heartbeat(broker);
            }
            Step::Leave { client, by_instance } => {
                let client = &self.clients[client];
                let id = if by_instance && client.instance.is_some() { "" } else { &client.id };
                let member = MemberIdentity::default()
                    .with_member_id(text(id))
                    .with_group_instance_id(client.instance.map(Into::into));
                let leave = LeaveGroupRequest::default()
                    .with_group_id(group_id(client.group))
                    .with_members(vec![member]);
                broker.ask(5, leave);
            }
            Step::Commit { client, partition, offset, anonymous } => {
                let client = &self.clients[client];
                let mut asked = request(client.group, &[("t", partition, offset)]);
                if !anonymous {
                    asked.generation_id_or_member_epoch = client.generation;
                    asked.member_id = text(&client.id);
                }
                broker.ask(9, asked);
            }
            Step::CommitIn { client, partition, offset, producer, epoch } => {
                let producer = Producer { id: producer, epoch };
                let group = self.clients[client].group;
                broker.ask(5, transactional(producer, group, &[("t", partition, offset), ("u", 0, offset)]));
            }
            Step::End { producer, epoch, commit } => {
                broker.end_transaction(Producer { id: producer, epoch }, commit);
            }
            Step::DeleteOffset { group, partition } => {
                let partition = OffsetDeleteRequestPartition::default().with_partition_index(partition);
                let topic = OffsetDeleteRequestTopic::default()
                    .with_name(topic("t"))
                    .with_partitions(vec![partition]);
                let delete = OffsetDeleteRequest::default()
                    .with_group_id(group_id(GROUPS[group]))
                    .with_topics(vec![topic]);
                broker.ask(0, delete);
            }
            Step::DeleteGroup { group } => {
                let groups = vec![group_id(GROUPS[group])];
                broker.ask(2, DeleteGroupsRequest::default().with_groups_names(groups));
            }
            Step::DeleteTopic => broker.delete_topics(&[("u".to_owned(), topic_id("u"))]),
            Step::Look => {
                let groups = GROUPS.map(group_id).to_vec();
                broker.ask(6, DescribeGroupsRequest::default().with_groups(groups));
                broker.ask(5, ListGroupsRequest::default());
            }
            Step::Pass { ms } => broker.pass_ms(ms),
            Step::FailOver => {
                broker.fail_over();
                self.joins.fill(None);
            }
        }
        self.listen();
    }
}

/// What is known of groups whose state is written: by name, everything that a record has.
fn written(shard: &GroupShard) -> BTreeMap<&str, String> {
    let settled = shard.groups.iter().filter_map(|(id, group)| {
        let Group::Classic(group) = group else { return None };
        let written =
            group.state() == State::Stable || (group.state() == State::Empty && group.generation() > 0);
        written.then(|| (&**id, group.settled()))
    });
    settled.collect()
}

fn check_log(broker: &Broker) {
    let replayed = broker.replayed();
    assert_eq!(replayed.offsets.snapshot(), broker.shard.offsets.snapshot());
    let from_log = written(&replayed);
    for (id, group) in written(&broker.shard) {
        assert_eq!(Some(&group), from_log.get(id), "{id}");
    }
    for id in replayed.groups.keys() {
        assert!(broker.shard.groups.contains_key(id), "{id} was forgotten, but not in the log");
    }
}

proptest! {
    #[test]
    fn whatever_clients_do(
        versions in prop::collection::vec(prop_oneof![0_i16..10, Just(9)], CLIENTS),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut world = World::new(&versions);
        for (at, step) in steps.into_iter().enumerate() {
            world.run(step);
            // (Reading all of the log after each step takes longer than the steps.)
            if at % 8 == 0 {
                check_log(&world.broker);
            }
        }
        check_log(&world.broker);
        // The longest that anybody waits: a new member, and then the rebalances that its end brings about.
        world.broker.pass_ms(1_000_000);
        prop_assert_eq!(world.broker.waiting(), 0);
        for group in world.broker.shard.groups.values() {
            let Group::Classic(group) = group else { continue };
            prop_assert_eq!(group.state(), State::Empty);
        }
    }
}
