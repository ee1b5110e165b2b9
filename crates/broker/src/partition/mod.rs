//! Kafka's partitions on streams of batches.
//!
//! A [`PartitionLog`] gives batches their offsets, keeps idempotent producers honest, and answers look-ups by
//! time. What it keeps in memory is made again from the store's indexes whenever a partition is opened: each
//! batch carries a [`note`] for that, and a `checkpoint` says what the notes before it come to. `producers` with their
//! `sequences`, `transactions` and `verifications`, `times` and `epochs`, together what is `known`, are pure; `log` is the
//! shell around them that holds their one lock, with `append`, `read` and `look_up`; `stream` is what they ask of the
//! store; `table` finds partitions.
//!
//! What doesn't belong here: the protocol's messages and error codes (`handlers`), and how batches get to be
//! durable (the store).

pub mod append;
pub mod checkpoint;
pub mod claim;
pub mod epochs;
pub mod known;
pub mod log;
pub mod look_up;
pub mod note;
pub mod producers;
pub mod read;
pub mod sequences;
pub mod starts;
pub mod stream;
pub mod table;
pub mod times;
pub mod transactions;
pub mod verifications;

pub use append::{AppendError, Appended};
pub use log::{LogConfig, OpenError, PartitionLog};
pub use read::Isolation;
pub use stream::{Streams, is_durable};
pub use table::{Partition, PartitionTable, Topic};

#[cfg(test)]
pub(crate) mod simulated;
