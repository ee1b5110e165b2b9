//! What clients are told while a shard's partition can't be read, and that nothing is lost by it.

use crate::errors::Code;
use crate::internal_topics::{CONSUMER_OFFSETS, TRANSACTION_STATE};
use crate::led_topics::LedTopics;
use crate::led_topics::tests::{led_on, until};
use async_trait::async_trait;
use bytes::Bytes;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::{
    GroupId, HeartbeatRequest, InitProducerIdRequest, JoinGroupRequest, ListGroupsRequest,
    ListTransactionsRequest, OffsetCommitRequest, OffsetFetchRequest, RequestKind, ResponseKind, TopicName,
    TransactionalId,
};
use kafka_protocol::protocol::StrBytes;
use levee_base::limits::COORDINATOR_LOAD_AGAIN_MAX;
use levee_base::{Clock, Random};
use levee_coordinator::Client;
use levee_object::stores::faulty::{FaultPlan, Faulty, Latency};
use levee_object::stores::memory::MemoryStore;
use levee_object::{Error, ErrorKind, Key, Page, Purpose, Result, Store};
use levee_store::WalOptions;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const TOPIC: &str = "orders";
const PARTITIONS: u32 = 3;
const LOADING: i16 = Code::CoordinatorLoadInProgress.code();

/// Gives no records to readers as long as it `refuses`; a broker that starts gets everything else.
#[derive(Debug, Default)]
struct Reluctant {
    inner: MemoryStore,
    refuses: AtomicBool,
    refused: AtomicU64,
}

#[async_trait]
impl Store for Reluctant {
    fn location(&self) -> String {
        self.inner.location()
    }

    async fn create(&self, key: &Key, bytes: Bytes, purpose: Purpose) -> Result<()> {
        self.inner.create(key, bytes, purpose).await
    }

    async fn create_parts(&self, key: &Key, parts: Vec<Bytes>, purpose: Purpose) -> Result<()> {
        self.inner.create_parts(key, parts, purpose).await
    }

    async fn get(&self, key: &Key, range: Option<Range<u64>>, purpose: Purpose) -> Result<Bytes> {
        if self.refuses.load(Ordering::SeqCst) && matches!(purpose, Purpose::Tail | Purpose::CatchUp) {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return Err(Error::new(ErrorKind::Unavailable, "get", key, "not now"));
        }
        self.inner.get(key, range, purpose).await
    }

    async fn list(&self, prefix: &str, after: Option<&Key>, limit: usize, purpose: Purpose) -> Result<Page> {
        self.inner.list(prefix, after, limit, purpose).await
    }

    async fn delete(&self, key: &Key, purpose: Purpose) -> Result<()> {
        self.inner.delete(key, purpose).await
    }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

async fn ask(led: &LedTopics, version: i16, kind: RequestKind) -> ResponseKind {
    let client = Client { id: "client".into(), host: "/127.0.0.1".into() };
    led.coordinators.coordinate(client, version, kind).await.unwrap()
}

async fn commit(led: &LedTopics, group: &str, offset: i64) -> i16 {
    let partitions = (0..PARTITIONS.cast_signed()).map(|index| {
        OffsetCommitRequestPartition::default()
            .with_partition_index(index)
            .with_committed_offset(offset + i64::from(index))
            .with_committed_metadata(Some(text("m")))
    });
    let topic = OffsetCommitRequestTopic::default()
        .with_name(TopicName(text(TOPIC)))
        .with_partitions(partitions.collect());
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic]);
    let ResponseKind::OffsetCommit(response) = ask(led, 8, RequestKind::OffsetCommit(request)).await else {
        panic!("another API's answer")
    };
    let codes: Vec<i16> =
        response.topics.iter().flat_map(|topic| topic.partitions.iter().map(|one| one.error_code)).collect();
    assert!(codes.len() == PARTITIONS as usize && codes.iter().all(|code| *code == codes[0]), "{codes:?}");
    codes[0]
}

/// The offsets that a group has committed, or why they can't be had.
async fn committed(led: &LedTopics, group: &str) -> std::result::Result<Vec<i64>, i16> {
    let group = OffsetFetchRequestGroup::default().with_group_id(GroupId(text(group))).with_topics(None);
    let request = OffsetFetchRequest::default().with_groups(vec![group]);
    let ResponseKind::OffsetFetch(response) = ask(led, 8, RequestKind::OffsetFetch(request)).await else {
        panic!("another API's answer")
    };
    let group = &response.groups[0];
    match group.error_code {
        0 => {
            let partitions = group.topics.iter().flat_map(|topic| &topic.partitions);
            Ok(partitions.map(|one| one.committed_offset).collect())
        }
        code => Err(code),
    }
}

/// A producer's id and epoch, or why it gets none.
async fn init(led: &LedTopics, id: &str) -> std::result::Result<(i64, i16), i16> {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(Some(TransactionalId(text(id))))
        .with_transaction_timeout_ms(60_000);
    let ResponseKind::InitProducerId(response) = ask(led, 4, RequestKind::InitProducerId(request)).await
    else {
        panic!("another API's answer")
    };
    match response.error_code {
        0 => Ok((response.producer_id.0, response.producer_epoch)),
        code => Err(code),
    }
}

/// Of the requests of each kind that need what is not loaded.
async fn codes(led: &LedTopics) -> BTreeMap<&'static str, i16> {
    let join = JoinGroupRequest::default()
        .with_group_id(GroupId(text("group 0")))
        .with_protocol_type(text("consumer"))
        .with_session_timeout_ms(10_000);
    let ResponseKind::JoinGroup(joined) = ask(led, 9, RequestKind::JoinGroup(join)).await else { panic!() };
    let heartbeat = HeartbeatRequest::default()
        .with_group_id(GroupId(text("group 0")))
        .with_generation_id(1)
        .with_member_id(text("member"));
    let ResponseKind::Heartbeat(beat) = ask(led, 4, RequestKind::Heartbeat(heartbeat)).await else {
        panic!()
    };
    let list = RequestKind::ListGroups(ListGroupsRequest::default());
    let ResponseKind::ListGroups(groups) = ask(led, 4, list).await else { panic!() };
    let list = RequestKind::ListTransactions(ListTransactionsRequest::default());
    let ResponseKind::ListTransactions(transactions) = ask(led, 1, list).await else { panic!() };
    BTreeMap::from([
        ("commit", commit(led, "group 0", 1_000).await),
        ("fetch", committed(led, "group 0").await.err().unwrap_or_default()),
        ("heartbeat", beat.error_code),
        ("init", init(led, "transaction 0").await.err().unwrap_or_default()),
        ("join", joined.error_code),
        ("list groups", groups.error_code),
        ("list transactions", transactions.error_code),
    ])
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_cannot_be_read_says_that_it_is_loading_and_serves_everything_once_it_can() {
    let (store, clock, random) =
        (Arc::new(Reluctant::default()), Clock::simulated(1_700_000_000_000), Random::seeded(1));
    let groups: Vec<String> = (0..20).map(|number| format!("group {number}")).collect();
    let ids: Vec<String> = (0..20).map(|number| format!("transaction {number}")).collect();
    let first = led_on(store.clone(), clock, random.clone(), WalOptions::folder()).await;
    for (name, partitions) in [(TOPIC, PARTITIONS), (CONSUMER_OFFSETS, 2), (TRANSACTION_STATE, 2)] {
        first.create(name.to_owned(), partitions, BTreeMap::new()).await.unwrap();
    }
    // Two of each key: the last one counts.
    let mut producers = Vec::new();
    for version in 0..2 {
        producers.clear();
        for (number, (group, id)) in (0..).zip(groups.iter().zip(&ids)) {
            assert_eq!(commit(&first, group, version * 500 + number * 10).await, 0);
            producers.push(init(&first, id).await.unwrap());
        }
    }

    // It is killed: nothing of its log is registered.
    first.metadata.shutdown().await;
    drop(first);

    store.refuses.store(true, Ordering::SeqCst);
    let led = led_on(store.clone(), clock, random, WalOptions::folder()).await;
    led.open_all().await;
    let ends = |led: &LedTopics| -> Vec<_> {
        let topics = [CONSUMER_OFFSETS, TRANSACTION_STATE].map(|name| led.table.by_name(name).unwrap());
        let logs = topics.iter().flat_map(|topic| &topic.partitions);
        logs.map(|partition| match partition {
            crate::partition::Partition::Here(log) => log.ends().unwrap().appended,
            other => panic!("{other:?}"),
        })
        .collect()
    };
    let before = ends(&led);
    // However often that is tried,
    for _ in 0..3 {
        let refused = store.refused.load(Ordering::SeqCst);
        until(&led, || store.refused.load(Ordering::SeqCst) >= refused + 8).await;
        let expected = BTreeMap::from([
            ("commit", LOADING),
            ("fetch", LOADING),
            // A member that is told nothing stays, as in Kafka.
            ("heartbeat", 0),
            ("init", LOADING),
            ("join", LOADING),
            ("list groups", LOADING),
            ("list transactions", LOADING),
        ]);
        assert_eq!(codes(&led).await, expected);
    }
    // and what was refused has left nothing behind.
    assert_eq!(ends(&led), before);

    store.refuses.store(false, Ordering::SeqCst);
    clock.sleep(COORDINATOR_LOAD_AGAIN_MAX).await;
    for (number, (group, id)) in (0..).zip(groups.iter().zip(&ids)) {
        let offset = 500 + i64::from(number) * 10;
        assert_eq!(committed(&led, group).await, Ok((offset..offset + i64::from(PARTITIONS)).collect()));
        let (producer, epoch) = producers[number as usize];
        assert_eq!(init(&led, id).await, Ok((producer, epoch + 1)), "{id}");
    }
    assert_eq!(commit(&led, "group 0", 1_000).await, 0);
    assert_eq!(committed(&led, "group 0").await, Ok(vec![1_000, 1_001, 1_002]));
}

/// As many as there may be before trimming begins. Time is simulated: what counts is how many requests follow each other.
#[tokio::test(start_paused = true)]
async fn a_shard_whose_partition_lies_in_1_000_objects_is_loaded_in_a_few_round_trips_to_the_store() {
    let (clock, random) = (Clock::simulated(1_700_000_000_000), Random::seeded(1));
    let store = Arc::new(Faulty::new(Arc::new(MemoryStore::new()), FaultPlan::none(), clock, random.fork()));
    // Nothing is gathered before the broker is killed.
    let options = WalOptions {
        untrimmed_objects: 8_192,
        upload_after: Duration::from_secs(86_400),
        ..WalOptions::cloud()
    };
    let first = led_on(store.clone(), clock, random.clone(), options).await;
    for (name, partitions) in [(TOPIC, PARTITIONS), (CONSUMER_OFFSETS, 1)] {
        first.create(name.to_owned(), partitions, BTreeMap::new()).await.unwrap();
    }
    while commit(&first, "group 0", 0).await == LOADING {
        clock.sleep(Duration::from_millis(10)).await;
    }
    for number in 1..1_000 {
        assert_eq!(commit(&first, &format!("group {number}"), number).await, 0);
    }
    first.metadata.shutdown().await;
    drop(first);

    let typical = Duration::from_millis(30);
    let latency = Latency { typical, tail: typical * 5, tail_chance: 0.01 };
    store.set_plan(FaultPlan { latency, ..FaultPlan::none() });
    let began = clock.now();
    let led = led_on(store, clock, random, options).await;
    led.open_all().await;
    let last = loop {
        match committed(&led, "group 999").await {
            Err(code) => assert_eq!(code, LOADING),
            Ok(offsets) => break offsets,
        }
        clock.sleep(Duration::from_millis(10)).await;
    };
    let took = clock.now() - began;
    assert_eq!(last, [999, 1_000, 1_001]);
    assert!(took < Duration::from_secs(5), "it took {took:?} from the start");
    for number in 0..1_000 {
        assert_eq!(
            committed(&led, &format!("group {number}")).await,
            Ok(vec![number, number + 1, number + 2])
        );
    }
}
