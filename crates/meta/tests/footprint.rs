//! What metadata costs: bytes a registered WAL object takes in the journal, in a snapshot and in memory, and
//! the size of a state of 10,000 partitions. Printed, and bounded so that nobody makes it ten times worse
//! unseen.
//!
//! `cargo test --release -p levee-meta --test footprint -- --nocapture`

use levee_base::{BrokerEpoch, ClusterId, LogPosition, NodeId, Offset, Slot, StreamId, WriterId};
use levee_meta::codec::{SnapshotHead, decode_snapshot, encode_envelope, encode_snapshot};
use levee_meta::{
    Answer, Command, Envelope, NewExtent, ProcessId, Register, Registration, Sender, State, TopicId,
};
use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use uuid::Uuid;

/// Counts the bytes that are allocated and not freed.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged; counting touches nothing it returns.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps to the contract of `alloc`, which is `System`'s too.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the pointer came from `System` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Cluster {
    state: State,
    number: u64,
    epoch: BrokerEpoch,
}

impl Cluster {
    fn new() -> Self {
        let mut cluster = Self { state: State::default(), number: 0, epoch: BrokerEpoch(0) };
        let process = ProcessId(Uuid::from_u128(1));
        cluster.ask(Sender::Process(process), Command::UseVersion { version: 1 });
        let (node, address, internal) = (NodeId(1), "127.0.0.1:9092".to_owned(), String::new());
        let register = Command::Register(Register { node, address, internal, process });
        match cluster.ask(Sender::Process(process), register).0 {
            Answer::Registered { epoch } => cluster.epoch = epoch,
            other => panic!("{other:?}"),
        }
        cluster
    }

    /// The answer, and how many bytes the command takes in a journal entry.
    fn ask(&mut self, sender: Sender, command: Command) -> (Answer, usize) {
        let envelope = Envelope { sender, number: self.number, command };
        self.number += 1;
        let bytes = encode_envelope(&envelope).len();
        (self.state.apply(&envelope), bytes)
    }

    fn topic(&mut self, name: &str, id: u128, partitions: u32) {
        let topic = TopicId(Uuid::from_u128(id));
        let (name, leader) = (name.to_owned(), self.epoch);
        let create = Command::CreateTopic { name, topic, partitions, configs: BTreeMap::new(), leader };
        let answer = self.ask(Sender::Broker(self.epoch), create).0;
        assert!(matches!(answer, Answer::TopicCreated { .. }), "{answer:?}");
    }

    /// Registers `objects` objects of 12 partitions, 64 at a time. Returns the bytes in the journal.
    fn register(&mut self, objects: u64) -> usize {
        let epoch = self.epoch;
        let mut journal = 0;
        for first in (0..objects).step_by(64) {
            let to = (first + 64).min(objects);
            let object = |slot: u64| {
                let extents = (0..12).map(|stream| NewExtent {
                    stream: StreamId(stream),
                    leader_epoch: 0,
                    range: Offset(slot * 30)..Offset((slot + 1) * 30),
                    bytes: 30_000 + slot % 1_000,
                });
                let extents = extents.collect();
                Registration { slot: Slot(slot), total_bytes: 372_736, index: 368_640..371_900, extents }
            };
            let objects = (first..to).map(object).collect();
            let (answer, bytes) = self.ask(
                Sender::Broker(epoch),
                Command::TrimWal { epoch, to: Slot(to), objects, uploads: vec![] },
            );
            assert_eq!(answer, Answer::Trimmed { left_out: 0 });
            journal += bytes;
        }
        journal
    }

    fn snapshot(&self) -> bytes::Bytes {
        let head = SnapshotHead {
            cluster: ClusterId(Uuid::nil()),
            at: LogPosition::default(),
            writer: WriterId(Uuid::nil()),
        };
        encode_snapshot(&head, &BTreeMap::new(), &self.state)
    }
}

#[test]
fn metadata_stays_small() {
    let clock = levee_base::Clock::system();
    let objects = 20_000;
    let before = HELD.load(Ordering::Relaxed);
    let mut cluster = Cluster::new();
    cluster.topic("flights", 1, 12);
    let journal = cluster.register(objects);
    let memory = HELD.load(Ordering::Relaxed) - before;
    let started = clock.now();
    let snapshot = cluster.snapshot();
    let encoded = started.elapsed();
    let started = clock.now();
    assert!(decode_snapshot(&snapshot).is_ok_and(|read| read.state == cluster.state));
    let decoded = started.elapsed();
    let each = |bytes: usize| bytes as f64 / objects as f64;
    println!("a WAL object of 12 partitions, from {objects}:");
    println!("  journal  {:6.1} bytes", each(journal));
    println!(
        "  snapshot {:6.1} bytes (encoded in {encoded:?}, decoded and checked in {decoded:?})",
        each(snapshot.len())
    );
    println!("  memory   {:6.1} bytes", each(memory));
    assert!(each(journal) < 250.0 && each(snapshot.len()) < 150.0 && each(memory) < 800.0);

    drop((cluster, snapshot));
    let before = HELD.load(Ordering::Relaxed);
    let mut cluster = Cluster::new();
    for topic in 0..100 {
        cluster.topic(&format!("topic-{topic}"), topic + 1, 100);
    }
    let memory = HELD.load(Ordering::Relaxed) - before;
    let snapshot = cluster.snapshot().len();
    println!("10,000 partitions of 100 topics, no extents: snapshot {snapshot} bytes, memory {memory} bytes");
    assert!(snapshot < 1_000_000 && memory < 4_000_000);
}

/// What a snapshot of a large state costs the controller, and what costs only the thread that encodes it.
#[test]
#[ignore = "takes a gigabyte; run it with --release to see what a snapshot of a million objects costs"]
fn a_million_objects() {
    let clock = levee_base::Clock::system();
    let mut cluster = Cluster::new();
    cluster.topic("flights", 1, 12);
    cluster.register(1_000_000);
    let before = HELD.load(Ordering::Relaxed);
    let started = clock.now();
    let copy = cluster.state.clone();
    println!("cloned in {:?}, {} bytes", started.elapsed(), HELD.load(Ordering::Relaxed) - before);
    let started = clock.now();
    let snapshot = cluster.snapshot();
    println!("encoded in {:?}, {} bytes", started.elapsed(), snapshot.len());
    let started = clock.now();
    drop(copy);
    println!("dropped in {:?}", started.elapsed());
}
