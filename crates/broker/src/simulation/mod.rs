//! A whole broker but for its sockets, over a bucket that is worse than reality, through kills at any moment: the
//! metadata journal, the stream store, retention, topics that come and go, compaction, checkpoints, the collector and
//! the sweeper, and the coordinators of groups and transactions, all of them real.
//!
//! Each seed is a history of several lives. A life ends in a kill, in order, or goes on beside the next for a while, or
//! later, as a process does that was taken for gone. `judge` looks at every state of the metadata and every request to the
//! bucket, `session` is what clients do and what is told to them, `verify` what they read. In the end the faults heal,
//! and what is left in the bucket is checked by `levee fsck`.

mod broker;
mod bucket;
mod committed;
mod consumer;
mod judge;
mod ledger;
mod process;
mod produced;
mod records;
mod session;
mod settled;
mod topics;
mod transactions;
mod transactor;
mod verify;

use crate::internal_topics::{CONSUMER_OFFSETS, TRANSACTION_STATE};
use bucket::{Bucket, Line};
use consumer::Consumer;
use judge::{Judge, Seen};
use levee_base::{Clock, Random, StreamId};
use levee_coordinator::partition_of;
use levee_object::Store;
use levee_object::stores::faulty::{FaultPlan, Faulty};
use process::Process;
use session::{Client, Session};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;
use transactor::Transactor;

/// Histories in `cargo test`.
const SEEDS: u64 = 24;
/// Some time in 2023.
const BEGAN_MS: i64 = 1_700_000_000_000;

/// The coordinators' topics, with fewer partitions than in production,
const INTERNAL: [&str; 2] = [CONSUMER_OFFSETS, TRANSACTION_STATE];
const INTERNAL_PARTITIONS: u32 = 2;
/// and the topic that groups have offsets of.
const STEADY: &str = "steady";
const STEADY_PARTITIONS: u32 = 3;
/// Transactional producers, each with a group of its own, and groups of which the offsets are committed without a
/// transaction.
const TRANSACTORS: usize = 4;
const CONSUMERS: usize = 2;

/// What everybody in a history shares.
struct World {
    clock: Clock,
    random: Random,
    judge: Arc<Judge>,
    bucket: Arc<Bucket>,
    faulty: Arc<Faulty>,
    /// The newest process.
    current: AtomicU64,
    clients: Mutex<Vec<Client>>,
    transactors: Vec<Arc<tokio::sync::Mutex<Transactor>>>,
    consumers: Vec<Arc<tokio::sync::Mutex<Consumer>>>,
    groups: Vec<String>,
    /// What the producers' clocks say, by stream.
    clocks: Mutex<BTreeMap<StreamId, i64>>,
}

/// What happened in some histories.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Lived {
    acknowledged: usize,
    /// Transactions that were committed,
    committed: usize,
    /// and aborted.
    aborted: usize,
    /// Times that a group's offset was compared.
    offsets: usize,
    seen: Seen,
    /// Lives that ended while coming up,
    stillborn: usize,
    /// in a kill,
    killed: usize,
    /// with something that was not acknowledged yet,
    in_flight: usize,
    /// or in order, perhaps in a kill while it does so,
    ended: usize,
    /// and beside the next one.
    replaced: usize,
    /// Records that keyed compaction removed.
    outdated: usize,
    /// Objects in the bucket at their ends, as `levee fsck` counts them.
    objects: u64,
    /// Simulated time.
    seconds: u64,
}

/// A fault that heals within the time that a history takes.
fn rough() -> FaultPlan {
    let (lost_for, late_by) = (Duration::from_secs(8), Duration::from_secs(15));
    FaultPlan { lost_for, late_by, ..FaultPlan::rough() }
}

/// Names of groups. The coordinator of a transaction knows which partition a group's offsets lie in by how many
/// there are in production: it is the same one here.
fn groups() -> Vec<String> {
    let is_here = |name: &String| partition_of(name, 50) < INTERNAL_PARTITIONS;
    (0..).map(|n| format!("group-{n}")).filter(is_here).take(TRANSACTORS + CONSUMERS).collect()
}

impl World {
    fn new(seed: u64) -> Arc<Self> {
        let (clock, random) = (Clock::simulated(BEGAN_MS), Random::seeded(seed));
        let judge = Judge::new(clock);
        let bucket = Arc::new(Bucket::new(judge.clone()));
        let plan = if random.chance(0.8) { rough() } else { FaultPlan::none() };
        let faulty = Arc::new(Faulty::new(bucket.clone(), plan, clock, random.fork()));
        let groups = groups();
        let transactor = |(index, group): (usize, &String)| {
            let timeout_ms = 1_000 + random.below(20_000) as i32;
            let transactor = Transactor::new(format!("x{index}"), group.clone(), index % 2 == 0, timeout_ms);
            Arc::new(tokio::sync::Mutex::new(transactor))
        };
        let consumer = |group: &String| Arc::new(tokio::sync::Mutex::new(Consumer::new(group.clone())));
        let transactors = groups[..TRANSACTORS].iter().enumerate().map(transactor).collect();
        let consumers = groups[TRANSACTORS..].iter().map(consumer).collect();
        Arc::new(Self {
            clock,
            random,
            judge,
            bucket,
            faulty,
            current: AtomicU64::new(0),
            clients: Mutex::default(),
            transactors,
            consumers,
            groups,
            clocks: Mutex::default(),
        })
    }

    fn is_current(&self, process: u64) -> bool {
        self.current.load(Ordering::Relaxed) == process
    }

    /// When the next record of a stream is from: producers begin ten minutes ago, and catch up.
    fn timestamp(&self, stream: StreamId, random: &Random) -> i64 {
        let now = self.clock.wall_ms();
        let mut clocks = self.clocks.lock().unwrap();
        let clock = clocks.entry(stream).or_insert(now - 600_000);
        *clock = now.min(*clock + random.below(40_000) as i64);
        *clock
    }

    /// Starts a process, and another when it did not come up.
    async fn start(self: &Arc<Self>, lived: &mut Lived) -> Session {
        loop {
            let number = self.current.fetch_add(1, Ordering::Relaxed) + 1;
            let store: Arc<dyn Store> = self.faulty.clone();
            let line = Line::new(store, self.random.fork());
            let starting = Process::start(number, line.clone(), &self.judge, self.clock, self.random.fork());
            let started = if self.random.chance(0.2) {
                let patience = Duration::from_millis(self.random.below(1_000));
                self.clock.timeout(patience, starting).await.flatten()
            } else {
                starting.await
            };
            match started {
                Some(process) => return Session::new(self.clone(), process),
                None => {
                    lived.stillborn += 1;
                    line.cut();
                    self.judge.leave(number);
                }
            }
        }
    }

    /// Lives and dies, and settles.
    async fn live(self: Arc<Self>, lived: &mut Lived) {
        let began = self.clock.now();
        let mut replaced: Vec<JoinHandle<()>> = Vec::new();
        for life in 0..2 + self.random.below(3) {
            let mut session = self.start(lived).await;
            self.judge.ask();
            if life == 0 {
                session.create_lasting();
                (0..3).for_each(|_| session.create_topic());
            }
            let mut until = self.clock.now() + Duration::from_millis(self.random.below(12_000));
            session.run(until).await;
            match self.random.below(10) {
                0 => {
                    lived.ended += 1;
                    let (number, line) = (session.process.number, session.process.line.clone());
                    let patience = Duration::from_millis(self.random.below(5_000));
                    let stopped = self.clock.timeout(patience, session.process.stop(&self.judge)).await;
                    if stopped.is_none() {
                        line.cut();
                        self.judge.leave(number);
                    }
                }
                1..4 => {
                    lived.replaced += 1;
                    let held = Duration::from_millis(self.random.below(20_000));
                    let held = if self.random.chance(0.5) { held } else { Duration::ZERO };
                    until += held + Duration::from_millis(self.random.below(6_000));
                    let (judge, clock) = (self.judge.clone(), self.clock);
                    replaced.push(tokio::spawn(async move {
                        session.process.line.hold();
                        clock.sleep(held).await;
                        session.process.line.release();
                        session.run(until).await;
                        session.process.kill(&judge);
                    }));
                }
                _ => {
                    lived.killed += 1;
                    lived.in_flight += usize::from(session.waits());
                    session.process.kill(&self.judge);
                }
            }
        }
        for replaced in replaced {
            replaced.await.unwrap();
        }
        self.settle(lived).await;
        self.judge.ask();
        {
            let ledger = self.judge.ledger.lock().unwrap();
            lived.acknowledged += ledger.acknowledgements();
            let (committed, aborted) = ledger.transactions.ended();
            (lived.committed, lived.aborted) = (lived.committed + committed, lived.aborted + aborted);
            lived.offsets += ledger.transactions.fetched;
        }
        lived.seen += self.judge.seen();
        lived.seconds += (self.clock.now() - began).as_secs();
    }
}

/// The history of a seed, in a runtime of its own: timers fire at its whole milliseconds. Returns its story.
fn history(seed: u64, lived: &mut Lived) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async {
        let world = World::new(seed);
        world.clone().live(lived).await;
        world.judge.story()
    })
}

/// Histories that are simulated: `just sim` asks for many, and for which ones.
fn seeds() -> std::ops::Range<u64> {
    let number = |name, default| std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default);
    let first = number("LEVEE_SIM_FIRST_SEED", 0);
    first..first + number("LEVEE_SIM_SEEDS", SEEDS)
}

#[test]
fn a_faulty_cluster_keeps_what_it_must_and_nothing_else() {
    let mut all = Lived::default();
    for seed in seeds() {
        println!("LEVEE_SIM_FIRST_SEED={seed} LEVEE_SIM_SEEDS=1 reproduces what fails below");
        history(seed, &mut all);
    }
    println!("{all:?}");
    let Seen { starts, compactions, checkpoints, topics, deletes, orphans, .. } = all.seen;
    let enough = all.acknowledged > 1_500
        && all.committed > 40
        && all.aborted > 40
        && all.offsets > 500
        && all.in_flight > 10
        && all.replaced > 8
        && all.outdated > 150
        && starts > 100
        && compactions > 100
        && checkpoints > 25
        && topics > 15
        && deletes > 1_000
        && orphans > 40;
    assert!(enough || seeds().count() < SEEDS as usize, "{all:?}");
}

#[test]
fn the_same_seed_is_the_same_history() {
    let told = |seed| {
        let mut lived = Lived::default();
        let story = history(seed, &mut lived);
        (lived, story)
    };
    for seed in seeds().step_by(8) {
        assert_eq!(told(seed), told(seed));
    }
}
