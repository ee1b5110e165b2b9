//! Reading: from memory, else from registered objects.
//!
//! A read that is not in memory goes through the stream's extents and, by their objects' indexes, through *steps*: the
//! stream's blocks in one span of an object (`crate::cache`). It takes what is wanted for sure, all of it at once, and
//! while it waits, what comes after is loaded ahead, if this reader goes on where it ended (`crate::read_ahead`). What
//! compaction has emptied has no bytes and is passed over without a request: only at the end is there nothing to
//! give.
//!
//! A missing or corrupt object fails the reads that need it, with an error that names it; nothing else. Compaction
//! deletes what it has replaced: a missing object that the metadata no longer names was not missed (`crate::outdated`).

use crate::cache::{Lane, Layout, Span};
use crate::format::{Block, FormatError, Index};
use crate::load::Loading;
use crate::outdated::Views;
use crate::read_ahead::ReaderId;
use crate::registrar::{Extent, ObjectRef};
use crate::runs::Runs;
use crate::state::Found;
use crate::store::{Shared, StreamStore};
use crate::types::{ReadError, Run};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use levee_base::limits::{READ_AHEAD_OBJECTS, READ_OBJECTS};
use levee_base::{Offset, StreamId};
use std::collections::VecDeque;
use std::ops::Range;
use std::pin::pin;
use std::sync::{Arc, MutexGuard, PoisonError};

impl StreamStore {
    /// Reads whole durable batches of a stream, from the one that holds `from` on, `max_bytes` at most; the first
    /// batch whatever its length if `at_least_one`. May return fewer than there are, but none only at the end, or
    /// when the first is too long.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn read(
        &self,
        stream: StreamId,
        from: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<Vec<Run>, ReadError> {
        let shared = &self.shared;
        let found = shared.state().read(stream, from, max_bytes, at_least_one)?;
        match found {
            Found::Tail(runs) => {
                shared.metrics.tail_reads.add(1);
                Ok(runs)
            }
            Found::Cold(cold) => {
                shared.metrics.cold_reads.add(1);
                let read = Read { shared, stream, from, max_bytes, at_least_one };
                let mut result = read.cold(cold).await;
                if let Err(ReadError::Missing { key, .. }) = &result
                    && !shared.is_registered(stream, from, key)
                {
                    // The metadata gives it to another by now.
                    result = Err(ReadError::UnknownStream);
                }
                if result.as_ref().is_err_and(|error| error.damaged().is_some()) {
                    shared.metrics.damaged_reads.add(1);
                }
                result
            }
        }
    }
}

/// The blocks of a stream that lie in one span of an object, or follow each other without bytes.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) object: Arc<ObjectRef>,
    pub(crate) layout: Arc<Layout>,
    /// The span. What has no bytes is in none.
    pub(crate) span: Option<u32>,
    /// Their places among the index's blocks.
    blocks: Vec<u32>,
    /// The span, if it came with the index.
    pub(crate) came: Option<Arc<Span>>,
}

impl Step {
    fn offsets(&self) -> Range<Offset> {
        let of = |at: Option<&u32>| at.map(|at| self.layout.block(*at).offsets.clone()).unwrap_or_default();
        of(self.blocks.first()).start..of(self.blocks.last()).end
    }

    /// Where all of the span lies in the object.
    pub(crate) fn span_range(&self) -> Option<Range<u64>> {
        self.span.map(|span| self.layout.span(span).bytes.clone())
    }

    /// Bytes of all of the span.
    pub(crate) fn span_bytes(&self) -> u64 {
        self.span_range().map_or(0, |range| range.end - range.start)
    }

    fn corrupt(&self, block: &Block, what: FormatError) -> ReadError {
        ReadError::Corrupt { key: self.object.key.clone(), range: block.range(), what }
    }
}

/// Extents to be read, in order.
#[derive(Debug)]
pub(crate) struct Cold {
    pub(crate) extents: Vec<Extent>,
    pub(crate) lane: Lane,
}

/// What is asked for.
#[derive(Clone, Copy)]
struct Read<'a> {
    shared: &'a Arc<Shared>,
    stream: StreamId,
    from: Offset,
    max_bytes: usize,
    at_least_one: bool,
}

impl Read<'_> {
    async fn cold(self, mut cold: Cold) -> Result<Vec<Run>, ReadError> {
        let Self { shared, stream, from, max_bytes, at_least_one } = self;
        let (reader, fill) = shared.read_ahead().begin(stream, from, shared.ctx.clock.now());
        if fill {
            tokio::spawn(shared.clone().fill(stream, reader, cold.lane));
        }
        let mut runs = Runs::new(from, max_bytes, at_least_one).apart();
        let mut views = Views::new(shared);
        loop {
            match self.pass(reader, &cold, &mut runs).await {
                Ok(()) => {}
                // What there is until there first; who goes on there learns the rest.
                Err(_) if !runs.is_empty() => break,
                Err(error) if views.outdated(stream, runs.next(), &error).await => {}
                Err(error) => {
                    shared.read_ahead().forget(reader);
                    return Err(error);
                }
            }
            if !runs.is_empty() || runs.is_full() {
                break;
            }
            // Nothing but gaps so far, or another has taken an object's place.
            match shared.state().read(stream, runs.next(), max_bytes, at_least_one)? {
                Found::Tail(found) => return Ok(found),
                Found::Cold(next) => cold = next,
            }
        }
        Ok(runs.finish())
    }

    /// Goes through `cold` until `runs` has enough.
    async fn pass(&self, reader: ReaderId, cold: &Cold, runs: &mut Runs) -> Result<(), ReadError> {
        let Self { shared, stream, from, .. } = *self;
        let (mut plan, mut wanted, mut failed) = (Vec::new(), 0, None);
        let extents = shared.steps(stream, cold.extents.clone(), runs.next(), cold.lane, READ_OBJECTS);
        let one_by_one = |steps: Result<VecDeque<Step>, ReadError>| match steps {
            Ok(steps) => stream::iter(steps.into_iter().map(Ok).collect::<VecDeque<_>>()),
            Err(error) => stream::iter(VecDeque::from([Err(error)])),
        };
        let mut steps = pin!(extents.flat_map(one_by_one));
        while wanted < runs.left().max(1) {
            match steps.next().await {
                None => break,
                Some(Err(error)) => {
                    failed = Some(error);
                    break;
                }
                Some(Ok(step)) => {
                    // The first may begin before what is wanted, and counts for nothing.
                    let counted = step.blocks.iter().skip(usize::from(plan.is_empty()));
                    wanted += counted.map(|at| step.layout.block(*at).bytes as usize).sum::<usize>();
                    // What would be used in part only is left for the next read: it may be gone from memory by then.
                    if !plan.is_empty() && wanted > runs.left() {
                        break;
                    }
                    let loading = step.span.map(|span| {
                        let held = shared.read_ahead().find(reader, step.offsets().start.max(runs.next()));
                        // Compaction may have moved these offsets to another object since.
                        held.filter(|held| held.key == (step.object.key.clone(), span))
                            .unwrap_or_else(|| shared.span(&step, span, cold.lane))
                    });
                    plan.push((step, loading));
                }
            }
        }
        let mut last = None;
        for (step, loading) in plan {
            let more = self.take(&step, loading.as_ref(), runs).await?;
            last = loading.map(|loading| (step.offsets(), step.span_bytes() as usize, loading)).or(last);
            if !more || runs.left() == 0 {
                failed = None;
                break;
            }
        }
        let (given, bytes) = (runs.end(), runs.bytes());
        let passed = shared.read_ahead().end(reader, from..given, bytes, last);
        for (key, span) in passed.into_iter().filter_map(Loading::passed) {
            shared.spans.put(key, span);
        }
        failed.map_or(Ok(()), Err)
    }

    /// Takes what is wanted of a step. Says whether more may be taken.
    async fn take(&self, step: &Step, loading: Option<&Loading>, runs: &mut Runs) -> Result<bool, ReadError> {
        let span = match loading {
            Some(loading) => Some(loading.clone().loaded().await?),
            None => None,
        };
        for at in &step.blocks {
            let block = step.layout.block(*at);
            if block.offsets.start > runs.next() {
                return Err(ReadError::Unregistered { stream: self.stream, offset: runs.next() });
            }
            let (bytes, start) = match (&span, loading) {
                (Some(span), Some(loading)) if block.bytes > 0 => span.block(*at, block).map_err(|what| {
                    self.shared.spans.remove(&loading.key);
                    step.corrupt(block, what)
                })?,
                _ => (&Bytes::new(), 0),
            };
            if !runs.add(&step.layout.index, block, bytes, start) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Shared {
    pub(crate) fn read_ahead(&self) -> MutexGuard<'_, crate::read_ahead::ReadAhead<Loading>> {
        self.read_ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The steps from `from` on through each of `extents`, whose indexes are read `at_once`.
    pub(crate) fn steps(
        self: &Arc<Self>,
        stream: StreamId,
        extents: Vec<Extent>,
        from: Offset,
        lane: Lane,
        at_once: usize,
    ) -> impl Stream<Item = Result<VecDeque<Step>, ReadError>> + use<> {
        let shared = self.clone();
        stream::iter(extents)
            .map(move |extent| {
                let shared = shared.clone();
                async move {
                    let (layout, came) = shared.layout(&extent.object, lane.purpose()).await?;
                    let steps = steps_of(stream, &extent, from, &layout, came);
                    if steps.is_empty() {
                        let offset = from.max(extent.range.start);
                        return Err(ReadError::Unregistered { stream, offset });
                    }
                    Ok(steps)
                }
            })
            .buffered(at_once)
    }

    /// Loads ahead what the window of `reader` lacks.
    async fn fill(self: Arc<Self>, stream: StreamId, reader: ReaderId, lane: Lane) {
        let mut before = None;
        loop {
            let wanted = self.read_ahead().wanted(reader);
            let Some(wanted) = wanted else { return };
            // The same again: there is no memory for it.
            let again = before.replace(wanted.from) == Some(wanted.from);
            let extents = self.state().ahead(stream, wanted.from, wanted.bytes);
            if again || extents.is_empty() {
                return self.read_ahead().stop(reader);
            }
            let mut extents = pin!(self.steps(stream, extents, wanted.from, lane, READ_AHEAD_OBJECTS));
            let mut from = wanted.from;
            'window: while let Some(steps) = extents.next().await {
                // A reader who needs it will hear why not.
                let Ok(mut steps) = steps else { return self.read_ahead().stop(reader) };
                while !steps.is_empty() {
                    let together = steps.iter().take(self.together(&steps, lane));
                    let bytes: Vec<_> = together.map(|step| step.span_bytes() as usize).collect();
                    let taken = self.read_ahead().takes(reader, from, &bytes, self.ctx.clock.now());
                    if taken == 0 {
                        break 'window;
                    }
                    let some: Vec<Step> = steps.drain(..taken).collect();
                    for (step, loading) in some.iter().zip(self.spans_ahead(&some, lane)) {
                        let offsets = step.offsets();
                        from = offsets.end;
                        if let Some(loading) = loading {
                            self.read_ahead().put(reader, offsets, step.span_bytes() as usize, loading);
                        }
                    }
                }
            }
            self.metrics.read_ahead_held.set(self.read_ahead().held() as u64);
        }
    }
}

/// The blocks of `stream` in one extent that end above `from`, by spans.
fn steps_of(
    stream: StreamId,
    extent: &Extent,
    from: Offset,
    layout: &Arc<Layout>,
    came: Option<Arc<Span>>,
) -> VecDeque<Step> {
    let mut steps: VecDeque<Step> = VecDeque::new();
    for at in layout.blocks(stream, &extent.range, from) {
        let span = layout.span_of(at);
        match steps.back_mut() {
            Some(step) if step.span == span => step.blocks.push(at),
            _ => steps.push_back(Step {
                object: extent.object.clone(),
                layout: layout.clone(),
                span,
                blocks: vec![at],
                came: came.clone().filter(|_| span.is_some()),
            }),
        }
    }
    steps
}

/// Decodes the index of `object`, and checks that it is its own: a key names epoch and number.
pub(crate) fn decode_index(object: &ObjectRef, bytes: &Bytes) -> Result<Index, FormatError> {
    let index = Index::decode(bytes, object.index.start)?;
    if object.key.as_str().ends_with(&format!("/{:020}/{:020}", index.epoch.0, index.number)) {
        Ok(index)
    } else {
        Err(FormatError::Inconsistent { part: "index", what: "it is another object's" })
    }
}
