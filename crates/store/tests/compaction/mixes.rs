//! The mixes of load that compaction is modelled with. Rates are as high, and times as long, as a run has time for:
//! what is kept is turned over several times.

use super::load::Group;
use super::report::{DAY, HOUR, KIB, MIB, Mix};
use super::world::Keep;

const IDLE: u64 = 10_000;

fn days(days: f64) -> Keep {
    Keep { seconds: Some(days * DAY), bytes: None }
}

fn week(_: u64) -> Keep {
    days(7.0)
}

/// A record of 300 bytes an hour.
fn idle(first: u64, streams: u64) -> Group {
    Group::new(first..first + streams, streams as f64 * 300.0 / HOUR, 300)
}

/// The nth busiest gets an nth of what the busiest gets.
fn zipf(streams: u64, bytes_per_second: f64, batch: u64) -> Vec<Group> {
    let ranges: Vec<_> = (0..64)
        .map(|power| (1_u64 << power) - 1)
        .take_while(|first| *first < streams)
        .map(|first| first..(2 * first + 1).min(streams))
        .collect();
    let share =
        |range: &std::ops::Range<u64>| -> f64 { range.clone().map(|rank| 1.0 / (rank + 1) as f64).sum() };
    let all: f64 = ranges.iter().map(share).sum();
    ranges
        .iter()
        .map(|range| Group::new(range.clone(), bytes_per_second * share(range) / all, batch))
        .collect()
}

/// All of them.
pub fn all() -> Vec<Mix> {
    let mix = Mix {
        name: "",
        days: 1.0,
        streams: 1,
        keep: week,
        load: |_| Vec::new(),
        look_seconds: 0.0,
        crash_seconds: None,
        delete_seconds: None,
    };
    vec![
        Mix {
            name: "one partition, 4 MiB/s",
            days: 5.0,
            keep: |_| days(0.5),
            load: |_| vec![Group::new(0..1, 4.0 * MIB as f64, 16 * KIB)],
            ..mix.clone()
        },
        Mix {
            name: "10,000 partitions, a record an hour",
            days: 60.0,
            streams: IDLE,
            load: |_| vec![idle(0, IDLE)],
            look_seconds: 4.0 * HOUR,
            ..mix.clone()
        },
        Mix {
            name: "both: 2 MiB/s and 10,000 idle",
            days: 0.5,
            streams: IDLE + 1,
            keep: |stream| days(if stream == 0 { 0.1 } else { 7.0 }),
            load: |_| vec![Group::new(0..1, 2.0 * MIB as f64, 16 * KIB), idle(1, IDLE)],
            look_seconds: 60.0,
            ..mix.clone()
        },
        Mix {
            name: "24 MiB/s to 100 partitions and 10,000 idle",
            days: 0.3,
            streams: IDLE + 100,
            keep: |stream| days(if stream < 100 { 0.02 } else { 7.0 }),
            load: |_| vec![Group::new(0..100, 24.0 * MIB as f64, 16 * KIB), idle(100, IDLE)],
            look_seconds: 10.0,
            ..mix.clone()
        },
        Mix {
            name: "Zipf over 10,000, 1 MiB/s",
            days: 1.0,
            streams: IDLE,
            keep: |_| days(0.25),
            load: |_| zipf(IDLE, MIB as f64, 4 * KIB),
            look_seconds: 300.0,
            ..mix.clone()
        },
        Mix {
            name: "100 partitions, 100 KiB/s each",
            days: 0.5,
            streams: 100,
            keep: |_| days(0.125),
            load: |_| vec![Group::new(0..100, 10.0 * MIB as f64, 16 * KIB)],
            ..mix.clone()
        },
        Mix {
            name: "12 partitions, 2 MiB/s each",
            days: 0.25,
            streams: 12,
            keep: |_| days(0.0625),
            load: |_| vec![Group::new(0..12, 24.0 * MIB as f64, 64 * KIB)],
            ..mix.clone()
        },
        Mix {
            name: "kept 1, 7 days, 4 MiB or for ever",
            days: 60.0,
            streams: 1_000,
            keep: |stream| match stream % 8 {
                0 => Keep::default(),
                1..4 => days(1.0),
                4 => Keep { seconds: None, bytes: Some(4 * MIB) },
                _ => days(7.0),
            },
            load: |_| zipf(1_000, 32.0 * KIB as f64, KIB),
            look_seconds: HOUR,
            ..mix.clone()
        },
        Mix {
            name: "topics deleted, 2 a day",
            days: 60.0,
            streams: 1_000,
            keep: |_| days(30.0),
            load: |_| zipf(1_000, 32.0 * KIB as f64, KIB),
            look_seconds: HOUR,
            delete_seconds: Some(DAY / 2.0),
            ..mix.clone()
        },
        Mix {
            name: "100 partitions a day that then stop",
            days: 90.0,
            streams: 9_000,
            keep: |stream| days(if stream.is_multiple_of(10) { 365.0 } else { 2.0 }),
            load: |now| {
                let day = (now / DAY) as u64 % 90;
                vec![Group::new(day * 100..(day + 1) * 100, 32.0 * KIB as f64, KIB)]
            },
            look_seconds: HOUR,
            ..mix.clone()
        },
        Mix {
            name: "bursts: 10 MiB/s for 10 minutes in 6 hours",
            days: 20.0,
            streams: 1_000,
            load: |now| {
                let burst = now % (6.0 * HOUR) < 600.0;
                zipf(1_000, if burst { 10.0 * MIB as f64 } else { 10.0 * KIB as f64 }, 4 * KIB)
            },
            look_seconds: 60.0,
            ..mix.clone()
        },
        Mix {
            name: "1,000 partitions, batches of 100 bytes",
            days: 10.0,
            streams: 1_000,
            keep: |_| days(2.0),
            load: |_| zipf(1_000, 64.0 * KIB as f64, 100),
            look_seconds: HOUR,
            ..mix.clone()
        },
        Mix {
            name: "a crash an hour, 1,000 partitions",
            days: 30.0,
            streams: 1_000,
            load: |_| zipf(1_000, 16.0 * KIB as f64, KIB),
            look_seconds: HOUR,
            crash_seconds: Some(HOUR),
            ..mix.clone()
        },
        Mix {
            name: "overload: 200 MiB/s and 1,000 idle",
            days: 0.05,
            streams: 1_001,
            keep: |_| days(0.01),
            load: |_| vec![Group::new(0..1, 200.0 * MIB as f64, 64 * KIB), idle(1, 1_000)],
            ..mix
        },
    ]
}
