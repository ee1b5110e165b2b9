//! Record batches of format version 2 as bytes: reading their headers in place, the few fields that a broker
//! sets, what a client may send, opening one batch's records, and the batches that the broker writes itself.
//!
//! Nothing here knows partitions, offsets already given, or error codes of the protocol. Everything here
//! reads bytes from outside: no input may panic, and `split::sole`, `validate::check` and `records::open`
//! are the plain entry points for fuzzing.

pub mod codec;
pub mod compose;
pub mod header;
pub mod key_values;
pub mod marker;
pub mod pack;
pub mod records;
pub mod split;
pub mod validate;
mod walk;

#[cfg(test)]
pub(crate) mod build;

pub use codec::Compression;
pub use compose::Composer;
pub use header::{BatchMut, BatchView, HEADER_BYTES, TimestampType};
pub use marker::Marker;
pub use validate::{Checked, Invalid, RecordError, Rules};
