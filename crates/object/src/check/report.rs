//! What `levee store check` found, as plain data: whoever prints it or turns it into JSON reads these fields.

use std::fmt;
use std::time::Duration;

/// What became of one examination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The store does what Levee needs.
    Passed,
    /// It was seen not to.
    Failed,
    /// It could not be found out: an error got in the way.
    Unknown,
    /// The store says that it can't do this, and Levee can do without.
    NotOffered,
}

/// One examination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was examined.
    pub name: &'static str,
    /// Whether Levee needs it.
    pub needed: bool,
    /// What became of it.
    pub outcome: Outcome,
    /// What was seen.
    pub detail: String,
    /// What it costs when the store does not do this.
    pub consequence: &'static str,
}

/// Latencies of one kind of request, one at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LatencySummary {
    /// `create 4 KiB`, `get 4 KiB` or `list`.
    pub operation: &'static str,
    /// How many were measured.
    pub count: usize,
    /// Half of them took no longer.
    pub p50: Duration,
    /// 99 of 100 took no longer.
    pub p99: Duration,
    /// The slowest.
    pub max: Duration,
}

/// Whether the bucket keeps old versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versioning {
    /// It does: deleting hides, and is paid for until a lifecycle rule expires noncurrent versions.
    On,
    /// Nothing says that it does.
    NotSeen,
    /// This store doesn't tell.
    Unknown,
}

/// May Levee be run on this store?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Fit,
    /// No: acknowledged records could be lost.
    Unfit,
    /// Could not tell: something that Levee needs was not found out.
    Unknown,
}

/// The whole report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckReport {
    /// The store's URL or path.
    pub location: String,
    /// May Levee be run on it?
    pub verdict: Verdict,
    /// All examinations, in the order in which they were made.
    pub findings: Vec<Finding>,
    /// What was measured; empty where requests failed.
    pub latencies: Vec<LatencySummary>,
    /// Whether the bucket keeps old versions.
    pub versioning: Versioning,
    /// Keys that could not be deleted afterwards; all lie below one prefix.
    pub left_behind: Vec<String>,
}

impl CheckReport {
    pub(super) fn judge(findings: &[Finding]) -> Verdict {
        let any = |outcome| findings.iter().any(|finding| finding.needed && finding.outcome == outcome);
        if any(Outcome::Failed) || any(Outcome::NotOffered) {
            Verdict::Unfit
        } else if any(Outcome::Unknown) {
            Verdict::Unknown
        } else {
            Verdict::Fit
        }
    }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.location)?;
        for finding in &self.findings {
            let mark = match (finding.outcome, finding.needed) {
                (Outcome::Passed, _) => "ok",
                (Outcome::Failed, true) => "FAILED",
                (Outcome::Failed, false) => "failed, not needed",
                (Outcome::Unknown, _) => "not found out",
                (Outcome::NotOffered, _) => "not offered",
            };
            writeln!(f, "  {}: {mark}: {}", finding.name, finding.detail)?;
            if matches!(finding.outcome, Outcome::Failed) {
                writeln!(f, "    {}", finding.consequence)?;
            }
        }
        for l in &self.latencies {
            writeln!(
                f,
                "  {}: p50 {:.1?}, p99 {:.1?}, slowest {:.1?} of {}",
                l.operation, l.p50, l.p99, l.max, l.count
            )?;
        }
        match self.versioning {
            Versioning::On => writeln!(
                f,
                "  versioning: on: deleted objects are kept and paid for until a lifecycle rule expires noncurrent versions"
            )?,
            Versioning::NotSeen => writeln!(f, "  versioning: not seen")?,
            Versioning::Unknown => writeln!(f, "  versioning: this store doesn't tell")?,
        }
        if !self.left_behind.is_empty() {
            writeln!(f, "  left behind, safe to delete: {}", self.left_behind.join(", "))?;
        }
        match self.verdict {
            Verdict::Fit => write!(f, "Levee can run on this store."),
            Verdict::Unfit => {
                write!(f, "Levee must not run on this store: acknowledged records could be lost.")
            }
            Verdict::Unknown => write!(f, "Could not tell: see what was not found out, and check again."),
        }
    }
}
