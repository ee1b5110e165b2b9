//! Groups that change their protocol while they work. A classic group becomes a consumer group when a member joins by
//! the consumer protocol, and its members stay, served by the classic protocol; when the last one that uses the consumer
//! protocol leaves, it becomes a classic group again.

use super::member::{Member, with_epoch};
use super::outcome::{Downgrade, DowngradedMember, Outcome, Refusal};
use super::protocol::{Assignment, Subscription};
use super::timers::Wait;
use super::{Call, ConsumerGroup};
use crate::context::Cluster;
use crate::schema::consumer::{
    Change, ClassicMember, ClassicProtocol, GroupEpoch, MemberMetadata, Partitions, TargetEpoch,
};
use bytes::Bytes;
use kafka_protocol::ResponseError;
use levee_base::limits::MESSAGE_BYTES;
use std::collections::{BTreeMap, BTreeSet};

/// A classic group that is to become a consumer group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    /// Its generation.
    pub generation: i32,
    /// Its members.
    pub members: Vec<UpgradedMember>,
}

/// A member of such a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpgradedMember {
    /// Its id.
    pub id: String,
    /// Its instance id, if it is static.
    pub instance_id: Option<String>,
    /// Its client id.
    pub client_id: String,
    /// Its address.
    pub client_host: String,
    /// How long it may take to rejoin, in milliseconds.
    pub rebalance_timeout_ms: i32,
    /// Its session timeout, in milliseconds.
    pub session_timeout_ms: i32,
    /// What it offers, by its preference.
    pub protocols: Vec<ClassicProtocol>,
    /// What it says by the protocol that the group has chosen.
    pub subscription: Bytes,
    /// What its leader has assigned to it; empty if nothing was yet.
    pub assignment: Bytes,
}

impl ConsumerGroup {
    /// Whether a classic group may become a consumer group.
    ///
    /// # Errors
    /// GROUP_ID_NOT_FOUND, as in Kafka.
    pub fn check_upgrade(
        call: &Call<'_>,
        group: &str,
        members: usize,
        are_consumers: bool,
    ) -> Result<(), Refusal> {
        let why = if !call.options.migration_policy.upgrades() {
            "online upgrade is disabled"
        } else if !are_consumers {
            "the group does not use the consumer embedded protocol"
        } else if members > call.options.size_max {
            "the group size exceeds the consumer group maximum size"
        } else {
            return Ok(());
        };
        Err(cannot_upgrade(group, why))
    }

    /// A classic group as a consumer group, and the records that make it one: they follow the tombstones of the classic
    /// group, and those of what the joining member brings about belong into the same batch.
    ///
    /// # Errors
    /// GROUP_ID_NOT_FOUND, as in Kafka, for what members say that can't be read or would be lost.
    pub fn upgrade(call: &Call<'_>, id: &str, classic: Upgrade) -> Result<(Self, Vec<Change>), Refusal> {
        let mut members = Vec::new();
        for member in classic.members {
            members.push(upgraded(call.cluster, id, classic.generation, member)?);
        }
        let mut group = Self::new(id);
        let mut records: Vec<Change> = Vec::new();
        for (member, _) in &members {
            records.push(Change::Member(member.id.clone(), Some(member.metadata.clone())));
        }
        for record in &records {
            group.state.apply(record);
        }
        let metadata_hash = group.topics.hash(&group.state.subscribed, call.cluster);
        let epoch = classic.generation;
        records.push(Change::Group(Some(GroupEpoch { epoch, metadata_hash })));
        for (member, target) in &members {
            records.push(Change::TargetMember(member.id.clone(), Some(target.clone())));
        }
        // As if no time were known at which it was made, so that it can be replaced at once.
        records.push(Change::Target(Some(TargetEpoch { epoch, timestamp_ms: 0 })));
        for (member, _) in &members {
            records.push(Change::CurrentMember(member.id.clone(), Some(member.current())));
        }
        for record in &records {
            group.state.apply(record);
        }
        for member in group.state.members.values() {
            if let Some(classic) = member.classic() {
                group.timers.set(&member.id, Wait::Session, call.time.now, classic.session_timeout_ms);
            }
        }
        Ok((group, records))
    }

    /// Whether the group is to become a classic one when some members leave.
    pub(super) fn can_downgrade_without(&self, call: &Call<'_>, leaving: &[&Member]) -> bool {
        let classic = leaving.iter().filter(|member| member.uses_classic()).count();
        let left = self.state.members.len() - leaving.len();
        left > 0 && self.state.classic_members - classic == left && self.may_downgrade(call, left, 0)
    }

    /// Whether the group is to become a classic one when a static member comes back by the classic protocol, as `joining`.
    pub(super) fn can_downgrade_replacing(
        &self,
        call: &Call<'_>,
        replaced: &Member,
        joining: &Member,
    ) -> bool {
        let members = self.state.members.len();
        !replaced.uses_classic()
            && self.state.classic_members == members - 1
            && self.may_downgrade(call, members, self.replacing_bytes(call.cluster, replaced, joining))
    }

    fn may_downgrade(&self, call: &Call<'_>, members: usize, more_bytes: usize) -> bool {
        call.options.migration_policy.downgrades()
            && members <= call.classic_size_max
            && self.downgrade_bytes(call.cluster) + more_bytes <= MESSAGE_BYTES
    }

    /// The tombstones of all that there is of the group.
    #[must_use]
    pub fn tombstones(&self) -> Vec<Change> {
        self.tombstones_replacing(None)
    }

    /// The same, if the records that put one member into another's place, who is named first, are written already.
    pub(super) fn tombstones_replacing(&self, replaced: Option<(&str, &str)>) -> Vec<Change> {
        let id = |id: &str| match replaced {
            Some((before, member)) if before == id => member.to_owned(),
            _ => id.to_owned(),
        };
        let ids: Vec<String> = self.state.members.keys().map(|member| id(member)).collect();
        let mut records: Vec<_> = ids.iter().map(|id| Change::CurrentMember(id.clone(), None)).collect();
        records.extend(ids.iter().map(|id| Change::TargetMember(id.clone(), None)));
        records.push(Change::Target(None));
        records.extend(ids.iter().map(|id| Change::Member(id.clone(), None)));
        records.extend(self.state.resolved.keys().map(|regex| Change::Regex(regex.clone(), None)));
        records.push(Change::PartitionMetadata(false));
        records.push(Change::Group(None));
        records
    }

    /// The group as a classic one: without those who leave; and if a static member comes back by the classic protocol,
    /// with it in the place of the one it was.
    pub(super) fn downgrade(
        &self,
        call: &Call<'_>,
        leaving: &BTreeSet<String>,
        joining: Option<&Member>,
        rebalance: bool,
    ) -> Downgrade {
        let replaced = joining.and_then(Member::instance_id).and_then(|id| self.state.static_members.get(id));
        let stays = |member: &&Member| !leaving.contains(&member.id) && Some(&member.id) != replaced;
        let mut members: Vec<_> = self
            .state
            .members
            .values()
            .filter(stays)
            .map(|member| self.downgraded(call.cluster, member, &member.id))
            .collect();
        if let Some(member) = joining {
            members.push(self.downgraded(call.cluster, member, replaced.unwrap_or(&member.id)));
        }
        Downgrade { generation: self.state.epoch, members, rebalance }
    }

    /// A member for a classic group, with the target assignment of a member id.
    fn downgraded(&self, cluster: &dyn Cluster, member: &Member, target_of: &str) -> DowngradedMember {
        let metadata = &member.metadata;
        let (session_timeout_ms, protocols) = match member.classic() {
            Some(classic) => (classic.session_timeout_ms, classic.protocols.clone()),
            None => (0, Vec::new()),
        };
        let target = self.state.target.get(target_of).into_iter().flatten();
        DowngradedMember {
            id: member.id.clone(),
            instance_id: metadata.instance_id.clone(),
            client_id: metadata.client_id.clone(),
            client_host: metadata.client_host.clone(),
            rebalance_timeout_ms: metadata.rebalance_timeout_ms,
            session_timeout_ms,
            protocols,
            assignment: by_name(cluster, target.map(|(topic, partitions)| (*topic, partitions.clone()))),
        }
    }

    /// Hands out what is written of the group and doesn't take it any more: the group is about to be another.
    pub(super) fn give_up(
        &self,
        call: &Call<'_>,
        joining: &Member,
        stale: bool,
        mut records: Vec<Change>,
    ) -> Outcome {
        let replaced = joining.instance_id().and_then(|id| self.state.static_members.get(id));
        let replaced = replaced.map(|before| (before.as_str(), joining.id.as_str()));
        records.extend(self.tombstones_replacing(replaced));
        let downgrade = self.downgrade(call, &BTreeSet::new(), Some(joining), stale);
        Outcome { batches: vec![records], downgrade: Some(downgrade) }
    }
}

/// Partitions of topics by name, as far as the topics exist.
pub(super) fn by_name(
    cluster: &dyn Cluster,
    partitions: impl Iterator<Item = (uuid::Uuid, BTreeSet<i32>)>,
) -> Assignment {
    let partitions = partitions
        .filter_map(|(topic, partitions)| Some((cluster.topic_by_id(topic)?.name.to_string(), partitions)))
        .collect();
    Assignment { partitions, user_data: None }
}

/// Partitions of topics by id, as far as the topics exist.
pub(super) fn by_id(cluster: &dyn Cluster, partitions: &BTreeMap<String, BTreeSet<i32>>) -> Partitions {
    partitions
        .iter()
        .filter_map(|(topic, partitions)| Some((cluster.topic(topic)?.id, partitions.clone())))
        .collect()
}

fn cannot_upgrade(group: &str, why: &str) -> Refusal {
    let message = format!("Cannot upgrade classic group {group} to consumer group because {why}.");
    Refusal::new(ResponseError::GroupIdNotFound, message)
}

/// A member of a classic group as one of a consumer group, and its target assignment: what it had last.
fn upgraded(
    cluster: &dyn Cluster,
    group: &str,
    generation: i32,
    member: UpgradedMember,
) -> Result<(Member, Partitions), Refusal> {
    let malformed = |_| cannot_upgrade(group, "the embedded consumer protocol is malformed");
    let assignment = if member.assignment.is_empty() {
        Assignment::default()
    } else {
        Assignment::parse(member.assignment).map_err(malformed)?
    };
    if assignment.user_data.is_some_and(|data| !data.is_empty()) {
        let why = "an unsupported custom assignor is in use. Please refer to the documentation or switch to a \
                   default assignor before re-attempting the upgrade";
        return Err(cannot_upgrade(group, why));
    }
    let subscription = Subscription::parse(member.subscription).map_err(malformed)?;
    let target = by_id(cluster, &assignment.partitions);
    let mut upgraded = Member::new(&member.id);
    upgraded.metadata = MemberMetadata {
        instance_id: member.instance_id,
        rack_id: subscription.rack_id.filter(|rack| !rack.is_empty()),
        client_id: member.client_id,
        client_host: member.client_host,
        subscribed_topic_names: subscription.topics,
        subscribed_topic_regex: Some(String::new()),
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        server_assignor: None,
        classic: Some(ClassicMember {
            session_timeout_ms: member.session_timeout_ms,
            protocols: member.protocols,
        }),
    };
    upgraded.epoch = generation;
    upgraded.previous_epoch = generation;
    upgraded.assigned = with_epoch(&target, generation);
    Ok((upgraded, target))
}
