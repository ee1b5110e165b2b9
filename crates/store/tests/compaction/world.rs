//! A cluster's streams, extents and objects without their bytes, changed by what changes them in production: trims,
//! recoveries, retention, deletion, and the planner's jobs, which are applied as `compact/run.rs` does them. Every job
//! is checked against the world first. An offset is a batch here.

use super::cut::{INDEX_BYTES, Writer, index_bytes};
use levee_base::limits::{
    COMPACT_BYTES_PER_SECOND, COMPACT_COMMIT_EXTENTS, COMPACT_HELD_BYTES, COMPACT_READ_BYTES, COMPACT_READS,
    OBJECT_HEADER_BYTES,
};
use levee_base::{HashMap, Offset, StreamId};
use levee_object::Key;
use levee_store::compact::plan::{Job, PlanOptions, Reason, plan};
use levee_store::{Extent, ObjectRef};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

/// How exactly it is known which records are too old: one part in so many of what is kept.
const MARKS: u64 = 64;

/// What is kept of a stream.
#[derive(Debug, Clone, Copy, Default)]
pub struct Keep {
    pub seconds: Option<f64>,
    pub bytes: Option<u64>,
}

/// So much of a stream.
#[derive(Debug, Clone, Copy)]
pub struct Piece {
    pub stream: u64,
    pub bytes: u64,
    pub batches: u64,
}

/// A place in a stream: its offset, the bytes before it, and when it was written.
#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    offset: u64,
    bytes: u64,
    since: f64,
    until: f64,
}

#[derive(Debug, Clone, Default)]
struct Known {
    start: Mark,
    marks: VecDeque<Mark>,
    keep: Keep,
}

impl Known {
    fn end(&self) -> Mark {
        self.marks.back().copied().unwrap_or(self.start)
    }

    /// Goes on to an offset.
    fn append(&mut self, bytes: u64, batches: u64, now: f64) {
        let end = self.end();
        let next = Mark { offset: end.offset + batches, bytes: end.bytes + bytes, since: now, until: now };
        let before = self.marks.iter().rev().nth(1).map_or(self.start.bytes, |mark| mark.bytes);
        match self.marks.back_mut() {
            Some(last)
                if self.keep.seconds.is_none_or(|kept| now - last.since < kept / MARKS as f64)
                    && self.keep.bytes.is_none_or(|kept| next.bytes - before < kept / MARKS) =>
            {
                *last = Mark { since: last.since, ..next };
            }
            _ => self.marks.push_back(next),
        }
    }

    /// Moves the start.
    fn expire(&mut self, now: f64) {
        let end = self.end().bytes;
        while self.marks.front().is_some_and(|mark| {
            self.keep.seconds.is_some_and(|kept| mark.until < now - kept)
                || self.keep.bytes.is_some_and(|kept| end - mark.bytes >= kept)
        }) {
            self.start = self.marks.pop_front().unwrap_or_default();
        }
    }
}

/// What compaction has done.
#[derive(Debug, Clone, Copy, Default)]
pub struct Done {
    pub jobs: u64,
    pub by_reason: [u64; 4],
    pub moved: u64,
    /// Bytes put, headers and indexes included.
    pub put: u64,
    pub puts: u64,
    /// At most: an index of each object, then each extent by itself, or all of the object.
    pub gets: u64,
    pub busy_seconds: f64,
    pub longest_busy_seconds: f64,
}

#[derive(Debug, Default)]
pub struct World {
    pub now: f64,
    pub streams: BTreeMap<StreamId, Vec<Extent>>,
    pub done: Done,
    /// Bytes of all objects that something refers to.
    pub bucket_bytes: u64,
    /// What a request to the store takes.
    pub request_seconds: f64,
    known: Vec<Known>,
    objects: HashMap<*const ObjectRef, u64>,
    numbers: u64,
    /// Compaction works until then, and has since then.
    busy_until: f64,
    busy_since: f64,
}

impl World {
    pub fn new(keeps: impl IntoIterator<Item = Keep>) -> Self {
        let known: Vec<Known> = keeps.into_iter().map(|keep| Known { keep, ..Known::default() }).collect();
        let streams = (0..known.len() as u64).map(|stream| (StreamId(stream), Vec::new())).collect();
        Self { streams, known, ..Self::default() }
    }

    /// Registers an object; `dead` bytes of it are nobody's. Says how long it is.
    pub fn register(&mut self, pieces: &[Piece], dead: u64) -> u64 {
        let bytes: u64 = pieces.iter().map(|piece| piece.bytes).sum();
        let object = self
            .object(bytes + dead, pieces.iter().map(|piece| index_bytes(piece.bytes, piece.batches)).sum());
        for piece in pieces {
            let known = &mut self.known[piece.stream as usize];
            let from = Offset(known.end().offset);
            known.append(piece.bytes, piece.batches, self.now);
            let range = from..Offset(known.end().offset);
            let extents = self.streams.get_mut(&StreamId(piece.stream)).expect("it is there");
            extents.push(Extent { range, bytes: piece.bytes, object: object.clone() });
        }
        *self.objects.entry(Arc::as_ptr(&object)).or_default() += pieces.len() as u64;
        object.total_bytes
    }

    fn object(&mut self, payload: u64, index: u64) -> Arc<ObjectRef> {
        let key = Key::new("data/1").expect("it is a key").join_number(self.numbers);
        self.numbers += 1;
        let start = OBJECT_HEADER_BYTES as u64 + payload;
        let index = start..start + INDEX_BYTES + index;
        let object = Arc::new(ObjectRef { key, total_bytes: index.end, index });
        self.bucket_bytes += object.total_bytes;
        object
    }

    fn release(&mut self, object: &Arc<ObjectRef>) {
        let references = self.objects.get_mut(&Arc::as_ptr(object)).expect("it is registered");
        *references -= 1;
        if *references == 0 {
            self.objects.remove(&Arc::as_ptr(object));
            self.bucket_bytes -= object.total_bytes;
        }
    }

    /// Retention: starts move, and extents that lie before them go.
    pub fn retain(&mut self) {
        for stream in 0..self.known.len() as u64 {
            self.known[stream as usize].expire(self.now);
            self.drop_dead(stream);
        }
    }

    /// A topic goes, and another takes its place in the model.
    pub fn delete(&mut self, streams: Range<u64>) {
        for stream in streams {
            let known = &mut self.known[stream as usize];
            known.start = known.end();
            known.marks.clear();
            self.drop_dead(stream);
        }
    }

    fn drop_dead(&mut self, stream: u64) {
        let start = self.known[stream as usize].start.offset;
        let extents = self.streams.get_mut(&StreamId(stream)).expect("it is there");
        let gone = extents.partition_point(|extent| extent.range.end.0 <= start);
        let gone: Vec<Extent> = extents.drain(..gone).collect();
        for extent in gone {
            self.release(&extent.object);
        }
    }

    /// Compacts as long as there is time until now.
    pub fn compact(&mut self, options: &PlanOptions) {
        if self.busy_until > self.now {
            return;
        }
        loop {
            let Some(job) = plan(&self.streams, options) else {
                self.busy_until = self.now;
                self.busy_since = self.now;
                return;
            };
            let jobs = job.cut(COMPACT_COMMIT_EXTENTS);
            for job in &jobs {
                let seconds = self.apply(job, options);
                let leisurely = job.bytes() as f64 / job.bytes_per_second as f64;
                self.busy_until += seconds.max(leisurely);
                self.done.busy_seconds += seconds;
            }
            let busy = self.busy_until - self.busy_since;
            self.done.longest_busy_seconds = self.done.longest_busy_seconds.max(busy);
            if self.busy_until > self.now {
                return;
            }
        }
    }

    /// Does a job. Says how long it takes at least.
    pub fn apply(&mut self, job: &Job, options: &PlanOptions) -> f64 {
        let gets = self.count(job);
        let mut writer = Writer::new(options);
        let mut parts = Vec::new();
        for part in &job.parts {
            let mut pieces = Vec::new();
            for extent in &part.extents {
                writer.copy(extent, &mut pieces);
            }
            parts.push(pieces);
        }
        let objects: Vec<Arc<ObjectRef>> =
            writer.made.iter().map(|&(bytes, index)| self.object(bytes, index)).collect();
        self.done.puts += objects.len() as u64;
        self.done.put += objects.iter().map(|object| object.total_bytes).sum::<u64>();
        for (part, pieces) in job.parts.iter().zip(parts) {
            let new = pieces.into_iter().map(|(made, range, bytes)| {
                let object = objects[made].clone();
                *self.objects.entry(Arc::as_ptr(&object)).or_default() += 1;
                Extent { range, bytes, object }
            });
            let new: Vec<Extent> = new.collect();
            let extents = self.streams.get_mut(&part.stream).expect("what is planned is there");
            let at = extents.partition_point(|extent| extent.range.start < part.range().start);
            let old = at..at + part.extents.len();
            assert_eq!(extents[old.clone()], part.extents, "neighbours, as they are");
            extents.splice(old, new);
            for extent in &part.extents {
                self.release(&extent.object);
            }
        }
        let paced = job.bytes() as f64 / COMPACT_BYTES_PER_SECOND as f64;
        let in_turn = gets.div_ceil(COMPACT_READS as u64) + objects.len() as u64;
        paced.max(in_turn as f64 * self.request_seconds)
    }

    fn count(&mut self, job: &Job) -> u64 {
        // Of each object, its requests extent by extent, and its length.
        let mut objects: BTreeMap<*const ObjectRef, (u64, u64)> = BTreeMap::new();
        for extent in job.parts.iter().flat_map(|part| &part.extents) {
            let (single, payload) = objects.entry(Arc::as_ptr(&extent.object)).or_default();
            *single += extent.bytes.div_ceil(COMPACT_READ_BYTES);
            *payload = extent.object.index.start;
        }
        // Objects and jobs are sorted by stream: at worst an object is read from its start to its end, in requests that
        // are as long as so many objects at a time allow.
        let most = (COMPACT_HELD_BYTES / (COMPACT_READS + objects.len()) as u64).min(COMPACT_READ_BYTES);
        let gets = objects.values().map(|(single, payload)| 1 + *single.min(&payload.div_ceil(most))).sum();
        let done = &mut self.done;
        done.gets += gets;
        done.jobs += 1;
        done.moved += job.bytes();
        done.by_reason[match job.reason {
            Reason::ManyPieces => 0,
            Reason::LongRuns => 1,
            Reason::ManyObjects => 2,
            Reason::DeadObjects => 3,
        }] += job.bytes();
        gets
    }

    pub fn objects(&self) -> usize {
        self.objects.len()
    }

    /// Bytes of batches that retention keeps.
    pub fn live_bytes(&self) -> u64 {
        self.known.iter().map(|known| known.end().bytes - known.start.bytes).sum()
    }

    /// # Panics
    /// When a stream has a hole, or a reference isn't counted.
    pub fn check(&self) {
        let mut references: HashMap<*const ObjectRef, u64> = HashMap::default();
        for (stream, extents) in &self.streams {
            let known = &self.known[stream.0 as usize];
            assert!(extents.windows(2).all(|pair| pair[0].range.end == pair[1].range.start), "contiguous");
            let end = extents.last().map_or(known.start.offset, |last| last.range.end.0);
            assert_eq!(end, known.end().offset, "nothing is lost");
            for extent in extents {
                *references.entry(Arc::as_ptr(&extent.object)).or_default() += 1;
            }
        }
        assert_eq!(references, self.objects, "references are exact");
    }
}
