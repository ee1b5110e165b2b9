//! DescribeConfigs on a backend in memory.

use super::*;
use crate::handlers::backend::NewTopic;
use crate::handlers::memory::Memory;
use bytes::BytesMut;
use kafka_protocol::protocol::Encodable;
use std::collections::BTreeMap;

async fn backend() -> Memory {
    let backend = Memory::default();
    let configs = BTreeMap::from([
        ("cleanup.policy".to_owned(), "compact".to_owned()),
        ("retention.ms".to_owned(), "5".to_owned()),
    ]);
    let new = NewTopic { name: "t".into(), partitions: 1, leaders: vec![], configs };
    backend.create_topic(new).await.unwrap();
    backend
}

fn resource(kind: i8, name: &'static str, keys: Option<&[&'static str]>) -> DescribeConfigsResource {
    let keys = keys.map(|keys| keys.iter().map(|key| StrBytes::from_static_str(key)).collect());
    DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(name.into())
        .with_configuration_keys(keys)
}

fn ask(backend: &Memory, resources: Vec<DescribeConfigsResource>, all: bool) -> Vec<DescribeConfigsResult> {
    let request = DescribeConfigsRequest::default()
        .with_resources(resources)
        .with_include_synonyms(all)
        .with_include_documentation(all);
    let response = handle(backend, request);
    for version in 1..=4 {
        response.encode(&mut BytesMut::new(), version).unwrap();
    }
    response.results
}

fn code(result: &DescribeConfigsResult) -> Option<Code> {
    kafka_protocol::ResponseError::try_from_code(result.error_code)
}

#[tokio::test]
async fn a_topic_is_described_with_types_sources_synonyms_and_documentation() {
    let backend = backend().await;
    let result = ask(&backend, vec![resource(TOPIC, "t", None)], true).remove(0);
    assert_eq!((result.error_code, result.error_message.as_deref()), (0, Some("")));
    assert_eq!(result.configs.len(), 33);
    let told = |name: &str| {
        let config = result.configs.iter().find(|config| &*config.name == name).unwrap();
        assert!(
            !config.read_only && !config.is_sensitive && !config.documentation.as_ref().unwrap().is_empty()
        );
        let synonyms: Vec<_> = config
            .synonyms
            .iter()
            .map(|synonym| (&*synonym.name, synonym.value.as_deref().unwrap(), synonym.source))
            .collect();
        (config.value.as_deref().unwrap(), config.config_type, config.config_source, synonyms)
    };
    let own = ("cleanup.policy", "compact", 1);
    assert_eq!(told("cleanup.policy"), ("compact", 7, 1, vec![own, ("log.cleanup.policy", "delete", 5)]));
    assert_eq!(told("retention.ms"), ("5", 5, 1, vec![("retention.ms", "5", 1)]));
    assert_eq!(told("segment.ms"), ("604800000", 5, 5, vec![]));
    let ratio = ("log.cleaner.min.cleanable.ratio", "0.5", 5);
    assert_eq!(told("min.cleanable.dirty.ratio"), ("0.5", 6, 5, vec![ratio]));
    assert_eq!(told("preallocate").1, 1);
    assert_eq!(told("compression.type").1, 2);
    assert_eq!(told("max.message.bytes").1, 3);
}

#[tokio::test]
async fn what_was_not_asked_for_is_left_out() {
    let backend = backend().await;
    let keys: &[&str] = &["retention.ms", "nonsense", "retention.ms"];
    let result = ask(&backend, vec![resource(TOPIC, "t", Some(keys))], false).remove(0);
    assert_eq!(result.configs.len(), 1);
    let config = &result.configs[0];
    assert_eq!((config.config_source, config.synonyms.len(), config.documentation.is_none()), (1, 0, true));
    let none = ask(&backend, vec![resource(TOPIC, "t", Some(&[]))], false).remove(0);
    assert_eq!(none.configs.len(), 33, "no keys are all keys");
}

#[tokio::test]
async fn the_broker_tells_what_it_has_and_nothing_can_be_changed_there() {
    let backend = backend().await;
    for name in ["1", "01", "+1"] {
        let result = ask(&backend, vec![resource(BROKER, name, None)], true).remove(0);
        let told = |name: &str| {
            let config = result.configs.iter().find(|config| &*config.name == name).unwrap();
            let sources: Vec<_> = config.synonyms.iter().map(|synonym| synonym.source).collect();
            (config.value.as_deref().unwrap(), config.config_source, sources)
        };
        assert!(result.configs.iter().all(|config| config.read_only));
        assert_eq!(told("num.partitions"), ("4", 4, vec![4, 5]));
        assert_eq!(told("node.id"), ("1", 4, vec![4]));
        assert_eq!(told("log.retention.check.interval.ms"), ("300000", 5, vec![5]));
        assert_eq!(told("message.max.bytes"), ("1048588", 5, vec![5]));
    }
    let cluster = ask(&backend, vec![resource(BROKER, "", None)], true).remove(0);
    assert_eq!((cluster.error_code, cluster.configs.len()), (0, 0));
}

#[tokio::test]
async fn refusals_have_kafkas_codes() {
    let backend = backend().await;
    for (kind, name, expected) in [
        (TOPIC, "nobody", Code::UnknownTopicOrPartition),
        (TOPIC, "", Code::InvalidTopicException),
        (TOPIC, "a b", Code::InvalidTopicException),
        (BROKER, "2", Code::InvalidRequest),
        (BROKER, "x", Code::InvalidRequest),
        (BROKER, " 1", Code::InvalidRequest),
        (BROKER_LOGGER, "", Code::InvalidRequest),
        (BROKER_LOGGER, "2", Code::InvalidRequest),
        (CLIENT_METRICS, "", Code::InvalidRequest),
        (CLIENT_METRICS, "m", Code::InvalidRequest),
        (GROUP, "g", Code::InvalidRequest),
    ] {
        let results = ask(&backend, vec![resource(kind, name, None), resource(TOPIC, "t", None)], false);
        assert_eq!(code(&results[0]), Some(expected), "{kind} {name:?}");
        assert!(results[0].configs.is_empty());
        assert_eq!(results[1].error_code, 0, "one resource's failure is not the other's");
    }
    for kind in [0, 1, 3, 99, -1] {
        let results = ask(&backend, vec![resource(TOPIC, "t", None), resource(kind, "t", None)], false);
        assert!(results.iter().all(|result| code(result) == Some(Code::InvalidRequest)), "{kind}");
    }
}
