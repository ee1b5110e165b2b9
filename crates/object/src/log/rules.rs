//! The rules of the log, each of which a test can break.
//!
//! The state machines ask `Rules` wherever a rule could be left out. In production the answer is the constant
//! `false`, so nothing of this is left in the binary; in tests the model breaks one rule at a time and must
//! find the loss that follows. That proves that the model can see each loss, and that each rule is needed.

/// One rule of the log that can be broken.
#[cfg_attr(
    not(any(test, feature = "model")),
    expect(dead_code, reason = "some are only broken in code for tests")
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Broken {
    /// The trim point is not read again once the fence stands.
    NoCheck,
    /// The check covers the successor's own fence, but not those it followed.
    CheckOwnFenceOnly,
    /// An entry is acknowledged before those below it.
    AcknowledgeOutOfOrder,
    /// 'Already exists' counts as success for an entry, without reading the slot.
    EntryExistsIsSuccess,
    /// 'Already exists' counts as success for a fence, without reading the slot.
    FenceExistsIsSuccess,
    /// The collector goes by a trim point that is not committed yet.
    CollectBeforeTrim,
    /// The trim point covers entries that are sent but not durable.
    TrimPastDurable,
    /// The trim point lies beyond a fence, in the fenced epoch.
    TrimPastFence,
    /// The fence goes after the last slot that holds something, not into the first empty one.
    FenceAfterLastEntry,
    /// A successor that meets a fence tries the slot after it.
    NextSlotAfterFence,
    /// A successor that lost claims the epoch nevertheless.
    ClaimUngivenEpoch,
    /// A fence below the trim point is collected like an entry.
    DeleteCountingFence,
    /// Objects above an empty slot are collected as orphans where no fence stands.
    DeleteUnfencedOrphans,
    /// A fence's maker collects above it before its check has passed.
    CollectBeforeCheck,
    /// A slot in doubt is sent again with other bytes.
    ResendOtherBytes,
    /// A process that starts again keeps its writer id.
    KeepWriterId,
}

/// Which rules hold: all of them, but for one that a test may break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Rules {
    #[cfg(any(test, feature = "model"))]
    broken: Option<Broken>,
}

impl Rules {
    /// All rules but one.
    #[cfg(any(test, feature = "model"))]
    pub const fn without(broken: Option<Broken>) -> Self {
        Self { broken }
    }

    /// Whether this rule is broken: never, outside tests.
    #[cfg(not(any(test, feature = "model")))]
    #[expect(clippy::unused_self, reason = "the same call as in tests")]
    pub const fn breaks(self, _rule: Broken) -> bool {
        false
    }

    /// Whether this rule is broken: never, outside tests.
    #[cfg(any(test, feature = "model"))]
    pub fn breaks(self, rule: Broken) -> bool {
        self.broken == Some(rule)
    }
}
