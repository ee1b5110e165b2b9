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

#[derive(Debug, Default)]
struct Api {
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
    request_bytes: AtomicU64,
    response_bytes: AtomicU64,
}

/// The broker's counters.
#[derive(Debug)]
pub struct Metrics {
    apis: Vec<Api>,
}

impl Default for Metrics {
    fn default() -> Self {
        let api = Api::default;
        Self { apis: std::iter::repeat_with(api).take(APIS).collect() }
    }
}

impl Metrics {
    /// A request was answered, so long after it was read.
    pub fn answered(&self, api: ApiKey, took: Duration, request_bytes: usize, response_bytes: usize) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if let Some(api) = usize::try_from(api as i16).ok().and_then(|key| self.apis.get(key)) {
            api.buckets[BOUNDS_US.partition_point(|bound| *bound < us)].fetch_add(1, Relaxed);
            api.sum_us.fetch_add(us, Relaxed);
            api.request_bytes.fetch_add(request_bytes as u64, Relaxed);
            api.response_bytes.fetch_add(response_bytes as u64, Relaxed);
        }
    }

    /// As Prometheus text.
    pub fn write(&self, out: &mut String) {
        let named =
            || (0i16..).zip(&self.apis).filter_map(|(key, api)| Some((ApiKey::try_from(key).ok()?, api)));
        let used = || named().filter(|(_, api)| api.request_bytes.load(Relaxed) > 0);
        metric(out, "levee_request_bytes_total", "counter", "Bytes of requests, by API.");
        for (key, api) in used() {
            let labels = format!("api=\"{key:?}\"");
            sample(out, "levee_request_bytes_total", &labels, api.request_bytes.load(Relaxed));
        }
        metric(out, "levee_response_bytes_total", "counter", "Bytes of answers, by API.");
        for (key, api) in used() {
            let labels = format!("api=\"{key:?}\"");
            sample(out, "levee_response_bytes_total", &labels, api.response_bytes.load(Relaxed));
        }
        let name = "levee_request_seconds";
        metric(out, name, "histogram", "Time from reading a request to its answer, by API.");
        for (key, api) in used() {
            let counts: Vec<u64> = api.buckets.iter().map(|bucket| bucket.load(Relaxed)).collect();
            let labels = format!("api=\"{key:?}\"");
            histogram(out, name, &labels, &BOUNDS_US, &counts, api.sum_us.load(Relaxed));
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
