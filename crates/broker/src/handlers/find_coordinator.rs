//! FindCoordinator: there are no groups and no transactions yet, so no coordinator is available, and clients
//! that can do without go on.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};
use kafka_protocol::protocol::StrBytes;

/// The first version that asks for several keys at once (KIP-699).
const BATCHED: i16 = 4;

/// Answers.
pub fn answer(version: i16, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    let code = ResponseError::CoordinatorNotAvailable.code();
    let message = StrBytes::from_static_str("this version of Levee has no groups and no transactions");
    if version < BATCHED {
        let response = FindCoordinatorResponse::default().with_error_code(code).with_node_id(BrokerId(-1));
        let response = response.with_host(StrBytes::default()).with_port(-1);
        return if version >= 1 { response.with_error_message(Some(message)) } else { response };
    }
    let coordinators = request.coordinator_keys.into_iter().map(|key| {
        Coordinator::default()
            .with_key(key)
            .with_node_id(BrokerId(-1))
            .with_port(-1)
            .with_error_code(code)
            .with_error_message(Some(message.clone()))
    });
    FindCoordinatorResponse::default().with_coordinators(coordinators.collect())
}
