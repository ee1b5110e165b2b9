//! What a consumer group's records say, with indexes. Only records change it, whether they were read or are about to be
//! written: a group that is loaded is the group that was.

use super::member::Member;
use crate::schema::consumer::{Change, Partitions, ResolvedRegex};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// By how many members, and by how many regular expressions, a topic is subscribed to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct SubscriptionCount {
    pub(super) by_name: usize,
    pub(super) by_regex: usize,
}

pub(super) type SubscribedTopics = BTreeMap<String, SubscriptionCount>;

/// See the module's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    pub(super) epoch: i32,
    pub(super) metadata_hash: i64,
    pub(super) members: BTreeMap<String, Member>,
    pub(super) target: BTreeMap<String, Partitions>,
    pub(super) target_epoch: i32,
    pub(super) target_timestamp_ms: i64,
    pub(super) resolved: BTreeMap<String, ResolvedRegex>,
    /// Whether there is a record of subscribed topics as before 4.1, which is to be deleted.
    pub(super) has_partition_metadata: bool,

    // What follows is computed from the above.
    /// Member ids by instance id.
    pub(super) static_members: BTreeMap<String, String>,
    pub(super) subscribed: SubscribedTopics,
    /// How many members subscribe to a regular expression.
    pub(super) regexes: BTreeMap<String, usize>,
    /// How many members ask for an assignor.
    pub(super) assignors: BTreeMap<String, usize>,
    /// How many members use the classic protocol.
    pub(super) classic_members: usize,
    /// What members take that their clients say, in bytes.
    pub(super) member_bytes: usize,
    /// How many of them offer a protocol.
    pub(super) classic_protocols: BTreeMap<String, usize>,
    /// Who holds a partition. It is nobody else's until that member has given it up.
    holders: Holders,
}

impl State {
    /// That of a group which has no records yet.
    pub(super) const fn new() -> Self {
        Self {
            // So that the first epoch that members see is 2, as in Kafka since 4.2.
            epoch: 1,
            metadata_hash: 0,
            members: BTreeMap::new(),
            target: BTreeMap::new(),
            target_epoch: 1,
            target_timestamp_ms: 0,
            resolved: BTreeMap::new(),
            has_partition_metadata: false,
            static_members: BTreeMap::new(),
            subscribed: BTreeMap::new(),
            regexes: BTreeMap::new(),
            assignors: BTreeMap::new(),
            classic_members: 0,
            member_bytes: 0,
            classic_protocols: BTreeMap::new(),
            holders: BTreeMap::new(),
        }
    }

    /// What a record says. Tombstones of what isn't there change nothing: compaction may have left them.
    pub(super) fn apply(&mut self, change: &Change) {
        match change {
            Change::Group(Some(group)) => {
                self.epoch = group.epoch;
                self.metadata_hash = group.metadata_hash;
            }
            // The group is gone; whoever keeps it sees to that.
            Change::Group(None) => *self = Self::new(),
            Change::PartitionMetadata(exists) => self.has_partition_metadata = *exists,
            Change::Member(id, Some(metadata)) => {
                self.update_member(id, true, |member| member.metadata = metadata.clone());
            }
            Change::Member(id, None) => self.remove_member(id),
            Change::Target(target) => {
                self.target_epoch = target.map_or(-1, |target| target.epoch);
                self.target_timestamp_ms = target.map_or(0, |target| target.timestamp_ms);
            }
            Change::TargetMember(id, Some(target)) => {
                self.target.insert(id.clone(), target.clone());
            }
            Change::TargetMember(id, None) => {
                self.target.remove(id);
            }
            Change::CurrentMember(id, current) => {
                self.update_member(id, current.is_some(), |member| member.set_current(current.as_ref()));
            }
            Change::Regex(regex, resolved) => {
                if let Some(before) = self.resolved.remove(regex) {
                    count_regex(&mut self.subscribed, &before, false);
                }
                if let Some(resolved) = resolved {
                    count_regex(&mut self.subscribed, resolved, true);
                    self.resolved.insert(regex.clone(), resolved.clone());
                }
            }
        }
    }

    /// Whether a partition is held by somebody.
    pub(super) fn is_held(&self, topic: Uuid, partition: i32) -> bool {
        self.holders.get(&topic).is_some_and(|partitions| partitions.contains_key(&partition))
    }

    /// The static member of an instance id.
    pub(super) fn static_member(&self, instance_id: &str) -> Option<&Member> {
        self.members.get(self.static_members.get(instance_id)?)
    }

    /// The target assignment of a member, by its instance id if it has one: it may have come back by another member id.
    pub(super) fn target_of(&self, id: &str, instance_id: Option<&str>) -> Partitions {
        let id = match instance_id {
            None => Some(id),
            Some(instance_id) => self.static_members.get(instance_id).map(String::as_str),
        };
        id.and_then(|id| self.target.get(id)).cloned().unwrap_or_default()
    }

    fn update_member(&mut self, id: &str, create: bool, update: impl FnOnce(&mut Member)) {
        let before = self.members.remove(id);
        if before.is_none() && !create {
            return;
        }
        let mut member = before.clone().unwrap_or_else(|| Member::new(id));
        if let Some(before) = &before {
            self.index(before, false);
        }
        update(&mut member);
        self.index(&member, true);
        self.members.insert(id.to_owned(), member);
    }

    fn remove_member(&mut self, id: &str) {
        if let Some(member) = self.members.remove(id) {
            self.index(&member, false);
        }
        self.target.remove(id);
    }

    /// Adds a member to the indexes, or takes it out of them.
    fn index(&mut self, member: &Member, add: bool) {
        let bytes = member.bytes();
        self.member_bytes =
            if add { self.member_bytes + bytes } else { self.member_bytes.saturating_sub(bytes) };
        count_member(&mut self.subscribed, member, add);
        if let Some(regex) = member.regex() {
            count(&mut self.regexes, regex, add);
        }
        if let Some(assignor) = &member.metadata.server_assignor {
            count(&mut self.assignors, assignor, add);
        }
        if let Some(classic) = member.classic() {
            self.classic_members =
                if add { self.classic_members + 1 } else { self.classic_members.saturating_sub(1) };
            for protocol in &classic.protocols {
                count(&mut self.classic_protocols, &protocol.name, add);
            }
        }
        if let Some(instance_id) = member.instance_id() {
            if add {
                self.static_members.insert(instance_id.to_owned(), member.id.clone());
            } else if self.static_members.get(instance_id) == Some(&member.id) {
                self.static_members.remove(instance_id);
            }
        }
        let id: Arc<str> = member.id.as_str().into();
        for (topic, partition) in member.held() {
            hold(&mut self.holders, topic, partition, &id, add);
        }
    }
}

/// Who holds each partition of a topic.
type Holders = BTreeMap<Uuid, BTreeMap<i32, Arc<str>>>;

/// Gives a partition a holder, or takes it from one who still has it: in records that compaction has thinned out it may
/// be another's already.
fn hold(holders: &mut Holders, topic: Uuid, partition: i32, holder: &Arc<str>, add: bool) {
    let partitions = holders.entry(topic).or_default();
    if add {
        partitions.insert(partition, Arc::clone(holder));
    } else if partitions.get(&partition) == Some(holder) {
        partitions.remove(&partition);
    }
    if partitions.is_empty() {
        holders.remove(&topic);
    }
}

/// Counts one more of something, or one less.
pub(super) fn count(counts: &mut BTreeMap<String, usize>, of: &str, add: bool) {
    let count = counts.get(of).copied().unwrap_or(0);
    let count = if add { count + 1 } else { count.saturating_sub(1) };
    if count == 0 {
        counts.remove(of);
    } else {
        counts.insert(of.to_owned(), count);
    }
}

fn count_topic(topics: &mut SubscribedTopics, topic: &str, add: bool, by_regex: bool) {
    let mut count = topics.get(topic).copied().unwrap_or_default();
    let part = if by_regex { &mut count.by_regex } else { &mut count.by_name };
    *part = if add { *part + 1 } else { part.saturating_sub(1) };
    if count == SubscriptionCount::default() {
        topics.remove(topic);
    } else {
        topics.insert(topic.to_owned(), count);
    }
}

/// Counts the topics that a member subscribes to by name.
pub(super) fn count_member(topics: &mut SubscribedTopics, member: &Member, add: bool) {
    for topic in &member.metadata.subscribed_topic_names {
        count_topic(topics, topic, add, false);
    }
}

/// Counts the topics that a regular expression matches.
pub(super) fn count_regex(topics: &mut SubscribedTopics, resolved: &ResolvedRegex, add: bool) {
    for topic in &resolved.topics {
        count_topic(topics, topic, add, true);
    }
}
