//! The APIs about records, over the partitions that this broker leads.

use super::fetch::Fetcher;
use super::records::Records;
use super::transactions::Transactions;
use super::{delete_records, describe_producers, list_offsets, offset_for_leader_epoch, produce};
use crate::fetch_session::FetchSessions;
use crate::partition::PartitionTable;
use crate::partition::starts::Starts;
use crate::wire::fetch::FetchResponse;
use crate::wire::produce::{ProduceRequest, ProduceResponse};
use futures::future::BoxFuture;
use kafka_protocol::messages::{
    DeleteRecordsRequest, DeleteRecordsResponse, DescribeProducersRequest, DescribeProducersResponse,
    FetchRequest, ListOffsetsRequest, ListOffsetsResponse, OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
};
use levee_base::{Clock, Random};
use std::sync::Arc;

/// Serves the APIs of [`Records`] for the partitions of a table.
#[derive(Debug)]
pub struct LedPartitions {
    table: Arc<PartitionTable>,
    fetcher: Fetcher,
    starts: Arc<dyn Starts>,
    transactions: Arc<dyn Transactions>,
    clock: Clock,
}

impl LedPartitions {
    /// For the broker `node_id`. `transactions` is asked before a batch begins a transaction in a partition. Session ids are drawn from `random`.
    #[must_use]
    pub fn new(
        table: Arc<PartitionTable>,
        starts: Arc<dyn Starts>,
        transactions: Arc<dyn Transactions>,
        node_id: i32,
        clock: Clock,
        random: Random,
    ) -> Self {
        let fetcher = Fetcher::new(table.clone(), FetchSessions::new(random), clock, node_id);
        Self { table, fetcher, starts, transactions, clock }
    }

    /// What answers Fetch, for the metrics of its sessions.
    #[must_use]
    pub fn fetcher(&self) -> &Fetcher {
        &self.fetcher
    }
}

impl Records for LedPartitions {
    async fn produce(
        &self,
        request: ProduceRequest<'_>,
        version: i16,
    ) -> BoxFuture<'static, ProduceResponse> {
        produce::enter(&self.table, &*self.transactions, self.clock, request, version).await
    }

    async fn fetch(&self, request: FetchRequest, version: i16) -> FetchResponse {
        self.fetcher.fetch(request, version).await
    }

    async fn list_offsets(&self, request: ListOffsetsRequest, version: i16) -> ListOffsetsResponse {
        list_offsets::list_offsets(&self.table, request, version).await
    }

    async fn offset_for_leader_epoch(
        &self,
        request: OffsetForLeaderEpochRequest,
    ) -> OffsetForLeaderEpochResponse {
        offset_for_leader_epoch::offset_for_leader_epoch(&self.table, request)
    }

    async fn describe_producers(&self, request: DescribeProducersRequest) -> DescribeProducersResponse {
        describe_producers::describe_producers(&self.table, request)
    }

    async fn delete_records(&self, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
        delete_records::delete_records(&self.table, self.clock, &*self.starts, request).await
    }
}

#[cfg(test)]
#[path = "led_tests.rs"]
mod tests;
