//! Collecting the journal: what nobody reads any more.
//!
//! Ordering: a snapshot exists before this is called, and only what lies below the older of the two newest is
//! deleted, so a reader that has just found the second newest can still read on from it. Which slots hold fences
//! is known from the journal itself; a fence that counts is never deleted (`levee_object::log::Trimmer`).
//!
//! Crash and cancellation: whatever is left is found again by the next listing. Two that collect at once are
//! harmless.

use crate::snapshots::{self, Snapshots, journal_prefix, position};
use futures::StreamExt;
use levee_base::limits::JOURNAL_COLLECT_AT_ONCE;
use levee_base::{Epoch, LogPosition, Slot};
use levee_object::log::Trimmer;
use levee_object::{Key, Purpose, Result};
use std::collections::BTreeMap;

/// Keys of one page of a listing.
const PAGE: usize = 1_000;

/// Deletes what lies below the older of the two newest snapshots. Returns how many objects that were.
pub(crate) async fn collect(snapshots: &Snapshots, fences: &BTreeMap<Epoch, Slot>) -> Result<usize> {
    let listed =
        snapshots.patiently("listing metadata snapshots", &snapshots::prefix(), || snapshots.list()).await?;
    let [older_ones @ .., (older, _), _] = listed.as_slice() else { return Ok(0) };
    let stale = older_ones.iter().map(|&(at, _)| Snapshots::key(at)).collect();
    let mut deleted = delete(snapshots, stale).await?;

    let mut trimmer = Trimmer::new(*older);
    for (&epoch, &slot) in fences {
        trimmer.checked_fence(LogPosition { epoch, slot });
    }
    let prefix = format!("{}/", journal_prefix());
    let mut after = None;
    loop {
        let list = || snapshots.store.list(&prefix, after.as_ref(), PAGE, Purpose::Collect);
        let page = snapshots.patiently("listing the journal", &journal_prefix(), list).await?;
        let positions = || page.objects.iter().filter_map(|o| Some((position(&prefix, &o.key)?, &o.key)));
        let garbage = positions().filter(|&(at, _)| trimmer.may_delete(at)).map(|(_, key)| key.clone());
        deleted += delete(snapshots, garbage.collect()).await?;
        let beyond = positions().next_back().is_none_or(|(at, _)| at >= *older);
        match page.next() {
            Some(last) if !beyond => after = Some(last),
            _ => return Ok(deleted),
        }
    }
}

async fn delete(snapshots: &Snapshots, keys: Vec<Key>) -> Result<usize> {
    let count = keys.len();
    let deletes = keys.into_iter().map(|key| async move {
        let delete = || snapshots.store.delete(&key, Purpose::Collect);
        snapshots.patiently("deleting old metadata", &key, delete).await
    });
    let results: Vec<Result<()>> =
        futures::stream::iter(deletes).buffer_unordered(JOURNAL_COLLECT_AT_ONCE).collect().await;
    results.into_iter().collect::<Result<()>>()?;
    Ok(count)
}
