//! How what is not in memory any more is read.

use crate::cache::{Cut, DiskCache};
use crate::read_ahead::Bounds;
use crate::types::WalOptions;
use levee_base::limits::{
    BLOCK_BYTES, BLOCK_CACHE_BYTES, READ_AHEAD_BYTES, READ_AHEAD_BYTES_ALL, READ_AHEAD_BYTES_MIN,
    READ_AHEAD_IDLE, READ_POSITIONS, READ_POSITIONS_STREAM, READ_TOGETHER_BYTES, SPANS_CACHED,
};
use std::sync::Arc;

/// How registered objects are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadOptions {
    /// Blocks that are kept in memory, in bytes.
    pub cache_bytes: usize,
    /// How far ahead of a reader is read at most, in bytes; 0 is not at all.
    pub ahead_bytes: usize,
    /// The same of all readers together.
    pub ahead_bytes_all: usize,
    /// What lies together is read ahead by one request up to so many bytes.
    pub together_bytes: usize,
    /// What readers far from a stream's end may have a second, in bytes.
    pub bytes_per_second: Option<u64>,
    /// The same in requests to the store.
    pub requests_per_second: Option<u64>,
    /// What is read in one request.
    pub cut: Cut,
}

impl ReadOptions {
    /// What suits a bucket.
    pub const SUITABLE: Self = Self {
        cache_bytes: BLOCK_CACHE_BYTES,
        ahead_bytes: READ_AHEAD_BYTES,
        ahead_bytes_all: READ_AHEAD_BYTES_ALL,
        together_bytes: READ_TOGETHER_BYTES,
        bytes_per_second: None,
        requests_per_second: None,
        cut: Cut::SUITABLE,
    };

    /// What suits a folder, where requests cost nothing and what comes together has to be copied apart.
    #[must_use]
    pub const fn folder() -> Self {
        Self { together_bytes: 0, ..Self::SUITABLE }
    }

    /// The same, with spans of which many have room in the cache: what a scan passes through gets a part of it only.
    pub(crate) fn workable(self) -> Self {
        let most = (self.cache_bytes as u64 / SPANS_CACHED).max(BLOCK_BYTES as u64);
        Self { cut: Cut { one: self.cut.one.min(most), mixed: self.cut.mixed.min(most) }, ..self }
    }

    pub(crate) fn bounds(&self) -> Bounds {
        Bounds {
            min: READ_AHEAD_BYTES_MIN,
            max: self.ahead_bytes,
            all: self.ahead_bytes_all,
            together: self.together_bytes,
            readers: READ_POSITIONS,
            readers_of_stream: READ_POSITIONS_STREAM,
            idle: READ_AHEAD_IDLE,
        }
    }
}

/// How a store writes and reads.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// How the write-ahead log is written.
    pub wal: WalOptions,
    /// How objects are read.
    pub reads: ReadOptions,
    /// Where what has left memory goes, if anywhere.
    pub disk_cache: Option<Arc<DiskCache>>,
}

impl From<WalOptions> for StoreOptions {
    fn from(wal: WalOptions) -> Self {
        Self { wal, reads: ReadOptions::SUITABLE, disk_cache: None }
    }
}
