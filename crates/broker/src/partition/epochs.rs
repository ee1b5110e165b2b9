//! Which leader epoch began at which offset, for the epochs in the answers to ListOffsets, and for readers that ask
//! whether what they read is still there (KIP-101, KIP-320). Pure.
//!
//! One entry an epoch that wrote or opened the partition, so it grows with changes of leader, not with data.

use levee_base::Offset;

/// The leader epochs of a partition, oldest first; starts and epochs both grow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeaderEpochs(pub(super) Vec<(i32, Offset)>);

impl LeaderEpochs {
    /// `epoch` writes from `start` on, if it isn't known already.
    pub fn assign(&mut self, epoch: i32, start: Offset) {
        if self.0.last().is_some_and(|(last, _)| *last >= epoch) {
            return;
        }
        // An epoch that wrote nothing is superseded by the next one at the same offset.
        while self.0.last().is_some_and(|(_, at)| *at >= start) {
            self.0.pop();
        }
        self.0.push((epoch, start));
    }

    /// The epoch that wrote, or will write, the record at `offset`; `None` before the first known one.
    #[must_use]
    pub fn at(&self, offset: Offset) -> Option<i32> {
        let after = self.0.partition_point(|(_, start)| *start <= offset);
        after.checked_sub(1).map(|at| self.0[at].0)
    }

    /// Where what was written in `epoch`, and in those before, ends, in a partition that begins at `start` and ends at
    /// `end`: with the newest epoch that is known of those. `None` for an epoch that is newer than all.
    #[must_use]
    pub fn end_of(&self, epoch: i32, start: Offset, end: Offset) -> Option<(i32, Offset)> {
        // As in Kafka, an epoch all of whose records are gone is not known any more.
        let gone = self.0.partition_point(|(_, at)| *at <= start).saturating_sub(1);
        let known = &self.0[gone..];
        let newer = known.partition_point(|(known, _)| *known <= epoch);
        match (newer.checked_sub(1).map(|at| known[at].0), known.get(newer)) {
            (Some(before), Some((_, next))) => Some((before, (*next).max(start))),
            (None, Some((_, next))) => Some((epoch, (*next).max(start))),
            (Some(newest), None) if newest == epoch => Some((epoch, end)),
            (_, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_has_the_epoch_that_began_last_before_it() {
        let mut epochs = LeaderEpochs::default();
        assert_eq!(epochs.at(Offset(0)), None);
        epochs.assign(2, Offset(10));
        epochs.assign(2, Offset(15));
        epochs.assign(5, Offset(20));
        epochs.assign(6, Offset(20));
        epochs.assign(4, Offset(30));
        let at = |offset| epochs.at(Offset(offset));
        assert_eq!([at(9), at(10), at(19), at(20), at(99)], [None, Some(2), Some(2), Some(6), Some(6)]);
    }

    #[test]
    fn an_epoch_ends_where_a_newer_one_begins() {
        let mut epochs = LeaderEpochs::default();
        let end = |epochs: &LeaderEpochs, epoch, start| {
            epochs.end_of(epoch, Offset(start), Offset(50)).map(|(epoch, end)| (epoch, end.0))
        };
        assert_eq!(end(&epochs, 1, 0), None);
        for (epoch, start) in [(2, 10), (5, 20), (7, 30)] {
            epochs.assign(epoch, Offset(start));
        }
        let ends = |epoch| end(&epochs, epoch, 0);
        assert_eq!(
            [ends(1), ends(2), ends(3), ends(4)],
            [Some((1, 10)), Some((2, 20)), Some((2, 20)), Some((2, 20))]
        );
        assert_eq!([ends(5), ends(6), ends(7), ends(8)], [Some((5, 30)), Some((5, 30)), Some((7, 50)), None]);
        // With the first records gone, so are the epochs that wrote nothing else.
        let ends = |epoch| end(&epochs, epoch, 25);
        assert_eq!(
            [ends(1), ends(2), ends(5), ends(7)],
            [Some((1, 25)), Some((2, 25)), Some((5, 30)), Some((7, 50))]
        );
        assert_eq!(end(&epochs, 2, 20), Some((2, 20)));
        assert_eq!(end(&epochs, 5, 40), Some((5, 40)));
    }
}
