//! Spans in memory: the cache of them, and checking what was read, each block once.

use super::layout::Layout;
use super::{Hasher, cache_options};
use crate::format::{Block, FormatError};
use crate::metrics::Metrics;
use bytes::Bytes;
use levee_base::limits::SPAN_BYTES_FOLDER;
use levee_object::Key;
use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// An object, and the number of a span of it.
pub(crate) type SpanKey = (Key, u32);

/// Bytes of an object that hold a span: exactly it, or the whole object.
#[derive(Debug)]
pub(crate) struct Span {
    /// Where the bytes begin in the object.
    at: u64,
    bytes: Bytes,
    /// Of each of its blocks, whether its checksum was found right.
    checked: Box<[AtomicBool]>,
    first: u32,
}

impl Span {
    /// `bytes` begin at `at` of the object.
    pub(crate) fn new(layout: &Layout, span: u32, at: u64, bytes: Bytes) -> Self {
        let blocks = &layout.span(span).blocks;
        let checked = blocks.clone().map(|_| AtomicBool::new(false)).collect();
        Self { at, bytes, checked, first: blocks.start }
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

/// The spans that were read last, and those that were used again. A reader that passes through counts as one use of
/// each, however many reads it takes: it holds the span that it is in (`crate::read_ahead`).
pub(crate) struct SpanCache {
    spans: Cache<SpanKey, Arc<Span>, Weigh, Hasher>,
    metrics: Arc<Metrics>,
}

impl SpanCache {
    pub(crate) fn new(bytes: usize, metrics: Arc<Metrics>) -> Self {
        let options = cache_options(bytes, SPAN_BYTES_FOLDER as usize / 4);
        let spans = Cache::with_options(options, Weigh, Hasher::default(), DefaultLifecycle::default());
        Self { spans, metrics }
    }

    /// For a reader.
    pub(crate) fn get(&self, key: &SpanKey) -> Option<Arc<Span>> {
        let found = self.spans.get(key);
        if found.is_some() {
            self.metrics.cache_hits.add(1);
        }
        found
    }

    /// For what is read ahead: no use yet.
    pub(crate) fn peek(&self, key: &SpanKey) -> Option<Arc<Span>> {
        self.spans.peek(key)
    }

    pub(crate) fn put(&self, key: SpanKey, span: Arc<Span>) {
        self.spans.insert(key, span);
        self.metrics.cache_bytes.set(self.spans.weight());
    }

    /// What was found to be wrong may be right when it is read again.
    pub(crate) fn remove(&self, key: &SpanKey) {
        self.spans.remove(key);
        self.metrics.cache_bytes.set(self.spans.weight());
    }
}
