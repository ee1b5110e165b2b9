//! What may be done with each kind of resource where there is no authorizer: all operations that it knows, as bits by
//! Kafka's `AclOperation` codes (KIP-430).

/// Of a topic: read 3, write 4, create 5, delete 6, alter 7, describe 8, describe configs 10, alter configs 11.
pub const TOPIC_OPERATIONS: i32 = 0b1101_1111_1000;
/// Of the cluster: create 5, alter 7, describe 8, cluster action 9, describe configs 10, alter configs 11, idempotent
/// write 12.
pub const CLUSTER_OPERATIONS: i32 = 0b1_1111_1010_0000;
/// Of a group: read 3, delete 6, describe 8, describe configs 10, alter configs 11.
pub const GROUP_OPERATIONS: i32 = 0b1101_0100_1000;
