//! Producer ids: given out one by one from blocks that the metadata allocates, and never twice.

use crate::handlers::backend::BackendError;
use levee_meta::{Answer, Command, Metadata};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Producer ids that are fetched from the metadata at once, as Kafka does.
const PRODUCER_ID_BLOCK: u32 = 1_000;

/// See the module's text.
#[derive(Debug)]
pub struct ProducerIds {
    metadata: Metadata,
    block: Mutex<Range<u64>>,
}

impl ProducerIds {
    /// From this metadata. Nothing is allocated yet.
    #[must_use]
    pub fn new(metadata: Metadata) -> Self {
        Self { metadata, block: Mutex::default() }
    }

    /// A producer id that nobody has had.
    ///
    /// # Errors
    /// When the metadata can't give any now.
    pub async fn next(&self) -> Result<i64, BackendError> {
        let block = || self.block.lock().unwrap_or_else(PoisonError::into_inner);
        let next = block().next();
        let id = match next {
            Some(id) => id,
            None => {
                let command = Command::AllocateProducerIds { count: PRODUCER_ID_BLOCK };
                let first = match self.metadata.commit(command).await {
                    Ok(Answer::ProducerIds { first }) => first,
                    Ok(Answer::Refused(refusal)) => return Err(refusal.into()),
                    Ok(answer) => {
                        return Err(BackendError::Unavailable(format!("the metadata answered {answer:?}")));
                    }
                    Err(error) => return Err(BackendError::Unavailable(error.to_string())),
                };
                // A block that another request fetched meanwhile is dropped: ids are plenty, and never used twice.
                *block() = first + 1..first + u64::from(PRODUCER_ID_BLOCK);
                first
            }
        };
        i64::try_from(id).map_err(|error| BackendError::Unavailable(error.to_string()))
    }
}
