//! The Kafka broker: listeners, the wire format, request handlers, partition logs.
//!
//! `wire` turns bytes into requests and answers into bytes; `net` moves bytes between sockets and a `Service`;
//! `handlers` is that service, one file per API; `records` answers the three that are about records; `partition`
//! and `batch` are what a partition is; `current` is the broker that all of this is served from. `node` puts
//! everything together.

pub mod batch;
pub mod broker;
pub mod current;
pub mod errors;
pub mod handlers;
pub mod http;
pub mod metrics;
pub mod net;
pub mod node;
pub mod partition;
pub mod records;
pub mod registration;
pub mod wire;
