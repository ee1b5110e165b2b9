//! The states of a transactional id.

/// A state. `Dead` and `PrepareEpochFence`, which Kafka has too, are never written: there they stand for changes that
/// are under way, and here a change is made at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// There has been no transaction since the producer was initialized.
    Empty,
    /// Partitions take part.
    Ongoing,
    /// It is decided that the transaction is committed; its markers are being written.
    PrepareCommit,
    /// It is decided that the transaction is aborted; its markers are being written.
    PrepareAbort,
    /// The last transaction was committed.
    CompleteCommit,
    /// The last transaction was aborted.
    CompleteAbort,
}

impl State {
    const ALL: [Self; 6] = [
        Self::Empty,
        Self::Ongoing,
        Self::PrepareCommit,
        Self::PrepareAbort,
        Self::CompleteCommit,
        Self::CompleteAbort,
    ];

    /// Its number in records.
    pub(super) const fn number(self) -> i8 {
        self as i8
    }

    /// The state of a number.
    pub(super) fn of_number(number: i8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }

    /// Its name in answers.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing => "Ongoing",
            Self::PrepareCommit => "PrepareCommit",
            Self::PrepareAbort => "PrepareAbort",
            Self::CompleteCommit => "CompleteCommit",
            Self::CompleteAbort => "CompleteAbort",
        }
    }

    /// Whether Kafka has a state of that name, if only in passing.
    pub(super) fn is_name(name: &str) -> bool {
        matches!(name, "Dead" | "PrepareEpochFence") || Self::ALL.iter().any(|state| state.name() == name)
    }

    /// Whether a transaction is decided and its markers are not known to be written.
    pub(super) const fn is_decided(self) -> bool {
        matches!(self, Self::PrepareCommit | Self::PrepareAbort)
    }

    /// Whether the id may be forgotten in this state.
    pub(super) const fn may_expire(self) -> bool {
        matches!(self, Self::Empty | Self::CompleteCommit | Self::CompleteAbort)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_kafka() {
        let numbers: Vec<_> = State::ALL.iter().map(|state| (state.number(), state.name())).collect();
        let kafkas = [
            (0, "Empty"),
            (1, "Ongoing"),
            (2, "PrepareCommit"),
            (3, "PrepareAbort"),
            (4, "CompleteCommit"),
            (5, "CompleteAbort"),
        ];
        assert_eq!(numbers, kafkas);
        for state in State::ALL {
            assert_eq!(State::of_number(state.number()), Some(state));
            assert!(State::is_name(state.name()));
        }
        assert_eq!((State::of_number(6), State::of_number(-1)), (None, None));
        assert!(State::is_name("Dead") && !State::is_name("dead"));
    }
}
