//! What the handlers need of the coordinators of groups and transactions, and the APIs that are theirs: those are routed
//! to a shard as they are, but for OffsetCommit and OffsetFetch 10, whose topics are named by id.

use super::backend::Backend;
use crate::coordinators::{Marker, Unwritten};
use crate::errors::Code;
use crate::partition::PartitionLog;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse, RequestKind,
    ResponseKind, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use levee_base::Slot;
use levee_coordinator::Client;
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// The last versions of OffsetCommit and OffsetFetch that name topics by their names: what shards are asked in.
const NAMED_VERSION: i16 = 9;

/// The coordinators that are here.
pub trait Coordination: Send + Sync + 'static {
    /// Answers a request to a group's or a transaction's coordinator; `None` for any other request.
    fn coordinate(
        &self,
        client: Client,
        version: i16,
        kind: RequestKind,
    ) -> impl Future<Output = Option<ResponseKind>> + Send;

    /// Appends a transaction marker to a partition that this broker leads. Returns the partition, and the slot that it
    /// is durable with, if it is not yet.
    fn write_marker(
        &self,
        topic: &str,
        partition: i32,
        marker: Marker,
    ) -> impl Future<Output = Result<(Arc<PartitionLog>, Option<Slot>), Unwritten>> + Send;
}

fn name_of<B: Backend>(backend: &B, id: Uuid) -> Option<TopicName> {
    backend.topic_name(id).map(|name| TopicName(StrBytes::from_string(name.to_string())))
}

fn id_of<B: Backend>(backend: &B, name: &TopicName) -> Option<Uuid> {
    backend.topic_id(name)
}

/// Answers an OffsetCommit 10. Topics that are not known come first, as in Kafka.
pub async fn offset_commit_by_id<B: Backend, C: Coordination>(
    backend: &B,
    coordination: &C,
    client: Client,
    mut request: OffsetCommitRequest,
) -> OffsetCommitResponse {
    let mut answered = Vec::new();
    let mut known = Vec::with_capacity(request.topics.len());
    for topic in std::mem::take(&mut request.topics) {
        match name_of(backend, topic.topic_id) {
            Some(name) => known.push(topic.with_name(name)),
            None => {
                let partition = |index| {
                    OffsetCommitResponsePartition::default()
                        .with_partition_index(index)
                        .with_error_code(Code::UnknownTopicId.code())
                };
                let partitions = topic.partitions.iter().map(|asked| partition(asked.partition_index));
                answered.push(
                    OffsetCommitResponseTopic::default()
                        .with_topic_id(topic.topic_id)
                        .with_partitions(partitions.collect()),
                );
            }
        }
    }
    if known.is_empty() && !answered.is_empty() {
        return OffsetCommitResponse::default().with_topics(answered);
    }
    let mut ids = BTreeMap::new();
    for topic in &known {
        ids.entry(topic.name.clone()).or_insert(topic.topic_id);
    }
    let request = RequestKind::OffsetCommit(request.with_topics(known));
    if let Some(ResponseKind::OffsetCommit(response)) =
        coordination.coordinate(client, NAMED_VERSION, request).await
    {
        answered.extend(response.topics.into_iter().map(|topic| {
            let id = ids.get(&topic.name).copied().unwrap_or_default();
            topic.with_topic_id(id)
        }));
    }
    OffsetCommitResponse::default().with_topics(answered)
}

/// Answers an OffsetFetch 10. Topics that are not known come last of their group, as in Kafka; of all topics of a
/// group, those that are no more are left out, as they have no id.
pub async fn offset_fetch_by_id<B: Backend, C: Coordination>(
    backend: &B,
    coordination: &C,
    client: Client,
    mut request: OffsetFetchRequest,
) -> OffsetFetchResponse {
    let mut unknown: Vec<Vec<OffsetFetchResponseTopics>> = Vec::with_capacity(request.groups.len());
    let named = |group: OffsetFetchRequestGroup| {
        let mut not_found = Vec::new();
        let group = match group.topics.clone() {
            None => group,
            Some(topics) => {
                let mut known = Vec::with_capacity(topics.len());
                for topic in topics {
                    match name_of(backend, topic.topic_id) {
                        Some(name) => known.push(topic.with_name(name)),
                        None => not_found.push(
                            OffsetFetchResponseTopics::default()
                                .with_topic_id(topic.topic_id)
                                .with_partitions(
                                    topic
                                        .partition_indexes
                                        .iter()
                                        .map(|index| unknown_partition(*index))
                                        .collect(),
                                ),
                        ),
                    }
                }
                group.with_topics(Some(known))
            }
        };
        unknown.push(not_found);
        group
    };
    request.groups = std::mem::take(&mut request.groups).into_iter().map(named).collect();
    let request = RequestKind::OffsetFetch(request);
    let Some(ResponseKind::OffsetFetch(mut response)) =
        coordination.coordinate(client, NAMED_VERSION, request).await
    else {
        return OffsetFetchResponse::default();
    };
    for (group, unknown) in response.groups.iter_mut().zip(unknown) {
        group.topics.retain_mut(|topic| match id_of(backend, &topic.name) {
            Some(id) => {
                topic.topic_id = id;
                true
            }
            None => false,
        });
        if group.error_code == 0 {
            group.topics.extend(unknown);
        }
    }
    response
}

fn unknown_partition(index: i32) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions::default()
        .with_partition_index(index)
        .with_committed_offset(-1)
        .with_committed_leader_epoch(-1)
        .with_metadata(Some(StrBytes::default()))
        .with_error_code(Code::UnknownTopicId.code())
}
