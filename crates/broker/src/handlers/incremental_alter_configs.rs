//! IncrementalAlterConfigs: changes the configurations that it names, and leaves the others (KIP-339).

use super::altering::{self, Change, Resource};
use super::backend::Backend;
use crate::errors::NONE;
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};
use levee_base::Clock;

/// Answers a request. One at a time: what a list becomes depends on what it was.
pub async fn handle<B: Backend>(
    backend: &B,
    clock: &Clock,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let resources = request.resources.into_iter().map(|resource| Resource {
        kind: resource.resource_type,
        name: resource.resource_name,
        changes: resource
            .configs
            .into_iter()
            .map(|config| Change {
                name: config.name,
                operation: config.config_operation,
                value: config.value,
            })
            .collect(),
        replaces: false,
    });
    let resources: Vec<Resource> = resources.collect();
    let outcomes = altering::alter(backend, clock, &resources, request.validate_only).await;
    let responses = resources.into_iter().zip(outcomes).map(|(resource, outcome)| {
        let response = AlterConfigsResourceResponse::default()
            .with_resource_type(resource.kind)
            .with_resource_name(resource.name);
        match outcome {
            Ok(()) => response.with_error_code(NONE).with_error_message(None),
            Err(failure) => response.with_error_code(failure.code.code()).with_error_message(failure.words()),
        }
    });
    IncrementalAlterConfigsResponse::default().with_responses(responses.collect())
}

#[cfg(test)]
#[path = "alter_configs_tests.rs"]
mod tests;
