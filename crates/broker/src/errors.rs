//! Kafka's error codes: the one place where they are named.

/// An error code of Kafka's protocol.
pub use kafka_protocol::ResponseError as Code;
