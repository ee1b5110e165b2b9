//! Streams of opaque batches over an object store. Knows no Kafka: a batch is bytes, a number of offsets, and a
//! note of up to 64 bytes that its writer reads back.
//!
//! A [`StreamStore`] is one writer's view: it appends to the write-ahead log of its epoch (`wal`), gathers what is
//! small in it into larger objects (`upload`), writes what is registered anew in fewer and larger ones (`compact`), keeps
//! what owners know of streams (`checkpoint`), serves what it wrote from memory (`state`), and what is registered from
//! objects (`read`, `replay`). [`recover()`] ends an epoch whose writer is gone and says what it left. `format`
//! is how objects look; `open_object`, `pool` and `buffer` are how they are made.
//!
//! What doesn't belong here: who owns a stream and which objects are registered (metadata, behind
//! [`Registrar`]), and what batches mean.

mod backoff;
mod buffer;
mod cache;
mod checkpoint;
pub mod compact;
pub mod format;
mod load;
mod made;
pub mod metrics;
mod open_object;
mod outdated;
mod pool;
mod read;
mod read_ahead;
mod read_options;
pub mod recover;
pub mod registrar;
mod replay;
mod runs;
mod state;
mod store;
mod stream;
pub mod types;
mod upload;
mod wal;
mod watch;

pub use cache::{Cut, DiskCache, DiskCacheMetrics, TokenBucket};
pub use checkpoint::{NewCheckpoint, Replay};
pub use compact::{CompactError, Filter, PlanOptions, StoredBatch, Verdict};
pub use metrics::Metrics;
pub use read_options::{ReadOptions, StoreOptions};
pub use recover::{RecoverError, Recovered, recover};
pub use registrar::{
    Checkpoint, Extent, NewExtent, NewObject, ObjectRef, Registered, Registrar, RegistrarError, Registration,
    Replaced, Replacement, Trim,
};
pub use store::StreamStore;
pub use types::{
    AppendError, BatchInfo, NewBatch, ReadError, Run, Stopped, StoreStatus, StreamEnds, WalOptions,
};
pub use upload::{data_prefix, keeps_long_runs};
pub use watch::WatchGuard;
