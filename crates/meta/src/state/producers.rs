//! Producer ids: handed out in blocks, each id once for ever.

use crate::answer::{Answer, Refusal};
use crate::state::State;
use crate::state::rules::Rules;

/// Producer ids are Kafka's 64-bit signed integers.
const PRODUCER_IDS_END: u64 = i64::MAX as u64;

impl State {
    /// The first producer id that nobody has.
    #[must_use]
    pub fn next_producer_id(&self) -> u64 {
        self.next_producer_id
    }

    pub(super) fn allocate_producer_ids(&mut self, rules: &Rules, count: u32) -> Result<Answer, Refusal> {
        let first = self.next_producer_id;
        let end = first.saturating_add(u64::from(count));
        if !(1..=rules.producer_ids).contains(&count) || end > PRODUCER_IDS_END {
            return Err(Refusal::InvalidCount { most: rules.producer_ids });
        }
        self.next_producer_id = end;
        Ok(Answer::ProducerIds { first })
    }
}
