//! The topics that Kafka keeps its own state in: their names, and what they are created with, whoever asks for them
//! first. The one table of them.

use std::collections::BTreeMap;

/// Kafka's journal of groups and their offsets.
pub const CONSUMER_OFFSETS: &str = "__consumer_offsets";
/// Kafka's journal of transactions.
pub const TRANSACTION_STATE: &str = "__transaction_state";

/// A topic that holds a coordinator's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InternalTopic {
    /// Its name.
    pub name: &'static str,
    /// How many partitions it is created with: which coordinator has what follows from it, so it never changes
    /// (Kafka's `offsets.topic.num.partitions` and `transaction.state.log.num.partitions`).
    pub partitions: u32,
    /// The configurations that it is created with.
    pub configs: &'static [(&'static str, &'static str)],
}

/// Kafka's defaults. A part of a segment that is never compacted has to be small where all of a log is read at a
/// start, hence 100 MiB.
const ALL: [InternalTopic; 2] = [
    InternalTopic {
        name: CONSUMER_OFFSETS,
        partitions: 50,
        configs: &[
            ("cleanup.policy", "compact"),
            ("compression.type", "producer"),
            ("segment.bytes", "104857600"),
        ],
    },
    InternalTopic {
        name: TRANSACTION_STATE,
        partitions: 50,
        configs: &[
            ("cleanup.policy", "compact"),
            ("compression.type", "uncompressed"),
            // Kafka's is 2, of 3 replicas. Here there is one, and tools would warn of a partition below its minimum.
            ("min.insync.replicas", "1"),
            ("segment.bytes", "104857600"),
            ("unclean.leader.election.enable", "false"),
        ],
    },
];

impl InternalTopic {
    /// The configurations, as a topic has them.
    #[must_use]
    pub fn configs(&self) -> BTreeMap<String, String> {
        self.configs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }
}

/// The internal topic of this name.
#[must_use]
pub fn internal_topic(name: &str) -> Option<&'static InternalTopic> {
    ALL.iter().find(|topic| topic.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::{topic_configs, topic_name};

    #[test]
    fn what_they_are_created_with_is_what_a_client_might_ask_for() {
        for topic in ALL {
            assert_eq!(topic_name::check(topic.name), Ok(()));
            assert_eq!(internal_topic(topic.name), Some(&topic));
            let configs = topic.configs();
            assert_eq!(configs.len(), topic.configs.len(), "no name comes twice");
            for (name, value) in &configs {
                assert_eq!(topic_configs::check(name, Some(value)).as_ref(), Ok(value), "{name}");
            }
            assert_eq!(topic_configs::check_together(&configs), Ok(()));
        }
        assert_eq!(internal_topic("__cluster_metadata"), None);
    }
}
