//! The broker that requests are served from: the newest registration of this node. When a broker is fenced and
//! registers again, the next one takes its place here, and connections go on.

use crate::broker::{Broker, TopicView};
use crate::handlers::backend::{self, Backend, BackendError, Defaults, NewTopic, Partition, Topic};
use crate::handlers::records::Records;
use crate::records::session::Sessions;
use crate::records::{fetch, list_offsets, produce};
use crate::wire::fetch::FetchResponse;
use crate::wire::produce::{ProduceRequest, ProduceResponse};
use futures::future::BoxFuture;
use kafka_protocol::messages::{FetchRequest, ListOffsetsRequest, ListOffsetsResponse};
use levee_meta::{Command, TopicId};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use uuid::Uuid;

/// See the module's text.
#[derive(Debug)]
pub struct Current {
    broker: RwLock<Arc<Broker>>,
    sessions: Mutex<Sessions>,
}

impl Current {
    /// Serves from `broker`.
    #[must_use]
    pub fn new(broker: Arc<Broker>) -> Self {
        Self { broker: RwLock::new(broker), sessions: Mutex::default() }
    }

    /// From now on requests go to `broker`.
    pub fn replace(&self, broker: Arc<Broker>) {
        *self.broker.write().unwrap_or_else(PoisonError::into_inner) = broker;
    }

    fn broker(&self) -> Arc<Broker> {
        self.broker.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn node_id(broker: &Broker) -> i32 {
    i32::try_from(broker.config.node.0).unwrap_or(i32::MAX)
}

fn shown(broker: &Broker, topic: TopicView) -> Topic {
    let leader = Some(node_id(broker));
    let partition = |leader_epoch: u32| Partition {
        leader,
        leader_epoch: i32::try_from(leader_epoch).unwrap_or(i32::MAX),
    };
    Topic {
        name: topic.name.into(),
        id: topic.id.0,
        partitions: topic.partitions.iter().map(|(_, epoch)| partition(*epoch)).collect(),
    }
}

impl Backend for Current {
    fn cluster_id(&self) -> Uuid {
        self.broker().cluster.0
    }

    fn controller_id(&self) -> i32 {
        node_id(&self.broker())
    }

    fn brokers(&self) -> Vec<backend::Broker> {
        let broker = self.broker();
        let (host, port) = (broker.config.host.clone(), broker.config.port);
        vec![backend::Broker { id: node_id(&broker), host, port }]
    }

    fn topics(&self) -> Vec<Topic> {
        let broker = self.broker();
        broker.topics().into_iter().map(|topic| shown(&broker, topic)).collect()
    }

    fn topic(&self, name: &str) -> Option<Topic> {
        let broker = self.broker();
        broker.topic(name).map(|topic| shown(&broker, topic))
    }

    fn topic_by_id(&self, id: Uuid) -> Option<Topic> {
        let broker = self.broker();
        broker.topic_by_id(TopicId(id)).map(|topic| shown(&broker, topic))
    }

    fn defaults(&self) -> Defaults {
        let config = &self.broker().config;
        Defaults {
            partitions: config.num_partitions,
            // One replica is Levee's: the others are the store's.
            replication_factor: 1,
            auto_create: config.auto_create_topics,
        }
    }

    async fn create_topic(&self, topic: NewTopic) -> Result<Topic, BackendError> {
        let broker = self.broker();
        let NewTopic { name, partitions, configs, leaders: _ } = topic;
        let id = TopicId(broker.random.uuid());
        let name = name.to_string();
        let leader = broker.epoch;
        broker.commit(Command::CreateTopic { name, topic: id, partitions, configs, leader }).await?;
        // Deleted again in between: there is none.
        broker.topic_by_id(id).map(|topic| shown(&broker, topic)).ok_or(BackendError::UnknownTopic)
    }

    async fn delete_topic(&self, id: Uuid) -> Result<(), BackendError> {
        let broker = self.broker();
        let topic = broker.topic_by_id(TopicId(id)).ok_or(BackendError::UnknownTopic)?;
        broker.commit(Command::DeleteTopic { topic: topic.id }).await?;
        broker.close(&topic);
        Ok(())
    }

    async fn producer_id(&self) -> Result<i64, BackendError> {
        self.broker().producer_id().await
    }
}

impl Records for Current {
    async fn produce(
        &self,
        request: ProduceRequest<'_>,
        version: i16,
    ) -> BoxFuture<'static, ProduceResponse> {
        let broker = self.broker();
        let pending = produce::begin(&broker, version, request).await;
        Box::pin(async move { produce::finish(&broker, pending).await })
    }

    async fn fetch(&self, request: FetchRequest, version: i16) -> FetchResponse {
        fetch::answer(&self.broker(), &self.sessions, version, request).await
    }

    async fn list_offsets(&self, request: ListOffsetsRequest, version: i16) -> ListOffsetsResponse {
        list_offsets::answer(&self.broker(), version, request).await
    }
}
