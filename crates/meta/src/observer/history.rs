//! The past that the metadata keeps: the snapshot before the newest one, and the journal between the two. It is what a
//! person falls back to when the newest snapshot is lost, and it must lead to the very same state.

use super::{MetadataDamage, ObserveError, Observer, TRIES, read_snapshot};
use crate::codec;
use crate::snapshots::{Snapshots, journal_prefix, position};
use async_trait::async_trait;
use levee_base::LogPosition;
use levee_object::log::{ChainItem, Followed, ReadError, TrimPoint, Trimmer, follow_checked};
use levee_object::{ErrorKind, Key, Purpose, Result as StoreResult};

/// Entries are kept from the older of the two newest snapshots on.
struct Older<'a>(&'a Snapshots);

#[async_trait]
impl TrimPoint for Older<'_> {
    async fn trim_point(&self) -> StoreResult<LogPosition> {
        let listed = self.0.list().await?;
        Ok(listed.iter().rev().nth(1).map_or(LogPosition::default(), |&(at, _)| at))
    }
}

/// What a replay came to.
#[derive(Debug, Default)]
pub struct History {
    /// What is not as it should be.
    pub damage: Vec<MetadataDamage>,
    /// Objects that were read for it.
    pub objects: u64,
}

impl Observer {
    /// Replays the journal from the snapshot before the newest one to that, and compares. A cluster without two
    /// snapshots has no such past. A live controller moves on meanwhile; then it is tried again, a few times.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn history(&self) -> Result<History, ObserveError> {
        for _ in 0..TRIES {
            let listed = self.snapshots.list().await?;
            let [.., (older, _), (newest, _)] = listed.as_slice() else { break };
            let mut history = History::default();
            match self.replay(*older, *newest, &mut history).await? {
                Replay::Done => return Ok(history),
                Replay::Outdated => {}
            }
        }
        Ok(History::default())
    }

    async fn replay(
        &self,
        older: LogPosition,
        newest: LogPosition,
        history: &mut History,
    ) -> Result<Replay, ObserveError> {
        let mut read = Vec::new();
        for at in [older, newest] {
            let key = Snapshots::key(at);
            let bytes = match self.ctx.store.get(&key, None, Purpose::Inspect).await {
                Ok(bytes) => bytes,
                Err(error) if error.kind == ErrorKind::NotFound => return Ok(Replay::Outdated),
                Err(error) => return Err(error.into()),
            };
            history.objects += 1;
            match read_snapshot(&bytes, at, self.cluster()) {
                Ok(snapshot) => read.push(snapshot),
                // Said already when it was to be used.
                Err(_) if self.unusable.contains(&at) => return Ok(Replay::Done),
                Err(error) => {
                    history.damage.push(MetadataDamage { key, missing: false, detail: error.to_string() });
                    return Ok(Replay::Done);
                }
            }
        }
        let (Some(new), Some(old)) = (read.pop(), read.pop()) else { return Ok(Replay::Done) };
        let (mut state, mut fences, mut next) = (old.state, old.fences, older);
        let mut damage = None;
        let each = |at: LogPosition, item| {
            if at >= newest || damage.is_some() {
                return;
            }
            history.objects += 1;
            match item {
                ChainItem::Entry(bytes) => match codec::decode_entry(&bytes) {
                    Ok(envelopes) => {
                        for envelope in &envelopes {
                            state.apply(envelope);
                        }
                        next = at.next();
                    }
                    Err(error) => damage = Some((at, false, error.to_string())),
                },
                ChainItem::Fence { .. } => {
                    fences.insert(at.epoch, at.slot);
                    next = LogPosition::start_of(at.epoch.next());
                }
            }
        };
        match follow_checked(&self.ctx, older, &Older(&self.snapshots), each).await {
            Ok(Followed::Void) => return Ok(Replay::Outdated),
            Ok(Followed::To(end)) if end < newest => {
                damage = Some((end, true, "it is not there, and what follows it is".to_owned()));
            }
            Ok(Followed::To(_)) => {}
            Err(ReadError::Store(error)) => return Err(error.into()),
            // What is damaged after the newest snapshot is met when that is read on.
            Err(_) if next >= newest => {}
            Err(error) => damage = Some((next, false, error.to_string())),
        }
        if let Some((at, missing, detail)) = damage {
            let detail = format!("{detail} (only the snapshot {} leads beyond it)", Snapshots::key(newest));
            history.damage.push(MetadataDamage { key: self.ctx.key(at), missing, detail });
        } else if state != new.state || fences != new.fences {
            let detail = format!("it is not what the journal since {} leads to", Snapshots::key(older));
            history.damage.push(MetadataDamage { key: Snapshots::key(newest), missing: false, detail });
        }
        Ok(Replay::Done)
    }

    /// Which of the journal's objects in a listing nobody reads any more: its collector deletes them after the next
    /// snapshot.
    #[must_use]
    pub fn stale<'a>(&self, listed: &'a [(Key, u64)]) -> Vec<&'a (Key, u64)> {
        let snapshots_prefix = format!("{}/", crate::snapshots::prefix());
        let mut snapshots: Vec<LogPosition> =
            listed.iter().filter_map(|(key, _)| position(&snapshots_prefix, key)).collect();
        snapshots.sort_unstable();
        let Some(&older) = snapshots.iter().rev().nth(1) else { return Vec::new() };
        let mut trimmer = Trimmer::new(older);
        for (&epoch, &slot) in &self.fences {
            trimmer.checked_fence(LogPosition { epoch, slot });
        }
        let prefix = format!("{}/", journal_prefix());
        let stale = |key: &Key| match position(&snapshots_prefix, key) {
            Some(at) => at < older,
            None => position(&prefix, key).is_some_and(|at| trimmer.may_delete(at)),
        };
        listed.iter().filter(|(key, _)| stale(key)).collect()
    }
}

enum Replay {
    Done,
    /// The controller has moved on.
    Outdated,
}
