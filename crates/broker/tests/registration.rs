//! Nodes with the same number on one store without a lock: who gets in, when, and who steps back.

// Helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

use async_trait::async_trait;
use bytes::Bytes;
use levee_base::{Clock, NodeId, Random};
use levee_broker::coordinators::CoordinatorConfig;
use levee_broker::led_topics::Intervals;
use levee_broker::node::{Node, NodeOptions, ReadConfig, Shutdown, StartError, WalConfig};
use levee_broker::registration::RegistrationError;
use levee_object::stores::memory::MemoryStore;
use levee_object::stores::{Kind, Opened};
use levee_object::{Key, Page, Purpose, Result as StoreResult, Store};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// Longer than any test takes.
const FOR_EVER: Duration = Duration::from_secs(300);

fn options(session_timeout: Duration) -> NodeOptions {
    NodeOptions {
        store: "not opened".to_owned(),
        listen: "127.0.0.1:0".to_owned(),
        advertise: None,
        http: Some("127.0.0.1:0".to_owned()),
        internal: None,
        session_timeout,
        node: NodeId(1),
        auto_create_topics: true,
        num_partitions: 1,
        coordinators: CoordinatorConfig::default(),
        intervals: Intervals::default(),
        wal: WalConfig { pace: Some(Duration::from_millis(1)), ..WalConfig::default() },
        reads: ReadConfig::default(),
        disk_cache: None,
    }
}

async fn start(store: &Arc<dyn Store>, options: NodeOptions) -> Result<Node, StartError> {
    let store = store.clone();
    let open = |_: &Random| Ok(Opened { store, kind: Kind::Cloud, metrics: Arc::default() });
    let random = Random::from_entropy();
    Node::start_on(options, open, Clock::system(), random, watch::Sender::new(false)).await
}

/// A node that can die without a word: with its runtime.
fn start_apart(store: &Arc<dyn Store>, options: NodeOptions) -> (Runtime, Node) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let node = runtime.block_on(start(store, options)).unwrap();
    (runtime, node)
}

fn memory() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new())
}

#[test]
fn a_holder_that_answers_keeps_its_place_and_one_whose_port_is_closed_loses_it_at_once() {
    let store = memory();
    let (first_runtime, first) = start_apart(&store, options(FOR_EVER));
    let here = Runtime::new().unwrap();
    here.block_on(async {
        let refused = start(&store, options(FOR_EVER)).await.unwrap_err();
        let StartError::Registration(RegistrationError::Held { node, address, internal, .. }) = &refused
        else {
            panic!("{refused}");
        };
        assert_eq!(*node, NodeId(1));
        assert_eq!(*address, first.address.to_string());
        assert_eq!(*internal, first.http_address().unwrap().to_string());
        let text = refused.to_string();
        assert!(text.contains(address) && text.contains("Stop that one"), "{text}");
    });
    first_runtime.shutdown_background();
    here.block_on(async {
        // The runtime closes its sockets when its threads have ended.
        let internal = first.http_address().unwrap();
        while tokio::net::TcpStream::connect(internal).await.is_ok() {
            Clock::system().sleep(Duration::from_millis(5)).await;
        }
        let second = Clock::system().timeout(FOR_EVER / 10, start(&store, options(FOR_EVER))).await;
        let second = second.expect("it does not wait for the session time-out").unwrap();
        assert_eq!(second.shutdown().await, Shutdown::InOrder);
        // Signed off: nobody is asked.
        let third = start(&store, options(FOR_EVER)).await.unwrap();
        assert_eq!(third.shutdown().await, Shutdown::InOrder);
    });
}

#[test]
fn a_silent_holder_loses_its_place_after_the_session_time_out() {
    let here = Runtime::new().unwrap();
    let silent = here.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let internal = Some(silent.local_addr().unwrap().to_string());
    let store = memory();
    // Dropped at the end only: while its runtime still winds down, that would be a request to sign off.
    let (runtime, _first) = start_apart(&store, NodeOptions { internal, ..options(FOR_EVER) });
    runtime.shutdown_background();
    here.block_on(async {
        let clock = Clock::system();
        let (began, session) = (clock.now(), Duration::from_millis(1_500));
        let second = start(&store, options(session)).await.unwrap();
        assert!(clock.now() - began >= session, "{:?}", clock.now() - began);
        assert_eq!(second.shutdown().await, Shutdown::InOrder);
    });
}

#[test]
fn an_address_that_leads_back_to_the_newcomer_is_a_predecessors() {
    let store = memory();
    let (runtime, first) = start_apart(&store, options(FOR_EVER));
    let port = first.http_address().unwrap();
    runtime.shutdown_background();
    Runtime::new().unwrap().block_on(async {
        let clock = Clock::system();
        // The port is free once the runtime's threads have ended.
        while tokio::net::TcpStream::connect(port).await.is_ok() {
            clock.sleep(Duration::from_millis(5)).await;
        }
        let options = NodeOptions { http: Some(port.to_string()), ..options(FOR_EVER) };
        let second = clock.timeout(FOR_EVER / 10, start(&store, options)).await;
        let second = second.expect("it does not wait for the session time-out").unwrap();
        assert_eq!(second.shutdown().await, Shutdown::InOrder);
    });
}

/// A store that can stop answering for good.
#[derive(Debug)]
struct Stalling {
    inner: MemoryStore,
    stalled: AtomicBool,
}

impl Stalling {
    async fn go(&self) {
        if self.stalled.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Store for Stalling {
    fn location(&self) -> String {
        self.inner.location()
    }
    async fn create(&self, key: &Key, bytes: Bytes, purpose: Purpose) -> StoreResult<()> {
        self.go().await;
        self.inner.create(key, bytes, purpose).await
    }
    async fn create_parts(&self, key: &Key, parts: Vec<Bytes>, purpose: Purpose) -> StoreResult<()> {
        self.go().await;
        self.inner.create_parts(key, parts, purpose).await
    }
    async fn get(&self, key: &Key, range: Option<Range<u64>>, purpose: Purpose) -> StoreResult<Bytes> {
        self.go().await;
        self.inner.get(key, range, purpose).await
    }
    async fn list(&self, prefix: &str, after: Option<&Key>, limit: usize, by: Purpose) -> StoreResult<Page> {
        self.go().await;
        self.inner.list(prefix, after, limit, by).await
    }
    async fn delete(&self, key: &Key, purpose: Purpose) -> StoreResult<()> {
        self.go().await;
        self.inner.delete(key, purpose).await
    }
}

/// The clock is stopped once the node is up: from then on time passes only when everything waits.
#[tokio::test]
async fn a_store_that_stalls_does_not_keep_a_node_from_stopping() {
    let stalling = Arc::new(Stalling { inner: MemoryStore::new(), stalled: AtomicBool::new(false) });
    let store: Arc<dyn Store> = stalling.clone();
    let node = start(&store, options(FOR_EVER)).await.unwrap();
    stalling.stalled.store(true, Ordering::Relaxed);
    tokio::time::pause();
    let ended = Clock::system().timeout(FOR_EVER, node.shutdown()).await;
    assert_eq!(ended, Some(Shutdown::AtOnce));
    // What it could not do, the next one does.
    tokio::time::resume();
    stalling.stalled.store(false, Ordering::Relaxed);
    let next = start(&store, options(FOR_EVER)).await.unwrap();
    assert_eq!(next.shutdown().await, Shutdown::InOrder);
}

#[tokio::test]
async fn a_node_that_waits_for_the_store_or_a_holder_can_be_stopped() {
    let store: Arc<dyn Store> =
        Arc::new(Stalling { inner: MemoryStore::new(), stalled: AtomicBool::new(true) });
    let stop = watch::Sender::new(false);
    let open = {
        let store = store.clone();
        |_: &Random| Ok(Opened { store, kind: Kind::Cloud, metrics: Arc::default() })
    };
    let starting = Node::start_on(options(FOR_EVER), open, Clock::system(), Random::seeded(1), stop.clone());
    let stopping = async {
        Clock::system().sleep(Duration::from_millis(20)).await;
        stop.send_replace(true);
    };
    let (started, ()) = futures::future::join(starting, stopping).await;
    assert!(matches!(started, Err(StartError::Stopped)), "{started:?}");
}
