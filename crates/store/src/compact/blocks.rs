//! Reading extents in order, for whoever writes them anew: block by block, with few requests, some of them under way at
//! once.

use super::plan::up_to;
use super::requests::{Request, requests};
use super::{CompactError, Pace};
use crate::backoff::Backoff;
use crate::format::{BatchEntry, Block, Index};
use crate::registrar::{Extent, ObjectRef};
use crate::store::Shared;
use crate::types::ReadError;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use levee_base::limits::{COMPACT_HELD_BYTES, COMPACT_PATIENCE, COMPACT_READ_BYTES, COMPACT_READS};
use levee_base::{HashMap, Offset, StreamId};
use levee_object::{Key, Purpose};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// A block that was read, its checksum right.
#[derive(Debug)]
pub(super) struct BlockRead {
    index: Arc<Index>,
    at: usize,
    bytes: Bytes,
}

/// Where a batch or a gap begins, and who led its stream when it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) stream: StreamId,
    pub(super) leader_epoch: u32,
    pub(super) base: Offset,
}

impl Place {
    /// The place after so many offsets.
    pub(super) fn after(self, count: u32) -> Self {
        Self { base: Offset(self.base.0 + u64::from(count)), ..self }
    }
}

impl BlockRead {
    /// Its batches and gaps, each with its place and its bytes.
    pub(super) fn batches(&self) -> impl Iterator<Item = (Place, BatchEntry<'_>, &[u8])> {
        let block = &self.index.blocks[self.at];
        let (stream, leader_epoch, base) = (block.stream, block.leader_epoch, block.offsets.start);
        let (mut place, mut at) = (Place { stream, leader_epoch, base }, 0);
        self.index.batches(block).map(move |entry| {
            let (own, start) = (place, at);
            place = place.after(entry.count);
            at += entry.bytes as usize;
            (own, entry, &self.bytes[start..at])
        })
    }
}

/// A block that is to be read.
struct Wanted {
    extent: usize,
    object: Arc<ObjectRef>,
    /// Of the object, what is wanted.
    index: Arc<Index>,
    at: usize,
    request: Option<usize>,
}

impl Wanted {
    fn block(&self) -> &Block {
        &self.index.blocks[self.at]
    }
}

/// What a request has brought.
struct Received {
    at: u64,
    bytes: Bytes,
    /// Blocks in it that were not taken yet.
    left: usize,
}

type Arriving<'a> = BoxStream<'a, Result<Result<Bytes, ReadError>, CompactError>>;

/// Extents that are being read.
pub(super) struct Blocks<'a> {
    shared: &'a Shared,
    extents: Vec<(StreamId, &'a Extent)>,
    /// Extents are looked at together until they have so many bytes.
    together: u64,
    pace: Pace,
    /// Of all requests so far.
    asked_bytes: u64,
    /// How many were looked at.
    looked_at: usize,
    wanted: VecDeque<Wanted>,
    requests: Vec<Request>,
    /// What the requests bring, in their order.
    arriving: Arriving<'a>,
    arrived: usize,
    received: HashMap<usize, Received>,
    bytes_read: u64,
}

impl<'a> Blocks<'a> {
    /// `extents` are looked at `together`, until they have so many bytes: what lies close together in an object comes by
    /// one request then. Nothing of the next ones is asked for before all of these was taken, and nothing before `pace`
    /// has it.
    pub(super) fn new(
        shared: &'a Shared,
        extents: Vec<(StreamId, &'a Extent)>,
        together: u64,
        pace: Pace,
    ) -> Self {
        Self {
            shared,
            extents,
            together,
            pace,
            asked_bytes: 0,
            looked_at: 0,
            wanted: VecDeque::new(),
            requests: Vec::new(),
            arriving: stream::empty().boxed(),
            arrived: 0,
            received: HashMap::default(),
            bytes_read: 0,
        }
    }

    /// What was read so far, with what lay in between and was not wanted.
    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// The extent that the next block is of, by its place; their number after the last.
    pub(super) fn next_extent(&self) -> usize {
        self.wanted.front().map_or(self.looked_at, |wanted| wanted.extent)
    }

    /// The next block, `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<BlockRead>, CompactError> {
        while self.wanted.is_empty() {
            if self.looked_at == self.extents.len() {
                return Ok(None);
            }
            self.look().await?;
        }
        let Some(wanted) = self.wanted.pop_front() else { return Ok(None) };
        let bytes = match wanted.request {
            // Gaps have no bytes.
            None => Bytes::new(),
            Some(request) => self.take(&wanted, request).await?,
        };
        wanted.block().verify(&bytes).map_err(|what| {
            let (key, range) = (wanted.object.key.clone(), wanted.block().range());
            CompactError::Unreadable(wanted.block().stream, ReadError::Corrupt { key, range, what })
        })?;
        Ok(Some(BlockRead { index: wanted.index, at: wanted.at, bytes }))
    }

    /// What was read of a block, after waiting for it.
    async fn take(&mut self, wanted: &Wanted, request: usize) -> Result<Bytes, CompactError> {
        if self.arrived == request {
            let bytes = self.arriving.next().await.unwrap_or(Err(CompactError::Stopped))?;
            let (stream, from) = (wanted.block().stream, wanted.block().offsets.start);
            let bytes = match bytes {
                Ok(bytes) => bytes,
                Err(error) => return Err(unreadable(self.shared, stream, from, error).await),
            };
            self.bytes_read += bytes.len() as u64;
            let of = &self.requests[request];
            self.received.insert(request, Received { at: of.range.start, bytes, left: of.brings });
            self.arrived += 1;
        }
        let received = self.received.get_mut(&request).expect("it is held until all of it was taken");
        let start = (wanted.block().position - received.at) as usize;
        let bytes = received.bytes.slice(start..start + wanted.block().bytes as usize);
        received.left -= 1;
        if received.left == 0 {
            self.received.remove(&request);
        }
        Ok(bytes)
    }

    /// Looks up the next extents, and begins to read them.
    async fn look(&mut self) -> Result<(), CompactError> {
        let first = self.looked_at;
        let some = up_to(self.together, self.extents[first..].iter(), |(_, extent)| extent.bytes);
        self.looked_at = first + some.count();
        let extents = &self.extents[first..self.looked_at];

        let mut numbers: HashMap<&Key, usize> = HashMap::default();
        let mut objects: Vec<(&Arc<ObjectRef>, Vec<usize>)> = Vec::new();
        for (at, (_, extent)) in extents.iter().enumerate() {
            let number = *numbers.entry(&extent.object.key).or_insert_with(|| {
                objects.push((&extent.object, Vec::new()));
                objects.len() - 1
            });
            objects[number].1.push(at);
        }
        let shared = self.shared;
        let look_ups: Vec<_> = objects
            .iter()
            .map(|(object, own)| look_up(shared, object, own.iter().map(|at| extents[*at]).collect()))
            .collect();
        let looked_up: Vec<_> = stream::iter(look_ups).buffered(COMPACT_READS).try_collect().await?;
        let (indexes, places): (Vec<_>, Vec<_>) = looked_up.into_iter().unzip();

        let mut by_extent: Vec<(usize, Vec<usize>)> = vec![(0, Vec::new()); extents.len()];
        for (number, ((_, own), places)) in objects.iter().zip(places).enumerate() {
            for (at, places) in own.iter().zip(places) {
                by_extent[*at] = (number, places);
            }
        }
        let mut ranges = Vec::new();
        for (at, (number, places)) in by_extent.into_iter().enumerate() {
            let (object, index): (_, &Arc<Index>) = (objects[number].0, &indexes[number]);
            for place in places {
                ranges.push((number, index.blocks[place].range()));
                let (object, index) = (object.clone(), index.clone());
                self.wanted.push_back(Wanted { extent: first + at, object, index, at: place, request: None });
            }
        }
        // Of one stream, each object is read to its end before the next.
        let one = extents.windows(2).all(|two| two[0].0 == two[1].0);
        let at_once = COMPACT_READS + if one { 1 } else { objects.len() };
        let most = (COMPACT_HELD_BYTES / at_once as u64).min(COMPACT_READ_BYTES);
        let (requests, brought) = requests(&ranges, objects.len(), most);
        for (wanted, request) in self.wanted.iter_mut().zip(brought) {
            wanted.request = request;
        }
        let mut gets = Vec::with_capacity(requests.len());
        for Request { object, range, .. } in &requests {
            gets.push((objects[*object].0.key.clone(), range.clone(), self.asked_bytes));
            self.asked_bytes += range.end - range.start;
        }
        let pace = self.pace;
        let gets = stream::iter(gets).map(move |(key, range, asked_before)| async move {
            pace.keep(shared, asked_before).await;
            patiently(shared, || shared.get(&key, range.clone(), Purpose::Compact)).await
        });
        // What is longer by itself is bounded by asking for less at once.
        let longest =
            requests.iter().map(|request| request.range.end - request.range.start).max().unwrap_or(0);
        let reads = (COMPACT_HELD_BYTES / longest.max(1)).clamp(1, COMPACT_READS as u64);
        self.arriving = gets.buffered(reads as usize).boxed();
        (self.requests, self.arrived) = (requests, 0);
        Ok(())
    }
}

/// What is wanted of an object for `extents` in it: an index of that only, and the places in it for each extent.
async fn look_up(
    shared: &Shared,
    object: &Arc<ObjectRef>,
    extents: Vec<(StreamId, &Extent)>,
) -> Result<(Arc<Index>, Vec<Vec<usize>>), CompactError> {
    let layout = patiently(shared, || shared.index(object, Purpose::Compact)).await?;
    let layout = match layout {
        Ok(layout) => layout,
        Err(error) => {
            let (stream, first) = extents[0];
            return Err(unreadable(shared, stream, first.range.start, error).await);
        }
    };
    let mut places = Vec::with_capacity(extents.len());
    for (stream, Extent { range, .. }) in extents {
        let own: Vec<u32> = layout.blocks(stream, range, range.start).collect();
        let mut next = range.start;
        for at in &own {
            let offsets = &layout.block(*at).offsets;
            next = if offsets.start == next { offsets.end } else { break };
        }
        if next != range.end {
            let hole = ReadError::Unregistered { stream, offset: next };
            return Err(CompactError::Unreadable(stream, hole));
        }
        places.push(own);
    }
    let all: BTreeSet<u32> = places.iter().flatten().copied().collect();
    let number: HashMap<u32, usize> = all.iter().copied().zip(0..).collect();
    let places = places.into_iter().map(|own| own.into_iter().map(|at| number[&at]).collect()).collect();
    Ok((Arc::new(layout.index.only(all)), places))
}

/// What could not be read because the stream has moved on is no damage.
async fn unreadable(shared: &Shared, stream: StreamId, from: Offset, error: ReadError) -> CompactError {
    // Of what it begins in, a stream may want a part.
    let from = shared.state().ends(stream).map_or(from, |ends| from.max(ends.start));
    match &error {
        ReadError::Missing { key, .. } if !shared.is_registered(stream, from, key) => {
            shared.refresh(stream).await;
            CompactError::Changed
        }
        _ => CompactError::Unreadable(stream, error),
    }
}

/// Repeats a request until the store answers, or for long enough.
async fn patiently<T, F: Future<Output = Result<T, ReadError>>>(
    shared: &Shared,
    request: impl Fn() -> F,
) -> Result<Result<T, ReadError>, CompactError> {
    let clock = shared.ctx.clock;
    let (until, mut backoff) = (clock.now() + COMPACT_PATIENCE, Backoff::new(clock));
    loop {
        match request().await {
            Err(ReadError::Store(error)) if !error.kind.is_answer() => {}
            answer => return Ok(answer),
        }
        if shared.is_stopped() {
            return Err(CompactError::Stopped);
        }
        if clock.now() >= until {
            return Err(CompactError::Silent);
        }
        backoff.wait().await;
    }
}
