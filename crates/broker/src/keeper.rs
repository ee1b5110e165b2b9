//! Keeps the partitions that a broker leads as short as their topics' retention says, and moves their starts when
//! clients ask for it.
//!
//! A new start is committed to the metadata first and shown then: readers never see records come back. A commit whose
//! request or look was given up goes on in a task of its own, so that what is durable is shown, too.

use crate::handlers::backend::BackendError;
use crate::led_topics::LedTopics;
use crate::partition::starts::Starts;
use crate::partition::{Partition, PartitionLog};
use crate::retention::Held;
use futures::FutureExt;
use futures::future::BoxFuture;
use levee_base::limits::STARTS_AT_ONCE;
use levee_base::{Offset, StreamId};
use levee_meta::{Answer, Command, Metadata};
use levee_store::StreamStore;
use std::sync::Arc;

/// Moves the starts of the streams that are open in a store.
#[derive(Debug)]
pub struct Keeper {
    /// The cluster's metadata.
    pub metadata: Metadata,
    /// The streams.
    pub store: Arc<StreamStore>,
}

impl Starts for Keeper {
    fn advance(&self, starts: Vec<(StreamId, Offset)>) -> BoxFuture<'static, Result<(), BackendError>> {
        let (metadata, store) = (self.metadata.clone(), self.store.clone());
        let advancing = tokio::spawn(async move {
            for starts in starts.chunks(STARTS_AT_ONCE) {
                match metadata.commit(Command::AdvanceStarts { starts: starts.to_vec() }).await {
                    Ok(Answer::Refused(refusal)) => return Err(refusal.into()),
                    Ok(_) => {}
                    Err(error) => return Err(BackendError::Unavailable(error.to_string())),
                }
                for (stream, start) in starts {
                    store.advance_start(*stream, *start);
                }
            }
            Ok(())
        });
        advancing
            .map(|end| end.unwrap_or_else(|error| Err(BackendError::Unavailable(error.to_string()))))
            .boxed()
    }
}

impl LedTopics {
    /// Looks after retention until dropped.
    pub(crate) async fn retain(&self) {
        loop {
            self.clock.sleep(self.intervals.retention).await;
            self.retain_once().await;
        }
    }

    /// Moves the start of every partition of which something has expired.
    pub(crate) async fn retain_once(&self) {
        let mut moved: Vec<(Arc<PartitionLog>, Offset)> = Vec::new();
        for topic in self.table.all() {
            for partition in &topic.partitions {
                let Partition::Here(log) = partition else { continue };
                let config = log.config().topic;
                if !config.deletes {
                    continue;
                }
                let extents = match config.retention_bytes {
                    Some(bytes) => self.held(log.stream(), bytes),
                    None => Vec::new(),
                };
                if let Some(start) = log.retained_from(&extents) {
                    moved.push((log.clone(), start));
                }
            }
            // There may be many partitions, and this is nobody's request.
            tokio::task::yield_now().await;
        }
        if moved.is_empty() {
            return;
        }
        let starts = moved.iter().map(|(log, start)| (log.stream(), *start)).collect();
        match self.starts.advance(starts).await {
            Ok(()) => {
                moved.iter().for_each(|(log, _)| log.start_moved());
                tracing::debug!(partitions = moved.len(), "removed records that have expired");
            }
            Err(error) => {
                tracing::warn!(%error, "can't remove records that have expired; trying again later")
            }
        }
    }

    /// A stream's extents, if they are more than `bytes`.
    fn held(&self, stream: StreamId, bytes: u64) -> Vec<Held> {
        self.metadata.view(|state| {
            let stream = state.stream(stream).filter(|stream| stream.bytes() > bytes);
            let extents = stream.into_iter().flat_map(|stream| stream.extents());
            extents.map(|extent| Held { range: extent.range, bytes: extent.bytes }).collect()
        })
    }
}

#[cfg(test)]
#[path = "keeper_tests.rs"]
mod tests;
