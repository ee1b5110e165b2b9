//! The cluster's topics, as coordinators see them.

use crate::handlers::resource;
use levee_coordinator::{Cluster, TopicView};
use levee_meta::{Metadata, Resource, TopicId};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Over the metadata.
#[derive(Debug)]
pub(super) struct MetadataCluster(pub(super) Metadata);

fn view(id: TopicId, topic: &levee_meta::state::Topic) -> TopicView {
    TopicView {
        name: topic.name.as_str().into(),
        id: id.0,
        partitions: u32::try_from(topic.streams.len()).unwrap_or(u32::MAX),
    }
}

impl Cluster for MetadataCluster {
    fn topic(&self, name: &str) -> Option<TopicView> {
        self.0.view(|state| state.topic_by_name(name).map(|(id, topic)| view(id, topic)))
    }

    fn topic_by_id(&self, id: Uuid) -> Option<TopicView> {
        let id = TopicId(id);
        self.0.view(|state| state.topic(id).map(|topic| view(id, topic)))
    }

    fn topics(&self) -> Vec<TopicView> {
        self.0.view(|state| {
            let mut topics: Vec<_> = state.topics().map(|(id, topic)| view(id, topic)).collect();
            topics.sort_unstable_by(|a, b| a.name.cmp(&b.name));
            topics
        })
    }

    fn group_configs(&self, group: &str) -> BTreeMap<String, String> {
        let resource = Resource { kind: resource::GROUP.unsigned_abs().into(), name: group.to_owned() };
        self.0.view(|state| state.configs(&resource).cloned().unwrap_or_default())
    }
}
