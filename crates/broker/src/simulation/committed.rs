//! What those are shown who read only what is committed, and what becomes of transactions by that.

use super::World;
use super::ledger::is_marker;
use super::records::records;
use super::verify::{Found, read};
use crate::batch::{BatchView, Marker};
use crate::cleaner::Aborted;
use crate::partition::PartitionLog;
use crate::partition::read::Isolation;
use levee_base::{Offset, Random, StreamId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Leaves out what a consumer does: it is told which transactions of an answer were aborted, by what they begin with, and
/// goes by their markers from there on (Kafka's `CompletedFetch`).
pub(super) struct Filter {
    aborted: VecDeque<Aborted>,
    out: BTreeSet<i64>,
}

impl Filter {
    /// Of one answer.
    pub(super) fn new(mut aborted: Vec<Aborted>) -> Self {
        aborted.sort_by_key(|aborted| aborted.first_offset);
        Self { aborted: aborted.into(), out: BTreeSet::new() }
    }

    /// Whether a batch is shown.
    pub(super) fn shows(&mut self, batch: &BatchView<'_>) -> bool {
        while let Some(aborted) = self.aborted.pop_front_if(|one| one.first_offset <= batch.last_offset()) {
            self.out.insert(aborted.producer_id);
        }
        if batch.attributes().control() {
            if Marker::read(batch).is_some_and(|marker| !marker.commit) {
                self.out.remove(&batch.producer_id());
            }
            return false;
        }
        !(batch.attributes().transactional() && self.out.contains(&batch.producer_id()))
    }
}

/// What is shown of a partition.
pub(super) struct Shown {
    batches: BTreeMap<Offset, Vec<u8>>,
    /// Below this all is decided.
    stable: Offset,
}

/// Reads what is committed. `None` where that can't be done here any more.
pub(super) async fn read_committed(
    world: &World,
    process: u64,
    log: &PartitionLog,
    random: &Random,
) -> Option<Shown> {
    let stream = log.stream();
    let stable = log.last_stable_offset()?;
    if world.is_current(process)
        && let Some(known) = world.judge.ledger.lock().unwrap().logs.get_mut(&stream)
    {
        let before = known.shown_stable;
        assert!(stable >= before, "stream {stream} is decided up to {stable} after {before} was shown");
        known.shown_stable = stable;
    }
    let found = read(world, process, log, random, Isolation::Committed).await?;
    Some(Shown { batches: found.batches, stable })
}

/// The offset after a batch.
fn end(bytes: &[u8]) -> Offset {
    let last = BatchView::first(bytes).map(|batch| batch.last_offset());
    Offset(last.map_or(0, |last| last.cast_unsigned() + 1))
}

/// Holds what was shown against all that was there after, and both against what is known of the transactions: each is
/// shown whole or not at all, and ends once, by a marker that says which.
pub(super) fn compare(world: &World, log: &PartitionLog, shown: &Shown, found: &Found) {
    let stream = log.stream();
    let is_keyed = log.config().topic.compacts;
    let mut ledger = world.judge.ledger.lock().unwrap();
    let all = shown.batches.iter().map(|(base, bytes)| (base, bytes, true));
    // The partition may begin within a batch, and be decided no further than to its start.
    let hidden = found.batches.iter().filter(|(base, bytes)| {
        end(bytes) <= shown.stable && !is_marker(bytes) && !shown.batches.contains_key(base)
    });
    for (base, bytes, commit) in all.chain(hidden.map(|(base, bytes)| (base, bytes, false))) {
        if records(bytes).is_empty() {
            // What keyed compaction has left of a batch for its producer.
            continue;
        }
        let decided = match ledger.transaction_of(stream, *base, bytes) {
            Some(transaction) => ledger.transactions.decided(transaction, commit, "what is shown"),
            None if commit => Ok(()),
            None => Err("it is of no transaction, and left out".to_owned()),
        };
        decided.unwrap_or_else(|wrong| panic!("stream {stream}, at {base}: {wrong}"));
    }
    let (mut open, mut over) = (BTreeMap::new(), BTreeSet::new());
    for (base, bytes) in &found.batches {
        let batch = BatchView::first(bytes).expect("it was read as one");
        let producer = batch.producer_id();
        if let Some(transaction) = ledger.transaction_of(stream, *base, bytes) {
            let before = open.insert(producer, transaction).filter(|before| *before != transaction);
            // Of what is committed keyed compaction leaves the records without the marker.
            let is_sound = is_keyed || before.is_none() && !over.contains(&transaction);
            assert!(
                is_sound,
                "stream {stream}: {base} is of {transaction}, and {before:?} is open: {over:?}"
            );
        } else if let Some(marker) = Marker::read(&batch) {
            let ended = open.remove(&producer);
            over.extend(ended);
            let may = ledger.transactions.may_end((producer, batch.producer_epoch()), ended);
            let decided = may.and_then(|()| match ended {
                Some(transaction) if !is_keyed => {
                    ledger.transactions.decided(transaction, marker.commit, "its marker")
                }
                _ => Ok(()),
            });
            decided.unwrap_or_else(|wrong| panic!("stream {stream}, at {base}: {wrong}"));
        }
    }
}

/// Whether what was appended is of no transaction, or of one that was committed as far as is known.
pub(super) fn is_committed(world: &World, stream: StreamId, base: Offset, bytes: &[u8]) -> bool {
    committed(world, stream, base, bytes) == Some(true)
}

/// Likewise, or of one of which that is not known.
pub(super) fn may_be_committed(world: &World, stream: StreamId, base: Offset, bytes: &[u8]) -> bool {
    committed(world, stream, base, bytes) != Some(false)
}

fn committed(world: &World, stream: StreamId, base: Offset, bytes: &[u8]) -> Option<bool> {
    if is_marker(bytes) {
        return Some(false);
    }
    let ledger = world.judge.ledger.lock().unwrap();
    let transaction = ledger.transaction_of(stream, base, bytes);
    transaction.map_or(Some(true), |one| ledger.transactions.committed(one))
}
