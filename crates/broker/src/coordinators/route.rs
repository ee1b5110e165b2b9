//! Finding the shard that a request is for. Requests that name several groups or transactions are taken apart, so that
//! a shard sees its own only, and their answers are put together in the order in which they were asked for.

use super::shard::{Call, Handle};
use super::{Coordinators, Marker, Shared, Unwritten, markers};
use crate::batch::compose::NO_SEQUENCE;
use crate::errors::Code;
use crate::handlers::operations::GROUP_OPERATIONS;
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
use std::mem::take;
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

/// Asks for each part by itself: `$request` is made of `$part`, for the coordinator of `$id`. Gives what the answers list,
/// one after the other.
macro_rules! apart {
    ($asking:ident.$coordinator:ident, $kind:ident.$list:ident, $parts:expr, |$part:ident| $id:expr, $request:expr) => {{
        let asked = $parts.into_iter().map(|$part| {
            let id = $id.clone();
            let request = RequestKind::$kind($request);
            async move { $asking.$coordinator(&id, request).await }
        });
        let answers = join_all(asked).await.into_iter().map(|answer| match answer {
            ResponseKind::$kind(response) => response.$list,
            _ => Vec::new(),
        });
        answers.flatten().collect::<Vec<_>>()
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
            // What names the parts is taken out first: the rest is repeated for each of them.
            RequestKind::OffsetFetch(mut request) => {
                let asked = take(&mut request.groups);
                let groups = apart!(
                    asking.group,
                    OffsetFetch.groups,
                    asked,
                    |group| group.group_id.0,
                    request.clone().with_groups(vec![group])
                );
                OffsetFetchResponse::default().with_groups(groups).into()
            }
            RequestKind::DescribeGroups(mut request) => {
                let asked = take(&mut request.groups);
                let mut groups = apart!(
                    asking.group,
                    DescribeGroups.groups,
                    asked,
                    |id| id.0,
                    request.clone().with_groups(vec![id])
                );
                for group in groups.iter_mut().filter(|group| group.error_code == 0) {
                    if request.include_authorized_operations {
                        group.authorized_operations = GROUP_OPERATIONS;
                    }
                }
                DescribeGroupsResponse::default().with_groups(groups).into()
            }
            RequestKind::ConsumerGroupDescribe(mut request) => {
                let asked = take(&mut request.group_ids);
                let mut groups = apart!(
                    asking.group,
                    ConsumerGroupDescribe.groups,
                    asked,
                    |id| id.0,
                    request.clone().with_group_ids(vec![id])
                );
                for group in groups.iter_mut().filter(|group| group.error_code == 0) {
                    if request.include_authorized_operations {
                        group.authorized_operations = GROUP_OPERATIONS;
                    }
                }
                ConsumerGroupDescribeResponse::default().with_groups(groups).into()
            }
            RequestKind::DeleteGroups(mut request) => {
                // One that is named twice is deleted once.
                let (mut asked, mut named) = (take(&mut request.groups_names), BTreeSet::new());
                asked.retain(|id| named.insert(id.0.clone()));
                let results = apart!(
                    asking.group,
                    DeleteGroups.results,
                    asked,
                    |id| id.0,
                    request.clone().with_groups_names(vec![id])
                );
                DeleteGroupsResponse::default().with_results(results).into()
            }
            RequestKind::AddPartitionsToTxn(mut request) => {
                let asked = take(&mut request.transactions);
                let results = apart!(
                    asking.transaction,
                    AddPartitionsToTxn.results_by_transaction,
                    asked,
                    |transaction| transaction.transactional_id.0,
                    request.clone().with_transactions(vec![transaction])
                );
                AddPartitionsToTxnResponse::default().with_results_by_transaction(results).into()
            }
            RequestKind::DescribeTransactions(mut request) => {
                let asked = take(&mut request.transactional_ids);
                let states = apart!(
                    asking.transaction,
                    DescribeTransactions.transaction_states,
                    asked,
                    |id| id.0,
                    request.clone().with_transactional_ids(vec![id])
                );
                DescribeTransactionsResponse::default().with_transaction_states(states).into()
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
            self.shared.cluster.topic(topic).is_some_and(|topic| topic.has(partition))
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
        let guard = match handle.log.verify(producer, epoch, NO_SEQUENCE, joins) {
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

/// The code of a list that the answers of all shards are put together to. Shards that have gone meanwhile have nothing
/// here any more; what is in a partition that is not open nobody knows now.
fn list_code(complete: bool, codes: impl Iterator<Item = i16>) -> i16 {
    let counts = |code: &i16| *code != 0 && *code != Code::NotCoordinator.code();
    codes.filter(counts).last().unwrap_or(if complete { 0 } else { Code::CoordinatorNotAvailable.code() })
}

async fn list_groups(asking: &Asking<'_>, kind: &RequestKind) -> ResponseKind {
    let (all, complete) = asking.shared.groups.all();
    let (mut listed, mut codes) = (ListGroupsResponse::default(), Vec::new());
    for answer in asking.each(all, kind, GROUP_ANSWER).await {
        let ResponseKind::ListGroups(one) = answer else { continue };
        codes.push(one.error_code);
        listed.groups.extend(one.groups);
    }
    listed.with_error_code(list_code(complete, codes.into_iter())).into()
}

async fn list_transactions(asking: &Asking<'_>, kind: &RequestKind) -> ResponseKind {
    let (all, complete) = asking.shared.transactions.all();
    let (mut listed, mut codes) = (ListTransactionsResponse::default(), Vec::new());
    for answer in asking.each(all, kind, TRANSACTION_ANSWER).await {
        let ResponseKind::ListTransactions(one) = answer else { continue };
        codes.push(one.error_code);
        for filter in one.unknown_state_filters {
            if !listed.unknown_state_filters.contains(&filter) {
                listed.unknown_state_filters.push(filter);
            }
        }
        listed.transaction_states.extend(one.transaction_states);
    }
    listed.with_error_code(list_code(complete, codes.into_iter())).into()
}
