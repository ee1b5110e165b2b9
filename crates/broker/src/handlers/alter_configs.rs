//! AlterConfigs, which came before IncrementalAlterConfigs: a resource's configurations become those that it names,
//! and no others.

use super::altering::{self, Change, Resource, SET};
use super::backend::Backend;
use crate::errors::NONE;
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};
use levee_base::Clock;

/// Answers a request. One at a time, as of [`super::incremental_alter_configs`].
pub async fn handle<B: Backend>(
    backend: &B,
    clock: &Clock,
    request: AlterConfigsRequest,
) -> AlterConfigsResponse {
    let resources = request.resources.into_iter().map(|resource| Resource {
        kind: resource.resource_type,
        name: resource.resource_name,
        changes: resource
            .configs
            .into_iter()
            .map(|config| Change { name: config.name, operation: SET, value: config.value })
            .collect(),
        replaces: true,
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
    AlterConfigsResponse::default().with_responses(responses.collect())
}
