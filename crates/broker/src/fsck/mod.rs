//! Checks all that is in a store, without a broker or beside one: every checksum, every reference, and that offsets go
//! on without a hole. Writes nothing; `repair` deletes orphans, and nothing else.
//!
//! Order: the store is listed first and the metadata is read afterwards, so an object that is there and not known is
//! judged by the sweeper's rule, without clocks (`listing`). What the metadata refers to is then read and checked
//! (`objects`, `examine`), the logs of live brokers as far as they were listed (`tails`), the `fences` of ended ones, and
//! the metadata's own objects (`metadata`). What a check says of bytes is pure: `object`, `batches`, `streams`.
//!
//! A live broker goes on meanwhile. An object that is missed, or looks damaged, counts only if metadata that is read
//! *after* that still refers to it; it is read again first. What was made since the listing is not looked at.
//!
//! Memory: the metadata itself, the extents of so many objects (`FSCK_OBJECTS`), so many names (`FSCK_NAMES`) and
//! findings (`FSCK_FINDINGS`), so many bytes of objects (`FSCK_HELD_BYTES`), and an index for each object that is being
//! read. Nothing grows with the bytes in the store.

mod batches;
mod examine;
mod fences;
mod finding;
mod listing;
mod metadata;
mod object;
mod objects;
mod reader;
mod repair;
mod report;
mod streams;
mod tails;

pub use finding::{Affected, Finding, GiveUp, Part, Problem, Severity};
pub use repair::{Repaired, repair};
pub use report::{Counts, Mode, Progress, Report, Verdict};

use examine::Examiner;
use levee_base::limits::{FSCK_BYTES_PER_SECOND, FSCK_CONCURRENCY, FSCK_FINDINGS};
use levee_base::{Clock, Offset, Random, StreamId};
use levee_meta::{ObserveError, Observer, State};
use levee_object::Store;
use object::{Expected, Fault, Harm};
use reader::Reader;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How to check.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Headers, indexes and references only: no block is read.
    pub quick: bool,
    /// Objects that are read at once.
    pub concurrency: usize,
    /// Bytes that are read in a second at most; 0 is no limit.
    pub bytes_per_second: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { quick: false, concurrency: FSCK_CONCURRENCY, bytes_per_second: FSCK_BYTES_PER_SECOND }
    }
}

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The metadata can't be found or read.
    #[error(transparent)]
    Metadata(#[from] ObserveError),
    /// The store does not answer as it should.
    #[error(transparent)]
    Store(#[from] levee_object::Error),
}

/// A check that is under way.
struct Checker<'a> {
    reader: &'a Reader,
    observer: Observer,
    options: Options,
    progress: &'a Progress,
    findings: Vec<Finding>,
    left_out: u64,
    damaged: bool,
    counts: Counts,
}

/// Checks a store.
///
/// # Errors
/// When there is no cluster, or the store does not answer. Damage is no error.
pub async fn check(
    store: Arc<dyn Store>,
    options: Options,
    clock: Clock,
    random: &Random,
    progress: &Progress,
) -> Result<Report, CheckError> {
    let began = clock.now();
    let location = store.location();
    let reader = Reader::new(store.clone(), clock, options.bytes_per_second);
    let observer = Observer::open(store, clock, random).await?;
    let mut checker = Checker {
        reader: &reader,
        observer,
        options: Options { concurrency: options.concurrency.max(1), ..options },
        progress,
        findings: Vec::new(),
        left_out: 0,
        damaged: false,
        counts: Counts::default(),
    };
    let mut listed = checker.list().await?;
    checker.counts.listed_objects = listed.objects;
    checker.counts.listed_bytes = listed.bytes;
    checker.counts.in_the_making = listed.in_the_making;
    let journal = std::mem::take(&mut listed.journal);
    let mut orphans = Vec::new();
    if checker.observer.complete() {
        checker.references();
        checker.objects().await?;
        checker.tails(&listed.last_slots).await?;
        checker.fences().await?;
        orphans = checker.unreferenced(listed).await?;
    }
    checker.metadata(&journal).await?;
    let Checker { observer, mut findings, left_out, damaged, mut counts, .. } = checker;
    findings.sort_by(|a, b| {
        (a.severity, a.problem, &a.key, &a.detail).cmp(&(b.severity, b.problem, &b.key, &b.detail))
    });
    counts.bytes_read = reader.bytes_read.load(Ordering::Relaxed);
    Ok(Report {
        location,
        cluster: observer.cluster().to_string(),
        mode: if options.quick { Mode::Quick } else { Mode::Full },
        verdict: if damaged { Verdict::Damaged } else { Verdict::Clean },
        complete: observer.complete(),
        journal: observer.position().to_string(),
        findings,
        findings_left_out: left_out,
        counts,
        seconds: (clock.now() - began).as_secs_f64(),
        orphans,
    })
}

impl Checker<'_> {
    fn examiner(&self) -> Examiner<'_> {
        Examiner { reader: self.reader, cluster: self.observer.cluster(), quick: self.options.quick }
    }

    fn found(&mut self, finding: Finding) {
        self.damaged |= finding.severity == Severity::Damage;
        if self.findings.len() < FSCK_FINDINGS {
            self.findings.push(finding);
        } else {
            self.left_out += 1;
        }
    }

    /// Reports an object's fault by what the metadata says now.
    fn found_fault(&mut self, expected: &Expected, fault: Fault) {
        let Fault { problem, part, detail, harm } = fault;
        let affected = affected(self.observer.state(), expected, &harm);
        let harmless = affected.is_empty() && problem != Problem::Miscounted;
        let severity = if harmless { Severity::Note } else { Severity::Damage };
        let key = Some(expected.key.to_string());
        // Of an object that is gone no part is meant.
        let part = (problem != Problem::Missing || part == Part::Checkpoint).then_some(part);
        self.found(
            Finding::new(severity, problem, key, part, detail, affected).with_bytes(expected.total_bytes),
        );
    }
}

/// The records that a fault makes unreadable: of what the metadata refers to in the object, those that are kept.
fn affected(state: &State, expected: &Expected, harm: &Harm) -> Vec<Affected> {
    let kept = |stream: StreamId, range: &Range<Offset>| {
        let known = state.stream(stream)?;
        let from = range.start.max(known.start);
        records(state, stream, from..range.end)
    };
    match harm {
        Harm::Nothing => Vec::new(),
        Harm::Checkpoint(stream, offset) => expected
            .checkpoints
            .contains(&(*stream, *offset))
            .then(|| named(state, *stream, *offset..*offset))
            .flatten()
            .into_iter()
            .collect(),
        Harm::All => {
            let checkpoints = expected.checkpoints.iter();
            let checkpoints = checkpoints.filter_map(|&(stream, at)| named(state, stream, at..at));
            expected
                .extents
                .iter()
                .filter_map(|held| kept(held.stream, &held.range))
                .chain(checkpoints)
                .collect()
        }
        Harm::Offsets(stream, range) => {
            let own = expected.extents.iter().filter(|held| held.stream == *stream);
            let both = own.map(|held| held.range.start.max(range.start)..held.range.end.min(range.end));
            both.filter_map(|range| kept(*stream, &range)).collect()
        }
    }
}

/// Offsets of a stream with its topic's name; `None` for no offsets, and where there is no such stream.
fn records(state: &State, stream: StreamId, range: Range<Offset>) -> Option<Affected> {
    if range.start < range.end { named(state, stream, range) } else { None }
}

fn named(state: &State, stream: StreamId, range: Range<Offset>) -> Option<Affected> {
    let known = state.stream(stream)?;
    let topic = state.topic(known.topic)?.name.clone();
    let (partition, start) = (known.partition, known.start.0);
    Some(Affected { topic, partition, from: range.start.0, to: range.end.0, start })
}
