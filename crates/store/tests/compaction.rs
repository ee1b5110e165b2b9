//! Hours to days of synthetic load through the compaction planner, with bounds on what it writes and on what it leaves. The
//! example `compaction_model` runs the same mixes for longer.

#[path = "compaction/cut.rs"]
mod cut;
#[path = "compaction/load.rs"]
mod load;
#[path = "compaction/mixes.rs"]
mod mixes;
#[path = "compaction/report.rs"]
mod report;
#[path = "compaction/world.rs"]
mod world;

use levee_store::PlanOptions;
use levee_store::compact::plan::plan;
use proptest::prelude::*;
use report::{HEAD, KIB, Report, Sample, run};
use world::{Keep, Piece, World};

/// What a mix may cost and leave.
struct Bound {
    /// Bytes put by compaction for each that came: a byte of a busy stream is written once more. One of a stream that
    /// is not grows some 64-fold each time, from a batch to a full extent in three times at most; merging small and dead
    /// objects adds to that what it frees.
    compacted: f64,
    /// Extents of a partition, beside full ones and those that come between two looks for work: 64 pieces, and up to 256
    /// extents of 128 KiB, which 32 MiB have at most.
    extents: f64,
    /// Objects beside one for each 16 MiB: 128 in each of three tiers, and what comes between two looks.
    objects: f64,
    /// Bytes in the bucket for each that retention keeps, 128 MiB apart: at most half of an object is dead, or an eighth
    /// of all bytes. In practice less.
    space: f64,
}

const BOUND: Bound = Bound { compacted: 3.0, extents: 320.0, objects: 400.0, space: 1.5 };

fn check(word: &str, share: f64, bound: &Bound) {
    let mixes = mixes::all();
    let mix = mixes.iter().find(|mix| mix.name.contains(word)).expect("there is such a mix");
    let report = run(mix, share, &PlanOptions::SUITABLE, 0.0);
    let row = report.row(mix.name);
    println!("{HEAD}\n{row}");
    let mib = (1024 * KIB) as f64;
    assert!(report.compacted() <= bound.compacted, "writes: {row}");
    assert!(report.most(|sample| sample.p99_extents) <= bound.extents, "extents: {row}");
    assert!(
        report.most(|sample| sample.objects - sample.bucket_bytes / mib / 16.0) <= bound.objects,
        "objects: {row}"
    );
    let beyond = |sample: &Sample| (sample.bucket_bytes - 128.0 * mib).max(0.0) / sample.live_bytes.max(1.0);
    assert!(report.most(beyond) <= bound.space, "space: {row}");
    assert!(report.most(Report::space) >= 1.0, "what is kept is in the bucket: {row}");
}

#[test]
fn one_partition() {
    // All its bytes are moved once, into objects of their own; a window of the log has 512 objects.
    let full = 0.1 * 86_400.0 * 4.0 / 63.0;
    check(
        "one partition",
        0.02,
        &Bound { compacted: 1.05, extents: full + 320.0 + 512.0, space: 1.05, ..BOUND },
    );
}

#[test]
fn idle_partitions() {
    // Objects that hold something of each are merged, so that no stream ever has too many pieces.
    check("10,000 partitions, a", 0.012, &Bound { compacted: 1.6, extents: 70.0, ..BOUND });
}

#[test]
fn few_busy_partitions() {
    // All become long at the same time, and share objects until then.
    check("12 partitions", 0.05, &Bound { compacted: 1.5, extents: 400.0, space: 2.0, ..BOUND });
    check("100 partitions, 100", 0.04, &Bound { compacted: 1.2, space: 2.0, ..BOUND });
}

#[test]
fn idle_partitions_beside_busy_ones() {
    // A window of the log has 512 objects.
    check("both: ", 0.05, &Bound { compacted: 1.5, extents: 70.0, objects: 912.0, space: 1.2 });
    // Long runs wait all the time, and what is dead is got rid of all the same.
    check("24 MiB/s", 0.12, &Bound { compacted: 1.5, extents: 400.0, space: 2.0, ..BOUND });
}

#[test]
fn rates_by_zipf() {
    check("Zipf", 0.015, &BOUND);
    check("bursts", 0.025, &BOUND);
}

#[test]
fn what_goes_goes_at_different_times() {
    check("kept 1, 7 days", 0.02, &Bound { space: 1.7, ..BOUND });
    check("topics deleted", 0.02, &BOUND);
    check("that then stop", 0.04, &Bound { compacted: 1.5, ..BOUND });
}

#[test]
fn crashes() {
    // The logs of two crashes may lie between two looks for work.
    check("a crash an hour", 0.05, &Bound { objects: 4_500.0, ..BOUND });
}

#[test]
fn tiny_batches() {
    // The index is more than half as long as the batches, and ends objects early.
    let (compacted, space) = (1.57 * BOUND.compacted, 1.57 * BOUND.space);
    check("batches of 100 bytes", 0.05, &Bound { compacted, space, objects: 600.0, ..BOUND });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Objects end where they are full, in the middle of a stream, and tiny batches make them end early.
    #[test]
    fn whatever_is_cut_comes_to_rest(
        objects in prop::collection::vec(prop::collection::vec((0u64..6, 1u64..400, 1u64..200), 1..6), 1..80),
        deleted in prop::collection::vec(0u64..6, 0..3),
    ) {
        let options = PlanOptions {
            object_bytes: 64 * KIB, index_bytes: 4 * KIB, piece_bytes: 4 * KIB, pieces: 4, fan_in: 3,
            smallest_tier_bytes: KIB,
        };
        let mut world = World::new([Keep::default(); 6]);
        for object in objects {
            let mut pieces: Vec<Piece> = object
                .into_iter()
                .map(|(stream, batch, batches)| Piece { stream, bytes: batch * batches, batches })
                .collect();
            pieces.sort_by_key(|piece| piece.stream);
            pieces.dedup_by_key(|piece| piece.stream);
            world.register(&pieces, 0);
        }
        for stream in deleted {
            world.delete(stream..stream + 1);
        }
        let mut jobs = 0;
        while let Some(job) = plan(&world.streams, &options) {
            world.apply(&job, &options);
            world.check();
            jobs += 1;
            prop_assert!(jobs < 1_000, "compaction comes to an end: {:?}", job.reason);
        }
    }
}
