//! Produce: taking batches in, in order, and answering when they are durable.
//!
//! There are two halves. [`enter`] checks and appends; it copies the records, gives offsets, and waits for nothing
//! but room, and for a transaction's coordinator where batches begin the transaction in their partitions. The future that it returns waits for durability, or for `timeout_ms`: the batch stays pending then,
//! and the client's retry finds it. When the log stops, all that is not durable is answered with
//! NOT_LEADER_OR_FOLLOWER. While the store's disk is full, KAFKA_STORAGE_ERROR answers batches that were not taken
//! in, and no others: clients read it as 'not written', and what is pending may yet be. acks=1 is acks=all; acks=0 is answered at once, for its connection to see the errors.
//!
//! Where this differs from Kafka: refusals of batches carry a message that says why (Kafka sends one with record
//! errors only).

mod enrolling;
mod preparing;
mod room;

pub use room::Room;

use self::preparing::{Prepared, Ready, is_transactional, several_producers};
use super::transactions::Transactions;
use crate::batch::Invalid;
use crate::errors::Code;
use crate::partition::claim::ProducerError;
use crate::partition::{AppendError, Appended, PartitionLog, PartitionTable, is_durable};
use crate::seeded_bugs::{Bug, seeded};
use crate::wire::produce::{
    PartitionResponse, ProduceRequest, ProduceResponse, Topic, TopicRef, TopicResponse,
};
use futures::future::BoxFuture;
use levee_base::limits::{PRODUCED_PARTITION_BYTES, RECORD_ERRORS_REQUEST};
use levee_base::{Clock, Slot};
use levee_store::StoreStatus;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::consume_budget;
use tokio::time::Instant;

/// The client id of those who may write to internal topics, as in Kafka: what a coordinator would not expect there is
/// theirs to answer for.
pub const ADMIN_CLIENT: &str = "__admin_client";

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
        internal_topics: request.internal_topics,
        // Without an answer nobody is waiting, so there is nothing to be late for.
        deadline: (acks != 0).then(|| clock.now() + timeout),
    };
    let transactional_id = request.transactional_id;
    let anonymous = transactional_id.is_none() && request.topics.iter().any(|topic| is_transactional(topic));
    let mut topics = Vec::with_capacity(request.topics.len());
    let mut errors_left = RECORD_ERRORS_REQUEST;
    for topic in request.topics {
        let (known, unknown) = match topic.topic {
            TopicRef::Name(name) => (table.by_name(name), Code::UnknownTopicOrPartition),
            TopicRef::Id(id) => (table.by_id(id), Code::UnknownTopicId),
        };
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in topic.partitions {
            // There may be very many, and others are to be served meanwhile.
            consume_budget().await;
            let mut prepared = match &known {
                Some(known) => entering.prepare(known, partition),
                None => Prepared::Done(Entered::failed(partition.index, unknown, None)),
            };
            prepared.bound_errors(&mut errors_left);
            partitions.push(prepared);
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
            consume_budget().await;
            partitions.push(match one {
                Prepared::Done(entered) => entered,
                Prepared::Ready(ready) => entering.append(ready).await,
            });
        }
        entered.push((topic, partitions));
    }
    Box::pin(answer(clock, entering.deadline, entered))
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

// Both exist at once when batches are appended. What is left is for a message.
const _: () = assert!(size_of::<Prepared<'static>>() + size_of::<Entered>() + 64 <= PRODUCED_PARTITION_BYTES);

impl Entered {
    fn failed(index: i32, code: Code, message: Option<String>) -> Self {
        Self { response: PartitionResponse::error(index, code.code(), message), pending: None }
    }
}

struct Entering {
    clock: Clock,
    version: i16,
    acks: i16,
    internal_topics: bool,
    deadline: Option<Instant>,
}

impl Entering {
    async fn append(&self, ready: Ready<'_>) -> Entered {
        let Ready { index, log, checked, guard, .. } = ready;
        let log = &*log;
        let mut checked = match checked {
            Ok(checked) => checked,
            Err(entered) => return entered,
        };
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
    let settled = is_durable(&mut pending.status, pending.slot);
    let settled = match deadline {
        None => settled.await,
        Some(deadline) => tokio::select! {
            biased;
            settled = settled => settled,
            () = clock.sleep_until(deadline) => return Err(Code::RequestTimedOut),
        },
    };
    if settled { Ok(()) } else { Err(Code::NotLeaderOrFollower) }
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
        Invalid::ZstdTooEarly { .. } => (Code::UnsupportedCompressionType, false),
        // Kafka's leader fails on these with an exception that is nobody's.
        Invalid::UnknownCodec | Invalid::LengthOfRecord => (Code::UnknownServerError, true),
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
