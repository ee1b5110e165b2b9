//! What can be set of the group coordinator: Kafka's options by Kafka's names, with Kafka's defaults.

use super::consumer::ConsumerOptions;
use levee_base::limits::GROUP_MEMBERS;
use std::time::Duration;

/// See the module's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupOptions {
    /// `group.initial.rebalance.delay.ms`: how long the first rebalance of an empty group waits for further members.
    /// Each member that comes meanwhile makes it wait as long again, up to the rebalance timeout. Default: 3 s.
    pub initial_rebalance_delay: Duration,
    /// `group.min.session.timeout.ms`: the shortest session that a classic member may ask for, in milliseconds.
    /// Default: 6,000.
    pub session_timeout_min_ms: i32,
    /// `group.max.session.timeout.ms`: the longest, in milliseconds. Default: 1,800,000.
    pub session_timeout_max_ms: i32,
    /// `group.max.size`: the most members of a classic group. Default: 100,000, where Kafka has no bound but the type's.
    pub size_max: usize,
    /// How long a member that is new waits for the rebalance, in which it can't send heartbeats, before it counts as
    /// gone. Fixed in Kafka. Default: 5 min.
    pub new_member_join_timeout: Duration,
    /// `offset.metadata.max.bytes`: the most characters that a client may add to an offset (UTF-16 units, as Kafka
    /// counts in spite of the name). Default: 4,096.
    pub offset_metadata_max: usize,
    /// `offsets.retention.minutes`: how long offsets are kept once nothing needs them any more. Default: 7 days.
    pub offsets_retention: Duration,
    /// `offsets.retention.check.interval.ms`: how often it is looked for such offsets. Default: 10 min.
    pub offsets_retention_check_interval: Duration,
    /// What can be set of consumer groups.
    pub consumer: ConsumerOptions,
}

impl Default for GroupOptions {
    fn default() -> Self {
        Self {
            initial_rebalance_delay: Duration::from_secs(3),
            session_timeout_min_ms: 6_000,
            session_timeout_max_ms: 1_800_000,
            size_max: GROUP_MEMBERS,
            new_member_join_timeout: Duration::from_mins(5),
            offset_metadata_max: 4_096,
            offsets_retention: Duration::from_hours(7 * 24),
            offsets_retention_check_interval: Duration::from_mins(10),
            consumer: ConsumerOptions::default(),
        }
    }
}
