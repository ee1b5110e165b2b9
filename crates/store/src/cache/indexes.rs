//! Decoded indexes of objects that are not in memory, bounded by bytes. What opening thousands of streams reads once
//! does not drive out what readers use.

use super::layout::{Cut, Layout};
use super::{Hasher, cache_options};
use crate::format::Index;
use crate::metrics::Metrics;
use levee_object::Key;
use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle};
use std::sync::Arc;

#[derive(Debug, Clone)]
struct Weigh;

impl Weighter<Key, Arc<Layout>> for Weigh {
    fn weight(&self, key: &Key, layout: &Arc<Layout>) -> u64 {
        // And about what the map takes.
        (layout.memory_bytes() + key.as_str().len() + 160) as u64
    }
}

/// The cache.
pub(crate) struct IndexCache {
    layouts: Cache<Key, Arc<Layout>, Weigh, Hasher>,
    cut: Cut,
    metrics: Arc<Metrics>,
}

impl IndexCache {
    pub(crate) fn new(bytes: usize, cut: Cut, metrics: Arc<Metrics>) -> Self {
        let options = cache_options(bytes, 4_096);
        let layouts = Cache::with_options(options, Weigh, Hasher::default(), DefaultLifecycle::default());
        Self { layouts, cut, metrics }
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Layout>> {
        self.layouts.get(key)
    }

    pub(crate) fn put(&self, key: &Key, index: Arc<Index>) -> Arc<Layout> {
        let layout = Arc::new(Layout::new(index, self.cut));
        self.layouts.insert(key.clone(), layout.clone());
        self.metrics.index_cache_bytes.set(self.layouts.weight());
        layout
    }
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
    fn what_is_used_again_outlives_what_was_put_since_and_the_limit_holds() {
        let key = |n: u64| Key::new(format!("k/{n:03}")).unwrap();
        let metrics = Arc::new(Metrics::default());
        let one = Weigh.weight(&key(0), &Arc::new(Layout::new(index(0), Cut::SUITABLE))) as usize;
        let cache = IndexCache::new(20 * one, Cut::SUITABLE, metrics.clone());
        for n in 0..500 {
            cache.put(&key(n), index(n));
            assert!(metrics.index_cache_bytes.get() as usize <= 20 * one);
            assert_eq!(cache.get(&key(3.min(n))).unwrap().index.number, 3.min(n));
        }
        assert_eq!((0..500).filter(|n| cache.get(&key(*n)).is_some()).count(), 20, "and it is used");
        let none = IndexCache::new(one / 2, Cut::SUITABLE, metrics);
        none.put(&key(0), index(0));
        assert!(none.get(&key(0)).is_none(), "what is larger than the cache is not kept");
    }
}
