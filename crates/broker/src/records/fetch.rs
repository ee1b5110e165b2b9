//! Fetch: whole batches from the one that holds the offset, up to the high watermark. A request that finds too
//! little waits until enough is there or its time is over.

use super::session::{Followed, NoTurn, SessionRequest, Sessions, Told, Turn, Wanted};
use crate::broker::{Broker, TopicView};
use crate::errors::{Code, of_read};
use crate::partition::PartitionLog;
use crate::wire::fetch::{FetchResponse, FetchedPartition, FetchedTopic};
use crate::wire::produce::Topic;
use kafka_protocol::messages::FetchRequest;
use levee_base::Offset;
use levee_base::limits::FETCH_BYTES;
use levee_meta::TopicId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// The first version with sessions.
const SESSIONS: i16 = 7;
/// The first version that names topics by id.
const TOPIC_IDS: i16 = 13;

/// A partition of this request with what it was found to be.
struct Found {
    followed: Followed,
    wanted: Wanted,
    told: Option<Told>,
    log: Result<Arc<PartitionLog>, Code>,
}

/// Answers.
pub async fn answer(
    broker: &Broker,
    sessions: &Mutex<Sessions>,
    version: i16,
    request: FetchRequest,
) -> FetchResponse {
    let lock = || sessions.lock().unwrap_or_else(PoisonError::into_inner);
    let (max_wait, min_bytes) = (request.max_wait_ms, usize::try_from(request.min_bytes).unwrap_or(0));
    let max_bytes = usize::try_from(request.max_bytes).unwrap_or(0).min(FETCH_BYTES);
    let new_id = 1 + i32::try_from(broker.random.below(0x7fff_fffe)).unwrap_or(0);
    let turn = lock().turn(session_request(version, request), if version >= SESSIONS { new_id } else { 0 });
    let turn = match turn {
        Ok(turn) => turn,
        Err(error) => {
            let error = match error {
                NoTurn::UnknownId => Code::FetchSessionIdNotFound,
                NoTurn::WrongEpoch => Code::InvalidFetchSessionEpoch,
                NoTurn::TopicIds => Code::FetchSessionTopicIdError,
            };
            return FetchResponse { error_code: error.code(), ..FetchResponse::default() };
        }
    };
    let Turn { id, incremental, partitions } = turn;
    let mut views = BTreeMap::new();
    let mut found = Vec::with_capacity(partitions.len());
    for (followed, wanted, told) in partitions {
        let log = find(broker, version, &mut views, &followed, wanted).await;
        found.push(Found { followed, wanted, told, log });
    }
    let fetched = wait(broker, &found, min_bytes, max_bytes, max_wait).await;
    let told =
        found.iter().zip(&fetched).filter(|(_, fetched)| fetched.error_code == 0).map(|(found, fetched)| {
            let told =
                Told { high_watermark: fetched.high_watermark, log_start_offset: fetched.log_start_offset };
            (found.followed.clone(), told, !fetched.records.is_empty())
        });
    if id != 0 {
        lock().told(id, told);
    }
    let news = found.into_iter().zip(fetched).filter(|(found, fetched)| {
        let now = Told { high_watermark: fetched.high_watermark, log_start_offset: fetched.log_start_offset };
        !incremental || fetched.error_code != 0 || !fetched.records.is_empty() || found.told != Some(now)
    });
    let mut topics: Vec<FetchedTopic> = Vec::new();
    for (Found { followed, .. }, fetched) in news {
        match topics.last_mut() {
            Some(last) if is(&last.topic, &followed) => last.partitions.push(fetched),
            _ => {
                let topic = if version >= TOPIC_IDS {
                    Topic::Id(followed.topic_id)
                } else {
                    Topic::Name(followed.name.into())
                };
                topics.push(FetchedTopic { topic, partitions: vec![fetched] });
            }
        }
    }
    FetchResponse { session_id: id, topics, ..FetchResponse::default() }
}

fn is(topic: &Topic, followed: &Followed) -> bool {
    match topic {
        Topic::Name(name) => **name == *followed.name,
        Topic::Id(id) => *id == followed.topic_id,
    }
}

fn session_request(version: i16, request: FetchRequest) -> SessionRequest {
    let by_id = version >= TOPIC_IDS;
    let mut named = Vec::new();
    for topic in request.topics {
        for partition in topic.partitions {
            let followed = Followed {
                name: topic.topic.to_string(),
                topic_id: topic.topic_id,
                index: partition.partition,
            };
            let wanted = Wanted {
                offset: partition.fetch_offset,
                leader_epoch: partition.current_leader_epoch,
                max_bytes: partition.partition_max_bytes,
            };
            named.push((followed, wanted));
        }
    }
    let mut forgotten = Vec::new();
    for topic in request.forgotten_topics_data {
        for index in topic.partitions {
            forgotten.push(Followed { name: topic.topic.to_string(), topic_id: topic.topic_id, index });
        }
    }
    let (id, epoch) = if version >= SESSIONS { (request.session_id, request.session_epoch) } else { (0, -1) };
    SessionRequest { id, epoch, by_id, named, forgotten }
}

type Views = BTreeMap<(String, uuid::Uuid), Result<TopicView, Code>>;

async fn find(
    broker: &Broker,
    version: i16,
    views: &mut Views,
    followed: &Followed,
    wanted: Wanted,
) -> Result<Arc<PartitionLog>, Code> {
    let view = views.entry((followed.name.clone(), followed.topic_id)).or_insert_with(|| {
        if version >= TOPIC_IDS {
            broker.topic_by_id(TopicId(followed.topic_id)).ok_or(Code::UnknownTopicId)
        } else {
            broker.topic(&followed.name).ok_or(Code::UnknownTopicOrPartition)
        }
    });
    let view = view.as_ref().map_err(|error| *error)?;
    let log = broker.partition(view, followed.index).await.map_err(|failure| failure.code)?;
    check_epoch(&log, wanted.leader_epoch)?;
    Ok(log)
}

/// Whether the client's idea of the leader's epoch is right; -1 is no idea (KIP-320).
pub fn check_epoch(log: &PartitionLog, theirs: i32) -> Result<(), Code> {
    let ours = i32::try_from(log.leader_epoch()).unwrap_or(i32::MAX);
    match theirs {
        -1 => Ok(()),
        theirs if theirs < ours => Err(Code::FencedLeaderEpoch),
        theirs if theirs > ours => Err(Code::UnknownLeaderEpoch),
        _ => Ok(()),
    }
}

/// Reads again and again until there is enough or the time is over.
async fn wait(
    broker: &Broker,
    found: &[Found],
    min_bytes: usize,
    max_bytes: usize,
    max_wait_ms: i32,
) -> Vec<FetchedPartition> {
    let patience = Duration::from_millis(u64::try_from(max_wait_ms).unwrap_or(0));
    let deadline = broker.clock.now() + patience;
    let streams: Vec<_> = found.iter().filter_map(|f| Some(f.log.as_ref().ok()?.stream())).collect();
    let grown = Arc::new(Notify::new());
    // Before the first look, so that nothing that comes in between is missed.
    let _watching = broker.store.watch(&streams, &grown);
    loop {
        let fetched = read_all(broker, found, max_bytes).await;
        let bytes: usize = fetched.iter().flat_map(|f| &f.records).map(bytes::Bytes::len).sum();
        let failed = fetched.iter().any(|f| f.error_code != 0);
        if bytes >= min_bytes || failed || found.is_empty() {
            return fetched;
        }
        let over = tokio::select! {
            biased;
            () = grown.notified() => false,
            () = broker.clock.sleep_until(deadline) => true,
        };
        if over {
            return read_all(broker, found, max_bytes).await;
        }
    }
}

async fn read_all(broker: &Broker, found: &[Found], max_bytes: usize) -> Vec<FetchedPartition> {
    let mut left = max_bytes;
    let mut first = true;
    let mut all = Vec::with_capacity(found.len());
    for found in found {
        let index = found.followed.index;
        let fetched = match &found.log {
            Ok(log) => read(broker, log, index, found.wanted, left, first).await,
            Err(error) => Err(*error),
        };
        let fetched = fetched.unwrap_or_else(|error| FetchedPartition::error(index, error.code()));
        let bytes: usize = fetched.records.iter().map(bytes::Bytes::len).sum();
        left = left.saturating_sub(bytes);
        first &= bytes == 0;
        all.push(fetched);
    }
    all
}

async fn read(
    broker: &Broker,
    log: &PartitionLog,
    index: i32,
    wanted: Wanted,
    left: usize,
    at_least_one: bool,
) -> Result<FetchedPartition, Code> {
    let ends = log.ends().ok_or(Code::NotLeaderOrFollower)?;
    let from = u64::try_from(wanted.offset).map(Offset).map_err(|_| Code::OffsetOutOfRange)?;
    if from < ends.start || from > ends.durable {
        return Err(Code::OffsetOutOfRange);
    }
    let max_bytes = usize::try_from(wanted.max_bytes).unwrap_or(0).min(left);
    let records = if from == ends.durable || (max_bytes == 0 && !at_least_one) {
        Vec::new()
    } else {
        match broker.store.read(log.stream(), from, max_bytes, at_least_one).await {
            Ok(runs) => runs.into_iter().map(|run| run.bytes).collect(),
            Err(error) => {
                tracing::error!(stream = %log.stream(), %error, "a read failed");
                return Err(of_read(&error));
            }
        }
    };
    broker.metrics.fetched(records.iter().map(bytes::Bytes::len).sum());
    let kafka = |offset: Offset| i64::try_from(offset.0).unwrap_or(i64::MAX);
    Ok(FetchedPartition {
        high_watermark: kafka(ends.durable),
        last_stable_offset: kafka(ends.durable),
        log_start_offset: kafka(ends.start),
        records,
        ..FetchedPartition::error(index, 0)
    })
}
