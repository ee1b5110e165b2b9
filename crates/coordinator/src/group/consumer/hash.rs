//! The hash of the topics that a group subscribes to (KIP-1101): when it changes, the group needs a new assignment. It is
//! written into records, so it has to be Kafka's: XXH3, 64 bits, seed 0.

use crate::context::TopicView;
use std::collections::BTreeMap;
use std::sync::Arc;
use twox_hash::XxHash3_64;

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
    XxHash3_64::oneshot(&bytes).cast_signed()
}

/// The hash of some topics' hashes, in the order of their names; 0 for none.
pub(super) fn group_hash(topics: &BTreeMap<Arc<str>, i64>) -> i64 {
    if topics.is_empty() {
        return 0;
    }
    let bytes: Vec<u8> = topics.values().flat_map(|hash| hash.to_le_bytes()).collect();
    XxHash3_64::oneshot(&bytes).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn hashes_are_those_of_the_library_that_kafka_uses() {
        for (length, hash) in [
            (0_usize, 0x2d06_8005_38d3_94c2_u64),
            (1, 0x13e6_08bc_156d_efed),
            (3, 0xa908_8dda_485b_481c),
            (4, 0x6d92_53b1_6c8b_1ed3),
            (8, 0x6053_9db6_3047_1163),
            (9, 0xfeff_6683_61d7_23a8),
            (16, 0xb8c8_59b0_f030_b585),
            (17, 0x714a_0440_8e79_b80f),
            (64, 0x287e_b1fa_9e4b_e2c1),
            (128, 0x6742_5a03_6502_61bf),
            (129, 0xc664_bf33_11c6_abc4),
            (240, 0x6455_6dc6_b462_a6cf),
            (241, 0x8bea_dd3a_8874_fe17),
            (512, 0xf582_02b8_d901_9d1d),
            (1_024, 0x9b81_661c_641c_72b1),
            (1_025, 0x806c_2072_ed71_3576),
            (2_048, 0xabe6_0481_3ba6_2ed1),
            (5_000, 0x799a_addd_7339_581d),
        ] {
            let input: Vec<u8> = (0..length).map(|at| (at * 7 + 3) as u8).collect();
            assert_eq!(XxHash3_64::oneshot(&input), hash, "{length}");
        }
    }

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
