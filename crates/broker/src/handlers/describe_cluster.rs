//! DescribeCluster: which brokers there are (KIP-700), and only them: the controller has no endpoint of its own here.

use super::backend::Backend;
use super::operations::CLUSTER_OPERATIONS;
use crate::errors::Code;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::{BrokerId, DescribeClusterRequest, DescribeClusterResponse};
use levee_coordinator::uuid_text;

/// What is asked for, from version 1 on: brokers,
const BROKERS: i8 = 1;
/// or controllers (KIP-919).
const CONTROLLERS: i8 = 2;

/// Answers a request.
#[must_use]
pub fn handle<B: Backend>(backend: &B, request: &DescribeClusterRequest) -> DescribeClusterResponse {
    let (code, message) = match request.endpoint_type {
        BROKERS => return brokers(backend, request),
        CONTROLLERS => (
            Code::MismatchedEndpointType,
            "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER".into(),
        ),
        other => (Code::UnsupportedEndpointType, format!("Unsupported endpoint type {other}")),
    };
    DescribeClusterResponse::default().with_error_code(code.code()).with_error_message(Some(message.into()))
}

fn brokers<B: Backend>(backend: &B, request: &DescribeClusterRequest) -> DescribeClusterResponse {
    let brokers = backend.brokers().into_iter().map(|broker| {
        DescribeClusterBroker::default()
            .with_broker_id(BrokerId(broker.id))
            .with_host(broker.host.into())
            .with_port(broker.port.into())
    });
    let response = DescribeClusterResponse::default()
        .with_error_message(None)
        .with_cluster_id(uuid_text::text(backend.cluster_id()).into())
        .with_controller_id(BrokerId(backend.controller_id()))
        .with_brokers(brokers.collect());
    if request.include_cluster_authorized_operations {
        return response.with_cluster_authorized_operations(CLUSTER_OPERATIONS);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::memory::Memory;
    use bytes::BytesMut;
    use kafka_protocol::protocol::Encodable;

    fn ask(request: &DescribeClusterRequest) -> DescribeClusterResponse {
        let response = handle(&Memory::default(), request);
        for version in 0..=2 {
            response.encode(&mut BytesMut::new(), version).unwrap();
        }
        response
    }

    #[test]
    fn brokers_are_described() {
        let response = ask(&DescribeClusterRequest::default());
        assert_eq!((response.error_code, response.error_message), (0, None));
        assert_eq!((response.controller_id, response.endpoint_type), (BrokerId(1), 1));
        assert_eq!(response.cluster_id.len(), 22);
        assert_eq!(response.cluster_authorized_operations, i32::MIN);
        let [broker] = &response.brokers[..] else { panic!("{:?}", response.brokers) };
        assert_eq!(
            (broker.broker_id, &*broker.host, broker.port, broker.is_fenced),
            (BrokerId(1), "localhost", 9092, false)
        );
        let request = DescribeClusterRequest::default().with_include_cluster_authorized_operations(true);
        assert_eq!(ask(&request).cluster_authorized_operations, 8_096);
    }

    #[test]
    fn there_are_no_other_endpoints() {
        for (kind, code) in [(2, 114), (0, 115), (3, 115), (-1, 115)] {
            let response = ask(&DescribeClusterRequest::default().with_endpoint_type(kind));
            assert_eq!((response.error_code, response.brokers.len()), (code, 0), "{kind}");
            assert_eq!((response.controller_id, &*response.cluster_id), (BrokerId(-1), ""));
        }
    }
}
