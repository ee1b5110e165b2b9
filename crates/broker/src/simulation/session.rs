//! What clients do with one broker process while it lasts, or seems to: produce, delete records, create and delete
//! topics, read. Several things are under way at once.

use super::World;
use super::process::Process;
use super::verify::verify;
use crate::batch::BatchView;
use crate::batch::build::Build;
use crate::partition::AppendError;
use crate::partition::{Partition, PartitionLog, Topic};
use crate::sweeper::sweep_once;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt, future::BoxFuture};
use levee_base::clock::Instant;
use levee_base::{Offset, Random, Slot, StreamId};
use levee_meta::TopicId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Requests other than Produce that are under way at once.
const REQUESTS: usize = 6;
/// Topics at once.
const TOPICS: usize = 4;

/// A batch that is not acknowledged yet.
struct Pending {
    stream: StreamId,
    base: Offset,
    /// Under which it was appended, where that is known.
    leader_epoch: Option<i32>,
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
    world: Arc<World>,
    random: Random,
    pending: Vec<Pending>,
    requests: FuturesUnordered<BoxFuture<'static, ()>>,
}

impl Session {
    pub(super) fn new(world: Arc<World>, process: Process) -> Self {
        let random = world.random.fork();
        Self { process, world, random, pending: Vec::new(), requests: FuturesUnordered::new() }
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
            loop {
                tokio::select! {
                    biased;
                    Some(()) = self.requests.next() => {}
                    () = clock.sleep_until(next) => break,
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
            0..80 => self.produce(),
            80..83 if few => self.delete_records(),
            83..86 if few => self.create_topic(),
            86 if few => self.delete_topic(),
            87..89 if few => self.sweep(),
            89..92 if few => self.read(),
            92..94 if few => self.alter_topic(),
            _ => {}
        }
    }

    /// A partition that can be written to.
    fn partition(&self) -> Option<(TopicId, Arc<PartitionLog>)> {
        let mut all = Vec::new();
        for topic in self.process.led.table.all() {
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
                let (mut bytes, _) = self.batch(log.stream(), None);
                self.append(topic, &log, &mut bytes, None);
            }
            return;
        }
        let stream = log.stream();
        let mut clients = self.world.clients.lock().unwrap();
        let known = clients.iter().position(|client| client.stream == stream);
        let index = known.filter(|_| self.random.chance(0.95)).unwrap_or_else(|| {
            // Ids come from the metadata in production; here they need only differ.
            let producer = clients.len() as i64;
            clients.push(Client { producer, stream, sequence: 0, batch: None });
            clients.len() - 1
        });
        let client = &mut clients[index];
        let claim = (client.producer, client.sequence);
        let (mut bytes, _) = client.batch.get_or_insert_with(|| self.batch(stream, Some(claim))).clone();
        drop(clients);
        self.append(topic, &log, &mut bytes, Some((index, claim.1)));
    }

    /// A batch that nobody else sends.
    fn batch(&self, stream: StreamId, claim: Option<(i64, i32)>) -> (Vec<u8>, u32) {
        let count = 1 + self.random.below(4);
        let timestamp = self.world.timestamp(stream, &self.random);
        let mut build = Build::new();
        if let Some((producer, sequence)) = claim {
            build = build.producer(producer, 0, sequence);
        }
        for _ in 0..count {
            let key = format!("{}", self.random.below(20));
            let repeats = if self.random.chance(0.05) { 400 } else { 1 + self.random.below(30) };
            let value = format!("{:016x}", self.random.next_u64()).repeat(repeats as usize);
            build = build.record(timestamp, &key, &value);
        }
        (build.bytes(), count as u32)
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
        let leader_epoch = {
            let mut ledger = self.world.judge.ledger.lock().unwrap();
            if is_new {
                Some(ledger.appended(stream, topic, base, bytes))
            } else {
                let pending = appended.slot.map(|_| log.leader_epoch());
                let repeated = ledger.repeated(stream, base, bytes, pending);
                repeated.unwrap_or_else(|wrong| panic!("{wrong}"))
            }
        };
        let pending =
            Pending { stream, base, leader_epoch, slot: appended.slot.unwrap_or(Slot::ZERO), client };
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
        let Pending { stream, base, leader_epoch, client, .. } = *pending;
        if let Some(epoch) = leader_epoch {
            let entered = self.world.judge.ledger.lock().unwrap().acknowledge(stream, base, epoch);
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

    fn delete_records(&mut self) {
        let Some((topic, log)) = self.partition() else { return };
        let Some(ends) = log.ends() else { return };
        let config = log.config().topic;
        if config.compacts && !config.deletes {
            return;
        }
        let stream = log.stream();
        let to = Offset(ends.start.0 + self.random.below(ends.durable.0 - ends.start.0 + 1));
        {
            let mut ledger = self.world.judge.ledger.lock().unwrap();
            let asked = &mut ledger.log(stream, topic).deleted_to;
            *asked = to.max(*asked);
        }
        let (starts, world) = (self.process.led.starts.clone(), self.world.clone());
        self.requests.push(
            async move {
                if starts.advance(vec![(stream, to)]).await.is_ok() {
                    log.start_moved();
                    let start = world.judge.newest(|state| state.stream(stream).map(|known| known.start));
                    assert!(start.is_none_or(|start| start >= to), "{stream} begins at {start:?}, not {to}");
                }
            }
            .boxed(),
        );
    }

    pub(super) fn create_topic(&mut self) {
        if self.process.led.table.all().len() >= TOPICS {
            return;
        }
        let pairs: &[(&str, &str)] = match self.random.below(7) {
            6 => &[
                ("cleanup.policy", "compact,delete"),
                ("retention.ms", "300000"),
                ("segment.ms", "20000"),
                ("min.cleanable.dirty.ratio", "0.01"),
            ],
            5 => &[
                ("cleanup.policy", "compact"),
                ("segment.ms", "20000"),
                ("min.cleanable.dirty.ratio", "0.01"),
            ],
            0 => &[("retention.ms", "300000")],
            1 | 2 => &[("retention.ms", "-1"), ("retention.bytes", "20000")],
            3 => &[("retention.ms", "300000"), ("retention.bytes", "50000")],
            _ => &[("retention.ms", "-1")],
        };
        let configs: BTreeMap<_, _> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let name = format!("t{}", self.random.below(6));
        let partitions = 1 + self.random.below(3) as u32;
        let (led, world) = (self.process.led.clone(), self.world.clone());
        self.requests.push(
            async move {
                if let Ok(topic) = led.create(name, partitions, configs).await {
                    world.judge.ledger.lock().unwrap().created.insert(topic);
                }
            }
            .boxed(),
        );
    }

    fn delete_topic(&mut self) {
        let topics = self.process.led.table.all();
        if topics.is_empty() {
            return;
        }
        let topic = TopicId(topics[self.random.below(topics.len() as u64) as usize].id);
        self.world.judge.ledger.lock().unwrap().doomed.insert(topic);
        let (led, world) = (self.process.led.clone(), self.world.clone());
        self.requests.push(
            async move {
                if led.delete(topic.0).await.is_ok() {
                    world.judge.ledger.lock().unwrap().deleted.insert(topic);
                    let is_there = world.judge.newest(|state| state.topic(topic).is_some());
                    assert!(!is_there, "{topic:?} was deleted");
                }
            }
            .boxed(),
        );
    }

    fn alter_topic(&mut self) {
        let topics = self.process.led.table.all();
        let keeps_all = |topic: &Topic| !topic.configs.contains_key("cleanup.policy");
        let topics: Vec<_> = topics.iter().filter(|topic| keeps_all(topic)).collect();
        if topics.is_empty() {
            return;
        }
        let id = topics[self.random.below(topics.len() as u64) as usize].id;
        let (name, value) = match self.random.below(3) {
            0 => ("retention.ms", "400000"),
            1 => ("retention.bytes", "30000"),
            _ => ("retention.bytes", "-1"),
        };
        let (set, led) = (BTreeMap::from([(name.to_owned(), value.to_owned())]), self.process.led.clone());
        // It may fail, and may have been done all the same.
        self.requests.push(async move { led.alter(id, set, BTreeSet::new()).map(drop).await }.boxed());
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
