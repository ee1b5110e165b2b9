//! What a shard wants done.

use bytes::Bytes;
use kafka_protocol::messages::ResponseKind;

/// Names a request that waits for its answer. Drawn by whoever hands requests to the shard, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// A record of an internal topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its key.
    pub key: Bytes,
    /// Its value; `None` is a tombstone.
    pub value: Option<Bytes>,
}

/// A producer, as it names itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Producer {
    /// Its id.
    pub id: i64,
    /// Its epoch.
    pub epoch: i16,
}

/// Records to append to the shard's partition. They are atomic: one batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// The transaction that they belong to.
    pub producer: Option<Producer>,
    /// At least one.
    pub records: Vec<Record>,
}

/// When an answer may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// At once: it tells nothing that could be lost.
    Now,
    /// When everything that the shard wanted appended so far is durable.
    Durable,
}

/// An answer to give.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// To whom.
    pub token: Token,
    /// When.
    pub when: When,
    /// What.
    pub response: ResponseKind,
}

/// Transaction markers to write. The transaction's decision is among the records appended before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Markers {
    /// Whose transaction ends.
    pub transactional_id: String,
    /// The producer, with the epoch that the markers are to carry.
    pub producer: Producer,
    /// The coordinator's epoch.
    pub coordinator_epoch: i32,
    /// Whether it is committed; aborted otherwise.
    pub commit: bool,
    /// The version of the transaction protocol (KIP-890): 0, 1 or 2.
    pub transaction_version: i8,
    /// The partitions that take part, by topic and number.
    pub partitions: Vec<(String, i32)>,
}

/// See the module's text. In each list, in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Effects {
    /// What to append, before anything that a later call wants appended.
    pub appends: Vec<Append>,
    /// What to answer.
    pub answers: Vec<Answer>,
    /// What to write to other partitions. Only transaction shards ask for it.
    pub markers: Vec<Markers>,
}

impl Effects {
    /// Answers `token` with `response` once all appends so far are durable.
    pub fn answer(&mut self, token: Token, response: ResponseKind) {
        self.answers.push(Answer { token, when: When::Durable, response });
    }

    /// Answers `token` with `response` at once.
    pub fn answer_now(&mut self, token: Token, response: ResponseKind) {
        self.answers.push(Answer { token, when: When::Now, response });
    }

    /// All of what else is to be done, after this.
    pub fn extend(&mut self, other: Self) {
        self.appends.extend(other.appends);
        self.answers.extend(other.answers);
        self.markers.extend(other.markers);
    }

    /// Appends records, if there are any.
    pub fn append(&mut self, records: Vec<Record>) {
        if !records.is_empty() {
            self.appends.push(Append { producer: None, records });
        }
    }
}
