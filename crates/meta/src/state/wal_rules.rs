//! The rules by which metadata opens, trims and closes write-ahead logs, each of which a test can break.
//!
//! As in `levee_object::log`: in production the question is the constant `false`, so nothing of this is left in
//! the binary; in tests the model (`wal_model`) breaks rules and must find the loss that follows.

/// A rule that can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Broken {
    /// A log is closed at a fence that its trim point has passed.
    CloseBelowTrim,
    /// A log that is closed is closed again.
    CloseAgain,
    /// A broker that is out may still trim its log.
    TrimOnceOut,
    /// A log that is closed is trimmed.
    TrimOnceClosed,
    /// The trim point goes down.
    TrimBackward,
    /// The streams of a log pass to who asks for them once their broker is out, before the log is closed.
    LeadBeforeClose,
}

/// Which rules hold: all of them, but for those that a test breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct WalRules {
    #[cfg(test)]
    pub(crate) broken: &'static [Broken],
}

impl WalRules {
    /// Whether this rule is broken: never, outside tests.
    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "the same call as in tests")]
    pub(crate) const fn breaks(self, _rule: Broken) -> bool {
        false
    }

    /// Whether this rule is broken: never, outside tests.
    #[cfg(test)]
    pub(crate) fn breaks(self, rule: Broken) -> bool {
        self.broken.contains(&rule)
    }
}
