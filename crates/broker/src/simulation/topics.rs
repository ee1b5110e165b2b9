//! What clients do with topics: create, alter and delete them, and delete their records.

use super::session::Session;
use super::{INTERNAL, INTERNAL_PARTITIONS, STEADY, STEADY_PARTITIONS};
use crate::partition::Topic;
use futures::FutureExt;
use levee_base::Offset;
use levee_meta::TopicId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Topics that come and go, at once.
const TOPICS: usize = 4;

/// Compacted soon, and what was kept for readers that are behind gone soon.
const COMPACT: [(&str, &str); 4] = [
    ("cleanup.policy", "compact"),
    ("segment.ms", "20000"),
    ("min.cleanable.dirty.ratio", "0.01"),
    ("delete.retention.ms", "5000"),
];

impl Session {
    pub(super) fn delete_records(&mut self) {
        let Some((topic, log)) = self.partition() else { return };
        let Some(ends) = log.ends() else { return };
        let config = log.config().topic;
        if config.compacts && !config.deletes {
            return;
        }
        let stream = log.stream();
        let to = Offset(ends.start.0 + self.random.below(ends.durable.0 - ends.start.0 + 1));
        {
            let mut ledger = self.world.judge.ledger.lock().unwrap();
            let asked = &mut ledger.log(stream, topic).deleted_to;
            *asked = to.max(*asked);
        }
        let (starts, world) = (self.process.led.starts.clone(), self.world.clone());
        self.requests.push(
            async move {
                if starts.advance(vec![(stream, to)]).await.is_ok() {
                    log.start_moved();
                    let start = world.judge.newest(|state| state.stream(stream).map(|known| known.start));
                    assert!(start.is_none_or(|start| start >= to), "{stream} begins at {start:?}, not {to}");
                }
            }
            .boxed(),
        );
    }

    /// The topics that come and go.
    fn passing(&self) -> Vec<Arc<Topic>> {
        let mut topics = self.process.led.table.all();
        topics.retain(|topic| !INTERNAL.contains(&&*topic.name) && &*topic.name != STEADY);
        topics
    }

    /// Creates a topic that is there to stay, if one is not: those of the coordinators, as a broker does it for the first
    /// client that asks for a coordinator, and one that groups have offsets of. Whether all are there.
    pub(super) fn create_lasting(&mut self) -> bool {
        let lasting = INTERNAL.map(|name| (name, INTERNAL_PARTITIONS, &COMPACT[..]));
        let steady = (STEADY, STEADY_PARTITIONS, &[("retention.ms", "-1")][..]);
        let missing = |name: &str| self.process.led.table.by_name(name).is_none();
        let first = lasting.into_iter().chain([steady]).find(|(name, ..)| missing(name));
        let Some((name, partitions, configs)) = first else { return true };
        self.create(name.to_owned(), partitions, configs);
        false
    }

    pub(super) fn create_topic(&mut self) {
        if self.passing().len() >= TOPICS {
            return;
        }
        let pairs: &[(&str, &str)] = match self.random.below(7) {
            6 => &[
                ("cleanup.policy", "compact,delete"),
                ("retention.ms", "300000"),
                ("segment.ms", "20000"),
                ("min.cleanable.dirty.ratio", "0.01"),
                ("delete.retention.ms", "5000"),
            ],
            5 => &COMPACT,
            0 => &[("retention.ms", "300000")],
            1 | 2 => &[("retention.ms", "-1"), ("retention.bytes", "20000")],
            3 => &[("retention.ms", "300000"), ("retention.bytes", "50000")],
            _ => &[("retention.ms", "-1")],
        };
        let name = format!("t{}", self.random.below(6));
        let partitions = 1 + self.random.below(3) as u32;
        self.create(name, partitions, pairs);
    }

    fn create(&mut self, name: String, partitions: u32, configs: &[(&str, &str)]) {
        let configs: BTreeMap<_, _> =
            configs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (led, world) = (self.process.led.clone(), self.world.clone());
        self.requests.push(
            async move {
                if let Ok(topic) = led.create(name, partitions, configs).await {
                    world.judge.ledger.lock().unwrap().created.insert(topic);
                }
            }
            .boxed(),
        );
    }

    pub(super) fn delete_topic(&mut self) {
        let topics = self.passing();
        if topics.is_empty() {
            return;
        }
        let topic = TopicId(topics[self.random.below(topics.len() as u64) as usize].id);
        self.world.judge.ledger.lock().unwrap().doomed.insert(topic);
        let (led, world) = (self.process.led.clone(), self.world.clone());
        self.requests.push(
            async move {
                if led.delete(topic.0).await.is_ok() {
                    world.judge.ledger.lock().unwrap().deleted.insert(topic);
                    let is_there = world.judge.newest(|state| state.topic(topic).is_some());
                    assert!(!is_there, "{topic:?} was deleted");
                }
            }
            .boxed(),
        );
    }

    pub(super) fn alter_topic(&mut self) {
        let mut topics = self.process.led.table.all();
        topics.retain(|topic| !topic.configs.contains_key("cleanup.policy"));
        if topics.is_empty() {
            return;
        }
        let id = topics[self.random.below(topics.len() as u64) as usize].id;
        let (name, value) = match self.random.below(3) {
            0 => ("retention.ms", "400000"),
            1 => ("retention.bytes", "30000"),
            _ => ("retention.bytes", "-1"),
        };
        let (set, led) = (BTreeMap::from([(name.to_owned(), value.to_owned())]), self.process.led.clone());
        // It may fail, and may have been done all the same.
        self.requests.push(async move { led.alter(id, set, BTreeSet::new()).map(drop).await }.boxed());
    }
}
