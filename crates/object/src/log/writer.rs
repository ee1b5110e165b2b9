//! The writer of one epoch: a handle, and one task that owns the state machine (`append`).
//!
//! Order: entries take their slots in the order in which `append` calls reach the task. Up to K creates are in
//! flight; `status` shows the durable prefix, which alone may be acknowledged, shown or trimmed.
//!
//! Crash: nothing is held that a crash could lose but what was not durable. Whoever comes next fences the epoch.
//!
//! Retry: a store that errs is tried for ever, with a growing wait; the log says so once when it begins and
//! once when it is over. The writer stops only when a slot turns out to be another's, or when what it reads is
//! not this log's.
//!
//! Cancellation: dropping an `append` future may or may not append the entry. Dropping every handle abandons
//! what is in flight, as a crash would; `drain` first for an orderly end.

use super::append::{Appender, CreateAnswer, Request};
use super::context::{LogContext, ReadError};
use super::entry::Entry;
use super::header::Stamp;
use super::hedge::{HedgeOptions, Latencies};
use super::patience::backoff;
use super::rules::Rules;
use crate::{ErrorKind, Purpose};
use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use levee_base::clock::Instant;
use levee_base::limits::{LOG_HEADER_BYTES, LOG_HEDGE_PAUSE, LOG_LOOK_EVERY};
use levee_base::{Epoch, LogPosition, Slot, WriterId};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// How a writer writes.
#[derive(Debug, Clone)]
pub struct WriterOptions {
    /// K: creates in flight, hedges not counted.
    pub in_flight: usize,
    /// Whether and when a slow create is sent once more.
    pub hedge: Option<HedgeOptions>,
    /// How often an idle writer looks whether it has been fenced.
    pub look_every: Duration,
    /// What the creates are accounted as.
    pub purpose: Purpose,
}

impl WriterOptions {
    /// Hedging by the defaults, and a look every second.
    #[must_use]
    pub fn new(in_flight: usize, purpose: Purpose) -> Self {
        Self { in_flight, hedge: Some(HedgeOptions::default()), look_every: LOG_LOOK_EVERY, purpose }
    }

    /// The same, hedging only if `hedges`. One disk is not faster when it is asked twice.
    #[must_use]
    pub fn hedging(self, hedges: bool) -> Self {
        Self { hedge: self.hedge.filter(|_| hedges), ..self }
    }
}

/// Why a writer has stopped. What was not durable by then is never acknowledged by it, and may yet be part of
/// the log: whoever reads the log decides.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Stopped {
    /// Another has ended the epoch.
    #[error("epoch {epoch} was ended at slot {at} by writer {by}")]
    Fenced {
        /// Which epoch.
        epoch: Epoch,
        /// The slot that turned out to be another's.
        at: Slot,
        /// Whose it is.
        by: WriterId,
    },
    /// A slot can't be read, or is another cluster's.
    #[error(transparent)]
    Unreadable(#[from] ReadError),
    /// Every handle was dropped, or the runtime is going down.
    #[error("the log's writer was closed")]
    Closed,
}

/// How far a writer is.
#[derive(Debug, Clone)]
pub struct LogStatus {
    /// The first slot that is not known durable.
    pub durable: Slot,
    /// Why it has stopped, once it has. Nothing becomes durable after that.
    pub stopped: Option<Stopped>,
}

type Sealer = Box<dyn FnOnce(&Stamp) -> Bytes + Send>;

struct Append {
    seal: Sealer,
    sent: oneshot::Sender<Slot>,
}

/// The writer of one epoch. Clones are handles to the same one.
#[derive(Debug, Clone)]
pub struct LogWriter {
    appends: mpsc::Sender<Append>,
    /// The first slot not sent, and how far the writer is.
    sent: watch::Receiver<Slot>,
    status: watch::Receiver<LogStatus>,
}

impl LogWriter {
    /// Begins to write an epoch: one that a fence or the metadata has given to `writer`, which no other process
    /// and no earlier life of this one has used.
    #[must_use]
    pub fn open(
        ctx: LogContext,
        epoch: Epoch,
        writer: WriterId,
        first: Slot,
        options: WriterOptions,
    ) -> LogWriter {
        let (appends, queue) = mpsc::channel(1);
        let (sent_to, sent) = watch::channel(first);
        let (report, status) = watch::channel(LogStatus { durable: first, stopped: None });
        let machine = Appender::new(writer, first, options.in_flight, Rules::default());
        let task = Task {
            last_active: ctx.clock.now(),
            ctx,
            epoch,
            writer,
            options,
            machine,
            sent: sent_to,
            report: Report(report),
            out: BTreeMap::new(),
            waits: BTreeMap::new(),
            requests: FuturesUnordered::new(),
            latencies: Latencies::default(),
            no_hedge_before: None,
            looking: false,
        };
        tokio::spawn(task.run(queue));
        LogWriter { appends, sent, status }
    }

    /// Appends an entry: waits for a free place in flight, and returns when the slot's bytes are fixed and on
    /// their way. The entry is durable when `status` says that its slot is.
    ///
    /// # Errors
    /// `Stopped` when the writer has stopped; this entry was not sent.
    pub async fn append(&self, entry: impl Entry) -> Result<Slot, Stopped> {
        let (sent, slot) = oneshot::channel();
        let append = Append { seal: Box::new(move |stamp| entry.seal(stamp)), sent };
        if self.appends.send(append).await.is_err() {
            return Err(self.stopped());
        }
        slot.await.map_err(|_| self.stopped())
    }

    /// How far the writer is: a channel that changes with every step of the durable prefix.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<LogStatus> {
        self.status.clone()
    }

    /// Waits until every entry sent before this call is durable, and returns the first slot that is not.
    ///
    /// # Errors
    /// `Stopped` when the writer stops before that.
    pub async fn drain(&self) -> Result<Slot, Stopped> {
        let until = *self.sent.borrow();
        let mut status = self.status.clone();
        let reached = status.wait_for(|now| now.durable >= until || now.stopped.is_some()).await;
        match reached {
            Ok(now) if now.durable >= until => Ok(now.durable),
            Ok(now) => Err(now.stopped.clone().unwrap_or(Stopped::Closed)),
            Err(_) => Err(Stopped::Closed),
        }
    }

    fn stopped(&self) -> Stopped {
        self.status.borrow().stopped.clone().unwrap_or(Stopped::Closed)
    }
}

/// Where the status is published. Dropped with the task, for whatever reason, it says that the writer is closed.
struct Report(watch::Sender<LogStatus>);

impl Drop for Report {
    fn drop(&mut self) {
        self.0.send_if_modified(|status| {
            let running = status.stopped.is_none();
            if running {
                status.stopped = Some(Stopped::Closed);
            }
            running
        });
    }
}

/// What came of a request.
enum Event {
    Created { slot: Slot, started: Instant, result: crate::Result<()> },
    Read { slot: Slot, look: bool, holder: Result<Option<WriterId>, ReadError> },
}

/// A create whose answer is awaited.
struct Out {
    started: Instant,
    hedged: bool,
}

struct Task {
    ctx: LogContext,
    epoch: Epoch,
    writer: WriterId,
    options: WriterOptions,
    machine: Appender<Bytes>,
    sent: watch::Sender<Slot>,
    report: Report,
    /// The last try of each slot that is out.
    out: BTreeMap<Slot, Out>,
    /// How often each slot in doubt has been created again.
    waits: BTreeMap<Slot, u32>,
    requests: FuturesUnordered<BoxFuture<'static, Event>>,
    latencies: Latencies,
    /// Set when the store asked for less.
    no_hedge_before: Option<Instant>,
    looking: bool,
    last_active: Instant,
}

impl Task {
    async fn run(mut self, mut queue: mpsc::Receiver<Append>) {
        let stopped = loop {
            let wake = self.wake_at();
            let clock = self.ctx.clock;
            tokio::select! {
                biased;
                Some(event) = self.requests.next() => {
                    if let Err(stopped) = self.happened(event) {
                        break stopped;
                    }
                }
                append = queue.recv(), if self.machine.has_room() => {
                    match append {
                        Some(append) => self.append(append),
                        None => break Stopped::Closed,
                    }
                }
                () = clock.sleep_until(wake) => self.woken(),
                () = closed(&self.sent), if !self.machine.has_room() => break Stopped::Closed,
            }
            self.publish();
        };
        if !matches!(stopped, Stopped::Closed) {
            tracing::warn!(log = %self.ctx.prefix, epoch = self.epoch.0, reason = %stopped, "the log's writer stopped");
        }
        self.report.0.send_modify(|status| status.stopped = Some(stopped));
    }

    fn append(&mut self, append: Append) {
        let slot = self.machine.next();
        let bytes = (append.seal)(&self.ctx.stamp(self.epoch, slot, self.writer));
        debug_assert!(bytes.len() >= LOG_HEADER_BYTES, "an entry begins with the log's header");
        self.last_active = self.ctx.clock.now();
        let request = self.machine.append(bytes);
        self.send(request, Duration::ZERO, self.options.purpose);
        self.sent.send_replace(self.machine.next());
        // Whoever appended may have gone; the entry is on its way all the same.
        let _ = append.sent.send(slot);
    }

    fn happened(&mut self, event: Event) -> Result<(), Stopped> {
        self.last_active = self.ctx.clock.now();
        match event {
            Event::Created { slot, started, result } => self.answered(slot, started, result),
            Event::Read { slot, look, holder } => {
                let holder = holder?;
                if look {
                    self.looking = false;
                    self.machine.looked(slot, holder);
                } else if let Some(request) = self.machine.read(slot, holder) {
                    let delay = self.next_wait(slot);
                    self.send(request, delay, self.options.purpose);
                }
                if holder == Some(self.writer) {
                    self.settled(slot);
                }
            }
        }
        match self.machine.fenced() {
            Some(fenced) => Err(Stopped::Fenced { epoch: self.epoch, at: fenced.at, by: fenced.by }),
            None => Ok(()),
        }
    }

    fn answered(&mut self, slot: Slot, started: Instant, result: crate::Result<()>) {
        let now = self.ctx.clock.now();
        let error = match result {
            Ok(()) => {
                self.latencies.record(now.duration_since(started));
                self.machine.answered(slot, CreateAnswer::Created);
                self.settled(slot);
                return;
            }
            Err(error) => error,
        };
        let answer = match error.kind {
            ErrorKind::AlreadyExists => CreateAnswer::Exists,
            _ => CreateAnswer::Unknown,
        };
        if error.kind == ErrorKind::Throttled {
            self.no_hedge_before = Some(now + LOG_HEDGE_PAUSE);
        }
        if let Some(request) = self.machine.answered(slot, answer) {
            self.out.remove(&slot);
            if answer == CreateAnswer::Unknown {
                if self.waits.is_empty() {
                    tracing::warn!(log = %self.ctx.prefix, epoch = self.epoch.0, slot = slot.0, %error,
                        "a create was not confirmed; trying until the store answers");
                }
                self.waits.entry(slot).or_default();
            }
            // The slot is read at once: that waits by itself for a store that does not answer.
            self.send(request, Duration::ZERO, self.options.purpose);
        }
    }

    /// The wait before a slot that nobody holds is created again. All that follow it wait with it, so that it is
    /// counted by tries of this slot, and short.
    fn next_wait(&mut self, slot: Slot) -> Duration {
        let waits = self.waits.entry(slot).or_default();
        let delay = backoff(*waits, &self.ctx.random);
        *waits = waits.saturating_add(1);
        delay
    }

    fn settled(&mut self, slot: Slot) {
        self.out.remove(&slot);
        if self.waits.remove(&slot).is_some() && self.waits.is_empty() {
            tracing::info!(log = %self.ctx.prefix, epoch = self.epoch.0, "every create is confirmed again");
        }
    }

    fn send(&mut self, request: Request<Bytes>, delay: Duration, purpose: Purpose) {
        let (ctx, epoch) = (self.ctx.clone(), self.epoch);
        match request {
            Request::Create(slot, bytes) => {
                let due = ctx.clock.now() + delay;
                let hedged = purpose == Purpose::Hedge;
                self.out.insert(slot, Out { started: due, hedged });
                self.requests.push(Box::pin(async move {
                    if !delay.is_zero() {
                        ctx.clock.sleep(delay).await;
                    }
                    let key = ctx.key(LogPosition { epoch, slot });
                    let result = ctx.store.create(&key, bytes, purpose).await;
                    Event::Created { slot, started: due, result }
                }));
            }
            Request::Read(slot) => self.read(slot, delay, false),
        }
    }

    fn read(&mut self, slot: Slot, delay: Duration, look: bool) {
        let (ctx, at) = (self.ctx.clone(), LogPosition { epoch: self.epoch, slot });
        self.requests.push(Box::pin(async move {
            if !delay.is_zero() {
                ctx.clock.sleep(delay).await;
            }
            let purpose = if look { Purpose::Look } else { Purpose::Doubt };
            let content = ctx.read_slot(at, Some(LOG_HEADER_BYTES as u64), purpose).await;
            Event::Read { slot, look, holder: content.map(|content| content.holder()) }
        }));
    }

    /// When there is something to do though nothing happens: a create to hedge, or a look.
    fn wake_at(&self) -> Instant {
        let look = self.last_active + self.options.look_every;
        match (self.hedge_delay(), self.out.values().find(|out| !out.hedged)) {
            (Some(delay), Some(_)) => {
                let first = self.out.values().filter(|out| !out.hedged).map(|out| out.started + delay).min();
                let first = first.unwrap_or(look);
                self.no_hedge_before.map_or(first, |pause| first.max(pause)).min(look)
            }
            _ => look,
        }
    }

    fn hedge_delay(&self) -> Option<Duration> {
        self.options.hedge.as_ref().and_then(|options| self.latencies.slow_after(options))
    }

    fn woken(&mut self) {
        let now = self.ctx.clock.now();
        if let Some(delay) = self.hedge_delay()
            && self.no_hedge_before.is_none_or(|pause| now >= pause)
        {
            let slow = |out: &Out| !out.hedged && now >= out.started + delay;
            let due: Vec<Slot> =
                self.out.iter().filter(|(_, out)| slow(out)).map(|(slot, _)| *slot).collect();
            for slot in due {
                match self.machine.hedge(slot) {
                    Some(request) => self.send(request, Duration::ZERO, Purpose::Hedge),
                    None => drop(self.out.remove(&slot)),
                }
            }
        }
        if now >= self.last_active + self.options.look_every {
            self.last_active = now;
            if !self.looking
                && let Some(Request::Read(slot)) = self.machine.look()
            {
                self.looking = true;
                self.read(slot, Duration::ZERO, true);
            }
        }
    }

    fn publish(&self) {
        let durable = self.machine.durable();
        self.report.0.send_if_modified(|status| {
            assert!(durable >= status.durable, "the durable prefix only grows");
            let grown = durable > status.durable;
            status.durable = durable;
            grown
        });
    }
}

/// Resolves when no handle is left.
async fn closed(sent: &watch::Sender<Slot>) {
    sent.closed().await;
}
