//! Cluster metadata: a pure state machine over a journal in the object store.
//!
//! `command` and `answer` say what can be asked, `state` what it does, `codec` how it is written down. Knows
//! topics, brokers, streams and objects; knows neither records nor Kafka's protocol.

pub mod answer;
pub mod codec;
pub mod command;
pub mod ids;
pub mod state;

pub use answer::{Answer, Refusal};
pub use command::{Command, Envelope, NewExtent, Register, Registration, Sender};
pub use ids::{ObjectId, ObjectName, ProcessId, TopicId, wal_prefix};
pub use state::State;
