//! The requests of a transactional producer.

use super::{Batch, Transactor};
use crate::simulation::STEADY;
use crate::simulation::broker::Broker;
use crate::simulation::produced::{Produced, produce};
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, EndTxnRequest, InitProducerIdRequest, ResponseKind,
    TransactionalId, TxnOffsetCommitRequest,
};
use kafka_protocol::protocol::StrBytes;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

impl Transactor {
    fn transactional_id(&self) -> TransactionalId {
        TransactionalId(text(&self.id))
    }

    pub(super) async fn initialize(&mut self, broker: &Broker) -> bool {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(self.transactional_id()))
            .with_transaction_timeout_ms(self.timeout_ms)
            .with_producer_id((-1).into())
            .with_producer_epoch(-1);
        let version = if self.is_new { 5 } else { 4 };
        let answer = broker.coordinate(version, request.into()).await;
        let Some(ResponseKind::InitProducerId(answer)) = answer else { return false };
        if answer.error_code != 0 {
            self.refused(broker, answer.error_code);
            return false;
        }
        self.become_producer(broker, (answer.producer_id.0, answer.producer_epoch));
        true
    }

    fn become_producer(&mut self, broker: &Broker, producer: (i64, i16)) {
        let given = broker.world.judge.ledger.lock().unwrap().transactions.given(producer);
        given.unwrap_or_else(|wrong| panic!("{}: {wrong}", self.id));
        self.producer = Some(producer);
        self.sequences.clear();
    }

    pub(super) async fn send(&mut self, broker: &Broker, producer: (i64, i16), batch: Batch) -> bool {
        let Some(topic) = broker.led.table.by_id(batch.topic.1) else {
            self.forget();
            return false;
        };
        if !self.is_new && !self.added.contains(&batch.stream) {
            let partitions = AddPartitionsToTxnTopic::default()
                .with_name(text(&topic.name).into())
                .with_partitions(vec![batch.partition]);
            let request = AddPartitionsToTxnRequest::default()
                .with_v3_and_below_transactional_id(self.transactional_id())
                .with_v3_and_below_producer_id(producer.0.into())
                .with_v3_and_below_producer_epoch(producer.1)
                .with_v3_and_below_topics(vec![partitions]);
            let answer = broker.coordinate(3, request.into()).await;
            let Some(ResponseKind::AddPartitionsToTxn(answer)) = answer else { return false };
            let code = answer.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code;
            if code != 0 {
                self.refused(broker, code);
                return false;
            }
            self.added.insert(batch.stream);
        }
        let version = if self.is_new { 13 } else { 11 };
        let transaction = self.transaction(broker, producer);
        match produce(broker, &self.id, transaction, &batch, version).await {
            Produced::Unknown => false,
            Produced::Acknowledged => {
                *self.sequences.entry(batch.stream).or_default() += batch.count.cast_signed();
                self.batch = None;
                true
            }
            Produced::Refused(code) => {
                self.refused(broker, code);
                false
            }
        }
    }

    pub(super) async fn commit_offset(
        &mut self,
        broker: &Broker,
        producer: (i64, i16),
        offset: (i32, i64),
    ) -> bool {
        if !self.is_new && !self.added_group {
            let request = AddOffsetsToTxnRequest::default()
                .with_transactional_id(self.transactional_id())
                .with_producer_id(producer.0.into())
                .with_producer_epoch(producer.1)
                .with_group_id(text(&self.group).into());
            let answer = broker.coordinate(3, request.into()).await;
            let Some(ResponseKind::AddOffsetsToTxn(answer)) = answer else { return false };
            if answer.error_code != 0 {
                self.refused(broker, answer.error_code);
                return false;
            }
            self.added_group = true;
        }
        let partition = TxnOffsetCommitRequestPartition::default()
            .with_partition_index(offset.0)
            .with_committed_offset(offset.1);
        let topic = TxnOffsetCommitRequestTopic::default()
            .with_name(text(STEADY).into())
            .with_partitions(vec![partition]);
        let request = TxnOffsetCommitRequest::default()
            .with_transactional_id(self.transactional_id())
            .with_group_id(text(&self.group).into())
            .with_producer_id(producer.0.into())
            .with_producer_epoch(producer.1)
            .with_topics(vec![topic]);
        let version = if self.is_new { 5 } else { 3 };
        let answer = broker.coordinate(version, request.into()).await;
        let Some(ResponseKind::TxnOffsetCommit(answer)) = answer else { return false };
        let code = answer.topics[0].partitions[0].error_code;
        if code != 0 {
            self.refused(broker, code);
            return false;
        }
        broker.world.judge.ledger.lock().unwrap().transactions.taken(&self.group, offset.0, offset.1);
        self.offset = None;
        true
    }

    pub(super) async fn end(&mut self, broker: &Broker, producer: (i64, i16), commit: bool) -> bool {
        let Some(transaction) = self.transaction else { return false };
        if commit {
            broker.world.judge.ledger.lock().unwrap().transactions.asks_for_commit(transaction);
        }
        let request = EndTxnRequest::default()
            .with_transactional_id(self.transactional_id())
            .with_producer_id(producer.0.into())
            .with_producer_epoch(producer.1)
            .with_committed(commit);
        let version = if self.is_new { 5 } else { 3 };
        let was_in_doubt = std::mem::replace(&mut self.in_doubt, true);
        let answer = broker.coordinate(version, request.into()).await;
        let Some(ResponseKind::EndTxn(answer)) = answer else { return false };
        let outcome = if answer.error_code == 0 {
            Some(commit)
        } else {
            let in_doubt = self.refused(broker, answer.error_code) || was_in_doubt;
            let over = self.transaction.is_none();
            self.in_doubt = in_doubt && !over;
            // What was refused for good at the first try can't be committed any more.
            (over && !in_doubt).then_some(false)
        };
        if let Some(commit) = outcome {
            let decided = broker.world.judge.ledger.lock().unwrap().transactions.decided(
                transaction,
                commit,
                "the answer to EndTxn",
            );
            decided.unwrap_or_else(|wrong| panic!("{}: {wrong}", self.id));
        }
        if answer.error_code == 0 {
            self.over();
            if self.is_new {
                self.become_producer(broker, (answer.producer_id.0, answer.producer_epoch));
            }
        }
        answer.error_code == 0
    }
}
