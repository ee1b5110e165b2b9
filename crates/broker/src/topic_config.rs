//! What a topic's configurations mean, typed: the one place where their text is read. The names, and what their
//! values may be, are in `handlers::topic_configs`, where they are checked before they are kept.

use crate::batch::{Rules, TimestampType};
use std::collections::BTreeMap;

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// A topic's configurations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TopicConfig {
    /// What batches must be like.
    pub rules: Rules,
    /// `cleanup.policy` has `delete`: old records go by age and size.
    pub deletes: bool,
    /// `cleanup.policy` has `compact`: the last record of each key stays.
    pub compacts: bool,
    /// `retention.ms`; `None` for ever.
    pub retention_ms: Option<i64>,
    /// `retention.bytes`, of each partition; `None` without bounds.
    pub retention_bytes: Option<u64>,
    /// `delete.retention.ms`: how long a tombstone stays.
    pub delete_retention_ms: i64,
    /// `min.compaction.lag.ms`: how long a record stays whatever comes after it.
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`: how long a record may wait to be considered for compaction.
    pub max_compaction_lag_ms: i64,
    /// `min.cleanable.dirty.ratio`: the part of a partition that must be new before it is compacted, 0 to 1.
    pub min_cleanable_dirty_ratio: f64,
    /// `segment.ms`: records younger than this count as the active segment, which is never compacted.
    pub segment_ms: i64,
    /// `segment.bytes`, or `internal.segment.bytes`: the newest so many bytes do, too.
    pub segment_bytes: u64,
}

impl Default for TopicConfig {
    fn default() -> Self {
        Self {
            rules: Rules::default(),
            deletes: true,
            compacts: false,
            retention_ms: Some(7 * DAY_MS),
            retention_bytes: None,
            delete_retention_ms: DAY_MS,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            min_cleanable_dirty_ratio: 0.5,
            segment_ms: 7 * DAY_MS,
            segment_bytes: 1 << 30,
        }
    }
}

impl TopicConfig {
    /// What these configurations say, and the defaults where they say nothing. They were checked when they were set;
    /// a value that can't be read counts as not set.
    #[must_use]
    pub fn of(configs: &BTreeMap<String, String>) -> Self {
        let default = Self::default();
        let number = |name: &str| configs.get(name).and_then(|value| value.parse::<i64>().ok());
        let or = |name: &str, default: i64| number(name).unwrap_or(default);
        let policy = |wanted: &str, default: bool| match configs.get("cleanup.policy") {
            Some(policies) => policies.split(',').any(|policy| policy.trim() == wanted),
            None => default,
        };
        let compacts = policy("compact", default.compacts);
        let stamped = match configs.get("message.timestamp.type") {
            Some(kind) if kind == "LogAppendTime" => TimestampType::LogAppendTime,
            Some(_) => TimestampType::CreateTime,
            None => default.rules.timestamp_type,
        };
        let largest = number("max.message.bytes").and_then(|bytes| usize::try_from(bytes).ok());
        let rules = Rules {
            max_message_bytes: largest.unwrap_or(default.rules.max_message_bytes),
            timestamp_type: stamped,
            timestamp_before_max_ms: or(
                "message.timestamp.before.max.ms",
                default.rules.timestamp_before_max_ms,
            ),
            timestamp_after_max_ms: or(
                "message.timestamp.after.max.ms",
                default.rules.timestamp_after_max_ms,
            ),
            compacted: compacts,
        };
        let segment_bytes = number("internal.segment.bytes").or(number("segment.bytes"));
        let ratio = configs.get("min.cleanable.dirty.ratio").and_then(|value| value.parse().ok());
        Self {
            rules,
            deletes: policy("delete", default.deletes),
            compacts,
            retention_ms: number("retention.ms")
                .map_or(default.retention_ms, |ms| Some(ms).filter(|ms| *ms >= 0)),
            retention_bytes: number("retention.bytes")
                .map_or(default.retention_bytes, |bytes| u64::try_from(bytes).ok()),
            delete_retention_ms: or("delete.retention.ms", default.delete_retention_ms),
            min_compaction_lag_ms: or("min.compaction.lag.ms", default.min_compaction_lag_ms),
            max_compaction_lag_ms: or("max.compaction.lag.ms", default.max_compaction_lag_ms),
            min_cleanable_dirty_ratio: ratio.unwrap_or(default.min_cleanable_dirty_ratio),
            segment_ms: or("segment.ms", default.segment_ms),
            segment_bytes: segment_bytes
                .and_then(|bytes| u64::try_from(bytes).ok())
                .unwrap_or(default.segment_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::dynamic::Dynamic;
    use crate::handlers::topic_configs::effective;

    fn of(pairs: &[(&str, &str)]) -> TopicConfig {
        let configs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        TopicConfig::of(&configs.collect())
    }

    #[test]
    fn the_defaults_are_those_that_clients_are_told() {
        let told = effective(&BTreeMap::new(), &Dynamic::default())
            .map(|one| (one.name.to_owned(), one.value.to_owned()))
            .collect();
        assert_eq!(TopicConfig::of(&told), TopicConfig::default());
        assert_eq!(of(&[]), TopicConfig::default());
    }

    #[test]
    fn every_configuration_is_read() {
        let all = of(&[
            ("cleanup.policy", "compact"),
            ("retention.ms", "1"),
            ("retention.bytes", "2"),
            ("delete.retention.ms", "3"),
            ("min.compaction.lag.ms", "4"),
            ("max.compaction.lag.ms", "5"),
            ("min.cleanable.dirty.ratio", "0.25"),
            ("segment.ms", "6"),
            ("segment.bytes", "7"),
            ("max.message.bytes", "8"),
            ("message.timestamp.before.max.ms", "9"),
            ("message.timestamp.after.max.ms", "10"),
            ("message.timestamp.type", "LogAppendTime"),
        ]);
        let rules = Rules {
            max_message_bytes: 8,
            timestamp_type: TimestampType::LogAppendTime,
            timestamp_before_max_ms: 9,
            timestamp_after_max_ms: 10,
            compacted: true,
        };
        let expected = TopicConfig {
            rules,
            deletes: false,
            compacts: true,
            retention_ms: Some(1),
            retention_bytes: Some(2),
            delete_retention_ms: 3,
            min_compaction_lag_ms: 4,
            max_compaction_lag_ms: 5,
            min_cleanable_dirty_ratio: 0.25,
            segment_ms: 6,
            segment_bytes: 7,
        };
        assert_eq!(all, expected);
        assert_eq!(of(&[("internal.segment.bytes", "9"), ("segment.bytes", "7")]).segment_bytes, 9);
    }

    #[test]
    fn policies_and_absent_bounds() {
        let policies = |value| {
            let config = of(&[("cleanup.policy", value)]);
            (config.deletes, config.compacts, config.rules.compacted)
        };
        assert_eq!(policies("delete"), (true, false, false));
        assert_eq!(policies("compact,delete"), (true, true, true));
        assert_eq!(policies(""), (false, false, false));
        assert_eq!(of(&[("retention.ms", "-1")]).retention_ms, None);
        assert_eq!(of(&[("retention.bytes", "-5")]).retention_bytes, None);
        assert_eq!(of(&[("retention.bytes", "0")]).retention_bytes, Some(0));
    }
}
