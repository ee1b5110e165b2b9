//! A deadline for every request, which grows with its bytes, and a few more tries for those that can be repeated: get, list and delete.
//! A create is never repeated here, and only its caller knows why: whether it took effect is settled by reading
//! the key, and only who knows the bytes can tell whose they are.
//!
//! Tries are few and bounded; whoever must go on for ever (the fenced log) does so above, where it is logged
//! once an episode.

use crate::{Error, ErrorKind, Key, Page, Purpose, Result, Store};
use async_trait::async_trait;
use bytes::Bytes;
use levee_base::limits::{
    STORE_ATTEMPTS, STORE_BACKOFF, STORE_BACKOFF_MAX, STORE_BYTES_PER_SECOND, STORE_DEADLINE,
    STORE_WHOLE_BYTES,
};
use levee_base::{Clock, Random};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// How long to wait and how often to try.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// How long one try may take before it counts as [`ErrorKind::Timeout`], beside the time for its bytes.
    pub deadline: Duration,
    /// How fast the bytes of a request must pass at least, in bytes a second: the more they are, the later its
    /// deadline.
    pub bytes_per_second: u64,
    /// Tries of a get, list or delete, the first included.
    pub attempts: u32,
    /// The longest wait before the second try; doubled for each further one. What is waited is drawn evenly
    /// from the upper half of it, so that clients that failed together don't come back together.
    pub backoff: Duration,
    /// What the doubling ends at.
    pub backoff_max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            deadline: STORE_DEADLINE,
            bytes_per_second: STORE_BYTES_PER_SECOND,
            attempts: STORE_ATTEMPTS,
            backoff: STORE_BACKOFF,
            backoff_max: STORE_BACKOFF_MAX,
        }
    }
}

impl RetryPolicy {
    /// How long `requests` requests, one after the other, may take that move `bytes` together.
    #[must_use]
    pub fn time_for(&self, requests: u32, bytes: u64) -> Duration {
        self.deadline.saturating_mul(requests).saturating_add(time_for_bytes(bytes, self.bytes_per_second))
    }

    /// How long to wait after `failures` failed tries, at least one.
    #[must_use]
    pub fn wait(&self, failures: u32, random: &Random) -> Duration {
        let doubled = self.backoff.saturating_mul(1_u32.checked_shl(failures - 1).unwrap_or(u32::MAX));
        let longest = doubled.min(self.backoff_max);
        let half = u64::try_from(longest.as_micros() / 2).unwrap_or(u64::MAX / 2);
        Duration::from_micros(half + random.below(half + 1))
    }
}

/// How long `bytes` take at so many a second.
pub(super) fn time_for_bytes(bytes: u64, bytes_per_second: u64) -> Duration {
    let rate = u128::from(bytes_per_second.max(1));
    Duration::from_millis(u64::try_from(u128::from(bytes) * 1_000 / rate).unwrap_or(u64::MAX))
}

/// A store that answers in time, or says that it didn't.
#[derive(Debug)]
pub struct Resilient {
    inner: Arc<dyn Store>,
    policy: RetryPolicy,
    clock: Clock,
    random: Random,
}

/// Whether it makes sense to ask again at once. `Denied` and `NoSpace` need a person or a deletion first.
const fn worth_another_try(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Throttled | ErrorKind::Timeout | ErrorKind::Unavailable)
}

impl Resilient {
    /// Puts `policy` before `inner`.
    #[must_use]
    pub const fn new(inner: Arc<dyn Store>, policy: RetryPolicy, clock: Clock, random: Random) -> Self {
        Self { inner, policy, clock, random }
    }

    async fn in_time<T>(
        &self,
        operation: &'static str,
        key: &str,
        within: Duration,
        request: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let late = || {
            let reason = format!("no answer within {within:?}; whether it took effect is not known");
            Err(Error::new(ErrorKind::Timeout, operation, key, reason))
        };
        self.clock.timeout(within, request).await.unwrap_or_else(late)
    }

    async fn retried<T, F: Future<Output = Result<T>>>(
        &self,
        operation: &'static str,
        key: &str,
        bytes: u64,
        request: impl Fn() -> F,
    ) -> Result<T> {
        let mut failures = 0;
        loop {
            match self.in_time(operation, key, self.policy.time_for(1, bytes), request()).await {
                Err(error) if worth_another_try(error.kind) && failures + 1 < self.policy.attempts => {
                    failures += 1;
                    tracing::debug!(%error, failures, "trying again");
                    self.clock.sleep(self.policy.wait(failures, &self.random)).await;
                }
                result => return result,
            }
        }
    }
}

#[async_trait]
impl Store for Resilient {
    fn location(&self) -> String {
        self.inner.location()
    }

    async fn create(&self, key: &Key, bytes: Bytes, purpose: Purpose) -> Result<()> {
        let within = self.policy.time_for(1, bytes.len() as u64);
        self.in_time("create", key.as_str(), within, self.inner.create(key, bytes, purpose)).await
    }

    async fn create_parts(&self, key: &Key, parts: Vec<Bytes>, purpose: Purpose) -> Result<()> {
        // Each part is a request of its own, and completing is one more.
        let requests = u32::try_from(parts.len()).unwrap_or(u32::MAX).saturating_add(2);
        let within = self.policy.time_for(requests, parts.iter().map(|part| part.len() as u64).sum());
        self.in_time("create", key.as_str(), within, self.inner.create_parts(key, parts, purpose)).await
    }

    async fn get(&self, key: &Key, range: Option<Range<u64>>, purpose: Purpose) -> Result<Bytes> {
        let bytes = range.as_ref().map_or(STORE_WHOLE_BYTES, |range| range.end.saturating_sub(range.start));
        self.retried("get", key.as_str(), bytes, || self.inner.get(key, range.clone(), purpose)).await
    }

    async fn list(&self, prefix: &str, after: Option<&Key>, limit: usize, purpose: Purpose) -> Result<Page> {
        self.retried("list", prefix, 0, || self.inner.list(prefix, after, limit, purpose)).await
    }

    async fn delete(&self, key: &Key, purpose: Purpose) -> Result<()> {
        self.retried("delete", key.as_str(), 0, || self.inner.delete(key, purpose)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stores::faulty::{FaultPlan, Faulty};
    use crate::stores::memory::MemoryStore;
    use crate::stores::metered::{Metered, Operation};

    fn over(plan: FaultPlan) -> (Resilient, Arc<Metered>) {
        let (clock, random) = (Clock::simulated(0), Random::seeded(1));
        let faulty = Faulty::new(Arc::new(MemoryStore::new()), plan, clock, random.fork());
        let metered = Arc::new(Metered::new(Arc::new(faulty), clock));
        (Resilient::new(metered.clone(), RetryPolicy::default(), clock, random), metered)
    }

    #[tokio::test(start_paused = true)]
    async fn a_create_is_sent_once_and_what_can_be_repeated_a_few_times() {
        let (store, metered) = over(FaultPlan { error_before: 1.0, ..FaultPlan::none() });
        let key = Key::new("a").unwrap();
        let create = store.create(&key, Bytes::new(), Purpose::Wal).await.unwrap_err();
        let get = store.get(&key, None, Purpose::Wal).await.unwrap_err();
        let list = store.list("", None, 1, Purpose::Wal).await.unwrap_err();
        let delete = store.delete(&key, Purpose::Wal).await.unwrap_err();
        assert!([create, get, list, delete].iter().all(|error| error.kind == ErrorKind::Unavailable));
        let sent = |operation| metered.metrics().requests(operation, Purpose::Wal);
        assert_eq!(sent(Operation::Create), 1);
        for operation in [Operation::Get, Operation::List, Operation::Delete] {
            assert_eq!(sent(operation), u64::from(STORE_ATTEMPTS));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_answered_in_time_is_a_timeout_and_counted_as_unanswered() {
        let stall = Duration::from_secs(3_600);
        let (store, metered) = over(FaultPlan { lost_answer: 1.0, lost_for: stall, ..FaultPlan::none() });
        let clock = Clock::system();
        let started = clock.now();
        let lost = store.create(&Key::new("a").unwrap(), Bytes::new(), Purpose::Wal).await.unwrap_err();
        assert_eq!(lost.kind, ErrorKind::Timeout);
        assert_eq!(clock.now() - started, STORE_DEADLINE);
        assert_eq!(metered.metrics().usage()[0].unanswered, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_request_has_more_time_than_a_small_one() {
        let stall = Duration::from_secs(36_000);
        let (store, _) = over(FaultPlan { lost_answer: 1.0, lost_for: stall, ..FaultPlan::none() });
        let (clock, mib) = (Clock::system(), 1_048_576_usize);
        let key = Key::new("a").unwrap();
        for (bytes, seconds) in [(0, 0), (1, 4), (8, 32)] {
            let started = clock.now();
            let lost = store.create(&key, vec![0; bytes * mib].into(), Purpose::Wal).await.unwrap_err();
            assert_eq!(lost.kind, ErrorKind::Timeout);
            assert_eq!(clock.now() - started, STORE_DEADLINE + Duration::from_secs(seconds), "{bytes} MiB");
        }
        let started = clock.now();
        let parts = vec![vec![0; 5 * mib].into(), vec![0; 3 * mib].into()];
        store.create_parts(&key, parts, Purpose::Wal).await.unwrap_err();
        assert_eq!(clock.now() - started, STORE_DEADLINE * 4 + Duration::from_secs(32));
    }

    #[test]
    fn the_time_for_bytes_never_overflows() {
        let policy = RetryPolicy::default();
        assert!(policy.time_for(u32::MAX, u64::MAX) > policy.time_for(1, 0));
        let none = RetryPolicy { bytes_per_second: 0, ..policy };
        assert!(none.time_for(1, u64::MAX) > none.deadline);
    }

    #[test]
    fn waits_double_up_to_their_bound_and_are_never_the_same() {
        let (policy, random) = (RetryPolicy::default(), Random::seeded(3));
        for failures in 1..70 {
            let longest = policy.backoff.saturating_mul(1 << (failures - 1).min(20)).min(policy.backoff_max);
            let waits: Vec<Duration> = (0..50).map(|_| policy.wait(failures, &random)).collect();
            assert!(waits.iter().all(|wait| *wait >= longest / 2 && *wait <= longest), "{failures}");
            assert!(waits.iter().any(|wait| *wait != waits[0]));
        }
    }
}
