//! Where to begin to look for a timestamp. Pure.
//!
//! Producers' clocks disagree, so timestamps don't grow with offsets. The largest timestamp up to an offset does,
//! and the first batch whose maximum is `t` or more is exactly where that largest one reaches `t`: so the index
//! keeps it at some offsets, and a look-up walks the notes of batches from the last of those below `t`. When the
//! index is full every second entry goes and the distance between two doubles; so memory is bounded, and a
//! look-up walks a thousandth of the partition's batches at most, once there are many.

use levee_base::Offset;

/// All batches below `from` have timestamps of `most` or less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    most: i64,
    from: Offset,
}

/// The time index of one partition.
#[derive(Debug, Clone)]
pub struct TimeIndex {
    entries: Vec<Entry>,
    limit: usize,
    /// Batches between two entries.
    spacing: u64,
    since: u64,
    /// The largest timestamp of all, and the first batch that has it.
    largest: Option<(i64, Offset)>,
}

impl TimeIndex {
    /// Empty; of `limit` entries at most, which is 2 or more, and with `spacing` batches between two at first.
    #[must_use]
    pub fn new(limit: usize, spacing: u64) -> Self {
        Self { entries: Vec::new(), limit: limit.max(2), spacing: spacing.max(1), since: 0, largest: None }
    }

    /// The next batch.
    pub fn push(&mut self, base: Offset, end: Offset, max_timestamp: i64) {
        let most = match self.largest {
            Some((most, _)) if most >= max_timestamp => most,
            _ => {
                self.largest = Some((max_timestamp, base));
                max_timestamp
            }
        };
        self.since += 1;
        if self.since < self.spacing {
            return;
        }
        self.since = 0;
        if let Some(last) = self.entries.last_mut()
            && last.most == most
        {
            last.from = end;
            return;
        }
        self.entries.push(Entry { most, from: end });
        if self.entries.len() > self.limit {
            let mut goes = false;
            self.entries.retain(|_| {
                goes = !goes;
                !goes
            });
            self.spacing = self.spacing.saturating_mul(2);
        }
    }

    /// The offset from which on to look for the first batch with a timestamp of `timestamp` or more; `None` if
    /// there is no such batch.
    #[must_use]
    pub fn look_from(&self, timestamp: i64) -> Option<Offset> {
        self.largest.filter(|(most, _)| *most >= timestamp)?;
        let below = self.entries.partition_point(|entry| entry.most < timestamp);
        Some(below.checked_sub(1).map_or(Offset::ZERO, |at| self.entries[at].from))
    }

    /// The largest timestamp and the base offset of the first batch that has it.
    #[must_use]
    pub fn largest(&self) -> Option<(i64, Offset)> {
        self.largest
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
        ) {
            let mut index = TimeIndex::new(limit, spacing);
            for (base, max) in (0..).zip(&batches) {
                index.push(Offset(base), Offset(base + 1), *max);
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
    }

    #[test]
    fn a_full_index_keeps_its_reach() {
        let mut index = TimeIndex::new(8, 1);
        for at in 0..1_000 {
            index.push(Offset(at), Offset(at + 1), at.cast_signed());
        }
        let from = index.look_from(900).unwrap().0;
        assert!(from > 600 && from <= 900, "{from}");
    }
}
