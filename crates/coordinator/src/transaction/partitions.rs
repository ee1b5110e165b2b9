//! AddPartitionsToTxn and AddOffsetsToTxn: which partitions take part.

use super::metadata::{self, Partitions};
use super::state::State;
use super::{TransactionShard, code, record};
use crate::context::Context;
use crate::effects::{Effects, Producer, Token};
use crate::partition_of;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
    ResponseKind,
};
use levee_base::limits;
use std::collections::{BTreeMap, BTreeSet};

/// The first version that brokers send for their clients, with several transactions.
const BATCHED: i16 = 4;
/// The first version whose answers may say PRODUCER_FENCED.
const PRODUCER_FENCED: i16 = 2;
/// The topic of groups' offsets.
const CONSUMER_OFFSETS: &str = "__consumer_offsets";
/// Kafka's internal topics.
const INTERNAL: [&str; 3] = [CONSUMER_OFFSETS, "__transaction_state", "__share_group_state"];

/// What becomes of each partition.
type Outcomes<'a> = BTreeMap<(&'a str, i32), ResponseError>;

impl TransactionShard {
    pub(super) fn add_partitions_to_txn(
        &mut self,
        ctx: Context<'_>,
        token: Token,
        version: i16,
        request: &AddPartitionsToTxnRequest,
        effects: &mut Effects,
    ) {
        let response = AddPartitionsToTxnResponse::default();
        let response = if version < BATCHED {
            let id = request.v3_and_below_transactional_id.as_str();
            let producer = Producer {
                id: request.v3_and_below_producer_id.0,
                epoch: request.v3_and_below_producer_epoch,
            };
            let topics = &request.v3_and_below_topics;
            let results = self.add_to_one(ctx, version, id, producer, topics, false, effects);
            response.with_results_by_topic_v3_and_below(results)
        } else {
            let mut results = Vec::new();
            for one in &request.transactions {
                let id = one.transactional_id.as_str();
                let producer = Producer { id: one.producer_id.0, epoch: one.producer_epoch };
                let topics =
                    self.add_to_one(ctx, version, id, producer, &one.topics, one.verify_only, effects);
                results.push(
                    AddPartitionsToTxnResult::default()
                        .with_transactional_id(one.transactional_id.clone())
                        .with_topic_results(topics),
                );
            }
            response.with_results_by_transaction(results)
        };
        effects.answer(token, ResponseKind::AddPartitionsToTxn(response));
    }

    #[expect(clippy::too_many_arguments)]
    fn add_to_one(
        &mut self,
        ctx: Context<'_>,
        version: i16,
        id: &str,
        producer: Producer,
        topics: &[AddPartitionsToTxnTopic],
        verify_only: bool,
        effects: &mut Effects,
    ) -> Vec<AddPartitionsToTxnTopicResult> {
        let merged = merged(topics);
        let refused = refused(ctx, version, &merged);
        if !refused.is_empty() {
            let otherwise = ResponseError::OperationNotAttempted.code();
            return results(&merged, |topic, number| {
                refused.get(&(topic, number)).map_or(otherwise, ResponseError::code)
            });
        }
        if verify_only {
            return match self.verify(id, producer) {
                Err(error) => results(&merged, |_, _| error.code()),
                Ok(added) => results(&merged, |topic, number| {
                    let added = added.get(topic).is_some_and(|numbers| numbers.contains(&number));
                    if added { 0 } else { ResponseError::TransactionAbortable.code() }
                }),
            };
        }
        let partitions =
            merged.iter().map(|(name, numbers)| ((*name).into(), numbers.iter().copied().collect()));
        let client = if version < BATCHED { 0 } else { metadata::EPOCH_BUMP };
        let outcome = self.add(ctx, id, producer, &partitions.collect(), client, effects);
        let code = code(outcome, version, PRODUCER_FENCED);
        results(&verbatim(topics), |_, _| code)
    }

    /// How many partitions there are for groups' offsets.
    fn offsets_partitions(&self, ctx: Context<'_>) -> u32 {
        let topic = ctx.cluster.topic(CONSUMER_OFFSETS);
        topic.map_or(self.options.offsets_partitions, |topic| topic.partitions)
    }

    pub(super) fn add_offsets_to_txn(
        &mut self,
        ctx: Context<'_>,
        token: Token,
        version: i16,
        request: &AddOffsetsToTxnRequest,
        effects: &mut Effects,
    ) {
        let producer = Producer { id: request.producer_id.0, epoch: request.producer_epoch };
        let partition = partition_of(&request.group_id, self.offsets_partitions(ctx));
        let partitions = [(CONSUMER_OFFSETS.into(), [partition.cast_signed()].into())].into();
        // By version 2 of the protocol, offsets are added by the commit of offsets itself.
        let outcome = self.add(ctx, &request.transactional_id, producer, &partitions, 0, effects);
        let response =
            AddOffsetsToTxnResponse::default().with_error_code(code(outcome, version, PRODUCER_FENCED));
        effects.answer(token, ResponseKind::AddOffsetsToTxn(response));
    }

    /// Has `partitions` take part in the transaction of `id`, which begins with that.
    fn add(
        &mut self,
        ctx: Context<'_>,
        id: &str,
        producer: Producer,
        partitions: &Partitions,
        version: i8,
        effects: &mut Effects,
    ) -> Result<(), ResponseError> {
        if id.is_empty() {
            return Err(ResponseError::InvalidRequest);
        }
        let Some((id, before)) = self.transactions.get_key_value(id) else {
            return Err(ResponseError::InvalidProducerIdMapping);
        };
        if before.state.is_decided() {
            return Err(ResponseError::ConcurrentTransactions);
        } else if before.producer_id != producer.id {
            return Err(ResponseError::InvalidProducerIdMapping);
        } else if before.producer_epoch != producer.epoch {
            return Err(ResponseError::ProducerFenced);
        } else if before.state == State::Ongoing && before.has(partitions) {
            return Ok(());
        }
        let after = before.with(partitions, version, ctx.time.wall_ms);
        let more = metadata::count(&after.partitions) - metadata::count(&before.partitions);
        if self.partitions + more > limits::TRANSACTION_PARTITIONS {
            return Err(ResponseError::CoordinatorLoadInProgress);
        }
        let record = record(id, &after);
        if record.key.len() + record.value.as_ref().map_or(0, bytes::Bytes::len)
            > limits::TRANSACTION_RECORD_BYTES
        {
            // Kafka's answer if the record is too large for the topic.
            return Err(ResponseError::UnknownServerError);
        }
        let id = id.clone();
        effects.append(vec![record]);
        self.put(&id, after);
        Ok(())
    }

    /// The partitions that take part in the transaction of `id`, which is `producer`'s.
    fn verify(&self, id: &str, producer: Producer) -> Result<&Partitions, ResponseError> {
        if id.is_empty() {
            return Err(ResponseError::InvalidRequest);
        }
        let metadata = self.transactions.get(id).filter(|metadata| metadata.producer_id == producer.id);
        let metadata = metadata.ok_or(ResponseError::InvalidProducerIdMapping)?;
        if metadata.producer_epoch != producer.epoch {
            Err(ResponseError::ProducerFenced)
        } else if metadata.state.is_decided() {
            Err(ResponseError::ConcurrentTransactions)
        } else {
            Ok(&metadata.partitions)
        }
    }
}

/// Topics and their partitions.
type Topics<'a> = Vec<(&'a str, Vec<i32>)>;

/// What is asked for, as it is asked for: this is how Kafka answers if one code is for all of it.
fn verbatim(topics: &[AddPartitionsToTxnTopic]) -> Topics<'_> {
    topics.iter().map(|topic| (topic.name.as_str(), topic.partitions.clone())).collect()
}

/// What is asked for, each partition once: this is how Kafka answers if each has a code of its own.
fn merged(topics: &[AddPartitionsToTxnTopic]) -> Topics<'_> {
    let mut merged = Topics::new();
    let (mut places, mut seen) = (BTreeMap::new(), BTreeSet::new());
    for topic in topics {
        let name = topic.name.as_str();
        for number in &topic.partitions {
            if seen.insert((name, *number)) {
                let place = *places.entry(name).or_insert(merged.len());
                if place == merged.len() {
                    merged.push((name, Vec::new()));
                }
                merged[place].1.push(*number);
            }
        }
    }
    merged
}

/// The partitions that can't take part, and why. Clients can't add internal topics; brokers add them for their clients.
fn refused<'a>(ctx: Context<'_>, version: i16, topics: &Topics<'a>) -> Outcomes<'a> {
    let mut refused = Outcomes::new();
    for (name, numbers) in topics {
        let existing = ctx.cluster.topic(name).map_or(0, |topic| topic.partitions);
        for number in numbers {
            if version < BATCHED && INTERNAL.contains(name) {
                refused.insert((name, *number), ResponseError::TopicAuthorizationFailed);
            } else if u32::try_from(*number).map_or(true, |number| number >= existing) {
                refused.insert((name, *number), ResponseError::UnknownTopicOrPartition);
            }
        }
    }
    refused
}

/// Answers `code` for each partition.
fn results(
    topics: &[(&str, Vec<i32>)],
    code: impl Fn(&str, i32) -> i16,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let one = |topic, number: &i32| {
        AddPartitionsToTxnPartitionResult::default()
            .with_partition_index(*number)
            .with_partition_error_code(code(topic, *number))
    };
    topics
        .iter()
        .map(|(name, numbers)| {
            AddPartitionsToTxnTopicResult::default()
                .with_name(super::list::text(name).into())
                .with_results_by_partition(numbers.iter().map(|number| one(name, number)).collect())
        })
        .collect()
}
