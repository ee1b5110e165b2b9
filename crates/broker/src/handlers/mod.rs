//! The requests, one file per API, and the table that says which are served.

mod api_versions;
mod create_topics;
mod delete_topics;
mod fetch;
mod find_coordinator;
mod init_producer_id;
mod list_offsets;
mod metadata;
mod produce;
mod service;

pub use api_versions::{SERVED, served};
pub use service::Handlers;
