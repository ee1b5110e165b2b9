//! Decoded indexes of objects that are not in memory: the least recently used go first, bounded by bytes. Whoever
//! misses one takes its turn before reading it, so that nobody reads what another is reading.

use crate::format::Index;
use crate::metrics::Metrics;
use levee_base::HashMap;
use levee_object::Key;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The cache.
#[derive(Debug)]
pub(crate) struct IndexCache {
    limit: usize,
    metrics: Arc<Metrics>,
    entries: Mutex<Entries>,
    /// By the key's hash. Two keys may share one; they then wait for each other, and nothing worse.
    turns: Vec<tokio::sync::Mutex<()>>,
}

/// Reads that may be under way at once, if their hashes differ.
const TURNS: usize = 1_024;

#[derive(Debug, Default)]
struct Entries {
    /// Each with the time of its last use.
    indexes: HashMap<Key, (Arc<Index>, u64)>,
    by_use: BTreeMap<u64, Key>,
    uses: u64,
    bytes: usize,
}

impl IndexCache {
    pub(crate) fn new(limit: usize, metrics: Arc<Metrics>) -> Self {
        let turns = std::iter::repeat_with(tokio::sync::Mutex::default).take(TURNS).collect();
        Self { limit, metrics, entries: Mutex::default(), turns }
    }

    /// Held while the index of `key` is read, by one reader at a time. Look again once it is yours.
    pub(crate) fn turn(&self, key: &Key) -> &tokio::sync::Mutex<()> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(key);
        &self.turns[(hash % TURNS as u64) as usize]
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Index>> {
        let mut entries = self.lock();
        let Entries { indexes, by_use, uses, .. } = &mut *entries;
        let (index, used) = indexes.get_mut(key)?;
        *uses += 1;
        if let Some(key) = by_use.remove(used) {
            by_use.insert(*uses, key);
        }
        *used = *uses;
        Some(index.clone())
    }

    pub(crate) fn put(&self, key: &Key, index: Arc<Index>) {
        let bytes = cost(key, &index);
        if bytes > self.limit {
            return;
        }
        let mut entries = self.lock();
        entries.remove(key);
        while entries.bytes + bytes > self.limit {
            let Some((_, oldest)) = entries.by_use.first_key_value() else { break };
            let oldest = oldest.clone();
            entries.remove(&oldest);
        }
        entries.uses += 1;
        let now = entries.uses;
        entries.by_use.insert(now, key.clone());
        entries.indexes.insert(key.clone(), (index, now));
        entries.bytes += bytes;
        self.metrics.index_cache_bytes.set(entries.bytes as u64);
    }
}

impl Entries {
    fn remove(&mut self, key: &Key) {
        if let Some((index, used)) = self.indexes.remove(key) {
            self.by_use.remove(&used);
            self.bytes -= cost(key, &index);
        }
    }
}

/// An entry's share of the limit: the index, the key, and about what the two maps take.
fn cost(key: &Key, index: &Index) -> usize {
    index.memory_bytes() + key.as_str().len() + 160
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::IndexBuilder;
    use bytes::Bytes;
    use levee_base::Epoch;

    fn index(number: u64) -> Arc<Index> {
        let builder = IndexBuilder::default();
        let mut encoded = Vec::new();
        builder.encode(Epoch(1), number, |bytes| encoded.extend_from_slice(bytes));
        Arc::new(builder.into_index(Epoch(1), number, &Bytes::from(encoded)))
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let key = |n: u64| Key::new(format!("k/{n}")).unwrap();
        let metrics = Arc::new(Metrics::default());
        let one = cost(&key(1), &index(1));
        let cache = IndexCache::new(3 * one, metrics.clone());
        for n in 0..3 {
            cache.put(&key(n), index(n));
        }
        assert_eq!(cache.get(&key(0)).unwrap().number, 0);
        cache.put(&key(0), index(0));
        cache.put(&key(3), index(3));
        let kept: Vec<u64> = (0..4).filter(|n| cache.get(&key(*n)).is_some()).collect();
        assert_eq!(kept, [0, 2, 3]);
        assert_eq!(metrics.index_cache_bytes.get() as usize, 3 * one);
        let none = IndexCache::new(one - 1, metrics);
        none.put(&key(0), index(0));
        assert!(none.get(&key(0)).is_none(), "what is larger than the cache is not kept");
    }
}
