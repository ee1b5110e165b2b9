//! DeleteRecords over streams in memory.

use super::*;
use crate::batch::build::Build;
use crate::partition::log::LogConfig;
use crate::partition::simulated::Simulated;
use crate::partition::{Streams, Topic};
use crate::topic_config::TopicConfig;
use bytes::BytesMut;
use futures::future::BoxFuture;
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::protocol::{Encodable, StrBytes};
use levee_base::StreamId;
use std::sync::Mutex;
use uuid::Uuid;

/// What becomes of a commit.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Commit {
    Done,
    Refused,
    Never,
}

#[derive(Debug)]
struct Starting {
    streams: Arc<Simulated>,
    commit: Commit,
    asked: Mutex<Vec<Vec<(StreamId, Offset)>>>,
}

impl Starts for Starting {
    fn advance(&self, starts: Vec<(StreamId, Offset)>) -> BoxFuture<'static, Result<(), BackendError>> {
        self.asked.lock().unwrap().push(starts.clone());
        let (streams, commit) = (self.streams.clone(), self.commit);
        Box::pin(async move {
            match commit {
                Commit::Never => std::future::pending().await,
                Commit::Refused => Err(BackendError::Unavailable("the store is down".to_owned())),
                Commit::Done => {
                    for (stream, start) in starts {
                        let before = streams.ends(stream).unwrap().start;
                        streams.set_start(stream, start.max(before));
                    }
                    Ok(())
                }
            }
        })
    }
}

/// Topics `t` (two partitions, one led elsewhere), `compact` and `both`; 12 records each, of which 9 are durable.
struct Fixture {
    table: PartitionTable,
    starting: Starting,
    clock: Clock,
}

impl Fixture {
    async fn new(commit: Commit) -> Self {
        let (streams, clock) = (Simulated::new(), Clock::simulated(1_000));
        let table = PartitionTable::default();
        for (number, name, deletes, compacts) in
            [(1, "t", true, false), (2, "compact", false, true), (3, "both", true, true)]
        {
            let stream = StreamId(number);
            streams.open(stream, Offset::ZERO);
            let config = LogConfig::from(TopicConfig { deletes, compacts, ..TopicConfig::default() });
            let store: Arc<dyn Streams> = Arc::new(streams.clone());
            let log = PartitionLog::open(store, stream, 0, config, clock, None).await.unwrap();
            let partitions = vec![Partition::Here(Arc::new(log)), Partition::Unavailable];
            let id = Uuid::from_u128(number.into());
            table.insert(Topic { name: name.into(), id, configs: BTreeMap::new(), partitions });
        }
        let fixture = Self {
            table,
            starting: Starting { streams: streams.clone(), commit, asked: Mutex::default() },
            clock,
        };
        for _ in 0..3 {
            fixture.append();
        }
        streams.flush_all();
        fixture.append();
        fixture
    }

    fn append(&self) {
        for topic in self.table.all() {
            let Partition::Here(log) = &topic.partitions[0] else { unreachable!() };
            let build = (0..3).fold(Build::new(), |build, _| build.record(500, "k", "v"));
            log.append(&mut log.check(&mut build.bytes(), 9).unwrap()).unwrap();
        }
    }

    /// Topic, partition, low watermark and error code of each.
    async fn ask(&self, asked: &[(&'static str, i32, i64)], timeout_ms: i32) -> Vec<(String, i32, i64, i16)> {
        let topics = asked.iter().map(|(name, index, offset)| {
            let partition =
                DeleteRecordsPartition::default().with_partition_index(*index).with_offset(*offset);
            DeleteRecordsTopic::default()
                .with_name(TopicName(StrBytes::from_static_str(name)))
                .with_partitions(vec![partition])
        });
        let request =
            DeleteRecordsRequest::default().with_topics(topics.collect()).with_timeout_ms(timeout_ms);
        let response = delete_records(&self.table, self.clock, &self.starting, request).await;
        for version in 0..=2 {
            response.encode(&mut BytesMut::new(), version).unwrap();
        }
        let topics = response.topics.into_iter();
        topics
            .flat_map(|topic| {
                let name = topic.name.to_string();
                topic
                    .partitions
                    .into_iter()
                    .map(move |one| (name.clone(), one.partition_index, one.low_watermark, one.error_code))
            })
            .collect()
    }

    async fn one(&self, name: &'static str, index: i32, offset: i64) -> (i64, i16) {
        let (_, _, low, code) = self.ask(&[(name, index, offset)], 1_000).await.remove(0);
        (low, code)
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_moves_forward_up_to_the_high_watermark() {
    let f = Fixture::new(Commit::Done).await;
    assert_eq!(f.one("t", 0, 4).await, (4, 0), "between two batches or within one");
    assert_eq!(f.one("t", 0, 2).await, (4, 0), "it never moves back");
    assert_eq!(f.one("t", 0, 10).await, (-1, Code::OffsetOutOfRange.code()), "what is not durable can't go");
    assert_eq!(f.one("t", 0, -1).await, (9, 0));
    assert_eq!(f.one("both", 0, -1).await, (9, 0));
}

#[tokio::test(start_paused = true)]
async fn refusals_have_kafkas_codes_and_nothing_is_committed() {
    let f = Fixture::new(Commit::Done).await;
    for (name, index, offset, code) in [
        ("t", 0, -2, Code::OffsetOutOfRange),
        ("t", 0, i64::MAX, Code::OffsetOutOfRange),
        ("t", 1, 0, Code::NotLeaderOrFollower),
        ("t", 2, 0, Code::UnknownTopicOrPartition),
        ("t", -1, 0, Code::UnknownTopicOrPartition),
        ("nobody", 0, 0, Code::UnknownTopicOrPartition),
        ("compact", 0, 1, Code::PolicyViolation),
        ("compact", 0, 99, Code::PolicyViolation),
    ] {
        assert_eq!(f.one(name, index, offset).await, (-1, code.code()), "{name} {index} {offset}");
    }
    assert!(f.starting.asked.lock().unwrap().is_empty());
    assert!(f.ask(&[], 1_000).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_commit_is_for_all_partitions_of_a_request_and_the_last_word_counts() {
    let f = Fixture::new(Commit::Done).await;
    let answers = f.ask(&[("t", 0, 3), ("both", 0, 6), ("t", 7, 0), ("t", 0, 5)], 1_000).await;
    let expected = [("both", 0, 6, 0), ("t", 0, 5, 0), ("t", 7, -1, 3)];
    let expected: Vec<_> =
        expected.map(|(name, index, low, code)| (name.to_owned(), index, low, code)).into();
    assert_eq!(answers, expected);
    assert_eq!(*f.starting.asked.lock().unwrap(), [vec![(StreamId(3), Offset(6)), (StreamId(1), Offset(5))]]);
}

#[tokio::test(start_paused = true)]
async fn without_a_commit_nothing_is_shown() {
    for (commit, timeout_ms) in [(Commit::Refused, 1_000), (Commit::Never, 1_000), (Commit::Never, -1)] {
        let f = Fixture::new(commit).await;
        let began = f.clock.now();
        let answers = f.ask(&[("t", 0, 3)], timeout_ms).await;
        assert_eq!((answers[0].2, answers[0].3), (-1, Code::RequestTimedOut.code()));
        let waited = f.clock.now() - began;
        assert_eq!(waited >= DELETE_RECORDS_WAIT_MIN, commit == Commit::Never, "{waited:?}");
        let topic = f.table.by_name("t").unwrap();
        let Partition::Here(log) = &topic.partitions[0] else { unreachable!() };
        assert_eq!(log.ends().unwrap().start, Offset::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_gives_no_time_is_answered_when_it_is_done() {
    let f = Fixture::new(Commit::Done).await;
    assert_eq!(f.ask(&[("t", 0, 3)], 0).await[0].3, 0);
}
