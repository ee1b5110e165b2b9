//! Ending epochs: fencing one that stands alone, following a chain, and taking a chain over.
//!
//! Crash and cancellation: a fence may be created, or be created later, though its maker never learns it. It
//! ends its epoch all the same. In a chain the next epoch then has a writer that never writes, and whoever comes
//! next follows that fence and ends the next epoch in turn. Nothing is repaired, and nothing waits.
//!
//! What is handed to `each` is what was read. It may be used only once the check has passed: after `Void`,
//! throw it away and start over from the newest trim point.

use super::append::CreateAnswer;
use super::chain::{Chain, ChainAsk, Outcome, Took, writer_id};
use super::context::{Content, LogContext, ReadError, SlotRead};
use super::fence::{EpochEnd, Walk, WalkAsk};
use super::patience::Patience;
use super::reader::Window;
use super::rules::Rules;
use crate::{Key, Purpose, Result as StoreResult, Store};
use async_trait::async_trait;
use bytes::Bytes;
use levee_base::limits::{LOG_DECODE_TRIES, LOG_HEADER_BYTES, LOG_READ_WINDOW_FIRST, LOG_RECOVERY_WINDOW};
use levee_base::{Clock, ClusterId, Epoch, LogPosition, Random, Slot, WriterId};
use std::sync::Arc;

/// Where a log's trim point is kept.
#[async_trait]
pub trait TrimPoint: Send + Sync {
    /// The trim point as it is now: it must not be older than the call. `0/0` when nothing was ever trimmed.
    ///
    /// # Errors
    /// The store's; those that may pass are waited out by the caller.
    async fn trim_point(&self) -> StoreResult<LogPosition>;
}

/// The fence that ended an epoch: ours, or the one that was first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// Its slot: the epoch is exactly the slots before it.
    pub at: Slot,
    /// Whose it is.
    pub by: WriterId,
}

/// What a chain consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChainItem {
    /// An entry: what its writer appended, without the log's header.
    Entry(Bytes),
    /// The end of its epoch.
    Fence {
        /// The next epoch's writer.
        next_writer: WriterId,
    },
}

/// What came of following a chain, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Followed {
    /// Everything before this position was handed over; it was empty.
    To(LogPosition),
    /// The trim point has passed what was read: start over from it.
    Void,
}

/// What came of taking a chain over, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakeOver {
    /// The epoch is ours to write.
    Won {
        /// Which.
        epoch: Epoch,
        /// Under which id: to be given to the epoch's `LogWriter`.
        writer: WriterId,
        /// The first slot to write.
        first: Slot,
    },
    /// Another was first. Everything before `next` was handed over.
    Lost {
        /// The start of the epoch that the other writes.
        next: LogPosition,
    },
    /// The trim point has passed what was read: start over from it.
    Void,
}

/// How a cluster began, or was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Genesis {
    /// The cluster's id.
    pub cluster: ClusterId,
    /// The journal's first epoch, when it was this call that began the cluster.
    pub won: Option<TakeOver>,
}

/// Ends an epoch that stands alone, reading it from `from` on. With what came before, the entries handed to
/// `each` are all that it will ever hold.
///
/// This is *not* checked: the caller's `close` commit, refused when the trim point is above the fence, is the
/// check. Until it is committed, use and collect nothing.
///
/// # Errors
/// When the log can't be read on; the store's passing failures are waited out.
pub async fn fence_epoch(
    ctx: &LogContext,
    epoch: Epoch,
    from: Slot,
    writer: WriterId,
    head: Option<u64>,
    mut each: impl FnMut(SlotRead),
) -> Result<Fence, ReadError> {
    let mut walk = Walk::new(from, Some(writer), Rules::default());
    let start = LogPosition { epoch, slot: from };
    let mut window = Window::new(start, LOG_RECOVERY_WINDOW, head, Purpose::Recovery);
    let mut fencing = Fencing::default();
    loop {
        match walk.ask() {
            WalkAsk::Get(slot) => {
                let at = LogPosition { epoch, slot };
                let content = if walk.tried() {
                    fencing.doubt(ctx, at, head).await?
                } else {
                    window.read(ctx, at).await?
                };
                let step = walk.read(content.seen());
                if let Content::Found(read) = content
                    && step.entry
                {
                    each(read);
                }
            }
            WalkAsk::Create(slot) => {
                walk.answered(fencing.create(ctx, LogPosition { epoch, slot }, writer).await?);
            }
            WalkAsk::Done(EpochEnd::Fenced { at, by }) => return Ok(Fence { at, by }),
            WalkAsk::Done(EpochEnd::Open { .. }) => unreachable!("whoever fences does not stop before"),
        }
    }
}

/// Reads a chain from `from` on, across fences, to the first empty slot, and makes the check.
///
/// # Errors
/// When the log can't be read on; the store's passing failures are waited out.
pub async fn follow_checked(
    ctx: &LogContext,
    from: LogPosition,
    trim: &dyn TrimPoint,
    each: impl FnMut(LogPosition, ChainItem),
) -> Result<Followed, ReadError> {
    match drive(ctx, Chain::reader(from, Rules::default()), from, None, trim, each).await? {
        Outcome::Reached(next) => Ok(Followed::To(next)),
        Outcome::Void => Ok(Followed::Void),
        Outcome::Won(_) | Outcome::Lost(_) => unreachable!("a reader does not compete"),
    }
}

/// Takes a chain over: reads it from `from` (a trim point, read just before) to its end, fences its newest
/// epoch, and makes the check.
///
/// # Errors
/// When the log can't be read on; the store's passing failures are waited out.
pub async fn take_over(
    ctx: &LogContext,
    from: LogPosition,
    trim: &dyn TrimPoint,
    each: impl FnMut(LogPosition, ChainItem),
) -> Result<TakeOver, ReadError> {
    let writer = writer_id(None, ctx.random.writer_id(), Rules::default());
    let chain = Chain::successor(from, writer, Rules::default());
    Ok(match drive(ctx, chain, from, Some(writer), trim, each).await? {
        Outcome::Won(epoch) => TakeOver::Won { epoch, writer, first: Slot::ZERO },
        Outcome::Lost(next) => TakeOver::Lost { next },
        Outcome::Void => TakeOver::Void,
        Outcome::Reached(_) => unreachable!("whoever takes over does not stop before"),
    })
}

/// Finds the cluster whose journal is below `prefix`, or begins one there by fencing `0/0`. Whoever loses that
/// race joins. The fence at `0/0` is never deleted, so a cluster that exists is always found.
///
/// # Errors
/// When the log can't be read; the store's passing failures are waited out.
pub async fn genesis(
    store: Arc<dyn Store>,
    prefix: Key,
    clock: Clock,
    random: Random,
    trim: &dyn TrimPoint,
) -> Result<Genesis, ReadError> {
    let cluster = ClusterId(random.uuid());
    let ctx = LogContext { store, cluster, prefix, clock, random };
    let start = LogPosition::default();
    let first = ctx.key(start);
    let met = match ctx.read_slot(start, Some(LOG_HEADER_BYTES as u64), Purpose::Fence).await {
        Ok(Content::Missing) => match take_over(&ctx, start, trim, |_, _| {}).await {
            Ok(won) => return Ok(Genesis { cluster, won: Some(won) }),
            Err(error) => error,
        },
        Ok(Content::Found(_)) => unreachable!("an id drawn just now is nobody's"),
        Err(error) => error,
    };
    match met {
        ReadError::ForeignCluster { key, found, .. } if key == first => {
            Ok(Genesis { cluster: found, won: None })
        }
        error => Err(error),
    }
}

async fn drive(
    ctx: &LogContext,
    mut chain: Chain,
    from: LogPosition,
    writer: Option<WriterId>,
    trim: &dyn TrimPoint,
    mut each: impl FnMut(LogPosition, ChainItem),
) -> Result<Outcome, ReadError> {
    let purpose = if writer.is_some() { Purpose::Fence } else { Purpose::Recovery };
    let mut window = Window::new(from, LOG_READ_WINDOW_FIRST, None, purpose);
    let mut fencing = Fencing::default();
    let mut patience = Patience::new("reading the trim point");
    loop {
        match chain.ask() {
            ChainAsk::Get(at) => {
                let content = if fencing.at == Some(at) {
                    fencing.doubt(ctx, at, None).await?
                } else {
                    window.read(ctx, at).await?
                };
                let step = chain.read(content.seen());
                match (step.took, content) {
                    (Took::Entry(at), Content::Found(read)) => {
                        each(at, ChainItem::Entry(read.bytes.slice(LOG_HEADER_BYTES..)));
                    }
                    (Took::Fence(at, next_writer), _) => each(at, ChainItem::Fence { next_writer }),
                    _ => {}
                }
            }
            ChainAsk::Create(at) => {
                let writer = writer.expect("only a successor, who has an id, creates a fence");
                let step = chain.answered(fencing.create(ctx, at, writer).await?);
                if let Took::Fence(at, next_writer) = step.took {
                    each(at, ChainItem::Fence { next_writer });
                }
            }
            ChainAsk::ReadTrim => match trim.trim_point().await {
                Ok(point) => {
                    chain.trimmed(point);
                }
                Err(error) if !error.kind.is_answer() => {
                    ctx.wait(&mut patience, &ctx.prefix, &error).await;
                }
                Err(error) => return Err(error.into()),
            },
            ChainAsk::Done(outcome) => return Ok(outcome),
        }
    }
}

/// The creates of one fence: in which slot, and what came of them.
#[derive(Debug)]
struct Fencing {
    at: Option<LogPosition>,
    patience: Patience,
    /// How often the slot was taken and yet read as missing.
    baffled: u32,
    taken: bool,
}

impl Default for Fencing {
    fn default() -> Self {
        Self { at: None, patience: Patience::new("creating a fence"), baffled: 0, taken: false }
    }
}

impl Fencing {
    async fn create(
        &mut self,
        ctx: &LogContext,
        at: LogPosition,
        writer: WriterId,
    ) -> Result<CreateAnswer, ReadError> {
        if self.at != Some(at) {
            self.at = Some(at);
            self.baffled = 0;
        }
        let answer = ctx.create_fence(at, writer, &mut self.patience).await?;
        self.taken = answer == CreateAnswer::Exists;
        Ok(answer)
    }

    async fn doubt(
        &mut self,
        ctx: &LogContext,
        at: LogPosition,
        head: Option<u64>,
    ) -> Result<Content, ReadError> {
        let content = ctx.read_slot(at, head, Purpose::Doubt).await?;
        if self.at == Some(at) && self.taken && matches!(content, Content::Missing) {
            // Collected meanwhile, once or twice perhaps; not again and again.
            self.baffled += 1;
            if self.baffled == LOG_DECODE_TRIES {
                let reason = "its header names another slot, and yet it is there".to_owned();
                return Err(ReadError::Corrupt { key: ctx.key(at), reason });
            }
        }
        Ok(content)
    }
}
