//! What is wrong with a ConsumerGroupHeartbeat, whatever the group.

use super::member::{EPOCH_JOIN, EPOCH_LEAVE, EPOCH_LEAVE_STATIC, Owned};
use super::options::ConsumerOptions;
use super::outcome::Refusal;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::ConsumerGroupHeartbeatRequest as Heartbeat;

/// Checks a request.
///
/// # Errors
/// INVALID_REQUEST, and UNSUPPORTED_ASSIGNOR for an assignor that is not offered.
pub fn check(request: &Heartbeat, version: i16, options: &ConsumerOptions) -> Result<(), Refusal> {
    let refuse = |message: &str| Err(Refusal::new(ResponseError::InvalidRequest, message));
    let blank = |text: &str| text.trim().is_empty();
    let epoch = request.member_epoch;
    // Before version 1 it was the coordinator that named members as they joined.
    if (version >= 1 || epoch > EPOCH_JOIN || epoch == EPOCH_LEAVE) && blank(&request.member_id) {
        return refuse("MemberId can't be empty.");
    }
    if blank(&request.group_id) {
        return refuse("GroupId can't be empty.");
    }
    if request.instance_id.as_ref().is_some_and(|id| blank(id)) {
        return refuse("InstanceId can't be empty.");
    }
    if request.rack_id.as_ref().is_some_and(|id| blank(id)) {
        return refuse("RackId can't be empty.");
    }
    if epoch == EPOCH_JOIN {
        if request.rebalance_timeout_ms == -1 {
            return refuse("RebalanceTimeoutMs must be provided in first request.");
        }
        if request.topic_partitions.as_ref().is_none_or(|owned| !owned.is_empty()) {
            return refuse("TopicPartitions must be empty when (re-)joining.");
        }
        if request.subscribed_topic_names.is_none() && request.subscribed_topic_regex.is_none() {
            return refuse(
                "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
            );
        }
    } else if epoch == EPOCH_LEAVE_STATIC {
        if request.instance_id.is_none() {
            return refuse("InstanceId can't be null.");
        }
    } else if epoch < EPOCH_LEAVE_STATIC {
        return refuse("MemberEpoch is invalid.");
    }
    match &request.server_assignor {
        Some(name) if options.assignor(name).is_none() => {
            let names: Vec<_> = options.assignors.iter().map(|assignor| assignor.name()).collect();
            let message =
                format!("ServerAssignor {name} is not supported. Supported assignors: {}.", names.join(", "));
            Err(Refusal::new(ResponseError::UnsupportedAssignor, message))
        }
        _ => Ok(()),
    }
}

/// The partitions that a request says its member owns.
pub(super) fn owned(request: &Heartbeat) -> Option<Owned> {
    let topics = request.topic_partitions.as_ref()?;
    let mut owned = Owned::new();
    for topic in topics {
        owned.entry(topic.topic_id).or_default().extend(&topic.partitions);
    }
    Some(owned)
}
