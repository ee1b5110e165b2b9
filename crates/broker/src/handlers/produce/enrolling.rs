//! Before batches of a transaction are appended to partitions in which it is not open yet, its coordinator is asked about
//! them, once for all of a request (KIP-890; the codes are those of Kafka 4's `ReplicaManager`).

use super::preparing::Prepared;
use super::{Entered, Entering, append_code};
use crate::errors::Code;
use crate::handlers::transactions::{Enrolment, Transactions};
use crate::partition::AppendError;
use crate::partition::verifications::Guard;
use levee_base::limits::{ENROLMENT_BACKOFF, ENROLMENT_PATIENCE};
use std::sync::Arc;

/// From this version on the broker makes partitions part of the transaction (KIP-890, part 2),
const ADD_FROM_VERSION: i16 = 12;
/// and from this one on clients know TRANSACTION_ABORTABLE.
const ABORTABLE_FROM_VERSION: i16 = 11;

/// A batch whose partition the coordinator is asked about.
struct Asked<'p, 'a> {
    prepared: &'p mut Prepared<'a>,
    guard: Guard,
}

/// What the coordinator is asked.
#[derive(Default)]
struct Question<'p, 'a> {
    asked: Vec<Asked<'p, 'a>>,
    /// Whose transaction it is, by id and epoch.
    producer: Option<(i64, i16)>,
    partitions: Vec<(Arc<str>, i32)>,
}

impl Entering {
    /// Asks about the batches among `prepared` that need it. Those that may not be appended have failed after this.
    pub(super) async fn enrol(
        &self,
        transactions: &dyn Transactions,
        transactional_id: &str,
        prepared: Vec<&mut Prepared<'_>>,
    ) {
        let how = if self.version >= ADD_FROM_VERSION { Enrolment::Add } else { Enrolment::Verify };
        let began = self.clock.now();
        let mut left = prepared;
        loop {
            let Question { asked, producer, partitions } = begin(left, how);
            let Some((id, epoch)) = producer else { return };
            let count = partitions.len();
            let answers = transactions.enrol(transactional_id, id, epoch, partitions, how);
            let answers = self.ask(answers, count).await;
            // The client would wait for longer before it sends all of it again.
            let ending = answers.contains(&Err(Code::ConcurrentTransactions));
            if how == Enrolment::Add && ending && self.clock.now() - began < ENROLMENT_PATIENCE {
                self.clock.sleep(ENROLMENT_BACKOFF).await;
                left = asked.into_iter().map(|asked| asked.prepared).collect();
                continue;
            }
            for (Asked { prepared, guard }, answer) in asked.into_iter().zip(answers) {
                match answer {
                    Ok(()) => prepared.allow(guard),
                    Err(code) => prepared.fail(|index| {
                        let (code, message) = self.translated(code);
                        Entered::failed(index, code, message)
                    }),
                }
            }
            return;
        }
    }

    /// The coordinator's answers, `count` of them. When they come too late, what it has done is not known.
    async fn ask(
        &self,
        answers: impl Future<Output = Vec<Result<(), Code>>>,
        count: usize,
    ) -> Vec<Result<(), Code>> {
        let mut answers = match self.deadline {
            None => answers.await,
            Some(deadline) => tokio::select! {
                biased;
                answers = answers => answers,
                () = self.clock.sleep_until(deadline) => Vec::new(),
            },
        };
        answers.resize(count, Err(Code::NetworkException));
        answers
    }

    /// What a client is told instead of the coordinator's code: Produce has its own, and older versions know fewer. With
    /// words, where Kafka has some.
    fn translated(&self, code: Code) -> (Code, Option<String>) {
        let code = match code {
            Code::ProducerFenced => Code::InvalidProducerEpoch,
            Code::TransactionAbortable if self.version < ABORTABLE_FROM_VERSION => Code::InvalidTxnState,
            code => code,
        };
        match code {
            Code::InvalidTxnState => {
                (code, Some("the partition is not part of the producer's transaction".to_owned()))
            }
            Code::ConcurrentTransactions if self.version >= ADD_FROM_VERSION => (code, None),
            // Older clients send again after this code, and look for no other leader.
            Code::NetworkException
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator
            | Code::ConcurrentTransactions => (
                Code::NotEnoughReplicas,
                Some(format!("it is not known whether the partition is part of the transaction: {code:?}")),
            ),
            code => (code, None),
        }
    }
}

/// Sorts out those of which the coordinator must be asked.
fn begin<'p, 'a>(prepared: Vec<&'p mut Prepared<'a>>, how: Enrolment) -> Question<'p, 'a> {
    let mut question = Question::default();
    for prepared in prepared {
        let Prepared::Ready(ready) = &*prepared else { continue };
        let Some(batch) = ready.transaction else { continue };
        let add = how == Enrolment::Add;
        match ready.log.verify(batch.producer_id, batch.epoch, batch.base_sequence, add) {
            Ok(None) => {}
            Ok(Some(guard)) => {
                question.producer = Some((batch.producer_id, batch.epoch));
                question.partitions.push((ready.topic.clone(), ready.index));
                question.asked.push(Asked { prepared, guard });
            }
            Err(error) => fail(prepared, &error),
        }
    }
    question
}

fn fail(prepared: &mut Prepared<'_>, error: &AppendError) {
    prepared.fail(|index| Entered::failed(index, append_code(error), Some(error.to_string())));
}

#[cfg(test)]
#[path = "enrolling_tests.rs"]
mod tests;
