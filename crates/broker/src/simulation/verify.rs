//! Reads a partition as a consumer does, and compares it with what its producers know.

use super::World;
use super::committed::{Filter, compare, is_committed, may_be_committed, read_committed};
use super::ledger::{Identity, is_marker};
use super::records::records;
use crate::batch::BatchView;
use crate::partition::PartitionLog;
use crate::partition::read::{FetchError, Isolation};
use levee_base::{Offset, Random, StreamId};
use levee_meta::TopicId;
use levee_object::Key;
use levee_store::{ReadError, StreamEnds};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How often a reader may miss an object that the metadata refers to no more, 10 ms apart.
const BEHIND: u32 = 100;

/// What one reader found.
pub(super) struct Found {
    /// Of the partition before it was read.
    ends: StreamEnds,
    /// By base offset.
    pub(super) batches: BTreeMap<Offset, Vec<u8>>,
}

/// Every batch that was acknowledged by now is there with its bytes, unless it lies below the start; what is there was
/// sent, each offset once, and each batch of an idempotent producer once. Of a partition with keyed compaction that is
/// so of records, and one may be gone when there is a later one of its key, or it is not committed. What is shown to
/// those who read only what is committed is whole transactions. Returns how many records are gone.
pub(super) async fn verify(
    world: &World,
    process: u64,
    topic: TopicId,
    log: &PartitionLog,
    random: &Random,
) -> usize {
    let stream = log.stream();
    let due: Vec<(Offset, Vec<u8>)> = {
        let Some(ends) = log.ends() else { return 0 };
        let mut ledger = world.judge.ledger.lock().unwrap();
        let known = ledger.log(stream, topic);
        let went_back = world.is_current(process) && ends.start < known.shown_start;
        assert!(!went_back, "stream {stream} begins at {} after {} was shown", ends.start, known.shown_start);
        known.shown_start = known.shown_start.max(ends.start);
        // What one sees that was taken for gone is old: others have acknowledged more.
        let end = if world.is_current(process) { Offset(u64::MAX) } else { ends.durable };
        known.acknowledged(ends.start..end).map(|(base, batch)| (base, batch.bytes.clone())).collect()
    };
    let cleaned_until = log.cleaned_until();
    let Some(shown) = read_committed(world, process, log, random).await else { return 0 };
    let Some(found) = read(world, process, log, random, Isolation::Uncommitted).await else { return 0 };
    let is_keyed = log.config().topic.compacts;
    let mut sequences = BTreeSet::new();
    for (base, bytes) in &found.batches {
        let batch = BatchView::first(bytes).expect("it was read as one");
        let mut ledger = world.judge.ledger.lock().unwrap();
        if is_marker(bytes) {
            ledger.marker(stream, *base, bytes).unwrap_or_else(|wrong| panic!("{wrong}"));
            continue;
        }
        let sequence = (batch.producer_id(), batch.producer_epoch(), batch.base_sequence());
        assert!(sequence.0 < 0 || sequences.insert(sequence), "stream {stream}: {sequence:?} is there twice");
        if is_keyed {
            let identity = Identity::of(bytes);
            let sent = ledger.logs.get(&stream).and_then(|log| log.batches.get(base)).into_iter().flatten();
            let mut sent = sent.filter(|sent| sent.is(identity)).map(|sent| records(&sent.bytes));
            let all = sent.next().unwrap_or_default();
            let own = records(bytes);
            assert!(
                own.iter().all(|one| all.contains(one)),
                "stream {stream}: nobody sent what is at {base}"
            );
            if !own.is_empty() {
                ledger.acknowledge(stream, *base, identity).unwrap_or_else(|wrong| panic!("{wrong}"));
            }
        } else {
            ledger.seen(stream, *base, bytes).unwrap_or_else(|wrong| panic!("{wrong}"));
        }
    }
    compare(world, log, &shown, &found);
    let Some(now) = log.ends() else { return 0 };
    if is_keyed {
        return keyed(world, stream, &due, &found, now.start, cleaned_until);
    }
    let end = |bytes: &[u8]| BatchView::first(bytes).map_or(Offset::ZERO, |batch| after(&batch));
    let lost = due.iter().find(|(base, bytes)| end(bytes) > now.start && !found.batches.contains_key(base));
    let lost = lost.map(|(base, _)| base);
    assert!(
        lost.is_none(),
        "stream {stream}: {lost:?} was acknowledged and is lost; it begins at {}",
        now.start
    );
    0
}

/// The offset after a batch.
fn after(batch: &BatchView<'_>) -> Offset {
    Offset(u64::try_from(batch.last_offset()).unwrap() + 1)
}

/// Whether the newest metadata refers to an object.
fn refers(world: &World, key: &Key) -> bool {
    world.judge.newest(|state| state.objects().any(|(_, object)| object.name.key() == *key))
}

/// Reads all batches that are durable by now, or decided, and those that are shown then. `None` where that can't be done
/// here any more.
pub(super) async fn read(
    world: &World,
    process: u64,
    log: &PartitionLog,
    random: &Random,
    isolation: Isolation,
) -> Option<Found> {
    let stream = log.stream();
    let has_gaps = log.config().topic.compacts;
    let ends = log.ends()?;
    let until = match isolation {
        Isolation::Uncommitted => ends.durable,
        Isolation::Committed => log.last_stable_offset()?,
    };
    let (mut from, mut batches) = (ends.start, BTreeMap::new());
    // The start may lie within a batch.
    let mut enters = true;
    let mut behind = 0;
    while from < until {
        let max = random.below(60_000) as usize;
        let (runs, mut filter) = match log.fetch(from.0.cast_signed(), isolation, max, true).await {
            Ok(fetched) => (fetched.runs, Filter::new(fetched.aborted)),
            Err(FetchError::OutOfRange { start, .. }) => {
                assert!(start > from, "stream {stream}: {from} is out of range, and it begins at {start}");
                (from, enters) = (start, true);
                continue;
            }
            Err(FetchError::NotLeader) => return None,
            Err(FetchError::Store(ReadError::Store(error))) if !error.kind.is_answer() => {
                // A store that fails at once must not hold up the clock.
                world.clock.sleep(Duration::from_millis(10)).await;
                continue;
            }
            Err(_) if !world.is_current(process) => return None,
            // One that was taken for gone has read of a new start whose commit this one has no answer to yet, and
            // has collected.
            Err(FetchError::Store(ReadError::Missing { key, .. }))
                if behind < BEHIND && !refers(world, &key) =>
            {
                behind += 1;
                world.clock.sleep(Duration::from_millis(10)).await;
                continue;
            }
            Err(FetchError::Store(error)) => panic!("stream {stream}: {error}"),
        };
        if runs.is_empty() && has_gaps && isolation == Isolation::Committed {
            // Nothing is left between here and the first that is not decided.
            break;
        }
        assert!(!runs.is_empty(), "stream {stream}: there is more from {from} to {until}");
        for run in runs {
            let mut rest = &run.bytes[..];
            while let Some(batch) = BatchView::first(rest) {
                let (base, end) = (Offset(u64::try_from(batch.base_offset()).unwrap()), after(&batch));
                let goes_on = base == from || base < from && from < end && enters || base > from && has_gaps;
                assert!(goes_on, "stream {stream}: {base} to {end} where {from} is next");
                if isolation == Isolation::Uncommitted || filter.shows(&batch) {
                    batches.insert(base, batch.bytes().to_vec());
                }
                (from, enters) = (end, false);
                rest = &rest[batch.bytes().len()..];
            }
            assert!(rest.is_empty(), "stream {stream}: half a batch before {}", run.end);
            from = from.max(run.end);
        }
    }
    Some(Found { ends, batches })
}

/// Of each key the last record is there.
fn keyed(
    world: &World,
    stream: StreamId,
    due: &[(Offset, Vec<u8>)],
    found: &Found,
    start: Offset,
    cleaned_until: Offset,
) -> usize {
    let mut there: BTreeMap<Offset, Vec<u8>> = BTreeMap::new();
    let mut last: BTreeMap<Vec<u8>, Offset> = BTreeMap::new();
    let counted = found.batches.iter().filter(|(base, bytes)| may_be_committed(world, stream, **base, bytes));
    for (offset, key, value) in counted.flat_map(|(_, bytes)| records(bytes)) {
        if offset < found.ends.start {
            // The batch holds others that are kept.
            continue;
        }
        let before = last.insert(key, offset);
        let is_clean = offset < cleaned_until.min(found.ends.registered);
        assert!(before.is_none() || !is_clean, "stream {stream}: {before:?} was to go, for {offset}");
        there.insert(offset, value);
    }
    // What came since may have outdated some of it.
    if let Some(log) = world.judge.ledger.lock().unwrap().logs.get(&stream) {
        for (_, batch) in log.acknowledged(found.ends.durable..).filter(|(_, batch)| !batch.is_marker()) {
            last.extend(records(&batch.bytes).into_iter().map(|(offset, key, _)| (key, offset)));
        }
    }
    let mut outdated = 0;
    let due = due.iter().filter(|(base, bytes)| is_committed(world, stream, *base, bytes));
    for (offset, key, value) in due.flat_map(|(_, bytes)| records(bytes)) {
        match there.get(&offset) {
            Some(found) => assert_eq!(*found, value, "stream {stream}: {offset} is another record"),
            None if offset < start => {}
            None => {
                let later = last.get(&key).is_some_and(|last| *last > offset);
                assert!(later, "stream {stream}: {offset} is lost, the last of its key");
                outdated += 1;
            }
        }
    }
    outdated
}
