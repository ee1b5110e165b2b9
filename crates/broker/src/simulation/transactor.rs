//! A transactional producer: one request at a time to whoever is its broker and its coordinators, through kills. It
//! goes by the protocol of newer clients, whose transactions have an epoch each, or of older ones, which make partitions
//! part of the transaction themselves (KIP-890).

mod requests;

use super::broker::Broker;
use super::session::compose;
use super::{INTERNAL, STEADY_PARTITIONS};
use crate::errors::Code;
use crate::partition::Partition;
use levee_base::StreamId;
use levee_base::clock::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// A batch that is sent until it is acknowledged.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    pub(super) topic: (Arc<str>, Uuid),
    pub(super) partition: i32,
    pub(super) stream: StreamId,
    pub(super) bytes: Vec<u8>,
    count: u32,
}

/// See the module's text.
#[derive(Debug)]
pub(super) struct Transactor {
    pub(super) id: String,
    pub(super) group: String,
    is_new: bool,
    timeout_ms: i32,
    /// Its id and epoch, once it has them.
    producer: Option<(i64, i16)>,
    /// The next sequence numbers.
    sequences: BTreeMap<StreamId, i32>,
    /// What is part of the transaction by its request: partitions of streams, and its group's offsets.
    added: BTreeSet<StreamId>,
    added_group: bool,
    pub(super) transaction: Option<usize>,
    batch: Option<Batch>,
    /// Partition and offset, sent until they are taken.
    offset: Option<(i32, i64)>,
    /// The partitions that it has committed offsets of.
    committed: BTreeSet<i32>,
    last_offset: i64,
    /// Whether it is being committed or aborted.
    ending: Option<bool>,
    /// Whether that may have been done, although it was not answered.
    in_doubt: bool,
    /// It does nothing before.
    rests_until: Option<Instant>,
}

impl Transactor {
    pub(super) fn new(id: String, group: String, is_new: bool, timeout_ms: i32) -> Self {
        Self {
            id,
            group,
            is_new,
            timeout_ms,
            producer: None,
            sequences: BTreeMap::new(),
            added: BTreeSet::new(),
            added_group: false,
            transaction: None,
            batch: None,
            offset: None,
            committed: BTreeSet::new(),
            last_offset: 0,
            ending: None,
            in_doubt: false,
            rests_until: None,
        }
    }

    /// Goes on for a while.
    pub(super) async fn act(&mut self, broker: &Broker) {
        let clock = broker.world.clock;
        if self.rests_until.is_some_and(|until| clock.now() < until) {
            return;
        }
        while self.step(broker).await && broker.random.chance(0.9) {
            broker.in_lane(broker.random.below(20)).await;
        }
    }

    /// One request. Whether to go on at once.
    async fn step(&mut self, broker: &Broker) -> bool {
        let Some(producer) = self.producer else { return self.initialize(broker).await };
        if let Some(commit) = self.ending {
            return self.end(broker, producer, commit).await;
        }
        if let Some(batch) = self.batch.clone() {
            return self.send(broker, producer, batch).await;
        }
        if let Some(offset) = self.offset {
            return self.commit_offset(broker, producer, offset).await;
        }
        match broker.random.below(40) {
            0..20 => self.write(broker, producer),
            20..27 => self.choose_offset(broker, producer),
            27..37 => self.ending = self.transaction.map(|_| broker.random.chance(0.7)),
            37 | 38 => {
                let rest_ms = broker.random.below(20_000);
                self.rests_until = Some(broker.world.clock.now() + Duration::from_millis(rest_ms));
                return false;
            }
            // It is started anew.
            _ => self.forget(),
        }
        true
    }

    /// What it was about is over: it begins anew, with another epoch.
    pub(super) fn forget(&mut self) {
        self.producer = None;
        self.over();
    }

    fn over(&mut self) {
        self.added.clear();
        self.committed.clear();
        (self.transaction, self.batch, self.offset, self.ending) = (None, None, None, None);
        (self.added_group, self.in_doubt) = (false, false);
    }

    /// A request was refused. Whether it may have been done all the same.
    fn refused(&mut self, broker: &Broker, code: i16) -> bool {
        let Some(code) = Code::try_from_code(code) else { panic!("{code} is no code") };
        match code {
            Code::ConcurrentTransactions
            | Code::CoordinatorLoadInProgress
            | Code::NotEnoughReplicas
            | Code::UnknownTopicOrPartition => false,
            Code::CoordinatorNotAvailable
            | Code::NotCoordinator
            | Code::NotLeaderOrFollower
            | Code::RequestTimedOut => true,
            // Its topic is gone.
            Code::UnknownTopicId => {
                self.forget();
                false
            }
            _ => {
                let fenced = matches!(
                    code,
                    Code::InvalidProducerEpoch
                        | Code::ProducerFenced
                        | Code::InvalidTxnState
                        | Code::TransactionAbortable
                );
                let now_ms = broker.world.clock.wall_ms();
                let over = {
                    let ledger = broker.world.judge.ledger.lock().unwrap();
                    self.transaction.is_some_and(|one| ledger.transactions.may_be_over(one, now_ms))
                };
                // One that was taken for gone may have missed what its clients did elsewhere.
                assert!(!broker.is_current() || fenced && over, "{code:?} for {self:?}");
                self.forget();
                false
            }
        }
    }

    /// The transaction, which begins by now.
    fn transaction(&mut self, broker: &Broker, producer: (i64, i16)) -> usize {
        *self.transaction.get_or_insert_with(|| {
            let now_ms = broker.world.clock.wall_ms();
            let mut ledger = broker.world.judge.ledger.lock().unwrap();
            ledger.transactions.begin(producer, now_ms, self.timeout_ms.into())
        })
    }

    /// Makes a batch for some partition.
    fn write(&mut self, broker: &Broker, producer: (i64, i16)) {
        let mut all = Vec::new();
        for topic in broker.led.table.all() {
            for (index, partition) in (0..).zip(&topic.partitions) {
                if let Partition::Here(log) = partition
                    && !INTERNAL.contains(&&*topic.name)
                {
                    all.push(((topic.name.clone(), topic.id), index, log.stream()));
                }
            }
        }
        if all.is_empty() {
            return;
        }
        let (topic, partition, stream) = all.swap_remove(broker.random.below(all.len() as u64) as usize);
        let sequence = self.sequences.get(&stream).copied().unwrap_or(0);
        let (build, count) = compose(&broker.world, &broker.random, stream);
        let bytes = build.producer(producer.0, producer.1, sequence).attribute(4).bytes();
        self.transaction(broker, producer);
        self.batch = Some(Batch { topic, partition, stream, bytes, count });
    }

    /// Chooses an offset to commit, one at most for each partition.
    fn choose_offset(&mut self, broker: &Broker, producer: (i64, i16)) {
        let partition = broker.random.below(STEADY_PARTITIONS.into()) as i32;
        if self.committed.insert(partition) {
            self.last_offset += 1;
            let transaction = self.transaction(broker, producer);
            let mut ledger = broker.world.judge.ledger.lock().unwrap();
            ledger.transactions.sends(&self.group, partition, self.last_offset, Some(transaction));
            self.offset = Some((partition, self.last_offset));
        }
    }
}
