//! The write-ahead log: one for all the streams that a writer appends to.
//!
//! Layout: the log's objects are those of `format`, at `<prefix>/<epoch>/<slot>`.
//!
//! Order: batches take their offsets and their slot when they are copied into the open object (under the lock of
//! `state`). `flusher` seals objects in the order of their slots when `pacer` says so; the log makes them durable in
//! that order; only then are their batches visible. `trimmer` takes the oldest durable objects: what is small in
//! them goes into one object of level 1, what is large stays where it is (`crate::upload`), one commit registers
//! both, and only then do they stop to count.
//!
//! Crash: what was not durable is gone, and nobody was told that it was there. What was durable and not trimmed
//! is found by `recover`.
//!
//! Retry: the log tries for ever; so does a trim until it is refused. Meanwhile the limits slow producers down.
//!
//! Cancellation: nothing here is done in a caller's future, so a caller that goes away leaves nothing half done.

pub(crate) mod flusher;
pub mod pacer;
pub(crate) mod space;
pub(crate) mod trimmer;
