//! What clients write, and what the trimmer makes of it: windows of the write-ahead log, as `State::next_trim` cuts
//! them, whose long runs stay where they are and whose short ones are gathered, as `upload/gather.rs` does it.

use super::world::{Piece, World};
use levee_base::Random;
use levee_base::limits::{
    OBJECT_HEADER_BYTES, PROMOTED_BYTES, TRIM_EXTENTS, TRIM_OBJECTS, UPLOAD_AFTER, UPLOAD_BYTES,
    WAL_OBJECT_BYTES, WAL_PACE_CLOUD, WAL_UNTRIMMED_BYTES, WAL_UNTRIMMED_OBJECTS,
};
use levee_store::keeps_long_runs;
use std::ops::Range;

/// Streams that are written to alike.
#[derive(Debug, Clone)]
pub struct Group {
    pub streams: Range<u64>,
    /// Of all of them together.
    pub bytes_per_second: f64,
    pub batch: u64,
}

impl Group {
    pub fn new(streams: Range<u64>, bytes_per_second: f64, batch: u64) -> Self {
        Self { streams, bytes_per_second, batch }
    }

    fn batches_per_second(&self) -> f64 {
        self.bytes_per_second / self.batch as f64
    }
}

/// What came in, and what was put for it, headers and indexes included.
#[derive(Debug, Clone, Copy, Default)]
pub struct Came {
    pub bytes: u64,
    pub log: u64,
    pub uploads: u64,
    pub trims: u64,
}

/// How long the next window is, and how many objects of the log are in it.
fn window(groups: &[Group]) -> (f64, u64) {
    let bytes: f64 = groups.iter().map(|group| group.bytes_per_second).sum();
    let batches: f64 = groups.iter().map(Group::batches_per_second).sum();
    let paced = batches.min(1.0 / WAL_PACE_CLOUD.as_secs_f64());
    let objects = paced.max(bytes / WAL_OBJECT_BYTES as f64);
    let pieces: f64 = groups
        .iter()
        .map(|group| {
            group.batches_per_second().min(objects * (group.streams.end - group.streams.start) as f64)
        })
        .sum();
    let seconds = UPLOAD_AFTER
        .as_secs_f64()
        .min(TRIM_OBJECTS as f64 / objects)
        .min(TRIM_EXTENTS as f64 / pieces)
        .min(UPLOAD_BYTES as f64 / bytes);
    (seconds, ((seconds * objects) as u64).max(1))
}

/// So many batches of each stream of a group in a window, about.
fn draw(group: &Group, seconds: f64, random: &Random, pieces: &mut Vec<Piece>) {
    let streams = group.streams.end - group.streams.start;
    let all = group.batches_per_second() * seconds;
    let each = all / streams as f64;
    let first = pieces.len();
    if each >= 4.0 {
        for stream in group.streams.clone() {
            let about = 0.75 + random.below(512) as f64 / 1_024.0;
            let batches = (each * about).round() as u64;
            pieces.push(Piece { stream, bytes: batches * group.batch, batches });
        }
        return;
    }
    let some = all as u64 + u64::from(random.chance(all.fract()));
    let drawn = (0..some).map(|_| Piece {
        stream: group.streams.start + random.below(streams),
        bytes: group.batch,
        batches: 1,
    });
    pieces.extend(drawn);
    pieces[first..].sort_unstable_by_key(|piece| piece.stream);
    let mut kept = first;
    for at in first..pieces.len() {
        if kept > first && pieces[kept - 1].stream == pieces[at].stream {
            pieces[kept - 1].bytes += group.batch;
            pieces[kept - 1].batches += 1;
        } else {
            pieces[kept] = pieces[at];
            kept += 1;
        }
    }
    pieces.truncate(kept);
}

/// One window of the log: time passes, records come, and what they are in is registered.
pub fn receive(world: &mut World, groups: &[Group], random: &Random, came: &mut Came) {
    let (seconds, objects) = window(groups);
    world.now += seconds;
    let mut pieces = Vec::new();
    for group in groups {
        draw(group, seconds, random, &mut pieces);
    }
    pieces.sort_unstable_by_key(|piece| piece.stream);
    let bytes: u64 = pieces.iter().map(|piece| piece.bytes).sum();
    let index: u64 = pieces.iter().map(|piece| piece.batches * 57 + piece.batches.min(objects) * 56).sum();
    let total = bytes + index + objects * OBJECT_HEADER_BYTES as u64;
    came.bytes += bytes;
    came.log += total;
    came.trims += 1;
    if pieces.is_empty() {
        return;
    }
    // A run is what a stream has in one object.
    let in_objects = |piece: &Piece| objects.min(piece.batches).max(1);
    let is_long = |piece: &Piece| piece.bytes / in_objects(piece) >= PROMOTED_BYTES as u64;
    let long: u64 = pieces.iter().filter(|piece| is_long(piece)).map(|piece| piece.bytes).sum();
    let (stay, go): (Vec<Piece>, Vec<Piece>) = if keeps_long_runs(long, total) {
        pieces.into_iter().partition(is_long)
    } else {
        (Vec::new(), pieces)
    };
    if !stay.is_empty() {
        let dead = go.iter().map(|piece| piece.bytes).sum::<u64>() / objects;
        for nth in 0..objects {
            let share = |all: u64, of: u64| all * (nth + 1) / of - all * nth / of;
            let runs = stay.iter().filter(|piece| nth < in_objects(piece)).map(|piece| Piece {
                stream: piece.stream,
                bytes: share(piece.bytes, in_objects(piece)),
                batches: share(piece.batches, in_objects(piece)),
            });
            world.register(&runs.collect::<Vec<_>>(), dead);
        }
    }
    if !go.is_empty() {
        came.uploads += world.register(&go, 0);
    }
}

/// A crash: all that is not trimmed is registered where it lies.
pub fn recover(world: &mut World, groups: &[Group], random: &Random, came: &mut Came) {
    let bytes: f64 = groups.iter().map(|group| group.bytes_per_second).sum();
    let (seconds, objects) = window(groups);
    let each = seconds / objects as f64;
    let fit = (WAL_UNTRIMMED_BYTES as f64 / (bytes * each + OBJECT_HEADER_BYTES as f64)) as usize;
    for _ in 0..WAL_UNTRIMMED_OBJECTS.min(fit) {
        world.now += each;
        let mut pieces = Vec::new();
        for group in groups {
            draw(group, each, random, &mut pieces);
        }
        if !pieces.is_empty() {
            came.bytes += pieces.iter().map(|piece| piece.bytes).sum::<u64>();
            came.log += world.register(&pieces, 0);
        }
    }
}
