//! What the cleaner knows of transactions while it reads a log from the front: whose records were aborted, and when a
//! marker may go. The rules are those of Kafka's `CleanedTransactionMetadata`.
//!
//! - A batch of an aborted transaction may go at once: no reader of committed records sees it.
//! - A marker may go once no batch of its transaction was seen before it in the same pass, not even an empty one;
//!   [`super::Cleaner`] then gives it a delete horizon, and drops it in the first pass after that.
//!
//! Cleaning never passes the last stable offset, so every transaction that is seen here has ended or does later on.
//! Where Kafka relies on the marker to end an aborted transaction, the range's own end does too here: a marker that
//! can't be read, or that is gone, must not make the producer's next transaction look aborted.

use super::scan::Scan;
use crate::batch::BatchView;
use crate::batch::records::Unreadable;
use std::collections::{BTreeMap, BTreeSet};

const ABORT: i16 = 0;
const COMMIT: i16 = 1;

/// A transaction that was aborted, as the partition's index of them has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Aborted {
    /// The offset of its first record.
    pub first_offset: i64,
    /// The offset of its marker.
    pub last_offset: i64,
    /// Whose it was.
    pub producer_id: i64,
}

/// The transactions around the batch that was read last.
#[derive(Debug, Default)]
pub struct Transactions {
    /// Those that begin later, the latest first.
    to_come: Vec<Aborted>,
    /// By producer: what was aborted, and whether a batch of it is still there.
    aborted: BTreeMap<i64, (Aborted, bool)>,
    /// Producers with a batch that was not aborted since their last marker.
    committed: BTreeSet<i64>,
    remaining: Vec<Aborted>,
}

impl Transactions {
    /// Before the first batch. `aborted` are those that overlap what will be read; more of them do no harm.
    #[must_use]
    pub fn new(mut aborted: Vec<Aborted>) -> Self {
        aborted.sort_unstable_by(|a, b| b.cmp(a));
        Self { to_come: aborted, ..Self::default() }
    }

    /// Reads on past a batch that is no marker; whether it belongs to an aborted transaction.
    pub fn batch(&mut self, batch: &BatchView<'_>) -> bool {
        self.begin_up_to(batch);
        if !batch.attributes().transactional() {
            return false;
        }
        match self.aborted.get_mut(&batch.producer_id()) {
            Some((_, seen)) => {
                *seen = true;
                true
            }
            None => {
                self.committed.insert(batch.producer_id());
                false
            }
        }
    }

    /// Reads on past a control batch; whether nothing is left of its transaction.
    ///
    /// # Errors
    /// When it can't be read. It ends its producer's transaction even so.
    pub fn marker(&mut self, batch: &BatchView<'_>, limit_bytes: usize) -> Result<bool, Unreadable> {
        self.begin_up_to(batch);
        let kind = kind(batch, limit_bytes);
        let aborted = self.aborted.remove(&batch.producer_id());
        let committed = self.committed.remove(&batch.producer_id());
        if let Some((range, true)) = aborted {
            self.remaining.push(range);
        }
        Ok(match kind? {
            Kind::Cleaned => true,
            // Batches that looked committed before an abort marker: the index of aborted transactions lacks theirs.
            // Without the marker they would be committed for good.
            Kind::Abort => !committed && !aborted.is_some_and(|(_, seen)| seen),
            Kind::Commit => !committed,
            Kind::Other => false,
        })
    }

    /// The aborted transactions of which batches were seen, or may still come: what the partition's index of them
    /// must still hold, sorted by their first offsets.
    #[must_use]
    pub fn finish(self) -> Vec<Aborted> {
        let mut remaining = self.remaining;
        remaining.extend(self.aborted.into_values().map(|(range, _)| range));
        remaining.extend(self.to_come);
        remaining.sort_unstable();
        remaining
    }

    fn begin_up_to(&mut self, batch: &BatchView<'_>) {
        while let Some(range) = self.to_come.pop_if(|range| range.first_offset <= batch.last_offset()) {
            // One that this batch is beyond, and of which nothing was met: the log starts after it.
            if range.last_offset >= batch.base_offset() {
                let before = self.aborted.insert(range.producer_id, (range, false));
                self.remaining.extend(before.filter(|(_, seen)| *seen).map(|(range, _)| range));
            }
        }
        let producer = batch.producer_id();
        if let Some((range, seen)) = self.aborted.get(&producer).copied()
            && range.last_offset < batch.base_offset()
        {
            self.aborted.remove(&producer);
            self.remaining.extend(seen.then_some(range));
        }
    }
}

enum Kind {
    Abort,
    Commit,
    /// A control batch of a kind that is not known here.
    Other,
    /// It holds no record any more.
    Cleaned,
}

fn kind(batch: &BatchView<'_>, limit_bytes: usize) -> Result<Kind, Unreadable> {
    let mut scan = Scan::open(batch, limit_bytes)?;
    if batch.count() == 0 {
        return Ok(Kind::Cleaned);
    }
    // Version and type, big-endian.
    Ok(match scan.key_start::<4>()?.map(|[_, _, high, low]| i16::from_be_bytes([high, low])) {
        Some(ABORT) => Kind::Abort,
        Some(COMMIT) => Kind::Commit,
        _ => Kind::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::build::Build;

    const LIMIT: usize = 1 << 20;

    fn data(transactions: &mut Transactions, offset: i64, producer: i64) -> bool {
        let bytes =
            Build::new().producer(producer, 0, 0).attribute(4).record(1, "k", "v").at(offset, 0).bytes();
        transactions.batch(&BatchView::first(&bytes).unwrap())
    }

    fn marker(transactions: &mut Transactions, offset: i64, producer: i64, commit: bool) -> bool {
        let bytes = Build::marker(1, producer, 0, commit).at(offset, 0).bytes();
        transactions.marker(&BatchView::first(&bytes).unwrap(), LIMIT).unwrap()
    }

    fn aborted(producer_id: i64, first_offset: i64, last_offset: i64) -> Aborted {
        Aborted { first_offset, last_offset, producer_id }
    }

    #[test]
    fn interleaved_transactions_are_told_apart() {
        let ranges = vec![aborted(1, 0, 3), aborted(2, 5, 7)];
        let mut transactions = Transactions::new(ranges.clone());
        assert!(data(&mut transactions, 0, 1));
        assert!(!data(&mut transactions, 1, 2), "producer 2 commits this one");
        assert!(data(&mut transactions, 2, 1));
        assert!(!marker(&mut transactions, 3, 1, false), "its batches were seen");
        assert!(!marker(&mut transactions, 4, 2, true));
        assert!(data(&mut transactions, 5, 2));
        assert!(!data(&mut transactions, 6, 1), "producer 1 has begun a new one");
        assert!(!marker(&mut transactions, 7, 2, false));
        assert!(!marker(&mut transactions, 8, 1, true));
        assert_eq!(transactions.finish(), ranges);
    }

    #[test]
    fn a_marker_may_go_when_nothing_of_its_transaction_is_left() {
        let mut transactions = Transactions::new(vec![aborted(1, 0, 3), aborted(3, 20, 22)]);
        assert!(marker(&mut transactions, 3, 1, false));
        assert!(marker(&mut transactions, 4, 2, true));
        assert_eq!(transactions.finish(), [aborted(3, 20, 22)], "only what lies ahead");
    }

    #[test]
    fn a_marker_that_is_lost_does_not_abort_the_next_transaction() {
        let mut transactions = Transactions::new(vec![aborted(1, 0, 3)]);
        assert!(data(&mut transactions, 0, 1));
        assert!(!data(&mut transactions, 4, 1));
        let mut bytes = Build::marker(1, 1, 0, true).at(5, 0).bytes();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        assert!(transactions.marker(&BatchView::first(&bytes).unwrap(), LIMIT).is_err());
        assert!(marker(&mut transactions, 6, 1, true), "the unreadable one has ended it");
        assert_eq!(transactions.finish(), [aborted(1, 0, 3)]);
    }

    #[test]
    fn markers_of_other_kinds_stay() {
        let mut transactions = Transactions::default();
        let bytes = Build::new().attribute(5).entry(1, Some(&[0, 0, 0, 9]), Some(&[])).bytes();
        assert!(!transactions.marker(&BatchView::first(&bytes).unwrap(), LIMIT).unwrap());
    }
}
