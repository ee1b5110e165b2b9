//! What the two kinds of shards have in common, so that one task runs either.

use crate::seeded_bugs::{Bug, seeded};
use bytes::Bytes;
use levee_coordinator::group::GroupShard;
use levee_coordinator::schema::group::{OFFSET_COMMIT, kind_of};
use levee_coordinator::schema::wire::SchemaError;
use levee_coordinator::transaction::TransactionShard;
use levee_coordinator::{Context, Effects, Producer, Request};
use std::time::Duration;
use uuid::Uuid;

/// A shard, as its task sees it. The methods are those of the shards; what one of them has no use for does nothing.
pub(super) trait Machine: Send + 'static {
    fn replay(&mut self, record: Replayed) -> Result<(), SchemaError>;
    fn replay_marker(&mut self, producer: Producer, commit: bool);
    fn loaded(&mut self, ctx: Context<'_>) -> Effects;
    fn producer_ids_wanted(&self, request: &Request) -> usize;
    fn producer_ids_wanted_by_tick(&self, ctx: Context<'_>) -> usize;
    fn supply_producer_id(&mut self, id: i64);
    fn handle(&mut self, ctx: Context<'_>, request: Request) -> Effects;
    fn transaction_ended(&mut self, ctx: Context<'_>, producer: Producer, commit: bool) -> Effects;
    fn markers_written(&mut self, ctx: Context<'_>, transactional_id: &str, producer: Producer) -> Effects;
    fn cluster_changed(&mut self, ctx: Context<'_>, deleted: &[(String, Uuid)]) -> Effects;
    fn next_deadline(&self) -> Option<Duration>;
    fn tick(&mut self, ctx: Context<'_>) -> Effects;
}

/// A record that is read back.
pub(super) struct Replayed {
    /// The transaction that it belongs to.
    pub(super) producer: Option<Producer>,
    pub(super) key: Bytes,
    pub(super) value: Option<Bytes>,
    /// Its batch's largest timestamp, in Unix milliseconds.
    pub(super) timestamp_ms: i64,
}

impl Machine for GroupShard {
    fn replay(&mut self, record: Replayed) -> Result<(), SchemaError> {
        if matches!(kind_of(&record.key), Ok(OFFSET_COMMIT)) && seeded(Bug::ForgetCommits) {
            return Ok(());
        }
        Self::replay(self, record.producer, record.key, record.value, record.timestamp_ms)
    }

    fn replay_marker(&mut self, producer: Producer, commit: bool) {
        Self::replay_marker(self, producer, commit);
    }

    fn loaded(&mut self, ctx: Context<'_>) -> Effects {
        Self::loaded(self, ctx)
    }

    fn producer_ids_wanted(&self, _request: &Request) -> usize {
        0
    }

    fn producer_ids_wanted_by_tick(&self, _ctx: Context<'_>) -> usize {
        0
    }

    fn supply_producer_id(&mut self, _id: i64) {}

    fn handle(&mut self, ctx: Context<'_>, request: Request) -> Effects {
        Self::handle(self, ctx, request)
    }

    fn transaction_ended(&mut self, ctx: Context<'_>, producer: Producer, commit: bool) -> Effects {
        Self::transaction_ended(self, ctx, producer, commit)
    }

    fn markers_written(
        &mut self,
        _ctx: Context<'_>,
        _transactional_id: &str,
        _producer: Producer,
    ) -> Effects {
        Effects::default()
    }

    fn cluster_changed(&mut self, ctx: Context<'_>, deleted: &[(String, Uuid)]) -> Effects {
        Self::cluster_changed(self, ctx, deleted)
    }

    fn next_deadline(&self) -> Option<Duration> {
        Self::next_deadline(self)
    }

    fn tick(&mut self, ctx: Context<'_>) -> Effects {
        Self::tick(self, ctx)
    }
}

impl Machine for TransactionShard {
    fn replay(&mut self, record: Replayed) -> Result<(), SchemaError> {
        Self::replay(self, record.key, record.value)
    }

    /// Nothing in this topic is part of a transaction.
    fn replay_marker(&mut self, _producer: Producer, _commit: bool) {}

    fn loaded(&mut self, ctx: Context<'_>) -> Effects {
        Self::loaded(self, ctx)
    }

    fn producer_ids_wanted(&self, request: &Request) -> usize {
        Self::producer_ids_wanted(self, request)
    }

    fn producer_ids_wanted_by_tick(&self, ctx: Context<'_>) -> usize {
        Self::producer_ids_wanted_by_tick(self, ctx)
    }

    fn supply_producer_id(&mut self, id: i64) {
        Self::supply_producer_id(self, id);
    }

    fn handle(&mut self, ctx: Context<'_>, request: Request) -> Effects {
        Self::handle(self, ctx, request)
    }

    fn transaction_ended(&mut self, _ctx: Context<'_>, _producer: Producer, _commit: bool) -> Effects {
        Effects::default()
    }

    fn markers_written(&mut self, ctx: Context<'_>, transactional_id: &str, producer: Producer) -> Effects {
        Self::markers_written(self, ctx, transactional_id, producer)
    }

    fn cluster_changed(&mut self, _ctx: Context<'_>, _deleted: &[(String, Uuid)]) -> Effects {
        Effects::default()
    }

    fn next_deadline(&self) -> Option<Duration> {
        Self::next_deadline(self)
    }

    fn tick(&mut self, ctx: Context<'_>) -> Effects {
        Self::tick(self, ctx)
    }
}
