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

async fn ask(
    backend: &Memory,
    resources: Vec<DescribeConfigsResource>,
    all: bool,
) -> Vec<DescribeConfigsResult> {
    let request = DescribeConfigsRequest::default()
        .with_resources(resources)
        .with_include_synonyms(all)
        .with_include_documentation(all);
    let response = handle(backend, request).await;
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
    let result = ask(&backend, vec![resource(TOPIC, "t", None)], true).await.remove(0);
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
    let result = ask(&backend, vec![resource(TOPIC, "t", Some(keys))], false).await.remove(0);
    assert_eq!(result.configs.len(), 1);
    let config = &result.configs[0];
    assert_eq!((config.config_source, config.synonyms.len(), config.documentation.is_none()), (1, 0, true));
    let none = ask(&backend, vec![resource(TOPIC, "t", Some(&[]))], false).await.remove(0);
    assert_eq!(none.configs.len(), 33, "no keys are all keys");
}

#[tokio::test]
async fn the_broker_tells_what_it_has_and_what_of_it_can_be_changed() {
    let backend = backend().await;
    for name in ["1", "01", "+1"] {
        let result = ask(&backend, vec![resource(BROKER, name, None)], true).await.remove(0);
        let told = |name: &str| {
            let config = result.configs.iter().find(|config| &*config.name == name).unwrap();
            let sources: Vec<_> = config.synonyms.iter().map(|synonym| synonym.source).collect();
            (config.value.as_deref().unwrap(), config.config_source, sources)
        };
        let fixed =
            |name: &str| result.configs.iter().find(|config| &*config.name == name).unwrap().read_only;
        assert!(fixed("num.partitions") && fixed("node.id") && !fixed("message.max.bytes"));
        assert_eq!(told("num.partitions"), ("4", 4, vec![4, 5]));
        assert_eq!(told("node.id"), ("1", 4, vec![4]));
        assert_eq!(told("log.retention.check.interval.ms"), ("300000", 5, vec![5]));
        assert_eq!(told("message.max.bytes"), ("1048588", 5, vec![5]));
    }
    let cluster = ask(&backend, vec![resource(BROKER, "", None)], true).await.remove(0);
    assert_eq!((cluster.error_code, cluster.configs.len()), (0, 0));
}

#[tokio::test]
async fn what_was_changed_of_brokers_shows_there_and_in_topics() {
    let backend = backend().await;
    for (name, key, value) in [
        ("", "log.retention.ms", "6"),
        ("", "log.roll.ms", "8"),
        ("1", "log.roll.ms", "9"),
        ("1", "message.max.bytes", "10"),
        ("1", "my.own", "secret"),
    ] {
        let set = BTreeMap::from([(key.to_owned(), value.to_owned())]);
        backend.alter_resource(BROKER, name, set, BTreeSet::new()).await.unwrap();
    }
    let asked = vec![resource(TOPIC, "t", None), resource(BROKER, "1", None), resource(BROKER, "", None)];
    let results = ask(&backend, asked, true).await;
    let told = |result: &DescribeConfigsResult, name: &str| {
        let config = result.configs.iter().find(|config| &*config.name == name).unwrap();
        let synonyms =
            config.synonyms.iter().map(|one| (one.name.to_string(), one.source)).collect::<Vec<_>>();
        (config.value.as_ref().map(ToString::to_string), config.config_source, synonyms)
    };
    let named = |names: &[(&str, i8)]| names.iter().map(|one| (one.0.to_owned(), one.1)).collect::<Vec<_>>();
    let retention = named(&[("retention.ms", 1), ("log.retention.ms", 3), ("log.retention.hours", 5)]);
    assert_eq!(told(&results[0], "retention.ms"), (Some("5".to_owned()), 1, retention));
    let roll = named(&[("log.roll.ms", 2), ("log.roll.ms", 3), ("log.roll.hours", 5)]);
    assert_eq!(told(&results[0], "segment.ms"), (Some("9".to_owned()), 2, roll));
    let retention = named(&[("log.retention.ms", 3), ("log.retention.hours", 5)]);
    assert_eq!(told(&results[1], "log.retention.ms"), (Some("6".to_owned()), 3, retention));
    let largest = named(&[("message.max.bytes", 2), ("message.max.bytes", 5)]);
    assert_eq!(told(&results[0], "max.message.bytes"), (Some("10".to_owned()), 2, largest.clone()));
    assert_eq!(told(&results[1], "message.max.bytes"), (Some("10".to_owned()), 2, largest));
    assert_eq!(told(&results[1], "my.own"), (None, 2, named(&[("my.own", 2)])), "it could be a password");
    let cluster: Vec<_> =
        results[2].configs.iter().map(|config| (&*config.name, config.config_source)).collect();
    assert_eq!(cluster, [("log.retention.ms", 3), ("log.roll.ms", 3)]);
}

#[tokio::test]
async fn groups_and_subscriptions_have_defaults_without_being_there() {
    let backend = backend().await;
    let set = BTreeMap::from([("consumer.session.timeout.ms".to_owned(), "50000".to_owned())]);
    backend.alter_resource(GROUP, "g", set, BTreeSet::new()).await.unwrap();
    let set = BTreeMap::from([("interval.ms".to_owned(), "100".to_owned())]);
    backend.alter_resource(CLIENT_METRICS, "m", set, BTreeSet::new()).await.unwrap();
    let asked = [(GROUP, "g"), (GROUP, "none"), (CLIENT_METRICS, "m"), (CLIENT_METRICS, "none")];
    let results = ask(&backend, asked.map(|(kind, name)| resource(kind, name, None)).to_vec(), true).await;
    let told = |at: usize, name: &str| {
        let config = results[at].configs.iter().find(|config| &*config.name == name).unwrap();
        let sources: Vec<_> = config.synonyms.iter().map(|one| one.source).collect();
        (config.value.as_deref().unwrap().to_owned(), config.config_source, config.config_type, sources)
    };
    assert_eq!(results.iter().map(|result| result.configs.len()).collect::<Vec<_>>(), [17, 17, 3, 3]);
    assert_eq!(told(0, "consumer.session.timeout.ms"), ("50000".to_owned(), 8, 3, vec![8, 5]));
    assert_eq!(told(1, "consumer.session.timeout.ms"), ("45000".to_owned(), 5, 3, vec![5]));
    assert_eq!(told(2, "interval.ms"), ("100".to_owned(), 7, 3, vec![7]));
    assert_eq!(told(3, "metrics"), (String::new(), 5, 7, vec![]));
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
        (GROUP, "", Code::InvalidRequest),
    ] {
        let results =
            ask(&backend, vec![resource(kind, name, None), resource(TOPIC, "t", None)], false).await;
        assert_eq!(code(&results[0]), Some(expected), "{kind} {name:?}");
        assert!(results[0].configs.is_empty());
        assert_eq!(results[1].error_code, 0, "one resource's failure is not the other's");
    }
    for kind in [0, 1, 3, 99, -1] {
        let results = ask(&backend, vec![resource(TOPIC, "t", None), resource(kind, "t", None)], false).await;
        assert!(results.iter().all(|result| code(result) == Some(Code::InvalidRequest)), "{kind}");
    }
}

#[tokio::test]
async fn an_answer_ends_with_the_first_resource_that_there_is_no_room_for() {
    let backend = backend().await;
    let few: &[&str] = &["retention.ms", "segment.ms"];
    let asked = || {
        let all = [resource(TOPIC, "t", Some(few)), resource(GROUP, "g", None), resource(TOPIC, "u", None)];
        [all.as_slice(), &[resource(TOPIC, "t", None), resource(CLIENT_METRICS, "m", None)]].concat()
    };
    let told = async |most| {
        let request = DescribeConfigsRequest::default().with_resources(asked());
        let response = within(&backend, request, most).await;
        assert!(response.results.iter().zip(asked()).all(|(one, asked)| {
            (one.resource_type, &one.resource_name) == (asked.resource_type, &asked.resource_name)
        }));
        let refused = |one: &DescribeConfigsResult| {
            let words = one.error_message.as_ref().unwrap();
            code(one) == Some(Code::InvalidRequest)
                && words.starts_with(&format!("More than {most} configurations: ask for "))
        };
        let answer = |one| if refused(one) { None } else { Some((one.error_code, one.configs.len())) };
        response.results.iter().map(answer).collect::<Vec<_>>()
    };
    let unknown = Some((Code::UnknownTopicOrPartition.code(), 0));
    let all = [Some((0, 2)), Some((0, 17)), unknown, Some((0, 33)), Some((0, 3))];
    let first = |count: usize| [&all[..count], &vec![None; 5 - count]].concat();
    assert_eq!(told(2 + 17 + 33 + 3).await, all);
    assert_eq!(told(2 + 17 + 33 + 2).await, first(4));
    // The last would fit into what is left here, and is refused as what comes before it is.
    assert_eq!(told(2 + 17 + 32).await, first(3));
    assert_eq!(told(2 + 16).await, first(1));
    assert_eq!(told(1).await, first(0));
}

#[tokio::test]
async fn who_is_named_too_often_is_refused_from_then_on() {
    let backend = backend().await;
    let spelled = ["1", "01", "+1", "001"];
    let again = (0..NAMED_IN_A_REQUEST + 2).flat_map(|at| {
        [resource(TOPIC, "t", None), resource(GROUP, "t", None), resource(BROKER, spelled[at % 4], None)]
    });
    let results = ask(&backend, again.chain([resource(TOPIC, "u", None)]).collect(), false).await;
    let (told, refused) = results.split_at(3 * NAMED_IN_A_REQUEST);
    assert!(told.iter().all(|one| one.error_code == 0 && !one.configs.is_empty()));
    let (other, refused) = refused.split_last().unwrap();
    assert_eq!((code(other), refused.len()), (Some(Code::UnknownTopicOrPartition), 6));
    for one in refused {
        assert_eq!((code(one), one.configs.len()), (Some(Code::InvalidRequest), 0));
        assert!(one.error_message.as_ref().unwrap().starts_with("Named more than 16 times"));
    }
}

#[tokio::test]
async fn the_words_about_an_unknown_type_are_held_once_and_without_a_long_name() {
    let backend = backend().await;
    let longest = StrBytes::from("n".repeat(topic_name::NAME_CHARS));
    for (name, words) in [
        (longest.clone(), format!("Unexpected resource type 99 for resource {longest}")),
        ("n".repeat(32_767).into(), "Unexpected resource type 99 for a resource with a long name".to_owned()),
    ] {
        let wrong = resource(99, "", None).with_resource_name(name);
        let asked = vec![resource(TOPIC, "t", None), wrong, resource(TOPIC, "t", None)];
        let results = ask(&backend, asked, false).await;
        let told: Vec<_> = results.iter().map(|one| one.error_message.as_ref().unwrap()).collect();
        assert!(told.iter().all(|told| told.as_str() == words));
        assert!(
            told.iter().all(|one| one.as_str().as_ptr() == told[0].as_str().as_ptr()),
            "one copy for all"
        );
    }
}
