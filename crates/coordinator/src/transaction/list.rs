//! DescribeTransactions and ListTransactions.

use super::TransactionShard;
use super::metadata::Metadata;
use super::state::State;
use crate::context::Context;
use crate::effects::{Effects, Token};
use crate::re2;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_transactions_response::{TopicData, TransactionState as Description};
use kafka_protocol::messages::list_transactions_response::TransactionState as Listing;
use kafka_protocol::messages::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, ListTransactionsRequest,
    ListTransactionsResponse, ResponseKind,
};
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A string of an answer.
pub(super) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

impl TransactionShard {
    pub(super) fn describe_transactions(
        &self,
        token: Token,
        request: &DescribeTransactionsRequest,
        effects: &mut Effects,
    ) {
        let describe = |id: &str| {
            if id.is_empty() {
                return Err(ResponseError::InvalidRequest);
            }
            self.transactions.get(id).ok_or(ResponseError::TransactionalIdNotFound)
        };
        let states = request.transactional_ids.iter().map(|id| {
            let described = match describe(id) {
                Ok(metadata) => description(metadata),
                Err(error) => Description::default().with_error_code(error.code()),
            };
            described.with_transactional_id(id.clone())
        });
        let response = DescribeTransactionsResponse::default().with_transaction_states(states.collect());
        effects.answer(token, ResponseKind::DescribeTransactions(response));
    }

    pub(super) fn list_transactions(
        &self,
        ctx: Context<'_>,
        token: Token,
        request: &ListTransactionsRequest,
        effects: &mut Effects,
    ) {
        let ids: BTreeSet<i64> = request.producer_id_filters.iter().map(|id| id.0).collect();
        let names: BTreeSet<&str> = request.state_filters.iter().map(|name| name.as_str()).collect();
        let unknown = names.iter().filter(|name| !State::is_name(name)).map(|name| text(name)).collect();
        let pattern = request.transactional_id_pattern.as_ref().filter(|pattern| !pattern.is_empty());
        let Ok(pattern) = pattern.map(|pattern| re2::compile(pattern)).transpose() else {
            let code = ResponseError::InvalidRegularExpression.code();
            let response = ListTransactionsResponse::default().with_error_code(code);
            effects.answer_now(token, ResponseKind::ListTransactions(response));
            return;
        };
        let included = |(id, metadata): &(&Arc<str>, &Metadata)| {
            (ids.is_empty() || ids.contains(&metadata.producer_id))
                && (names.is_empty() || names.contains(metadata.state.name()))
                && (request.duration_filter < 0
                    || ctx.time.wall_ms.saturating_sub(metadata.start_ms) > request.duration_filter)
                && pattern.as_ref().is_none_or(|pattern| pattern.is_match(id))
        };
        let states = self.transactions.iter().filter(included).map(|(id, metadata)| {
            Listing::default()
                .with_transactional_id(text(id).into())
                .with_producer_id(metadata.producer_id.into())
                .with_transaction_state(StrBytes::from_static_str(metadata.state.name()))
        });
        let response = ListTransactionsResponse::default()
            .with_unknown_state_filters(unknown)
            .with_transaction_states(states.collect());
        effects.answer(token, ResponseKind::ListTransactions(response));
    }
}

fn description(metadata: &Metadata) -> Description {
    let topics = metadata.partitions.iter().map(|(topic, numbers)| {
        TopicData::default().with_topic(text(topic).into()).with_partitions(numbers.iter().copied().collect())
    });
    Description::default()
        .with_transaction_state(StrBytes::from_static_str(metadata.state.name()))
        .with_transaction_timeout_ms(metadata.timeout_ms)
        .with_transaction_start_time_ms(metadata.start_ms)
        .with_producer_id(metadata.producer_id.into())
        .with_producer_epoch(metadata.producer_epoch)
        .with_topics(topics.collect())
}
