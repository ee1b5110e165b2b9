//! Which topics there are and where their partitions are led, as the handlers look them up.
//!
//! `node` keeps it in step with the metadata; handlers only read. A topic is replaced as a whole, so a look-up
//! sees all of its partitions as of one moment.

use super::log::PartitionLog;
use crate::wire::writer::Leader;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use uuid::Uuid;

/// One partition.
#[derive(Debug, Clone)]
pub enum Partition {
    /// Led by this broker.
    Here(Arc<PartitionLog>),
    /// Led by another.
    Elsewhere(Leader),
    /// Led by nobody, or not open yet: clients try again.
    Unavailable,
}

/// One topic.
#[derive(Debug, Clone)]
pub struct Topic {
    /// Its name.
    pub name: Arc<str>,
    /// Its id.
    pub id: Uuid,
    /// The configurations that its partitions go by: its own, and what was changed of the defaults.
    pub configs: BTreeMap<String, String>,
    /// Its partitions, by number.
    pub partitions: Vec<Partition>,
}

impl Topic {
    /// The partition of a number in a request.
    #[must_use]
    pub fn partition(&self, index: i32) -> Option<&Partition> {
        self.partitions.get(usize::try_from(index).ok()?)
    }

    /// Whether one of its partitions is unavailable.
    #[must_use]
    pub fn has_unavailable(&self) -> bool {
        self.partitions.iter().any(|partition| matches!(partition, Partition::Unavailable))
    }
}

#[derive(Debug, Default)]
struct Topics {
    by_name: BTreeMap<Arc<str>, Arc<Topic>>,
    by_id: BTreeMap<Uuid, Arc<Topic>>,
}

/// All topics.
#[derive(Debug, Default)]
pub struct PartitionTable(RwLock<Topics>);

impl PartitionTable {
    /// Enters a topic, in the place of the one with its name or its id. Returns another one that had its name.
    pub fn insert(&self, topic: Topic) -> Option<Arc<Topic>> {
        let topic = Arc::new(topic);
        let mut topics = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = topics.by_id.insert(topic.id, topic.clone())
            && before.name != topic.name
        {
            topics.by_name.remove(&before.name);
        }
        let before = topics.by_name.insert(topic.name.clone(), topic.clone())?;
        if before.id == topic.id {
            return None;
        }
        topics.by_id.remove(&before.id);
        Some(before)
    }

    /// Removes a topic.
    pub fn remove(&self, id: Uuid) {
        let mut topics = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(topic) = topics.by_id.remove(&id) {
            topics.by_name.remove(&topic.name);
        }
    }

    /// The topic of a name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<Arc<Topic>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).by_name.get(name).cloned()
    }

    /// The topic of an id.
    #[must_use]
    pub fn by_id(&self, id: Uuid) -> Option<Arc<Topic>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).by_id.get(&id).cloned()
    }

    /// All topics, by name.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Topic>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).by_name.values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str, id: u128, partitions: usize) -> Topic {
        let partitions = vec![Partition::Unavailable; partitions];
        Topic { name: name.into(), id: Uuid::from_u128(id), configs: BTreeMap::new(), partitions }
    }

    #[test]
    fn a_topic_that_is_made_again_has_another_id() {
        let table = PartitionTable::default();
        assert!(table.insert(topic("a", 1, 1)).is_none() && table.insert(topic("a", 1, 1)).is_none());
        assert_eq!(table.insert(topic("a", 2, 3)).unwrap().id.as_u128(), 1);
        assert!(table.by_id(Uuid::from_u128(1)).is_none());
        let again = table.by_name("a").unwrap();
        assert_eq!((again.id.as_u128(), again.partitions.len()), (2, 3));
        assert!(again.partition(2).is_some() && again.partition(3).is_none());
        assert!(again.partition(-1).is_none());
        table.remove(Uuid::from_u128(2));
        assert!(table.by_name("a").is_none() && table.all().is_empty());
    }
}
