//! The offsets of all groups of a shard: those that are committed, and those that wait for their transaction's end.
//!
//! Of a transactional and a plain commit of the same partition the one that was written later counts, even if the
//! transaction ends after both. Offsets are numbered in the order they are written or replayed for that.

use super::producers::Producers;
use crate::effects::{Producer, Record};
use crate::schema::group::{OffsetCommitKey, OffsetCommitValue};
use levee_base::limits::{COMMITTED_OFFSETS, OFFSETS_METADATA_BYTES};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use uuid::Uuid;

/// An offset, and when it was written relative to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Committed {
    order: u64,
    pub(crate) value: OffsetCommitValue,
}

/// How much is held, committed and pending.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Held {
    offsets: usize,
    /// Of what clients have added to them.
    metadata_bytes: usize,
}

impl Held {
    fn add(&mut self, committed: &Committed) {
        self.offsets += 1;
        self.metadata_bytes += committed.value.metadata.len();
    }

    fn remove(&mut self, committed: &Committed) {
        self.offsets -= 1;
        self.metadata_bytes -= committed.value.metadata.len();
    }
}

type Partitions<T> = BTreeMap<i32, T>;
type Topics<T> = BTreeMap<Arc<str>, Partitions<T>>;
type Groups<T> = BTreeMap<Arc<str>, Topics<T>>;

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    committed: Groups<Committed>,
    /// By producer id.
    pending: BTreeMap<i64, Groups<Committed>>,
    /// The producers that have a pending offset of a partition.
    open: Groups<BTreeSet<i64>>,
    held: Held,
    /// How many offsets have been written.
    written: u64,
    /// The producers' epochs.
    pub(super) producers: Producers,
}

/// Returns what was there before.
fn put<T>(groups: &mut Groups<T>, key: &OffsetCommitKey, value: T) -> Option<T> {
    groups
        .entry(Arc::clone(&key.group))
        .or_default()
        .entry(Arc::clone(&key.topic))
        .or_default()
        .insert(key.partition, value)
}

fn get<'a, T>(groups: &'a Groups<T>, group: &str, topic: &str, partition: i32) -> Option<&'a T> {
    groups.get(group)?.get(topic)?.get(&partition)
}

/// Removes an entry, and what held only it.
fn remove<T>(groups: &mut Groups<T>, key: &OffsetCommitKey) -> Option<T> {
    let topics = groups.get_mut(&*key.group)?;
    let partitions = topics.get_mut(&*key.topic)?;
    let removed = partitions.remove(&key.partition);
    if partitions.is_empty() {
        topics.remove(&*key.topic);
    }
    if topics.is_empty() {
        groups.remove(&*key.group);
    }
    removed
}

fn each<T>(groups: &Groups<T>) -> impl Iterator<Item = (OffsetCommitKey, &T)> {
    groups.iter().flat_map(|(group, topics)| {
        topics.iter().flat_map(move |(topic, partitions)| {
            partitions.iter().map(move |(partition, value)| (key(group, topic, *partition), value))
        })
    })
}

fn key(group: &Arc<str>, topic: &Arc<str>, partition: i32) -> OffsetCommitKey {
    OffsetCommitKey { group: Arc::clone(group), topic: Arc::clone(topic), partition }
}

/// The record that deletes an offset.
pub(crate) fn tombstone(key: &OffsetCommitKey) -> Record {
    Record { key: key.write(), value: None }
}

impl Offsets {
    /// Takes in a record: a commit, or the deletion of an offset.
    pub(crate) fn apply(
        &mut self,
        producer: Option<Producer>,
        key: &OffsetCommitKey,
        value: Option<OffsetCommitValue>,
        wall_ms: i64,
    ) {
        let Some(value) = value else { return self.delete(key) };
        self.written += 1;
        let committed = Committed { order: self.written, value };
        self.held.add(&committed);
        let Some(producer) = producer else { return self.commit(key, committed) };
        self.producers.saw(producer, wall_ms);
        if let Some(before) = put(self.pending.entry(producer.id).or_default(), key, committed) {
            self.held.remove(&before);
        }
        match self.open.get_mut(&*key.group).and_then(|t| t.get_mut(&*key.topic)?.get_mut(&key.partition)) {
            Some(producers) => drop(producers.insert(producer.id)),
            None => drop(put(&mut self.open, key, BTreeSet::from([producer.id]))),
        }
    }

    /// An offset that is held already is the committed one from now on.
    fn commit(&mut self, key: &OffsetCommitKey, committed: Committed) {
        if let Some(before) = put(&mut self.committed, key, committed) {
            self.held.remove(&before);
        }
    }

    /// Whether there is room for these. What replaces others and is no longer than they are has room always.
    pub(crate) fn has_room(
        &self,
        producer: Option<Producer>,
        offsets: &[(OffsetCommitKey, OffsetCommitValue)],
    ) -> bool {
        let there = match producer {
            Some(producer) => self.pending.get(&producer.id),
            None => Some(&self.committed),
        };
        let (mut new, mut added_bytes, mut freed_bytes) = (0, 0, 0);
        for (key, value) in offsets {
            added_bytes += value.metadata.len();
            match there.and_then(|there| get(there, &key.group, &key.topic, key.partition)) {
                Some(before) => freed_bytes += before.value.metadata.len(),
                None => new += 1,
            }
        }
        let held = self.held;
        (new == 0 || held.offsets + new <= COMMITTED_OFFSETS)
            && (added_bytes <= freed_bytes || held.metadata_bytes + added_bytes <= OFFSETS_METADATA_BYTES)
    }

    /// Deletes an offset, and what is pending of it.
    pub(crate) fn delete(&mut self, key: &OffsetCommitKey) {
        let mut removed: Vec<_> = remove(&mut self.committed, key).into_iter().collect();
        for producer in remove(&mut self.open, key).unwrap_or_default() {
            if let Some(pending) = self.pending.get_mut(&producer) {
                removed.extend(remove(pending, key));
                if pending.is_empty() {
                    self.pending.remove(&producer);
                }
            }
        }
        for committed in removed {
            self.held.remove(&committed);
        }
    }

    /// A producer's transaction has ended.
    pub(crate) fn end_transaction(&mut self, producer: Producer, commit: bool, wall_ms: i64) {
        self.producers.saw(producer, wall_ms);
        for (key, committed) in each(&self.pending.remove(&producer.id).unwrap_or_default()) {
            if let Some(producers) =
                self.open.get_mut(&*key.group).and_then(|t| t.get_mut(&*key.topic)?.get_mut(&key.partition))
            {
                producers.remove(&producer.id);
                if producers.is_empty() {
                    remove(&mut self.open, &key);
                }
            }
            let before = get(&self.committed, &key.group, &key.topic, key.partition);
            if commit && before.is_none_or(|before| before.order < committed.order) {
                self.commit(&key, committed.clone());
            } else {
                self.held.remove(committed);
            }
        }
    }

    /// The committed offset of a partition.
    pub(crate) fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<&OffsetCommitValue> {
        get(&self.committed, group, topic, partition).map(|committed| &committed.value)
    }

    /// All committed offsets of a group.
    pub(crate) fn of_group<'a>(
        &'a self,
        group: &str,
    ) -> impl Iterator<Item = (&'a Arc<str>, &'a Partitions<Committed>)> + use<'a> {
        self.committed.get(group).into_iter().flatten()
    }

    /// Whether a transaction is open that commits an offset of a partition.
    pub(crate) fn is_pending(&self, group: &str, topic: &str, partition: i32) -> bool {
        get(&self.open, group, topic, partition).is_some()
    }

    /// Whether a transaction is open that commits an offset of a group.
    pub(crate) fn has_pending(&self, group: &str) -> bool {
        self.open.contains_key(group)
    }

    /// The keys of all offsets of a group, committed and pending, each once.
    pub(crate) fn keys_of(&self, group: &str) -> BTreeSet<OffsetCommitKey> {
        fn keys<T>(groups: &Groups<T>, group: &str) -> Vec<OffsetCommitKey> {
            let Some((group, topics)) = groups.get_key_value(group) else { return Vec::new() };
            let of = |(topic, partitions): (&Arc<str>, &Partitions<T>)| {
                partitions.keys().map(|partition| key(group, topic, *partition)).collect::<Vec<_>>()
            };
            topics.iter().flat_map(of).collect()
        }
        let mut all: BTreeSet<_> = keys(&self.committed, group).into_iter().collect();
        all.extend(keys(&self.open, group));
        all
    }

    /// The keys of all offsets, committed and pending, of a topic that was deleted. Where an offset has the id of its
    /// topic, the name may belong to another topic by now.
    pub(crate) fn keys_of_topic(&self, topic: &str, id: Uuid) -> BTreeSet<OffsetCommitKey> {
        let of = |groups: &Groups<Committed>| {
            let mut found = Vec::new();
            for (group, topics) in groups {
                let Some((topic, partitions)) = topics.get_key_value(topic) else { continue };
                let deleted = partitions.iter().filter(|(_, committed)| {
                    let of = committed.value.topic_id;
                    of.is_nil() || of == id
                });
                found.extend(deleted.map(|(partition, _)| key(group, topic, *partition)));
            }
            found
        };
        let mut all: BTreeSet<_> = of(&self.committed).into_iter().collect();
        for pending in self.pending.values() {
            all.extend(of(pending));
        }
        all
    }

    /// What is committed and what is pending: for tests to compare.
    #[cfg(test)]
    pub(crate) fn snapshot(&self) -> Vec<(Option<i64>, OffsetCommitKey, OffsetCommitValue)> {
        let committed = each(&self.committed).map(|(key, committed)| (None, key, committed.value.clone()));
        let pending = self.pending.iter().flat_map(|(producer, groups)| {
            each(groups).map(|(key, committed)| (Some(*producer), key, committed.value.clone()))
        });
        committed.chain(pending).collect()
    }

    /// What must always hold.
    #[cfg(test)]
    pub(crate) fn check(&self) {
        let mut open: Groups<BTreeSet<i64>> = BTreeMap::new();
        for (producer, groups) in &self.pending {
            assert!(!groups.is_empty());
            for (key, _) in each(groups) {
                let mut producers =
                    get(&open, &key.group, &key.topic, key.partition).cloned().unwrap_or_default();
                producers.insert(*producer);
                put(&mut open, &key, producers);
            }
        }
        assert_eq!(open, self.open, "the index of pending offsets");
        let mut held = Held::default();
        for groups in std::iter::once(&self.committed).chain(self.pending.values()) {
            each(groups).for_each(|(_, committed)| held.add(committed));
        }
        assert_eq!(held, self.held);
    }
}

#[cfg(test)]
#[path = "offsets_tests.rs"]
mod tests;
