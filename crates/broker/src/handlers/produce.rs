//! Produce: taking batches in, in order, and answering when they are durable.
//!
//! There are two halves. [`enter`] checks and appends; it copies the records, gives offsets, and waits for nothing
//! but room, and for a transaction's coordinator where batches begin the transaction in their partitions. The future that it returns waits for durability, or for `timeout_ms`: the batch stays pending then,
//! and the client's retry finds it. When the log stops, all that is not durable is answered with
//! NOT_LEADER_OR_FOLLOWER. While the store's disk is full, KAFKA_STORAGE_ERROR answers batches that were not taken
//! in, and no others: clients read it as 'not written', and what is pending may yet be. acks=1 is acks=all; acks=0 is answered at once, for its connection to see the errors.
//!
//! Where this differs from Kafka: refusals of batches carry a message that says why (Kafka sends one with record
//! errors only), and a number that no codec has is UNSUPPORTED_COMPRESSION_TYPE (Kafka: UNKNOWN_SERVER_ERROR).

mod enrolling;

use super::transactions::Transactions;
use crate::batch::{BatchView, Checked, Invalid, split};
use crate::errors::Code;
use crate::partition::producers::ProducerError;
use crate::partition::verifications::Guard;
use crate::partition::{AppendError, Appended, Partition, PartitionLog, PartitionTable, Topic as Known};
use crate::seeded_bugs::{Bug, seeded};
use crate::wire::produce::{
    PartitionResponse, ProducePartition, ProduceRequest, ProduceResponse, ProduceTopic, Topic, TopicRef,
    TopicResponse,
};
use futures::future::BoxFuture;
use levee_base::{Clock, Slot};
use levee_store::StoreStatus;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Takes the batches of a request in. What it returns ends when the request can be answered; dropping that takes
/// nothing back.
pub async fn enter(
    table: &PartitionTable,
    transactions: &dyn Transactions,
    clock: Clock,
    request: ProduceRequest<'_>,
    version: i16,
) -> BoxFuture<'static, ProduceResponse> {
    let acks = request.acks;
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let entering = Entering {
        clock,
        version,
        acks,
        // Without an answer nobody is waiting, so there is nothing to be late for.
        deadline: (acks != 0).then(|| clock.now() + timeout),
    };
    let transactional_id = request.transactional_id;
    let anonymous = transactional_id.is_none() && request.topics.iter().any(|topic| is_transactional(topic));
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let (known, unknown) = match topic.topic {
            TopicRef::Name(name) => (table.by_name(name), Code::UnknownTopicOrPartition),
            TopicRef::Id(id) => (table.by_id(id), Code::UnknownTopicId),
        };
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in topic.partitions {
            partitions.push(match &known {
                Some(known) => entering.prepare(known, partition),
                None => Prepared::Done(Entered::failed(partition.index, unknown, None)),
            });
        }
        topics.push((Topic::from(topic.topic), partitions));
    }
    let all = || topics.iter().flat_map(|(_, partitions)| partitions);
    let refused = if anonymous {
        Some((
            Code::TransactionalIdAuthorizationFailed,
            "a batch of a transaction needs its transactional id",
        ))
    } else if several_producers(all()) {
        Some((Code::InvalidProducerIdMapping, "the batches of a transaction have more than one producer"))
    } else {
        None
    };
    let prepared = topics.iter_mut().flat_map(|(_, partitions)| partitions);
    if let Some((code, message)) = refused {
        prepared.for_each(|one| one.fail(|index| Entered::failed(index, code, Some(message.to_owned()))));
    } else if let Some(transactional_id) = transactional_id {
        entering.enrol(transactions, transactional_id, prepared.collect()).await;
    }
    let mut entered = Vec::with_capacity(topics.len());
    for (topic, prepared) in topics {
        let mut partitions = Vec::with_capacity(prepared.len());
        for one in prepared {
            partitions.push(match one {
                Prepared::Done(entered) => entered,
                Prepared::Ready(ready) => entering.append(ready).await,
            });
        }
        entered.push((topic, partitions));
    }
    Box::pin(answer(clock, entering.deadline, entered))
}

/// Whether a batch says that it is part of a transaction. Whether it is a batch at all is seen later.
fn is_transactional(topic: &ProduceTopic<'_>) -> bool {
    topic.partitions.iter().any(|partition| {
        let records = partition.records.as_deref().unwrap_or_default();
        let whole = matches!(split::next(records), Ok(Some(_)));
        whole && BatchView::first(records).is_some_and(|batch| batch.attributes().transactional())
    })
}

/// Whether the batches of transactions are of more than one producer, or of one in more than one epoch.
fn several_producers<'p, 'a: 'p>(prepared: impl Iterator<Item = &'p Prepared<'a>>) -> bool {
    let mut producers = prepared.filter_map(|one| match one {
        Prepared::Ready(ready) => ready.transaction().map(|batch| (batch.producer_id, batch.epoch)),
        Prepared::Done(_) => None,
    });
    let first = producers.next();
    producers.any(|producer| Some(producer) != first)
}

/// A partition's part of a request that is to enter.
enum Prepared<'a> {
    /// It has failed.
    Done(Entered),
    /// Nothing speaks against it yet.
    Ready(Ready<'a>),
}

/// A batch that may be appended, as far as can be said without the partition's lock.
struct Ready<'a> {
    topic: Arc<str>,
    index: i32,
    log: Arc<PartitionLog>,
    checked: Checked<'a>,
    guard: Option<Guard>,
}

/// A batch that is part of a transaction.
struct InTransaction {
    producer_id: i64,
    epoch: i16,
    base_sequence: i32,
}

impl Ready<'_> {
    fn transaction(&self) -> Option<InTransaction> {
        let batch = self.checked.view();
        let is_part = batch.attributes().transactional() && batch.producer_id() >= 0;
        is_part.then(|| InTransaction {
            producer_id: batch.producer_id(),
            epoch: batch.producer_epoch(),
            base_sequence: batch.base_sequence(),
        })
    }
}

impl Prepared<'_> {
    fn fail(&mut self, failed: impl FnOnce(i32) -> Entered) {
        let index = match self {
            Self::Done(entered) => entered.response.index,
            Self::Ready(ready) => ready.index,
        };
        *self = Self::Done(failed(index));
    }

    /// Its transaction includes the partition, if nothing comes in between.
    fn allow(&mut self, guard: Guard) {
        if let Self::Ready(ready) = self {
            ready.guard = Some(guard);
        }
    }
}

/// A partition's part of a request that has entered.
struct Entered {
    response: PartitionResponse,
    /// What has to be durable before the response is true.
    pending: Option<Pending>,
}

struct Pending {
    slot: Slot,
    status: watch::Receiver<StoreStatus>,
}

impl Entered {
    fn failed(index: i32, code: Code, message: Option<String>) -> Self {
        Self { response: PartitionResponse::error(index, code.code(), message), pending: None }
    }
}

struct Entering {
    clock: Clock,
    version: i16,
    acks: i16,
    deadline: Option<Instant>,
}

impl Entering {
    /// Checks all that can be checked without the partition's lock.
    fn prepare<'a>(&self, topic: &Arc<Known>, partition: ProducePartition<'a>) -> Prepared<'a> {
        let index = partition.index;
        let failed = |code| Prepared::Done(Entered::failed(index, code, None));
        let Some(place) = topic.partition(index) else { return failed(Code::UnknownTopicOrPartition) };
        if !(-1..=1).contains(&self.acks) {
            return failed(Code::InvalidRequiredAcks);
        }
        let log = match place {
            Partition::Here(log) => log.clone(),
            Partition::Unavailable => return failed(Code::NotLeaderOrFollower),
            Partition::Elsewhere(leader) => {
                let mut entered = Entered::failed(index, Code::NotLeaderOrFollower, None);
                entered.response.current_leader = Some(*leader);
                return Prepared::Done(entered);
            }
        };
        match log.check(partition.records.unwrap_or_default(), self.version) {
            Ok(checked) => {
                let topic = topic.name.clone();
                Prepared::Ready(Ready { topic, index, log, checked, guard: None })
            }
            Err(invalid) => Prepared::Done(refused(index, &log, invalid)),
        }
    }

    async fn append(&self, ready: Ready<'_>) -> Entered {
        let Ready { index, log, mut checked, guard, .. } = ready;
        let log = &*log;
        loop {
            match log.append_verified(&mut checked, guard) {
                Ok(appended) => return self.appended(index, log, appended),
                Err(AppendError::Full) => {}
                Err(error) => {
                    let mut entered = Entered::failed(index, append_code(&error), Some(error.to_string()));
                    if matches!(error, AppendError::Producer(_)) {
                        entered.response.log_start_offset = log_start(log);
                    }
                    return entered;
                }
            }
            let room = log.streams().room();
            let Some(deadline) = self.deadline else {
                room.await;
                continue;
            };
            tokio::select! {
                biased;
                () = room => {}
                () = self.clock.sleep_until(deadline) => {
                    // The batch was not appended, and its client may send it again.
                    return Entered::failed(index, Code::RequestTimedOut, None);
                }
            }
        }
    }

    fn appended(&self, index: i32, log: &PartitionLog, appended: Appended) -> Entered {
        let response = PartitionResponse {
            base_offset: appended.base.0.cast_signed(),
            log_append_time_ms: appended.log_append_time_ms.unwrap_or(-1),
            log_start_offset: appended.log_start.0.cast_signed(),
            ..PartitionResponse::error(index, 0, None)
        };
        let slot = appended.slot.filter(|_| self.acks != 0);
        Entered { response, pending: slot.map(|slot| Pending { slot, status: log.status() }) }
    }
}

async fn answer(
    clock: Clock,
    deadline: Option<Instant>,
    topics: Vec<(Topic, Vec<Entered>)>,
) -> ProduceResponse {
    let mut answered = Vec::with_capacity(topics.len());
    for (topic, entered) in topics {
        let mut partitions = Vec::with_capacity(entered.len());
        for Entered { mut response, pending } in entered {
            if let Some(pending) = pending
                && let Err(code) = durable(clock, deadline, pending).await
            {
                response.error_code = code.code();
                if code == Code::NotLeaderOrFollower {
                    response = PartitionResponse::error(response.index, code.code(), None);
                }
            }
            partitions.push(response);
        }
        answered.push(TopicResponse { topic, partitions });
    }
    ProduceResponse { topics: answered, throttle_ms: 0, endpoints: Vec::new() }
}

/// Waits until a slot is durable.
async fn durable(clock: Clock, deadline: Option<Instant>, mut pending: Pending) -> Result<(), Code> {
    if seeded(Bug::AcknowledgeEarly) {
        return Ok(());
    }
    let slot = pending.slot;
    let settled = pending.status.wait_for(|status| slot < status.durable || status.stopped.is_some());
    let settled = async { settled.await.map(|status| slot < status.durable) };
    let settled = match deadline {
        None => settled.await,
        Some(deadline) => tokio::select! {
            biased;
            settled = settled => settled,
            () = clock.sleep_until(deadline) => return Err(Code::RequestTimedOut),
        },
    };
    // What was durable before the log stopped is; the rest is lost, as it is when the store itself is gone.
    if settled.unwrap_or(false) { Ok(()) } else { Err(Code::NotLeaderOrFollower) }
}

fn log_start(log: &PartitionLog) -> i64 {
    log.ends().map_or(-1, |ends| ends.start.0.cast_signed())
}

fn refused(index: i32, log: &PartitionLog, invalid: Invalid) -> Entered {
    let (code, names_start) = invalid_code(&invalid);
    let mut entered = Entered::failed(index, code, Some(invalid.to_string()));
    if names_start {
        entered.response.log_start_offset = log_start(log);
    }
    if let Invalid::Timestamps { records } | Invalid::Keys { records } = invalid {
        entered.response.record_errors =
            records.into_iter().map(|error| (error.index, Some(error.message))).collect();
    }
    entered
}

/// The code for a refused batch, and whether Kafka's answer names the log's start: it does where its validator
/// threw, and doesn't where the request was refused before or the batch is too large or corrupt.
fn invalid_code(invalid: &Invalid) -> (Code, bool) {
    match invalid {
        Invalid::NoBatch | Invalid::SeveralBatches | Invalid::OldFormat { .. } => {
            (Code::InvalidRecord, false)
        }
        Invalid::ZstdTooEarly { .. } | Invalid::UnknownCodec => (Code::UnsupportedCompressionType, false),
        Invalid::Length { .. } | Invalid::Short { .. } | Invalid::MagicByte { .. } | Invalid::Crc { .. } => {
            (Code::CorruptMessage, false)
        }
        Invalid::TooLarge { .. } => (Code::MessageTooLarge, false),
        Invalid::BaseOffset { .. }
        | Invalid::OffsetRange { .. }
        | Invalid::Count { .. }
        | Invalid::Inconsistent { .. }
        | Invalid::Control
        | Invalid::Sequence { .. }
        | Invalid::Unreadable { .. }
        | Invalid::Keys { .. } => (Code::InvalidRecord, true),
        Invalid::Timestamps { .. } => (Code::InvalidTimestamp, true),
    }
}

/// The code for a batch, or a marker, that a partition does not take.
pub(crate) fn append_code(error: &AppendError) -> Code {
    match error {
        AppendError::NotLeader => Code::NotLeaderOrFollower,
        AppendError::NoSpace => Code::KafkaStorageError,
        AppendError::TooLarge => Code::MessageTooLarge,
        AppendError::Producer(error) => producer_code(error),
        AppendError::Full => Code::RequestTimedOut,
    }
}

fn producer_code(error: &ProducerError) -> Code {
    match error {
        ProducerError::OldEpoch { .. } => Code::InvalidProducerEpoch,
        ProducerError::OutOfOrder { .. } => Code::OutOfOrderSequenceNumber,
        ProducerError::NotVerified | ProducerError::NotTransactional { .. } => Code::InvalidTxnState,
        ProducerError::OldCoordinator { .. } => Code::TransactionCoordinatorFenced,
        // There is room again when retention has come on, so clients are to try again.
        ProducerError::TooManyTransactions => Code::KafkaStorageError,
    }
}

#[cfg(test)]
#[path = "produce_tests.rs"]
mod tests;
