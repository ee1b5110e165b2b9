//! What a group knows of the topics that it subscribes to: enough to notice when they change.
//!
//! Kafka's coordinator is told of each change of the metadata. Here a group compares what it saw last with what there
//! is, every now and then.

use super::hash::{group_hash, topic_hash};
use super::state::SubscribedTopics;
use crate::context::{Cluster, Time, TopicView};
use levee_base::limits::GROUP_TOPICS_LOOK_EVERY;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The topics are looked at after so long in any case, in milliseconds: Kafka's longest int.
const REFRESH_INTERVAL_MS: i64 = i32::MAX as i64;

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct TopicCache {
    /// What was seen last, with hashes.
    seen: BTreeMap<Arc<str>, (TopicView, i64)>,
    /// Until when that will do, in Unix milliseconds. At first it won't.
    deadline_ms: i64,
    /// When it was compared last.
    looked_at: Option<Duration>,
    /// When patterns were matched last.
    pub(super) matched_at: Option<Duration>,
}

impl TopicCache {
    /// See `ConsumerGroup::request_metadata_refresh`.
    pub(super) const fn request_refresh(&mut self) {
        self.expire();
        self.matched_at = None;
    }

    /// What was seen will do no longer: whoever comes next computes the hash anew.
    pub(super) const fn expire(&mut self) {
        self.deadline_ms = 0;
    }

    /// Whether the hash of the topics has to be computed anew.
    pub(super) fn has_expired(
        &mut self,
        subscribed: &SubscribedTopics,
        cluster: &dyn Cluster,
        time: Time,
    ) -> bool {
        if time.wall_ms >= self.deadline_ms {
            return true;
        }
        if self.looked_at.is_some_and(|before| time.now < before + GROUP_TOPICS_LOOK_EVERY) {
            return false;
        }
        self.looked_at = Some(time.now);
        subscribed.keys().any(|name| {
            let seen = self.seen.get(name.as_str()).map(|(topic, _)| topic);
            cluster.topic(name).as_ref() != seen
        })
    }

    /// The hash of the topics as they are now.
    pub(super) fn hash(&mut self, subscribed: &SubscribedTopics, cluster: &dyn Cluster) -> i64 {
        let mut before = std::mem::take(&mut self.seen);
        for topic in subscribed.keys().filter_map(|name| cluster.topic(name)) {
            let hash = match before.remove(&topic.name) {
                Some((seen, hash)) if seen == topic => hash,
                _ => topic_hash(&topic),
            };
            self.seen.insert(Arc::clone(&topic.name), (topic, hash));
        }
        group_hash(&self.seen.iter().map(|(name, (_, hash))| (Arc::clone(name), *hash)).collect())
    }

    /// The hash has been taken into account.
    pub(super) fn refreshed(&mut self, time: Time) {
        self.deadline_ms = time.wall_ms.saturating_add(REFRESH_INTERVAL_MS);
        self.looked_at = Some(time.now);
    }
}
