//! Moves bytes between sockets and a `Service`. Knows frames and request headers, and no handler.

pub mod connection;
pub mod descriptors;
pub mod listener;
pub mod service;

#[cfg(test)]
mod tests;

pub use listener::{Listener, Shared};
pub use service::{Answer, Refused, Service};
