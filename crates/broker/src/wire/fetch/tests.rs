//! Our encoder against the crate's, for every version.

use super::*;
use bytes::BytesMut;
use kafka_protocol::messages::fetch_response as theirs;
use kafka_protocol::messages::{ApiKey, BrokerId, ProducerId, TopicName};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

#[test]
fn answers_are_byte_for_byte_those_of_the_crate() {
    for version in VERSIONS {
        for rich in [false, true] {
            let runs: Vec<Bytes> = if rich {
                vec![Bytes::from(vec![1; 300]), Bytes::new(), Bytes::from_static(b"second run")]
            } else {
                Vec::new()
            };
            let mut joined = BytesMut::new();
            runs.iter().for_each(|run| joined.extend_from_slice(run));
            let mut ours = FetchedPartition {
                high_watermark: 900,
                last_stable_offset: 800,
                log_start_offset: if version >= 5 { 100 } else { -1 },
                aborted: rich.then(|| vec![(7, 50), (8, 60)]),
                records: runs.clone(),
                ..FetchedPartition::error(2, 0)
            };
            let transaction = |id, offset| {
                theirs::AbortedTransaction::default()
                    .with_producer_id(ProducerId(id))
                    .with_first_offset(offset)
            };
            let mut partition = theirs::PartitionData::default()
                .with_partition_index(2)
                .with_high_watermark(900)
                .with_last_stable_offset(800)
                .with_log_start_offset(ours.log_start_offset)
                .with_aborted_transactions(rich.then(|| vec![transaction(7, 50), transaction(8, 60)]))
                .with_records(Some(joined.freeze()));
            let mut expected = kafka_protocol::messages::FetchResponse::default().with_throttle_time_ms(5);
            let mut response = FetchResponse { throttle_ms: 5, ..Default::default() };
            if version >= 7 {
                (response.session_id, response.error_code) = (77, 70);
                expected = expected.with_session_id(77).with_error_code(70);
            }
            if rich && version >= 12 {
                ours.current_leader = Some(Leader { id: 4, epoch: 9 });
                ours.diverging_epoch = Some((3, 700));
                partition = partition
                    .with_current_leader(
                        theirs::LeaderIdAndEpoch::default().with_leader_id(BrokerId(4)).with_leader_epoch(9),
                    )
                    .with_diverging_epoch(
                        theirs::EpochEndOffset::default().with_epoch(3).with_end_offset(700),
                    );
            }
            if rich && version >= 16 {
                response.endpoints = vec![Endpoint { id: 4, host: "h".into(), port: 9092 }];
                expected = expected.with_node_endpoints(vec![
                    theirs::NodeEndpoint::default()
                        .with_node_id(BrokerId(4))
                        .with_host("h".into())
                        .with_port(9092),
                ]);
            }
            let (topic, topic_theirs) = if version >= 13 {
                let id = Uuid::from_u128(5);
                (Topic::Id(id), theirs::FetchableTopicResponse::default().with_topic_id(id))
            } else {
                let name = TopicName(StrBytes::from_static_str("orders"));
                (Topic::Name("orders".into()), theirs::FetchableTopicResponse::default().with_topic(name))
            };
            response.topics = vec![FetchedTopic { topic, partitions: vec![ours.clone(), ours] }];
            expected = expected
                .with_responses(vec![topic_theirs.with_partitions(vec![partition.clone(), partition])]);
            let head = RequestHead::parse(&crate::wire::test_support::head(ApiKey::Fetch, version)).unwrap();
            let response = response.encode(&head);
            let bytes = response.bytes();
            let (parts, _) = response.into_parts();
            if rich {
                let addresses: Vec<_> = parts.iter().map(|part| part.as_ptr()).collect();
                assert!(addresses.contains(&runs[0].as_ptr()), "a run is passed on, not copied");
            }
            let written = parts.concat();
            let expected = Response::message(&head, version, &expected).unwrap().into_parts().0.concat();
            assert_eq!(written, expected, "version {version}, rich {rich}");
            assert_eq!(written.len(), bytes);
            assert_eq!(written.len() - 4, u32::from_be_bytes(*written.first_chunk().unwrap()) as usize);
        }
    }
}
