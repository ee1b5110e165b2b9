//! The coordinators of one registration: a shard for each partition of the internal topics that it leads.
//!
//! The state machines are `levee-coordinator`'s. Here is what they lack: `load` reads a partition back into its shard,
//! `shard` is the task that owns one, `markers` writes what ends transactions, `enrol` lets partitions join them, `route`
//! finds the shard that a request is for. Shards are opened and closed with their partitions (`led_topics`), and end with
//! the registration.

mod cluster;
mod enrol;
mod load;
mod machine;
mod markers;
mod route;
mod shard;

pub use markers::{Marker, Unwritten};

use crate::internal_topics::{CONSUMER_OFFSETS, TRANSACTION_STATE};
use crate::partition::{Partition, PartitionLog, PartitionTable, Topic};
use crate::producer_ids::ProducerIds;
use cluster::MetadataCluster;
use levee_base::{Clock, Random};
use levee_coordinator::group::{GroupOptions, GroupShard};
use levee_coordinator::transaction::{TransactionOptions, TransactionShard};
use levee_coordinator::{Token, partition_of};
use levee_meta::Metadata;
use levee_store::StreamStore;
use shard::Handle;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio::task::{AbortHandle, JoinSet};
use uuid::Uuid;

/// What all shards of a registration share.
#[derive(Debug)]
pub struct Shared {
    table: Arc<PartitionTable>,
    cluster: MetadataCluster,
    store: Arc<StreamStore>,
    producer_ids: Arc<ProducerIds>,
    clock: Clock,
    groups: Shards,
    transactions: Shards,
    tokens: AtomicU64,
}

impl Shared {
    fn token(&self) -> Token {
        Token(self.tokens.fetch_add(1, Ordering::Relaxed))
    }

    /// Whether this broker's epoch has ended.
    fn has_ended(&self) -> bool {
        self.store.status().borrow().stopped.is_some()
    }
}

/// The shards of one internal topic, by partition.
#[derive(Debug)]
struct Shards {
    topic: &'static str,
    /// With the number of partitions that the topic has.
    open: RwLock<(u32, BTreeMap<u32, Open>)>,
}

#[derive(Debug)]
struct Open {
    handle: Handle,
    task: AbortHandle,
}

impl Shards {
    fn of(topic: &'static str) -> Self {
        Self { topic, open: RwLock::default() }
    }

    /// The shard of a partition.
    fn at(&self, partition: i32) -> Option<Handle> {
        let partition = u32::try_from(partition).ok()?;
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.1.get(&partition).map(|open| open.handle.clone())
    }

    /// The shard that an id belongs to.
    fn holds(&self, id: &str) -> Option<Handle> {
        let partitions = self.open.read().unwrap_or_else(PoisonError::into_inner).0;
        if partitions == 0 {
            return None;
        }
        self.at(partition_of(id, partitions).cast_signed())
    }

    /// All of them, and whether these are all that the topic has.
    fn all(&self) -> (Vec<Handle>, bool) {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        let all = open.1.values().map(|open| open.handle.clone()).collect::<Vec<_>>();
        let complete = u32::try_from(all.len()).is_ok_and(|count| count == open.0);
        (all, complete)
    }
}

/// See the module's text.
#[derive(Debug)]
pub struct Coordinators {
    shared: Arc<Shared>,
    random: Random,
    /// They end with this.
    tasks: Mutex<JoinSet<()>>,
}

impl Coordinators {
    /// Of a registration whose partitions are in `table`. None is open yet.
    #[must_use]
    pub fn new(
        table: Arc<PartitionTable>,
        metadata: Metadata,
        store: Arc<StreamStore>,
        producer_ids: Arc<ProducerIds>,
        clock: Clock,
        random: Random,
    ) -> Self {
        let shared = Shared {
            table,
            cluster: MetadataCluster(metadata),
            store,
            producer_ids,
            clock,
            groups: Shards::of(CONSUMER_OFFSETS),
            transactions: Shards::of(TRANSACTION_STATE),
            tokens: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared), random, tasks: Mutex::default() }
    }

    /// What lets partitions join transactions.
    #[must_use]
    pub fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// A topic is in the table, or has changed there: if it is an internal one, the partitions that are open get their
    /// shards. All shards hear that topics have changed.
    pub fn topic_opened(&self, topic: &Topic) {
        if &*topic.name == CONSUMER_OFFSETS {
            let random = self.random.fork();
            self.open(&self.shared.groups, topic, |_| {
                let random = random.clone();
                move || GroupShard::new(GroupOptions::default(), random.clone())
            });
        }
        if &*topic.name == TRANSACTION_STATE {
            self.open(&self.shared.transactions, topic, |log| {
                let epoch = log.leader_epoch();
                move || TransactionShard::new(TransactionOptions::default(), epoch)
            });
        }
        self.tell(&[]);
    }

    /// A topic is gone.
    pub fn topic_closed(&self, topic: &Topic) {
        for shards in [&self.shared.groups, &self.shared.transactions] {
            if *topic.name == *shards.topic {
                let mut open = shards.open.write().unwrap_or_else(PoisonError::into_inner);
                let (_, open) = std::mem::take(&mut *open);
                open.values().for_each(|open| open.task.abort());
            }
        }
        self.tell(&[(topic.name.to_string(), topic.id)]);
    }

    fn tell(&self, deleted: &[(String, Uuid)]) {
        self.shared.groups.all().0.iter().for_each(|handle| handle.tell(deleted));
    }

    fn open<M: machine::Machine, F: Fn() -> M + Send + 'static>(
        &self,
        shards: &Shards,
        topic: &Topic,
        make: impl Fn(&PartitionLog) -> F,
    ) {
        let mut open = shards.open.write().unwrap_or_else(PoisonError::into_inner);
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        // Those of topics that were deleted, or whose partitions were opened anew.
        while tasks.try_join_next().is_some() {}
        open.0 = u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX);
        for (index, partition) in (0..).zip(&topic.partitions) {
            let Partition::Here(log) = partition else { continue };
            let before = open.1.get(&index);
            if before.is_some_and(|before| Arc::ptr_eq(&before.handle.log, log)) {
                continue;
            }
            let (handle, task) = shard::shard(self.shared.clone(), index, log.clone(), make(log));
            let task = tasks.spawn(task);
            if let Some(before) = open.1.insert(index, Open { handle, task }) {
                before.task.abort();
            }
        }
    }
}
