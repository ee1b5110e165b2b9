//! DescribeLogDirs: what partitions take. There is one log directory, the store, and it has no end that anybody could
//! name, so its size is said to be unknown, as Kafka says it of a directory that it can't ask.
//!
//! A partition's size is that of its batches which are registered in the metadata; those in the write-ahead log lie in
//! objects that partitions share until they are.

use super::backend::Backend;
use crate::wire::log_dirs::{LogDir, LogDirTopic};
use kafka_protocol::messages::DescribeLogDirsRequest;
use std::collections::{BTreeMap, BTreeSet};

/// Answers a request.
#[must_use]
pub fn handle<B: Backend>(backend: &B, request: DescribeLogDirsRequest) -> LogDir {
    let asked = request.topics.map(|topics| {
        let mut asked: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
        for topic in topics {
            asked.entry(topic.topic.to_string()).or_default().extend(topic.partitions);
        }
        asked
    });
    let of = |name: &str, partitions: Option<&BTreeSet<i32>>| {
        let sizes = (0..).zip(backend.sizes(name));
        let wanted =
            sizes.filter(|(index, _)| partitions.is_none_or(|partitions| partitions.contains(index)));
        let partitions: Vec<(i32, i64)> =
            wanted.map(|(index, bytes)| (index, i64::try_from(bytes).unwrap_or(i64::MAX))).collect();
        // Topics that don't exist, or have none of the partitions, are not told of.
        (!partitions.is_empty()).then(|| LogDirTopic { name: name.to_owned(), partitions })
    };
    let topics = match &asked {
        None => backend.topics().iter().filter_map(|topic| of(&topic.name, None)).collect(),
        Some(asked) => asked.iter().filter_map(|(name, partitions)| of(name, Some(partitions))).collect(),
    };
    LogDir { path: backend.location(), topics }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::memory::Memory;
    use kafka_protocol::messages::TopicName;
    use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;

    fn of(name: &'static str, partitions: &[i32]) -> DescribableLogDirTopic {
        DescribableLogDirTopic::default()
            .with_topic(TopicName(name.into()))
            .with_partitions(partitions.to_vec())
    }

    fn ask(backend: &Memory, topics: Option<Vec<DescribableLogDirTopic>>) -> Vec<(String, Vec<(i32, i64)>)> {
        let dir = handle(backend, DescribeLogDirsRequest::default().with_topics(topics));
        assert_eq!(dir.path, "memory:");
        dir.topics.into_iter().map(|topic| (topic.name, topic.partitions)).collect()
    }

    #[tokio::test]
    async fn sizes_are_told_of_what_exists() {
        let backend = Memory::default().with("a", 2).await.with("b", 1).await;
        let (a, b) = (("a".to_owned(), vec![(0, 100), (1, 101)]), ("b".to_owned(), vec![(0, 100)]));
        assert_eq!(ask(&backend, None), [a, b.clone()]);
        let asked = vec![of("none", &[0]), of("b", &[0, 0]), of("b", &[0, 9, -1]), of("a", &[2])];
        assert_eq!(ask(&backend, Some(asked)), [b]);
        assert_eq!(ask(&backend, Some(vec![])), []);
        assert_eq!(ask(&backend, Some(vec![of("a", &[])])), []);
    }
}
