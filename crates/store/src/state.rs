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

use crate::buffer::Region;
use crate::cache::Lane;
use crate::checkpoint::Replay;
use crate::format::Index;
use crate::metrics::Metrics;
use crate::open_object::{CutObject, OpenObject, SealedObject};
use crate::pool::Pool;
use crate::read::Cold;
use crate::registrar::{Extent, NewExtent, NewObject, ObjectRef, Registered, Registration, Trim};
use crate::runs::Runs;
use crate::stream::{Stream, TailBlock};
use crate::types::{AppendError, NewBatch, ReadError, Run, Stopped, StreamEnds, WalOptions};
use crate::upload::{Gathered, Source, data_prefix};
use crate::wal::pacer::Waiting;
use bytes::Bytes;
use levee_base::clock::Instant;
use levee_base::limits::{
    BATCH_NOTE_BYTES, READ_AHEAD_OBJECTS, READ_NEAR_END_BYTES, READ_OBJECTS, TRIM_EXTENTS, TRIM_OBJECTS,
    UPLOAD_BYTES,
};
use levee_base::{BrokerEpoch, HashMap, Offset, Slot, StreamId};
use levee_object::Key;
use std::collections::{BTreeMap, VecDeque};
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
            (Some(_), true) => Waiting::Open,
            (None, true) => Waiting::Nothing,
        }
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

    // Trimming.

    /// The oldest durable objects to be trimmed next. Starts at half of either limit and goes on to a quarter, or
    /// takes all there is once the oldest has waited for long enough.
    pub(crate) fn next_trim(&mut self, now: Instant) -> NextTrim {
        let oldest = self.trimmed < self.durable && self.stopped.is_none();
        let Some(oldest) = oldest.then(|| self.tail_object(self.trimmed).sealed_at) else {
            return NextTrim::At(None);
        };
        let due = oldest + self.options.upload_after;
        if now >= due {
            self.trim_below = self.durable;
        }
        let objects = self.cut_untrimmed();
        let (bytes_limit, objects_limit) =
            (self.options.untrimmed_bytes as u64, self.options.untrimmed_objects as u64);
        let beyond = |bytes: u64, objects: u64, part: u64| {
            bytes >= (bytes_limit / part).max(1) || objects >= (objects_limit / part).max(1)
        };
        self.trimming |= beyond(self.untrimmed_bytes, objects, 2);
        let starved = self.starved.is_some();
        let (mut bytes, mut left, mut to) = (self.untrimmed_bytes, objects, self.trimmed);
        let mut gathered = Gathered::new(self.options.promoted_bytes);
        while to < self.durable
            && (to < self.trim_below || self.trimming && (starved || beyond(bytes, left, 4)))
            && gathered.sources.len() < TRIM_OBJECTS
            && gathered.pieces < TRIM_EXTENTS
            && gathered.copied_bytes + gathered.index_bytes < UPLOAD_BYTES
        {
            let TailObject { bytes: whole, index, index_range, .. } = self.tail_object(to);
            let (whole, index, index_range) = (whole.clone(), index.clone(), index_range.clone());
            bytes -= whole.len() as u64;
            left -= 1;
            gathered.add(Source { slot: to, bytes: whole, index, index_range });
            to = to.next();
        }
        // With nothing durable to trim, the next object that becomes durable brings this back.
        self.trimming = self.trimming && (starved || beyond(bytes, left, 4));
        match gathered.sources.is_empty() {
            true => NextTrim::At(Some(due)),
            false => NextTrim::Now(Window { to, gathered }),
        }
    }

    /// A sealed object that is still in memory.
    fn tail_object(&self, slot: Slot) -> &TailObject {
        &self.tail[(slot.0 - self.evicted.0) as usize]
    }

    /// A trim is committed: its objects are registered, and those of the log may be evicted.
    pub(crate) fn trimmed(&mut self, trim: Trim) {
        assert!(trim.to <= self.durable, "the trim point never passes the durable prefix");
        assert_eq!(trim.objects.first().map(|object| object.slot), Some(self.trimmed), "trims are in order");
        self.metrics.trims.add(1);
        let mut extents: Vec<(NewExtent, Arc<ObjectRef>)> = Vec::new();
        for Registration { slot, total_bytes, index, extents: promoted } in trim.objects {
            self.untrimmed_bytes -= total_bytes;
            self.metrics.promoted_bytes.add(promoted.iter().map(|extent| extent.bytes).sum());
            let key = self.prefix.join_number(slot.0);
            let object = Arc::new(ObjectRef { key, total_bytes, index });
            extents.extend(promoted.into_iter().map(|extent| (extent, object.clone())));
        }
        for NewObject { number, total_bytes, index, extents: gathered, .. } in trim.uploads {
            let key = data_prefix(self.epoch).join_number(number);
            let object = Arc::new(ObjectRef { key, total_bytes, index });
            extents.extend(gathered.into_iter().map(|extent| (extent, object.clone())));
        }
        self.metrics.extents.add(extents.len() as u64);
        // Whatever object they are in, they continue their streams.
        extents.sort_by_key(|(extent, _)| (extent.stream, extent.range.start));
        for (NewExtent { stream, leader_epoch, range, bytes }, object) in extents {
            if let Some(stream) = self.streams.get_mut(&stream) {
                stream.register(leader_epoch, Extent { range, bytes, object });
            }
        }
        self.trimmed = trim.to;
        self.starved = None;
        self.changes += 1;
    }

    /// A stream begins later from now on; see [`Stream::advance_start`].
    pub(crate) fn advance_start(&mut self, stream: StreamId, start: Offset) {
        if let Some(stream) = self.streams.get_mut(&stream) {
            stream.advance_start(start);
            self.changes += 1;
        }
    }

    /// The extents of all open streams, unless none has changed since this returned `seen`; and what to say next time.
    pub(crate) fn registered(&self, seen: Option<u64>) -> Option<(u64, BTreeMap<StreamId, Vec<Extent>>)> {
        if seen == Some(self.changes) {
            return None;
        }
        let streams = self.streams.iter().map(|(stream, known)| (*stream, known.extents.clone())).collect();
        Some((self.changes, streams))
    }

    /// What the metadata says of a stream by now.
    pub(crate) fn resync(&mut self, stream: StreamId, registered: Registered) {
        if let Some(stream) = self.streams.get_mut(&stream) {
            stream.resync(registered);
            self.changes += 1;
        }
    }

    /// How much a replay of each open stream has to go through after its checkpoint.
    pub(crate) fn replays(&self) -> Vec<Replay> {
        let replays = self.streams.iter().map(|(stream, known)| {
            let from = known.checkpoint.as_ref().map_or(Offset::ZERO, |checkpoint| checkpoint.offset);
            let checkpoint = known.checkpoint.clone();
            Replay { stream: *stream, extents: known.extents_from(from).len(), checkpoint }
        });
        replays.collect()
    }

    /// A stream was rewritten below `end`; see [`Stream::forget_tail`].
    pub(crate) fn rewritten(&mut self, stream: StreamId, end: Offset) {
        if let Some(stream) = self.streams.get_mut(&stream) {
            stream.forget_tail(end);
        }
    }

    /// Neighbouring extents of a stream, from the one that holds `from` on, that begin below `until`: `most` of them,
    /// or fewer. `None` if it is not open.
    pub(crate) fn stretch(
        &self,
        stream: StreamId,
        from: Offset,
        until: Offset,
        most: usize,
    ) -> Option<Vec<Extent>> {
        let extents = self.streams.get(&stream)?.extents_from(from);
        let below = extents.iter().take(most).take_while(|extent| extent.range.start < until);
        Some(below.cloned().collect())
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

    // Reading.

    pub(crate) fn read(
        &self,
        stream: StreamId,
        from: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<Found, ReadError> {
        let known = self.readable(stream, from)?;
        if from == known.durable {
            return Ok(Found::Tail(Vec::new()));
        }
        if from < known.tail_start() {
            return known.cold(stream, from, max_bytes).map(Found::Cold);
        }
        let mut runs = Runs::new(from, max_bytes, at_least_one);
        for at in known.tail_from(from) {
            let object = self.tail_object(at.slot);
            let block = &object.index.blocks[at.block as usize];
            if !runs.add(&object.index, block, &object.bytes, block.position as usize) {
                break;
            }
        }
        Ok(Found::Tail(runs.finish()))
    }

    /// Registered objects from the one that holds `from` on, for about `bytes` beyond it, as far as they are not in
    /// memory.
    pub(crate) fn ahead(&self, stream: StreamId, from: Offset, bytes: usize) -> Vec<Extent> {
        let Some(known) = self.streams.get(&stream).filter(|known| from >= known.start) else {
            return Vec::new();
        };
        let (extents, tail) = (known.extents_from(from), known.tail_start());
        let mut sum = 0;
        let wanted = extents.iter().take(READ_AHEAD_OBJECTS).take_while(|extent| {
            let wanted = sum <= bytes as u64 && extent.range.start < tail;
            // The first may be passed already.
            sum += if extent.range.start > from { extent.bytes } else { 0 };
            wanted
        });
        wanted.cloned().collect()
    }

    /// The indexes of all durable batches of a stream from `from` on.
    pub(crate) fn indexes(&self, stream: StreamId, from: Offset) -> Result<Indexes, ReadError> {
        let known = self.readable(stream, from)?;
        let cold = match from < known.tail_start() {
            true => {
                let last = known.extents.partition_point(|extent| extent.range.start < known.tail_start());
                let first = known.extents.partition_point(|extent| extent.range.end <= from).min(last);
                known.extents[first..last].to_vec()
            }
            false => Vec::new(),
        };
        let tail =
            known.tail_from(from).map(|at| (self.tail_object(at.slot).index.clone(), at.block)).collect();
        Ok(Indexes { cold, tail })
    }

    /// Whether an object still holds a part of a stream from `from` on, as far as is known here.
    pub(crate) fn refers(&self, stream: StreamId, from: Offset, key: &Key) -> bool {
        let known = self.streams.get(&stream).filter(|known| from >= known.start);
        known.is_some_and(|known| known.extents_from(from).iter().any(|extent| extent.object.key == *key))
    }

    fn readable(&self, stream: StreamId, from: Offset) -> Result<&Stream, ReadError> {
        let known = self.streams.get(&stream).ok_or(ReadError::UnknownStream)?;
        if from < known.start || from > known.durable {
            return Err(ReadError::OutOfRange { from, ends: known.ends() });
        }
        Ok(known)
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

impl Stream {
    /// Registered objects from the one that holds `from` on, as many as `max_bytes` may need: the first, and
    /// those after it that are all wanted for sure, so that asking for them at once wastes nothing.
    fn cold(&self, stream: StreamId, from: Offset, max_bytes: usize) -> Result<Cold, ReadError> {
        let extents = self.extents_from(from);
        if extents.first().is_none_or(|extent| extent.range.start > from) {
            return Err(ReadError::Unregistered { stream, offset: from });
        }
        let mut bytes = 0;
        let wanted = extents.iter().take(READ_OBJECTS).take_while(|extent| {
            let first = bytes == 0;
            bytes += extent.bytes;
            first || bytes <= max_bytes as u64
        });
        let extents = wanted.cloned().collect();
        let mut left = 0;
        let near_end = self.extents_from(from).iter().all(|extent| {
            left += if extent.range.start < self.tail_start() { extent.bytes } else { 0 };
            left <= READ_NEAR_END_BYTES
        });
        Ok(Cold { extents, lane: if near_end { Lane::Tail } else { Lane::CatchUp } })
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
