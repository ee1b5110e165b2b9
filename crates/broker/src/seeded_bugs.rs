//! Bugs that are put in on purpose, to see that `e2e/history` and `e2e/simulation` find them. They are there with the
//! feature `seeded-bugs` alone, which no release has, and of these the one that `LEVEE_SEEDED_BUG` names.

/// A bug, by what it breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// `acknowledge-early`: a produce is acknowledged before it is durable.
    AcknowledgeEarly,
    /// `decide-early`: what a coordinator decides is answered before it is durable.
    DecideEarly,
    /// `forget-sequences`: what producers sent last is not known any more after a restart.
    ForgetSequences,
    /// `skip-marker`: one transaction marker of twenty is not written, and counts as written.
    SkipMarker,
    /// `hide-aborted`: readers of committed records are not told which transactions were aborted.
    HideAborted,
    /// `pass-open`: the last stable offset does not wait for open transactions.
    PassOpen,
    /// `look-up-late`: a look-up by timestamp starts a batch too late.
    LookUpLate,
}

/// Whether the bug is put in here and now.
#[cfg(not(feature = "seeded-bugs"))]
pub(crate) const fn seeded(_: Bug) -> bool {
    false
}

/// Whether the bug is put in here and now.
#[cfg(feature = "seeded-bugs")]
pub(crate) fn seeded(bug: Bug) -> bool {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    /// Of how many chances a bug that comes now and then takes one.
    const CHANCES: u64 = 20;
    static ASKED: AtomicU64 = AtomicU64::new(0);
    static NAMED: LazyLock<Option<Bug>> = LazyLock::new(|| {
        let name = std::env::var("LEVEE_SEEDED_BUG").ok()?;
        match name.as_str() {
            "acknowledge-early" => Some(Bug::AcknowledgeEarly),
            "decide-early" => Some(Bug::DecideEarly),
            "forget-sequences" => Some(Bug::ForgetSequences),
            "skip-marker" => Some(Bug::SkipMarker),
            "hide-aborted" => Some(Bug::HideAborted),
            "pass-open" => Some(Bug::PassOpen),
            "look-up-late" => Some(Bug::LookUpLate),
            _ => None,
        }
    });
    let now_and_then = bug == Bug::SkipMarker;
    *NAMED == Some(bug) && (!now_and_then || ASKED.fetch_add(1, Relaxed) % CHANCES == CHANCES - 1)
}
