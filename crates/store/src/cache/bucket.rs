//! A token bucket: so much a second, and what was not used for a while at once. Pure.
//!
//! It goes into debt: what is asked for is let through when nothing is owed, however much it is, and the next one
//! waits until it is paid for. So no request is too large, and over any longer time the rate holds.

use levee_base::clock::Instant;
use std::time::Duration;

/// See the module's text.
#[derive(Debug)]
pub struct TokenBucket {
    per_second: u64,
    burst: Duration,
    /// When all that was let through is paid for.
    paid: Instant,
}

impl TokenBucket {
    /// Full.
    #[must_use]
    pub fn new(per_second: u64, burst: Duration, now: Instant) -> Self {
        Self { per_second: per_second.max(1), burst, paid: now.checked_sub(burst).unwrap_or(now) }
    }

    /// Takes `amount`, and says how long to wait before it is used.
    pub fn take(&mut self, amount: u64, now: Instant) -> Duration {
        let start = now.checked_sub(self.burst).map_or(self.paid, |full| self.paid.max(full));
        let nanos = u128::from(amount) * 1_000_000_000 / u128::from(self.per_second);
        self.paid = start + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX >> 1));
        start.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use levee_base::Clock;
    use proptest::prelude::*;

    #[test]
    fn what_is_owed_is_waited_for_and_what_was_saved_is_not() {
        let start = Clock::system().now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut bucket = TokenBucket::new(1_000, Duration::from_secs(1), start);
        assert_eq!(bucket.take(1_000, at(0)), Duration::ZERO, "a second's worth was saved");
        assert_eq!(bucket.take(500, at(0)), Duration::ZERO, "nothing is owed yet");
        assert_eq!(bucket.take(1, at(0)), Duration::from_millis(500));
        assert_eq!(bucket.take(1, at(400)), Duration::from_millis(101));
        assert_eq!(bucket.take(5_000, at(60_000)), Duration::ZERO, "however large");
        assert_eq!(bucket.take(1, at(60_000)), Duration::from_secs(4), "no more than a second is saved");
    }

    proptest! {
        /// Whoever waits as told never gets more than the rate, a burst and the last one taken.
        #[test]
        fn the_rate_holds(
            per_second in 1u64..10_000, takes in prop::collection::vec((0u64..5_000, 0u64..3_000), 1..100),
        ) {
            let start = Clock::system().now();
            let burst = Duration::from_secs(1);
            let mut bucket = TokenBucket::new(per_second, burst, start);
            let (mut now, mut taken) = (start, 0);
            for (amount, idle_ms) in takes {
                now += Duration::from_millis(idle_ms);
                now += bucket.take(amount, now);
                let allowed = (now - start + burst).as_secs_f64() * per_second as f64;
                prop_assert!(taken as f64 <= allowed + 1.0, "{taken} before the last, {allowed} are allowed");
                taken += amount;
            }
        }
    }
}
