//! `fsck` while the store changes beneath it: what goes meanwhile, and what is damaged only on its way here.

use crate::support::{End, check_store, damage, emptied, filled, opened};
use async_trait::async_trait;
use bytes::Bytes;
use levee_broker::fsck::{Problem, Verdict};
use levee_object::{Error, ErrorKind, Key, Page, Purpose, Result, Store};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// What is done to reads of gathered objects.
#[derive(Debug)]
enum Trouble {
    /// The first so many come back with a byte changed.
    Changed(u32),
    /// The first so many fail.
    Failing(u32),
    /// With the first one the store becomes this one.
    Moves(Arc<dyn Store>),
}

#[derive(Debug)]
struct Troubled {
    store: Arc<dyn Store>,
    trouble: Trouble,
    reads: AtomicU32,
    moved: AtomicBool,
}

impl Troubled {
    fn new(store: Arc<dyn Store>, trouble: Trouble) -> Arc<Self> {
        Arc::new(Self { store, trouble, reads: AtomicU32::new(0), moved: AtomicBool::new(false) })
    }

    fn now(&self) -> &Arc<dyn Store> {
        match &self.trouble {
            Trouble::Moves(to) if self.moved.load(Ordering::SeqCst) => to,
            _ => &self.store,
        }
    }
}

#[async_trait]
impl Store for Troubled {
    fn location(&self) -> String {
        "troubled".to_owned()
    }

    async fn create(&self, _: &Key, _: Bytes, _: Purpose) -> Result<()> {
        panic!("a check creates nothing")
    }

    async fn create_parts(&self, _: &Key, _: Vec<Bytes>, _: Purpose) -> Result<()> {
        panic!("a check creates nothing")
    }

    async fn get(&self, key: &Key, range: Option<Range<u64>>, purpose: Purpose) -> Result<Bytes> {
        if !key.as_str().starts_with("data/") {
            return self.now().get(key, range, purpose).await;
        }
        let before = self.reads.fetch_add(1, Ordering::SeqCst);
        self.moved.store(true, Ordering::SeqCst);
        match self.trouble {
            Trouble::Failing(times) if before < times => {
                Err(Error::new(ErrorKind::Unavailable, "get", key, "injected"))
            }
            Trouble::Changed(times) if before < times => {
                let mut bytes = self.store.get(key, range, purpose).await?.to_vec();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                Ok(bytes.into())
            }
            _ => self.now().get(key, range, purpose).await,
        }
    }

    async fn list(&self, prefix: &str, after: Option<&Key>, limit: usize, purpose: Purpose) -> Result<Page> {
        self.now().list(prefix, after, limit, purpose).await
    }

    async fn delete(&self, _: &Key, _: Purpose) -> Result<()> {
        panic!("a check deletes nothing")
    }
}

#[test]
fn what_is_deleted_meanwhile_is_not_missed() {
    let before = filled(End::InOrder, 8);
    let after = emptied(before.path());
    let store = Troubled::new(opened(before.path()), Trouble::Moves(opened(after.path())));
    let report = check_store(store.clone(), false);
    assert!(store.moved.load(Ordering::SeqCst), "something was read, and gone then");
    assert_eq!(report.findings, [], "what is gone is not referred to any more either");
    assert_eq!(report.verdict, Verdict::Clean);
}

#[test]
fn what_was_damaged_on_its_way_is_whole_the_next_time() {
    let folder = filled(End::InOrder, 8);
    let changed = |times| check_store(Troubled::new(opened(folder.path()), Trouble::Changed(times)), false);
    assert_eq!(damage(&changed(1)), Vec::<&levee_broker::fsck::Finding>::new());
    let report = changed(u32::MAX);
    assert!(!damage(&report).is_empty(), "what is damaged each time is damaged");
}

#[test]
fn an_object_that_the_store_does_not_give_is_damage_and_a_failure_that_passes_is_none() {
    let folder = filled(End::InOrder, 8);
    let failing = |times| check_store(Troubled::new(opened(folder.path()), Trouble::Failing(times)), true);
    assert_eq!(failing(1).verdict, Verdict::Clean);
    let report = failing(u32::MAX);
    let found = damage(&report);
    assert!(!found.is_empty());
    assert!(
        found
            .iter()
            .all(|finding| finding.problem == Problem::Corrupt && finding.detail.contains("injected"))
    );
}
