//! Where in a partition to begin to look for a timestamp: a sparse index, in memory, of bounded size. Pure.

use levee_base::Offset;
use levee_base::limits::TIME_INDEX_ENTRIES;

/// For some batches, the largest timestamp of all batches before them. Ordered by both.
#[derive(Debug, Clone)]
pub struct Times {
    /// (largest timestamp before, base offset)
    marks: Vec<(i64, Offset)>,
    /// The largest timestamp so far, and the batch that brought it.
    max: Option<(i64, Offset)>,
    /// Batches since the last mark.
    since: usize,
    /// A mark is made every so many batches; doubles when there are too many marks.
    every: usize,
}

impl Default for Times {
    fn default() -> Self {
        Self { marks: Vec::new(), max: None, since: 0, every: 1 }
    }
}

impl Times {
    /// A batch has been appended.
    pub fn appended(&mut self, base: Offset, max_timestamp: i64) {
        self.since += 1;
        if let Some((max, _)) = self.max
            && self.since >= self.every
        {
            self.since = 0;
            self.marks.push((max, base));
            if self.marks.len() >= TIME_INDEX_ENTRIES {
                let mut odd = false;
                self.marks.retain(|_| {
                    odd = !odd;
                    odd
                });
                self.every *= 2;
            }
        }
        if self.max.is_none_or(|(max, _)| max_timestamp > max) {
            self.max = Some((max_timestamp, base));
        }
    }

    /// The base offset of a batch before which no record has `timestamp` or a later one; as late a batch as is
    /// known. `None`: from the start.
    #[must_use]
    pub fn start_for(&self, timestamp: i64) -> Option<Offset> {
        let before = self.marks.partition_point(|(max, _)| *max < timestamp);
        before.checked_sub(1).map(|at| self.marks[at].1)
    }

    /// The first batch with the largest timestamp.
    #[must_use]
    pub fn max(&self) -> Option<(i64, Offset)> {
        self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn nothing_before_the_start_is_late_enough(times in prop::collection::vec(0i64..50, 1..300), wanted in 0i64..50) {
            let mut index = Times::default();
            for (at, time) in times.iter().enumerate() {
                index.appended(Offset(at as u64), *time);
            }
            let start = index.start_for(wanted).map_or(0, |offset| usize::try_from(offset.0).unwrap());
            prop_assert!(times[..start].iter().all(|time| *time < wanted));
            let (max, at) = index.max().unwrap();
            prop_assert_eq!(max, *times.iter().max().unwrap());
            prop_assert_eq!(at.0 as usize, times.iter().position(|time| *time == max).unwrap());
        }
    }

    #[test]
    fn its_size_is_bounded() {
        let mut index = Times::default();
        for at in 0..(TIME_INDEX_ENTRIES as u64 * 5) {
            index.appended(Offset(at), i64::try_from(at).unwrap());
            assert!(index.marks.len() <= TIME_INDEX_ENTRIES);
        }
        assert!(index.start_for(i64::MAX).unwrap().0 > TIME_INDEX_ENTRIES as u64 * 4);
    }
}
