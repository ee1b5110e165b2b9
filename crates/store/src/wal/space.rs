//! Whether there is room on the store's disk for another object of the write-ahead log, as its last answer to one
//! has it. While there is none, records are refused at once: their producers learn it, and memory is not filled
//! with batches that can't be written. What was appended before stays in flight, and the log tries it until
//! there is room, which ends the refusing.
//!
//! That a create was refused does not mean that one is on its way: a hedge, or an earlier try whose answer was lost,
//! may have created the object all the same. With nothing on its way nothing would ever end the refusing, so then
//! one append is let through, to find out (`StreamStore::append`).

use async_trait::async_trait;
use bytes::Bytes;
use levee_object::{ErrorKind, Key, Page, Purpose, Result, Store};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What the last answered create said of the room. Clones tell the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Space(Arc<AtomicBool>);

impl Space {
    /// Whether the last create was refused for want of room.
    pub(crate) fn is_out(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    fn note(&self, result: &Result<()>) {
        match result {
            Err(error) if error.kind == ErrorKind::NoSpace => self.0.store(true, Ordering::Release),
            // A name that is taken was linked, and needs no more room.
            Err(error) if error.kind != ErrorKind::AlreadyExists => {}
            _ => self.0.store(false, Ordering::Release),
        }
    }
}

/// The store as the log's writer sees it: its creates are noted in `space`.
#[derive(Debug)]
pub(crate) struct Noting {
    pub(crate) inner: Arc<dyn Store>,
    pub(crate) space: Space,
}

#[async_trait]
impl Store for Noting {
    fn location(&self) -> String {
        self.inner.location()
    }

    async fn create(&self, key: &Key, bytes: Bytes, purpose: Purpose) -> Result<()> {
        let result = self.inner.create(key, bytes, purpose).await;
        self.space.note(&result);
        result
    }

    async fn create_parts(&self, key: &Key, parts: Vec<Bytes>, purpose: Purpose) -> Result<()> {
        let result = self.inner.create_parts(key, parts, purpose).await;
        self.space.note(&result);
        result
    }

    async fn get(&self, key: &Key, range: Option<Range<u64>>, purpose: Purpose) -> Result<Bytes> {
        self.inner.get(key, range, purpose).await
    }

    async fn list(&self, prefix: &str, after: Option<&Key>, limit: usize, purpose: Purpose) -> Result<Page> {
        self.inner.list(prefix, after, limit, purpose).await
    }

    async fn delete(&self, key: &Key, purpose: Purpose) -> Result<()> {
        self.inner.delete(key, purpose).await
    }
}
