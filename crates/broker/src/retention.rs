//! Where a partition is to begin, by its topic's retention. Pure.
//!
//! By time, all batches go that lie before the first one which is not older than `retention.ms`, so one with a
//! timestamp ahead of the clock keeps all that come after it, as in Kafka. By size, the oldest extents go for as long
//! as what remains still has `retention.bytes`. The later of the two is the new start. Kafka removes whole segments
//! and rolls the active one for it once all of it has expired; here nothing is in between: batches go as they expire.
//!
//! Only what is durable goes. What is not registered yet doesn't count as size: it is kept, and counts from when it is.

use crate::partition::times::TimeIndex;
use crate::topic_config::TopicConfig;
use levee_base::Offset;
use levee_store::StreamEnds;
use std::ops::Range;

/// Offsets of a partition that lie together, and how many bytes their batches have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The offsets.
    pub range: Range<Offset>,
    /// The bytes.
    pub bytes: u64,
}

/// The offset at which the partition is to begin, if that is later than where it does. `extents` are those that are
/// registered, oldest first.
#[must_use]
pub fn new_start(
    ends: &StreamEnds,
    extents: &[Held],
    times: &TimeIndex,
    topic: &TopicConfig,
    now_ms: i64,
) -> Option<Offset> {
    if !topic.deletes {
        return None;
    }
    let by_time = topic.retention_ms.and_then(|ms| times.expired_below(now_ms.saturating_sub(ms)));
    let by_size = topic.retention_bytes.and_then(|bytes| beyond(ends.start, extents, bytes));
    let start = by_time.max(by_size)?.min(ends.durable);
    (start > ends.start).then_some(start)
}

/// The end of the oldest extents without which there are still `bytes`.
fn beyond(start: Offset, extents: &[Held], bytes: u64) -> Option<Offset> {
    let held = || extents.iter().filter(|extent| extent.range.end > start);
    let mut left: u64 = held().map(|extent| extent.bytes).sum();
    let mut end = None;
    for extent in held() {
        left -= extent.bytes;
        if left < bytes {
            break;
        }
        end = Some(extent.range.end);
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: i64 = 1_000;

    /// Batches of one offset each, grouped into extents; the last ones may be durable without being registered, or
    /// not be durable.
    #[derive(Debug, Clone)]
    struct Made {
        /// Timestamp and bytes of each batch.
        batches: Vec<(i64, u64)>,
        /// How many batches each extent has.
        extents: Vec<usize>,
        start: u64,
        pending: u64,
        topic: TopicConfig,
    }

    impl Made {
        fn durable(&self) -> u64 {
            self.batches.len() as u64 - self.pending.min(self.batches.len() as u64)
        }

        fn ends(&self) -> StreamEnds {
            let durable = Offset(self.durable());
            let start = Offset(self.start).min(durable);
            StreamEnds { start, registered: start, durable, appended: Offset(self.batches.len() as u64) }
        }

        fn extents(&self) -> Vec<Held> {
            let mut base = 0;
            let mut held = Vec::new();
            for count in &self.extents {
                let end = (base + count).min(usize::try_from(self.durable()).unwrap());
                if end > base {
                    let bytes = self.batches[base..end].iter().map(|batch| batch.1).sum();
                    held.push(Held { range: Offset(base as u64)..Offset(end as u64), bytes });
                }
                base = end;
            }
            held
        }

        fn times(&self) -> TimeIndex {
            // Every batch has its entry, so that the index is exact.
            let mut times = TimeIndex::new(1_000, 1, 1);
            for (base, (timestamp, _)) in (0..self.durable()).zip(&self.batches) {
                times.push(Offset(base), Offset(base + 1), *timestamp, 0);
            }
            times
        }

        fn found(&self) -> Option<u64> {
            let found = new_start(&self.ends(), &self.extents(), &self.times(), &self.topic, NOW);
            found.map(|offset| offset.0)
        }

        /// One batch, one extent at a time, as long as the next one may go.
        fn expected(&self) -> Option<u64> {
            if !self.topic.deletes {
                return None;
            }
            let ends = self.ends();
            let mut by_time = 0;
            if let Some(ms) = self.topic.retention_ms {
                while by_time < self.durable() && NOW - self.batches[usize::try_from(by_time).unwrap()].0 > ms
                {
                    by_time += 1;
                }
            }
            let mut extents = self.extents();
            extents.retain(|extent| extent.range.end > ends.start);
            let mut by_size = 0;
            if let Some(least) = self.topic.retention_bytes {
                while !extents.is_empty() && extents[1..].iter().map(|one| one.bytes).sum::<u64>() >= least {
                    by_size = extents.remove(0).range.end.0;
                }
            }
            Some(by_time.max(by_size)).filter(|start| *start > ends.start.0)
        }
    }

    prop_compose! {
        fn made()(
            batches in prop::collection::vec((0_i64..1_200, 1_u64..50), 0..60),
            extents in prop::collection::vec(1_usize..10, 0..12),
            start in 0_u64..70,
            pending in 0_u64..10,
            deletes in prop::bool::weighted(0.9),
            retention_ms in prop::option::of(0_i64..1_100),
            retention_bytes in prop::option::of(0_u64..1_500),
        ) -> Made {
            let topic = TopicConfig { deletes, retention_ms, retention_bytes, ..TopicConfig::default() };
            Made { batches, extents, start, pending, topic }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn equals_a_walk_over_batches_and_extents(made in made()) {
            let found = made.found();
            prop_assert_eq!(found, made.expected());
            if let Some(start) = found {
                prop_assert!(start > made.ends().start.0 && start <= made.durable());
            }
        }
    }

    fn partition(topic: TopicConfig) -> Made {
        let batches = vec![(100, 10), (900, 10), (200, 10), (1_500, 10), (300, 10)];
        Made { batches, extents: vec![2, 2, 1], start: 0, pending: 0, topic }
    }

    #[test]
    fn by_time_what_follows_a_younger_batch_stays() {
        let after = |ms| {
            let topic = TopicConfig { retention_ms: Some(ms), ..TopicConfig::default() };
            partition(topic).found()
        };
        assert_eq!((after(900), after(899), after(100), after(99)), (None, Some(1), Some(1), Some(3)));
        assert_eq!(after(0), Some(3), "a timestamp ahead of the clock keeps all that come after it");
        let all = TopicConfig { retention_ms: Some(10), ..TopicConfig::default() };
        let idle = Made { batches: vec![(1, 1); 4], ..partition(all) };
        assert_eq!(idle.found(), Some(4), "nothing is too new to go");
        assert_eq!(Made { pending: 1, ..idle }.found(), Some(3), "but what is not durable");
    }

    #[test]
    fn by_size_what_remains_is_never_less_than_was_asked_for() {
        let after = |bytes| {
            let topic =
                TopicConfig { retention_ms: None, retention_bytes: Some(bytes), ..TopicConfig::default() };
            partition(topic).found()
        };
        assert_eq!((after(50), after(31), after(30), after(29)), (None, None, Some(2), Some(2)));
        assert_eq!((after(10), after(0)), (Some(4), Some(5)));
    }

    #[test]
    fn a_topic_that_only_compacts_keeps_all() {
        let topic = TopicConfig {
            deletes: false,
            compacts: true,
            retention_ms: Some(0),
            retention_bytes: Some(0),
            ..TopicConfig::default()
        };
        assert_eq!(partition(topic).found(), None);
    }
}
