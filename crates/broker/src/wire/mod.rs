//! Kafka's wire format: frames and their headers, the guard that bounds what a request decodes to, and our own
//! codecs for the two APIs that carry records, and for what the crate is behind in. All other messages are the kafka-protocol crate's. No I/O here,
//! and no meaning: what a request asks for is the handlers' business.

pub mod cursor;
pub mod fetch;
pub mod frame;
pub mod guard;
pub mod log_dirs;
pub mod offsets_by_id;
pub mod produce;
pub mod response;
#[cfg(test)]
pub mod test_support;
mod topics;
pub mod txn_markers;
pub mod writer;

pub use cursor::{Cursor, Malformed};
pub use response::Response;
