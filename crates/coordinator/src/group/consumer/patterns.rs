//! Subscriptions by pattern: which topics match.

use crate::context::Cluster;
use crate::re2::compile;
use crate::schema::consumer::ResolvedRegex;
use std::collections::{BTreeMap, BTreeSet};

/// The topics that each of some patterns matches now. A pattern that can't be compiled matches none: a release with
/// another syntax took it.
pub(super) fn resolve(
    patterns: &BTreeSet<String>,
    cluster: &dyn Cluster,
    wall_ms: i64,
) -> BTreeMap<String, ResolvedRegex> {
    let compiled: Vec<_> =
        patterns.iter().map(|pattern| (pattern, compile(pattern).ok(), BTreeSet::new())).collect();
    let mut resolved = compiled;
    for topic in cluster.topics() {
        for (_, regex, topics) in &mut resolved {
            if regex.as_ref().is_some_and(|regex| regex.is_match(&topic.name)) {
                topics.insert(topic.name.to_string());
            }
        }
    }
    resolved
        .into_iter()
        .map(|(pattern, _, topics)| {
            // There is no metadata log as Kafka's, so that no version of it is known; by 0 Kafka would match anew.
            (pattern.clone(), ResolvedRegex { topics, version: 0, timestamp_ms: wall_ms })
        })
        .collect()
}
