//! The rules whose breach loses data at a power loss, as switches that exist in tests only: the simulation
//! must find a loss when any of them is broken, or it proves nothing. In production all of them hold.

/// A rule of the folder store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code, reason = "the difference matters to tests only"))]
pub(super) enum Rule {
    /// A file is synced before it gets its name.
    SyncFile,
    /// A directory is synced after a name was linked in it, before the create is answered.
    SyncDirectory,
    /// A directory is synced after a new one was made in it.
    SyncAboveNewDirectory,
    /// A name that may not be durable is made so before what it names is returned.
    SyncBeforeDoubtfulRead,
    /// A file whose sync failed is abandoned.
    AbandonAfterFailedSync,
}

/// Which rule is broken, if any.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rules {
    #[cfg(test)]
    pub(super) broken: Option<Rule>,
}

impl Rules {
    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "tests look at it")]
    pub(super) const fn holds(self, _rule: Rule) -> bool {
        true
    }

    #[cfg(test)]
    pub(super) fn holds(self, rule: Rule) -> bool {
        self.broken != Some(rule)
    }
}
