//! The names of topic configurations, and what their values may be: Kafka's, so that tools which set them work.
//! What each one does in Levee is decided where it is used.

use crate::errors::{Code, Failure};
use std::collections::BTreeMap;

enum Values {
    Bool,
    Long(i64),
    Int(i64, i64),
    Ratio,
    One(&'static [&'static str]),
    Some(&'static [&'static str]),
    Any,
}
use Values::{Any, Bool, Int, Long, One, Ratio, Some as SomeOf};

/// The default of a configuration that answers leave out, as Kafka's do: it is there for Kafka's own tests.
const HIDDEN: &str = "\0";
const INT_MAX: i64 = i32::MAX as i64;

/// The name, what its values may be, and the default, which is Kafka's.
const NAMES: &[(&str, Values, &str)] = &[
    ("cleanup.policy", SomeOf(&["compact", "delete"]), "delete"),
    ("compression.gzip.level", Int(-1, 9), "-1"),
    ("compression.lz4.level", Int(1, 17), "9"),
    ("compression.type", One(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), "producer"),
    ("compression.zstd.level", Int(-131_072, 22), "3"),
    ("delete.retention.ms", Long(0), "86400000"),
    ("file.delete.delay.ms", Long(0), "60000"),
    ("flush.messages", Long(1), "9223372036854775807"),
    ("flush.ms", Long(0), "9223372036854775807"),
    ("follower.replication.throttled.replicas", Any, ""),
    ("index.interval.bytes", Int(0, INT_MAX), "4096"),
    ("internal.segment.bytes", Int(1, INT_MAX), HIDDEN),
    ("leader.replication.throttled.replicas", Any, ""),
    ("local.retention.bytes", Long(-2), "-2"),
    ("local.retention.ms", Long(-2), "-2"),
    ("max.compaction.lag.ms", Long(1), "9223372036854775807"),
    ("max.message.bytes", Int(0, INT_MAX), "1048588"),
    ("message.timestamp.after.max.ms", Long(0), "3600000"),
    ("message.timestamp.before.max.ms", Long(0), "9223372036854775807"),
    ("message.timestamp.type", One(&["CreateTime", "LogAppendTime"]), "CreateTime"),
    ("min.cleanable.dirty.ratio", Ratio, "0.5"),
    ("min.compaction.lag.ms", Long(0), "0"),
    ("min.insync.replicas", Int(1, INT_MAX), "1"),
    ("preallocate", Bool, "false"),
    ("remote.log.copy.disable", Bool, "false"),
    ("remote.log.delete.on.disable", Bool, "false"),
    ("remote.storage.enable", Bool, "false"),
    ("retention.bytes", Long(i64::MIN), "-1"),
    ("retention.ms", Long(-1), "604800000"),
    ("segment.bytes", Int(1_048_576, INT_MAX), "1073741824"),
    ("segment.index.bytes", Int(4, INT_MAX), "10485760"),
    ("segment.jitter.ms", Long(0), "0"),
    ("segment.ms", Long(1), "604800000"),
    ("unclean.leader.election.enable", Bool, "false"),
];

/// Checks one configuration.
///
/// # Errors
/// INVALID_CONFIG, with Kafka's words.
pub fn check(name: &str, value: Option<&str>) -> Result<(), Failure> {
    let invalid = |message: String| Failure::new(Code::InvalidConfig, message);
    let Some((_, values, _)) = NAMES.iter().find(|(known, ..)| *known == name) else {
        return Err(invalid(format!("Unknown topic config name: {name}")));
    };
    let Some(value) = value else {
        return Err(invalid(format!("Null value not supported for topic configs: {name}")));
    };
    let value = value.trim();
    let wrong = |why: &str| Err(invalid(format!("Invalid value {value} for configuration {name}: {why}")));
    let number = |least: i64, most: i64| match value.parse::<i64>() {
        Ok(number) if number < least => wrong(&format!("Value must be at least {least}")),
        Ok(number) if number > most => wrong(&format!("Value must be no more than {most}")),
        Ok(_) => Ok(()),
        Err(_) => wrong("Not a number"),
    };
    match values {
        Any => Ok(()),
        Bool if value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false") => Ok(()),
        Bool => wrong("Expected value to be either true or false"),
        Long(least) => number(*least, i64::MAX),
        Int(least, most) => number(*least, *most),
        Ratio => match value.parse::<f64>() {
            Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(()),
            _ => wrong("Value must be between 0 and 1"),
        },
        One(words) if words.contains(&value) => Ok(()),
        One(words) => wrong(&format!("String must be one of: {}", words.join(", "))),
        SomeOf(words) if value.is_empty() || value.split(',').all(|word| words.contains(&word.trim())) => {
            Ok(())
        }
        SomeOf(words) => wrong(&format!("String must be one of: {}", words.join(", "))),
    }
}

/// A configuration as a topic has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effective<'a> {
    /// Its name.
    pub name: &'static str,
    /// Its value: the topic's own, or the default.
    pub value: &'a str,
    /// Whether it is the topic's own.
    pub own: bool,
}

/// All configurations of a topic that has set `own`, by name.
pub fn effective(own: &BTreeMap<String, String>) -> impl Iterator<Item = Effective<'_>> {
    NAMES.iter().filter_map(|&(name, _, default)| match own.get(name) {
        Some(value) => Some(Effective { name, value, own: true }),
        None if default == HIDDEN => None,
        None => Some(Effective { name, value: default, own: false }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked_by_their_kind() {
        for (name, value) in [
            ("retention.ms", "-1"),
            ("cleanup.policy", "compact, delete"),
            ("compression.type", "producer"),
            ("min.cleanable.dirty.ratio", "0.5"),
            ("preallocate", "TRUE"),
            ("max.message.bytes", "1048588"),
        ] {
            assert_eq!(check(name, Some(value)), Ok(()), "{name}");
        }
        for (name, value) in [
            ("retention.ms", Some("-2")),
            ("retention.ms", Some("soon")),
            ("cleanup.policy", Some("compact,keep")),
            ("min.cleanable.dirty.ratio", Some("NaN")),
            ("preallocate", Some("1")),
            ("max.message.bytes", Some("2147483648")),
            ("max.message.bytes", None),
            ("retention.msec", Some("1")),
        ] {
            assert_eq!(check(name, value).unwrap_err().code, Code::InvalidConfig, "{name}");
        }
    }

    #[test]
    fn defaults_are_values_and_names_are_in_order() {
        for window in NAMES.windows(2) {
            assert!(window[0].0 < window[1].0, "{}", window[1].0);
        }
        for (name, _, default) in NAMES.iter().filter(|(_, _, default)| *default != HIDDEN) {
            assert_eq!(check(name, Some(default)), Ok(()), "{name}");
        }
    }

    #[test]
    fn a_topics_own_values_hide_the_defaults() {
        let own = BTreeMap::from([("retention.ms".to_owned(), "5".to_owned())]);
        let all: Vec<_> = effective(&own).collect();
        assert_eq!(all.len(), NAMES.len() - 1);
        let retention = all.iter().find(|config| config.name == "retention.ms").unwrap();
        assert_eq!((retention.value, retention.own), ("5", true));
        assert_eq!(all.iter().filter(|config| config.own).count(), 1);
    }
}
