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
    /// `count-aborted`: keyed compaction removes records for the sake of later ones that were aborted.
    CountAborted,
    /// `forget-commits`: one record of four of what groups have committed is not read back by a coordinator that loads.
    ForgetCommits,
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
            "count-aborted" => Some(Bug::CountAborted),
            "forget-commits" => Some(Bug::ForgetCommits),
            _ => None,
        }
    });
    // Of how many chances it takes one.
    let chances = match bug {
        Bug::SkipMarker => 20,
        Bug::ForgetCommits => 4,
        _ => 1,
    };
    *NAMED == Some(bug) && ASKED.fetch_add(1, Relaxed) % chances == chances - 1
}
