//! Object stores behind one narrow trait of our own, and the fenced log on top of them.
//!
//! `store` is the trait; `stores` serves it (memory, folder, cloud) and wraps it (faults, metering,
//! deadlines and retries); `log` is the fenced log. Nothing here knows records or Kafka.

pub mod check;
pub mod conformance;
pub mod error;
pub mod key;
pub mod log;
pub mod purpose;
pub mod store;
pub mod stores;

pub use error::{Error, ErrorKind, Result};
pub use key::Key;
pub use purpose::Purpose;
pub use store::{Listed, Page, Store};
