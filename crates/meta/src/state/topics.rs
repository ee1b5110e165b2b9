//! Topics: names, ids, settings, and the streams that are their partitions.
//!
//! Kafka takes names that differ only in `.` and `_` for the same, as its metrics can't tell them apart. So
//! names are kept under their spelling with `_` alone, which makes the collision and the look-up one question.

use crate::answer::{Answer, Refusal};
use crate::ids::TopicId;
use crate::state::State;
use crate::state::configs::{changed, config_bytes};
use crate::state::rules::Rules;
use crate::state::shared::Rows;
use crate::state::streams::Stream;
use levee_base::{BrokerEpoch, Offset, StreamId};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// The longest name of a topic (Kafka's, so that a folder can be named so).
const NAME_BYTES: usize = 249;

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its partitions' streams, partition 0 first.
    pub streams: Vec<StreamId>,
    /// The settings that differ from the defaults.
    pub configs: BTreeMap<String, String>,
}

/// Whether `name` may name a topic, by Kafka's rules.
#[must_use]
pub fn is_topic_name(name: &str) -> bool {
    (1..=NAME_BYTES).contains(&name.len())
        && !matches!(name, "." | "..")
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// The name as Kafka's metrics have it, where `.` becomes `_`: no two topics may have the same.
#[must_use]
pub fn collision_key(name: &str) -> String {
    name.replace('.', "_")
}

fn check_configs(rules: &Rules, configs: &BTreeMap<String, String>) -> Result<(), Refusal> {
    if config_bytes(configs) > rules.topic_config_bytes {
        return Err(Refusal::ConfigsTooLong { most_bytes: rules.topic_config_bytes });
    }
    Ok(())
}

impl State {
    /// A topic by id.
    #[must_use]
    pub fn topic(&self, id: TopicId) -> Option<&Topic> {
        self.topics.get(&id)
    }

    /// A topic by name.
    #[must_use]
    pub fn topic_by_name(&self, name: &str) -> Option<(TopicId, &Topic)> {
        let id = *self.names.get(&collision_key(name))?;
        self.topics.get(&id).filter(|topic| topic.name == name).map(|topic| (id, topic))
    }

    /// The topic whose name is this one, or would be one with it in Kafka's metrics, where `.` counts as `_`.
    #[must_use]
    pub fn topic_colliding(&self, name: &str) -> Option<&Topic> {
        self.topics.get(self.names.get(&collision_key(name))?)
    }

    /// All topics, by name (where `.` counts as `_`).
    pub fn topics(&self) -> impl Iterator<Item = (TopicId, &Topic)> {
        self.names.values().filter_map(|&id| Some((id, self.topics.get(&id)?)))
    }

    pub(super) fn create_topic(
        &mut self,
        rules: &Rules,
        name: &str,
        id: TopicId,
        partitions: u32,
        configs: &BTreeMap<String, String>,
        leader: BrokerEpoch,
    ) -> Result<Answer, Refusal> {
        if !is_topic_name(name) {
            return Err(Refusal::InvalidTopicName);
        }
        if id.0.is_nil() {
            return Err(Refusal::InvalidTopicId);
        }
        if let Some(&topic) = self.names.get(&collision_key(name)) {
            let existing = self.topics.get(&topic).map_or("", |topic| &topic.name);
            return Err(if existing == name {
                Refusal::TopicExists { topic }
            } else {
                Refusal::TopicCollides { existing: existing.to_owned() }
            });
        }
        if self.topics.contains_key(&id) {
            return Err(Refusal::TopicIdInUse);
        }
        if !(1..=rules.topic_partitions).contains(&partitions) {
            return Err(Refusal::InvalidPartitions { most: rules.topic_partitions });
        }
        check_configs(rules, configs)?;
        if !self.can_lead(leader) {
            return Err(Refusal::CannotLead { epoch: leader });
        }
        let first = self.next_stream;
        let streams = self.new_streams(id, 0..partitions, leader);
        self.names.insert(collision_key(name), id);
        self.topics.insert(id, Topic { name: name.to_owned(), streams, configs: configs.clone() });
        Ok(Answer::TopicCreated { first })
    }

    /// Makes the streams of a topic's partitions, which have none yet.
    fn new_streams(&mut self, topic: TopicId, partitions: Range<u32>, leader: BrokerEpoch) -> Vec<StreamId> {
        let mut streams = Vec::with_capacity(partitions.len());
        for partition in partitions {
            let stream = self.next_stream;
            self.next_stream = stream.next();
            streams.push(stream);
            let new = Stream {
                topic,
                partition,
                leader: Some(leader),
                leader_epoch: 0,
                start: Offset::ZERO,
                end: Offset::ZERO,
                extents: Rows::default(),
                bytes: 0,
                checkpoint: None,
            };
            self.streams.insert(stream, new);
        }
        streams
    }

    pub(super) fn add_partitions(
        &mut self,
        rules: &Rules,
        id: TopicId,
        partitions: u32,
        leader: BrokerEpoch,
    ) -> Result<Answer, Refusal> {
        let topic = self.topics.get(&id).ok_or(Refusal::UnknownTopic)?;
        let has = u32::try_from(topic.streams.len()).unwrap_or(u32::MAX);
        if partitions <= has {
            return Err(Refusal::NotMorePartitions { has });
        }
        if partitions > rules.topic_partitions {
            return Err(Refusal::InvalidPartitions { most: rules.topic_partitions });
        }
        if !self.can_lead(leader) {
            return Err(Refusal::CannotLead { epoch: leader });
        }
        let streams = self.new_streams(id, has..partitions, leader);
        if let Some(topic) = self.topics.get_mut(&id) {
            topic.streams.extend(streams);
        }
        Ok(Answer::Done)
    }

    pub(super) fn alter_topic(
        &mut self,
        rules: &Rules,
        id: TopicId,
        set: &BTreeMap<String, String>,
        unset: &BTreeSet<String>,
    ) -> Result<Answer, Refusal> {
        let topic = self.topics.get_mut(&id).ok_or(Refusal::UnknownTopic)?;
        let configs = changed(&topic.configs, set, unset);
        check_configs(rules, &configs)?;
        topic.configs = configs;
        Ok(Answer::Done)
    }

    pub(super) fn delete_topic(&mut self, id: TopicId) -> Result<Answer, Refusal> {
        let topic = self.topics.remove(&id).ok_or(Refusal::UnknownTopic)?;
        self.names.remove(&collision_key(&topic.name));
        for stream in topic.streams {
            let Some(stream) = self.streams.remove(&stream) else { continue };
            for extent in stream.extents.iter() {
                self.release(extent.object);
            }
            if let Some((_, object)) = stream.checkpoint {
                self.release(object);
            }
        }
        Ok(Answer::Done)
    }
}
