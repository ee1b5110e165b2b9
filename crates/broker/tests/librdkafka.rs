//! librdkafka, as applications use it, against a broker in this process: idempotent producers, consumer groups,
//! transactions; also over a restart of the broker on the same store.

// Helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

use levee_base::{Clock, NodeId, Random};
use levee_broker::coordinators::CoordinatorConfig;
use levee_broker::led_topics::Intervals;
use levee_broker::node::{Node, NodeOptions, ReadConfig, Shutdown, WalConfig};
use levee_object::Store;
use levee_object::stores::memory::MemoryStore;
use levee_object::stores::{Kind, Opened};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerGroupMetadata};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Message, Offset, TopicPartitionList};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// Longer than any step takes.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(200);

/// A broker in a runtime of its own.
struct Broker {
    runtime: Runtime,
    node: Option<Node>,
    store: Arc<dyn Store>,
    port: u16,
}

impl Broker {
    fn start() -> Self {
        Self::start_on(Arc::new(MemoryStore::new()), 0)
    }

    fn start_on(store: Arc<dyn Store>, port: u16) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let options = NodeOptions {
            store: "not opened".to_owned(),
            listen: format!("127.0.0.1:{port}"),
            advertise: None,
            http: None,
            internal: None,
            session_timeout: Duration::from_secs(5),
            node: NodeId(1),
            auto_create_topics: false,
            num_partitions: 1,
            coordinators: CoordinatorConfig {
                group_initial_rebalance_delay: Duration::from_millis(200),
                ..CoordinatorConfig::default()
            },
            intervals: Intervals::default(),
            wal: WalConfig { pace: Some(Duration::from_millis(1)), ..WalConfig::default() },
            reads: ReadConfig::default(),
            disk_cache: None,
        };
        let opened = store.clone();
        let open = |_: &Random| Ok(Opened { store: opened, kind: Kind::Folder, metrics: Arc::default() });
        let random = Random::from_entropy();
        let start = Node::start_on(options, open, Clock::system(), random, watch::Sender::new(false));
        let node = runtime.block_on(start).unwrap();
        let port = node.address.port();
        Self { runtime, node: Some(node), store, port }
    }

    /// Stops it, and starts another on the same store and port.
    fn restart(mut self) -> Self {
        let how = self.runtime.block_on(self.node.take().unwrap().shutdown());
        assert_eq!(how, Shutdown::InOrder);
        self.runtime.shutdown_timeout(PATIENCE);
        Self::start_on(self.store, self.port)
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", format!("127.0.0.1:{}", self.port));
        config
    }

    fn create(&self, topic: &str, partitions: i32) {
        let admin: AdminClient<DefaultClientContext> = self.config().create().unwrap();
        let topic = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        let created = admin.create_topics([&topic], &AdminOptions::new());
        let created = self.runtime.block_on(created).unwrap();
        assert!(created.iter().all(Result::is_ok), "{created:?}");
    }

    fn producer(&self, settings: &[(&str, &str)]) -> BaseProducer {
        let mut config = self.config();
        config.set("enable.idempotence", "true").set("linger.ms", "0");
        for (name, value) in settings {
            config.set(*name, *value);
        }
        config.create().unwrap()
    }

    fn consumer(&self, group: &str, settings: &[(&str, &str)]) -> BaseConsumer {
        let mut config = self.config();
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("session.timeout.ms", "6000")
            .set("heartbeat.interval.ms", "300");
        for (name, value) in settings {
            config.set(*name, *value);
        }
        config.create().unwrap()
    }
}

fn send(producer: &BaseProducer, topic: &str, partition: i32, values: impl IntoIterator<Item = String>) {
    for value in values {
        let record = BaseRecord::<str, str>::to(topic).partition(partition).key("key").payload(&value);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}

fn values(prefix: &str, count: usize) -> impl Iterator<Item = String> + use<> {
    let prefix = prefix.to_owned();
    (0..count).map(move |n| format!("{prefix}{n}"))
}

/// Polls until `enough` says so of all values that have come.
fn consume(consumer: &BaseConsumer, mut enough: impl FnMut(&[String]) -> bool) -> Vec<String> {
    let (mut got, mut polls) = (Vec::new(), 0);
    while !enough(&got) {
        polls += 1;
        assert!(polls * POLL < PATIENCE, "not enough came: {got:?}");
        match consumer.poll(POLL) {
            Some(Ok(message)) => {
                polls = 0;
                got.push(String::from_utf8(message.payload().unwrap().to_vec()).unwrap());
            }
            Some(Err(error)) => panic!("{error}"),
            None => {}
        }
    }
    got
}

/// Polls for as long as it takes to be told of the end of each of the `partitions`.
fn consume_to_the_end(consumer: &BaseConsumer, partitions: usize) -> Vec<String> {
    let (mut got, mut ended, mut polls) = (Vec::new(), BTreeSet::new(), 0);
    while ended.len() < partitions {
        polls += 1;
        assert!(polls * POLL < PATIENCE, "the end of {partitions} partitions did not come: {ended:?}");
        match consumer.poll(POLL) {
            Some(Ok(message)) => {
                ended.remove(&message.partition());
                got.push(String::from_utf8(message.payload().unwrap().to_vec()).unwrap());
            }
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(partition))) => {
                ended.insert(partition);
            }
            Some(Err(error)) => panic!("{error}"),
            None => {}
        }
    }
    got
}

fn sorted(values: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_unstable();
    values
}

/// Subscribes both to a topic, and has them commit what they take until each has half of its four partitions and `count`
/// different values have come.
fn share(one: &BaseConsumer, two: &BaseConsumer, topic: &str, count: usize) -> BTreeSet<String> {
    one.subscribe(&[topic]).unwrap();
    two.subscribe(&[topic]).unwrap();
    let half = |consumer: &BaseConsumer| consumer.assignment().unwrap().count() == 2;
    let (mut got, mut polls) = (BTreeSet::new(), 0);
    while !(half(one) && half(two)) || got.len() < count {
        polls += 1;
        let (of_one, of_two) = (one.assignment(), two.assignment());
        assert!(polls * POLL < PATIENCE, "{} values; {of_one:?} {of_two:?}", got.len());
        for consumer in [one, two] {
            if let Some(message) = consumer.poll(POLL) {
                let message = message.unwrap();
                got.insert(String::from_utf8(message.payload().unwrap().to_vec()).unwrap());
                consumer.commit_message(&message, CommitMode::Sync).unwrap();
                polls = 0;
            }
        }
    }
    got
}

#[test]
fn a_group_shares_its_partitions_goes_on_where_it_stopped_and_outlives_the_broker() {
    let broker = Broker::start();
    broker.create("shared", 4);
    let producer = broker.producer(&[]);
    for partition in 0..4 {
        send(&producer, "shared", partition, values(&format!("{partition}-"), 50));
    }
    let (one, two) = (broker.consumer("group", &[]), broker.consumer("group", &[]));
    let got = share(&one, &two, "shared", 200);
    // At least once, as the group changed on the way.
    let expected = sorted((0..4).flat_map(|partition| values(&format!("{partition}-"), 50)));
    assert_eq!(got.into_iter().collect::<Vec<_>>(), expected);
    // Who leaves gives its part to the other.
    drop(two);
    let mut polls = 0;
    while one.assignment().unwrap().count() < 4 {
        polls += 1;
        assert!(polls * POLL < PATIENCE, "{:?}", one.assignment());
        assert!(one.poll(POLL).is_none_or(|message| message.is_ok()));
    }
    drop((one, producer));

    let broker = broker.restart();
    let committed = broker.consumer("group", &[]);
    let mut asked = TopicPartitionList::new();
    asked.add_partition_range("shared", 0, 3);
    let found = committed.committed_offsets(asked, PATIENCE).unwrap();
    assert!(found.elements().iter().all(|partition| partition.offset() == Offset::Offset(50)), "{found:?}");
    let producer = broker.producer(&[]);
    send(&producer, "shared", 2, values("new-", 3));
    committed.subscribe(&["shared"]).unwrap();
    let got = consume(&committed, |got| got.len() >= 3);
    assert_eq!(got, values("new-", 3).collect::<Vec<_>>());
}

#[test]
fn a_group_by_the_consumer_protocol_shares_its_partitions() {
    let broker = Broker::start();
    broker.create("next", 4);
    let producer = broker.producer(&[]);
    for partition in 0..4 {
        send(&producer, "next", partition, values(&format!("{partition}-"), 20));
    }
    let member = || {
        let mut config = broker.config();
        config
            .set("group.id", "next-group")
            .set("group.protocol", "consumer")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest");
        config.create::<BaseConsumer>().unwrap()
    };
    let (one, two) = (member(), member());
    let got = share(&one, &two, "next", 80);
    assert_eq!(got.len(), 80);
}

#[test]
fn readers_of_what_is_committed_see_whole_transactions_only_also_after_a_restart() {
    let broker = Broker::start();
    broker.create("ledger", 2);
    let producer = broker.producer(&[("transactional.id", "teller"), ("transaction.timeout.ms", "60000")]);
    producer.init_transactions(PATIENCE).unwrap();
    for round in 0..6 {
        producer.begin_transaction().unwrap();
        for partition in 0..2 {
            send(&producer, "ledger", partition, values(&format!("{round}-{partition}-"), 10));
        }
        if round % 2 == 0 {
            producer.commit_transaction(PATIENCE).unwrap();
        } else {
            producer.abort_transaction(PATIENCE).unwrap();
        }
    }
    // One is left open.
    producer.begin_transaction().unwrap();
    send(&producer, "ledger", 0, values("open-", 5));

    let committed =
        sorted((0..6).step_by(2).flat_map(|round| {
            (0..2).flat_map(move |partition| values(&format!("{round}-{partition}-"), 10))
        }));
    let read = |broker: &Broker, group: &str, level: &str| {
        let settings = [("isolation.level", level), ("enable.partition.eof", "true")];
        let consumer = broker.consumer(group, &settings);
        let mut all = TopicPartitionList::new();
        for partition in 0..2 {
            all.add_partition_offset("ledger", partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&all).unwrap();
        consume_to_the_end(&consumer, 2)
    };
    assert_eq!(sorted(read(&broker, "a", "read_committed")), committed);
    assert_eq!(read(&broker, "b", "read_uncommitted").len(), 125);

    let broker = broker.restart();
    assert_eq!(sorted(read(&broker, "c", "read_committed")), committed);
    // The one that was left open goes on, and is committed by the broker that came after.
    send(&producer, "ledger", 1, values("late-", 5));
    producer.commit_transaction(PATIENCE).unwrap();
    let all = sorted(committed.into_iter().chain(values("open-", 5)).chain(values("late-", 5)));
    assert_eq!(sorted(read(&broker, "d", "read_committed")), all);
}

#[test]
fn offsets_are_committed_with_a_transaction_and_a_second_producer_fences_the_first() {
    let broker = Broker::start();
    broker.create("in", 1);
    broker.create("out", 1);
    send(&broker.producer(&[]), "in", 0, values("in-", 10));
    let consumer = broker.consumer("pipeline", &[("isolation.level", "read_committed")]);
    consumer.subscribe(&["in"]).unwrap();
    let taken = consume(&consumer, |got| got.len() == 10);
    let group: ConsumerGroupMetadata = consumer.group_metadata().unwrap();
    let offsets = |offset| {
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset("in", 0, Offset::Offset(offset)).unwrap();
        offsets
    };
    let stored = || {
        let mut asked = TopicPartitionList::new();
        asked.add_partition("in", 0);
        consumer.committed_offsets(asked, PATIENCE).unwrap().elements()[0].offset()
    };
    let transactional = [("transactional.id", "pipeline")];
    let producer = broker.producer(&transactional);
    producer.init_transactions(PATIENCE).unwrap();
    producer.begin_transaction().unwrap();
    send(&producer, "out", 0, taken.iter().map(|value| format!("lost-{value}")));
    producer.send_offsets_to_transaction(&offsets(3), &group, PATIENCE).unwrap();
    producer.abort_transaction(PATIENCE).unwrap();
    assert_eq!(stored(), Offset::Invalid);

    producer.begin_transaction().unwrap();
    send(&producer, "out", 0, taken.iter().map(|value| format!("kept-{value}")));
    producer.send_offsets_to_transaction(&offsets(10), &group, PATIENCE).unwrap();
    producer.commit_transaction(PATIENCE).unwrap();
    assert_eq!(stored(), Offset::Offset(10));

    producer.begin_transaction().unwrap();
    send(&producer, "out", 0, values("zombie-", 2));
    let successor = broker.producer(&transactional);
    successor.init_transactions(PATIENCE).unwrap();
    let fenced = producer.commit_transaction(PATIENCE).unwrap_err();
    assert!(format!("{fenced:?}").contains("fenced"), "{fenced:?}");
    successor.begin_transaction().unwrap();
    send(&successor, "out", 0, values("next-", 2));
    successor.commit_transaction(PATIENCE).unwrap();

    let reader = broker.consumer("reader", &[("isolation.level", "read_committed")]);
    reader.subscribe(&["out"]).unwrap();
    let got = consume(&reader, |got| got.len() >= 12);
    let expected: Vec<_> =
        taken.iter().map(|value| format!("kept-{value}")).chain(values("next-", 2)).collect();
    assert_eq!(got, expected);
}
