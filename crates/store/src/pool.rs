//! The memory of objects: a bounded number of large buffers that are used again and again.
//!
//! The limit counts buffers that are held, not bytes that are used: a buffer is held from the moment it is
//! taken until the last [`bytes::Bytes`] that lies in it is dropped, wherever that is (an object in flight, the
//! tail cache, a consumer's socket). Memory is touched for the first time when it is first written, a batch at
//! a time, so that a large pool costs neither a pause nor resident memory before it is needed; what was touched
//! is kept for the next object.

use crate::buffer::{Memory, Region};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// A pool of buffers of one size. Clones share it.
#[derive(Debug, Clone)]
pub struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    buffer_bytes: usize,
    limit: usize,
    memory: Mutex<Buffers>,
    /// Buffers that came back, ever.
    released: AtomicU64,
    /// Notified when one comes back.
    notify: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Buffers {
    free: Vec<Memory>,
    held: usize,
}

impl Pool {
    /// A pool of at most `limit` buffers of `buffer_bytes`; `notify` is told whenever one comes back.
    ///
    /// # Panics
    /// When `buffer_bytes` is not a multiple of 4 KiB, or 0.
    #[must_use]
    pub fn new(buffer_bytes: usize, limit: usize, notify: Arc<Notify>) -> Self {
        Memory::assert_size(buffer_bytes);
        Self(Arc::new(Shared {
            buffer_bytes,
            limit,
            memory: Mutex::default(),
            released: AtomicU64::new(0),
            notify,
        }))
    }

    /// All of a buffer that nobody else holds; `None` at the limit.
    #[must_use]
    pub fn take(&self) -> Option<Region> {
        let memory = {
            let mut buffers = self.buffers();
            if buffers.held >= self.0.limit {
                return None;
            }
            buffers.held += 1;
            buffers.free.pop()
        };
        let memory = memory.unwrap_or_else(|| Memory::allocate(self.0.buffer_bytes));
        Some(Region::whole(memory, self.clone()))
    }

    /// The last holder of a buffer is gone.
    pub(crate) fn give_back(&self, memory: Memory) {
        {
            let mut buffers = self.buffers();
            buffers.held -= 1;
            buffers.free.push(memory);
        }
        self.0.released.fetch_add(1, Relaxed);
        self.0.notify.notify_waiters();
    }

    /// Buffers that came back so far: whoever found none left looks again when this has changed.
    #[must_use]
    pub fn released(&self) -> u64 {
        self.0.released.load(Relaxed)
    }

    /// Buffers that are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.buffers().held
    }

    /// The size of one buffer.
    #[must_use]
    pub fn buffer_bytes(&self) -> usize {
        self.0.buffer_bytes
    }

    fn buffers(&self) -> std::sync::MutexGuard<'_, Buffers> {
        self.0.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
