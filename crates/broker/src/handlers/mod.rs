//! One file per API.

pub mod fetch;
pub mod list_offsets;
pub mod produce;
