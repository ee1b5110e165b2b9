//! A node whose metadata journal is damaged while it runs: it says so, and stays up.

// Helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

use levee_base::{Clock, NodeId, Random};
use levee_broker::coordinators::CoordinatorConfig;
use levee_broker::led_topics::Intervals;
use levee_broker::node::{Node, NodeOptions, ReadConfig, Shutdown, WalConfig};
use levee_object::stores::memory::MemoryStore;
use levee_object::stores::{Kind, Opened};
use levee_object::{Key, Purpose, Store};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// Longer than the test takes.
const PATIENCE: Duration = Duration::from_secs(60);

async fn health(address: SocketAddr) -> String {
    let mut http = TcpStream::connect(address).await.unwrap();
    http.write_all(b"GET /health HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    http.read_to_string(&mut answer).await.unwrap();
    answer
}

/// The slot that the journal's writer is to create next.
async fn next_slot(store: &dyn Store) -> Key {
    let page = store.list("journal/", None, 1_000, Purpose::Inspect).await.unwrap();
    let last =
        page.objects.iter().map(|found| &found.key).filter(|key| !key.as_str().contains("snapshots")).max();
    let (epoch, slot) = last.unwrap().as_str().rsplit_once('/').unwrap();
    Key::new(format!("{epoch}/{:020}", slot.parse::<u64>().unwrap() + 1)).unwrap()
}

#[tokio::test]
async fn health_says_that_the_metadata_has_failed_and_the_node_stays() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let options = NodeOptions {
        store: "not opened".to_owned(),
        listen: "127.0.0.1:0".to_owned(),
        advertise: None,
        http: Some("127.0.0.1:0".to_owned()),
        internal: None,
        session_timeout: Duration::from_secs(1),
        node: NodeId(1),
        auto_create_topics: true,
        num_partitions: 1,
        coordinators: CoordinatorConfig::default(),
        intervals: Intervals::default(),
        wal: WalConfig::default(),
        reads: ReadConfig::default(),
        disk_cache: None,
    };
    let opened = Opened { store: store.clone(), kind: Kind::Cloud, metrics: Arc::default() };
    let (clock, stop) = (Clock::system(), watch::Sender::new(false));
    let node = Node::start_on(options, |_| Ok(opened), clock, Random::from_entropy(), stop).await.unwrap();
    let http = node.http_address().unwrap();
    assert!(health(http).await.contains("200 OK"));
    let damaged = next_slot(&*store).await;
    store.create(&damaged, vec![7; 8_192].into(), Purpose::Inspect).await.unwrap();
    let told = async {
        loop {
            let answer = health(http).await;
            if answer.contains("503") {
                return answer;
            }
            clock.sleep(Duration::from_millis(20)).await;
        }
    };
    let answer = clock.timeout(PATIENCE, told).await.expect("it is told");
    assert!(answer.contains(damaged.as_str()) && answer.contains("restart this broker"), "{answer}");
    // It takes connections, and goes in bounded time.
    TcpStream::connect(node.address).await.unwrap();
    assert_eq!(clock.timeout(PATIENCE, node.shutdown()).await, Some(Shutdown::AtOnce));
}
