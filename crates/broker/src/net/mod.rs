//! Bytes between sockets and a [`Service`]: accepting, framing, pipelining, answering in order. Knows no API.

pub mod connection;
pub mod listener;

pub use connection::{Begun, Service};
pub use listener::Listener;
