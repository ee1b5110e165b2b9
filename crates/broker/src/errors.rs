//! Kafka's error codes: the one place where a failure of ours becomes one.

use crate::batch::Invalid;
use crate::handlers::backend::BackendError;
use crate::partition::AppendRefused;
use crate::partition::producers::Refused;
use levee_meta::Refusal;
use levee_store::{AppendError, ReadError};

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

    /// A failure that its code says all about.
    #[must_use]
    pub const fn plain(code: Code) -> Self {
        Self { code, message: String::new() }
    }
}

impl From<BackendError> for Failure {
    fn from(error: BackendError) -> Self {
        let code = match &error {
            BackendError::TopicExists => Code::TopicAlreadyExists,
            BackendError::UnknownTopic => Code::UnknownTopicOrPartition,
            // A client tries again after this one, which says that the outcome is open.
            BackendError::Unavailable(_) => Code::RequestTimedOut,
        };
        Self::new(code, error.to_string())
    }
}

impl From<Invalid> for Failure {
    fn from(invalid: Invalid) -> Self {
        let code = match invalid {
            Invalid::Crc { .. }
            | Invalid::Length { .. }
            | Invalid::Short { .. }
            | Invalid::MagicByte { .. } => Code::CorruptMessage,
            Invalid::ZstdTooEarly { .. } => Code::UnsupportedCompressionType,
            Invalid::TooLarge { .. } => Code::MessageTooLarge,
            Invalid::NoTransaction => Code::InvalidTxnState,
            Invalid::Timestamps { .. } => Code::InvalidTimestamp,
            _ => Code::InvalidRecord,
        };
        Self::new(code, invalid.to_string())
    }
}

impl From<AppendRefused> for Failure {
    fn from(refused: AppendRefused) -> Self {
        let code = match &refused {
            AppendRefused::Producer(Refused::InvalidProducerEpoch { .. }) => Code::InvalidProducerEpoch,
            AppendRefused::Producer(Refused::OutOfOrderSequence { .. }) => Code::OutOfOrderSequenceNumber,
            AppendRefused::Store(AppendError::TooLarge) => Code::MessageTooLarge,
            AppendRefused::Store(AppendError::Full) => Code::RequestTimedOut,
            AppendRefused::Store(AppendError::Stopped | AppendError::UnknownStream) => {
                Code::NotLeaderOrFollower
            }
        };
        Self::new(code, refused.to_string())
    }
}

/// What a failed read is to a consumer. A corrupt or missing object is KAFKA_STORAGE_ERROR: clients try again,
/// and somebody is told by the log and the metrics.
#[must_use]
pub const fn of_read(error: &ReadError) -> Code {
    match error {
        ReadError::UnknownStream => Code::NotLeaderOrFollower,
        ReadError::OutOfRange { .. } => Code::OffsetOutOfRange,
        ReadError::Unregistered { .. }
        | ReadError::Missing { .. }
        | ReadError::Corrupt { .. }
        | ReadError::Store(_) => Code::KafkaStorageError,
    }
}

impl From<Refusal> for BackendError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::TopicExists { .. } => Self::TopicExists,
            Refusal::UnknownTopic => Self::UnknownTopic,
            other => Self::Unavailable(other.to_string()),
        }
    }
}
