//! OffsetCommit 10 and OffsetFetch 10, which name topics by their ids (KIP-848): the versions that the kafka-protocol
//! crate lacks. The messages are the crate's; its types have the fields already.

use super::Malformed;
use super::frame::RequestHead;
use super::response::Response;
use bytes::Bytes;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::guard;
    use kafka_protocol::messages::offset_commit_response::{
        OffsetCommitResponsePartition, OffsetCommitResponseTopic,
    };
    use kafka_protocol::messages::offset_fetch_response::{
        OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
    };
    use levee_coordinator::schema::wire::Writer;
    use uuid::Uuid;

    const ID: Uuid = Uuid::from_u128(7);

    /// Fields as Kafka writes them; the writer begins with a number that a request doesn't have.
    fn body(write: impl FnOnce(&mut Writer)) -> Bytes {
        let mut writer = Writer::new(0, true);
        write(&mut writer);
        writer.finish().slice(2..)
    }

    #[test]
    fn requests_are_read_as_the_guard_walks_them() {
        let commit = body(|writer| {
            writer.string("group").i32(3).string("member").nullable_string(None).array(
                &[ID],
                |writer, id| {
                    writer.uuid(*id).array(&[0, 1], |writer, index| {
                        writer
                            .i32(*index)
                            .i64(40 + i64::from(*index))
                            .i32(-1)
                            .nullable_string(Some("m"))
                            .tagged(&[]);
                    });
                    writer.tagged(&[]);
                },
            );
            writer.tagged(&[]);
        });
        assert_eq!(guard::walk(8, VERSION, &commit).unwrap().bytes, commit.len());
        let request = offset_commit(commit.clone()).unwrap();
        assert_eq!(
            (&*request.group_id.0, request.generation_id_or_member_epoch, &*request.member_id),
            ("group", 3, "member")
        );
        let topic = &request.topics[0];
        let offsets: Vec<_> =
            topic.partitions.iter().map(|p| (p.partition_index, p.committed_offset)).collect();
        assert_eq!((topic.topic_id, offsets), (ID, vec![(0, 40), (1, 41)]));
        assert_eq!(topic.partitions[0].committed_metadata.as_deref(), Some("m"));
        assert_eq!(offset_commit(commit.slice(..commit.len() - 3)), Err(Malformed::Undecodable));

        let fetch = body(|writer| {
            writer.array(&["a", "b"], |writer, group| {
                writer.string(group).nullable_string(Some("member")).i32(5);
                let topics = (*group == "a").then_some(&[ID][..]);
                writer.nullable_array(topics, |writer, id| {
                    writer.uuid(*id).array(&[2, 3], |writer, index| {
                        writer.i32(*index);
                    });
                    writer.tagged(&[]);
                });
                writer.tagged(&[]);
            });
            writer.i8(1).tagged(&[]);
        });
        assert_eq!(guard::walk(9, VERSION, &fetch).unwrap().bytes, fetch.len());
        let request = offset_fetch(fetch).unwrap();
        assert!(request.require_stable);
        let [a, b] = &request.groups[..] else { panic!("{request:?}") };
        assert_eq!((&*a.group_id.0, a.member_epoch, b.topics.as_ref()), ("a", 5, None));
        assert_eq!(a.topics.as_ref().unwrap()[0].partition_indexes, [2, 3]);
    }

    #[test]
    fn answers_have_ids_where_the_version_before_has_names() {
        let mut frame = vec![0, 8, 0, 10, 0, 0, 0, 9, 0xff, 0xff, 0];
        let partition = OffsetCommitResponsePartition::default().with_partition_index(1).with_error_code(3);
        let topic = OffsetCommitResponseTopic::default().with_topic_id(ID).with_partitions(vec![partition]);
        let head = RequestHead::parse(&frame).unwrap();
        let response =
            offset_commit_response(&head, &OffsetCommitResponse::default().with_topics(vec![topic]));
        let mut expected = vec![0, 0, 0, 9, 0, 0, 0, 0, 0, 2];
        expected.extend_from_slice(ID.as_bytes());
        expected.extend_from_slice(&[2, 0, 0, 0, 1, 0, 3, 0, 0, 0]);
        assert_eq!(response.into_parts().0.concat()[4..], expected);

        frame[1] = 9;
        let partition = OffsetFetchResponsePartitions::default()
            .with_partition_index(1)
            .with_committed_offset(5)
            .with_committed_leader_epoch(-1)
            .with_metadata(Some("m".into()));
        let topic = OffsetFetchResponseTopics::default().with_topic_id(ID).with_partitions(vec![partition]);
        let group = OffsetFetchResponseGroup::default()
            .with_group_id(StrBytes::from("g").into())
            .with_topics(vec![topic])
            .with_error_code(0);
        let head = RequestHead::parse(&frame).unwrap();
        let response = offset_fetch_response(&head, &OffsetFetchResponse::default().with_groups(vec![group]));
        let mut expected = vec![0, 0, 0, 9, 0, 0, 0, 0, 0, 2, 2, b'g', 2];
        expected.extend_from_slice(ID.as_bytes());
        expected.extend_from_slice(&[
            2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 2, b'm', 0, 0, 0, 0, 0, 0, 0, 0,
        ]);
        assert_eq!(response.into_parts().0.concat()[4..], expected);
    }
}
