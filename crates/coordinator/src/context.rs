//! What a shard is told with each call: the time, the cluster's topics, who asks.

use crate::effects::Token;
use kafka_protocol::messages::RequestKind;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The time of a call. Nothing's safety rests on either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    /// The wall clock's, in Unix milliseconds: what is written into records.
    pub wall_ms: i64,
    /// The time since a moment that stays the same for as long as the shard lives: what timers go by.
    pub now: Duration,
}

/// A topic, as far as coordinators are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicView {
    /// Its name.
    pub name: Arc<str>,
    /// Its id.
    pub id: Uuid,
    /// How many partitions it has.
    pub partitions: u32,
}

impl TopicView {
    /// Whether it has the partition of a number in a request.
    #[must_use]
    pub fn has(&self, partition: i32) -> bool {
        u32::try_from(partition).is_ok_and(|partition| partition < self.partitions)
    }
}

/// The cluster's metadata.
pub trait Cluster {
    /// The topic of a name.
    fn topic(&self, name: &str) -> Option<TopicView>;

    /// The topic of an id.
    fn topic_by_id(&self, id: Uuid) -> Option<TopicView>;

    /// All topics, by name.
    fn topics(&self) -> Vec<TopicView>;

    /// The configurations that a group has of its own, by Kafka's names. They are valid.
    fn group_configs(&self, group: &str) -> BTreeMap<String, String>;
}

/// What a call goes by.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// When it is made.
    pub time: Time,
    /// The cluster.
    pub cluster: &'a dyn Cluster,
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("time", &self.time).finish_non_exhaustive()
    }
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// The client id of the request's header.
    pub id: Arc<str>,
    /// The client's address as Kafka shows it: `/127.0.0.1`.
    pub host: Arc<str>,
}

/// A request for a shard.
#[derive(Debug, Clone)]
pub struct Request {
    /// What its answer is to be told by.
    pub token: Token,
    /// Who asks.
    pub client: Client,
    /// The request's version.
    pub version: i16,
    /// What is asked.
    pub kind: RequestKind,
}
