//! The answer to a request that could not be looked at: no coordinator for it is here, or not yet.
//!
//! Each API has its own place for an error: one for all, one a group, or one a partition, by its version.

use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::consumer_group_describe_response as consumer_described;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::DescribedGroup;
use kafka_protocol::messages::describe_transactions_response::TransactionState;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponseTopic,
};
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnResponse, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
    ConsumerGroupDescribeResponse, ConsumerGroupHeartbeatResponse, DeleteGroupsResponse,
    DescribeGroupsResponse, DescribeTransactionsResponse, EndTxnResponse, HeartbeatResponse,
    InitProducerIdResponse, JoinGroupResponse, LeaveGroupResponse, ListGroupsResponse,
    ListTransactionsResponse, OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteResponse,
    OffsetFetchRequest, OffsetFetchResponse, ProducerId, RequestKind, ResponseKind, SyncGroupResponse,
    TxnOffsetCommitRequest, TxnOffsetCommitResponse, add_partitions_to_txn_request,
};
use kafka_protocol::protocol::StrBytes;

/// The first version of OffsetFetch that has one error for all, and the first that asks for several groups.
const FETCH_ERROR_FROM: i16 = 2;
const FETCH_GROUPS_FROM: i16 = 8;
/// The first version of AddPartitionsToTxn that names several transactions.
const ADD_BATCHED_FROM: i16 = 4;
/// The first version of JoinGroup in which the protocol's name may be null.
const JOIN_NULL_PROTOCOL_FROM: i16 = 7;

/// The answer to `request` of `version` that says only `code`. `None` for a request that is no coordinator's.
#[must_use]
pub fn refusal(request: &RequestKind, version: i16, code: i16) -> Option<ResponseKind> {
    Some(match request {
        RequestKind::JoinGroup(request) => {
            let protocol = (version < JOIN_NULL_PROTOCOL_FROM).then(StrBytes::default);
            ResponseKind::JoinGroup(
                JoinGroupResponse::default()
                    .with_error_code(code)
                    .with_generation_id(-1)
                    .with_member_id(request.member_id.clone())
                    .with_protocol_name(protocol),
            )
        }
        RequestKind::SyncGroup(_) => {
            ResponseKind::SyncGroup(SyncGroupResponse::default().with_error_code(code))
        }
        RequestKind::Heartbeat(_) => {
            ResponseKind::Heartbeat(HeartbeatResponse::default().with_error_code(code))
        }
        RequestKind::LeaveGroup(_) => {
            ResponseKind::LeaveGroup(LeaveGroupResponse::default().with_error_code(code))
        }
        RequestKind::OffsetCommit(request) => ResponseKind::OffsetCommit(offset_commit(request, code)),
        RequestKind::OffsetFetch(request) => ResponseKind::OffsetFetch(offset_fetch(request, version, code)),
        RequestKind::OffsetDelete(_) => {
            ResponseKind::OffsetDelete(OffsetDeleteResponse::default().with_error_code(code))
        }
        RequestKind::TxnOffsetCommit(request) => {
            ResponseKind::TxnOffsetCommit(txn_offset_commit(request, code))
        }
        RequestKind::DescribeGroups(request) => {
            let group =
                |id: &_| DescribedGroup::default().with_group_id(Clone::clone(id)).with_error_code(code);
            let groups = request.groups.iter().map(group).collect();
            ResponseKind::DescribeGroups(DescribeGroupsResponse::default().with_groups(groups))
        }
        RequestKind::ListGroups(_) => {
            ResponseKind::ListGroups(ListGroupsResponse::default().with_error_code(code))
        }
        RequestKind::DeleteGroups(request) => {
            let group = |id: &_| {
                DeletableGroupResult::default().with_group_id(Clone::clone(id)).with_error_code(code)
            };
            let results = request.groups_names.iter().map(group).collect();
            ResponseKind::DeleteGroups(DeleteGroupsResponse::default().with_results(results))
        }
        RequestKind::ConsumerGroupHeartbeat(_) => ResponseKind::ConsumerGroupHeartbeat(
            ConsumerGroupHeartbeatResponse::default().with_error_code(code),
        ),
        RequestKind::ConsumerGroupDescribe(request) => {
            let group = |id: &_| {
                consumer_described::DescribedGroup::default()
                    .with_group_id(Clone::clone(id))
                    .with_error_code(code)
            };
            let groups = request.group_ids.iter().map(group).collect();
            ResponseKind::ConsumerGroupDescribe(ConsumerGroupDescribeResponse::default().with_groups(groups))
        }
        RequestKind::InitProducerId(_) => ResponseKind::InitProducerId(
            InitProducerIdResponse::default()
                .with_error_code(code)
                .with_producer_id(ProducerId(-1))
                .with_producer_epoch(-1),
        ),
        RequestKind::AddPartitionsToTxn(request) => {
            ResponseKind::AddPartitionsToTxn(add_partitions(request, version, code))
        }
        RequestKind::AddOffsetsToTxn(_) => {
            ResponseKind::AddOffsetsToTxn(AddOffsetsToTxnResponse::default().with_error_code(code))
        }
        RequestKind::EndTxn(_) => ResponseKind::EndTxn(
            EndTxnResponse::default()
                .with_error_code(code)
                .with_producer_id(ProducerId(-1))
                .with_producer_epoch(-1),
        ),
        RequestKind::DescribeTransactions(request) => {
            let state = |id: &_| {
                TransactionState::default().with_transactional_id(Clone::clone(id)).with_error_code(code)
            };
            let states = request.transactional_ids.iter().map(state).collect();
            ResponseKind::DescribeTransactions(
                DescribeTransactionsResponse::default().with_transaction_states(states),
            )
        }
        RequestKind::ListTransactions(_) => {
            ResponseKind::ListTransactions(ListTransactionsResponse::default().with_error_code(code))
        }
        _ => return None,
    })
}

fn offset_commit(request: &OffsetCommitRequest, code: i16) -> OffsetCommitResponse {
    let topics = request.topics.iter().map(|topic| {
        let partition = |index| {
            OffsetCommitResponsePartition::default().with_partition_index(index).with_error_code(code)
        };
        let partitions = topic.partitions.iter().map(|asked| partition(asked.partition_index));
        OffsetCommitResponseTopic::default()
            .with_name(topic.name.clone())
            .with_topic_id(topic.topic_id)
            .with_partitions(partitions.collect())
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}

fn txn_offset_commit(request: &TxnOffsetCommitRequest, code: i16) -> TxnOffsetCommitResponse {
    let topics = request.topics.iter().map(|topic| {
        let partition = |index| {
            TxnOffsetCommitResponsePartition::default().with_partition_index(index).with_error_code(code)
        };
        let partitions = topic.partitions.iter().map(|asked| partition(asked.partition_index));
        TxnOffsetCommitResponseTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    TxnOffsetCommitResponse::default().with_topics(topics.collect())
}

fn offset_fetch(request: &OffsetFetchRequest, version: i16, code: i16) -> OffsetFetchResponse {
    let response = OffsetFetchResponse::default();
    if version >= FETCH_GROUPS_FROM {
        let group = |id: &_| {
            OffsetFetchResponseGroup::default().with_group_id(Clone::clone(id)).with_error_code(code)
        };
        return response.with_groups(request.groups.iter().map(|asked| group(&asked.group_id)).collect());
    }
    if version >= FETCH_ERROR_FROM {
        return response.with_error_code(code);
    }
    let topics = request.topics.iter().flatten().map(|topic| {
        let partition = |index: &i32| {
            OffsetFetchResponsePartition::default()
                .with_partition_index(*index)
                .with_committed_offset(-1)
                .with_metadata(Some(StrBytes::default()))
                .with_error_code(code)
        };
        OffsetFetchResponseTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(topic.partition_indexes.iter().map(partition).collect())
    });
    response.with_topics(topics.collect())
}

fn add_partitions(
    request: &AddPartitionsToTxnRequest,
    version: i16,
    code: i16,
) -> AddPartitionsToTxnResponse {
    let results = |topics: &[add_partitions_to_txn_request::AddPartitionsToTxnTopic]| {
        let topic = |topic: &add_partitions_to_txn_request::AddPartitionsToTxnTopic| {
            let partition = |index: &i32| {
                AddPartitionsToTxnPartitionResult::default()
                    .with_partition_index(*index)
                    .with_partition_error_code(code)
            };
            AddPartitionsToTxnTopicResult::default()
                .with_name(topic.name.clone())
                .with_results_by_partition(topic.partitions.iter().map(partition).collect())
        };
        topics.iter().map(topic).collect::<Vec<_>>()
    };
    let response = AddPartitionsToTxnResponse::default();
    if version < ADD_BATCHED_FROM {
        return response.with_results_by_topic_v3_and_below(results(&request.v3_and_below_topics));
    }
    let transactions = request.transactions.iter().map(|transaction| {
        AddPartitionsToTxnResult::default()
            .with_transactional_id(transaction.transactional_id.clone())
            .with_topic_results(results(&transaction.topics))
    });
    response.with_results_by_transaction(transactions.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopic};
    use kafka_protocol::messages::{ApiKey, MetadataRequest};

    #[test]
    fn every_version_of_an_api_can_say_it() {
        for api in ApiKey::iter() {
            let crates = api.valid_versions();
            for version in crates.min..=crates.max {
                // A request of zeros decodes in no version, so each is a default one.
                let Some(request) = default_request(api) else { continue };
                let response = refusal(&request, version, 14).unwrap();
                response
                    .encode(&mut BytesMut::new(), version)
                    .unwrap_or_else(|e| panic!("{api:?} {version}: {e}"));
            }
        }
        assert_eq!(refusal(&RequestKind::Metadata(MetadataRequest::default()), 1, 14), None);
    }

    fn default_request(api: ApiKey) -> Option<RequestKind> {
        Some(match api {
            ApiKey::JoinGroup => RequestKind::JoinGroup(Default::default()),
            ApiKey::SyncGroup => RequestKind::SyncGroup(Default::default()),
            ApiKey::Heartbeat => RequestKind::Heartbeat(Default::default()),
            ApiKey::LeaveGroup => RequestKind::LeaveGroup(Default::default()),
            ApiKey::OffsetCommit => RequestKind::OffsetCommit(Default::default()),
            ApiKey::OffsetFetch => RequestKind::OffsetFetch(Default::default()),
            ApiKey::OffsetDelete => RequestKind::OffsetDelete(Default::default()),
            ApiKey::TxnOffsetCommit => RequestKind::TxnOffsetCommit(Default::default()),
            ApiKey::DescribeGroups => RequestKind::DescribeGroups(Default::default()),
            ApiKey::ListGroups => RequestKind::ListGroups(Default::default()),
            ApiKey::DeleteGroups => RequestKind::DeleteGroups(Default::default()),
            ApiKey::ConsumerGroupHeartbeat => RequestKind::ConsumerGroupHeartbeat(Default::default()),
            ApiKey::ConsumerGroupDescribe => RequestKind::ConsumerGroupDescribe(Default::default()),
            ApiKey::InitProducerId => RequestKind::InitProducerId(Default::default()),
            ApiKey::AddPartitionsToTxn => RequestKind::AddPartitionsToTxn(Default::default()),
            ApiKey::AddOffsetsToTxn => RequestKind::AddOffsetsToTxn(Default::default()),
            ApiKey::EndTxn => RequestKind::EndTxn(Default::default()),
            ApiKey::DescribeTransactions => RequestKind::DescribeTransactions(Default::default()),
            ApiKey::ListTransactions => RequestKind::ListTransactions(Default::default()),
            _ => return None,
        })
    }

    #[test]
    fn the_places_of_errors_change_with_the_version() {
        let topic = OffsetFetchRequestTopic::default().with_partition_indexes(vec![3]);
        let group = OffsetFetchRequestGroup::default().with_group_id(StrBytes::from("g").into());
        let request = OffsetFetchRequest::default().with_topics(Some(vec![topic])).with_groups(vec![group]);
        let answer = |version| match refusal(&RequestKind::OffsetFetch(request.clone()), version, 15) {
            Some(ResponseKind::OffsetFetch(response)) => response,
            other => panic!("{other:?}"),
        };
        assert_eq!(answer(1).topics[0].partitions[0].error_code, 15);
        assert_eq!((answer(5).error_code, answer(5).topics.len()), (15, 0));
        assert_eq!((answer(8).error_code, answer(8).groups[0].error_code), (0, 15));
    }
}
