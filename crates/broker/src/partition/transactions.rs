//! The transactions of one partition: which are open, which were aborted, and up to where all is decided. Pure.
//!
//! Readers of committed records are given what lies below the last stable offset, with the aborted transactions in it,
//! which they leave out (KIP-98; the rules are those of Kafka 4's `ProducerStateManager` and `TransactionIndex`). A
//! transaction is open from its first batch to its marker, and holds that offset back until the marker is durable, too:
//! one that was only appended may yet be lost.
//!
//! What is open and what was aborted are bounded together, so that a marker is never refused. At the bound no new
//! transaction begins ([`Transactions::has_room`]) until some end by a commit, retention has moved the partition's start
//! past aborted ones, or keyed compaction has removed their records. Kafka has no such bound; its index is in files.

use crate::cleaner::Aborted;
use levee_base::Offset;
use std::collections::{BTreeMap, VecDeque};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    aborted: Aborted,
    /// No transaction that is entered later begins below this.
    stable: i64,
}

/// See the module's text.
#[derive(Debug, Clone)]
pub struct Transactions {
    limit: usize,
    /// The first offsets of those that are open, and whose they are.
    open: BTreeMap<Offset, i64>,
    /// The markers that may not be durable, in their order, and the first offsets of what they end.
    ended: VecDeque<(Offset, Offset)>,
    /// In the order of their markers.
    aborted: VecDeque<Entry>,
    forgotten: Forgotten,
}

/// Of the transactions that were aborted, those that are known no more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Forgotten {
    /// How many they are.
    pub(super) count: u64,
    /// The last offset of any of them, -1 if there are none.
    pub(super) last_offset: i64,
}

impl Forgotten {
    const NONE: Self = Self { count: 0, last_offset: -1 };

    fn add(&mut self, aborted: &Aborted) {
        self.count += 1;
        self.last_offset = self.last_offset.max(aborted.last_offset);
    }
}

impl PartialEq for Transactions {
    fn eq(&self, other: &Self) -> bool {
        // How soon a search ends, and what is gone, is no difference.
        self.open == other.open && self.ended == other.ended && self.iter().eq(other.iter())
    }
}

impl Eq for Transactions {}

impl Transactions {
    /// None yet; as many as `limit` may be open or have been aborted.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let (open, ended, aborted) = (BTreeMap::new(), VecDeque::new(), VecDeque::new());
        Self { limit, open, ended, aborted, forgotten: Forgotten::NONE }
    }

    /// Whether another one may begin.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.open.len() + self.aborted.len() < self.limit
    }

    /// Whether one may begin with the batch at `first`.
    pub(super) fn may_begin(&self, first: Offset) -> bool {
        self.has_room() && !self.open.contains_key(&first)
    }

    /// A transaction begins with the batch at `first`.
    pub(super) fn begin(&mut self, first: Offset, producer_id: i64) {
        self.open.insert(first, producer_id);
    }

    /// The marker at `marker` ends the transaction that began at `first`. What lies below `durable` is durable.
    pub(super) fn end(&mut self, first: Offset, marker: Offset, commit: bool, durable: Offset) {
        let Some(producer_id) = self.open.remove(&first) else { return };
        if marker >= durable {
            self.ended.push_back((marker, first));
        }
        if !commit {
            let (first_offset, last_offset) = (first.0.cast_signed(), marker.0.cast_signed());
            let next =
                self.open.first_key_value().map_or(last_offset + 1, |(first, _)| first.0.cast_signed());
            let aborted = Aborted { first_offset, last_offset, producer_id };
            self.aborted.push_back(Entry { aborted, stable: next });
        }
    }

    /// What lies below `durable` is durable.
    pub(super) fn settle(&mut self, durable: Offset) {
        while self.ended.pop_front_if(|(marker, _)| *marker < durable).is_some() {}
    }

    /// The last stable offset of a partition that begins at `start` and is durable up to `durable`.
    #[must_use]
    pub fn last_stable(&self, start: Offset, durable: Offset) -> Offset {
        let ended = self.ended.iter().filter(|(marker, _)| *marker >= durable).map(|(_, first)| *first);
        let open = self.open.first_key_value().map(|(first, _)| *first);
        let unstable = ended.chain(open).min();
        // As in Kafka, records that are gone hold back what is left as long as their transaction is open.
        unstable.map_or(durable, |first| first.max(start).min(durable))
    }

    /// The aborted transactions that overlap the offsets from `from` on and below `until`, in the order of their markers.
    pub fn overlapping(&self, from: Offset, until: Offset) -> impl Iterator<Item = Aborted> {
        let (from, until) = (from.0.cast_signed(), until.0.cast_signed());
        let first = self.aborted.partition_point(|entry| entry.aborted.last_offset < from);
        let mut over = false;
        self.aborted
            .range(first..)
            .take_while(move |entry| !std::mem::replace(&mut over, entry.stable >= until))
            .map(|entry| entry.aborted)
            .filter(move |aborted| aborted.first_offset < until)
    }

    /// All that were aborted, in the order of their markers.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Aborted> + ExactSizeIterator {
        self.aborted.iter().map(|entry| entry.aborted)
    }

    /// How many are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Forgets those that ended below `start`.
    pub(super) fn drop_below(&mut self, start: Offset) {
        let start = start.0.cast_signed();
        while let Some(entry) = self.aborted.pop_front_if(|entry| entry.aborted.last_offset < start) {
            self.forgotten.add(&entry.aborted);
        }
    }

    /// Forgets the aborted ones of which `keep` says no.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&Aborted) -> bool) {
        let forgotten = &mut self.forgotten;
        self.aborted.retain(|entry| {
            let keeps = keep(&entry.aborted);
            if !keeps {
                forgotten.add(&entry.aborted);
            }
            keeps
        });
    }

    /// The aborted ones that have been forgotten.
    pub(super) fn forgotten(&self) -> Forgotten {
        self.forgotten
    }

    /// Takes these for all that were aborted. They are in the order of their markers, and no more than may be.
    ///
    /// # Errors
    /// When they are not.
    pub(super) fn restore(&mut self, aborted: Vec<Aborted>) -> Result<(), &'static str> {
        let sound =
            |aborted: &Aborted| aborted.first_offset < aborted.last_offset && aborted.first_offset >= 0;
        if aborted.len() + self.open.len() > self.limit {
            return Err("it has too many aborted transactions");
        }
        if !aborted.iter().all(sound) || !aborted.is_sorted_by(|a, b| a.last_offset < b.last_offset) {
            return Err("its aborted transactions are out of order");
        }
        let mut stable = self.open.first_key_value().map_or(i64::MAX, |(first, _)| first.0.cast_signed());
        self.aborted = VecDeque::with_capacity(aborted.len());
        for aborted in aborted.into_iter().rev() {
            self.aborted.push_front(Entry { aborted, stable: stable.min(aborted.last_offset + 1) });
            stable = stable.min(aborted.first_offset);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn aborted(producer_id: i64, first_offset: i64, last_offset: i64) -> Aborted {
        Aborted { first_offset, last_offset, producer_id }
    }

    #[test]
    fn a_transaction_holds_the_last_stable_offset_back_until_its_marker_is_durable() {
        let mut transactions = Transactions::new(10);
        let at =
            |transactions: &Transactions, durable| transactions.last_stable(Offset(0), Offset(durable)).0;
        transactions.begin(Offset(5), 1);
        assert_eq!([at(&transactions, 3), at(&transactions, 5), at(&transactions, 9)], [3, 5, 5]);
        transactions.begin(Offset(7), 2);
        transactions.end(Offset(5), Offset(9), true, Offset(9));
        assert_eq!([at(&transactions, 9), at(&transactions, 10)], [5, 7]);
        transactions.settle(Offset(10));
        assert_eq!(at(&transactions, 10), 7);
        transactions.end(Offset(7), Offset(10), false, Offset(10));
        assert_eq!([at(&transactions, 10), at(&transactions, 11)], [7, 11]);
        // What is gone holds nothing back but what is left.
        transactions.begin(Offset(11), 1);
        assert_eq!(transactions.last_stable(Offset(14), Offset(20)), Offset(14));
    }

    #[test]
    fn what_is_open_and_what_was_aborted_share_a_bound() {
        let mut transactions = Transactions::new(2);
        transactions.begin(Offset(0), 1);
        transactions.begin(Offset(1), 2);
        assert!(!transactions.has_room());
        transactions.end(Offset(0), Offset(2), false, Offset(9));
        assert!(!transactions.has_room());
        transactions.end(Offset(1), Offset(3), true, Offset(9));
        assert!(transactions.has_room());
        transactions.begin(Offset(4), 1);
        transactions.drop_below(Offset(2));
        assert!(!transactions.has_room());
        transactions.drop_below(Offset(3));
        assert!(transactions.has_room());
        assert!(transactions.clone().restore(vec![aborted(1, 5, 7), aborted(2, 3, 7)]).is_err());
        assert!(transactions.clone().restore(vec![aborted(1, 7, 7)]).is_err());
        assert!(transactions.clone().restore(vec![aborted(1, 6, 7), aborted(2, 3, 9)]).is_err(), "too many");
        assert!(transactions.restore(vec![aborted(1, 6, 7)]).is_ok());
    }

    proptest! {
        /// The search finds what a look at each finds, also after a restart.
        #[test]
        fn what_overlaps_is_found(
            steps in prop::collection::vec((0_i64..6, any::<bool>(), 1_u64..4), 1..200),
            ranges in prop::collection::vec((0_u64..400, 0_u64..50), 20),
        ) {
            let mut transactions = Transactions::new(1_000);
            let mut open = BTreeMap::new();
            let (mut at, mut expected) = (0, Vec::new());
            for (producer_id, commit, count) in steps {
                if let Some(first) = open.remove(&producer_id) {
                    transactions.end(Offset(first), Offset(at), commit, Offset(at));
                    if !commit {
                        expected.push(aborted(producer_id, first.cast_signed(), at.cast_signed()));
                    }
                } else {
                    transactions.begin(Offset(at), producer_id);
                    open.insert(producer_id, at);
                }
                at += count;
            }
            let mut restored = transactions.clone();
            restored.restore(transactions.iter().collect()).unwrap();
            prop_assert_eq!(&restored, &transactions);
            for (from, length) in ranges {
                let until = from + length;
                let overlaps = |aborted: &&Aborted| {
                    aborted.last_offset >= from.cast_signed() && aborted.first_offset < until.cast_signed()
                };
                let expected: Vec<_> = expected.iter().filter(overlaps).copied().collect();
                for transactions in [&transactions, &restored] {
                    let found: Vec<_> = transactions.overlapping(Offset(from), Offset(until)).collect();
                    prop_assert_eq!(&found, &expected);
                }
            }
        }
    }
}
