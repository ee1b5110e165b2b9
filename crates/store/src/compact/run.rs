//! Doing one job after the other: reading its parts in order, writing objects, committing them.

use super::blocks::Blocks;
use super::plan::{Job, PlanOptions, plan};
use super::writer::{New, Writer};
use super::{CompactError, Pace};
use crate::format::BatchEntry;
use crate::store::Shared;
use crate::types::NewBatch;
use levee_base::clock::Instant;
use levee_base::limits::{COMPACT_AGAIN, COMPACT_COMMIT_EXTENTS, COMPACT_LOOK_PACE, COMPACT_PASS_OVER};
use levee_base::{HashMap, StreamId};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Compacts until the store stops.
pub(crate) async fn compact(shared: Arc<Shared>, options: PlanOptions) {
    let clock = shared.ctx.clock;
    let mut passed_over: HashMap<StreamId, Instant> = HashMap::default();
    // As of when there was nothing to do.
    let mut idle = None;
    while !shared.is_stopped() {
        let one_at_a_time = shared.compacting.lock().await;
        let before = passed_over.len();
        passed_over.retain(|_, until| *until > clock.now());
        // What was passed over may have been mended.
        idle = idle.filter(|_| passed_over.len() == before);
        let registered = shared.state().registered(idle);
        let planned = registered.map(|(seen, mut streams)| {
            streams.retain(|stream, _| !passed_over.contains_key(stream));
            (seen, plan(&streams, &options))
        });
        let job = match planned {
            Some((_, Some(job))) => job,
            nothing => {
                drop(one_at_a_time);
                idle = nothing.map_or(idle, |(seen, _)| Some(seen));
                clock.sleep(COMPACT_LOOK_PACE).await;
                let mended = passed_over.values().min().copied();
                let again = async {
                    match mended {
                        Some(then) => clock.sleep_until(then).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    biased;
                    () = shared.compact.notified() => {}
                    () = again => {}
                }
                continue;
            }
        };
        let mut failed = false;
        for job in job.cut(COMPACT_COMMIT_EXTENTS) {
            let pace = Pace::begin(&shared, job.bytes_per_second);
            match run(&shared, &job, pace, &options).await {
                Ok(bytes_read) => pace.keep(&shared, job.bytes().max(bytes_read)).await,
                Err(CompactError::Stopped) => return,
                Err(error) => {
                    failed = true;
                    if let CompactError::Unreadable(..) = error {
                        shared.metrics.damaged_reads.add(1);
                    }
                    let until = clock.now() + COMPACT_PASS_OVER;
                    passed_over.extend(give_up(&job, error).into_iter().map(|stream| (stream, until)));
                    break;
                }
            }
        }
        drop(one_at_a_time);
        if failed {
            clock.sleep(COMPACT_AGAIN).await;
        }
    }
}

/// Does a job in one commit. Returns how many bytes it has read.
async fn run(shared: &Shared, job: &Job, pace: Pace, options: &PlanOptions) -> Result<u64, CompactError> {
    let mut writer = Writer::new(shared, options);
    let outcome = match copy(shared, &mut writer, job, pace).await {
        Ok(bytes_read) => writer.commit(&job.parts).await.map(|left_out| (left_out, bytes_read)),
        Err(error) => Err(error),
    };
    writer.give_up().await?;
    let ((left_out, bytes_read), bytes, parts) = (outcome?, job.bytes(), job.parts.len());
    shared.metrics.compactions.add(1);
    shared.metrics.compacted_bytes.add(bytes);
    tracing::debug!(reason = ?job.reason, parts, left_out, bytes, bytes_read, "compacted");
    Ok(bytes_read)
}

/// Says why a job came to nothing. Returns the streams that are to be passed over.
fn give_up(job: &Job, error: CompactError) -> BTreeSet<StreamId> {
    match error {
        CompactError::Unreadable(stream, error) => {
            let mut streams = BTreeSet::from([stream]);
            streams.extend(job.streams_without(&error));
            let passed_over = streams.len();
            tracing::error!(%stream, %error, passed_over, "can't compact streams; passing them over for an hour");
            streams
        }
        error => {
            match error {
                CompactError::Changed => tracing::debug!(%error, "planning again"),
                _ => tracing::warn!(%error, "can't compact now; trying again"),
            }
            BTreeSet::new()
        }
    }
}

async fn copy(shared: &Shared, writer: &mut Writer<'_>, job: &Job, pace: Pace) -> Result<u64, CompactError> {
    let extents: Vec<_> =
        job.parts.iter().flat_map(|part| part.extents.iter().map(|extent| (part.stream, extent))).collect();
    let mut blocks = Blocks::new(shared, extents, u64::MAX, pace);
    while let Some(block) = blocks.next().await? {
        for (at, entry, bytes) in block.batches() {
            writer.add(at, as_it_is(&entry, bytes)).await?;
        }
    }
    Ok(blocks.bytes_read())
}

/// An entry of an index, to be written as it was.
pub(super) fn as_it_is<'a>(entry: &BatchEntry<'a>, bytes: &'a [u8]) -> New<'a> {
    match entry.is_gap() {
        true => New::Gap(entry.count),
        false => New::Batch(NewBatch { bytes, count: entry.count, note: entry.note }),
    }
}
