//! Finding the shard that a request is for. Requests that name several groups or transactions are taken apart, so that
//! a shard sees its own only, and their answers are put together in the order in which they were asked for.

use super::shard::{Call, Handle};
use super::{Coordinators, Marker, Shared, Unwritten, committing, markers};
use crate::errors::Code;
use crate::handlers::named::Named;
use crate::handlers::operations::GROUP_OPERATIONS;
use crate::partition::PartitionLog;
use crate::partition::verifications::Guard;
use futures::{StreamExt, stream};
use kafka_protocol::messages::{
    AddPartitionsToTxnResponse, ConsumerGroupDescribeResponse, DeleteGroupsResponse, DescribeGroupsResponse,
    DescribeTransactionsResponse, HeartbeatResponse, JoinGroupRequest, ListGroupsRequest, ListGroupsResponse,
    ListTransactionsRequest, ListTransactionsResponse, OffsetFetchResponse, RequestKind, ResponseKind,
    SyncGroupRequest,
};
use levee_base::Slot;
use levee_base::clock::Instant;
use levee_base::limits::{
    COORDINATOR_FILTERS, COORDINATOR_PARTS_AT_ONCE, COORDINATOR_SHARDS_AT_ONCE, GROUP_ANSWER,
    TRANSACTION_ANSWER,
};
use levee_coordinator::refusal::refusal;
use levee_coordinator::{Client, Request};
use std::collections::BTreeSet;
use std::mem::take;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// The first version of OffsetFetch that asks for several groups (KIP-709).
const FETCH_GROUPS_FROM: i16 = 8;
/// The first version of AddPartitionsToTxn that names several transactions (KIP-890).
const ADD_BATCHED_FROM: i16 = 4;

/// How a shard is asked.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Manner {
    /// Whoever asks goes on in the same write-ahead log.
    pub(super) in_order: bool,
    /// See [`Call::Request`].
    pub(super) guard: Option<Guard>,
    /// After so long it is told that no coordinator is available, as in Kafka; what was asked for may yet be done.
    pub(super) patience: Option<Duration>,
}

impl Manner {
    pub(super) fn patient(patience: Duration) -> Self {
        Self { patience: Some(patience), ..Self::default() }
    }
}

/// Asks a shard.
pub(super) async fn ask(
    shared: &Shared,
    handle: Option<Handle>,
    request: Request,
    asking: Manner,
) -> ResponseKind {
    let Manner { in_order, guard, patience } = asking;
    let version = request.version;
    let ready = handle.ok_or(Code::NotCoordinator).and_then(|handle| handle.ready().map(|()| handle));
    let handle = match (ready, &request.kind) {
        (Ok(handle), _) => handle,
        // A heartbeat is none the worse for a shard that is being loaded, as in Kafka: its member stays.
        (Err(Code::CoordinatorLoadInProgress), RequestKind::Heartbeat(_)) => {
            return ResponseKind::Heartbeat(HeartbeatResponse::default());
        }
        (Err(code), kind) => return refused(kind, version, code),
    };
    let deadline = patience.map(|patience| shared.clock.now() + patience);
    // One that waits for its turn is there once.
    let turn = match within(shared, deadline, handle.calls.reserve()).await {
        Some(Ok(turn)) => turn,
        Some(Err(_)) => return refused(&request.kind, version, Code::NotCoordinator),
        None => return refused(&request.kind, version, Code::CoordinatorNotAvailable),
    };
    let (answer, answered) = oneshot::channel();
    let kind = what_a_refusal_needs(&request.kind);
    turn.send(Call::Request { request: Box::new(request), in_order, guard, answer });
    match within(shared, deadline, answered).await {
        Some(Ok(answer)) => answer,
        Some(Err(_)) => refused(&kind, version, Code::NotCoordinator),
        None => refused(&kind, version, Code::CoordinatorNotAvailable),
    }
}

/// Until the deadline, if there is one; `None` when it was over first, and then nothing is begun.
async fn within<F: Future>(shared: &Shared, deadline: Option<Instant>, future: F) -> Option<F::Output> {
    let Some(deadline) = deadline else { return Some(future.await) };
    let left = deadline.saturating_duration_since(shared.clock.now());
    if left.is_zero() { None } else { shared.clock.timeout(left, future).await }
}

/// A request without what its refusal does not repeat, where that may be much: it is kept until the answer comes.
fn what_a_refusal_needs(kind: &RequestKind) -> RequestKind {
    match kind {
        RequestKind::JoinGroup(request) => {
            RequestKind::JoinGroup(JoinGroupRequest::default().with_member_id(request.member_id.clone()))
        }
        RequestKind::SyncGroup(_) => RequestKind::SyncGroup(SyncGroupRequest::default()),
        RequestKind::ListGroups(_) => RequestKind::ListGroups(ListGroupsRequest::default()),
        RequestKind::ListTransactions(_) => RequestKind::ListTransactions(ListTransactionsRequest::default()),
        kind => kind.clone(),
    }
}

/// The answer that says only `code`.
pub(super) fn refused(kind: &RequestKind, version: i16, code: Code) -> ResponseKind {
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
pub(super) struct Asking<'a> {
    pub(super) shared: &'a Shared,
    pub(super) client: Client,
    pub(super) version: i16,
    /// When it came.
    pub(super) since: Instant,
}

impl Asking<'_> {
    pub(super) fn request(&self, kind: RequestKind) -> Request {
        Request { token: self.shared.token(), client: self.client.clone(), version: self.version, kind }
    }

    async fn group(&self, group: &str, kind: RequestKind) -> ResponseKind {
        // These wait for other members.
        let waits = matches!(kind, RequestKind::JoinGroup(_) | RequestKind::SyncGroup(_));
        let manner = if waits { Manner::default() } else { self.patient(GROUP_ANSWER) };
        ask(self.shared, self.shared.groups.holds(group), self.request(kind), manner).await
    }

    async fn transaction(&self, id: &str, kind: RequestKind) -> ResponseKind {
        let handle = self.shared.transactions.holds(id);
        ask(self.shared, handle, self.request(kind), self.patient(TRANSACTION_ANSWER)).await
    }

    /// However many parts the request has, and however few of them are asked for at once: what is asked for last has no
    /// longer than what was first.
    fn patient(&self, patience: Duration) -> Manner {
        let passed = self.shared.clock.now().saturating_duration_since(self.since);
        Manner::patient(patience.saturating_sub(passed))
    }

    /// Asks each shard of a topic; a few at a time where the request, which each gets whole, is large.
    async fn each(&self, all: Vec<Handle>, kind: &RequestKind, patience: Duration) -> Vec<ResponseKind> {
        let filters = match kind {
            RequestKind::ListGroups(request) => request.states_filter.len() + request.types_filter.len(),
            RequestKind::ListTransactions(request) => {
                request.state_filters.len() + request.producer_id_filters.len()
            }
            _ => 0,
        };
        let at_once =
            if filters > COORDINATOR_FILTERS { COORDINATOR_SHARDS_AT_ONCE } else { all.len().max(1) };
        let asked = all
            .into_iter()
            .map(|handle| ask(self.shared, Some(handle), self.request(kind.clone()), self.patient(patience)));
        stream::iter(asked).buffered(at_once).collect().await
    }
}

/// Asks for each part by itself, some at a time: `$request` is made of `$part`, for the coordinator of `$id`. Gives what the
/// answers list, one after the other. What is named too often is refused: each time it is answered in full, and all is held
/// until the last is there.
macro_rules! apart {
    ($asking:ident.$coordinator:ident, $kind:ident.$list:ident, $parts:expr, |$part:ident| $id:expr, $request:expr) => {{
        let mut named = Named::new();
        let asked = $parts.into_iter().map(|$part| {
            let id = $id.clone();
            let too_often = named.too_often(id.clone());
            let request = RequestKind::$kind($request);
            async move {
                // Many are answered without waiting for anybody.
                tokio::task::consume_budget().await;
                if too_often {
                    return refused(&request, $asking.version, Code::InvalidRequest);
                }
                $asking.$coordinator(&id, request).await
            }
        });
        let mut answers = pin!(stream::iter(asked).buffered(COORDINATOR_PARTS_AT_ONCE));
        let mut list = Vec::new();
        while let Some(answer) = answers.next().await {
            if let ResponseKind::$kind(response) = answer {
                list.extend(response.$list);
            }
        }
        list
    }};
}

impl Coordinators {
    /// Answers a request to a group's or a transaction's coordinator; `None` for any other request.
    pub async fn coordinate(&self, client: Client, version: i16, kind: RequestKind) -> Option<ResponseKind> {
        let asking = &Asking { shared: &self.shared, client, version, since: self.shared.clock.now() };
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
            RequestKind::TxnOffsetCommit(request) => committing::commit(asking, request).await,
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
    let mut unknown = BTreeSet::new();
    for answer in asking.each(all, kind, TRANSACTION_ANSWER).await {
        let ResponseKind::ListTransactions(one) = answer else { continue };
        codes.push(one.error_code);
        for filter in one.unknown_state_filters {
            if unknown.insert(filter.clone()) {
                listed.unknown_state_filters.push(filter);
            }
        }
        listed.transaction_states.extend(one.transaction_states);
    }
    listed.with_error_code(list_code(complete, codes.into_iter())).into()
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;
