//! Prints what compaction costs and what it leaves in a model of months of load, a line for each mix; and how long
//! planning takes where there is much to look at.
//!
//! `cargo run --release -p levee-store --example compaction_model -- [--only WORD] [--share PART] [--request-ms N]
//! [--pieces N] [--fan-in N]`: the mixes with the word in their names; a part of their time; how long a request to the
//! store takes; the planner's options. No I/O.

#[path = "../tests/compaction/cut.rs"]
mod cut;
#[path = "../tests/compaction/load.rs"]
mod load;
#[path = "../tests/compaction/mixes.rs"]
mod mixes;
#[path = "../tests/compaction/report.rs"]
mod report;
#[path = "../tests/compaction/world.rs"]
mod world;

use levee_base::{Clock, Offset, StreamId};
use levee_object::Key;
use levee_store::compact::plan::plan;
use levee_store::{Extent, ObjectRef, PlanOptions};
use report::{HEAD, KIB, Mix, run};
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

fn main() -> Result<(), Box<dyn Error>> {
    let (mut only, mut share, mut request_ms) = (String::new(), 1.0, 0.0);
    let mut options = PlanOptions::SUITABLE;
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let value = given.next().ok_or(format!("{name} needs a value"))?;
        match name.as_str() {
            "--only" => only = value,
            "--share" => share = value.parse()?,
            "--request-ms" => request_ms = value.parse()?,
            "--pieces" => options.pieces = value.parse()?,
            "--fan-in" => options.fan_in = value.parse()?,
            _ => return Err(format!("{name} is not known").into()),
        }
    }
    println!("{HEAD}");
    let mixes: Vec<_> = mixes::all().into_iter().filter(|mix| mix.name.contains(&only)).collect();
    let (next, rows) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let (at, Some(mix)) = take(&next, &mixes) {
                    let row = run(mix, share, &options, request_ms / 1_000.0).row(mix.name);
                    rows.lock().unwrap_or_else(PoisonError::into_inner).insert(at, row);
                }
            });
        }
    });
    for row in rows.into_inner().unwrap_or_else(PoisonError::into_inner).values() {
        println!("{row}");
    }
    planning(&options);
    Ok(())
}

fn take<'a>(next: &AtomicUsize, mixes: &'a [Mix]) -> (usize, Option<&'a Mix>) {
    let at = next.fetch_add(1, Ordering::Relaxed);
    (at, mixes.get(at))
}

/// 10,000 streams of 50 extents in shared objects of 64 MiB, where nothing is to be done.
fn planning(options: &PlanOptions) {
    // After a commit each stream gets its extents anew, with references of its own.
    let extent = |nth: u64| {
        let key = Key::new("data/1").expect("it is a key").join_number(nth);
        let index = 4_096 + 10_000 * 6 * KIB..4_096 + 10_000 * 6 * KIB + 600_000;
        let object = Arc::new(ObjectRef { key, total_bytes: index.end, index });
        Extent { range: Offset(nth)..Offset(nth + 1), bytes: 6 * KIB, object }
    };
    let streams: BTreeMap<StreamId, Arc<Vec<Extent>>> =
        (0..10_000).map(|stream| (StreamId(stream), Arc::new((0..50).map(extent).collect()))).collect();
    let clock = Clock::system();
    let began = clock.now();
    let shared = streams.clone();
    let taken = clock.now();
    let job = plan(&shared, options);
    let planned = clock.now();
    println!(
        "\n10,000 streams of 50 extents: taken in {:?}, planned in {:?}; {}",
        taken.duration_since(began),
        planned.duration_since(taken),
        job.map_or("nothing to do".to_owned(), |job| format!("{:?}", job.reason)),
    );
}
