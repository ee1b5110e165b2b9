//! Writing batches and gaps into one object after the other, and registering the objects in the place of what was read.

use super::CompactError;
use super::plan::{Part, PlanOptions};
use crate::format::{Index, ObjectKind};
use crate::open_object::OpenObject;
use crate::registrar::{NewExtent, NewObject, Replaced, Replacement};
use crate::store::Shared;
use crate::types::NewBatch;
use crate::upload::{Created, create};
use levee_base::limits::OBJECT_HEADER_BYTES;
use levee_base::{Offset, StreamId};
use levee_object::Purpose;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What is written at an offset.
#[derive(Debug, Clone, Copy)]
pub(super) enum New<'a> {
    Batch(NewBatch<'a>),
    /// So many offsets that hold nothing.
    Gap(u32),
}

#[derive(Debug, Clone, Copy)]
struct Gap {
    stream: StreamId,
    leader_epoch: u32,
    base: Offset,
    count: u32,
}

/// An object that was created, for the commit.
struct Made {
    new: NewObject,
    index: Arc<Index>,
}

/// Objects in the making: given up unless they are committed.
pub(super) struct Writer<'a> {
    shared: &'a Shared,
    options: &'a PlanOptions,
    open: Option<OpenObject>,
    /// What was dropped last: neighbouring gaps become one.
    gap: Option<Gap>,
    made: Vec<Made>,
    /// The numbers of all that were begun.
    numbers: Vec<u64>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(shared: &'a Shared, options: &'a PlanOptions) -> Self {
        Self { shared, options, open: None, gap: None, made: Vec::new(), numbers: Vec::new() }
    }

    /// Whether no object was created yet.
    pub(super) fn has_made_nothing(&self) -> bool {
        self.made.is_empty()
    }

    /// The length of the object that is open.
    pub(super) fn open_bytes(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.total_bytes() as u64)
    }

    /// Writes what comes next of a stream.
    pub(super) async fn add(
        &mut self,
        stream: StreamId,
        leader_epoch: u32,
        base: Offset,
        new: New<'_>,
    ) -> Result<(), CompactError> {
        let New::Gap(count) = new else {
            self.write_gap().await?;
            return self.write(stream, leader_epoch, base, new).await;
        };
        let joined = self.gap.as_mut().is_some_and(|gap| {
            let end = Offset(gap.base.0 + u64::from(gap.count));
            let sum = gap.count.checked_add(count);
            let goes_on = (gap.stream, gap.leader_epoch, end) == (stream, leader_epoch, base);
            gap.count = sum.filter(|_| goes_on).unwrap_or(gap.count);
            goes_on && sum.is_some()
        });
        if !joined {
            self.write_gap().await?;
            self.gap = Some(Gap { stream, leader_epoch, base, count });
        }
        Ok(())
    }

    async fn write_gap(&mut self) -> Result<(), CompactError> {
        match self.gap.take() {
            Some(Gap { stream, leader_epoch, base, count }) => {
                self.write(stream, leader_epoch, base, New::Gap(count)).await
            }
            None => Ok(()),
        }
    }

    async fn write(
        &mut self,
        stream: StreamId,
        leader_epoch: u32,
        base: Offset,
        new: New<'_>,
    ) -> Result<(), CompactError> {
        let bytes = match new {
            New::Batch(batch) => batch.bytes.len(),
            New::Gap(_) => 0,
        };
        let full = self.open.as_ref().is_some_and(|open| {
            let long = open.total_bytes() + bytes > self.options.object_bytes as usize;
            let many = open.index_bytes() > self.options.index_bytes as usize;
            !open.is_empty() && (long || many) || !open.fits_bytes(bytes)
        });
        if full {
            self.seal().await?;
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.begin(bytes)?,
        };
        match new {
            New::Batch(batch) => open.add(stream, leader_epoch, base, &batch),
            New::Gap(count) => open.add_gap(stream, leader_epoch, base, count),
        }
        self.open = Some(open);
        Ok(())
    }

    fn begin(&mut self, bytes: usize) -> Result<OpenObject, CompactError> {
        let room = (self.options.object_bytes as usize).max(bytes) + 2 * self.options.index_bytes as usize;
        let region = self.shared.copies.take(OBJECT_HEADER_BYTES + room).ok_or(CompactError::NoRoom)?;
        let number = self.shared.next_number();
        self.numbers.push(number);
        Ok(OpenObject::begin(number, region))
    }

    /// Creates the object that is open.
    async fn seal(&mut self) -> Result<(), CompactError> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let (shared, number) = (self.shared, open.number());
        let sealed = open.cut().0.seal(ObjectKind::Level2, &shared.stamp(number));
        match create(shared, &shared.data.join_number(number), &sealed.bytes, Purpose::Compact).await {
            Created::Yes => {}
            Created::NoSpace => return Err(CompactError::NoRoom),
            Created::Stopped => return Err(CompactError::Stopped),
        }
        let new = NewObject::of(number, &sealed, NewExtent::across_epochs(&sealed.index));
        self.made.push(Made { new, index: Arc::new(sealed.index.apart()) });
        Ok(())
    }

    /// Registers what was written in the place of `parts`. Returns how many of them the metadata has left out.
    pub(super) async fn commit(&mut self, parts: &[Part]) -> Result<u32, CompactError> {
        self.write_gap().await?;
        self.seal().await?;
        let shared = self.shared;
        let replaced = parts.iter().map(|part| Replaced {
            stream: part.stream,
            range: part.range(),
            objects: part.extents.iter().map(|extent| extent.object.key.clone()).collect(),
        });
        let objects = self.made.iter().map(|made| made.new.clone()).collect();
        let replacement = Replacement { epoch: shared.epoch, objects, replaced: replaced.collect() };
        // No trim is committed between the commit and the reading of what the metadata says then.
        let _one_at_a_time = shared.trims.lock().await;
        let ask = || shared.registrar.replace(replacement.clone());
        let left_out = shared.committed("a compaction", ask).await.ok_or(CompactError::Stopped)?;
        self.numbers.clear();
        for made in self.made.drain(..) {
            shared.indexes.put(&shared.data.join_number(made.new.number), made.index);
        }
        for stream in parts.iter().map(|part| part.stream).collect::<BTreeSet<_>>() {
            if let Some(registered) = shared.registrar.stream(shared.epoch, stream) {
                shared.state().resync(stream, registered);
            }
        }
        Ok(left_out)
    }

    /// Says that what was begun and not committed never will be.
    pub(super) async fn give_up(self) -> Result<(), CompactError> {
        if self.numbers.is_empty() {
            return Ok(());
        }
        let ask = || self.shared.registrar.abandon(self.shared.epoch, self.numbers.clone());
        self.shared.committed("giving up objects", ask).await.ok_or(CompactError::Stopped)
    }
}
