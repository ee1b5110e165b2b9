//! The check itself: it passes what is fit, and fails stores that each break one promise.

use super::*;
use crate::Page;
use crate::stores::memory::MemoryStore;
use async_trait::async_trait;
use std::ops::Range;

/// A promise to break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Breach {
    None,
    OverwritesAlways,
    OverwritesInARace,
    ForgetsOnce,
    HidesNewestFromLists,
    ListsBackwards,
    IgnoresRanges,
    NeverDeletes,
    Denies,
    NoParts,
}

#[derive(Debug)]
struct Broken {
    inner: MemoryStore,
    breach: Breach,
    forgotten: std::sync::Mutex<std::collections::BTreeSet<Key>>,
}

impl Broken {
    fn new(breach: Breach) -> Self {
        Self { inner: MemoryStore::new(), breach, forgotten: std::sync::Mutex::default() }
    }
}

#[async_trait]
impl Store for Broken {
    fn location(&self) -> String {
        "broken".to_owned()
    }

    async fn create(&self, key: &Key, bytes: Bytes, purpose: Purpose) -> Result<()> {
        match self.breach {
            Breach::Denies => return Err(Error::new(ErrorKind::Denied, "create", key, "no right to write")),
            Breach::OverwritesAlways => self.inner.delete(key, purpose).await?,
            // What looks first and writes then.
            Breach::OverwritesInARace if self.inner.get(key, None, purpose).await.is_err() => {
                tokio::task::yield_now().await;
                self.inner.delete(key, purpose).await?;
            }
            Breach::ForgetsOnce => {
                self.forgotten.lock().unwrap().insert(key.clone());
            }
            _ => {}
        }
        self.inner.create(key, bytes, purpose).await
    }

    async fn create_parts(&self, key: &Key, parts: Vec<Bytes>, purpose: Purpose) -> Result<()> {
        if self.breach == Breach::NoParts {
            return Err(Error::new(ErrorKind::Unsupported, "create", key, "not in parts"));
        }
        self.create(key, parts.concat().into(), purpose).await
    }

    async fn get(&self, key: &Key, range: Option<Range<u64>>, purpose: Purpose) -> Result<Bytes> {
        if self.breach == Breach::ForgetsOnce && self.forgotten.lock().unwrap().remove(key) {
            return Err(Error::not_found(key));
        }
        let range = range.filter(|_| self.breach != Breach::IgnoresRanges);
        self.inner.get(key, range, purpose).await
    }

    async fn list(&self, prefix: &str, after: Option<&Key>, limit: usize, purpose: Purpose) -> Result<Page> {
        let mut page = self.inner.list(prefix, after, limit, purpose).await?;
        match self.breach {
            Breach::HidesNewestFromLists => drop(page.objects.pop()),
            Breach::ListsBackwards => page.objects.reverse(),
            _ => {}
        }
        Ok(page)
    }

    async fn delete(&self, key: &Key, purpose: Purpose) -> Result<()> {
        if self.breach == Breach::NeverDeletes { Ok(()) } else { self.inner.delete(key, purpose).await }
    }
}

async fn report(breach: Breach) -> CheckReport {
    let store: Arc<dyn Store> = Arc::new(Broken::new(breach));
    let connections = [store.clone(), store];
    check(&connections, CheckOptions::default(), Clock::system(), &Random::seeded(1)).await.unwrap()
}

#[tokio::test]
async fn a_fit_store_is_fit_and_left_as_it_was() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let connections = [store.clone()];
    let options = CheckOptions::default();
    let report = check(&connections, options, Clock::system(), &Random::seeded(1)).await.unwrap();
    assert_eq!(report.verdict, Verdict::Fit, "{report}");
    assert!(report.findings.iter().all(|finding| finding.outcome == Outcome::Passed), "{report}");
    assert_eq!(report.latencies.len(), 3);
    assert!(report.latencies.iter().all(|l| l.count == options.samples && l.p50 <= l.p99 && l.p99 <= l.max));
    assert!(store.list("", None, 1, PURPOSE).await.unwrap().objects.is_empty());
    assert_eq!(self::report(Breach::None).await.verdict, Verdict::Fit);
}

const PURPOSE: Purpose = Purpose::Check;

#[tokio::test]
async fn each_broken_promise_is_found() {
    for (breach, name) in [
        (Breach::OverwritesAlways, "create if absent, raced"),
        (Breach::OverwritesInARace, "create if absent, raced"),
        (Breach::ForgetsOnce, "read after create"),
        (Breach::HidesNewestFromLists, "list after create"),
        (Breach::ListsBackwards, "listing order and pages"),
        (Breach::IgnoresRanges, "range reads"),
        (Breach::NeverDeletes, "deletes"),
    ] {
        let report = report(breach).await;
        assert_eq!(report.verdict, Verdict::Unfit, "{breach:?}: {report}");
        let failed = report.findings.iter().find(|finding| finding.name == name).unwrap();
        assert!(matches!(failed.outcome, Outcome::Failed), "{breach:?}: {report}");
    }
}

#[tokio::test]
async fn what_could_not_be_found_out_is_no_verdict() {
    let report = report(Breach::Denies).await;
    assert_eq!(report.verdict, Verdict::Unknown, "{report}");
    assert!(report.to_string().contains("no right to write"), "{report}");
}

#[tokio::test]
async fn parts_are_not_needed() {
    let report = report(Breach::NoParts).await;
    assert_eq!(report.verdict, Verdict::Fit, "{report}");
    assert!(report.findings.iter().any(|finding| finding.outcome == Outcome::NotOffered));
}
