//! The broker: listeners, Kafka request handlers, partition logs.

pub mod batch;
