//! What clients of a simulated cluster sent, what was acknowledged to them, and what they asked to be deleted.

use super::records::records;
use super::transactions::Transactions;
use crate::batch::{BatchView, Composer, Marker};
use levee_base::{Offset, StreamId};
use levee_meta::TopicId;
use std::collections::{BTreeMap, BTreeSet};

/// Where the part of a batch begins that no broker changes: behind the base offset, the length and the leader epoch.
const CONTENT: usize = 16;

/// What tells a batch from others at its offset, whatever keyed compaction leaves of it. One that found no room has the
/// offset of that moment until it is tried again, and others may be there in the same epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    leader_epoch: i32,
    producer: (i64, i16),
    sequence: i32,
    is_marker: bool,
}

impl Identity {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let view = BatchView::first(bytes).expect("it is a batch");
        Self {
            leader_epoch: view.leader_epoch(),
            producer: (view.producer_id(), view.producer_epoch()),
            sequence: view.base_sequence(),
            is_marker: view.attributes().control(),
        }
    }
}

/// A batch with the offset and the leader epoch that it was given.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) timestamp: i64,
    pub(super) acknowledged: bool,
    /// Which it is part of.
    pub(super) transaction: Option<usize>,
}

impl Batch {
    pub(super) fn is(&self, identity: Identity) -> bool {
        Identity::of(&self.bytes) == identity
    }

    /// Whether it ends a transaction, as a coordinator says.
    pub(super) fn is_marker(&self) -> bool {
        is_marker(&self.bytes)
    }
}

pub(super) fn is_marker(bytes: &[u8]) -> bool {
    BatchView::first(bytes).is_some_and(|batch| batch.attributes().control())
}

/// What is known of a stream.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) topic: TopicId,
    /// By base offset. Of several at one offset one at most is durable.
    pub(super) batches: BTreeMap<Offset, Vec<Batch>>,
    /// Records below were asked to be deleted.
    pub(super) deleted_to: Offset,
    /// The latest beginning that was shown to clients,
    pub(super) shown_start: Offset,
    /// and the latest offset that all is decided below.
    pub(super) shown_stable: Offset,
}

impl Log {
    fn new(topic: TopicId) -> Self {
        let (deleted_to, shown_start, shown_stable) = (Offset::ZERO, Offset::ZERO, Offset::ZERO);
        Self { topic, batches: BTreeMap::new(), deleted_to, shown_start, shown_stable }
    }

    /// The acknowledged batches that begin within `range`.
    pub(super) fn acknowledged(
        &self,
        range: impl std::ops::RangeBounds<Offset>,
    ) -> impl Iterator<Item = (Offset, &Batch)> {
        let batches = self.batches.range(range);
        batches.flat_map(|(at, same)| same.iter().filter(|batch| batch.acknowledged).map(|one| (*at, one)))
    }

    /// Whether keyed compaction may have removed a batch: each of its records has a later one of its key, or it is of a
    /// transaction that is not known to be committed. Markers go in the end, too.
    pub(super) fn is_outdated(&self, batch: &Batch, transactions: &Transactions) -> bool {
        let committed = batch.transaction.is_none_or(|one| transactions.committed(one) == Some(true));
        if batch.is_marker() || !committed {
            return true;
        }
        let counts = |later: &Batch| {
            let aborted = later.transaction.is_some_and(|one| transactions.committed(one) == Some(false));
            !later.is_marker() && !aborted
        };
        records(&batch.bytes).iter().all(|(offset, key, _)| {
            let later = self.acknowledged(*offset..).filter(|(_, later)| counts(later));
            let mut later = later.flat_map(|(_, later)| records(&later.bytes));
            later.any(|(at, other, _)| at > *offset && other == *key)
        })
    }

    /// Bytes that may lie at `start` and above, where the partition ends at `end`. Where no batch is known to be, there
    /// may be markers that nobody has read.
    pub(super) fn bytes_from(&self, start: Offset, end: Offset) -> u64 {
        let longest = |same: &Vec<Batch>| same.iter().map(|batch| batch.bytes.len() as u64).max();
        let known: u64 = self.batches.range(start..).filter_map(|(_, same)| longest(same)).sum();
        let count = |batch: &Batch| BatchView::first(&batch.bytes).map_or(0, |view| view.count() as u64);
        let covered: u64 = self.acknowledged(start..end).map(|(_, batch)| count(batch)).sum();
        let marker = Composer::marker(0, 0, Marker { commit: true, coordinator_epoch: 0 }, 0);
        known + end.0.saturating_sub(start.0).saturating_sub(covered) * marker.len() as u64
    }

    /// Whether some of it is of transactions.
    pub(super) fn has_transactions(&self) -> bool {
        self.batches.values().flatten().any(|batch| batch.transaction.is_some())
    }
}

/// Everything that clients know.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) logs: BTreeMap<StreamId, Log>,
    /// Topics that were created, as far as clients were told.
    pub(super) created: BTreeSet<TopicId>,
    /// Topics that were asked to be deleted,
    pub(super) doomed: BTreeSet<TopicId>,
    /// and those of which clients were told that they are.
    pub(super) deleted: BTreeSet<TopicId>,
    pub(super) transactions: Transactions,
}

impl Ledger {
    pub(super) fn log(&mut self, stream: StreamId, topic: TopicId) -> &mut Log {
        self.logs.entry(stream).or_insert_with(|| Log::new(topic))
    }

    /// A batch was given an offset, with the bytes that it has now.
    pub(super) fn appended(
        &mut self,
        stream: StreamId,
        topic: TopicId,
        base: Offset,
        bytes: &[u8],
        transaction: Option<usize>,
    ) -> Identity {
        let timestamp = BatchView::first(bytes).map_or(0, |view| view.max_timestamp());
        let same = self.log(stream, topic).batches.entry(base).or_default();
        same.push(Batch { bytes: bytes.to_vec(), timestamp, acknowledged: false, transaction });
        Identity::of(bytes)
    }

    /// A marker was read: from now on it is there, as if it had been acknowledged.
    pub(super) fn marker(&mut self, stream: StreamId, base: Offset, bytes: &[u8]) -> Result<(), String> {
        let timestamp = BatchView::first(bytes).map_or(0, |view| view.max_timestamp());
        let log = self.logs.get_mut(&stream);
        let log = log.ok_or_else(|| format!("stream {stream}: a marker where nobody wrote"))?;
        let same = log.batches.entry(base).or_default();
        match same.iter().find(|batch| batch.acknowledged) {
            None => {
                let bytes = bytes.to_vec();
                same.push(Batch { bytes, timestamp, acknowledged: true, transaction: None });
                Ok(())
            }
            // Keyed compaction changes it, when it notes from when on the marker may go.
            Some(known) if known.is_marker() => Ok(()),
            Some(_) => Err(format!("stream {stream}: offset {base} was given to a batch and a marker")),
        }
    }

    /// The transaction that a batch is part of which was read.
    pub(super) fn transaction_of(&self, stream: StreamId, base: Offset, bytes: &[u8]) -> Option<usize> {
        let identity = Identity::of(bytes);
        let same = self.logs.get(&stream)?.batches.get(&base)?;
        same.iter().find(|batch| batch.is(identity))?.transaction
    }

    /// A broker says that a batch without an offset is at `base` already, where it put it itself under `pending`, or
    /// where it is durable. Returns which one that is, if only one can be meant.
    pub(super) fn repeated(
        &self,
        stream: StreamId,
        base: Offset,
        bytes: &[u8],
        pending: Option<i32>,
    ) -> Result<Option<Identity>, String> {
        let log = self.logs.get(&stream);
        let known = log.and_then(|log| log.batches.get(&base)).into_iter().flatten();
        let known: Vec<&Batch> = known.filter(|known| known.bytes[CONTENT..] == bytes[CONTENT..]).collect();
        let identity = |batch: &&Batch| Identity::of(&batch.bytes);
        let durable = known.iter().find(|batch| batch.acknowledged).map(identity);
        let all: Vec<Identity> = known.iter().map(identity).collect();
        let own = all.iter().find(|one| Some(one.leader_epoch) == pending);
        match (pending, own, durable, all.as_slice()) {
            (Some(_), Some(own), ..) => Ok(Some(*own)),
            (None, _, Some(durable), _) => Ok(Some(durable)),
            (None, _, None, [one]) => Ok(Some(*one)),
            (None, _, None, [_, ..]) => Ok(None),
            _ => Err(format!("stream {stream}: no batch of that sequence was put at {base}")),
        }
    }

    /// The batch of this identity that was appended at `base` is durable.
    pub(super) fn acknowledge(
        &mut self,
        stream: StreamId,
        base: Offset,
        identity: Identity,
    ) -> Result<(), String> {
        let log = self.logs.get_mut(&stream).expect("it was appended");
        let same = log.batches.get_mut(&base).expect("it was appended");
        if same.iter().any(|batch| batch.acknowledged && !batch.is(identity)) {
            return Err(format!("stream {stream}: offset {base} was given to two"));
        }
        let batch = same.iter_mut().find(|batch| batch.is(identity));
        batch.expect("it was appended").acknowledged = true;
        Ok(())
    }

    /// A consumer was given this batch, so it counts as acknowledged from now on.
    pub(super) fn seen(&mut self, stream: StreamId, base: Offset, bytes: &[u8]) -> Result<(), String> {
        let same = self.logs.get(&stream).and_then(|log| log.batches.get(&base));
        let sent = same.into_iter().flatten().any(|batch| batch.bytes == bytes);
        if !sent {
            return Err(format!("stream {stream}: nobody sent what is at {base}"));
        }
        self.acknowledge(stream, base, Identity::of(bytes))
    }

    pub(super) fn acknowledgements(&self) -> usize {
        let all = self.logs.values().flat_map(|log| log.acknowledged(..));
        all.filter(|(_, batch)| !batch.is_marker()).count()
    }
}
