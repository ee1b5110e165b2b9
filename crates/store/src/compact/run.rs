//! Doing a job: reading its parts in order, writing objects, committing them.

use super::plan::{Job, Part, PlanOptions, plan};
use crate::format::{BlockKind, Index, ObjectKind};
use crate::load::together;
use crate::open_object::OpenObject;
use crate::registrar::{Extent, NewExtent, NewObject, Registrar, RegistrarError, Replaced, Replacement};
use crate::store::Shared;
use crate::types::{NewBatch, ReadError, Stopped};
use crate::upload::{Created, create, stamp};
use bytes::Bytes;
use levee_base::limits::{
    COMPACT_AGAIN, COMPACT_BYTES_PER_SECOND, COMPACT_LOOK_PACE, COMPACT_PATIENCE, COMPACT_READ_BYTES,
    OBJECT_HEADER_BYTES, TRIM_BACKOFF_MAX, TRIM_BACKOFF_MIN,
};
use levee_base::{HashSet, StreamId};
use levee_object::Purpose;
use std::sync::Arc;
use std::time::Duration;

/// Why a job came to nothing.
#[derive(Debug)]
enum Failed {
    /// A stream's object can't be read.
    Unreadable(StreamId, ReadError),
    /// The store has not answered for long.
    Silent,
    /// There is no room for new objects on the store's disk, or in memory.
    NoRoom,
    /// The store of streams has stopped.
    Stopped,
}

/// An object that was created, for the commit.
struct Made {
    new: NewObject,
    index: Arc<Index>,
}

/// Compacts until the store stops.
pub(crate) async fn compact(shared: Arc<Shared>, registrar: Arc<dyn Registrar>, options: PlanOptions) {
    let clock = shared.ctx.clock;
    let mut passed_over: HashSet<StreamId> = HashSet::default();
    // As of when there was nothing to do.
    let mut idle = None;
    while !shared.is_stopped() {
        let registered = shared.state().registered(idle);
        let planned = registered.map(|(seen, mut streams)| {
            streams.retain(|stream, _| !passed_over.contains(stream));
            (seen, plan(&streams, &options))
        });
        let job = match planned {
            Some((_, Some(job))) => job,
            nothing => {
                idle = nothing.map_or(idle, |(seen, _)| Some(seen));
                clock.sleep(COMPACT_LOOK_PACE).await;
                shared.compact.notified().await;
                continue;
            }
        };
        let (bytes, began) = (job.bytes(), clock.now());
        let mut numbers = Vec::new();
        let outcome = do_job(&shared, &*registrar, &job, &options, &mut numbers).await;
        match outcome {
            Ok(()) => {
                shared.metrics.compactions.add(1);
                shared.metrics.compacted_bytes.add(bytes);
                let objects = numbers.len();
                tracing::debug!(reason = ?job.reason, parts = job.parts.len(), bytes, objects, "compacted");
            }
            Err(Failed::Stopped) => return,
            Err(failed) => {
                match failed {
                    Failed::Unreadable(stream, error) => {
                        tracing::error!(%stream, %error, "can't compact a stream; passing it over until restarted");
                        passed_over.insert(stream);
                    }
                    Failed::Silent => {
                        tracing::warn!("the store does not answer compaction's reads; trying again")
                    }
                    Failed::NoRoom => tracing::warn!("no room for compaction; trying again"),
                    Failed::Stopped => {}
                }
                if !numbers.is_empty() && !abandon(&shared, &*registrar, numbers).await {
                    return;
                }
                clock.sleep(COMPACT_AGAIN).await;
            }
        }
        let due = Duration::from_secs_f64(bytes as f64 / COMPACT_BYTES_PER_SECOND as f64);
        clock.sleep_until(began + due).await;
    }
}

/// `numbers` gets those of the objects that were begun.
async fn do_job(
    shared: &Shared,
    registrar: &dyn Registrar,
    job: &Job,
    options: &PlanOptions,
    numbers: &mut Vec<u64>,
) -> Result<(), Failed> {
    let mut writer = Writer { shared, options, open: None, made: Vec::new(), numbers };
    for part in &job.parts {
        for extent in &part.extents {
            writer.copy(part.stream, extent).await?;
        }
    }
    writer.seal().await?;
    let made = writer.made;
    commit(shared, registrar, job, made).await
}

/// Writes what it is given into one object after the other.
struct Writer<'a> {
    shared: &'a Shared,
    options: &'a PlanOptions,
    open: Option<OpenObject>,
    made: Vec<Made>,
    numbers: &'a mut Vec<u64>,
}

impl Writer<'_> {
    /// Reads an extent and writes it.
    async fn copy(&mut self, stream: StreamId, extent: &Extent) -> Result<(), Failed> {
        let unreadable = |error| Failed::Unreadable(stream, error);
        let object = &extent.object;
        let index = self.patiently(stream, || self.shared.index(object, Purpose::Compact)).await?;
        let ours = |at: &usize| {
            let block = &index.blocks[*at];
            block.stream == stream
                && block.kind == BlockKind::Batches
                && extent.range.start <= block.offsets.start
                && block.offsets.end <= extent.range.end
        };
        let wanted: Vec<usize> = (0..index.blocks.len()).filter(ours).collect();
        let mut next = extent.range.start;
        for (range, blocks) in together(&index.blocks, &wanted, COMPACT_READ_BYTES) {
            let get = || self.shared.get(&object.key, range.clone(), Purpose::Compact);
            let bytes = if range.is_empty() { Bytes::new() } else { self.patiently(stream, get).await? };
            for block in blocks.into_iter().map(|at| &index.blocks[at]) {
                let start = (block.position - range.start) as usize;
                let own = bytes.slice(start..start + block.bytes as usize);
                block.verify(&own).map_err(|what| {
                    let (key, range) = (object.key.clone(), block.range());
                    unreadable(ReadError::Corrupt { key, range, what })
                })?;
                if block.offsets.start != next {
                    return Err(unreadable(ReadError::Unregistered { stream, offset: next }));
                }
                next = block.offsets.end;
                self.write(&index, block, &own).await?;
            }
        }
        if next == extent.range.end {
            Ok(())
        } else {
            Err(unreadable(ReadError::Unregistered { stream, offset: next }))
        }
    }

    async fn write(
        &mut self,
        index: &Index,
        block: &crate::format::Block,
        bytes: &Bytes,
    ) -> Result<(), Failed> {
        let (mut base, mut at) = (block.offsets.start, 0);
        for entry in index.batches(block) {
            let end = at + entry.bytes as usize;
            let full = self.open.as_ref().is_some_and(|open| {
                let long = open.total_bytes() + entry.bytes as usize > self.options.object_bytes as usize;
                let many = open.index_bytes() > self.options.index_bytes as usize;
                !open.is_empty() && (long || many) || !open.fits_bytes(entry.bytes as usize)
            });
            if full {
                self.seal().await?;
            }
            let mut open = match self.open.take() {
                Some(open) => open,
                None => self.begin(entry.bytes as usize)?,
            };
            if entry.is_gap() {
                open.add_gap(block.stream, block.leader_epoch, base, entry.count);
            } else {
                let batch = NewBatch { bytes: &bytes[at..end], count: entry.count, note: entry.note };
                open.add(block.stream, block.leader_epoch, base, &batch);
            }
            self.open = Some(open);
            base.0 += u64::from(entry.count);
            at = end;
        }
        Ok(())
    }

    fn begin(&mut self, bytes: usize) -> Result<OpenObject, Failed> {
        let room = (self.options.object_bytes as usize).max(bytes) + 2 * self.options.index_bytes as usize;
        let region = self.shared.copies.take(OBJECT_HEADER_BYTES + room).ok_or(Failed::NoRoom)?;
        let number = self.shared.next_number();
        self.numbers.push(number);
        Ok(OpenObject::begin(number, region))
    }

    /// Creates the object that is open.
    async fn seal(&mut self) -> Result<(), Failed> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let (shared, number) = (self.shared, open.number());
        let stamp = stamp(shared.ctx.cluster, shared.epoch, number, shared.writer);
        let sealed = open.cut().0.seal(ObjectKind::Level2, &stamp);
        let key = shared.data.join_number(number);
        match create(shared, &key, &sealed.bytes, Purpose::Compact).await {
            Created::Yes => {}
            Created::NoSpace => return Err(Failed::NoRoom),
            Created::Foreign => {
                shared.stop(Stopped::Refused(format!("{key} is another process's object")));
                return Err(Failed::Stopped);
            }
            Created::Stopped => return Err(Failed::Stopped),
        }
        let new = NewObject {
            number,
            total_bytes: sealed.bytes.len() as u64,
            index: sealed.index_range,
            extents: NewExtent::across_epochs(&sealed.index),
            checkpoints: Vec::new(),
        };
        self.made.push(Made { new, index: Arc::new(sealed.index) });
        Ok(())
    }

    /// Repeats a request until the store answers, or for long enough.
    async fn patiently<T, F: Future<Output = Result<T, ReadError>>>(
        &self,
        stream: StreamId,
        request: impl Fn() -> F,
    ) -> Result<T, Failed> {
        let (clock, mut wait) = (self.shared.ctx.clock, TRIM_BACKOFF_MIN);
        let until = clock.now() + COMPACT_PATIENCE;
        loop {
            match request().await {
                Ok(answer) => return Ok(answer),
                Err(ReadError::Store(error)) if !error.kind.is_answer() => {}
                Err(error) => return Err(Failed::Unreadable(stream, error)),
            }
            if self.shared.is_stopped() {
                return Err(Failed::Stopped);
            }
            if clock.now() >= until {
                return Err(Failed::Silent);
            }
            clock.sleep(wait).await;
            wait = (wait * 2).min(TRIM_BACKOFF_MAX);
        }
    }
}

async fn commit(
    shared: &Shared,
    registrar: &dyn Registrar,
    job: &Job,
    made: Vec<Made>,
) -> Result<(), Failed> {
    let replaced = job.parts.iter().map(|part: &Part| Replaced {
        stream: part.stream,
        range: part.range(),
        objects: part.extents.iter().map(|extent| extent.object.key.clone()).collect(),
    });
    let objects: Vec<NewObject> = made.iter().map(|made| made.new.clone()).collect();
    let replacement = Replacement { epoch: shared.epoch, objects, replaced: replaced.collect() };
    // No trim is committed between the commit and the reading of what the metadata says then.
    let _one_at_a_time = shared.trims.lock().await;
    let mut wait = TRIM_BACKOFF_MIN;
    loop {
        match registrar.replace(replacement.clone()).await {
            Ok(()) => break,
            Err(RegistrarError::Refused(reason)) => {
                tracing::warn!(epoch = shared.epoch.0, reason, "a compaction was refused; the store stops");
                shared.stop(Stopped::Refused(reason));
                return Err(Failed::Stopped);
            }
            Err(RegistrarError::Unavailable(_)) if shared.is_stopped() => return Err(Failed::Stopped),
            Err(RegistrarError::Unavailable(_)) => {}
        }
        shared.ctx.clock.sleep(wait).await;
        wait = (wait * 2).min(TRIM_BACKOFF_MAX);
    }
    for made in made {
        shared.indexes.put(&shared.data.join_number(made.new.number), made.index);
    }
    let streams: HashSet<StreamId> = job.parts.iter().map(|part| part.stream).collect();
    for stream in streams {
        if let Some((start, extents)) = registrar.stream(shared.epoch, stream) {
            shared.state().resync(stream, start, extents);
        }
    }
    Ok(())
}

/// Whether it is committed that these objects will never be; if not, the store has stopped.
async fn abandon(shared: &Shared, registrar: &dyn Registrar, numbers: Vec<u64>) -> bool {
    let mut wait = TRIM_BACKOFF_MIN;
    while !shared.is_stopped() {
        match registrar.abandon(shared.epoch, numbers.clone()).await {
            Ok(()) => return true,
            Err(RegistrarError::Refused(reason)) => {
                shared.stop(Stopped::Refused(reason));
                return false;
            }
            Err(RegistrarError::Unavailable(_)) => {}
        }
        shared.ctx.clock.sleep(wait).await;
        wait = (wait * 2).min(TRIM_BACKOFF_MAX);
    }
    false
}
