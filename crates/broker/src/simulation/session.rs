//! What clients do with one broker process while it lasts, or seems to: produce, also in transactions, commit offsets,
//! delete records, create and delete topics, read. Several things are under way at once.

use super::broker::Broker;
use super::consumer::fetch_offsets;
use super::ledger::Identity;
use super::process::Process;
use super::verify::verify;
use super::{INTERNAL, World};
use crate::batch::BatchView;
use crate::batch::build::Build;
use crate::partition::AppendError;
use crate::partition::{Partition, PartitionLog};
use crate::sweeper::sweep_once;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt, future::BoxFuture};
use levee_base::clock::Instant;
use levee_base::{Offset, Random, Slot, StreamId};
use levee_meta::TopicId;
use std::sync::Arc;
use std::time::Duration;

/// Requests other than Produce that are under way at once.
const REQUESTS: usize = 8;
/// Ids of producers that have none of the cluster's begin here.
const PRODUCER_IDS: i64 = 1 << 40;

/// A batch that is not acknowledged yet.
struct Pending {
    stream: StreamId,
    base: Offset,
    /// Which one it is, where that is known.
    identity: Option<Identity>,
    slot: Slot,
    /// Of which client, and with which sequence number.
    client: Option<(usize, i32)>,
}

/// An idempotent producer of one partition, with one batch at a time.
#[derive(Debug)]
pub(super) struct Client {
    producer: i64,
    stream: StreamId,
    sequence: i32,
    /// The batch that is sent until it is acknowledged, and how many records it has.
    batch: Option<(Vec<u8>, u32)>,
}

/// One process and its clients.
pub(super) struct Session {
    pub(super) process: Process,
    pub(super) broker: Broker,
    pub(super) world: Arc<World>,
    pub(super) random: Random,
    pub(super) requests: FuturesUnordered<BoxFuture<'static, ()>>,
    pending: Vec<Pending>,
}

/// A batch that nobody else sends, with the number of its records.
pub(super) fn compose(world: &World, random: &Random, stream: StreamId) -> (Build, u32) {
    let count = 1 + random.below(4);
    let timestamp = world.timestamp(stream, random);
    let mut build = Build::new();
    for _ in 0..count {
        let key = format!("{}", random.below(20));
        let repeats = if random.chance(0.05) { 400 } else { 1 + random.below(30) };
        let value = format!("{:016x}", random.next_u64()).repeat(repeats as usize);
        build = build.record(timestamp, &key, &value);
    }
    (build, count as u32)
}

impl Session {
    pub(super) fn new(world: Arc<World>, process: Process) -> Self {
        let random = world.random.fork();
        let broker = Broker::new(world.clone(), &process, random.fork());
        Self { process, broker, world, random, requests: FuturesUnordered::new(), pending: Vec::new() }
    }

    /// Goes on until then.
    pub(super) async fn run(&mut self, until: Instant) {
        let clock = self.world.clock;
        while clock.now() < until {
            self.world.judge.ask();
            self.step();
            self.acknowledge();
            let busy = if self.random.chance(0.5) { 20 } else { 400 };
            let next = until.min(clock.now() + Duration::from_millis(self.random.below(busy)));
            let mut over = std::pin::pin!(clock.sleep_until(next));
            loop {
                tokio::select! {
                    biased;
                    Some(()) = self.requests.next() => {}
                    () = &mut over => break,
                }
            }
        }
    }

    /// Whether a batch waits to be acknowledged.
    pub(super) fn waits(&self) -> bool {
        !self.pending.is_empty()
    }

    fn step(&mut self) {
        let few = self.requests.len() < REQUESTS;
        match self.random.below(100) {
            0..48 => self.produce(),
            48..72 if few => self.transact(),
            72..76 if few => self.commit_offsets(),
            76..80 if few => self.fetch_offsets(),
            80..83 if few => self.delete_records(),
            83..86 if few => self.create_topic(),
            86 if few => self.delete_topic(),
            87..89 if few => self.sweep(),
            89..92 if few => self.read(),
            92..94 if few => self.alter_topic(),
            _ => {}
        }
    }

    /// A partition that clients may write to.
    pub(super) fn partition(&self) -> Option<(TopicId, Arc<PartitionLog>)> {
        let mut all = Vec::new();
        let topics = self.process.led.table.all();
        for topic in topics.iter().filter(|topic| !INTERNAL.contains(&&*topic.name)) {
            for partition in &topic.partitions {
                if let Partition::Here(log) = partition {
                    all.push((TopicId(topic.id), log.clone()));
                }
            }
        }
        let count = all.len() as u64;
        (count > 0).then(|| all.swap_remove(self.random.below(count) as usize))
    }

    fn produce(&mut self) {
        let Some((topic, log)) = self.partition() else { return };
        if self.random.chance(0.5) {
            for _ in 0..1 + self.random.below(3) {
                let mut bytes = compose(&self.world, &self.random, log.stream()).0.bytes();
                self.append(topic, &log, &mut bytes, None);
            }
            return;
        }
        let stream = log.stream();
        let mut clients = self.world.clients.lock().unwrap();
        let known = clients.iter().position(|client| client.stream == stream);
        let index = known.filter(|_| self.random.chance(0.95)).unwrap_or_else(|| {
            let producer = PRODUCER_IDS + clients.len() as i64;
            clients.push(Client { producer, stream, sequence: 0, batch: None });
            clients.len() - 1
        });
        let client = &mut clients[index];
        let claim = (client.producer, client.sequence);
        let (bytes, _) = client.batch.get_or_insert_with(|| {
            let (build, count) = compose(&self.world, &self.random, stream);
            (build.producer(claim.0, 0, claim.1).bytes(), count)
        });
        let mut bytes = bytes.clone();
        drop(clients);
        self.append(topic, &log, &mut bytes, Some((index, claim.1)));
    }

    fn append(&mut self, topic: TopicId, log: &PartitionLog, bytes: &mut [u8], client: Option<(usize, i32)>) {
        let appended = {
            let mut checked = log.check(bytes, 9).expect("batches are sound");
            log.append(&mut checked)
        };
        let appended = match appended {
            Ok(appended) => appended,
            Err(AppendError::Full | AppendError::NotLeader) => return,
            // One that was taken for gone may have missed what its clients sent elsewhere.
            Err(AppendError::Producer(_)) if !self.world.is_current(self.process.number) => return,
            Err(error) => panic!("stream {}: {error}", log.stream()),
        };
        let (stream, base) = (log.stream(), appended.base);
        let is_new = BatchView::first(bytes).is_some_and(|batch| batch.leader_epoch() >= 0);
        let identity = {
            let mut ledger = self.world.judge.ledger.lock().unwrap();
            if is_new {
                Some(ledger.appended(stream, topic, base, bytes, None))
            } else {
                let pending = appended.slot.map(|_| log.leader_epoch());
                let repeated = ledger.repeated(stream, base, bytes, pending);
                repeated.unwrap_or_else(|wrong| panic!("{wrong}"))
            }
        };
        let pending = Pending { stream, base, identity, slot: appended.slot.unwrap_or(Slot::ZERO), client };
        if appended.slot.is_none() {
            self.is_acknowledged(&pending);
        } else {
            self.pending.push(pending);
        }
    }

    fn acknowledge(&mut self) {
        let durable = self.process.led.store.status().borrow().durable;
        let pending = std::mem::take(&mut self.pending);
        for pending in pending {
            if pending.slot < durable {
                self.is_acknowledged(&pending);
            } else {
                self.pending.push(pending);
            }
        }
    }

    fn is_acknowledged(&self, pending: &Pending) {
        let Pending { stream, base, identity, client, .. } = *pending;
        if let Some(identity) = identity {
            let entered = self.world.judge.ledger.lock().unwrap().acknowledge(stream, base, identity);
            entered.unwrap_or_else(|wrong| panic!("{wrong}"));
        }
        if let Some((index, sequence)) = client {
            let client = &mut self.world.clients.lock().unwrap()[index];
            if client.sequence == sequence
                && let Some((_, count)) = client.batch.take()
            {
                client.sequence += count as i32;
            }
        }
    }

    /// Some transactional producer goes on.
    fn transact(&mut self) {
        if !self.create_lasting() {
            return;
        }
        let all = &self.world.transactors;
        let index = self.random.below(all.len() as u64) as usize;
        let Ok(mut one) = all[index].clone().try_lock_owned() else { return };
        let broker = self.broker.of(1 + index, self.random.fork());
        self.requests.push(async move { one.act(&broker).await }.boxed());
    }

    fn commit_offsets(&mut self) {
        let all = &self.world.consumers;
        let index = self.random.below(all.len() as u64) as usize;
        let Ok(mut one) = all[index].clone().try_lock_owned() else { return };
        let broker = self.broker.of(1 + super::TRANSACTORS + index, self.random.fork());
        self.requests.push(async move { one.commit(&broker).await }.boxed());
    }

    fn fetch_offsets(&mut self) {
        let group = self.world.groups[self.random.below(self.world.groups.len() as u64) as usize].clone();
        let (broker, stable) = (self.broker.of(0, self.random.fork()), self.random.chance(0.5));
        self.requests.push(async move { fetch_offsets(&broker, &group, stable).map(drop).await }.boxed());
    }

    fn sweep(&mut self) {
        let (led, line) = (self.process.led.clone(), self.process.line.clone());
        // On a rough store it may fail.
        self.requests.push(async move { drop(sweep_once(&led.metadata, &*line).await) }.boxed());
    }

    fn read(&mut self) {
        let Some((topic, log)) = self.partition() else { return };
        let (world, random, number) = (self.world.clone(), self.random.fork(), self.process.number);
        self.requests
            .push(async move { verify(&world, number, topic, &log, &random).map(drop).await }.boxed());
    }
}
