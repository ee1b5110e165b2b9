//! Keyed compaction at work: one partition after the other, the dirtiest first, as Kafka's log cleaner with one thread
//! does. The decisions are `cleaner`'s; reading and writing are the store's.
//!
//! What may be cleaned must be registered: what lies in the write-ahead log waits until it is uploaded.
//!
//! Crash: each stretch of a pass is committed by itself, and any number of them leaves a log that a pass may begin on
//! again. Where the last pass ended is kept with the partition's checkpoint; without it all of the log counts as dirty.
//! What a pass drops, an opening from the checkpoint in effect does without: markers wait until it has seen them. When a
//! pass has come further a checkpoint is due, so they go in the first pass after that.

use crate::batch::BatchView;
use crate::cleaner::{
    BatchSeen, Cleaner, Counts, LastRecord, Mapping, Plan, Policy, Room, Segments, Settings, Verdict,
};
use crate::led_topics::LedTopics;
use crate::partition::claim::LastWritten;
use crate::partition::note::Note;
use crate::partition::{Partition, PartitionLog};
use crate::seeded_bugs::{Bug, seeded};
use crate::topic_config::TopicConfig;
use levee_base::clock::Instant;
use levee_base::limits::COMPACT_PASS_OVER;
use levee_base::{Offset, StreamId};
use levee_object::Purpose;
use levee_store::{BatchInfo, CompactError, Filter, ReadError, StoredBatch};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

/// What is known of a partition's dirty part.
#[derive(Debug)]
struct Dirt {
    policy: Policy,
    from: Offset,
    segments: Segments,
    /// The offset after the last batch that was looked at.
    seen: Offset,
}

/// The partitions with keyed compaction.
#[derive(Debug, Default)]
struct Dirty {
    known: BTreeMap<StreamId, Dirt>,
    /// Those of which something could not be read, and until when they are passed over.
    unreadable: BTreeMap<StreamId, Instant>,
}

/// A pass that is worth making.
struct Job {
    topic: Arc<str>,
    partition: usize,
    log: Arc<PartitionLog>,
    plan: Plan,
}

impl LedTopics {
    /// Cleans until dropped.
    pub(crate) async fn clean(&self) {
        let mut dirty = Dirty::default();
        loop {
            self.clock.sleep(self.intervals.cleaner).await;
            while let Some(job) = self.dirtiest(&mut dirty).await {
                if !self.clean_one(&job, &mut dirty).await {
                    break;
                }
            }
        }
    }

    /// The partition with the largest part that is dirty, or one that is overdue.
    async fn dirtiest(&self, dirty: &mut Dirty) -> Option<Job> {
        let mut worst: Option<Job> = None;
        let mut known = std::mem::take(&mut dirty.known);
        dirty.unreadable.retain(|_, until| *until > self.clock.now());
        for topic in self.table.all() {
            for (partition, led) in topic.partitions.iter().enumerate() {
                let Partition::Here(log) = led else { continue };
                let config = log.config().topic;
                let stream = log.stream();
                if !config.compacts || dirty.unreadable.contains_key(&stream) {
                    continue;
                }
                let Some(dirt) = self.look(log, &config, known.remove(&stream)).await else { continue };
                let plan = self.plan(log, &dirt);
                dirty.known.insert(stream, dirt);
                let Some(plan) = plan else { continue };
                let rank = |plan: &Plan| (plan.overdue, plan.dirty_ratio);
                if worst.as_ref().is_none_or(|worst| rank(&plan) > rank(&worst.plan)) {
                    worst = Some(Job { topic: topic.name.clone(), partition, log: log.clone(), plan });
                }
            }
            // There may be many partitions, and this is nobody's request.
            tokio::task::yield_now().await;
        }
        worst
    }

    /// Brings what is known of a partition's dirty part up to its durable end. `None` when it can't be read now.
    async fn look(&self, log: &PartitionLog, config: &TopicConfig, known: Option<Dirt>) -> Option<Dirt> {
        let ends = log.ends()?;
        let policy = Policy {
            segment_bytes: config.segment_bytes,
            segment_ms: config.segment_ms,
            min_cleanable_dirty_ratio: config.min_cleanable_dirty_ratio,
            min_compaction_lag_ms: config.min_compaction_lag_ms,
            max_compaction_lag_ms: config.max_compaction_lag_ms,
        };
        let from = log.cleaned_until().max(ends.start);
        let same = |dirt: &Dirt| dirt.policy == policy && dirt.from == from;
        let mut dirt = known.filter(same).unwrap_or_else(|| Dirt {
            policy,
            from,
            segments: Segments::new(&policy, from.0.cast_signed()),
            seen: from,
        });
        let Dirt { segments, seen, .. } = &mut dirt;
        let begin = *seen;
        let mut each = |batch: BatchInfo<'_>| {
            let end = Offset(batch.base.0 + u64::from(batch.count));
            // A note that can't be read kept the partition from being opened.
            if let Ok(note) = Note::decode(batch.note) {
                segments.push(&BatchSeen {
                    base_offset: batch.base.0.cast_signed(),
                    last_offset: end.0.cast_signed() - 1,
                    bytes: u64::from(batch.bytes),
                    max_timestamp: note.max_timestamp,
                    appended_ms: note.appended_ms,
                });
            }
            *seen = end;
        };
        match log.streams().replay(log.stream(), begin, Purpose::Compact, &mut each).await {
            Ok(()) => Some(dirt),
            // It may have seen a part, so it begins anew.
            Err(ReadError::UnknownStream | ReadError::OutOfRange { .. }) => None,
            Err(error) => {
                tracing::warn!(stream = %log.stream(), %error, "can't look for what to compact; trying again");
                None
            }
        }
    }

    fn plan(&self, log: &PartitionLog, dirt: &Dirt) -> Option<Plan> {
        let clean_bytes = self.metadata.view(|state| {
            let extents = state.stream(log.stream())?.extents();
            let clean = extents.filter(|extent| extent.range.start < dirt.from);
            let bytes = clean.map(|extent| {
                let part = extent.range.end.min(dirt.from).0 - extent.range.start.0;
                let whole = (extent.range.end.0 - extent.range.start.0).max(1);
                (u128::from(extent.bytes) * u128::from(part) / u128::from(whole)) as u64
            });
            Some(bytes.sum())
        })?;
        // A transaction that is not decided keeps its records, and what is not registered can't be read.
        let stable_end = log.ends()?.registered.min(log.last_stable_offset()?).0.cast_signed();
        dirt.segments.plan(&dirt.policy, clean_bytes, stable_end, self.clock.wall_ms())
    }

    /// Makes a pass. Whether another may follow at once.
    async fn clean_one(&self, job: &Job, dirty: &mut Dirty) -> bool {
        let Job { topic, partition, log, plan } = job;
        match self.pass(log, plan).await {
            Ok(Passed { until, counts }) => {
                log.set_cleaned_until(until);
                let Counts { bytes_before, bytes_after, unreadable, without_key, .. } = counts;
                tracing::debug!(%topic, partition, until = until.0, bytes_before, bytes_after, "compacted");
                if unreadable > 0 {
                    let advice = "they stay; `levee fsck` says which are damaged";
                    tracing::error!(%topic, partition, unreadable, "batches could not be read; {advice}");
                }
                if without_key > 0 {
                    tracing::warn!(%topic, partition, without_key, "records without a key were removed");
                }
                true
            }
            Err(CompactError::Unreadable(_, error)) => {
                let advice = "it keeps everything, and is tried again in an hour";
                tracing::error!(%topic, partition, %error, "a partition can't be compacted; {advice}");
                dirty.unreadable.insert(log.stream(), self.clock.now() + COMPACT_PASS_OVER);
                true
            }
            Err(error) => {
                tracing::warn!(%topic, partition, %error, "can't compact a partition now; trying again");
                false
            }
        }
    }

    async fn pass(&self, log: &PartitionLog, plan: &Plan) -> Result<Passed, CompactError> {
        let (stream, config) = (log.stream(), log.config().topic);
        let unpacked_bytes = config.rules.unpacked_bytes();
        let (from, until) = (offset(plan.from), offset(plan.until));
        let keys = usize::try_from(until.0 - from.0).unwrap_or(usize::MAX);
        // All transactions below the plan's end have ended, so their markers are known.
        let aborted = log.aborted();
        let ahead = aborted.iter().filter(|aborted| aborted.last_offset >= plan.from).copied().collect();
        let ahead = if seeded(Bug::CountAborted) { Vec::new() } else { ahead };
        let mut mapping = Mapping::new(keys, plan.from, ahead, unpacked_bytes);
        let mut full = false;
        let mut each = |batch: StoredBatch<'_>| {
            let Some(view) = BatchView::first(batch.bytes) else { return ControlFlow::Continue(()) };
            // What can't be read is kept and reported by the second half.
            full = matches!(mapping.batch(&view), Ok(Room::Full));
            if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        self.store.scan(stream, from..until, &mut each).await?;
        let map = mapping.finish((!full).then_some(plan.until));
        let producers = last_records(log).await.ok_or(CompactError::Changed)?;
        let settings = Settings {
            now_ms: self.clock.wall_ms(),
            delete_retention_ms: config.delete_retention_ms,
            unpacked_bytes,
            checkpoint: self.checkpoint_of(stream).0.cast_signed(),
        };
        let mut pass = Pass { cleaner: Cleaner::new(map, aborted.clone(), producers, settings) };
        let until = offset(pass.cleaner.end());
        self.store.rewrite(stream, until, &mut pass).await?;
        let summary = pass.cleaner.finish();
        log.set_aborted(&aborted, &summary.aborted);
        Ok(Passed { until: offset(summary.cleaned_until), counts: summary.counts })
    }

    /// As of which offset a partition's checkpoint is; 0 if it has none, and then the first may be in the making.
    ///
    /// It is the store's word and not the metadata's, which may have a newer one already, for from this one the next is
    /// made. Either only ever goes on.
    fn checkpoint_of(&self, stream: StreamId) -> Offset {
        let replay = self.store.replays().into_iter().find(|replay| replay.stream == stream);
        let checkpoint = replay.and_then(|replay| replay.checkpoint);
        checkpoint.map_or(Offset::ZERO, |checkpoint| checkpoint.offset)
    }
}

struct Passed {
    until: Offset,
    counts: Counts,
}

/// Offsets are counted up from 0.
fn offset(offset: i64) -> Offset {
    Offset(u64::try_from(offset).unwrap_or(0))
}

/// The second half of a pass, batch by batch.
struct Pass {
    cleaner: Cleaner,
}

impl Filter for Pass {
    fn batch(&mut self, batch: StoredBatch<'_>) -> levee_store::Verdict {
        use levee_store::Verdict as Stored;
        let Some(view) = BatchView::first(batch.bytes) else { return Stored::Keep };
        match self.cleaner.batch(&view) {
            Ok(Verdict::Drop) => Stored::Drop,
            Ok(Verdict::Rewrite(bytes)) => match (BatchView::first(&bytes), Note::decode(batch.note)) {
                (Some(new), Ok(note)) => {
                    let note = Note::of(&new, note.appended_ms).encode().to_vec();
                    Stored::Replace { bytes, note }
                }
                _ => Stored::Keep,
            },
            // It was counted.
            Ok(Verdict::Keep) | Err(_) => Stored::Keep,
        }
    }
}

/// What each producer wrote last to a partition, all of it durable. `None` when the store stops before.
async fn last_records(log: &PartitionLog) -> Option<BTreeMap<i64, LastRecord>> {
    let (written, appended) = log.last_written()?;
    if !log.is_durable_to(appended).await {
        return None;
    }
    let records = written.into_iter().map(|LastWritten { producer_id, epoch, last }| {
        let last_data_offset = last.map(|last| last.0.cast_signed());
        (producer_id, LastRecord { last_data_offset, producer_epoch: epoch })
    });
    Some(records.collect())
}

#[cfg(test)]
#[path = "cleaning_tests.rs"]
mod tests;
