//! DescribeConfigs: topics' configurations, and those of this broker.
//!
//! What Kafka has configurations of and Levee doesn't (clients' metrics, groups) is refused as a type that is not
//! supported.

use super::backend::Backend;
use super::{broker_configs, topic_configs, topic_name};
use crate::errors::{Code, Failure, NONE};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use kafka_protocol::protocol::StrBytes;

/// What has configurations, by the numbers of the protocol.
pub(super) const TOPIC: i8 = 2;
pub(super) const BROKER: i8 = 4;
pub(super) const BROKER_LOGGER: i8 = 8;
pub(super) const CLIENT_METRICS: i8 = 16;
pub(super) const GROUP: i8 = 32;

/// Where a configuration comes from: the topic,
pub(super) const SOURCE_TOPIC: i8 = 1;
/// what the broker was started with,
const SOURCE_BROKER: i8 = 4;
/// or nowhere.
pub(super) const SOURCE_DEFAULT: i8 = 5;

/// Answers a request.
pub fn handle<B: Backend>(backend: &B, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let known = |resource: &DescribeConfigsResource| {
        matches!(resource.resource_type, TOPIC | BROKER | BROKER_LOGGER | CLIENT_METRICS | GROUP)
    };
    // As in Kafka, one type that doesn't exist fails the request.
    let unknown = request.resources.iter().find(|resource| !known(resource)).map(|resource| {
        let (kind, name) = (resource.resource_type, &resource.resource_name);
        Failure::new(Code::InvalidRequest, format!("Unexpected resource type {kind} for resource {name}"))
    });
    let asked = Asked { synonyms: request.include_synonyms, documentation: request.include_documentation };
    let results = request.resources.into_iter().map(|resource| {
        let outcome = match &unknown {
            Some(failure) => Err(failure.clone()),
            None => describe(backend, &resource, asked),
        };
        let result = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name);
        match outcome {
            // An empty message and not none is Kafka's.
            Ok(configs) => result
                .with_error_code(NONE)
                .with_error_message(Some(StrBytes::default()))
                .with_configs(configs),
            Err(Failure { code, message }) => {
                result.with_error_code(code.code()).with_error_message(Some(message.into()))
            }
        }
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    synonyms: bool,
    documentation: bool,
}

fn describe<B: Backend>(
    backend: &B,
    resource: &DescribeConfigsResource,
    asked: Asked,
) -> Result<Vec<DescribeConfigsResourceResult>, Failure> {
    let keys = resource.configuration_keys.as_deref().filter(|keys| !keys.is_empty());
    let wanted = |name: &str| keys.is_none_or(|keys| keys.iter().any(|key| key.as_str() == name));
    let name = resource.resource_name.as_str();
    match resource.resource_type {
        TOPIC => {
            topic_name::check(name).map_err(|wrong| Failure::new(Code::InvalidTopicException, wrong))?;
            // Kafka's answer has no words here.
            let unknown = || Failure::new(Code::UnknownTopicOrPartition, "");
            let own = backend.topic_configs(name).ok_or_else(unknown)?;
            Ok(topic_configs::effective(&own)
                .filter(|config| wanted(config.name))
                .map(|config| topic_result(&config, asked))
                .collect())
        }
        // The defaults of all brokers that were changed: there are none.
        BROKER if name.is_empty() => Ok(Vec::new()),
        BROKER => {
            let own = backend.node_id();
            if broker_id(name)? != own {
                let message =
                    format!("Unexpected broker id, expected {own} or empty string, but received {name}");
                return Err(Failure::new(Code::InvalidRequest, message));
            }
            let all = broker_configs::effective(&backend.broker_configs());
            Ok(all
                .into_iter()
                .filter(|config| wanted(config.name))
                .map(|config| broker_result(config, asked))
                .collect())
        }
        BROKER_LOGGER => {
            if name.is_empty() {
                return Err(Failure::new(Code::InvalidRequest, "Broker id must not be empty"));
            }
            let own = backend.node_id();
            if broker_id(name)? != own {
                let message = format!("Unexpected broker id, expected {own} but received {name}");
                return Err(Failure::new(Code::InvalidRequest, message));
            }
            // What is logged is `--log-level`'s, by one filter and not by loggers.
            Ok(Vec::new())
        }
        CLIENT_METRICS if name.is_empty() => {
            Err(Failure::new(Code::InvalidRequest, "Client metrics subscription name must not be empty"))
        }
        GROUP if name.is_empty() => Err(Failure::new(Code::InvalidRequest, "Group name must not be empty")),
        kind => Err(unsupported(kind)),
    }
}

/// A kind of resource that Kafka knows and Levee has none of.
pub(super) fn unsupported(kind: i8) -> Failure {
    let what = match kind {
        CLIENT_METRICS => "CLIENT_METRICS: Levee has no subscriptions to clients' metrics",
        GROUP => "GROUP: groups have no configurations of their own in Levee",
        _ => "BROKER_LOGGER: see --log-level",
    };
    Failure::new(Code::InvalidRequest, format!("Unsupported resource type: {what}"))
}

fn broker_id(name: &str) -> Result<i32, Failure> {
    name.parse().map_err(|_| {
        Failure::new(Code::InvalidRequest, format!("Broker id must be an integer, but it is: {name}"))
    })
}

fn synonym(name: &'static str, value: &str, source: i8) -> DescribeConfigsSynonym {
    DescribeConfigsSynonym::default()
        .with_name(StrBytes::from_static_str(name))
        .with_value(Some(value.to_owned().into()))
        .with_source(source)
}

/// Where it comes from is told in any case by the first of its synonyms.
fn result(
    name: &'static str,
    value: &str,
    synonyms: Vec<DescribeConfigsSynonym>,
    (config_type, documentation): (i8, &'static str),
    asked: Asked,
) -> DescribeConfigsResourceResult {
    DescribeConfigsResourceResult::default()
        .with_name(StrBytes::from_static_str(name))
        .with_value(Some(value.to_owned().into()))
        .with_config_source(synonyms.first().map_or(SOURCE_DEFAULT, |first| first.source))
        .with_synonyms(if asked.synonyms { synonyms } else { Vec::new() })
        .with_config_type(config_type)
        .with_documentation(asked.documentation.then(|| StrBytes::from_static_str(documentation)))
}

fn topic_result(config: &topic_configs::Effective<'_>, asked: Asked) -> DescribeConfigsResourceResult {
    let known = config.known;
    let mut synonyms = Vec::new();
    if config.own {
        synonyms.push(synonym(config.name, config.value, SOURCE_TOPIC));
    }
    if !known.synonym.is_empty() {
        synonyms.push(synonym(known.synonym, known.default, SOURCE_DEFAULT));
    }
    result(config.name, config.value, synonyms, (known.values.config_type(), known.documentation), asked)
}

fn broker_result(config: broker_configs::Effective, asked: Asked) -> DescribeConfigsResourceResult {
    let mut synonyms = Vec::new();
    if config.value != config.default {
        synonyms.push(synonym(config.name, &config.value, SOURCE_BROKER));
    }
    if !config.default.is_empty() {
        synonyms.push(synonym(config.name, config.default, SOURCE_DEFAULT));
    }
    result(config.name, &config.value, synonyms, (config.config_type, config.documentation), asked)
        .with_read_only(true)
}

#[cfg(test)]
#[path = "describe_configs_tests.rs"]
mod tests;
