//! Checkpoints of the partitions that a broker leads, so that opening one replays little.
//!
//! A checkpoint is made from the one before and the indexes since, as opening the partition would: what is in memory is
//! ahead of what is registered. It is due when a replay would read so many objects, and more of them where a checkpoint
//! is large, so that checkpoints are a small part of what is written. It is also due when keyed compaction has come
//! further: that waits with markers until a checkpoint has seen them (`cleaner`), so that none is missing from the
//! indexes since the one before.

use crate::led_topics::LedTopics;
use crate::partition::checkpoint::{Resumed, encode};
use crate::partition::{Partition, PartitionLog};
use levee_base::limits::{
    CHECKPOINT_BYTES_AN_EXTENT, CHECKPOINT_EXTENTS, CHECKPOINT_OBJECT_BYTES, CHECKPOINT_OBJECTS,
    CHECKPOINTS_AT_ONCE,
};
use levee_base::{HashMap, Offset, StreamId};
use levee_object::Key;
use levee_object::Purpose;
use levee_store::{BatchInfo, Checkpoint, CompactError, NewCheckpoint, ReadError, Replay};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What was written last of each partition.
pub(crate) type Lasts = HashMap<StreamId, Last>;

/// A checkpoint that was written.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Last {
    bytes: usize,
    cleaned_until: Offset,
}

/// Why a round of checkpoints ended early.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Read(#[from] levee_object::Error),
    #[error(transparent)]
    Write(#[from] CompactError),
}

impl LedTopics {
    /// Writes checkpoints until dropped.
    pub(crate) async fn checkpoint(&self) {
        let mut lasts = Lasts::default();
        loop {
            self.clock.sleep(self.intervals.checkpoints).await;
            self.checkpoint_once(&mut lasts).await;
        }
    }

    /// Writes the checkpoints that are due.
    pub(crate) async fn checkpoint_once(&self, lasts: &mut Lasts) {
        let mut logs: BTreeMap<StreamId, Arc<PartitionLog>> = BTreeMap::new();
        for topic in self.table.all() {
            let here = topic.partitions.iter().filter_map(|partition| match partition {
                Partition::Here(log) => Some((log.stream(), log.clone())),
                _ => None,
            });
            logs.extend(here);
        }
        lasts.retain(|stream, _| logs.contains_key(stream));
        let cleaned = logs.iter().map(|(stream, log)| (*stream, log.cleaned_until())).collect();
        let due = due(&self.store.replays(), &cleaned, lasts);
        for some in due.chunks(CHECKPOINTS_AT_ONCE) {
            if let Err(error) = self.write_checkpoints(some, &logs, lasts).await {
                tracing::warn!(%error, "can't write checkpoints now; trying again");
                return;
            }
        }
    }

    async fn write_checkpoints(
        &self,
        due: &[(StreamId, Option<Checkpoint>)],
        logs: &BTreeMap<StreamId, Arc<PartitionLog>>,
        lasts: &mut Lasts,
    ) -> Result<(), Failed> {
        let before: Vec<(StreamId, Checkpoint)> =
            due.iter().filter_map(|(stream, checkpoint)| Some((*stream, checkpoint.clone()?))).collect();
        let mut found = self.store.checkpoints(&before).await?;
        let (mut new, mut made, mut bytes) = (Vec::new(), Vec::new(), 0);
        for (stream, checkpoint) in due {
            let Some(log) = logs.get(stream) else { continue };
            let offset = checkpoint.as_ref().map_or(Offset::ZERO, |checkpoint| checkpoint.offset);
            let before = found.remove(stream).map(|bytes| (offset, bytes));
            match log.checkpoint(before).await {
                Ok(Some((checkpoint, cleaned_until))) => {
                    bytes += checkpoint.bytes.len();
                    made.push((*stream, Last { bytes: checkpoint.bytes.len(), cleaned_until }));
                    new.push(checkpoint);
                }
                Ok(None) => {}
                // Whoever opens or reads it learns more.
                Err(error) => tracing::warn!(%stream, %error, "can't make a checkpoint now; trying again"),
            }
            if bytes >= CHECKPOINT_OBJECT_BYTES {
                self.store.write_checkpoints(&std::mem::take(&mut new)).await?;
                lasts.extend(made.drain(..));
                bytes = 0;
            }
        }
        self.store.write_checkpoints(&new).await?;
        // What was not written is due again.
        lasts.extend(made);
        Ok(())
    }
}

/// The partitions whose checkpoints are to be written, with those that they have.
fn due(
    replays: &[Replay],
    cleaned: &BTreeMap<StreamId, Offset>,
    lasts: &Lasts,
) -> Vec<(StreamId, Option<Checkpoint>)> {
    let mut by_object: HashMap<&Key, usize> = HashMap::default();
    for checkpoint in replays.iter().filter_map(|replay| replay.checkpoint.as_ref()) {
        *by_object.entry(&checkpoint.object.key).or_default() += 1;
    }
    // So many objects that their checkpoints move to the next one, those with the fewest first.
    let beyond = by_object.len().saturating_sub(CHECKPOINT_OBJECTS);
    let mut objects: Vec<(usize, &Key)> =
        by_object.into_iter().map(|(key, streams)| (streams, key)).collect();
    objects.sort_unstable();
    let sparse: BTreeSet<&Key> = objects.iter().take(beyond).map(|(_, key)| *key).collect();
    let is_due = |replay: &&Replay| {
        let last = lasts.get(&replay.stream).copied().unwrap_or_default();
        let long = CHECKPOINT_EXTENTS.max(last.bytes / CHECKPOINT_BYTES_AN_EXTENT);
        let moves = replay.checkpoint.as_ref().is_some_and(|at| sparse.contains(&at.object.key));
        let cleaned = cleaned.get(&replay.stream).is_some_and(|cleaned| *cleaned > last.cleaned_until);
        replay.extents >= long || moves || cleaned
    };
    replays.iter().filter(is_due).map(|replay| (replay.stream, replay.checkpoint.clone())).collect()
}

impl PartitionLog {
    /// A checkpoint as of what is registered, made from the one before; and up to where keyed compaction has come in it.
    /// `None` when nothing is registered, or the partition is closed.
    async fn checkpoint(
        &self,
        before: Option<(Offset, bytes::Bytes)>,
    ) -> Result<Option<(NewCheckpoint, Offset)>, ReadError> {
        // Looked at first: a pass that ends meanwhile makes the next one due, which has seen all that it went through.
        let cleaned_until = self.cleaned_until();
        let Some(ends) = self.ends().filter(|ends| ends.registered > Offset::ZERO) else { return Ok(None) };
        let stream = self.stream();
        let Resumed { mut known, offset, .. } = Resumed::from(stream, before, ends.start);
        let mut unknown = None;
        let mut each = |batch: BatchInfo<'_>| {
            if batch.base < ends.registered && unknown.is_none() {
                unknown = known.replay(batch).err();
            }
        };
        if offset < ends.registered && ends.start < ends.registered {
            self.streams().replay(stream, ends.start.max(offset), Purpose::Checkpoint, &mut each).await?;
        }
        if let Some(error) = unknown {
            tracing::warn!(%stream, %error, "no checkpoint can be made");
            return Ok(None);
        }
        known.forget(ends.start, self.producers_expire_before(), ends.registered);
        known.forget_aborted(&self.aborted());
        let bytes = encode(&known, cleaned_until).into();
        Ok(Some((NewCheckpoint { stream, offset: ends.registered, bytes }, cleaned_until)))
    }
}

#[cfg(test)]
#[path = "checkpointer_tests.rs"]
mod tests;
