//! Spans in memory: the cache of them, and checking what was read, each block once.

use super::disk::DiskCache;
use super::layout::{Layout, SpanRange};
use super::{Hasher, cache_options};
use crate::format::{Block, FormatError};
use crate::metrics::Metrics;
use bytes::Bytes;
use levee_base::HashMap;
use levee_base::limits::SPAN_BYTES;
use levee_object::Key;
use quick_cache::sync::Cache;
use quick_cache::{Lifecycle, Weighter};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// An object, and the number of a span of it.
pub(crate) type SpanKey = (Key, u32);

/// Bytes of an object that hold a span: exactly it, or the whole object.
#[derive(Debug)]
pub(crate) struct Span {
    /// Where it is in the object,
    range: Range<u64>,
    /// and where the bytes begin.
    at: u64,
    bytes: Bytes,
    /// Of each of its blocks, whether its checksum was found right.
    checked: Box<[AtomicBool]>,
    first: u32,
}

impl Span {
    /// `bytes` begin at `at` of the object.
    pub(crate) fn new(layout: &Layout, span: u32, at: u64, bytes: Bytes) -> Self {
        let SpanRange { blocks, bytes: range } = layout.span(span);
        let checked = blocks.clone().map(|_| AtomicBool::new(false)).collect();
        Self { range: range.clone(), at, bytes, checked, first: blocks.start }
    }

    /// Exactly its bytes.
    pub(crate) fn own(&self) -> &[u8] {
        let (start, end) = (self.range.start - self.at, self.range.end - self.at);
        self.bytes.get(start as usize..end as usize).unwrap_or_default()
    }

    /// All that was read, and where `block`, which is in it, begins in that. A block is checked when it is first asked
    /// for: what is wrong with a stream's block is no other stream's trouble.
    pub(crate) fn block(&self, at: u32, block: &Block) -> Result<(&Bytes, usize), FormatError> {
        let start = (block.position - self.at) as usize;
        let checked = &self.checked[(at - self.first) as usize];
        if !checked.load(Relaxed) {
            let own = self.bytes.get(start..start + block.bytes as usize).unwrap_or_default();
            block.verify(own)?;
            checked.store(true, Relaxed);
        }
        Ok((&self.bytes, start))
    }
}

#[derive(Debug, Clone)]
struct Weigh;

impl Weighter<SpanKey, Arc<Span>> for Weigh {
    fn weight(&self, (key, _): &SpanKey, span: &Arc<Span>) -> u64 {
        // And about what the map takes.
        (span.bytes.len() + span.checked.len() + key.as_str().len() + 256) as u64
    }
}

/// Hands on what has to leave.
#[derive(Debug, Clone, Copy)]
struct Leaving;

impl Lifecycle<SpanKey, Arc<Span>> for Leaving {
    type RequestState = Vec<(SpanKey, Arc<Span>)>;

    fn on_evict(&self, left: &mut Self::RequestState, key: SpanKey, span: Arc<Span>) {
        left.push((key, span));
    }
}

/// The spans that were read last, and those that were used again.
///
/// A reader that passes through counts as one use of each, however many reads it takes, as it holds the span that it is
/// in (`crate::read_ahead`); and what is read ahead for it is put here when it has passed, not before: it would go again
/// before others who follow have come. Until then it is found by its being alive.
pub(crate) struct SpanCache {
    spans: Cache<SpanKey, Arc<Span>, Weigh, Hasher, Leaving>,
    /// Where goes what has no room here.
    disk: Option<Arc<DiskCache>>,
    alive: Mutex<Alive>,
    metrics: Arc<Metrics>,
}

/// Every span that somebody holds, here or elsewhere.
#[derive(Debug, Default)]
struct Alive {
    spans: HashMap<SpanKey, Weak<Span>>,
    /// The dead are buried when there are so many.
    most: usize,
}

impl SpanCache {
    pub(crate) fn new(bytes: usize, disk: Option<Arc<DiskCache>>, metrics: Arc<Metrics>) -> Self {
        let options = cache_options(bytes, SPAN_BYTES as usize / 4);
        let spans = Cache::with_options(options, Weigh, Hasher::default(), Leaving);
        Self { spans, disk, alive: Mutex::default(), metrics }
    }

    fn alive(&self) -> MutexGuard<'_, Alive> {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For a reader.
    pub(crate) fn get(&self, key: &SpanKey) -> Option<Arc<Span>> {
        let found = self.spans.get(key).or_else(|| self.peek(key));
        if found.is_some() {
            self.metrics.cache_hits.add(1);
        }
        found
    }

    /// For what is read ahead: no use yet.
    pub(crate) fn peek(&self, key: &SpanKey) -> Option<Arc<Span>> {
        self.alive().spans.get(key).and_then(Weak::upgrade)
    }

    /// Whether it is on the local disk.
    pub(crate) fn on_disk(&self, key: &SpanKey) -> bool {
        self.disk.as_ref().is_some_and(|disk| disk.has(key))
    }

    /// The bytes of a span that is on the local disk.
    pub(crate) async fn read_disk(&self, key: &SpanKey) -> Option<Bytes> {
        match &self.disk {
            Some(disk) => disk.get(key).await,
            None => None,
        }
    }

    /// A span that was loaded.
    pub(crate) fn loaded(&self, key: SpanKey, span: &Arc<Span>) {
        let mut alive = self.alive();
        if alive.spans.len() >= alive.most {
            alive.spans.retain(|_, span| span.strong_count() > 0);
            alive.most = 2 * alive.spans.len() + 64;
        }
        alive.spans.insert(key, Arc::downgrade(span));
    }

    /// Keeps a span that a reader has come to, or has passed.
    pub(crate) fn put(&self, key: SpanKey, span: Arc<Span>) {
        if !self.spans.contains_key(&key) {
            let mut left = Vec::new();
            self.spans.insert_with_lifecycle(key, span, &mut left);
            if let Some(disk) = &self.disk {
                left.into_iter().for_each(|(key, span)| disk.offer(key, span));
            }
            self.metrics.cache_bytes.set(self.spans.weight());
        }
    }

    /// What was found to be wrong may be right when it is read again.
    pub(crate) fn remove(&self, key: &SpanKey) {
        self.alive().spans.remove(key);
        self.spans.remove(key);
        if let Some(disk) = &self.disk {
            disk.remove(key);
        }
        self.metrics.cache_bytes.set(self.spans.weight());
    }
}
