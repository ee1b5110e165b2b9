//! Kafka's coordinators: of groups and of transactions. Pure state machines: no I/O, no clock, no tasks.
//!
//! A *shard* is what one partition of an internal topic says: of `__consumer_offsets` a [`group::GroupShard`], of
//! `__transaction_state` a [`transaction::TransactionShard`]. Whoever leads that partition replays its records into
//! the shard and then hands it requests, one after the other. What a shard wants done it says in [`Effects`]: the records
//! to append, the answers to give, the markers to write. It counts what it wants appended as done; when that can't be
//! appended, the shard is dropped and loaded anew.
//!
//! `schema` is the bytes of those records, as Apache Kafka writes them.
//!
//! What doesn't belong here: how records get to be durable, who leads a partition, sockets (all of that: `broker`).

pub mod context;
pub mod effects;
pub mod group;
mod re2;
pub mod refusal;
pub mod schema;
pub mod transaction;
pub mod uuid_text;

pub use context::{Client, Cluster, Context, Request, Time, TopicView};
pub use effects::{Answer, Append, Effects, Markers, Producer, Record, Token, When};

/// The partition of an internal topic with `partitions` partitions that an id belongs to: that of a group by its
/// name, that of a transaction by its transactional id. Kafka's `Utils.abs(id.hashCode()) % partitions`.
#[must_use]
pub fn partition_of(id: &str, partitions: u32) -> u32 {
    let hash =
        id.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    // Kafka takes 0 for the one number whose absolute value is none.
    hash.checked_abs().unwrap_or(0).cast_unsigned() % partitions.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_belong_where_kafka_puts_them() {
        // By Java's String.hashCode.
        for (id, hash) in [("", 0_i32), ("a", 97), ("group", 98_629_247), ("Aa", 2112), ("BB", 2112)] {
            assert_eq!(partition_of(id, 50), hash.cast_unsigned() % 50, "{id}");
        }
        // Their hashes are below zero: -1204742690, -1061187895 and -1484114313.
        for (id, partition) in [("orders-consumer", 40), ("my-txn", 45), ("group.one", 13)] {
            assert_eq!(partition_of(id, 50), partition, "{id}");
        }
        // As a stock Kafka has it; its hash is -1938445953.
        assert_eq!(partition_of("brandom-transactions-5-g", 50), 3);
        // Its hash is i32::MIN.
        assert_eq!(partition_of("polygenelubricants", 50), 0);
    }
}
