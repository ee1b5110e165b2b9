//! The configurations of a broker that answers tell of: those that Levee has, by Kafka's names. None can be changed
//! while a broker runs; what can be chosen is an option of `levee serve`.

use super::topic_configs::{self, Known, Values};
use Values::{Int, Long, Text};
use levee_base::limits::{
    CONNECTION_IDLE, CONNECTIONS, FETCH_BYTES, FETCH_SESSIONS, FRAME_BYTES, PRODUCER_ID_EXPIRATION,
};
use std::collections::BTreeMap;

const INT_MAX: i64 = i32::MAX as i64;
const FIXED: &str = "They are fixed while the broker runs; what can be chosen is an option of `levee serve`.";

const fn known(
    name: &'static str,
    values: Values,
    default: &'static str,
    documentation: &'static str,
) -> Known {
    Known { name, values, default, synonym: "", documentation }
}

/// Those that are options, and those that stand for bounds of Levee's. No default is the empty one: Kafka has none
/// for these.
const OWN: &[Known] = &[
    known("advertised.listeners", Text, "", "Where clients connect: `--advertise`."),
    known(
        "auto.create.topics.enable",
        Values::Bool,
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
        "How often keyed compaction looks for something to do: `--cleaner-backoff-ms`.",
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
    known("max.connections", Int(0, INT_MAX), "2147483647", "How many connections there may be."),
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
        "How long a silent idempotent producer is remembered.",
    ),
    known("socket.request.max.bytes", Int(1, INT_MAX), "104857600", "The largest request."),
];

/// A configuration as the broker has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Effective {
    pub(super) name: &'static str,
    pub(super) value: String,
    /// Empty where there is none.
    pub(super) default: &'static str,
    pub(super) config_type: i8,
    pub(super) documentation: &'static str,
}

/// All configurations of a broker for which `given` is what differs from the defaults, by name.
pub(super) fn effective(given: &BTreeMap<&'static str, String>) -> Vec<Effective> {
    // What Levee has bounded otherwise than Kafka by default.
    let bounds = BTreeMap::from([
        ("connections.max.idle.ms", CONNECTION_IDLE.as_millis().to_string()),
        ("fetch.max.bytes", FETCH_BYTES.to_string()),
        ("max.connections", CONNECTIONS.to_string()),
        ("max.incremental.fetch.session.cache.slots", FETCH_SESSIONS.to_string()),
        ("producer.id.expiration.ms", PRODUCER_ID_EXPIRATION.as_millis().to_string()),
        ("socket.request.max.bytes", FRAME_BYTES.to_string()),
    ]);
    let value = |name: &str, default: &str| {
        given.get(name).or_else(|| bounds.get(name)).map_or_else(|| default.to_owned(), String::clone)
    };
    let own = OWN.iter().map(|known| Effective {
        name: known.name,
        value: value(known.name, known.default),
        default: known.default,
        config_type: known.values.config_type(),
        documentation: known.documentation,
    });
    let of_topics =
        topic_configs::ALL.iter().filter(|known| !known.synonym.is_empty()).map(|known| Effective {
            name: known.synonym,
            value: value(known.synonym, known.default),
            default: known.default,
            config_type: known.values.config_type(),
            documentation: known.documentation,
        });
    let mut all: Vec<_> = own.chain(of_topics).collect();
    all.sort_by_key(|config| config.name);
    all
}

/// Why none can be set.
pub(super) fn fixed(names: &[String]) -> String {
    format!("Cannot update these configs dynamically: [{}]. {FIXED}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_comes_twice_and_what_is_given_hides_the_default() {
        let all = effective(&BTreeMap::from([("num.partitions", "12".to_owned())]));
        for window in all.windows(2) {
            assert!(window[0].name < window[1].name, "{}", window[1].name);
        }
        let value =
            |name: &str| all.iter().find(|one| one.name == name).map(|one| (one.value.as_str(), one.default));
        assert_eq!(value("num.partitions"), Some(("12", "1")));
        assert_eq!(value("log.cleanup.policy"), Some(("delete", "delete")));
        assert_eq!(value("max.connections"), Some(("10000", "2147483647")));
    }

    #[test]
    fn bounds_that_are_kafkas_are_reported_as_its_defaults() {
        let all = effective(&BTreeMap::new());
        let other: Vec<_> = all.iter().filter(|one| one.value != one.default).map(|one| one.name).collect();
        assert_eq!(other, ["max.connections"]);
    }
}
