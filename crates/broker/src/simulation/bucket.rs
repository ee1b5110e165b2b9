//! The bucket of a simulated cluster, and a process's way to it, which a kill cuts off.

use super::judge::Judge;
use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use levee_base::Random;
use levee_object::stores::memory::MemoryStore;
use levee_object::{Key, Page, Purpose, Result, Store};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// Objects in memory, which the judge hears of.
#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) objects: MemoryStore,
    judge: Arc<Judge>,
}

impl Bucket {
    pub(super) fn new(judge: Arc<Judge>) -> Self {
        Self { objects: MemoryStore::new(), judge }
    }
}

#[async_trait]
impl Store for Bucket {
    fn location(&self) -> String {
        self.objects.location()
    }

    async fn create(&self, key: &Key, bytes: Bytes, purpose: Purpose) -> Result<()> {
        self.judge.hears("create", key.as_str());
        self.objects.create(key, bytes, purpose).await?;
        self.judge.created(key);
        Ok(())
    }

    async fn create_parts(&self, key: &Key, parts: Vec<Bytes>, purpose: Purpose) -> Result<()> {
        self.judge.hears("create", key.as_str());
        self.objects.create_parts(key, parts, purpose).await?;
        self.judge.created(key);
        Ok(())
    }

    async fn get(&self, key: &Key, range: Option<Range<u64>>, purpose: Purpose) -> Result<Bytes> {
        self.judge.hears("get", key.as_str());
        self.objects.get(key, range, purpose).await
    }

    async fn list(&self, prefix: &str, after: Option<&Key>, limit: usize, purpose: Purpose) -> Result<Page> {
        self.judge.hears("list", prefix);
        self.objects.list(prefix, after, limit, purpose).await
    }

    async fn delete(&self, key: &Key, purpose: Purpose) -> Result<()> {
        self.judge.deletes(key);
        self.objects.delete(key, purpose).await
    }
}

/// A process's connection to the store. Once it is cut nothing is answered any more: what the process still does
/// nobody sees, as if it had ended. Of its requests that are under way some take effect all the same. One that is held
/// is a process that is paused, or that the network is in the way of.
#[derive(Debug)]
pub(super) struct Line {
    store: Arc<dyn Store>,
    random: Random,
    is_cut: AtomicBool,
    cut: Notify,
    is_held: AtomicBool,
    released: Notify,
}

impl Line {
    pub(super) fn new(store: Arc<dyn Store>, random: Random) -> Arc<Self> {
        Arc::new(Self {
            store,
            random,
            is_cut: AtomicBool::new(false),
            cut: Notify::new(),
            is_held: AtomicBool::new(false),
            released: Notify::new(),
        })
    }

    pub(super) fn cut(&self) {
        self.is_cut.store(true, Ordering::Relaxed);
        self.cut.notify_waiters();
    }

    /// Requests wait from now on.
    pub(super) fn hold(&self) {
        self.is_held.store(true, Ordering::Relaxed);
    }

    /// What waits goes on its way.
    pub(super) fn release(&self) {
        self.is_held.store(false, Ordering::Relaxed);
        self.released.notify_waiters();
    }

    async fn pass<T: Send + 'static>(
        &self,
        request: impl FnOnce(Arc<dyn Store>) -> BoxFuture<'static, Result<T>>,
    ) -> Result<T> {
        while self.is_held.load(Ordering::Relaxed) {
            self.released.notified().await;
        }
        let cut = self.cut.notified();
        if !self.is_cut.load(Ordering::Relaxed) {
            let mut request = request(self.store.clone());
            tokio::select! {
                biased;
                () = cut => {
                    if self.random.chance(0.5) {
                        tokio::spawn(request);
                    }
                }
                result = &mut request => return result,
            }
        }
        std::future::pending().await
    }
}

#[async_trait]
impl Store for Line {
    fn location(&self) -> String {
        self.store.location()
    }

    async fn create(&self, key: &Key, bytes: Bytes, purpose: Purpose) -> Result<()> {
        let key = key.clone();
        self.pass(move |store| async move { store.create(&key, bytes, purpose).await }.boxed()).await
    }

    async fn create_parts(&self, key: &Key, parts: Vec<Bytes>, purpose: Purpose) -> Result<()> {
        let key = key.clone();
        self.pass(move |store| async move { store.create_parts(&key, parts, purpose).await }.boxed()).await
    }

    async fn get(&self, key: &Key, range: Option<Range<u64>>, purpose: Purpose) -> Result<Bytes> {
        let key = key.clone();
        self.pass(move |store| async move { store.get(&key, range, purpose).await }.boxed()).await
    }

    async fn list(&self, prefix: &str, after: Option<&Key>, limit: usize, by: Purpose) -> Result<Page> {
        let (prefix, after) = (prefix.to_owned(), after.cloned());
        self.pass(move |store| async move { store.list(&prefix, after.as_ref(), limit, by).await }.boxed())
            .await
    }

    async fn delete(&self, key: &Key, purpose: Purpose) -> Result<()> {
        let key = key.clone();
        self.pass(move |store| async move { store.delete(&key, purpose).await }.boxed()).await
    }
}
