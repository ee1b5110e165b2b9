//! Who reads where, and how far ahead of them is read. Pure: it decides and remembers, `crate::read` loads.
//!
//! Readers have no names here. A reader is known by its place: a read that begins where one ended, or at what the last
//! one gave, is the same reader's. Its *window* is what is loaded beyond its place: nothing for the first read at a
//! place, since most of those are the only one; then a little, which doubles each time as much has been read, up to a
//! bound. A reader that jumps is a new one; what was loaded for the old one goes when its memory is wanted.
//!
//! Windows hold what they are ahead by until the reader has passed it. So nothing that is read ahead is lost to others'
//! reading before it is used, and the cache sees each span once for each reader, not once for each read.

use levee_base::clock::Instant;
use levee_base::{HashMap, Offset, StreamId};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::time::Duration;

/// How much is read ahead.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// The first window, in bytes.
    pub(crate) min: usize,
    /// The largest.
    pub(crate) max: usize,
    /// All windows together.
    pub(crate) all: usize,
    /// A window that lacks less is not filled yet; half of a smaller one.
    pub(crate) together: usize,
    pub(crate) readers: usize,
    pub(crate) readers_of_stream: usize,
    /// A reader that is silent for so long gives way.
    pub(crate) idle: Duration,
}

/// A reader, as long as it is remembered.
pub(crate) type ReaderId = u64;

/// The windows, which hold `H`: what is loaded, or being loaded.
#[derive(Debug)]
pub(crate) struct ReadAhead<H> {
    bounds: Bounds,
    next_id: ReaderId,
    readers: HashMap<ReaderId, Reader<H>>,
    by_stream: HashMap<StreamId, Vec<ReaderId>>,
    by_use: BTreeMap<u64, ReaderId>,
    uses: u64,
    held: usize,
}

#[derive(Debug)]
struct Reader<H> {
    stream: StreamId,
    /// Where its last read began, and where the next one is due.
    last: Range<Offset>,
    /// How far ahead it is to be read, in bytes.
    window: usize,
    /// What it has read since the window grew.
    read: usize,
    /// In order; the first may be the one that the reader is in.
    held: VecDeque<Held<H>>,
    filling: bool,
    used: u64,
    used_at: Instant,
}

#[derive(Debug)]
struct Held<H> {
    offsets: Range<Offset>,
    bytes: usize,
    what: H,
}

/// What is to be loaded for a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// From here on.
    pub(crate) from: Offset,
    /// About so many bytes.
    pub(crate) bytes: usize,
}

impl<H: Clone> ReadAhead<H> {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            next_id: 0,
            readers: HashMap::default(),
            by_stream: HashMap::default(),
            by_use: BTreeMap::new(),
            uses: 0,
            held: 0,
        }
    }

    /// What all windows hold, in bytes.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// A read begins at `from`: who reads, and whether its window is to be filled, by one who calls
    /// [`ReadAhead::wanted`] until there is nothing.
    pub(crate) fn begin(&mut self, stream: StreamId, from: Offset, now: Instant) -> (ReaderId, bool) {
        let of_stream = self.by_stream.get(&stream).map(Vec::as_slice).unwrap_or_default();
        // Where a read ended rather than where one began: two readers may follow each other.
        let known = of_stream.iter().copied().max_by_key(|id| {
            let last = &self.readers[id].last;
            (last.end == from, last.contains(&from), self.readers[id].window)
        });
        let known = known.filter(|id| {
            let last = &self.readers[id].last;
            last.end == from || last.contains(&from)
        });
        let id = known.unwrap_or_else(|| self.enter(stream, from, now));
        self.touch(id, now);
        let min = self.bounds.min.min(self.bounds.max);
        let reader = self.readers.get_mut(&id).expect("it is entered");
        if known.is_some() && from == reader.last.end && reader.last.start < from {
            if reader.window == 0 {
                reader.window = min;
            } else if reader.read >= reader.window {
                reader.window = reader.window.saturating_mul(2).min(self.bounds.max);
                reader.read = 0;
            }
        }
        let fill = !reader.filling && reader.lacks(self.bounds.together).is_some();
        reader.filling |= fill;
        (id, fill)
    }

    /// What is held that has `offset`.
    pub(crate) fn find(&self, id: ReaderId, offset: Offset) -> Option<H> {
        let reader = self.readers.get(&id)?;
        let at = reader.held.partition_point(|held| held.offsets.end <= offset);
        reader.held.get(at).filter(|held| held.offsets.start <= offset).map(|held| held.what.clone())
    }

    /// A read that began at `last.start` gave `bytes` up to `last.end`. `within` is what it ended in, with its offsets
    /// and bytes, if that is worth holding. Returns what the reader has passed.
    #[must_use]
    pub(crate) fn end(
        &mut self,
        id: ReaderId,
        last: Range<Offset>,
        bytes: usize,
        within: Option<(Range<Offset>, usize, H)>,
    ) -> Vec<H> {
        let mut gone = Vec::new();
        let Some(reader) = self.readers.get_mut(&id) else { return gone };
        reader.read = reader.read.saturating_add(bytes);
        // Of two that read at the same place, the one that came further.
        if last.end >= reader.last.end || last.end < reader.last.start {
            reader.last = last;
        }
        let next = reader.last.end;
        while let Some(passed) = reader.held.pop_front_if(|held| held.offsets.end <= next) {
            self.held -= passed.bytes;
            gone.push(passed.what);
        }
        if let Some((offsets, bytes, what)) = within
            && offsets.contains(&next)
            && reader.held.front().is_none_or(|first| offsets.end <= first.offsets.start)
            && self.held + bytes <= self.bounds.all
        {
            self.held += bytes;
            reader.held.push_front(Held { offsets, bytes, what });
        }
        gone
    }

    /// What a reader's window lacks. `None` ends the filling.
    pub(crate) fn wanted(&mut self, id: ReaderId) -> Option<Wanted> {
        let reader = self.readers.get_mut(&id)?;
        let lacks = reader.lacks(self.bounds.together);
        reader.filling = lacks.is_some();
        lacks.map(|bytes| Wanted { from: reader.loaded(), bytes })
    }

    /// How many of some that begin at `from`, each of so many `bytes`, are to be loaded: they are still what the reader
    /// lacks, and there is memory.
    pub(crate) fn takes(&mut self, id: ReaderId, from: Offset, bytes: &[usize], now: Instant) -> usize {
        let wanted = |reader: &Reader<H>| {
            let lacks = reader.lacks(self.bounds.together).filter(|_| from == reader.loaded())?;
            let ends = bytes.iter().scan(0, |end, bytes| {
                Some((*end, {
                    *end += bytes;
                    *end
                }))
            });
            Some(ends.take_while(|(start, _)| *start < lacks).map(|(_, end)| end).collect::<Vec<_>>())
        };
        let Some(ends) = self.readers.get(&id).and_then(wanted) else { return 0 };
        while self.held + ends.last().unwrap_or(&0) > self.bounds.all && self.give_way(id, now) {}
        ends.iter().take_while(|end| self.held + **end <= self.bounds.all).count()
    }

    /// What is loaded, right after it was agreed on.
    pub(crate) fn put(&mut self, id: ReaderId, offsets: Range<Offset>, bytes: usize, what: H) {
        let Some(reader) = self.readers.get_mut(&id) else { return };
        self.held += bytes;
        reader.held.push_back(Held { offsets, bytes, what });
    }

    /// Nothing more is loaded for now: it failed, or there is no more.
    pub(crate) fn stop(&mut self, id: ReaderId) {
        if let Some(reader) = self.readers.get_mut(&id) {
            reader.filling = false;
        }
    }

    /// What is held for a reader turned out to be of no use.
    pub(crate) fn forget(&mut self, id: ReaderId) {
        let Some(reader) = self.readers.remove(&id) else { return };
        self.held -= reader.held.iter().map(|held| held.bytes).sum::<usize>();
        self.by_use.remove(&reader.used);
        if let Some(of_stream) = self.by_stream.get_mut(&reader.stream) {
            of_stream.retain(|other| *other != id);
            if of_stream.is_empty() {
                self.by_stream.remove(&reader.stream);
            }
        }
    }

    fn enter(&mut self, stream: StreamId, from: Offset, now: Instant) -> ReaderId {
        let of_stream = self.by_stream.get(&stream).map(Vec::as_slice).unwrap_or_default();
        if of_stream.len() >= self.bounds.readers_of_stream.max(1) {
            let oldest = of_stream.iter().copied().min_by_key(|id| self.readers[id].used);
            oldest.into_iter().for_each(|id| self.forget(id));
        }
        while self.readers.len() >= self.bounds.readers.max(1) {
            let Some((_, oldest)) = self.by_use.first_key_value() else { break };
            self.forget(*oldest);
        }
        let id = self.next_id;
        self.next_id += 1;
        self.uses += 1;
        let reader = Reader {
            stream,
            last: from..from,
            window: 0,
            read: 0,
            held: VecDeque::new(),
            filling: false,
            used: self.uses,
            used_at: now,
        };
        self.by_use.insert(self.uses, id);
        self.by_stream.entry(stream).or_default().push(id);
        self.readers.insert(id, reader);
        id
    }

    fn touch(&mut self, id: ReaderId, now: Instant) {
        let Some(reader) = self.readers.get_mut(&id) else { return };
        self.by_use.remove(&reader.used);
        self.uses += 1;
        (reader.used, reader.used_at) = (self.uses, now);
        self.by_use.insert(self.uses, id);
    }

    /// Forgets the reader that is silent for longest, if that is long enough.
    fn give_way(&mut self, to: ReaderId, now: Instant) -> bool {
        let Some((_, &oldest)) = self.by_use.first_key_value() else { return false };
        let silent = now.saturating_duration_since(self.readers[&oldest].used_at) >= self.bounds.idle;
        if silent && oldest != to {
            self.forget(oldest);
        }
        silent && oldest != to
    }
}

impl<H> Reader<H> {
    /// Where what is loaded for it ends.
    fn loaded(&self) -> Offset {
        self.held.back().map_or(self.last.end, |held| held.offsets.end.max(self.last.end))
    }

    /// Bytes that its window lacks, if these are worth a request.
    fn lacks(&self, together: usize) -> Option<usize> {
        let lacks = self.window.saturating_sub(self.ahead());
        (lacks >= together.min(self.window / 2).max(1)).then_some(lacks)
    }

    /// Bytes that it is ahead by. What it is in counts, as it is not known how much of it is left.
    fn ahead(&self) -> usize {
        let within = self.held.front().filter(|held| held.offsets.start <= self.last.end);
        self.held.iter().map(|held| held.bytes).sum::<usize>() - within.map_or(0, |held| held.bytes)
    }
}

#[cfg(test)]
#[path = "read_ahead_tests.rs"]
mod tests;
