//! Which of the objects that a live broker makes are settled: committed, or abandoned by it. Pure.
//!
//! A broker numbers its objects itself, from 0 and densely, and settles each once. Numbers are settled out of order, as
//! uploads and compactions run side by side, but not by much: so one number below which all are settled, and a small
//! set above it, is all there is to remember. What is not settled may still be being written; once the broker is out,
//! nothing is, and what was never committed is an orphan.

use levee_base::limits::OBJECTS_UNSETTLED;
use std::collections::BTreeSet;

/// The settled numbers of one broker.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Settled {
    /// All below are settled.
    pub(crate) below: u64,
    /// And these, all of them above.
    pub(crate) above: BTreeSet<u64>,
}

impl Settled {
    /// Whether a number is settled.
    #[must_use]
    pub fn contains(&self, number: u64) -> bool {
        number < self.below || self.above.contains(&number)
    }

    /// Whether a number may be settled now: it is not yet, and not far above those that are not.
    pub(crate) fn admits(&self, number: u64) -> bool {
        !self.contains(number) && number - self.below < OBJECTS_UNSETTLED
    }

    /// Settles a number that `admits` lets in.
    pub(crate) fn settle(&mut self, number: u64) {
        self.above.insert(number);
        while self.above.remove(&self.below) {
            self.below += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn settled_is_what_was_settled(numbers in prop::collection::vec(0u64..40, 0..80)) {
            let (mut settled, mut plain) = (Settled::default(), BTreeSet::new());
            for number in numbers {
                prop_assert_eq!(settled.admits(number), !plain.contains(&number));
                if settled.admits(number) {
                    settled.settle(number);
                    plain.insert(number);
                }
                prop_assert!((0..50).all(|n| settled.contains(n) == plain.contains(&n)));
                prop_assert!(!settled.above.contains(&settled.below), "the set is as small as can be");
            }
        }
    }

    #[test]
    fn a_number_far_above_is_not_let_in() {
        let mut settled = Settled::default();
        assert!(!settled.admits(OBJECTS_UNSETTLED) && settled.admits(OBJECTS_UNSETTLED - 1));
        settled.settle(0);
        assert!(settled.admits(OBJECTS_UNSETTLED));
        assert!(!settled.admits(u64::MAX));
    }
}
