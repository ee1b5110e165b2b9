//! Both ways to change configurations, on a backend in memory.

use super::*;
use crate::errors::Code;
use crate::handlers::alter_configs;
use crate::handlers::memory::Memory;
use crate::handlers::resource::{BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, TOPIC};
use bytes::BytesMut;
use kafka_protocol::messages::AlterConfigsRequest;
use kafka_protocol::messages::alter_configs_request::{
    AlterConfigsResource as LegacyResource, AlterableConfig as LegacyConfig,
};
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::protocol::{Encodable, StrBytes};

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

type Operation = (&'static str, i8, Option<&'static str>);
/// Code and words of each resource.
type Outcomes = Vec<(i16, Option<String>)>;

fn resource(kind: i8, name: &'static str, operations: &[Operation]) -> AlterConfigsResource {
    let configs = operations.iter().map(|(name, operation, value)| {
        AlterableConfig::default()
            .with_name(StrBytes::from_static_str(name))
            .with_config_operation(*operation)
            .with_value(value.map(StrBytes::from_static_str))
    });
    AlterConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(name.into())
        .with_configs(configs.collect())
}

fn legacy(kind: i8, name: &'static str, configs: &[(&'static str, Option<&'static str>)]) -> LegacyResource {
    let configs = configs.iter().map(|(name, value)| {
        LegacyConfig::default()
            .with_name(StrBytes::from_static_str(name))
            .with_value(value.map(StrBytes::from_static_str))
    });
    LegacyResource::default()
        .with_resource_type(kind)
        .with_resource_name(name.into())
        .with_configs(configs.collect())
}

async fn send(backend: &Memory, resources: Vec<AlterConfigsResource>, validate_only: bool) -> Outcomes {
    let request = IncrementalAlterConfigsRequest::default()
        .with_resources(resources.clone())
        .with_validate_only(validate_only);
    let response = handle(backend, &Clock::system(), request).await;
    for version in 0..=1 {
        response.encode(&mut BytesMut::new(), version).unwrap();
    }
    let named = response.responses.iter().map(|one| (one.resource_type, one.resource_name.clone()));
    assert!(named.eq(resources.into_iter().map(|one| (one.resource_type, one.resource_name))));
    let outcome = |message: Option<StrBytes>| message.map(|message| message.to_string());
    response.responses.into_iter().map(|one| (one.error_code, outcome(one.error_message))).collect()
}

async fn replace(backend: &Memory, resources: Vec<LegacyResource>, validate_only: bool) -> Vec<i16> {
    let request = AlterConfigsRequest::default().with_resources(resources).with_validate_only(validate_only);
    let response = alter_configs::handle(backend, &Clock::system(), request).await;
    for version in 0..=2 {
        response.encode(&mut BytesMut::new(), version).unwrap();
    }
    response.responses.iter().map(|one| one.error_code).collect()
}

fn done() -> Outcomes {
    vec![(0, None)]
}

fn own(backend: &Memory) -> Vec<(String, String)> {
    backend.topic_configs("t").unwrap().into_iter().collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn values_are_set_and_deleted_and_nothing_when_only_validated() {
    let backend = Memory::default().with("t", 1).await;
    let t = |operations: &[Operation]| vec![resource(TOPIC, "t", operations)];
    let two = t(&[("retention.ms", SET, Some(" +5 ")), ("segment.ms", SET, Some("7"))]);
    assert_eq!(send(&backend, two.clone(), true).await, done());
    assert_eq!(own(&backend), []);
    assert_eq!(send(&backend, two, false).await, done());
    assert_eq!(own(&backend), pairs(&[("retention.ms", "5"), ("segment.ms", "7")]));
    let delete: &[Operation] =
        &[("retention.ms", DELETE, None), ("flush.ms", DELETE, Some("3")), ("x", DELETE, None)];
    assert_eq!(send(&backend, t(delete), false).await, done(), "what is not there can be deleted");
    assert_eq!(own(&backend), pairs(&[("segment.ms", "7")]));
    assert_eq!(send(&backend, t(&[]), false).await, done());
    let half: &[Operation] = &[("retention.ms", SET, Some("9")), ("segment.ms", SET, Some("junk"))];
    assert_eq!(send(&backend, t(half), false).await[0].0, Code::InvalidConfig.code());
    assert_eq!(own(&backend), pairs(&[("segment.ms", "7")]), "all of it or nothing");
}

/// (what, to which value, what it becomes), one after the other; as Apache Kafka 4.3 answered.
#[tokio::test]
async fn lists_grow_and_shrink_from_the_default_on() {
    let backend = Memory::default().with("t", 1).await;
    for (operation, value, expected) in [
        (APPEND, "compact", "delete,compact"),
        (APPEND, "compact,delete", "delete,compact"),
        (SUBTRACT, "delete", "compact"),
        (SUBTRACT, "delete", "compact"),
        (APPEND, " compact", "compact"),
        (SUBTRACT, "compact", ""),
        (APPEND, "delete", "delete"),
        (SET, "delete,delete", "delete"),
    ] {
        let asked = resource(TOPIC, "t", &[("cleanup.policy", operation, Some(value))]);
        assert_eq!(send(&backend, vec![asked], false).await, done());
        assert_eq!(own(&backend), pairs(&[("cleanup.policy", expected)]), "{operation} {value}");
    }
}

#[tokio::test]
async fn refusals_have_kafkas_codes_and_words() {
    let backend = Memory::default().with("t", 1).await;
    let (config, request) = (Code::InvalidConfig, Code::InvalidRequest);
    let cases: &[(i8, &'static str, &[Operation], Code, &str)] = &[
        (TOPIC, "t", &[("x", SET, Some("1"))], config, "Unknown topic config name: x"),
        (
            TOPIC,
            "t",
            &[("x", APPEND, Some("1"))],
            config,
            "Can't APPEND to key x because its type is not LIST.",
        ),
        (
            TOPIC,
            "t",
            &[("retention.ms", SUBTRACT, Some("1"))],
            config,
            "Can't SUBTRACT to key retention.ms because its type is not LIST.",
        ),
        (
            TOPIC,
            "t",
            &[("retention.ms", SET, Some("x"))],
            config,
            "Invalid value x for configuration retention.ms: Not a number of type LONG",
        ),
        (
            TOPIC,
            "t",
            &[("cleanup.policy", APPEND, Some(""))],
            config,
            "Configuration 'cleanup.policy' values must not be empty.",
        ),
        (
            TOPIC,
            "t",
            &[("min.compaction.lag.ms", SET, Some("2")), ("max.compaction.lag.ms", SET, Some("1"))],
            config,
            "conflict topic config setting min.compaction.lag.ms (2) > max.compaction.lag.ms (1)",
        ),
        (
            TOPIC,
            "t",
            &[("retention.ms", SET, None), ("segment.ms", SET, None)],
            request,
            "Null value not supported for : retention.ms, segment.ms",
        ),
        (
            TOPIC,
            "t",
            &[("retention.ms", SET, Some("1")), ("retention.ms", DELETE, None)],
            request,
            "Error due to duplicate config keys",
        ),
        (BROKER, "1", &[("log.retention.ms", 9, Some("1"))], request, "Unknown operations type 9"),
        (
            TOPIC,
            "nobody",
            &[("retention.ms", SET, Some("1"))],
            Code::UnknownTopicOrPartition,
            "The topic 'nobody' does not exist.",
        ),
        (TOPIC, "nobody", &[("x", SET, Some("1"))], config, "Unknown topic config name: x"),
        (TOPIC, "", &[("retention.ms", SET, Some("1"))], request, "Default topic resources are not allowed."),
        (TOPIC, "..", &[], Code::InvalidTopicException, "Topic name is invalid: '..' is not allowed"),
        (BROKER, "2", &[("a", SET, Some("1"))], request, "Unexpected broker id, expected 1, but received 2"),
        (BROKER, "x", &[], request, "Node id must be an integer, but it is: x"),
        (
            BROKER,
            "",
            &[("num.partitions", SET, Some("1")), ("log.retention.ms", SET, Some("1"))],
            request,
            "Cannot update these configs dynamically: [num.partitions]. They are fixed while the broker \
             runs; what can be chosen is an option of `levee serve`.",
        ),
        (BROKER_LOGGER, "2", &[], request, "Unexpected node id. Expected 1, but received 2"),
        (BROKER_LOGGER, "x", &[], request, "Node id must be an integer, but it is: x"),
        (BROKER_LOGGER, "1", &[("root", SET, Some("INFO"))], config, "Logger root does not exist!"),
        (
            BROKER_LOGGER,
            "1",
            &[("root", APPEND, Some("INFO"))],
            request,
            "APPEND operation is not allowed for the BROKER_LOGGER resource",
        ),
        (BROKER, "1", &[("my.own", APPEND, Some("1"))], config, "Unknown config name: my.own"),
        (
            BROKER,
            "1",
            &[("log.retention.ms", SUBTRACT, Some("1"))],
            config,
            "Config value subtract is not allowed for config key: log.retention.ms",
        ),
        (GROUP, "g", &[("nix", SET, Some("1"))], config, "Unknown group config name: nix"),
        (
            CLIENT_METRICS,
            "m",
            &[("metrics", APPEND, Some("a"))],
            config,
            "Can't APPEND to key metrics because its type is not LIST.",
        ),
        (
            CLIENT_METRICS,
            "m",
            &[("nix", SET, Some("1"))],
            request,
            "Unknown client metrics configuration: nix",
        ),
        (CLIENT_METRICS, "", &[], request, "Subscription name can't be empty"),
        (GROUP, "", &[], request, "Default group resources are not allowed."),
        (99, "x", &[], request, "Unknown resource type 99"),
    ];
    for (kind, name, operations, code, words) in cases {
        for validate_only in [true, false] {
            let outcome = send(&backend, vec![resource(*kind, name, operations)], validate_only).await;
            assert_eq!(outcome, [(code.code(), Some((*words).to_owned()))], "{name} {operations:?}");
        }
    }
    assert_eq!(own(&backend), []);
    let delete = resource(BROKER, "1", &[("log.retention.ms", DELETE, None)]);
    assert_eq!(send(&backend, vec![delete], false).await, done(), "it was never set");
}

#[tokio::test]
async fn what_is_no_topic_is_configured_too() {
    let backend = Memory::default();
    let session = "consumer.session.timeout.ms";
    let set = vec![
        resource(GROUP, "g", &[(session, SET, Some("50000"))]),
        resource(CLIENT_METRICS, "m", &[("interval.ms", SET, Some("100")), ("metrics", SET, Some("a,b"))]),
        resource(BROKER, "", &[("log.cleanup.policy", APPEND, Some("compact"))]),
        resource(BROKER, "+1", &[("log.retention.ms", SET, Some(" 7 "))]),
    ];
    assert!(send(&backend, set.clone(), true).await.iter().all(|outcome| outcome.0 == 0));
    assert!(backend.resources(GROUP).is_empty());
    assert!(send(&backend, set, false).await.iter().all(|outcome| outcome.0 == 0));
    assert_eq!(backend.group_configs("g"), pairs(&[(session, "50000")]).into_iter().collect());
    assert_eq!(backend.group_configs("h").len(), 0);
    let dynamic = backend.dynamic();
    assert_eq!(dynamic.cluster["log.cleanup.policy"], "delete,compact");
    assert_eq!(dynamic.broker["log.retention.ms"], "7", "under its number, as it is meant");
    let less = vec![
        resource(CLIENT_METRICS, "m", &[("interval.ms", DELETE, None)]),
        resource(BROKER, "", &[("log.cleanup.policy", SUBTRACT, Some("delete"))]),
    ];
    assert!(send(&backend, less, false).await.iter().all(|outcome| outcome.0 == 0));
    assert_eq!(backend.resource_configs(CLIENT_METRICS, "m").len(), 1);
    assert_eq!(backend.dynamic().cluster["log.cleanup.policy"], "compact");
    // The older request takes what it doesn't name.
    let heartbeat: &[_] = &[("consumer.heartbeat.interval.ms", Some("6000"))];
    let none = legacy(CLIENT_METRICS, "m", &[]);
    assert_eq!(replace(&backend, vec![legacy(GROUP, "g", heartbeat), none], false).await, [0, 0]);
    assert_eq!(backend.group_configs("g")["consumer.heartbeat.interval.ms"], "6000");
    assert_eq!((backend.group_configs("g").len(), backend.resources(CLIENT_METRICS).len()), (1, 0));
}

#[tokio::test]
async fn an_operation_that_does_not_exist_fails_all_that_the_controller_would_see() {
    let backend = Memory::default().with("t", 1).await.with("u", 1).await;
    let set = |kind, name| resource(kind, name, &[("retention.ms", SET, Some("9"))]);
    let unknown = |kind, name| resource(kind, name, &[("retention.ms", 9, Some("9"))]);
    let failed = || (-1, None);
    let all = vec![
        unknown(TOPIC, "t"),
        set(TOPIC, "u"),
        set(TOPIC, "nobody"),
        resource(BROKER, "1", &[("log.retention.ms", SET, Some("3600000"))]),
        resource(GROUP, "g", &[("consumer.session.timeout.ms", SET, Some("50000"))]),
    ];
    assert_eq!(send(&backend, all, false).await, vec![failed(); 5]);
    assert_eq!(own(&backend), []);
    for kind in [GROUP, CLIENT_METRICS, BROKER_LOGGER] {
        let name = if kind == BROKER_LOGGER { "1" } else { "x" };
        assert_eq!(send(&backend, vec![unknown(kind, name)], false).await, [failed()], "{kind}");
    }
    // What is refused before the controller sees it fails nothing.
    let twice = vec![unknown(TOPIC, "t"), unknown(TOPIC, "t"), unknown(0, "x"), set(TOPIC, "u")];
    let codes: Vec<_> = send(&backend, twice, false).await.into_iter().map(|(code, _)| code).collect();
    assert_eq!(codes, [42, 42, 42, 0]);
}

#[tokio::test]
async fn a_resource_that_comes_twice_is_refused_and_the_others_are_not() {
    let backend = Memory::default().with("t", 1).await.with("u", 1).await;
    let set = |name, value| resource(TOPIC, name, &[("retention.ms", SET, Some(value))]);
    let outcomes = send(&backend, vec![set("t", "1"), set("u", "2"), set("t", "3")], false).await;
    let codes: Vec<i16> = outcomes.iter().map(|outcome| outcome.0).collect();
    assert_eq!(codes, [42, 0, 42]);
    assert_eq!(outcomes[2].1.as_deref(), Some("Each resource must appear at most once."));
    assert!(own(&backend).is_empty());
    assert_eq!(backend.topic_configs("u").unwrap()["retention.ms"], "2");
}

#[tokio::test]
async fn the_older_request_replaces_all() {
    let backend = Memory::default().with("t", 1).await;
    let both: &[_] = &[("retention.ms", Some("1")), ("segment.ms", Some("2"))];
    assert_eq!(replace(&backend, vec![legacy(TOPIC, "t", both)], false).await, [0]);
    let other: &[_] = &[("segment.ms", Some(" 3 "))];
    assert_eq!(replace(&backend, vec![legacy(TOPIC, "t", other)], true).await, [0]);
    assert_eq!(own(&backend).len(), 2);
    assert_eq!(replace(&backend, vec![legacy(TOPIC, "t", other)], false).await, [0]);
    assert_eq!(own(&backend), pairs(&[("segment.ms", "3")]));
    for (refused, code) in [
        (legacy(TOPIC, "t", &[("x", Some("1"))]), 40),
        (legacy(TOPIC, "t", &[("retention.ms", None)]), 42),
        (legacy(TOPIC, "nobody", &[]), 3),
        (legacy(BROKER_LOGGER, "1", &[]), 42),
    ] {
        assert_eq!(replace(&backend, vec![refused], false).await, [code]);
    }
    assert_eq!(replace(&backend, vec![legacy(TOPIC, "t", &[])], false).await, [0]);
    assert_eq!(own(&backend), []);
}

#[tokio::test]
async fn metadata_that_cannot_be_written_is_a_retriable_error() {
    let backend = Memory::default().with("t", 1).await;
    backend.fail();
    let set = resource(TOPIC, "t", &[("retention.ms", SET, Some("1"))]);
    assert_eq!(send(&backend, vec![set], false).await[0].0, Code::RequestTimedOut.code());
    let same = resource(TOPIC, "t", &[("retention.ms", DELETE, None)]);
    assert_eq!(send(&backend, vec![same], false).await, done(), "nothing is written where nothing changes");
}
