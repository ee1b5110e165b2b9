//! The configurations of a broker that answers tell of: those that Levee has, by Kafka's names, and those that Kafka
//! changes while a broker runs. Of the latter the defaults of topics are gone by, and the others are kept and shown;
//! what else can be chosen is an option of `levee serve`.

use super::broker_names::is_fixed;
use super::dynamic::{Dynamic, SOURCE_CLUSTER};
use super::topic_configs::{self, Known, SOURCE_DEFAULT, Values, known_alone as known};
use crate::errors::{Code, Failure};
use Values::{Bool, Double, Int, Long, Text};
use levee_base::limits::{
    CONNECTION_IDLE, CONNECTIONS, FETCH_BYTES, FETCH_SESSIONS, FRAME_BYTES, PRODUCER_ID_EXPIRATION,
};
use std::collections::BTreeMap;

const INT_MAX: i64 = i32::MAX as i64;
const NO_EFFECT: &str = "Taken and kept, without effect in Levee.";
const NO_TIERS: &str = "Taken and kept, without effect: all of a topic is in the object store.";
const FIXED: &str = "They are fixed while the broker runs; what can be chosen is an option of `levee serve`.";

/// Those that are options, and those that stand for bounds of Levee's. No default is the empty one: Kafka has none
/// for these.
const OWN: &[Known] = &[
    known("advertised.listeners", Text, "", "Where clients connect: `--advertise`."),
    known(
        "auto.create.topics.enable",
        Bool,
        "true",
        "Whether unknown topics are created: `--auto-create-topics`.",
    ),
    known("broker.id", Int(-1, INT_MAX), "-1", "The broker's number: `--node-id`."),
    known(
        "broker.session.timeout.ms",
        Int(0, INT_MAX),
        "9000",
        "How long a broker may be silent before its place is taken: `--session-timeout-ms`.",
    ),
    known("connections.max.idle.ms", Long(0), "600000", "How long a connection may be idle."),
    known(
        "default.replication.factor",
        Int(1, INT_MAX),
        "1",
        "Reported only: replication is the object store's.",
    ),
    known("fetch.max.bytes", Int(0, INT_MAX), "57671680", "The most that one Fetch answers with."),
    known(
        "log.cleaner.backoff.ms",
        Long(0),
        "15000",
        "How often keyed compaction looks for something to do: `--cleaner-backoff-ms`. A change is kept, without effect.",
    ),
    known(
        "log.retention.check.interval.ms",
        Long(1),
        "300000",
        "How often retention is looked after: `--retention-check-interval-ms`.",
    ),
    known(
        "log.retention.hours",
        Int(0, INT_MAX),
        "168",
        "How long records are kept where a topic's retention.ms is not set.",
    ),
    known("log.roll.hours", Int(1, INT_MAX), "168", "What segment.ms is where a topic doesn't set it."),
    known(
        "max.connections",
        Int(0, INT_MAX),
        "2147483647",
        "How many connections there may be. A change is kept, without effect.",
    ),
    known(
        "max.incremental.fetch.session.cache.slots",
        Int(0, INT_MAX),
        "1000",
        "How many fetch sessions are kept.",
    ),
    known("node.id", Int(0, INT_MAX), "", "The broker's number: `--node-id`."),
    known(
        "num.partitions",
        Int(1, INT_MAX),
        "1",
        "Partitions of a topic that is created without a number: `--num-partitions`.",
    ),
    known(
        "producer.id.expiration.ms",
        Int(1, INT_MAX),
        "86400000",
        "How long a silent idempotent producer is remembered. A change is kept, without effect.",
    ),
    known("socket.request.max.bytes", Int(1, INT_MAX), "104857600", "The largest request."),
];

/// Those that can be changed besides: of [`OWN`],
const OWN_DYNAMIC: [&str; 3] = ["log.cleaner.backoff.ms", "max.connections", "producer.id.expiration.ms"];
/// and these. Where the default is the empty one, Kafka has none.
const DYNAMIC: &[Known] = &[
    known("background.threads", Int(1, INT_MAX), "10", NO_EFFECT),
    known("follower.fetch.last.tiered.offset.enable", Bool, "false", NO_TIERS),
    known("group.consumer.assignment.interval.ms", Int(0, INT_MAX), "1000", NO_EFFECT),
    known("group.coordinator.cached.buffer.max.bytes", Int(524_288, INT_MAX), "1048588", NO_EFFECT),
    known(
        "group.share.assignment.interval.ms",
        Int(0, INT_MAX),
        "1000",
        "Taken and kept, without effect: there are no share groups.",
    ),
    known(
        "group.streams.assignment.interval.ms",
        Int(0, INT_MAX),
        "1000",
        "Taken and kept, without effect: there are no streams groups.",
    ),
    known("log.cleaner.dedupe.buffer.size", Long(1_048_576), "134217728", NO_EFFECT),
    known("log.cleaner.io.buffer.load.factor", Double, "0.9", NO_EFFECT),
    known("log.cleaner.io.buffer.size", Int(0, INT_MAX), "524288", NO_EFFECT),
    known("log.cleaner.io.max.bytes.per.second", Double, "1.7976931348623157E308", NO_EFFECT),
    known("log.cleaner.threads", Int(1, INT_MAX), "1", NO_EFFECT),
    known(
        "log.flush.interval.ms",
        Long(i64::MIN),
        "",
        "What flush.ms is where a topic doesn't set it. Without effect.",
    ),
    known("log.retention.ms", Long(i64::MIN), "", "What retention.ms is where a topic doesn't set it."),
    known(
        "log.roll.jitter.ms",
        Long(0),
        "",
        "What segment.jitter.ms is where a topic doesn't set it. Without effect.",
    ),
    known("log.roll.ms", Long(1), "", "What segment.ms is where a topic doesn't set it."),
    known("max.connection.creation.rate", Int(1, INT_MAX), "2147483647", NO_EFFECT),
    known("max.connections.per.ip", Int(1, INT_MAX), "2147483647", NO_EFFECT),
    known("max.connections.per.ip.overrides", Text, "", NO_EFFECT),
    known("num.io.threads", Int(1, INT_MAX), "8", NO_EFFECT),
    known("num.network.threads", Int(1, INT_MAX), "3", NO_EFFECT),
    known("num.recovery.threads.per.data.dir", Int(1, INT_MAX), "2", NO_EFFECT),
    known("num.replica.fetchers", Int(1, INT_MAX), "1", NO_EFFECT),
    known("remote.fetch.max.wait.ms", Int(1, INT_MAX), "500", NO_TIERS),
    known("remote.list.offsets.request.timeout.ms", Long(1), "30000", NO_TIERS),
    known("remote.log.index.file.cache.total.size.bytes", Long(1), "1073741824", NO_TIERS),
    known("remote.log.manager.copier.thread.pool.size", Int(1, INT_MAX), "10", NO_TIERS),
    known("remote.log.manager.copy.max.bytes.per.second", Long(1), "9223372036854775807", NO_TIERS),
    known("remote.log.manager.expiration.thread.pool.size", Int(1, INT_MAX), "10", NO_TIERS),
    known("remote.log.manager.fetch.max.bytes.per.second", Long(1), "9223372036854775807", NO_TIERS),
    known("remote.log.manager.follower.thread.pool.size", Int(1, INT_MAX), "2", NO_TIERS),
    known("remote.log.reader.threads", Int(1, INT_MAX), "10", NO_TIERS),
    known(
        "share.coordinator.cached.buffer.max.bytes",
        Int(524_288, INT_MAX),
        "1048588",
        "Taken and kept, without effect: there are no share groups.",
    ),
    known("transaction.partition.verification.enable", Bool, "true", NO_EFFECT),
];

/// A configuration that can be changed while the broker runs.
fn find_dynamic(name: &str) -> Option<&'static Known> {
    let own = || OWN.iter().filter(|known| OWN_DYNAMIC.contains(&known.name));
    own()
        .chain(DYNAMIC)
        .find(|known| known.name == name)
        .or_else(|| topic_configs::ALL.iter().find(|known| !name.is_empty() && known.synonym == name))
}

/// What a list is to which is added, or from which is taken, while it is not set.
///
/// # Errors
/// INVALID_CONFIG where it is no list, with Kafka's words. `what` is asked for.
pub(super) fn list(name: &str, what: &str) -> Result<&'static str, Failure> {
    let invalid = |message| Err(Failure::new(Code::InvalidConfig, message));
    match find_dynamic(name) {
        Some(known) if known.values.is_list() => Ok(known.default),
        None if !is_fixed(name) => invalid(format!("Unknown config name: {name}")),
        _ => invalid(format!("Config value {what} is not allowed for config key: {name}")),
    }
}

/// Checks what the changed configurations of a broker, or of all of them, are to become, and writes the values as they
/// are kept. Names that Kafka doesn't know are kept as they are: classes that it loads could have them.
///
/// # Errors
/// INVALID_REQUEST, with Kafka's words.
pub(super) fn valid(changed: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Failure> {
    let refused = |message: String| Failure::new(Code::InvalidRequest, message);
    let names: Vec<&str> = changed.keys().map(String::as_str).filter(|name| is_fixed(name)).collect();
    if !names.is_empty() {
        let names = names.join(", ");
        return Err(refused(format!("Cannot update these configs dynamically: [{names}]. {FIXED}")));
    }
    let checked = changed.into_iter().map(|(name, value)| {
        let value = match find_dynamic(&name) {
            Some(known) => topic_configs::check_value(&name, known.values, &value)
                .map_err(|failure| refused(failure.message))?,
            None => value,
        };
        if name == "log.retention.ms" && value == "0" {
            let why = "log.retention.ms must be unlimited (-1) or, greater than or equal to 1";
            return Err(refused(format!("requirement failed: {why}")));
        }
        Ok((name, value))
    });
    checked.collect()
}

/// A configuration as the broker has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Effective<'a> {
    pub(super) name: &'a str,
    /// None where there is none, and where it must not be told.
    pub(super) value: Option<String>,
    /// Where it could come from, the place that counts first: name, value, source.
    pub(super) sources: Vec<(&'a str, String, i8)>,
    pub(super) config_type: i8,
    pub(super) documentation: &'static str,
    pub(super) read_only: bool,
    /// Kafka tells no value of a name that it doesn't know: it could be a password.
    pub(super) sensitive: bool,
}

/// What the broker was started with.
const SOURCE_STATIC: i8 = 4;

/// All configurations of a broker for which `given` is what differs from the defaults and `dynamic` what was changed
/// since, by name.
pub(super) fn effective<'a>(
    given: &BTreeMap<&'static str, String>,
    dynamic: &'a Dynamic,
) -> Vec<Effective<'a>> {
    // What Levee has bounded otherwise than Kafka by default.
    let bounds = BTreeMap::from([
        ("connections.max.idle.ms", CONNECTION_IDLE.as_millis().to_string()),
        ("fetch.max.bytes", FETCH_BYTES.to_string()),
        ("max.connections", CONNECTIONS.to_string()),
        ("max.incremental.fetch.session.cache.slots", FETCH_SESSIONS.to_string()),
        ("producer.id.expiration.ms", PRODUCER_ID_EXPIRATION.as_millis().to_string()),
        ("socket.request.max.bytes", FRAME_BYTES.to_string()),
    ]);
    let shown = |name: &'static str, known: &'static Known| {
        let changed = dynamic.values(name).map(|(source, value)| (name, value.to_owned(), source));
        let mut sources: Vec<_> = changed.collect();
        if let Some(value) =
            given.get(name).or_else(|| bounds.get(name)).filter(|value| *value != known.default)
        {
            sources.push((name, value.clone(), SOURCE_STATIC));
        }
        if !known.default.is_empty() || known.values.is_list() {
            sources.push((name, known.default.to_owned(), SOURCE_DEFAULT));
        } else if let Some((other, value)) = in_other_units(name).filter(|_| !sources.is_empty()) {
            sources.push((other, value.to_owned(), SOURCE_DEFAULT));
        }
        Effective {
            name,
            value: sources.first().map(|(_, value, _)| value.clone()),
            sources,
            config_type: known.values.config_type(),
            documentation: known.documentation,
            read_only: find_dynamic(name).is_none(),
            sensitive: false,
        }
    };
    let own = OWN.iter().chain(DYNAMIC).map(|known| shown(known.name, known));
    let of_topics = topic_configs::ALL.iter().filter(|known| !known.synonym.is_empty());
    let of_topics = of_topics.map(|known| shown(known.synonym, known));
    let unknown = dynamic
        .broker
        .keys()
        .chain(dynamic.cluster.keys().filter(|name| !dynamic.broker.contains_key(*name)));
    let unknown = unknown.filter(|name| find_dynamic(name).is_none()).map(|name| untold(name, dynamic));
    let mut all: Vec<_> = own.chain(of_topics).chain(unknown).collect();
    all.sort_by_key(|config| config.name);
    all
}

/// The configurations that were changed of all brokers, by name.
pub(super) fn of_cluster(dynamic: &Dynamic) -> Vec<Effective<'_>> {
    let all = dynamic.cluster.iter().map(|(name, value)| match find_dynamic(name) {
        None => Effective { sources: vec![(name, String::new(), SOURCE_CLUSTER)], ..untold(name, dynamic) },
        Some(known) => Effective {
            name: name.as_str(),
            value: Some(value.clone()),
            sources: vec![(name.as_str(), value.clone(), SOURCE_CLUSTER)],
            config_type: known.values.config_type(),
            documentation: known.documentation,
            read_only: false,
            sensitive: false,
        },
    });
    all.collect()
}

/// The configuration that has the default of another in another unit, and its value.
fn in_other_units(name: &str) -> Option<(&'static str, &'static str)> {
    topic_configs::ALL.iter().find(|known| known.dynamic() == Some(name))?.in_other_units()
}

/// A configuration whose name Kafka doesn't know.
fn untold<'a>(name: &'a str, dynamic: &Dynamic) -> Effective<'a> {
    Effective {
        name,
        value: None,
        sources: dynamic.values(name).map(|(source, _)| (name, String::new(), source)).collect(),
        config_type: 0,
        documentation: "",
        read_only: true,
        sensitive: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn no_name_comes_twice_and_what_is_given_hides_the_default() {
        let given = BTreeMap::from([("num.partitions", "12".to_owned())]);
        let dynamic = Dynamic {
            cluster: configs(&[
                ("log.cleanup.policy", "compact"),
                ("my.own", "secret"),
                ("num.io.threads", "9"),
            ]),
            broker: configs(&[("log.cleanup.policy", "delete"), ("my.own", "secret")]),
        };
        let all = effective(&given, &dynamic);
        for window in all.windows(2) {
            assert!(window[0].name < window[1].name, "{}", window[1].name);
        }
        let told = |name: &str| {
            let one = all.iter().find(|one| one.name == name).unwrap();
            let sources: Vec<_> =
                one.sources.iter().map(|(_, value, source)| (value.as_str(), *source)).collect();
            (one.value.as_deref(), sources, one.read_only)
        };
        assert_eq!(told("num.partitions"), (Some("12"), vec![("12", 4), ("1", 5)], true));
        let policies = vec![("delete", 2), ("compact", 3), ("delete", 5)];
        assert_eq!(told("log.cleanup.policy"), (Some("delete"), policies, false));
        assert_eq!(told("num.io.threads"), (Some("9"), vec![("9", 3), ("8", 5)], false));
        assert_eq!(told("max.connections").0, Some("10000"));
        assert_eq!(told("log.retention.ms"), (None, vec![], false));
        assert_eq!(told("my.own"), (None, vec![("", 2), ("", 3)], true), "it could be a password");
        assert_eq!(of_cluster(&dynamic).len(), 3);
    }

    #[test]
    fn bounds_that_are_kafkas_are_reported_as_its_defaults() {
        let dynamic = Dynamic::default();
        let all = effective(&BTreeMap::new(), &dynamic);
        let given = |one: &&Effective<'_>| one.sources.iter().any(|(.., source)| *source == SOURCE_STATIC);
        assert_eq!(all.iter().filter(given).map(|one| one.name).collect::<Vec<_>>(), ["max.connections"]);
    }

    #[test]
    fn what_can_be_changed_has_a_value_and_what_cannot_is_refused() {
        for known in DYNAMIC.iter().filter(|known| !known.default.is_empty()) {
            let kept = configs(&[(known.name, known.default)]);
            assert_eq!(valid(kept.clone()), Ok(kept), "{}", known.name);
            assert!(!is_fixed(known.name));
        }
        for known in OWN {
            assert_ne!(is_fixed(known.name), find_dynamic(known.name).is_some(), "{}", known.name);
        }
        let custom = configs(&[("my.own", " kept as it is "), ("log.retention.ms", "-1")]);
        assert_eq!(valid(custom.clone()), Ok(custom));
        for (wrong, words) in [
            (
                ("log.retention.ms", "x"),
                "Invalid value x for configuration log.retention.ms: Not a number of type LONG",
            ),
            (
                ("log.cleanup.policy", "foo"),
                "Invalid value foo for configuration log.cleanup.policy: String must be one of",
            ),
            (("log.retention.ms", "0"), "requirement failed: log.retention.ms must be"),
            (
                ("ssl.keystore.location", "/x"),
                "Cannot update these configs dynamically: [ssl.keystore.location]",
            ),
        ] {
            let failure = valid(configs(&[wrong])).unwrap_err();
            assert!(
                failure.code == Code::InvalidRequest && failure.message.starts_with(words),
                "{failure:?}"
            );
        }
        let both = configs(&[("num.partitions", "1"), ("node.id", "1"), ("log.retention.ms", "1")]);
        let words = "Cannot update these configs dynamically: [node.id, num.partitions]";
        assert!(valid(both).unwrap_err().message.starts_with(words));
    }

    #[test]
    fn what_can_be_changed_without_effect_says_so() {
        // Topics take these for their defaults.
        let followed = ["log.retention.ms", "log.roll.ms"];
        let own = OWN.iter().filter(|known| OWN_DYNAMIC.contains(&known.name));
        let all: Vec<_> = own.chain(DYNAMIC).filter(|known| !followed.contains(&known.name)).collect();
        assert_eq!(all.len(), OWN_DYNAMIC.len() + DYNAMIC.len() - followed.len());
        for known in all {
            let words = known.documentation.to_ascii_lowercase();
            assert!(words.contains("without effect"), "{}", known.name);
        }
    }

    #[test]
    fn only_lists_can_be_added_to() {
        assert_eq!(list("log.cleanup.policy", "append"), Ok("delete"));
        for (name, words) in [
            ("log.retention.ms", "Config value append is not allowed for config key: log.retention.ms"),
            ("node.id", "Config value append is not allowed for config key: node.id"),
            ("my.own", "Unknown config name: my.own"),
        ] {
            assert_eq!(list(name, "append"), Err(Failure::new(Code::InvalidConfig, words)));
        }
    }
}
