//! Reconciliation: how a member gets from what it has to what the target assignment gives it. First it gives up what
//! is not its own any more; then it enters the target's epoch and gets what is free; what others still hold it gets as
//! they give it up. So nothing ever has two holders.

use super::member::{Member, MemberState, Owned};
use super::outcome::Refusal;
use crate::schema::consumer::{Assigned, Partitions};
use kafka_protocol::ResponseError;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// What a member is reconciled with.
pub(super) struct Reconciliation<'a> {
    /// The epoch of the target assignment.
    pub(super) target_epoch: i32,
    /// What it gives the member.
    pub(super) target: &'a Partitions,
    /// The topics that the member subscribes to and that exist.
    pub(super) subscribed: &'a BTreeSet<Uuid>,
    /// Whether its subscription has just changed: what it subscribes to no longer it has to give up at once.
    pub(super) subscription_changed: bool,
    /// What the member says that it owns, if it says so.
    pub(super) owned: Option<&'a Owned>,
    /// Whether a partition is held by a member.
    pub(super) is_held: &'a dyn Fn(Uuid, i32) -> bool,
}

impl Reconciliation<'_> {
    /// Takes a member as far as it can get now.
    ///
    /// # Errors
    /// FENCED_MEMBER_EPOCH for a member in a state that this release doesn't know and that owns partitions.
    pub(super) fn apply(&self, member: &mut Member) -> Result<(), Refusal> {
        match member.state {
            MemberState::Stable if member.epoch != self.target_epoch => self.compute_next(member),
            MemberState::Stable if self.subscription_changed => self.strip_unsubscribed(member),
            MemberState::Stable => {}
            MemberState::UnrevokedPartitions if self.owns_any(&member.pending_revocation) => {
                if self.subscription_changed {
                    self.strip_unsubscribed(member);
                }
            }
            MemberState::UnrevokedPartitions | MemberState::UnreleasedPartitions => self.compute_next(member),
            MemberState::Unknown => {
                // It starts over, without partitions.
                if self.owned.is_none_or(|owned| !owned.is_empty()) {
                    return Err(Refusal::new(
                        ResponseError::FencedMemberEpoch,
                        "The consumer group member is in a unknown state. The member must abandon all its \
                         partitions and rejoin.",
                    ));
                }
                self.compute_next(member);
            }
        }
        Ok(())
    }

    /// Whether the member still owns some of these partitions, as far as is known.
    fn owns_any(&self, partitions: &Assigned) -> bool {
        self.owned.is_none_or(|owned| {
            owned.iter().any(|(topic, owned)| {
                partitions
                    .get(topic)
                    .is_some_and(|partitions| owned.iter().any(|each| partitions.contains_key(each)))
            })
        })
    }

    /// Has the member give up what it subscribes to no longer, and nothing else.
    fn strip_unsubscribed(&self, member: &mut Member) {
        let (kept, stripped): (Assigned, Assigned) = std::mem::take(&mut member.assigned)
            .into_iter()
            .partition(|(id, _)| self.subscribed.contains(id));
        member.assigned = kept;
        if stripped.is_empty() {
            return;
        }
        let mut pending = member.pending_revocation.clone();
        for (topic, partitions) in stripped {
            pending.entry(topic).or_default().extend(partitions);
        }
        // It stays in its epoch, and no answer that takes it further can have been lost.
        member.advance(member.epoch);
        if self.owns_any(&pending) {
            member.state = MemberState::UnrevokedPartitions;
            member.pending_revocation = pending;
        }
    }

    fn compute_next(&self, member: &mut Member) {
        let mut assigned = Assigned::new();
        let mut to_revoke = Assigned::new();
        let mut to_assign: BTreeMap<Uuid, Vec<i32>> = BTreeMap::new();
        let mut unreleased = false;
        let none = BTreeSet::new();
        let topics: BTreeSet<Uuid> = self.target.keys().chain(member.assigned.keys()).copied().collect();
        for topic in topics {
            // What the member subscribes to no longer isn't its own, whatever an old target says.
            let target =
                self.target.get(&topic).filter(|_| self.subscribed.contains(&topic)).unwrap_or(&none);
            let current = member.assigned.get(&topic);
            let has = |partition: &i32| current.is_some_and(|current| current.contains_key(partition));
            for (&partition, &epoch) in current.into_iter().flatten() {
                let to = if target.contains(&partition) { &mut assigned } else { &mut to_revoke };
                to.entry(topic).or_default().insert(partition, epoch);
            }
            for &partition in target.iter().filter(|partition| !has(partition)) {
                // What it has yet to give up itself it may have back.
                let own =
                    member.pending_revocation.get(&topic).is_some_and(|own| own.contains_key(&partition));
                if (self.is_held)(topic, partition) && !own {
                    unreleased = true;
                } else {
                    to_assign.entry(topic).or_default().push(partition);
                }
            }
        }
        if !to_revoke.is_empty() && self.owns_any(&to_revoke) {
            member.state = MemberState::UnrevokedPartitions;
            // A member in an unknown state has nothing, and so never comes here.
            member.advance(member.epoch);
            member.assigned = assigned;
            member.pending_revocation = to_revoke;
            return;
        }
        for (topic, partitions) in to_assign {
            let with_epoch = partitions.into_iter().map(|partition| (partition, self.target_epoch));
            assigned.entry(topic).or_default().extend(with_epoch);
        }
        member.state = if unreleased { MemberState::UnreleasedPartitions } else { MemberState::Stable };
        member.advance(self.target_epoch);
        member.assigned = assigned;
        member.pending_revocation = Assigned::new();
    }
}
