//! Controllers on a store that is worse than real ones: killed, paused, fighting. Seeded, in paused time.
//!
//! What must come out, whatever happens: every command that was answered is in the state that a newcomer reads,
//! with that answer, and was applied once.

use crate::codec;
use crate::command::{Command, Envelope, Register, Sender};
use crate::ids::TopicId;
use crate::snapshots::Snapshots;
use crate::state::invariants::check_succession;
use crate::{
    Answer, CommitError, ControllerOptions, MetaError, Metadata, MetadataContext, Refusal, Role, State,
};
use async_trait::async_trait;
use bytes::Bytes;
use levee_base::limits::{JOURNAL_SHUTDOWN_WAIT, LOG_HEADER_BYTES};
use levee_base::{BrokerEpoch, Clock, Epoch, LogPosition, NodeId, Random, Slot, StreamId};
use levee_object::log::{Kind, LogHeader};
use levee_object::stores::faulty::{FaultPlan, Faulty};
use levee_object::stores::memory::MemoryStore;
use levee_object::{Error, ErrorKind, Key, Page, Purpose, Result, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// One process's way to the store: slow, lossy, and cut when the process is killed or paused.
#[derive(Debug)]
struct Link {
    store: Arc<MemoryStore>,
    random: Random,
    /// How likely each request is to go wrong.
    trouble: f64,
    open: watch::Receiver<bool>,
}

impl Link {
    /// Waits as a request does, and for ever when the process is gone. Whether the answer is an error.
    async fn trouble(&self, operation: &'static str, key: &str) -> Result<()> {
        Clock::system().sleep(Duration::from_micros(self.random.below(20_000))).await;
        let mut open = self.open.clone();
        if open.wait_for(|&open| open).await.is_err() {
            // Nobody can open it any more.
            std::future::pending::<()>().await;
        }
        if self.random.chance(self.trouble) {
            // A proxy in between, or a store that is being upgraded, says anything; it is to be waited for.
            let kinds =
                [ErrorKind::Unavailable, ErrorKind::Timeout, ErrorKind::Throttled, ErrorKind::Unsupported];
            let kind = kinds[self.random.below(kinds.len() as u64) as usize];
            return Err(Error::new(kind, operation, key, "injected"));
        }
        Ok(())
    }
}

#[async_trait]
impl Store for Link {
    fn location(&self) -> String {
        "test".to_owned()
    }

    async fn create(&self, key: &Key, bytes: Bytes, purpose: Purpose) -> Result<()> {
        self.trouble("create", key.as_str()).await?;
        if self.random.chance(self.trouble) {
            // It lands late, if at all when the process is long gone.
            let (store, key, late) = (self.store.clone(), key.clone(), self.random.below(5_000));
            tokio::spawn(async move {
                Clock::system().sleep(Duration::from_millis(late)).await;
                let _ = store.create(&key, bytes, purpose).await;
            });
            return Err(Error::new(ErrorKind::Timeout, "create", "late", "injected"));
        }
        let result = self.store.create(key, bytes, purpose).await;
        self.trouble("create", key.as_str()).await?;
        result
    }

    async fn create_parts(&self, _: &Key, _: Vec<Bytes>, _: Purpose) -> Result<()> {
        unreachable!("metadata creates whole objects")
    }

    async fn get(&self, key: &Key, range: Option<Range<u64>>, purpose: Purpose) -> Result<Bytes> {
        self.trouble("get", key.as_str()).await?;
        let result = self.store.get(key, range, purpose).await;
        self.trouble("get", key.as_str()).await?;
        result
    }

    async fn list(&self, prefix: &str, after: Option<&Key>, limit: usize, purpose: Purpose) -> Result<Page> {
        self.trouble("list", prefix).await?;
        let result = self.store.list(prefix, after, limit, purpose).await;
        self.trouble("list", prefix).await?;
        result
    }

    async fn delete(&self, key: &Key, purpose: Purpose) -> Result<()> {
        self.trouble("delete", key.as_str()).await?;
        self.store.delete(key, purpose).await
    }
}

/// What was answered, by what was asked: topics by name with their first stream, and producer ids.
#[derive(Debug, Default)]
struct Ledger {
    topics: BTreeMap<String, StreamId>,
    producer_ids: Vec<u64>,
}

type Book = Arc<Mutex<Ledger>>;

fn options(snapshot_every_entries: u64) -> ControllerOptions {
    ControllerOptions { snapshot_every_entries, ..ControllerOptions::default() }
}

fn register(node: u32, metadata: &Metadata) -> Command {
    Command::Register(Register {
        node: NodeId(node),
        address: format!("h{node}:9092"),
        internal: String::new(),
        process: metadata.process(),
    })
}

/// A process: puts its predecessor out, registers, and commits until it is gone.
async fn broker(ctx: MetadataContext, node: u32, run: u64, snapshot_every: u64, book: Book) {
    let random = ctx.random.fork();
    let metadata = Metadata::start(ctx, options(snapshot_every)).await.unwrap();
    let epoch = loop {
        match metadata.commit(register(node, &metadata)).await.unwrap() {
            Answer::Registered { epoch } => break epoch,
            Answer::Refused(Refusal::NodeLive { epoch, .. }) => {
                assert_eq!(metadata.commit(Command::Out { epoch }).await.unwrap(), Answer::Done);
            }
            other => panic!("{other:?}"),
        }
    };
    let clients = (0..3).map(|client| {
        let (metadata, book, random) = (metadata.clone(), book.clone(), random.fork());
        tokio::spawn(async move {
            for i in 0.. {
                commit_one(&metadata, epoch, &format!("n{node}-r{run}-c{client}-{i}"), &random, &book).await;
                Clock::system().sleep(Duration::from_millis(random.below(300))).await;
            }
        })
    });
    let clients: Vec<_> = clients.collect();
    for client in clients {
        client.await.unwrap();
    }
}

async fn commit_one(metadata: &Metadata, epoch: BrokerEpoch, name: &str, random: &Random, book: &Book) {
    let topic = TopicId(random.uuid());
    let command = if random.chance(0.5) {
        let (name, configs) = (name.to_owned(), BTreeMap::new());
        Command::CreateTopic { name, topic, partitions: 2, configs, leader: epoch }
    } else {
        Command::AllocateProducerIds { count: 1 }
    };
    match metadata.commit(command).await {
        Ok(Answer::TopicCreated { first }) => {
            // What is answered is shown.
            let shown = metadata.view(|state| state.topic_by_name(name).map(|(id, t)| (id, t.streams[0])));
            assert_eq!(shown, Some((topic, first)));
            book.lock().unwrap().topics.insert(name.to_owned(), first);
        }
        Ok(Answer::ProducerIds { first }) => book.lock().unwrap().producer_ids.push(first),
        // Another process of this node id has put us out.
        Ok(Answer::Refused(Refusal::EpochOut { .. })) => std::future::pending().await,
        other => panic!("{other:?}"),
    }
}

struct World {
    store: Arc<MemoryStore>,
    random: Random,
    book: Book,
}

impl World {
    fn new(seed: u64) -> Self {
        Self { store: Arc::default(), random: Random::seeded(seed), book: Book::default() }
    }

    /// A way to the store, and what opens and closes it.
    fn link(&self, trouble: f64) -> (MetadataContext, watch::Sender<bool>) {
        let (gate, open) = watch::channel(true);
        let store = Arc::new(Link { store: self.store.clone(), random: self.random.fork(), trouble, open });
        (MetadataContext { store, clock: Clock::system(), random: self.random.fork() }, gate)
    }

    async fn sleep(&self, least_ms: u64, more_ms: u64) {
        Clock::system().sleep(Duration::from_millis(least_ms + self.random.below(more_ms))).await;
    }

    /// What a newcomer finds, against what was answered. Returns how much that was.
    async fn settle(&self) -> usize {
        let (ctx, _gate) = self.link(0.0);
        let metadata = Metadata::start(ctx, ControllerOptions::default()).await.unwrap();
        let book = self.book.lock().unwrap();
        metadata.view(|state| {
            assert_eq!(state.check_invariants(), Ok(()));
            for (name, &first) in &book.topics {
                let found = state.topic_by_name(name).map(|(_, topic)| topic.streams[0]);
                assert_eq!(found, Some(first), "topic {name} was answered");
            }
            let ids: BTreeSet<u64> = book.producer_ids.iter().copied().collect();
            assert_eq!(ids.len(), book.producer_ids.len(), "a producer id was given twice");
            assert!(ids.last().is_none_or(|&last| last < state.next_producer_id()));
        });
        book.topics.len() + book.producer_ids.len()
    }
}

/// Runs `body` for many seeds, each in a runtime of its own whose time is paused.
fn seeds<F: Future>(count: u64, body: impl Fn(u64) -> F) {
    for seed in 0..count {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let run = || runtime.block_on(body(seed));
        if let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
            eprintln!("failed with seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn what_was_answered_survives_kills_at_random_moments() {
    let total = Arc::new(Mutex::new(0));
    seeds(150, |seed| {
        let total = total.clone();
        async move {
            let (world, mut gates) = (World::new(seed), Vec::new());
            // Snapshots often, seldom, and hardly ever.
            let every = [3, 20, 1_000][seed as usize % 3];
            for run in 0..4 {
                let (ctx, gate) = world.link(0.05);
                tokio::spawn(broker(ctx, 1, run, every, world.book.clone()));
                world.sleep(50, 3_000).await;
                // It hangs for ever from here on: what was in flight has reached the store, or not, or will.
                gate.send_replace(false);
                gates.push(gate);
            }
            *total.lock().unwrap() += world.settle().await;
        }
    });
    assert!(*total.lock().unwrap() > 150 * 10, "they must get something done: {total:?}");
}

#[test]
fn controllers_that_fight_and_pause_commit_one_history() {
    let total = Arc::new(Mutex::new(0));
    seeds(40, |seed| {
        let total = total.clone();
        async move {
            let world = World::new(1_000 + seed);
            let every = [2, 10, 1_000][seed as usize % 3];
            let gates: Vec<_> = (1..=2)
                .map(|node| {
                    let (ctx, gate) = world.link(0.03);
                    tokio::spawn(broker(ctx, node, 0, every, world.book.clone()));
                    gate
                })
                .collect();
            for _ in 0..6 {
                let gate = &gates[world.random.below(2) as usize];
                world.sleep(100, 4_000).await;
                gate.send_replace(false);
                world.sleep(100, 8_000).await;
                gate.send_replace(true);
            }
            world.sleep(10_000, 1).await;
            for gate in &gates {
                gate.send_replace(false);
            }
            *total.lock().unwrap() += world.settle().await;
        }
    });
    assert!(*total.lock().unwrap() > 40 * 20, "they must get something done: {total:?}");
}

/// The whole journal, replayed from its first entry.
async fn replay(store: &MemoryStore) -> (State, usize) {
    let (mut state, mut at, mut fences) = (State::default(), LogPosition::default(), 0);
    loop {
        let key = crate::journal_prefix().join_number(at.epoch.0).join_number(at.slot.0);
        let Ok(bytes) = store.get(&key, None, Purpose::Inspect).await else { return (state, fences) };
        if LogHeader::decode(&bytes).unwrap().kind == Kind::Fence {
            fences += 1;
            at = LogPosition::start_of(at.epoch.next());
            continue;
        }
        for envelope in crate::codec::decode_entry(&bytes[256..]).unwrap() {
            let before = state.clone();
            state.apply(&envelope);
            assert_eq!(state.check_invariants(), Ok(()));
            assert_eq!(check_succession(&before, &state), Ok(()));
        }
        at = at.next();
    }
}

#[tokio::test(start_paused = true)]
async fn a_command_sent_again_to_the_next_controller_gets_the_first_answer() {
    let world = World::new(9);
    let (ctx, _gate) = world.link(0.0);
    let one = Metadata::start(ctx, options(1_000)).await.unwrap();
    let Ok(Answer::Registered { epoch }) = one.commit(register(1, &one)).await else {
        panic!("the first to come is not refused")
    };
    let command = Command::AllocateProducerIds { count: 7 };
    let envelope = Envelope { sender: Sender::Broker(epoch), number: 0, command };
    let first = one.controller().commit(envelope.clone()).await.unwrap();
    assert_eq!(first, Answer::ProducerIds { first: 0 });

    let (ctx, _gate) = world.link(0.0);
    let two = Metadata::start(ctx, options(1_000)).await.unwrap();
    let before = journal_slots(&world.store).await;
    for controller in [two.controller(), one.controller(), two.controller()] {
        assert_eq!(controller.commit(envelope.clone()).await.unwrap(), first);
    }
    let (state, _) = replay(&world.store).await;
    assert_eq!(state.next_producer_id(), 7, "applied once");
    let after = journal_slots(&world.store).await;
    let fences =
        |keys: &[Key]| keys.iter().map(|key| key.as_str()[..28].to_owned()).collect::<BTreeSet<_>>().len();
    let taken_over = fences(&after) - fences(&before);
    assert!(after.len() - before.len() <= taken_over + 1, "a repeat takes no room in the journal");
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_stands_by_leaves_the_journal_alone_until_it_has_something_to_commit() {
    let world = World::new(11);
    let ((ctx, _gate), (other, _other_gate)) = (world.link(0.0), world.link(0.0));
    let one = Metadata::start(ctx, options(1_000)).await.unwrap();
    let two = Metadata::start(other, options(1_000)).await.unwrap();
    world.sleep(600_000, 1).await;
    let (_, fences) = replay(&world.store).await;
    assert_eq!(fences, 2, "the cluster's first, and the one by which the second took over");
    assert!(matches!(&*one.role().borrow(), Role::StandingBy));
    assert!(matches!(&*two.role().borrow(), Role::Leading { .. }));

    // It reads on meanwhile,
    let answer = two.commit(register(2, &two)).await.unwrap();
    assert!(matches!(answer, Answer::Registered { .. }));
    world.sleep(2_000, 1).await;
    assert_eq!(one.view(State::position), two.view(State::position));
    // and takes over for a command of its own, once. So does the other then.
    assert!(one.commit(register(1, &one)).await.is_ok());
    assert_eq!(replay(&world.store).await.1, 3);
    world.sleep(600_000, 1).await;
    assert_eq!(replay(&world.store).await.1, 3);
    assert!(two.commit(Command::AllocateProducerIds { count: 1 }).await.is_ok());
    assert_eq!(replay(&world.store).await.1, 4);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_whose_name_is_taken_is_ours_only_if_its_bytes_are() {
    let world = World::new(12);
    let (ctx, _gate) = world.link(0.0);
    let (store, clock, random) = (ctx.store, ctx.clock, ctx.random);
    let snapshots = Snapshots { store, clock, random, purpose: Purpose::Snapshot };
    let at = LogPosition::default();
    snapshots.create(at, Bytes::from_static(b"ours")).await.unwrap();
    snapshots.create(at, Bytes::from_static(b"ours")).await.expect("an earlier try has come through");
    let taken = snapshots.create(at, Bytes::from_static(b"another's")).await.unwrap_err();
    assert_eq!(taken.kind, ErrorKind::AlreadyExists);
}

/// The answer to the first create is lost, and what the store says to all others never arrives.
#[tokio::test(start_paused = true)]
async fn a_snapshot_whose_creation_was_never_answered_is_found_by_reading_it() {
    let world = World::new(13);
    let plan = FaultPlan { error_after: 0.7, refusal_lost: true, ..FaultPlan::none() };
    let (ctx, _gate) = world.link(0.0);
    let (clock, random) = (ctx.clock, ctx.random);
    let store = Arc::new(Faulty::new(ctx.store, plan, clock, random.fork()));
    let snapshots = Snapshots { store, clock, random, purpose: Purpose::Snapshot };
    for slot in 0..20 {
        let at = LogPosition { epoch: Epoch(1), slot: Slot(slot) };
        let created = snapshots.create(at, Bytes::from_static(b"ours"));
        clock.timeout(Duration::from_secs(60), created).await.expect("it ends").unwrap();
        let other = snapshots.create(at, Bytes::from_static(b"another's"));
        let taken = clock.timeout(Duration::from_secs(60), other).await.expect("it ends").unwrap_err();
        assert_eq!(taken.kind, ErrorKind::AlreadyExists);
    }
}

#[test]
fn a_command_in_doubt_is_repeated_with_its_number_and_gets_the_first_answer() {
    // Whoever is paused with an entry in flight is deposed, finds the entry in the journal or not, and answers.
    let doubts = Arc::new(Mutex::new(0));
    seeds(40, |seed| {
        let doubts = doubts.clone();
        async move {
            let world = World::new(2_000 + seed);
            let (ctx, gate) = world.link(0.0);
            let one = Metadata::start(ctx, options(1_000)).await.unwrap();
            assert!(matches!(one.commit(register(1, &one)).await, Ok(Answer::Registered { .. })));
            let asked = {
                let one = one.clone();
                tokio::spawn(async move { one.commit(Command::AllocateProducerIds { count: 7 }).await })
            };
            world.sleep(0, 40).await;
            gate.send_replace(false);
            let (ctx, _gate) = world.link(0.0);
            let two = Metadata::start(ctx, options(1_000)).await.unwrap();
            let found = two.view(State::next_producer_id) == 7;
            gate.send_replace(true);
            assert_eq!(asked.await.unwrap().unwrap(), Answer::ProducerIds { first: 0 });
            *doubts.lock().unwrap() += usize::from(found);
            let (state, fences) = replay(&world.store).await;
            assert_eq!(state.next_producer_id(), 7, "applied once");
            assert!(fences >= 2);
            one.view(|shown| assert_eq!(shown, &state));
        }
    });
    let doubts = *doubts.lock().unwrap();
    assert!((1..40).contains(&doubts), "both outcomes must be met: {doubts} of 40 were in the journal");
}

#[tokio::test(start_paused = true)]
async fn commands_that_wait_become_one_entry() {
    let world = World::new(1);
    let (ctx, _gate) = world.link(0.0);
    let metadata = Metadata::start(ctx, options(1_000)).await.unwrap();
    assert!(matches!(metadata.commit(register(1, &metadata)).await, Ok(Answer::Registered { .. })));
    let before = journal_slots(&world.store).await;
    let asked: Vec<_> = (0..5_000)
        .map(|_| {
            let metadata = metadata.clone();
            tokio::spawn(async move { metadata.commit(Command::AllocateProducerIds { count: 1 }).await })
        })
        .collect();
    let mut given = BTreeSet::new();
    for asked in asked {
        let Ok(Answer::ProducerIds { first }) = asked.await.unwrap() else { panic!("no ids") };
        given.insert(first);
    }
    assert_eq!(given, (0..5_000).collect());
    let entries = journal_slots(&world.store).await.len() - before.len();
    assert!(entries <= 10, "5,000 commands took {entries} entries");
}

async fn journal_slots(store: &MemoryStore) -> Vec<Key> {
    let page = store.list("journal/0", None, 1_000, Purpose::Inspect).await.unwrap();
    page.objects.into_iter().map(|object| object.key).collect()
}

#[tokio::test(start_paused = true)]
async fn collection_leaves_two_snapshots_what_follows_the_older_and_every_fence() {
    let world = World::new(3);
    for _ in 0..3 {
        let (ctx, _gate) = world.link(0.0);
        let metadata = Metadata::start(ctx, options(10)).await.unwrap();
        if let Answer::Refused(Refusal::NodeLive { epoch, .. }) =
            metadata.commit(register(1, &metadata)).await.unwrap()
        {
            metadata.commit(Command::Out { epoch }).await.unwrap();
            metadata.commit(register(1, &metadata)).await.unwrap();
        }
        for _ in 0..25 {
            metadata.commit(Command::AllocateProducerIds { count: 1 }).await.unwrap();
            world.sleep(200, 1).await;
        }
        metadata.shutdown().await;
    }
    let (ctx, _gate) = world.link(0.0);
    let snapshots = Snapshots {
        store: ctx.store.clone(),
        clock: ctx.clock,
        random: ctx.random.clone(),
        purpose: Purpose::Inspect,
    };
    let kept: Vec<LogPosition> = snapshots.list().await.unwrap().into_iter().map(|(at, _)| at).collect();
    assert_eq!(kept.len(), 2);
    let mut fences = 0;
    for key in journal_slots(&world.store).await {
        let at = crate::snapshots::position("journal/", &key).unwrap();
        let header =
            LogHeader::decode(&world.store.get(&key, None, Purpose::Inspect).await.unwrap()).unwrap();
        if header.kind == Kind::Fence {
            fences += 1;
        } else {
            assert!(at >= kept[0], "{at} is below the older snapshot {}", kept[0]);
        }
    }
    assert_eq!(fences, 3, "every fence is kept");
    let metadata = Metadata::start(ctx, options(10)).await.unwrap();
    assert_eq!(metadata.view(State::next_producer_id), 75);
}

/// A cluster with two snapshots.
async fn with_snapshots(world: &World) -> LogPosition {
    let (ctx, _gate) = world.link(0.0);
    let store = ctx.store.clone();
    let (clock, random) = (ctx.clock, ctx.random.clone());
    let metadata = Metadata::start(ctx, options(5)).await.unwrap();
    for _ in 0..12 {
        metadata.commit(Command::Out { epoch: BrokerEpoch(9) }).await.unwrap();
        world.sleep(300, 1).await;
    }
    metadata.shutdown().await;
    let snapshots = Snapshots { store, clock, random, purpose: Purpose::Inspect };
    snapshots.list().await.unwrap().last().unwrap().0
}

#[tokio::test(start_paused = true)]
async fn a_damaged_newest_snapshot_stops_the_start_and_moving_it_away_helps() {
    let world = World::new(4);
    let newest = Snapshots::key(with_snapshots(&world).await);
    let mut bytes = world.store.get(&newest, None, Purpose::Inspect).await.unwrap().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    world.store.delete(&newest, Purpose::Inspect).await.unwrap();
    world.store.create(&newest, bytes.into(), Purpose::Inspect).await.unwrap();
    let before = journal_slots(&world.store).await;

    let (ctx, _gate) = world.link(0.0);
    let error = Metadata::start(ctx, options(5)).await.unwrap_err();
    assert!(matches!(&error, MetaError::Snapshot { key, .. } if *key == newest), "{error}");
    assert!(error.to_string().contains(&format!("move {newest} away")), "{error}");
    assert_eq!(journal_slots(&world.store).await, before, "nothing was written");

    world.store.delete(&newest, Purpose::Inspect).await.unwrap();
    let (ctx, _gate) = world.link(0.0);
    let metadata = Metadata::start(ctx, options(5)).await.unwrap();
    assert_eq!(metadata.view(State::position), 13);
}

#[tokio::test(start_paused = true)]
async fn a_journal_of_a_newer_levee_stops_the_start() {
    let world = World::new(5);
    let (ctx, _gate) = world.link(0.0);
    let metadata = Metadata::start(ctx, options(1_000)).await.unwrap();
    metadata.commit(Command::Out { epoch: BrokerEpoch(9) }).await.unwrap();
    let newer = Command::UseVersion { version: crate::state::rules::NEWEST_VERSION + 1 };
    metadata.commit(newer).await.unwrap();
    metadata.shutdown().await;
    let (ctx, _gate) = world.link(0.0);
    let error = Metadata::start(ctx, options(1_000)).await.unwrap_err().to_string();
    assert!(error.contains("newer Levee"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_journal_of_an_older_levee_goes_by_the_newest_rules_once_it_is_taken_over() {
    let world = World::new(8);
    let (ctx, _gate) = world.link(0.0);
    let metadata = Metadata::start(ctx, options(1_000)).await.unwrap();
    let created = register(1, &metadata);
    metadata.commit(created).await.unwrap();
    metadata.shutdown().await;
    // As if the first entry had been written by one that knew the first rules only.
    let prefix = format!("{}/", crate::journal_prefix());
    let page = world.store.list(&prefix, None, 100, Purpose::Inspect).await.unwrap();
    let mut older = 0;
    for key in page.objects.into_iter().map(|object| object.key) {
        let object = world.store.get(&key, None, Purpose::Inspect).await.unwrap();
        let (header, payload) = object.split_at(LOG_HEADER_BYTES);
        let Ok(mut envelopes) = codec::decode_entry(payload) else { continue };
        for envelope in &mut envelopes {
            if let Command::UseVersion { version } = &mut envelope.command {
                (*version, older) = (1, older + 1);
            }
        }
        let encoded: Vec<_> = envelopes.iter().map(codec::encode_envelope).collect();
        let entry = codec::encode_entry(encoded.iter().map(Vec::as_slice));
        assert_eq!(entry.len(), payload.len(), "the header says how long it is");
        world.store.delete(&key, Purpose::Inspect).await.unwrap();
        world.store.create(&key, [header, &entry[..]].concat().into(), Purpose::Journal).await.unwrap();
    }
    assert_eq!(older, 1);
    let (ctx, _gate) = world.link(0.0);
    let metadata = Metadata::start(ctx, options(1_000)).await.unwrap();
    assert_eq!(metadata.view(State::version), 1);
    // Whatever is committed first comes after it.
    metadata.commit(Command::Out { epoch: BrokerEpoch(1) }).await.unwrap();
    assert_eq!(metadata.view(State::version), crate::state::rules::NEWEST_VERSION);
}

#[tokio::test(start_paused = true)]
async fn two_that_begin_at_once_begin_one_cluster() {
    let world = World::new(6);
    let ((a, _gate_a), (b, _gate_b)) = (world.link(0.0), world.link(0.0));
    let started = (Metadata::start(a, options(9)), Metadata::start(b, options(9)));
    let (a, b) = futures::future::join(started.0, started.1).await;
    let (a, b) = (a.unwrap(), b.unwrap());
    assert_eq!(a.cluster(), b.cluster());
    let answers = futures::future::join(a.commit(register(1, &a)), b.commit(register(2, &b))).await;
    for answer in [answers.0, answers.1] {
        assert!(matches!(answer, Ok(Answer::Registered { .. })), "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_answers_what_waits_and_refuses_the_rest() {
    let world = World::new(7);
    let (ctx, _gate) = world.link(0.0);
    let metadata = Metadata::start(ctx, options(9)).await.unwrap();
    metadata.commit(register(1, &metadata)).await.unwrap();
    let asked: Vec<_> = (0..10)
        .map(|_| {
            let metadata = metadata.clone();
            tokio::spawn(async move { metadata.commit(Command::AllocateProducerIds { count: 1 }).await })
        })
        .collect();
    tokio::task::yield_now().await;
    metadata.shutdown().await;
    for asked in asked {
        assert!(matches!(asked.await.unwrap(), Ok(Answer::ProducerIds { .. })));
    }
    assert!(metadata.commit(Command::AllocateProducerIds { count: 1 }).await.is_err());
    assert!(matches!(&*metadata.role().borrow(), Role::Stopped));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_gives_up_on_a_store_that_is_gone() {
    let world = World::new(10);
    let (ctx, gate) = world.link(0.0);
    let metadata = Metadata::start(ctx, options(9)).await.unwrap();
    metadata.commit(register(1, &metadata)).await.unwrap();
    gate.send_replace(false);
    let asked = {
        let metadata = metadata.clone();
        tokio::spawn(async move { metadata.commit(Command::AllocateProducerIds { count: 1 }).await })
    };
    world.sleep(1_000, 1).await;
    let clock = Clock::system();
    let began = clock.now();
    metadata.shutdown().await;
    let took = clock.now() - began;
    assert!((JOURNAL_SHUTDOWN_WAIT..JOURNAL_SHUTDOWN_WAIT * 2).contains(&took), "{took:?}");
    assert!(matches!(asked.await.unwrap(), Err(CommitError::Stopped)));
    assert!(matches!(&*metadata.role().borrow(), Role::Stopped));

    // A store that is there costs nothing.
    let (ctx, _gate) = world.link(0.0);
    let next = Metadata::start(ctx, options(9)).await.unwrap();
    let began = clock.now();
    next.shutdown().await;
    assert!(clock.now() - began < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn the_journal_and_its_snapshots_can_be_shown_without_a_broker() {
    use crate::inspect::{JournalContent, list_journal, list_snapshots, read_entry, read_snapshot};
    let world = World::new(8);
    let newest = with_snapshots(&world).await;
    let store: Arc<dyn Store> = world.store.clone();
    let listed = list_snapshots(&store).await.unwrap();
    assert_eq!(listed.last().map(|s| (s.epoch, s.slot)), Some((newest.epoch.0, newest.slot.0)));
    let shown = read_snapshot(&*store, newest).await.unwrap().unwrap();
    assert!(shown.state.position > 0 && shown.state.brokers.is_empty());

    let objects = list_journal(&*store, LogPosition::default()).await.unwrap();
    let genesis = read_entry(&*store, LogPosition::default()).await.unwrap();
    assert_eq!(genesis.content, JournalContent::Fence);
    assert_eq!(genesis.cluster, shown.cluster);
    let last = objects.last().unwrap();
    let at = LogPosition { epoch: levee_base::Epoch(last.epoch), slot: levee_base::Slot(last.slot) };
    let JournalContent::Entry { commands } = read_entry(&*store, at).await.unwrap().content else {
        panic!("{last:?} is an entry")
    };
    assert_eq!((commands[0].command, commands[0].details.as_str()), ("Out", "broker epoch 9"));
}
