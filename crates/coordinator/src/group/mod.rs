//! The groups of one partition of `__consumer_offsets`.

pub mod classic;
pub mod consumer;
