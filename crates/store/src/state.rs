//! The store's state: open streams, the object being filled, those in flight, and those kept in memory. Pure:
//! no I/O, no clock, no waiting; the shells around it (`store`, `wal::flusher`, `wal::trimmer`) hold its lock
//! for as long as a call takes.
//!
//! An object goes through these stages, in the order of slots: *open*, *cut* (takes no more; in `full`, or with
//! the log), *sealed* (its bytes are fixed; in `tail`), *durable* (its batches are visible), *trimmed* (its
//! extents are registered), *evicted* (its memory may go to another; reads go to the store).
//!
//! `trimmed <= durable <= sealed <= cut`, all of them slots. Nothing un-trimmed is ever evicted.
//!
//! Every assertion is made before anything is changed, so a caller's mistake leaves the state whole.
//!
//! Here is the way to being durable; `registering` is what follows, and `reading` where readers find it all.

mod reading;
mod registering;

use crate::buffer::Region;
use crate::format::Index;
use crate::metrics::Metrics;
use crate::open_object::{CutObject, OpenObject, SealedObject};
use crate::pool::Pool;
use crate::read::Cold;
use crate::registrar::Extent;
use crate::stream::{Stream, TailBlock};
use crate::types::{AppendError, NewBatch, Run, Stopped, StreamEnds, WalOptions};
use crate::upload::Gathered;
use crate::wal::pacer::Waiting;
use bytes::Bytes;
use levee_base::clock::Instant;
use levee_base::limits::BATCH_NOTE_BYTES;
use levee_base::{BrokerEpoch, HashMap, Offset, Slot, StreamId};
use levee_object::Key;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// An object in memory, sealed.
#[derive(Debug)]
struct TailObject {
    bytes: Bytes,
    index: Arc<Index>,
    index_range: Range<u64>,
    sealed_at: Instant,
}

/// Where a read finds what it wants.
#[derive(Debug)]
pub(crate) enum Found {
    /// In memory, and here it is.
    Tail(Vec<Run>),
    /// In registered objects, the first of which holds the offset.
    Cold(Cold),
}

/// What is to be trimmed next.
#[derive(Debug)]
pub(crate) enum NextTrim {
    /// This.
    Now(Window),
    /// Nothing before then, if nothing changes; with `None`, nothing before something changes.
    At(Option<Instant>),
}

/// Objects that are to be trimmed.
#[derive(Debug)]
pub(crate) struct Window {
    /// The new trim point.
    pub(crate) to: Slot,
    /// They, and what becomes of them.
    pub(crate) gathered: Gathered,
}

/// What a replay has to go through, in this order.
#[derive(Debug, Default)]
pub(crate) struct Indexes {
    pub(crate) cold: Vec<Extent>,
    pub(crate) tail: Vec<(Arc<Index>, u32)>,
}

/// See the module's text.
#[derive(Debug)]
pub(crate) struct State {
    options: WalOptions,
    epoch: BrokerEpoch,
    /// The prefix of the epoch's objects.
    prefix: Key,
    pool: Pool,
    metrics: Arc<Metrics>,
    streams: HashMap<StreamId, Stream>,
    /// What the last object left of its buffer.
    rest: Option<Region>,
    open: Option<OpenObject>,
    /// Cut, and waiting for a place in flight.
    full: VecDeque<CutObject>,
    /// Objects given to the log, sealed by it or about to be.
    sent: Slot,
    /// The slot of the next object to be begun.
    next: Slot,
    /// Sealed objects from slot `evicted` on.
    tail: VecDeque<TailObject>,
    evicted: Slot,
    trimmed: Slot,
    durable: Slot,
    /// Bytes of objects that are cut and not trimmed.
    untrimmed_bytes: u64,
    /// Trimming has started and has not come down to a quarter of the limits.
    trimming: bool,
    /// What is below is to be trimmed as it is old.
    trim_below: Slot,
    /// What the world looked like when no buffer was left: an append is worth trying when it has changed.
    starved: Option<(u64, Slot)>,
    /// How often extents of open streams have changed.
    changes: u64,
    closing: bool,
    stopped: Option<Stopped>,
}

impl State {
    /// An epoch that nothing was written to. `options` are workable.
    pub(crate) fn new(
        options: WalOptions,
        epoch: BrokerEpoch,
        prefix: Key,
        pool: Pool,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            options,
            epoch,
            prefix,
            pool,
            metrics,
            streams: HashMap::default(),
            rest: None,
            open: None,
            full: VecDeque::new(),
            sent: Slot::ZERO,
            next: Slot::ZERO,
            tail: VecDeque::new(),
            evicted: Slot::ZERO,
            trimmed: Slot::ZERO,
            durable: Slot::ZERO,
            untrimmed_bytes: 0,
            trimming: false,
            trim_below: Slot::ZERO,
            starved: None,
            changes: 0,
            closing: false,
            stopped: None,
        }
    }

    pub(crate) fn open_stream(&mut self, stream: StreamId, new: Stream) {
        assert!(!self.streams.contains_key(&stream), "stream {stream} is open already");
        self.streams.insert(stream, new);
        self.changes += 1;
    }

    pub(crate) fn close_stream(&mut self, stream: StreamId) {
        self.streams.remove(&stream);
    }

    pub(crate) fn ends(&self, stream: StreamId) -> Option<StreamEnds> {
        self.streams.get(&stream).map(Stream::ends)
    }

    pub(crate) fn stopped(&self) -> Option<&Stopped> {
        self.stopped.as_ref()
    }

    pub(crate) fn durable_slot(&self) -> Slot {
        self.durable
    }

    // Appending.

    /// Copies the batches into the open object. Both limits are looked at before, so one append may go beyond
    /// them by its own length, and one object.
    pub(crate) fn append(
        &mut self,
        stream: StreamId,
        base: Offset,
        batches: &[NewBatch<'_>],
    ) -> Result<Slot, AppendError> {
        if self.stopped.is_some() || self.closing {
            return Err(AppendError::Stopped);
        }
        let Some(known) = self.streams.get(&stream) else {
            return Err(AppendError::UnknownStream);
        };
        let (leader_epoch, appended) = (known.leader_epoch, known.appended);
        assert_eq!(base, appended, "an append goes on where stream {stream} ends");
        assert!(!batches.is_empty(), "an append has batches");
        for batch in batches {
            assert!(batch.count > 0 && !batch.bytes.is_empty(), "a batch has offsets and bytes");
            assert!(batch.note.len() <= BATCH_NOTE_BYTES, "a note has at most {BATCH_NOTE_BYTES} bytes");
        }
        let needed = OpenObject::bytes_for(batches);
        if !self.pool.can_hold(needed) {
            return Err(AppendError::TooLarge);
        }
        if self.at_limit() {
            self.metrics.full.add(1);
            return Err(AppendError::Full);
        }
        if self.open.as_ref().is_some_and(|open| !open.fits(batches)) {
            self.cut_open();
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => {
                let Some(region) = self.region(needed) else {
                    self.starved = Some(self.supply());
                    self.trimming = true;
                    self.metrics.full.add(1);
                    return Err(AppendError::Full);
                };
                let slot = self.next;
                self.next = slot.next();
                OpenObject::begin(slot.0, region)
            }
        };
        let (slot, mut end) = (Slot(open.number()), base);
        for batch in batches {
            open.add(stream, leader_epoch, end, batch);
            end.0 += u64::from(batch.count);
        }
        let is_full = open.total_bytes() >= self.options.object_bytes;
        self.open = Some(open);
        if is_full {
            self.cut_open();
        }
        if let Some(known) = self.streams.get_mut(&stream) {
            known.appended = end;
        }
        self.metrics.batches.add(batches.len() as u64);
        self.metrics.batch_bytes.add(batches.iter().map(|batch| batch.bytes.len() as u64).sum());
        Ok(slot)
    }

    /// Whether an append is worth trying, or will never be again.
    pub(crate) fn has_room(&self) -> bool {
        self.stopped.is_some()
            || self.closing
            || !self.at_limit() && self.starved.is_none_or(|then| then != self.supply())
    }

    fn at_limit(&self) -> bool {
        let open = self.open.as_ref().map_or(0, OpenObject::total_bytes) as u64;
        self.untrimmed_bytes + open >= self.options.untrimmed_bytes as u64
            || self.cut_untrimmed() >= self.options.untrimmed_objects as u64
    }

    /// Objects that are cut and not trimmed.
    fn cut_untrimmed(&self) -> u64 {
        self.next.0 - self.trimmed.0 - u64::from(self.open.is_some())
    }

    /// What has to change before a buffer can be had: one that comes back, or one that may be evicted.
    fn supply(&self) -> (u64, Slot) {
        (self.pool.released(), self.trimmed)
    }

    /// Room for an object of at least `needed` bytes: what the last one left of its buffer, unless that would
    /// make objects small; else a buffer, for which trimmed objects have to go, oldest first.
    fn region(&mut self, needed: usize) -> Option<Region> {
        if let Some(rest) = self.rest.take_if(|rest| rest.room() >= needed.max(self.options.object_bytes / 8))
        {
            return Some(rest);
        }
        loop {
            if let Some(region) = self.pool.take(needed) {
                self.rest = None;
                self.starved = None;
                return Some(region);
            }
            // The rest may be all that holds its buffer.
            if self.rest.take().is_none() && !self.evict() {
                return None;
            }
        }
    }

    fn evict(&mut self) -> bool {
        if self.evicted >= self.trimmed {
            return false;
        }
        let Some(object) = self.tail.pop_front() else {
            return false;
        };
        for block in &object.index.blocks {
            if let Some(stream) = self.streams.get_mut(&block.stream) {
                stream.evict(self.evicted);
            }
        }
        self.evicted = self.evicted.next();
        true
    }

    fn cut_open(&mut self) {
        if let Some(open) = self.open.take() {
            let (cut, rest) = open.cut();
            self.rest = rest;
            self.untrimmed_bytes += cut.total_bytes() as u64;
            self.full.push_back(cut);
        }
    }

    // Flushing.

    /// What waits for a place in flight.
    pub(crate) fn waiting(&self) -> Waiting {
        match (&self.open, self.full.is_empty()) {
            (_, false) => Waiting::Full,
            (Some(_), true) if self.closing => Waiting::Full,
            (Some(open), true) if self.is_light(open) => Waiting::Light,
            (Some(_), true) => Waiting::Open,
            (None, true) => Waiting::Nothing,
        }
    }

    /// Whether an object has so few bytes that it needn't wait for more. Where trimming doesn't keep up there are too many
    /// for that.
    fn is_light(&self, open: &OpenObject) -> bool {
        let few = self.cut_untrimmed() < self.options.untrimmed_objects as u64 / 2;
        few && open.total_bytes() <= self.options.light_bytes
    }

    pub(crate) fn in_flight(&self) -> usize {
        (self.sent.0 - self.durable.0) as usize
    }

    /// The oldest object that waits, for the log.
    pub(crate) fn send(&mut self) -> Option<CutObject> {
        if self.full.is_empty() {
            self.cut_open();
        }
        let cut = self.full.pop_front()?;
        assert_eq!(cut.number(), self.sent.0, "objects are sent in the order of their slots");
        self.sent = self.sent.next();
        Some(cut)
    }

    /// The log has fixed an object's bytes.
    pub(crate) fn sealed(&mut self, object: SealedObject, now: Instant) {
        assert!(self.evicted.0 + (self.tail.len() as u64) < self.sent.0, "an object is sealed once");
        self.metrics.flushes.add(1);
        self.metrics.flushed_bytes.add(object.bytes.len() as u64);
        let SealedObject { bytes, index, index_range } = object;
        self.tail.push_back(TailObject { bytes, index: Arc::new(index), index_range, sealed_at: now });
    }

    /// Everything below `to` is durable. Returns the streams that have grown.
    pub(crate) fn durable(&mut self, to: Slot, now: Instant) -> Vec<StreamId> {
        let mut grown = Vec::new();
        while self.durable < to {
            let slot = self.durable;
            let object = &self.tail[(slot.0 - self.evicted.0) as usize];
            self.metrics.flush_latency.record(now.duration_since(object.sealed_at));
            for (at, block) in object.index.blocks.iter().enumerate() {
                let Some(stream) = self.streams.get_mut(&block.stream) else { continue };
                let tail = TailBlock { offsets: block.offsets.clone(), slot, block: at as u32 };
                if stream.durable_block(block.leader_epoch, tail) {
                    grown.push(block.stream);
                }
            }
            self.durable = slot.next();
        }
        grown
    }

    /// A sealed object that is still in memory.
    fn tail_object(&self, slot: Slot) -> &TailObject {
        &self.tail[(slot.0 - self.evicted.0) as usize]
    }

    // Stopping.

    /// Takes no more appends; what is open waits for nothing but a place in flight.
    pub(crate) fn close(&mut self) {
        self.closing = true;
    }

    /// Whether all that was appended before `close` is durable.
    pub(crate) fn drained(&self) -> bool {
        self.closing && self.waiting() == Waiting::Nothing && self.sent == self.durable
    }

    /// Nothing more becomes durable. What was pending is dropped, and was never visible.
    pub(crate) fn stop(&mut self, stopped: Stopped) {
        if self.stopped.is_none() {
            self.stopped = Some(stopped);
            self.open = None;
            self.full.clear();
            self.rest = None;
        }
    }

    /// Brings the gauges up to date.
    pub(crate) fn publish(&self) {
        let metrics = &self.metrics;
        metrics.wal_bytes.set(self.untrimmed_bytes);
        metrics.wal_objects.set(self.cut_untrimmed());
        metrics.in_flight.set(self.in_flight() as u64);
        metrics.tail_objects.set(self.tail.len() as u64);
        metrics.buffer_bytes.set((self.pool.held() * self.pool.buffer_bytes()) as u64);
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
