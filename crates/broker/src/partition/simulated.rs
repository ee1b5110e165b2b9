//! Streams in memory for tests: batches become durable, the store fills up or stops, when the test says so.

use super::stream::{Streams, Watching};
use crate::batch::BatchView;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use levee_base::{Offset, Slot, StreamId};
use levee_object::{Key, Purpose};
use levee_store::{AppendError, BatchInfo, NewBatch, ReadError, Run, Stopped, StoreStatus, StreamEnds};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::{Notify, watch};

#[derive(Debug, Clone)]
struct Batch {
    slot: Slot,
    base: Offset,
    count: u32,
    bytes: Bytes,
    note: Vec<u8>,
}

#[derive(Debug, Default)]
struct State {
    streams: BTreeMap<StreamId, (Offset, Vec<Batch>)>,
    watchers: Vec<Arc<Notify>>,
    next: Slot,
    full: bool,
    broken: bool,
    held: bool,
    reads: usize,
}

/// Every append is a slot of its own.
#[derive(Debug)]
pub(crate) struct Simulated {
    state: Mutex<State>,
    status: watch::Sender<StoreStatus>,
    room: Notify,
    released: Notify,
}

impl Simulated {
    pub(crate) fn new() -> Arc<Self> {
        let status = StoreStatus { durable: Slot::ZERO, stopped: None };
        let (status, room, released) = (watch::Sender::new(status), Notify::new(), Notify::new());
        Arc::new(Self { state: Mutex::default(), status, room, released })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn open(&self, stream: StreamId, start: Offset) {
        self.lock().streams.insert(stream, (start, Vec::new()));
    }

    /// What a successor finds: the durable batches, and nothing else.
    pub(crate) fn reopened(&self) -> Arc<Self> {
        let next = Self::new();
        let durable = self.status.borrow().durable;
        for (stream, (start, batches)) in &self.lock().streams {
            let kept = batches.iter().filter(|batch| batch.slot < durable).cloned().collect();
            next.lock().streams.insert(*stream, (*start, kept));
        }
        next.lock().next = durable;
        next.status.send_modify(|status| status.durable = durable);
        next
    }

    /// Moves the start of a stream, as retention will.
    pub(crate) fn set_start(&self, stream: StreamId, start: Offset) {
        self.lock().streams.get_mut(&stream).unwrap().0 = start;
    }

    /// Makes the next `slots` durable.
    pub(crate) fn flush(&self, slots: u64) {
        let (to, watchers) = {
            let state = self.lock();
            let to = Slot((self.status.borrow().durable.0 + slots).min(state.next.0));
            (to, state.watchers.clone())
        };
        self.status.send_modify(|status| status.durable = to);
        watchers.iter().for_each(|watcher| watcher.notify_one());
    }

    pub(crate) fn flush_all(&self) {
        self.flush(u64::MAX / 2);
    }

    pub(crate) fn stop(&self) {
        self.status.send_modify(|status| status.stopped = Some(Stopped::Shutdown));
        self.lock().watchers.iter().for_each(|watcher| watcher.notify_one());
        self.room.notify_waiters();
    }

    pub(crate) fn set_full(&self, full: bool) {
        self.lock().full = full;
        self.room.notify_waiters();
    }

    /// Every read fails from now on.
    pub(crate) fn set_broken(&self, broken: bool) {
        self.lock().broken = broken;
    }

    /// What is read from now on is answered once this is taken back.
    pub(crate) fn set_held(&self, held: bool) {
        self.lock().held = held;
        self.released.notify_waiters();
    }

    /// How often something was read.
    pub(crate) fn reads(&self) -> usize {
        self.lock().reads
    }

    pub(crate) fn watchers(&self) -> usize {
        self.lock().watchers.len()
    }

    fn durable(&self, state: &State, stream: StreamId, from: Offset) -> Result<Vec<Batch>, ReadError> {
        let slot = self.status.borrow().durable;
        let (start, batches) = state.streams.get(&stream).ok_or(ReadError::UnknownStream)?;
        if from < *start {
            let ends = StreamEnds { start: *start, registered: *start, durable: *start, appended: *start };
            return Err(ReadError::OutOfRange { from, ends });
        }
        if state.broken {
            return Err(ReadError::Unregistered { stream, offset: from });
        }
        let wanted = |batch: &&Batch| batch.slot < slot && batch.base.0 + u64::from(batch.count) > from.0;
        Ok(batches.iter().filter(wanted).cloned().collect())
    }
}

struct Unwatch(Arc<Simulated>, Arc<Notify>);

impl Drop for Unwatch {
    fn drop(&mut self) {
        self.0.lock().watchers.retain(|watcher| !Arc::ptr_eq(watcher, &self.1));
    }
}

#[async_trait]
impl Streams for Arc<Simulated> {
    fn append(&self, stream: StreamId, base: Offset, batches: &[NewBatch<'_>]) -> Result<Slot, AppendError> {
        let mut state = self.lock();
        if self.status.borrow().stopped.is_some() {
            return Err(AppendError::Stopped);
        }
        if state.full {
            return Err(AppendError::Full);
        }
        let slot = state.next;
        let (start, kept) = state.streams.get_mut(&stream).ok_or(AppendError::UnknownStream)?;
        let mut end = kept.last().map_or(*start, |last| Offset(last.base.0 + u64::from(last.count)));
        assert_eq!(base, end);
        for batch in batches {
            let view = BatchView::first(batch.bytes).expect("a batch");
            assert_eq!(view.base_offset(), end.0.cast_signed());
            assert_eq!(view.crc(), view.computed_crc());
            let (bytes, note) = (Bytes::copy_from_slice(batch.bytes), batch.note.to_vec());
            kept.push(Batch { slot, base: end, count: batch.count, bytes, note });
            end = Offset(end.0 + u64::from(batch.count));
        }
        state.next = slot.next();
        Ok(slot)
    }

    async fn room(&self) {
        loop {
            let changed = self.room.notified();
            if !self.lock().full || self.status.borrow().stopped.is_some() {
                return;
            }
            changed.await;
        }
    }

    fn status(&self) -> watch::Receiver<StoreStatus> {
        self.status.subscribe()
    }

    fn ends(&self, stream: StreamId) -> Option<StreamEnds> {
        let state = self.lock();
        let (start, batches) = state.streams.get(&stream)?;
        let slot = self.status.borrow().durable;
        let end = |batch: Option<&Batch>| {
            batch.map_or(*start, |batch| Offset(batch.base.0 + u64::from(batch.count)))
        };
        let durable = end(batches.iter().rev().find(|batch| batch.slot < slot));
        Some(StreamEnds { start: *start, registered: *start, durable, appended: end(batches.last()) })
    }

    fn watch(&self, _streams: &[StreamId], notify: &Arc<Notify>) -> Watching {
        self.lock().watchers.push(notify.clone());
        Box::new(Unwatch(self.clone(), notify.clone()))
    }

    async fn read(
        &self,
        stream: StreamId,
        from: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<Vec<Run>, ReadError> {
        self.lock().reads += 1;
        let batches = self.durable(&self.lock(), stream, from)?;
        let mut out = BytesMut::new();
        let mut range = None;
        for batch in batches {
            if out.len() + batch.bytes.len() > max_bytes && !(out.is_empty() && at_least_one) {
                break;
            }
            out.extend_from_slice(&batch.bytes);
            let end = Offset(batch.base.0 + u64::from(batch.count));
            range = Some((range.map_or(batch.base, |(base, _)| base), end));
        }
        loop {
            let released = self.released.notified();
            if !self.lock().held {
                break;
            }
            released.await;
        }
        Ok(range.map(|(base, end)| Run { base, end, bytes: out.freeze() }).into_iter().collect())
    }

    async fn replay(
        &self,
        stream: StreamId,
        from: Offset,
        _purpose: Purpose,
        each: &mut (dyn for<'a> FnMut(BatchInfo<'a>) + Send),
    ) -> Result<(), ReadError> {
        let batches = self.durable(&self.lock(), stream, from)?;
        for batch in &batches {
            let bytes = u32::try_from(batch.bytes.len()).unwrap();
            each(BatchInfo { base: batch.base, count: batch.count, bytes, note: &batch.note });
        }
        Ok(())
    }

    fn part_in(&self, _stream: StreamId, _object: &Key, _from: Offset) -> Option<Range<Offset>> {
        None
    }
}
