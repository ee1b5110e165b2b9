//! OffsetForLeaderEpoch: where what leaders wrote up to an epoch ends. A consumer that finds its place beyond that has
//! read what is not there any more (KIP-320).
//!
//! The end of the newest epoch is the durable end. Kafka names the end of the log; here what lies beyond may yet be lost.

use super::fetch::read_code;
use super::list_offsets::check_epoch;
use crate::errors::Code;
use crate::partition::{Partition, PartitionTable, Topic};
use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};
use levee_base::Offset;

/// Answers a request.
#[must_use]
pub fn offset_for_leader_epoch(
    table: &PartitionTable,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let known = table.by_name(&topic.topic);
        let partitions = topic.partitions.iter().map(|asked| answer(known.as_deref(), asked));
        OffsetForLeaderTopicResult::default().with_partitions(partitions.collect()).with_topic(topic.topic)
    });
    OffsetForLeaderEpochResponse::default().with_topics(topics.collect())
}

fn answer(topic: Option<&Topic>, asked: &OffsetForLeaderPartition) -> EpochEndOffset {
    let answer =
        EpochEndOffset::default().with_partition(asked.partition).with_leader_epoch(-1).with_end_offset(-1);
    match end(topic, asked) {
        Err(code) => answer.with_error_code(code.code()),
        // An epoch that nobody knows has no end.
        Ok(None) => answer,
        Ok(Some((epoch, end))) => answer.with_leader_epoch(epoch).with_end_offset(end.0.cast_signed()),
    }
}

fn end(topic: Option<&Topic>, asked: &OffsetForLeaderPartition) -> Result<Option<(i32, Offset)>, Code> {
    match topic.and_then(|topic| topic.partition(asked.partition)) {
        None => Err(Code::UnknownTopicOrPartition),
        Some(Partition::Elsewhere(_) | Partition::Unavailable) => Err(Code::NotLeaderOrFollower),
        Some(Partition::Here(log)) => {
            check_epoch(log, asked.current_leader_epoch)?;
            // -1 is no epoch.
            if asked.leader_epoch == -1 {
                return Ok(None);
            }
            log.end_of_epoch(asked.leader_epoch).map_err(|error| read_code(log.stream(), &error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::build::Build;
    use crate::partition::log::LogConfig;
    use crate::partition::simulated::Simulated;
    use crate::partition::{PartitionLog, Streams};
    use crate::wire::writer::Leader;
    use kafka_protocol::messages::TopicName;
    use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderTopic;
    use kafka_protocol::protocol::{Encodable, StrBytes};
    use levee_base::{Clock, StreamId};
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use uuid::Uuid;

    /// Two records under leader epoch 3, one under 5, and one more under 5 that is not durable.
    async fn table() -> PartitionTable {
        let (mut streams, clock) = (Simulated::new(), Clock::simulated(1_000));
        streams.open(StreamId(1), Offset::ZERO);
        let mut log = None;
        for (epoch, records) in [(3, 2), (5, 1)] {
            streams = streams.reopened();
            let over: Arc<dyn Streams> = Arc::new(streams.clone());
            let opened = PartitionLog::open(over, StreamId(1), epoch, LogConfig::default(), clock, None)
                .await
                .unwrap();
            opened.append(&mut opened.check(&mut Build::records(records, 5).bytes(), 11).unwrap()).unwrap();
            streams.flush_all();
            log = Some(opened);
        }
        let log = log.unwrap();
        log.append(&mut log.check(&mut Build::records(1, 5).bytes(), 11).unwrap()).unwrap();
        let here = Partition::Here(Arc::new(log));
        let partitions = vec![here, Partition::Elsewhere(Leader { id: 2, epoch: 1 }), Partition::Unavailable];
        let table = PartitionTable::default();
        table.insert(Topic {
            name: "t".into(),
            id: Uuid::from_u128(1),
            configs: BTreeMap::new(),
            partitions,
        });
        table
    }

    fn ask(
        table: &PartitionTable,
        topic: &'static str,
        index: i32,
        current: i32,
        epoch: i32,
    ) -> (i16, i32, i64) {
        let asked = OffsetForLeaderPartition::default()
            .with_partition(index)
            .with_current_leader_epoch(current)
            .with_leader_epoch(epoch);
        let topic = OffsetForLeaderTopic::default()
            .with_topic(TopicName(StrBytes::from_static_str(topic)))
            .with_partitions(vec![asked]);
        let request = OffsetForLeaderEpochRequest::default().with_topics(vec![topic]);
        let response = offset_for_leader_epoch(table, request);
        for version in 2..=4 {
            response.encode(&mut bytes::BytesMut::new(), version).unwrap();
        }
        let one = &response.topics[0].partitions[0];
        assert_eq!(one.partition, index);
        (one.error_code, one.leader_epoch, one.end_offset)
    }

    #[tokio::test(start_paused = true)]
    async fn each_epoch_ends_where_the_next_begins() {
        let table = table().await;
        for (epoch, expected) in [
            (-1, (0, -1, -1)),
            (0, (0, 0, 0)),
            (3, (0, 3, 2)),
            (4, (0, 3, 2)),
            (5, (0, 5, 3)),
            (6, (0, -1, -1)),
        ] {
            assert_eq!(ask(&table, "t", 0, -1, epoch), expected, "{epoch}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_have_kafkas_codes() {
        let table = table().await;
        let code = |index, current| ask(&table, "t", index, current, 3).0;
        assert_eq!([code(0, 5), code(0, 4), code(0, 6), code(0, -2)], [0, 74, 75, 74]);
        assert_eq!([code(1, -1), code(2, -1), code(3, -1), code(-1, -1)], [6, 6, 3, 3]);
        assert_eq!(ask(&table, "u", 0, -1, 3), (3, -1, -1));
    }
}
