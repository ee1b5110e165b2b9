//! Fetch: reading batches, and waiting for them.
//!
//! A request is answered as soon as there are `min_bytes`, or an error, or when `max_wait_ms` is over. While it
//! waits, the partitions' streams wake it; each time all of them are read again from the start, which is cheap
//! as what is new lies in memory. It watches before it reads, so nothing comes in between unseen.
//!
//! Limits: `max_bytes` for all, `partition_max_bytes` for each, and whatever they are, the first batch of the first
//! partition that has one. Only whole batches are returned. Nothing that is not durable is: the high watermark is
//! the durable end. Who reads only what is committed is given what lies below the last stable offset, and told which
//! transactions in it were aborted; that offset moves when a marker becomes durable, which wakes requests as any other
//! batch does.
//!
//! Memory: the records of all answers that are being made or written share `FETCH_ANSWERS_BYTES`. A request gets
//! half of what is free at most, and no more than its partitions may give, so clients that take no answers make those
//! of others smaller, down to one batch each, and never keep them waiting.

mod pass;

use self::pass::{Answerer, Pass};
use crate::errors::Code;
use crate::fetch_session::{Asked, Context, FetchSessions, Key, SessionError, Told, TopicKey, Wanted};
use crate::partition::read::{FetchError, Isolation};
use crate::partition::stream::Watching;
use crate::partition::{Partition, PartitionLog, PartitionTable, Streams};
use crate::wire::fetch::{FetchResponse, FetchedPartition, FetchedTopic};
use crate::wire::produce::Topic;
use crate::wire::writer::Leader;
use kafka_protocol::messages::FetchRequest;
use levee_base::limits::{FETCH_ANSWERS_BYTES, FETCH_BYTES, FETCH_WAIT};
use levee_base::{Clock, StreamId};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// From this version on topics are named by id (KIP-516).
const IDS_FROM_VERSION: i16 = 13;

/// What answering takes.
#[derive(Debug)]
pub struct Fetcher {
    table: Arc<PartitionTable>,
    sessions: Mutex<FetchSessions>,
    clock: Clock,
    /// This broker, as it is named as a leader.
    node_id: i32,
    /// Bytes of records that answers may yet hold.
    memory: Arc<Semaphore>,
}

/// A partition of a request, found.
struct Found {
    index: i32,
    wanted: Wanted,
    place: Place,
}

enum Place {
    Here(Arc<PartitionLog>),
    Elsewhere(Option<Leader>),
    Unknown(Code),
}

impl Found {
    fn is_known(&self) -> bool {
        !matches!(self.place, Place::Unknown(_))
    }
}

impl Fetcher {
    /// With sessions of its own.
    #[must_use]
    pub fn new(table: Arc<PartitionTable>, sessions: FetchSessions, clock: Clock, node_id: i32) -> Self {
        let memory = Arc::new(Semaphore::new(FETCH_ANSWERS_BYTES));
        Self { table, sessions: Mutex::new(sessions), clock, node_id, memory }
    }

    /// The sessions, for metrics.
    pub fn sessions(&self) -> MutexGuard<'_, FetchSessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a request.
    pub async fn fetch(&self, request: FetchRequest, version: i16) -> FetchResponse {
        let context = match self.begin(&request, version) {
            Ok(context) => context,
            Err(error) => return session_error(error, 0),
        };
        let found: Vec<_> = context
            .partitions
            .iter()
            .map(|((topic, index), wanted)| Found {
                index: *index,
                wanted: *wanted,
                place: self.find(topic, *index),
            })
            .collect();
        let isolation = match Isolation::of(request.isolation_level) {
            Some(isolation) => isolation,
            // Kafka's leader fails on one that doesn't exist, if it comes so far as to read.
            None if found.iter().any(Found::is_known) => return failed(&request, version),
            None => Isolation::default(),
        };
        let answerer = Answerer { version, node_id: self.node_id, isolation };
        let Pass { partitions, memory, .. } = self.read_or_wait(&request, &answerer, &found).await;
        FetchResponse { memory, ..self.finish(&context, partitions) }
    }

    fn begin(&self, request: &FetchRequest, version: i16) -> Result<Context, SessionError> {
        let by_id = version >= IDS_FROM_VERSION;
        let mut partitions: Vec<(Key, Wanted)> = Vec::new();
        let mut places: BTreeMap<TopicKey, BTreeMap<i32, usize>> = BTreeMap::new();
        for topic in &request.topics {
            let key = topic_key(by_id, &topic.topic, topic.topic_id);
            let places = places.entry(key.clone()).or_default();
            for partition in &topic.partitions {
                let wanted = Wanted {
                    fetch_offset: partition.fetch_offset,
                    max_bytes: partition.partition_max_bytes,
                    leader_epoch: partition.current_leader_epoch,
                    last_fetched_epoch: partition.last_fetched_epoch,
                };
                let place = *places.entry(partition.partition).or_insert(partitions.len());
                // As in Kafka, one that is named twice is answered once, in its first place by what was said last.
                match partitions.get_mut(place) {
                    Some(before) => before.1 = wanted,
                    None => partitions.push(((key.clone(), partition.partition), wanted)),
                }
            }
        }
        let mut forgotten: Vec<Key> = Vec::new();
        for topic in &request.forgotten_topics_data {
            let key = topic_key(by_id, &topic.topic, topic.topic_id);
            forgotten.extend(topic.partitions.iter().map(|index| (key.clone(), *index)));
        }
        let asked = Asked { session_id: request.session_id, epoch: request.session_epoch, by_id };
        self.sessions().begin(self.clock.now(), asked, partitions, &forgotten)
    }

    fn finish(&self, context: &Context, partitions: Vec<FetchedPartition>) -> FetchResponse {
        let told: Vec<_> = partitions
            .iter()
            .map(|partition| Told {
                high_watermark: partition.high_watermark,
                log_start_offset: partition.log_start_offset,
                records: !partition.records.is_empty() || partition.diverging_epoch.is_some(),
                error: partition.error_code != 0,
            })
            .collect();
        let finished = self.sessions().finish(self.clock.now(), context, &told);
        let (session_id, keep) = match finished {
            Ok(finished) => finished,
            Err(error) => return session_error(error, context.session_id()),
        };
        let mut topics: Vec<FetchedTopic> = Vec::new();
        let mut last = None;
        for ((((topic, _), _), partition), keep) in context.partitions.iter().zip(partitions).zip(keep) {
            if !keep {
                continue;
            }
            match topics.last_mut() {
                // A topic is named once for the partitions that follow each other.
                Some(fetched) if last == Some(topic) => fetched.partitions.push(partition),
                _ => topics.push(FetchedTopic { topic: named(topic), partitions: vec![partition] }),
            }
            last = Some(topic);
        }
        FetchResponse { session_id, topics, ..FetchResponse::default() }
    }

    fn find(&self, topic: &TopicKey, index: i32) -> Place {
        let (known, unknown) = match topic {
            TopicKey::Name(name) => (self.table.by_name(name), Code::UnknownTopicOrPartition),
            TopicKey::Id(id) => (self.table.by_id(*id), Code::UnknownTopicId),
        };
        let Some(known) = known else { return Place::Unknown(unknown) };
        match known.partition(index) {
            None => Place::Unknown(Code::UnknownTopicOrPartition),
            Some(Partition::Here(log)) => Place::Here(log.clone()),
            Some(Partition::Elsewhere(leader)) => Place::Elsewhere(Some(*leader)),
            Some(Partition::Unavailable) => Place::Elsewhere(None),
        }
    }

    async fn read_or_wait(&self, request: &FetchRequest, answerer: &Answerer, found: &[Found]) -> Pass {
        let max_bytes = usize::try_from(request.max_bytes).unwrap_or(0).min(FETCH_BYTES);
        let min_bytes = usize::try_from(request.min_bytes).unwrap_or(0).min(max_bytes);
        let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)).min(FETCH_WAIT);
        let deadline = self.clock.now() + wait;
        // What is not known here can't come while the request waits, so as in Kafka it doesn't end the waiting.
        let nothing_to_wait_for = !found.iter().any(Found::is_known);
        // What its partitions can't give is not kept from others.
        let wanted = max_bytes.min(all_may_give(found));
        let read = || async {
            let (granted, memory) = self.memory_for(wanted);
            // With all that is wanted the partitions' bounds are enough: a long first batch takes none of their room.
            let most = if granted < wanted { granted } else { max_bytes };
            let mut pass = Pass::default();
            pass.read(found, request, answerer, most).await;
            // The least that ends the waiting is never more than there was memory for. But nothing at all is not enough
            // for who waits for something: its next request would come at once.
            let least = if min_bytes == 0 { 0 } else { min_bytes.min(most).max(1) };
            pass.enough = pass.bytes >= least || pass.more && pass.bytes > 0;
            pass.memory = memory.and_then(|mut memory| memory.split(pass.bytes.min(granted)));
            pass
        };

        let pass = read().await;
        if pass.enough || pass.failed || wait.is_zero() || nothing_to_wait_for {
            return pass;
        }
        drop(pass);
        let grown = Arc::new(Notify::new());
        let _watching = watch(found, &grown);
        loop {
            let pass = read().await;
            if pass.enough || pass.failed || self.clock.now() >= deadline {
                return pass;
            }
            drop(pass);
            tokio::select! {
                biased;
                () = grown.notified() => {}
                () = self.clock.sleep_until(deadline) => {}
            }
        }
    }

    /// How many of `wanted` bytes a request may read now, and the right to it. A first batch is read whatever this
    /// says.
    fn memory_for(&self, wanted: usize) -> (usize, Option<OwnedSemaphorePermit>) {
        let most = wanted.min(self.memory.available_permits() / 2);
        let permits = u32::try_from(most).unwrap_or(u32::MAX);
        match self.memory.clone().try_acquire_many_owned(permits) {
            Ok(memory) => (most, Some(memory)),
            // Others were faster, and little is left.
            Err(_) => (0, None),
        }
    }
}

/// The code for a read that failed. What the store can't give is logged here, and only here.
pub(super) fn read_code(stream: StreamId, error: &FetchError) -> Code {
    match error {
        FetchError::OutOfRange { .. } => Code::OffsetOutOfRange,
        FetchError::NotLeader => Code::NotLeaderOrFollower,
        FetchError::Store(error) => {
            tracing::error!(%stream, %error, "a partition can't be read");
            Code::KafkaStorageError
        }
    }
}

/// The most bytes that the partitions which are read here give together, but for a first batch.
fn all_may_give(found: &[Found]) -> usize {
    let here = found.iter().filter(|found| matches!(found.place, Place::Here(_)));
    let each = here.map(|found| usize::try_from(found.wanted.max_bytes).unwrap_or(0));
    each.fold(0, usize::saturating_add)
}

/// Has `grown` notified when any of the partitions grows. They lie in one store, but for moments in which this
/// broker changes from one to the next.
fn watch(found: &[Found], grown: &Arc<Notify>) -> Vec<Watching> {
    let mut by_store: Vec<(&Arc<dyn Streams>, Vec<StreamId>)> = Vec::new();
    for found in found {
        if let Place::Here(log) = &found.place {
            match by_store.iter_mut().find(|(store, _)| Arc::ptr_eq(store, log.streams())) {
                Some((_, streams)) => streams.push(log.stream()),
                None => by_store.push((log.streams(), vec![log.stream()])),
            }
        }
    }
    by_store.into_iter().map(|(store, streams)| store.watch(&streams, grown)).collect()
}

fn topic_key(by_id: bool, name: &str, id: uuid::Uuid) -> TopicKey {
    if by_id { TopicKey::Id(id) } else { TopicKey::Name(name.into()) }
}

fn named(topic: &TopicKey) -> Topic {
    match topic {
        TopicKey::Name(name) => Topic::Name(name.clone()),
        TopicKey::Id(id) => Topic::Id(*id),
    }
}

/// The answer to a request on which Kafka's leader fails: its partitions are told of while topics have names, and what
/// it keeps of the session is not.
fn failed(request: &FetchRequest, version: i16) -> FetchResponse {
    let code = Code::UnknownServerError.code();
    let topics = request.topics.iter().filter(|_| version < IDS_FROM_VERSION).map(|topic| FetchedTopic {
        topic: named(&topic_key(false, &topic.topic, topic.topic_id)),
        partitions: topic
            .partitions
            .iter()
            .map(|partition| FetchedPartition {
                aborted: Some(Vec::new()),
                ..FetchedPartition::error(partition.partition, code)
            })
            .collect(),
    });
    FetchResponse {
        error_code: code,
        session_id: request.session_id,
        topics: topics.collect(),
        ..FetchResponse::default()
    }
}

fn session_error(error: SessionError, session_id: i32) -> FetchResponse {
    let code = match error {
        SessionError::NotFound => Code::FetchSessionIdNotFound,
        SessionError::Epoch => Code::InvalidFetchSessionEpoch,
        SessionError::TopicIds => Code::FetchSessionTopicIdError,
    };
    FetchResponse { error_code: code.code(), session_id, ..FetchResponse::default() }
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
