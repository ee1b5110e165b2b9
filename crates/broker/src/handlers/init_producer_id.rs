//! InitProducerId without a transactional id: a fresh producer id (KIP-98, KIP-360).

use crate::broker::Broker;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};

/// Answers.
pub async fn answer(broker: &Broker, request: InitProducerIdRequest) -> InitProducerIdResponse {
    let refused = |error: ResponseError| {
        InitProducerIdResponse::default()
            .with_error_code(error.code())
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1)
    };
    match &request.transactional_id {
        Some(id) if id.is_empty() => return refused(ResponseError::InvalidRequest),
        // There are no transactions yet.
        Some(_) => return refused(ResponseError::CoordinatorNotAvailable),
        None => {}
    }
    match broker.producer_id().await {
        Ok(id) => InitProducerIdResponse::default().with_producer_id(ProducerId(id)).with_producer_epoch(0),
        Err(error) => refused(error.error),
    }
}
