//! Cluster metadata: a pure state machine over a journal in the object store.
//!
//! `command` and `answer` say what can be asked, `state` what it does, `codec` how it is written down. `tail`
//! reads the journal, `snapshots` and `collect` keep it short, `controller` writes it, and `client` is what a
//! node holds of all this. `inspect` shows it to people and `observer` reads it for tools, both without a broker. Knows
//! topics, brokers, streams and objects; knows neither records nor Kafka's protocol.

pub mod answer;
pub mod client;
pub mod codec;
mod collect;
pub mod command;
mod controller;
pub mod error;
pub mod ids;
pub mod inspect;
pub mod observer;
mod snapshots;
pub mod state;
mod tail;

#[cfg(test)]
mod cluster_tests;
#[cfg(test)]
mod takeover_tests;
#[cfg(test)]
mod wal_model;

pub use answer::{Answer, Refusal};
pub use client::{CommitError, Controller, Metadata, MetadataContext, Role};
pub use command::{
    Command, Envelope, NewExtent, NewObject, Register, Registration, Replaced, Resource, Sender,
};
pub use controller::ControllerOptions;
pub use error::MetaError;
pub use ids::{ObjectId, ObjectName, ProcessId, TopicId, data_prefix, wal_prefix};
pub use observer::{History, MetadataDamage, ObserveError, Observer};
pub use snapshots::journal_prefix;
pub use state::State;
