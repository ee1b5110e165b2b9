//! Counts every request to a store: how many, why, how many bytes, how long, and what became of it.
//!
//! This sits below the deadline and the retries, so that every attempt is seen. A request whose caller gave up
//! (its deadline passed, or its task was dropped) is counted as unanswered, not as an error of the store.

use crate::{Error, ErrorKind, Key, Page, Purpose, Result, Store};
use async_trait::async_trait;
use bytes::Bytes;
use levee_base::Clock;
use levee_base::clock::Instant;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What a store can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Operation {
    /// [`Store::create`].
    Create,
    /// [`Store::create_parts`]; one, however many parts there are.
    CreateParts,
    /// [`Store::get`].
    Get,
    /// [`Store::list`].
    List,
    /// [`Store::delete`].
    Delete,
}

impl Operation {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Create, Self::CreateParts, Self::Get, Self::List, Self::Delete];

    /// The name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::CreateParts => "create_parts",
            Self::Get => "get",
            Self::List => "list",
            Self::Delete => "delete",
        }
    }
}

const KINDS: [ErrorKind; 9] = [
    ErrorKind::AlreadyExists,
    ErrorKind::NotFound,
    ErrorKind::OutOfRange,
    ErrorKind::Throttled,
    ErrorKind::Timeout,
    ErrorKind::Unavailable,
    ErrorKind::Denied,
    ErrorKind::NoSpace,
    ErrorKind::Unsupported,
];

const BOUNDS: usize = 16;

/// Upper bounds of the latency histogram's buckets; one more bucket has none. From a local disk's half a
/// millisecond to beyond any deadline.
pub const LATENCY_BOUNDS: [Duration; BOUNDS] = [
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(4),
    Duration::from_millis(8),
    Duration::from_millis(15),
    Duration::from_millis(30),
    Duration::from_millis(60),
    Duration::from_millis(125),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
];

#[derive(Debug, Default)]
struct Counters {
    requests: AtomicU64,
    unanswered: AtomicU64,
    bytes_written: AtomicU64,
    bytes_read: AtomicU64,
    errors: [AtomicU64; KINDS.len()],
    latency_nanos: AtomicU64,
    latency: [AtomicU64; BOUNDS + 1],
}

/// The counters of one store, by operation and purpose. They only grow.
#[derive(Debug)]
pub struct StoreMetrics {
    counters: Vec<Counters>,
}

/// One row: what was asked for one purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// What was asked.
    pub operation: Operation,
    /// Why.
    pub purpose: Purpose,
    /// Requests sent.
    pub requests: u64,
    /// Requests whose caller gave up before the answer.
    pub unanswered: u64,
    /// Bytes that creates carried, whether they succeeded or not.
    pub bytes_written: u64,
    /// Bytes that gets returned.
    pub bytes_read: u64,
    /// Failures, by kind; kinds that have none are left out.
    pub errors: Vec<(ErrorKind, u64)>,
    /// The sum of the latencies of all answered requests.
    pub latency_total: Duration,
    /// Answered requests by latency, not cumulative: one bucket for each of [`LATENCY_BOUNDS`], and one more.
    pub latency_buckets: [u64; BOUNDS + 1],
}

impl Default for StoreMetrics {
    fn default() -> Self {
        let cells = Operation::ALL.len() * Purpose::ALL.len();
        Self { counters: (0..cells).map(|_| Counters::default()).collect() }
    }
}

impl StoreMetrics {
    fn of(&self, operation: Operation, purpose: Purpose) -> &Counters {
        &self.counters[operation as usize * Purpose::ALL.len() + purpose as usize]
    }

    /// All rows in which something was asked.
    #[must_use]
    pub fn usage(&self) -> Vec<Usage> {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut rows = Vec::new();
        for operation in Operation::ALL {
            for purpose in Purpose::ALL {
                let counters = self.of(operation, purpose);
                if load(&counters.requests) == 0 {
                    continue;
                }
                let errors = KINDS.iter().zip(&counters.errors).map(|(kind, count)| (*kind, load(count)));
                rows.push(Usage {
                    operation,
                    purpose,
                    requests: load(&counters.requests),
                    unanswered: load(&counters.unanswered),
                    bytes_written: load(&counters.bytes_written),
                    bytes_read: load(&counters.bytes_read),
                    errors: errors.filter(|(_, count)| *count > 0).collect(),
                    latency_total: Duration::from_nanos(load(&counters.latency_nanos)),
                    latency_buckets: std::array::from_fn(|n| load(&counters.latency[n])),
                });
            }
        }
        rows
    }

    /// Requests sent for one purpose.
    #[must_use]
    pub fn requests(&self, operation: Operation, purpose: Purpose) -> u64 {
        self.of(operation, purpose).requests.load(Ordering::Relaxed)
    }
}

/// One request that has been sent.
struct Sent<'a> {
    counters: &'a Counters,
    clock: Clock,
    started: Instant,
    answered: bool,
}

impl Sent<'_> {
    fn answered<T>(mut self, result: &Result<T>) {
        self.answered = true;
        let took = self.clock.now() - self.started;
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.counters.latency_nanos.fetch_add(nanos, Ordering::Relaxed);
        let bucket = LATENCY_BOUNDS.partition_point(|bound| *bound < took);
        self.counters.latency[bucket].fetch_add(1, Ordering::Relaxed);
        if let Err(Error { kind, .. }) = result
            && let Some(n) = KINDS.iter().position(|known| known == kind)
        {
            self.counters.errors[n].fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.counters.unanswered.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A store whose requests are counted.
#[derive(Debug)]
pub struct Metered {
    inner: Arc<dyn Store>,
    metrics: Arc<StoreMetrics>,
    clock: Clock,
}

impl Metered {
    /// Counts what `inner` is asked.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, clock: Clock) -> Self {
        Self { inner, metrics: Arc::default(), clock }
    }

    /// The counters.
    #[must_use]
    pub fn metrics(&self) -> Arc<StoreMetrics> {
        self.metrics.clone()
    }

    fn sent(&self, operation: Operation, purpose: Purpose, bytes_written: usize) -> Sent<'_> {
        let counters = self.metrics.of(operation, purpose);
        counters.requests.fetch_add(1, Ordering::Relaxed);
        counters.bytes_written.fetch_add(bytes_written as u64, Ordering::Relaxed);
        Sent { counters, clock: self.clock, started: self.clock.now(), answered: false }
    }
}

#[async_trait]
impl Store for Metered {
    fn location(&self) -> String {
        self.inner.location()
    }

    async fn create(&self, key: &Key, bytes: Bytes, purpose: Purpose) -> Result<()> {
        let sent = self.sent(Operation::Create, purpose, bytes.len());
        let result = self.inner.create(key, bytes, purpose).await;
        sent.answered(&result);
        result
    }

    async fn create_parts(&self, key: &Key, parts: Vec<Bytes>, purpose: Purpose) -> Result<()> {
        let sent = self.sent(Operation::CreateParts, purpose, parts.iter().map(Bytes::len).sum());
        let result = self.inner.create_parts(key, parts, purpose).await;
        sent.answered(&result);
        result
    }

    async fn get(&self, key: &Key, range: Option<Range<u64>>, purpose: Purpose) -> Result<Bytes> {
        let sent = self.sent(Operation::Get, purpose, 0);
        let result = self.inner.get(key, range, purpose).await;
        if let Ok(bytes) = &result {
            sent.counters.bytes_read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
        sent.answered(&result);
        result
    }

    async fn list(&self, prefix: &str, after: Option<&Key>, limit: usize, purpose: Purpose) -> Result<Page> {
        let sent = self.sent(Operation::List, purpose, 0);
        let result = self.inner.list(prefix, after, limit, purpose).await;
        sent.answered(&result);
        result
    }

    async fn delete(&self, key: &Key, purpose: Purpose) -> Result<()> {
        let sent = self.sent(Operation::Delete, purpose, 0);
        let result = self.inner.delete(key, purpose).await;
        sent.answered(&result);
        result
    }
}
