//! A shard with a log, a clock and a cluster, for tests: whatever the shard wants done is done at once, but for markers.

use super::*;
use crate::context::{Client, Cluster, Time, TopicView};
use crate::effects::{Answer, Token, When};
use kafka_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use kafka_protocol::messages::add_partitions_to_txn_response::AddPartitionsToTxnTopicResult;
use kafka_protocol::messages::describe_transactions_response::TransactionState as Description;
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, DescribeTransactionsRequest, EndTxnRequest,
    InitProducerIdRequest, ListTransactionsRequest, ListTransactionsResponse, ResponseKind,
};
use kafka_protocol::protocol::StrBytes;

pub(super) const NONE: i16 = 0;
pub(super) const TOPICS: &[(&str, &[i32])] = &[("t", &[0, 1])];

pub(super) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub(super) fn producer(id: i64, epoch: i16) -> Producer {
    Producer { id, epoch }
}

struct Topics;

impl Cluster for Topics {
    fn topic(&self, name: &str) -> Option<TopicView> {
        let partitions = match name {
            "t" => 4,
            "u" => 2,
            "wide" => 400_000,
            "__consumer_offsets" => 50,
            _ => return None,
        };
        Some(TopicView { name: name.into(), id: uuid::Uuid::nil(), partitions })
    }

    fn topic_by_id(&self, _: uuid::Uuid) -> Option<TopicView> {
        None
    }

    fn topics(&self) -> Vec<TopicView> {
        ["t", "u", "wide"].into_iter().filter_map(|name| self.topic(name)).collect()
    }

    fn group_configs(&self, _: &str) -> BTreeMap<String, String> {
        BTreeMap::new()
    }
}

/// The code of each partition, by topic.
pub(super) type Codes = Vec<(String, Vec<(i32, i16)>)>;

pub(super) fn codes(results: &[AddPartitionsToTxnTopicResult]) -> Codes {
    let one = |topic: &AddPartitionsToTxnTopicResult| {
        let partitions = topic.results_by_partition.iter();
        (topic.name.to_string(), partitions.map(|it| (it.partition_index, it.partition_error_code)).collect())
    };
    results.iter().map(one).collect()
}

pub(super) struct Harness {
    pub(super) shard: TransactionShard,
    pub(super) options: TransactionOptions,
    pub(super) time: Time,
    /// All that was appended.
    pub(super) log: Vec<Record>,
    /// Markers that were asked for and are not written.
    pub(super) markers: Vec<Markers>,
    pub(super) next_producer_id: i64,
    /// Whether producer ids are to be had.
    pub(super) has_producer_ids: bool,
    coordinator_epoch: i32,
    token: u64,
}

impl Harness {
    pub(super) fn new() -> Self {
        let options = TransactionOptions::default();
        let time = Time { wall_ms: 1_000_000, now: Duration::from_secs(1) };
        let mut harness = Self {
            shard: TransactionShard::new(options.clone(), 0),
            options,
            time,
            log: Vec::new(),
            markers: Vec::new(),
            next_producer_id: 0,
            has_producer_ids: true,
            coordinator_epoch: 0,
            token: 0,
        };
        harness.reload();
        harness
    }

    pub(super) fn context(&self) -> Context<'static> {
        Context { time: self.time, cluster: &Topics }
    }

    /// The shard is dropped and loaded anew from the log, as by another leader.
    pub(super) fn reload(&mut self) {
        self.coordinator_epoch += 1;
        self.shard = TransactionShard::new(self.options.clone(), self.coordinator_epoch);
        self.markers.clear();
        for record in self.log.clone() {
            self.shard.replay(record.key, record.value).unwrap();
        }
        let effects = self.shard.loaded(self.context());
        assert!(self.apply(effects).is_none());
    }

    /// Has a state on record, with partitions by TOPICS unless it is `Empty`.
    pub(super) fn record(&mut self, id: &str, state: State, producer: Producer) {
        let mut metadata = Metadata::new(producer.id, 60_000, self.time.wall_ms);
        metadata.producer_epoch = producer.epoch;
        metadata.state = state;
        if state != State::Empty {
            metadata.start_ms = self.time.wall_ms;
            metadata.partitions = [("t".into(), [0, 1].into())].into();
        }
        self.log.push(record(id, &metadata));
        self.next_producer_id = self.next_producer_id.max(producer.id + 1);
        self.reload();
    }

    fn apply(&mut self, effects: Effects) -> Option<Answer> {
        for append in effects.appends {
            assert!(append.producer.is_none() && !append.records.is_empty());
            self.log.extend(append.records);
        }
        for markers in effects.markers {
            assert_eq!(markers.coordinator_epoch, self.coordinator_epoch);
            assert!(!markers.partitions.is_empty());
            self.markers.push(markers);
        }
        assert!(effects.answers.len() <= 1);
        effects.answers.into_iter().next()
    }

    pub(super) fn send(&mut self, version: i16, kind: RequestKind) -> ResponseKind {
        self.token += 1;
        let token = Token(self.token);
        let client = Client { id: "client".into(), host: "/127.0.0.1".into() };
        let request = Request { token, client, version, kind };
        if self.has_producer_ids {
            for _ in 0..self.shard.producer_ids_wanted(&request) {
                self.shard.supply_producer_id(self.next_producer_id);
                self.next_producer_id += 1;
            }
        }
        let appended = self.log.len();
        let effects = self.shard.handle(self.context(), request);
        let answer = self.apply(effects).unwrap();
        assert_eq!(answer.token, token);
        assert!(answer.when == When::Durable || self.log.len() == appended, "it tells what may be lost");
        answer.response
    }

    /// InitProducerId, by version 5 unless told otherwise.
    pub(super) fn init_by(
        &mut self,
        version: i16,
        id: Option<&str>,
        timeout_ms: i32,
        expected: Producer,
    ) -> (i16, i64, i16) {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(id.map(|id| text(id).into()))
            .with_transaction_timeout_ms(timeout_ms)
            .with_producer_id(expected.id.into())
            .with_producer_epoch(expected.epoch);
        match self.send(version, RequestKind::InitProducerId(request)) {
            ResponseKind::InitProducerId(it) => (it.error_code, it.producer_id.0, it.producer_epoch),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn init(&mut self, id: &str) -> (i16, i64, i16) {
        self.init_by(5, Some(id), 60_000, producer(-1, -1))
    }

    pub(super) fn init_as(&mut self, id: &str, expected: Producer) -> (i16, i64, i16) {
        self.init_by(5, Some(id), 60_000, expected)
    }

    /// A producer that has been initialized.
    pub(super) fn producer(&mut self, id: &str) -> Producer {
        let (code, id, epoch) = self.init(id);
        assert_eq!(code, NONE);
        producer(id, epoch)
    }

    pub(super) fn end_by(
        &mut self,
        version: i16,
        id: &str,
        producer: Producer,
        commit: bool,
    ) -> (i16, i64, i16) {
        let request = EndTxnRequest::default()
            .with_transactional_id(text(id).into())
            .with_producer_id(producer.id.into())
            .with_producer_epoch(producer.epoch)
            .with_committed(commit);
        match self.send(version, RequestKind::EndTxn(request)) {
            ResponseKind::EndTxn(it) => (it.error_code, it.producer_id.0, it.producer_epoch),
            other => panic!("{other:?}"),
        }
    }

    /// EndTxn 5, by version 2 of the protocol.
    pub(super) fn end(&mut self, id: &str, producer: Producer, commit: bool) -> (i16, i64, i16) {
        self.end_by(5, id, producer, commit)
    }

    /// EndTxn 4, by version 0 of the protocol.
    pub(super) fn end_v4(&mut self, id: &str, producer: Producer, commit: bool) -> i16 {
        self.end_by(4, id, producer, commit).0
    }

    pub(super) fn add_by(
        &mut self,
        version: i16,
        id: &str,
        producer: Producer,
        topics: &[(&str, &[i32])],
        verify_only: bool,
    ) -> Codes {
        let topic = |(name, partitions): &(&str, &[i32])| {
            AddPartitionsToTxnTopic::default()
                .with_name(text(name).into())
                .with_partitions(partitions.to_vec())
        };
        let topics = topics.iter().map(topic).collect();
        let request = AddPartitionsToTxnRequest::default();
        let request = if version < 4 {
            request
                .with_v3_and_below_transactional_id(text(id).into())
                .with_v3_and_below_producer_id(producer.id.into())
                .with_v3_and_below_producer_epoch(producer.epoch)
                .with_v3_and_below_topics(topics)
        } else {
            let transaction = AddPartitionsToTxnTransaction::default()
                .with_transactional_id(text(id).into())
                .with_producer_id(producer.id.into())
                .with_producer_epoch(producer.epoch)
                .with_verify_only(verify_only)
                .with_topics(topics);
            request.with_transactions(vec![transaction])
        };
        match self.send(version, RequestKind::AddPartitionsToTxn(request)) {
            ResponseKind::AddPartitionsToTxn(it) if version < 4 => codes(&it.results_by_topic_v3_and_below),
            ResponseKind::AddPartitionsToTxn(it) => {
                assert_eq!(it.error_code, NONE);
                assert_eq!(it.results_by_transaction.len(), 1);
                assert_eq!(it.results_by_transaction[0].transactional_id.as_str(), id);
                codes(&it.results_by_transaction[0].topic_results)
            }
            other => panic!("{other:?}"),
        }
    }

    /// AddPartitionsToTxn of TOPICS; the code that all of them have.
    pub(super) fn add(&mut self, version: i16, id: &str, producer: Producer) -> i16 {
        let codes = self.add_by(version, id, producer, TOPICS, false);
        let code = codes[0].1[0].1;
        assert_eq!(codes, [("t".to_owned(), vec![(0, code), (1, code)])]);
        code
    }

    /// Asks a question about TOPICS; the code that all of them have.
    pub(super) fn verify(&mut self, id: &str, producer: Producer) -> i16 {
        let codes = self.add_by(5, id, producer, TOPICS, true);
        let code = codes[0].1[0].1;
        assert_eq!(codes, [("t".to_owned(), vec![(0, code), (1, code)])]);
        code
    }

    pub(super) fn add_offsets(&mut self, version: i16, id: &str, producer: Producer, group: &str) -> i16 {
        let request = AddOffsetsToTxnRequest::default()
            .with_transactional_id(text(id).into())
            .with_producer_id(producer.id.into())
            .with_producer_epoch(producer.epoch)
            .with_group_id(text(group).into());
        match self.send(version, RequestKind::AddOffsetsToTxn(request)) {
            ResponseKind::AddOffsetsToTxn(it) => it.error_code,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn describe(&mut self, id: &str) -> Description {
        let request = DescribeTransactionsRequest::default().with_transactional_ids(vec![text(id).into()]);
        match self.send(0, RequestKind::DescribeTransactions(request)) {
            ResponseKind::DescribeTransactions(mut it) if it.transaction_states.len() == 1 => {
                it.transaction_states.remove(0)
            }
            other => panic!("{other:?}"),
        }
    }

    /// The name of a state, and the producer.
    pub(super) fn state(&mut self, id: &str) -> (String, i64, i16) {
        let it = self.describe(id);
        (it.transaction_state.to_string(), it.producer_id.0, it.producer_epoch)
    }

    pub(super) fn list(&mut self, request: ListTransactionsRequest) -> ListTransactionsResponse {
        match self.send(2, RequestKind::ListTransactions(request)) {
            ResponseKind::ListTransactions(it) => it,
            other => panic!("{other:?}"),
        }
    }

    /// The markers that were asked for first are written.
    pub(super) fn write_markers(&mut self) -> Markers {
        let markers = self.markers.remove(0);
        let effects = self.shard.markers_written(self.context(), &markers.transactional_id, markers.producer);
        assert!(self.apply(effects).is_none());
        markers
    }

    /// As if markers had been written that were asked for at some other time.
    pub(super) fn written(&mut self, id: &str, producer: Producer) {
        let effects = self.shard.markers_written(self.context(), id, producer);
        assert!(self.apply(effects).is_none());
    }

    /// Time passes, with ticks when they are due.
    pub(super) fn pass(&mut self, time: Duration) {
        let until = self.time.now + time;
        while let Some(at) = self.shard.next_deadline().filter(|at| *at <= until) {
            self.go_to(at.max(self.time.now));
            self.tick();
            assert!(self.shard.next_deadline().is_none_or(|next| next > self.time.now));
        }
        self.go_to(until);
    }

    pub(super) fn tick(&mut self) {
        if self.has_producer_ids {
            for _ in 0..self.shard.producer_ids_wanted_by_tick(self.context()) {
                self.shard.supply_producer_id(self.next_producer_id);
                self.next_producer_id += 1;
            }
        }
        let effects = self.shard.tick(self.context());
        assert!(self.apply(effects).is_none());
    }

    fn go_to(&mut self, at: Duration) {
        self.time.wall_ms += (at - self.time.now).as_millis() as i64;
        self.time.now = at;
    }

    /// What the log says of an id.
    pub(super) fn on_record(&self, id: &str) -> Option<TransactionLogValue> {
        let key = TransactionLogKey::write(id);
        let last = self.log.iter().rev().find(|record| record.key == key)?;
        last.value.clone().map(|value| TransactionLogValue::read(value).unwrap())
    }
}
