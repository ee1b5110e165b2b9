//! The write-ahead logs beyond what is registered: each object of an open log from its trim point to the last one that
//! was listed.
//!
//! A log is exactly the slots before its first empty one. Its writer has at most so many creates in flight, and sends
//! none that is farther ahead: so a slot that is empty, with another so far above it that is there, held an
//! acknowledged entry, and it is lost. Anything nearer may still be on its way, or was never answered.
//!
//! A live broker trims meanwhile: then the metadata is read on, and the rest judged from the new trim point.

use super::examine::Tail;
use super::finding::{Finding, Problem, Severity};
use super::object::{Fault, Harm};
use super::{CheckError, Checker, Part, records};
use futures::{StreamExt, stream};
use levee_base::limits::WAL_IN_FLIGHT_MAX;
use levee_base::{BrokerEpoch, HashMap, NodeId, Offset, Slot, StreamId, WriterId};
use levee_meta::{ObjectName, State};
use levee_object::Key;
use levee_store::format::{BlockKind, Index};

/// Where the streams of a log go on.
#[derive(Debug, Default)]
pub(super) struct Ends(HashMap<(StreamId, u32), Offset>);

/// A block that does not begin where its stream goes on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Break {
    pub(super) stream: StreamId,
    pub(super) expected: Offset,
    pub(super) found: Offset,
}

impl Ends {
    /// Those of the streams that the broker of `epoch` leads, as they are registered.
    fn registered(state: &State, epoch: BrokerEpoch) -> Self {
        Self(state.led_by(epoch).map(|(id, stream)| ((id, stream.leader_epoch), stream.end)).collect())
    }

    /// The next object of the log.
    pub(super) fn go_on(&mut self, index: &Index) -> Vec<Break> {
        let mut breaks = Vec::new();
        for block in index.blocks.iter().filter(|block| block.kind == BlockKind::Batches) {
            let (stream, found) = (block.stream, block.offsets.start);
            if let Some(expected) = self.0.insert((stream, block.leader_epoch), block.offsets.end)
                && expected != found
            {
                breaks.push(Break { stream, expected, found });
            }
        }
        breaks
    }
}

/// Whether a slot that is empty while `last` is there held an acknowledged entry.
pub(super) fn was_acknowledged(empty: Slot, last: Slot) -> bool {
    last.0.checked_sub(empty.0).is_some_and(|ahead| ahead >= WAL_IN_FLIGHT_MAX as u64)
}

impl Checker<'_> {
    /// Checks what open logs hold and the metadata doesn't know yet.
    pub(super) async fn tails(&mut self, last_slots: &HashMap<BrokerEpoch, Slot>) -> Result<(), CheckError> {
        self.progress.begin("checking logs that are open", 0);
        let open = self.observer.state().wals().filter(|(_, wal)| wal.fence.is_none());
        let logs: Vec<(BrokerEpoch, NodeId, Slot)> =
            open.filter_map(|(epoch, wal)| Some((epoch, wal.node, *last_slots.get(&epoch)?))).collect();
        for (epoch, node, last) in logs {
            self.tail(epoch, node, last).await?;
        }
        Ok(())
    }

    async fn tail(&mut self, epoch: BrokerEpoch, node: NodeId, last: Slot) -> Result<(), CheckError> {
        let mut reported = Slot::ZERO;
        // The metadata is read on before each round; a round that finds nothing to be gone has seen all.
        while let Some(from) = self.open_from(epoch).filter(|from| *from <= last) {
            match self.walk(epoch, node, from, last, &mut reported).await? {
                Walked::End => return Ok(()),
                Walked::Empty(slot) => {
                    self.observer.catch_up().await?;
                    let trimmed = self.open_from(epoch).is_none_or(|from| from > slot);
                    if !trimmed {
                        let name = ObjectName::Wal { node, epoch, slot };
                        let there = !matches!(self.examiner().tail(name).await?, Tail::Missing);
                        if !there && was_acknowledged(slot, last) {
                            self.found(lost(&name, last));
                        }
                        if !there {
                            return Ok(());
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn open_from(&self, epoch: BrokerEpoch) -> Option<Slot> {
        self.observer.state().wal(epoch).filter(|wal| wal.fence.is_none()).map(|wal| wal.trim)
    }

    async fn walk(
        &mut self,
        epoch: BrokerEpoch,
        node: NodeId,
        from: Slot,
        last: Slot,
        reported: &mut Slot,
    ) -> Result<Walked, CheckError> {
        let mut ends = Ends::registered(self.observer.state(), epoch);
        let mut first: Option<WriterId> = None;
        let mut findings = Vec::new();
        let (mut objects, mut blocks, mut batches) = (0, 0, 0);
        let mut walked = Walked::End;
        {
            let examiner = self.examiner();
            let names = (from.0..=last.0).map(|slot| ObjectName::Wal { node, epoch, slot: Slot(slot) });
            let mut read = stream::iter(names)
                .map(|name| async move { (name, examiner.tail(name).await) })
                .buffered(self.options.concurrency);
            while let Some((name, tail)) = read.next().await {
                let ObjectName::Wal { slot, .. } = name else { break };
                let (writer, total_bytes, examined) = match tail? {
                    Tail::Missing => {
                        walked = Walked::Empty(slot);
                        break;
                    }
                    Tail::Fence => break,
                    Tail::Entry { writer, total_bytes, examined } => (writer, total_bytes, examined),
                };
                self.progress.add(1);
                // What an earlier round has seen is not told twice.
                let new = slot >= *reported;
                let key = name.key();
                if new {
                    *reported = slot.next();
                    objects += 1;
                    blocks += examined.blocks;
                    batches += examined.batches;
                }
                let breaks = match &examined.index {
                    Some(index) => ends.go_on(index),
                    // Where its streams go on is not known: the next object says so.
                    None => {
                        ends = Ends::default();
                        Vec::new()
                    }
                };
                if !new {
                    continue;
                }
                let state = self.observer.state();
                for fault in examined.faults {
                    findings.push(of_tail(state, epoch, &key, total_bytes, fault));
                }
                if let Some(writer) = writer
                    && *first.get_or_insert(writer) != writer
                {
                    let detail = "its writer is another than that of the slots before";
                    let finding = Finding::damage(Problem::Corrupt, &key, Part::Header, detail);
                    findings.push(finding.with_remedy(REMEDY));
                }
                for Break { stream, expected, found } in breaks {
                    let detail =
                        format!("it holds offset {found} of stream {stream} where {expected} is due");
                    let mut finding = Finding::damage(Problem::Discontinuous, &key, Part::Index, detail);
                    finding.affected = records(state, stream, expected..found).into_iter().collect();
                    findings.push(finding.with_remedy(REMEDY));
                }
            }
        }
        self.counts.log_objects += objects;
        self.counts.blocks += blocks;
        self.counts.batches += batches;
        for finding in findings {
            self.found(finding);
        }
        Ok(walked)
    }
}

enum Walked {
    /// To the last slot that was listed, or to the log's fence.
    End,
    /// To an empty slot.
    Empty(Slot),
}

const REMEDY: &str = "Restore the object under its key, an earlier version or a backup, before its broker is started or \
    replaced: recovery stops at it. As long as its broker runs, it has the records in memory and registers them by itself";

/// A fault of an object that is not registered. Recovery reads headers and indexes, and stops at one that is damaged; a
/// damaged block keeps the records in it from being read, if they are still anybody's.
fn of_tail(state: &State, epoch: BrokerEpoch, key: &Key, total_bytes: u64, fault: Fault) -> Finding {
    let Fault { problem, part, detail, harm } = fault;
    let Harm::Offsets(stream, range) = harm else {
        return Finding::damage(problem, key, part, detail).with_bytes(total_bytes).with_remedy(REMEDY);
    };
    let kept = state
        .stream(stream)
        .filter(|known| known.leader == Some(epoch))
        .and_then(|known| records(state, stream, range.start.max(known.start)..range.end));
    let severity = if kept.is_some() { Severity::Damage } else { Severity::Note };
    let affected = kept.into_iter().collect();
    Finding::new(severity, problem, Some(key.to_string()), Some(part), detail, affected)
        .with_bytes(total_bytes)
}

fn lost(name: &ObjectName, last: Slot) -> Finding {
    let detail = format!(
        "the log goes on to slot {last}, and no writer is so far ahead of what it has acknowledged: the records in \
         this slot and above are lost to recovery"
    );
    Finding::damage(Problem::Missing, name.key(), Part::Header, detail).with_remedy(REMEDY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use levee_base::Epoch;
    use levee_store::format::{BatchEntry, IndexBuilder};

    /// An object's index: blocks of streams, each with its leader epoch and its offsets.
    fn index(blocks: &[(u64, u32, u64, u64)]) -> Index {
        let mut builder = IndexBuilder::default();
        for &(stream, leader_epoch, from, to) in blocks {
            builder.begin_block(StreamId(stream), leader_epoch, Offset(from), 4096);
            builder.add_batch(BatchEntry::gap((to - from) as u32), 0);
        }
        let mut encoded = Vec::new();
        builder.encode(Epoch(1), 0, |part| encoded.extend_from_slice(part));
        Index::decode(&encoded.into(), 4096).unwrap()
    }

    #[test]
    fn a_stream_goes_on_where_it_is_registered_and_from_object_to_object() {
        let mut ends = Ends([((StreamId(1), 0), Offset(10))].into_iter().collect());
        let broken = |expected, found| {
            [Break { stream: StreamId(1), expected: Offset(expected), found: Offset(found) }]
        };
        assert_eq!(ends.go_on(&index(&[(1, 0, 10, 12), (2, 5, 7, 8), (1, 0, 12, 20)])), []);
        assert_eq!(ends.go_on(&index(&[(1, 0, 21, 22)])), broken(20, 21));
        assert_eq!(ends.go_on(&index(&[(1, 0, 22, 23), (2, 5, 8, 9)])), [], "it is said once");
        assert_eq!(ends.go_on(&index(&[(1, 1, 30, 31)])), [], "another leader's are another's");
        assert_eq!(ends.go_on(&index(&[(1, 0, 22, 23)])), broken(23, 22));
    }

    #[test]
    fn only_a_slot_that_no_writer_leaves_open_is_lost() {
        let window = WAL_IN_FLIGHT_MAX as u64;
        assert!(!was_acknowledged(Slot(5), Slot(5 + window - 1)));
        assert!(was_acknowledged(Slot(5), Slot(5 + window)));
        assert!(!was_acknowledged(Slot(5), Slot(0)) && !was_acknowledged(Slot(u64::MAX), Slot(u64::MAX)));
    }
}
