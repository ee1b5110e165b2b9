//! OffsetCommit 10 and OffsetFetch 10, which name topics by their ids (KIP-848): the versions that the kafka-protocol
//! crate lacks. The messages are the crate's; its types have the fields already.

use super::Malformed;
use super::frame::RequestHead;
use super::response::Response;
use bytes::Bytes;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse,
};
use kafka_protocol::protocol::StrBytes;
use levee_coordinator::schema::wire::{Reader, SchemaError};

/// The version that both have in common.
pub const VERSION: i16 = 10;

fn text(reader: &mut Reader) -> Result<StrBytes, SchemaError> {
    reader.string().map(StrBytes::from_string)
}

fn nullable_text(reader: &mut Reader) -> Result<Option<StrBytes>, SchemaError> {
    Ok(reader.nullable_string()?.map(StrBytes::from_string))
}

fn decoded<T>(read: Result<T, SchemaError>) -> Result<T, Malformed> {
    read.map_err(|_| Malformed::Undecodable)
}

/// Decodes the body of an OffsetCommit 10 that the guard has passed.
///
/// # Errors
/// `Undecodable`.
pub fn offset_commit(body: Bytes) -> Result<OffsetCommitRequest, Malformed> {
    let mut reader = Reader::new(body, true);
    let partition = |reader: &mut Reader| {
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(reader.i32()?)
            .with_committed_offset(reader.i64()?)
            .with_committed_leader_epoch(reader.i32()?)
            .with_committed_metadata(nullable_text(reader)?);
        reader.no_tagged()?;
        Ok(partition)
    };
    let topic = |reader: &mut Reader| {
        let topic = OffsetCommitRequestTopic::default()
            .with_topic_id(reader.uuid()?)
            .with_partitions(reader.array(partition)?);
        reader.no_tagged()?;
        Ok(topic)
    };
    let mut read = || {
        let request = OffsetCommitRequest::default()
            .with_group_id(text(&mut reader)?.into())
            .with_generation_id_or_member_epoch(reader.i32()?)
            .with_member_id(text(&mut reader)?)
            .with_group_instance_id(nullable_text(&mut reader)?)
            .with_topics(reader.array(topic)?);
        reader.no_tagged()?;
        Ok(request)
    };
    decoded(read())
}

/// Decodes the body of an OffsetFetch 10 that the guard has passed.
///
/// # Errors
/// `Undecodable`.
pub fn offset_fetch(body: Bytes) -> Result<OffsetFetchRequest, Malformed> {
    let mut reader = Reader::new(body, true);
    let topic = |reader: &mut Reader| {
        let topic = OffsetFetchRequestTopics::default()
            .with_topic_id(reader.uuid()?)
            .with_partition_indexes(reader.array(Reader::i32)?);
        reader.no_tagged()?;
        Ok(topic)
    };
    let group = |reader: &mut Reader| {
        let group = OffsetFetchRequestGroup::default()
            .with_group_id(text(reader)?.into())
            .with_member_id(nullable_text(reader)?)
            .with_member_epoch(reader.i32()?)
            .with_topics(reader.nullable_array(topic)?);
        reader.no_tagged()?;
        Ok(group)
    };
    let mut read = || {
        let request = OffsetFetchRequest::default()
            .with_groups(reader.array(group)?)
            .with_require_stable(reader.i8()? != 0);
        reader.no_tagged()?;
        Ok(request)
    };
    decoded(read())
}

/// Encodes the answer to an OffsetCommit 10.
#[must_use]
pub fn offset_commit_response(head: &RequestHead, response: &OffsetCommitResponse) -> Response {
    let mut writer = Response::writer(head);
    writer.int32(response.throttle_time_ms);
    writer.length(Some(response.topics.len()));
    for topic in &response.topics {
        writer.uuid(topic.topic_id);
        writer.length(Some(topic.partitions.len()));
        for partition in &topic.partitions {
            writer.int32(partition.partition_index);
            writer.int16(partition.error_code);
            writer.tagged_fields(0);
        }
        writer.tagged_fields(0);
    }
    writer.tagged_fields(0);
    writer.finish()
}

/// Encodes the answer to an OffsetFetch 10.
#[must_use]
pub fn offset_fetch_response(head: &RequestHead, response: &OffsetFetchResponse) -> Response {
    let mut writer = Response::writer(head);
    writer.int32(response.throttle_time_ms);
    writer.length(Some(response.groups.len()));
    for group in &response.groups {
        writer.text(Some(&group.group_id));
        writer.length(Some(group.topics.len()));
        for topic in &group.topics {
            writer.uuid(topic.topic_id);
            writer.length(Some(topic.partitions.len()));
            for partition in &topic.partitions {
                writer.int32(partition.partition_index);
                writer.int64(partition.committed_offset);
                writer.int32(partition.committed_leader_epoch);
                writer.text(partition.metadata.as_deref());
                writer.int16(partition.error_code);
                writer.tagged_fields(0);
            }
            writer.tagged_fields(0);
        }
        writer.int16(group.error_code);
        writer.tagged_fields(0);
    }
    writer.tagged_fields(0);
    writer.finish()
}
