//! What is said to and by a partition's producers: how a batch names itself, where it was appended, what is known of who
//! wrote it, and why it is refused.

use super::verifications::Guard;
use crate::batch::Marker;
use crate::batch::compose::NO_SEQUENCE;
use levee_base::Offset;

/// How a batch names itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Which producer sends it.
    pub producer_id: i64,
    /// That producer's epoch.
    pub epoch: i16,
    /// The sequence number of the first record, not negative; or -1 of a batch that a coordinator writes.
    pub base_sequence: i32,
    /// How many records there are, at least one.
    pub count: u32,
    /// Whether it is part of a transaction.
    pub transactional: bool,
}

impl Claim {
    /// The sequence number of the last record. Numbers go on with 0 after `i32::MAX`.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        const NUMBERS: u64 = 1 << 31;
        if self.base_sequence < 0 {
            return NO_SEQUENCE;
        }
        let last = (u64::from(self.base_sequence.unsigned_abs()) + u64::from(self.count) - 1) % NUMBERS;
        i32::try_from(last).unwrap_or(i32::MAX)
    }
}

/// The end of a producer's transaction, as a control batch says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Whose transaction.
    pub producer_id: i64,
    /// The epoch that the marker has.
    pub epoch: i16,
    /// What it says; `None` if keyed compaction has left nothing of it but its epoch.
    pub marker: Option<Marker>,
}

/// Where a batch was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The offset of its first record.
    pub base: Offset,
    /// Its largest timestamp, in Unix milliseconds.
    pub max_timestamp: i64,
    /// When it was appended, in Unix milliseconds of the leader's clock.
    pub appended_ms: i64,
    /// What lies below is durable.
    pub durable: Offset,
}

/// Where a batch comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A client, with what it was given before its transaction's coordinator was asked, if it was.
    Client(Option<Guard>),
    /// A coordinator on this broker, which numbers nothing: with what it was given likewise.
    Coordinator(Option<Guard>),
}

/// What a producer wrote last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastWritten {
    /// Who.
    pub producer_id: i64,
    /// Its epoch.
    pub epoch: i16,
    /// The offset of its last record; `None` if all that is known of it is a marker.
    pub last: Option<Offset>,
}

/// What is known of a producer, for those who look after hanging transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActiveProducer {
    /// Who.
    pub producer_id: i64,
    /// Its epoch, -1 if it is not known.
    pub epoch: i16,
    /// The sequence number of its last record, -1 if it is not known.
    pub last_sequence: i32,
    /// The largest timestamp of what it wrote last, in Unix milliseconds.
    pub last_timestamp: i64,
    /// The epoch of the coordinator that ended its last transaction, -1 if none did.
    pub coordinator_epoch: i32,
    /// Where its transaction begins, if one is open.
    pub transaction: Option<Offset>,
}

/// Why a batch or a marker is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProducerError {
    /// Another instance of the producer has been seen since, or the transaction that this is of has ended.
    #[error("producer {producer_id} sends with epoch {epoch} after epoch {current} was seen")]
    OldEpoch {
        /// Who.
        producer_id: i64,
        /// The batch's epoch.
        epoch: i16,
        /// The newest epoch seen.
        current: i16,
    },
    /// Not the number that comes next.
    #[error("producer {producer_id} sends sequence number {got} where {expected} is next")]
    OutOfOrder {
        /// Who.
        producer_id: i64,
        /// The batch's first number.
        got: i32,
        /// The number that comes next.
        expected: i32,
    },
    /// It would begin a transaction of which the coordinator doesn't know that it includes the partition.
    #[error("the batch is not part of an ongoing transaction")]
    NotVerified,
    /// Not part of the transaction that the producer has open.
    #[error("producer {producer_id} has a transaction open, and the batch is not part of it")]
    NotTransactional {
        /// Who.
        producer_id: i64,
    },
    /// It would begin a transaction, and there are too many.
    #[error("the partition has too many transactions that are open or were aborted; retention makes room")]
    TooManyTransactions,
    /// A coordinator that has been replaced since.
    #[error(
        "a coordinator of epoch {epoch} ends a transaction of producer {producer_id} after epoch {current} was seen"
    )]
    OldCoordinator {
        /// Whose transaction.
        producer_id: i64,
        /// The marker's epoch.
        epoch: i32,
        /// The newest epoch seen.
        current: i32,
        /// Whether the producer has a transaction open, which the refused marker would have ended.
        open: bool,
    },
}
