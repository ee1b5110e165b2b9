//! The target assignment: made by an assignor for the group as it is, and written down where it changes.

use super::assignor::{Assignor, GroupSpec, MemberSpec};
use super::member::Member;
use super::state::State;
use super::{Call, ConsumerGroup};
use crate::context::Cluster;
use crate::schema::consumer::{Change, Partitions, TargetEpoch};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use uuid::Uuid;

/// What a member is to be reconciled with.
pub(super) struct Target {
    /// The epoch of the target assignment.
    pub(super) epoch: i32,
    /// The member's part of it.
    pub(super) partitions: Partitions,
}

/// Whether the target assignment may be replaced already.
const fn may_replace(made_ms: i64, interval_ms: i32, now_ms: i64) -> bool {
    made_ms == 0 || interval_ms == 0 || now_ms >= made_ms.saturating_add(interval_ms as i64)
}

/// The assignor that most members ask for, with `updated` in `member`'s place; where several are asked for as often, it
/// is the one that is offered first.
fn assignor(state: &State, call: &Call<'_>, (member, updated): (&Member, &Member)) -> Assignor {
    let mut counts = state.assignors.clone();
    for (member, add) in [(member, false), (updated, true)] {
        if let Some(name) = &member.metadata.server_assignor {
            super::state::count(&mut counts, name, add);
        }
    }
    preferred(&counts, call)
}

/// The assignor that is asked for most.
pub(super) fn preferred(counts: &BTreeMap<String, usize>, call: &Call<'_>) -> Assignor {
    let count = |assignor: &Assignor| counts.get(assignor.name()).copied().unwrap_or(0);
    let asked_for = call.options.assignors.iter().rev().filter(|assignor| count(assignor) > 0);
    asked_for
        .max_by_key(|assignor| count(assignor))
        .copied()
        .unwrap_or_else(|| call.options.default_assignor())
}

impl ConsumerGroup {
    /// The target assignment of `updated`, in whose place `member` was: a new one, if the group's `epoch` is newer than
    /// that of the one there is, which must have stood for some time.
    pub(super) fn update_target(
        &self,
        call: &Call<'_>,
        epoch: i32,
        (member, updated): (&Member, &Member),
        records: &mut Vec<Change>,
    ) -> Target {
        let state = &self.state;
        if epoch <= state.target_epoch || !self.may_replace_target(call) {
            return self.last_target(updated);
        }
        // A static member that has come back by another id takes the place of the one it was.
        let replaced = updated
            .instance_id()
            .and_then(|id| state.static_members.get(id))
            .filter(|replaced| **replaced != updated.id);
        let others =
            state.members.values().filter(|other| other.id != updated.id && Some(&other.id) != replaced);
        let nothing = Partitions::new();
        let mut topics =
            Topics { state, cluster: call.cluster, sizes: BTreeMap::new(), known: BTreeMap::new() };
        let mut members = BTreeMap::new();
        for each in others.chain([updated]) {
            let target_of = if each.id == updated.id { replaced.unwrap_or(&each.id) } else { &each.id };
            let spec = MemberSpec {
                instance_id: each.instance_id(),
                topics: topics.of(each),
                assigned: state.target.get(target_of).unwrap_or(&nothing),
            };
            members.insert(each.id.as_str(), spec);
        }
        let spec = GroupSpec {
            members,
            homogeneous: state.is_homogeneous_with(member, updated),
            topics: topics.sizes,
        };
        let mut assignment = assignor(state, call, (member, updated)).assign(&spec);
        let mut own = Partitions::new();
        for id in spec.members.keys() {
            let partitions = assignment.remove(*id).unwrap_or_default();
            if *id == updated.id {
                own.clone_from(&partitions);
            }
            if state.target.get(*id) != Some(&partitions) {
                records.push(Change::TargetMember((*id).to_owned(), Some(partitions)));
            }
        }
        records.push(Change::Target(Some(TargetEpoch { epoch, timestamp_ms: call.time.wall_ms })));
        Target { epoch, partitions: own }
    }

    /// Whether a target assignment of a newer epoch would be made now.
    pub(super) fn may_replace_target(&self, call: &Call<'_>) -> bool {
        let interval_ms = self.settings(call).assignment_interval_ms;
        may_replace(self.state.target_timestamp_ms, interval_ms, call.time.wall_ms)
    }

    /// A member's part of the target assignment that there is.
    pub(super) fn last_target(&self, member: &Member) -> Target {
        let partitions = self.state.target_of(&member.id, member.instance_id());
        Target { epoch: self.state.target_epoch, partitions }
    }
}

/// The topics that members subscribe to, each subscription once.
struct Topics<'a> {
    state: &'a State,
    cluster: &'a dyn Cluster,
    sizes: BTreeMap<Uuid, i32>,
    known: BTreeMap<Subscription<'a>, Rc<BTreeSet<Uuid>>>,
}

/// The names and the pattern that a member subscribes to.
type Subscription<'a> = (&'a BTreeSet<String>, Option<&'a str>);

impl<'a> Topics<'a> {
    fn of(&mut self, member: &'a Member) -> Rc<BTreeSet<Uuid>> {
        let key = (&member.metadata.subscribed_topic_names, member.regex());
        if let Some(topics) = self.known.get(&key) {
            return Rc::clone(topics);
        }
        let mut ids = BTreeSet::new();
        for topic in self.state.subscription(member).filter_map(|name| self.cluster.topic(name)) {
            self.sizes.insert(topic.id, i32::try_from(topic.partitions).unwrap_or(i32::MAX));
            ids.insert(topic.id);
        }
        let ids = Rc::new(ids);
        self.known.insert(key, Rc::clone(&ids));
        ids
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_stands_for_some_time() {
        assert!(may_replace(0, 1_000, 5));
        assert!(may_replace(10_000, 0, 10_000));
        assert!(!may_replace(10_000, 1_000, 10_999));
        assert!(may_replace(10_000, 1_000, 11_000));
    }
}
