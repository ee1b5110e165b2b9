//! What clients get, case by case. The codes and epochs were taken from Apache Kafka 4.3.0, asked the same.

use super::harness::*;
use super::*;
use kafka_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, InitProducerIdRequest, InitProducerIdResponse, ListTransactionsRequest,
    ResponseKind,
};

const fn code_of(error: ResponseError) -> i16 {
    error.code()
}

const FENCED: i16 = code_of(ResponseError::ProducerFenced);
const INVALID_EPOCH: i16 = code_of(ResponseError::InvalidProducerEpoch);
const INVALID_MAPPING: i16 = code_of(ResponseError::InvalidProducerIdMapping);
const INVALID_STATE: i16 = code_of(ResponseError::InvalidTxnState);
const INVALID_TIMEOUT: i16 = code_of(ResponseError::InvalidTransactionTimeout);
const INVALID_REQUEST: i16 = code_of(ResponseError::InvalidRequest);
const CONCURRENT: i16 = code_of(ResponseError::ConcurrentTransactions);
const LOADING: i16 = code_of(ResponseError::CoordinatorLoadInProgress);
const UNKNOWN_ERROR: i16 = code_of(ResponseError::UnknownServerError);
const ABORTABLE: i16 = code_of(ResponseError::TransactionAbortable);
const NOT_FOUND: i16 = code_of(ResponseError::TransactionalIdNotFound);
const UNKNOWN_TOPIC: i16 = code_of(ResponseError::UnknownTopicOrPartition);
const NOT_ATTEMPTED: i16 = code_of(ResponseError::OperationNotAttempted);
const NOT_AUTHORIZED: i16 = code_of(ResponseError::TopicAuthorizationFailed);

/// The last epoch that a producer may use.
const LAST: i16 = i16::MAX - 1;

#[test]
fn a_producer_is_initialized() {
    let mut it = Harness::new();
    assert_eq!(it.init("a"), (NONE, 0, 0));
    assert_eq!(it.init("a"), (NONE, 0, 1));
    assert_eq!(it.init("b"), (NONE, 1, 0));
    // One without transactions.
    assert_eq!(it.init_by(5, None, 0, producer(-1, -1)), (NONE, 2, 0));
    assert_eq!(it.log.len(), 3);
    // One that names itself, though it isn't known here.
    assert_eq!(it.init_as("new", producer(77, 9)), (NONE, 3, 0));
    let value = it.on_record("new").unwrap();
    assert_eq!((value.producer_id, value.previous_producer_id, value.transaction_status), (3, 3, 0));
    assert_eq!((value.transaction_partitions, value.transaction_start_timestamp_ms), (None, -1));
    assert_eq!(value.transaction_last_update_timestamp_ms, it.time.wall_ms);
    assert_eq!(value.client_transaction_version, 0);
}

#[test]
fn what_cannot_be_initialized() {
    let mut it = Harness::new();
    let none = producer(-1, -1);
    assert_eq!(it.init(""), (INVALID_REQUEST, -1, -1));
    for timeout in [0, -5, 900_001, i32::MAX] {
        assert_eq!(it.init_by(5, Some("a"), timeout, none), (INVALID_TIMEOUT, -1, -1), "{timeout}");
    }
    assert_eq!(it.init_by(5, Some("a"), 900_000, none).0, NONE);
    // Half of a producer.
    assert_eq!(it.init_as("a", producer(5, -1)), (INVALID_REQUEST, -1, -1));
    assert_eq!(it.init_as("a", producer(-1, 5)), (INVALID_REQUEST, -1, -1));
    let long = "a".repeat(i16::MAX as usize + 1);
    assert_eq!(it.init(&long), (UNKNOWN_ERROR, -1, -1));
    assert_eq!(it.log.len(), 1);
    assert_eq!(it.init(&long[1..]).0, NONE);
    // Two-phase commit (KIP-939) isn't served.
    for (request, error) in [
        (
            InitProducerIdRequest::default().with_enable_2_pc(true),
            ResponseError::TransactionalIdAuthorizationFailed,
        ),
        (InitProducerIdRequest::default().with_keep_prepared_txn(true), ResponseError::UnsupportedVersion),
    ] {
        let request = request.with_transactional_id(Some(text("a").into())).with_transaction_timeout_ms(1);
        let response =
            InitProducerIdResponse::default().with_error_code(error.code()).with_producer_epoch(-1);
        let answer = it.send(5, RequestKind::InitProducerId(request));
        assert_eq!(answer, ResponseKind::InitProducerId(response));
    }
}

#[test]
fn without_producer_ids_clients_are_asked_to_try_again() {
    let mut it = Harness::new();
    it.has_producer_ids = false;
    assert_eq!(it.init("a"), (LOADING, -1, -1));
    assert_eq!(it.init_by(5, None, 0, producer(-1, -1)), (LOADING, -1, -1));
    assert_eq!(it.describe("a").error_code, NOT_FOUND);
    it.record("a", State::Empty, producer(9, LAST));
    assert_eq!(it.init("a"), (LOADING, -1, -1));
    assert_eq!(it.end("a", producer(9, LAST), false), (LOADING, -1, -1));
    assert_eq!(it.add(5, "a", producer(9, LAST)), NONE);
    assert_eq!(it.end("a", producer(9, LAST), true), (LOADING, -1, -1));
    assert_eq!(it.init("a"), (LOADING, -1, -1));
    // Time-out waits too.
    it.pass(Duration::from_secs(80));
    assert_eq!(it.state("a"), ("Ongoing".into(), 9, LAST));
    // Nothing of it needs one by the old protocol.
    assert_eq!(it.end_v4("a", producer(9, LAST), true), NONE);
    it.write_markers();
    it.has_producer_ids = true;
    assert_eq!(it.init("a"), (NONE, 10, 0));
    // What isn't taken is kept.
    let held = |it: &Harness| it.shard.producer_ids.len();
    assert_eq!(held(&it), 0);
    it.shard.supply_producer_id(50);
    assert_eq!(it.init("b"), (NONE, 50, 0));
    assert_eq!(held(&it), 0);
}

#[test]
fn what_is_not_known() {
    let mut it = Harness::new();
    let anyone = producer(1, 1);
    assert_eq!(it.end("nope", anyone, true), (INVALID_MAPPING, -1, -1));
    assert_eq!(it.end_v4("nope", anyone, true), INVALID_MAPPING);
    assert_eq!((it.add(3, "nope", anyone), it.add(5, "nope", anyone)), (INVALID_MAPPING, INVALID_MAPPING));
    assert_eq!(
        (it.verify("nope", anyone), it.add_offsets(3, "nope", anyone, "g")),
        (INVALID_MAPPING, INVALID_MAPPING)
    );
    let unknown = it.describe("nope");
    assert_eq!((unknown.error_code, unknown.transactional_id.as_str()), (NOT_FOUND, "nope"));
    assert_eq!((unknown.transaction_state.as_str(), unknown.producer_id.0), ("", 0));
    // Without a name.
    assert_eq!(it.end("", anyone, true), (INVALID_REQUEST, -1, -1));
    assert_eq!((it.add(3, "", anyone), it.add(4, "", anyone), it.verify("", anyone)), (42, 42, 42));
    assert_eq!((it.add_offsets(3, "", anyone, "g"), it.describe("").error_code), (42, 42));
}

#[test]
fn partitions_take_part() {
    let mut it = Harness::new();
    let me = it.producer("a");
    let zombie = producer(me.id, me.epoch + 1);
    let fenced = [1, 2, 3, 4].map(|version| it.add(version, "a", zombie));
    assert_eq!(fenced, [INVALID_EPOCH, FENCED, FENCED, FENCED]);
    assert_eq!(it.verify("a", zombie), FENCED);
    assert_eq!(it.add(3, "a", producer(me.id + 1, me.epoch)), INVALID_MAPPING);
    assert_eq!(it.verify("a", producer(me.id + 1, me.epoch)), INVALID_MAPPING);
    // A partition that doesn't exist keeps the others out, too, whoever asks.
    let unknown: &[(&str, &[i32])] = &[("t", &[0, 9]), ("zz", &[0]), ("u", &[1, -1])];
    let expected = [
        ("t".to_owned(), vec![(0, NOT_ATTEMPTED), (9, UNKNOWN_TOPIC)]),
        ("zz".to_owned(), vec![(0, UNKNOWN_TOPIC)]),
        ("u".to_owned(), vec![(1, NOT_ATTEMPTED), (-1, UNKNOWN_TOPIC)]),
    ];
    for version in [3, 5] {
        assert_eq!(it.add_by(version, "a", me, unknown, false), expected);
        assert_eq!(it.add_by(version, "nope", me, unknown, version > 3), expected);
    }
    // Clients don't write to internal topics.
    let internal: &[(&str, &[i32])] = &[("t", &[0]), ("__consumer_offsets", &[0])];
    let codes = it.add_by(3, "a", me, internal, false);
    assert_eq!(codes[1].1, [(0, NOT_AUTHORIZED)]);
    assert_eq!(codes[0].1, [(0, NOT_ATTEMPTED)]);
    assert_eq!(it.log.len(), 1);
    // What is named twice is answered twice, unless each has its own code.
    let twice: &[(&str, &[i32])] = &[("t", &[0, 0, 1]), ("u", &[0]), ("t", &[2]), ("u", &[])];
    let all = |name: &str, numbers: &[i32]| {
        (name.to_owned(), numbers.iter().map(|it| (*it, NONE)).collect::<Vec<_>>())
    };
    let expected = [all("t", &[0, 0, 1]), all("u", &[0]), all("t", &[2]), all("u", &[])];
    assert_eq!(it.add_by(3, "a", me, twice, false), expected);
    assert_eq!(it.add_by(5, "a", me, twice, true), [all("t", &[0, 1, 2]), all("u", &[0])]);
    let codes = it.add_by(5, "a", me, &[("t", &[0, 3]), ("u", &[0])], true);
    assert_eq!(codes, [("t".to_owned(), vec![(0, NONE), (3, ABORTABLE)]), all("u", &[0])]);
    assert_eq!(it.add_by(3, "a", me, &[], false), []);
    assert_eq!(it.log.len(), 2);
    // Those that take part already are not written again.
    assert_eq!(it.add(3, "a", me), NONE);
    assert_eq!(it.log.len(), 2);
    let start = it.time.wall_ms;
    it.pass(Duration::from_secs(1));
    let group = partition_of_group("g");
    let zombies = [1, 2].map(|version| it.add_offsets(version, "a", zombie, "g"));
    assert_eq!(zombies, [INVALID_EPOCH, FENCED]);
    assert_eq!(it.add_offsets(3, "a", me, "g"), NONE);
    let described = it.describe("a");
    assert_eq!((described.error_code, described.transaction_state.as_str()), (NONE, "Ongoing"));
    assert_eq!((described.transaction_timeout_ms, described.transaction_start_time_ms), (60_000, start));
    let topics: Vec<_> =
        described.topics.iter().map(|it| (it.topic.to_string(), it.partitions.clone())).collect();
    let expected = [("__consumer_offsets", vec![group]), ("t", vec![0, 1, 2]), ("u", vec![0])];
    assert_eq!(topics, expected.map(|(name, numbers)| (name.to_owned(), numbers)));
    let value = it.on_record("a").unwrap();
    assert_eq!((value.transaction_start_timestamp_ms, value.client_transaction_version), (start, 0));
    assert_eq!(value.transaction_last_update_timestamp_ms, it.time.wall_ms);
}

#[test]
fn brokers_ask_for_several_transactions_at_once() {
    let mut it = Harness::new();
    let (a, b) = (it.producer("a"), it.producer("b"));
    assert_eq!(it.add(5, "b", b), NONE);
    let transaction = |id: &str, me: Producer, verify_only: bool| {
        let topic =
            AddPartitionsToTxnTopic::default().with_name(text("t").into()).with_partitions(vec![1, 2]);
        AddPartitionsToTxnTransaction::default()
            .with_transactional_id(text(id).into())
            .with_producer_id(me.id.into())
            .with_producer_epoch(me.epoch)
            .with_verify_only(verify_only)
            .with_topics(vec![topic])
    };
    let asked = vec![transaction("nope", a, false), transaction("a", a, false), transaction("b", b, true)];
    let request = AddPartitionsToTxnRequest::default().with_transactions(asked);
    let ResponseKind::AddPartitionsToTxn(response) = it.send(5, RequestKind::AddPartitionsToTxn(request))
    else {
        panic!("another answer");
    };
    let results = response.results_by_transaction.iter();
    let results: Vec<_> =
        results.map(|it| (it.transactional_id.to_string(), codes(&it.topic_results))).collect();
    let expected = [("nope", [INVALID_MAPPING; 2]), ("a", [NONE; 2]), ("b", [NONE, ABORTABLE])];
    let expected =
        expected.map(|(id, [one, two])| (id.to_owned(), vec![("t".to_owned(), vec![(1, one), (2, two)])]));
    assert_eq!(results, expected);
    assert_eq!((response.error_code, it.state("a").0), (NONE, "Ongoing".into()));
    // What was added by the new protocol may end by the old one, and the other way round.
    assert_eq!(it.on_record("a").unwrap().client_transaction_version, 2);
    assert_eq!(it.end_v4("a", a, true), NONE);
    assert_eq!((it.markers[0].producer, it.markers[0].transaction_version), (a, 0));
    it.write_markers();
    assert_eq!((it.add(3, "a", a), it.on_record("a").unwrap().client_transaction_version), (NONE, 0));
    assert_eq!(it.end("a", a, true), (NONE, a.id, 1));
    assert_eq!(it.markers[0].transaction_version, 2);
}

fn partition_of_group(group: &str) -> i32 {
    crate::partition_of(group, 50).cast_signed()
}

#[test]
fn a_transaction_may_begin_without_partitions() {
    let mut it = Harness::new();
    let me = it.producer("a");
    assert_eq!(it.add_by(3, "a", me, &[("t", &[])], false), [("t".to_owned(), vec![])]);
    assert_eq!(it.state("a").0, "Ongoing");
    assert_eq!(it.end_v4("a", me, true), NONE);
    assert_eq!(it.state("a"), ("CompleteCommit".into(), 0, 0));
    assert!(it.markers.is_empty());
    let statuses: Vec<_> = it.log.iter().map(|it| it.value.clone().map(TransactionLogValue::read)).collect();
    let statuses: Vec<_> = statuses.into_iter().flatten().map(|it| it.unwrap().transaction_status).collect();
    assert_eq!(statuses, [0, 1, 2, 4]);
}

#[test]
fn a_transaction_ends_by_version_0_of_the_protocol() {
    let mut it = Harness::new();
    let me = it.producer("a");
    let zombie = producer(me.id, me.epoch + 1);
    assert_eq!(it.end_v4("a", me, false), INVALID_STATE);
    assert_eq!(it.add(3, "a", me), NONE);
    assert_eq!((it.end_v4("a", zombie, true), it.end_by(1, "a", zombie, true).0), (FENCED, INVALID_EPOCH));
    assert_eq!(it.end_v4("a", producer(me.id + 1, me.epoch), true), INVALID_MAPPING);
    assert_eq!(it.end_v4("a", me, true), NONE);
    let expected = Markers {
        transactional_id: "a".into(),
        producer: me,
        coordinator_epoch: 1,
        commit: true,
        transaction_version: 0,
        partitions: vec![("t".into(), 0), ("t".into(), 1)],
    };
    assert_eq!(it.markers, [expected]);
    // Until they are written, all wait; who is nobody is told so first.
    assert_eq!((it.end_v4("a", me, true), it.end_v4("a", me, false)), (CONCURRENT, CONCURRENT));
    assert_eq!((it.end_v4("a", zombie, true), it.end("a", zombie, true).0), (FENCED, CONCURRENT));
    assert_eq!((it.add(3, "a", zombie), it.add_offsets(3, "a", me, "g")), (CONCURRENT, CONCURRENT));
    assert_eq!((it.verify("a", me), it.verify("a", zombie)), (CONCURRENT, FENCED));
    assert_eq!((it.init("a").0, it.init_as("a", producer(55, 5)).0), (CONCURRENT, CONCURRENT));
    assert_eq!(it.state("a"), ("PrepareCommit".into(), 0, 0));
    it.write_markers();
    assert_eq!(it.state("a"), ("CompleteCommit".into(), 0, 0));
    assert_eq!((it.end_v4("a", me, true), it.end_v4("a", me, false)), (NONE, INVALID_STATE));
    assert_eq!(it.end("a", me, true), (INVALID_STATE, -1, -1));
    // Here Kafka answers as if that had been its transaction.
    assert_eq!(it.end("a", producer(0, -1), true), (FENCED, -1, -1));
    // The next one.
    assert_eq!((it.add(3, "a", me), it.end_v4("a", me, false)), (NONE, NONE));
    assert!(!it.write_markers().commit);
    assert_eq!(it.state("a"), ("CompleteAbort".into(), 0, 0));
    assert_eq!((it.end_v4("a", me, false), it.end_v4("a", me, true)), (NONE, INVALID_STATE));
    assert_eq!(it.init("a"), (NONE, 0, 1));
}

#[test]
fn a_transaction_ends_by_version_2_of_the_protocol() {
    let mut it = Harness::new();
    let [e0, e1, e2, e3, e4, e5] = [0, 1, 2, 3, 4, 5].map(|epoch| producer(0, epoch));
    assert_eq!(it.producer("b"), e0);
    // There is no transaction.
    assert_eq!(it.end("b", e0, true).0, INVALID_STATE);
    assert_eq!(it.end("b", producer(0, -1), false).0, FENCED);
    it.pass(Duration::from_secs(1));
    assert_eq!(it.end("b", e0, false), (NONE, 0, 1));
    assert!(it.markers.is_empty());
    assert_eq!(it.describe("b").transaction_start_time_ms, it.time.wall_ms);
    assert_eq!(it.state("b"), ("CompleteAbort".into(), 0, 1));
    assert_eq!(it.end("b", e0, false), (NONE, 0, 1));
    assert_eq!((it.end("b", e0, true).0, it.end("b", e1, true).0), (INVALID_STATE, INVALID_STATE));
    assert_eq!(it.end("b", e1, false), (NONE, 0, 2));
    // There is one.
    assert_eq!((it.add(5, "b", e1), it.add(5, "b", e2), it.verify("b", e2)), (FENCED, NONE, NONE));
    assert_eq!(it.end("b", e1, true).0, FENCED);
    assert_eq!(it.end("b", e2, true), (NONE, 0, 3));
    assert_eq!((it.markers[0].producer, it.markers[0].transaction_version), (e3, 2));
    assert_eq!(it.end("b", e2, true), (CONCURRENT, -1, -1));
    assert_eq!((it.end("b", e2, false).0, it.end("b", producer(9, 9), false).0), (CONCURRENT, CONCURRENT));
    assert!(it.write_markers().commit);
    assert_eq!(it.state("b"), ("CompleteCommit".into(), 0, 3));
    assert_eq!((it.end("b", e2, true), it.end("b", e2, false).0), ((NONE, 0, 3), INVALID_STATE));
    assert_eq!((it.end("b", e3, true).0, it.end("b", e1, true).0), (INVALID_STATE, FENCED));
    assert_eq!((it.end("b", e5, false).0, it.end("b", producer(1, 3), false).0), (FENCED, INVALID_MAPPING));
    assert_eq!(it.end("b", e3, false), (NONE, 0, 4));
    // By its own name (KIP-360); the answer may be lost once, or more often.
    assert_eq!(it.init_as("b", e4), (NONE, 0, 5));
    assert_eq!((it.init_as("b", e4), it.init_as("b", e4)), ((NONE, 0, 5), (NONE, 0, 5)));
    assert_eq!(it.init_as("b", e3), (FENCED, -1, -1));
    assert_eq!(it.init_by(3, Some("b"), 60_000, e3).0, INVALID_EPOCH);
    assert_eq!((it.init_as("b", producer(7, 5)).0, it.init_as("b", producer(7, LAST)).0), (FENCED, FENCED));
}

#[test]
fn a_new_producer_fences_the_one_before() {
    let mut it = Harness::new();
    let [e0, e1, e2] = [0, 1, 2].map(|epoch| producer(0, epoch));
    assert_eq!(it.producer("b"), e0);
    assert_eq!(it.add(5, "b", e0), NONE);
    // Its transaction is aborted first, in the epoch after: nobody gets that.
    assert_eq!(it.init("b"), (CONCURRENT, -1, -1));
    assert_eq!((it.markers[0].producer, it.markers[0].commit), (e1, false));
    assert_eq!(it.init("b"), (CONCURRENT, -1, -1));
    assert_eq!(it.markers.len(), 1);
    it.write_markers();
    assert_eq!(it.state("b"), ("CompleteAbort".into(), 0, 1));
    assert_eq!((it.add(5, "b", e0), it.verify("b", e0)), (FENCED, FENCED));
    // It is not too late for the one before to go on.
    assert_eq!(it.init_as("b", e0), (NONE, 0, 1));
    assert_eq!(it.init("b"), (NONE, 0, 2));
    assert_eq!(
        (it.end("b", e0, true).0, it.end_v4("b", e0, true), it.end_by(1, "b", e0, true).0),
        (90, 90, 47)
    );
    assert_eq!((it.init_as("b", e0).0, it.init_as("b", e1).0), (FENCED, FENCED));
    assert_eq!(it.add(3, "b", e2), NONE);
    // By its own name it aborts what it left open, too. A client of version 0 is fenced by version 2 all the same.
    assert_eq!(it.init_as("b", e2), (CONCURRENT, -1, -1));
    let markers = it.write_markers();
    assert_eq!((markers.producer, markers.transaction_version), (producer(0, 3), 2));
    assert_eq!(it.init_as("b", e2), (NONE, 0, 3));
    // What was said between two epochs is not on record.
    it.reload();
    assert_eq!(it.init_as("b", e2), (FENCED, -1, -1));
}

#[test]
fn epochs_run_out_with_an_abort() {
    let mut it = Harness::new();
    let last = producer(6, LAST);
    it.record("x", State::Empty, last);
    assert_eq!((it.init_as("x", producer(6, LAST - 1)).0, it.init_as("x", producer(6, 5)).0), (-1, -1));
    assert_eq!(it.end_v4("x", last, false), INVALID_STATE);
    assert_eq!(it.end("x", last, false), (NONE, 7, 0));
    assert_eq!(it.state("x"), ("CompleteAbort".into(), 7, 0));
    assert_eq!((it.end("x", last, false), it.end("x", last, true).0), ((NONE, 7, 0), INVALID_STATE));
    assert_eq!((it.end_v4("x", last, false), it.end("x", producer(6, LAST - 1), false).0), (49, 49));
    assert_eq!(it.add(5, "x", last), INVALID_MAPPING);
    assert_eq!((it.init_as("x", last), it.init_as("x", last).0), ((NONE, 7, 0), FENCED));
}

#[test]
fn epochs_run_out_with_a_commit() {
    let mut it = Harness::new();
    let last = producer(14, LAST);
    it.record("v", State::Empty, last);
    assert_eq!((it.add(5, "v", last), it.end("v", last, true)), (NONE, (NONE, 15, 0)));
    let value = it.on_record("v").unwrap();
    assert_eq!((value.producer_id, value.producer_epoch, value.next_producer_id), (14, i16::MAX, 15));
    // The markers are those of the old one.
    assert_eq!(it.markers[0].producer, producer(14, i16::MAX));
    it.reload();
    assert_eq!(it.markers[0].producer, producer(14, i16::MAX));
    it.write_markers();
    assert_eq!(it.state("v"), ("CompleteCommit".into(), 15, 0));
    let value = it.on_record("v").unwrap();
    assert_eq!((value.producer_id, value.previous_producer_id, value.next_producer_id), (15, 14, -1));
    assert_eq!((it.end("v", last, true), it.end("v", last, false).0), ((NONE, 15, 0), INVALID_STATE));
    // Kafka, too, forgets the last epoch when it loads.
    assert_eq!(it.init_as("v", last).0, FENCED);
    assert_eq!(it.add(5, "v", producer(15, 0)), NONE);
}

#[test]
fn epochs_run_out_with_a_fence() {
    let mut it = Harness::new();
    let last = producer(8, LAST);
    it.record("y", State::Empty, last);
    assert_eq!((it.add(5, "y", last), it.init("y").0), (NONE, CONCURRENT));
    it.write_markers();
    assert_eq!(it.state("y"), ("CompleteAbort".into(), 9, 0));
    assert_eq!((it.init("y"), it.init_as("y", last).0), ((NONE, 9, 1), FENCED));
}

#[test]
fn epochs_run_out_with_an_initialization() {
    let mut it = Harness::new();
    let last = producer(10, LAST);
    it.record("z", State::CompleteAbort, last);
    assert_eq!(it.init_as("z", last), (NONE, 11, 0));
    assert_eq!((it.init_as("z", last), it.init_as("z", last).0), ((NONE, 11, 0), FENCED));
    it.record("w", State::CompleteCommit, producer(12, LAST));
    assert_eq!((it.init("w"), it.init_as("w", producer(12, LAST)).0), ((NONE, 13, 0), FENCED));
    // Releases before 4.0 could leave this behind.
    it.record("m", State::CompleteAbort, producer(20, i16::MAX));
    assert_eq!(it.init("m"), (NONE, 21, 0));
    it.record("o", State::Ongoing, producer(30, i16::MAX));
    assert_eq!((it.init("o").0, it.end("o", producer(30, i16::MAX), true).0), (UNKNOWN_ERROR, UNKNOWN_ERROR));
    assert_eq!(it.end_v4("o", producer(30, i16::MAX), true), NONE);
}

#[test]
fn a_transaction_times_out() {
    let mut it = Harness::new();
    assert_eq!(it.init_by(5, Some("c"), 5_000, producer(-1, -1)), (NONE, 0, 0));
    let me = producer(0, 0);
    it.pass(Duration::from_secs(60));
    assert_eq!(it.add(3, "c", me), NONE);
    let other = it.producer("other");
    assert_eq!(it.add(3, "other", other), NONE);
    it.pass(Duration::from_secs(5));
    assert!(it.markers.is_empty());
    // Looked for every ten seconds.
    it.pass(Duration::from_secs(10));
    assert_eq!((it.markers[0].producer, it.markers[0].commit, it.markers.len()), (producer(0, 1), false, 1));
    it.pass(Duration::from_secs(20));
    assert_eq!(it.markers.len(), 1);
    it.write_markers();
    assert_eq!((it.end_v4("c", me, true), it.end("c", me, true).0), (FENCED, INVALID_STATE));
    assert_eq!((it.end("c", me, false), it.add(3, "c", me)), ((NONE, 0, 1), FENCED));
    assert_eq!(it.init_by(5, Some("c"), 5_000, me), (NONE, 0, 1));
    it.pass(Duration::from_secs(40));
    assert_eq!(it.markers[0].transactional_id, "other");
    it.write_markers();
    // Nothing is left to look for, but for ids that expire.
    assert_eq!(it.shard.next_deadline(), it.shard.expire_at);
    // A timeout of some other coordinator's: it decides.
    let mut metadata = Metadata::new(40, i32::MAX, it.time.wall_ms);
    metadata.producer_epoch = 0;
    let added = metadata.with(&[("t".into(), [0].into())].into(), 2, it.time.wall_ms);
    it.log.push(record("two-phase", &added));
    it.reload();
    it.pass(Duration::from_secs(3_600 * 24 * 100));
    assert_eq!(it.state("two-phase").0, "Ongoing");
}

#[test]
fn epochs_run_out_with_a_time_out() {
    let mut it = Harness::new();
    it.record("c", State::Ongoing, producer(5, LAST));
    it.pass(Duration::from_secs(80));
    assert_eq!(it.markers[0].producer, producer(5, i16::MAX));
    it.write_markers();
    assert_eq!(it.state("c"), ("CompleteAbort".into(), 6, 0));
}

#[test]
fn ids_expire() {
    let mut it = Harness::new();
    let week = Duration::from_secs(7 * 24 * 3_600);
    let busy = it.producer("busy");
    assert_eq!(it.shard.next_deadline(), it.shard.expire_at);
    for state in
        [State::Empty, State::CompleteCommit, State::CompleteAbort, State::PrepareCommit, State::Ongoing]
    {
        it.record(state.name(), state, producer(100, 0));
    }
    it.write_markers();
    it.pass(week / 2);
    it.write_markers();
    assert_eq!(it.end("busy", busy, false).0, NONE);
    it.pass(week / 2 + Duration::from_secs(3_600));
    for id in ["Empty", "CompleteCommit", "CompleteAbort", "PrepareCommit"] {
        assert_eq!(it.describe(id).error_code, NOT_FOUND, "{id}");
        assert_eq!(it.on_record(id), None, "{id}");
    }
    // The transaction that was ongoing was aborted half a week ago, when the other was used.
    for id in ["Ongoing", "busy"] {
        assert_eq!(it.describe(id).error_code, NONE, "{id}");
    }
    it.reload();
    assert_eq!(it.describe("Empty").error_code, NOT_FOUND);
    assert_eq!(it.init("Empty").0, NONE);
    it.pass(week + week);
    assert!(it.shard.transactions.is_empty() && it.shard.ongoing.is_empty());
    assert_eq!((it.shard.id_bytes, it.shard.partitions, it.shard.next_deadline()), (0, 0, None));
}

#[test]
fn tombstones_fit_into_batches() {
    let mut it = Harness::new();
    for number in 0..40 {
        it.record(&format!("{number}{}", "x".repeat(30_000)), State::Empty, producer(number, 0));
    }
    it.time.wall_ms += 604_800_000;
    it.time.now += Duration::from_secs(604_800);
    let effects = it.shard.tick(it.context());
    let sizes = effects.appends.iter().map(|it| it.records.iter().map(|it| it.key.len()).sum::<usize>());
    let sizes: Vec<_> = sizes.collect();
    assert_eq!(effects.appends.iter().map(|it| it.records.len()).sum::<usize>(), 40);
    assert!(sizes.len() == 2 && sizes.iter().all(|size| *size < limits::MESSAGE_BYTES), "{sizes:?}");
}

#[test]
fn markers_are_asked_for_again() {
    let mut it = Harness::new();
    let (a, b, c) = (it.producer("a"), it.producer("b"), it.producer("c"));
    for (id, me) in [("a", a), ("b", b), ("c", c)] {
        assert_eq!(it.add(5, id, me), NONE);
    }
    assert_eq!((it.end("a", a, true).0, it.end("b", b, false).0), (NONE, NONE));
    let asked = it.markers.clone();
    it.reload();
    let again: Vec<_> = asked.into_iter().map(|it| Markers { coordinator_epoch: 2, ..it }).collect();
    assert_eq!(it.markers, again);
    // Not for what they were asked for.
    it.written("a", a);
    it.written("c", producer(c.id, c.epoch + 1));
    it.written("nope", a);
    assert_eq!(it.state("a").0, "PrepareCommit");
    it.write_markers();
    it.written("a", producer(a.id, a.epoch + 1));
    it.reload();
    assert_eq!(it.markers.iter().map(|it| it.transactional_id.as_str()).collect::<Vec<_>>(), ["b"]);
    assert_eq!(it.state("a"), ("CompleteCommit".into(), a.id, 1));
    assert_eq!(it.state("c"), ("Ongoing".into(), c.id, 0));
    // The shard was lost between the two records of an abort without partitions.
    it.record("d", State::Empty, producer(60, 0));
    let empty = it.shard.transactions["d"].decided(false, 2, -1, true, it.time.wall_ms).unwrap();
    it.log.push(record("d", &empty));
    it.reload();
    assert_eq!(it.state("d"), ("CompleteAbort".into(), 60, 1));
    assert_eq!(it.markers.len(), 1);
}

#[test]
fn what_was_not_written_by_this_release_is_refused() {
    let mut shard = TransactionShard::new(TransactionOptions::default(), 0);
    let key = TransactionLogKey::write("a");
    let value = Metadata::new(1, 1, 1).to_value();
    for (status, version, error) in [(6, 0, 6), (7, 0, 7), (-1, 0, -1), (0, 3, 3), (0, 256, 256), (0, -1, -1)]
    {
        let mut value = value.clone();
        (value.transaction_status, value.client_transaction_version) = (status, version);
        assert_eq!(shard.replay(key.clone(), Some(value.write())), Err(SchemaError::Value(error)));
    }
    let mut null = value;
    null.transaction_status = 1;
    assert_eq!(shard.replay(key.clone(), Some(null.write())), Err(SchemaError::Null));
    assert_eq!(shard.replay(Bytes::from_static(b"\0\x01"), None), Err(SchemaError::Kind(1)));
    assert_eq!(shard.replay(key, None), Ok(()));
    assert!(shard.transactions.is_empty());
    assert_eq!(shard.next_deadline(), None);
}

#[test]
fn transactions_are_listed() {
    let mut it = Harness::new();
    let a = it.producer("a");
    let b = it.producer("b");
    assert_eq!(it.init("ab").0, NONE);
    it.pass(Duration::from_secs(5));
    assert_eq!((it.add(5, "a", a), it.end("b", b, false).0), (NONE, NONE));
    it.pass(Duration::from_secs(1));
    let mut ids = |request: ListTransactionsRequest| {
        let response = it.list(request);
        assert_eq!(response.error_code, NONE);
        let unknown: Vec<_> = response.unknown_state_filters.iter().map(ToString::to_string).collect();
        (
            response
                .transaction_states
                .iter()
                .map(|it| it.transactional_id.to_string())
                .collect::<Vec<_>>()
                .join(" "),
            unknown,
        )
    };
    let all = ListTransactionsRequest::default;
    assert_eq!(ids(all()).0, "a ab b");
    let states =
        |names: &[&'static str]| all().with_state_filters(names.iter().map(|name| text(name)).collect());
    assert_eq!(ids(states(&["Ongoing", "bogus", "Dead"])), ("a".into(), vec!["bogus".into()]));
    assert_eq!(ids(states(&["bogus"])), (String::new(), vec!["bogus".into()]));
    assert_eq!(ids(states(&["Empty", "CompleteAbort"])).0, "ab b");
    assert_eq!(ids(all().with_producer_id_filters(vec![b.id.into(), 99.into()])).0, "b");
    // What has no transaction has had it for ever.
    assert_eq!(ids(all().with_duration_filter(999)).0, "a ab b");
    assert_eq!(ids(all().with_duration_filter(1_000)).0, "ab");
    assert_eq!(ids(all().with_duration_filter(i64::MAX)).0, "");
    let pattern = |pattern: &'static str| all().with_transactional_id_pattern(Some(text(pattern)));
    assert_eq!(ids(pattern("a|b")).0, "a b");
    assert_eq!(ids(pattern("a.*")).0, "a ab");
    assert_eq!(ids(pattern("")).0, "a ab b");
    let response = it.list(pattern("("));
    assert_eq!(response.error_code, code_of(ResponseError::InvalidRegularExpression));
    assert!(response.transaction_states.is_empty());
    let listed = it.list(all()).transaction_states;
    assert_eq!((listed[2].producer_id.0, listed[2].transaction_state.as_str()), (b.id, "CompleteAbort"));
}

#[test]
fn what_is_kept_is_bounded() {
    let mut it = Harness::new();
    let all: Vec<i32> = (0..263_000).collect();
    let a = it.producer("a");
    // More than a record holds: it's as in Kafka.
    let codes = it.add_by(3, "a", a, &[("wide", &all)], false);
    assert!(codes[0].1.iter().all(|(_, code)| *code == UNKNOWN_ERROR));
    assert_eq!((it.state("a").0, it.shard.partitions), ("Empty".into(), 0));
    let others = limits::TRANSACTION_PARTITIONS - 3;
    it.shard.partitions = others;
    assert_eq!((it.add(3, "a", a), it.shard.partitions), (NONE, others + 2));
    assert_eq!(it.add_by(3, "a", a, &[("u", &[0, 1])], false)[0].1, [(0, LOADING), (1, LOADING)]);
    assert_eq!(it.add_by(3, "a", a, &[("t", &[0, 3])], false)[0].1, [(0, NONE), (3, NONE)]);
    assert_eq!(it.end("a", a, false).0, NONE);
    it.write_markers();
    assert_eq!(it.shard.partitions, others);
    // Ids are, by number and by bytes.
    it.shard.id_bytes = limits::TRANSACTIONAL_ID_BYTES - 2;
    assert_eq!((it.init("xyz").0, it.init("xy").0), (code_of(ResponseError::PolicyViolation), NONE));
    it.shard.id_bytes = 0;
    for number in it.shard.transactions.len()..limits::TRANSACTIONAL_IDS {
        it.shard.put(&number.to_string().into(), Metadata::new(1, 1, 1));
    }
    assert_eq!((it.init("xyz").0, it.init("xy").0), (code_of(ResponseError::PolicyViolation), NONE));
}
