//! Produce, versions 3 to 13: the request parsed in place, so that a record byte is copied once, from the receive
//! buffer into the write-ahead log, and its base offset and leader epoch can be set where it lies; and the answer.
//! What the records are is not looked at here.

use super::cursor::{Cursor, Malformed};
use super::frame::RequestHead;
use super::response::Response;
use super::topics::{write_endpoints, write_topics};
use super::writer::{Endpoint, Leader};
use levee_base::limits::{DECODED_REQUEST_BYTES, PRODUCED_PARTITION_BYTES, PRODUCED_TOPIC_BYTES};
use std::sync::Arc;
use uuid::Uuid;

/// The versions served.
pub const VERSIONS: std::ops::RangeInclusive<i16> = 3..=13;

/// Which topic a request is about: by name up to version 12, by id from 13 on (KIP-516).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicRef<'a> {
    /// By name.
    Name(&'a str),
    /// By id.
    Id(Uuid),
}

/// A Produce request. The records are mutable slices of the frame.
#[derive(Debug)]
pub struct ProduceRequest<'a> {
    /// The transaction's id, if it is one.
    pub transactional_id: Option<&'a str>,
    /// 0, 1 or -1 for all.
    pub acks: i16,
    /// How long the client is ready to wait for durability, in milliseconds.
    pub timeout_ms: i32,
    /// By topic.
    pub topics: Vec<ProduceTopic<'a>>,
    /// Whether the client may write to internal topics: not the request says so, but who sends it.
    pub internal_topics: bool,
}

/// The part of a request for one topic.
#[derive(Debug)]
pub struct ProduceTopic<'a> {
    /// Which.
    pub topic: TopicRef<'a>,
    /// By partition.
    pub partitions: Vec<ProducePartition<'a>>,
}

/// The part of a request for one partition.
#[derive(Debug)]
pub struct ProducePartition<'a> {
    /// Its number.
    pub index: i32,
    /// Record batches; `None` where the client sent null.
    pub records: Option<&'a mut [u8]>,
}

impl<'a> ProduceRequest<'a> {
    /// Parses the body of a request, and bounds its topics and partitions so that they, and what serving them makes of
    /// them, take at most [`DECODED_REQUEST_BYTES`]. No client comes near that.
    ///
    /// # Errors
    /// Any: the connection is to be closed.
    pub fn parse(version: i16, body: &'a mut [u8]) -> Result<Self, Malformed> {
        if !VERSIONS.contains(&version) {
            return Err(Malformed::UnknownVersion { api: 0, version });
        }
        let flexible = version >= 9;
        let mut parser = Parser { cursor: Cursor::new(body), flexible, budget: DECODED_REQUEST_BYTES };
        let transactional_id = parser.text()?;
        let acks = parser.cursor.int16()?;
        let timeout_ms = parser.cursor.int32()?;
        let mut topics = parser.vec(PRODUCED_TOPIC_BYTES)?;
        for _ in 0..topics.capacity() {
            let topic = if version >= 13 {
                TopicRef::Id(parser.cursor.uuid()?)
            } else {
                let name = parser.text()?.ok_or(Malformed::Null)?;
                // It is copied, and waits for the answer.
                parser.charge(1, name.len())?;
                TopicRef::Name(name)
            };
            let mut partitions = parser.vec(PRODUCED_PARTITION_BYTES)?;
            for _ in 0..partitions.capacity() {
                let index = parser.cursor.int32()?;
                let records = match parser.cursor.long_length(flexible)? {
                    None => None,
                    Some(length) => Some(parser.cursor.take(length)?),
                };
                parser.end_of_struct()?;
                partitions.push(ProducePartition { index, records });
            }
            parser.end_of_struct()?;
            topics.push(ProduceTopic { topic, partitions });
        }
        parser.end_of_struct()?;
        Ok(Self { transactional_id, acks, timeout_ms, topics, internal_topics: false })
    }

    /// From above, what it and its answer take in memory until it has been answered, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        let topics = self.topics.iter().map(|topic| {
            let name = if let TopicRef::Name(name) = topic.topic { name.len() } else { 0 };
            PRODUCED_TOPIC_BYTES + name + topic.partitions.len() * PRODUCED_PARTITION_BYTES
        });
        topics.sum()
    }
}

struct Parser<'a> {
    cursor: Cursor<&'a mut [u8]>,
    flexible: bool,
    budget: usize,
}

impl<'a> Parser<'a> {
    fn text(&mut self) -> Result<Option<&'a str>, Malformed> {
        let Some(length) = self.cursor.short_length(self.flexible)? else { return Ok(None) };
        std::str::from_utf8(self.cursor.take(length)?).map(Some).map_err(|_| Malformed::Utf8)
    }

    fn charge(&mut self, count: usize, each: usize) -> Result<(), Malformed> {
        self.budget = count
            .checked_mul(each)
            .and_then(|bytes| self.budget.checked_sub(bytes))
            .ok_or(Malformed::TooMuchMemory { limit: DECODED_REQUEST_BYTES })?;
        Ok(())
    }

    /// A vector of exactly the announced capacity, after a check against the budget, of which an element takes `each`,
    /// and what is left: no element is shorter than two bytes.
    fn vec<T>(&mut self, each: usize) -> Result<Vec<T>, Malformed> {
        const { assert!(size_of::<T>() > 0) };
        let count = self.cursor.long_length(self.flexible)?.ok_or(Malformed::Null)?;
        if count > self.cursor.left() / 2 {
            return Err(Malformed::Truncated { wanted: count.saturating_mul(2), left: self.cursor.left() });
        }
        self.charge(count, each.max(size_of::<T>()))?;
        let mut elements = Vec::new();
        elements.reserve_exact(count);
        Ok(elements)
    }

    fn end_of_struct(&mut self) -> Result<(), Malformed> {
        if self.flexible { self.cursor.skip_tagged_fields() } else { Ok(()) }
    }
}

/// Which topic an answer is about. Owned, for the frame is gone by the time of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topic {
    /// By name.
    Name(Arc<str>),
    /// By id.
    Id(Uuid),
}

impl From<TopicRef<'_>> for Topic {
    fn from(topic: TopicRef<'_>) -> Self {
        match topic {
            TopicRef::Name(name) => Self::Name(name.into()),
            TopicRef::Id(id) => Self::Id(id),
        }
    }
}

/// The answer to a Produce request.
#[derive(Debug, Clone, Default)]
pub struct ProduceResponse {
    /// By topic, in the order of the request.
    pub topics: Vec<TopicResponse>,
    /// How long the client was slowed, in milliseconds.
    pub throttle_ms: i32,
    /// Where the leaders named in `partitions` listen (version 10 and up).
    pub endpoints: Vec<Endpoint>,
}

/// The answer for one topic.
#[derive(Debug, Clone)]
pub struct TopicResponse {
    /// Which.
    pub topic: Topic,
    /// By partition, in the order of the request.
    pub partitions: Vec<PartitionResponse>,
}

/// The answer for one partition.
#[derive(Debug, Clone)]
pub struct PartitionResponse {
    /// Its number.
    pub index: i32,
    /// Kafka's error code, 0 for none.
    pub error_code: i16,
    /// The offset given to the first record, -1 with an error.
    pub base_offset: i64,
    /// The time that was stamped on the records, -1 for their own (Unix milliseconds).
    pub log_append_time_ms: i64,
    /// Where the partition begins, -1 if not known (version 5 and up).
    pub log_start_offset: i64,
    /// Records that made the batch fail, by their index in the batch (version 8 and up).
    pub record_errors: Vec<(i32, Option<String>)>,
    /// Why, in words (version 8 and up).
    pub error_message: Option<String>,
    /// Who leads the partition instead (version 10 and up).
    pub current_leader: Option<Leader>,
}

impl PartitionResponse {
    /// A failure.
    #[must_use]
    pub const fn error(index: i32, error_code: i16, message: Option<String>) -> Self {
        Self {
            index,
            error_code,
            base_offset: -1,
            log_append_time_ms: -1,
            log_start_offset: -1,
            record_errors: Vec::new(),
            error_message: message,
            current_leader: None,
        }
    }
}

impl ProduceResponse {
    /// Encodes it for the request with this header, whose version is one of [`VERSIONS`].
    #[must_use]
    pub fn encode(&self, head: &RequestHead) -> Response {
        let version = head.version;
        let mut w = Response::writer(head);
        let topics = self.topics.iter().map(|topic| (&topic.topic, &*topic.partitions));
        write_topics(&mut w, topics, |w, partition| {
            w.int32(partition.index);
            w.int16(partition.error_code);
            w.int64(partition.base_offset);
            w.int64(partition.log_append_time_ms);
            if version >= 5 {
                w.int64(partition.log_start_offset);
            }
            if version >= 8 {
                w.length(Some(partition.record_errors.len()));
                for (index, message) in &partition.record_errors {
                    w.int32(*index);
                    w.text(message.as_deref());
                    w.tagged_fields(0);
                }
                w.text(partition.error_message.as_deref());
            }
            let leader = partition.current_leader.filter(|_| version >= 10);
            w.tagged_fields(leader.iter().count());
            if let Some(leader) = leader {
                w.tagged_leader(0, leader);
            }
        });
        w.int32(self.throttle_ms);
        write_endpoints(&mut w, if version >= 10 { &self.endpoints } else { &[] });
        w.finish()
    }
}

#[cfg(test)]
mod tests;
