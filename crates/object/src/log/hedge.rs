//! When a create counts as slow, from how long recent ones took.
//!
//! A create that is out longer than the store's usual tail is sent once more; the store's answer to whichever
//! comes first decides. Hedging by a quantile bounds its cost by itself: with the 98th, about one create in
//! fifty is sent twice, however the store's latency drifts. Pure: durations go in, a delay comes out.

use levee_base::limits::{LOG_HEDGE_FLOOR, LOG_HEDGE_SAMPLES, LOG_HEDGE_SAMPLES_MIN};
use std::collections::VecDeque;
use std::time::Duration;

/// How a writer hedges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HedgeOptions {
    /// No create is sent again earlier than this.
    pub floor: Duration,
    /// A create is sent again when it is out longer than so many of 1,000 recent ones were.
    pub per_mille: u16,
}

impl Default for HedgeOptions {
    /// The 98th percentile, and 50 ms at least.
    fn default() -> Self {
        Self { floor: LOG_HEDGE_FLOOR, per_mille: 980 }
    }
}

/// The durations of recent creates.
#[derive(Debug, Default)]
pub(super) struct Latencies(VecDeque<Duration>);

impl Latencies {
    /// A create was answered as created, after so long.
    pub(super) fn record(&mut self, took: Duration) {
        if self.0.len() == LOG_HEDGE_SAMPLES {
            self.0.pop_front();
        }
        self.0.push_back(took);
    }

    /// After how long a create counts as slow; none before enough of them have been seen.
    pub(super) fn slow_after(&self, options: &HedgeOptions) -> Option<Duration> {
        if self.0.len() < LOG_HEDGE_SAMPLES_MIN {
            return None;
        }
        let mut sorted: Vec<Duration> = self.0.iter().copied().collect();
        sorted.sort_unstable();
        let index = (sorted.len() * usize::from(options.per_mille) / 1_000).min(sorted.len() - 1);
        Some(sorted[index].max(options.floor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn few_creates_are_slower_than_the_delay() {
        let mut latencies = Latencies::default();
        let options = HedgeOptions { floor: Duration::from_millis(10), per_mille: 900 };
        for ms in 0..LOG_HEDGE_SAMPLES_MIN as u64 - 1 {
            latencies.record(Duration::from_millis(ms));
        }
        assert_eq!(latencies.slow_after(&options), None, "too few to know the tail");
        for ms in 100..100 + LOG_HEDGE_SAMPLES as u64 {
            latencies.record(Duration::from_millis(ms));
        }
        assert_eq!(latencies.slow_after(&options), Some(Duration::from_millis(215)));
    }

    proptest! {
        #[test]
        fn the_delay_is_at_least_the_floor_and_exceeded_by_few(
            took in prop::collection::vec(0u64..5_000, LOG_HEDGE_SAMPLES_MIN..300), per_mille in 0u16..2_000,
        ) {
            let mut latencies = Latencies::default();
            let options = HedgeOptions { floor: Duration::from_millis(50), per_mille };
            took.iter().for_each(|&ms| latencies.record(Duration::from_millis(ms)));
            let delay = latencies.slow_after(&options).unwrap();
            prop_assert!(delay >= options.floor);
            let kept = &took[took.len().saturating_sub(LOG_HEDGE_SAMPLES)..];
            let slower = kept.iter().filter(|&&ms| Duration::from_millis(ms) > delay).count();
            prop_assert!(slower * 1_000 <= kept.len() * usize::from(1_000u16.saturating_sub(per_mille)) + 1_000);
        }
    }
}
