//! How large the record batch is, at most, by which a consumer group becomes a classic one.

use super::ConsumerGroup;
use super::member::Member;
use crate::context::Cluster;
use std::collections::BTreeSet;
use uuid::Uuid;

/// What a record takes beside its texts, or a member in a record, at most.
const RECORD_BYTES: usize = 64;
/// What a topic takes in an assignment beside its name, or its id, at most.
const TOPIC_BYTES: usize = 24;
/// What a partition takes in an assignment.
const PARTITION_BYTES: usize = 4;

impl ConsumerGroup {
    /// What the records take, at most, that make the group a classic one: three tombstones a member, and one record with
    /// all of them. A group that is too large for one batch stays what it is.
    pub(super) fn downgrade_bytes(&self, cluster: &dyn Cluster) -> usize {
        let of_member = |member: &Member| {
            let tombstones = 3 * (RECORD_BYTES + self.id.len() + member.id.len());
            let protocols = member.classic().into_iter().flat_map(|classic| &classic.protocols);
            let subscription = protocols.map(|protocol| protocol.metadata.len()).max().unwrap_or(0);
            tombstones
                + RECORD_BYTES
                + texts_bytes(member)
                + subscription
                + self.target_bytes(cluster, &member.id)
        };
        let regexes = self.state.resolved.keys().map(|regex| RECORD_BYTES + self.id.len() + regex.len());
        self.state.members.values().map(of_member).sum::<usize>()
            + regexes.sum::<usize>()
            + 8 * (RECORD_BYTES + self.id.len())
    }

    /// What a member takes beside that which joins in the place of another: its records as a member of this group, and
    /// what the group's record says of it.
    pub(super) fn replacing_bytes(
        &self,
        cluster: &dyn Cluster,
        replaced: &Member,
        joining: &Member,
    ) -> usize {
        let metadata = &joining.metadata;
        let protocols = joining.classic().into_iter().flat_map(|classic| &classic.protocols);
        let protocols =
            protocols.map(|protocol| RECORD_BYTES + protocol.name.len() + protocol.metadata.len());
        let names = metadata.subscribed_topic_names.iter().map(|name| RECORD_BYTES + name.len());
        let texts = texts_bytes(joining) + metadata.rack_id.as_ref().map_or(0, String::len);
        let records = 4 * (RECORD_BYTES + self.id.len() + joining.id.len());
        // Written as its target and as what it has, and twice where it goes a step further.
        let assignments = 4 * self.target_bytes(cluster, &replaced.id);
        records + 2 * (texts + protocols.sum::<usize>() + names.sum::<usize>()) + assignments
    }

    /// What the target assignment of a member takes.
    fn target_bytes(&self, cluster: &dyn Cluster, member: &str) -> usize {
        let target = self.state.target.get(member).into_iter().flatten();
        let of_topic = |(id, partitions): (&Uuid, &BTreeSet<i32>)| {
            let name = cluster.topic_by_id(*id).map_or(0, |topic| topic.name.len());
            TOPIC_BYTES + name + PARTITION_BYTES * partitions.len()
        };
        target.map(of_topic).sum()
    }
}

/// What a member's ids and addresses take.
fn texts_bytes(member: &Member) -> usize {
    let metadata = &member.metadata;
    let instance = metadata.instance_id.as_ref().unwrap_or(&member.id);
    [&member.id, instance, &metadata.client_id, &metadata.client_host].iter().map(|text| text.len()).sum()
}
