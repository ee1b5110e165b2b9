//! A registered broker: keeps the table of partitions in step with the metadata, opening streams and partition
//! logs as topics come, and closing them as they go.
//!
//! A partition that can't be opened (its objects can't be read now) is in the table as unavailable, so that
//! clients try again, and is tried again from time to time.

use crate::coordinators::{CoordinatorConfig, Coordinators};
use crate::handlers::backend::BackendError;
use crate::handlers::dynamic::Dynamic;
use crate::handlers::led::LedPartitions;
use crate::handlers::resource;
use crate::keeper::Keeper;
use crate::partition::starts::Starts;
use crate::partition::{LogConfig, Partition, PartitionLog, PartitionTable, Topic};
use crate::producer_ids::ProducerIds;
use crate::registrar::Met;
use crate::topic_config::TopicConfig;
use bytes::Bytes;
use futures::{StreamExt, stream};
use levee_base::limits::{
    CHECKPOINT_EVERY, CHECKPOINTS_AT_ONCE, CLEANER_BACKOFF, PARTITIONS_OPENING, RETENTION_EVERY,
    TOPICS_OPENING,
};
use levee_base::{BrokerEpoch, Clock, HashMap, NodeId, Random, StreamId};
use levee_coordinator::uuid_text;
use levee_meta::{Answer, Command, Metadata, Resource, State, TopicId};
use levee_store::{Checkpoint, Registered, StreamStore};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, OwnedMutexGuard};
use uuid::Uuid;

/// How soon partitions that the store didn't let be opened are tried again; twice as long each further time in a row,
const OPEN_AGAIN: Duration = Duration::from_millis(100);
/// up to this. So often any others that are not open are tried, too.
const OPEN_AGAIN_MAX: Duration = Duration::from_secs(5);
/// The least time between two looks at which topics there are.
const FOLLOW_PACE: Duration = Duration::from_millis(250);
/// How often long silent producers are forgotten (Kafka's `producer.id.expiration.check.interval.ms`).
const EXPIRE_EVERY: Duration = Duration::from_secs(600);

/// A registration with everything that is led under it.
#[derive(Debug)]
pub struct LedTopics {
    /// The registration.
    pub epoch: BrokerEpoch,
    /// The cluster's metadata.
    pub metadata: Metadata,
    /// The records.
    pub store: Arc<StreamStore>,
    /// Answers the requests that are about records.
    pub records: LedPartitions,
    /// The coordinators of groups and transactions that this broker is.
    pub coordinators: Coordinators,
    pub(crate) table: Arc<PartitionTable>,
    pub(crate) starts: Arc<dyn Starts>,
    pub(crate) clock: Clock,
    pub(crate) intervals: Intervals,
    /// This broker, as a resource with configurations.
    broker: Resource,
    random: Random,
    producer_ids: Arc<ProducerIds>,
    /// Told when the store didn't let a partition be opened.
    open_again: Notify,
    /// Who changes what is open of a topic.
    turns: Mutex<BTreeMap<Uuid, Arc<tokio::sync::Mutex<()>>>>,
}

/// How often the partitions are looked after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intervals {
    /// Retention: Kafka's `log.retention.check.interval.ms`.
    pub retention: Duration,
    /// Keyed compaction, when there was nothing to do: Kafka's `log.cleaner.backoff.ms`.
    pub cleaner: Duration,
    /// Checkpoints.
    pub checkpoints: Duration,
}

impl Default for Intervals {
    fn default() -> Self {
        Self { retention: RETENTION_EVERY, cleaner: CLEANER_BACKOFF, checkpoints: CHECKPOINT_EVERY }
    }
}

/// What the metadata says of a partition.
struct Found {
    stream: StreamId,
    leader: Option<BrokerEpoch>,
    leader_epoch: u32,
    /// `None` when an object is missing from the metadata.
    registered: Option<Registered>,
}

/// Checkpoints that were read, or why the store didn't give them.
type Checkpoints = Result<HashMap<StreamId, Bytes>, levee_object::Error>;

impl LedTopics {
    /// For a registration whose streams it leads by now. Opens nothing yet.
    #[must_use]
    pub fn new(
        node: NodeId,
        epoch: BrokerEpoch,
        metadata: Metadata,
        store: Arc<StreamStore>,
        clock: Clock,
        random: Random,
    ) -> Self {
        let table = Arc::new(PartitionTable::default());
        let producer_ids = Arc::new(ProducerIds::new(metadata.clone()));
        let broker = Resource { kind: BROKER, name: node.to_string() };
        let node = i32::try_from(node.0).unwrap_or(i32::MAX);
        let starts: Arc<dyn Starts> = Arc::new(Keeper { metadata: metadata.clone(), store: store.clone() });
        let coordinators = Coordinators::new(
            table.clone(),
            metadata.clone(),
            &store,
            producer_ids.clone(),
            clock,
            random.clone(),
        );
        let transactions = coordinators.shared();
        let records =
            LedPartitions::new(table.clone(), starts.clone(), transactions, node, clock, random.clone());
        Self {
            epoch,
            metadata,
            store,
            records,
            coordinators,
            table,
            starts,
            clock,
            intervals: Intervals::default(),
            broker,
            random,
            producer_ids,
            open_again: Notify::new(),
            turns: Mutex::default(),
        }
    }

    /// Which looks after its partitions so often.
    #[must_use]
    pub fn at(self, intervals: Intervals) -> Self {
        Self { intervals, ..self }
    }

    /// Whose coordinators are set so.
    #[must_use]
    pub fn coordinating(self, config: CoordinatorConfig) -> Self {
        let coordinators = self.coordinators.with(config);
        Self { coordinators, ..self }
    }

    /// Opens every topic there is, many partitions at a time whatever topic they are of.
    pub async fn open_all(&self) {
        let ids: Vec<TopicId> = self.metadata.view(|state| state.topics().map(|(id, _)| id).collect());
        let (mut topics, mut partitions, mut met) = (Vec::new(), Vec::new(), Met::default());
        for id in ids {
            let Some((name, configs, found)) = self.found(id, &mut met) else { continue };
            let (topic, config) = (topics.len(), LogConfig::from(TopicConfig::of(&configs)));
            partitions.extend(found.into_iter().map(|found| (topic, found, config)));
            topics.push(Topic { name: name.into(), id: id.0, configs, partitions: Vec::new() });
        }
        while !partitions.is_empty() {
            let some = partitions.drain(..partitions.len().min(CHECKPOINTS_AT_ONCE)).collect::<Vec<_>>();
            let checkpoints = self.checkpoints(some.iter().map(|(_, found, _)| found)).await;
            let mut opened = stream::iter(some)
                .map(|(topic, found, config)| {
                    let checkpoints = &checkpoints;
                    async move { (topic, self.open_partition(found, config, checkpoints).await) }
                })
                .buffered(PARTITIONS_OPENING);
            while let Some((topic, partition)) = opened.next().await {
                topics[topic].partitions.push(partition);
            }
        }
        // All are in the table before the first coordinator looks there.
        let ids: Vec<Uuid> = topics.iter().map(|topic| topic.id).collect();
        for topic in topics {
            self.enter(topic);
        }
        self.coordinators.topics_opened(ids.into_iter().filter_map(|id| self.table.by_id(id)));
    }

    /// Waits for the right to change what is open of a topic. One change of a topic at a time: a stream that is
    /// opened twice would lose what was appended to it in between. Other topics don't wait.
    async fn turn(&self, id: Uuid) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            // Those that somebody has or waits for are held there too.
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            turns.entry(id).or_default().clone()
        };
        turn.lock_owned().await
    }

    /// Opens what is not open of a topic, configures what is, and enters it into the table.
    async fn open(&self, id: TopicId) {
        let _turn = self.turn(id.0).await;
        let Some((name, configs, partitions)) = self.found(id, &mut Met::default()) else { return };
        let config = LogConfig::from(TopicConfig::of(&configs));
        let before = self.table.by_id(id.0);
        let here = |index: usize| match before.as_ref().and_then(|topic| topic.partitions.get(index)) {
            Some(Partition::Here(log)) => Some(log.clone()),
            _ => None,
        };
        let partitions: Vec<_> =
            partitions.into_iter().enumerate().map(|(index, found)| (here(index), found)).collect();
        let missing = partitions.iter().filter(|(here, _)| here.is_none());
        let checkpoints = &self.checkpoints(missing.map(|(_, found)| found)).await;
        let opened = stream::iter(partitions)
            .map(|(here, found)| async move {
                match here {
                    Some(log) => {
                        log.configure(config);
                        Partition::Here(log)
                    }
                    None => self.open_partition(found, config, checkpoints).await,
                }
            })
            .buffered(PARTITIONS_OPENING)
            .collect()
            .await;
        self.enter(Topic { name: name.into(), id: id.0, configs, partitions: opened });
        self.coordinators.topics_opened(self.table.by_id(id.0).into_iter());
    }

    /// Enters a topic that was opened into the table, unless it has been deleted meanwhile.
    fn enter(&self, topic: Topic) {
        let unavailable = topic.has_unavailable();
        // Within the view, so that a deletion is either seen here or seen later, as a change.
        let deleted = self.metadata.view(|state| {
            if state.topic(TopicId(topic.id)).is_some() {
                // One that had its name was deleted, or the metadata would not have both.
                self.table.insert(topic)
            } else {
                Some(Arc::new(topic))
            }
        });
        if let Some(topic) = deleted {
            self.coordinators.topic_closed(&topic);
            self.close_streams(&topic);
        } else if unavailable {
            // Only now, as who tries again looks for them in the table.
            self.open_again.notify_one();
        }
    }

    /// Takes a topic that was deleted out of the table, and closes its streams.
    async fn close(&self, id: Uuid) {
        let _turn = self.turn(id).await;
        let Some(topic) = self.table.by_id(id) else { return };
        self.table.remove(id);
        self.coordinators.topic_closed(&topic);
        self.close_streams(&topic);
    }

    fn close_streams(&self, topic: &Topic) {
        for partition in &topic.partitions {
            if let Partition::Here(log) = partition {
                self.store.close_stream(log.stream());
            }
        }
    }

    fn found(&self, id: TopicId, met: &mut Met) -> Option<(String, BTreeMap<String, String>, Vec<Found>)> {
        self.metadata.view(|state| {
            let topic = state.topic(id)?;
            let partitions = topic.streams.iter().filter_map(|&stream| {
                let found = state.stream(stream)?;
                Some(Found {
                    stream,
                    leader: found.leader,
                    leader_epoch: found.leader_epoch,
                    registered: met.stream(state, found),
                })
            });
            let configs = over(&self.defaults(state), &topic.configs).into_owned();
            Some((topic.name.clone(), configs, partitions.collect()))
        })
    }

    /// What was changed of the configurations that topics have where they don't set them, by the topics' names.
    fn defaults(&self, state: &State) -> BTreeMap<String, String> {
        let configs = |resource: &Resource| state.configs(resource).cloned().unwrap_or_default();
        let cluster = Resource { kind: BROKER, name: String::new() };
        Dynamic { cluster: configs(&cluster), broker: configs(&self.broker) }.of_topics()
    }

    /// The newest checkpoints of partitions that are to be opened.
    async fn checkpoints(&self, found: impl Iterator<Item = &Found>) -> Checkpoints {
        let wanted = found.filter_map(|found| {
            let registered = found.registered.as_ref().filter(|_| found.leader == Some(self.epoch))?;
            Some((found.stream, registered.checkpoint.clone()?))
        });
        self.store.checkpoints(&wanted.collect::<Vec<_>>()).await
    }

    /// Dropped before it returns, the stream stays open until it is opened anew: nothing can be appended to it.
    async fn open_partition(&self, found: Found, config: LogConfig, checkpoints: &Checkpoints) -> Partition {
        let Found { stream, leader, leader_epoch, registered } = found;
        if leader != Some(self.epoch) {
            return Partition::Unavailable;
        }
        let Some(registered) = registered else {
            tracing::error!(%stream, "the metadata lacks an object of this stream; please report this");
            return Partition::Unavailable;
        };
        let checkpoint = match (&registered.checkpoint, checkpoints) {
            (None, _) => None,
            (Some(Checkpoint { offset, .. }), Ok(found)) => {
                found.get(&stream).map(|bytes| (*offset, bytes.clone()))
            }
            (Some(_), Err(error)) => {
                return self.refused(stream, error);
            }
        };
        let left_open = self.store.end(stream);
        if let Some(ends) = left_open {
            if ends.appended != ends.registered {
                tracing::error!(%stream, "a partition is opened that is open; please report this");
                return Partition::Unavailable;
            }
            self.store.close_stream(stream);
        }
        self.store.open_stream(stream, leader_epoch, registered);
        if left_open.is_some() {
            // What was registered may have been compacted since it was looked up.
            self.store.refresh(stream).await;
        }
        let epoch = i32::try_from(leader_epoch).unwrap_or(i32::MAX);
        match PartitionLog::open(self.store.clone(), stream, epoch, config, self.clock, checkpoint).await {
            Ok(log) => Partition::Here(Arc::new(log)),
            Err(error) => {
                self.store.close_stream(stream);
                self.refused(stream, &error)
            }
        }
    }

    fn refused(&self, stream: StreamId, error: &dyn std::fmt::Display) -> Partition {
        tracing::error!(%stream, %error, "can't open a partition; trying again");
        Partition::Unavailable
    }

    /// Looks after the table until dropped: keeps it in step with the metadata, opens what could not be opened,
    /// forgets silent producers, removes what has expired, compacts what is keyed, and writes checkpoints.
    pub async fn maintain(&self) {
        let tidying = futures::future::join3(self.retain(), self.clean(), self.checkpoint());
        futures::future::join3(self.follow(), self.tend(), tidying).await;
    }

    /// Opens the topics that the metadata has and the table lacks, and the partitions that were added to one,
    /// configures those whose configurations have changed, and closes those that are gone from it, whenever the metadata changes. A request whose client gave up
    /// waiting, or that came by way of the registration before, takes effect by this alone.
    ///
    /// Not looked at here is who leads: a stream gets another leader only when its own is out or its log closed, and
    /// then a new registration has taken this one's place.
    async fn follow(&self) {
        let mut changes = self.metadata.changes();
        loop {
            changes.mark_unchanged();
            let (behind, gone) = self.difference();
            stream::iter(gone).for_each(|id| self.close(id)).await;
            stream::iter(behind).for_each_concurrent(TOPICS_OPENING, |id| self.open(id)).await;
            if changes.changed().await.is_err() {
                // The metadata has ended: nothing changes any more.
                std::future::pending::<()>().await;
            }
            // Most changes are no topic's, and under load there are many: one look is for all that come within this.
            self.clock.sleep(FOLLOW_PACE).await;
        }
    }

    /// What the metadata has and the table lacks or has otherwise, and what only the table has.
    fn difference(&self) -> (Vec<TopicId>, Vec<Uuid>) {
        self.metadata.view(|state| {
            let defaults = self.defaults(state);
            let behind = state.topics().filter(|(id, topic)| {
                self.table.by_id(id.0).is_none_or(|open| {
                    open.configs != *over(&defaults, &topic.configs)
                        || open.partitions.len() != topic.streams.len()
                })
            });
            let behind = behind.map(|(id, _)| id);
            let open = self.table.all();
            let gone = open.iter().map(|topic| topic.id).filter(|id| state.topic(TopicId(*id)).is_none());
            (behind.collect(), gone.collect())
        })
    }

    async fn tend(&self) {
        let mut expire_at = self.clock.now() + EXPIRE_EVERY;
        let mut again_in = OPEN_AGAIN;
        loop {
            if self.clock.timeout(OPEN_AGAIN_MAX, self.open_again.notified()).await.is_some() {
                self.clock.sleep(again_in).await;
                again_in = (again_in * 2).min(OPEN_AGAIN_MAX);
            } else {
                again_in = OPEN_AGAIN;
            }
            let expire = self.clock.now() >= expire_at;
            if expire {
                expire_at = self.clock.now() + EXPIRE_EVERY;
            }
            let topics = self.table.all();
            for topic in topics.iter().filter(|_| expire) {
                for partition in &topic.partitions {
                    if let Partition::Here(log) = partition {
                        log.expire_producers();
                    }
                }
            }
            let again = topics.iter().filter(|topic| topic.has_unavailable());
            let again: Vec<TopicId> = again.map(|topic| TopicId(topic.id)).collect();
            stream::iter(again).for_each_concurrent(TOPICS_OPENING, |id| self.open(id)).await;
        }
    }

    /// Creates a topic; it is open when this returns. Dropped before that, it is opened by [`Self::maintain`] if it
    /// was created.
    ///
    /// # Errors
    /// When it exists, or the metadata can't be changed now.
    pub async fn create(
        &self,
        name: String,
        partitions: u32,
        configs: BTreeMap<String, String>,
    ) -> Result<TopicId, BackendError> {
        let topic = TopicId(uuid_text::random(&self.random));
        let leader = self.epoch;
        self.commit(Command::CreateTopic { name, topic, partitions, configs, leader }).await?;
        self.open(topic).await;
        Ok(topic)
    }

    /// Deletes a topic. Dropped before this returns, it is closed by [`Self::maintain`] if it was deleted.
    ///
    /// # Errors
    /// When there is none, or the metadata can't be changed now.
    pub async fn delete(&self, id: Uuid) -> Result<(), BackendError> {
        self.commit(Command::DeleteTopic { topic: TopicId(id) }).await?;
        self.close(id).await;
        Ok(())
    }

    /// Changes a topic's configurations; its partitions go by them when this returns. Dropped before that, they do
    /// by [`Self::maintain`] if they were changed.
    ///
    /// # Errors
    /// When there is no such topic, its configurations become too long, or the metadata can't be changed now.
    pub async fn alter(
        &self,
        id: Uuid,
        set: BTreeMap<String, String>,
        unset: BTreeSet<String>,
    ) -> Result<(), BackendError> {
        let topic = TopicId(id);
        self.commit(Command::AlterTopic { topic, set, unset }).await?;
        self.open(topic).await;
        Ok(())
    }

    /// Gives a topic more partitions; they are open when this returns. Dropped before that, they are opened by
    /// [`Self::maintain`] if they were added.
    ///
    /// # Errors
    /// When there is no such topic, it has as many already, or the metadata can't be changed now.
    pub async fn add_partitions(&self, id: Uuid, partitions: u32) -> Result<(), BackendError> {
        let (topic, leader) = (TopicId(id), self.epoch);
        self.commit(Command::AddPartitions { topic, partitions, leader }).await?;
        self.open(topic).await;
        Ok(())
    }

    /// Changes the configurations of what is no topic; partitions go by them when this returns.
    ///
    /// # Errors
    /// When they become too long, or the metadata can't be changed now.
    pub async fn alter_resource(
        &self,
        resource: Resource,
        set: BTreeMap<String, String>,
        unset: BTreeSet<String>,
    ) -> Result<(), BackendError> {
        self.commit(Command::AlterConfigs { resource, set, unset }).await?;
        let (behind, _) = self.difference();
        stream::iter(behind).for_each_concurrent(TOPICS_OPENING, |id| self.open(id)).await;
        Ok(())
    }

    /// A producer id that nobody has had.
    ///
    /// # Errors
    /// When the metadata can't give any now.
    pub async fn producer_id(&self) -> Result<i64, BackendError> {
        self.producer_ids.next().await
    }

    async fn commit(&self, command: Command) -> Result<Answer, BackendError> {
        match self.metadata.commit(command).await {
            Ok(Answer::Refused(refusal)) => Err(refusal.into()),
            Ok(answer) => Ok(answer),
            Err(error) => Err(BackendError::Unavailable(error.to_string())),
        }
    }
}

/// The number of brokers among the kinds of resources.
const BROKER: u32 = resource::BROKER.unsigned_abs() as u32;

/// A topic's own configurations, and the defaults for what it doesn't set.
fn over<'a>(
    defaults: &BTreeMap<String, String>,
    own: &'a BTreeMap<String, String>,
) -> Cow<'a, BTreeMap<String, String>> {
    if defaults.is_empty() {
        return Cow::Borrowed(own);
    }
    let mut all = defaults.clone();
    all.extend(own.iter().map(|(name, value)| (name.clone(), value.clone())));
    Cow::Owned(all)
}

#[cfg(test)]
#[path = "led_topics_tests.rs"]
pub(crate) mod tests;
