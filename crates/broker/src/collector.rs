//! Deletes objects of the write-ahead logs that no extent refers to any more, and then has the metadata forget them.
//!
//! Safety: garbage lies below its log's trim point, so no recovery reads it, and it never comes to be referred to
//! again. A reader that holds an old view misses it, and finds in the metadata that its stream is gone.
//!
//! Crash, cancellation, retry: an object is forgotten only when its delete has succeeded, and deleting what is gone
//! succeeds; so whatever was cut off is done again. Several brokers that collect the same are harmless. A create
//! that lands after the delete leaves an object that nothing knows; finding those takes a listing (`sweeper`).

use futures::{StreamExt, stream};
use levee_base::Clock;
use levee_base::limits::{COLLECT_AT_ONCE, COLLECT_EVERY, COLLECT_OBJECTS};
use levee_meta::{Answer, Command, Metadata, ObjectId};
use levee_object::{Key, Purpose, Store};

/// Collects until dropped.
pub async fn collect(metadata: &Metadata, store: &dyn Store, clock: Clock) {
    let mut failing = false;
    loop {
        match collect_some(metadata, store).await {
            Ok(0) => {}
            Ok(deleted) => {
                tracing::debug!(deleted, "deleted objects that nothing refers to");
                failing = false;
                if deleted == COLLECT_OBJECTS {
                    continue;
                }
            }
            Err(reason) => {
                if !failing {
                    tracing::warn!(%reason, "can't delete what nothing refers to any more; trying again");
                }
                failing = true;
            }
        }
        clock.sleep(COLLECT_EVERY).await;
    }
}

/// Returns how many were deleted and forgotten.
async fn collect_some(metadata: &Metadata, store: &dyn Store) -> Result<usize, String> {
    let garbage: Vec<(ObjectId, Key)> = metadata.view(|state| {
        state.garbage().take(COLLECT_OBJECTS).map(|(id, garbage)| (id, garbage.name.key())).collect()
    });
    if garbage.is_empty() {
        return Ok(0);
    }
    let deleted: Vec<_> = stream::iter(garbage)
        .map(|(id, key)| async move { store.delete(&key, Purpose::Collect).await.map(|()| id) })
        .buffer_unordered(COLLECT_AT_ONCE)
        .collect()
        .await;
    let failure = deleted.iter().find_map(|result| result.as_ref().err()).map(ToString::to_string);
    let objects: Vec<ObjectId> = deleted.into_iter().flatten().collect();
    let count = objects.len();
    if count > 0 {
        match metadata.commit(Command::Collected { objects }).await {
            Ok(Answer::Refused(refusal)) => return Err(refusal.to_string()),
            Ok(_) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    failure.map_or(Ok(count), Err)
}

#[cfg(test)]
#[path = "collector_tests.rs"]
mod tests;
