//! The Kafka broker: listeners, the wire format, request handlers, partition logs.
//!
//! `wire` turns bytes into requests and answers into bytes; `net` moves bytes between sockets and a `Service`;
//! `handlers` is that service, one file per API. `wire` and `net` know no topic and no store.
//! `batch` reads record batches, `partition` gives them Kafka's meaning on the stream store.

pub mod batch;
pub mod errors;
pub mod fetch_session;
pub mod handlers;
pub mod net;
pub mod partition;
pub mod wire;
