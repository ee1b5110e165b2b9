//! DescribeConfigs: the configurations of topics, brokers, groups and subscriptions to clients' metrics.
//!
//! A broker's loggers are none: Levee logs by one filter, `--log-level`.

use super::backend::Backend;
use super::dynamic::Dynamic;
use super::named::Named;
use super::resource::{BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, TOPIC};
use super::topic_configs::SOURCE_DEFAULT;
use super::{broker_configs, client_metrics_configs, group_configs, topic_configs, topic_name};
use crate::errors::{Code, Failure, NONE};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use kafka_protocol::protocol::StrBytes;
use levee_base::limits::{DESCRIBED_CONFIGS, NAMED_IN_A_REQUEST};
use std::collections::BTreeSet;

/// Where a configuration comes from: a subscription to clients' metrics.
const SOURCE_CLIENT_METRICS: i8 = 7;

/// Answers a request.
pub async fn handle<B: Backend>(backend: &B, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    within(backend, request, DESCRIBED_CONFIGS).await
}

/// Answers with `most` configurations at most: few bytes ask for many, and all are held until the last is there.
async fn within<B: Backend>(
    backend: &B,
    request: DescribeConfigsRequest,
    most: usize,
) -> DescribeConfigsResponse {
    let known = |resource: &DescribeConfigsResource| {
        matches!(resource.resource_type, TOPIC | BROKER | BROKER_LOGGER | CLIENT_METRICS | GROUP)
    };
    // As in Kafka, one type that doesn't exist fails the request. All the answers share the words.
    let unknown = request.resources.iter().find(|resource| !known(resource)).map(unexpected);
    let asked = Asked { synonyms: request.include_synonyms, documentation: request.include_documentation };
    let mut room = Room::new(most);
    let mut results = Vec::with_capacity(request.resources.len());
    for resource in request.resources {
        // Nothing here waits for anybody.
        tokio::task::consume_budget().await;
        let outcome = match &unknown {
            Some(words) => Err((Code::InvalidRequest, words.clone())),
            None => room.describe(&resource, || describe(backend, &resource, asked)),
        };
        let result = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name);
        results.push(match outcome {
            // An empty message and not none is Kafka's.
            Ok(configs) => result
                .with_error_code(NONE)
                .with_error_message(Some(StrBytes::default()))
                .with_configs(configs),
            Err((code, words)) => result.with_error_code(code.code()).with_error_message(Some(words)),
        });
    }
    DescribeConfigsResponse::default().with_results(results)
}

/// What is wrong with a resource of a type that doesn't exist. A name that is longer than topics' are is left out: the
/// words are in the answer once for each resource.
fn unexpected(resource: &DescribeConfigsResource) -> StrBytes {
    let (kind, name) = (resource.resource_type, resource.resource_name.as_str());
    if name.chars().count() > topic_name::NAME_CHARS {
        return format!("Unexpected resource type {kind} for a resource with a long name").into();
    }
    format!("Unexpected resource type {kind} for resource {name}").into()
}

/// What room an answer has left.
struct Room {
    most: usize,
    listed: usize,
    full: bool,
    named: Named<(i8, StrBytes)>,
    too_many: StrBytes,
    too_often: StrBytes,
}

impl Room {
    fn new(most: usize) -> Self {
        let too_many =
            format!("More than {most} configurations: ask for those of fewer resources at a time.");
        let too_often =
            format!("Named more than {NAMED_IN_A_REQUEST} times in one request: ask for each resource once.");
        Self {
            most,
            listed: 0,
            full: false,
            named: Named::new(),
            too_many: too_many.into(),
            too_often: too_often.into(),
        }
    }

    /// What `describe` tells of a resource, if there is room for it. After the first for which there is none nothing is
    /// described: what a client gets is the beginning of what it asked for.
    fn describe(
        &mut self,
        resource: &DescribeConfigsResource,
        describe: impl FnOnce() -> Result<Vec<DescribeConfigsResourceResult>, Failure>,
    ) -> Result<Vec<DescribeConfigsResourceResult>, (Code, StrBytes)> {
        let too_many = |room: &Self| Err((Code::InvalidRequest, room.too_many.clone()));
        if self.full {
            return too_many(self);
        }
        // A broker's number can be written in many ways.
        let number = match resource.resource_type {
            BROKER => resource.resource_name.parse::<i32>().ok(),
            _ => None,
        };
        let name = number.map_or_else(|| resource.resource_name.clone(), |number| number.to_string().into());
        if self.named.too_often((resource.resource_type, name)) {
            return Err((Code::InvalidRequest, self.too_often.clone()));
        }
        let configs = describe().map_err(|failure| (failure.code, failure.message.into()))?;
        if configs.len() > self.most - self.listed {
            self.full = true;
            return too_many(self);
        }
        self.listed += configs.len();
        Ok(configs)
    }
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
    let keys: Option<BTreeSet<&str>> = keys.map(|keys| keys.iter().map(StrBytes::as_str).collect());
    let wanted = |name: &str| keys.as_ref().is_none_or(|keys| keys.contains(name));
    let name = resource.resource_name.as_str();
    match resource.resource_type {
        TOPIC => {
            topic_name::check(name).map_err(|wrong| Failure::new(Code::InvalidTopicException, wrong))?;
            // Kafka's answer has no words here.
            let unknown = || Failure::new(Code::UnknownTopicOrPartition, "");
            let own = backend.topic_configs(name).ok_or_else(unknown)?;
            let dynamic = backend.dynamic();
            Ok(topic_configs::effective(&own, &dynamic)
                .filter(|config| wanted(config.name))
                .map(|config| topic_result(&config, &dynamic, asked))
                .collect())
        }
        // What was changed of all brokers.
        BROKER if name.is_empty() => {
            let dynamic = backend.dynamic();
            let all = broker_configs::of_cluster(&dynamic).into_iter();
            Ok(all.filter(|config| wanted(config.name)).map(|config| broker_result(config, asked)).collect())
        }
        BROKER => {
            let own = backend.node_id();
            if broker_id(name)? != own {
                let message =
                    format!("Unexpected broker id, expected {own} or empty string, but received {name}");
                return Err(Failure::new(Code::InvalidRequest, message));
            }
            let dynamic = backend.dynamic();
            let all = broker_configs::effective(&backend.broker_configs(), &dynamic).into_iter();
            Ok(all.filter(|config| wanted(config.name)).map(|config| broker_result(config, asked)).collect())
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
        CLIENT_METRICS => {
            let own = backend.resource_configs(CLIENT_METRICS, name);
            let all = client_metrics_configs::ALL.iter().filter(|known| wanted(known.name));
            let all = all.map(|known| {
                let set = own.get(known.name).map(String::as_str);
                let synonyms = set.map(|value| synonym(known.name, Some(value), SOURCE_CLIENT_METRICS));
                let told = (known.values.config_type(), known.documentation);
                let value = set.unwrap_or(known.default);
                result(known.name, Some(value), synonyms.into_iter().collect(), told, asked)
            });
            Ok(all.collect())
        }
        GROUP if name.is_empty() => Err(Failure::new(Code::InvalidRequest, "Group name must not be empty")),
        GROUP => {
            let (own, dynamic) = (backend.group_configs(name), backend.dynamic());
            let all = group_configs::effective(&own, &dynamic).filter(|config| wanted(config.known.name));
            let all = all.map(|config| {
                let synonyms = config.synonyms.iter().map(|one| synonym(one.0, Some(one.1), one.2)).collect();
                let told = (config.known.values.config_type(), config.known.documentation);
                result(config.known.name, Some(config.value), synonyms, told, asked)
            });
            Ok(all.collect())
        }
        kind => Err(Failure::new(Code::InvalidRequest, format!("Unsupported resource type: {kind}"))),
    }
}

fn broker_id(name: &str) -> Result<i32, Failure> {
    name.parse().map_err(|_| {
        Failure::new(Code::InvalidRequest, format!("Broker id must be an integer, but it is: {name}"))
    })
}

fn synonym(name: &str, value: Option<&str>, source: i8) -> DescribeConfigsSynonym {
    DescribeConfigsSynonym::default()
        .with_name(name.to_owned().into())
        .with_value(value.map(|value| value.to_owned().into()))
        .with_source(source)
}

/// Where it comes from is told in any case by the first of its synonyms.
fn result(
    name: &str,
    value: Option<&str>,
    synonyms: Vec<DescribeConfigsSynonym>,
    (config_type, documentation): (i8, &'static str),
    asked: Asked,
) -> DescribeConfigsResourceResult {
    DescribeConfigsResourceResult::default()
        .with_name(name.to_owned().into())
        .with_value(value.map(|value| value.to_owned().into()))
        .with_config_source(synonyms.first().map_or(SOURCE_DEFAULT, |first| first.source))
        .with_synonyms(if asked.synonyms { synonyms } else { Vec::new() })
        .with_config_type(config_type)
        .with_documentation(asked.documentation.then(|| StrBytes::from_static_str(documentation)))
}

fn topic_result(
    config: &topic_configs::Effective<'_>,
    dynamic: &Dynamic,
    asked: Asked,
) -> DescribeConfigsResourceResult {
    let known = config.known;
    let mut synonyms = Vec::new();
    if config.source == topic_configs::SOURCE_TOPIC {
        synonyms.push(synonym(config.name, Some(config.value), config.source));
    }
    let of_broker = known.dynamic().unwrap_or_default();
    let changed: Vec<_> = dynamic.values(of_broker).collect();
    let default = match known.synonym {
        "" if changed.is_empty() => None,
        "" => known.in_other_units(),
        of_broker => Some((of_broker, known.default)),
    };
    synonyms.extend(changed.into_iter().map(|(source, value)| synonym(of_broker, Some(value), source)));
    synonyms.extend(default.map(|(name, value)| synonym(name, Some(value), SOURCE_DEFAULT)));
    result(
        config.name,
        Some(config.value),
        synonyms,
        (known.values.config_type(), known.documentation),
        asked,
    )
}

fn broker_result(config: broker_configs::Effective<'_>, asked: Asked) -> DescribeConfigsResourceResult {
    let told = |value| if config.sensitive { None } else { Some(value) };
    let synonyms =
        config.sources.iter().map(|(name, value, source)| synonym(name, told(value.as_str()), *source));
    let synonyms = synonyms.collect();
    let kind = (config.config_type, config.documentation);
    result(config.name, config.value.as_deref(), synonyms, kind, asked)
        .with_read_only(config.read_only)
        .with_is_sensitive(config.sensitive)
}

#[cfg(test)]
#[path = "describe_configs_tests.rs"]
mod tests;
