//! One buffer of the pool and the regions it is cut into. All of the crate's unsafe code is here.
//!
//! A [`Region`] is the exclusive right to a range of a buffer: it is written from its start on, and what has
//! been written can be read. Freezing it makes the written bytes a [`Bytes`] without copying them; what is left
//! behind them, from the next 4 KiB on, becomes a region of its own, so that small objects share a buffer.
//! Regions of one buffer never overlap, and a frozen range is never written again until every `Bytes` and
//! region of the buffer is gone and the pool hands it out anew: that is why the rest of this file is sound.

use crate::pool::Pool;
use bytes::Bytes;
use levee_base::limits::PAGE;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::Arc;

/// Bytes are copied and hashed in steps of this many, so that the second finds them in the fastest cache.
const STEP: usize = 8 * 1024;

/// A page-aligned allocation, not initialised.
#[derive(Debug)]
pub(crate) struct Memory {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the allocation is owned, and belongs to no thread.
unsafe impl Send for Memory {}
// SAFETY: a shared `Memory` gives no access to its bytes; regions do, and theirs don't overlap.
unsafe impl Sync for Memory {}

impl Memory {
    pub(crate) fn assert_size(bytes: usize) {
        assert!(bytes > 0 && bytes.is_multiple_of(PAGE), "a buffer is some pages, not {bytes} bytes");
    }

    fn layout(bytes: usize) -> Layout {
        Layout::from_size_align(bytes, PAGE).expect("a page is a power of two, and buffers are small")
    }

    pub(crate) fn allocate(bytes: usize) -> Self {
        Self::assert_size(bytes);
        let layout = Self::layout(bytes);
        // SAFETY: the layout's size is not 0.
        let start = unsafe { alloc(layout) };
        let start = NonNull::new(start).unwrap_or_else(|| handle_alloc_error(layout));
        Self { start, bytes }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: allocated in `allocate` with the same layout, and owned.
        unsafe { dealloc(self.start.as_ptr(), Self::layout(self.bytes)) }
    }
}

/// A buffer out of the pool. Goes back when its last region and its last frozen range are dropped.
#[derive(Debug)]
struct Buffer {
    memory: ManuallyDrop<Memory>,
    pool: Pool,
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: taken once, here, and not used after.
        let memory = unsafe { ManuallyDrop::take(&mut self.memory) };
        self.pool.give_back(memory);
    }
}

/// The exclusive right to a part of a buffer.
#[derive(Debug)]
pub struct Region {
    buffer: Arc<Buffer>,
    /// A multiple of the page size.
    start: usize,
    /// Bytes written, from `start` on. `start + filled <= end`, and all of them are initialised.
    filled: usize,
    end: usize,
}

impl Region {
    /// All of a buffer.
    pub(crate) fn whole(memory: Memory, pool: Pool) -> Self {
        let end = memory.bytes;
        Self {
            buffer: Arc::new(Buffer { memory: ManuallyDrop::new(memory), pool }),
            start: 0,
            filled: 0,
            end,
        }
    }

    fn pointer(&self) -> *mut u8 {
        // SAFETY: `start` is at most the allocation's size.
        unsafe { self.buffer.memory.start.as_ptr().add(self.start) }
    }

    /// Bytes written.
    #[must_use]
    pub fn len(&self) -> usize {
        self.filled
    }

    /// Whether nothing has been written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Bytes that can still be written.
    #[must_use]
    pub fn room(&self) -> usize {
        self.end - self.start - self.filled
    }

    /// The bytes written.
    #[must_use]
    pub fn filled(&self) -> &[u8] {
        // SAFETY: initialised, this region's own, and borrowed as long as the slice.
        unsafe { std::slice::from_raw_parts(self.pointer(), self.filled) }
    }

    /// The bytes written, to be overwritten.
    pub fn filled_mut(&mut self) -> &mut [u8] {
        // SAFETY: initialised, this region's own, and borrowed exclusively as long as the slice.
        unsafe { std::slice::from_raw_parts_mut(self.pointer(), self.filled) }
    }

    /// Writes `bytes` behind those written before.
    ///
    /// # Panics
    /// When there is no room for them.
    pub fn extend(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= self.room(), "the room has been checked");
        // SAFETY: `room` says that the target lies in this region, which nobody else can reach; so `bytes`, which
        // is borrowed while `self` is borrowed exclusively, does not overlap it.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.pointer().add(self.filled), bytes.len());
        }
        self.filled += bytes.len();
    }

    /// Writes `bytes` behind those written before, and returns `crc` continued over them.
    ///
    /// # Panics
    /// When there is no room for them.
    pub fn extend_hashed(&mut self, bytes: &[u8], mut crc: u32) -> u32 {
        for step in bytes.chunks(STEP) {
            self.extend(step);
            crc = crc32c::crc32c_append(crc, &self.filled()[self.filled - step.len()..]);
        }
        crc
    }

    /// Takes away what lies behind the first `bytes`, from the next page boundary on, if there is any. From now
    /// on there is room for `bytes` in all.
    ///
    /// # Panics
    /// When `bytes` are fewer than written, or more than there is room for.
    pub fn split_off(&mut self, bytes: usize) -> Option<Region> {
        assert!(
            (self.filled..=self.end - self.start).contains(&bytes),
            "a split lies in what is not written"
        );
        let (next, end) = ((self.start + bytes).next_multiple_of(PAGE), self.end);
        self.end = self.start + bytes;
        (next < end).then(|| Region { buffer: self.buffer.clone(), start: next, filled: 0, end })
    }

    /// The bytes written, for sharing. Nothing is copied; the buffer is held until the last of them is dropped.
    #[must_use]
    pub fn freeze(self) -> Bytes {
        Bytes::from_owner(Frozen(self))
    }
}

/// A region that is only read from now on: `Bytes` gives out shared slices alone.
struct Frozen(Region);

impl AsRef<[u8]> for Frozen {
    fn as_ref(&self) -> &[u8] {
        self.0.filled()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio::sync::Notify;

    fn pool(pages: usize, limit: usize) -> Pool {
        Pool::new(pages * PAGE, limit, Arc::new(Notify::new()))
    }

    #[test]
    fn a_buffer_is_held_until_its_last_bytes_are_gone_and_is_then_used_again() {
        let pool = pool(4, 1);
        let mut first = pool.take(1).unwrap();
        assert!(pool.take(1).is_none(), "the limit counts buffers");
        first.extend(b"one");
        let mut second = first.split_off(3).unwrap();
        assert_eq!((first.room(), second.room()), (0, 3 * PAGE));
        second.extend(&[7; 2 * PAGE + 1]);
        assert!(second.split_off(2 * PAGE + 1).is_none(), "less than a page is left");
        let (start, first, second) = (first.pointer(), first.freeze(), second.freeze());
        assert_eq!((&first[..], second.len()), (&b"one"[..], 2 * PAGE + 1));
        assert!(first.as_ptr().addr().is_multiple_of(PAGE) && second.as_ptr().addr().is_multiple_of(PAGE));
        let slice = second.slice(5..6);
        drop((first, second));
        assert!(pool.take(1).is_none(), "a slice holds it still");
        assert_eq!((pool.held(), pool.released()), (1, 0));
        drop(slice);
        assert_eq!((pool.held(), pool.released()), (0, 1));
        let again = pool.take(1).unwrap();
        assert_eq!((again.pointer(), again.len()), (start, 0), "memory is used again, and begins empty");
    }

    #[test]
    fn what_is_longer_than_a_buffer_counts_for_several_and_is_not_kept() {
        let pool = pool(4, 3);
        assert!(pool.can_hold(12 * PAGE) && !pool.can_hold(12 * PAGE + 1));
        let small = pool.take(4 * PAGE).unwrap();
        assert!(pool.take(8 * PAGE + 1).is_none(), "three are not left");
        let mut large = pool.take(4 * PAGE + 1).unwrap();
        assert_eq!((large.room(), pool.held()), (5 * PAGE, 3));
        large.extend(&[1; 4 * PAGE + 1]);
        let rest = large.split_off(4 * PAGE + 1);
        assert!(rest.is_none(), "there is no page left");
        drop((small, large.freeze()));
        assert_eq!(pool.held(), 0);
        assert_eq!(pool.take(1).unwrap().room(), 4 * PAGE, "the large piece was not kept for small ones");
    }

    #[test]
    fn regions_of_a_buffer_are_written_and_read_on_different_threads() {
        let pool = pool(8, 1);
        let mut regions = vec![pool.take(1).unwrap()];
        for _ in 0..7 {
            let rest = regions.last_mut().unwrap().split_off(PAGE).unwrap();
            regions.push(rest);
        }
        std::thread::scope(|scope| {
            for (n, mut region) in regions.into_iter().enumerate() {
                scope.spawn(move || {
                    region.extend(&[n as u8; 100]);
                    region.filled_mut()[0] = 0xff;
                    let bytes = region.freeze();
                    assert!(bytes[0] == 0xff && bytes[1..].iter().all(|&b| b == n as u8));
                });
            }
        });
        assert_eq!(pool.held(), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 64 }))]
        #[test]
        fn copying_and_hashing_is_copying_and_hashing(parts in prop::collection::vec(
            prop::collection::vec(any::<u8>(), 0..3 * STEP), 0..4))
        {
            let mut region = pool(32, 1).take(1).unwrap();
            let mut crc = 0;
            for part in &parts {
                crc = region.extend_hashed(part, crc);
            }
            let all = parts.concat();
            prop_assert_eq!(crc, crc32c::crc32c(&all));
            prop_assert_eq!(region.freeze(), all);
        }
    }
}
