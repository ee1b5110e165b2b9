//! The hash of the topics that a group subscribes to (KIP-1101): when it changes, the group needs a new assignment.

use super::xxh3::xxh3_64;
use crate::context::TopicView;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The version of how a topic is hashed.
const MAGIC: u8 = 0;

/// The hash of one topic: its id, its name, its partitions. Kafka adds the racks of each partition's replicas, of which
/// Levee's partitions have none.
pub(super) fn topic_hash(topic: &TopicView) -> i64 {
    let (high, low) = topic.id.as_u64_pair();
    let mut bytes = vec![MAGIC];
    bytes.extend(high.to_le_bytes());
    bytes.extend(low.to_le_bytes());
    // The length of what can vary follows it.
    let mut units = 0_i32;
    for unit in topic.name.encode_utf16() {
        bytes.extend(unit.to_le_bytes());
        units += 1;
    }
    bytes.extend(units.to_le_bytes());
    bytes.extend(topic.partitions.to_le_bytes());
    for partition in 0..topic.partitions {
        bytes.extend(partition.to_le_bytes());
    }
    xxh3_64(&bytes).cast_signed()
}

/// The hash of some topics' hashes, in the order of their names; 0 for none.
pub(super) fn group_hash(topics: &BTreeMap<Arc<str>, i64>) -> i64 {
    if topics.is_empty() {
        return 0;
    }
    let bytes: Vec<u8> = topics.values().flat_map(|hash| hash.to_le_bytes()).collect();
    xxh3_64(&bytes).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn hashes_are_those_of_kafka() {
        let topic = |name: &str, id: u128, partitions| {
            topic_hash(&TopicView { name: name.into(), id: Uuid::from_u128(id), partitions })
        };
        let foo = topic("foo", 0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10, 3);
        let bar = topic("bar-topic", 0x1112_1314_1516_1718_191a_1b1c_1d1e_1f20, 100);
        assert_eq!(foo.cast_unsigned(), 0xa9d5_7463_4b99_2253);
        assert_eq!(bar.cast_unsigned(), 0xa890_2deb_8ce8_f8a6);
        let both = [("foo".into(), foo), ("bar-topic".into(), bar)].into();
        assert_eq!(group_hash(&both).cast_unsigned(), 0xbdf6_9f46_1572_4f27);
        assert_eq!(group_hash(&[("foo".into(), foo)].into()).cast_unsigned(), 0x5b24_775f_7c5e_dbd0);
        assert_eq!(group_hash(&BTreeMap::new()), 0);
    }
}
