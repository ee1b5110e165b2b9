//! The epochs of the transactional producers that commit offsets here: one with an older epoch is fenced.

use crate::effects::Producer;
use levee_base::limits::{PARTITION_PRODUCERS, PRODUCER_ID_EXPIRATION};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone, Copy)]
struct Seen {
    epoch: i16,
    wall_ms: i64,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Producers {
    seen: BTreeMap<i64, Seen>,
    by_time: BTreeSet<(i64, i64)>,
}

impl Producers {
    /// A record or a marker of a producer was written. Beyond so many, those silent for longest are forgotten.
    pub(crate) fn saw(&mut self, producer: Producer, wall_ms: i64) {
        let before = self.seen.get(&producer.id).copied();
        if let Some(before) = before {
            self.by_time.remove(&(before.wall_ms, producer.id));
        }
        let epoch = before.map_or(producer.epoch, |before| before.epoch.max(producer.epoch));
        let wall_ms = before.map_or(wall_ms, |before| before.wall_ms.max(wall_ms));
        self.seen.insert(producer.id, Seen { epoch, wall_ms });
        self.by_time.insert((wall_ms, producer.id));
        if self.seen.len() > PARTITION_PRODUCERS
            && let Some((_, oldest)) = self.by_time.pop_first()
        {
            self.seen.remove(&oldest);
        }
    }

    /// Whether a newer incarnation of a producer has been seen.
    pub(crate) fn is_fenced(&self, producer: Producer) -> bool {
        self.seen.get(&producer.id).is_some_and(|seen| producer.epoch < seen.epoch)
    }

    /// Forgets those not seen for as long as Kafka remembers producers.
    pub(crate) fn expire(&mut self, wall_ms: i64) {
        let retention_ms = i64::try_from(PRODUCER_ID_EXPIRATION.as_millis()).unwrap_or(i64::MAX);
        while let Some((seen_ms, id)) = self.by_time.first().copied()
            && wall_ms.saturating_sub(seen_ms) > retention_ms
        {
            self.by_time.pop_first();
            self.seen.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_epoch_is_fenced_until_the_producer_is_forgotten() {
        let mut producers = Producers::default();
        producers.saw(Producer { id: 7, epoch: 3 }, 1_000);
        producers.saw(Producer { id: 7, epoch: 2 }, 2_000);
        assert!(producers.is_fenced(Producer { id: 7, epoch: 2 }));
        assert!(!producers.is_fenced(Producer { id: 7, epoch: 3 }));
        assert!(!producers.is_fenced(Producer { id: 7, epoch: 4 }));
        assert!(!producers.is_fenced(Producer { id: 8, epoch: 0 }));
        producers.expire(2_000 + 86_400_000);
        assert!(producers.is_fenced(Producer { id: 7, epoch: 2 }));
        producers.expire(2_001 + 86_400_000);
        assert!(!producers.is_fenced(Producer { id: 7, epoch: 2 }));
        assert!(producers.by_time.is_empty());
    }
}
