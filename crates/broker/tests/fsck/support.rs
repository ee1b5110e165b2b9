//! A folder that a real broker has filled, and damage done to it.

use levee_base::{Clock, NodeId, Random};
use levee_broker::coordinators::CoordinatorConfig;
use levee_broker::fsck::{Finding, Options, Progress, Report, Severity, check};
use levee_broker::led_topics::Intervals;
use levee_broker::node::{Node, NodeOptions, ReadConfig, Shutdown, WalConfig};
use levee_client::Connection;
use levee_client::kafka_protocol::messages::create_topics_request::CreatableTopic;
use levee_client::kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use levee_client::kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use levee_client::kafka_protocol::messages::{
    CreateTopicsRequest, DeleteTopicsRequest, ProduceRequest, TopicName,
};
use levee_client::kafka_protocol::protocol::StrBytes;
use levee_object::{Store, stores};
use levee_store::format::{Index, ObjectHeader};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::watch;

/// Batches in each of the two partitions.
pub const BATCHES: u64 = 40;
/// Records in each.
pub const RECORDS: u64 = 3;

/// How the broker ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It signs off: everything is registered.
    InOrder,
    /// It is gone at once: its log is open, and the metadata takes it for live.
    Killed,
}

/// A folder after a broker that trims its log at so many objects.
pub fn filled(end: End, untrimmed_objects: usize) -> TempDir {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    with_broker(folder.path(), untrimmed_objects, async |node| {
        produce(&node.address.to_string()).await;
        match end {
            End::InOrder => assert_eq!(node.shutdown().await, Shutdown::InOrder),
            // Dropping it would ask it to sign off.
            End::Killed => std::mem::forget(node),
        }
    });
    folder
}

/// A copy of a folder, in which the topic is deleted and so is all that it had.
pub fn emptied(folder: &Path) -> TempDir {
    let copy = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    for key in keys(folder, "") {
        let to = copy.path().join(&key);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(folder.join(&key), to).unwrap();
    }
    with_broker(copy.path(), 8, async |node| {
        let clock = Clock::system();
        let mut client = Connection::open(&node.address.to_string(), "test", clock).await.unwrap();
        let name = TopicName(StrBytes::from_static_str("flights"));
        let topics = vec![DeleteTopicState::default().with_name(Some(name.clone()))];
        let delete = DeleteTopicsRequest::default()
            .with_topics(topics)
            .with_topic_names(vec![name])
            .with_timeout_ms(30_000);
        let deleted = client.call(delete).await.unwrap();
        assert_eq!(deleted.responses[0].error_code, 0);
        while !keys(copy.path(), "data").is_empty() {
            clock.sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(node.shutdown().await, Shutdown::InOrder);
    });
    copy
}

fn with_broker(folder: &Path, untrimmed_objects: usize, main: impl AsyncFnOnce(Node)) {
    let options = NodeOptions {
        store: folder.to_str().unwrap().to_owned(),
        listen: "127.0.0.1:0".to_owned(),
        advertise: None,
        http: None,
        internal: None,
        session_timeout: Duration::from_secs(9),
        node: NodeId(1),
        auto_create_topics: true,
        num_partitions: 1,
        coordinators: CoordinatorConfig::default(),
        intervals: Intervals::default(),
        wal: WalConfig {
            pace: Some(Duration::from_micros(1)),
            untrimmed_objects: Some(untrimmed_objects),
            ..WalConfig::default()
        },
        reads: ReadConfig::default(),
        disk_cache: None,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let stop = watch::Sender::new(false);
        main(Node::start(options, Clock::system(), Random::from_entropy(), stop).await.unwrap()).await;
    });
    runtime.shutdown_timeout(Duration::from_secs(10));
}

async fn produce(broker: &str) {
    let mut client = Connection::open(broker, "test", Clock::system()).await.unwrap();
    let name = TopicName(StrBytes::from_static_str("flights"));
    let topic =
        CreatableTopic::default().with_name(name.clone()).with_num_partitions(2).with_replication_factor(-1);
    let create = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(30_000);
    let created = client.call(create).await.unwrap();
    let id = created.topics[0].topic_id;
    for number in 0..BATCHES {
        // One partition gets short batches, the other long ones, of which one object's are most of it.
        let data = [200, 60_000].into_iter().enumerate().map(|(partition, bytes)| {
            PartitionProduceData::default()
                .with_index(partition as i32)
                .with_records(Some(batch(RECORDS, bytes, number).into()))
        });
        let topic = TopicProduceData::default()
            .with_name(name.clone())
            .with_topic_id(id)
            .with_partition_data(data.collect());
        let request =
            ProduceRequest::default().with_acks(-1).with_timeout_ms(30_000).with_topic_data(vec![topic]);
        let answer = client.call(request).await.unwrap();
        for partition in &answer.responses[0].partition_responses {
            assert_eq!(partition.error_code, 0);
            assert_eq!(partition.base_offset, (number * RECORDS) as i64);
        }
    }
}

/// A batch of records without keys whose values have so many bytes together.
fn batch(records: u64, bytes: usize, number: u64) -> Vec<u8> {
    let mut payload = Vec::new();
    for record in 0..records {
        let value = vec![number as u8; bytes / records as usize];
        let mut body = vec![0, 0];
        varint(&mut body, record as i64);
        varint(&mut body, -1);
        varint(&mut body, value.len() as i64);
        body.extend_from_slice(&value);
        varint(&mut body, 0);
        varint(&mut payload, body.len() as i64);
        payload.extend_from_slice(&body);
    }
    let mut covered = Vec::new();
    covered.extend(0i16.to_be_bytes());
    covered.extend((records as i32 - 1).to_be_bytes());
    covered.extend(1_000i64.to_be_bytes());
    covered.extend(1_000i64.to_be_bytes());
    covered.extend((-1i64).to_be_bytes());
    covered.extend((-1i16).to_be_bytes());
    covered.extend((-1i32).to_be_bytes());
    covered.extend((records as i32).to_be_bytes());
    covered.extend(payload);
    let mut batch = Vec::new();
    batch.extend(0i64.to_be_bytes());
    batch.extend((4 + 1 + 4 + covered.len() as i32).to_be_bytes());
    batch.extend((-1i32).to_be_bytes());
    batch.push(2);
    batch.extend(crc32c::crc32c(&covered).to_be_bytes());
    batch.extend(covered);
    batch
}

fn varint(out: &mut Vec<u8>, value: i64) {
    let mut value = ((value << 1) ^ (value >> 63)) as u64;
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub fn check_folder(folder: &Path, quick: bool) -> Report {
    check_store(opened(folder), quick)
}

/// A folder, to be read.
pub fn opened(folder: &Path) -> Arc<dyn Store> {
    stores::open_to_read(folder.to_str().unwrap(), Clock::system(), &Random::from_entropy()).unwrap().store
}

pub fn check_store(store: Arc<dyn Store>, quick: bool) -> Report {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (clock, random) = (Clock::system(), Random::from_entropy());
        let options = Options { quick, bytes_per_second: 0, ..Options::default() };
        check(store, options, clock, &random, &Progress::default()).await.unwrap()
    })
}

pub fn damage(report: &Report) -> Vec<&Finding> {
    report.findings.iter().filter(|finding| finding.severity == Severity::Damage).collect()
}

/// The files below a prefix, as keys, in order.
pub fn keys(folder: &Path, prefix: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.join(prefix)];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// An object's file, its header and its index.
pub struct Object {
    pub path: PathBuf,
    pub bytes: Vec<u8>,
    pub header: ObjectHeader,
    pub index: Index,
}

impl Object {
    pub fn read(folder: &Path, key: &str) -> Self {
        let path = folder.join(key);
        let bytes = fs::read(&path).unwrap();
        let header = ObjectHeader::decode(&bytes).unwrap();
        let range = header.index.start as usize..header.index.end as usize;
        let index = Index::decode(&bytes[range].to_vec().into(), header.index.start).unwrap();
        Self { path, bytes, header, index }
    }

    /// With one byte changed for as long as `look` looks.
    pub fn flipped<R>(&self, at: u64, look: impl FnOnce() -> R) -> R {
        let mut changed = self.bytes.clone();
        changed[at as usize] ^= 0x10;
        self.changed(&changed, look)
    }

    /// With other bytes for as long as `look` looks.
    pub fn changed<R>(&self, bytes: &[u8], look: impl FnOnce() -> R) -> R {
        fs::write(&self.path, bytes).unwrap();
        let seen = look();
        fs::write(&self.path, &self.bytes).unwrap();
        seen
    }
}
