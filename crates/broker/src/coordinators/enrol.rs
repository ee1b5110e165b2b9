//! Partitions join transactions, or are asked whether they have (KIP-890), before records of a transaction are appended
//! to them. The transaction's coordinator says.
//!
//! What it decides need only be *appended* before the records are: both lie in one write-ahead log, whose durable part is
//! always a prefix.

use super::Shared;
use super::route::ask_transaction;
use crate::errors::Code;
use crate::handlers::transactions::{Enrolment, Transactions};
use futures::future::BoxFuture;
use kafka_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, ProducerId, RequestKind, ResponseKind, TransactionalId,
};
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The version of AddPartitionsToTxn that brokers speak among each other.
const BROKERS_VERSION: i16 = 5;

impl Transactions for Shared {
    fn enrol(
        &self,
        transactional_id: &str,
        producer_id: i64,
        producer_epoch: i16,
        partitions: Vec<(Arc<str>, i32)>,
        how: Enrolment,
    ) -> BoxFuture<'_, Vec<Result<(), Code>>> {
        let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        for (topic, index) in &partitions {
            topics.entry(topic).or_default().push(*index);
        }
        let topics = topics.into_iter().map(|(name, indexes)| {
            AddPartitionsToTxnTopic::default()
                .with_name(StrBytes::from_string(name.to_owned()).into())
                .with_partitions(indexes)
        });
        let id = transactional_id.to_owned();
        let transaction = AddPartitionsToTxnTransaction::default()
            .with_transactional_id(TransactionalId(StrBytes::from_string(id.clone())))
            .with_producer_id(ProducerId(producer_id))
            .with_producer_epoch(producer_epoch)
            .with_verify_only(matches!(how, Enrolment::Verify))
            .with_topics(topics.collect());
        let request = AddPartitionsToTxnRequest::default().with_transactions(vec![transaction]);
        let request = RequestKind::AddPartitionsToTxn(request);
        Box::pin(async move {
            let answered = match ask_transaction(self, &id, BROKERS_VERSION, request).await {
                ResponseKind::AddPartitionsToTxn(response) => response,
                other => {
                    tracing::error!(?other, "a coordinator gave another API's answer; please report this");
                    return vec![Err(Code::UnknownServerError); partitions.len()];
                }
            };
            let mut codes = BTreeMap::new();
            for result in answered.results_by_transaction.iter().flat_map(|result| &result.topic_results) {
                for partition in &result.results_by_partition {
                    let key = (result.name.0.to_string(), partition.partition_index);
                    codes.insert(key, partition.partition_error_code);
                }
            }
            let outcome = |(topic, index): &(Arc<str>, i32)| match codes.get(&(topic.to_string(), *index)) {
                Some(0) => Ok(()),
                // Among brokers it is this one, as in Kafka: what clients are told is for their own requests.
                Some(code) if *code == Code::ProducerFenced.code() => Err(Code::InvalidProducerEpoch),
                Some(code) => Err(Code::try_from_code(*code).unwrap_or(Code::UnknownServerError)),
                // An answer about the whole transaction names no partition.
                None => Err(Code::try_from_code(answered.error_code).unwrap_or(Code::UnknownServerError)),
            };
            partitions.iter().map(outcome).collect()
        })
    }
}
