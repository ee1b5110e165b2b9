//! The memory of objects: a bounded number of large buffers that are used again and again.
//!
//! The limit counts buffers that are held, not bytes that are used: a buffer is held from the moment it is
//! taken until the last [`bytes::Bytes`] that lies in it is dropped, wherever that is (an object in flight, the
//! tail cache, a consumer's socket). What is longer than a buffer (a topic may allow batches of up to a frame) gets
//! memory of its own, which counts as the buffers that it is worth and is not kept. Memory is touched for the first time when it is first written, a batch at
//! a time, so that a large pool costs neither a pause nor resident memory before it is needed; what was touched
//! is kept for the next object.

use crate::buffer::{Memory, Region};
use levee_base::limits::PAGE;
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

    /// A buffer that nobody else holds, with room for `bytes`; `None` at the limit.
    #[must_use]
    pub fn take(&self, bytes: usize) -> Option<Region> {
        let worth = self.worth(bytes);
        let memory = {
            let mut buffers = self.buffers();
            if buffers.held + worth > self.0.limit {
                return None;
            }
            buffers.held += worth;
            if worth == 1 { buffers.free.pop() } else { None }
        };
        let size = if worth == 1 { self.0.buffer_bytes } else { bytes.next_multiple_of(PAGE) };
        Some(Region::whole(memory.unwrap_or_else(|| Memory::allocate(size)), self.clone()))
    }

    /// Whether there is ever room for `bytes` in one piece.
    #[must_use]
    pub fn can_hold(&self, bytes: usize) -> bool {
        self.worth(bytes) <= self.0.limit
    }

    /// The buffers that a piece of `bytes` counts for.
    fn worth(&self, bytes: usize) -> usize {
        bytes.div_ceil(self.0.buffer_bytes).max(1)
    }

    /// The last holder of a buffer is gone.
    pub(crate) fn give_back(&self, memory: Memory) {
        {
            let mut buffers = self.buffers();
            buffers.held -= self.worth(memory.bytes());
            if memory.bytes() == self.0.buffer_bytes {
                buffers.free.push(memory);
            }
        }
        self.0.released.fetch_add(1, Relaxed);
        self.0.notify.notify_waiters();
    }

    /// Buffers that came back so far: whoever found none left looks again when this has changed.
    #[must_use]
    pub fn released(&self) -> u64 {
        self.0.released.load(Relaxed)
    }

    /// Buffers that are held, large pieces counted for what they are worth.
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
