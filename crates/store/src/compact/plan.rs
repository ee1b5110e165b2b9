//! What to compact next. Pure: extents in, one job out.
//!
//! A stream is a sequence of *full* extents, of half the target size or more, and of short ones, which come from the
//! write-ahead log, from uploads, and from recoveries. Full extents are left alone but for objects that are mostly
//! dead. Three rules, in this order:
//!
//! 1. *Long runs.* Neighbouring short extents of a stream that make a full one together are written as such. One
//!    rewrite brings a byte of a busy stream into an object of its own: that is all its write amplification.
//! 2. *Many pieces.* A stream with too many short extents in a row gets them joined, many such streams in one object.
//!    This bounds the extents of a stream that is not busy.
//! 3. *Many objects.* Small objects, and those of which more than half is dead, are merged, all that we lead of them,
//!    as soon as there are some of about the same live size. Sizes grow by the fan-in from one tier to the next, so a
//!    byte is rewritten once a tier. This bounds the objects of a cluster, and the room that dead bytes take.
//!
//! Each rule takes away what it looks for, and what it makes is looked for by none but a later tier: so where nothing
//! changes, nothing is left to do.
//!
//! Takes time in proportion to the extents.

use crate::registrar::{Extent, ObjectRef};
use levee_base::limits::{
    COMPACT_FAN_IN, COMPACT_INDEX_BYTES, COMPACT_OBJECT_BYTES, COMPACT_PIECES, COMPACT_SMALLEST_TIER_BYTES,
};
use levee_base::{HashMap, Offset, StreamId};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// How to plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanOptions {
    /// The size of objects that is aimed at; extents of half of it are full. Also what a job moves at most, but for the
    /// piece that passes it.
    pub object_bytes: u64,
    /// The longest index of an object that compaction makes.
    pub index_bytes: u64,
    /// Short extents in a row from which on they are joined.
    pub pieces: usize,
    /// Objects of one tier from which on they are merged.
    pub fan_in: usize,
    /// The bound of the smallest tier.
    pub smallest_tier_bytes: u64,
}

impl PlanOptions {
    /// What suits every store.
    pub const SUITABLE: Self = Self {
        object_bytes: COMPACT_OBJECT_BYTES as u64,
        index_bytes: COMPACT_INDEX_BYTES as u64,
        pieces: COMPACT_PIECES,
        fan_in: COMPACT_FAN_IN,
        smallest_tier_bytes: COMPACT_SMALLEST_TIER_BYTES,
    };
}

/// Neighbouring extents of a stream that are written anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Whose they are.
    pub stream: StreamId,
    /// They, in order, without gaps between them.
    pub extents: Vec<Extent>,
}

impl Part {
    /// Its offsets.
    #[must_use]
    pub fn range(&self) -> Range<Offset> {
        let first = self.extents.first().map_or(Offset::ZERO, |extent| extent.range.start);
        first..self.extents.last().map_or(first, |extent| extent.range.end)
    }
}

/// Why a job is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Short extents of a stream make a full one.
    LongRuns,
    /// Streams have too many short extents.
    ManyPieces,
    /// There are too many small or mostly dead objects.
    ManyObjects,
}

/// What is to be written anew, by one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Why.
    pub reason: Reason,
    /// What, sorted by stream and offset.
    pub parts: Vec<Part>,
}

impl Job {
    /// Bytes of batches that are moved.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.parts.iter().flat_map(|part| &part.extents).map(|extent| extent.bytes).sum()
    }
}

/// The next job, if there is one. `streams` are those that are led here, with their extents in order.
#[must_use]
pub fn plan(streams: &BTreeMap<StreamId, Vec<Extent>>, options: &PlanOptions) -> Option<Job> {
    long_runs(streams, options)
        .or_else(|| many_pieces(streams, options))
        .or_else(|| many_objects(streams, options))
}

/// Whether writing an extent anew would not make a longer one: it is long, or it is most of an object whose index is as
/// long as may be, which many small batches make.
fn is_full(extent: &Extent, options: &PlanOptions) -> bool {
    let most = 2 * extent.bytes >= extent.object.index.start;
    extent.bytes >= options.object_bytes / 2 || most && has_long_index(&extent.object, options)
}

fn has_long_index(object: &ObjectRef, options: &PlanOptions) -> bool {
    object.index.end - object.index.start >= options.index_bytes / 2
}

/// The runs of neighbouring short extents of a stream.
fn short_runs<'a>(extents: &'a [Extent], options: &'a PlanOptions) -> impl Iterator<Item = &'a [Extent]> {
    extents.split(|extent| is_full(extent, options)).filter(|run| run.len() > 1)
}

fn long_runs(streams: &BTreeMap<StreamId, Vec<Extent>>, options: &PlanOptions) -> Option<Job> {
    let mut longest: Option<(u64, StreamId, &[Extent])> = None;
    for (&stream, extents) in streams {
        for run in short_runs(extents, options) {
            let bytes = run.iter().map(|extent| extent.bytes).sum();
            if bytes >= options.object_bytes / 2 && longest.is_none_or(|(most, ..)| bytes > most) {
                longest = Some((bytes, stream, run));
            }
        }
    }
    let (_, stream, run) = longest?;
    let mut bytes = 0;
    let taken = run.iter().take_while(|extent| {
        let goes_on = bytes < options.object_bytes;
        bytes += extent.bytes;
        goes_on
    });
    let parts = vec![Part { stream, extents: taken.cloned().collect() }];
    Some(Job { reason: Reason::LongRuns, parts })
}

fn many_pieces(streams: &BTreeMap<StreamId, Vec<Extent>>, options: &PlanOptions) -> Option<Job> {
    let (mut parts, mut bytes) = (Vec::new(), 0);
    for (&stream, extents) in streams {
        for run in short_runs(extents, options).filter(|run| run.len() >= options.pieces) {
            if bytes >= options.object_bytes {
                break;
            }
            bytes += run.iter().map(|extent| extent.bytes).sum::<u64>();
            parts.push(Part { stream, extents: run.to_vec() });
        }
    }
    (!parts.is_empty()).then_some(Job { reason: Reason::ManyPieces, parts })
}

/// What is led here of an object.
struct Held<'a> {
    object: &'a Arc<ObjectRef>,
    live_bytes: u64,
}

fn many_objects(streams: &BTreeMap<StreamId, Vec<Extent>>, options: &PlanOptions) -> Option<Job> {
    let mut held: HashMap<&str, Held<'_>> = HashMap::default();
    for extent in streams.values().flatten() {
        let object = &extent.object;
        let known = held.entry(object.key.as_str()).or_insert(Held { object, live_bytes: 0 });
        known.live_bytes += extent.bytes;
    }
    let small = options.object_bytes / 16;
    let mut tiers: BTreeMap<u32, Vec<Held<'_>>> = BTreeMap::new();
    for one in held.into_values() {
        // An index and a header are no dead bytes.
        let dead = 2 * one.live_bytes < one.object.index.start;
        if dead || one.live_bytes < small && !has_long_index(one.object, options) {
            tiers.entry(tier(one.live_bytes, options)).or_default().push(one);
        }
    }
    let mut tier = tiers.into_values().find(|objects| objects.len() >= options.fan_in)?;
    // The oldest first, as far as names tell.
    tier.sort_unstable_by(|a, b| a.object.key.cmp(&b.object.key));
    let mut bytes = 0;
    let taken: levee_base::HashSet<&str> = tier
        .iter()
        .take_while(|one| {
            let goes_on = bytes < options.object_bytes;
            bytes += one.live_bytes;
            goes_on
        })
        .map(|one| one.object.key.as_str())
        .collect();
    let mut parts: Vec<Part> = Vec::new();
    for (&stream, extents) in streams {
        let runs = extents.split(|extent| !taken.contains(extent.object.key.as_str()));
        let runs = runs.filter(|run| !run.is_empty());
        parts.extend(runs.map(|run| Part { stream, extents: run.to_vec() }));
    }
    Some(Job { reason: Reason::ManyObjects, parts })
}

/// The tier of an object: 0 up to the smallest tier's bound, one more for each time that the fan-in fits in.
fn tier(bytes: u64, options: &PlanOptions) -> u32 {
    let (mut bound, mut tier) = (options.smallest_tier_bytes, 0);
    while bytes >= bound {
        bound = bound.saturating_mul(options.fan_in.max(2) as u64);
        tier += 1;
    }
    tier
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
