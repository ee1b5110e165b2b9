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
    let topics = cluster.topics();
    // One compiled pattern at a time: each may take much memory.
    let matching = |pattern: &str| {
        let Ok(regex) = compile(pattern) else { return BTreeSet::new() };
        topics
            .iter()
            .filter(|topic| regex.is_match(&topic.name))
            .map(|topic| topic.name.to_string())
            .collect()
    };
    patterns
        .iter()
        // There is no metadata log as Kafka's, so that no version of it is known; by 0 Kafka would match anew.
        .map(|pattern| {
            let resolved = ResolvedRegex { topics: matching(pattern), version: 0, timestamp_ms: wall_ms };
            (pattern.clone(), resolved)
        })
        .collect()
}
