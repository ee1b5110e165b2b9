//! Reads for the check: so many bytes a second, so many held at once, and a store that fails is asked again before it is
//! believed.

use bytes::Bytes;
use levee_base::Clock;
use levee_base::limits::{FSCK_AGAIN, FSCK_HELD_BYTES, FSCK_TRIES, THROTTLE_BURST};
use levee_object::{Error, ErrorKind, Key, Purpose, Result, Store};
use levee_store::TokenBucket;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Held memory is counted in units of so many bytes.
const UNIT: u64 = 1024;
const UNITS: u32 = (FSCK_HELD_BYTES as u64 / UNIT) as u32;

/// Bytes that were read; they count as held for as long as this lives.
pub(super) struct Read<'a> {
    pub(super) bytes: Bytes,
    _held: SemaphorePermit<'a>,
}

pub(super) struct Reader {
    pub(super) store: Arc<dyn Store>,
    clock: Clock,
    bucket: Option<Mutex<TokenBucket>>,
    held: Semaphore,
    pub(super) bytes_read: AtomicU64,
}

impl Reader {
    /// `bytes_per_second` of 0 is no limit.
    pub(super) fn new(store: Arc<dyn Store>, clock: Clock, bytes_per_second: u64) -> Self {
        let bucket = || Mutex::new(TokenBucket::new(bytes_per_second, THROTTLE_BURST, clock.now()));
        Self {
            store,
            clock,
            bucket: (bytes_per_second > 0).then(bucket),
            held: Semaphore::new(UNITS as usize),
            bytes_read: AtomicU64::new(0),
        }
    }

    /// Reads a range, or as much of it as there is. Whoever holds the answer asks for nothing else: others wait for
    /// the same memory.
    ///
    /// # Errors
    /// The store's, after some tries; `NotFound` and `OutOfRange` at once.
    pub(super) async fn get(&self, key: &Key, range: Range<u64>) -> Result<Read<'_>> {
        let length = range.end.saturating_sub(range.start);
        let units = u32::try_from(length.div_ceil(UNIT)).unwrap_or(UNITS).clamp(1, UNITS);
        let held = self.held.acquire_many(units).await;
        let held = held.map_err(|error| Error::new(ErrorKind::Unavailable, "get", key, error))?;
        let mut tries = 0;
        loop {
            self.wait_for(length).await;
            tries += 1;
            match self.store.get(key, Some(range.clone()), Purpose::Inspect).await {
                Ok(bytes) => {
                    self.bytes_read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                    return Ok(Read { bytes, _held: held });
                }
                Err(error) if error.kind.is_answer() || tries == FSCK_TRIES => return Err(error),
                Err(_) => self.clock.sleep(FSCK_AGAIN).await,
            }
        }
    }

    async fn wait_for(&self, bytes: u64) {
        let Some(bucket) = &self.bucket else { return };
        let now = self.clock.now();
        let wait = bucket.lock().unwrap_or_else(PoisonError::into_inner).take(bytes, now);
        if !wait.is_zero() {
            self.clock.sleep(wait).await;
        }
    }
}
