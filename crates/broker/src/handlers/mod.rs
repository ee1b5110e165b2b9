//! The service behind every listener: decodes a request, hands it to its API's handler, encodes the answer.
//!
//! One file per API. Handlers see the cluster through `Backend`, the records through `Records` and the coordinators
//! through `Coordination`, never a store.

pub mod alter_configs;
mod altering;
pub mod api_table;
pub mod api_versions;
pub mod backend;
mod broker_configs;
mod broker_names;
mod client_metrics_configs;
pub mod coordination;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_records;
pub mod delete_topics;
pub mod describe_cluster;
pub mod describe_configs;
pub mod describe_log_dirs;
pub mod describe_producers;
pub mod describe_topic_partitions;
pub mod dynamic;
pub mod elect_leaders;
pub mod fetch;
pub mod find_coordinator;
mod group_configs;
pub mod incremental_alter_configs;
pub mod init_producer_id;
mod java_pattern;
pub mod led;
pub mod list_config_resources;
pub mod list_offsets;
pub mod metadata;
pub(crate) mod named;
pub mod offset_for_leader_epoch;
pub mod operations;
pub mod produce;
pub mod records;
pub mod resource;
pub mod topic_configs;
pub mod topic_name;
pub mod transactions;
pub mod update_features;
pub mod write_txn_markers;

#[cfg(test)]
mod memory;

use crate::errors::Code;
use crate::net::{Answer, Refused, Service};
use crate::wire::frame::RequestHead;
use crate::wire::produce::ProduceRequest;
use crate::wire::{Malformed, Response, guard, offsets_by_id, txn_markers};
use backend::Backend;
use bytes::Bytes;
use coordination::Coordination;
use kafka_protocol::messages::{ApiKey, RequestKind};
use levee_base::Clock;
use levee_base::limits::{DECODED_BYTES, RECEIVE_BUFFER_BYTES, WAITING_FRAME_BYTES};
use levee_coordinator::Client;
use levee_coordinator::refusal::refusal;
use records::Records;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};

/// Told of each request that is done with: its header, how long it took from its last byte to its answer, and the
/// bytes of both. For metrics.
pub type Observer = Box<dyn Fn(&RequestHead, Duration, usize, usize) + Send + Sync>;

/// Serves Kafka's APIs.
pub struct Handlers<B, R, C> {
    backend: Arc<B>,
    records: Arc<R>,
    coordination: Arc<C>,
    clock: Clock,
    /// Held while configurations are changed: what they become depends on what they were.
    altering: Mutex<()>,
    /// Memory that decoded requests may yet take.
    decoded: Semaphore,
    produced: produce::Room,
    observer: Option<Observer>,
}

impl<B: Backend, R: Records, C: Coordination> Handlers<B, R, C> {
    /// Over the cluster's metadata, the partitions led here, and the coordinators that are here.
    pub fn new(backend: Arc<B>, records: Arc<R>, coordination: Arc<C>, clock: Clock) -> Self {
        Self {
            backend,
            records,
            coordination,
            clock,
            altering: Mutex::default(),
            decoded: Semaphore::new(DECODED_BYTES),
            produced: produce::Room::new(clock),
            observer: None,
        }
    }

    /// Which tells `observer` of every request.
    #[must_use]
    pub fn with_observer(mut self, observer: Observer) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Waits until `memory` bytes may be taken. What is small is not counted: each connection decodes one request
    /// at a time, so their number bounds it.
    async fn admit(&self, memory: usize) -> Option<SemaphorePermit<'_>> {
        if memory <= RECEIVE_BUFFER_BYTES {
            return None;
        }
        let permits = u32::try_from(memory).expect("the guard bounds the memory of one request");
        Some(self.decoded.acquire_many(permits).await.expect("this semaphore is never closed"))
    }
}

fn check_served(head: &RequestHead) -> Result<(), Refused> {
    if api_versions::serves(head.api, head.version) {
        return Ok(());
    }
    Err(Refused::NotServed(format!("{:?} version {} is not served here", head.api, head.version)))
}

impl<B: Backend, R: Records, C: Coordination> Service for Handlers<B, R, C> {
    fn enters(&self, head: &RequestHead) -> bool {
        head.api == ApiKey::Produce
    }

    fn waits(&self, head: &RequestHead) -> bool {
        matches!(head.api, ApiKey::JoinGroup | ApiKey::SyncGroup)
    }

    async fn enter(
        &self,
        _peer: SocketAddr,
        head: &RequestHead,
        frame: &mut [u8],
    ) -> Result<Answer, Refused> {
        check_served(head)?;
        let internal_topics = head.client_id(frame) == Some(produce::ADMIN_CLIENT);
        let body = frame.get_mut(head.body..).unwrap_or_default();
        let mut request = ProduceRequest { internal_topics, ..ProduceRequest::parse(head.version, body)? };
        let acks = request.acks;
        let arrived = self.clock.now();
        let memory = self.produced.take(request.memory()).await?;
        // Its client counts from when it sent it, and may send it again after that.
        let waited = self.clock.now().saturating_duration_since(arrived).as_millis();
        let waited = i32::try_from(waited).unwrap_or(i32::MAX);
        request.timeout_ms = request.timeout_ms.saturating_sub(waited);
        let response = self.records.produce(request, head.version).await;
        let head = head.clone();
        Ok(Box::pin(async move {
            // Held for as long as the answer is awaited.
            let _memory = memory;
            let response = response.await;
            if acks != 0 {
                return Ok(Some(response.encode(&head)));
            }
            let mut partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
            match partitions.find(|partition| partition.error_code != 0) {
                None => Ok(None),
                Some(failed) => Err(Refused::Unacknowledged(format!(
                    "partition {} has error {}",
                    failed.index, failed.error_code
                ))),
            }
        }))
    }

    async fn serve(
        &self,
        peer: SocketAddr,
        head: &RequestHead,
        frame: Bytes,
    ) -> Result<Option<Response>, Refused> {
        if head.api == ApiKey::ApiVersions && !api_versions::serves(head.api, head.version) {
            return Ok(Some(Response::message(head, 0, &api_versions::unsupported())?));
        }
        check_served(head)?;
        let body = frame.slice(head.body.min(frame.len())..);
        let walked = guard::walk(head.api as i16, head.version, &body)?;
        let memory = self.admit(walked.memory).await;
        let (api, version) = (head.api, head.version);
        let (backend, coordination) = (&*self.backend, &*self.coordination);
        let client = || Client {
            // Kafka shows a client without a name so.
            id: head.client_id(&frame).unwrap_or("null").into(),
            // As Java shows an address.
            host: format!("/{}", peer.ip()).into(),
        };
        // The versions that the crate lacks.
        match (api, version) {
            (ApiKey::OffsetCommit, offsets_by_id::VERSION) => {
                let request = offsets_by_id::offset_commit(body)?;
                let response =
                    coordination::offset_commit_by_id(backend, coordination, client(), request).await;
                return Ok(Some(offsets_by_id::offset_commit_response(head, &response)));
            }
            (ApiKey::OffsetFetch, offsets_by_id::VERSION) => {
                let request = offsets_by_id::offset_fetch(body)?;
                let response =
                    coordination::offset_fetch_by_id(backend, coordination, client(), request).await;
                return Ok(Some(offsets_by_id::offset_fetch_response(head, &response)));
            }
            (ApiKey::WriteTxnMarkers, _) => {
                let markers = txn_markers::decode(version, body)?;
                let response = write_txn_markers::handle(coordination, markers).await;
                // The answer is the same in both versions.
                return Ok(Some(Response::message(head, *txn_markers::VERSIONS.start(), &response)?));
            }
            _ => {}
        }
        let wire_version = api_versions::on_the_wire(api, version);
        let response = match guard::decode(api, wire_version, body)? {
            RequestKind::ApiVersions(request) => {
                Response::message(head, version, &api_versions::handle(&request, version))
            }
            RequestKind::Metadata(request) => Response::message(
                head,
                version,
                &metadata::handle(backend, &self.clock, request, version).await,
            ),
            RequestKind::CreateTopics(request) => Response::message(
                head,
                version,
                &create_topics::handle(backend, &self.clock, request, version).await,
            ),
            RequestKind::CreatePartitions(request) => {
                let response = create_partitions::handle(backend, &self.clock, request).await;
                Response::message(head, version, &response)
            }
            RequestKind::DeleteTopics(request) => Response::message(
                head,
                version,
                &delete_topics::handle(backend, &self.clock, request, version).await,
            ),
            RequestKind::DeleteRecords(request) => {
                Response::message(head, version, &self.records.delete_records(request).await)
            }
            RequestKind::DescribeConfigs(request) => {
                Response::message(head, version, &describe_configs::handle(backend, request).await)
            }
            RequestKind::AlterConfigs(request) => {
                let _turn = self.altering.lock().await;
                let response = alter_configs::handle(backend, &self.clock, request).await;
                Response::message(head, version, &response)
            }
            RequestKind::IncrementalAlterConfigs(request) => {
                let _turn = self.altering.lock().await;
                let response = incremental_alter_configs::handle(backend, &self.clock, request).await;
                Response::message(head, version, &response)
            }
            RequestKind::DescribeCluster(request) => {
                Response::message(head, version, &describe_cluster::handle(backend, &request))
            }
            RequestKind::DescribeLogDirs(request) => {
                Ok(describe_log_dirs::handle(backend, request).encode(head))
            }
            RequestKind::DescribeTopicPartitions(request) => {
                Response::message(head, version, &describe_topic_partitions::handle(backend, request))
            }
            RequestKind::ElectLeaders(request) => {
                Response::message(head, version, &elect_leaders::handle(backend, request, version))
            }
            RequestKind::ListConfigResources(request) => {
                Response::message(head, version, &list_config_resources::handle(backend, &request, version))
            }
            RequestKind::UpdateFeatures(request) => Response::message(
                head,
                version,
                &update_features::handle(backend.node_id(), &request, version),
            ),
            RequestKind::InitProducerId(request) if request.transactional_id.is_none() => {
                Response::message(head, version, &init_producer_id::handle(backend, &request).await)
            }
            RequestKind::FindCoordinator(request) => {
                let response = find_coordinator::handle(backend, &self.clock, request, version).await;
                Response::message(head, version, &response)
            }
            RequestKind::Fetch(request) => {
                let mut answer = self.records.fetch(request, version).await;
                let memory = answer.memory.take();
                Ok(answer.encode(head).holding(memory))
            }
            RequestKind::ListOffsets(request) => {
                Response::message(head, wire_version, &self.records.list_offsets(request, version).await)
            }
            RequestKind::OffsetForLeaderEpoch(request) => {
                Response::message(head, version, &self.records.offset_for_leader_epoch(request).await)
            }
            RequestKind::DescribeProducers(request) => {
                Response::message(head, version, &self.records.describe_producers(request).await)
            }
            request => {
                let client = client();
                let large = frame.len() > WAITING_FRAME_BYTES;
                drop(frame);
                // What waits for other members of a group is the group's from here on.
                let counted = if self.waits(head) { None } else { memory };
                let response = match self.waits(head) && large {
                    true => refusal(&request, version, Code::InvalidRequest.code()),
                    false => coordination.coordinate(client, version, request).await,
                };
                drop(counted);
                let response = response.ok_or(Malformed::UnknownApi(api as i16))?;
                Response::kind(head, version, &response)
            }
        };
        Ok(Some(response?))
    }

    fn done(&self, head: &RequestHead, took: Duration, request_bytes: usize, response_bytes: usize) {
        if let Some(observe) = &self.observer {
            observe(head, took, request_bytes, response_bytes);
        }
    }
}
