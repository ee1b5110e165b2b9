//! Snapshots in the store: `journal/snapshots/<epoch>/<slot>`, named after the first journal entry that is not
//! in it. The newest by name is the journal's trim point.
//!
//! Ordering: a snapshot is made by an epoch's writer, of its own durable prefix, in its own epoch, created if
//! absent, and exists before anything below it is collected. Its bytes are fixed when first sent, so sending
//! them again is harmless, and one that is created late is as true as it was: it is then not the newest.
//!
//! Crash: a snapshot exists whole or not at all. Entries are kept from the older of the two newest on.
//!
//! Damage: when the newest one can't be used, a start stops and names it, although the one before it and the
//! entries since then would give the same state. A store that changed what it had acknowledged is not to be
//! trusted with the rest before a person has looked; and a broker that went on would write a new snapshot, and
//! then collect the very entries that make the older one useful. Nor may one rule take an object for the trim
//! point that another rule takes for absent: that is how two logs come about. What a person has to do is small,
//! and the error says it: move the damaged object away. Everybody then sees the same trim point again.

use crate::codec::{self, CodecError, Snapshot};
use crate::error::MetaError;
use async_trait::async_trait;
use bytes::Bytes;
use levee_base::{Clock, ClusterId, Epoch, LogPosition, Random, Slot};
use levee_object::log::{TrimPoint, patiently};
use levee_object::{Error, ErrorKind, Key, Purpose, Result as StoreResult, Store};
use std::sync::Arc;

/// Keys of one page of a listing.
const PAGE: usize = 1_000;

/// The snapshots of a cluster.
#[derive(Debug, Clone)]
pub(crate) struct Snapshots {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) purpose: Purpose,
}

impl Snapshots {
    pub(crate) fn key(at: LogPosition) -> Key {
        prefix().join_number(at.epoch.0).join_number(at.slot.0)
    }

    /// All there are, oldest first, with their lengths. Asked once: a transient failure is the caller's.
    pub(crate) async fn list(&self) -> StoreResult<Vec<(LogPosition, u64)>> {
        let prefix = format!("{}/", prefix());
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = self.store.list(&prefix, after.as_ref(), PAGE, self.purpose).await?;
            // What isn't named so was put there by somebody else.
            found.extend(page.objects.iter().filter_map(|o| Some((position(&prefix, &o.key)?, o.bytes))));
            match page.next() {
                Some(last) => after = Some(last),
                None => return Ok(found),
            }
        }
    }

    /// The newest one, checked; `None` before there is one.
    pub(crate) async fn newest(&self, cluster: ClusterId) -> Result<Option<Snapshot>, MetaError> {
        loop {
            let listed = self.patiently("listing metadata snapshots", &prefix(), || self.list()).await?;
            let Some(&(at, _)) = listed.last() else { return Ok(None) };
            let key = Self::key(at);
            let get = || self.store.get(&key, None, self.purpose);
            let bytes = match self.patiently("reading a metadata snapshot", &key, get).await {
                Ok(bytes) => bytes,
                // Collected since it was listed, so there are newer ones.
                Err(error) if error.kind == ErrorKind::NotFound => continue,
                Err(error) => return Err(error.into()),
            };
            return Self::decode(&key, at, cluster, &bytes).map(Some);
        }
    }

    fn decode(key: &Key, at: LogPosition, cluster: ClusterId, bytes: &[u8]) -> Result<Snapshot, MetaError> {
        let key = key.clone();
        let snapshot = match codec::decode_snapshot(bytes) {
            Ok(snapshot) => snapshot,
            Err(source @ CodecError::Newer { .. }) => return Err(MetaError::NewerSnapshot { key, source }),
            Err(source) => return Err(MetaError::Snapshot { key, source }),
        };
        let found = snapshot.head.cluster;
        if found != cluster {
            return Err(MetaError::ForeignSnapshot { key, expected: cluster, found });
        }
        if snapshot.head.at != at {
            let source = CodecError::Malformed { reason: format!("it says that it is {}", snapshot.head.at) };
            return Err(MetaError::Snapshot { key, source });
        }
        Ok(snapshot)
    }

    /// Creates one. When the name is taken, an earlier try of ours should have come through, as nobody else writes in
    /// our epoch; reading it settles that. What rests on it, collection, deletes for good. A try that failed is read
    /// as well: a server that refuses a taken name before it has read the body cuts the connection, so that its answer
    /// may never come.
    ///
    /// # Errors
    /// `AlreadyExists` when there is another one under its name.
    pub(crate) async fn create(&self, at: LogPosition, bytes: Bytes) -> StoreResult<()> {
        let key = Self::key(at);
        let create = || async {
            let Err(error) = self.store.create(&key, bytes.clone(), self.purpose).await else {
                return Ok(());
            };
            let taken = error.kind == ErrorKind::AlreadyExists;
            if error.kind.is_answer() && !taken {
                return Err(error);
            }
            match self.store.get(&key, None, Purpose::Doubt).await {
                Ok(there) if there == bytes => Ok(()),
                Ok(_) => Err(Error::already_exists(&key)),
                Err(doubt) => Err(if taken { doubt } else { error }),
            }
        };
        self.patiently("writing a metadata snapshot", &key, create).await
    }

    pub(crate) async fn patiently<T, F: Future<Output = StoreResult<T>>>(
        &self,
        doing: &'static str,
        subject: &Key,
        request: impl FnMut() -> F,
    ) -> StoreResult<T> {
        patiently(self.clock, &self.random, doing, subject, request).await
    }
}

#[async_trait]
impl TrimPoint for Snapshots {
    async fn trim_point(&self) -> StoreResult<LogPosition> {
        Ok(self.list().await?.last().map_or(LogPosition::default(), |&(at, _)| at))
    }
}

/// The prefix of the journal's log.
///
/// # Panics
/// Never: it is a key.
#[must_use]
pub fn journal_prefix() -> Key {
    Key::new("journal").expect("it is a key")
}

pub(crate) fn prefix() -> Key {
    journal_prefix().join("snapshots")
}

/// The position that a key `<prefix><epoch, 20 digits>/<slot, 20 digits>` names.
pub(crate) fn position(prefix: &str, key: &Key) -> Option<LogPosition> {
    let (epoch, slot) = key.as_str().strip_prefix(prefix)?.split_once('/')?;
    let number = |digits: &str| (digits.len() == 20).then(|| digits.parse().ok()).flatten();
    Some(LogPosition { epoch: Epoch(number(epoch)?), slot: Slot(number(slot)?) })
}
