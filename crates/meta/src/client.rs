//! A node's handle to the cluster's metadata: seeing it, and changing it.

use crate::answer::Answer;
use crate::command::{Command, Envelope, Sender};
use crate::controller::{self, ControllerOptions};
use crate::error::MetaError;
use crate::ids::ProcessId;
use crate::snapshots::{Snapshots, journal_prefix};
use crate::state::State;
use crate::tail::{Published, Tail};
use async_trait::async_trait;
use levee_base::limits::{COMMAND_BYTES, COMMANDS_WAITING};
use levee_base::{BrokerEpoch, Clock, ClusterId, Epoch, LogPosition, Random};
use levee_object::log::{LogContext, TakeOver, genesis};
use levee_object::{Purpose, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

/// Whoever commits commands: the controller in this process, or one that is asked over the network.
#[async_trait]
pub trait Controller: Debug + Send + Sync {
    /// Commits a command and returns its answer once it is durable. Waits while the queue is full, and for as
    /// long as the store or the journal's ownership takes. The same envelope may be sent again at any time.
    ///
    /// # Errors
    /// When it is not known whether the command was applied, and won't be known here.
    async fn commit(&self, envelope: Envelope) -> Result<Answer, CommitError>;
}

/// Why a command has no answer. It may have been applied all the same, or yet be.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    /// The node is shutting down.
    #[error("the controller was shut down")]
    Stopped,
    /// The journal can't be read on.
    #[error(transparent)]
    Failed(Arc<MetaError>),
    /// It was not sent.
    #[error(
        "a command of {bytes} bytes is too large: at most {COMMAND_BYTES}; register fewer objects at once"
    )]
    TooLarge {
        /// How large it is.
        bytes: usize,
    },
}

/// What this process is to the journal.
#[derive(Debug, Clone)]
pub enum Role {
    /// It writes it.
    Leading {
        /// Which of its epochs.
        epoch: Epoch,
    },
    /// Another writes it, or nobody does yet.
    StandingBy,
    /// It was shut down.
    Stopped,
    /// The journal can't be read on.
    Failed(Arc<MetaError>),
}

/// What metadata stands on.
#[derive(Debug, Clone)]
pub struct MetadataContext {
    /// The cluster's store.
    pub store: Arc<dyn Store>,
    /// Paces what is tried again.
    pub clock: Clock,
    /// Draws ids.
    pub random: Random,
}

/// The cluster's metadata. Clones are handles to the same.
#[derive(Debug, Clone)]
pub struct Metadata(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    cluster: ClusterId,
    process: ProcessId,
    published: Arc<Published>,
    controller: Arc<dyn Controller>,
    role: watch::Receiver<Role>,
    numbers: Mutex<Numbers>,
    /// Notified when an answer is no longer awaited.
    settled: Notify,
    shutdown: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// The numbers of each sender, and the newest registration made here.
#[derive(Debug, Default)]
struct Numbers {
    senders: BTreeMap<Sender, Sent>,
    broker: Option<BrokerEpoch>,
}

/// One sender's numbers: the next one, and those whose answers are awaited.
#[derive(Debug, Default)]
struct Sent {
    next: u64,
    awaited: BTreeSet<u64>,
}

/// A number whose answer is awaited, for as long as it is held.
struct Ticket<'a> {
    metadata: &'a Metadata,
    sender: Sender,
    number: u64,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if let Some(sent) = self.metadata.numbers().senders.get_mut(&self.sender) {
            sent.awaited.remove(&self.number);
        }
        self.metadata.0.settled.notify_waiters();
    }
}

impl Metadata {
    /// Reads the cluster's metadata, begins a cluster where there is none, and takes the journal over.
    ///
    /// Waits for a store that can't be reached.
    ///
    /// # Errors
    /// When the metadata can't be read; a person must act.
    pub async fn start(ctx: MetadataContext, options: ControllerOptions) -> Result<Metadata, MetaError> {
        let MetadataContext { store, clock, random } = ctx;
        let snapshots =
            Snapshots { store: store.clone(), clock, random: random.fork(), purpose: Purpose::Snapshot };
        let prefix = journal_prefix();
        let begun = genesis(store.clone(), prefix.clone(), clock, random.clone(), &snapshots).await?;
        let log = LogContext { store, cluster: begun.cluster, prefix, clock, random: random.clone() };
        let mut tail = Tail::new(log, snapshots);
        let won = match begun.won {
            Some(TakeOver::Won { epoch, writer, first }) => {
                tail.fence(LogPosition::default());
                Some((epoch, writer, first))
            }
            _ => {
                tail.load().await?;
                tail.take_over().await?
            }
        };
        let published = tail.published().clone();
        let (shutdown, down) = watch::channel(false);
        let (controller, task) = controller::start(tail, won, options, down);
        Ok(Metadata(Arc::new(Inner {
            cluster: begun.cluster,
            process: ProcessId(random.uuid()),
            published,
            role: controller.role(),
            controller: Arc::new(controller),
            numbers: Mutex::default(),
            settled: Notify::new(),
            shutdown,
            task: Mutex::new(Some(task)),
        })))
    }

    /// The cluster's id.
    #[must_use]
    pub fn cluster(&self) -> ClusterId {
        self.0.cluster
    }

    /// Which run of the program this is; what a registration names.
    #[must_use]
    pub fn process(&self) -> ProcessId {
        self.0.process
    }

    /// Shows the durable state. Commands wait meanwhile, so `see` should be short and must not block.
    pub fn view<R>(&self, see: impl FnOnce(&State) -> R) -> R {
        self.0.published.view(see)
    }

    /// The durable state's position, whenever it changes.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.published.changes()
    }

    /// What this process is to the journal, whenever it changes.
    #[must_use]
    pub fn role(&self) -> watch::Receiver<Role> {
        self.0.role.clone()
    }

    /// Whoever commits this process's commands, to send it one that was sent before.
    #[cfg(test)]
    pub(crate) fn controller(&self) -> &Arc<dyn Controller> {
        &self.0.controller
    }

    /// Commits a command, and returns its answer once that is durable.
    ///
    /// `Register`, `Out` and `UseVersion` are sent by this process: they may come before or after a broker
    /// epoch. `TrimWal` is sent by the epoch that it names, all others by the newest epoch that was registered
    /// through this handle. Dropping the future gives up the answer; the command may still be applied.
    ///
    /// # Errors
    /// When there is no answer. A refusal is an answer.
    pub async fn commit(&self, command: Command) -> Result<Answer, CommitError> {
        let sender = self.sender(&command);
        self.commit_by(sender, command).await
    }

    /// As [`Metadata::commit`], for what one broker epoch alone may say: which of its objects are to be registered.
    /// Another epoch's numbers are other objects.
    ///
    /// # Errors
    /// As there.
    pub async fn commit_as(&self, epoch: BrokerEpoch, command: Command) -> Result<Answer, CommitError> {
        self.commit_by(Sender::Broker(epoch), command).await
    }

    async fn commit_by(&self, sender: Sender, command: Command) -> Result<Answer, CommitError> {
        let registers = matches!(command, Command::Register(_));
        let ticket = self.ticket(sender).await;
        let envelope = Envelope { sender, number: ticket.number, command };
        let answer = self.0.controller.commit(envelope).await?;
        drop(ticket);
        if let (true, Answer::Registered { epoch }) = (registers, &answer) {
            let mut numbers = self.numbers();
            numbers.broker = Some(*epoch);
            // The epochs before are out: whatever they still send is refused, under any number.
            numbers.senders.retain(|sender, _| matches!(sender, Sender::Process(_)));
        }
        Ok(answer)
    }

    /// The sender's next number, once the oldest one that is awaited is so near that its answer is still
    /// remembered when this one's is.
    async fn ticket(&self, sender: Sender) -> Ticket<'_> {
        loop {
            let mut settled = pin!(self.0.settled.notified());
            // Before looking, so that nothing settles unseen in between.
            settled.as_mut().enable();
            {
                let mut numbers = self.numbers();
                let sent = numbers.senders.entry(sender).or_default();
                let number = sent.next;
                if sent.awaited.first().is_none_or(|oldest| number - oldest < COMMANDS_WAITING as u64) {
                    sent.next += 1;
                    sent.awaited.insert(number);
                    return Ticket { metadata: self, sender, number };
                }
            }
            settled.await;
        }
    }

    fn sender(&self, command: &Command) -> Sender {
        match command {
            Command::Register(_) | Command::Out { .. } | Command::UseVersion { .. } => {
                Sender::Process(self.0.process)
            }
            Command::TrimWal { epoch, .. } => Sender::Broker(*epoch),
            _ => self.numbers().broker.map_or(Sender::Process(self.0.process), Sender::Broker),
        }
    }

    fn numbers(&self) -> std::sync::MutexGuard<'_, Numbers> {
        self.0.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends: takes no more commands, answers those that wait if this process writes the journal, and stops.
    /// Where the store does not answer, it gives up after [`levee_base::limits::JOURNAL_SHUTDOWN_WAIT`]: the
    /// commands that wait then end with [`CommitError::Stopped`].
    pub async fn shutdown(&self) {
        self.0.shutdown.send_replace(true);
        let task = self.0.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the controller ended abnormally");
        }
    }
}
