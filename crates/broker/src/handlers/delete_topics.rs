//! DeleteTopics, by name or by id (KIP-516).

use crate::broker::Broker;
use crate::errors::KafkaError;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use levee_meta::{Command, TopicId};
use uuid::Uuid;

/// The first version that names topics by id too.
const BY_ID: i16 = 6;

/// Answers.
pub async fn answer(broker: &Broker, version: i16, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let wanted: Vec<(Option<TopicName>, Uuid)> = if version >= BY_ID {
        request.topics.into_iter().map(|topic| (topic.name, topic.topic_id)).collect()
    } else {
        request.topic_names.into_iter().map(|name| (Some(name), Uuid::nil())).collect()
    };
    let mut responses = Vec::with_capacity(wanted.len());
    for (name, id) in wanted {
        let deleted = delete(broker, name.as_ref(), id).await;
        let result = DeletableTopicResult::default();
        let (result, error) = match deleted {
            Ok((name, id)) => {
                let result = result.with_name(Some(name));
                (if version >= BY_ID { result.with_topic_id(id.0) } else { result }, None)
            }
            Err(error) => {
                let result = result.with_name(name).with_error_code(error.code());
                (if version >= BY_ID { result.with_topic_id(id) } else { result }, error.message)
            }
        };
        let message = error.filter(|_| version >= 5).map(StrBytes::from_string);
        responses.push(result.with_error_message(message));
    }
    DeleteTopicsResponse::default().with_responses(responses)
}

async fn delete(
    broker: &Broker,
    name: Option<&TopicName>,
    id: Uuid,
) -> Result<(TopicName, TopicId), KafkaError> {
    let topic = match name {
        Some(_) if !id.is_nil() => {
            return Err(KafkaError::because(
                ResponseError::InvalidRequest,
                "You may not specify both topic name and topic id.",
            ));
        }
        Some(name) => broker.topic(name).ok_or(KafkaError::plain(ResponseError::UnknownTopicOrPartition)),
        None => broker.topic_by_id(TopicId(id)).ok_or(KafkaError::plain(ResponseError::UnknownTopicId)),
    }?;
    broker.commit(Command::DeleteTopic { topic: topic.id }).await?;
    broker.close(&topic);
    Ok((TopicName(StrBytes::from_string(topic.name)), topic.id))
}
