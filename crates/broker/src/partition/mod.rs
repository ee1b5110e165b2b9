//! A partition: one stream of the store with Kafka's meaning of it. `log` is the partition, `producers` and
//! `times` what it remembers, `note` what of that is kept with each batch to be found again.

pub mod log;
pub mod note;
pub mod producers;
pub mod times;

pub use log::{AppendRefused, Appended, PartitionLog};
