//! What the answers to Produce and Fetch share: topics by name or by id, each with its partitions, and where the
//! leaders named in them listen.

use super::produce::Topic;
use super::writer::{Endpoint, Writer};

/// Writes the topics of an answer; `partition` writes one partition, its tagged fields included.
pub(super) fn write_topics<'a, P: 'a>(
    w: &mut Writer,
    topics: impl ExactSizeIterator<Item = (&'a Topic, &'a [P])>,
    partition: impl Fn(&mut Writer, &P),
) {
    w.length(Some(topics.len()));
    for (topic, partitions) in topics {
        match topic {
            Topic::Name(name) => w.text(Some(name)),
            Topic::Id(id) => w.uuid(*id),
        }
        w.length(Some(partitions.len()));
        for one in partitions {
            partition(w, one);
        }
        w.tagged_fields(0);
    }
}

/// Writes the tagged fields that end an answer: the endpoints, where there are any (KIP-951).
pub(super) fn write_endpoints(w: &mut Writer, endpoints: &[Endpoint]) {
    w.tagged_fields(usize::from(!endpoints.is_empty()));
    if !endpoints.is_empty() {
        w.tagged_endpoints(0, endpoints);
    }
}
