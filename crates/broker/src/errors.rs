//! Kafka's error codes: the one place where a failure of ours becomes one.

use crate::handlers::backend::BackendError;
use levee_meta::Refusal;

/// An error code of Kafka's protocol.
pub use kafka_protocol::ResponseError as Code;

/// No error.
pub const NONE: i16 = 0;

/// A code, and words for the person who reads the client's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What a client acts by.
    pub code: Code,
    /// What a person acts by.
    pub message: String,
}

impl Failure {
    /// A failure in words of its own.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl From<BackendError> for Failure {
    fn from(error: BackendError) -> Self {
        let code = match &error {
            BackendError::TopicExists => Code::TopicAlreadyExists,
            BackendError::UnknownTopic => Code::UnknownTopicOrPartition,
            BackendError::ConfigsTooLong(_) => Code::InvalidConfig,
            // A client tries again after this one, which says that the outcome is open.
            BackendError::Unavailable(_) => Code::RequestTimedOut,
        };
        Self::new(code, error.to_string())
    }
}

impl From<Refusal> for BackendError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::TopicExists { .. } => Self::TopicExists,
            Refusal::UnknownTopic => Self::UnknownTopic,
            refusal @ Refusal::ConfigsTooLong { .. } => Self::ConfigsTooLong(refusal.to_string()),
            other => Self::Unavailable(other.to_string()),
        }
    }
}
