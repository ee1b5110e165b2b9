//! A backend in memory, for the handlers' tests.

use super::backend::{Backend, BackendError, Broker, Defaults, NewTopic, Partition, Topic};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use uuid::Uuid;

/// One broker, and topics that are created at once.
#[derive(Debug, Default)]
pub struct Memory(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    topics: BTreeMap<String, (Topic, NewTopic)>,
    next: i64,
    failing: bool,
    no_auto_create: bool,
    resources: BTreeMap<(i8, String), BTreeMap<String, String>>,
}

impl Memory {
    /// From now on nothing can be changed.
    pub fn fail(&self) {
        self.0.lock().unwrap().failing = true;
    }

    /// From now on topics are not created by Metadata.
    pub fn no_auto_create(&self) {
        self.0.lock().unwrap().no_auto_create = true;
    }

    /// From now on nobody leads a topic's partitions.
    pub fn without_leader(&self, name: &str) {
        let mut state = self.0.lock().unwrap();
        let (topic, _) = state.topics.get_mut(name).unwrap();
        topic.partitions.iter_mut().for_each(|partition| partition.leader = None);
    }

    /// As it was created.
    pub fn created(&self, name: &str) -> Option<NewTopic> {
        self.0.lock().unwrap().topics.get(name).map(|(_, new)| new.clone())
    }

    /// With a topic.
    pub async fn with(self, name: &str, partitions: u32) -> Self {
        let new = NewTopic { name: name.into(), partitions, leaders: vec![], configs: BTreeMap::new() };
        self.create_topic(new).await.unwrap();
        self
    }
}

impl Backend for Memory {
    fn cluster_id(&self) -> Uuid {
        Uuid::from_u128(7)
    }

    fn controller_id(&self) -> i32 {
        1
    }

    fn node_id(&self) -> i32 {
        1
    }

    fn brokers(&self) -> Vec<Broker> {
        vec![Broker { id: 1, host: "localhost".into(), port: 9092 }]
    }

    fn topics(&self) -> Vec<Topic> {
        self.0.lock().unwrap().topics.values().map(|(topic, _)| topic.clone()).collect()
    }

    fn topic(&self, name: &str) -> Option<Topic> {
        self.0.lock().unwrap().topics.get(name).map(|(topic, _)| topic.clone())
    }

    fn topic_by_id(&self, id: Uuid) -> Option<Topic> {
        self.topics().into_iter().find(|topic| topic.id == id)
    }

    fn defaults(&self) -> Defaults {
        let auto_create = !self.0.lock().unwrap().no_auto_create;
        Defaults { partitions: 1, replication_factor: 1, auto_create }
    }

    async fn create_topic(&self, new: NewTopic) -> Result<Topic, BackendError> {
        let mut state = self.0.lock().unwrap();
        if state.failing {
            return Err(BackendError::Unavailable("the store is down".into()));
        }
        if state.topics.contains_key(&*new.name) {
            return Err(BackendError::TopicExists);
        }
        state.next += 1;
        let partition = Partition { leader: Some(1), leader_epoch: 0 };
        let id = Uuid::from_u128(100 + state.next as u128);
        let topic =
            Topic { name: new.name.clone(), id, partitions: vec![partition; new.partitions as usize] };
        state.topics.insert(new.name.to_string(), (topic.clone(), new));
        Ok(topic)
    }

    async fn add_partitions(&self, id: Uuid, partitions: u32) -> Result<(), BackendError> {
        let mut state = self.0.lock().unwrap();
        if state.failing {
            return Err(BackendError::Unavailable("the store is down".into()));
        }
        let mut topics = state.topics.values_mut();
        let (topic, _) = topics.find(|(topic, _)| topic.id == id).ok_or(BackendError::UnknownTopic)?;
        let has = topic.partitions.len();
        if partitions as usize <= has {
            return Err(BackendError::NoIncrease(has as u32));
        }
        topic.partitions.resize(partitions as usize, Partition { leader: Some(1), leader_epoch: 0 });
        Ok(())
    }

    fn sizes(&self, topic: &str) -> Vec<u64> {
        let partitions = self.topic(topic).map_or(0, |topic| topic.partitions.len());
        (0..partitions as u64).map(|index| 100 + index).collect()
    }

    fn location(&self) -> String {
        "memory:".to_owned()
    }

    fn resource_configs(&self, kind: i8, name: &str) -> BTreeMap<String, String> {
        let state = self.0.lock().unwrap();
        state.resources.get(&(kind, name.to_owned())).cloned().unwrap_or_default()
    }

    fn resources(&self, kind: i8) -> Vec<String> {
        let state = self.0.lock().unwrap();
        state.resources.keys().filter(|(of, _)| *of == kind).map(|(_, name)| name.clone()).collect()
    }

    async fn alter_resource(
        &self,
        kind: i8,
        name: &str,
        set: BTreeMap<String, String>,
        unset: BTreeSet<String>,
    ) -> Result<(), BackendError> {
        let mut state = self.0.lock().unwrap();
        if state.failing {
            return Err(BackendError::Unavailable("the store is down".into()));
        }
        let configs = state.resources.entry((kind, name.to_owned())).or_default();
        configs.retain(|name, _| !unset.contains(name));
        configs.extend(set);
        state.resources.retain(|_, configs| !configs.is_empty());
        Ok(())
    }

    fn topic_configs(&self, name: &str) -> Option<BTreeMap<String, String>> {
        self.created(name).map(|new| new.configs)
    }

    fn broker_configs(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([("node.id", "1".to_owned()), ("num.partitions", "4".to_owned())])
    }

    async fn alter_topic(
        &self,
        id: Uuid,
        set: BTreeMap<String, String>,
        unset: BTreeSet<String>,
    ) -> Result<(), BackendError> {
        let mut state = self.0.lock().unwrap();
        if state.failing {
            return Err(BackendError::Unavailable("the store is down".into()));
        }
        let mut topics = state.topics.values_mut();
        let (_, topic) = topics.find(|(topic, _)| topic.id == id).ok_or(BackendError::UnknownTopic)?;
        topic.configs.retain(|name, _| !unset.contains(name));
        topic.configs.extend(set);
        Ok(())
    }

    async fn delete_topic(&self, id: Uuid) -> Result<(), BackendError> {
        let mut state = self.0.lock().unwrap();
        if state.failing {
            return Err(BackendError::Unavailable("the store is down".into()));
        }
        let before = state.topics.len();
        state.topics.retain(|_, (topic, _)| topic.id != id);
        if state.topics.len() < before { Ok(()) } else { Err(BackendError::UnknownTopic) }
    }

    async fn producer_id(&self) -> Result<i64, BackendError> {
        let mut state = self.0.lock().unwrap();
        if state.failing {
            return Err(BackendError::Unavailable("the store is down".into()));
        }
        state.next += 1;
        Ok(state.next)
    }
}
