//! Our codec against the crate's, for every version.

use super::*;
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response as theirs;
use kafka_protocol::messages::{ApiKey, BrokerId, ProduceRequest as Theirs, TopicName, TransactionalId};
use kafka_protocol::protocol::{Encodable, StrBytes};
use levee_base::limits::{PRODUCED_PARTITION_BYTES, PRODUCED_TOPIC_BYTES};

fn request(version: i16) -> BytesMut {
    let partition = |index, records: Option<&'static [u8]>| {
        let data =
            PartitionProduceData::default().with_index(index).with_records(records.map(Bytes::from_static));
        if version >= 9 { data.with_unknown_tagged_field(9, Bytes::from_static(b"?")) } else { data }
    };
    let topic = |name: &'static str, id, partitions| {
        let topic = TopicProduceData::default().with_partition_data(partitions);
        if version >= 13 {
            topic.with_topic_id(Uuid::from_u128(id))
        } else {
            topic.with_name(TopicName(StrBytes::from_static_str(name)))
        }
    };
    let request = Theirs::default()
        .with_transactional_id(Some(TransactionalId(StrBytes::from_static_str("tx"))))
        .with_acks(-1)
        .with_timeout_ms(30_000)
        .with_topic_data(vec![
            topic("orders", 1, vec![partition(0, Some(b"first")), partition(7, None)]),
            topic("empty", 2, vec![]),
            topic("ünïcode", 3, vec![partition(1, Some(b""))]),
        ]);
    let mut body = BytesMut::new();
    request.encode(&mut body, version).unwrap();
    body
}

#[test]
fn requests_are_parsed_in_place_in_every_version() {
    for version in VERSIONS {
        let mut body = request(version);
        let mut parsed = ProduceRequest::parse(version, &mut body).unwrap();
        assert_eq!(parsed.transactional_id, Some("tx"));
        assert_eq!((parsed.acks, parsed.timeout_ms), (-1, 30_000));
        let topics: Vec<_> = parsed.topics.iter().map(|topic| topic.topic).collect();
        if version >= 13 {
            assert_eq!(topics, [1, 2, 3].map(|id| TopicRef::Id(Uuid::from_u128(id))));
        } else {
            assert_eq!(topics, ["orders", "empty", "ünïcode"].map(TopicRef::Name));
        }
        let partitions: Vec<_> =
            parsed.topics[0].partitions.iter().map(|p| (p.index, p.records.as_deref())).collect();
        assert_eq!(partitions, [(0, Some(&b"first"[..])), (7, None)]);
        assert!(parsed.topics[1].partitions.is_empty());
        assert_eq!(parsed.topics[2].partitions[0].records.as_deref(), Some(&b""[..]));
        parsed.topics[0].partitions[0].records.as_mut().unwrap().copy_from_slice(b"FIRST");
        drop(parsed);
        assert!(body.windows(5).any(|window| window == b"FIRST"), "the records are the frame's own bytes");
    }
}

#[test]
fn every_truncation_and_the_versions_outside_are_refused() {
    for version in VERSIONS {
        let body = request(version);
        for cut in 0..body.len() {
            assert!(
                ProduceRequest::parse(version, &mut body[..cut].to_vec()).is_err(),
                "{version} cut at {cut}"
            );
        }
    }
    for version in [-1, 0, 2, 14] {
        assert_eq!(
            ProduceRequest::parse(version, &mut []).unwrap_err(),
            Malformed::UnknownVersion { api: 0, version }
        );
    }
}

#[test]
fn arrays_that_lie_are_refused_before_anything_is_allocated() {
    let mut classic = [&[0xff, 0xff, 0, 1, 0, 0, 0, 1][..], &[0x7f, 0xff, 0xff, 0xff]].concat();
    assert!(matches!(ProduceRequest::parse(3, &mut classic), Err(Malformed::Truncated { .. })));
    let mut compact = [&[0, 0, 1, 0, 0, 0, 1][..], &[0xff, 0xff, 0xff, 0xff, 0x0f]].concat();
    assert!(matches!(ProduceRequest::parse(9, &mut compact), Err(Malformed::Truncated { .. })));
    let mut padded = [&compact[..7], &[0x81, 0x80, 0x80, 0x04], &vec![1; 32 << 20]].concat();
    assert_eq!(
        ProduceRequest::parse(9, &mut padded).unwrap_err(),
        Malformed::TooMuchMemory { limit: DECODED_REQUEST_BYTES }
    );
}

/// The body of a request of version 9 that names topics, each with so many partitions in as few bytes as possible.
fn naming(topics: &[(&str, usize)]) -> Vec<u8> {
    let length = |count: usize| {
        let mut bytes = Vec::new();
        let mut rest = count + 1;
        while rest >= 128 {
            bytes.push(rest as u8 | 128);
            rest >>= 7;
        }
        bytes.push(rest as u8);
        bytes
    };
    let mut body = vec![0, 0xff, 0xff, 0, 0, 0, 1];
    body.extend(length(topics.len()));
    for (name, partitions) in topics {
        body.extend(length(name.len()));
        body.extend(name.as_bytes());
        body.extend(length(*partitions));
        body.extend([0; 6].repeat(*partitions));
        body.push(0);
    }
    body.push(0);
    body
}

#[test]
fn what_is_made_of_topics_and_partitions_is_bounded_before_it_is_made() {
    let too_much = Malformed::TooMuchMemory { limit: DECODED_REQUEST_BYTES };
    let most = (DECODED_REQUEST_BYTES - PRODUCED_TOPIC_BYTES - 1) / PRODUCED_PARTITION_BYTES;
    assert!(most > 150_000, "no client names as many");
    let mut body = naming(&[("t", most)]);
    let parsed = ProduceRequest::parse(9, &mut body).unwrap();
    assert_eq!(parsed.topics[0].partitions.len(), most);
    assert_eq!(parsed.memory(), PRODUCED_TOPIC_BYTES + 1 + most * PRODUCED_PARTITION_BYTES);
    assert_eq!(ProduceRequest::parse(9, &mut naming(&[("t", most + 1)])).unwrap_err(), too_much);
    let halves = [("t", most / 2), ("t", most / 2 + 2)];
    assert_eq!(ProduceRequest::parse(9, &mut naming(&halves)).unwrap_err(), too_much);
    let topics = DECODED_REQUEST_BYTES / PRODUCED_TOPIC_BYTES;
    assert_eq!(ProduceRequest::parse(9, &mut naming(&vec![("", 0); topics + 1])).unwrap_err(), too_much);
    // Names are copied, and outlive the frame.
    let long = "x".repeat(30_000);
    let names = DECODED_REQUEST_BYTES / long.len();
    assert_eq!(ProduceRequest::parse(9, &mut naming(&vec![(&*long, 0); names])).unwrap_err(), too_much);
}

fn topic_pair(version: i16, id: u128) -> (Topic, theirs::TopicProduceResponse) {
    let empty = theirs::TopicProduceResponse::default();
    if version >= 13 {
        (Topic::Id(Uuid::from_u128(id)), empty.with_topic_id(Uuid::from_u128(id)))
    } else {
        (Topic::Name("orders".into()), empty.with_name(TopicName(StrBytes::from_static_str("orders"))))
    }
}

#[test]
fn answers_are_byte_for_byte_those_of_the_crate() {
    for version in VERSIONS {
        for rich in [false, true] {
            let mut ours = PartitionResponse::error(3, 0, None);
            let mut partition = theirs::PartitionProduceResponse::default()
                .with_index(3)
                .with_base_offset(1 << 40)
                .with_log_append_time_ms(1_700_000_000_000);
            (ours.base_offset, ours.log_append_time_ms) = (1 << 40, 1_700_000_000_000);
            let (topic, topic_theirs) = topic_pair(version, 5);
            let mut response = ProduceResponse { throttle_ms: 12, ..Default::default() };
            let mut expected = kafka_protocol::messages::ProduceResponse::default().with_throttle_time_ms(12);
            if version >= 5 {
                ours.log_start_offset = 17;
                partition = partition.with_log_start_offset(17);
            }
            if rich && version >= 8 {
                ours.record_errors = vec![(1, Some("bad".into())), (2, None)];
                ours.error_message = Some("x".repeat(200));
                let error = theirs::BatchIndexAndErrorMessage::default();
                partition = partition
                    .with_record_errors(vec![
                        error.clone().with_batch_index(1).with_batch_index_error_message(Some("bad".into())),
                        error.with_batch_index(2),
                    ])
                    .with_error_message(Some("x".repeat(200).into()));
            }
            if rich && version >= 10 {
                ours.current_leader = Some(Leader { id: 4, epoch: 9 });
                let leader =
                    theirs::LeaderIdAndEpoch::default().with_leader_id(BrokerId(4)).with_leader_epoch(9);
                partition = partition.with_current_leader(leader);
                response.endpoints = vec![Endpoint { id: 4, host: "broker-4".into(), port: 9092 }];
                expected = expected.with_node_endpoints(vec![
                    theirs::NodeEndpoint::default()
                        .with_node_id(BrokerId(4))
                        .with_host("broker-4".into())
                        .with_port(9092),
                ]);
            }
            response.topics = vec![TopicResponse { topic, partitions: vec![ours.clone(), ours] }];
            expected = expected.with_responses(vec![
                topic_theirs.with_partition_responses(vec![partition.clone(), partition]),
            ]);
            let head =
                RequestHead::parse(&crate::wire::test_support::head(ApiKey::Produce, version)).unwrap();
            let written = response.encode(&head).into_parts().0.concat();
            let expected = Response::message(&head, version, &expected).unwrap().into_parts().0.concat();
            assert_eq!(written, expected, "version {version}, rich {rich}");
        }
    }
}
