//! `range`: each topic is cut into ranges, one a member, in the order of members: static ones first, by instance id.
//!
//! It is not sticky by itself; static members keep their place, and so what they have.

use super::{Assignment, GroupSpec};
use std::collections::BTreeMap;

/// What is left to be handed out of a topic.
struct Topic {
    members: i32,
    partitions: i32,
    next: i32,
    /// So many members get one more.
    extra: i32,
}

/// See the module's text.
pub(super) fn assign(group: &GroupSpec<'_>) -> Assignment {
    let mut members: Vec<_> = group.members.iter().collect();
    members.sort_by_key(|(id, member)| (member.instance_id.is_none(), member.instance_id.unwrap_or(id)));

    let mut topics: BTreeMap<_, Topic> = BTreeMap::new();
    for (_, member) in &members {
        for &topic in member.topics.iter() {
            let partitions = group.partitions(topic);
            let topic = topics.entry(topic).or_insert(Topic { members: 0, partitions, next: 0, extra: 0 });
            topic.members += 1;
            topic.extra = topic.partitions % topic.members;
        }
    }

    let mut assignment = Assignment::new();
    for (&id, member) in members {
        let mut assigned = super::Partitions::new();
        for &id in member.topics.iter() {
            let Some(topic) = topics.get_mut(&id) else { continue };
            let one_more = i32::from(topic.extra > 0);
            topic.extra -= one_more;
            let end = (topic.next + topic.partitions / topic.members + one_more).min(topic.partitions);
            if topic.next < end {
                assigned.insert(id, (topic.next..end).collect());
            }
            topic.next = end;
        }
        assignment.insert(id.to_owned(), assigned);
    }
    assignment
}
