//! InitProducerId without a transactional id: an identity for an idempotent producer. Those with one are their coordinator's.

use super::backend::Backend;
use crate::errors::Code;
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};
use tracing::warn;

/// Answers a request.
pub async fn handle<B: Backend>(backend: &B, request: &InitProducerIdRequest) -> InitProducerIdResponse {
    let failed = |code: Code| {
        InitProducerIdResponse::default()
            .with_error_code(code.code())
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1)
    };
    // A client that keeps its identity names both halves of it (KIP-360).
    if (request.producer_id.0 == -1) != (request.producer_epoch == -1) {
        return failed(Code::InvalidRequest);
    }
    // Without a transactional id the identity is always a new one, as in Kafka.
    match backend.producer_id().await {
        Ok(id) => InitProducerIdResponse::default().with_producer_id(ProducerId(id)).with_producer_epoch(0),
        Err(error) => {
            warn!(%error, "no producer id can be given; the client tries again");
            failed(Code::CoordinatorLoadInProgress)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::memory::Memory;

    #[tokio::test]
    async fn identities_are_new_each_time() {
        let backend = Memory::default();
        let request = InitProducerIdRequest::default().with_transactional_id(None);
        let (one, two) = (handle(&backend, &request).await, handle(&backend, &request).await);
        assert_eq!((one.error_code, one.producer_epoch), (0, 0));
        assert_ne!(one.producer_id, two.producer_id);

        let half = request.clone().with_producer_id(ProducerId(5));
        assert_eq!(handle(&backend, &half).await.error_code, Code::InvalidRequest.code());
        backend.fail();
        assert_eq!(handle(&backend, &request).await.error_code, Code::CoordinatorLoadInProgress.code());
    }
}
