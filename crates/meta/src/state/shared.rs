//! The state's large tables, so made that a copy of the state is cheap: a clone shares what neither side has changed
//! since. That is what a snapshot is encoded from while commands go on being applied. A change copies at most one
//! chunk of objects, or one stream's extents, that is still shared.
//!
//! What doesn't belong here: what is in the tables.

use crate::ids::ObjectId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows of a chunk.
const CHUNK: usize = 1_024;

/// A table by object id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ById<V> {
    /// By `id / CHUNK`; none is empty, so that equal tables are equal chunk by chunk.
    chunks: BTreeMap<u64, Arc<BTreeMap<ObjectId, V>>>,
}

impl<V> Default for ById<V> {
    fn default() -> Self {
        Self { chunks: BTreeMap::new() }
    }
}

impl<V> ById<V> {
    pub(crate) fn get(&self, id: &ObjectId) -> Option<&V> {
        self.chunks.get(&chunk(*id))?.get(id)
    }

    pub(crate) fn contains_key(&self, id: &ObjectId) -> bool {
        self.get(id).is_some()
    }

    /// In the order of the ids.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&ObjectId, &V)> {
        self.chunks.values().flat_map(|chunk| chunk.iter())
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &ObjectId> {
        self.iter().map(|(id, _)| id)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    pub(crate) fn len(&self) -> usize {
        self.chunks.values().map(|chunk| chunk.len()).sum()
    }
}

impl<V: Clone> ById<V> {
    pub(crate) fn get_mut(&mut self, id: &ObjectId) -> Option<&mut V> {
        Arc::make_mut(self.chunks.get_mut(&chunk(*id))?).get_mut(id)
    }

    pub(crate) fn insert(&mut self, id: ObjectId, value: V) {
        Arc::make_mut(self.chunks.entry(chunk(id)).or_default()).insert(id, value);
    }

    pub(crate) fn remove(&mut self, id: &ObjectId) -> Option<V> {
        let rows = Arc::make_mut(self.chunks.get_mut(&chunk(*id))?);
        let removed = rows.remove(id);
        if rows.is_empty() {
            self.chunks.remove(&chunk(*id));
        }
        removed
    }
}

fn chunk(id: ObjectId) -> u64 {
    id.0 / CHUNK as u64
}

/// A list whose clones share it until one of them changes. It is copied whole then: compaction keeps a stream's extents
/// at some thousands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Rows<T>(Arc<Vec<T>>);

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> std::ops::Deref for Rows<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Clone> Rows<T> {
    /// The list, to be changed.
    pub(crate) fn to_mut(&mut self) -> &mut Vec<T> {
        Arc::make_mut(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_table_is_a_map_and_its_clone_stays_as_it_was(
            steps in prop::collection::vec((0u64..5_000, prop::option::of(any::<u8>())), 0..300),
            at in 0usize..300,
        ) {
            let (mut table, mut map) = (ById::default(), BTreeMap::new());
            let mut kept = None;
            for (step, (id, value)) in steps.into_iter().enumerate() {
                if step == at {
                    kept = Some((table.clone(), map.clone()));
                }
                let id = ObjectId(id);
                match value {
                    Some(value) => {
                        table.insert(id, value);
                        map.insert(id, value);
                    }
                    None => prop_assert_eq!(table.remove(&id), map.remove(&id)),
                }
                if let Some(row) = table.get_mut(&ObjectId(id.0 / 2)) {
                    *row ^= 1;
                    *map.get_mut(&ObjectId(id.0 / 2)).unwrap() ^= 1;
                }
            }
            for (table, map) in kept.into_iter().chain([(table, map)]) {
                prop_assert!(table.iter().eq(map.iter()));
                prop_assert_eq!(table.len(), map.len());
                prop_assert!(table.chunks.values().all(|chunk| !chunk.is_empty()));
            }
        }
    }
}
