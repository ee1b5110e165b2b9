//! The task that owns one shard: it loads it, hands it one call after the other, and does what it wants done.
//!
//! **Order.** All that a shard wants appended goes into its partition in the order of its calls. An answer leaves when
//! what was appended up to it is durable, or at once where it tells nothing that could be lost. While the store has no
//! room the task waits, and with it all calls: their queue is bounded, and so clients are slowed.
//!
//! **What can't be appended.** The shard has counted it as done, so it is dropped with everybody who waits, who are told
//! that no coordinator is here, and loaded anew from what the partition holds.
//!
//! **Cancelling.** A client that is gone takes nothing back: its call is made, and nobody hears the answer.

use super::Shared;
use super::load::{LoadError, load};
use super::machine::Machine;
use super::markers::{self, Marker};
use crate::batch::compose::NO_SEQUENCE;
use crate::errors::Code;
use crate::handlers::backend::BackendError;
use crate::handlers::produce::append_code;
use crate::partition::claim::ProducerError;
use crate::partition::verifications::Guard;
use crate::partition::{AppendError, PartitionLog};
use crate::seeded_bugs::{Bug, seeded};
use bytes::Bytes;
use kafka_protocol::messages::{RequestKind, ResponseKind};
use levee_base::Slot;
use levee_base::clock::Instant;
use levee_base::limits::{
    COORDINATOR_APPEND_BYTES, COORDINATOR_CALLS, COORDINATOR_CALLS_TOGETHER, COORDINATOR_LOAD_AGAIN,
    COORDINATOR_LOAD_AGAIN_MAX, COORDINATOR_NO_SPACE_AGAIN, COORDINATOR_PRODUCER_ID, COORDINATOR_TIMER_PACE,
};
use levee_coordinator::refusal::refusal;
use levee_coordinator::{Append, Context, Effects, Producer, Record, Request, Time, Token, When};
use levee_store::StoreStatus;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use uuid::Uuid;

/// Something for a shard to do.
#[derive(Debug)]
pub(super) enum Call {
    /// Answer a request.
    Request {
        request: Box<Request>,
        /// Whether whoever asks goes on in the same write-ahead log: then what the answer stands on need not be durable
        /// before it leaves, as nothing that comes later is durable without it.
        in_order: bool,
        /// The right to begin a transaction in the shard's own partition, of a TxnOffsetCommit.
        guard: Option<Guard>,
        answer: oneshot::Sender<ResponseKind>,
    },
    /// Append a transaction marker to the shard's own partition.
    Marker { marker: Marker, appended: oneshot::Sender<Result<Option<Slot>, AppendError>> },
}

/// How others reach a shard's task.
#[derive(Debug, Clone)]
pub(super) struct Handle {
    pub(super) partition: u32,
    pub(super) log: Arc<PartitionLog>,
    pub(super) calls: mpsc::Sender<Call>,
    loaded: Arc<AtomicBool>,
    news: Arc<News>,
}

/// What has changed of the cluster since the shard last looked.
#[derive(Debug, Default)]
struct News {
    deleted: Mutex<Vec<(String, Uuid)>>,
    changed: Notify,
}

impl Handle {
    /// Whether the shard can be asked.
    ///
    /// # Errors
    /// The code to refuse a request with.
    pub(super) fn ready(&self) -> Result<(), Code> {
        // Its task is gone: this broker leads the partition no more.
        if self.calls.is_closed() {
            return Err(Code::NotCoordinator);
        }
        if self.is_loaded() { Ok(()) } else { Err(Code::CoordinatorLoadInProgress) }
    }

    /// Whether the shard can answer.
    pub(super) fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::Acquire)
    }

    /// Topics came, went or grew; these went.
    pub(super) fn tell(&self, deleted: &[(String, Uuid)]) {
        self.news.deleted.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(deleted);
        self.news.changed.notify_one();
    }
}

/// The shard of a partition and its `log`, made by `make` and not loaded yet, and the task that runs it until it is
/// dropped or this broker leads the partition no more.
pub(super) fn shard<M: Machine>(
    shared: Arc<Shared>,
    partition: u32,
    log: Arc<PartitionLog>,
    make: impl Fn() -> M + Send + 'static,
) -> (Handle, impl Future<Output = ()> + Send) {
    let (calls, mut called) = mpsc::channel(COORDINATOR_CALLS);
    let (loaded, news) = (Arc::new(AtomicBool::new(false)), Arc::new(News::default()));
    let handle = Handle { partition, log: log.clone(), calls, loaded: loaded.clone(), news: news.clone() };
    let task = async move {
        let mut again = COORDINATOR_LOAD_AGAIN;
        loop {
            let began = shared.clock.now();
            let mut machine = make();
            match load(&log, &mut machine).await {
                Ok(read) => tracing::debug!(
                    stream = %log.stream(), records = read.records, bytes = read.bytes, passed_over = read.passed_over,
                    took = ?shared.clock.now() - began, "a coordinator is loaded"
                ),
                Err(LoadError::NotLeader) => return,
                Err(LoadError::Read(error)) => {
                    tracing::error!(
                        stream = %log.stream(), %error, ?again,
                        "a coordinator can't be loaded: its clients wait. Trying again; `levee fsck` says what is damaged"
                    );
                    shared.clock.sleep(again).await;
                    again = (again * 2).min(COORDINATOR_LOAD_AGAIN_MAX);
                    continue;
                }
            }
            again = COORDINATOR_LOAD_AGAIN;
            loaded.store(true, Ordering::Release);
            let running = Running {
                since: shared.clock.now(),
                status: log.status(),
                shared: shared.clone(),
                log: log.clone(),
                machine,
                waiting: BTreeMap::new(),
                in_order: BTreeSet::new(),
                held: VecDeque::new(),
                last: None,
                guard: None,
                marking: JoinSet::new(),
            };
            let ended = running.run(&mut called, &news).await;
            loaded.store(false, Ordering::Release);
            match ended {
                Ended::NotLeader => return,
                Ended::Refused(error) => {
                    tracing::error!(
                        stream = %log.stream(), %error, "a coordinator can't write what it decided; loading it anew"
                    );
                    shared.clock.sleep(COORDINATOR_LOAD_AGAIN).await;
                }
            }
        }
    };
    (handle, task)
}

/// Why a shard is dropped.
enum Ended {
    /// This broker leads the partition no more, or nobody can call any more.
    NotLeader,
    /// The partition took not what the shard wanted appended.
    Refused(AppendError),
}

struct Running<M> {
    machine: M,
    log: Arc<PartitionLog>,
    shared: Arc<Shared>,
    /// What the shard's timers are counted from.
    since: Instant,
    status: watch::Receiver<StoreStatus>,
    waiting: BTreeMap<Token, oneshot::Sender<ResponseKind>>,
    /// Those of them whose answers wait for order only.
    in_order: BTreeSet<Token>,
    /// Answers that wait for durability, by slot.
    held: VecDeque<(Slot, oneshot::Sender<ResponseKind>, ResponseKind)>,
    /// The slot of what was appended last.
    last: Option<Slot>,
    /// The right to begin a transaction, of the call that is being served.
    guard: Option<Guard>,
    /// Markers that are being written.
    marking: JoinSet<Option<(String, Producer)>>,
}

enum Next {
    Called(Call),
    Marked(Option<(String, Producer)>),
    Settled,
    Changed,
    Due,
    Over,
}

impl<M: Machine> Running<M> {
    async fn run(mut self, calls: &mut mpsc::Receiver<Call>, news: &News) -> Ended {
        let effects = self.with(|machine, ctx| machine.loaded(ctx));
        let Err(ended) = self.go_on(effects, calls, news).await;
        ended
    }

    async fn go_on(
        &mut self,
        loaded: Effects,
        calls: &mut mpsc::Receiver<Call>,
        news: &News,
    ) -> Result<std::convert::Infallible, Ended> {
        self.perform(loaded).await?;
        let mut timers_from = self.since;
        loop {
            self.release();
            match self.next(calls, news, timers_from).await {
                Next::Over => return Err(Ended::NotLeader),
                Next::Settled => {}
                Next::Called(call) => self.serve(call, calls).await?,
                Next::Marked(None) => {}
                Next::Marked(Some((id, producer))) => {
                    let effects = self.with(|machine, ctx| machine.markers_written(ctx, &id, producer));
                    self.perform(effects).await?;
                }
                Next::Changed => {
                    let deleted =
                        std::mem::take(&mut *news.deleted.lock().unwrap_or_else(PoisonError::into_inner));
                    let effects = self.with(|machine, ctx| machine.cluster_changed(ctx, &deleted));
                    self.perform(effects).await?;
                }
                Next::Due => {
                    // What came before the timer counts before it, such as the heartbeats that a stall kept waiting.
                    for _ in 0..calls.len() {
                        let Ok(call) = calls.try_recv() else { break };
                        self.serve(call, calls).await?;
                    }
                    timers_from = self.shared.clock.now() + COORDINATOR_TIMER_PACE;
                    let wanted = self.machine.producer_ids_wanted_by_tick(self.context());
                    self.supply_producer_ids(wanted).await;
                    let effects = self.with(|machine, ctx| machine.tick(ctx));
                    self.perform(effects).await?;
                }
            }
        }
    }

    /// What is there to do next. Timers go off at `timers_from` at the earliest.
    async fn next(&mut self, calls: &mut mpsc::Receiver<Call>, news: &News, timers_from: Instant) -> Next {
        let due = self.machine.next_deadline().map(|at| (self.since + at).max(timers_from));
        let clock = self.shared.clock;
        let mut ended = self.shared.ended.clone();
        tokio::select! {
            biased;
            // What is durable is answered, and the rest is lost.
            _ = ended.wait_for(|ended| *ended) => { self.release(); Next::Over }
            changed = self.status.changed(), if !self.held.is_empty() => match changed {
                Ok(()) => Next::Settled,
                Err(_) => Next::Over,
            },
            marked = self.marking.join_next(), if !self.marking.is_empty() => {
                Next::Marked(marked.and_then(Result::ok).flatten())
            }
            () = news.changed.notified() => Next::Changed,
            () = async { clock.sleep_until(due.unwrap_or(timers_from)).await }, if due.is_some() => Next::Due,
            call = calls.recv() => call.map_or(Next::Over, Next::Called),
        }
    }

    fn time(&self) -> Time {
        Time {
            wall_ms: self.shared.clock.wall_ms(),
            now: self.shared.clock.now().saturating_duration_since(self.since),
        }
    }

    fn context(&self) -> Context<'_> {
        Context { time: self.time(), cluster: &self.shared.cluster }
    }

    fn with(&mut self, act: impl FnOnce(&mut M, Context<'_>) -> Effects) -> Effects {
        let time = self.time();
        act(&mut self.machine, Context { time, cluster: &self.shared.cluster })
    }

    async fn supply_producer_ids(&mut self, wanted: usize) {
        for _ in 0..wanted {
            let id =
                self.shared.clock.timeout(COORDINATOR_PRODUCER_ID, self.shared.producer_ids.next()).await;
            match id.unwrap_or_else(|| Err(BackendError::Unavailable("it takes too long".to_owned()))) {
                Ok(id) => self.machine.supply_producer_id(id),
                Err(error) => {
                    tracing::warn!(%error, "no producer id can be given now; what needs one is tried again");
                    return;
                }
            }
        }
    }

    /// Makes a call, and those that wait behind it: what they want appended goes together.
    async fn serve(&mut self, first: Call, calls: &mut mpsc::Receiver<Call>) -> Result<(), Ended> {
        let mut together = Effects::default();
        let (mut call, mut count) = (Some(first), 0);
        while let Some(next) = call {
            match next {
                Call::Request { request, in_order: _, guard, answer }
                    if matches!(request.kind, RequestKind::TxnOffsetCommit(_)) =>
                {
                    self.perform(std::mem::take(&mut together)).await?;
                    self.commit_in_transaction(*request, guard, answer).await?;
                }
                Call::Request { request, in_order, guard: _, answer } => {
                    self.supply_producer_ids(self.machine.producer_ids_wanted(&request)).await;
                    self.waiting.insert(request.token, answer);
                    if in_order {
                        self.in_order.insert(request.token);
                    }
                    together.extend(self.with(|machine, ctx| machine.handle(ctx, *request)));
                }
                Call::Marker { marker, appended } => {
                    self.perform(std::mem::take(&mut together)).await?;
                    let outcome = loop {
                        match markers::append(&self.log, marker) {
                            Err(AppendError::Full) => self.room().await,
                            outcome => break outcome,
                        }
                    };
                    if let Ok(slot) = &outcome {
                        self.last = slot.or(self.last);
                        let (producer, commit) = (marker.producer, marker.commit);
                        together = self.with(|machine, ctx| machine.transaction_ended(ctx, producer, commit));
                    }
                    // Nobody waits for it any more: the marker stands all the same.
                    let _ = appended.send(outcome);
                }
            }
            count += 1;
            call = if count < COORDINATOR_CALLS_TOGETHER { calls.try_recv().ok() } else { None };
        }
        self.perform(together).await
    }

    /// Commits offsets in a transaction, if it still is what it was when its coordinator was asked: markers come to this
    /// partition by way of this task only, so nothing comes between the look and the records.
    async fn commit_in_transaction(
        &mut self,
        request: Request,
        guard: Option<Guard>,
        answer: oneshot::Sender<ResponseKind>,
    ) -> Result<(), Ended> {
        let RequestKind::TxnOffsetCommit(commit) = &request.kind else { return Ok(()) };
        if let Err(error) = self.log.check_records((commit.producer_id.0, commit.producer_epoch), guard) {
            let code = append_code(&error).code();
            if let Some(response) = refusal(&request.kind, request.version, code) {
                // A client that is gone needs no answer.
                let _ = answer.send(response);
            }
            return Ok(());
        }
        self.waiting.insert(request.token, answer);
        self.guard = guard;
        let effects = self.with(|machine, ctx| machine.handle(ctx, request));
        let performed = self.perform(effects).await;
        self.guard = None;
        performed
    }

    async fn perform(&mut self, effects: Effects) -> Result<(), Ended> {
        let mut later = Vec::with_capacity(effects.answers.len());
        for answer in effects.answers {
            let Some(waiting) = self.waiting.remove(&answer.token) else { continue };
            let in_order = self.in_order.remove(&answer.token);
            match answer.when {
                When::Now => drop(waiting.send(answer.response)),
                When::Durable => later.push((in_order, waiting, answer.response)),
            }
        }
        self.append_all(effects.appends).await?;
        let durable = self.status.borrow().durable;
        for (in_order, waiting, response) in later {
            let waits = |last: &Slot| *last >= durable && !in_order && !seeded(Bug::DecideEarly);
            match self.last.filter(waits) {
                Some(last) => self.held.push_back((last, waiting, response)),
                None => drop(waiting.send(response)),
            }
        }
        for markers in effects.markers {
            let shared = self.shared.clone();
            self.marking.spawn(async move { markers::write_all(&shared, markers).await });
        }
        Ok(())
    }

    /// Appends in order. What belongs to no transaction and follows each other goes into one batch.
    async fn append_all(&mut self, appends: Vec<Append>) -> Result<(), Ended> {
        let (mut records, mut bytes) = (Vec::new(), 0);
        for append in appends {
            let more: usize = append.records.iter().map(record_bytes).sum();
            let apart = append.producer.is_some() || bytes + more > COORDINATOR_APPEND_BYTES;
            if apart && !records.is_empty() {
                self.append(std::mem::take(&mut records), None).await?;
                bytes = 0;
            }
            if append.producer.is_some() {
                self.append(pairs(append.records), append.producer).await?;
            } else {
                records.extend(pairs(append.records));
                bytes += more;
            }
        }
        if records.is_empty() { Ok(()) } else { self.append(records, None).await }
    }

    async fn append(
        &mut self,
        records: Vec<(Option<Bytes>, Option<Bytes>)>,
        producer: Option<Producer>,
    ) -> Result<(), Ended> {
        let producer = producer.map(|producer| (producer.id, producer.epoch));
        loop {
            match self.log.append_records_verified(&records, producer, self.guard) {
                Ok(appended) => {
                    self.last = appended.slot.or(self.last);
                    return Ok(());
                }
                Err(AppendError::Full) => self.room().await,
                // Clients are told that no coordinator is available meanwhile.
                Err(AppendError::NoSpace) => self.shared.clock.sleep(COORDINATOR_NO_SPACE_AGAIN).await,
                // It had the right, and nothing has come between: markers come by way of this task only. So many others
                // have asked for theirs meanwhile that it was forgotten.
                Err(AppendError::Producer(ProducerError::NotVerified)) if self.guard.is_some() => {
                    let Some((id, epoch)) = producer else {
                        return Err(Ended::Refused(ProducerError::NotVerified.into()));
                    };
                    self.guard = self.log.verify(id, epoch, NO_SEQUENCE, false).map_err(Ended::Refused)?;
                }
                Err(AppendError::NotLeader) => return Err(Ended::NotLeader),
                Err(error) => return Err(Ended::Refused(error)),
            }
        }
    }

    /// Waits until an append may succeed. Meanwhile answers go as what they stand on becomes durable.
    async fn room(&mut self) {
        let streams = self.log.streams().clone();
        let mut room = streams.room();
        loop {
            tokio::select! {
                biased;
                () = &mut room => return,
                changed = self.status.changed(), if !self.held.is_empty() => match changed {
                    Ok(()) => self.release(),
                    // The store is gone, and says so at the next append.
                    Err(_) => return room.await,
                },
            }
        }
    }

    /// Lets the answers go whose ground is durable.
    fn release(&mut self) {
        let durable = self.status.borrow_and_update().durable;
        while self.held.front().is_some_and(|(slot, ..)| *slot < durable) {
            if let Some((_, waiting, response)) = self.held.pop_front() {
                // A client that is gone needs no answer.
                let _ = waiting.send(response);
            }
        }
    }
}

fn record_bytes(record: &Record) -> usize {
    record.key.len() + record.value.as_ref().map_or(0, Bytes::len)
}

fn pairs(records: Vec<Record>) -> Vec<(Option<Bytes>, Option<Bytes>)> {
    records.into_iter().map(|record| (Some(record.key), record.value)).collect()
}

#[cfg(test)]
#[path = "shard_tests.rs"]
mod tests;
