//! The rules that look at objects: which are small, and which are mostly dead.

use super::{Job, Part, PlanOptions, Reason, has_long_index, payload, up_to};
use crate::registrar::{Extent, ObjectRef};
use levee_base::{HashMap, HashSet, StreamId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The part of all objects that may be small, in each tier.
const SMALL_OBJECTS_OF_ALL: usize = 16;
/// The part of all bytes that may be dead in mostly dead objects.
const DEAD_BYTES_OF_ALL: u64 = 8;
/// Times so much while other jobs wait that empty objects.
const PATIENCE: usize = 2;

/// What is led here of an object.
struct Held<'a> {
    object: &'a Arc<ObjectRef>,
    live_bytes: u64,
}

impl Held<'_> {
    fn dead_bytes(&self) -> u64 {
        payload(self.object).saturating_sub(self.live_bytes)
    }
}

/// What is led here of objects that may be worth merging, and how much there is in all.
struct Holdings<'a> {
    held: HashMap<&'a str, Held<'a>>,
    objects: usize,
    bytes: u64,
}

/// The next job for the sake of objects. `others_wait`: jobs that will empty some of them without being for that.
pub(super) fn plan<E: AsRef<Vec<Extent>>>(
    streams: &BTreeMap<StreamId, E>,
    options: &PlanOptions,
    others_wait: bool,
) -> Option<Job> {
    let patience = if others_wait { PATIENCE } else { 1 };
    let mut all = Holdings { held: HashMap::default(), objects: 0, bytes: 0 };
    for extent in streams.values().flat_map(AsRef::as_ref) {
        let object = &extent.object;
        // Most bytes are in long objects of one extent, which need no looking up.
        if extent.bytes >= small(options) && extent.bytes == payload(object) {
            (all.objects, all.bytes) = (all.objects + 1, all.bytes + extent.bytes);
            continue;
        }
        let known = all.held.entry(object.key.as_str()).or_insert_with(|| {
            (all.objects, all.bytes) = (all.objects + 1, all.bytes + payload(object));
            Held { object, live_bytes: 0 }
        });
        known.live_bytes += extent.bytes;
    }
    many_objects(&all, options, patience)
        .map(|objects| (Reason::ManyObjects, objects))
        .or_else(|| dead_objects(&all, options, patience).map(|objects| (Reason::DeadObjects, objects)))
        .map(|(reason, objects)| Job {
            reason,
            parts: all_of(&objects, streams, options),
            bytes_per_second: u64::MAX,
        })
}

/// Objects with less are small.
fn small(options: &PlanOptions) -> u64 {
    options.object_bytes / 16
}

fn many_objects<'a>(
    all: &'a Holdings<'a>,
    options: &PlanOptions,
    patience: usize,
) -> Option<Vec<&'a Held<'a>>> {
    let mut tiers: BTreeMap<u32, Vec<&Held<'_>>> = BTreeMap::new();
    for one in all.held.values() {
        if one.live_bytes < small(options) && !has_long_index(one.object, options) {
            tiers.entry(tier(one.live_bytes, options)).or_default().push(one);
        }
    }
    let many = patience * options.fan_in.max(all.objects / SMALL_OBJECTS_OF_ALL);
    let mut tier = tiers.into_values().find(|objects| objects.len() >= many)?;
    // The oldest first, as far as names tell.
    tier.sort_unstable_by(|a, b| a.object.key.cmp(&b.object.key));
    Some(tier)
}

fn dead_objects<'a>(
    all: &'a Holdings<'a>,
    options: &PlanOptions,
    patience: usize,
) -> Option<Vec<&'a Held<'a>>> {
    let mut mostly: Vec<&Held<'_>> =
        all.held.values().filter(|one| one.dead_bytes() > one.live_bytes).collect();
    let dead: u64 = mostly.iter().map(|one| one.dead_bytes()).sum();
    if dead < patience as u64 * options.object_bytes.max(all.bytes / DEAD_BYTES_OF_ALL) {
        return None;
    }
    let share = |one: &Held<'_>| one.live_bytes as f64 / payload(one.object) as f64;
    mostly.sort_by(|a, b| share(a).total_cmp(&share(b)).then_with(|| a.object.key.cmp(&b.object.key)));
    Some(mostly)
}

/// All that is led here of the first of these objects, up to an object's size.
fn all_of<E: AsRef<Vec<Extent>>>(
    objects: &[&Held<'_>],
    streams: &BTreeMap<StreamId, E>,
    options: &PlanOptions,
) -> Vec<Part> {
    let taken = up_to(options.object_bytes, objects.iter(), |one| one.live_bytes);
    let taken: HashSet<&str> = taken.map(|one| one.object.key.as_str()).collect();
    let mut parts: Vec<Part> = Vec::new();
    for (&stream, extents) in streams {
        let runs = extents.as_ref().split(|extent| !taken.contains(extent.object.key.as_str()));
        let runs = runs.filter(|run| !run.is_empty());
        parts.extend(runs.map(|run| Part { stream, extents: run.to_vec() }));
    }
    parts
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
