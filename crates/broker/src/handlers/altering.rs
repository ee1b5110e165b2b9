//! What AlterConfigs and IncrementalAlterConfigs have in common. The checks, their order and their words are those of
//! Apache Kafka.

use super::backend::{Backend, BackendError};
use super::resource::{BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, TOPIC};
use super::{broker_configs, client_metrics_configs, group_configs, topic_configs, topic_name};
use crate::errors::{Code, Failure};
use kafka_protocol::protocol::StrBytes;
use levee_base::Clock;
use levee_base::clock::Instant;
use levee_base::limits::ALTER_WAIT;
use std::collections::{BTreeMap, BTreeSet};

/// A resource's own configurations.
type Configs = BTreeMap<String, String>;

/// What is asked to change, of one resource.
#[derive(Debug)]
pub(super) struct Resource {
    pub(super) kind: i8,
    pub(super) name: StrBytes,
    pub(super) changes: Vec<Change>,
    /// Configurations that are not named lose their values (AlterConfigs).
    pub(super) replaces: bool,
}

/// What is asked to change of one configuration.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) name: StrBytes,
    pub(super) operation: i8,
    pub(super) value: Option<StrBytes>,
}

/// What may be done with a configuration, by the numbers of the protocol.
pub(super) const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

fn refused(message: impl Into<String>) -> Failure {
    Failure::new(Code::InvalidRequest, message)
}

/// Changes each resource, or says why not, in their order. Of each either all is changed or nothing.
pub(super) async fn alter<B: Backend>(
    backend: &B,
    clock: &Clock,
    resources: &[Resource],
    validate_only: bool,
) -> Vec<Result<(), Failure>> {
    let deadline = clock.now() + ALTER_WAIT;
    let mut times = BTreeMap::new();
    for resource in resources {
        *times.entry((resource.kind, &resource.name)).or_insert(0_usize) += 1;
    }
    let check = |resource: &Resource| match times[&(resource.kind, &resource.name)] {
        1 => well_formed(resource),
        _ => Err(refused("Each resource must appear at most once.")),
    };
    // Kafka's controller fails on an operation that doesn't exist, and with it all that was sent on to it.
    let fails = resources.iter().any(|resource| fails(resource) && check(resource).is_ok());
    let mut outcomes = Vec::with_capacity(resources.len());
    for resource in resources {
        outcomes.push(match check(resource) {
            Ok(()) if fails && is_kept(resource.kind) => Err(nobodys()),
            Ok(()) => match one(backend, clock, deadline, resource, validate_only || fails).await {
                Ok(()) if fails && resource.kind == BROKER => Err(nobodys()),
                outcome => outcome,
            },
            refused => refused,
        });
    }
    outcomes
}

/// The code that Kafka answers with when it fails, without words.
fn nobodys() -> Failure {
    Failure::new(Code::UnknownServerError, "")
}

/// Whether Kafka's controller keeps the configurations of such resources, and looks at them alone.
fn is_kept(kind: i8) -> bool {
    matches!(kind, TOPIC | CLIENT_METRICS | GROUP)
}

fn is_known(change: &Change) -> bool {
    (SET..=SUBTRACT).contains(&change.operation)
}

/// Whether Kafka's controller fails on it.
fn fails(resource: &Resource) -> bool {
    is_kept(resource.kind) && !resource.changes.iter().all(is_known)
}

/// What is checked of a resource whatever it is.
fn well_formed(resource: &Resource) -> Result<(), Failure> {
    let mut seen = BTreeSet::new();
    if !resource.changes.iter().all(|change| seen.insert(&change.name)) {
        return Err(refused("Error due to duplicate config keys"));
    }
    let lacks_value = |change: &&Change| change.operation != DELETE && change.value.is_none();
    let nulls: Vec<_> = resource.changes.iter().filter(lacks_value).map(|change| &*change.name).collect();
    if !nulls.is_empty() {
        return Err(refused(format!("Null value not supported for : {}", nulls.join(", "))));
    }
    Ok(())
}

async fn one<B: Backend>(
    backend: &B,
    clock: &Clock,
    deadline: Instant,
    resource: &Resource,
    validate_only: bool,
) -> Result<(), Failure> {
    let name = resource.name.as_str();
    match resource.kind {
        TOPIC => {
            let own = backend.topic_configs(name).unwrap_or_default();
            let changed = changed(&own, resource)?;
            let changed = valid(name, changed)?;
            let topic = backend.topic(name).ok_or_else(|| {
                Failure::new(Code::UnknownTopicOrPartition, format!("The topic '{name}' does not exist."))
            })?;
            let Some((set, unset)) = difference(own, changed).filter(|_| !validate_only) else {
                return Ok(());
            };
            within(clock, deadline, backend.alter_topic(topic.id, set, unset)).await
        }
        BROKER => {
            let name = if name.is_empty() { String::new() } else { broker(backend, name)? };
            if let Some(change) = resource.changes.iter().find(|change| !is_known(change)) {
                return Err(refused(format!("Unknown operations type {}", change.operation)));
            }
            keep(backend, (clock, deadline), resource, &name, validate_only, broker_configs::valid).await
        }
        BROKER_LOGGER if !resource.replaces => {
            // Kafka's words are others here, once the name is a number.
            match broker(backend, name) {
                Err(_) if name.parse::<i32>().is_ok() => {
                    let own = backend.node_id();
                    Err(refused(format!("Unexpected node id. Expected {own}, but received {name}")))
                }
                known => known.and_then(|_| loggers(resource)),
            }
        }
        CLIENT_METRICS if name.is_empty() => Err(refused("Subscription name can't be empty")),
        CLIENT_METRICS => {
            let valid = client_metrics_configs::valid;
            keep(backend, (clock, deadline), resource, name, validate_only, valid).await
        }
        GROUP if name.is_empty() => Err(refused("Default group resources are not allowed.")),
        GROUP => keep(backend, (clock, deadline), resource, name, validate_only, group_configs::valid).await,
        kind => Err(refused(format!("Unknown resource type {kind}"))),
    }
}

/// Changes the configurations of a resource that is no topic, under this name.
async fn keep<B: Backend>(
    backend: &B,
    (clock, deadline): (&Clock, Instant),
    resource: &Resource,
    name: &str,
    validate_only: bool,
    valid: impl FnOnce(Configs) -> Result<Configs, Failure>,
) -> Result<(), Failure> {
    let own = backend.resource_configs(resource.kind, name);
    let changed = valid(changed(&own, resource)?)?;
    let Some((set, unset)) = difference(own, changed).filter(|_| !validate_only) else { return Ok(()) };
    within(clock, deadline, backend.alter_resource(resource.kind, name, set, unset)).await
}

async fn within(
    clock: &Clock,
    deadline: Instant,
    altered: impl Future<Output = Result<(), BackendError>>,
) -> Result<(), Failure> {
    match clock.timeout(deadline.saturating_duration_since(clock.now()), altered).await {
        Some(outcome) => outcome.map_err(Failure::from),
        None => Err(Failure::new(Code::RequestTimedOut, "The request timed out.")),
    }
}

/// What is to be set and what no longer, to make the one of the other; `None` if they are the same.
fn difference(own: Configs, changed: Configs) -> Option<(Configs, BTreeSet<String>)> {
    let unset: BTreeSet<String> = own.keys().filter(|name| !changed.contains_key(*name)).cloned().collect();
    let set: Configs = changed.into_iter().filter(|(name, value)| own.get(name) != Some(value)).collect();
    (!set.is_empty() || !unset.is_empty()).then_some((set, unset))
}

/// The name of this broker, if it is the one that is meant.
fn broker<B: Backend>(backend: &B, name: &str) -> Result<String, Failure> {
    let own = backend.node_id();
    let id: i32 =
        name.parse().map_err(|_| refused(format!("Node id must be an integer, but it is: {name}")))?;
    if id != own {
        return Err(refused(format!("Unexpected broker id, expected {own}, but received {name}")));
    }
    Ok(own.to_string())
}

/// There are no loggers: what is logged is `--log-level`'s.
fn loggers(resource: &Resource) -> Result<(), Failure> {
    if !resource.changes.iter().all(is_known) {
        return Err(nobodys());
    }
    let Some(Change { name, operation, .. }) = resource.changes.first() else { return Ok(()) };
    match *operation {
        APPEND => Err(refused("APPEND operation is not allowed for the BROKER_LOGGER resource")),
        SUBTRACT => Err(refused("SUBTRACT operation is not allowed for the BROKER_LOGGER resource")),
        _ => Err(Failure::new(Code::InvalidConfig, format!("Logger {name} does not exist!"))),
    }
}

/// What a resource's configurations are to become, not yet checked.
fn changed(own: &Configs, resource: &Resource) -> Result<Configs, Failure> {
    let mut changed = if resource.replaces { Configs::new() } else { own.clone() };
    for Change { name, operation, value } in &resource.changes {
        let value = value.as_deref().unwrap_or_default();
        match *operation {
            SET => {
                changed.insert(name.to_string(), value.to_owned());
            }
            DELETE => {
                changed.remove(name.as_str());
            }
            operation => {
                let adds = operation == APPEND;
                let default = list(resource.kind, name, adds)?;
                let before = changed.get(name.as_str()).map_or(default, String::as_str);
                let list = before.split(',').filter(|one| !one.is_empty()).collect();
                let list = if adds { with(list, value) } else { without(list, value) };
                changed.insert(name.to_string(), list.join(","));
            }
        }
    }
    Ok(changed)
}

/// A list with those of `value` that it lacks.
fn with<'a>(mut list: Vec<&'a str>, value: &'a str) -> Vec<&'a str> {
    let mut known: BTreeSet<&str> = list.iter().copied().collect();
    list.extend(value.split(',').filter(|one| known.insert(one)));
    list
}

/// A list without those of `value`, each as often as it is there.
fn without<'a>(mut list: Vec<&'a str>, value: &str) -> Vec<&'a str> {
    let mut gone: BTreeMap<&str, usize> = BTreeMap::new();
    for one in value.split(',') {
        *gone.entry(one).or_default() += 1;
    }
    list.retain(|one| match gone.get_mut(one) {
        Some(times) if *times > 0 => {
            *times -= 1;
            false
        }
        _ => true,
    });
    list
}

/// What a list is to which is added, or from which is taken, while it is not set.
fn list(kind: i8, name: &str, adds: bool) -> Result<&'static str, Failure> {
    if kind == BROKER {
        return broker_configs::list(name, if adds { "append" } else { "subtract" });
    }
    let known = topic_configs::find(name).filter(|_| kind == TOPIC && topic_configs::is_list(name));
    known.map(|known| known.default).ok_or_else(|| {
        let what = if adds { "APPEND" } else { "SUBTRACT" };
        let message = format!("Can't {what} to key {name} because its type is not LIST.");
        Failure::new(Code::InvalidConfig, message)
    })
}

/// Checks what a topic's configurations are to become, and writes the values as they are kept.
fn valid(topic: &str, changed: Configs) -> Result<Configs, Failure> {
    if topic.is_empty() {
        return Err(refused("Default topic resources are not allowed."));
    }
    topic_name::check(topic).map_err(|wrong| Failure::new(Code::InvalidTopicException, wrong))?;
    // Names before values.
    for name in changed.keys().filter(|name| topic_configs::find(name).is_none()) {
        topic_configs::check(name, None)?;
    }
    let checked = changed.into_iter().map(|(name, value)| {
        let value = topic_configs::check(&name, Some(&value))?;
        Ok((name, value))
    });
    let checked = checked.collect::<Result<Configs, Failure>>()?;
    topic_configs::check_together(&checked)?;
    Ok(checked)
}

#[cfg(test)]
#[path = "altering_tests.rs"]
mod tests;
