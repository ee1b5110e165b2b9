//! What the handlers need of the cluster's metadata. `node.rs` serves it; tests have one in memory.

use super::dynamic::Dynamic;
use super::resource::{BROKER, GROUP};
use levee_meta::state::collision_key;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use uuid::Uuid;

/// A broker that is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Its node id.
    pub id: i32,
    /// The host that it advertises.
    pub host: String,
    /// The port that it advertises.
    pub port: u16,
}

/// A partition, as far as clients see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    /// Who leads it, if somebody does.
    pub leader: Option<i32>,
    /// How often that has changed.
    pub leader_epoch: i32,
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: Arc<str>,
    /// Its id.
    pub id: Uuid,
    /// Its partitions, by number.
    pub partitions: Vec<Partition>,
}

/// A topic to create, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name, which follows Kafka's rules.
    pub name: Arc<str>,
    /// Its number of partitions, at least 1.
    pub partitions: u32,
    /// The broker asked to lead each partition, where the client said so; as many as there are partitions, or none.
    pub leaders: Vec<i32>,
    /// Its configuration, as far as it differs from the defaults. Names and values are valid.
    pub configs: BTreeMap<String, String>,
}

/// What is taken where a request does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Defaults {
    /// `num.partitions`.
    pub partitions: u32,
    /// `default.replication.factor`. Reported only: replication is the store's.
    pub replication_factor: i16,
    /// `auto.create.topics.enable`.
    pub auto_create: bool,
}

/// Why metadata was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// A topic of that name exists.
    #[error("the topic exists")]
    TopicExists,
    /// There is no such topic.
    #[error("there is no such topic")]
    UnknownTopic,
    /// Configurations take more room than they may have.
    #[error("the configurations are too long: {0}")]
    ConfigsTooLong(String),
    /// A topic has that many partitions already.
    #[error("Topic already has {0} partition(s).")]
    NoIncrease(u32),
    /// A topic has no more partitions than that.
    #[error("a topic has at most {0} partitions")]
    TooManyPartitions(u32),
    /// It may or may not have been done: the metadata can't be written now. Worth trying again.
    #[error("the cluster's metadata can't be changed now: {0}")]
    Unavailable(String),
}

/// The cluster's metadata. Views are of durable state.
pub trait Backend: Send + Sync + 'static {
    /// The cluster's identity.
    fn cluster_id(&self) -> Uuid;

    /// The node id of the controller; the one to which clients send administrative requests.
    fn controller_id(&self) -> i32;

    /// The node id of this broker.
    fn node_id(&self) -> i32;

    /// The live brokers, by node id.
    fn brokers(&self) -> Vec<Broker>;

    /// All topics, by name.
    fn topics(&self) -> Vec<Topic>;

    /// The topic of this name.
    fn topic(&self, name: &str) -> Option<Topic>;

    /// The topic with this id.
    fn topic_by_id(&self, id: Uuid) -> Option<Topic>;

    /// The id of the topic of this name.
    fn topic_id(&self, name: &str) -> Option<Uuid> {
        self.topic(name).map(|topic| topic.id)
    }

    /// The name of the topic with this id.
    fn topic_name(&self, id: Uuid) -> Option<Arc<str>> {
        self.topic_by_id(id).map(|topic| topic.name)
    }

    /// The name of the topic that has this name, or one that Kafka's metrics don't tell from it: there '.' becomes '_'.
    fn topic_colliding(&self, name: &str) -> Option<Arc<str>> {
        let key = collision_key(name);
        self.topics().into_iter().map(|topic| topic.name).find(|other| collision_key(other) == key)
    }

    /// What is taken where a request does not say.
    fn defaults(&self) -> Defaults;

    /// Creates a topic; returns once that is durable and this broker acts on it.
    fn create_topic(&self, topic: NewTopic) -> impl Future<Output = Result<Topic, BackendError>> + Send;

    /// Gives a topic more partitions, up to so many; returns once that is durable and this broker leads them.
    fn add_partitions(
        &self,
        id: Uuid,
        partitions: u32,
    ) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// What each partition of the topic of this name takes, in bytes; nothing if there is none.
    fn sizes(&self, topic: &str) -> Vec<u64>;

    /// Where everything is kept.
    fn location(&self) -> String;

    /// The configurations that a resource has which is no topic, by the kinds of [`super::resource`].
    fn resource_configs(&self, kind: i8, name: &str) -> BTreeMap<String, String>;

    /// The resources of a kind that have configurations, by name.
    fn resources(&self, kind: i8) -> Vec<String>;

    /// Changes the configurations of a resource that is no topic, all of them or none; returns once that is durable
    /// and this broker acts on it.
    fn alter_resource(
        &self,
        kind: i8,
        name: &str,
        set: BTreeMap<String, String>,
        unset: BTreeSet<String>,
    ) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// The configurations that a group has of its own, by Kafka's names (`consumer.session.timeout.ms` and so on).
    /// What is not in it has the broker's default.
    fn group_configs(&self, group: &str) -> BTreeMap<String, String> {
        self.resource_configs(GROUP, group)
    }

    /// What was changed of brokers' configurations.
    fn dynamic(&self) -> Dynamic {
        Dynamic {
            cluster: self.resource_configs(BROKER, ""),
            broker: self.resource_configs(BROKER, &self.node_id().to_string()),
        }
    }

    /// The configurations that a topic has of its own.
    fn topic_configs(&self, name: &str) -> Option<BTreeMap<String, String>>;

    /// The broker's own configurations, by Kafka's names, as far as they are not Kafka's defaults.
    fn broker_configs(&self) -> BTreeMap<&'static str, String>;

    /// Changes a topic's configurations, all of them or none; returns once that is durable and this broker acts on it.
    fn alter_topic(
        &self,
        id: Uuid,
        set: BTreeMap<String, String>,
        unset: BTreeSet<String>,
    ) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Deletes a topic; returns once that is durable.
    fn delete_topic(&self, id: Uuid) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// A producer id that nobody else was or will be given.
    fn producer_id(&self) -> impl Future<Output = Result<i64, BackendError>> + Send;
}

/// Creates a topic, or finds the one of its name that another connection has created meanwhile; `None` if that is gone
/// again.
///
/// # Errors
/// When the metadata can't be changed now.
pub async fn create_or_find<B: Backend>(backend: &B, new: NewTopic) -> Result<Option<Topic>, BackendError> {
    let name = new.name.clone();
    match backend.create_topic(new).await {
        Ok(topic) => Ok(Some(topic)),
        Err(BackendError::TopicExists) => Ok(backend.topic(&name)),
        Err(error) => Err(error),
    }
}
