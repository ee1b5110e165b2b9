//! Finds and deletes orphans: objects in the store that the metadata neither lists nor knows as garbage, and never will.
//!
//! They come from a broker that died between creating an object and committing it, and from creates that land late:
//! after their object was collected, or after their log was fenced. So epochs that are long out are swept again and
//! again.
//!
//! Safety: first the store is listed, then the metadata is asked. An object that the metadata does not know then, and
//! that nobody can commit any more ([`levee_meta::State::is_orphan`]), stays unknown for ever. What a live broker may
//! still be writing is left alone, and so is what the metadata seen here is too old to know. No clock is asked.
//!
//! Crash, cancellation, retry: whatever was cut off is found again. Several brokers that sweep are harmless.

use futures::{StreamExt, stream};
use levee_base::limits::{COLLECT_AT_ONCE, SWEEP_EVERY, SWEEP_NAMES};
use levee_base::{Clock, HashSet};
use levee_meta::{Metadata, ObjectName, data_prefix};
use levee_object::{Key, Purpose, Result, Store};

/// Keys of one page of a listing.
const PAGE: usize = 1_000;

/// Sweeps until dropped.
pub async fn sweep(metadata: &Metadata, store: &dyn Store, clock: Clock) {
    loop {
        clock.sleep(SWEEP_EVERY).await;
        match sweep_once(metadata, store).await {
            Ok(0) => {}
            Ok(orphans) => tracing::info!(orphans, "deleted objects that were never committed"),
            Err(error) => {
                tracing::warn!(%error, "can't look for objects that were never committed; trying again")
            }
        }
    }
}

/// Returns how many orphans were deleted.
///
/// # Errors
/// When the store can't be listed, or not deleted from.
pub async fn sweep_once(metadata: &Metadata, store: &dyn Store) -> Result<usize> {
    let mut deleted = 0;
    for prefix in [format!("{}/", data_prefix()), "wal/".to_owned()] {
        let mut after: Option<Key> = None;
        let mut found: Vec<ObjectName> = Vec::new();
        loop {
            let page = store.list(&prefix, after.as_ref(), PAGE, Purpose::Collect).await?;
            found.extend(page.objects.iter().filter_map(|object| ObjectName::from_key(&object.key)));
            after = page.next();
            if found.len() >= SWEEP_NAMES || after.is_none() {
                deleted += delete(store, orphans(metadata, std::mem::take(&mut found))).await?;
            }
            if after.is_none() {
                break;
            }
        }
    }
    Ok(deleted)
}

/// Those of `found` that are orphans by what the metadata says now.
fn orphans(metadata: &Metadata, found: Vec<ObjectName>) -> Vec<ObjectName> {
    let mut found: HashSet<ObjectName> = found.into_iter().collect();
    metadata.view(|state| {
        // What lives is struck out first, in one walk.
        for name in
            state.objects().map(|(_, object)| object.name).chain(state.garbage().map(|(_, one)| one.name))
        {
            found.remove(&name);
        }
        found.retain(|name| state.is_orphan(name));
    });
    let mut orphans: Vec<ObjectName> = found.into_iter().collect();
    orphans.sort_unstable();
    orphans
}

async fn delete(store: &dyn Store, orphans: Vec<ObjectName>) -> Result<usize> {
    let count = orphans.len();
    let deletes: Vec<Result<()>> = stream::iter(orphans)
        .map(|name| async move { store.delete(&name.key(), Purpose::Collect).await })
        .buffer_unordered(COLLECT_AT_ONCE)
        .collect()
        .await;
    deletes.into_iter().collect::<Result<()>>()?;
    Ok(count)
}

#[cfg(test)]
#[path = "sweeper_tests.rs"]
mod tests;
