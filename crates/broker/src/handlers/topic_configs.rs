//! The names of topic configurations, and what their values may be: Kafka's, so that tools which set them work.
//! What each one does in Levee is decided where it is used.

use crate::errors::{Code, Failure};

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

const INT_MAX: i64 = i32::MAX as i64;

const NAMES: &[(&str, Values)] = &[
    ("cleanup.policy", SomeOf(&["compact", "delete"])),
    ("compression.gzip.level", Int(-1, 9)),
    ("compression.lz4.level", Int(1, 17)),
    ("compression.type", One(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"])),
    ("compression.zstd.level", Int(-131_072, 22)),
    ("delete.retention.ms", Long(0)),
    ("file.delete.delay.ms", Long(0)),
    ("flush.messages", Long(1)),
    ("flush.ms", Long(0)),
    ("follower.replication.throttled.replicas", Any),
    ("index.interval.bytes", Int(0, INT_MAX)),
    ("internal.segment.bytes", Int(1, INT_MAX)),
    ("leader.replication.throttled.replicas", Any),
    ("local.retention.bytes", Long(-2)),
    ("local.retention.ms", Long(-2)),
    ("max.compaction.lag.ms", Long(1)),
    ("max.message.bytes", Int(0, INT_MAX)),
    ("message.timestamp.after.max.ms", Long(0)),
    ("message.timestamp.before.max.ms", Long(0)),
    ("message.timestamp.type", One(&["CreateTime", "LogAppendTime"])),
    ("min.cleanable.dirty.ratio", Ratio),
    ("min.compaction.lag.ms", Long(0)),
    ("min.insync.replicas", Int(1, INT_MAX)),
    ("preallocate", Bool),
    ("remote.log.copy.disable", Bool),
    ("remote.log.delete.on.disable", Bool),
    ("remote.storage.enable", Bool),
    ("retention.bytes", Long(i64::MIN)),
    ("retention.ms", Long(-1)),
    ("segment.bytes", Int(1_048_576, INT_MAX)),
    ("segment.index.bytes", Int(4, INT_MAX)),
    ("segment.jitter.ms", Long(0)),
    ("segment.ms", Long(1)),
    ("unclean.leader.election.enable", Bool),
];

/// Checks one configuration.
///
/// # Errors
/// INVALID_CONFIG, with Kafka's words.
pub fn check(name: &str, value: Option<&str>) -> Result<(), Failure> {
    let invalid = |message: String| Failure::new(Code::InvalidConfig, message);
    let Some((_, values)) = NAMES.iter().find(|(known, _)| *known == name) else {
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
}
