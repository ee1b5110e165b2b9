//! Committing offsets within a transaction: the partition of the group's offsets joins it first, or its coordinator is
//! asked whether it has (KIP-890).

use super::Shared;
use super::route::{Asking, Manner, ask, refused};
use super::shard::Handle;
use crate::batch::compose::NO_SEQUENCE;
use crate::errors::Code;
use crate::handlers::produce::append_code;
use crate::handlers::transactions::{Enrolment, Transactions};
use crate::internal_topics::CONSUMER_OFFSETS;
use crate::partition::verifications::Guard;
use kafka_protocol::messages::txn_offset_commit_request::TxnOffsetCommitRequestTopic;
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{RequestKind, ResponseKind, TxnOffsetCommitRequest, TxnOffsetCommitResponse};
use levee_base::limits::GROUP_ANSWER;
use levee_coordinator::Cluster;
use std::collections::BTreeMap;

/// The first version of TxnOffsetCommit with which the partition joins the transaction (KIP-890).
const OFFSETS_JOIN_FROM: i16 = 5;
/// The first version of TxnOffsetCommit that knows TRANSACTION_ABORTABLE.
const ABORTABLE_FROM: i16 = 4;

/// Answers a TxnOffsetCommit.
pub(super) async fn commit(asking: &Asking<'_>, request: TxnOffsetCommitRequest) -> ResponseKind {
    let shared = asking.shared;
    let asks = |topic: &TxnOffsetCommitRequestTopic| {
        topic.partitions.iter().any(|partition| exists(shared, &topic.name, partition.partition_index))
    };
    // What does not exist joins no transaction.
    if !request.topics.iter().any(asks) {
        return refuse(shared, &request, Code::UnknownTopicOrPartition);
    }
    let Some(handle) = shared.groups.holds(&request.group_id) else {
        return refuse(shared, &request, Code::NotCoordinator);
    };
    commit_to(asking, handle, request).await
}

/// Commits to the shard that has the group.
async fn commit_to(asking: &Asking<'_>, handle: Handle, request: TxnOffsetCommitRequest) -> ResponseKind {
    let guard = match enrolled(asking.shared, &handle, &request, asking.version).await {
        Ok(guard) => guard,
        Err(Unenrolled::Refused(code)) => return refuse(asking.shared, &request, code),
        Err(Unenrolled::NotReady(code)) => {
            return refused(&RequestKind::TxnOffsetCommit(request), asking.version, code);
        }
    };
    let request = asking.request(RequestKind::TxnOffsetCommit(request));
    let manner = Manner { guard, ..Manner::patient(GROUP_ANSWER) };
    ask(asking.shared, Some(handle), request, manner).await
}

/// Why the partition of a group's offsets is no part of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unenrolled {
    /// The group's coordinator can't be asked.
    NotReady(Code),
    /// The partition, or the transaction's coordinator, refuses.
    Refused(Code),
}

/// The right to begin the transaction in the partition of the group's offsets, if it is not open there. Whoever has it
/// has joined: a shard that becomes ready meanwhile must not be handed the right of one that has not, or it begins a
/// transaction there which nobody ends.
async fn enrolled(
    shared: &Shared,
    handle: &Handle,
    request: &TxnOffsetCommitRequest,
    version: i16,
) -> Result<Option<Guard>, Unenrolled> {
    let (producer, epoch) = (request.producer_id.0, request.producer_epoch);
    let joins = version >= OFFSETS_JOIN_FROM;
    let guard = handle.log.verify(producer, epoch, NO_SEQUENCE, joins);
    let Some(guard) = guard.map_err(|error| Unenrolled::Refused(append_code(&error)))? else {
        return Ok(None);
    };
    handle.ready().map_err(Unenrolled::NotReady)?;
    let how = if joins { Enrolment::Add } else { Enrolment::Verify };
    let partition = (CONSUMER_OFFSETS.into(), handle.partition.cast_signed());
    let joined = shared.enrol(&request.transactional_id, producer, epoch, vec![partition], how).await;
    match joined.first() {
        Some(Err(code)) => Err(Unenrolled::Refused(commit_code(*code, version))),
        _ => Ok(Some(guard)),
    }
}

fn exists(shared: &Shared, topic: &str, partition: i32) -> bool {
    shared.cluster.topic(topic).is_some_and(|topic| topic.has(partition))
}

fn refuse(shared: &Shared, request: &TxnOffsetCommitRequest, code: Code) -> ResponseKind {
    refuse_all(request, |topic, partition| exists(shared, topic, partition), code).into()
}

/// Refuses to commit any offset in a transaction. Partitions that don't exist say so, and come first, as in Kafka.
fn refuse_all(
    request: &TxnOffsetCommitRequest,
    exists: impl Fn(&str, i32) -> bool,
    code: Code,
) -> TxnOffsetCommitResponse {
    let mut topics: Vec<TxnOffsetCommitResponseTopic> = Vec::new();
    let mut places = BTreeMap::new();
    for known in [false, true] {
        let code = if known { code } else { Code::UnknownTopicOrPartition };
        for topic in &request.topics {
            let of_kind =
                topic.partitions.iter().filter(|it| exists(&topic.name, it.partition_index) == known);
            let partitions = of_kind.map(|it| {
                TxnOffsetCommitResponsePartition::default()
                    .with_partition_index(it.partition_index)
                    .with_error_code(code.code())
            });
            let partitions: Vec<_> = partitions.collect();
            if partitions.is_empty() {
                continue;
            }
            let place = *places.entry(&topic.name).or_insert_with(|| {
                topics.push(TxnOffsetCommitResponseTopic::default().with_name(topic.name.clone()));
                topics.len() - 1
            });
            topics[place].partitions.extend(partitions);
        }
    }
    TxnOffsetCommitResponse::default().with_topics(topics)
}

/// What a client that commits offsets is told when they could not join its transaction, as Kafka maps it.
fn commit_code(code: Code, version: i16) -> Code {
    match code {
        Code::TransactionAbortable if version < ABORTABLE_FROM => Code::InvalidTxnState,
        Code::NetworkException => Code::CoordinatorLoadInProgress,
        Code::UnknownTopicOrPartition
        | Code::NotEnoughReplicas
        | Code::NotEnoughReplicasAfterAppend
        | Code::RequestTimedOut => Code::CoordinatorNotAvailable,
        Code::NotLeaderOrFollower | Code::KafkaStorageError => Code::NotCoordinator,
        Code::MessageTooLarge | Code::RecordListTooLarge | Code::InvalidFetchSize => {
            Code::InvalidCommitOffsetSize
        }
        code => code,
    }
}

#[cfg(test)]
#[path = "committing_tests.rs"]
mod tests;
