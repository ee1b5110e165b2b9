//! What of a request can be seen before a partition's lock is taken, and before a transaction's coordinator is asked.

use super::{Entered, Entering, refused};
use crate::batch::{BatchView, Checked, split};
use crate::errors::Code;
use crate::handlers::topic_name::is_internal;
use crate::partition::verifications::Guard;
use crate::partition::{Partition, PartitionLog, Topic as Known};
use crate::wire::produce::{ProducePartition, ProduceTopic};
use std::sync::Arc;

/// Whether a batch says that it is part of a transaction. Whether it is a batch at all is seen later.
pub(super) fn is_transactional(topic: &ProduceTopic<'_>) -> bool {
    topic.partitions.iter().any(|partition| {
        let records = partition.records.as_deref().unwrap_or_default();
        let whole = matches!(split::next(records), Ok(Some(_)));
        whole && BatchView::first(records).is_some_and(|batch| batch.attributes().transactional())
    })
}

/// Whether the batches of transactions are of more than one producer, or of one in more than one epoch.
pub(super) fn several_producers<'p, 'a: 'p>(prepared: impl Iterator<Item = &'p Prepared<'a>>) -> bool {
    let mut producers = prepared.filter_map(|one| match one {
        Prepared::Ready(ready) => ready.transaction.map(|batch| (batch.producer_id, batch.epoch)),
        Prepared::Done(_) => None,
    });
    let first = producers.next();
    producers.any(|producer| Some(producer) != first)
}

/// A partition's part of a request that is to enter.
pub(super) enum Prepared<'a> {
    /// It has failed.
    Done(Entered),
    /// It is for a partition that is led here.
    Ready(Ready<'a>),
}

/// A batch for a partition that is led here.
pub(super) struct Ready<'a> {
    pub(super) topic: Arc<str>,
    pub(super) index: i32,
    pub(super) log: Arc<PartitionLog>,
    pub(super) transaction: Option<InTransaction>,
    /// What is wrong with the batch is told only once its transaction's coordinator has nothing against it, as by Kafka.
    pub(super) checked: Result<Checked<'a>, Entered>,
    pub(super) guard: Option<Guard>,
}

/// A batch that is part of a transaction.
#[derive(Clone, Copy)]
pub(super) struct InTransaction {
    pub(super) producer_id: i64,
    pub(super) epoch: i16,
    pub(super) base_sequence: i32,
}

impl InTransaction {
    /// What the only batch of a partition says, if it is one.
    fn of(records: &[u8]) -> Option<Self> {
        split::sole(records).ok()?;
        let batch = BatchView::first(records)?;
        let is_part = batch.attributes().transactional() && batch.producer_id() >= 0;
        is_part.then(|| Self {
            producer_id: batch.producer_id(),
            epoch: batch.producer_epoch(),
            base_sequence: batch.base_sequence(),
        })
    }
}

impl Prepared<'_> {
    pub(super) fn fail(&mut self, failed: impl FnOnce(i32) -> Entered) {
        let index = match self {
            Self::Done(entered) => entered.response.index,
            Self::Ready(ready) => ready.index,
        };
        *self = Self::Done(failed(index));
    }

    /// Forgets which records were wrong, but for their code, when more than `left` were told of in this request.
    pub(super) fn bound_errors(&mut self, left: &mut usize) {
        if let Self::Ready(Ready { checked: Err(entered), .. }) = self {
            match left.checked_sub(entered.response.record_errors.len()) {
                Some(rest) => *left = rest,
                None => entered.response.record_errors = Vec::new(),
            }
        }
    }

    /// Its transaction includes the partition, if nothing comes in between.
    pub(super) fn allow(&mut self, guard: Guard) {
        if let Self::Ready(ready) = self {
            ready.guard = Some(guard);
        }
    }
}

impl Entering {
    /// Finds the partition, and checks all that can be checked without its lock.
    pub(super) fn prepare<'a>(&self, topic: &Arc<Known>, partition: ProducePartition<'a>) -> Prepared<'a> {
        let index = partition.index;
        let failed = |code| Prepared::Done(Entered::failed(index, code, None));
        let Some(place) = topic.partition(index) else { return failed(Code::UnknownTopicOrPartition) };
        let acks_exist = (-1..=1).contains(&self.acks);
        let log = match place {
            Partition::Here(log) => log.clone(),
            _ if !acks_exist => return failed(Code::InvalidRequiredAcks),
            Partition::Unavailable => return failed(Code::NotLeaderOrFollower),
            Partition::Elsewhere(leader) => {
                let mut entered = Entered::failed(index, Code::NotLeaderOrFollower, None);
                entered.response.current_leader = Some(*leader);
                return Prepared::Done(entered);
            }
        };
        let records = partition.records.unwrap_or_default();
        let transaction = InTransaction::of(records);
        let checked = if !acks_exist {
            Err(Entered::failed(index, Code::InvalidRequiredAcks, None))
        } else if is_internal(&topic.name) && !self.internal_topics {
            let message = format!("Cannot append to internal topic {}", topic.name);
            Err(Entered::failed(index, Code::InvalidTopicException, Some(message)))
        } else {
            log.check(records, self.version).map_err(|invalid| refused(index, &log, invalid))
        };
        let topic = topic.name.clone();
        Prepared::Ready(Ready { topic, index, log, transaction, checked, guard: None })
    }
}
