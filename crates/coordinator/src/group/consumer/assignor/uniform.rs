//! `uniform` for members that all subscribe to the same topics: as many partitions each, give or take one; and what a
//! member had, it keeps up to that.

use super::{Assignment, GroupSpec, give};
use std::collections::BTreeSet;
use uuid::Uuid;

/// See the module's text.
pub(super) fn assign(group: &GroupSpec<'_>) -> Assignment {
    let mut assignment = Assignment::new();
    let Some(topics) = group.members.values().next().map(|member| &member.topics) else { return assignment };
    let total: usize = topics.iter().map(|&topic| group.partitions(topic).max(0) as usize).sum();
    let members = group.members.len();
    let least = total / members;
    // So many members get one more.
    let mut extra = total % members;

    let mut unfilled = Vec::new();
    let mut kept: BTreeSet<(Uuid, i32)> = BTreeSet::new();
    let mut given_up = Vec::new();
    for (at, (&id, member)) in group.members.iter().enumerate() {
        let mut takes_extra = extra > 0;
        let mut quota = least + usize::from(takes_extra);
        for (topic, partitions) in group.retained(member) {
            for &partition in partitions {
                if quota > 0 && kept.insert((topic, partition)) {
                    quota -= 1;
                    give(&mut assignment, id, topic, partition);
                } else {
                    given_up.push((topic, partition));
                }
            }
        }
        // Who has no use for one more leaves it to a member that may have it already, as long as there are enough.
        if quota > 0 && takes_extra && members - at > extra {
            quota -= 1;
            takes_extra = false;
        }
        if quota > 0 {
            unfilled.push((id, quota));
        }
        extra -= usize::from(takes_extra);
    }

    let given_up: BTreeSet<_> = given_up.into_iter().filter(|partition| !kept.contains(partition)).collect();
    let all = topics.iter().flat_map(|&topic| (0..group.partitions(topic)).map(move |each| (topic, each)));
    // First what nobody had, then what was given up.
    let mut free: Vec<_> = all.filter(|each| !kept.contains(each) && !given_up.contains(each)).collect();
    free.extend(given_up);
    let mut free = free.into_iter();
    for (id, quota) in unfilled {
        for (topic, partition) in free.by_ref().take(quota) {
            give(&mut assignment, id, topic, partition);
        }
    }
    assignment
}
