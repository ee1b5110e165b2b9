//! What a consumer group tells of itself.

use super::member::{Member, without_epochs};
use super::target::preferred;
use super::{Call, ConsumerGroup};
use crate::context::Cluster;
use crate::schema::consumer::Partitions;
use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::consumer_group_describe_response::{
    Assignment, DescribedGroup, Member as DescribedMember, TopicPartitions,
};
use kafka_protocol::protocol::StrBytes;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// Partitions of the topics that exist.
fn assignment(cluster: &dyn Cluster, partitions: &Partitions) -> Assignment {
    let topics = partitions.iter().filter_map(|(&id, partitions)| {
        let topic = cluster.topic_by_id(id)?;
        let each = TopicPartitions::default()
            .with_topic_id(id)
            .with_topic_name(TopicName(text(&topic.name)))
            .with_partitions(partitions.iter().copied().collect());
        Some(each)
    });
    Assignment::default().with_topic_partitions(topics.collect())
}

/// All that a member holds.
fn held(member: &Member) -> Partitions {
    let mut held = without_epochs(&member.assigned);
    for (topic, partitions) in without_epochs(&member.pending_revocation) {
        held.entry(topic).or_default().extend(partitions);
    }
    held
}

impl ConsumerGroup {
    /// The group, for ConsumerGroupDescribe.
    #[must_use]
    pub fn describe(&self, call: &Call<'_>) -> DescribedGroup {
        let members = self.state.members.values().map(|member| self.describe_member(call, member));
        DescribedGroup::default()
            .with_group_id(text(&self.id).into())
            .with_group_state(StrBytes::from_static_str(self.group_state().name()))
            .with_group_epoch(self.state.epoch)
            .with_assignment_epoch(self.state.target_epoch)
            .with_assignor_name(StrBytes::from_static_str(preferred(&self.state.assignors, call).name()))
            .with_members(members.collect())
    }

    fn describe_member(&self, call: &Call<'_>, member: &Member) -> DescribedMember {
        let metadata = &member.metadata;
        let optional = |value: &Option<String>| value.as_deref().map(text);
        let topics = metadata.subscribed_topic_names.iter().map(|name| TopicName(text(name)));
        let target = self.state.target.get(&member.id).cloned().unwrap_or_default();
        DescribedMember::default()
            .with_member_id(text(&member.id))
            .with_member_epoch(member.epoch)
            .with_instance_id(optional(&metadata.instance_id))
            .with_rack_id(optional(&metadata.rack_id))
            .with_client_id(text(&metadata.client_id))
            .with_client_host(text(&metadata.client_host))
            .with_subscribed_topic_names(topics.collect())
            .with_subscribed_topic_regex(optional(&metadata.subscribed_topic_regex))
            .with_assignment(assignment(call.cluster, &held(member)))
            .with_target_assignment(assignment(call.cluster, &target))
            .with_member_type(i8::from(!member.uses_classic()))
    }
}
