//! Requests over streams whose durability the test decides.

use super::*;
use crate::batch::build::{Build, rehash};
use crate::batch::{Compression, Rules};
use crate::handlers::transactions::NoCoordinator;
use crate::partition::log::LogConfig;
use crate::partition::simulated::Simulated;
use crate::partition::{Partition, Topic as Known};
use crate::topic_config::TopicConfig;
use crate::wire::produce::ProducePartition;
use crate::wire::writer::Leader;
use futures::FutureExt;
use levee_base::limits::RECORD_ERRORS;
use levee_base::{Offset, StreamId};
use std::sync::Arc;
use uuid::Uuid;

const NOW: i64 = 1_700_000_000_000;
const VERSION: i16 = 12;

pub(super) struct Fixture {
    pub(super) streams: Arc<Simulated>,
    pub(super) table: PartitionTable,
    pub(super) clock: Clock,
    pub(super) logs: Vec<Arc<PartitionLog>>,
}

impl Fixture {
    /// A topic `t` with two partitions here, one elsewhere and one nowhere.
    pub(super) async fn new(config: LogConfig) -> Self {
        let (streams, clock) = (Simulated::new(), Clock::simulated(NOW));
        let mut logs = Vec::new();
        for stream in [StreamId(0), StreamId(1)] {
            streams.open(stream, Offset::ZERO);
            let streams: Arc<dyn crate::partition::Streams> = Arc::new(streams.clone());
            logs.push(Arc::new(PartitionLog::open(streams, stream, 1, config, clock, None).await.unwrap()));
        }
        let mut partitions: Vec<_> = logs.iter().cloned().map(Partition::Here).collect();
        partitions.push(Partition::Elsewhere(Leader { id: 8, epoch: 4 }));
        partitions.push(Partition::Unavailable);
        let table = PartitionTable::default();
        table.insert(Known {
            name: "t".into(),
            id: Uuid::from_u128(5),
            configs: Default::default(),
            partitions,
        });
        Self { streams, table, clock, logs }
    }

    async fn enter(
        &self,
        acks: i16,
        timeout_ms: i32,
        topic: TopicRef<'_>,
        records: &mut [(i32, Vec<u8>)],
    ) -> BoxFuture<'static, ProduceResponse> {
        let partitions = records
            .iter_mut()
            .map(|(index, records)| ProducePartition { index: *index, records: Some(records) })
            .collect();
        let topics = vec![crate::wire::produce::ProduceTopic { topic, partitions }];
        let request =
            ProduceRequest { transactional_id: None, acks, timeout_ms, topics, internal_topics: false };
        enter(&self.table, &NoCoordinator, self.clock, request, VERSION).await
    }

    async fn send(&self, build: &Build) -> BoxFuture<'static, ProduceResponse> {
        self.enter(-1, 1_000, TopicRef::Name("t"), &mut [(0, build.bytes())]).await
    }

    /// The answer for one partition to a request that can be answered at once.
    async fn now(&self, acks: i16, topic: TopicRef<'_>, index: i32, records: Vec<u8>) -> PartitionResponse {
        let answer = self.enter(acks, 1_000, topic, &mut [(index, records)]).await;
        only(answer.now_or_never().expect("an answer at once"))
    }
}

pub(super) fn only(mut response: ProduceResponse) -> PartitionResponse {
    assert_eq!(response.topics.len(), 1);
    assert_eq!(response.topics[0].partitions.len(), 1);
    response.topics.remove(0).partitions.remove(0)
}

fn batch(sequence: i32) -> Build {
    Build::records(3, NOW).producer(7, 0, sequence)
}

#[tokio::test(start_paused = true)]
async fn a_request_is_answered_when_it_is_durable() {
    let f = Fixture::new(LogConfig::default()).await;
    let mut records = [(1, batch(0).bytes()), (0, batch(0).bytes())];
    let mut answer = f.enter(-1, 1_000, TopicRef::Id(Uuid::from_u128(5)), &mut records).await;
    assert!((&mut answer).now_or_never().is_none());
    f.streams.flush(1);
    assert!((&mut answer).now_or_never().is_none(), "one partition is not all of it");
    f.streams.flush(1);
    let response = answer.await;
    assert_eq!(response.topics[0].topic, Topic::Id(Uuid::from_u128(5)));
    let got: Vec<_> = response.topics[0]
        .partitions
        .iter()
        .map(|one| (one.index, one.error_code, one.base_offset, one.log_append_time_ms, one.log_start_offset))
        .collect();
    assert_eq!(got, [(1, 0, 0, -1, 0), (0, 0, 0, -1, 0)]);
}

#[tokio::test(start_paused = true)]
async fn after_a_time_out_the_batch_is_pending_and_the_retry_finds_it() {
    let f = Fixture::new(LogConfig::default()).await;
    let began = f.clock.now();
    let late = only(f.send(&batch(0)).await.await);
    assert_eq!((late.error_code, f.clock.now() - began), (7, Duration::from_secs(1)));
    assert_eq!(late.base_offset, 0, "Kafka's answer names the offset all the same");
    let mut retry = f.send(&batch(0)).await;
    let next = f.send(&batch(3)).await;
    assert!((&mut retry).now_or_never().is_none());
    f.streams.flush_all();
    assert_eq!((retry.await.topics[0].partitions[0].base_offset, only(next.await).base_offset), (0, 3));
    assert_eq!(f.logs[0].ends().unwrap().appended, Offset(6));
    // Without time to wait, only what is durable already is answered well.
    let hurried = f.enter(-1, 0, TopicRef::Name("t"), &mut [(0, batch(6).bytes())]).await;
    assert_eq!(only(hurried.await).error_code, 7);
    let hurried = f.enter(-1, -5, TopicRef::Name("t"), &mut [(0, batch(3).bytes())]).await;
    assert_eq!(only(hurried.await).error_code, 0);
}

#[tokio::test(start_paused = true)]
async fn when_the_epoch_ends_what_is_pending_fails_and_is_never_shown() {
    let f = Fixture::new(LogConfig::default()).await;
    let first = f.send(&batch(0)).await;
    let second = f.send(&batch(3)).await;
    f.streams.flush(1);
    f.streams.stop();
    assert_eq!(only(first.await).error_code, 0, "what was durable before is acknowledged");
    let second = only(second.await);
    assert_eq!((second.error_code, second.base_offset), (6, -1));
    assert_eq!(f.now(-1, TopicRef::Name("t"), 0, batch(6).bytes()).await.error_code, 6);
    let fetched = f.logs[0].read(0, 1 << 20, true).await.unwrap();
    assert_eq!(fetched.runs.last().unwrap().end, Offset(3));
}

#[tokio::test(start_paused = true)]
async fn acks_decide_what_is_waited_for() {
    let f = Fixture::new(LogConfig::default()).await;
    assert_eq!(f.now(0, TopicRef::Name("t"), 0, batch(0).bytes()).await.error_code, 0);
    assert_eq!(f.now(0, TopicRef::Name("t"), 0, batch(9).bytes()).await.error_code, 45);
    let one = f.enter(1, 1_000, TopicRef::Name("t"), &mut [(0, batch(3).bytes())]).await;
    f.streams.flush_all();
    assert_eq!(only(one.now_or_never().unwrap()).error_code, 0);
    let odd = f.now(2, TopicRef::Name("t"), 0, batch(6).bytes()).await;
    assert_eq!((odd.error_code, odd.base_offset, odd.log_start_offset), (21, -1, -1));
}

#[tokio::test(start_paused = true)]
async fn a_full_store_holds_the_request_up_until_there_is_room_or_no_time() {
    let f = Fixture::new(LogConfig::default()).await;
    f.streams.set_full(true);
    {
        let mut records = [(0, batch(0).bytes())];
        let entering = f.enter(-1, 1_000, TopicRef::Name("t"), &mut records);
        tokio::pin!(entering);
        assert!(entering.as_mut().now_or_never().is_none(), "it is not in, so nothing may follow it");
        f.streams.set_full(false);
        let answer = entering.await;
        f.streams.flush_all();
        assert_eq!(only(answer.await).base_offset, 0);
    }
    f.streams.set_full(true);
    let late = only(f.send(&batch(3)).await.await);
    assert_eq!((late.error_code, late.base_offset), (7, -1), "it was not appended");
    assert_eq!(f.logs[0].ends().unwrap().appended, Offset(3));
    // One that wants no answer waits for as long as it takes.
    let mut records = [(0, batch(3).bytes())];
    let entering = f.enter(0, 1_000, TopicRef::Name("t"), &mut records);
    tokio::pin!(entering);
    f.clock.sleep(Duration::from_secs(60)).await;
    assert!(entering.as_mut().now_or_never().is_none());
    f.streams.stop();
    assert_eq!(only(entering.await.await).error_code, 6);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_led_here_is_refused_by_itself() {
    let f = Fixture::new(LogConfig::default()).await;
    let (name, id) = (TopicRef::Name("t"), TopicRef::Id(Uuid::from_u128(6)));
    let good = || Build::records(1, NOW).bytes();
    assert_eq!(f.now(-1, TopicRef::Name("u"), 0, good()).await.error_code, 3);
    assert_eq!(f.now(-1, id, 0, good()).await.error_code, 100);
    assert_eq!(f.now(-1, name, 4, good()).await.error_code, 3);
    assert_eq!(f.now(-1, name, -1, good()).await.error_code, 3);
    let elsewhere = f.now(-1, name, 2, good()).await;
    assert_eq!((elsewhere.error_code, elsewhere.current_leader), (6, Some(Leader { id: 8, epoch: 4 })));
    assert_eq!(f.now(-1, name, 3, good()).await.error_code, 6);
    let mut records = [(9, good()), (0, good())];
    let answer = f.enter(-1, 1_000, name, &mut records).await;
    f.streams.flush_all();
    let codes: Vec<_> = answer.await.topics[0].partitions.iter().map(|one| one.error_code).collect();
    assert_eq!(codes, [3, 0], "one partition's failure is not the other's");
}

#[tokio::test(start_paused = true)]
async fn refused_batches_have_kafkas_codes() {
    let rules = Rules { timestamp_after_max_ms: 1_000, ..Rules::default() };
    let f = Fixture::new(TopicConfig { rules, ..TopicConfig::default() }.into()).await;
    let good = Build::records(2, NOW);
    let changed = |at: usize, value: &[u8]| {
        let mut bytes = good.bytes();
        bytes[at..at + value.len()].copy_from_slice(value);
        rehash(&mut bytes);
        bytes
    };
    let mut flipped = good.bytes();
    flipped[70] ^= 1;
    let large = Build::new().record(NOW, "k", &"v".repeat(rules.max_message_bytes)).bytes();
    let twice = [good.bytes(), good.bytes()].concat();
    let mut overlong = good.bytes();
    overlong[61..67].copy_from_slice(&[0x80; 6]);
    rehash(&mut overlong);
    let cases = [
        ("no batch", Vec::new(), 87),
        ("half a batch", good.bytes()[..50].to_vec(), 87),
        ("two batches", twice, 87),
        ("magic 1", changed(16, &[1]), 87),
        ("magic 9", changed(16, &[9]), 2),
        ("length", changed(8, &3_i32.to_be_bytes()), 2),
        ("crc", flipped, 2),
        ("large", large, 10),
        ("base offset", changed(0, &1_i64.to_be_bytes()), 87),
        ("count", changed(57, &5_i32.to_be_bytes()), 87),
        ("a length of six bytes", overlong, -1),
        ("control", good.clone().attribute(5).bytes(), 87),
        ("transactional", good.clone().producer(1, 0, 0).attribute(4).bytes(), 53),
        ("codec", changed(21, &6_i16.to_be_bytes()), -1),
        ("no sequence", good.clone().producer(1, 0, -1).bytes(), 87),
        ("future", Build::records(2, NOW + 1_001).compressed(Compression::Snappy).bytes(), 32),
    ];
    for (what, records, code) in cases {
        let answer = f.now(-1, TopicRef::Name("t"), 0, records).await;
        assert_eq!((answer.error_code, answer.base_offset), (code, -1), "{what}");
        assert!(answer.error_message.is_some(), "{what}");
        assert_eq!(answer.record_errors.len(), if what == "future" { 2 } else { 0 }, "{what}");
    }
    f.streams.flush_all();
    assert_eq!(f.logs[0].ends().unwrap().appended, Offset(0));
}

#[tokio::test(start_paused = true)]
async fn producers_out_of_step_have_kafkas_codes() {
    let f = Fixture::new(LogConfig::default()).await;
    let first = f.send(&Build::records(3, NOW).producer(7, 2, 0)).await;
    f.streams.flush_all();
    assert_eq!(only(first.await).error_code, 0);
    let refused = |epoch, sequence| {
        let records = Build::records(1, NOW).producer(7, epoch, sequence).bytes();
        f.now(-1, TopicRef::Name("t"), 0, records)
    };
    assert_eq!(refused(2, 5).await.error_code, 45);
    assert_eq!(refused(1, 3).await.error_code, 47);
    assert_eq!(refused(3, 3).await.error_code, 45);
}

#[tokio::test(start_paused = true)]
async fn null_records_are_no_batch() {
    let f = Fixture::new(LogConfig::default()).await;
    let partitions = vec![ProducePartition { index: 0, records: None }];
    let topics = vec![crate::wire::produce::ProduceTopic { topic: TopicRef::Name("t"), partitions }];
    let request =
        ProduceRequest { transactional_id: None, acks: -1, timeout_ms: 0, topics, internal_topics: false };
    assert_eq!(only(enter(&f.table, &NoCoordinator, f.clock, request, VERSION).await.await).error_code, 87);
}

#[tokio::test(start_paused = true)]
async fn only_administrators_write_to_internal_topics() {
    let f = Fixture::new(LogConfig::default()).await;
    let partitions = f.table.by_name("t").unwrap().partitions.clone();
    let name: Arc<str> = crate::internal_topics::CONSUMER_OFFSETS.into();
    f.table.insert(Known {
        name: name.clone(),
        id: Uuid::from_u128(6),
        configs: Default::default(),
        partitions,
    });
    for (internal_topics, code) in [(false, Code::InvalidTopicException.code()), (true, 0)] {
        let mut records = batch(0).bytes();
        let partitions = vec![ProducePartition { index: 0, records: Some(&mut records) }];
        let topics = vec![crate::wire::produce::ProduceTopic { topic: TopicRef::Name(&name), partitions }];
        let request =
            ProduceRequest { transactional_id: None, acks: 0, timeout_ms: 1_000, topics, internal_topics };
        let answer = enter(&f.table, &NoCoordinator, f.clock, request, VERSION).await;
        assert_eq!(only(answer.now_or_never().unwrap()).error_code, code);
    }
}

#[tokio::test(start_paused = true)]
async fn not_every_wrong_record_of_very_many_is_told() {
    let rules = Rules { timestamp_after_max_ms: 1_000, ..Rules::default() };
    let f = Fixture::new(TopicConfig { rules, ..TopicConfig::default() }.into()).await;
    let future = Build::records(RECORD_ERRORS, NOW + 1_001).compressed(Compression::Snappy).bytes();
    let told = RECORD_ERRORS_REQUEST / RECORD_ERRORS;
    let mut records = vec![(0, future); told + 3];
    let answer = f.enter(-1, 1_000, TopicRef::Name("t"), &mut records).await;
    let answer = answer.now_or_never().expect("an answer at once");
    let (first, rest) = answer.topics[0].partitions.split_at(told);
    assert!(first.iter().all(|one| one.error_code == 32 && one.record_errors.len() == RECORD_ERRORS));
    assert!(rest.iter().all(|one| one.error_code == 32 && one.record_errors.is_empty()));
}
