//! EndTxn: a transaction is committed or aborted.
//!
//! By version 2 of the protocol the producer goes on with the next epoch, which the answer tells. If the answer is lost,
//! the producer asks again by the epoch it has, and that is how a second try is known from another transaction's first.
//!
//! While markers are being written everything is CONCURRENT_TRANSACTIONS, whoever asks.

use super::metadata::{self, Metadata, NO_PRODUCER_EPOCH, NO_PRODUCER_ID};
use super::state::State;
use super::{TransactionShard, code};
use crate::context::Context;
use crate::effects::{Effects, Producer, Token};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{EndTxnRequest, EndTxnResponse, ResponseKind};

/// The first version whose answers may say PRODUCER_FENCED.
const PRODUCER_FENCED: i16 = 2;
/// The first version of the request that goes by version 2 of the protocol.
const EPOCH_BUMP: i16 = 5;
/// What producers don't know.
const UNKNOWN: Producer = Producer { id: NO_PRODUCER_ID, epoch: NO_PRODUCER_EPOCH };

/// The version of the transaction protocol that a client of EndTxn `version` goes by.
pub(super) const fn version_of(version: i16) -> i8 {
    if version >= EPOCH_BUMP { metadata::EPOCH_BUMP } else { 0 }
}

/// What EndTxn comes to.
enum Verdict {
    /// The transaction is decided.
    Decide,
    /// It was, by the first try of the same request, and is complete.
    Done,
}

impl TransactionShard {
    pub(super) fn end_txn(
        &mut self,
        ctx: Context<'_>,
        token: Token,
        version: i16,
        request: &EndTxnRequest,
        effects: &mut Effects,
    ) {
        let outcome = self.end(ctx, version_of(version), request, effects);
        let producer = outcome.unwrap_or(UNKNOWN);
        let response = EndTxnResponse::default()
            .with_error_code(code(outcome.map(drop), version, PRODUCER_FENCED))
            .with_producer_id(producer.id.into())
            .with_producer_epoch(producer.epoch);
        effects.answer(token, ResponseKind::EndTxn(response));
    }

    fn end(
        &mut self,
        ctx: Context<'_>,
        version: i8,
        request: &EndTxnRequest,
        effects: &mut Effects,
    ) -> Result<Producer, ResponseError> {
        let id = request.transactional_id.as_str();
        if id.is_empty() {
            return Err(ResponseError::InvalidRequest);
        }
        let Some((id, before)) = self.transactions.get_key_value(id) else {
            return Err(ResponseError::InvalidProducerIdMapping);
        };
        let producer = Producer { id: request.producer_id.0, epoch: request.producer_epoch };
        let bumps = version >= metadata::EPOCH_BUMP;
        let verdict = if bumps {
            judge(before, producer, request.committed)
        } else {
            judge_without_bump(before, producer, request.committed)
        };
        let after = match verdict? {
            Verdict::Done => before.producer(),
            Verdict::Decide => {
                let id = id.clone();
                self.decide(ctx, &id, request.committed, version, effects)?.producer()
            }
        };
        Ok(if bumps { after } else { UNKNOWN })
    }
}

/// By versions 0 and 1 of the protocol: the epoch stays the same, so a second try can't be told from a first.
fn judge_without_bump(before: &Metadata, producer: Producer, commit: bool) -> Result<Verdict, ResponseError> {
    if before.producer_id != producer.id {
        return Err(ResponseError::InvalidProducerIdMapping);
    } else if before.producer_epoch != producer.epoch {
        return Err(ResponseError::ProducerFenced);
    }
    match (before.state, commit) {
        (State::PrepareCommit | State::PrepareAbort, _) => Err(ResponseError::ConcurrentTransactions),
        (State::Ongoing, _) => Ok(Verdict::Decide),
        (State::CompleteCommit, true) | (State::CompleteAbort, false) => Ok(Verdict::Done),
        (State::Empty | State::CompleteCommit | State::CompleteAbort, _) => {
            Err(ResponseError::InvalidTxnState)
        }
    }
}

/// By version 2 of the protocol.
fn judge(before: &Metadata, producer: Producer, commit: bool) -> Result<Verdict, ResponseError> {
    if before.state.is_decided() {
        return Err(ResponseError::ConcurrentTransactions);
    }
    let bumped = producer.epoch.checked_add(1) == Some(before.producer_epoch);
    let rotated = before.previous_producer_id == producer.id
        && producer.epoch == i16::MAX - 1
        && before.producer_epoch == 0;
    let complete = matches!(before.state, State::CompleteCommit | State::CompleteAbort);
    let again = bumped || rotated;
    if before.producer_id != producer.id && !rotated {
        return Err(ResponseError::InvalidProducerIdMapping);
    } else if before.producer_epoch != producer.epoch && !(complete && again) {
        return Err(ResponseError::ProducerFenced);
    }
    match (before.state, commit) {
        (State::Ongoing, _) | (State::Empty, false) => Ok(Verdict::Decide),
        // Kafka doesn't ask by which version the last transaction ended. If that was an old one, which gives no epoch, it
        // takes whoever was fenced before for its producer, and tells it the epoch that is in use.
        (State::CompleteCommit, true) | (State::CompleteAbort, false)
            if again && before.version < metadata::EPOCH_BUMP =>
        {
            Err(ResponseError::ProducerFenced)
        }
        (State::CompleteCommit, true) | (State::CompleteAbort, false) if again => Ok(Verdict::Done),
        (State::CompleteCommit | State::CompleteAbort, false) if !again => Ok(Verdict::Decide),
        _ => Err(ResponseError::InvalidTxnState),
    }
}
