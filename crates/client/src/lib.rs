//! A small Kafka client for Levee's own tools: one connection, one request at a time, each with a
//! deadline. It speaks to any Kafka broker. It does not produce or consume: librdkafka does that.

mod connection;

pub use connection::{Connection, Error};
pub use kafka_protocol;
