//! Why a request is made: what accounting and the metrics break requests down by.

/// The purpose of a request to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Purpose {
    /// Write-ahead log entries.
    Wal,
    /// Metadata journal entries.
    Journal,
    /// Metadata snapshots, and the listing that finds them.
    Snapshot,
    /// A slot sent once more because the first try is slow.
    Hedge,
    /// A slot read because a create's outcome is not known.
    Doubt,
    /// An idle writer's look at its next slot.
    Look,
    /// Fences, and the reading that finds where they go.
    Fence,
    /// Reading what a predecessor left.
    Recovery,
    /// Objects gathered from the write-ahead log.
    Upload,
    /// Reading and writing what compaction moves.
    Compact,
    /// Checkpoints of partitions.
    Checkpoint,
    /// Records for a consumer that is near the end.
    Tail,
    /// Records for a consumer that is far behind.
    CatchUp,
    /// Deleting what nothing refers to.
    Collect,
    /// `levee store check`, and the probe at start.
    Check,
    /// `levee inspect`.
    Inspect,
}

impl Purpose {
    /// All of them, in the order of their numbers.
    pub const ALL: [Purpose; 16] = [
        Self::Wal,
        Self::Journal,
        Self::Snapshot,
        Self::Hedge,
        Self::Doubt,
        Self::Look,
        Self::Fence,
        Self::Recovery,
        Self::Upload,
        Self::Compact,
        Self::Checkpoint,
        Self::Tail,
        Self::CatchUp,
        Self::Collect,
        Self::Check,
        Self::Inspect,
    ];

    /// The name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wal => "wal",
            Self::Journal => "journal",
            Self::Snapshot => "snapshot",
            Self::Hedge => "hedge",
            Self::Doubt => "doubt",
            Self::Look => "look",
            Self::Fence => "fence",
            Self::Recovery => "recovery",
            Self::Upload => "upload",
            Self::Compact => "compact",
            Self::Checkpoint => "checkpoint",
            Self::Tail => "tail",
            Self::CatchUp => "catch_up",
            Self::Collect => "collect",
            Self::Check => "check",
            Self::Inspect => "inspect",
        }
    }
}
