//! The configurations of topics: their names, types, defaults, what their values may be, and the broker's
//! configurations that Kafka takes the defaults from. All Kafka's, so that tools which set them work. What each one
//! does in Levee is `crate::topic_config`.

use super::dynamic::Dynamic;
use crate::errors::{Code, Failure};
use std::collections::{BTreeMap, BTreeSet};

/// What values a configuration may have.
#[derive(Debug, Clone, Copy)]
pub(super) enum Values {
    Bool,
    /// At least so much.
    Long(i64),
    /// So much to so much.
    Int(i64, i64),
    /// 0 to 1.
    Ratio,
    /// 1 to 9, or -1.
    GzipLevel,
    /// Any number with a fraction.
    Double,
    One(&'static [&'static str]),
    /// A list of these.
    List(&'static [&'static str]),
    /// `*`, or a list of `PARTITION:BROKER`.
    Replicas,
    /// Any words. For what can't be set.
    Text,
}
use Values::{Bool, Double, GzipLevel, Int, List, Long, One, Ratio, Replicas, Text};

impl Values {
    /// The type's number in DescribeConfigs.
    pub(super) fn config_type(self) -> i8 {
        match self {
            Bool => 1,
            One(_) | Text => 2,
            Int(..) | GzipLevel => 3,
            Long(_) => 5,
            Ratio | Double => 6,
            List(_) | Replicas => 7,
        }
    }

    pub(super) fn is_list(self) -> bool {
        matches!(self, List(_) | Replicas)
    }
}

/// A configuration.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    pub(super) name: &'static str,
    pub(super) values: Values,
    pub(super) default: &'static str,
    /// The broker's configuration that has the default. Where it is empty, Kafka names none.
    pub(super) synonym: &'static str,
    pub(super) documentation: &'static str,
}

impl Known {
    /// The broker's configuration by which a topic's default can be changed, if there is one.
    pub(super) fn dynamic(&self) -> Option<&'static str> {
        match (self.name, self.synonym) {
            ("flush.ms", _) => Some("log.flush.interval.ms"),
            ("retention.ms", _) => Some("log.retention.ms"),
            ("segment.jitter.ms", _) => Some("log.roll.jitter.ms"),
            ("segment.ms", _) => Some("log.roll.ms"),
            (_, "") => None,
            (_, synonym) => Some(synonym),
        }
    }

    /// The broker's configuration, and its value, that has the default in another unit. Kafka names it beside those
    /// that were changed, and only then.
    pub(super) fn in_other_units(&self) -> Option<(&'static str, &'static str)> {
        match self.name {
            "flush.ms" => Some(("log.flush.scheduler.interval.ms", "9223372036854775807")),
            "retention.ms" => Some(("log.retention.hours", "168")),
            "segment.jitter.ms" => Some(("log.roll.jitter.hours", "0")),
            "segment.ms" => Some(("log.roll.hours", "168")),
            _ => None,
        }
    }
}

/// One whose default no other configuration has.
pub(super) const fn known_alone(
    name: &'static str,
    values: Values,
    default: &'static str,
    documentation: &'static str,
) -> Known {
    known(name, values, default, "", documentation)
}

const fn known(
    name: &'static str,
    values: Values,
    default: &'static str,
    synonym: &'static str,
    documentation: &'static str,
) -> Known {
    Known { name, values, default, synonym, documentation }
}

/// The default of a configuration that answers leave out, as Kafka's do: it is there for Kafka's own tests.
const HIDDEN: &str = "\0";
const INT_MAX: i64 = i32::MAX as i64;
const NO_EFFECT: &str = "Taken and kept, without effect in Levee.";
const NO_TIERS: &str = "Taken and kept, without effect: all of a topic is in the object store.";
const CODEC_LEVEL: &str =
    "Taken and kept, without effect: Levee keeps batches as their producers compressed them.";

/// All there are, by name.
pub(super) const ALL: &[Known] = &[
    known(
        "cleanup.policy",
        List(&["compact", "delete"]),
        "delete",
        "log.cleanup.policy",
        "What becomes of old records: 'delete' removes them by age or size, 'compact' keeps the last one of each key. \
         Both may be given, and none keeps everything.",
    ),
    known("compression.gzip.level", GzipLevel, "-1", "compression.gzip.level", CODEC_LEVEL),
    known("compression.lz4.level", Int(1, 17), "9", "compression.lz4.level", CODEC_LEVEL),
    known(
        "compression.type",
        One(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
        "producer",
        "compression.type",
        CODEC_LEVEL,
    ),
    known("compression.zstd.level", Int(-131_072, 22), "3", "compression.zstd.level", CODEC_LEVEL),
    known(
        "delete.retention.ms",
        Long(0),
        "86400000",
        "log.cleaner.delete.retention.ms",
        "How long a compacted topic keeps the tombstone of a deleted key.",
    ),
    known("file.delete.delay.ms", Long(0), "60000", "log.segment.delete.delay.ms", NO_EFFECT),
    known(
        "flush.messages",
        Long(1),
        "9223372036854775807",
        "log.flush.interval.messages",
        "Without effect: every record is durable before it is acknowledged.",
    ),
    known(
        "flush.ms",
        Long(0),
        "9223372036854775807",
        "",
        "Without effect: every record is durable before it is acknowledged.",
    ),
    known(
        "follower.replication.throttled.replicas",
        Replicas,
        "",
        "",
        "Taken and kept, without effect: replication is the object store's.",
    ),
    known("index.interval.bytes", Int(0, INT_MAX), "4096", "log.index.interval.bytes", NO_EFFECT),
    known(
        "internal.segment.bytes",
        Int(1, INT_MAX),
        HIDDEN,
        "",
        "Overrides segment.bytes, without its least value.",
    ),
    known(
        "leader.replication.throttled.replicas",
        Replicas,
        "",
        "",
        "Taken and kept, without effect: replication is the object store's.",
    ),
    known("local.retention.bytes", Long(-2), "-2", "log.local.retention.bytes", NO_TIERS),
    known("local.retention.ms", Long(-2), "-2", "log.local.retention.ms", NO_TIERS),
    known(
        "max.compaction.lag.ms",
        Long(1),
        "9223372036854775807",
        "log.cleaner.max.compaction.lag.ms",
        "How long a record of a compacted topic may go without being considered for compaction.",
    ),
    known(
        "max.message.bytes",
        Int(0, INT_MAX),
        "1048588",
        "message.max.bytes",
        "The largest batch of records, as compressed by its producer.",
    ),
    known(
        "message.timestamp.after.max.ms",
        Long(0),
        "3600000",
        "log.message.timestamp.after.max.ms",
        "How far a record's timestamp may be ahead of the broker's clock.",
    ),
    known(
        "message.timestamp.before.max.ms",
        Long(0),
        "9223372036854775807",
        "log.message.timestamp.before.max.ms",
        "How far a record's timestamp may be behind the broker's clock.",
    ),
    known(
        "message.timestamp.type",
        One(&["CreateTime", "LogAppendTime"]),
        "CreateTime",
        "log.message.timestamp.type",
        "Whether records keep their producers' timestamps or get the broker's.",
    ),
    known(
        "min.cleanable.dirty.ratio",
        Ratio,
        "0.5",
        "log.cleaner.min.cleanable.ratio",
        "How large a part of a compacted topic must be new before it is compacted again.",
    ),
    known(
        "min.compaction.lag.ms",
        Long(0),
        "0",
        "log.cleaner.min.compaction.lag.ms",
        "How long a record of a compacted topic is kept in any case.",
    ),
    known(
        "min.insync.replicas",
        Int(1, INT_MAX),
        "1",
        "min.insync.replicas",
        "Taken and kept, without effect: replication is the object store's.",
    ),
    known("preallocate", Bool, "false", "log.preallocate", NO_EFFECT),
    known("remote.log.copy.disable", Bool, "false", "", NO_TIERS),
    known("remote.log.delete.on.disable", Bool, "false", "", NO_TIERS),
    known("remote.storage.enable", Bool, "false", "", NO_TIERS),
    known(
        "retention.bytes",
        Long(i64::MIN),
        "-1",
        "log.retention.bytes",
        "With cleanup.policy=delete, how much of each partition is kept; negative for all of it.",
    ),
    known(
        "retention.ms",
        Long(-1),
        "604800000",
        "",
        "With cleanup.policy=delete, how long records are kept, by their timestamps; -1 for ever.",
    ),
    known(
        "segment.bytes",
        Int(1_048_576, INT_MAX),
        "1073741824",
        "log.segment.bytes",
        "With cleanup.policy=compact, the newest records up to so many bytes are not compacted.",
    ),
    known("segment.index.bytes", Int(4, INT_MAX), "10485760", "log.index.size.max.bytes", NO_EFFECT),
    known("segment.jitter.ms", Long(0), "0", "", NO_EFFECT),
    known(
        "segment.ms",
        Long(1),
        "604800000",
        "",
        "With cleanup.policy=compact, the newest records up to this age are not compacted.",
    ),
    known(
        "unclean.leader.election.enable",
        Bool,
        "false",
        "unclean.leader.election.enable",
        "Taken and kept, without effect: a leader never lacks records.",
    ),
];

fn invalid(message: String) -> Failure {
    Failure::new(Code::InvalidConfig, message)
}

pub(super) fn find(name: &str) -> Option<&'static Known> {
    ALL.iter().find(|known| known.name == name)
}

/// Whether it is a configuration whose value is a list, to which values can be added.
pub(super) fn is_list(name: &str) -> bool {
    find(name).is_some_and(|known| known.values.is_list())
}

/// Checks one configuration. Returns its value as answers show it: without blanks, numbers plain, lists without
/// repetitions.
///
/// # Errors
/// INVALID_CONFIG, with Kafka's words.
pub fn check(name: &str, value: Option<&str>) -> Result<String, Failure> {
    let Some(known) = find(name) else {
        return Err(invalid(format!("Unknown topic config name: {name}")));
    };
    let Some(value) = value else {
        return Err(invalid(format!("Null value not supported for topic configs: {name}")));
    };
    check_value(name, known.values, value)
}

/// Checks the value of a configuration of any kind, as [`check`] does.
///
/// # Errors
/// INVALID_CONFIG, with Kafka's words.
pub(super) fn check_value(name: &str, values: Values, value: &str) -> Result<String, Failure> {
    let value = value.trim();
    let wrong = |why: &str| Err(invalid(format!("Invalid value {value} for configuration {name}: {why}")));
    let number = |kind: &str, widest: i64, least: i64, most: i64| match value.parse::<i64>() {
        Ok(number) if number.unsigned_abs() > widest.unsigned_abs() => {
            wrong(&format!("Not a number of type {kind}"))
        }
        Ok(number) if number < least => wrong(&format!("Value must be at least {least}")),
        Ok(number) if number > most => wrong(&format!("Value must be no more than {most}")),
        Ok(number) => Ok(number.to_string()),
        Err(_) => wrong(&format!("Not a number of type {kind}")),
    };
    match values {
        Text => Ok(value.to_owned()),
        Double if value.trim_end_matches(['f', 'F', 'd', 'D']).parse::<f64>().is_ok_and(f64::is_finite) => {
            Ok(value.to_owned())
        }
        Double => wrong("Not a number of type DOUBLE"),
        Bool if value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false") => {
            Ok(value.to_ascii_lowercase())
        }
        Bool => wrong("Expected value to be either true or false"),
        Long(least) => number("LONG", i64::MIN, least, i64::MAX),
        GzipLevel if value == "0" => wrong("Value must be between 1 and 9 or equal to -1"),
        GzipLevel => number("INT", i64::from(i32::MIN), -1, 9),
        Int(least, most) => number("INT", i64::from(i32::MIN), least, most),
        Ratio => match value.trim_end_matches(['f', 'F', 'd', 'D']).parse::<f64>() {
            Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(java_double(ratio)),
            Ok(ratio) if ratio < 0.0 => wrong("Value must be at least 0"),
            Ok(_) => wrong("Value must be no more than 1"),
            Err(_) => wrong("Not a number of type DOUBLE"),
        },
        One(words) if words.contains(&value) => Ok(value.to_owned()),
        One(words) => wrong(&format!("String must be one of: {}", words.join(", "))),
        List(_) | Replicas if value.is_empty() => Ok(String::new()),
        List(words) => {
            let values = list(name, value)?;
            match values.iter().find(|value| !words.contains(value)) {
                None => Ok(values.join(",")),
                Some(value) => Err(invalid(format!(
                    "Invalid value {value} for configuration {name}: String must be one of: {}",
                    words.join(", ")
                ))),
            }
        }
        Replicas => {
            let values = list(name, value)?;
            if values == ["*"] || values.iter().all(|value| is_replica(value)) {
                return Ok(values.join(","));
            }
            Err(invalid(format!(
                "Invalid value [{}] for configuration {name}: {name} must be the literal '*' or a list of replicas in the following format: \
                 [partitionId]:[brokerId],[partitionId]:[brokerId],...",
                values.join(", ")
            )))
        }
    }
}

fn is_replica(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once(':').is_some_and(|(partition, broker)| digits(partition) && digits(broker))
}

/// The values of a list, without blanks and repetitions.
fn list<'a>(name: &str, value: &'a str) -> Result<Vec<&'a str>, Failure> {
    let (mut values, mut known) = (Vec::new(), BTreeSet::new());
    for value in value.split(',').map(str::trim) {
        if value.is_empty() {
            return Err(invalid(format!("Configuration '{name}' values must not be empty.")));
        }
        if known.insert(value) {
            values.push(value);
        }
    }
    Ok(values)
}

/// A number from 0 to 1 as Java writes it.
fn java_double(value: f64) -> String {
    if value == 0.0 || value >= 1e-3 {
        return format!("{value:?}");
    }
    let text = format!("{value:E}");
    match text.split_once('E') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
        _ => text,
    }
}

/// Checks what the configurations of a topic, each of which is valid, are together.
///
/// # Errors
/// INVALID_CONFIG, with Kafka's words.
pub fn check_together(configs: &BTreeMap<String, String>) -> Result<(), Failure> {
    let value = |name: &str| {
        let default = find(name).map_or("", |known| known.default);
        configs.get(name).map_or(default, String::as_str)
    };
    let lag = |name: &str| value(name).parse::<i64>().unwrap_or_default();
    let (least, most) = (lag("min.compaction.lag.ms"), lag("max.compaction.lag.ms"));
    if least > most {
        return Err(invalid(format!(
            "conflict topic config setting min.compaction.lag.ms ({least}) > max.compaction.lag.ms ({most})"
        )));
    }
    if value("remote.storage.enable") == "true" {
        return Err(invalid(
            "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log \
             storage."
                .to_owned(),
        ));
    }
    Ok(())
}

/// A configuration as a topic has it.
#[derive(Debug, Clone, Copy)]
pub struct Effective<'a> {
    pub(super) known: &'static Known,
    /// Its name.
    pub name: &'static str,
    /// Its value: the topic's own, what was changed of the default, or that.
    pub value: &'a str,
    /// Where it comes from.
    pub source: i8,
}

/// Where a configuration comes from, in an answer: the topic,
pub const SOURCE_TOPIC: i8 = 1;
/// or nowhere.
pub const SOURCE_DEFAULT: i8 = 5;

/// All configurations of a topic that has set `own`, where `dynamic` was changed of brokers', by name.
pub fn effective<'a>(
    own: &'a BTreeMap<String, String>,
    dynamic: &'a Dynamic,
) -> impl Iterator<Item = Effective<'a>> {
    ALL.iter().filter_map(move |known| {
        let name = known.name;
        let changed = || dynamic.values(known.dynamic()?).next();
        let (source, value) = match own.get(name) {
            Some(value) => (SOURCE_TOPIC, value.as_str()),
            None if known.default == HIDDEN => return None,
            None => changed().unwrap_or((SOURCE_DEFAULT, known.default)),
        };
        Some(Effective { known, name, value, source })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked_by_their_kind_and_kept_as_they_are_shown() {
        for (name, value, kept) in [
            ("retention.ms", "-1", "-1"),
            ("retention.ms", " +007 ", "7"),
            ("cleanup.policy", "compact, delete,compact", "compact,delete"),
            ("cleanup.policy", "", ""),
            ("compression.type", "producer", "producer"),
            ("min.cleanable.dirty.ratio", "0.50", "0.5"),
            ("min.cleanable.dirty.ratio", "1", "1.0"),
            ("min.cleanable.dirty.ratio", "0.0001f", "1.0E-4"),
            ("preallocate", "TRUE", "true"),
            ("max.message.bytes", "1048588", "1048588"),
            ("leader.replication.throttled.replicas", "*", "*"),
            ("leader.replication.throttled.replicas", "0:1, 1:1", "0:1,1:1"),
        ] {
            assert_eq!(check(name, Some(value)), Ok(kept.to_owned()), "{name}");
        }
        for (name, value) in [
            ("retention.ms", Some("-2")),
            ("retention.ms", Some("soon")),
            ("retention.ms", Some("")),
            ("retention.ms", Some("9223372036854775808")),
            ("cleanup.policy", Some("compact,keep")),
            ("cleanup.policy", Some("delete,")),
            ("min.cleanable.dirty.ratio", Some("NaN")),
            ("min.cleanable.dirty.ratio", Some("1.1")),
            ("preallocate", Some("1")),
            ("compression.gzip.level", Some("0")),
            ("compression.gzip.level", Some("10")),
            ("max.message.bytes", Some("2147483648")),
            ("max.message.bytes", None),
            ("leader.replication.throttled.replicas", Some("0:")),
            ("retention.msec", Some("1")),
        ] {
            assert_eq!(check(name, value).unwrap_err().code, Code::InvalidConfig, "{name}");
        }
    }

    #[test]
    fn defaults_are_values_and_names_are_in_order() {
        for window in ALL.windows(2) {
            assert!(window[0].name < window[1].name, "{}", window[1].name);
        }
        for known in ALL.iter().filter(|known| known.default != HIDDEN) {
            assert_eq!(
                check(known.name, Some(known.default)).as_deref(),
                Ok(known.default),
                "{}",
                known.name
            );
        }
    }

    #[test]
    fn a_topics_own_values_hide_the_defaults() {
        let own = BTreeMap::from([("retention.ms".to_owned(), "5".to_owned())]);
        let changed = [("log.retention.ms", "7"), ("log.roll.ms", "8")];
        let changed = changed.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let dynamic = Dynamic { cluster: BTreeMap::from(changed), broker: BTreeMap::new() };
        let all: Vec<_> = effective(&own, &dynamic).collect();
        assert_eq!(all.len(), ALL.len() - 1);
        let told = |name: &str| {
            all.iter().find(|config| config.name == name).map(|config| (config.value, config.source))
        };
        assert_eq!(told("retention.ms"), Some(("5", SOURCE_TOPIC)));
        assert_eq!(told("segment.ms"), Some(("8", 3)));
        assert_eq!(told("flush.ms"), Some(("9223372036854775807", SOURCE_DEFAULT)));
        assert_eq!(all.iter().filter(|config| config.source != SOURCE_DEFAULT).count(), 2);
    }

    /// The page of all of them, in Markdown.
    fn page() -> String {
        let mut page = String::from(
            "# Topics' configurations\n\nEvery configuration of topics that Apache Kafka 4.3 documents, and what it does in \
             Levee. Other names, and values that Kafka\nrefuses, are refused with INVALID_CONFIG. Made from \
             `crates/broker/src/handlers/topic_configs.rs`.\n\n| name | default | in Levee |\n|---|---|---|\n",
        );
        for known in ALL.iter().filter(|known| known.default != HIDDEN) {
            let default = if known.default.is_empty() { "none" } else { known.default };
            page += &format!("| `{}` | {default} | {} |\n", known.name, known.documentation);
        }
        page
    }

    /// `UPDATE_DOCS=1 cargo test -p levee-broker topic_configs` writes the page anew.
    #[test]
    fn the_docs_are_in_step() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/topic-configs.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, page()).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(written, page(), "docs/topic-configs.md is out of date");
    }

    #[test]
    fn configurations_must_fit_each_other() {
        let configs = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        assert_eq!(check_together(&configs(&[("min.compaction.lag.ms", "50")])), Ok(()));
        for wrong in [
            configs(&[("min.compaction.lag.ms", "51"), ("max.compaction.lag.ms", "50")]),
            configs(&[("remote.storage.enable", "true")]),
        ] {
            assert_eq!(check_together(&wrong).unwrap_err().code, Code::InvalidConfig);
        }
    }
}
