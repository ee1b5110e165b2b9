//! Reading the metadata without being part of the cluster: the newest snapshot, and the journal to its end. It writes
//! nothing and fences nothing, beside live brokers or without any.
//!
//! What it shows is a state that the cluster had while it was read: it makes the same check as every other reader.
//! Damage does not stop it where it can go on. A snapshot that can't be used is reported, and the one before it taken
//! (a broker stops there, and why is in `snapshots`); a journal entry that can't be used is reported, and the state is
//! the one before it: then it is not known what the cluster's metadata is now, and [`Observer::complete`] says so.

mod history;

pub use history::History;

use crate::codec::{self, CodecError, Snapshot};
use crate::snapshots::{Snapshots, journal_prefix, position};
use crate::state::State;
use async_trait::async_trait;
use levee_base::limits::LOG_HEADER_BYTES;
use levee_base::{Clock, ClusterId, Epoch, LogPosition, Random, Slot};
use levee_object::log::{
    ChainItem, Followed, Kind, LogContext, LogHeader, ReadError, TrimPoint, follow_checked,
};
use levee_object::{ErrorKind, Key, Purpose, Result as StoreResult, Store};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Times that the newest snapshot is looked for when the one just listed is gone.
const TRIES: usize = 16;

/// Why there is nothing to observe.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// Nothing of a cluster is there.
    #[error("there is no Levee cluster in {location}: neither a journal nor a snapshot of its metadata")]
    NoCluster {
        /// Where it was looked for.
        location: String,
    },
    /// The store did not answer as it should.
    #[error(transparent)]
    Store(#[from] levee_object::Error),
}

/// Something about the metadata's own objects that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataDamage {
    /// The object.
    pub key: Key,
    /// Whether it is gone; otherwise it is there and can't be used.
    pub missing: bool,
    /// What is wrong, in words.
    pub detail: String,
}

/// The metadata as far as it was read.
#[derive(Debug)]
pub struct Observer {
    ctx: LogContext,
    snapshots: Snapshots,
    state: State,
    next: LogPosition,
    fences: BTreeMap<Epoch, Slot>,
    /// Snapshots and entries taken.
    objects: u64,
    /// Snapshots that can't be used: they don't count as the trim point either.
    unusable: Vec<LogPosition>,
    damage: Vec<MetadataDamage>,
    complete: bool,
}

/// The newest snapshot that can be used is the trim point.
struct Usable<'a> {
    snapshots: &'a Snapshots,
    unusable: &'a [LogPosition],
}

#[async_trait]
impl TrimPoint for Usable<'_> {
    async fn trim_point(&self) -> StoreResult<LogPosition> {
        Ok(self.newest().await?.unwrap_or_default())
    }
}

impl Usable<'_> {
    async fn newest(&self) -> StoreResult<Option<LogPosition>> {
        let listed = self.snapshots.list().await?;
        Ok(listed.into_iter().map(|(at, _)| at).rfind(|at| !self.unusable.contains(at)))
    }
}

impl Observer {
    /// Finds the cluster in `store` and reads its metadata.
    ///
    /// # Errors
    /// When there is no cluster, or the store fails.
    pub async fn open(store: Arc<dyn Store>, clock: Clock, random: &Random) -> Result<Self, ObserveError> {
        let snapshots =
            Snapshots { store: store.clone(), clock, random: random.fork(), purpose: Purpose::Inspect };
        let mut damage = Vec::new();
        let cluster = identify(&store, &snapshots, &mut damage).await?;
        let random = random.fork();
        let ctx = LogContext { store, cluster, prefix: journal_prefix(), clock, random };
        let mut observer = Self {
            ctx,
            snapshots,
            state: State::default(),
            next: LogPosition::default(),
            fences: BTreeMap::new(),
            objects: 0,
            unusable: Vec::new(),
            damage,
            complete: true,
        };
        observer.load().await?;
        observer.catch_up().await?;
        Ok(observer)
    }

    /// The cluster.
    #[must_use]
    pub fn cluster(&self) -> ClusterId {
        self.ctx.cluster
    }

    /// The state as of [`Observer::position`].
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The first place in the journal that is not in the state.
    #[must_use]
    pub fn position(&self) -> LogPosition {
        self.next
    }

    /// The journal's fences before that.
    #[must_use]
    pub fn fences(&self) -> &BTreeMap<Epoch, Slot> {
        &self.fences
    }

    /// Snapshots and journal entries that were taken.
    #[must_use]
    pub fn objects(&self) -> u64 {
        self.objects
    }

    /// Whether the journal was read to its end. When it was not, nobody can tell what is listed now.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.complete
    }

    /// What was met that is not as it should be.
    #[must_use]
    pub fn damage(&self) -> &[MetadataDamage] {
        &self.damage
    }

    /// Reads on to the journal's end as it is now.
    ///
    /// # Errors
    /// When the store gives an answer that makes no sense; what may pass is waited out.
    pub async fn catch_up(&mut self) -> Result<(), ObserveError> {
        while self.complete {
            let mut read = Vec::new();
            match follow_checked(&self.ctx, self.next, &self.usable(), |at, item| read.push((at, item))).await
            {
                Ok(Followed::To(_)) => {
                    self.take(read);
                    break;
                }
                Ok(Followed::Void) => self.load().await?,
                Err(ReadError::Store(error)) => return Err(error.into()),
                Err(error @ (ReadError::Corrupt { .. } | ReadError::ForeignCluster { .. })) => {
                    self.take(read);
                    self.fail(self.ctx.key(self.next), error.to_string());
                }
            }
        }
        Ok(())
    }

    fn usable(&self) -> Usable<'_> {
        Usable { snapshots: &self.snapshots, unusable: &self.unusable }
    }

    fn fail(&mut self, key: Key, detail: String) {
        self.complete = false;
        self.damage.push(MetadataDamage { key, missing: false, detail });
    }

    fn take(&mut self, read: Vec<(LogPosition, ChainItem)>) {
        for (at, item) in read {
            match item {
                ChainItem::Entry(bytes) => match codec::decode_entry(&bytes) {
                    Ok(envelopes) => {
                        for envelope in &envelopes {
                            self.state.apply(envelope);
                        }
                        self.objects += 1;
                        self.next = at.next();
                    }
                    Err(error) => return self.fail(self.ctx.key(at), error.to_string()),
                },
                ChainItem::Fence { .. } => {
                    self.fences.insert(at.epoch, at.slot);
                    self.next = LogPosition::start_of(at.epoch.next());
                }
            }
        }
    }

    /// Takes the newest snapshot that can be used, unless what was read reaches farther.
    async fn load(&mut self) -> Result<(), ObserveError> {
        for _ in 0..TRIES {
            let Some(at) = self.usable().newest().await? else { return Ok(()) };
            let key = Snapshots::key(at);
            let bytes = match self.ctx.store.get(&key, None, Purpose::Inspect).await {
                Ok(bytes) => bytes,
                // Collected since it was listed, so there are newer ones.
                Err(error) if error.kind == ErrorKind::NotFound => continue,
                Err(error) => return Err(error.into()),
            };
            match read_snapshot(&bytes, at, self.ctx.cluster) {
                Ok(snapshot) if at >= self.next => {
                    (self.next, self.fences) = (at, snapshot.fences);
                    self.objects += 1;
                    self.state = snapshot.state;
                    return Ok(());
                }
                Ok(_) => return Ok(()),
                Err(error) => {
                    self.unusable.push(at);
                    let detail = error.to_string();
                    self.damage.push(MetadataDamage { key, missing: false, detail });
                }
            }
        }
        Ok(())
    }
}

/// Decodes a snapshot, and checks that it is this cluster's and of this place.
fn read_snapshot(bytes: &[u8], at: LogPosition, cluster: ClusterId) -> Result<Snapshot, CodecError> {
    let snapshot = codec::decode_snapshot(bytes)?;
    let (found, says) = (snapshot.head.cluster, snapshot.head.at);
    if found != cluster {
        let reason = format!("it belongs to cluster {found}, and this is cluster {cluster}");
        return Err(CodecError::Malformed { reason });
    }
    if says != at {
        return Err(CodecError::Malformed { reason: format!("it says that it is {says}") });
    }
    Ok(snapshot)
}

/// The cluster's id: from the fence that began its journal, which is never deleted; should that be lost all the same,
/// from the newest snapshot that has one.
async fn identify(
    store: &Arc<dyn Store>,
    snapshots: &Snapshots,
    damage: &mut Vec<MetadataDamage>,
) -> Result<ClusterId, ObserveError> {
    let first = journal_prefix().join_number(0).join_number(0);
    let head = store.get(&first, Some(0..LOG_HEADER_BYTES as u64), Purpose::Inspect).await;
    let (missing, detail) = match head {
        Ok(head) => match LogHeader::decode(&head) {
            Ok(header) if header.kind == Kind::Fence => return Ok(header.cluster),
            Ok(_) => (false, "it is no fence".to_owned()),
            Err(error) => (false, error.to_string()),
        },
        Err(error) if error.kind == ErrorKind::NotFound => (true, error.reason),
        Err(error) if error.kind == ErrorKind::OutOfRange => (false, "it is empty".to_owned()),
        Err(error) => return Err(error.into()),
    };
    let detail =
        format!("{detail}. The journal begins with this fence: a start that misses it begins a cluster");
    damage.push(MetadataDamage { key: first, missing, detail });
    for (at, _) in snapshots.list().await?.into_iter().rev() {
        let head = store.get(&Snapshots::key(at), Some(0..SNAPSHOT_HEAD), Purpose::Inspect).await;
        if let Some(head) = head.ok().and_then(|head| codec::decode_snapshot_head(&head).ok()) {
            return Ok(head.cluster);
        }
    }
    // A young journal has no snapshot yet.
    let prefix = format!("{}/", journal_prefix());
    let page = store.list(&prefix, None, 100, Purpose::Inspect).await?;
    for object in page.objects.iter().filter(|object| position(&prefix, &object.key).is_some()) {
        let head = store.get(&object.key, Some(0..LOG_HEADER_BYTES as u64), Purpose::Inspect).await;
        if let Some(header) = head.ok().and_then(|head| LogHeader::decode(&head).ok()) {
            return Ok(header.cluster);
        }
    }
    Err(ObserveError::NoCluster { location: store.location() })
}

/// What says whose a snapshot is, in bytes.
const SNAPSHOT_HEAD: u64 = codec::SNAPSHOT_HEAD_BYTES as u64;
