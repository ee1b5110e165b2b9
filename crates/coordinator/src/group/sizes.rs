//! How much of what clients say is kept of the groups of a shard, so that there is a bound.

use super::GroupShard;
use super::timers::Timer;
use kafka_protocol::messages::{GroupId, RequestKind};
use levee_base::limits::GROUPS_BYTES;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a group takes beside what clients say, in bytes.
const GROUP_BYTES: usize = 512;

/// See the module's text. Groups know how much they keep, and are asked after each call that may have changed it.
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
        let before = match self.each.get_mut(id) {
            Some(known) => std::mem::replace(known, bytes),
            None => self.each.insert(Arc::clone(id), bytes).unwrap_or_default(),
        };
        self.total = self.total - before + bytes;
    }

    fn remove(&mut self, id: &str) {
        self.total -= self.each.remove(id).unwrap_or_default();
    }
}

/// The groups that a request may change.
pub(super) fn changed_by(request: &RequestKind) -> Vec<GroupId> {
    let id = match request {
        RequestKind::JoinGroup(request) => &request.group_id,
        RequestKind::SyncGroup(request) => &request.group_id,
        RequestKind::LeaveGroup(request) => &request.group_id,
        RequestKind::ConsumerGroupHeartbeat(request) => &request.group_id,
        RequestKind::OffsetCommit(request) => &request.group_id,
        RequestKind::TxnOffsetCommit(request) => &request.group_id,
        RequestKind::DeleteGroups(request) => return request.groups_names.clone(),
        _ => return Vec::new(),
    };
    vec![id.clone()]
}

impl GroupShard {
    /// Measures a group again, or learns that it is gone.
    pub(super) fn measure(&mut self, id: &str) {
        match self.groups.get_key_value(id) {
            Some((id, group)) => self.sizes.set(id, GROUP_BYTES + id.len() + group.bytes()),
            None => self.sizes.remove(id),
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
