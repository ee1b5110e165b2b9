//! The transactions of one partition of `__transaction_state`: Kafka's transaction coordinator.
//!
//! For each transactional id the shard keeps who its producer is (id and epoch) and how its transaction stands. A
//! transaction goes `Empty` → `Ongoing` (partitions take part) → `PrepareCommit` or `PrepareAbort` (it is decided, and
//! that is on record) → markers are written to its partitions → `CompleteCommit` or `CompleteAbort`.
//!
//! **A decision stands.** Nothing leaves a `Prepare` state but [`TransactionShard::markers_written`]; a shard that is
//! loaded anew asks for the markers again. Markers may be written twice: a partition takes the second for the first.
//!
//! **Fencing.** Whoever initializes the id last is its producer. The epoch before is fenced; a transaction that it left
//! open is aborted first, and the new producer tries again until that is complete. By version 2 of the protocol (KIP-890)
//! each transaction has an epoch of its own, so that a record which was long on its way can't get into the next one.
//!
//! **Producer ids** come from outside, as they are the cluster's: see [`TransactionShard::producer_ids_wanted`].
//!
//! In Kafka a change counts only once it is durable, and who comes before that is told CONCURRENT_TRANSACTIONS. Here it
//! counts at once, and answers wait: [`crate::When::Durable`].

mod end;
mod init;
mod list;
mod metadata;
mod partitions;
mod state;

use crate::context::{Context, Request};
use crate::effects::{Effects, Markers, Producer, Record};
use crate::schema::transaction::{TransactionLogKey, TransactionLogValue};
use crate::schema::wire::SchemaError;
use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::RequestKind;
use levee_base::limits;
use metadata::{Metadata, NO_PRODUCER_ID};
use state::State;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// The version of the transaction protocol that the cluster goes by (Kafka's feature `transaction.version`), for what it
/// does of its own accord. What clients do goes by the versions of their requests.
const TRANSACTION_VERSION: i8 = metadata::EPOCH_BUMP;

/// Kafka's options of the transaction coordinator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionOptions {
    /// The longest timeout that a producer may ask for (`transaction.max.timeout.ms`).
    pub max_timeout: Duration,
    /// How long a transactional id that isn't used is remembered (`transactional.id.expiration.ms`).
    pub id_expiration: Duration,
    /// How often timed-out transactions are looked for (`transaction.abort.timed.out.transaction.cleanup.interval.ms`).
    pub abort_interval: Duration,
    /// How often expired ids are looked for (`transaction.remove.expired.transaction.cleanup.interval.ms`).
    pub expiration_interval: Duration,
    /// How many partitions `__consumer_offsets` will have, as long as it isn't there (`offsets.topic.num.partitions`).
    pub offsets_partitions: u32,
}

impl Default for TransactionOptions {
    /// Kafka's defaults.
    fn default() -> Self {
        Self {
            max_timeout: Duration::from_millis(900_000),
            id_expiration: Duration::from_millis(604_800_000),
            abort_interval: Duration::from_millis(10_000),
            expiration_interval: Duration::from_millis(3_600_000),
            offsets_partitions: 50,
        }
    }
}

/// See the module's text.
#[derive(Debug)]
pub struct TransactionShard {
    options: TransactionOptions,
    coordinator_epoch: i32,
    transactions: BTreeMap<Arc<str>, Metadata>,
    /// Those whose transaction is ongoing.
    ongoing: BTreeSet<Arc<str>>,
    /// The bytes of all ids.
    id_bytes: usize,
    /// The partitions of all transactions.
    partitions: usize,
    producer_ids: VecDeque<i64>,
    /// When timed-out transactions are looked for next; `None` until the shard is loaded.
    abort_at: Option<Duration>,
    /// When expired ids are looked for next; `None` until the shard is loaded.
    expire_at: Option<Duration>,
}

impl TransactionShard {
    /// A shard that nothing is known in yet. `coordinator_epoch` is the partition's leader epoch: markers carry it, and
    /// those of an older one are refused.
    #[must_use]
    pub fn new(options: TransactionOptions, coordinator_epoch: i32) -> Self {
        Self {
            options,
            coordinator_epoch,
            transactions: BTreeMap::new(),
            ongoing: BTreeSet::new(),
            id_bytes: 0,
            partitions: 0,
            producer_ids: VecDeque::new(),
            abort_at: None,
            expire_at: None,
        }
    }

    /// Takes a record of the partition, in order.
    ///
    /// # Errors
    /// `Kind` and `Version` for what a later release wrote; Kafka warns and passes over that. Otherwise the record is
    /// none that Kafka could have written.
    pub fn replay(&mut self, key: Bytes, value: Option<Bytes>) -> Result<(), SchemaError> {
        let id = TransactionLogKey::read(key)?.transactional_id;
        match value {
            Some(value) => self.put(&id.into(), Metadata::of_value(TransactionLogValue::read(value)?)?),
            None => self.remove(&id),
        }
        Ok(())
    }

    /// All has been replayed. Transactions that were decided get their markers again.
    #[must_use]
    pub fn loaded(&mut self, ctx: Context<'_>) -> Effects {
        self.abort_at = Some(ctx.time.now.saturating_add(self.options.abort_interval));
        self.expire_at = Some(ctx.time.now.saturating_add(self.options.expiration_interval));
        let decided =
            |(id, metadata): (&Arc<str>, &Metadata)| metadata.state.is_decided().then(|| id.clone());
        let decided: Vec<_> = self.transactions.iter().filter_map(decided).collect();
        let mut effects = Effects::default();
        for id in decided {
            self.carry_out(ctx, &id, &mut effects);
        }
        effects
    }

    /// How many more producer ids the shard wants to have in store before `request` is handed to [`Self::handle`]. Without
    /// them it answers COORDINATOR_LOAD_IN_PROGRESS, which clients take as an invitation to try again.
    #[must_use]
    pub fn producer_ids_wanted(&self, request: &Request) -> usize {
        let exhausted = |id: &str| self.transactions.get(id).is_some_and(Metadata::is_exhausted);
        let wants = match &request.kind {
            RequestKind::InitProducerId(body) => body
                .transactional_id
                .as_ref()
                .is_none_or(|id| !self.transactions.contains_key(id.as_str()) || exhausted(id)),
            RequestKind::EndTxn(body) => {
                end::version_of(request.version) >= metadata::EPOCH_BUMP && exhausted(&body.transactional_id)
            }
            _ => false,
        };
        usize::from(wants).saturating_sub(self.producer_ids.len())
    }

    /// How many more producer ids the shard wants to have in store before [`Self::tick`] is called: aborting a transaction
    /// takes an epoch, and where that is the last one, an id. Without them such transactions stay open until the next look.
    #[must_use]
    pub fn producer_ids_wanted_by_tick(&self, ctx: Context<'_>) -> usize {
        let now_ms = ctx.time.wall_ms;
        let exhausted = |id: &&Arc<str>| {
            self.transactions.get(*id).is_some_and(|it| it.is_exhausted() && it.is_timed_out(now_ms))
        };
        self.ongoing.iter().filter(exhausted).count().saturating_sub(self.producer_ids.len())
    }

    /// Gives the shard a producer id that nobody else has or will get.
    pub fn supply_producer_id(&mut self, id: i64) {
        self.producer_ids.push_back(id);
    }

    /// Serves a request: InitProducerId, AddPartitionsToTxn, AddOffsetsToTxn, EndTxn, DescribeTransactions or
    /// ListTransactions. The transactional ids that it names belong to this shard.
    #[must_use]
    pub fn handle(&mut self, ctx: Context<'_>, request: Request) -> Effects {
        let mut effects = Effects::default();
        let Request { token, version, kind, .. } = request;
        match kind {
            RequestKind::InitProducerId(body) => {
                self.init_producer_id(ctx, token, version, &body, &mut effects)
            }
            RequestKind::AddPartitionsToTxn(body) => {
                self.add_partitions_to_txn(ctx, token, version, &body, &mut effects);
            }
            RequestKind::AddOffsetsToTxn(body) => {
                self.add_offsets_to_txn(ctx, token, version, &body, &mut effects)
            }
            RequestKind::EndTxn(body) => self.end_txn(ctx, token, version, &body, &mut effects),
            RequestKind::DescribeTransactions(body) => self.describe_transactions(token, &body, &mut effects),
            RequestKind::ListTransactions(body) => self.list_transactions(ctx, token, &body, &mut effects),
            // Whoever hands out requests knows which are a transaction coordinator's.
            _ => debug_assert!(false, "no request of the transaction coordinator"),
        }
        effects
    }

    /// The markers of a transaction have been written to all its partitions that still exist. `producer` is as in
    /// [`Markers`], for each of which this is called once at most: by versions 0 and 1 of the protocol the next
    /// transaction has the same producer, and what is said of this one again would be taken for that. Other than that,
    /// what isn't of the transaction that is decided now is passed over.
    ///
    /// A partition that has seen a newer epoch of the producer or of the coordinator counts as written to: whoever wrote
    /// that has ended what was open there. (Kafka leaves such a transaction decided until its coordinator is loaded anew.)
    #[must_use]
    pub fn markers_written(
        &mut self,
        ctx: Context<'_>,
        transactional_id: &str,
        producer: Producer,
    ) -> Effects {
        let mut effects = Effects::default();
        let found = self.transactions.get_key_value(transactional_id);
        if let Some((id, metadata)) = found
            && metadata.state.is_decided()
            && metadata.producer() == producer
        {
            let (id, after) = (id.clone(), metadata.completed(ctx.time.wall_ms));
            self.change(&id, after, &mut effects);
        }
        effects
    }

    /// When [`Self::tick`] has something to do next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        let abort_at = self.abort_at.filter(|_| !self.ongoing.is_empty());
        let expire_at = self.expire_at.filter(|_| !self.transactions.is_empty());
        [abort_at, expire_at].into_iter().flatten().min()
    }

    /// Aborts transactions that have timed out and removes ids that have expired, if it is time to look for them.
    #[must_use]
    pub fn tick(&mut self, ctx: Context<'_>) -> Effects {
        let mut effects = Effects::default();
        let now = ctx.time.now;
        if self.abort_at.is_some_and(|at| at <= now) {
            self.abort_at = Some(now.saturating_add(self.options.abort_interval));
            self.abort_timed_out(ctx, &mut effects);
        }
        if self.expire_at.is_some_and(|at| at <= now) {
            self.expire_at = Some(now.saturating_add(self.options.expiration_interval));
            self.remove_expired(ctx, &mut effects);
        }
        effects
    }

    fn abort_timed_out(&mut self, ctx: Context<'_>, effects: &mut Effects) {
        let timed_out = |id: &&Arc<str>| {
            self.transactions.get(*id).is_some_and(|metadata| metadata.is_timed_out(ctx.time.wall_ms))
        };
        let timed_out: Vec<_> = self.ongoing.iter().filter(timed_out).cloned().collect();
        for id in timed_out {
            match self.fence(ctx, &id, effects) {
                Ok(()) => tracing::info!(transactional_id = %id, "transaction timed out: aborted"),
                Err(error) => {
                    tracing::warn!(transactional_id = %id, ?error, "transaction timed out, not aborted yet")
                }
            }
        }
    }

    fn remove_expired(&mut self, ctx: Context<'_>, effects: &mut Effects) {
        let expiration_ms = millis(self.options.id_expiration);
        let expired = |(id, metadata): (&Arc<str>, &Metadata)| {
            metadata.is_expired(expiration_ms, ctx.time.wall_ms).then(|| id.clone())
        };
        let expired: Vec<_> = self.transactions.iter().filter_map(expired).collect();
        let (mut records, mut bytes) = (Vec::new(), 0);
        for id in expired {
            tracing::info!(transactional_id = %id, "transactional id expired");
            self.remove(&id);
            let key = TransactionLogKey::write(&id);
            bytes += key.len() + limits::RECORD_OVERHEAD_BYTES;
            if bytes > limits::TRANSACTION_RECORD_BYTES {
                effects.append(std::mem::take(&mut records));
                bytes = key.len() + limits::RECORD_OVERHEAD_BYTES;
            }
            records.push(Record { key, value: None });
        }
        effects.append(records);
    }

    /// Aborts the ongoing transaction of `id` on the cluster's own account, and fences its producer by the next epoch.
    ///
    /// # Errors
    /// `CoordinatorLoadInProgress` if epochs are exhausted and there is no producer id in store.
    fn fence(&mut self, ctx: Context<'_>, id: &Arc<str>, effects: &mut Effects) -> Result<(), ResponseError> {
        self.decide(ctx, id, false, TRANSACTION_VERSION, effects).map(drop)
    }

    /// Decides the transaction of `id`. Returns what its state is to be once it is complete.
    ///
    /// # Errors
    /// `CoordinatorLoadInProgress` if epochs are exhausted and there is no producer id in store.
    fn decide(
        &mut self,
        ctx: Context<'_>,
        id: &Arc<str>,
        commit: bool,
        version: i8,
        effects: &mut Effects,
    ) -> Result<Metadata, ResponseError> {
        let before = self.transactions.get(id).ok_or(ResponseError::InvalidProducerIdMapping)?;
        let empty = before.state != State::Ongoing;
        let rotate = version >= metadata::EPOCH_BUMP && before.is_exhausted();
        let next = if rotate { self.producer_ids.front().copied() } else { Some(NO_PRODUCER_ID) };
        let next = next.ok_or(ResponseError::CoordinatorLoadInProgress)?;
        let after = before.decided(commit, version, next, empty, ctx.time.wall_ms)?;
        let completed = after.completed(ctx.time.wall_ms);
        if rotate {
            self.producer_ids.pop_front();
        }
        self.change(id, after, effects);
        self.carry_out(ctx, id, effects);
        Ok(completed)
    }

    /// Asks for the markers of a decided transaction. Where no partition takes part, that was all.
    fn carry_out(&mut self, ctx: Context<'_>, id: &Arc<str>, effects: &mut Effects) {
        let Some(metadata) = self.transactions.get(id).filter(|metadata| metadata.state.is_decided()) else {
            return;
        };
        if metadata.partitions.is_empty() {
            let completed = metadata.completed(ctx.time.wall_ms);
            self.change(id, completed, effects);
            return;
        }
        let numbered = |(topic, numbers): (&Arc<str>, &BTreeSet<i32>)| {
            numbers.iter().map(|number| (topic.to_string(), *number)).collect::<Vec<_>>()
        };
        effects.markers.push(Markers {
            transactional_id: id.to_string(),
            producer: metadata.producer(),
            coordinator_epoch: self.coordinator_epoch,
            commit: metadata.state == State::PrepareCommit,
            transaction_version: metadata.version,
            partitions: metadata.partitions.iter().flat_map(numbered).collect(),
        });
    }

    /// Writes what the state of `id` is to be and puts it in place.
    fn change(&mut self, id: &Arc<str>, after: Metadata, effects: &mut Effects) {
        effects.append(vec![record(id, &after)]);
        self.put(id, after);
    }

    fn put(&mut self, id: &Arc<str>, metadata: Metadata) {
        self.partitions += metadata::count(&metadata.partitions);
        if metadata.state == State::Ongoing {
            self.ongoing.insert(id.clone());
        } else {
            self.ongoing.remove(id);
        }
        match self.transactions.insert(id.clone(), metadata) {
            Some(before) => self.partitions -= metadata::count(&before.partitions),
            None => self.id_bytes += id.len(),
        }
    }

    fn remove(&mut self, id: &str) {
        self.ongoing.remove(id);
        if let Some(before) = self.transactions.remove(id) {
            self.partitions -= metadata::count(&before.partitions);
            self.id_bytes -= id.len();
        }
    }
}

/// The record of a state.
fn record(id: &str, metadata: &Metadata) -> Record {
    Record { key: TransactionLogKey::write(id), value: Some(metadata.to_value().write()) }
}

/// A duration in milliseconds.
fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// An outcome as a code. Requests of a `version` before `since` know nothing of PRODUCER_FENCED, which KIP-588 set apart.
fn code(outcome: Result<(), ResponseError>, version: i16, since: i16) -> i16 {
    match outcome {
        Ok(()) => 0,
        Err(ResponseError::ProducerFenced) if version < since => ResponseError::InvalidProducerEpoch.code(),
        Err(error) => error.code(),
    }
}

#[cfg(test)]
mod harness;
#[cfg(test)]
#[path = "invariants_tests.rs"]
mod invariants_tests;
#[cfg(test)]
#[path = "kafka_answers_tests.rs"]
mod kafka_answers_tests;
#[cfg(test)]
#[path = "shard_tests.rs"]
mod tests;
