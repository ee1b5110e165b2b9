//! The configurations of subscriptions to clients' metrics (KIP-714), all Kafka's. Nobody collects those metrics yet:
//! subscriptions are kept and shown, and clients are told of none.

use super::topic_configs::{Known, Values, check_value, known_alone as known};
use crate::errors::{Code, Failure};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// How often clients may be made to send their metrics.
const INTERVAL_MS: RangeInclusive<i64> = 100..=3_600_000;
/// What clients can be chosen by.
const MATCHES: [&str; 6] = [
    "client_id",
    "client_instance_id",
    "client_software_name",
    "client_software_version",
    "client_source_address",
    "client_source_port",
];

/// All there are, by name.
pub(super) const ALL: [Known; 3] = [
    known(
        "interval.ms",
        Values::Int(i32::MIN as i64, i32::MAX as i64),
        "300000",
        "How often clients send their metrics. Taken and kept, without effect: nobody collects them.",
    ),
    known("match", Values::List(&[]), "", "Which clients: KEY=PATTERN. Taken and kept, without effect."),
    known("metrics", Values::List(&[]), "", "Which metrics, by prefix. Taken and kept, without effect."),
];

/// Checks what a subscription's configurations are to become, and writes the values as they are kept.
///
/// # Errors
/// INVALID_REQUEST and INVALID_CONFIG, with Kafka's words.
pub(super) fn valid(changed: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Failure> {
    let refused = |message: String| Failure::new(Code::InvalidRequest, message);
    let mut checked = BTreeMap::new();
    for (name, value) in changed {
        let value = match name.as_str() {
            "interval.ms" => {
                let interval = check_value(&name, ALL[0].values, &value)?;
                if !interval.parse().is_ok_and(|ms: i64| INTERVAL_MS.contains(&ms)) {
                    return Err(refused(format!(
                        "Invalid value {interval} for interval.ms, interval must be between 100 and 3600000 (1 hour)"
                    )));
                }
                interval
            }
            "match" => {
                let wrong = value.split(',').map(str::trim).find(|one| !one.is_empty() && !is_match(one));
                if let Some(wrong) = wrong {
                    let message = format!("Illegal client matching pattern: {wrong}");
                    return Err(Failure::new(Code::InvalidConfig, message));
                }
                value
            }
            "metrics" => value,
            _ => return Err(refused(format!("Unknown client metrics configuration: {name}"))),
        };
        checked.insert(name, value);
    }
    Ok(checked)
}

/// Whether clients can be chosen so. What the pattern means is not looked at.
fn is_match(text: &str) -> bool {
    text.split_once('=')
        .is_some_and(|(key, pattern)| MATCHES.contains(&key.trim()) && !pattern.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_kept_or_refused_as_kafka_does() {
        let check = |name: &str, value: &str| valid(BTreeMap::from([(name.to_owned(), value.to_owned())]));
        for (name, value) in [
            ("interval.ms", "100"),
            ("interval.ms", "3600000"),
            ("metrics", ""),
            ("metrics", "*"),
            ("metrics", "a.,b."),
            ("match", ""),
            ("match", "client_id=a.*, client_source_port=1"),
        ] {
            let kept = BTreeMap::from([(name.to_owned(), value.to_owned())]);
            assert_eq!(check(name, value), Ok(kept));
        }
        for (name, value, code) in [
            ("interval.ms", "99", Code::InvalidRequest),
            ("interval.ms", "3600001", Code::InvalidRequest),
            ("interval.ms", "x", Code::InvalidConfig),
            ("match", "client_id", Code::InvalidConfig),
            ("match", "client_id=", Code::InvalidConfig),
            ("match", "foo=a", Code::InvalidConfig),
            ("nix", "1", Code::InvalidRequest),
        ] {
            assert_eq!(check(name, value).unwrap_err().code, code, "{name}={value}");
        }
    }
}
