//! Stores that serve the trait, and wrappers around them.

pub mod cloud;
pub mod faulty;
pub mod folder;
pub mod memory;
pub mod metered;
mod open;
pub mod probe;
pub mod read_only;
pub mod resilient;

pub use open::{Kind, Opened, open, open_to_read};

use crate::{Error, ErrorKind, Key, Result};
use std::ops::Range;

/// The most objects that one page of a listing may ask for; what S3, GCS and Azure give at most or more.
pub const LIST_LIMIT: usize = 1_000;

/// The part of `range` that an object of `bytes` has; all of it for `None`.
fn range_within(key: &Key, range: Option<Range<u64>>, bytes: u64) -> Result<Range<u64>> {
    match range {
        None => Ok(0..bytes),
        Some(range) if range.start < range.end && range.start < bytes => {
            Ok(range.start..range.end.min(bytes))
        }
        Some(range) => Err(Error::new(
            ErrorKind::OutOfRange,
            "get",
            key,
            format!("bytes {}..{} are asked for, the object has {bytes}", range.start, range.end),
        )),
    }
}

/// Refuses a page of no objects or of more than a store gives.
fn check_limit(prefix: &str, limit: usize) -> Result<()> {
    if (1..=LIST_LIMIT).contains(&limit) {
        Ok(())
    } else {
        let reason = format!("a page holds 1 to {LIST_LIMIT} objects, {limit} were asked for");
        Err(Error::new(ErrorKind::Unsupported, "list", prefix, reason))
    }
}
