//! FindCoordinator: there are no groups and no transactions yet, so no coordinator is available. Clients take that
//! for a cluster that is starting, and ask again.

use crate::errors::{Code, Failure};
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};

/// The first version that asks for several keys at once (KIP-699).
const BATCHED_FROM: i16 = 4;
/// Key types: 0 a group, 1 a transactional id, 2 a share group (version 6 and up).
const SHARE: i8 = 2;

/// Answers a request.
#[must_use]
pub fn handle(request: FindCoordinatorRequest, version: i16) -> FindCoordinatorResponse {
    let failure = match request.key_type {
        0 | 1 => Failure::new(Code::CoordinatorNotAvailable, "The coordinator is not available."),
        SHARE if version >= 6 => {
            Failure::new(Code::CoordinatorNotAvailable, "The coordinator is not available.")
        }
        other => Failure::new(Code::InvalidRequest, format!("Unknown coordinator type {other}.")),
    };
    let (nobody, code) = (BrokerId(-1), failure.code.code());
    if version < BATCHED_FROM {
        let response =
            FindCoordinatorResponse::default().with_error_code(code).with_node_id(nobody).with_port(-1);
        return if version >= 1 {
            response.with_error_message(Some(failure.message.into()))
        } else {
            response
        };
    }
    let answer = |key| {
        Coordinator::default()
            .with_key(key)
            .with_node_id(nobody)
            .with_port(-1)
            .with_error_code(code)
            .with_error_message(Some(failure.message.clone().into()))
    };
    FindCoordinatorResponse::default()
        .with_coordinators(request.coordinator_keys.into_iter().map(answer).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use kafka_protocol::protocol::Encodable;

    #[test]
    fn every_version_is_told_to_wait() {
        for version in 0..=6 {
            let request = FindCoordinatorRequest::default()
                .with_key("group".into())
                .with_coordinator_keys(vec!["a".into(), "b".into()]);
            let response = handle(request, version);
            if version < BATCHED_FROM {
                assert_eq!(response.error_code, Code::CoordinatorNotAvailable.code());
            } else {
                let keys: Vec<_> = response.coordinators.iter().map(|c| (&*c.key, c.error_code)).collect();
                assert_eq!(keys, [("a", 15), ("b", 15)]);
            }
            response.encode(&mut BytesMut::new(), version).unwrap();
        }
        assert_eq!(handle(FindCoordinatorRequest::default().with_key_type(9), 3).error_code, 42);
        assert_eq!(handle(FindCoordinatorRequest::default().with_key_type(2), 3).error_code, 42);
    }
}
