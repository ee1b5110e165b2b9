//! A store that fails in one way at a time, while the write-ahead log is written or recovered.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod support;

use async_trait::async_trait;
use bytes::Bytes;
use levee_base::limits::OBJECT_HEAD_BYTES;
use levee_base::{Clock, Random, Slot, StreamId};
use levee_object::{Error, ErrorKind, Key, Page, Purpose, Result, Store};
use levee_store::{AppendError, NewBatch, Registered, StreamStore, recover};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use support::{Copies, Meta, context, open, small_options};

const STREAM: StreamId = StreamId(1);

#[derive(Debug, Default)]
struct Troubled {
    inner: Copies,
    /// So many creates take effect and are answered as if there were no room: an earlier try of each has landed, or
    /// a hedge.
    landed: AtomicU32,
    /// No create of an object that is gathered is answered, and it takes effect: the first answer is lost, and to all
    /// further ones the store says that the name is taken before it has read the body, and cuts the connection.
    cut: AtomicBool,
    /// No create has room.
    full: AtomicBool,
    /// So many reads of an index beyond an object's head fail.
    unreadable: AtomicU32,
}

/// Whether one was left to be taken.
fn take(left: &AtomicU32) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

#[async_trait]
impl Store for Troubled {
    fn location(&self) -> String {
        self.inner.location()
    }

    async fn create(&self, key: &Key, bytes: Bytes, purpose: Purpose) -> Result<()> {
        let full = Error::new(ErrorKind::NoSpace, "create", key, "the disk is full");
        if self.full.load(Ordering::Relaxed) {
            return Err(full);
        }
        let created = self.inner.create(key, bytes, purpose).await;
        if self.cut.load(Ordering::Relaxed) && key.as_str().starts_with("data/") {
            return Err(Error::new(ErrorKind::Unavailable, "create", key, "the connection was lost"));
        }
        created?;
        if take(&self.landed) { Err(full) } else { Ok(()) }
    }

    async fn create_parts(&self, _: &Key, _: Vec<Bytes>, _: Purpose) -> Result<()> {
        unreachable!("the log creates whole objects")
    }

    async fn get(&self, key: &Key, range: Option<Range<u64>>, purpose: Purpose) -> Result<Bytes> {
        let beyond = range.as_ref().is_some_and(|range| range.start >= OBJECT_HEAD_BYTES as u64);
        if beyond && take(&self.unreadable) {
            return Err(Error::new(ErrorKind::Unavailable, "get", key, "the store failed"));
        }
        self.inner.get(key, range, purpose).await
    }

    async fn list(&self, prefix: &str, after: Option<&Key>, limit: usize, purpose: Purpose) -> Result<Page> {
        self.inner.list(prefix, after, limit, purpose).await
    }

    async fn delete(&self, key: &Key, purpose: Purpose) -> Result<()> {
        self.inner.delete(key, purpose).await
    }
}

fn append(store: &StreamStore, bytes: &[u8]) -> std::result::Result<Slot, AppendError> {
    let base = store.end(STREAM).expect("open").appended;
    store.append(STREAM, base, &[NewBatch { bytes, count: 1, note: b"" }])
}

async fn durable(store: &StreamStore, slot: Slot) {
    let mut status = store.status();
    let status = status.wait_for(|status| status.durable > slot || status.stopped.is_some()).await.unwrap();
    assert!(status.durable > slot, "{status:?}");
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_was_full_once_is_asked_again_though_nothing_is_in_flight() {
    let objects = Arc::new(Troubled::default());
    let ctx = context(objects.clone(), Clock::simulated(0), Random::seeded(3));
    let (_, store) = open(&ctx, &Meta::new(&ctx), small_options());
    store.open_stream(STREAM, 0, Registered::default());

    objects.landed.store(1, Ordering::Relaxed);
    durable(&store, append(&store, b"landed").unwrap()).await;
    durable(&store, append(&store, b"finds out").unwrap()).await;
    durable(&store, append(&store, b"goes on").unwrap()).await;

    // While there really is no room one append is on its way, and the others are refused.
    objects.full.store(true, Ordering::Relaxed);
    let slot = append(&store, b"waits").unwrap();
    ctx.clock.sleep(Duration::from_secs(5)).await;
    for _ in 0..3 {
        assert_eq!(append(&store, b"refused"), Err(AppendError::NoSpace));
    }
    objects.full.store(false, Ordering::Relaxed);
    durable(&store, slot).await;
    durable(&store, append(&store, b"there is room").unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_gathered_is_registered_though_no_create_of_it_is_ever_answered() {
    let objects = Arc::new(Troubled::default());
    let ctx = context(objects.clone(), Clock::simulated(0), Random::seeded(5));
    let meta = Meta::new(&ctx);
    let (_, store) = open(&ctx, &meta, small_options());
    store.open_stream(STREAM, 0, Registered::default());
    objects.cut.store(true, Ordering::Relaxed);
    let slot = append(&store, b"short").unwrap();
    durable(&store, slot).await;
    ctx.clock.sleep(Duration::from_secs(10)).await;
    assert!(meta.trim_point() > slot, "the trim waits for an answer that never comes");
    assert_eq!(meta.extents(STREAM).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_recovery_waits_for_a_store_that_fails_while_indexes_are_read() {
    let objects = Arc::new(Troubled::default());
    let ctx = context(objects.clone(), Clock::simulated(0), Random::seeded(4));
    let (epoch, store) = open(&ctx, &Meta::new(&ctx), small_options());
    store.open_stream(STREAM, 0, Registered::default());
    durable(&store, append(&store, &vec![7; OBJECT_HEAD_BYTES + 1]).unwrap()).await;
    drop(store);
    objects.unreadable.store(20, Ordering::Relaxed);
    let recovered = recover(&ctx, epoch, Slot::ZERO, ctx.random.writer_id()).await.unwrap();
    assert_eq!((recovered.fence, recovered.objects.len()), (Slot(1), 1));
    assert_eq!(objects.unreadable.load(Ordering::Relaxed), 0, "the failures were met");
}
