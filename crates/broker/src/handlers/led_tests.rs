//! The three APIs over the real stream store: brokers that die with requests in flight, and their successors.

use super::*;
use crate::batch::build::Build;
use crate::batch::{BatchView, records};
use crate::handlers::backend::BackendError;
use crate::handlers::transactions::NoCoordinator;
use crate::partition::log::LogConfig;
use crate::partition::{Partition, PartitionLog, Topic};
use crate::wire::produce::{ProducePartition, ProduceTopic, TopicRef};
use async_trait::async_trait;
use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::protocol::StrBytes;
use levee_base::{BrokerEpoch, ClusterId, Offset, Slot, StreamId};
use levee_object::Key;
use levee_object::log::LogContext;
use levee_object::stores::faulty::{FaultPlan, Faulty, Latency};
use levee_object::stores::memory::MemoryStore;
use levee_object::stores::resilient::{Resilient, RetryPolicy};
use levee_store::{
    Extent, Metrics, NewObject, ObjectRef, Registered, Registrar, RegistrarError, Registration, Replacement,
    StreamStore, Trim, WalOptions,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;
use uuid::Uuid;

const STREAM: StreamId = StreamId(1);
const START: i64 = 1_700_000_000_000;

/// What the metadata of a cluster would keep of one stream, and of the epoch's log.
#[derive(Debug)]
struct Extents {
    prefix: Key,
    kept: Mutex<Vec<Extent>>,
    trimmed: Mutex<Slot>,
}

impl Extents {
    fn register(&self, epoch: BrokerEpoch, objects: &[Registration], uploads: &[NewObject]) {
        let mut extents = Vec::new();
        for object in objects {
            let key = self.prefix.join_number(epoch.0).join_number(object.slot.0);
            let of = ObjectRef { key, total_bytes: object.total_bytes, index: object.index.clone() };
            extents.extend(object.extents.iter().map(|extent| (extent.clone(), Arc::new(of.clone()))));
        }
        for object in uploads {
            let key = levee_store::data_prefix(epoch).join_number(object.number);
            let of = ObjectRef { key, total_bytes: object.total_bytes, index: object.index.clone() };
            extents.extend(object.extents.iter().map(|extent| (extent.clone(), Arc::new(of.clone()))));
        }
        extents.sort_by_key(|(extent, _)| extent.range.start);
        let extents = extents.into_iter();
        let extents = extents.map(|(new, object)| Extent { range: new.range, bytes: new.bytes, object });
        self.kept.lock().unwrap().extend(extents);
    }
}

#[async_trait]
impl Registrar for Extents {
    async fn trim(&self, trim: Trim) -> Result<(), RegistrarError> {
        self.register(trim.epoch, &trim.objects, &trim.uploads);
        *self.trimmed.lock().unwrap() = trim.to;
        Ok(())
    }

    async fn replace(&self, _: Replacement) -> Result<u32, RegistrarError> {
        Err(RegistrarError::Unavailable("nothing is compacted here".to_owned()))
    }

    async fn abandon(&self, _: BrokerEpoch, _: Vec<u64>) -> Result<(), RegistrarError> {
        Ok(())
    }

    fn streams(&self, _: BrokerEpoch, _: &[StreamId]) -> Vec<(StreamId, Registered)> {
        Vec::new()
    }
}

/// No start is moved here.
#[derive(Debug)]
struct Kept;

impl Starts for Kept {
    fn advance(&self, _: Vec<(StreamId, Offset)>) -> BoxFuture<'static, Result<(), BackendError>> {
        Box::pin(async { Err(BackendError::Unavailable("starts are kept".to_owned())) })
    }
}

/// A broker that leads one partition. Dropping it is a crash.
struct Broker {
    epoch: BrokerEpoch,
    store: Arc<StreamStore>,
    led: LedPartitions,
}

impl Broker {
    async fn start(ctx: &LogContext, extents: &Arc<Extents>, epoch: u64) -> Self {
        let epoch = BrokerEpoch(epoch);
        let (writer, metrics) = (ctx.random.writer_id(), Arc::new(Metrics::default()));
        let options = WalOptions::folder();
        let store = StreamStore::open(ctx.clone(), epoch, writer, extents.clone(), options, metrics);
        let leader_epoch = u32::try_from(epoch.0).unwrap();
        store.open_stream(
            STREAM,
            leader_epoch,
            Registered { extents: extents.kept.lock().unwrap().clone(), ..Registered::default() },
        );
        let config = LogConfig::default();
        let epoch_number = i32::try_from(epoch.0).unwrap();
        let log =
            PartitionLog::open(store.clone(), STREAM, epoch_number, config, ctx.clock, None).await.unwrap();
        let table = Arc::new(PartitionTable::default());
        let partitions = vec![Partition::Here(Arc::new(log))];
        table.insert(Topic {
            name: "t".into(),
            id: Uuid::from_u128(1),
            configs: BTreeMap::new(),
            partitions,
        });
        let led = LedPartitions::new(
            table,
            Arc::new(Kept),
            Arc::new(NoCoordinator),
            1,
            ctx.clock,
            ctx.random.fork(),
        );
        Self { epoch, store, led }
    }

    async fn crash(self, ctx: &LogContext, extents: &Extents) {
        let Self { epoch, store, led } = self;
        drop((led, store));
        let from = std::mem::take(&mut *extents.trimmed.lock().unwrap());
        let recovered = levee_store::recover(ctx, epoch, from, ctx.random.writer_id()).await.unwrap();
        extents.register(epoch, &recovered.objects, &[]);
    }

    async fn send(&self, sequence: i32, count: usize) -> BoxFuture<'static, ProduceResponse> {
        let batch = (0..count).fold(Build::new().producer(7, 0, sequence), |batch, at| {
            let number = i64::from(sequence) + i64::try_from(at).unwrap();
            batch.record(START + number, "k", "v")
        });
        let mut bytes = batch.bytes();
        let partitions = vec![ProducePartition { index: 0, records: Some(&mut bytes) }];
        let topics = vec![ProduceTopic { topic: TopicRef::Name("t"), partitions }];
        let request = ProduceRequest {
            transactional_id: None,
            acks: -1,
            timeout_ms: 30_000,
            topics,
            internal_topics: false,
        };
        self.led.produce(request, 9).await
    }

    /// The timestamps of all records, each of which is the record's number.
    async fn read_all(&self) -> Vec<i64> {
        let mut all: Vec<i64> = Vec::new();
        loop {
            let partition = FetchPartition::default()
                .with_fetch_offset(i64::try_from(all.len()).unwrap())
                .with_partition_max_bytes(2_000)
                .with_current_leader_epoch(-1);
            let topic = FetchTopic::default()
                .with_topic(TopicName(StrBytes::from_static_str("t")))
                .with_partitions(vec![partition]);
            let request =
                FetchRequest::default().with_max_bytes(2_000).with_session_epoch(-1).with_topics(vec![topic]);
            let response = self.led.fetch(request, 11).await;
            let fetched = &response.topics[0].partitions[0];
            assert_eq!(fetched.error_code, 0);
            if fetched.records.is_empty() {
                assert_eq!(fetched.high_watermark, i64::try_from(all.len()).unwrap());
                return all;
            }
            for mut rest in fetched.records.iter().map(|run| &run[..]) {
                while let Some(view) = BatchView::first(rest) {
                    assert_eq!(view.crc(), view.computed_crc());
                    for record in records::open(&view, 1 << 20).unwrap() {
                        let record = record.unwrap();
                        assert_eq!(record.offset, i64::try_from(all.len()).unwrap());
                        all.push(record.timestamp - START);
                    }
                    rest = &rest[view.bytes().len()..];
                }
                assert!(rest.is_empty(), "whole batches");
            }
        }
    }

    async fn offset_of(&self, timestamp: i64) -> (i64, i32) {
        let partition =
            ListOffsetsPartition::default().with_timestamp(timestamp).with_current_leader_epoch(-1);
        let topic = ListOffsetsTopic::default()
            .with_name(TopicName(StrBytes::from_static_str("t")))
            .with_partitions(vec![partition]);
        let response = self.led.list_offsets(ListOffsetsRequest::default().with_topics(vec![topic]), 9).await;
        let answer = &response.topics[0].partitions[0];
        assert_eq!(answer.error_code, 0);
        (answer.offset, answer.leader_epoch)
    }
}

fn outcome(response: &ProduceResponse) -> (i16, i64) {
    let partition = &response.topics[0].partitions[0];
    (partition.error_code, partition.base_offset)
}

/// A producer that has up to five requests in flight, and sends again what was not acknowledged.
#[tokio::test(start_paused = true)]
async fn an_idempotent_producer_gets_every_record_in_once_over_crashes() {
    let (mut failed, mut found) = (0, 0);
    for seed in 0..20 {
        let (clock, random) = (levee_base::Clock::simulated(START), Random::seeded(seed));
        let prefix = Key::new("wal/1").unwrap();
        let cluster = ClusterId(Uuid::from_u128(1));
        // Answers come later than effects, so a crash leaves what nobody knows of; sometimes one is lost.
        let plan = FaultPlan {
            latency: Latency {
                typical: Duration::from_millis(3),
                tail: Duration::from_millis(30),
                tail_chance: 0.1,
            },
            error_after: 0.02,
            late: 0.02,
            late_by: Duration::from_millis(50),
            ..FaultPlan::none()
        };
        let faulty = Arc::new(Faulty::new(Arc::new(MemoryStore::new()), plan, clock, random.fork()));
        let store = Arc::new(Resilient::new(faulty, RetryPolicy::default(), clock, random.fork()));
        let ctx = LogContext { store, cluster, prefix: prefix.clone(), clock, random: random.fork() };
        let extents = Arc::new(Extents { prefix, kept: Mutex::default(), trimmed: Mutex::default() });
        let mut unacknowledged: VecDeque<(i32, usize)> = VecDeque::new();
        let (mut next, mut acknowledged) = (0, 0);
        let mut began_at = Vec::new();
        for epoch in 1..=5 {
            let broker = Broker::start(&ctx, &extents, epoch).await;
            began_at.push(broker.read_all().await.len());
            assert!(began_at.last() >= Some(&acknowledged), "what was acknowledged is there");
            found += usize::from(began_at.last() > Some(&acknowledged));
            let mut answers = VecDeque::new();
            for (sequence, count) in &unacknowledged {
                answers.push_back(broker.send(*sequence, *count).await);
            }
            for _ in 0..random.below(30) {
                if answers.len() == 5 {
                    let (code, base) = outcome(&answers.pop_front().unwrap().await);
                    let (sequence, count) = unacknowledged.pop_front().unwrap();
                    assert_eq!((code, base), (0, i64::from(sequence)));
                    acknowledged = usize::try_from(sequence).unwrap() + count;
                }
                let count = usize::try_from(1 + random.below(20)).unwrap();
                unacknowledged.push_back((next, count));
                answers.push_back(broker.send(next, count).await);
                next += i32::try_from(count).unwrap();
                clock.sleep(Duration::from_millis(random.below(4))).await;
            }
            broker.crash(&ctx, &extents).await;
            for answer in answers {
                let (code, base) = outcome(&answer.await);
                // What was durable is acknowledged, in order; the rest fails.
                if code == 0 {
                    let (sequence, count) = unacknowledged.pop_front().unwrap();
                    assert_eq!(base, i64::from(sequence));
                    acknowledged = usize::try_from(sequence).unwrap() + count;
                } else {
                    assert_eq!((code, base), (6, -1));
                    failed += 1;
                }
            }
        }
        let broker = Broker::start(&ctx, &extents, 6).await;
        began_at.push(broker.read_all().await.len());
        for (sequence, count) in unacknowledged {
            assert_eq!(outcome(&broker.send(sequence, count).await.await), (0, i64::from(sequence)));
        }
        let all = broker.read_all().await;
        assert!(all.iter().copied().eq(0..i64::from(next)), "every record once, in order");
        for number in (0..all.len()).step_by(7) {
            let (offset, leader_epoch) = broker.offset_of(START + i64::try_from(number).unwrap()).await;
            assert_eq!(usize::try_from(offset).unwrap(), number);
            // The last broker that did not find it wrote it.
            let writer = began_at.iter().rposition(|found| *found <= number).unwrap() + 1;
            assert_eq!(usize::try_from(leader_epoch).unwrap(), writer);
        }
        assert_eq!(broker.offset_of(-1).await, (i64::from(next), 6));
        broker.store.shutdown().await;
    }
    assert!(
        failed > 0 && found > 0,
        "{failed} requests failed, {found} times unacknowledged records were found"
    );
}
