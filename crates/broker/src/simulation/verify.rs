//! Reads a partition as a consumer does, and compares it with what its producers know.

use super::World;
use crate::batch::BatchView;
use crate::partition::PartitionLog;
use crate::partition::log::FetchError;
use levee_base::{Offset, Random};
use levee_meta::TopicId;
use levee_store::ReadError;
use std::collections::BTreeSet;
use std::time::Duration;

/// Every batch that was acknowledged by now is there with its bytes, unless it lies below the start; what is there was
/// sent, each offset once, and each batch of an idempotent producer once.
pub(super) async fn verify(world: &World, process: u64, topic: TopicId, log: &PartitionLog, random: &Random) {
    let stream = log.stream();
    let Some(ends) = log.ends() else { return };
    let due: Vec<(Offset, u32)> = {
        let mut ledger = world.judge.ledger.lock().unwrap();
        let known = ledger.log(stream, topic);
        known.shown_start = known.shown_start.max(ends.start);
        // What one sees that was taken for gone is old: others have acknowledged more.
        let end = if world.is_current(process) { Offset(u64::MAX) } else { ends.durable };
        known.acknowledged(..end).map(|(base, batch)| (base, batch.count)).collect()
    };
    let (mut from, mut found, mut sequences) = (ends.start, BTreeSet::new(), BTreeSet::new());
    // The start may lie within a batch.
    let mut enters = true;
    while from < ends.durable {
        let max = random.below(60_000) as usize;
        let runs = match log.read(from.0.cast_signed(), max, true).await {
            Ok(fetched) => fetched.runs,
            Err(FetchError::OutOfRange { start, .. }) => {
                assert!(start > from, "stream {stream}: {from} is out of range, and it begins at {start}");
                (from, enters) = (start, true);
                continue;
            }
            Err(FetchError::NotLeader) => return,
            Err(FetchError::Store(ReadError::Store(error))) if !error.kind.is_answer() => {
                // A store that fails at once must not hold up the clock.
                world.clock.sleep(Duration::from_millis(10)).await;
                continue;
            }
            Err(_) if !world.is_current(process) => return,
            Err(FetchError::Store(error)) => panic!("stream {stream}: {error}"),
        };
        assert!(!runs.is_empty(), "stream {stream}: there is more from {from} to {}", ends.durable);
        for run in runs {
            let mut rest = &run.bytes[..];
            while let Some(batch) = BatchView::first(rest) {
                let base = Offset(u64::try_from(batch.base_offset()).unwrap());
                let end = Offset(u64::try_from(batch.last_offset()).unwrap() + 1);
                let goes_on = base == from || base < from && from < end && enters;
                assert!(goes_on, "stream {stream}: {base} to {end} where {from} is next");
                let seen = world.judge.ledger.lock().unwrap().seen(stream, base, batch.bytes());
                seen.unwrap_or_else(|wrong| panic!("{wrong}"));
                let sequence = (batch.producer_id(), batch.base_sequence());
                assert!(
                    sequence.0 < 0 || sequences.insert(sequence),
                    "stream {stream}: {sequence:?} is there twice"
                );
                found.insert(base);
                (from, enters) = (end, false);
                rest = &rest[batch.bytes().len()..];
            }
            assert!(rest.is_empty(), "stream {stream}: half a batch before {}", run.end);
        }
    }
    let Some(now) = log.ends() else { return };
    let end = |(base, count): &(Offset, u32)| Offset(base.0 + u64::from(*count));
    let lost = due.iter().find(|batch| end(batch) > now.start && !found.contains(&batch.0));
    assert!(
        lost.is_none(),
        "stream {stream}: {lost:?} is lost, which was acknowledged; it begins at {}",
        now.start
    );
}
