//! The records of the internal topics, byte for byte as Apache Kafka writes them.
//!
//! A key begins with a 16-bit number that says of which kind the record is; a value with the 16-bit version of its
//! layout. What is read may have been written by any release of Kafka (a migrated topic): all its versions are read. What
//! is written is what Kafka 4.3 writes.

pub mod consumer;
pub mod group;
pub mod transaction;
pub mod wire;
