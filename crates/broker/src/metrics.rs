//! What the broker counts by itself: plain atomics, so that a request looks nothing up and takes no lock.
//! `exposition` shows them.

use kafka_protocol::messages::ApiKey;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// API keys below this are counted apart.
const APIS: usize = 100;
/// Upper bounds of the latency buckets, in microseconds; one more bucket has none.
pub(crate) const BOUNDS_US: [u64; 12] =
    [250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 2_500_000, 30_000_000];

/// The counters of one API.
#[derive(Debug, Default)]
pub(crate) struct Api {
    pub(crate) buckets: [AtomicU64; BOUNDS_US.len() + 1],
    pub(crate) sum_us: AtomicU64,
    pub(crate) request_bytes: AtomicU64,
    pub(crate) response_bytes: AtomicU64,
}

impl Api {
    /// Requests that were answered.
    pub(crate) fn requests(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Relaxed)).sum()
    }
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

    /// The APIs that were asked.
    pub(crate) fn used(&self) -> impl Iterator<Item = (ApiKey, &Api)> {
        let named =
            (0i16..).zip(&self.apis).filter_map(|(key, api)| Some((ApiKey::try_from(key).ok()?, api)));
        named.filter(|(_, api)| api.requests() > 0)
    }
}
