//! Runs a mix of load through the world, and says what compaction cost and what it left.

use super::load::{Came, Group, receive, recover};
use super::world::{Done, Keep, World};
use levee_base::Random;
use levee_store::compact::plan::PlanOptions;

pub const KIB: u64 = 1 << 10;
pub const MIB: u64 = 1 << 20;
pub const GIB: u64 = 1 << 30;
pub const HOUR: f64 = 3_600.0;
pub const DAY: f64 = 24.0 * HOUR;
const SAMPLES: f64 = 200.0;

/// A mix of load.
#[derive(Debug, Clone)]
pub struct Mix {
    pub name: &'static str,
    pub days: f64,
    pub streams: u64,
    pub keep: fn(u64) -> Keep,
    pub load: fn(f64) -> Vec<Group>,
    /// How often it is looked for something to compact: in production at once, here as there is time for.
    pub look_seconds: f64,
    pub crash_seconds: Option<f64>,
    /// How often a topic of a hundredth of the streams is deleted.
    pub delete_seconds: Option<f64>,
}

/// What is seen now and then.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sample {
    pub objects: f64,
    pub most_extents: f64,
    pub p99_extents: f64,
    pub extents: f64,
    pub live_bytes: f64,
    pub bucket_bytes: f64,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Report {
    pub days: f64,
    pub came: Came,
    pub done: Done,
    pub samples: Vec<Sample>,
}

/// Runs a mix for some of its days.
pub fn run(mix: &Mix, share: f64, options: &PlanOptions, request_seconds: f64) -> Report {
    let random = Random::seeded(7);
    let mut world = World::new((0..mix.streams).map(mix.keep));
    world.request_seconds = request_seconds;
    let mut report = Report { days: mix.days * share, ..Report::default() };
    let horizon = report.days * DAY;
    let kept = (0..mix.streams).filter_map(|stream| (mix.keep)(stream).seconds).fold(f64::MAX, f64::min);
    let mut retained = Every(300.0_f64.max(kept.min(horizon) / 256.0), 0.0);
    let mut looked = Every(mix.look_seconds, 0.0);
    let mut sampled = Every(horizon / SAMPLES, 0.0);
    let mut crashed = Every(mix.crash_seconds.unwrap_or(f64::MAX), 0.0);
    let mut deleted = Every(mix.delete_seconds.unwrap_or(f64::MAX), 0.0);
    while world.now < horizon {
        let groups = (mix.load)(world.now);
        if crashed.is_due(world.now) {
            recover(&mut world, &groups, &random, &mut report.came);
        }
        receive(&mut world, &groups, &random, &mut report.came);
        if retained.is_due(world.now) {
            world.retain();
        }
        if deleted.is_due(world.now) {
            let topic = (mix.streams / 100).max(1);
            let first = random.below(mix.streams / topic) * topic;
            world.delete(first..first + topic);
        }
        if looked.is_due(world.now) {
            world.compact(options);
        }
        if sampled.is_due(world.now) {
            report.samples.push(sample(&world));
        }
    }
    world.check();
    report.done = world.done;
    report
}

/// A period, and when it was last over.
struct Every(f64, f64);

impl Every {
    fn is_due(&mut self, now: f64) -> bool {
        let due = now - self.1 >= self.0;
        if due {
            self.1 = now;
        }
        due
    }
}

fn sample(world: &World) -> Sample {
    let mut extents: Vec<usize> = world.streams.values().map(Vec::len).collect();
    extents.sort_unstable();
    Sample {
        objects: world.objects() as f64,
        most_extents: extents[extents.len() - 1] as f64,
        p99_extents: extents[(extents.len() - 1) * 99 / 100] as f64,
        extents: extents.iter().sum::<usize>() as f64,
        live_bytes: world.live_bytes() as f64,
        bucket_bytes: world.bucket_bytes as f64,
    }
}

impl Report {
    /// Bytes that compaction puts for each that came.
    pub fn compacted(&self) -> f64 {
        self.done.put as f64 / self.came.bytes as f64
    }

    /// Bytes that are put in all for each that came.
    fn put(&self) -> f64 {
        (self.came.log + self.came.uploads + self.done.put) as f64 / self.came.bytes as f64
    }

    pub fn most(&self, of: impl Fn(&Sample) -> f64) -> f64 {
        self.samples.iter().map(of).fold(0.0, f64::max)
    }

    /// The mean of the last so many parts of the run out of four, from the `from`th on.
    fn mean(&self, quarters: std::ops::Range<usize>, of: impl Fn(&Sample) -> f64) -> f64 {
        let (from, to) = (quarters.start * self.samples.len() / 4, quarters.end * self.samples.len() / 4);
        self.samples[from..to].iter().map(of).sum::<f64>() / (to - from).max(1) as f64
    }

    /// Bytes in the bucket for each that is kept.
    pub fn space(sample: &Sample) -> f64 {
        sample.bucket_bytes / sample.live_bytes.max(1.0)
    }

    /// Objects that are read for a GiB of a partition, whatever byte one begins at.
    fn objects_for_gib(&self) -> f64 {
        self.mean(2..4, |sample| sample.extents / (sample.live_bytes.max(1.0) / GIB as f64))
    }

    fn a_gib(&self, of: u64) -> f64 {
        of as f64 / (self.came.bytes as f64 / GIB as f64)
    }

    fn busy_percent(&self) -> f64 {
        100.0 * self.done.busy_seconds / (self.days * DAY)
    }

    /// Bytes moved for a hundred that came, by the planner's reasons: pieces, runs, many and dead objects.
    fn by_reason(&self) -> [u64; 4] {
        self.done.by_reason.map(|bytes| (bytes as f64 / self.came.bytes as f64 * 100.0) as u64)
    }

    /// As a row of the table.
    pub fn row(&self, name: &str) -> String {
        let done = &self.done;
        format!(
            "| {name} | {:.1} | {:.0} | {:.2} | {:.1} | {:.0}, {:.0} → {:.0} | {:.0}, {:.0} | {:.2}, {:.2} | {:.0} | {:.0}, \
             {:.0} | {:.0} | {:.0} | {:.1} %, {:.0} s | {:?} |",
            self.days,
            self.came.bytes as f64 / GIB as f64,
            self.compacted(),
            self.put(),
            self.most(|sample| sample.objects),
            self.mean(2..3, |sample| sample.objects),
            self.mean(3..4, |sample| sample.objects),
            self.most(|sample| sample.most_extents),
            self.most(|sample| sample.p99_extents),
            self.most(Self::space),
            self.mean(3..4, Self::space),
            self.objects_for_gib(),
            self.a_gib(done.gets),
            self.a_gib(done.puts),
            done.jobs as f64 / self.days,
            self.came.trims as f64 / self.days,
            self.busy_percent(),
            done.longest_busy_seconds,
            self.by_reason(),
        )
    }
}

pub const HEAD: &str = "\
| mix | days | GiB in | bytes put by compaction, for one in | in all | objects: most, 3rd → 4th quarter | extents a \
partition: most, p99 | bucket by live bytes: most, at last | objects read for a GiB of a partition | GET, \
PUT a GiB | commits a day: compaction | trims | busy, at a stretch | % by rule |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|";
