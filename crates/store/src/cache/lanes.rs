//! What readers may ask of the store at once, and how fast. Readers near a stream's end and readers far behind have a
//! lane each: neither waits for the other, nor for the write-ahead log or the metadata, which have none. Only those far
//! behind are throttled.

use super::bucket::TokenBucket;
use crate::metrics::Metrics;
use crate::read_options::ReadOptions;
use levee_base::Clock;
use levee_base::clock::Instant;
use levee_base::limits::{READ_FLIGHT_BYTES, READ_FLIGHT_REQUESTS, THROTTLE_BURST};
use levee_object::Purpose;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Which readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Lane {
    /// Near the end.
    Tail,
    /// Far behind.
    CatchUp,
}

impl Lane {
    pub(crate) const fn purpose(self) -> Purpose {
        match self {
            Self::Tail => Purpose::Tail,
            Self::CatchUp => Purpose::CatchUp,
        }
    }
}

/// The right to a request. Gives back what it takes when dropped.
#[derive(Debug)]
#[must_use = "it is given back when dropped"]
pub(crate) struct Pass<'a> {
    _request: SemaphorePermit<'a>,
    _bytes: SemaphorePermit<'a>,
}

/// Both lanes.
#[derive(Debug)]
pub(crate) struct Lanes {
    tail: Flow,
    catch_up: Flow,
    throttles: Vec<(Unit, Mutex<TokenBucket>)>,
    clock: Clock,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Clone, Copy)]
enum Unit {
    Bytes,
    Requests,
}

#[derive(Debug)]
struct Flow {
    requests: Semaphore,
    bytes: Semaphore,
}

impl Flow {
    fn new() -> Self {
        Self { requests: Semaphore::new(READ_FLIGHT_REQUESTS), bytes: Semaphore::new(READ_FLIGHT_BYTES) }
    }
}

impl Lanes {
    pub(crate) fn new(options: &ReadOptions, clock: Clock, metrics: Arc<Metrics>) -> Self {
        let now = clock.now();
        let rates = [(Unit::Bytes, options.bytes_per_second), (Unit::Requests, options.requests_per_second)];
        let throttles = rates
            .into_iter()
            .filter_map(|(unit, rate)| Some((unit, Mutex::new(TokenBucket::new(rate?, THROTTLE_BURST, now)))))
            .collect();
        Self { tail: Flow::new(), catch_up: Flow::new(), throttles, clock, metrics }
    }

    /// Waits until a request for `bytes` may be made.
    pub(crate) async fn enter(&self, lane: Lane, bytes: u64) -> Pass<'_> {
        let flow = match lane {
            Lane::Tail => &self.tail,
            Lane::CatchUp => &self.catch_up,
        };
        // A larger one takes all there is.
        let permits = bytes.min(READ_FLIGHT_BYTES as u64) as u32;
        let pass = Pass {
            _request: flow.requests.acquire().await.expect("it is never closed"),
            _bytes: flow.bytes.acquire_many(permits).await.expect("it is never closed"),
        };
        if lane == Lane::CatchUp
            && let Some(until) = self.throttled(bytes)
        {
            let before = self.clock.now();
            self.clock.sleep_until(until).await;
            self.metrics.throttled_us.add((self.clock.now() - before).as_micros() as u64);
        }
        pass
    }

    fn throttled(&self, bytes: u64) -> Option<Instant> {
        let now = self.clock.now();
        let waits = self.throttles.iter().map(|(unit, bucket)| {
            let amount = match unit {
                Unit::Bytes => bytes,
                Unit::Requests => 1,
            };
            bucket.lock().unwrap_or_else(PoisonError::into_inner).take(amount, now)
        });
        waits.max().filter(|wait| !wait.is_zero()).map(|wait| now + wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use std::time::Duration;

    fn lanes(bytes: Option<u64>, requests: Option<u64>) -> Lanes {
        let options =
            ReadOptions { bytes_per_second: bytes, requests_per_second: requests, ..ReadOptions::SUITABLE };
        Lanes::new(&options, Clock::system(), Arc::default())
    }

    #[tokio::test(start_paused = true)]
    async fn readers_far_behind_fill_their_lane_and_leave_the_other_free() {
        let lanes = lanes(None, None);
        let half = READ_FLIGHT_BYTES as u64 / 2;
        let (one, two) = (lanes.enter(Lane::CatchUp, half).await, lanes.enter(Lane::CatchUp, half).await);
        assert!(lanes.enter(Lane::CatchUp, 1).now_or_never().is_none());
        let _tail = lanes.enter(Lane::Tail, 2 * half).now_or_never().expect("nobody else is there");
        drop(one);
        let _three = lanes.enter(Lane::CatchUp, 1).now_or_never().expect("there is room again");
        let huge = lanes.enter(Lane::CatchUp, u64::MAX);
        drop((two, _three));
        assert!(huge.now_or_never().is_some(), "what is larger than all of it takes all of it");
        let mut many = Vec::new();
        for _ in 0..READ_FLIGHT_REQUESTS {
            many.push(lanes.enter(Lane::CatchUp, 0).await);
        }
        assert!(lanes.enter(Lane::CatchUp, 0).now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_and_requests_are_throttled_for_readers_far_behind_only() {
        for (lanes, bytes) in [(lanes(Some(1_000), None), 1_000), (lanes(None, Some(1)), 0)] {
            let start = lanes.clock.now();
            for _ in 0..4 {
                drop(lanes.enter(Lane::Tail, bytes).await);
                drop(lanes.enter(Lane::CatchUp, bytes).await);
            }
            assert_eq!(
                lanes.clock.now() - start,
                Duration::from_secs(2),
                "the first two are saved and on credit"
            );
            assert_eq!(lanes.metrics.throttled_us.get(), 2_000_000);
        }
    }
}
