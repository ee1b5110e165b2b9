//! The broker that requests are served from: the newest registration of this node. When a broker is fenced and
//! registers again, the next one takes its place here, and connections go on.

use crate::coordinators::{Marker, Unwritten};
use crate::handlers::backend::{Backend, BackendError, Broker, Defaults, NewTopic, Partition, Topic};
use crate::handlers::coordination::Coordination;
use crate::handlers::records::Records;
use crate::led_topics::LedTopics;
use crate::partition::PartitionLog;
use crate::wire::fetch::FetchResponse;
use crate::wire::produce::{ProduceRequest, ProduceResponse};
use futures::future::BoxFuture;
use kafka_protocol::messages::{
    DeleteRecordsRequest, DeleteRecordsResponse, DescribeProducersRequest, DescribeProducersResponse,
    FetchRequest, ListOffsetsRequest, ListOffsetsResponse, OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse, RequestKind, ResponseKind,
};
use levee_base::Slot;
use levee_coordinator::Client;
use levee_meta::state::Stream;
use levee_meta::{Resource, State, TopicId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};
use uuid::Uuid;

/// What stays the same over registrations.
#[derive(Debug, Clone)]
pub struct Config {
    /// This broker, as clients are told.
    pub broker: Broker,
    /// What is taken where a request does not say.
    pub defaults: Defaults,
    /// The broker's configurations that may differ from Kafka's defaults, by Kafka's names.
    pub broker_configs: BTreeMap<&'static str, String>,
    /// Where everything is kept.
    pub location: String,
}

/// See the module's text.
#[derive(Debug)]
pub struct Current {
    config: Config,
    led: RwLock<Arc<LedTopics>>,
}

impl Current {
    /// Serves from `led`.
    #[must_use]
    pub fn new(config: Config, led: Arc<LedTopics>) -> Self {
        Self { config, led: RwLock::new(led) }
    }

    /// From now on requests go to `led`.
    pub fn replace(&self, led: Arc<LedTopics>) {
        *self.led.write().unwrap_or_else(PoisonError::into_inner) = led;
    }

    fn led(&self) -> Arc<LedTopics> {
        self.led.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn view<R>(&self, see: impl FnOnce(&State) -> R) -> R {
        self.led().metadata.view(see)
    }

    fn shown(&self, state: &State, id: TopicId, topic: &levee_meta::state::Topic) -> Topic {
        let partitions = topic.streams.iter().map(|stream| {
            let stream = state.stream(*stream);
            Partition {
                // One broker a store: who leads is this one.
                leader: stream.and_then(|stream| stream.leader).map(|_| self.config.broker.id),
                leader_epoch: stream.map_or(0, |s| i32::try_from(s.leader_epoch).unwrap_or(i32::MAX)),
            }
        });
        Topic { name: topic.name.as_str().into(), id: id.0, partitions: partitions.collect() }
    }
}

/// A resource as the metadata has it.
fn resource(kind: i8, name: &str) -> Option<Resource> {
    Some(Resource { kind: u32::try_from(kind).ok()?, name: name.to_owned() })
}

impl Backend for Current {
    fn cluster_id(&self) -> Uuid {
        self.led().metadata.cluster().0
    }

    fn controller_id(&self) -> i32 {
        self.config.broker.id
    }

    fn node_id(&self) -> i32 {
        self.config.broker.id
    }

    fn brokers(&self) -> Vec<Broker> {
        vec![self.config.broker.clone()]
    }

    fn topics(&self) -> Vec<Topic> {
        self.view(|state| state.topics().map(|(id, topic)| self.shown(state, id, topic)).collect())
    }

    fn topic(&self, name: &str) -> Option<Topic> {
        self.view(|state| state.topic_by_name(name).map(|(id, topic)| self.shown(state, id, topic)))
    }

    fn topic_by_id(&self, id: Uuid) -> Option<Topic> {
        let id = TopicId(id);
        self.view(|state| state.topic(id).map(|topic| self.shown(state, id, topic)))
    }

    // Of a topic of many partitions these cost as little as of one.
    fn topic_id(&self, name: &str) -> Option<Uuid> {
        self.view(|state| state.topic_by_name(name).map(|(id, _)| id.0))
    }

    fn topic_name(&self, id: Uuid) -> Option<Arc<str>> {
        self.view(|state| state.topic(TopicId(id)).map(|topic| topic.name.as_str().into()))
    }

    fn topic_colliding(&self, name: &str) -> Option<Arc<str>> {
        self.view(|state| state.topic_colliding(name).map(|topic| topic.name.as_str().into()))
    }

    fn defaults(&self) -> Defaults {
        self.config.defaults
    }

    fn topic_configs(&self, name: &str) -> Option<BTreeMap<String, String>> {
        self.view(|state| state.topic_by_name(name).map(|(_, topic)| topic.configs.clone()))
    }

    fn broker_configs(&self) -> BTreeMap<&'static str, String> {
        self.config.broker_configs.clone()
    }

    async fn alter_topic(
        &self,
        id: Uuid,
        set: BTreeMap<String, String>,
        unset: BTreeSet<String>,
    ) -> Result<(), BackendError> {
        self.led().alter(id, set, unset).await
    }

    async fn create_topic(&self, topic: NewTopic) -> Result<Topic, BackendError> {
        // Where the client wants its leaders has no meaning with one broker.
        let NewTopic { name, partitions, configs, leaders: _ } = topic;
        let id = self.led().create(name.to_string(), partitions, configs).await?;
        // Deleted again in between: there is none.
        self.topic_by_id(id.0).ok_or(BackendError::UnknownTopic)
    }

    async fn add_partitions(&self, id: Uuid, partitions: u32) -> Result<(), BackendError> {
        self.led().add_partitions(id, partitions).await
    }

    fn sizes(&self, topic: &str) -> Vec<u64> {
        self.view(|state| {
            let topic = state.topic_by_name(topic).map(|(_, topic)| topic);
            let streams = topic.map_or(&[][..], |topic| &topic.streams);
            streams.iter().map(|stream| state.stream(*stream).map_or(0, Stream::bytes)).collect()
        })
    }

    fn location(&self) -> String {
        self.config.location.clone()
    }

    fn resource_configs(&self, kind: i8, name: &str) -> BTreeMap<String, String> {
        let Some(resource) = resource(kind, name) else { return BTreeMap::new() };
        self.view(|state| state.configs(&resource).cloned().unwrap_or_default())
    }

    fn resources(&self, kind: i8) -> Vec<String> {
        let Ok(kind) = u32::try_from(kind) else { return Vec::new() };
        self.view(|state| state.resources(kind).map(|(name, _)| name.to_owned()).collect())
    }

    async fn alter_resource(
        &self,
        kind: i8,
        name: &str,
        set: BTreeMap<String, String>,
        unset: BTreeSet<String>,
    ) -> Result<(), BackendError> {
        let unknown = || BackendError::Unavailable(format!("there are no resources of kind {kind}"));
        let resource = resource(kind, name).ok_or_else(unknown)?;
        self.led().alter_resource(resource, set, unset).await
    }

    async fn delete_topic(&self, id: Uuid) -> Result<(), BackendError> {
        self.led().delete(id).await
    }

    async fn producer_id(&self) -> Result<i64, BackendError> {
        self.led().producer_id().await
    }
}

impl Records for Current {
    async fn produce(
        &self,
        request: ProduceRequest<'_>,
        version: i16,
    ) -> BoxFuture<'static, ProduceResponse> {
        self.led().records.produce(request, version).await
    }

    async fn fetch(&self, request: FetchRequest, version: i16) -> FetchResponse {
        self.led().records.fetch(request, version).await
    }

    async fn list_offsets(&self, request: ListOffsetsRequest, version: i16) -> ListOffsetsResponse {
        self.led().records.list_offsets(request, version).await
    }

    async fn offset_for_leader_epoch(
        &self,
        request: OffsetForLeaderEpochRequest,
    ) -> OffsetForLeaderEpochResponse {
        self.led().records.offset_for_leader_epoch(request).await
    }

    async fn describe_producers(&self, request: DescribeProducersRequest) -> DescribeProducersResponse {
        self.led().records.describe_producers(request).await
    }

    async fn delete_records(&self, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
        self.led().records.delete_records(request).await
    }
}

impl Coordination for Current {
    async fn coordinate(&self, client: Client, version: i16, kind: RequestKind) -> Option<ResponseKind> {
        self.led().coordinators.coordinate(client, version, kind).await
    }

    async fn write_marker(
        &self,
        topic: &str,
        partition: i32,
        marker: Marker,
    ) -> Result<(Arc<PartitionLog>, Option<Slot>), Unwritten> {
        self.led().coordinators.write_marker(topic, partition, marker).await
    }
}
