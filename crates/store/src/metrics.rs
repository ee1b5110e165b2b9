//! Counters of the stream store, plain atomics that whoever exports metrics reads.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of the latency histogram's buckets, in microseconds; one more bucket has no bound.
pub const FLUSH_BUCKETS_US: [u64; 16] = [
    500, 1_000, 2_000, 3_000, 5_000, 8_000, 12_000, 20_000, 35_000, 60_000, 100_000, 200_000, 500_000,
    1_000_000, 5_000_000, 30_000_000,
];

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Its value.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }
}

/// A number that only goes up.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Its value.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Relaxed);
    }
}

/// How long flushes took.
#[derive(Debug, Default)]
pub struct Histogram {
    /// Flushes a bucket, not cumulative; the last has no bound. Bounds: [`FLUSH_BUCKETS_US`].
    pub buckets: [Counter; FLUSH_BUCKETS_US.len() + 1],
    /// Their sum in microseconds.
    pub sum_us: Counter,
}

impl Histogram {
    pub(crate) fn record(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.buckets[FLUSH_BUCKETS_US.partition_point(|bound| *bound < us)].add(1);
        self.sum_us.add(us);
    }
}

/// What the stream store counts.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Objects that were sealed and sent.
    pub flushes: Counter,
    /// Their bytes, headers and indexes included.
    pub flushed_bytes: Counter,
    /// Batches that were appended.
    pub batches: Counter,
    /// Their bytes.
    pub batch_bytes: Counter,
    /// Appends that were refused because a limit was reached.
    pub full: Counter,
    /// Un-trimmed write-ahead log in bytes, the open object not included.
    pub wal_bytes: Gauge,
    /// Un-trimmed write-ahead log in objects, the open one not included.
    pub wal_objects: Gauge,
    /// Objects that are sent and not yet durable.
    pub in_flight: Gauge,
    /// Objects in memory.
    pub tail_objects: Gauge,
    /// Buffers held, in bytes.
    pub buffer_bytes: Gauge,
    /// Cached indexes, in bytes.
    pub index_cache_bytes: Gauge,
    /// Cached blocks, in bytes.
    pub cache_bytes: Gauge,
    /// Spans of objects that readers found in the cache.
    pub cache_hits: Counter,
    /// Spans that had to be read from the store, ahead or when they were wanted.
    pub cache_misses: Counter,
    /// Bytes that were read ahead.
    pub read_ahead_bytes: Counter,
    /// Bytes that readers are ahead by.
    pub read_ahead_held: Gauge,
    /// What the throttles made readers far behind wait, in microseconds, all requests together.
    pub throttled_us: Counter,
    /// Trims that were committed.
    pub trims: Counter,
    /// Extents that trims registered.
    pub extents: Counter,
    /// Bytes of batches that stay in the write-ahead log's objects for good.
    pub promoted_bytes: Counter,
    /// Objects that were gathered from memory.
    pub uploads: Counter,
    /// Their bytes.
    pub uploaded_bytes: Counter,
    /// Compactions that were committed.
    pub compactions: Counter,
    /// Bytes of batches that they moved.
    pub compacted_bytes: Counter,
    /// Checkpoints that were written.
    pub checkpoints: Counter,
    /// Their bytes.
    pub checkpoint_bytes: Counter,
    /// Bytes of batches that keyed compaction has gone through.
    pub rewritten_bytes: Counter,
    /// Reads that were served from memory.
    pub tail_reads: Counter,
    /// Reads that went to the store.
    pub cold_reads: Counter,
    /// Reads that failed because an object was missing or corrupt.
    pub damaged_reads: Counter,
    /// From sealing an object to its being durable.
    pub flush_latency: Histogram,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_bucket_that_bounds_it() {
        let histogram = Histogram::default();
        for us in [0, 500, 501, 30_000_000, 30_000_001] {
            histogram.record(Duration::from_micros(us));
        }
        let counts: Vec<u64> = histogram.buckets.iter().map(Counter::get).collect();
        assert_eq!((counts[0], counts[1], counts[15], counts[16]), (2, 1, 1, 1));
        assert_eq!(histogram.sum_us.get(), 60_001_002);
    }
}
