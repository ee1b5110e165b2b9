//! What can be set of consumer groups: Kafka's options by Kafka's names, with Kafka's defaults.

use super::assignor::Assignor;
use levee_base::limits::GROUP_MEMBERS;
use std::collections::BTreeMap;

/// Which groups change their protocol while they have members (`group.consumer.migration.policy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MigrationPolicy {
    /// Both ways.
    #[default]
    Bidirectional,
    /// Classic groups become consumer groups.
    Upgrade,
    /// Consumer groups become classic ones.
    Downgrade,
    /// None.
    Disabled,
}

impl MigrationPolicy {
    /// Whether classic groups become consumer groups.
    #[must_use]
    pub const fn upgrades(self) -> bool {
        matches!(self, Self::Bidirectional | Self::Upgrade)
    }

    /// Whether consumer groups become classic ones.
    #[must_use]
    pub const fn downgrades(self) -> bool {
        matches!(self, Self::Bidirectional | Self::Downgrade)
    }
}

/// See the module's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerOptions {
    /// `group.consumer.session.timeout.ms`: a member that is silent for so long is gone, in milliseconds. A group may
    /// have its own. Default: 45,000.
    pub session_timeout_ms: i32,
    /// `group.consumer.heartbeat.interval.ms`: how often members are to send heartbeats, in milliseconds. A group may
    /// have its own. Default: 5,000.
    pub heartbeat_interval_ms: i32,
    /// `group.consumer.assignment.interval.ms`: how long a target assignment stands at least, in milliseconds
    /// (KIP-1263). A group may have its own. Default: 1,000.
    pub assignment_interval_ms: i32,
    /// `group.consumer.max.size`: the most members of a group. Default: 100,000, where Kafka has no bound but the type's.
    pub size_max: usize,
    /// `group.consumer.assignors`: what members may ask for; the first one is taken where none does. Default: uniform,
    /// range.
    pub assignors: Vec<Assignor>,
    /// `group.consumer.migration.policy`. Default: bidirectional.
    pub migration_policy: MigrationPolicy,
    /// `group.consumer.regex.refresh.interval.ms`: regular expressions are matched anew after so long in any case, in
    /// milliseconds. Default: 600,000.
    pub regex_refresh_interval_ms: i64,
}

impl Default for ConsumerOptions {
    fn default() -> Self {
        Self {
            session_timeout_ms: 45_000,
            heartbeat_interval_ms: 5_000,
            assignment_interval_ms: 1_000,
            size_max: GROUP_MEMBERS,
            assignors: vec![Assignor::Uniform, Assignor::Range],
            migration_policy: MigrationPolicy::default(),
            regex_refresh_interval_ms: 600_000,
        }
    }
}

impl ConsumerOptions {
    /// The assignor that is taken where no member asks for one.
    #[must_use]
    pub fn default_assignor(&self) -> Assignor {
        self.assignors.first().copied().unwrap_or(Assignor::Uniform)
    }

    /// The assignor of a name.
    #[must_use]
    pub fn assignor(&self, name: &str) -> Option<Assignor> {
        self.assignors.iter().copied().find(|assignor| assignor.name() == name)
    }
}

/// What counts for one group: its own configuration, where it has one, and the options otherwise. All in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GroupSettings {
    pub(super) session_timeout_ms: i32,
    pub(super) heartbeat_interval_ms: i32,
    pub(super) assignment_interval_ms: i32,
}

impl GroupSettings {
    pub(super) fn new(options: &ConsumerOptions, configs: &BTreeMap<String, String>) -> Self {
        let own = |name: &str, or: i32| configs.get(name).and_then(|value| value.parse().ok()).unwrap_or(or);
        Self {
            session_timeout_ms: own("consumer.session.timeout.ms", options.session_timeout_ms),
            heartbeat_interval_ms: own("consumer.heartbeat.interval.ms", options.heartbeat_interval_ms),
            assignment_interval_ms: own("consumer.assignment.interval.ms", options.assignment_interval_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_may_have_its_own_settings() {
        let options = ConsumerOptions::default();
        let configs = [("consumer.session.timeout.ms".to_owned(), "50000".to_owned())].into();
        let settings = GroupSettings::new(&options, &configs);
        assert_eq!((settings.session_timeout_ms, settings.heartbeat_interval_ms), (50_000, 5_000));
        assert_eq!(settings.assignment_interval_ms, 1_000);
    }

    #[test]
    fn assignors_go_by_name() {
        let options = ConsumerOptions { assignors: vec![Assignor::Range], ..ConsumerOptions::default() };
        assert_eq!(options.default_assignor(), Assignor::Range);
        assert_eq!((options.assignor("range"), options.assignor("uniform")), (Some(Assignor::Range), None));
    }
}
