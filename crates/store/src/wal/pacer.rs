//! When the open object is sealed and sent: adaptive group commit as a pure rule.
//!
//! A batch goes at once if the last flush began at least the pace ago. Otherwise batches gather until the pace
//! has passed, or the object is full; and always until a place in flight is free. So a lone batch waits for
//! nothing, and under load an object holds all that arrived during a pace. Without the pace, 'at once when
//! nothing is in flight' would make many tiny objects at medium load; so it is for what is light only, and while
//! trimming keeps up.

use levee_base::clock::Instant;
use std::time::Duration;

/// What waits to be flushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// Nothing.
    Nothing,
    /// An open object of few bytes.
    Light,
    /// An open object with room left.
    Open,
    /// An object that must not wait: it is full, or the store is shutting down.
    Full,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Seal the oldest object and send it.
    Flush,
    /// Look again then, or when something has changed.
    Until(Instant),
    /// Look again when something has changed.
    Wait,
}

/// The rule's state: when the last flush began.
#[derive(Debug)]
pub struct Pacer {
    pace: Duration,
    in_flight: usize,
    last: Option<Instant>,
}

impl Pacer {
    /// Flushes `pace` apart, at most `in_flight` at once.
    #[must_use]
    pub fn new(pace: Duration, in_flight: usize) -> Self {
        Self { pace, in_flight: in_flight.max(1), last: None }
    }

    /// What to do `now`, with `in_flight` flushes under way.
    #[must_use]
    pub fn decide(&self, now: Instant, waiting: Waiting, in_flight: usize) -> Decision {
        if waiting == Waiting::Nothing || in_flight >= self.in_flight {
            return Decision::Wait;
        }
        let alone = waiting == Waiting::Light && in_flight == 0;
        match self.last {
            Some(last) if waiting != Waiting::Full && !alone && now < last + self.pace => {
                Decision::Until(last + self.pace)
            }
            _ => Decision::Flush,
        }
    }

    /// A flush begins.
    pub fn flushed(&mut self, now: Instant) {
        self.last = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use levee_base::Clock;
    use proptest::prelude::*;

    const PACE: Duration = Duration::from_millis(10);

    fn at(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    #[test]
    fn a_lone_batch_goes_at_once_and_those_that_follow_gather() {
        let start = Clock::system().now();
        let mut pacer = Pacer::new(PACE, 2);
        assert_eq!(pacer.decide(start, Waiting::Nothing, 0), Decision::Wait);
        assert_eq!(pacer.decide(start, Waiting::Open, 0), Decision::Flush);
        pacer.flushed(start);
        assert_eq!(pacer.decide(at(start, 3), Waiting::Open, 1), Decision::Until(at(start, 10)));
        assert_eq!(pacer.decide(at(start, 3), Waiting::Full, 1), Decision::Flush);
        assert_eq!(pacer.decide(at(start, 3), Waiting::Full, 2), Decision::Wait);
        assert_eq!(pacer.decide(at(start, 10), Waiting::Open, 1), Decision::Flush);
        assert_eq!(pacer.decide(at(start, 10), Waiting::Open, 2), Decision::Wait);
    }

    #[test]
    fn what_is_light_waits_for_nothing_but_the_flush_before() {
        let start = Clock::system().now();
        let mut pacer = Pacer::new(PACE, 2);
        pacer.flushed(start);
        assert_eq!(pacer.decide(at(start, 1), Waiting::Light, 1), Decision::Until(at(start, 10)));
        assert_eq!(pacer.decide(at(start, 1), Waiting::Light, 0), Decision::Flush);
        assert_eq!(pacer.decide(at(start, 1), Waiting::Open, 0), Decision::Until(at(start, 10)));
    }

    proptest! {
        /// Batches come at random, flushes take random times: never too many in flight, never two flushes closer than
        /// the pace but of what was full, or light with nothing in flight, and nothing waits longer than the pace when
        /// there is a place.
        #[test]
        fn paced_and_never_late(
            steps in prop::collection::vec(
                (0u64..15, any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()), 1..200),
        ) {
            let start = Clock::system().now();
            let (mut pacer, mut ms, mut in_flight) = (Pacer::new(PACE, 2), 0, 0usize);
            let (mut waiting, mut last) = (Waiting::Nothing, None::<u64>);
            for (passed, batch, full, light, done) in steps {
                ms += passed;
                in_flight -= usize::from(done && in_flight > 0);
                waiting = match (waiting, batch) {
                    (Waiting::Nothing, false) => Waiting::Nothing,
                    (Waiting::Full, _) => Waiting::Full,
                    _ if full => Waiting::Full,
                    (Waiting::Nothing | Waiting::Light, _) if light => Waiting::Light,
                    _ => Waiting::Open,
                };
                match pacer.decide(at(start, ms), waiting, in_flight) {
                    Decision::Flush => {
                        prop_assert!(in_flight < 2 && waiting != Waiting::Nothing);
                        let paced = last.is_none_or(|last| ms - last >= 10);
                        let alone = waiting == Waiting::Light && in_flight == 0;
                        prop_assert!(paced || waiting == Waiting::Full || alone);
                        pacer.flushed(at(start, ms));
                        (last, waiting, in_flight) = (Some(ms), Waiting::Nothing, in_flight + 1);
                    }
                    Decision::Until(then) => {
                        let alone = waiting == Waiting::Light && in_flight == 0;
                        prop_assert!(!alone && waiting != Waiting::Full && then > at(start, ms));
                        prop_assert_eq!(Some(then), last.map(|last| at(start, last + 10)));
                    }
                    Decision::Wait => prop_assert!(waiting == Waiting::Nothing || in_flight >= 2),
                }
            }
        }
    }
}
