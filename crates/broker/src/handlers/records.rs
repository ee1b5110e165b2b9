//! What the handlers need of the partitions that this broker leads: the APIs that are about records.

use crate::wire::fetch::FetchResponse;
use crate::wire::produce::{ProduceRequest, ProduceResponse};
use futures::future::BoxFuture;
use kafka_protocol::messages::{
    DeleteRecordsRequest, DeleteRecordsResponse, DescribeProducersRequest, DescribeProducersResponse,
    FetchRequest, ListOffsetsRequest, ListOffsetsResponse, OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
};

/// The partitions led here.
pub trait Records: Send + Sync + 'static {
    /// Takes the batches of a request in, in the order of its connection: offsets are given when this returns,
    /// and the records' bytes are copied. Waits for room in the write-ahead log, and nothing else.
    ///
    /// What it returns ends when the request can be answered: all of it is durable, `timeout_ms` is over
    /// (counted from the call, as it may be awaited late), or the log has stopped. Dropping it retracts nothing.
    fn produce(
        &self,
        request: ProduceRequest<'_>,
        version: i16,
    ) -> impl Future<Output = BoxFuture<'static, ProduceResponse>> + Send;

    /// Answers a Fetch, waiting for data as the request says.
    fn fetch(&self, request: FetchRequest, version: i16) -> impl Future<Output = FetchResponse> + Send;

    /// Answers a ListOffsets.
    fn list_offsets(
        &self,
        request: ListOffsetsRequest,
        version: i16,
    ) -> impl Future<Output = ListOffsetsResponse> + Send;

    /// Answers an OffsetForLeaderEpoch.
    fn offset_for_leader_epoch(
        &self,
        request: OffsetForLeaderEpochRequest,
    ) -> impl Future<Output = OffsetForLeaderEpochResponse> + Send;

    /// Answers a DescribeProducers.
    fn describe_producers(
        &self,
        request: DescribeProducersRequest,
    ) -> impl Future<Output = DescribeProducersResponse> + Send;

    /// Answers a DeleteRecords.
    fn delete_records(
        &self,
        request: DeleteRecordsRequest,
    ) -> impl Future<Output = DeleteRecordsResponse> + Send;
}
