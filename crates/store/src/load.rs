//! Loading indexes and spans of objects: from the caches, by a request that is under way, or by a new one.
//!
//! An index comes first, by one request; a small object comes whole, with the one span that it has.

use crate::cache::flights::Joined;
use crate::cache::{Flight, Lane, Layout, Span, SpanKey};
use crate::format::FormatError;
use crate::read::{Step, decode_index};
use crate::registrar::ObjectRef;
use crate::store::Shared;
use crate::types::ReadError;
use bytes::Bytes;
use futures::FutureExt;
use levee_base::limits::{OBJECT_HEAD_BYTES, READ_GAP_BYTES};
use levee_object::{Error, ErrorKind, Key, Purpose};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// A span that is there, or on its way.
#[derive(Debug, Clone)]
pub(crate) struct Loading {
    /// Which one.
    pub(crate) key: SpanKey,
    way: Way,
}

#[derive(Debug, Clone)]
enum Way {
    /// It is there.
    Loaded(Arc<Span>),
    /// Somebody's request is under way.
    Flying(Flight<Arc<Span>>),
}

impl Loading {
    /// What a reader has passed, if it is there.
    pub(crate) fn passed(self) -> Option<(SpanKey, Arc<Span>)> {
        match &self.way {
            Way::Loaded(span) => Some((self.key, span.clone())),
            Way::Flying(flight) => match flight.peek() {
                Some(Ok(Ok(span))) => Some((self.key, span.clone())),
                _ => None,
            },
        }
    }

    pub(crate) async fn loaded(self) -> Result<Arc<Span>, ReadError> {
        match self.way {
            Way::Loaded(span) => Ok(span),
            Way::Flying(flight) => landed(flight, &self.key.0).await,
        }
    }
}

/// What is read of an object at first: its index, and the span of a small one.
pub(crate) type Head = (Arc<Layout>, Option<Arc<Span>>);

async fn landed<V: Clone>(flight: Flight<V>, key: &Key) -> Result<V, ReadError> {
    flight.await.unwrap_or_else(|_| {
        let reason = "the task that read it is gone";
        Err(ReadError::Store(Error::new(ErrorKind::Unavailable, "get", key, reason)))
    })
}

impl Shared {
    /// A span for a reader.
    pub(crate) fn span(self: &Arc<Self>, step: &Step, span: u32, lane: Lane) -> Loading {
        let read = || {
            let (shared, key) = (self.clone(), step.object.key.clone());
            let range = step.layout.span(span).bytes.clone();
            async move { shared.get(&key, range, lane.purpose()).await }
        };
        self.start(step, span, lane, true, |key| self.spans.get(key), read).0
    }

    /// How many of the first of some steps are read ahead by one request: what lies together in an object, and is not
    /// there nor on its way.
    pub(crate) fn together(&self, steps: &VecDeque<Step>, lane: Lane) -> usize {
        let lacking = |step: &Step| {
            let key = (step.object.key.clone(), step.span?);
            let known = step.came.is_some()
                || self.spans.peek(&key).is_some()
                || self.spans.on_disk(&key)
                || self.span_flights.has(&(lane, key.clone()));
            step.span_range().filter(|_| !known)
        };
        let mut all: Option<Range<u64>> = None;
        let joined = steps.iter().take_while(|step| {
            let (before, own) = (all.clone(), lacking(step));
            let fits = match (&before, &own) {
                (None, Some(_)) => true,
                (Some(before), Some(own)) => {
                    let apart = own.start.checked_sub(before.end);
                    let long = own.end.saturating_sub(before.start);
                    apart.is_some_and(|apart| apart <= READ_GAP_BYTES) && long <= self.together_bytes
                }
                (_, None) => false,
            };
            all = own.map(|own| before.map_or(own.start, |before| before.start)..own.end);
            fits
        });
        joined.count().max(1)
    }

    /// Spans that a reader will want, of one object, by one request.
    pub(crate) fn spans_ahead(self: &Arc<Self>, steps: &[Step], lane: Lane) -> Vec<Option<Loading>> {
        let ends = steps.first().and_then(Step::span_range).zip(steps.last().and_then(Step::span_range));
        let together = ends.filter(|_| steps.len() > 1).zip(steps.first()).map(|((first, last), step)| {
            let (shared, key, range) = (self.clone(), step.object.key.clone(), first.start..last.end);
            let read = async move { shared.get(&key, range, lane.purpose()).await };
            (first.start, read.boxed().shared())
        });
        let load = |step: &Step| {
            let (span, own) = (step.span?, step.span_range()?);
            let read = || {
                let (shared, key, together) = (self.clone(), step.object.key.clone(), together.clone());
                async move {
                    if let Some((at, together)) = together {
                        match together.await {
                            Ok(all) => {
                                // A copy, so that one span does not keep the others.
                                let own = (own.start - at) as usize..(own.end - at) as usize;
                                return Ok(all.get(own).map(Bytes::copy_from_slice).unwrap_or_default());
                            }
                            // An object that is too short may have this one.
                            Err(error) if error.damaged().is_some() => {}
                            Err(error) => return Err(error),
                        }
                    }
                    shared.get(&key, own, lane.purpose()).await
                }
            };
            let (loading, began) = self.start(step, span, lane, false, |key| self.spans.peek(key), read);
            if began {
                self.metrics.read_ahead_bytes.add(step.span_bytes());
            }
            Some(loading)
        };
        steps.iter().map(load).collect()
    }

    /// Says whether a request began. What is `wanted` now is put into the cache at once.
    fn start<F: Future<Output = Result<Bytes, ReadError>> + Send + 'static>(
        self: &Arc<Self>,
        step: &Step,
        span: u32,
        lane: Lane,
        wanted: bool,
        kept: impl FnOnce(&SpanKey) -> Option<Arc<Span>>,
        read: impl FnOnce() -> F,
    ) -> (Loading, bool) {
        let key = (step.object.key.clone(), span);
        if let Some(span) = &step.came {
            return (Loading { key, way: Way::Loaded(span.clone()) }, false);
        }
        let load = || {
            let (shared, layout, key, read) = (self.clone(), step.layout.clone(), key.clone(), read());
            async move {
                let bytes = match shared.spans.read_disk(&key).await {
                    Some(bytes) => bytes,
                    None => read.await?,
                };
                let loaded = Arc::new(Span::new(&layout, span, layout.span(span).bytes.start, bytes));
                shared.spans.loaded(key.clone(), &loaded);
                if wanted {
                    shared.spans.put(key, loaded.clone());
                }
                Ok(loaded)
            }
        };
        let (way, began) = match self.span_flights.join((lane, key.clone()), || kept(&key), load) {
            Joined::Kept(span) => (Way::Loaded(span), false),
            Joined::Flying(flight) => (Way::Flying(flight), false),
            Joined::Began(flight) => {
                self.metrics.cache_misses.add(1);
                (Way::Flying(flight), true)
            }
        };
        (Loading { key, way }, began)
    }

    /// An object's index, and its span if that had to be read for it.
    pub(crate) async fn layout(
        self: &Arc<Self>,
        object: &Arc<ObjectRef>,
        purpose: Purpose,
    ) -> Result<Head, ReadError> {
        let key = &object.key;
        if let Some(layout) = self.indexes.get(key) {
            return Ok((layout, None));
        }
        let load = || {
            let (shared, object) = (self.clone(), object.clone());
            async move { shared.load_head(&object, purpose).await }
        };
        let kept = || self.indexes.get(key).map(|layout| (layout, None));
        match self.head_flights.join((purpose, key.clone()), kept, load) {
            Joined::Kept(head) => Ok(head),
            Joined::Flying(flight) | Joined::Began(flight) => landed(flight, key).await,
        }
    }

    /// An object's index, for those who read objects and not streams.
    pub(crate) async fn index(&self, object: &ObjectRef, purpose: Purpose) -> Result<Arc<Layout>, ReadError> {
        match self.indexes.get(&object.key) {
            Some(layout) => Ok(layout),
            None => Ok(self.load_head(object, purpose).await?.0),
        }
    }

    async fn load_head(&self, object: &ObjectRef, purpose: Purpose) -> Result<Head, ReadError> {
        let corrupt =
            |what| ReadError::Corrupt { key: object.key.clone(), range: object.index.clone(), what };
        let whole = object.total_bytes <= OBJECT_HEAD_BYTES as u64 && lane(purpose).is_some();
        let read = if whole { 0..object.total_bytes } else { object.index.clone() };
        let bytes = self.get(&object.key, read.clone(), purpose).await?;
        let own = (object.index.start - read.start) as usize..(object.index.end - read.start) as usize;
        // A copy, so that the index does not keep the whole object.
        let index = bytes.get(own).map(Bytes::copy_from_slice).unwrap_or_default();
        let index = decode_index(object, &index).map_err(corrupt)?;
        let layout = self.indexes.put(&object.key, Arc::new(index));
        if !whole || layout.spans() == 0 {
            return Ok((layout, None));
        }
        let span = Arc::new(Span::new(&layout, 0, 0, bytes));
        self.spans.loaded((object.key.clone(), 0), &span);
        self.spans.put((object.key.clone(), 0), span.clone());
        self.metrics.cache_misses.add(1);
        Ok((layout, Some(span)))
    }

    /// Exactly `range` of an object.
    pub(crate) async fn get(
        &self,
        key: &Key,
        range: Range<u64>,
        purpose: Purpose,
    ) -> Result<Bytes, ReadError> {
        let missing = || ReadError::Missing { key: key.clone(), range: range.clone() };
        let _pass = match lane(purpose) {
            Some(lane) => Some(self.lanes.enter(lane, range.end - range.start).await),
            None => None,
        };
        match self.ctx.store.get(key, Some(range.clone()), purpose).await {
            Ok(bytes) if bytes.len() as u64 == range.end - range.start => Ok(bytes),
            Ok(bytes) => {
                let (found, needed) = (bytes.len(), (range.end - range.start) as usize);
                let what = FormatError::TooShort { part: "object", found, needed };
                Err(ReadError::Corrupt { key: key.clone(), range: range.clone(), what })
            }
            Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::OutOfRange) => Err(missing()),
            Err(error) => Err(error.into()),
        }
    }
}

/// The lane of a purpose, if it has one.
const fn lane(purpose: Purpose) -> Option<Lane> {
    match purpose {
        Purpose::Tail => Some(Lane::Tail),
        Purpose::CatchUp => Some(Lane::CatchUp),
        _ => None,
    }
}
