//! Reading a partition: whole durable batches, and for those who read only what is committed, up to the last stable
//! offset and with the aborted transactions that they leave out.

use super::log::PartitionLog;
use super::transactions::Forgotten;
use crate::batch::BatchView;
use crate::cleaner::Aborted;
use crate::seeded_bugs::{Bug, seeded};
use levee_base::Offset;
use levee_store::{ReadError, Run, StreamEnds};
use std::collections::BTreeMap;
use std::ops::Range;

/// Which records a reader wants (Kafka's `isolation.level`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isolation {
    /// All that are durable.
    #[default]
    Uncommitted,
    /// Those of no transaction, or of one that was committed.
    Committed,
}

impl Isolation {
    /// By its number in a request, 0 for all and 1 for committed; there are no others.
    #[must_use]
    pub fn of(number: i8) -> Option<Self> {
        match number {
            0 => Some(Self::Uncommitted),
            1 => Some(Self::Committed),
            _ => None,
        }
    }
}

/// Why records can't be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// There is no such offset, and there won't be until others have been appended.
    #[error("the offset is not within {start} to {end}")]
    OutOfRange {
        /// Where the partition begins.
        start: Offset,
        /// The end of what was appended.
        end: Offset,
    },
    /// This broker leads the partition no more.
    #[error("this broker does not lead the partition")]
    NotLeader,
    /// The store can't give them.
    #[error(transparent)]
    Store(ReadError),
}

impl From<ReadError> for FetchError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::UnknownStream => Self::NotLeader,
            ReadError::OutOfRange { ends, .. } => Self::OutOfRange { start: ends.start, end: ends.appended },
            error => Self::Store(error),
        }
    }
}

/// What was read.
#[derive(Debug)]
pub struct Fetched {
    /// The partition's offsets before the read,
    pub ends: StreamEnds,
    /// and its last stable offset.
    pub last_stable: Offset,
    /// Whole batches.
    pub runs: Vec<Run>,
    /// The aborted transactions in them, in the order of their markers, for those who read only what is committed.
    pub aborted: Vec<Aborted>,
    /// Whether there is more to be read than this.
    pub more: bool,
}

impl PartitionLog {
    /// As [`PartitionLog::fetch`], whatever became of the records' transactions.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn read(&self, from: i64, max_bytes: usize, at_least_one: bool) -> Result<Fetched, FetchError> {
        self.fetch(from, Isolation::Uncommitted, max_bytes, at_least_one).await
    }

    /// Reads whole durable batches from the one that holds `from` on, `max_bytes` at most, but for the first one
    /// if `at_least_one`. Nothing at the end, or at the last stable offset for those who read only what is committed.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn fetch(
        &self,
        from: i64,
        isolation: Isolation,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<Fetched, FetchError> {
        if isolation == Isolation::Uncommitted {
            return self.fetch_once(from, isolation, max_bytes, at_least_one).await;
        }
        loop {
            let before = self.forgotten();
            let fetched = self.fetch_once(from, isolation, max_bytes, at_least_one).await?;
            // What is removed while it is read takes with it that its transactions were aborted: whoever was given the
            // records without that would take them for committed. Read anew it isn't there any more.
            let now = self.forgotten();
            if now.count == before.count || now.last_offset < from {
                return Ok(fetched);
            }
        }
    }

    /// What has been forgotten of the transactions that were aborted.
    fn forgotten(&self) -> Forgotten {
        self.state().known.producers.transactions().forgotten()
    }

    async fn fetch_once(
        &self,
        from: i64,
        isolation: Isolation,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<Fetched, FetchError> {
        let ends = self.ends().ok_or(FetchError::NotLeader)?;
        let out_of_range = FetchError::OutOfRange { start: ends.start, end: ends.appended };
        let Ok(from) = u64::try_from(from).map(Offset) else { return Err(out_of_range) };
        if !(ends.start..=ends.appended).contains(&from) {
            return Err(out_of_range);
        }
        let last_stable = self.stable(&ends);
        let until = match isolation {
            Isolation::Uncommitted => ends.durable,
            Isolation::Committed => last_stable,
        };
        let nothing_to_read = from >= until || (max_bytes == 0 && !at_least_one);
        let mut runs = match nothing_to_read {
            true => Vec::new(),
            false => self.streams.read(self.stream, from, max_bytes, at_least_one).await?,
        };
        let mut more = runs.last().map_or(from, |run| run.end) < until;
        if isolation == Isolation::Committed && cut(&mut runs, until) {
            more = false;
        }
        let aborted = match (isolation, runs.last()) {
            (Isolation::Committed, Some(last)) if !seeded(Bug::HideAborted) => {
                self.aborted_in(from, last.end, &runs)
            }
            _ => Vec::new(),
        };
        Ok(Fetched { ends, last_stable, runs, aborted, more })
    }

    /// The aborted transactions that overlap what was read from `from` on and below `until`.
    fn aborted_in(&self, from: Offset, until: Offset, runs: &[Run]) -> Vec<Aborted> {
        let mut aborted: Vec<_> =
            self.state().known.producers.transactions().overlapping(from, until).collect();
        // Keyed compaction removes an aborted transaction's records, and later its marker, at which readers stop to leave
        // the producer's records out. What says so may be lost in between, when the broker is killed: so one that has no
        // records here is not named.
        let cleaned = self.config().topic.compacts || self.cleaned_until() > Offset::ZERO;
        if cleaned && !aborted.is_empty() {
            let there = producers_batches(runs);
            aborted.retain(|aborted| {
                let batches = there.get(&aborted.producer_id);
                batches.is_some_and(|bases| has_one_in(bases, aborted.first_offset..aborted.last_offset))
            });
        }
        aborted
    }
}

/// Whether one of `bases`, which ascend, lies in `range`. One read may hold thousands of both, so this does not go
/// through them all.
fn has_one_in(bases: &[i64], range: Range<i64>) -> bool {
    let at = bases.partition_point(|base| *base < range.start);
    bases.get(at).is_some_and(|base| *base < range.end)
}

/// The first offsets of the batches of transactions, by producer, in their order.
fn producers_batches(runs: &[Run]) -> BTreeMap<i64, Vec<i64>> {
    let mut there: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for run in runs {
        let mut rest = &run.bytes[..];
        while let Some(batch) = BatchView::first(rest) {
            if batch.attributes().transactional() && !batch.attributes().control() {
                there.entry(batch.producer_id()).or_default().push(batch.base_offset());
            }
            rest = &rest[batch.bytes().len()..];
        }
    }
    there
}

/// Removes the batches that begin at or after `until`; whether there were any.
fn cut(runs: &mut Vec<Run>, until: Offset) -> bool {
    let before = runs.len();
    runs.retain(|run| run.base < until);
    let mut cut = runs.len() < before;
    if let Some(run) = runs.last_mut().filter(|run| run.end > until) {
        let mut size = 0;
        while let Some(batch) = BatchView::first(&run.bytes[size..])
            && batch.base_offset() < until.0.cast_signed()
        {
            size += batch.bytes().len();
        }
        cut |= size < run.bytes.len();
        run.bytes.truncate(size);
        run.end = until;
        if size == 0 {
            runs.pop();
        }
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_batch_within_a_transaction_is_found_as_by_a_scan(
            bases in prop::collection::btree_set(0_i64..60, 0..30), first in 0_i64..60, length in 0_i64..10,
        ) {
            let bases: Vec<_> = bases.into_iter().collect();
            let range = first..first + length;
            let scanned = bases.iter().any(|base| range.contains(base));
            prop_assert_eq!(has_one_in(&bases, range), scanned);
        }
    }
}
