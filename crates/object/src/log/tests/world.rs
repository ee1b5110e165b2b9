//! A store in memory that is as unkind as a test asks for, and a trim point beside it.
//!
//! Every request takes a random time. A create may fail before its effect, or after it (the answer is lost), or
//! take effect long after its caller was told that it failed, or take effect a second time later on. Reads may
//! fail. All of it comes from one seed, and every effect is noted in a trace that can be compared.

use crate::log::{LogContext, TrimPoint};
use crate::{Error, ErrorKind, Key, Listed, Page, Purpose, Result, Store};
use async_trait::async_trait;
use bytes::Bytes;
use levee_base::{Clock, ClusterId, LogPosition, Random};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use uuid::Uuid;

/// Chances, of 1,000.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Unkindness {
    pub(super) fail_before: u64,
    pub(super) answer_lost: u64,
    pub(super) lands_late: u64,
    pub(super) lands_twice: u64,
    pub(super) throttled: u64,
    pub(super) read_fails: u64,
    /// Any request is answered as a malformed one is.
    pub(super) refused: u64,
    /// A request of this share takes 20 times as long as usual.
    pub(super) slow: u64,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) clock: Clock,
    pub(super) random: Random,
    unkindness: Mutex<Unkindness>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    objects: BTreeMap<Key, Bytes>,
    trim: LogPosition,
    requests: BTreeMap<(&'static str, Purpose), u64>,
    trace: trace::Trace,
}

/// A running hash of what happened, in order.
mod trace {
    use std::hash::{DefaultHasher, Hash, Hasher};

    #[derive(Debug, Default)]
    pub(super) struct Trace(DefaultHasher);

    impl Trace {
        pub(super) fn note(&mut self, event: impl Hash) {
            event.hash(&mut self.0);
        }

        pub(super) fn hash(&self) -> u64 {
            self.0.finish()
        }
    }
}

impl World {
    pub(super) fn new(seed: u64, unkindness: Unkindness) -> Arc<Self> {
        Arc::new(Self {
            clock: Clock::simulated(0),
            random: Random::seeded(seed),
            unkindness: Mutex::new(unkindness),
            inner: Mutex::default(),
        })
    }

    pub(super) fn context(self: &Arc<Self>, prefix: &str) -> LogContext {
        LogContext {
            store: Arc::new(self.clone()),
            cluster: ClusterId(Uuid::from_u128(7)),
            prefix: Key::new(prefix).unwrap(),
            clock: self.clock,
            random: self.random.fork(),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    pub(super) fn set_unkindness(&self, unkindness: Unkindness) {
        *self.unkindness.lock().unwrap() = unkindness;
    }

    fn unkindness(&self) -> Unkindness {
        *self.unkindness.lock().unwrap()
    }

    pub(super) fn requests(&self, operation: &'static str, purpose: Purpose) -> u64 {
        self.inner().requests.get(&(operation, purpose)).copied().unwrap_or(0)
    }

    pub(super) fn keys(&self) -> Vec<Key> {
        self.inner().objects.keys().cloned().collect()
    }

    pub(super) fn put(&self, key: &Key, bytes: Bytes) {
        self.inner().objects.insert(key.clone(), bytes);
    }

    pub(super) fn object(&self, key: &Key) -> Option<Bytes> {
        self.inner().objects.get(key).cloned()
    }

    /// Commits a trim point, as a snapshot would.
    pub(super) fn trim(&self, to: LogPosition) {
        let mut inner = self.inner();
        inner.trim = inner.trim.max(to);
        inner.trace.note(to);
    }

    pub(super) fn trace_hash(&self) -> u64 {
        self.inner().trace.hash()
    }

    pub(super) fn note(&self, event: impl std::hash::Hash) {
        self.inner().trace.note(event);
    }

    fn chance(&self, per_mille: u64) -> bool {
        self.random.below(1_000) < per_mille
    }

    fn refuse(&self, operation: &'static str, key: &Key) -> Result<()> {
        // Drawn only when asked for, so that the other tests' seeds mean what they meant.
        match self.unkindness().refused {
            0 => Ok(()),
            chance if self.chance(chance) => Err(failed(ErrorKind::Unsupported, operation, key)),
            _ => Ok(()),
        }
    }

    async fn delay(&self) {
        let usual = 2_000 + self.random.below(8_000);
        let times = if self.chance(self.unkindness().slow) { 20 } else { 1 };
        self.clock.sleep(Duration::from_micros(usual * times)).await;
    }

    fn count(&self, operation: &'static str, purpose: Purpose) {
        *self.inner().requests.entry((operation, purpose)).or_default() += 1;
    }

    fn land(&self, key: &Key, bytes: Bytes) -> bool {
        let mut inner = self.inner();
        let free = !inner.objects.contains_key(key);
        inner.trace.note((key.as_str(), &bytes[..], free, self.clock.wall_ms()));
        if free {
            inner.objects.insert(key.clone(), bytes);
        }
        free
    }

    fn land_later(self: &Arc<Self>, key: Key, bytes: Bytes) {
        let (world, after) = (self.clone(), self.random.below(5_000));
        tokio::spawn(async move {
            world.clock.sleep(Duration::from_millis(after)).await;
            world.land(&key, bytes);
        });
    }
}

fn failed(kind: ErrorKind, operation: &'static str, key: &Key) -> Error {
    Error::new(kind, operation, key, "the test's store is unkind")
}

#[async_trait]
impl Store for Arc<World> {
    fn location(&self) -> String {
        "a test".to_owned()
    }

    async fn create(&self, key: &Key, bytes: Bytes, purpose: Purpose) -> Result<()> {
        self.count("create", purpose);
        self.delay().await;
        let unkind = self.unkindness();
        self.refuse("create", key)?;
        if self.chance(unkind.throttled) {
            return Err(failed(ErrorKind::Throttled, "create", key));
        }
        if self.chance(unkind.fail_before) {
            return Err(failed(ErrorKind::Unavailable, "create", key));
        }
        if self.chance(unkind.lands_late) {
            self.land_later(key.clone(), bytes);
            return Err(failed(ErrorKind::Timeout, "create", key));
        }
        let created = self.land(key, bytes.clone());
        if self.chance(unkind.lands_twice) {
            self.land_later(key.clone(), bytes);
        }
        self.delay().await;
        if self.chance(unkind.answer_lost) {
            return Err(failed(ErrorKind::Timeout, "create", key));
        }
        if created { Ok(()) } else { Err(Error::already_exists(key)) }
    }

    async fn create_parts(&self, key: &Key, parts: Vec<Bytes>, purpose: Purpose) -> Result<()> {
        self.create(key, parts.concat().into(), purpose).await
    }

    async fn get(&self, key: &Key, range: Option<Range<u64>>, purpose: Purpose) -> Result<Bytes> {
        self.count("get", purpose);
        self.delay().await;
        self.refuse("get", key)?;
        if self.chance(self.unkindness().read_fails) {
            return Err(failed(ErrorKind::Unavailable, "get", key));
        }
        let bytes = self.object(key).ok_or_else(|| Error::not_found(key));
        self.delay().await;
        let bytes = bytes?;
        let range = range.unwrap_or(0..bytes.len() as u64);
        let end = usize::try_from(range.end).unwrap().min(bytes.len());
        let start = usize::try_from(range.start).unwrap();
        if start >= end {
            return Err(failed(ErrorKind::OutOfRange, "get", key));
        }
        Ok(bytes.slice(start..end))
    }

    async fn list(&self, prefix: &str, after: Option<&Key>, limit: usize, purpose: Purpose) -> Result<Page> {
        self.count("list", purpose);
        self.delay().await;
        let inner = self.inner();
        let mut matching = inner
            .objects
            .iter()
            .filter(|(key, _)| key.as_str().starts_with(prefix) && after.is_none_or(|after| *key > after));
        let listed = |(key, bytes): (&Key, &Bytes)| Listed { key: key.clone(), bytes: bytes.len() as u64 };
        let objects = matching.by_ref().take(limit).map(listed).collect();
        Ok(Page { objects, more: matching.next().is_some() })
    }

    async fn delete(&self, key: &Key, purpose: Purpose) -> Result<()> {
        self.count("delete", purpose);
        self.delay().await;
        let mut inner = self.inner();
        inner.objects.remove(key);
        inner.trace.note(("deleted", key.as_str()));
        Ok(())
    }
}

#[async_trait]
impl TrimPoint for World {
    async fn trim_point(&self) -> Result<LogPosition> {
        self.delay().await;
        self.refuse("list", &Key::new("snapshots").expect("it is a key"))?;
        if self.chance(self.unkindness().read_fails) {
            return Err(Error::new(
                ErrorKind::Unavailable,
                "list",
                "snapshots",
                "the test's store is unkind",
            ));
        }
        let trim = self.inner().trim;
        self.delay().await;
        Ok(trim)
    }
}
