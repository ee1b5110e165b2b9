//! What a coordinator answers, and what becomes of the batches that it was asked about.

use super::super::tests::{Fixture, only};
use super::*;
use crate::batch::build::Build;
use crate::handlers::produce::enter;
use crate::partition::log::LogConfig;
use crate::wire::produce::{ProducePartition, ProduceRequest, ProduceTopic, TopicRef};
use futures::future::BoxFuture;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

const NOW: i64 = 1_700_000_000_000;
const NEW: i16 = 12;
const OLD: i16 = 10;

type Question = (String, i64, i16, Vec<(Arc<str>, i32)>, Enrolment);

/// A coordinator that says what the test says, and remembers what it was asked.
#[derive(Debug, Default)]
struct Scripted {
    answers: Mutex<VecDeque<Vec<Result<(), Code>>>>,
    asked: Mutex<Vec<Question>>,
    silent: bool,
}

impl Scripted {
    fn saying(answers: &[&[Result<(), Code>]]) -> Self {
        let answers = answers.iter().map(|answers| answers.to_vec()).collect();
        Self { answers: Mutex::new(answers), ..Self::default() }
    }

    fn asked(&self) -> Vec<Question> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

impl Transactions for Scripted {
    fn enrol(
        &self,
        transactional_id: &str,
        producer_id: i64,
        producer_epoch: i16,
        partitions: Vec<(Arc<str>, i32)>,
        how: Enrolment,
    ) -> BoxFuture<'_, Vec<Result<(), Code>>> {
        let question = (transactional_id.to_owned(), producer_id, producer_epoch, partitions, how);
        self.asked.lock().unwrap().push(question);
        if self.silent {
            return Box::pin(std::future::pending());
        }
        let answers = self.answers.lock().unwrap().pop_front().expect("nobody has a question");
        Box::pin(std::future::ready(answers))
    }
}

fn batch(id: i64, sequence: i32) -> Vec<u8> {
    Build::records(1, NOW).producer(id, 0, sequence).attribute(4).bytes()
}

/// Codes and messages, by partition.
async fn send(
    f: &Fixture,
    transactions: &Scripted,
    version: i16,
    id: Option<&str>,
    batches: &mut [(i32, Vec<u8>)],
) -> Vec<(i16, Option<String>)> {
    let partitions = batches
        .iter_mut()
        .map(|(index, records)| ProducePartition { index: *index, records: Some(records) })
        .collect();
    let topics = vec![ProduceTopic { topic: TopicRef::Name("t"), partitions }];
    let request =
        ProduceRequest { transactional_id: id, acks: -1, timeout_ms: 1_000, topics, internal_topics: false };
    let answer = enter(&f.table, transactions, f.clock, request, version).await;
    f.streams.flush_all();
    let mut response = answer.await;
    let partitions = response.topics.remove(0).partitions;
    partitions.into_iter().map(|one| (one.error_code, one.error_message)).collect()
}

fn codes(answers: &[(i16, Option<String>)]) -> Vec<i16> {
    answers.iter().map(|(code, _)| *code).collect()
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_is_asked_once_about_all_partitions_in_which_the_transaction_begins() {
    let f = Fixture::new(LogConfig::default()).await;
    let transactions = Scripted::saying(&[&[Ok(()), Err(Code::InvalidTxnState)]]);
    let mut batches = [(0, batch(7, 0)), (1, batch(7, 0)), (2, batch(7, 0)), (9, batch(7, 0))];
    let answers = send(&f, &transactions, NEW, Some("tx"), &mut batches).await;
    assert_eq!(codes(&answers), [0, 48, 6, 3]);
    assert!(answers[1].1.is_some());
    let topic: Arc<str> = "t".into();
    let partitions = vec![(topic.clone(), 0), (topic.clone(), 1)];
    assert_eq!(transactions.asked(), [("tx".to_owned(), 7, 0, partitions, Enrolment::Add)]);
    assert!(f.logs[0].ongoing_transaction(7, 0) && !f.logs[1].ongoing_transaction(7, 0));
    // Where it is open nobody is asked.
    let mut batches = [(0, batch(7, 1))];
    assert_eq!(codes(&send(&f, &transactions, NEW, Some("tx"), &mut batches).await), [0]);
    assert!(transactions.asked().is_empty());
    // Nor about a batch of no transaction, or of no producer.
    let anonymous = Build::records(1, NOW).attribute(4).bytes();
    let mut batches = [(1, Build::records(1, NOW).producer(8, 0, 0).bytes()), (0, anonymous)];
    assert_eq!(codes(&send(&f, &transactions, NEW, Some("tx"), &mut batches).await), [0, 0]);
    assert!(transactions.asked().is_empty());
    // Older clients have added the partition themselves.
    let transactions = Scripted::saying(&[&[Ok(())]]);
    assert_eq!(codes(&send(&f, &transactions, 11, Some("tx"), &mut [(1, batch(7, 0))]).await), [0]);
    assert_eq!(transactions.asked()[0].4, Enrolment::Verify);
}

#[tokio::test(start_paused = true)]
async fn a_request_is_refused_as_a_whole_without_an_id_or_with_two_producers() {
    let f = Fixture::new(LogConfig::default()).await;
    let transactions = Scripted::default();
    let plain = || Build::records(1, NOW).bytes();
    let answers =
        send(&f, &transactions, NEW, None, &mut [(0, plain()), (1, batch(7, 0)), (9, plain())]).await;
    assert_eq!(codes(&answers), [53, 53, 53]);
    let answers = send(&f, &transactions, NEW, Some("tx"), &mut [(0, batch(7, 0)), (1, batch(8, 0))]).await;
    assert_eq!(codes(&answers), [49, 49]);
    assert!(transactions.asked().is_empty());
    // The coordinator is heard before it is told what is wrong with a batch.
    let control = || Build::records(1, NOW).producer(7, 0, 0).attribute(4).attribute(5).bytes();
    for (said, told) in [(Err(Code::InvalidProducerIdMapping), 49), (Ok(()), 87)] {
        let transactions = Scripted::saying(&[&[said]]);
        let answers = send(&f, &transactions, NEW, Some("tx"), &mut [(0, control())]).await;
        assert_eq!(codes(&answers), [told]);
    }
    // What is no batch at all has no say.
    let answers = send(&f, &transactions, NEW, None, &mut [(0, plain()), (1, vec![0xff; 80])]).await;
    assert_eq!(codes(&answers), [0, 2]);
}

#[tokio::test(start_paused = true)]
async fn what_the_coordinator_says_is_told_as_the_client_knows_it() {
    let f = Fixture::new(LogConfig::default()).await;
    for (said, version, told, has_words) in [
        (Code::InvalidTxnState, OLD, 48, true),
        (Code::ProducerFenced, OLD, 47, false),
        (Code::ProducerFenced, NEW, 47, false),
        (Code::TransactionAbortable, OLD, 48, true),
        (Code::TransactionAbortable, 11, 120, false),
        (Code::TransactionAbortable, NEW, 120, false),
        (Code::InvalidProducerIdMapping, NEW, 49, false),
        (Code::ConcurrentTransactions, OLD, 19, true),
        (Code::CoordinatorLoadInProgress, NEW, 19, true),
        (Code::CoordinatorNotAvailable, NEW, 19, true),
        (Code::NotCoordinator, OLD, 19, true),
        (Code::NetworkException, NEW, 19, true),
    ] {
        let transactions = Scripted::saying(&[&[Err(said)]]);
        let answers = send(&f, &transactions, version, Some("tx"), &mut [(0, batch(7, 0))]).await;
        assert_eq!((answers[0].0, answers[0].1.is_some()), (told, has_words), "{said:?} {version}");
    }
    assert_eq!(f.logs[0].ends().unwrap().appended.0, 0);
}

#[tokio::test(start_paused = true)]
async fn a_transaction_that_is_ending_is_waited_for_a_little() {
    let f = Fixture::new(LogConfig::default()).await;
    let ending: &[_] = &[Err(Code::ConcurrentTransactions)];
    let transactions = Scripted::saying(&[ending, ending, &[Ok(())]]);
    let began = f.clock.now();
    assert_eq!(codes(&send(&f, &transactions, NEW, Some("tx"), &mut [(0, batch(7, 0))]).await), [0]);
    assert_eq!((f.clock.now() - began, transactions.asked().len()), (ENROLMENT_BACKOFF * 2, 3));
    let transactions = Scripted::saying(&[ending; 9]);
    let began = f.clock.now();
    assert_eq!(codes(&send(&f, &transactions, NEW, Some("tx"), &mut [(1, batch(7, 0))]).await), [51]);
    assert_eq!(f.clock.now() - began, ENROLMENT_PATIENCE);
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_says_nothing_is_not_waited_for_longer_than_the_client_does() {
    let f = Fixture::new(LogConfig::default()).await;
    let transactions = Scripted { silent: true, ..Scripted::default() };
    let began = f.clock.now();
    let answers = send(&f, &transactions, NEW, Some("tx"), &mut [(0, batch(7, 0))]).await;
    assert_eq!((answers[0].0, f.clock.now() - began), (19, Duration::from_secs(1)));
    // The epoch is looked at before anybody is asked.
    f.logs[0].append_marker(7, 3, 0, true, 2).unwrap();
    let answers = send(&f, &transactions, NEW, Some("tx"), &mut [(0, batch(7, 0))]).await;
    assert_eq!((answers[0].0, transactions.asked().len()), (47, 1));
}

#[tokio::test(start_paused = true)]
async fn a_marker_while_the_coordinator_is_asked_refuses_the_batch() {
    let f = Fixture::new(LogConfig::default()).await;
    let log = f.logs[0].clone();
    #[derive(Debug)]
    struct Ending(Arc<crate::partition::PartitionLog>);
    impl Transactions for Ending {
        fn enrol(
            &self,
            _: &str,
            id: i64,
            epoch: i16,
            _: Vec<(Arc<str>, i32)>,
            _: Enrolment,
        ) -> BoxFuture<'_, Vec<Result<(), Code>>> {
            self.0.append_marker(id, epoch, 0, false, 1).unwrap();
            Box::pin(std::future::ready(vec![Ok(())]))
        }
    }
    let mut records = batch(7, 0);
    let partitions = vec![ProducePartition { index: 0, records: Some(&mut records) }];
    let topics = vec![ProduceTopic { topic: TopicRef::Name("t"), partitions }];
    let request = ProduceRequest {
        transactional_id: Some("tx"),
        acks: -1,
        timeout_ms: 1_000,
        topics,
        internal_topics: false,
    };
    let answer = enter(&f.table, &Ending(log), f.clock, request, 11).await;
    assert_eq!(only(answer.await).error_code, 48);
}
