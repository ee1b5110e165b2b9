//! Classic groups that become consumer groups, and consumer groups that become classic ones.

use super::{CONSUMER, ClassicGroup, Member, Protocol, State, join, sync};
use crate::effects::Record;
use crate::group::consumer::protocol::version;
use crate::group::consumer::{Downgrade, DowngradedMember, Upgrade, UpgradedMember};
use crate::group::turn::Turn;
use crate::schema::consumer::ClassicProtocol;
use bytes::Bytes;
use kafka_protocol::ResponseError;
use std::sync::Arc;

impl ClassicGroup {
    /// How many members it has.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// The group as a consumer group is to know it.
    pub(crate) fn upgrade(&self) -> Upgrade {
        // A group that has had no generation yet has no protocol, though its members have.
        let chosen = self.protocol.clone().or_else(|| self.select_protocol());
        let members = self.members.values().map(|member| UpgradedMember {
            id: member.id.to_string(),
            instance_id: member.instance.as_deref().map(str::to_owned),
            client_id: member.client_id.to_string(),
            client_host: member.client_host.to_string(),
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            session_timeout_ms: member.session_timeout_ms,
            subscription: member.metadata(chosen.as_deref()),
            assignment: member.assignment.clone(),
            protocols: member
                .protocols
                .iter()
                .map(|protocol| ClassicProtocol {
                    name: protocol.name.to_string(),
                    metadata: protocol.metadata.clone(),
                })
                .collect(),
        });
        Upgrade { generation: self.generation, members: members.collect() }
    }

    /// It has become a consumer group: whoever waits is told to rejoin, and nothing is waited for any more.
    pub(crate) fn hand_over(&mut self, turn: &mut Turn<'_>) {
        self.members.for_each_mut(|member| {
            if let Some(waiting) = member.joining.take() {
                join::refuse(turn, waiting, &member.id, ResponseError::RebalanceInProgress);
            }
            if let Some(waiting) = member.syncing.take() {
                sync::refuse(turn, waiting, ResponseError::RebalanceInProgress);
            }
        });
        self.awaiting_join = 0;
        self.cancel_timers(turn);
    }

    /// A consumer group as a classic one. `records` are the tombstones of the former: the record of the latter follows
    /// them in the same batch.
    pub(crate) fn of_consumer_group(
        turn: &mut Turn<'_>,
        id: Arc<str>,
        consumer: Downgrade,
        mut records: Vec<Record>,
    ) -> Self {
        let mut group = Self::new(id, turn.time.wall_ms);
        group.state = State::Stable;
        group.generation = consumer.generation;
        group.protocol_type = Some(CONSUMER.into());
        let mut assignments = Vec::new();
        for mut member in consumer.members {
            assignments.push((Arc::from(member.id.as_str()), std::mem::take(&mut member.assignment)));
            group.add_of_consumer_group(member);
        }
        group.leader = group.members.keys().next().map(Arc::clone);
        group.protocol = group.select_protocol();
        group.subscribed = group.subscribed_topics();
        let protocol = group.protocol.clone();
        for (id, assignment) in assignments {
            if let Some(mut member) = group.members.get_mut(&id) {
                // Consumers read it in the version that they speak themselves.
                let version = version(member.metadata(protocol.as_deref())).unwrap_or(0);
                member.assignment = assignment.write(version);
                group.assigned_bytes += member.assignment.len();
            }
        }
        records.push(group.record());
        turn.effects.append(records);
        group.loaded(turn);
        if consumer.rebalance && group.state == State::Stable {
            group.prepare_rebalance(turn, "the group has been a consumer group");
        }
        group
    }

    fn add_of_consumer_group(&mut self, member: DowngradedMember) {
        let id: Arc<str> = member.id.into();
        let instance: Option<Arc<str>> = member.instance_id.map(Arc::from);
        if let Some(instance) = &instance {
            self.static_members.insert(Arc::clone(instance), Arc::clone(&id));
        }
        let protocols: Vec<_> = member
            .protocols
            .into_iter()
            .map(|protocol| Protocol { name: protocol.name.into(), metadata: protocol.metadata })
            .collect();
        self.supported.add(&protocols);
        let member = Member {
            id,
            instance,
            client_id: member.client_id.into(),
            client_host: member.client_host.into(),
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            session_timeout_ms: member.session_timeout_ms,
            protocols,
            assignment: Bytes::new(),
            joining: None,
            syncing: None,
            is_new: false,
        };
        self.members.insert(member);
    }
}
