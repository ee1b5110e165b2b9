//! OffsetCommit, TxnOffsetCommit and OffsetDelete.

use super::GroupShard;
use super::classic::Waiting;
use super::consumer::{self, CommitCheck};
use super::kind::{self, Group};
use super::offsets::tombstone;
use super::turn::Atomic;
use crate::context::{Context, TopicView};
use crate::effects::{Append, Effects, Producer, Record, Token};
use crate::schema::group::{OffsetCommitKey, OffsetCommitValue};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse, TopicName,
    TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};
use kafka_protocol::protocol::StrBytes;
use std::sync::Arc;
use uuid::Uuid;

/// The first version of OffsetCommit that knows what it means that a group is not there.
const COMMIT_GROUP_NOT_FOUND: i16 = 9;

/// A partition's offset, as either request asks to commit it.
struct Asked {
    /// Which of the request's topics it is of: one may be named twice.
    entry: usize,
    topic: TopicName,
    topic_id: Uuid,
    partition: i32,
    offset: i64,
    leader_epoch: i32,
    metadata: Option<StrBytes>,
    /// What is wrong with it.
    error: Option<ResponseError>,
}

impl Asked {
    /// A partition that nothing is said of yet but whether the cluster has it.
    fn new(
        entry: usize,
        name: &TopicName,
        topic_id: Uuid,
        topic: Option<&TopicView>,
        partition: i32,
    ) -> Self {
        let exists = topic.is_some_and(|topic| topic.has(partition));
        Self {
            entry,
            topic: name.clone(),
            topic_id,
            partition,
            offset: -1,
            leader_epoch: -1,
            metadata: None,
            error: (!exists).then_some(ResponseError::UnknownTopicOrPartition),
        }
    }

    fn error_code(&self) -> i16 {
        self.error.map_or(0, |error| error.code())
    }
}

/// Whether a client adds more to an offset than it may.
fn is_too_long(metadata: Option<&str>, max: usize) -> bool {
    // No string has more UTF-16 units than bytes.
    metadata.is_some_and(|metadata| metadata.len() > max && metadata.encode_utf16().count() > max)
}

/// What was asked for, in the order in which it is answered: what the cluster doesn't have comes first.
fn in_order(asked: Vec<Asked>) -> impl Iterator<Item = Asked> {
    let unknown = |asked: &Asked| asked.error == Some(ResponseError::UnknownTopicOrPartition);
    let (unknown, known): (Vec<_>, Vec<_>) = asked.into_iter().partition(unknown);
    unknown.into_iter().chain(known)
}

/// Puts partitions together as they were asked for; by topic, in the order in which topics first appear, if the cluster
/// lacks some of them. (Kafka puts two answers together then.)
fn by_topic<T, P>(
    asked: Vec<Asked>,
    topic: impl Fn(&Asked) -> T,
    partition: impl Fn(&Asked) -> P,
    partitions: impl Fn(&mut T) -> &mut Vec<P>,
) -> Vec<T> {
    let mut topics: Vec<T> = Vec::new();
    let mut places = std::collections::BTreeMap::new();
    let together = asked.iter().any(|asked| asked.error == Some(ResponseError::UnknownTopicOrPartition));
    for asked in in_order(asked) {
        let entry = if together { 0 } else { asked.entry };
        let place = *places.entry((asked.topic_id, (*asked.topic).clone(), entry)).or_insert_with(|| {
            topics.push(topic(&asked));
            topics.len() - 1
        });
        partitions(&mut topics[place]).push(partition(&asked));
    }
    topics
}

/// An error as it is told to whoever commits, in a transaction or not.
fn told(error: ResponseError, transactional: bool) -> ResponseError {
    match error {
        ResponseError::StaleMemberEpoch if transactional => ResponseError::IllegalGeneration,
        error => error,
    }
}

/// Who asks to commit, and as of what.
struct Committer<'a> {
    group: &'a str,
    member: &'a str,
    instance: Option<&'a str>,
    generation: i32,
    version: i16,
    producer: Option<Producer>,
    expire_timestamp_ms: Option<i64>,
}

/// What is committed, and that as records.
type Written = (Vec<Record>, Vec<(OffsetCommitKey, OffsetCommitValue)>);

/// The records of what has no error, and what they say; nothing if it is more than one batch takes.
fn written(committer: &Committer<'_>, asked: &[Asked], wall_ms: i64) -> Option<Written> {
    let group: Arc<str> = committer.group.into();
    let mut atomic = Atomic::default();
    let (mut records, mut offsets) = (Vec::new(), Vec::new());
    for asked in asked.iter().filter(|asked| asked.error.is_none()) {
        let key = OffsetCommitKey {
            group: Arc::clone(&group),
            topic: (**asked.topic).into(),
            partition: asked.partition,
        };
        let value = OffsetCommitValue {
            offset: asked.offset,
            leader_epoch: asked.leader_epoch,
            metadata: asked.metadata.as_deref().unwrap_or_default().into(),
            commit_timestamp_ms: wall_ms,
            expire_timestamp_ms: committer.expire_timestamp_ms,
            topic_id: asked.topic_id,
        };
        let record = Record { key: key.write(), value: Some(value.write()) };
        if !atomic.takes(&record) {
            return None;
        }
        records.push(record);
        offsets.push((key, value));
    }
    Some((records, offsets))
}

impl GroupShard {
    /// Serves OffsetCommit.
    pub(super) fn commit(
        &mut self,
        ctx: Context<'_>,
        waiting: Waiting,
        request: OffsetCommitRequest,
    ) -> Effects {
        let mut asked = Vec::new();
        for (entry, topic) in request.topics.into_iter().enumerate() {
            let view = ctx.cluster.topic(&topic.name);
            // Old clients go by names. The id is written all the same.
            let id = view.as_ref().filter(|_| topic.topic_id.is_nil()).map_or(topic.topic_id, |view| view.id);
            asked.extend(topic.partitions.into_iter().map(|partition| Asked {
                offset: partition.committed_offset,
                leader_epoch: partition.committed_leader_epoch,
                metadata: partition.committed_metadata,
                ..Asked::new(entry, &topic.name, id, view.as_ref(), partition.partition_index)
            }));
        }
        let retention_ms = request.retention_time_ms;
        let committer = Committer {
            group: &request.group_id,
            member: &request.member_id,
            instance: request.group_instance_id.as_deref(),
            generation: request.generation_id_or_member_epoch,
            version: waiting.version,
            producer: None,
            expire_timestamp_ms: (retention_ms != -1).then(|| ctx.time.wall_ms.saturating_add(retention_ms)),
        };
        let mut effects = self.commit_all(ctx, &committer, &mut asked);
        let topics = by_topic(
            asked,
            |asked| {
                OffsetCommitResponseTopic::default()
                    .with_name(asked.topic.clone())
                    .with_topic_id(asked.topic_id)
            },
            |asked| {
                OffsetCommitResponsePartition::default()
                    .with_partition_index(asked.partition)
                    .with_error_code(asked.error_code())
            },
            |topic| &mut topic.partitions,
        );
        effects.answer(waiting.token, OffsetCommitResponse::default().with_topics(topics).into());
        effects
    }

    /// Serves TxnOffsetCommit. The shell has seen to it that the transaction is open and the partition part of it.
    pub(super) fn commit_in_transaction(
        &mut self,
        ctx: Context<'_>,
        waiting: Waiting,
        request: TxnOffsetCommitRequest,
    ) -> Effects {
        let mut asked = Vec::new();
        for (entry, topic) in request.topics.into_iter().enumerate() {
            let view = ctx.cluster.topic(&topic.name);
            // (Kafka writes no id here.)
            asked.extend(topic.partitions.into_iter().map(|partition| Asked {
                offset: partition.committed_offset,
                leader_epoch: partition.committed_leader_epoch,
                metadata: partition.committed_metadata,
                ..Asked::new(entry, &topic.name, Uuid::nil(), view.as_ref(), partition.partition_index)
            }));
        }
        let committer = Committer {
            group: &request.group_id,
            member: &request.member_id,
            instance: request.group_instance_id.as_deref(),
            generation: request.generation_id,
            version: waiting.version,
            producer: Some(Producer { id: *request.producer_id, epoch: request.producer_epoch }),
            expire_timestamp_ms: None,
        };
        let mut effects = self.commit_all(ctx, &committer, &mut asked);
        let topics = by_topic(
            asked,
            |asked| TxnOffsetCommitResponseTopic::default().with_name(asked.topic.clone()),
            |asked| {
                TxnOffsetCommitResponsePartition::default()
                    .with_partition_index(asked.partition)
                    .with_error_code(asked.error_code())
            },
            |topic| &mut topic.partitions,
        );
        effects.answer(waiting.token, TxnOffsetCommitResponse::default().with_topics(topics).into());
        effects
    }

    /// Commits what can be; what can't be gets its error.
    fn commit_all(&mut self, ctx: Context<'_>, committer: &Committer<'_>, asked: &mut [Asked]) -> Effects {
        if asked.iter().all(|asked| asked.error.is_some()) {
            return Effects::default();
        }
        let refuse_all = |asked: &mut [Asked], error| {
            for asked in asked {
                asked.error.get_or_insert(error);
            }
        };
        let (mut effects, check) = match self.validate_commit(ctx, committer) {
            Ok(valid) => valid,
            Err(error) => {
                refuse_all(asked, error);
                return Effects::default();
            }
        };
        let max = self.options.offset_metadata_max;
        let (_, turn) = self.turn(ctx);
        let refused = asked.iter().find_map(|asked| {
            if asked.error.is_some() || is_too_long(asked.metadata.as_deref(), max) {
                return None;
            }
            let id = consumer::shard::topic_id(&turn, &asked.topic, asked.topic_id);
            check.partition(&asked.topic, id, asked.partition).err()
        });
        if let Some(refusal) = refused {
            // One that is too old makes all of them so.
            refuse_all(asked, told(refusal.error, committer.producer.is_some()));
            return Effects::default();
        }
        for asked in asked.iter_mut().filter(|asked| asked.error.is_none()) {
            let too_long = is_too_long(asked.metadata.as_deref(), max);
            asked.error = too_long.then_some(ResponseError::OffsetMetadataTooLarge);
        }
        let Some((records, offsets)) = written(committer, asked, ctx.time.wall_ms) else {
            refuse_all(asked, ResponseError::InvalidCommitOffsetSize);
            return effects;
        };
        if !self.offsets.has_room(committer.producer, &offsets) {
            tracing::debug!(
                group = committer.group,
                "offsets are refused: this partition of __consumer_offsets holds as many as it may; delete groups that \
                 are no longer used, or shorten --offsets-retention-minutes"
            );
            refuse_all(asked, ResponseError::PolicyViolation);
            return effects;
        }
        for (key, value) in offsets {
            self.offsets.apply(committer.producer, &key, Some(value), ctx.time.wall_ms);
        }
        if !records.is_empty() {
            effects.appends.push(Append { producer: committer.producer, records });
        }
        effects
    }

    /// Whether offsets may be committed. A group that isn't there is made for someone who doesn't claim to be a member.
    fn validate_commit(
        &mut self,
        ctx: Context<'_>,
        committer: &Committer<'_>,
    ) -> Result<(Effects, CommitCheck), ResponseError> {
        let transactional = committer.producer.is_some();
        if let Some(producer) = committer.producer {
            if committer.group.is_empty() {
                return Err(ResponseError::InvalidGroupId);
            }
            if producer.id < 0 {
                return Err(ResponseError::InvalidProducerIdMapping);
            }
            if self.offsets.producers.is_fenced(producer) {
                return Err(ResponseError::InvalidProducerEpoch);
            }
        }
        let (groups, mut turn) = self.turn(ctx);
        if !groups.contains_key(committer.group) {
            if committer.generation >= 0 {
                return Err(if !transactional && committer.version >= COMMIT_GROUP_NOT_FOUND {
                    ResponseError::GroupIdNotFound
                } else {
                    ResponseError::IllegalGeneration
                });
            }
            kind::admit(groups, &turn, committer.group)?;
            let id: Arc<str> = committer.group.into();
            groups.insert(Arc::clone(&id), Group::new(id, turn.time.wall_ms));
        }
        let Some(group) = groups.get(committer.group) else { return Err(ResponseError::GroupIdNotFound) };
        let Committer { member, instance, generation, version, .. } = *committer;
        let check = group.validate_offset_commit(member, instance, generation, transactional, version);
        // Producers are not told of epochs.
        let check = check.map_err(|error| told(error, transactional))?;
        if !transactional {
            group.committed(&mut turn, member);
        }
        Ok((turn.effects, check))
    }

    /// Serves OffsetDelete.
    pub(super) fn delete_offsets(
        &mut self,
        ctx: Context<'_>,
        token: Token,
        request: OffsetDeleteRequest,
    ) -> Effects {
        let mut effects = Effects::default();
        let response = match self.delete_offsets_of(ctx, &mut effects, request) {
            Ok(response) => response,
            Err(error) => OffsetDeleteResponse::default().with_error_code(error.code()),
        };
        effects.answer(token, response.into());
        effects
    }

    fn delete_offsets_of(
        &mut self,
        ctx: Context<'_>,
        effects: &mut Effects,
        request: OffsetDeleteRequest,
    ) -> Result<OffsetDeleteResponse, ResponseError> {
        let mut asked = Vec::new();
        for (entry, topic) in request.topics.into_iter().enumerate() {
            let view = ctx.cluster.topic(&topic.name);
            asked.extend(topic.partitions.into_iter().map(|partition| {
                Asked::new(entry, &topic.name, Uuid::nil(), view.as_ref(), partition.partition_index)
            }));
        }
        self.delete_known(effects, &request.group_id, &mut asked)?;
        let topics = by_topic(
            asked,
            |asked| OffsetDeleteResponseTopic::default().with_name(asked.topic.clone()),
            |asked| {
                OffsetDeleteResponsePartition::default()
                    .with_partition_index(asked.partition)
                    .with_error_code(asked.error_code())
            },
            |topic| &mut topic.partitions,
        );
        Ok(OffsetDeleteResponse::default().with_topics(topics))
    }

    /// Deletes the offsets of partitions that there are.
    fn delete_known(
        &mut self,
        effects: &mut Effects,
        id: &str,
        asked: &mut [Asked],
    ) -> Result<(), ResponseError> {
        if id.is_empty() {
            return Err(ResponseError::InvalidGroupId);
        }
        let group = self.groups.get(id).ok_or(ResponseError::GroupIdNotFound)?;
        group.validate_offset_delete()?;
        let id: Arc<str> = id.into();
        let mut atomic = Atomic::default();
        let (mut keys, mut records) = (Vec::new(), Vec::new());
        for asked in asked.iter_mut().filter(|asked| asked.error.is_none()) {
            let (topic, partition) = (&**asked.topic, asked.partition);
            if group.is_subscribed_to(topic) {
                asked.error = Some(ResponseError::GroupSubscribedToTopic);
            } else if self.offsets.committed(&id, topic, partition).is_some()
                || self.offsets.is_pending(&id, topic, partition)
            {
                let key = OffsetCommitKey { group: Arc::clone(&id), topic: topic.into(), partition };
                let record = tombstone(&key);
                if !atomic.takes(&record) {
                    return Err(ResponseError::UnknownServerError);
                }
                keys.push(key);
                records.push(record);
            }
        }
        for key in &keys {
            self.offsets.delete(key);
        }
        effects.append(records);
        Ok(())
    }
}
