//! Writing batches and gaps into one object after the other, and registering the objects in the place of what was read.

use super::CompactError;
use super::blocks::Place;
use super::plan::{Part, PlanOptions};
use crate::format::ObjectKind;
use crate::made::Made;
use crate::open_object::OpenObject;
use crate::registrar::{NewExtent, NewObject, Replaced};
use crate::store::Shared;
use crate::types::NewBatch;
use levee_base::StreamId;
use levee_base::limits::OBJECT_HEADER_BYTES;
use levee_object::Purpose;
use std::collections::BTreeSet;

/// What is written at an offset.
#[derive(Debug, Clone, Copy)]
pub(super) enum New<'a> {
    Batch(NewBatch<'a>),
    /// So many offsets that hold nothing.
    Gap(u32),
}

#[derive(Debug, Clone, Copy)]
struct Gap {
    at: Place,
    count: u32,
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

    /// Writes what comes next.
    pub(super) async fn add(&mut self, at: Place, new: New<'_>) -> Result<(), CompactError> {
        let New::Gap(count) = new else {
            self.write_gap().await?;
            return self.write(at, new).await;
        };
        let before = self.gap.filter(|gap| gap.at.after(gap.count) == at);
        if let Some((gap, count)) = before.and_then(|gap| Some((gap, gap.count.checked_add(count)?))) {
            self.gap = Some(Gap { count, ..gap });
        } else {
            self.write_gap().await?;
            self.gap = Some(Gap { at, count });
        }
        Ok(())
    }

    async fn write_gap(&mut self) -> Result<(), CompactError> {
        match self.gap.take() {
            Some(Gap { at, count }) => self.write(at, New::Gap(count)).await,
            None => Ok(()),
        }
    }

    async fn write(&mut self, at: Place, new: New<'_>) -> Result<(), CompactError> {
        let Place { stream, leader_epoch, base } = at;
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
        let new = NewObject::of(number, &sealed, NewExtent::across_epochs(&sealed.index));
        self.made.push(shared.make(new, sealed, Purpose::Compact).await?);
        Ok(())
    }

    /// Registers what was written in the place of `parts`. Returns how many of them the metadata has left out.
    pub(super) async fn commit(&mut self, parts: &[Part]) -> Result<u32, CompactError> {
        self.write_gap().await?;
        self.seal().await?;
        let replaced = parts.iter().map(|part| Replaced {
            stream: part.stream,
            range: part.range(),
            objects: part.extents.iter().map(|extent| extent.object.key.clone()).collect(),
        });
        let streams: BTreeSet<StreamId> = parts.iter().map(|part| part.stream).collect();
        let streams: Vec<StreamId> = streams.into_iter().collect();
        let made = self.made.drain(..);
        let left_out = self.shared.replace("a compaction", made, replaced.collect(), &streams).await?;
        self.numbers.clear();
        Ok(left_out)
    }

    /// Says that what was begun and not committed never will be.
    pub(super) async fn give_up(self) -> Result<(), CompactError> {
        if self.numbers.is_empty() { Ok(()) } else { self.shared.give_up(&self.numbers).await }
    }
}
