//! A store in memory: for tests, and for `memory://`, where nothing outlives the process.

use crate::stores::{check_limit, range_within};
use crate::{Error, Key, Listed, Page, Purpose, Result, Store};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use std::collections::BTreeMap;
use std::ops::{Bound, Range};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Objects in a map. Every operation is atomic and takes effect at once.
#[derive(Debug, Default)]
pub struct MemoryStore {
    objects: Mutex<BTreeMap<Key, Bytes>>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Poison is ignored: no operation leaves the map half changed.
    fn objects(&self) -> MutexGuard<'_, BTreeMap<Key, Bytes>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn location(&self) -> String {
        "memory://".to_owned()
    }

    async fn create(&self, key: &Key, bytes: Bytes, _purpose: Purpose) -> Result<()> {
        use std::collections::btree_map::Entry;
        match self.objects().entry(key.clone()) {
            Entry::Occupied(_) => Err(Error::already_exists(key)),
            Entry::Vacant(vacant) => {
                // A copy, as on any store: the caller's buffer is its own again afterwards.
                vacant.insert(Bytes::copy_from_slice(&bytes));
                Ok(())
            }
        }
    }

    async fn create_parts(&self, key: &Key, parts: Vec<Bytes>, purpose: Purpose) -> Result<()> {
        let mut whole = BytesMut::with_capacity(parts.iter().map(Bytes::len).sum());
        for part in &parts {
            whole.extend_from_slice(part);
        }
        self.create(key, whole.freeze(), purpose).await
    }

    async fn get(&self, key: &Key, range: Option<Range<u64>>, _purpose: Purpose) -> Result<Bytes> {
        let bytes = self.objects().get(key).cloned().ok_or_else(|| Error::not_found(key))?;
        let range = range_within(key, range, bytes.len() as u64)?;
        // The range lies within the object, whose length is a usize.
        Ok(bytes.slice(range.start as usize..range.end as usize))
    }

    async fn list(&self, prefix: &str, after: Option<&Key>, limit: usize, _purpose: Purpose) -> Result<Page> {
        check_limit(prefix, limit)?;
        let objects = self.objects();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        // Keys that begin with the prefix are not found by a range, as a prefix need not be a key.
        let mut matching = objects
            .range::<Key, _>((from, Bound::Unbounded))
            .skip_while(|(key, _)| key.as_str() < prefix)
            .take_while(|(key, _)| key.as_str().starts_with(prefix))
            .map(|(key, bytes)| Listed { key: key.clone(), bytes: bytes.len() as u64 });
        let listed = matching.by_ref().take(limit).collect();
        Ok(Page { objects: listed, more: matching.next().is_some() })
    }

    async fn delete(&self, key: &Key, _purpose: Purpose) -> Result<()> {
        self.objects().remove(key);
        Ok(())
    }
}
