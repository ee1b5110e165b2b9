//! The Kafka broker: listeners, the wire format, request handlers, partition logs.
//!
//! `wire` turns bytes into requests and answers into bytes; `net` moves bytes between sockets and a `Service`;
//! `handlers` is that service, one file per API. `wire` and `net` know no topic and no store.
//! `batch` reads record batches, `cleaner` says which of their records keyed compaction keeps, `partition` gives them
//! Kafka's meaning on the stream store. `registration` is how a broker comes and goes, `holder` whether the one before
//! it is alive, `registrar` what it tells the metadata of its objects, `collector` and `sweeper` which objects are
//! deleted. `led_topics` is what it leads, `keeper` what is kept of that (by the rules of `retention`), `topic_config`
//! what topics' configurations mean, `current` the one that is served from, and `node` puts everything together.
//! `coordinators` runs the coordinators of groups and transactions on the internal topics (`internal_topics`) that it leads.
//! `fsck` checks all that is in a store, without any of these.

pub mod batch;
mod checkpointer;
pub mod cleaner;
mod cleaning;
pub mod collector;
pub mod coordinators;
pub mod current;
pub mod errors;
pub mod exposition;
pub mod fetch_session;
pub mod fsck;
pub mod handlers;
pub mod holder;
pub mod http;
pub mod internal_topics;
pub mod keeper;
pub mod led_topics;
pub mod metrics;
pub mod net;
pub mod node;
pub mod partition;
mod producer_ids;
pub mod registrar;
pub mod registration;
pub mod retention;
mod seeded_bugs;
#[cfg(test)]
mod simulation;
pub mod sweeper;
pub mod topic_config;
pub mod wire;
