//! The handle: a thin shell that holds the state's lock for a call at a time, and starts the tasks.
//!
//! Cancellation: `room`, `read`, `replay` and `shutdown` may be dropped at any time. Dropping the last handle
//! abandons what is not durable, as a crash would; `shutdown` first for an orderly end.

use crate::cache::{Flights, IndexCache, Lane, Lanes, Span, SpanCache, SpanKey};
use crate::compact::{self, PlanOptions};
use crate::load::{Head, Loading};
use crate::metrics::Metrics;
use crate::pool::Pool;
use crate::read_ahead::ReadAhead;
use crate::read_options::StoreOptions;
use crate::recover::RecoveredIndexes;
use crate::registrar::{Registered, Registrar};
use crate::state::State;
use crate::stream::Stream;
use crate::types::{AppendError, NewBatch, Stopped, StoreStatus, StreamEnds};
use crate::upload::data_prefix;
use crate::wal::pacer::{Pacer, Waiting};
use crate::wal::space::{Noting, Space};
use crate::wal::{flusher, trimmer};
use crate::watch::{WatchGuard, Watchers};
use levee_base::limits::{COPIES_BYTES, INDEX_CACHE_BYTES, PAGE};
use levee_base::{BrokerEpoch, Epoch, Offset, Slot, StreamId, WriterId};
use levee_object::log::{LogContext, LogWriter, Stamp, WriterOptions};
use levee_object::{Key, Purpose};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

/// What the handle and its tasks share.
pub(crate) struct Shared {
    pub(crate) ctx: LogContext,
    pub(crate) epoch: BrokerEpoch,
    writer: WriterId,
    pub(crate) registrar: Arc<dyn Registrar>,
    pub(crate) compaction: PlanOptions,
    /// What is read ahead comes by one request up to so many bytes.
    pub(crate) together_bytes: u64,
    pub(crate) compaction_bytes_per_second: u64,
    /// Where the objects are that this epoch gathers and compacts.
    pub(crate) data: Key,
    /// The number of the next one.
    next_number: AtomicU64,
    /// The memory in which they are made.
    pub(crate) copies: Pool,
    state: Mutex<State>,
    pub(crate) indexes: IndexCache,
    pub(crate) head_flights: Flights<(Purpose, Key), Head>,
    pub(crate) spans: SpanCache,
    pub(crate) span_flights: Flights<(Lane, SpanKey), Arc<Span>>,
    pub(crate) lanes: Lanes,
    pub(crate) read_ahead: Mutex<ReadAhead<Loading>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) watchers: Arc<Watchers>,
    pub(crate) status: watch::Sender<StoreStatus>,
    /// Something waits to be flushed, or a place in flight is free.
    pub(crate) flush: Notify,
    /// There may be something to trim.
    pub(crate) trim: Notify,
    /// There may be something to compact.
    pub(crate) compact: Notify,
    /// There may be room for an append.
    pub(crate) room: Arc<Notify>,
    /// Held while a trim, or another commit that changes extents, is under way.
    pub(crate) trims: tokio::sync::Mutex<()>,
    /// Held while something is written anew: what it reads is in nobody else's hands.
    pub(crate) compacting: tokio::sync::Mutex<()>,
    /// How many wait for that who are in a hurry.
    pub(crate) hurried: watch::Sender<usize>,
}

impl Shared {
    /// The state. A panic under its lock is a caller's mistake that changed nothing, so it can be used on.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number for an object that is gathered or compacted. Each is settled once: committed or abandoned.
    pub(crate) fn next_number(&self) -> u64 {
        self.next_number.fetch_add(1, Relaxed)
    }

    /// What such an object says of itself: as one of a log would, with its number for a slot.
    pub(crate) fn stamp(&self, number: u64) -> Stamp {
        let epoch = Epoch::from(self.epoch);
        Stamp { cluster: self.ctx.cluster, epoch, slot: Slot(number), writer: self.writer }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.state().stopped().is_some()
    }

    /// Nothing more becomes durable: everybody who waits learns it.
    pub(crate) fn stop(&self, stopped: Stopped) {
        self.state().stop(stopped.clone());
        self.status.send_if_modified(|status| {
            let running = status.stopped.is_none();
            if running {
                status.stopped = Some(stopped);
            }
            running
        });
        self.watchers.wake_all();
        self.room.notify_waiters();
        self.flush.notify_one();
        self.trim.notify_one();
        self.compact.notify_one();
    }
}

/// The streams that one writer appends to and reads.
pub struct StreamStore {
    pub(crate) shared: Arc<Shared>,
    space: Space,
    tasks: [AbortHandle; 4],
}

impl fmt::Debug for StreamStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamStore").field("log", &self.shared.ctx.prefix).finish_non_exhaustive()
    }
}

impl StreamStore {
    /// Opens the write-ahead log of `epoch`, below `ctx.prefix`, for a writer that nobody was before. Must be
    /// called within a runtime.
    #[must_use]
    pub fn open(
        ctx: LogContext,
        epoch: BrokerEpoch,
        writer: WriterId,
        registrar: Arc<dyn Registrar>,
        options: impl Into<StoreOptions>,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        let StoreOptions { wal, reads, disk_cache } = options.into();
        let (options, reads) = (wal.workable(), reads.workable());
        let room = Arc::new(Notify::new());
        let buffer_bytes = options.one_buffer_bytes();
        let pool = Pool::new(buffer_bytes, options.buffer_bytes / buffer_bytes, room.clone());
        let log_epoch = Epoch::from(epoch);
        let prefix = ctx.prefix.join_number(log_epoch.0);
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(options, epoch, prefix, pool, metrics.clone())),
            indexes: IndexCache::new(INDEX_CACHE_BYTES, reads.cut, metrics.clone()),
            head_flights: Flights::default(),
            spans: SpanCache::new(reads.cache_bytes, disk_cache, metrics.clone()),
            span_flights: Flights::default(),
            lanes: Lanes::new(&reads, ctx.clock, metrics.clone()),
            read_ahead: Mutex::new(ReadAhead::new(reads.bounds())),
            metrics,
            watchers: Arc::default(),
            status: watch::Sender::new(StoreStatus { durable: Slot::ZERO, stopped: None }),
            flush: Notify::new(),
            trim: Notify::new(),
            compact: Notify::new(),
            room,
            trims: tokio::sync::Mutex::default(),
            compacting: tokio::sync::Mutex::default(),
            hurried: watch::Sender::new(0),
            registrar,
            compaction: options.compaction,
            together_bytes: reads.together_bytes as u64,
            compaction_bytes_per_second: options.compaction_bytes_per_second,
            epoch,
            writer,
            data: data_prefix(epoch),
            next_number: AtomicU64::new(0),
            copies: Pool::new(PAGE, COPIES_BYTES / PAGE, Arc::default()),
            ctx: ctx.clone(),
        });
        let log_options = WriterOptions::new(options.in_flight, Purpose::Wal).hedging(options.hedges);
        let space = Space::default();
        let noting = Arc::new(Noting { inner: ctx.store.clone(), space: space.clone() });
        let ctx = LogContext { store: noting, ..ctx };
        let log = LogWriter::open(ctx, log_epoch, writer, Slot::ZERO, log_options);
        let pacer = Pacer::new(options.pace, options.in_flight);
        let log_status = log.status();
        let tasks = [
            tokio::spawn(flusher::flush(shared.clone(), log, pacer)).abort_handle(),
            tokio::spawn(flusher::settle(shared.clone(), log_status)).abort_handle(),
            tokio::spawn(trimmer::trim(shared.clone())).abort_handle(),
            tokio::spawn(compact::compact(shared.clone(), options.compaction)).abort_handle(),
        ];
        Arc::new(Self { shared, space, tasks })
    }

    /// Keeps what a recovery read anyway, so that opening the streams needn't read it again.
    pub fn keep_indexes(&self, recovered: RecoveredIndexes) {
        for (key, index) in recovered.0 {
            self.shared.indexes.put(&key, index);
        }
    }

    /// Opens a stream that goes on at the end of its last extent, or where it begins.
    ///
    /// # Panics
    /// When it is open already, or the extents are not contiguous or end before the start.
    pub fn open_stream(&self, stream: StreamId, leader_epoch: u32, registered: Registered) {
        let new = Stream::new(leader_epoch, registered);
        self.shared.state().open_stream(stream, new);
        self.shared.compact.notify_one();
    }

    /// The stream begins at `start` from now on: what lies below can't be read any more, and its objects go. Commit
    /// it first. Nothing happens when that is below where it begins, or above its durable end.
    pub fn advance_start(&self, stream: StreamId, start: Offset) {
        self.shared.state().advance_start(stream, start);
        self.shared.compact.notify_one();
    }

    /// Has an open stream know what the metadata says of it by now.
    pub async fn refresh(&self, stream: StreamId) {
        self.shared.refresh(stream).await;
    }

    /// Closes a stream, if it is open. What is pending of it may become durable all the same. It is opened again
    /// only when all of that is registered.
    pub fn close_stream(&self, stream: StreamId) {
        self.shared.state().close_stream(stream);
        self.shared.watchers.wake([stream]);
    }

    /// Appends batches, contiguous from `base` on: all of them or none, to one object. Returns its slot: they are
    /// durable once the status says that it is.
    ///
    /// # Errors
    /// See [`AppendError`].
    ///
    /// # Panics
    /// When `base` is not the stream's end, a batch is empty, or a note is too long.
    pub fn append(
        &self,
        stream: StreamId,
        base: Offset,
        batches: &[NewBatch<'_>],
    ) -> Result<Slot, AppendError> {
        let mut state = self.shared.state();
        // With nothing on its way this append is the one that finds out whether there is room again.
        let asking = state.in_flight() > 0 || state.waiting() != Waiting::Nothing;
        if self.space.is_out() && asking && state.stopped().is_none() {
            return Err(AppendError::NoSpace);
        }
        let before = state.waiting();
        let result = state.append(stream, base, batches);
        let wakes = state.waiting() != before;
        drop(state);
        if wakes {
            self.shared.flush.notify_one();
        }
        if result == Err(AppendError::Full) {
            self.shared.trim.notify_one();
        }
        result
    }

    /// Waits until an append may succeed, or the store has stopped.
    pub async fn room(&self) {
        loop {
            let mut changed = std::pin::pin!(self.shared.room.notified());
            changed.as_mut().enable();
            if self.shared.state().has_room() {
                return;
            }
            changed.await;
        }
    }

    /// How far the store has come.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<StoreStatus> {
        self.shared.status.subscribe()
    }

    /// A stream's offsets, if it is open.
    #[must_use]
    pub fn end(&self, stream: StreamId) -> Option<StreamEnds> {
        self.shared.state().ends(stream)
    }

    /// Notifies `notify` (`notify_one`) whenever one of the streams gains durable data or is closed, or the store
    /// stops, until the guard is dropped. Watch first, then read, then wait: nothing is missed so.
    pub fn watch(&self, streams: &[StreamId], notify: &Arc<Notify>) -> WatchGuard {
        self.shared.watchers.watch(streams, notify)
    }

    /// Takes no more appends, waits until what was appended is durable, or the store has stopped otherwise, and
    /// until no trim is under way. Returns the first slot that is not durable. Waits for as long as the store of
    /// objects does not answer.
    pub async fn shutdown(&self) -> Slot {
        let mut status = self.status();
        self.shared.state().close();
        self.shared.room.notify_waiters();
        self.shared.flush.notify_one();
        // The sender is ours, so the only error there is can't happen.
        let _ = status.wait_for(|status| status.stopped.is_some()).await;
        let _no_trim = self.shared.trims.lock().await;
        self.shared.state().durable_slot()
    }
}

impl Drop for StreamStore {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
