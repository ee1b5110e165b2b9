//! A batch of a transaction, sent by the Produce API.

use super::broker::Broker;
use super::transactor::Batch;
use crate::batch::BatchView;
use crate::handlers::records::Records;
use crate::wire::produce::{ProducePartition, ProduceRequest, ProduceTopic, TopicRef};
use levee_base::Offset;
use levee_meta::TopicId;

/// What a client is told.
pub(super) enum Produced {
    /// Nothing.
    Unknown,
    /// It is durable.
    Acknowledged,
    /// This code.
    Refused(i16),
}

/// Sends a batch once.
pub(super) async fn produce(
    broker: &Broker,
    transactional_id: &str,
    transaction: usize,
    batch: &Batch,
    version: i16,
) -> Produced {
    let (id, sent) = (transactional_id.to_owned(), batch.clone());
    let (led, judge) = (broker.led.clone(), broker.world.judge.clone());
    let serve = async move {
        let mut bytes = sent.bytes;
        let partition = ProducePartition { index: sent.partition, records: Some(&mut bytes) };
        let topic = ProduceTopic { topic: TopicRef::Id(sent.topic.1), partitions: vec![partition] };
        let request = ProduceRequest {
            transactional_id: Some(&id),
            acks: -1,
            timeout_ms: i32::MAX,
            topics: vec![topic],
            internal_topics: false,
        };
        let answer = led.records.produce(request, version).await;
        // Nobody reads it before this: nothing was waited for since it was appended. One that the store has refused, as
        // it was full or has stopped, is entered too, with the offset that it would have had.
        let view = BatchView::first(&bytes).expect("it is a batch");
        let entered = (view.leader_epoch() >= 0).then(|| {
            let base = Offset(view.base_offset().cast_unsigned());
            let topic = TopicId(sent.topic.1);
            let mut ledger = judge.ledger.lock().unwrap();
            ledger.appended(sent.stream, topic, base, &bytes, Some(transaction))
        });
        let answered = answer.await.topics.swap_remove(0).partitions.swap_remove(0);
        (bytes, entered, answered)
    };
    let Some((bytes, entered, answered)) = broker.ask(serve).await else { return Produced::Unknown };
    if answered.error_code != 0 {
        return Produced::Refused(answered.error_code);
    }
    let base = Offset(u64::try_from(answered.base_offset).expect("it was given one"));
    let mut ledger = broker.world.judge.ledger.lock().unwrap();
    let known = entered
        .map_or_else(|| ledger.repeated(batch.stream, base, &bytes, None), |entered| Ok(Some(entered)));
    let entered = match known {
        Ok(Some(known)) => ledger.acknowledge(batch.stream, base, known),
        Ok(None) => Ok(()),
        Err(wrong) => Err(wrong),
    };
    entered.unwrap_or_else(|wrong| panic!("{wrong}"));
    Produced::Acknowledged
}
