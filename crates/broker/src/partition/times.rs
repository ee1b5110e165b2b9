//! Where to begin to look for a timestamp, and how far a partition is older than one. Pure.
//!
//! Producers' clocks disagree, so timestamps don't grow with offsets. The largest timestamp up to an offset does,
//! and the first batch whose maximum is `t` or more is exactly where that largest one reaches `t`: so the index
//! keeps it at some offsets, and a look-up walks the notes of batches from the last of those below `t`. When the
//! index is full every second entry goes and the distance between two doubles; so memory is bounded, and a
//! look-up walks a thousandth of the partition's batches at most, once there are many.
//!
//! Retention goes by the same largest timestamps, so it removes what is whole below an entry. There is one wherever
//! time has gone on by so much, too, so that a partition that gets little is no less exact. A batch without
//! timestamps is as old as its append.

use levee_base::Offset;

/// All batches below `from` have timestamps of `most` or less, and are no younger than `newest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) most: i64,
    pub(super) newest: i64,
    pub(super) from: Offset,
}

/// What is known of the batches so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// The largest timestamp of all, and the first batch that has it.
    pub(super) largest: (i64, Offset),
    /// The same, where batches without timestamps count by their append.
    pub(super) newest: i64,
    /// Where they end.
    pub(super) end: Offset,
}

/// The time index of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeIndex {
    pub(super) entries: Vec<Entry>,
    pub(super) limit: usize,
    /// Batches between two entries,
    pub(super) spacing: u64,
    pub(super) since: u64,
    /// or milliseconds, whichever is less.
    pub(super) spacing_ms: i64,
    /// As of the last entry.
    pub(super) since_ms: i64,
    pub(super) seen: Option<Seen>,
}

impl TimeIndex {
    /// Empty; of `limit` entries at most, which is 2 or more, and at first with `spacing` batches or `spacing_ms`
    /// milliseconds of timestamps between two, whichever is less.
    #[must_use]
    pub fn new(limit: usize, spacing: u64, spacing_ms: i64) -> Self {
        Self {
            entries: Vec::new(),
            limit: limit.max(2),
            spacing: spacing.max(1),
            since: 0,
            spacing_ms: spacing_ms.max(1),
            since_ms: 0,
            seen: None,
        }
    }

    /// The next batch. Its largest timestamp is negative if it has none; then `appended_ms` is its age.
    pub fn push(&mut self, base: Offset, end: Offset, max_timestamp: i64, appended_ms: i64) {
        let age = if max_timestamp < 0 { appended_ms } else { max_timestamp };
        let seen = match self.seen {
            None => {
                self.since_ms = age;
                Seen { largest: (max_timestamp, base), newest: age, end }
            }
            Some(seen) => {
                let newest = seen.newest.max(age);
                if self.since >= self.spacing || newest.saturating_sub(self.since_ms) >= self.spacing_ms {
                    self.enter(Entry { most: seen.largest.0, newest: seen.newest, from: base });
                    self.since = 0;
                    self.since_ms = newest;
                }
                let largest =
                    if seen.largest.0 >= max_timestamp { seen.largest } else { (max_timestamp, base) };
                Seen { largest, newest, end }
            }
        };
        self.since += 1;
        self.seen = Some(seen);
    }

    fn enter(&mut self, entry: Entry) {
        if let Some(last) = self.entries.last_mut()
            && (last.most, last.newest) == (entry.most, entry.newest)
        {
            last.from = entry.from;
            return;
        }
        self.entries.push(entry);
        if self.entries.len() > self.limit {
            let mut goes = false;
            self.entries.retain(|_| {
                goes = !goes;
                !goes
            });
            self.spacing = self.spacing.saturating_mul(2);
            self.spacing_ms = self.spacing_ms.saturating_mul(2);
        }
    }

    /// The offset from which on to look for the first batch with a timestamp of `timestamp` or more; `None` if
    /// there is no such batch.
    #[must_use]
    pub fn look_from(&self, timestamp: i64) -> Option<Offset> {
        self.largest().filter(|(most, _)| *most >= timestamp)?;
        let below = self.entries.partition_point(|entry| entry.most < timestamp);
        Some(below.checked_sub(1).map_or(Offset::ZERO, |at| self.entries[at].from))
    }

    /// The largest timestamp and the base offset of the first batch that has it.
    #[must_use]
    pub fn largest(&self) -> Option<(i64, Offset)> {
        self.seen.map(|seen| seen.largest)
    }

    /// An offset, where a batch begins or the last one ends, below which all batches are older than `cutoff`: as far
    /// as the index knows, which is never too far. `None` if it knows of none.
    #[must_use]
    pub fn expired_below(&self, cutoff: i64) -> Option<Offset> {
        let seen = self.seen?;
        if seen.newest < cutoff {
            return Some(seen.end);
        }
        let expired = self.entries.partition_point(|entry| entry.newest < cutoff);
        expired.checked_sub(1).map(|at| self.entries[at].from)
    }

    /// Forgets what it knows of what lies below `start` alone. What it says of the rest stays as it is.
    pub fn drop_below(&mut self, start: Offset) {
        // The last of them says where to begin for what is above all of them.
        let below = self.entries.partition_point(|entry| entry.from <= start);
        self.entries.drain(..below.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Looks a timestamp up as `PartitionLog` does.
    fn look_up(index: &TimeIndex, batches: &[i64], timestamp: i64) -> Option<usize> {
        let from = usize::try_from(index.look_from(timestamp)?.0).unwrap();
        let found = batches[from..].iter().position(|max| *max >= timestamp);
        Some(from + found.expect("the index said that there is one"))
    }

    proptest! {
        #[test]
        fn finds_the_first_batch_that_reaches_a_timestamp(
            batches in prop::collection::vec(-1_i64..200, 0..400),
            limit in 2_usize..20,
            spacing in 1_u64..5,
            spacing_ms in 1_i64..100,
        ) {
            let mut index = TimeIndex::new(limit, spacing, spacing_ms);
            for (base, max) in (0..).zip(&batches) {
                index.push(Offset(base), Offset(base + 1), *max, 0);
                prop_assert!(index.entries.len() <= limit);
            }
            for timestamp in -1..201 {
                let expected = batches.iter().position(|max| *max >= timestamp);
                prop_assert_eq!(look_up(&index, &batches, timestamp), expected);
            }
            let largest = batches.iter().max().map(|max| {
                let at = batches.iter().position(|one| one == max).unwrap();
                (*max, Offset(at as u64))
            });
            prop_assert_eq!(index.largest(), largest);
        }

        /// What expires is what a walk over all batches finds, or less by what lies between two entries; and dropping
        /// what is below a start changes nothing above it.
        #[test]
        fn what_has_expired_is_never_too_much_and_hardly_too_little(
            batches in prop::collection::vec((-1_i64..200, 0_i64..200), 1..400),
            limit in 2_usize..40,
            spacing in 1_u64..5,
            spacing_ms in 1_i64..50,
            cutoff in -1_i64..210,
            start in 0_u64..400,
        ) {
            let mut index = TimeIndex::new(limit, spacing, spacing_ms);
            for (base, (max, appended)) in (0..).zip(&batches) {
                index.push(Offset(base), Offset(base + 1), *max, *appended);
            }
            let age = |&(max, appended): &(i64, i64)| if max < 0 { appended } else { max };
            let exact = batches.iter().position(|batch| age(batch) >= cutoff).unwrap_or(batches.len());
            let known = index.expired_below(cutoff).map_or(0, |offset| usize::try_from(offset.0).unwrap());
            prop_assert!(known <= exact);
            // As long as it has never been full.
            if index.spacing == spacing && known < exact {
                prop_assert!(exact - known <= usize::try_from(spacing).unwrap(), "{} {}", known, exact);
                let newest = batches[..exact].iter().map(age).max().unwrap();
                let left = batches[..=known].iter().map(age).max().unwrap();
                prop_assert!(newest - left < spacing_ms, "{} {}", left, newest);
            }
            let mut dropped = index.clone();
            dropped.drop_below(Offset(start));
            let above = |offset: Option<Offset>| offset.filter(|offset| offset.0 > start);
            prop_assert_eq!(above(dropped.expired_below(cutoff)), above(index.expired_below(cutoff)));
            let from = |index: &TimeIndex| index.look_from(cutoff).map(|from| from.0.max(start));
            prop_assert_eq!(from(&dropped), from(&index));
        }
    }

    #[test]
    fn a_partition_that_gets_a_batch_a_day_is_exact_and_what_is_dropped_takes_no_memory() {
        let mut index = TimeIndex::new(1_024, 64, 60_000);
        let day = |at: u64| 86_400_000 * (at.cast_signed() + 1);
        for at in 0..30 {
            index.push(Offset(at), Offset(at + 1), day(at), 0);
        }
        assert_eq!(index.expired_below(day(0)), None);
        for at in 1..30 {
            assert_eq!(index.expired_below(day(at)), Some(Offset(at)));
        }
        assert_eq!(index.expired_below(day(29) + 1), Some(Offset(30)));
        index.drop_below(Offset(30));
        assert_eq!((index.entries.len(), index.expired_below(day(29))), (1, Some(Offset(29))));
    }

    #[test]
    fn a_full_index_keeps_its_reach() {
        let mut index = TimeIndex::new(8, 1, 1);
        for at in 0..1_000 {
            index.push(Offset(at), Offset(at + 1), at.cast_signed(), 0);
        }
        let from = index.look_from(900).unwrap().0;
        assert!(from > 600 && from <= 900, "{from}");
        let expired = index.expired_below(900).unwrap().0;
        assert!(expired > 600 && expired <= 900, "{expired}");
    }
}
