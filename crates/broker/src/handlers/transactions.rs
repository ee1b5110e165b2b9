//! What a partition's part in a transaction asks of the transaction's coordinator (KIP-890): whether the partition is one
//! of its partitions, or that it become one.
//!
//! Without it a batch that comes late, after its transaction has ended, would begin another one that nobody knows of and
//! nobody ends, and hold back all who read only what is committed.

use crate::errors::Code;
use futures::future::BoxFuture;
use std::fmt::Debug;
use std::sync::Arc;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enrolment {
    /// That the partition become part of the transaction, and an error if there can be none now. Clients of Produce 12 and
    /// TxnOffsetCommit 5 leave this to the broker (KIP-890, part 2).
    Add,
    /// Whether it is part of it. Older clients have seen to that themselves.
    Verify,
}

/// The transactions of which this broker is asked to store records.
pub trait Transactions: Debug + Send + Sync + 'static {
    /// Asks the coordinator of `transactional_id` about partitions, by topic and number, for the producer of this id and
    /// epoch. One answer for each of them, in their order; the codes are those of AddPartitionsToTxn.
    ///
    /// What is decided need not be durable when this returns, as long as it is in the same write-ahead log as what is
    /// appended next: what is durable of that is always a prefix.
    fn enrol(
        &self,
        transactional_id: &str,
        producer_id: i64,
        producer_epoch: i16,
        partitions: Vec<(Arc<str>, i32)>,
        how: Enrolment,
    ) -> BoxFuture<'_, Vec<Result<(), Code>>>;
}

/// Where no coordinator is: clients look for one, and try again.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCoordinator;

impl Transactions for NoCoordinator {
    fn enrol(
        &self,
        _: &str,
        _: i64,
        _: i16,
        partitions: Vec<(Arc<str>, i32)>,
        _: Enrolment,
    ) -> BoxFuture<'_, Vec<Result<(), Code>>> {
        let answers = partitions.iter().map(|_| Err(Code::CoordinatorNotAvailable)).collect();
        Box::pin(std::future::ready(answers))
    }
}
