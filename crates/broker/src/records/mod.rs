//! The three APIs that are about records, one file each, and fetch sessions.

pub mod fetch;
pub mod list_offsets;
pub mod produce;
pub mod session;
