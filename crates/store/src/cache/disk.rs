//! A cache on a local disk, for spans that memory has no room for any more.
//!
//! One file without a name: nobody else sees it, and it is gone with the process however that ends. Nothing but this
//! process's memory knows what lies where (`shelves`), so a cache always begins empty, and nothing in it can be old.
//!
//! Writes are one task's, one after the other; what comes faster is not kept. Each span has a checksum of its own here,
//! so a disk that returns something else is a miss and no damage. A disk that fails is a miss too, and one that does not
//! answer is waited for a moment: what it keeps busy is bounded, and others ask the store meanwhile.

use super::shelves::Shelves;
use super::{Span, SpanKey};
use crate::metrics::{Counter, Gauge};
use bytes::Bytes;
use levee_base::Clock;
use levee_base::limits::{DISK_CACHE_PATIENCE, DISK_CACHE_QUEUE, DISK_CACHE_READS};
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Semaphore, mpsc};

/// What a disk cache counts.
#[derive(Debug, Default)]
pub struct DiskCacheMetrics {
    /// Bytes of what is there.
    pub bytes: Gauge,
    /// Spans that were read from the disk instead of the store.
    pub hits: Counter,
    /// Their bytes.
    pub read_bytes: Counter,
    /// Bytes that were written.
    pub written_bytes: Counter,
    /// Spans that would have been kept, but others were being written.
    pub passed_over: Counter,
    /// Reads and writes that failed, and spans that were not what was written.
    pub failures: Counter,
}

/// See the module's text.
#[derive(Debug)]
pub struct DiskCache {
    disk: Arc<Disk>,
    offers: mpsc::Sender<(SpanKey, Arc<Span>)>,
}

#[derive(Debug)]
struct Disk {
    file: File,
    shelves: Mutex<Shelves>,
    reads: Arc<Semaphore>,
    clock: Clock,
    /// Whether the last write failed.
    failing: AtomicBool,
    metrics: Arc<DiskCacheMetrics>,
}

impl DiskCache {
    /// A cache of so many bytes in the directory `path`, which is made if it is not there. They are taken at once, where
    /// the file system can do so. Needs a runtime.
    ///
    /// # Errors
    /// When no file can be made there, or there is no room for it.
    pub fn open(path: &Path, bytes: u64, clock: Clock) -> io::Result<Self> {
        std::fs::create_dir_all(path)?;
        let file = tempfile::tempfile_in(path)?;
        match fallocate(&file, FallocateFlags::empty(), 0, bytes) {
            Ok(()) | Err(Errno::OPNOTSUPP) => Ok(Self::over(file, bytes, clock)),
            Err(error) => Err(error.into()),
        }
    }

    fn over(file: File, bytes: u64, clock: Clock) -> Self {
        let (offers, offered) = mpsc::channel(DISK_CACHE_QUEUE);
        let disk = Arc::new(Disk {
            file,
            shelves: Mutex::new(Shelves::new(bytes)),
            reads: Arc::new(Semaphore::new(DISK_CACHE_READS)),
            clock,
            failing: AtomicBool::new(false),
            metrics: Arc::default(),
        });
        tokio::spawn(write(disk.clone(), offered));
        Self { disk, offers }
    }

    /// What it counts.
    #[must_use]
    pub fn metrics(&self) -> &Arc<DiskCacheMetrics> {
        &self.disk.metrics
    }

    /// Whether a span is there.
    pub(crate) fn has(&self, key: &SpanKey) -> bool {
        self.disk.shelves().has(key)
    }

    /// A span has left memory.
    pub(crate) fn offer(&self, key: SpanKey, span: Arc<Span>) {
        let wanted = self.disk.shelves().wants(&key, span.own().len() as u64);
        if wanted && self.offers.try_send((key, span)).is_err() {
            self.disk.metrics.passed_over.add(1);
        }
    }

    /// The bytes of a span, as they were written, if the disk gives them soon.
    pub(crate) async fn get(&self, key: &SpanKey) -> Option<Bytes> {
        if !self.has(key) {
            return None;
        }
        let turn = self.disk.reads.clone().try_acquire_owned().ok()?;
        let (disk, key) = (self.disk.clone(), key.clone());
        let read = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            disk.read(&key)
        });
        let Some(read) = self.disk.clock.timeout(DISK_CACHE_PATIENCE, read).await else {
            self.disk.metrics.failures.add(1);
            return None;
        };
        read.ok()?
    }

    /// What was found to be wrong.
    pub(crate) fn remove(&self, key: &SpanKey) {
        self.disk.remove(&mut self.disk.shelves(), key);
    }
}

impl Disk {
    fn shelves(&self) -> MutexGuard<'_, Shelves> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remove(&self, shelves: &mut Shelves, key: &SpanKey) {
        shelves.remove(key);
        self.metrics.bytes.set(shelves.bytes());
    }

    fn read(&self, key: &SpanKey) -> Option<Bytes> {
        let (range, crc) = self.shelves().find(key)?;
        let mut bytes = vec![0; usize::try_from(range.end - range.start).ok()?];
        let read = self.file.read_exact_at(&mut bytes, range.start);
        if read.is_ok() && crc32c::crc32c(&bytes) == crc {
            self.metrics.hits.add(1);
            self.metrics.read_bytes.add(bytes.len() as u64);
            return Some(bytes.into());
        }
        // Or another was written there while it was read.
        let mut shelves = self.shelves();
        if shelves.find(key) == Some((range, crc)) {
            self.remove(&mut shelves, key);
            self.metrics.failures.add(1);
        }
        None
    }

    fn write(&self, key: &SpanKey, span: &Span) {
        let bytes = span.own();
        let Some(range) = self.shelves().offer(key, bytes.len() as u64) else { return };
        let (written, crc) = (self.file.write_all_at(bytes, range.start), crc32c::crc32c(bytes));
        let mut shelves = self.shelves();
        match &written {
            Ok(()) => {
                shelves.written(key, &range, crc);
                self.metrics.written_bytes.add(bytes.len() as u64);
            }
            Err(_) => {
                shelves.remove(key);
                self.metrics.failures.add(1);
            }
        }
        self.metrics.bytes.set(shelves.bytes());
        drop(shelves);
        let failed = self.failing.swap(written.is_err(), Relaxed);
        if let Err(error) = written
            && !failed
        {
            tracing::warn!(%error, "the disk cache can't be written; what it lacks is read from the store");
        }
    }
}

/// Writes what is offered until the cache is dropped.
async fn write(disk: Arc<Disk>, mut offered: mpsc::Receiver<(SpanKey, Arc<Span>)>) {
    while let Some((key, span)) = offered.recv().await {
        let disk = disk.clone();
        // A panic would be of a mistake in here; the next one is written all the same.
        let _ = tokio::task::spawn_blocking(move || disk.write(&key, &span)).await;
    }
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
