//! OffsetFetch.

use super::GroupShard;
use super::classic::Waiting;
use super::turn::text;
use crate::effects::Effects;
use crate::schema::group::OffsetCommitValue;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

/// The first version that names several groups.
const VERSION_GROUPS: i16 = 8;

/// A partition's offset, as it is answered; none says -1.
fn told(partition: i32, value: Option<&OffsetCommitValue>) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions::default()
        .with_partition_index(partition)
        .with_committed_offset(value.map_or(-1, |value| value.offset))
        .with_committed_leader_epoch(value.map_or(-1, |value| value.leader_epoch))
        .with_metadata(Some(value.map_or_else(StrBytes::default, |value| text(&value.metadata))))
}

/// Whether an offset is of another topic, which had the same name.
fn is_of_another(value: &OffsetCommitValue, topic_id: Uuid) -> bool {
    !value.topic_id.is_nil() && !topic_id.is_nil() && value.topic_id != topic_id
}

/// The only group that versions below 8 can name, as later ones name several.
fn single(request: OffsetFetchRequest) -> OffsetFetchRequestGroup {
    let topics = request.topics.map(|topics| {
        let each = topics.into_iter().map(|topic| {
            OffsetFetchRequestTopics::default()
                .with_name(topic.name)
                .with_partition_indexes(topic.partition_indexes)
        });
        each.collect()
    });
    OffsetFetchRequestGroup::default().with_group_id(request.group_id).with_topics(topics)
}

/// The answer for one group as versions below 8 have it.
fn flattened(group: OffsetFetchResponseGroup) -> OffsetFetchResponse {
    let topics = group.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|partition| {
            OffsetFetchResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_committed_offset(partition.committed_offset)
                .with_committed_leader_epoch(partition.committed_leader_epoch)
                .with_metadata(partition.metadata)
                .with_error_code(partition.error_code)
        });
        OffsetFetchResponseTopic::default().with_name(topic.name).with_partitions(partitions.collect())
    });
    OffsetFetchResponse::default().with_error_code(group.error_code).with_topics(topics.collect())
}

impl GroupShard {
    /// Serves OffsetFetch. What is appended counts as committed: the answer waits until it is.
    pub(super) fn fetch(&self, waiting: Waiting, mut request: OffsetFetchRequest) -> Effects {
        let stable = request.require_stable;
        let response = if waiting.version >= VERSION_GROUPS {
            let groups = std::mem::take(&mut request.groups);
            let groups = groups.into_iter().map(|group| self.fetch_group(group, stable)).collect();
            OffsetFetchResponse::default().with_groups(groups)
        } else {
            flattened(self.fetch_group(single(request), stable))
        };
        let mut effects = Effects::default();
        effects.answer(waiting.token, response.into());
        effects
    }

    fn fetch_group(&self, request: OffsetFetchRequestGroup, stable: bool) -> OffsetFetchResponseGroup {
        let id = &**request.group_id;
        let response = OffsetFetchResponseGroup::default().with_group_id(request.group_id.clone());
        // A group that isn't there has no offsets, which is no error.
        if let Some(group) = self.groups.get(id)
            && let Err(error) =
                group.validate_offset_fetch(request.member_id.as_deref(), request.member_epoch)
        {
            return response.with_error_code(error.code());
        }
        let tell = |topic: &str, topic_id: Uuid, partition: i32| {
            if stable && self.offsets.is_pending(id, topic, partition) {
                return told(partition, None).with_error_code(ResponseError::UnstableOffsetCommit.code());
            }
            let committed = self.offsets.committed(id, topic, partition);
            told(partition, committed.filter(|value| !is_of_another(value, topic_id)))
        };
        let topics = match request.topics {
            Some(topics) => topics
                .into_iter()
                .map(|topic| {
                    let indexes = topic.partition_indexes.into_iter();
                    let partitions = indexes.map(|index| tell(&topic.name, topic.topic_id, index)).collect();
                    OffsetFetchResponseTopics::default()
                        .with_name(topic.name)
                        .with_topic_id(topic.topic_id)
                        .with_partitions(partitions)
                })
                .collect(),
            None => self.all_offsets(id, tell),
        };
        response.with_topics(topics)
    }

    fn all_offsets(
        &self,
        id: &str,
        tell: impl Fn(&str, Uuid, i32) -> OffsetFetchResponsePartitions,
    ) -> Vec<OffsetFetchResponseTopics> {
        let topics = self.offsets.of_group(id).map(|(topic, partitions)| {
            let partitions =
                partitions.keys().map(|partition| tell(topic, Uuid::nil(), *partition)).collect();
            OffsetFetchResponseTopics::default().with_name(text(topic).into()).with_partitions(partitions)
        });
        topics.collect()
    }
}
