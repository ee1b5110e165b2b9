//! From this program's errors to Kafka's codes, in one place.

use crate::batch::Invalid;
use crate::partition::AppendRefused;
use crate::partition::producers::Refused;
use kafka_protocol::ResponseError;
use levee_meta::Refusal;
use levee_store::{AppendError, ReadError};

/// A Kafka error with words for the client where its API carries any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaError {
    /// Kafka's error.
    pub error: ResponseError,
    /// In words, for the client's developer.
    pub message: Option<String>,
}

impl KafkaError {
    /// An error that says so itself.
    #[must_use]
    pub fn plain(error: ResponseError) -> Self {
        Self { error, message: None }
    }

    /// An error with words.
    #[must_use]
    pub fn because(error: ResponseError, message: impl ToString) -> Self {
        Self { error, message: Some(message.to_string()) }
    }

    /// Kafka's number of it.
    #[must_use]
    pub fn code(&self) -> i16 {
        self.error.code()
    }
}

impl From<Invalid> for KafkaError {
    fn from(invalid: Invalid) -> Self {
        let error = match invalid {
            Invalid::Crc { .. }
            | Invalid::Length { .. }
            | Invalid::Short { .. }
            | Invalid::MagicByte { .. } => ResponseError::CorruptMessage,
            Invalid::OldFormat { .. } => ResponseError::InvalidRecord,
            Invalid::ZstdTooEarly { .. } => ResponseError::UnsupportedCompressionType,
            Invalid::TooLarge { .. } => ResponseError::MessageTooLarge,
            Invalid::NoTransaction => ResponseError::InvalidTxnState,
            Invalid::Timestamps { .. } => ResponseError::InvalidTimestamp,
            _ => ResponseError::InvalidRecord,
        };
        Self::because(error, invalid)
    }
}

impl From<AppendRefused> for KafkaError {
    fn from(refused: AppendRefused) -> Self {
        let error = match &refused {
            AppendRefused::Producer(Refused::InvalidProducerEpoch { .. }) => {
                ResponseError::InvalidProducerEpoch
            }
            AppendRefused::Producer(Refused::OutOfOrderSequence { .. }) => {
                ResponseError::OutOfOrderSequenceNumber
            }
            AppendRefused::Store(AppendError::TooLarge) => ResponseError::MessageTooLarge,
            AppendRefused::Store(AppendError::Full) => ResponseError::RequestTimedOut,
            AppendRefused::Store(AppendError::Stopped | AppendError::UnknownStream) => {
                ResponseError::NotLeaderOrFollower
            }
        };
        Self::because(error, refused)
    }
}

/// What a failed read is to a consumer. A corrupt or missing object is Kafka's KAFKA_STORAGE_ERROR: clients try
/// again, and somebody is told by the log and the metrics.
#[must_use]
pub fn of_read(error: &ReadError) -> ResponseError {
    match error {
        ReadError::UnknownStream => ResponseError::NotLeaderOrFollower,
        ReadError::OutOfRange { .. } => ResponseError::OffsetOutOfRange,
        ReadError::Unregistered { .. } | ReadError::Missing { .. } | ReadError::Corrupt { .. } => {
            ResponseError::KafkaStorageError
        }
        ReadError::Store(_) => ResponseError::KafkaStorageError,
    }
}

impl From<Refusal> for KafkaError {
    fn from(refusal: Refusal) -> Self {
        let error = match &refusal {
            Refusal::TopicExists { .. } => ResponseError::TopicAlreadyExists,
            Refusal::TopicCollides { .. } | Refusal::InvalidTopicName => ResponseError::InvalidTopicException,
            Refusal::UnknownTopic => ResponseError::UnknownTopicOrPartition,
            Refusal::InvalidPartitions { .. } => ResponseError::InvalidPartitions,
            Refusal::ConfigsTooLong { .. } => ResponseError::InvalidConfig,
            Refusal::EpochOut { .. } | Refusal::CannotLead { .. } => ResponseError::NotController,
            _ => ResponseError::UnknownServerError,
        };
        Self::because(error, refusal)
    }
}
