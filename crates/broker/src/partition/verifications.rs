//! Producers whose transaction does not include the partition yet, as far as the partition knows, and which are asking
//! the transaction's coordinator about it (KIP-890). Pure; not durable.
//!
//! A batch that begins a transaction here must come with the guard that it was given before the coordinator was asked.
//! A batch or a marker of the producer that is appended in between takes the guard away: what the coordinator said may
//! be about a transaction that has ended by then, and a batch after its marker would never be decided.
//!
//! Kafka remembers these for as long as silent producers. There may be one for every id that a client makes up, so here
//! the oldest go beyond a bound, and their producers ask again.

use std::collections::BTreeMap;

/// The right to begin a transaction in the partition, if nothing came in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Guard(u64);

/// A producer that asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verification {
    /// The right that it was given.
    pub guard: Guard,
    /// The least sequence number that it has asked for in its epoch: no other batch may come first.
    pub lowest_sequence: i32,
    /// Its epoch.
    pub epoch: i16,
    /// Whether it speaks the second part of KIP-890: each of its transactions has an epoch of its own, so it begins with
    /// sequence number 0 where it is not known.
    pub bumps_epochs: bool,
    began_ms: i64,
}

/// See the module's text.
#[derive(Debug, Default)]
pub struct Verifications {
    by_id: BTreeMap<i64, Verification>,
    by_age: BTreeMap<Guard, i64>,
    limit: usize,
    next: u64,
}

impl Verifications {
    /// None yet, and `limit` at most.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    /// A producer asks, at `now_ms`, about a batch that begins with `sequence`.
    pub fn begin(
        &mut self,
        producer_id: i64,
        epoch: i16,
        sequence: i32,
        bumps_epochs: bool,
        now_ms: i64,
    ) -> Guard {
        if let Some(known) = self.by_id.get_mut(&producer_id) {
            if epoch > known.epoch {
                (known.epoch, known.lowest_sequence) = (epoch, sequence);
            } else if epoch == known.epoch {
                known.lowest_sequence = known.lowest_sequence.min(sequence);
            }
            return known.guard;
        }
        let guard = Guard(self.next);
        self.next += 1;
        let new = Verification { guard, lowest_sequence: sequence, epoch, bumps_epochs, began_ms: now_ms };
        self.by_id.insert(producer_id, new);
        self.by_age.insert(guard, producer_id);
        while self.by_id.len() > self.limit {
            let Some((_, oldest)) = self.by_age.pop_first() else { break };
            self.by_id.remove(&oldest);
        }
        guard
    }

    /// Whether a producer asks, and what is known of it.
    #[must_use]
    pub fn get(&self, producer_id: i64) -> Option<&Verification> {
        self.by_id.get(&producer_id)
    }

    /// A batch of a producer's transaction has been appended.
    pub fn appended(&mut self, producer_id: i64) {
        if let Some(known) = self.by_id.remove(&producer_id) {
            self.by_age.remove(&known.guard);
        }
    }

    /// A marker has been appended. A producer with epochs for each transaction may have begun to ask for the next one
    /// in the epoch that the marker ends this one with: that goes on.
    pub fn ended(&mut self, producer_id: i64, epoch: i16) {
        let next =
            self.by_id.get(&producer_id).is_some_and(|known| known.bumps_epochs && known.epoch == epoch);
        if !next {
            self.appended(producer_id);
        }
    }

    /// Forgets those that began before `before_ms`.
    pub fn expire(&mut self, before_ms: i64) {
        let by_id = &mut self.by_id;
        self.by_age.retain(|_, producer_id| {
            let expired = by_id.get(producer_id).is_none_or(|known| known.began_ms < before_ms);
            if expired {
                by_id.remove(producer_id);
            }
            !expired
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_producer_keeps_its_guard_until_something_is_appended() {
        let mut all = Verifications::new(10);
        let first = all.begin(1, 0, 5, false, 0);
        assert_eq!(all.begin(1, 0, 3, false, 1), first);
        assert_eq!(all.begin(1, 0, 9, false, 1), first);
        assert_eq!(all.get(1).map(|one| (one.lowest_sequence, one.epoch)), Some((3, 0)));
        assert_eq!(all.begin(1, 2, 7, false, 1), first);
        assert_eq!(all.begin(1, 1, 0, false, 1), first, "an older epoch changes nothing");
        assert_eq!(all.get(1).map(|one| (one.lowest_sequence, one.epoch)), Some((7, 2)));
        all.appended(1);
        assert_eq!(all.get(1), None);
        assert_ne!(all.begin(1, 2, 7, false, 2), first);
    }

    #[test]
    fn a_marker_takes_the_guard_unless_it_is_for_the_next_transaction() {
        let mut all = Verifications::new(10);
        all.begin(1, 4, 0, true, 0);
        all.ended(1, 4);
        assert!(all.get(1).is_some());
        all.ended(1, 5);
        assert!(all.get(1).is_none());
        all.begin(1, 4, 0, false, 0);
        all.ended(1, 4);
        assert!(all.get(1).is_none());
    }

    #[test]
    fn the_oldest_go_beyond_the_bound_and_after_a_time() {
        let mut all = Verifications::new(2);
        for (at, id) in [(0, 7), (1, 8), (2, 9)] {
            all.begin(id, 0, 0, false, at);
        }
        let known = |all: &Verifications| [7, 8, 9].map(|id| all.get(id).is_some());
        assert_eq!(known(&all), [false, true, true]);
        all.expire(2);
        assert_eq!(known(&all), [false, false, true]);
        assert_eq!((all.by_id.len(), all.by_age.len()), (1, 1));
    }
}
