//! What to compact next. Pure: extents in, one job out.
//!
//! A stream is a sequence of *full* extents, of half the target size or more, and of short ones, which come from the
//! write-ahead log, from uploads, and from recoveries. Full extents are left alone but for objects that are mostly
//! dead. A *piece* is a short extent that is too short to be read well where it lies. Four rules, in this order:
//!
//! 1. *Many pieces.* A stream with too many pieces between two full extents gets some neighbours joined, many such
//!    streams in one object. Which: those that grow most by it, whose bytes together are the largest multiple of the
//!    longest's. So a byte is written once for each manifold growth of what it lies in; were all joined each time, the
//!    oldest bytes would be written with every few new ones, and retention would never get rid of them. This bounds the
//!    extents of a stream that is not busy. The stream with the most pieces comes first, and with it its neighbours
//!    that have half as many as are too many: objects are sorted by stream, so what is read of them lies together.
//! 2. *Long runs.* Neighbouring short extents of a stream that make a full one together are written as such. One
//!    rewrite brings a byte of a busy stream into an object of its own: that is all its write amplification.
//! 3. *Many objects.* Small objects are merged, all that we lead of them, as soon as there are many of about the same
//!    live size: the fan-in, or a part of all objects where that is more. Sizes grow by the fan-in from one tier to the
//!    next, so a byte is rewritten once a tier. This bounds the objects of a cluster.
//! 4. *Dead objects.* When the dead bytes of mostly dead objects have become a part of all bytes, those objects are
//!    merged that most is dead of. That moves less than it frees. This bounds the room that dead bytes take, and lets
//!    long runs, which empty objects soon, go first.
//!
//! What costs least for what it bounds comes first: the pieces of many streams fit into one job, so that they stay few
//! even while a busy stream outruns compaction.
//!
//! A job says how fast it is worth doing. Long runs read well where they lie, and are many just when producers are busy:
//! each goes as fast as would do all that wait in some time, until one has too many extents. The others are urgent, and as
//! some long run waits always where much comes in, leisurely ones come after the rules for objects, which look on
//! for longer then: the long runs empty objects too.
//!
//! Each rule takes away what it looks for, and what it makes is looked for by none but a later tier: so where nothing
//! changes, nothing is left to do. `docs/compaction.md` says what months of load cost and leave.
//!
//! Takes time in proportion to the extents.

mod objects;

use crate::registrar::{Extent, ObjectRef};
use crate::types::ReadError;
use levee_base::limits::{
    COMPACT_FAN_IN, COMPACT_INDEX_BYTES, COMPACT_LEISURE, COMPACT_LEISURELY_BYTES_PER_SECOND,
    COMPACT_LEISURELY_EXTENTS, COMPACT_OBJECT_BYTES, COMPACT_PIECES, COMPACT_SMALLEST_TIER_BYTES,
    OBJECT_HEADER_BYTES, PROMOTED_BYTES,
};
use levee_base::{Offset, StreamId};
use std::collections::BTreeMap;
use std::ops::Range;

/// How to plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanOptions {
    /// The size of objects that is aimed at; extents of half of it are full. Also what a job moves at most, but for the
    /// piece that passes it.
    pub object_bytes: u64,
    /// The longest index of an object that compaction makes.
    pub index_bytes: u64,
    /// A shorter extent is a piece.
    pub piece_bytes: u64,
    /// Pieces between two full extents from which on neighbours are joined.
    pub pieces: usize,
    /// Small objects of one tier from which on they are merged.
    pub fan_in: usize,
    /// The bound of the smallest tier.
    pub smallest_tier_bytes: u64,
}

impl PlanOptions {
    /// What suits every store.
    pub const SUITABLE: Self = Self {
        object_bytes: COMPACT_OBJECT_BYTES as u64,
        index_bytes: COMPACT_INDEX_BYTES as u64,
        piece_bytes: PROMOTED_BYTES as u64,
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
    /// There are too many small objects.
    ManyObjects,
    /// Too many bytes are dead that lie in mostly dead objects.
    DeadObjects,
}

/// What is to be written anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Why.
    pub reason: Reason,
    /// What, sorted by stream and offset.
    pub parts: Vec<Part>,
    /// Bytes a second that are fast enough; more than can be done is as fast as may be.
    pub bytes_per_second: u64,
}

impl Job {
    /// Whether it is worth doing as fast as may be.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        self.bytes_per_second == u64::MAX
    }

    /// Bytes of batches that are moved.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.parts.iter().flat_map(|part| &part.extents).map(|extent| extent.bytes).sum()
    }

    /// The same as jobs of so many extents at most, one commit each.
    #[must_use]
    pub fn cut(self, extents: usize) -> Vec<Self> {
        let mut jobs: Vec<Self> = Vec::new();
        let (reason, bytes_per_second) = (self.reason, self.bytes_per_second);
        let mut room = 0;
        for Part { stream, extents: whole } in self.parts {
            for some in whole.chunks(extents.max(1)) {
                let part = Part { stream, extents: some.to_vec() };
                match jobs.last_mut() {
                    Some(last) if some.len() <= room => last.parts.push(part),
                    _ => {
                        jobs.push(Self { reason, parts: vec![part], bytes_per_second });
                        room = extents.max(1);
                    }
                }
                room -= some.len();
            }
        }
        jobs
    }

    /// The streams that lack an object, or its index, which could not be read.
    pub(super) fn streams_without(&self, error: &ReadError) -> impl Iterator<Item = StreamId> {
        let lacks = |object: &ObjectRef| match error {
            ReadError::Missing { key, .. } => object.key == *key,
            ReadError::Corrupt { key, range, .. } => object.key == *key && object.index == *range,
            _ => false,
        };
        let parts =
            self.parts.iter().filter(move |part| part.extents.iter().any(|extent| lacks(&extent.object)));
        parts.map(|part| part.stream)
    }
}

/// The next job, if there is one. `streams` are those that are led here, with their extents in order.
#[must_use]
pub fn plan<E: AsRef<Vec<Extent>>>(streams: &BTreeMap<StreamId, E>, options: &PlanOptions) -> Option<Job> {
    if let Some(job) = many_pieces(streams, options) {
        return Some(job);
    }
    match long_runs(streams, options) {
        Some(job) if job.is_urgent() => Some(job),
        leisurely => objects::plan(streams, options, leisurely.is_some()).or(leisurely),
    }
}

/// Whether writing an extent anew would not make a longer one: it is long, or it is most of an object whose index is as
/// long as may be, which many small batches make.
fn is_full(extent: &Extent, options: &PlanOptions) -> bool {
    let most = 2 * extent.bytes >= payload(&extent.object);
    extent.bytes >= options.object_bytes / 2 || most && has_long_index(&extent.object, options)
}

fn has_long_index(object: &ObjectRef, options: &PlanOptions) -> bool {
    object.index.end - object.index.start >= options.index_bytes / 2
}

/// Bytes of batches: an index and a header are no dead bytes.
fn payload(object: &ObjectRef) -> u64 {
    object.index.start.saturating_sub(OBJECT_HEADER_BYTES as u64)
}

/// The runs of neighbouring short extents of a stream, with their bytes.
fn short_runs<'a>(
    extents: &'a [Extent],
    options: &'a PlanOptions,
) -> impl Iterator<Item = (&'a [Extent], u64)> {
    let runs = extents.split(|extent| is_full(extent, options)).filter(|run| run.len() > 1);
    runs.map(|run| (run, bytes_of(run)))
}

fn bytes_of(extents: &[Extent]) -> u64 {
    extents.iter().map(|extent| extent.bytes).sum()
}

fn is_long(bytes: u64, options: &PlanOptions) -> bool {
    bytes >= options.object_bytes / 2
}

fn long_runs<E: AsRef<Vec<Extent>>>(streams: &BTreeMap<StreamId, E>, options: &PlanOptions) -> Option<Job> {
    let mut worst: Option<((usize, u64), StreamId, &[Extent])> = None;
    let mut waiting = 0;
    for (&stream, extents) in streams {
        for (run, bytes) in
            short_runs(extents.as_ref(), options).filter(|(_, bytes)| is_long(*bytes, options))
        {
            waiting += bytes;
            let size = (run.len(), bytes);
            if worst.is_none_or(|(most, ..)| size > most) {
                worst = Some((size, stream, run));
            }
        }
    }
    let (_, stream, run) = worst?;
    let taken = up_to(options.object_bytes, run.iter(), |extent| extent.bytes);
    let parts = vec![Part { stream, extents: taken.cloned().collect() }];
    let bytes_per_second = match run.len() < COMPACT_LEISURELY_EXTENTS {
        true => (waiting / COMPACT_LEISURE.as_secs()).max(COMPACT_LEISURELY_BYTES_PER_SECOND),
        false => u64::MAX,
    };
    Some(Job { reason: Reason::LongRuns, parts, bytes_per_second })
}

/// The first of some, until there are so many bytes.
pub(super) fn up_to<I: Iterator>(
    most: u64,
    from: I,
    bytes_of: impl Fn(&I::Item) -> u64,
) -> impl Iterator<Item = I::Item> {
    let mut bytes = 0;
    from.take_while(move |one| {
        let goes_on = bytes < most;
        bytes += bytes_of(one);
        goes_on
    })
}

fn many_pieces<E: AsRef<Vec<Extent>>>(streams: &BTreeMap<StreamId, E>, options: &PlanOptions) -> Option<Job> {
    let mut found: Vec<(usize, StreamId, &[Extent])> = Vec::new();
    for (&stream, extents) in streams {
        for (run, bytes) in short_runs(extents.as_ref(), options) {
            let is_piece = |extent: &&Extent| extent.bytes < options.piece_bytes;
            let pieces = run.iter().filter(is_piece).count();
            if 2 * pieces >= options.pieces && !is_long(bytes, options) {
                found.push((pieces, stream, widest(run)));
            }
        }
    }
    // The worst, and those of its neighbours that will have too many soon, the ones after it first.
    let worst = (0..found.len()).max_by_key(|at| (found[*at].0, std::cmp::Reverse(*at)))?;
    if found[worst].0 < options.pieces {
        return None;
    }
    let by_distance = found[worst..].iter().chain(found[..worst].iter().rev());
    let taken = up_to(options.object_bytes, by_distance, |(.., window)| bytes_of(window));
    let part = |(_, stream, window): &(usize, StreamId, &[Extent])| Part {
        stream: *stream,
        extents: window.to_vec(),
    };
    let mut parts: Vec<Part> = taken.map(part).collect();
    parts.sort_by_key(|part| (part.stream, part.range().start));
    Some(Job { reason: Reason::ManyPieces, parts, bytes_per_second: u64::MAX })
}

/// The neighbours that grow most by being joined: those whose bytes are the largest multiple of the longest's. At least
/// three, as a part that is cut in two by the end of an object must come out shorter.
fn widest(run: &[Extent]) -> &[Extent] {
    let bytes = |at: usize| run[at].bytes.max(1);
    let mut before = vec![0];
    before.extend(run.iter().scan(0, |sum, extent| {
        *sum += extent.bytes.max(1);
        Some(*sum)
    }));
    let (mut best, mut growth) = (0..run.len(), 0.0);
    // Where the stretches begin whose longest may still be passed, each longest shorter than the one before.
    let mut open: Vec<(usize, usize)> = Vec::new();
    for end in 0..=run.len() {
        let mut start = end;
        while let Some(&(from, longest)) = open.last()
            && (end == run.len() || bytes(longest) < bytes(end))
        {
            open.pop();
            start = from;
            let grown = (before[end] - before[from]) as f64 / bytes(longest) as f64;
            if end - from >= 3 && grown >= growth {
                (best, growth) = (from..end, grown);
            }
        }
        // What is as long goes on with the one before.
        if end < run.len() && open.last().is_none_or(|&(_, longest)| bytes(longest) > bytes(end)) {
            open.push((start, end));
        }
    }
    &run[best]
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
