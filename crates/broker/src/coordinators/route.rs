//! Finding the shard that a request is for. Requests that name several groups or transactions are taken apart, so that
//! a shard sees its own only, and their answers are put together in the order in which they were asked for.

use super::shard::{Call, Handle};
use super::{Coordinators, Marker, Shared, Unwritten, markers};
use crate::errors::Code;
use crate::handlers::produce::append_code;
use crate::handlers::transactions::{Enrolment, Transactions};
use crate::internal_topics::CONSUMER_OFFSETS;
use crate::partition::PartitionLog;
use crate::partition::verifications::Guard;
use futures::future::join_all;
use kafka_protocol::messages::TxnOffsetCommitResponse;
use kafka_protocol::messages::txn_offset_commit_request::TxnOffsetCommitRequestTopic;
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{
    AddPartitionsToTxnResponse, ConsumerGroupDescribeResponse, DeleteGroupsResponse, DescribeGroupsResponse,
    DescribeTransactionsResponse, HeartbeatResponse, ListGroupsResponse, ListTransactionsResponse,
    OffsetFetchResponse, RequestKind, ResponseKind, TxnOffsetCommitRequest,
};
use levee_base::Slot;
use levee_base::limits::{GROUP_ANSWER, TRANSACTION_ANSWER};
use levee_coordinator::refusal::refusal;
use levee_coordinator::{Client, Cluster, Request};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// The first version of OffsetFetch that asks for several groups (KIP-709).
const FETCH_GROUPS_FROM: i16 = 8;
/// The first version of AddPartitionsToTxn that names several transactions (KIP-890).
const ADD_BATCHED_FROM: i16 = 4;
/// The first version of TxnOffsetCommit with which the partition joins the transaction (KIP-890).
const OFFSETS_JOIN_FROM: i16 = 5;
/// The first version of TxnOffsetCommit that knows TRANSACTION_ABORTABLE.
const ABORTABLE_FROM: i16 = 4;
/// What everybody may do with a group where there is no authorizer: READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS and
/// ALTER_CONFIGS, as the bits of Kafka's `AclOperation`.
const GROUP_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;

/// How a shard is asked.
#[derive(Debug, Clone, Copy, Default)]
struct Manner {
    /// Whoever asks goes on in the same write-ahead log.
    in_order: bool,
    /// See [`Call::Request`].
    guard: Option<Guard>,
    /// After so long it is told that no coordinator is available, as in Kafka; what was asked for may yet be done.
    patience: Option<Duration>,
}

impl Manner {
    fn patient(patience: Duration) -> Self {
        Self { patience: Some(patience), ..Self::default() }
    }
}

/// Asks a shard.
async fn ask(shared: &Shared, handle: Option<Handle>, request: Request, asking: Manner) -> ResponseKind {
    let Manner { in_order, guard, patience } = asking;
    let (kind, version) = (request.kind.clone(), request.version);
    let failed = |code: Code| refused(&kind, version, code);
    let Some(handle) = handle else { return failed(Code::NotCoordinator) };
    // Its task is gone: this broker leads the partition no more.
    if handle.calls.is_closed() {
        return failed(Code::NotCoordinator);
    }
    if !handle.is_loaded() {
        // A heartbeat is none the worse for it, as in Kafka: its member stays.
        return match kind {
            RequestKind::Heartbeat(_) => ResponseKind::Heartbeat(HeartbeatResponse::default()),
            _ => failed(Code::CoordinatorLoadInProgress),
        };
    }
    let (answer, answered) = oneshot::channel();
    let request = Box::new(request);
    let asking = async {
        handle.calls.send(Call::Request { request, in_order, guard, answer }).await.ok()?;
        answered.await.ok()
    };
    let answered = match patience {
        None => asking.await,
        Some(patience) => match shared.clock.timeout(patience, asking).await {
            Some(answered) => answered,
            None => return failed(Code::CoordinatorNotAvailable),
        },
    };
    answered.unwrap_or_else(|| failed(Code::NotCoordinator))
}

fn refused(kind: &RequestKind, version: i16, code: Code) -> ResponseKind {
    // Only coordinators' requests are routed here.
    refusal(kind, version, code.code())
        .unwrap_or(ResponseKind::Heartbeat(HeartbeatResponse::default().with_error_code(code.code())))
}

/// Asks the coordinator of a transaction, for somebody who goes on in the same write-ahead log.
pub(super) async fn ask_transaction(
    shared: &Shared,
    transactional_id: &str,
    version: i16,
    kind: RequestKind,
) -> ResponseKind {
    let client = Client { id: "".into(), host: "".into() };
    let request = Request { token: shared.token(), client, version, kind };
    let handle = shared.transactions.holds(transactional_id);
    ask(shared, handle, request, Manner { in_order: true, ..Manner::patient(TRANSACTION_ANSWER) }).await
}

/// One asker's request, to be handed to shards.
struct Asking<'a> {
    shared: &'a Shared,
    client: Client,
    version: i16,
}

impl Asking<'_> {
    fn request(&self, kind: RequestKind) -> Request {
        Request { token: self.shared.token(), client: self.client.clone(), version: self.version, kind }
    }

    async fn group(&self, group: &str, kind: RequestKind) -> ResponseKind {
        // These wait for other members.
        let waits = matches!(kind, RequestKind::JoinGroup(_) | RequestKind::SyncGroup(_));
        let manner = if waits { Manner::default() } else { Manner::patient(GROUP_ANSWER) };
        ask(self.shared, self.shared.groups.holds(group), self.request(kind), manner).await
    }

    async fn transaction(&self, id: &str, kind: RequestKind) -> ResponseKind {
        let handle = self.shared.transactions.holds(id);
        ask(self.shared, handle, self.request(kind), Manner::patient(TRANSACTION_ANSWER)).await
    }

    /// Asks each shard of a topic.
    async fn each(&self, all: Vec<Handle>, kind: &RequestKind, patience: Duration) -> Vec<ResponseKind> {
        let asked = all.into_iter().map(|handle| {
            ask(self.shared, Some(handle), self.request(kind.clone()), Manner::patient(patience))
        });
        join_all(asked).await
    }
}

/// Asks for each part by itself, and takes what each answer lists.
macro_rules! apart {
    ($parts:expr, $ask:expr, $kind:ident, $list:ident) => {{
        let answers = join_all($parts.into_iter().map($ask)).await;
        answers
            .into_iter()
            .flat_map(|answer| match answer {
                ResponseKind::$kind(response) => response.$list,
                _ => Vec::new(),
            })
            .collect::<Vec<_>>()
    }};
}

impl Coordinators {
    /// Answers a request to a group's or a transaction's coordinator; `None` for any other request.
    pub async fn coordinate(&self, client: Client, version: i16, kind: RequestKind) -> Option<ResponseKind> {
        let asking = &Asking { shared: &self.shared, client, version };
        // What can't be is refused whoever would coordinate it.
        if let RequestKind::InitProducerId(request) = &kind
            && request.transactional_id.as_ref().is_some_and(|id| id.is_empty())
        {
            return Some(refused(&kind, version, Code::InvalidRequest));
        }
        let one_group = match &kind {
            RequestKind::JoinGroup(request) => Some(&request.group_id),
            RequestKind::SyncGroup(request) => Some(&request.group_id),
            RequestKind::Heartbeat(request) => Some(&request.group_id),
            RequestKind::LeaveGroup(request) => Some(&request.group_id),
            RequestKind::OffsetCommit(request) => Some(&request.group_id),
            RequestKind::OffsetDelete(request) => Some(&request.group_id),
            RequestKind::ConsumerGroupHeartbeat(request) => Some(&request.group_id),
            RequestKind::OffsetFetch(request) if version < FETCH_GROUPS_FROM => Some(&request.group_id),
            _ => None,
        };
        if let Some(group) = one_group {
            let group = group.0.clone();
            return Some(asking.group(&group, kind).await);
        }
        let one_transaction = match &kind {
            RequestKind::InitProducerId(request) => request.transactional_id.as_ref(),
            RequestKind::AddOffsetsToTxn(request) => Some(&request.transactional_id),
            RequestKind::EndTxn(request) => Some(&request.transactional_id),
            RequestKind::AddPartitionsToTxn(request) if version < ADD_BATCHED_FROM => {
                Some(&request.v3_and_below_transactional_id)
            }
            _ => None,
        };
        if let Some(id) = one_transaction {
            let id = id.0.clone();
            return Some(asking.transaction(&id, kind).await);
        }
        Some(match kind {
            RequestKind::TxnOffsetCommit(request) => self.commit_in_transaction(asking, request).await,
            RequestKind::ListGroups(_) => list_groups(asking, &kind).await,
            RequestKind::ListTransactions(_) => list_transactions(asking, &kind).await,
            RequestKind::OffsetFetch(request) => {
                let one = |group: kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup| {
                    let id = group.group_id.0.clone();
                    let part = RequestKind::OffsetFetch(request.clone().with_groups(vec![group]));
                    async move { asking.group(&id, part).await }
                };
                let groups = apart!(request.groups.clone(), one, OffsetFetch, groups);
                ResponseKind::OffsetFetch(OffsetFetchResponse::default().with_groups(groups))
            }
            RequestKind::DescribeGroups(request) => {
                let one = |id: kafka_protocol::messages::GroupId| {
                    let part = RequestKind::DescribeGroups(request.clone().with_groups(vec![id.clone()]));
                    async move { asking.group(&id.0, part).await }
                };
                let mut groups = apart!(request.groups.clone(), one, DescribeGroups, groups);
                for group in groups.iter_mut().filter(|group| group.error_code == 0) {
                    if request.include_authorized_operations {
                        group.authorized_operations = GROUP_OPERATIONS;
                    }
                }
                ResponseKind::DescribeGroups(DescribeGroupsResponse::default().with_groups(groups))
            }
            RequestKind::ConsumerGroupDescribe(request) => {
                let one = |id: kafka_protocol::messages::GroupId| {
                    let part =
                        RequestKind::ConsumerGroupDescribe(request.clone().with_group_ids(vec![id.clone()]));
                    async move { asking.group(&id.0, part).await }
                };
                let mut groups = apart!(request.group_ids.clone(), one, ConsumerGroupDescribe, groups);
                for group in groups.iter_mut().filter(|group| group.error_code == 0) {
                    if request.include_authorized_operations {
                        group.authorized_operations = GROUP_OPERATIONS;
                    }
                }
                ResponseKind::ConsumerGroupDescribe(
                    ConsumerGroupDescribeResponse::default().with_groups(groups),
                )
            }
            RequestKind::DeleteGroups(request) => {
                let one = |id: kafka_protocol::messages::GroupId| {
                    let part = RequestKind::DeleteGroups(request.clone().with_groups_names(vec![id.clone()]));
                    async move { asking.group(&id.0, part).await }
                };
                // One that is named twice is deleted once.
                let mut names = Vec::with_capacity(request.groups_names.len());
                let mut named = BTreeSet::new();
                names
                    .extend(request.groups_names.iter().filter(|name| named.insert(name.0.clone())).cloned());
                let results = apart!(names, one, DeleteGroups, results);
                ResponseKind::DeleteGroups(DeleteGroupsResponse::default().with_results(results))
            }
            RequestKind::AddPartitionsToTxn(request) => {
                let one = |transaction: kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTransaction| {
                    let id = transaction.transactional_id.0.clone();
                    let part =
                        RequestKind::AddPartitionsToTxn(request.clone().with_transactions(vec![transaction]));
                    async move { asking.transaction(&id, part).await }
                };
                let results =
                    apart!(request.transactions.clone(), one, AddPartitionsToTxn, results_by_transaction);
                ResponseKind::AddPartitionsToTxn(
                    AddPartitionsToTxnResponse::default().with_results_by_transaction(results),
                )
            }
            RequestKind::DescribeTransactions(request) => {
                let one = |id: kafka_protocol::messages::TransactionalId| {
                    let part = RequestKind::DescribeTransactions(
                        request.clone().with_transactional_ids(vec![id.clone()]),
                    );
                    async move { asking.transaction(&id.0, part).await }
                };
                let states =
                    apart!(request.transactional_ids.clone(), one, DescribeTransactions, transaction_states);
                ResponseKind::DescribeTransactions(
                    DescribeTransactionsResponse::default().with_transaction_states(states),
                )
            }
            _ => return None,
        })
    }

    /// Commits offsets within a transaction, which the partition of the group's offsets joins first, or is asked whether
    /// it has (KIP-890).
    async fn commit_in_transaction(
        &self,
        asking: &Asking<'_>,
        request: TxnOffsetCommitRequest,
    ) -> ResponseKind {
        let (group, version) = (request.group_id.0.clone(), asking.version);
        let (producer, epoch) = (request.producer_id.0, request.producer_epoch);
        let exists = |topic: &str, partition: i32| {
            let topic = self.shared.cluster.topic(topic);
            topic.is_some_and(|topic| u32::try_from(partition).is_ok_and(|index| index < topic.partitions))
        };
        let refuse = |request, code| refuse_commit(&request, exists, code);
        let asks = |topic: &TxnOffsetCommitRequestTopic| {
            topic.partitions.iter().any(|partition| exists(&topic.name, partition.partition_index))
        };
        // What does not exist joins no transaction.
        if !request.topics.iter().any(asks) {
            return refuse(request, Code::UnknownTopicOrPartition);
        }
        let Some(handle) = self.shared.groups.holds(&group) else {
            return refuse(request, Code::NotCoordinator);
        };
        let joins = version >= OFFSETS_JOIN_FROM;
        // Offsets have no sequence numbers.
        let guard = match handle.log.verify(producer, epoch, -1, joins) {
            Ok(guard) => guard,
            Err(error) => return refuse(request, append_code(&error)),
        };
        if guard.is_some() && handle.is_loaded() {
            let how = if joins { Enrolment::Add } else { Enrolment::Verify };
            let partition = handle.partition.cast_signed();
            let id = request.transactional_id.0.clone();
            let joined = self
                .shared
                .enrol(&id, producer, epoch, vec![(CONSUMER_OFFSETS.into(), partition)], how)
                .await;
            if let Some(Err(code)) = joined.first() {
                return refuse(request, commit_code(*code, version));
            }
        }
        let request = asking.request(RequestKind::TxnOffsetCommit(request));
        let manner = Manner { guard, ..Manner::patient(GROUP_ANSWER) };
        ask(asking.shared, Some(handle), request, manner).await
    }

    /// Appends a transaction marker to a partition that this broker leads. Returns the partition, and the slot that it
    /// is durable with, if it is not yet.
    ///
    /// # Errors
    /// See [`Unwritten`].
    pub async fn write_marker(
        &self,
        topic: &str,
        partition: i32,
        marker: Marker,
    ) -> Result<(Arc<PartitionLog>, Option<Slot>), Unwritten> {
        markers::write(&self.shared, topic, partition, marker).await
    }
}

/// Refuses to commit any offset in a transaction. Partitions that don't exist say so, and come first, as in Kafka.
fn refuse_commit(
    request: &TxnOffsetCommitRequest,
    exists: impl Fn(&str, i32) -> bool,
    code: Code,
) -> ResponseKind {
    let mut topics: Vec<TxnOffsetCommitResponseTopic> = Vec::new();
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
            match topics.iter_mut().find(|told| told.name == topic.name) {
                Some(told) => told.partitions.extend(partitions),
                None if partitions.is_empty() => {}
                None => topics.push(
                    TxnOffsetCommitResponseTopic::default()
                        .with_name(topic.name.clone())
                        .with_partitions(partitions),
                ),
            }
        }
    }
    ResponseKind::TxnOffsetCommit(TxnOffsetCommitResponse::default().with_topics(topics))
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

async fn list_groups(asking: &Asking<'_>, kind: &RequestKind) -> ResponseKind {
    let (all, complete) = asking.shared.groups.all();
    let mut listed = ListGroupsResponse::default();
    if !complete {
        // A partition is not open: what is in it nobody knows now.
        listed.error_code = Code::CoordinatorNotAvailable.code();
    }
    for answer in asking.each(all, kind, GROUP_ANSWER).await {
        let ResponseKind::ListGroups(one) = answer else { continue };
        // Shards that have gone meanwhile have no groups here any more.
        if one.error_code != 0 && one.error_code != Code::NotCoordinator.code() {
            listed.error_code = one.error_code;
        }
        listed.groups.extend(one.groups);
    }
    ResponseKind::ListGroups(listed)
}

async fn list_transactions(asking: &Asking<'_>, kind: &RequestKind) -> ResponseKind {
    let (all, complete) = asking.shared.transactions.all();
    let mut listed = ListTransactionsResponse::default();
    if !complete {
        listed.error_code = Code::CoordinatorNotAvailable.code();
    }
    for answer in asking.each(all, kind, TRANSACTION_ANSWER).await {
        let ResponseKind::ListTransactions(one) = answer else { continue };
        if one.error_code != 0 && one.error_code != Code::NotCoordinator.code() {
            listed.error_code = one.error_code;
        }
        for filter in one.unknown_state_filters {
            if !listed.unknown_state_filters.contains(&filter) {
                listed.unknown_state_filters.push(filter);
            }
        }
        listed.transaction_states.extend(one.transaction_states);
    }
    ResponseKind::ListTransactions(listed)
}
