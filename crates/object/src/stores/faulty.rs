//! A store that is worse than reality, on purpose: slow, failing before and after the effect, losing answers,
//! asking for less, going away for a while, and creating late or twice. Reads and listings are never torn: no
//! store that is fit does that.
//!
//! What goes wrong follows from the seed and from the order of requests, so on a runtime with a paused clock a
//! run can be repeated. Late creates run in tasks of their own and land whatever becomes of the caller.

use crate::{Error, ErrorKind, Key, Page, Purpose, Result, Store};
use async_trait::async_trait;
use bytes::Bytes;
use levee_base::clock::Instant;
use levee_base::{Clock, Random};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a request takes before it reaches the store: mostly `typical`, sometimes up to `tail`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Latency {
    /// Most requests take from half of this to one and a half of it.
    pub typical: Duration,
    /// The others take up to this.
    pub tail: Duration,
    /// How likely the others are, 0 to 1.
    pub tail_chance: f64,
}

impl Latency {
    fn draw(&self, random: &Random) -> Duration {
        let (base, spread) = if random.chance(self.tail_chance) {
            (self.typical, self.tail.saturating_sub(self.typical))
        } else {
            (self.typical / 2, self.typical)
        };
        base + below(spread, random)
    }
}

/// Even, from nothing to less than `bound`.
fn below(bound: Duration, random: &Random) -> Duration {
    Duration::from_nanos(random.below(u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX)))
}

/// Times that come again and again, counted from when the plan was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// From the beginning of one to the beginning of the next; the first begins after as long.
    pub every: Duration,
    /// How long each lasts.
    pub lasts: Duration,
}

impl Windows {
    /// How long the window lasts on that is open `since` the plan was set, if one is.
    fn left(&self, since: Duration) -> Option<Duration> {
        let (every, since) = (self.every.as_nanos().max(1), since.as_nanos());
        let into = since % every;
        let lasts = self.lasts.as_nanos();
        let open = since >= every && into < lasts;
        open.then(|| Duration::from_nanos(u64::try_from(lasts - into).unwrap_or(u64::MAX)))
    }
}

/// What goes wrong. Chances are from 0 to 1, one draw for each request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FaultPlan {
    /// How long requests take.
    pub latency: Latency,
    /// A request fails without effect.
    pub error_before: f64,
    /// A request takes effect and fails.
    pub error_after: f64,
    /// A request takes effect; its answer never comes, but for a time-out after `lost_for`.
    pub lost_answer: f64,
    /// See `lost_answer`.
    pub lost_for: Duration,
    /// A create times out at once and takes effect later, within `late_by`.
    pub late: f64,
    /// A create takes effect now, and is tried once more within `late_by`.
    pub twice: f64,
    /// See `late` and `twice`.
    pub late_by: Duration,
    /// A create of a name that is taken is never answered: the store refuses it before it has read the body, and cuts
    /// the connection.
    pub refusal_lost: bool,
    /// While one is open, every request is answered `Throttled`, without effect.
    pub storms: Option<Windows>,
    /// While one is open, every request fails without effect.
    pub outages: Option<Windows>,
    /// While one is open, every request waits for its end.
    pub stalls: Option<Windows>,
}

impl FaultPlan {
    /// Nothing goes wrong, and nothing takes time.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            latency: Latency { typical: Duration::ZERO, tail: Duration::ZERO, tail_chance: 0.0 },
            error_before: 0.0,
            error_after: 0.0,
            lost_answer: 0.0,
            lost_for: Duration::ZERO,
            late: 0.0,
            twice: 0.0,
            late_by: Duration::ZERO,
            refusal_lost: false,
            storms: None,
            outages: None,
            stalls: None,
        }
    }

    /// Everything goes wrong, often: a bad day of a cloud, every minute.
    #[must_use]
    pub fn rough() -> Self {
        let windows = |every, lasts| {
            Some(Windows { every: Duration::from_secs(every), lasts: Duration::from_secs(lasts) })
        };
        Self {
            latency: Latency {
                typical: Duration::from_millis(20),
                tail: Duration::from_secs(3),
                tail_chance: 0.02,
            },
            error_before: 0.05,
            error_after: 0.05,
            lost_answer: 0.02,
            lost_for: Duration::from_secs(60),
            late: 0.03,
            twice: 0.05,
            late_by: Duration::from_secs(30),
            refusal_lost: false,
            storms: windows(17, 1),
            outages: windows(61, 5),
            stalls: windows(47, 4),
        }
    }
}

/// What is to go wrong with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Well,
    ErrorBefore,
    ErrorAfter,
    LostAnswer,
    Late,
    Twice,
}

#[derive(Debug)]
struct Current {
    plan: FaultPlan,
    since: Instant,
}

/// A store with faults.
#[derive(Debug)]
pub struct Faulty {
    inner: Arc<dyn Store>,
    current: Mutex<Current>,
    clock: Clock,
    random: Random,
}

impl Faulty {
    /// `inner`, with the faults of `plan`.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, plan: FaultPlan, clock: Clock, random: Random) -> Self {
        Self { inner, current: Mutex::new(Current { plan, since: clock.now() }), clock, random }
    }

    /// From now on `plan` holds. Creates that are under way land all the same.
    pub fn set_plan(&self, plan: FaultPlan) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) =
            Current { plan, since: self.clock.now() };
    }

    fn plan(&self) -> (FaultPlan, Duration) {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        (current.plan, self.clock.now() - current.since)
    }

    /// The way to the store: takes its time, and may end before it.
    async fn reach(&self, operation: &'static str, key: &str) -> Result<(FaultPlan, Fate)> {
        let (plan, _) = self.plan();
        self.clock.sleep(plan.latency.draw(&self.random)).await;
        loop {
            let (plan, since) = self.plan();
            let fail = |kind, reason| Err(Error::new(kind, operation, key, reason));
            if let Some(left) = plan.stalls.and_then(|stalls| stalls.left(since)) {
                self.clock.sleep(left).await;
                continue;
            }
            if plan.outages.is_some_and(|outages| outages.left(since).is_some()) {
                return fail(ErrorKind::Unavailable, "injected: an outage");
            }
            if plan.storms.is_some_and(|storms| storms.left(since).is_some()) {
                return fail(ErrorKind::Throttled, "injected: slow down");
            }
            let fate = self.fate(&plan, operation == "create");
            if fate == Fate::ErrorBefore {
                return fail(ErrorKind::Unavailable, "injected: failed before it took effect");
            }
            return Ok((plan, fate));
        }
    }

    /// One draw: the chances are laid side by side.
    fn fate(&self, plan: &FaultPlan, create: bool) -> Fate {
        let only = |chance| if create { chance } else { 0.0 };
        let fates = [
            (plan.error_before, Fate::ErrorBefore),
            (plan.error_after, Fate::ErrorAfter),
            (plan.lost_answer, Fate::LostAnswer),
            (only(plan.late), Fate::Late),
            (only(plan.twice), Fate::Twice),
        ];
        const PARTS: u64 = 1 << 32;
        let mut drawn = self.random.below(PARTS) as f64 / PARTS as f64;
        for (chance, fate) in fates {
            if drawn < chance {
                return fate;
            }
            drawn -= chance;
        }
        Fate::Well
    }

    /// The way back, of a request that took effect.
    async fn back<T>(
        &self,
        plan: &FaultPlan,
        fate: Fate,
        operation: &'static str,
        key: &str,
        result: Result<T>,
    ) -> Result<T> {
        match fate {
            Fate::ErrorAfter => Err(Error::new(
                ErrorKind::Unavailable,
                operation,
                key,
                "injected: failed after it took effect",
            )),
            Fate::LostAnswer => {
                self.clock.sleep(plan.lost_for).await;
                Err(Error::new(ErrorKind::Timeout, operation, key, "injected: the answer was lost"))
            }
            _ => result,
        }
    }

    /// Creates at some time from now on. Nobody hears what becomes of it.
    fn create_later(&self, plan: &FaultPlan, key: &Key, parts: Vec<Bytes>, purpose: Purpose) {
        let wait = below(plan.late_by, &self.random);
        let (store, clock, key) = (self.inner.clone(), self.clock, key.clone());
        tokio::spawn(async move {
            clock.sleep(wait).await;
            if let Err(error) = create(&*store, &key, parts, purpose).await {
                tracing::trace!(%error, "a late create found no place");
            }
        });
    }

    async fn create_any(&self, key: &Key, parts: Vec<Bytes>, purpose: Purpose) -> Result<()> {
        let (plan, fate) = self.reach("create", key.as_str()).await?;
        if fate == Fate::Late {
            self.create_later(&plan, key, parts, purpose);
            return Err(Error::new(ErrorKind::Timeout, "create", key, "injected: takes effect later"));
        }
        if fate == Fate::Twice {
            self.create_later(&plan, key, parts.clone(), purpose);
        }
        let result = create(&*self.inner, key, parts, purpose).await;
        if plan.refusal_lost && matches!(&result, Err(error) if error.kind == ErrorKind::AlreadyExists) {
            return Err(Error::new(
                ErrorKind::Unavailable,
                "create",
                key,
                "injected: the connection was cut",
            ));
        }
        self.back(&plan, fate, "create", key.as_str(), result).await
    }
}

async fn create(store: &dyn Store, key: &Key, mut parts: Vec<Bytes>, purpose: Purpose) -> Result<()> {
    if parts.len() == 1 {
        store.create(key, parts.remove(0), purpose).await
    } else {
        store.create_parts(key, parts, purpose).await
    }
}

#[async_trait]
impl Store for Faulty {
    fn location(&self) -> String {
        self.inner.location()
    }

    async fn create(&self, key: &Key, bytes: Bytes, purpose: Purpose) -> Result<()> {
        self.create_any(key, vec![bytes], purpose).await
    }

    async fn create_parts(&self, key: &Key, parts: Vec<Bytes>, purpose: Purpose) -> Result<()> {
        self.create_any(key, parts, purpose).await
    }

    async fn get(&self, key: &Key, range: Option<Range<u64>>, purpose: Purpose) -> Result<Bytes> {
        let (plan, fate) = self.reach("get", key.as_str()).await?;
        let result = self.inner.get(key, range, purpose).await;
        self.back(&plan, fate, "get", key.as_str(), result).await
    }

    async fn list(&self, prefix: &str, after: Option<&Key>, limit: usize, purpose: Purpose) -> Result<Page> {
        let (plan, fate) = self.reach("list", prefix).await?;
        let result = self.inner.list(prefix, after, limit, purpose).await;
        self.back(&plan, fate, "list", prefix, result).await
    }

    async fn delete(&self, key: &Key, purpose: Purpose) -> Result<()> {
        let (plan, fate) = self.reach("delete", key.as_str()).await?;
        let result = self.inner.delete(key, purpose).await;
        self.back(&plan, fate, "delete", key.as_str(), result).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stores::memory::MemoryStore;

    fn key(n: u64) -> Key {
        Key::new("k").unwrap().join_number(n)
    }

    fn faulty(plan: FaultPlan, seed: u64) -> (Arc<MemoryStore>, Faulty) {
        let inner = Arc::new(MemoryStore::new());
        (inner.clone(), Faulty::new(inner, plan, Clock::simulated(0), Random::seeded(seed)))
    }

    /// All that happens to 1,000 creates, with the times. Each story has a runtime of its own, as timers fire at
    /// whole milliseconds of their runtime.
    fn story(seed: u64) -> Vec<(Duration, Result<(), ErrorKind>)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(creates(seed))
    }

    async fn creates(seed: u64) -> Vec<(Duration, Result<(), ErrorKind>)> {
        let (_, store) = faulty(FaultPlan::rough(), seed);
        let clock = Clock::system();
        let started = clock.now();
        let mut story = Vec::new();
        for n in 0..1_000 {
            let result = store.create(&key(n), Bytes::new(), Purpose::Wal).await;
            story.push((clock.now() - started, result.map_err(|error| error.kind)));
        }
        story
    }

    #[test]
    fn a_seed_tells_the_same_story_again_and_another_one_another() {
        let first = story(1);
        assert_eq!(first, story(1));
        assert_ne!(first, story(2));
        for kind in [ErrorKind::Unavailable, ErrorKind::Throttled, ErrorKind::Timeout] {
            assert!(first.iter().any(|(_, result)| *result == Err(kind)), "{kind:?} is missing");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn errors_after_the_effect_and_lost_answers_leave_the_object() {
        let lost_for = Duration::from_secs(9);
        for (plan, kind) in [
            (FaultPlan { error_after: 1.0, ..FaultPlan::none() }, ErrorKind::Unavailable),
            (FaultPlan { lost_answer: 1.0, lost_for, ..FaultPlan::none() }, ErrorKind::Timeout),
        ] {
            let (inner, store) = faulty(plan, 1);
            let error = store.create(&key(0), "x".into(), Purpose::Wal).await.unwrap_err();
            assert_eq!(error.kind, kind);
            assert_eq!(inner.get(&key(0), None, Purpose::Doubt).await.unwrap(), "x");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_create_lands_later_even_after_the_key_was_deleted() {
        let late_by = Duration::from_secs(10);
        let (inner, store) = faulty(FaultPlan { late: 1.0, late_by, ..FaultPlan::none() }, 1);
        store.create(&key(0), "x".into(), Purpose::Wal).await.unwrap_err();
        let missing = inner.get(&key(0), None, Purpose::Doubt).await.unwrap_err();
        assert_eq!(missing.kind, ErrorKind::NotFound);
        Clock::system().sleep(late_by).await;
        assert_eq!(inner.get(&key(0), None, Purpose::Doubt).await.unwrap(), "x");

        let (inner, store) = faulty(FaultPlan { twice: 1.0, late_by, ..FaultPlan::none() }, 1);
        store.create(&key(0), "x".into(), Purpose::Wal).await.unwrap();
        store.delete(&key(0), Purpose::Collect).await.unwrap();
        Clock::system().sleep(late_by).await;
        assert_eq!(inner.get(&key(0), None, Purpose::Doubt).await.unwrap(), "x");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stall_holds_requests_up_and_an_outage_refuses_them() {
        let windows = Some(Windows { every: Duration::from_secs(10), lasts: Duration::from_secs(3) });
        let clock = Clock::system();
        let (_, store) = faulty(FaultPlan { stalls: windows, ..FaultPlan::none() }, 1);
        let started = clock.now();
        clock.sleep(Duration::from_secs(11)).await;
        store.create(&key(0), "x".into(), Purpose::Wal).await.unwrap();
        assert_eq!(clock.now() - started, Duration::from_secs(13));
        store.set_plan(FaultPlan { outages: windows, ..FaultPlan::none() });
        store.create(&key(1), "x".into(), Purpose::Wal).await.unwrap();
        clock.sleep(Duration::from_secs(12)).await;
        let error = store.create(&key(2), "x".into(), Purpose::Wal).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable);
    }
}
