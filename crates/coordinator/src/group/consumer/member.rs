//! A member of a consumer group: what its records say.

use crate::schema::consumer::{Assigned, ClassicMember, CurrentAssignment, MemberMetadata, Partitions};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// The epoch of a member that joins.
pub(super) const EPOCH_JOIN: i32 = 0;
/// The epoch of a member that leaves.
pub(super) const EPOCH_LEAVE: i32 = -1;
/// The epoch of a static member that leaves for a while.
pub(super) const EPOCH_LEAVE_STATIC: i32 = -2;

/// What a member takes in memory beside what it says,
const MEMBER_BYTES: usize = 512;
/// and a name beside its characters.
const NAME_BYTES: usize = 64;

/// How far a member is with the target assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MemberState {
    /// It has what the target assignment of its epoch gives it.
    Stable,
    /// It has partitions to give up.
    UnrevokedPartitions,
    /// It waits for partitions that others have not given up yet.
    UnreleasedPartitions,
    /// A state that a later release wrote.
    Unknown,
}

impl MemberState {
    fn from_number(number: i8) -> Self {
        match number {
            0 => Self::Stable,
            1 => Self::UnrevokedPartitions,
            2 => Self::UnreleasedPartitions,
            _ => Self::Unknown,
        }
    }

    const fn number(self) -> i8 {
        match self {
            Self::Stable => 0,
            Self::UnrevokedPartitions => 1,
            Self::UnreleasedPartitions => 2,
            Self::Unknown => 127,
        }
    }
}

/// See the module's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) id: String,
    pub(super) metadata: MemberMetadata,
    pub(super) epoch: i32,
    pub(super) previous_epoch: i32,
    pub(super) state: MemberState,
    /// What it may use.
    pub(super) assigned: Assigned,
    /// What it has to give up.
    pub(super) pending_revocation: Assigned,
}

impl Member {
    /// A member of which nothing is known yet.
    pub(super) fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            metadata: MemberMetadata {
                instance_id: None,
                rack_id: None,
                client_id: String::new(),
                client_host: String::new(),
                subscribed_topic_names: BTreeSet::new(),
                subscribed_topic_regex: Some(String::new()),
                rebalance_timeout_ms: -1,
                server_assignor: None,
                classic: None,
            },
            epoch: EPOCH_JOIN,
            previous_epoch: -1,
            state: MemberState::Stable,
            assigned: Assigned::new(),
            pending_revocation: Assigned::new(),
        }
    }

    /// What it takes in memory that its client says, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let metadata = &self.metadata;
        let optional = [&metadata.instance_id, &metadata.rack_id, &metadata.subscribed_topic_regex]
            .into_iter()
            .flatten();
        let texts = optional.chain([&self.id, &metadata.client_id, &metadata.client_host]);
        let names = metadata.subscribed_topic_names.iter().map(|name| NAME_BYTES + name.len());
        let protocols = self.classic().into_iter().flat_map(|classic| &classic.protocols);
        let protocols = protocols.map(|protocol| NAME_BYTES + protocol.name.len() + protocol.metadata.len());
        MEMBER_BYTES + texts.map(String::len).sum::<usize>() + names.sum::<usize>() + protocols.sum::<usize>()
    }

    pub(super) fn instance_id(&self) -> Option<&str> {
        self.metadata.instance_id.as_deref()
    }

    /// The regular expression that it subscribes to.
    pub(super) fn regex(&self) -> Option<&str> {
        self.metadata.subscribed_topic_regex.as_deref().filter(|regex| !regex.is_empty())
    }

    /// What is peculiar to it if it uses the classic protocol.
    pub(super) const fn classic(&self) -> Option<&ClassicMember> {
        self.metadata.classic.as_ref()
    }

    pub(super) const fn uses_classic(&self) -> bool {
        self.metadata.classic.is_some()
    }

    /// Whether it has arrived at the target assignment of an epoch.
    pub(super) fn is_reconciled_to(&self, target_epoch: i32) -> bool {
        self.state == MemberState::Stable && self.epoch == target_epoch
    }

    /// Goes on to an epoch and remembers the one before.
    pub(super) const fn advance(&mut self, epoch: i32) {
        self.previous_epoch = self.epoch;
        self.epoch = epoch;
    }

    /// Takes what the record of a current assignment says; `None` is its tombstone.
    pub(super) fn set_current(&mut self, current: Option<&CurrentAssignment>) {
        let (epoch, previous_epoch) =
            current.map_or((EPOCH_LEAVE, EPOCH_LEAVE), |current| (current.epoch, current.previous_epoch));
        self.epoch = epoch;
        self.previous_epoch = previous_epoch;
        self.state = current.map_or(MemberState::Stable, |current| MemberState::from_number(current.state));
        self.assigned = current.map_or_else(Assigned::new, |current| current.assigned.clone());
        self.pending_revocation =
            current.map_or_else(Assigned::new, |current| current.pending_revocation.clone());
    }

    /// What the record of its current assignment says.
    pub(super) fn current(&self) -> CurrentAssignment {
        CurrentAssignment {
            epoch: self.epoch,
            previous_epoch: self.previous_epoch,
            state: self.state.number(),
            assigned: self.assigned.clone(),
            pending_revocation: self.pending_revocation.clone(),
        }
    }

    /// All partitions that it holds, those included that it has to give up.
    pub(super) fn held(&self) -> impl Iterator<Item = (Uuid, i32)> + '_ {
        [&self.assigned, &self.pending_revocation].into_iter().flat_map(|assigned| {
            assigned
                .iter()
                .flat_map(|(topic, partitions)| partitions.keys().map(|&partition| (*topic, partition)))
        })
    }
}

/// Partitions with one epoch for all.
pub(super) fn with_epoch(partitions: &Partitions, epoch: i32) -> Assigned {
    partitions
        .iter()
        .map(|(topic, partitions)| (*topic, partitions.iter().map(|&partition| (partition, epoch)).collect()))
        .collect()
}

/// Partitions without their epochs.
pub(super) fn without_epochs(assigned: &Assigned) -> Partitions {
    assigned.iter().map(|(topic, partitions)| (*topic, partitions.keys().copied().collect())).collect()
}

/// The partitions that a member says it owns. What it repeats counts once.
pub(super) type Owned = BTreeMap<Uuid, BTreeSet<i32>>;

/// Whether what a member owns is all part of what was assigned to it.
pub(super) fn is_subset(owned: &Owned, of: &Assigned) -> bool {
    owned.iter().all(|(topic, partitions)| {
        of.get(topic)
            .is_some_and(|assigned| partitions.iter().all(|partition| assigned.contains_key(partition)))
    })
}
