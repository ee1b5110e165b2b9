//! The broker: listeners, Kafka request handlers, partition logs.

pub mod batch;
pub mod fetch_session;
pub mod handlers;
pub mod partition;
