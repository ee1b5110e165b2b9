//! A classic group as a record, and back.

use super::{ClassicGroup, Member, Protocol, State};
use crate::effects::Record;
use crate::schema::group::{GroupMetadataKey, GroupMetadataValue, MemberMetadata};
use bytes::Bytes;
use std::sync::Arc;

/// The record that deletes a group.
pub(crate) fn tombstone(group: &Arc<str>) -> Record {
    Record { key: GroupMetadataKey { group: Arc::clone(group) }.write(), value: None }
}

impl ClassicGroup {
    fn write(&self, value: &GroupMetadataValue) -> Record {
        Record { key: GroupMetadataKey { group: Arc::clone(&self.id) }.write(), value: Some(value.write()) }
    }

    /// The group as it is now.
    pub(super) fn record(&self) -> Record {
        let members = self.members.values().map(|member| MemberMetadata {
            member_id: (*member.id).to_owned(),
            group_instance_id: member.instance.as_deref().map(str::to_owned),
            client_id: (*member.client_id).to_owned(),
            client_host: (*member.client_host).to_owned(),
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            session_timeout_ms: member.session_timeout_ms,
            subscription: member.metadata(self.protocol()),
            assignment: member.assignment.clone(),
        });
        self.write(&GroupMetadataValue {
            protocol_type: self.protocol_type().unwrap_or_default().to_owned(),
            generation: self.generation,
            protocol: self.protocol().map(str::to_owned),
            leader: self.leader().map(str::to_owned),
            current_state_timestamp_ms: self.state_since_ms.unwrap_or(-1),
            members: members.collect(),
        })
    }

    /// That the group exists, which has had no members yet.
    pub(crate) fn empty_record(&self) -> Record {
        self.write(&GroupMetadataValue {
            protocol_type: String::new(),
            generation: 0,
            protocol: None,
            leader: None,
            current_state_timestamp_ms: self.state_since_ms.unwrap_or(-1),
            members: Vec::new(),
        })
    }

    /// The group that a record tells of: with members it is stable, without it is empty.
    pub(crate) fn of_record(id: Arc<str>, value: GroupMetadataValue) -> Self {
        let mut group = Self::new(id, 0);
        group.state_since_ms =
            (value.current_state_timestamp_ms != -1).then_some(value.current_state_timestamp_ms);
        group.protocol_type = (!value.protocol_type.is_empty()).then(|| value.protocol_type.into());
        group.protocol = value.protocol.map(Arc::from);
        group.generation = value.generation;
        let name = group.protocol.clone().unwrap_or_else(|| "".into());
        for member in value.members {
            group.add_of_record(member, &name);
        }
        let leader = value.leader.filter(|leader| group.members.contains_key(leader.as_str()));
        group.leader = leader.map(Arc::from).or_else(|| group.members.keys().next().map(Arc::clone));
        if !group.members.is_empty() {
            group.state = State::Stable;
            // Never so in a record that a coordinator wrote.
            group.protocol.get_or_insert(name);
        }
        group.subscribed = group.subscribed_topics();
        group
    }

    fn add_of_record(&mut self, member: MemberMetadata, protocol: &Arc<str>) {
        let rebalance_timeout_ms = match member.rebalance_timeout_ms {
            -1 => member.session_timeout_ms,
            rebalance_timeout_ms => rebalance_timeout_ms,
        };
        let id: Arc<str> = member.member_id.into();
        let instance: Option<Arc<str>> = member.group_instance_id.map(Arc::from);
        let taken = instance.as_ref().is_some_and(|instance| self.static_members.contains_key(instance));
        if taken || self.members.contains_key(&id) {
            tracing::warn!(group = &*self.id, member = &*id, "a group's record has a member twice");
            return;
        }
        let metadata = Bytes::copy_from_slice(&member.subscription);
        let protocols = vec![Protocol { name: Arc::clone(protocol), metadata }];
        self.supported.add(&protocols);
        if let Some(instance) = &instance {
            self.static_members.insert(Arc::clone(instance), Arc::clone(&id));
        }
        let member = Member {
            id,
            instance,
            client_id: member.client_id.into(),
            client_host: member.client_host.into(),
            rebalance_timeout_ms,
            session_timeout_ms: member.session_timeout_ms,
            protocols,
            assignment: Bytes::copy_from_slice(&member.assignment),
            joining: None,
            syncing: None,
            is_new: false,
        };
        self.assigned_bytes += member.assignment.len();
        self.members.insert(member);
    }
}
