//! The planner against a world in memory: jobs are applied as the runner applies them.

use super::*;
use levee_object::Key;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;

const KIB: u64 = 1_024;
const MIB: u64 = 1_024 * KIB;

#[derive(Debug, Default)]
struct World {
    streams: BTreeMap<StreamId, Vec<Extent>>,
    objects: u64,
    /// Bytes that came in, and bytes that were written by jobs.
    came: u64,
    moved: u64,
    jobs: u64,
}

impl World {
    fn end(&self, stream: StreamId) -> u64 {
        self.streams.get(&stream).and_then(|extents| extents.last()).map_or(0, |last| last.range.end.0)
    }

    /// Registers one object that holds so many bytes of each stream, one offset a KiB.
    fn register(&mut self, parts: &[(u64, u64)]) {
        let bytes = parts.iter().map(|(_, bytes)| bytes).sum();
        let object = self.object(bytes);
        for &(stream, bytes) in parts {
            let stream = StreamId(stream);
            let start = self.end(stream);
            let range = Offset(start)..Offset(start + bytes.div_ceil(KIB));
            self.streams.entry(stream).or_default().push(Extent { range, bytes, object: object.clone() });
        }
        self.came += bytes;
    }

    fn object(&mut self, bytes: u64) -> Arc<ObjectRef> {
        let key = Key::new("o").unwrap().join_number(self.objects);
        self.objects += 1;
        let index = 4_096 + bytes..4_096 + bytes + 200;
        Arc::new(ObjectRef { key, total_bytes: index.end, index })
    }

    fn apply(&mut self, job: &Job, options: &PlanOptions) {
        self.moved += job.bytes();
        self.jobs += 1;
        let (mut open, mut open_bytes): (Vec<(StreamId, Range<Offset>, u64)>, u64) = (Vec::new(), 0);
        let mut made = Vec::new();
        for part in &job.parts {
            for extent in &part.extents {
                if open_bytes + extent.bytes > options.object_bytes && open_bytes > 0 {
                    made.push((std::mem::take(&mut open), std::mem::take(&mut open_bytes)));
                }
                open_bytes += extent.bytes;
                match open.last_mut() {
                    Some((stream, range, bytes))
                        if *stream == part.stream && range.end == extent.range.start =>
                    {
                        range.end = extent.range.end;
                        *bytes += extent.bytes;
                    }
                    _ => open.push((part.stream, extent.range.clone(), extent.bytes)),
                }
            }
        }
        made.push((open, open_bytes));
        for part in &job.parts {
            let range = part.range();
            let extents = self.streams.get_mut(&part.stream).expect("what is planned is there");
            let at =
                extents.iter().position(|extent| extent.range.start == range.start).expect("it begins there");
            assert_eq!(extents[at..at + part.extents.len()], part.extents, "neighbours, as they are");
            extents.drain(at..at + part.extents.len());
        }
        for (pieces, bytes) in made {
            let object = self.object(bytes);
            for (stream, range, bytes) in pieces {
                let extents = self.streams.get_mut(&stream).expect("it was there");
                let at = extents.partition_point(|extent| extent.range.start < range.start);
                extents.insert(at, Extent { range, bytes, object: object.clone() });
            }
        }
    }

    /// Does all there is to do. Returns how many jobs that was.
    fn settle(&mut self, options: &PlanOptions) -> u64 {
        let before = self.jobs;
        while let Some(job) = plan(&self.streams, options) {
            let mut seen = BTreeSet::new();
            for part in &job.parts {
                assert!(part.extents.windows(2).all(|pair| pair[0].range.end == pair[1].range.start));
                assert!(seen.insert((part.stream, part.range().start)), "each part once");
            }
            self.apply(&job, options);
            for extents in self.streams.values() {
                assert!(extents.windows(2).all(|pair| pair[0].range.end == pair[1].range.start));
            }
            assert!(self.jobs - before < 10_000, "compaction comes to an end");
        }
        self.jobs - before
    }

    fn live_objects(&self) -> usize {
        let keys: BTreeSet<&str> = self.streams.values().flatten().map(|e| e.object.key.as_str()).collect();
        keys.len()
    }

    /// Of batches, dead ones too.
    fn live_objects_bytes(&self) -> u64 {
        let objects = self.streams.values().flatten().map(|extent| &extent.object);
        let bytes: BTreeMap<&str, u64> =
            objects.map(|object| (object.key.as_str(), object.index.start - 4_096)).collect();
        bytes.values().sum()
    }

    fn most_extents(&self) -> usize {
        self.streams.values().map(Vec::len).max().unwrap_or(0)
    }

    fn live_bytes(&self) -> u64 {
        self.streams.values().flatten().map(|extent| extent.bytes).sum()
    }

    fn written_once_more(&self) -> f64 {
        self.moved as f64 / self.came as f64
    }
}

proptest! {
    #[test]
    fn any_mix_comes_to_rest_and_stays_there(
        objects in prop::collection::vec(
            prop::collection::vec((0u64..12, 1u64..2_000), 1..8), 1..120),
        cut in prop::collection::vec((0u64..12, 0u64..100), 0..6),
    ) {
        let options = PlanOptions {
            object_bytes: 64 * KIB, index_bytes: MIB, piece_bytes: 4 * KIB, pieces: 4, fan_in: 3,
            smallest_tier_bytes: KIB,
        };
        let mut world = World::default();
        for object in objects {
            let parts: BTreeMap<u64, u64> = object.into_iter().collect();
            world.register(&parts.into_iter().collect::<Vec<_>>());
        }
        for (stream, percent) in cut {
            if let Some(extents) = world.streams.get_mut(&StreamId(stream)) {
                let gone = extents.len() * percent as usize / 100;
                extents.drain(..gone);
            }
        }
        let bytes = world.live_bytes();
        world.settle(&options);
        prop_assert_eq!(world.live_bytes(), bytes, "nothing is lost");
        prop_assert_eq!(world.settle(&options), 0, "at rest there is nothing to do");
        for extents in world.streams.values() {
            for (run, bytes) in short_runs(extents, &options) {
                let piece = |extent: &&Extent| extent.bytes < options.piece_bytes;
                prop_assert!(run.iter().filter(piece).count() < options.pieces);
                prop_assert!(!is_long(bytes, &options));
            }
        }
    }
}

fn extents(sizes: &[u64]) -> Vec<Extent> {
    let mut world = World::default();
    sizes.iter().for_each(|bytes| world.register(&[(1, *bytes)]));
    world.streams.remove(&StreamId(1)).unwrap()
}

/// How many times its longest extent a run is, of all that a join may take.
fn growth(run: &[Extent]) -> f64 {
    bytes_of(run) as f64 / run.iter().map(|extent| extent.bytes).max().unwrap() as f64
}

proptest! {
    #[test]
    fn the_neighbours_that_are_joined_are_those_that_grow_most(
        sizes in prop::collection::vec(prop_oneof![1u64..9, 1u64..1_000], 3..24),
    ) {
        let run = extents(&sizes);
        let windows = (3..=run.len()).flat_map(|length| run.windows(length));
        let most = windows.map(growth).fold(0.0, f64::max);
        let joined = widest(&run);
        prop_assert!(joined.len() >= 3);
        prop_assert_eq!(growth(joined), most);
    }
}

#[test]
fn what_was_joined_is_not_joined_again_with_each_new_piece() {
    let mut world = World::default();
    for _ in 0..20_000 {
        world.register(&[(1, KIB)]);
        world.settle(&PlanOptions { fan_in: usize::MAX, ..PlanOptions::SUITABLE });
    }
    // 64 and 64 times 64 is as far as 20,000 pieces go.
    assert!(world.written_once_more() < 3.0, "{}", world.written_once_more());
    assert!(world.most_extents() <= PlanOptions::SUITABLE.pieces, "{} extents", world.most_extents());
}

#[test]
fn one_busy_stream_is_written_once_more_and_lies_in_full_objects() {
    let mut world = World::default();
    // 16 GiB in promoted objects of 4 MiB.
    for _ in 0..4_096 {
        world.register(&[(1, 4 * MIB)]);
        if world.objects % 32 == 0 {
            world.settle(&PlanOptions::SUITABLE);
        }
    }
    let gib = 16.0;
    assert!(world.written_once_more() <= 1.01, "{}", world.written_once_more());
    assert!((world.most_extents() as f64) < gib * 33.0, "{} extents", world.most_extents());
}

#[test]
fn many_idle_streams_keep_few_extents_and_few_objects() {
    let mut world = World::default();
    // 1,000 streams of 300 bytes an upload, for 400 uploads.
    let parts: Vec<(u64, u64)> = (0..1_000).map(|stream| (stream, 300)).collect();
    for _ in 0..400 {
        world.register(&parts);
        world.settle(&PlanOptions::SUITABLE);
    }
    assert!(world.most_extents() < 64, "{} extents", world.most_extents());
    assert!(world.live_objects() < 64, "{} objects", world.live_objects());
    assert!(world.written_once_more() < 4.0, "{}", world.written_once_more());
}

#[test]
fn a_recovery_of_thousands_of_tiny_objects_is_merged() {
    let mut world = World::default();
    for slot in 0..2_048 {
        world.register(&[(slot % 40, 200), (100 + slot % 3, 500)]);
    }
    world.settle(&PlanOptions::SUITABLE);
    assert!(world.most_extents() < 40, "{} extents", world.most_extents());
    assert!(world.live_objects() < 64, "{} objects", world.live_objects());
}

#[test]
fn objects_that_are_mostly_dead_give_their_room_back() {
    let mut world = World::default();
    // Each holds a third that is kept, and much of a stream that retention cuts.
    for stream in 0..64 {
        world.register(&[(stream, 20 * MIB), (100, 40 * MIB)]);
    }
    world.streams.get_mut(&StreamId(100)).unwrap().clear();
    world.settle(&PlanOptions::SUITABLE);
    let bytes: u64 = world.live_objects_bytes();
    assert!(bytes <= world.live_bytes() * 3 / 2, "{} MiB", bytes / MIB);
    let moved = world.moved;
    assert!(moved <= 64 * 40 * MIB, "what is moved is no more than what is freed");
}

#[test]
fn a_little_that_is_dead_costs_nothing() {
    let mut world = World::default();
    for stream in 0..64 {
        world.register(&[(stream, 60 * MIB)]);
    }
    for stream in 100..104 {
        world.register(&[(stream, 5 * MIB), (200, 10 * MIB)]);
    }
    world.streams.get_mut(&StreamId(200)).unwrap().clear();
    world.settle(&PlanOptions::SUITABLE);
    assert_eq!(world.jobs, 0);
}

#[test]
fn long_runs_take_their_time_until_there_are_many() {
    let planned = |extents: u64, bytes: u64, streams: u64| {
        let mut world = World::default();
        for stream in 0..streams {
            (0..extents).for_each(|_| world.register(&[(stream, bytes)]));
        }
        let job = plan(&world.streams, &PlanOptions::SUITABLE).unwrap();
        assert_eq!(job.reason, Reason::LongRuns);
        job.bytes_per_second
    };
    assert_eq!(planned(8, 8 * MIB, 1), COMPACT_LEISURELY_BYTES_PER_SECOND, "little waits");
    assert_eq!(planned(200, 31 * MIB, 2), 400 * 31 * MIB / COMPACT_LEISURE.as_secs(), "all of it in time");
    let many = COMPACT_LEISURELY_EXTENTS as u64;
    assert_eq!(planned(many - 1, MIB, 1), COMPACT_LEISURELY_BYTES_PER_SECOND, "not many yet");
    assert_eq!(planned(many, MIB, 1), u64::MAX, "many");
}

#[test]
fn a_job_is_cut_into_commits_of_so_many_extents() {
    let part = |stream: u64, extents: u64| {
        let extents = (0..extents).map(|at| Extent {
            range: Offset(at)..Offset(at + 1),
            bytes: 1,
            object: World::default().object(1),
        });
        Part { stream: StreamId(stream), extents: extents.collect() }
    };
    let parts = vec![part(1, 3), part(2, 2), part(3, 9), part(4, 1)];
    let job = Job { reason: Reason::ManyPieces, parts, bytes_per_second: u64::MAX };
    let cut = job.clone().cut(4);
    let sizes =
        |job: &Job| job.parts.iter().map(|part| (part.stream.0, part.extents.len())).collect::<Vec<_>>();
    let sizes: Vec<_> = cut.iter().map(sizes).collect();
    assert_eq!(sizes, [vec![(1, 3)], vec![(2, 2)], vec![(3, 4)], vec![(3, 4)], vec![(3, 1), (4, 1)]]);
    let all = |jobs: &[Job]| {
        jobs.iter().flat_map(|job| &job.parts).flat_map(|part| part.extents.clone()).collect::<Vec<_>>()
    };
    assert_eq!(all(&cut), all(&[job]), "nothing is left out, nothing comes twice");
}
