//! Which leader epoch began at which offset, for the epochs in the answers to ListOffsets. Pure.
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
}
