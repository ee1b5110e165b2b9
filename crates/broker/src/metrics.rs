//! What the broker counts by itself, and the Prometheus text of everything that is counted.

use kafka_protocol::messages::ApiKey;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// API keys below this are counted apart.
const APIS: usize = 100;
/// Upper bounds of the latency buckets, in microseconds.
const BOUNDS_US: [u64; 12] =
    [250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 2_500_000, 30_000_000];

#[derive(Debug)]
struct Api {
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

/// The broker's counters.
#[derive(Debug)]
pub struct Metrics {
    apis: Vec<Api>,
    produced_bytes: AtomicU64,
    produced_records: AtomicU64,
    fetched_bytes: AtomicU64,
}

impl Default for Metrics {
    fn default() -> Self {
        let api = || Api { buckets: Default::default(), sum_us: AtomicU64::default() };
        Self {
            apis: std::iter::repeat_with(api).take(APIS).collect(),
            produced_bytes: AtomicU64::default(),
            produced_records: AtomicU64::default(),
            fetched_bytes: AtomicU64::default(),
        }
    }
}

impl Metrics {
    /// A request was answered, so long after it was read.
    pub fn answered(&self, api: ApiKey, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if let Some(api) = usize::try_from(api as i16).ok().and_then(|key| self.apis.get(key)) {
            api.buckets[BOUNDS_US.partition_point(|bound| *bound < us)].fetch_add(1, Relaxed);
            api.sum_us.fetch_add(us, Relaxed);
        }
    }

    /// A batch was appended.
    pub fn produced(&self, bytes: usize, records: u32) {
        self.produced_bytes.fetch_add(bytes as u64, Relaxed);
        self.produced_records.fetch_add(u64::from(records), Relaxed);
    }

    /// Record bytes were given to a consumer.
    pub fn fetched(&self, bytes: usize) {
        self.fetched_bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// As Prometheus text.
    pub fn write(&self, out: &mut String) {
        let counters = [
            ("levee_produced_bytes_total", "Record bytes appended.", &self.produced_bytes),
            ("levee_produced_records_total", "Records appended.", &self.produced_records),
            ("levee_fetched_bytes_total", "Record bytes given to consumers.", &self.fetched_bytes),
        ];
        for (name, help, counter) in counters {
            metric(out, name, "counter", help);
            sample(out, name, "", counter.load(Relaxed));
        }
        let name = "levee_request_seconds";
        metric(out, name, "histogram", "Time from reading a request to its answer, by API.");
        for (key, api) in (0i16..).zip(&self.apis) {
            let Ok(known) = ApiKey::try_from(key) else { continue };
            let counts: Vec<u64> = api.buckets.iter().map(|bucket| bucket.load(Relaxed)).collect();
            if counts.iter().sum::<u64>() > 0 {
                let labels = format!("api=\"{known:?}\"");
                histogram(out, name, &labels, &BOUNDS_US, &counts, api.sum_us.load(Relaxed));
            }
        }
    }
}

/// The head of a metric.
pub fn metric(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// One sample; `labels` without braces.
pub fn sample(out: &mut String, name: &str, labels: &str, value: impl std::fmt::Display) {
    let _ = if labels.is_empty() {
        writeln!(out, "{name} {value}")
    } else {
        writeln!(out, "{name}{{{labels}}} {value}")
    };
}

/// One histogram in seconds, of counts a bucket (not cumulative; the last has no bound).
pub fn histogram(out: &mut String, name: &str, labels: &str, bounds_us: &[u64], counts: &[u64], sum_us: u64) {
    let comma = if labels.is_empty() { "" } else { "," };
    let mut total = 0;
    for (bound, count) in bounds_us.iter().zip(counts) {
        total += count;
        let seconds = *bound as f64 / 1e6;
        let _ = writeln!(out, "{name}_bucket{{{labels}{comma}le=\"{seconds}\"}} {total}");
    }
    total += counts.get(bounds_us.len()).copied().unwrap_or(0);
    let _ = writeln!(out, "{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {total}");
    sample(out, &format!("{name}_sum"), labels, sum_us as f64 / 1e6);
    sample(out, &format!("{name}_count"), labels, total);
}
