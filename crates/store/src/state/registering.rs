//! What leaves the write-ahead log and is registered: what is trimmed next, and what open streams learn of it and of what
//! compaction puts in its place.

use super::{NextTrim, State, TailObject, Window};
use crate::checkpoint::Replay;
use crate::registrar::{Extent, NewExtent, NewObject, ObjectRef, Registered, Registration, Trim};
use crate::upload::{Gathered, Source, data_prefix};
use levee_base::clock::Instant;
use levee_base::limits::{TRIM_EXTENTS, TRIM_OBJECTS, UPLOAD_BYTES};
use levee_base::{Offset, StreamId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is registered of each open stream, as of one moment.
pub(crate) type RegisteredExtents = BTreeMap<StreamId, Arc<Vec<Extent>>>;

impl State {
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
    pub(crate) fn registered(&self, seen: Option<u64>) -> Option<(u64, RegisteredExtents)> {
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
}
