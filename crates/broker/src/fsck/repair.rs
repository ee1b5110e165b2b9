//! Deletes orphans that a check has found, and nothing else.
//!
//! Safety: they were listed before; now the metadata is read again, and what it does not know, and nobody can commit any
//! more, stays unknown for ever. It is the sweeper's rule, so doing it beside a live broker is as safe as the sweeper.

use super::CheckError;
use levee_base::{Clock, HashSet, Random};
use levee_meta::{ObjectName, Observer};
use levee_object::{Purpose, Store};
use std::sync::Arc;

/// What became of the orphans.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Repaired {
    /// Deleted.
    pub deleted: Vec<ObjectName>,
    /// Left alone, and why.
    pub left: Vec<(ObjectName, String)>,
}

/// Deletes those of `orphans` that are orphans by what the metadata says now.
///
/// # Errors
/// When the metadata can't be read. An object that can't be deleted is left, and said to be.
pub async fn repair(
    store: Arc<dyn Store>,
    orphans: &[(ObjectName, u64)],
    clock: Clock,
    random: &Random,
) -> Result<Repaired, CheckError> {
    let observer = Observer::open(store.clone(), clock, random).await?;
    let state = observer.state();
    let names =
        state.objects().map(|(_, object)| object.name).chain(state.garbage().map(|(_, one)| one.name));
    let known: HashSet<ObjectName> = names.collect();
    let mut repaired = Repaired::default();
    for &(name, _) in orphans {
        if !observer.complete() {
            repaired.left.push((name, "the journal can't be read to its end".to_owned()));
        } else if known.contains(&name) || !state.is_orphan(&name) {
            repaired.left.push((name, "the metadata knows of it now".to_owned()));
        } else if let Err(error) = store.delete(&name.key(), Purpose::Collect).await {
            repaired.left.push((name, error.to_string()));
        } else {
            repaired.deleted.push(name);
        }
    }
    Ok(repaired)
}
