//! Prints what compaction costs and what it leaves in a model of months of load, a line for each mix.
//!
//! `cargo run --release -p levee-store --example compaction_model -- [--only WORD] [--share PART] [--request-ms N]`:
//! the mixes with the word in their names; a part of their time; how long a request to the store takes. No I/O.

#[path = "../tests/compaction/load.rs"]
mod load;
#[path = "../tests/compaction/mixes.rs"]
mod mixes;
#[path = "../tests/compaction/report.rs"]
mod report;
#[path = "../tests/compaction/world.rs"]
mod world;

use levee_base::Clock;
use levee_store::PlanOptions;
use report::{Report, run};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let (mut only, mut share, mut request_ms) = (String::new(), 1.0, 0.0);
    let mut options = PlanOptions::SUITABLE;
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let value = given.next().ok_or(format!("{name} needs a value"))?;
        match name.as_str() {
            "--only" => only = value,
            "--share" => share = value.parse()?,
            "--pieces" => options.pieces = value.parse()?,
            "--fan-in" => options.fan_in = value.parse()?,
            "--request-ms" => request_ms = value.parse()?,
            _ => return Err(format!("{name} is not known").into()),
        }
    }
    let clock = Clock::system();
    println!(
        "| mix | days | GiB in | compacted, put | objects, most | extents a partition, most, p99 | space, most | objects a GiB | GET (together), PUT a GiB | commits a day | busy, longest | by reason | took |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for mix in mixes::all().iter().filter(|mix| mix.name.contains(&only)) {
        let began = clock.now();
        let report = run(mix, share, &options, request_ms / 1_000.0);
        print(mix.name, &report, clock.now().duration_since(began).as_secs_f64());
    }
    Ok(())
}

fn print(name: &str, report: &Report, took: f64) {
    let done = &report.done;
    println!(
        "| {name} | {:.1} | {:.1} | {:.2}, {:.1} | {:.0} → {:.0}, {:.0} | {:.0}, {:.0} | {:.2} → {:.2}, {:.2} | {:.0} | {:.0} ({:.0}), {:.0} | {:.0} | {:.1}%, {:.0} s | {:?} | {took:.1} s |",
        report.days,
        report.came.bytes as f64 / report::GIB as f64,
        report.compacted(),
        report.put(),
        report.mean(2..3, |sample| sample.objects),
        report.mean(3..4, |sample| sample.objects),
        report.most(|sample| sample.objects),
        report.most(|sample| sample.most_extents),
        report.most(|sample| sample.p99_extents),
        report.mean(2..3, Report::space),
        report.mean(3..4, Report::space),
        report.most(Report::space),
        report.objects_for_gib(),
        report.a_gib(done.gets),
        report.a_gib(done.gets_together),
        report.a_gib(done.puts),
        done.jobs as f64 / report.days,
        report.busy_percent(),
        done.longest_busy_seconds,
        done.by_reason.map(|bytes| (bytes as f64 / report.came.bytes as f64 * 100.0) as u64),
    );
}
