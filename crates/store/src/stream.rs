//! What is known of one open stream: its offsets, the registered objects that hold it, and where its newest
//! part lies in memory. Pure.

use crate::registrar::{Checkpoint, Extent, Registered};
use crate::types::StreamEnds;
use levee_base::{Offset, Slot};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// A block of the stream in an object that is in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TailBlock {
    pub(crate) offsets: Range<Offset>,
    pub(crate) slot: Slot,
    /// Its place among the object's blocks.
    pub(crate) block: u32,
}

/// An open stream.
///
/// `start <= durable <= appended` and `registered <= durable`. The blocks in memory are contiguous and end at
/// `durable`; the extents are contiguous, end at `registered`, and what lies below `start` is not among them but for
/// the beginning of the first. The start may lie above what is registered: then there are no extents.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) leader_epoch: u32,
    pub(crate) start: Offset,
    pub(crate) durable: Offset,
    pub(crate) appended: Offset,
    /// Where the registered part ends.
    pub(crate) registered: Offset,
    /// Shared with a planner while it looks at them.
    pub(crate) extents: Arc<Vec<Extent>>,
    /// The newest one.
    pub(crate) checkpoint: Option<Checkpoint>,
    pub(crate) tail: VecDeque<TailBlock>,
}

impl Stream {
    pub(crate) fn new(leader_epoch: u32, registered: Registered) -> Self {
        let Registered { start, extents, checkpoint } = registered;
        let end = extents.last().map_or(start, |extent| extent.range.end);
        assert!(start <= end, "a stream starts before its end");
        assert_contiguous(&extents);
        let (extents, tail) = (Arc::new(extents), VecDeque::new());
        Self { leader_epoch, start, durable: end, appended: end, registered: end, extents, checkpoint, tail }
    }

    pub(crate) fn ends(&self) -> StreamEnds {
        StreamEnds {
            start: self.start,
            registered: self.registered,
            durable: self.durable,
            appended: self.appended,
        }
    }

    /// Where the part in memory begins.
    pub(crate) fn tail_start(&self) -> Offset {
        self.tail.front().map_or(self.durable, |block| block.offsets.start)
    }

    /// The blocks in memory from the one that holds `from` on.
    pub(crate) fn tail_from(&self, from: Offset) -> impl Iterator<Item = &TailBlock> {
        let first = self.tail.partition_point(|block| block.offsets.end <= from);
        self.tail.range(first..)
    }

    /// The extents from the one that holds `from` on.
    pub(crate) fn extents_from(&self, from: Offset) -> &[Extent] {
        let first = self.extents.partition_point(|extent| extent.range.end <= from);
        &self.extents[first..]
    }

    /// A block has become durable. Says whether it is this stream's next one: not if the stream was closed and
    /// opened anew since it was appended.
    pub(crate) fn durable_block(&mut self, leader_epoch: u32, block: TailBlock) -> bool {
        let next = leader_epoch == self.leader_epoch
            && block.offsets.start == self.durable
            && block.offsets.end <= self.appended;
        if next {
            self.durable = block.offsets.end;
            self.tail.push_back(block);
        }
        next
    }

    /// A part of it has been registered.
    pub(crate) fn register(&mut self, leader_epoch: u32, extent: Extent) {
        let next = leader_epoch == self.leader_epoch
            && extent.range.start == self.registered
            && extent.range.end <= self.durable;
        if !next {
            return;
        }
        self.registered = extent.range.end;
        let extents = Arc::make_mut(&mut self.extents);
        match extents.last_mut() {
            _ if extent.range.end <= self.start => {}
            Some(last) if Arc::ptr_eq(&last.object, &extent.object) => {
                last.range.end = extent.range.end;
                last.bytes += extent.bytes;
            }
            _ => extents.push(extent),
        }
    }

    /// The stream begins at `start` from now on, if that is above where it begins and not above its durable end.
    pub(crate) fn advance_start(&mut self, start: Offset) {
        if (self.start..=self.durable).contains(&start) {
            self.start = start;
            let gone = self.extents.partition_point(|extent| extent.range.end <= start);
            if gone > 0 {
                Arc::make_mut(&mut self.extents).drain(..gone);
            }
        }
    }

    /// What the metadata says of it by now: perhaps more than was registered here, perhaps other objects.
    pub(crate) fn resync(&mut self, registered: Registered) {
        let Registered { start, extents, checkpoint } = registered;
        assert_contiguous(&extents);
        let end = extents.last().map_or(self.registered, |extent| extent.range.end);
        assert!(
            self.registered <= end && end <= self.durable,
            "the metadata knows what was registered here, and nothing that is not durable"
        );
        self.registered = end;
        self.extents = Arc::new(extents);
        self.checkpoint = checkpoint;
        let start = start.max(self.start);
        self.advance_start(start);
    }

    /// What is in memory of the registered part below `end` is not what is registered any more: reads go to the store.
    pub(crate) fn forget_tail(&mut self, end: Offset) {
        let end = end.min(self.registered);
        while self.tail.front().is_some_and(|block| block.offsets.end <= end) {
            self.tail.pop_front();
        }
    }

    /// Its oldest blocks in memory are of an object that goes.
    pub(crate) fn evict(&mut self, slot: Slot) {
        while self.tail.front().is_some_and(|block| block.slot == slot) {
            self.tail.pop_front();
        }
    }
}

fn assert_contiguous(extents: &[Extent]) {
    assert!(
        extents.windows(2).all(|pair| pair[0].range.end == pair[1].range.start),
        "the metadata's extents of a stream are contiguous"
    );
}
