//! The coordinators of one registration: a shard for each partition of the internal topics that it leads.
//!
//! The state machines are `levee-coordinator`'s. Here is what they lack: `load` reads a partition back into its shard,
//! `shard` is the task that owns one, `markers` writes what ends transactions, `enrol` lets partitions join them,
//! `committing` commits offsets within them, `route` finds the shard that a request is for. Shards are opened and closed
//! with their partitions (`led_topics`), and end with the registration.

mod cluster;
mod committing;
mod enrol;
mod load;
mod machine;
mod markers;
mod route;
mod shard;

pub use markers::{Marker, Unwritten};

use crate::internal_topics::{CONSUMER_OFFSETS, TRANSACTION_STATE, internal_topic};
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
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use uuid::Uuid;

/// What can be set of the coordinators. All else is as Kafka has it by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoordinatorConfig {
    /// How long the first rebalance of an empty group waits for further members: Kafka's
    /// `group.initial.rebalance.delay.ms`.
    pub group_initial_rebalance_delay: Duration,
    /// How long committed offsets are kept once nothing needs them: Kafka's `offsets.retention.minutes`.
    pub offsets_retention: Duration,
    /// The longest time-out that a transaction may have: Kafka's `transaction.max.timeout.ms`.
    pub transaction_max_timeout: Duration,
}

impl Default for CoordinatorConfig {
    fn default() -> Self {
        let (groups, transactions) = (GroupOptions::default(), TransactionOptions::default());
        Self {
            group_initial_rebalance_delay: groups.initial_rebalance_delay,
            offsets_retention: groups.offsets_retention,
            transaction_max_timeout: transactions.max_timeout,
        }
    }
}

/// What all shards of a registration share.
#[derive(Debug)]
pub struct Shared {
    table: Arc<PartitionTable>,
    cluster: MetadataCluster,
    producer_ids: Arc<ProducerIds>,
    clock: Clock,
    groups: Shards,
    transactions: Shards,
    tokens: AtomicU64,
    /// Tells when this broker's epoch has ended.
    ended: watch::Receiver<bool>,
}

impl Shared {
    fn token(&self) -> Token {
        Token(self.tokens.fetch_add(1, Ordering::Relaxed))
    }

    /// Whether this broker's epoch has ended.
    fn has_ended(&self) -> bool {
        *self.ended.borrow()
    }
}

/// The shards of one internal topic, by partition.
#[derive(Debug, Default)]
struct Shards {
    /// With the number of partitions that the topic has.
    open: RwLock<(u32, BTreeMap<u32, Open>)>,
}

#[derive(Debug)]
struct Open {
    handle: Handle,
    task: AbortHandle,
}

impl Shards {
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
    config: CoordinatorConfig,
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
        store: &StreamStore,
        producer_ids: Arc<ProducerIds>,
        clock: Clock,
        random: Random,
    ) -> Self {
        let (end, ended) = watch::channel(false);
        // One task looks for the end; each flush would wake a hundred shards.
        let mut status = store.status();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            // A store that is gone has ended, too.
            let _ = status.wait_for(|status| status.stopped.is_some()).await;
            end.send_replace(true);
        });
        let shared = Shared {
            table,
            cluster: MetadataCluster(metadata),
            producer_ids,
            clock,
            ended,
            groups: Shards::default(),
            transactions: Shards::default(),
            tokens: AtomicU64::new(0),
        };
        let config = CoordinatorConfig::default();
        Self { shared: Arc::new(shared), config, random, tasks: Mutex::new(tasks) }
    }

    /// Which are set so. To be called before any topic is opened.
    #[must_use]
    pub fn with(self, config: CoordinatorConfig) -> Self {
        Self { config, ..self }
    }

    /// What lets partitions join transactions.
    #[must_use]
    pub fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// Topics are in the table, or have changed there: the partitions of internal ones that are open get their shards. All
    /// shards hear, once, that topics have changed.
    pub fn topics_opened(&self, topics: impl Iterator<Item = Arc<Topic>>) {
        topics.for_each(|topic| self.topic_opened(&topic));
        self.tell(&[]);
    }

    fn topic_opened(&self, topic: &Topic) {
        if &*topic.name == CONSUMER_OFFSETS {
            let random = self.random.fork();
            let options = GroupOptions {
                initial_rebalance_delay: self.config.group_initial_rebalance_delay,
                offsets_retention: self.config.offsets_retention,
                ..GroupOptions::default()
            };
            self.open(&self.shared.groups, topic, |_| {
                let (random, options) = (random.clone(), options.clone());
                move || GroupShard::new(options.clone(), random.clone())
            });
        }
        if &*topic.name == TRANSACTION_STATE {
            let offsets = internal_topic(CONSUMER_OFFSETS).map_or(1, |topic| topic.partitions);
            let options = TransactionOptions {
                max_timeout: self.config.transaction_max_timeout,
                offsets_partitions: offsets,
                ..TransactionOptions::default()
            };
            self.open(&self.shared.transactions, topic, |log| {
                let (options, epoch) = (options.clone(), log.leader_epoch());
                move || TransactionShard::new(options.clone(), epoch)
            });
        }
    }

    /// A topic is gone.
    pub fn topic_closed(&self, topic: &Topic) {
        for shards in [&self.shared.groups, &self.shared.transactions] {
            let mut open = shards.open.write().unwrap_or_else(PoisonError::into_inner);
            // One that has its name by now may be open already.
            let of_topic = |open: &Open| {
                let mut logs = topic.partitions.iter();
                logs.any(|log| matches!(log, Partition::Here(log) if Arc::ptr_eq(log, &open.handle.log)))
            };
            for (_, closed) in open.1.extract_if(.., |_, open| of_topic(open)) {
                closed.task.abort();
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
        let partitions = u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX);
        open.0 = partitions;
        for (_, stale) in open.1.split_off(&partitions) {
            stale.task.abort();
        }
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

#[cfg(test)]
mod tests;
