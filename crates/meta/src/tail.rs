//! What a node knows of the journal: the state as of a position, and where the fences were on the way there.
//!
//! Reading shows nothing until it is checked: what is read lies in a buffer until the trim point was read again
//! after it (`levee_object::log`); then it is applied, and views see it. When the trim point has passed what was
//! read, it is thrown away and the newest snapshot takes its place.

use crate::answer::Answer;
use crate::codec::{self, Snapshot, SnapshotHead};
use crate::command::Envelope;
use crate::error::MetaError;
use crate::snapshots::Snapshots;
use levee_base::{Epoch, LogPosition, Slot, WriterId};
use levee_object::log::{ChainItem, Followed, LogContext, TakeOver, follow_checked, take_over};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::watch;

/// The durable state, for whoever wants to see it.
#[derive(Debug)]
pub(crate) struct Published {
    state: RwLock<crate::State>,
    position: watch::Sender<u64>,
    /// In debug builds: the position from which on the invariants are checked again.
    check_at: AtomicU64,
}

impl Published {
    fn new() -> Self {
        Self { state: RwLock::default(), position: watch::Sender::new(0), check_at: AtomicU64::new(0) }
    }

    pub(crate) fn view<R>(&self, see: impl FnOnce(&crate::State) -> R) -> R {
        // A reader that panicked has changed nothing, and the only writer does not panic half-way: a command is
        // checked whole before anything is changed.
        see(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.position.subscribe()
    }

    fn change<R>(&self, change: impl FnOnce(&mut crate::State) -> R) -> R {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut state);
        let position = state.position();
        if cfg!(debug_assertions) && position >= self.check_at.load(Ordering::Relaxed) {
            assert_eq!(state.check_invariants(), Ok(()));
            // A check takes as long as the state is large: now and then, so that it does not dominate.
            let size = state.streams().count() + state.objects().count();
            self.check_at.store(position + size as u64 / 4, Ordering::Relaxed);
        }
        drop(state);
        self.position.send_replace(position);
        result
    }
}

/// The journal as far as it was read.
#[derive(Debug)]
pub(crate) struct Tail {
    ctx: LogContext,
    snapshots: Snapshots,
    published: Arc<Published>,
    /// The first entry that is not in the state.
    next: LogPosition,
    fences: BTreeMap<Epoch, Slot>,
    /// Entries and bytes of them since the newest snapshot.
    entries: u64,
    bytes: usize,
}

impl Tail {
    /// One that has read nothing.
    pub(crate) fn new(ctx: LogContext, snapshots: Snapshots) -> Self {
        Self {
            ctx,
            snapshots,
            published: Arc::new(Published::new()),
            next: LogPosition::default(),
            fences: BTreeMap::new(),
            entries: 0,
            bytes: 0,
        }
    }

    pub(crate) fn published(&self) -> &Arc<Published> {
        &self.published
    }

    pub(crate) fn ctx(&self) -> &LogContext {
        &self.ctx
    }

    pub(crate) fn snapshots(&self) -> &Snapshots {
        &self.snapshots
    }

    pub(crate) fn fences(&self) -> &BTreeMap<Epoch, Slot> {
        &self.fences
    }

    /// Entries, and bytes of them, that a start would have to read besides the newest snapshot.
    pub(crate) fn since_snapshot(&self) -> (u64, usize) {
        (self.entries, self.bytes)
    }

    /// Takes the newest snapshot, unless what was read reaches farther.
    pub(crate) async fn load(&mut self) -> Result<(), MetaError> {
        let Some(snapshot) = self.snapshots.newest(self.ctx.cluster).await? else { return Ok(()) };
        if snapshot.head.at >= self.next {
            self.next = snapshot.head.at;
            self.fences = snapshot.fences;
            (self.entries, self.bytes) = (0, 0);
            self.published.change(|state| *state = snapshot.state);
        }
        Ok(())
    }

    /// Reads on to the journal's end.
    pub(crate) async fn catch_up(&mut self) -> Result<(), MetaError> {
        loop {
            let mut read = Vec::new();
            let each = |at, item| read.push((at, item));
            match follow_checked(&self.ctx, self.next, &self.snapshots, each).await? {
                Followed::To(_) => return self.take_all(read),
                Followed::Void => self.load().await?,
            }
        }
    }

    /// Reads on and takes the journal over: the epoch and under which id to write it, or `None` when another
    /// was first, whom it has then followed to the journal's end.
    pub(crate) async fn take_over(&mut self) -> Result<Option<(Epoch, WriterId, Slot)>, MetaError> {
        loop {
            let mut read = Vec::new();
            let each = |at, item| read.push((at, item));
            match take_over(&self.ctx, self.next, &self.snapshots, each).await? {
                TakeOver::Won { epoch, writer, first } => {
                    self.take_all(read)?;
                    return Ok(Some((epoch, writer, first)));
                }
                TakeOver::Lost { next } => {
                    // What was read is the log up to the winner's fence. More may have been answered since, by
                    // the winner: none of it is shown before that is read too.
                    let each = |at, item| read.push((at, item));
                    match follow_checked(&self.ctx, next, &self.snapshots, each).await? {
                        Followed::To(_) => self.take_all(read)?,
                        Followed::Void => {
                            self.load().await?;
                            self.catch_up().await?;
                        }
                    }
                    return Ok(None);
                }
                TakeOver::Void => self.load().await?,
            }
        }
    }

    fn take_all(&mut self, read: Vec<(LogPosition, ChainItem)>) -> Result<(), MetaError> {
        for (at, item) in read {
            match item {
                ChainItem::Entry(bytes) => {
                    let entry = |source| MetaError::Entry { key: self.ctx.key(at), source };
                    let envelopes = codec::decode_entry(&bytes).map_err(entry)?;
                    self.apply(at, bytes.len(), envelopes.iter());
                }
                ChainItem::Fence { .. } => self.fence(at),
            }
        }
        Ok(())
    }

    /// The journal goes on in the epoch after `at`, where a fence is.
    pub(crate) fn fence(&mut self, at: LogPosition) {
        assert_eq!(at, self.next, "the journal is read in order");
        self.fences.insert(at.epoch, at.slot);
        self.next = LogPosition::start_of(at.epoch.next());
    }

    /// Applies a durable entry.
    pub(crate) fn apply<'a>(
        &mut self,
        at: LogPosition,
        bytes: usize,
        envelopes: impl Iterator<Item = &'a Envelope>,
    ) -> Vec<Answer> {
        assert_eq!(at, self.next, "the journal is applied in order");
        self.next = at.next();
        self.entries += 1;
        self.bytes += bytes;
        self.published.change(|state| envelopes.map(|envelope| state.apply(envelope)).collect())
    }

    /// A snapshot of all that was applied, by the writer of the epoch that the tail is in.
    ///
    /// It is a copy, which shares the large tables with the state (`state::shared`): encoding it is for another
    /// thread.
    pub(crate) fn snapshot(&mut self, writer: WriterId) -> Snapshot {
        let head = SnapshotHead { cluster: self.ctx.cluster, at: self.next, writer };
        (self.entries, self.bytes) = (0, 0);
        Snapshot { head, fences: self.fences.clone(), state: self.published.view(crate::State::clone) }
    }
}
