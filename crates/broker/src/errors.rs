//! Kafka's error codes: the one place where a failure of ours becomes one.

use crate::handlers::backend::BackendError;
use kafka_protocol::protocol::StrBytes;
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

    /// The words as answers carry them: none where there are none.
    #[must_use]
    pub fn words(self) -> Option<StrBytes> {
        (!self.message.is_empty()).then(|| self.message.into())
    }
}

impl From<BackendError> for Failure {
    fn from(error: BackendError) -> Self {
        let code = match &error {
            BackendError::TopicExists => Code::TopicAlreadyExists,
            BackendError::UnknownTopic => Code::UnknownTopicOrPartition,
            BackendError::ConfigsTooLong(_) => Code::InvalidConfig,
            BackendError::NoIncrease(_) | BackendError::TooManyPartitions(_) => Code::InvalidPartitions,
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
            refusal @ (Refusal::ConfigsTooLong { .. } | Refusal::TooManyConfigs { .. }) => {
                Self::ConfigsTooLong(refusal.to_string())
            }
            Refusal::NotMorePartitions { has } => Self::NoIncrease(has),
            Refusal::InvalidPartitions { most } => Self::TooManyPartitions(most),
            other => Self::Unavailable(other.to_string()),
        }
    }
}
