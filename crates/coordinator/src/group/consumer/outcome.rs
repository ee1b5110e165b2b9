//! What comes of a call: the records that it takes, or why it is refused.

use crate::schema::consumer::Change;
use kafka_protocol::ResponseError;

/// Why a request is refused. Nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error:?}: {message}")]
pub struct Refusal {
    /// Kafka's error.
    pub error: ResponseError,
    /// What is told with it where the answer has room for it.
    pub message: String,
}

impl Refusal {
    pub(crate) fn new(error: ResponseError, message: impl Into<String>) -> Self {
        Self { error, message: message.into() }
    }
}

/// What a group has become.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The records to append, in batches: each is atomic. The group has taken them already.
    pub batches: Vec<Vec<Change>>,
    /// The group is to go on as a classic one: the last of its members which used the consumer protocol has left. The
    /// last batch is the tombstones of its records; those of the classic group belong into the same batch.
    pub downgrade: Option<Downgrade>,
}

/// A classic group that a consumer group becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downgrade {
    /// Its generation.
    pub generation: i32,
    /// Its members, by id.
    pub members: Vec<DowngradedMember>,
    /// Whether it has to rebalance at once.
    pub rebalance: bool,
}

/// A member of such a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DowngradedMember {
    /// Its id.
    pub id: String,
    /// Its instance id, if it is static.
    pub instance_id: Option<String>,
    /// Its client id.
    pub client_id: String,
    /// Its address.
    pub client_host: String,
    /// How long it may take to rejoin, in milliseconds.
    pub rebalance_timeout_ms: i32,
    /// Its session timeout, in milliseconds.
    pub session_timeout_ms: i32,
    /// What it offers, by its preference.
    pub protocols: Vec<crate::schema::consumer::ClassicProtocol>,
    /// What it is to have.
    pub assignment: super::protocol::Assignment,
}
