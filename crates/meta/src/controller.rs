//! The controller: the task that writes the journal while it is this process's to write.
//!
//! Ordering: commands wait in a bounded queue. All that wait become one entry (group commit); one entry is in
//! flight (K = 1); it is applied, answered and shown once it is durable, never before.
//!
//! Crash: what was answered is durable; of what was not, whoever comes next finds all or nothing of an entry.
//!
//! Retry: when another has taken the journal over, the entry in flight is in doubt. The task reads on, and its
//! commands are answered if they are found there, and otherwise stay in the queue and go, with the same
//! numbers, into the next entry that this process writes. A command is so applied once, whatever happens.
//!
//! Standing by: a deposed controller reads on, and takes the journal over again only when commands wait here that
//! nobody else can commit: each take-over leaves a fence for ever. Even then it leaves the journal to whoever took it
//! last for a random while, so that several of them don't storm. Until there is a controller that serves other
//! brokers, every process that has commands needs to be it now and then.
//!
//! Snapshots: what the state is after an entry is copied, which shares its large tables and so takes no time to
//! speak of; the copy is encoded on another thread and written while commands go on. A command pays for it by
//! copying the chunks that it changes, of a thousand rows each, while the copy is held.
//!
//! Shutting down: what waits is answered first, for at most `JOURNAL_SHUTDOWN_WAIT`; then it is given up, which
//! is a crash as far as the journal is concerned.
//!
//! Cancellation: a command whose caller went away before it was sent is dropped; one that was sent stays.

use crate::answer::Answer;
use crate::client::{CommitError, Controller, Role};
use crate::codec::{self, Snapshot};
use crate::collect::collect;
use crate::command::{Command, Envelope, Sender};
use crate::error::MetaError;
use crate::ids::ProcessId;
use crate::snapshots::Snapshots;
use crate::state::rules::NEWEST_VERSION;
use crate::tail::Tail;
use async_trait::async_trait;
use bytes::Bytes;
use levee_base::limits::{
    COMMAND_BYTES, COMMANDS_WAITING, JOURNAL_ENTRY_BYTES, JOURNAL_ENTRY_COMMANDS, JOURNAL_SHUTDOWN_WAIT,
    JOURNAL_TAKE_OVER_AFTER, LOG_LOOK_EVERY, SNAPSHOT_EVERY_BYTES, SNAPSHOT_EVERY_ENTRIES,
};
use levee_base::{Clock, Epoch, LogPosition, Slot, WriterId};
use levee_object::Purpose;
use levee_object::log::{LogStatus, LogWriter, Stopped, WriterOptions};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// How a controller works. The defaults are the limits of the same names.
#[derive(Debug, Clone)]
pub struct ControllerOptions {
    /// A snapshot is due after as many entries,
    pub snapshot_every_entries: u64,
    /// or after as many bytes of them.
    pub snapshot_every_bytes: usize,
    /// How long a deposed controller leaves the journal to another before it takes over again: up to twice this.
    pub take_over_after: Duration,
    /// Whether an entry whose create is slow is sent once more: on a folder that is in vain.
    pub hedges: bool,
}

impl Default for ControllerOptions {
    fn default() -> Self {
        Self {
            snapshot_every_entries: SNAPSHOT_EVERY_ENTRIES,
            snapshot_every_bytes: SNAPSHOT_EVERY_BYTES,
            take_over_after: JOURNAL_TAKE_OVER_AFTER,
            hedges: true,
        }
    }
}

/// A command that waits for its answer.
#[derive(Debug)]
struct Waiting {
    envelope: Envelope,
    encoded: Vec<u8>,
    /// Whether it may be part of the journal already.
    sent: bool,
    reply: oneshot::Sender<Answer>,
    _room: Option<OwnedSemaphorePermit>,
}

/// The controller in this process, for those who ask it.
#[derive(Debug)]
pub(crate) struct LocalController {
    queue: mpsc::Sender<Waiting>,
    room: Arc<Semaphore>,
    role: watch::Receiver<Role>,
}

#[async_trait]
impl Controller for LocalController {
    async fn commit(&self, envelope: Envelope) -> Result<Answer, CommitError> {
        let encoded = codec::encode_envelope(&envelope);
        if encoded.len() > COMMAND_BYTES {
            return Err(CommitError::TooLarge { bytes: encoded.len() });
        }
        let room = self.room.clone().acquire_owned().await.map_err(|_| self.stopped())?;
        let (reply, answer) = oneshot::channel();
        let waiting = Waiting { envelope, encoded, sent: false, reply, _room: Some(room) };
        self.queue.send(waiting).await.map_err(|_| self.stopped())?;
        answer.await.map_err(|_| self.stopped())
    }
}

impl LocalController {
    fn stopped(&self) -> CommitError {
        match &*self.role.borrow() {
            Role::Failed(error) => CommitError::Failed(error.clone()),
            _ => CommitError::Stopped,
        }
    }
}

/// An epoch that was won: under which id, and from where on.
pub(crate) type Won = (Epoch, WriterId, Slot);

/// Starts the task. It begins with the epoch that was `won`, or stands by.
pub(crate) fn start(
    tail: Tail,
    won: Option<Won>,
    options: ControllerOptions,
    shutdown: watch::Receiver<bool>,
) -> (LocalController, JoinHandle<()>) {
    let (queue, commands) = mpsc::channel(COMMANDS_WAITING);
    let (report, role) = watch::channel(Role::StandingBy);
    let task = Task {
        tail,
        options,
        commands,
        shutdown,
        waiting: VecDeque::new(),
        role: report,
        maintenance: Maintenance::default(),
    };
    let room = Arc::new(Semaphore::new(COMMANDS_WAITING));
    (LocalController { queue, room, role }, tokio::spawn(task.run(won)))
}

impl LocalController {
    pub(crate) fn role(&self) -> watch::Receiver<Role> {
        self.role.clone()
    }
}

/// Why the task no longer writes the journal.
enum Left {
    /// Another has taken it over, or will have to.
    Deposed,
    /// It is to end, and all that waited is answered.
    ShutDown,
}

struct Task {
    tail: Tail,
    options: ControllerOptions,
    commands: mpsc::Receiver<Waiting>,
    shutdown: watch::Receiver<bool>,
    waiting: VecDeque<Waiting>,
    role: watch::Sender<Role>,
    maintenance: Maintenance,
}

impl Task {
    async fn run(mut self, won: Option<Won>) {
        let (down, clock) = (self.shutdown.clone(), self.tail.ctx().clock);
        let result = tokio::select! {
            biased;
            result = self.serve(won) => result,
            () = overdue(down, clock) => {
                tracing::warn!("the store does not confirm the last metadata commands; giving them up to stop");
                Ok(())
            }
        };
        let role = match result {
            Ok(()) => Role::Stopped,
            Err(error) => {
                tracing::error!(%error, "cluster metadata can't be read on; commands are refused from here on");
                Role::Failed(Arc::new(error))
            }
        };
        // Told before the waiting are let go: they ask why.
        self.role.send_replace(role);
    }

    async fn serve(&mut self, mut won: Option<Won>) -> Result<(), MetaError> {
        loop {
            if let Some(won) = won {
                match self.lead(won).await? {
                    Left::ShutDown => return Ok(()),
                    Left::Deposed => {}
                }
            }
            self.role.send_replace(Role::StandingBy);
            let mut shutdown = self.shutdown.clone();
            // To give up in the middle is to crash there, which is always safe.
            won = tokio::select! {
                biased;
                _ = shutdown.wait_for(|&down| down) => return Ok(()),
                won = self.stand_by() => won?,
            };
        }
    }

    /// Writes the journal until another does.
    async fn lead(&mut self, (epoch, id, first): Won) -> Result<Left, MetaError> {
        tracing::info!(epoch = epoch.0, "this process is the controller: it writes the metadata journal");
        let options = WriterOptions::new(1, Purpose::Journal).hedging(self.options.hedges);
        let writer = LogWriter::open(self.tail.ctx().clone(), epoch, id, first, options);
        let mut status = writer.status();
        self.role.send_replace(Role::Leading { epoch });
        if self.tail.published().view(|state| state.version()) < NEWEST_VERSION {
            self.waiting.push_front(use_newest_version(id));
        }
        loop {
            if *self.shutdown.borrow() {
                self.commands.close();
            }
            while self.waiting.len() < JOURNAL_ENTRY_COMMANDS
                && let Ok(command) = self.commands.try_recv()
            {
                self.waiting.push_back(command);
            }
            self.maintenance.start_if_due(&mut self.tail, id, &self.options);
            self.answer_what_is_known();
            let Some((bytes, commands)) = self.entry() else {
                tokio::select! {
                    biased;
                    stopped = stopped(&mut status) => return Ok(left(&stopped)),
                    command = self.commands.recv() => match command {
                        Some(command) => self.waiting.push_back(command),
                        None => return Ok(Left::ShutDown),
                    },
                    // What is in the queue is answered before the queue says that it is closed.
                    _ = self.shutdown.wait_for(|&down| down), if !self.commands.is_closed() => {}
                }
                continue;
            };
            let length = bytes.len();
            let slot = match writer.append(bytes).await {
                Ok(slot) => slot,
                Err(stopped) => return Ok(left(&stopped)),
            };
            let reached = status.wait_for(|now| now.durable > slot || now.stopped.is_some()).await;
            let stopped = match reached {
                Ok(now) if now.durable > slot => None,
                Ok(now) => now.stopped.clone(),
                Err(_) => Some(Stopped::Closed),
            };
            if let Some(stopped) = stopped {
                return Ok(left(&stopped));
            }
            self.durable(LogPosition { epoch, slot }, length, commands);
        }
    }

    /// The entry of the first so many commands that wait, and how many these are.
    fn entry(&mut self) -> Option<(Bytes, usize)> {
        self.waiting.retain(|waiting| waiting.sent || !waiting.reply.is_closed());
        let mut bytes = 0;
        let fits = |waiting: &&mut Waiting| {
            bytes += waiting.encoded.len();
            bytes <= JOURNAL_ENTRY_BYTES
        };
        let commands = 1.max(self.waiting.iter_mut().take(JOURNAL_ENTRY_COMMANDS).take_while(fits).count());
        let commands = commands.min(self.waiting.len());
        self.waiting.iter_mut().take(commands).for_each(|waiting| waiting.sent = true);
        let encoded = self.waiting.iter().take(commands).map(|waiting| waiting.encoded.as_slice());
        (commands > 0).then(|| (codec::encode_entry(encoded), commands))
    }

    /// The entry of the first `commands` commands is durable: applies and answers them.
    fn durable(&mut self, at: LogPosition, bytes: usize, commands: usize) {
        let done: Vec<Waiting> = self.waiting.drain(..commands).collect();
        let answers = self.tail.apply(at, bytes, done.iter().map(|waiting| &waiting.envelope));
        for (waiting, answer) in done.into_iter().zip(answers) {
            // Whoever no longer waits has no use for it.
            let _ = waiting.reply.send(answer);
        }
    }

    /// Answers the repeats of commands that are part of the durable state, and of our own that were in doubt.
    fn answer_what_is_known(&mut self) {
        let known = |waiting: &Waiting| {
            self.tail.published().view(|state| state.answered(&waiting.envelope).cloned())
        };
        let answers: Vec<Option<Answer>> = self.waiting.iter().map(known).collect();
        if answers.iter().all(Option::is_none) {
            return;
        }
        let waiting = std::mem::take(&mut self.waiting);
        for (waiting, answer) in waiting.into_iter().zip(answers) {
            match answer {
                Some(answer) => {
                    // As above.
                    let _ = waiting.reply.send(answer);
                }
                None => self.waiting.push_back(waiting),
            }
        }
    }

    /// Reads on until commands wait and the last fence is a while ago; then takes over, unless another is first.
    async fn stand_by(&mut self) -> Result<Option<Won>, MetaError> {
        let clock = self.tail.ctx().clock;
        let mut fences = None;
        let mut until = clock.now();
        loop {
            self.tail.catch_up().await?;
            while let Ok(command) = self.commands.try_recv() {
                self.waiting.push_back(command);
            }
            self.answer_what_is_known();
            let seen = self.tail.fences().len();
            if fences != Some(seen) {
                fences = Some(seen);
                until = clock.now() + self.patience();
            }
            let (now, wanted) = (clock.now(), self.is_wanted());
            if wanted && now >= until {
                return self.tail.take_over().await;
            }
            let look = now + LOG_LOOK_EVERY;
            let wake = if wanted { until.min(look) } else { look };
            tokio::select! {
                biased;
                Some(command) = self.commands.recv() => self.waiting.push_back(command),
                () = clock.sleep_until(wake) => {}
            }
        }
    }

    /// Whether somebody waits for the answer to a command. One that is in doubt and has lost its caller may be applied
    /// with the next entry, and may as well not be.
    fn is_wanted(&self) -> bool {
        self.waiting.iter().any(|waiting| !waiting.reply.is_closed())
    }

    fn patience(&self) -> Duration {
        let least = self.options.take_over_after;
        let more = self.tail.ctx().random.below(u64::try_from(least.as_micros()).unwrap_or(u64::MAX));
        least + Duration::from_micros(more)
    }
}

/// Until the shutdown has taken too long.
async fn overdue(mut shutdown: watch::Receiver<bool>, clock: Clock) {
    if shutdown.wait_for(|&down| down).await.is_err() {
        // Nobody is left to ask for one.
        std::future::pending::<()>().await;
    }
    clock.sleep(JOURNAL_SHUTDOWN_WAIT).await;
}

async fn stopped(status: &mut watch::Receiver<LogStatus>) -> Stopped {
    let reached = status.wait_for(|now| now.stopped.is_some()).await;
    reached.ok().and_then(|now| now.stopped.clone()).unwrap_or(Stopped::Closed)
}

/// Whatever stopped the writer, what is durable is found by reading on; a journal that can't be read is told
/// then.
fn left(stopped: &Stopped) -> Left {
    tracing::warn!(reason = %stopped, "this process is no longer the controller");
    Left::Deposed
}

/// A journal begins by saying by which rules it goes, and says it again when a newer Levee takes it over: from then on
/// older ones refuse to read it. Whoever writes its next entry says it, under an id that nobody else has.
fn use_newest_version(id: WriterId) -> Waiting {
    let sender = Sender::Process(ProcessId(id.0));
    let envelope = Envelope { sender, number: 0, command: Command::UseVersion { version: NEWEST_VERSION } };
    let encoded = codec::encode_envelope(&envelope);
    // Nobody waits for the answer, and it must not be dropped for that.
    Waiting { envelope, encoded, sent: true, reply: oneshot::channel().0, _room: None }
}

/// Snapshots and collection, beside the commits and one at a time.
#[derive(Debug, Default)]
struct Maintenance(Option<JoinHandle<()>>);

impl Maintenance {
    fn start_if_due(&mut self, tail: &mut Tail, writer: WriterId, options: &ControllerOptions) {
        let (entries, bytes) = tail.since_snapshot();
        let due = entries >= options.snapshot_every_entries || bytes >= options.snapshot_every_bytes;
        if !due || self.0.as_ref().is_some_and(|running| !running.is_finished()) {
            return;
        }
        let snapshot = tail.snapshot(writer);
        self.0 = Some(tokio::spawn(maintain(tail.snapshots().clone(), snapshot)));
    }
}

impl Drop for Maintenance {
    /// Nothing is lost: it is all found again.
    fn drop(&mut self) {
        if let Some(running) = &self.0 {
            running.abort();
        }
    }
}

async fn maintain(snapshots: Snapshots, snapshot: Snapshot) {
    let Snapshot { head, fences, state } = snapshot;
    let at = head.at;
    // A large state takes a second, and commands are committed meanwhile.
    let encoded = snapshots.clock.aside(move || {
        let bytes = codec::encode_snapshot(&head, &fences, &state);
        (bytes, fences)
    });
    let (bytes, fences) = match encoded.await {
        Ok(encoded) => encoded,
        Err(error) => {
            tracing::error!(%error, "a metadata snapshot can't be encoded; starts take longer until one can");
            return;
        }
    };
    let length = bytes.len();
    if let Err(error) = snapshots.create(at, bytes).await {
        tracing::error!(%error, "a metadata snapshot can't be written; starts take longer until one can");
        return;
    }
    match collect(&snapshots, &fences).await {
        Ok(deleted) => tracing::info!(%at, bytes = length, deleted, "wrote a metadata snapshot"),
        Err(error) => tracing::error!(%error, "old metadata can't be deleted; the next snapshot tries again"),
    }
}
