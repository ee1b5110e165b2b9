//! How much of what clients say is kept of the groups of a shard, so that there is a bound.

use super::GroupShard;
use super::kind::Group;
use super::timers::Timer;
use kafka_protocol::messages::{GroupId, RequestKind};
use levee_base::limits::GROUPS_BYTES;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a group takes beside what clients say, in bytes.
const GROUP_BYTES: usize = 512;

/// See the module's text. Groups are measured again after each call that may have changed how much they keep.
#[derive(Debug, Default)]
pub(super) struct Sizes {
    each: BTreeMap<Arc<str>, usize>,
    /// All of them together.
    total: usize,
}

impl Sizes {
    /// Whether nothing is to be added.
    pub(super) const fn are_full(&self) -> bool {
        self.total >= GROUPS_BYTES
    }

    fn set(&mut self, id: &Arc<str>, bytes: usize) {
        let before = self.each.insert(Arc::clone(id), bytes).unwrap_or_default();
        self.total = self.total - before + bytes;
    }

    fn remove(&mut self, id: &str) {
        self.total -= self.each.remove(id).unwrap_or_default();
    }
}

/// The group that a request may have made, which otherwise keeps as much as before.
pub(super) fn made_by(request: &RequestKind) -> Option<GroupId> {
    match request {
        RequestKind::OffsetCommit(request) => Some(request.group_id.clone()),
        RequestKind::TxnOffsetCommit(request) => Some(request.group_id.clone()),
        _ => None,
    }
}

impl GroupShard {
    /// The groups of which a request may change how much they keep. Those that many clients send often are looked at only
    /// if they say something new.
    pub(super) fn changed_by(&self, request: &RequestKind) -> Vec<GroupId> {
        let leads = |id: &str, member: &str| match self.groups.get(id) {
            Some(Group::Classic(group)) => group.leader() == Some(member),
            _ => false,
        };
        let id = match request {
            RequestKind::JoinGroup(request) => &request.group_id,
            RequestKind::SyncGroup(request) if leads(&request.group_id, &request.member_id) => {
                &request.group_id
            }
            RequestKind::LeaveGroup(request) => &request.group_id,
            RequestKind::ConsumerGroupHeartbeat(request)
                if request.member_epoch <= 0
                    || request.rack_id.is_some()
                    || request.subscribed_topic_names.is_some()
                    || request.subscribed_topic_regex.is_some() =>
            {
                &request.group_id
            }
            RequestKind::DeleteGroups(request) => return request.groups_names.clone(),
            _ => return Vec::new(),
        };
        vec![id.clone()]
    }

    /// Measures a group again, or learns that it is gone.
    pub(super) fn measure(&mut self, id: &str) {
        match self.groups.get_key_value(id) {
            Some((id, group)) => self.sizes.set(id, GROUP_BYTES + id.len() + group.bytes()),
            None => self.sizes.remove(id),
        }
    }

    /// Measures a group that may be new.
    pub(super) fn measure_new(&mut self, id: &str) {
        if !self.sizes.each.contains_key(id) {
            self.measure(id);
        }
    }

    /// Measures whatever a timer is about.
    pub(super) fn measure_of(&mut self, timer: &Timer) {
        match timer {
            Timer::Session { group, .. }
            | Timer::Join(group)
            | Timer::Sync(group)
            | Timer::Consumer(group) => {
                self.measure(group);
            }
            Timer::Expiry => {
                let gone: Vec<_> = self
                    .sizes
                    .each
                    .keys()
                    .filter(|id| !self.groups.contains_key(*id))
                    .map(Arc::clone)
                    .collect();
                for id in gone {
                    self.sizes.remove(&id);
                }
            }
        }
    }

    /// Measures all groups.
    pub(super) fn measure_all(&mut self) {
        let ids: Vec<_> = self.groups.keys().map(Arc::clone).collect();
        for id in ids {
            self.measure(&id);
        }
    }

    /// That what was measured is what there is.
    #[cfg(test)]
    pub(super) fn check_sizes(&self) {
        let now = self.groups.iter().map(|(id, group)| (id, GROUP_BYTES + id.len() + group.bytes()));
        let measured = self.sizes.each.iter().map(|(id, bytes)| (id, *bytes));
        assert!(now.eq(measured), "how much groups keep is not {:?}", self.sizes);
        assert_eq!(self.sizes.total, self.sizes.each.values().sum::<usize>());
    }
}
