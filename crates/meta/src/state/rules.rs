//! The numbers that `apply` decides by, for each version of the rules. They are part of the journal's
//! meaning: to change one is to add a version, or two nodes that replay the same journal would disagree.

use levee_base::limits;

/// The newest version that this program can apply. A journal that asks for a newer one stops the reader.
pub const NEWEST_VERSION: u32 = 2;

/// The numbers of one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Answers that are remembered for each sender.
    pub answers: u64,
    /// Processes without a broker epoch whose answers are remembered: the latest ones.
    pub processes: usize,
    /// Partitions of one topic.
    pub topic_partitions: u32,
    /// A topic's settings, names and values together, in bytes.
    pub topic_config_bytes: u64,
    /// The settings of all resources that are no topics, names and values together, in bytes;
    /// [`RESOURCE_BYTES`](super::configs::RESOURCE_BYTES) are counted for each of them besides.
    pub config_bytes: u64,
    /// Producer ids of one block.
    pub producer_ids: u32,
}

impl Rules {
    /// Those of version 1.
    pub const V1: Rules = Rules {
        answers: 1_024,
        processes: 1_024,
        topic_partitions: 10_000,
        topic_config_bytes: 64 * 1024,
        config_bytes: 0,
        producer_ids: 1_000_000,
    };

    /// Those of version 2: topics get more partitions, and what is no topic has settings.
    pub const V2: Rules = Rules { config_bytes: 16 * 1024 * 1024, ..Rules::V1 };

    /// Those of a version.
    #[must_use]
    pub const fn of(version: u32) -> &'static Rules {
        match version {
            // Before the journal names one, nothing is done by them.
            0 | 1 => const { &Rules::V1 },
            _ => const { &Rules::V2 },
        }
    }
}

// What a broker lets through must be what the rules accept.
const _: () = assert!(limits::TOPIC_PARTITIONS == Rules::V2.topic_partitions as usize);
// A sender's repeat is always within what is remembered.
const _: () = assert!((limits::COMMANDS_WAITING as u64) < Rules::V2.answers);
