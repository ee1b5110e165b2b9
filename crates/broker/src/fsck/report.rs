//! What a check came to, and how far one has come that is under way.

use super::finding::Finding;
use levee_meta::ObjectName;
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// How much was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Everything.
    Full,
    /// Headers, indexes and references.
    Quick,
}

/// What it comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing is damaged. There may be waste.
    Clean,
    /// Something is.
    Damaged,
}

/// How much was checked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Objects in the store,
    pub listed_objects: u64,
    /// and their bytes.
    pub listed_bytes: u64,
    /// Objects that the metadata refers to, checked,
    pub objects: u64,
    /// their bytes as the metadata has them,
    pub object_bytes: u64,
    /// and objects of logs that are not registered yet.
    pub log_objects: u64,
    /// Blocks whose checksums were checked.
    pub blocks: u64,
    /// Batches of which the same is true, and that have the offsets they should.
    pub batches: u64,
    /// Partitions.
    pub partitions: u64,
    /// Their extents.
    pub extents: u64,
    /// Fences of ended logs and journal epochs.
    pub fences: u64,
    /// Journal entries and snapshots that were read.
    pub metadata_objects: u64,
    /// Objects that a live broker may be about to commit; they are left alone.
    pub in_the_making: u64,
    /// Bytes that were read of objects.
    pub bytes_read: u64,
}

/// What a check came to.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Which store.
    pub location: String,
    /// Whose.
    pub cluster: String,
    /// How much was read.
    pub mode: Mode,
    /// What it comes to.
    pub verdict: Verdict,
    /// Whether the journal could be read to its end. When it could not, objects were not checked against it.
    pub complete: bool,
    /// How far the journal was read: the epoch and the slot of the first entry that was not.
    pub journal: String,
    /// What was found, the worst first.
    pub findings: Vec<Finding>,
    /// Findings beyond those.
    pub findings_left_out: u64,
    /// How much was checked.
    pub counts: Counts,
    /// How long it took.
    pub seconds: f64,
    /// What `repair` can delete.
    #[serde(skip)]
    pub orphans: Vec<(ObjectName, u64)>,
}

/// How far a check has come.
#[derive(Debug, Default)]
pub struct Progress {
    phase: Mutex<&'static str>,
    done: AtomicU64,
    all: AtomicU64,
}

impl Progress {
    /// What is being done, how many of it are done, and of how many; 0 when that is not known.
    #[must_use]
    pub fn now(&self) -> (&'static str, u64, u64) {
        let phase = *self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        (phase, self.done.load(Ordering::Relaxed), self.all.load(Ordering::Relaxed))
    }

    pub(super) fn begin(&self, phase: &'static str, all: u64) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
        self.done.store(0, Ordering::Relaxed);
        self.all.store(all, Ordering::Relaxed);
    }

    pub(super) fn add(&self, done: u64) {
        self.done.fetch_add(done, Ordering::Relaxed);
    }
}
