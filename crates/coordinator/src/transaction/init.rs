//! InitProducerId: who is the producer of a transactional id.

use super::metadata::{self, Metadata, NO_PRODUCER_EPOCH, NO_PRODUCER_ID};
use super::state::State;
use super::{TransactionShard, code, millis};
use crate::context::Context;
use crate::effects::{Effects, Producer, Token};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ResponseKind};
use levee_base::limits;
use std::sync::Arc;

/// The first version whose answers may say PRODUCER_FENCED.
const PRODUCER_FENCED: i16 = 4;

impl TransactionShard {
    pub(super) fn init_producer_id(
        &mut self,
        ctx: Context<'_>,
        token: Token,
        version: i16,
        request: &InitProducerIdRequest,
        effects: &mut Effects,
    ) {
        let outcome = self.initialize(ctx, request, effects);
        let producer = outcome.unwrap_or(Producer { id: NO_PRODUCER_ID, epoch: NO_PRODUCER_EPOCH });
        let response = InitProducerIdResponse::default()
            .with_error_code(code(outcome.map(drop), version, PRODUCER_FENCED))
            .with_producer_id(producer.id.into())
            .with_producer_epoch(producer.epoch);
        effects.answer(token, ResponseKind::InitProducerId(response));
    }

    fn initialize(
        &mut self,
        ctx: Context<'_>,
        request: &InitProducerIdRequest,
        effects: &mut Effects,
    ) -> Result<Producer, ResponseError> {
        let expected = match (request.producer_id.0, request.producer_epoch) {
            (NO_PRODUCER_ID, NO_PRODUCER_EPOCH) => None,
            (NO_PRODUCER_ID, _) | (_, NO_PRODUCER_EPOCH) => return Err(ResponseError::InvalidRequest),
            (id, epoch) => Some(Producer { id, epoch }),
        };
        let Some(id) = request.transactional_id.as_ref().map(|id| id.as_str()) else {
            return Ok(Producer { id: self.take_producer_id()?, epoch: 0 });
        };
        let timeout_ms = request.transaction_timeout_ms;
        if id.is_empty() {
            return Err(ResponseError::InvalidRequest);
        } else if request.enable_2_pc {
            // As if by `transaction.two.phase.commit.enable`, whose default this is.
            return Err(ResponseError::TransactionalIdAuthorizationFailed);
        } else if request.keep_prepared_txn {
            return Err(ResponseError::UnsupportedVersion);
        } else if timeout_ms <= 0 || i64::from(timeout_ms) > millis(self.options.max_timeout) {
            return Err(ResponseError::InvalidTransactionTimeout);
        }
        let now_ms = ctx.time.wall_ms;
        let (id, before) = match self.transactions.get_key_value(id) {
            Some((id, metadata)) => (id.clone(), metadata),
            None => {
                let id = self.admit(id)?;
                let new = Metadata::new(self.take_producer_id()?, timeout_ms, now_ms);
                let after = new.initialized(timeout_ms, expected.map(|expected| expected.epoch), now_ms)?;
                let producer = after.producer();
                self.change(&id, after, effects);
                return Ok(producer);
            }
        };
        if before.state.is_decided() {
            return Err(ResponseError::ConcurrentTransactions);
        } else if expected.is_some_and(|expected| !may_be(before, expected)) {
            return Err(ResponseError::ProducerFenced);
        } else if before.state == State::Ongoing {
            // Its epoch is never told. The producer tries again, and gets the one after.
            self.fence(ctx, &id, effects)?;
            return Err(ResponseError::ConcurrentTransactions);
        }
        let after = if before.is_exhausted()
            && expected.is_none_or(|expected| expected.epoch == before.producer_epoch)
        {
            let next = self.producer_ids.front().copied().ok_or(ResponseError::CoordinatorLoadInProgress)?;
            let after = before.rotated(next, timeout_ms, expected.is_some(), now_ms);
            self.producer_ids.pop_front();
            after
        } else {
            before.initialized(timeout_ms, expected.map(|expected| expected.epoch), now_ms)?
        };
        let producer = after.producer();
        self.change(&id, after, effects);
        Ok(producer)
    }

    fn take_producer_id(&mut self) -> Result<i64, ResponseError> {
        self.producer_ids.pop_front().ok_or(ResponseError::CoordinatorLoadInProgress)
    }

    /// An id that is new here, if there is room for it. Kafka has no bounds on their number; nothing there can be written
    /// under an id that is longer than a string may be.
    fn admit(&self, id: &str) -> Result<Arc<str>, ResponseError> {
        if id.len() > i16::MAX as usize {
            return Err(ResponseError::UnknownServerError);
        }
        let full = self.transactions.len() >= limits::TRANSACTIONAL_IDS
            || self.id_bytes + id.len() > limits::TRANSACTIONAL_ID_BYTES;
        if full { Err(ResponseError::PolicyViolation) } else { Ok(id.into()) }
    }
}

/// Whether the producer of `metadata` may be the one that calls itself `expected`, also if the answer that gave it a new
/// id was lost.
fn may_be(metadata: &Metadata, expected: Producer) -> bool {
    metadata.producer_epoch == NO_PRODUCER_EPOCH
        || expected.id == metadata.producer_id
        || expected.id == metadata.previous_producer_id && metadata::is_exhausted(expected.epoch)
}
