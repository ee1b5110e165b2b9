//! What all request handlers share: the cluster's metadata, the stream store, and the partitions that are led
//! here.

use crate::errors::{Code, Failure};
use crate::handlers::backend::BackendError;
use crate::metrics::Metrics;
use crate::partition::PartitionLog;
use levee_base::{BrokerEpoch, Clock, ClusterId, NodeId, Random, StreamId};
use levee_meta::{Answer, Command, Metadata, TopicId};
use levee_store::{Extent, ObjectRef, StreamStore};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio::sync::Mutex as AsyncMutex;

/// Producer ids that are fetched from the metadata at once, as Kafka does.
const PRODUCER_ID_BLOCK: u32 = 1_000;

/// What is configured.
#[derive(Debug, Clone)]
pub struct Config {
    /// This broker's number.
    pub node: NodeId,
    /// Where clients are told to connect.
    pub host: String,
    /// And at which port.
    pub port: u16,
    /// Kafka's `auto.create.topics.enable`.
    pub auto_create_topics: bool,
    /// Kafka's `num.partitions`.
    pub num_partitions: u32,
}

/// A registered broker.
#[derive(Debug)]
pub struct Broker {
    /// What is configured.
    pub config: Config,
    /// Whose broker it is.
    pub cluster: ClusterId,
    /// Its registration.
    pub epoch: BrokerEpoch,
    /// The cluster's metadata.
    pub metadata: Metadata,
    /// The records.
    pub store: Arc<StreamStore>,
    /// Time.
    pub clock: Clock,
    /// Randomness.
    pub random: Random,
    /// Counters.
    pub metrics: Arc<Metrics>,
    partitions: RwLock<BTreeMap<StreamId, Arc<PartitionLog>>>,
    /// Held while a partition is opened, so that it is opened once.
    opening: AsyncMutex<()>,
    producer_ids: Mutex<Range<u64>>,
}

/// A topic as a handler sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicView {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: TopicId,
    /// Per partition its stream and leader epoch.
    pub partitions: Vec<(StreamId, u32)>,
    /// The settings that differ from the defaults.
    pub configs: BTreeMap<String, String>,
}

impl Broker {
    /// A broker that has registered; its partitions open when they are asked for.
    #[must_use]
    pub fn new(
        config: Config,
        cluster: ClusterId,
        epoch: BrokerEpoch,
        metadata: Metadata,
        store: Arc<StreamStore>,
        (clock, random): (Clock, Random),
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            config,
            cluster,
            epoch,
            metadata,
            store,
            clock,
            random,
            metrics,
            partitions: RwLock::default(),
            opening: AsyncMutex::default(),
            producer_ids: Mutex::default(),
        }
    }

    /// Commits a command as this broker.
    ///
    /// # Errors
    /// When it is refused or can't be committed now.
    pub async fn commit(&self, command: Command) -> Result<Answer, BackendError> {
        match self.metadata.commit(command).await {
            Ok(Answer::Refused(refusal)) => Err(refusal.into()),
            Ok(answer) => Ok(answer),
            Err(error) => Err(BackendError::Unavailable(error.to_string())),
        }
    }

    /// A topic by name.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<TopicView> {
        self.metadata.view(|state| state.topic_by_name(name).map(|(id, topic)| view(state, id, topic)))
    }

    /// A topic by id.
    #[must_use]
    pub fn topic_by_id(&self, id: TopicId) -> Option<TopicView> {
        self.metadata.view(|state| state.topic(id).map(|topic| view(state, id, topic)))
    }

    /// All topics.
    #[must_use]
    pub fn topics(&self) -> Vec<TopicView> {
        self.metadata.view(|state| state.topics().map(|(id, topic)| view(state, id, topic)).collect())
    }

    /// The log of a partition that this broker leads.
    ///
    /// # Errors
    /// As Kafka has it, when there is none, somebody else leads it, or it can't be opened now.
    pub async fn partition(&self, topic: &TopicView, index: i32) -> Result<Arc<PartitionLog>, Failure> {
        let at = usize::try_from(index).ok().and_then(|index| topic.partitions.get(index));
        let (stream, _) = *at.ok_or(Failure::plain(Code::UnknownTopicOrPartition))?;
        if let Some(log) = self.opened(stream) {
            return Ok(log);
        }
        self.open(stream).await
    }

    fn opened(&self, stream: StreamId) -> Option<Arc<PartitionLog>> {
        self.partitions.read().unwrap_or_else(PoisonError::into_inner).get(&stream).cloned()
    }

    async fn open(&self, stream: StreamId) -> Result<Arc<PartitionLog>, Failure> {
        let _once = self.opening.lock().await;
        if let Some(log) = self.opened(stream) {
            return Ok(log);
        }
        let found = self.metadata.view(|state| {
            let found = state.stream(stream)?;
            let extents = found.extents().map(|extent| {
                let object = state.object(extent.object)?;
                let (total_bytes, index) = (object.total_bytes, object.index.clone());
                Some(Extent {
                    range: extent.range,
                    object: ObjectRef { key: object.name.key(), total_bytes, index },
                })
            });
            Some((found.leader, found.leader_epoch, found.start, extents.collect::<Option<Vec<_>>>()))
        });
        let (leader, leader_epoch, start, extents) =
            found.ok_or(Failure::plain(Code::UnknownTopicOrPartition))?;
        if leader != Some(self.epoch) {
            return Err(Failure::plain(Code::NotLeaderOrFollower));
        }
        let Some(extents) = extents else {
            tracing::error!(%stream, "the metadata lacks an object of this stream; see `levee inspect journal`");
            return Err(Failure::plain(Code::KafkaStorageError));
        };
        self.store.open_stream(stream, leader_epoch, start, extents);
        match PartitionLog::open(self.store.clone(), stream, leader_epoch).await {
            Ok(log) => {
                let log = Arc::new(log);
                self.partitions.write().unwrap_or_else(PoisonError::into_inner).insert(stream, log.clone());
                Ok(log)
            }
            Err(error) => {
                self.store.close_stream(stream);
                tracing::error!(%stream, %error, "can't open a partition");
                Err(Failure::new(Code::KafkaStorageError, error.to_string()))
            }
        }
    }

    /// Closes the partitions of a topic that is deleted.
    pub fn close(&self, topic: &TopicView) {
        let mut partitions = self.partitions.write().unwrap_or_else(PoisonError::into_inner);
        for (stream, _) in &topic.partitions {
            partitions.remove(stream);
            self.store.close_stream(*stream);
        }
    }

    /// A producer id that nobody has had.
    ///
    /// # Errors
    /// When the metadata can't give any now.
    pub async fn producer_id(&self) -> Result<i64, BackendError> {
        if let Some(id) = self.next_producer_id() {
            return Ok(id);
        }
        let answer = self.commit(Command::AllocateProducerIds { count: PRODUCER_ID_BLOCK }).await?;
        let Answer::ProducerIds { first } = answer else {
            return Err(BackendError::Unavailable(format!("the metadata answered {answer:?}")));
        };
        // A block that another request fetched meanwhile is dropped: ids are plenty, and never used twice.
        *self.producer_ids.lock().unwrap_or_else(PoisonError::into_inner) =
            first + 1..first + u64::from(PRODUCER_ID_BLOCK);
        i64::try_from(first).map_err(|error| BackendError::Unavailable(error.to_string()))
    }

    fn next_producer_id(&self) -> Option<i64> {
        let id = self.producer_ids.lock().unwrap_or_else(PoisonError::into_inner).next()?;
        i64::try_from(id).ok()
    }
}

fn view(state: &levee_meta::State, id: TopicId, topic: &levee_meta::state::Topic) -> TopicView {
    let leader_epoch = |stream: &StreamId| state.stream(*stream).map_or(0, |stream| stream.leader_epoch);
    TopicView {
        name: topic.name.clone(),
        id,
        partitions: topic.streams.iter().map(|stream| (*stream, leader_epoch(stream))).collect(),
        configs: topic.configs.clone(),
    }
}
