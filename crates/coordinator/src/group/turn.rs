//! What a group acts with while one call lasts: the time, the options, the timers, and where its effects go.

use super::options::GroupOptions;
use super::timers::{Timer, Timers};
use crate::context::{Cluster, Context, Time};
use crate::effects::{Effects, Record, Token};
use kafka_protocol::messages::ResponseKind;
use kafka_protocol::protocol::StrBytes;
use levee_base::Random;
use levee_base::limits::{COORDINATOR_APPEND_BYTES, MESSAGE_BYTES};
use std::time::Duration;

/// See the module's text.
pub(crate) struct Turn<'a> {
    /// When.
    pub(crate) time: Time,
    /// The cluster.
    pub(crate) cluster: &'a dyn Cluster,
    /// How groups are to behave.
    pub(crate) options: &'a GroupOptions,
    /// Where ids come from.
    pub(crate) random: &'a Random,
    /// All groups' timers.
    pub(crate) timers: &'a mut Timers,
    /// The member ids of all groups that were handed out and are not used yet.
    pub(crate) pending_members: &'a mut usize,
    /// Whether as much is kept of what clients say as may be.
    pub(crate) full: bool,
    /// What is to be done.
    pub(crate) effects: Effects,
}

impl<'a> Turn<'a> {
    pub(super) fn new(
        ctx: Context<'a>,
        options: &'a GroupOptions,
        random: &'a Random,
        timers: &'a mut Timers,
        pending_members: &'a mut usize,
        full: bool,
    ) -> Self {
        let effects = Effects::default();
        Self { time: ctx.time, cluster: ctx.cluster, options, random, timers, pending_members, full, effects }
    }

    /// Answers once all appends so far are durable.
    pub(crate) fn answer(&mut self, token: Token, response: impl Into<ResponseKind>) {
        self.effects.answer(token, response.into());
    }

    /// Answers at once.
    pub(crate) fn answer_now(&mut self, token: Token, response: impl Into<ResponseKind>) {
        self.effects.answer_now(token, response.into());
    }

    /// Sets a timer to some milliseconds from now; at once, if they are negative.
    pub(crate) fn set_timer_ms(&mut self, timer: Timer, delay_ms: i32) {
        self.set_timer(timer, Duration::from_millis(u64::try_from(delay_ms).unwrap_or(0)));
    }

    /// Sets a timer to some time from now.
    pub(crate) fn set_timer(&mut self, timer: Timer, delay: Duration) {
        self.timers.set(timer, self.time.now, delay);
    }

    /// Appends records that needn't be atomic, in batches of a moderate size.
    pub(crate) fn append_in_batches(&mut self, records: Vec<Record>) {
        let (mut batch, mut bytes) = (Vec::new(), BATCH_HEADER_BYTES);
        for record in records {
            let size = record_bytes(&record, batch.len());
            if bytes + size > COORDINATOR_APPEND_BYTES {
                self.effects.append(std::mem::take(&mut batch));
                bytes = BATCH_HEADER_BYTES;
            }
            bytes += size;
            batch.push(record);
        }
        self.effects.append(batch);
    }
}

/// The header of a record batch, in bytes.
const BATCH_HEADER_BYTES: usize = 61;

/// Whether records fit into one batch, which they must to be atomic.
pub(crate) fn fit(records: &[Record]) -> bool {
    let mut atomic = Atomic::default();
    records.iter().all(|record| atomic.takes(record))
}

/// One batch, as far as it has been filled. Ask before all records are made where a client says how many there are.
#[derive(Debug, Default)]
pub(crate) struct Atomic {
    records: usize,
    bytes: usize,
}

impl Atomic {
    /// Whether it takes one more record.
    pub(crate) fn takes(&mut self, record: &Record) -> bool {
        self.bytes += record_bytes(record, self.records);
        self.records += 1;
        BATCH_HEADER_BYTES + self.bytes <= MESSAGE_BYTES
    }
}

/// What a record takes in a batch, as the one of number `at`.
fn record_bytes(record: &Record, at: usize) -> usize {
    let key = record.key.len();
    let value = record.value.as_ref().map_or(0, bytes::Bytes::len);
    // Attributes, timestamp delta and the number of headers take a byte each; null's length takes one as 0's does.
    let body = 3 + varint_bytes(at) + varint_bytes(key) + key + varint_bytes(value) + value;
    varint_bytes(body) + body
}

/// What a number takes as a zigzag varint.
fn varint_bytes(number: usize) -> usize {
    let bits = (usize::BITS - number.leading_zeros()) as usize + 1;
    bits.div_ceil(7)
}

/// A string of Kafka's types. What a shard keeps is always copied, so that it doesn't hold on to a whole request.
pub(crate) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn records_are_measured_as_they_are_written() {
        assert_eq!(
            [0, 63, 64, 8_191, 8_192].map(varint_bytes),
            [1, 1, 2, 2, 3],
            "zigzag takes a bit from the seven"
        );
        let record = Record { key: Bytes::from_static(b"key"), value: Some(Bytes::from(vec![0; 100])) };
        // Length 2, attributes, delta, number, 1 + 3, 2 + 100, headers.
        assert_eq!(record_bytes(&record, 0), 2 + 3 + 1 + 4 + 102);
        let tombstone = Record { key: Bytes::from_static(b"key"), value: None };
        assert_eq!(record_bytes(&tombstone, 0), 1 + 3 + 1 + 4 + 1);
        let large =
            |bytes| [Record { key: Bytes::from_static(b"key"), value: Some(Bytes::from(vec![0; bytes])) }];
        // 61 of the batch, 3 of the length, attributes, delta, number and headers, 1 + 3, 3 of the value's length.
        let most = MESSAGE_BYTES - 61 - 3 - 4 - 4 - 3;
        assert!(fit(&large(most)));
        assert!(!fit(&large(most + 1)));
    }
}
