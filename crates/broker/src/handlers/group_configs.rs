//! The configurations of groups: their names, types, defaults, and what their values may be, all Kafka's (KIP-848,
//! KIP-932, KIP-1071). Those of consumers are the group coordinator's; share groups and streams groups are not served
//! yet, and theirs are kept for them.

use super::dynamic::Dynamic;
use super::topic_configs::{Known, Values, check_value};
use crate::errors::{Code, Failure};
use Values::{Bool, Int, One, Text};
use std::collections::BTreeMap;

const INT_MAX: i64 = i32::MAX as i64;
/// The strategy that begins so many a time ago.
const BY_DURATION: &str = "by_duration:";
const NO_SHARE: &str = "Taken and kept, without effect: there are no share groups.";
const NO_STREAMS: &str = "Taken and kept, without effect: there are no streams groups.";

/// The least or the most that the broker lets a group have, and the broker's configuration that says so in Kafka.
type Bound = Option<(i64, &'static str)>;

struct Bounded {
    known: Known,
    least: Bound,
    most: Bound,
}

const fn known(
    name: &'static str,
    values: Values,
    default: &'static str,
    synonym: &'static str,
    documentation: &'static str,
) -> Bounded {
    Bounded { known: Known { name, values, default, synonym, documentation }, least: None, most: None }
}

impl Bounded {
    const fn least(self, least: i64, name: &'static str) -> Self {
        Self { least: Some((least, name)), ..self }
    }

    const fn most(self, most: i64, name: &'static str) -> Self {
        Self { most: Some((most, name)), ..self }
    }
}

/// All there are, by name.
const ALL: &[Bounded] = &[
    known(
        "consumer.assignment.interval.ms",
        Int(0, INT_MAX),
        "1000",
        "group.consumer.assignment.interval.ms",
        "The least time between two assignments of a consumer group.",
    )
    .most(15_000, "group.consumer.max.assignment.interval.ms"),
    known(
        "consumer.heartbeat.interval.ms",
        Int(1, INT_MAX),
        "5000",
        "group.consumer.heartbeat.interval.ms",
        "How often a consumer of the group protocol sends a heartbeat.",
    )
    .least(5_000, "group.consumer.min.heartbeat.interval.ms")
    .most(15_000, "group.consumer.max.heartbeat.interval.ms"),
    known(
        "consumer.session.timeout.ms",
        Int(1, INT_MAX),
        "45000",
        "group.consumer.session.timeout.ms",
        "How long a consumer of the group protocol may be silent before it is taken for gone.",
    )
    .least(45_000, "group.consumer.min.session.timeout.ms")
    .most(60_000, "group.consumer.max.session.timeout.ms"),
    known(
        "share.assignment.interval.ms",
        Int(0, INT_MAX),
        "1000",
        "group.share.assignment.interval.ms",
        NO_SHARE,
    )
    .most(15_000, "group.share.max.assignment.interval.ms"),
    known("share.auto.offset.reset", Text, "latest", "", NO_SHARE),
    known("share.delivery.count.limit", Int(2, INT_MAX), "5", "group.share.delivery.count.limit", NO_SHARE)
        .most(10, "group.share.max.delivery.count.limit"),
    known(
        "share.heartbeat.interval.ms",
        Int(1, INT_MAX),
        "5000",
        "group.share.heartbeat.interval.ms",
        NO_SHARE,
    )
    .least(5_000, "group.share.min.heartbeat.interval.ms")
    .most(15_000, "group.share.max.heartbeat.interval.ms"),
    known(
        "share.isolation.level",
        One(&["read_committed", "read_uncommitted"]),
        "read_uncommitted",
        "",
        NO_SHARE,
    ),
    known(
        "share.partition.max.record.locks",
        Int(100, INT_MAX),
        "2000",
        "group.share.partition.max.record.locks",
        NO_SHARE,
    )
    .most(4_000, "group.share.max.partition.max.record.locks"),
    known(
        "share.record.lock.duration.ms",
        Int(1_000, INT_MAX),
        "30000",
        "group.share.record.lock.duration.ms",
        NO_SHARE,
    )
    .least(15_000, "group.share.min.record.lock.duration.ms")
    .most(60_000, "group.share.max.record.lock.duration.ms"),
    known("share.renew.acknowledge.enable", Bool, "true", "", NO_SHARE),
    known("share.session.timeout.ms", Int(1, INT_MAX), "45000", "group.share.session.timeout.ms", NO_SHARE)
        .least(45_000, "group.share.min.session.timeout.ms")
        .most(60_000, "group.share.max.session.timeout.ms"),
    known(
        "streams.assignment.interval.ms",
        Int(0, INT_MAX),
        "1000",
        "group.streams.assignment.interval.ms",
        NO_STREAMS,
    )
    .most(15_000, "group.streams.max.assignment.interval.ms"),
    known(
        "streams.heartbeat.interval.ms",
        Int(1, INT_MAX),
        "5000",
        "group.streams.heartbeat.interval.ms",
        NO_STREAMS,
    )
    .least(5_000, "group.streams.min.heartbeat.interval.ms")
    .most(15_000, "group.streams.max.heartbeat.interval.ms"),
    known(
        "streams.initial.rebalance.delay.ms",
        Int(0, INT_MAX),
        "3000",
        "group.streams.initial.rebalance.delay.ms",
        NO_STREAMS,
    ),
    known(
        "streams.num.standby.replicas",
        Int(0, INT_MAX),
        "0",
        "group.streams.num.standby.replicas",
        NO_STREAMS,
    )
    .most(2, "group.streams.max.standby.replicas"),
    known(
        "streams.session.timeout.ms",
        Int(1, INT_MAX),
        "45000",
        "group.streams.session.timeout.ms",
        NO_STREAMS,
    )
    .least(45_000, "group.streams.min.session.timeout.ms")
    .most(60_000, "group.streams.max.session.timeout.ms"),
];

fn invalid(message: String) -> Failure {
    Failure::new(Code::InvalidConfig, message)
}

/// Checks what a group's configurations are to become, and writes the values as they are kept.
///
/// # Errors
/// INVALID_CONFIG, with Kafka's words.
pub(super) fn valid(changed: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Failure> {
    let find = |name: &str| ALL.iter().find(|bounded| bounded.known.name == name);
    // Names before values, and values before bounds.
    if let Some(name) = changed.keys().find(|name| find(name).is_none()) {
        return Err(invalid(format!("Unknown group config name: {name}")));
    }
    let mut checked = BTreeMap::new();
    for (name, value) in changed {
        let Some(Bounded { known, .. }) = find(&name) else { continue };
        if known.name == "share.auto.offset.reset" && !is_reset(&value) {
            return Err(invalid(format!(
                "Invalid value {value} for configuration {name}: Invalid value `{value}` for configuration {name}. The \
                 value must be either 'earliest', 'latest' or of the format 'by_duration:<PnDTnHnMn.nS>'."
            )));
        }
        let value = check_value(&name, known.values, &value)?;
        checked.insert(name, value);
    }
    for (name, value) in &checked {
        let (Some(bounded), Ok(number)) = (find(name), value.parse::<i64>()) else { continue };
        if let Some((_, bound)) = bounded.least.filter(|(least, _)| number < *least) {
            return Err(invalid(format!("{name} must be greater than or equal to {bound}")));
        }
        if let Some((_, bound)) = bounded.most.filter(|(most, _)| number > *most) {
            return Err(invalid(format!("{name} must be less than or equal to {bound}")));
        }
    }
    Ok(checked)
}

/// Whether it says where a share group begins.
fn is_reset(value: &str) -> bool {
    matches!(value, "earliest" | "latest") || value.strip_prefix(BY_DURATION).is_some_and(is_duration)
}

/// Whether it is a time by ISO 8601, of days, hours, minutes and seconds with a fraction, in this order.
fn is_duration(text: &str) -> bool {
    let text = text.to_ascii_uppercase();
    let Some(rest) = text.strip_prefix('P') else { return false };
    let (days, times) = rest.split_once('T').map_or((rest, None), |(days, times)| (days, Some(times)));
    let mut any = false;
    let mut parts = |mut text: &str, units: &str| {
        let mut units = units.chars();
        while !text.is_empty() {
            let Some(at) = text.find(|c: char| c.is_ascii_alphabetic()) else { return false };
            let (number, unit) = (&text[..at], text[at..].chars().next());
            let fraction = unit == Some('S') && number.bytes().filter(|byte| *byte == b'.').count() == 1;
            let digits = number.bytes().all(|byte| byte.is_ascii_digit() || (fraction && byte == b'.'));
            if !digits || !number.starts_with(|c: char| c.is_ascii_digit()) {
                return false;
            }
            if !units.any(|known| Some(known) == unit) {
                return false;
            }
            (any, text) = (true, &text[at + 1..]);
        }
        true
    };
    let whole = parts(days, "D") && times.is_none_or(|times| !times.is_empty() && parts(times, "HMS"));
    whole && any
}

/// Where a group's own configuration comes from, in an answer.
const SOURCE_GROUP: i8 = 8;
/// From nowhere.
const SOURCE_DEFAULT: i8 = 5;

/// A configuration as a group has it.
#[derive(Debug)]
pub(super) struct Effective<'a> {
    pub(super) known: &'static Known,
    pub(super) value: &'a str,
    /// Where it could come from, the place that counts first: name, value, source.
    pub(super) synonyms: Vec<(&'static str, &'a str, i8)>,
}

/// All configurations of a group that has set `own`, by name.
pub(super) fn effective<'a>(
    own: &'a BTreeMap<String, String>,
    dynamic: &'a Dynamic,
) -> impl Iterator<Item = Effective<'a>> {
    ALL.iter().map(|Bounded { known, .. }| {
        let mut synonyms = Vec::new();
        if let Some(value) = own.get(known.name) {
            synonyms.push((known.name, value.as_str(), SOURCE_GROUP));
        }
        let synonym = if known.synonym.is_empty() { known.name } else { known.synonym };
        synonyms.extend(dynamic.values(known.synonym).map(|(source, value)| (synonym, value, source)));
        synonyms.push((synonym, known.default, SOURCE_DEFAULT));
        let value = synonyms.first().map_or(known.default, |first| first.1);
        Effective { known, value, synonyms }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, value: &str) -> Result<BTreeMap<String, String>, Failure> {
        valid(BTreeMap::from([(name.to_owned(), value.to_owned())]))
    }

    #[test]
    fn defaults_are_values_within_their_bounds() {
        for window in ALL.windows(2) {
            assert!(window[0].known.name < window[1].known.name, "{}", window[1].known.name);
        }
        for Bounded { known, least, most } in ALL {
            let (name, default) = (known.name, known.default);
            let kept = BTreeMap::from([(name.to_owned(), default.to_owned())]);
            assert_eq!(check(name, default), Ok(kept), "{name}");
            for (bound, beyond) in [(least, -1), (most, 1)] {
                let Some((bound, words)) = bound else { continue };
                assert!(check(name, &bound.to_string()).is_ok(), "{name}");
                let failure = check(name, &(bound + beyond).to_string()).unwrap_err();
                assert!(failure.message.ends_with(words), "{}", failure.message);
            }
        }
    }

    #[test]
    fn values_are_refused_in_kafkas_words() {
        for (name, value, words) in [
            ("nix", "1", "Unknown group config name: nix"),
            (
                "consumer.session.timeout.ms",
                "x",
                "Invalid value x for configuration consumer.session.timeout.ms: Not a number of type INT",
            ),
            (
                "consumer.heartbeat.interval.ms",
                "4000",
                "consumer.heartbeat.interval.ms must be greater than or equal to group.consumer.min.heartbeat.interval.ms",
            ),
            (
                "share.delivery.count.limit",
                "1",
                "Invalid value 1 for configuration share.delivery.count.limit: Value must be at least 2",
            ),
        ] {
            let failure = check(name, value).unwrap_err();
            assert_eq!((failure.code, failure.message.as_str()), (Code::InvalidConfig, words));
        }
        for good in ["earliest", "latest", "by_duration:PT1H", "by_duration:p1dT2h3m4.5s", "by_duration:P2D"]
        {
            assert!(check("share.auto.offset.reset", good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "none",
            "EARLIEST",
            "by_duration:",
            "by_duration:P",
            "by_duration:PT",
            "by_duration:-PT1H",
            "by_duration:PT1S2M",
            "by_duration:P1H",
            "by_duration:PT1.5H",
            "by_duration:PTS",
            "by_duration:PT1",
        ] {
            assert_eq!(check("share.auto.offset.reset", bad).unwrap_err().code, Code::InvalidConfig, "{bad}");
        }
    }

    #[test]
    fn a_groups_own_values_hide_the_brokers_and_those_the_defaults() {
        let own = BTreeMap::from([("consumer.session.timeout.ms".to_owned(), "50000".to_owned())]);
        let changed = [("group.consumer.assignment.interval.ms".to_owned(), "7".to_owned())];
        let dynamic = Dynamic { cluster: BTreeMap::from(changed), broker: BTreeMap::new() };
        let told = |name: &str| {
            let config = effective(&own, &dynamic).find(|config| config.known.name == name).unwrap();
            (config.value.to_owned(), config.synonyms.iter().map(|one| (one.0, one.2)).collect::<Vec<_>>())
        };
        let session = [("consumer.session.timeout.ms", 8), ("group.consumer.session.timeout.ms", 5)];
        assert_eq!(told("consumer.session.timeout.ms"), ("50000".to_owned(), session.to_vec()));
        let interval = "group.consumer.assignment.interval.ms";
        assert_eq!(
            told("consumer.assignment.interval.ms"),
            ("7".to_owned(), vec![(interval, 3), (interval, 5)])
        );
        let level = vec![("share.isolation.level", 5)];
        assert_eq!(told("share.isolation.level"), ("read_uncommitted".to_owned(), level));
    }
}
