//! Fetch, versions 4 to 18: the answer, written as parts so that record bytes are never joined. The request is
//! the crate's, behind the guard.

use super::frame::RequestHead;
use super::produce::Topic;
use super::response::Response;
use super::topics::{write_endpoints, write_topics};
use super::writer::{Endpoint, Leader};
use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

/// The versions served.
pub const VERSIONS: std::ops::RangeInclusive<i16> = 4..=18;

/// The answer to a Fetch request.
#[derive(Debug, Default)]
pub struct FetchResponse {
    /// How long the client was slowed, in milliseconds.
    pub throttle_ms: i32,
    /// An error of the whole request, such as one of its session (version 7 and up).
    pub error_code: i16,
    /// The session, 0 for none (version 7 and up).
    pub session_id: i32,
    /// By topic.
    pub topics: Vec<FetchedTopic>,
    /// Where the leaders named in `topics` listen (version 16 and up).
    pub endpoints: Vec<Endpoint>,
    /// What the records count for of the memory for answers, until the last byte is written.
    pub memory: Option<OwnedSemaphorePermit>,
}

/// The answer for one topic.
#[derive(Debug, Clone)]
pub struct FetchedTopic {
    /// By name up to version 12, by id from 13 on.
    pub topic: Topic,
    /// By partition.
    pub partitions: Vec<FetchedPartition>,
}

/// The answer for one partition.
#[derive(Debug, Clone)]
pub struct FetchedPartition {
    /// Its number.
    pub index: i32,
    /// Kafka's error code, 0 for none.
    pub error_code: i16,
    /// The end of what is durable, -1 with an error.
    pub high_watermark: i64,
    /// The end of what is decided, -1 with an error.
    pub last_stable_offset: i64,
    /// Where the partition begins, -1 with an error (version 5 and up).
    pub log_start_offset: i64,
    /// Producer id and first offset of each aborted transaction in the records; `None` (null) where the reader
    /// asked for uncommitted records.
    pub aborted: Option<Vec<(i64, i64)>>,
    /// A replica to read from instead, -1 for none (version 11 and up).
    pub preferred_read_replica: i32,
    /// Epoch and end offset from which on the reader's records diverge (version 12 and up).
    pub diverging_epoch: Option<(i32, i64)>,
    /// Who leads the partition instead (version 12 and up).
    pub current_leader: Option<Leader>,
    /// Whole batches, in order.
    pub records: Vec<Bytes>,
}

impl FetchedPartition {
    /// A failure, without records.
    #[must_use]
    pub const fn error(index: i32, error_code: i16) -> Self {
        Self {
            index,
            error_code,
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            aborted: None,
            preferred_read_replica: -1,
            diverging_epoch: None,
            current_leader: None,
            records: Vec::new(),
        }
    }
}

impl FetchResponse {
    /// Encodes it for the request with this header, whose version is one of [`VERSIONS`].
    #[must_use]
    pub fn encode(&self, head: &RequestHead) -> Response {
        let version = head.version;
        let mut w = Response::writer(head);
        w.int32(self.throttle_ms);
        if version >= 7 {
            w.int16(self.error_code);
            w.int32(self.session_id);
        }
        let topics = self.topics.iter().map(|topic| (&topic.topic, &*topic.partitions));
        write_topics(&mut w, topics, |w, partition| {
            w.int32(partition.index);
            w.int16(partition.error_code);
            w.int64(partition.high_watermark);
            w.int64(partition.last_stable_offset);
            if version >= 5 {
                w.int64(partition.log_start_offset);
            }
            w.length(partition.aborted.as_ref().map(Vec::len));
            for (producer_id, first_offset) in partition.aborted.iter().flatten() {
                w.int64(*producer_id);
                w.int64(*first_offset);
                w.tagged_fields(0);
            }
            if version >= 11 {
                w.int32(partition.preferred_read_replica);
            }
            w.records(&partition.records);
            let diverging = partition.diverging_epoch.filter(|_| version >= 12);
            let leader = partition.current_leader.filter(|_| version >= 12);
            w.tagged_fields(diverging.iter().count() + leader.iter().count());
            if let Some((epoch, end_offset)) = diverging {
                w.unsigned_varint(0);
                w.unsigned_varint(4 + 8 + 1);
                w.int32(epoch);
                w.int64(end_offset);
                w.tagged_fields(0);
            }
            if let Some(leader) = leader {
                w.tagged_leader(1, leader);
            }
        });
        write_endpoints(&mut w, if version >= 16 { &self.endpoints } else { &[] });
        w.finish()
    }
}

#[cfg(test)]
mod tests;
