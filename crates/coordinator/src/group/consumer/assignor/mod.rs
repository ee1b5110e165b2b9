//! Assignors: who is to get which partition. Functions of the group as it is and of what it had before.
//!
//! They are Kafka's, `uniform` and `range`, and give the same assignments; where Kafka goes through members and topics
//! in the order of a hash table, they are gone through by id.

mod heterogeneous;
mod range;
mod uniform;

use crate::schema::consumer::Partitions;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use uuid::Uuid;

/// An assignor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assignor {
    /// Every member gets about as many partitions as every other, and keeps what it can.
    Uniform,
    /// Every member gets a range of each topic, so that those of topics with as many partitions go together.
    Range,
}

impl Assignor {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Range => "range",
        }
    }

    /// Makes an assignment.
    pub(super) fn assign(self, group: &GroupSpec<'_>) -> Assignment {
        match self {
            _ if group.members.is_empty() => Assignment::new(),
            Self::Uniform if group.homogeneous => uniform::assign(group),
            Self::Uniform => heterogeneous::assign(group),
            Self::Range => range::assign(group),
        }
    }
}

/// A member, as assignors see it.
#[derive(Debug, Clone)]
pub(super) struct MemberSpec<'a> {
    /// Its instance id, if it is static.
    pub(super) instance_id: Option<&'a str>,
    /// The topics that it subscribes to and that exist. Members with equal subscriptions share them.
    pub(super) topics: Rc<BTreeSet<Uuid>>,
    /// What it was to have so far.
    pub(super) assigned: &'a Partitions,
}

/// A group, as assignors see it.
#[derive(Debug, Clone)]
pub(super) struct GroupSpec<'a> {
    /// Its members by id.
    pub(super) members: BTreeMap<&'a str, MemberSpec<'a>>,
    /// Whether all of them subscribe to the same topics.
    pub(super) homogeneous: bool,
    /// How many partitions each of those topics has.
    pub(super) topics: BTreeMap<Uuid, i32>,
}

impl GroupSpec<'_> {
    fn partitions(&self, topic: Uuid) -> i32 {
        self.topics.get(&topic).copied().unwrap_or(0)
    }

    /// What a member was to have so far and may have still: partitions that exist, of topics that it subscribes to.
    fn retained<'a>(&self, member: &MemberSpec<'a>) -> impl Iterator<Item = (Uuid, &'a BTreeSet<i32>)> {
        member
            .assigned
            .iter()
            .filter(|(topic, partitions)| {
                let known = partitions.first().is_some_and(|&first| first >= 0)
                    && partitions.last().is_some_and(|&last| last < self.partitions(**topic));
                known && member.topics.contains(topic)
            })
            .map(|(topic, partitions)| (*topic, partitions))
    }
}

/// Partitions by member id. Who has none may be missing.
pub(super) type Assignment = BTreeMap<String, Partitions>;

/// Gives a partition to a member.
fn give(assignment: &mut Assignment, member: &str, topic: Uuid, partition: i32) {
    let partitions = match assignment.get_mut(member) {
        Some(partitions) => partitions,
        None => assignment.entry(member.to_owned()).or_default(),
    };
    partitions.entry(topic).or_default().insert(partition);
}

#[cfg(test)]
#[path = "assignor_tests.rs"]
mod tests;
