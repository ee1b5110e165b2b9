//! Reading an epoch: by GET, upward to the first empty slot or the fence, in parallel windows.
//!
//! A window asks for slots ahead of the one that is due, and hands their contents over in order. What lies
//! beyond the end is thrown away. A window that may well be at the end already begins small and grows with
//! every slot that it finds, so that a reader who polls does not pay for a window of misses each time.
//!
//! Dropping any of these futures leaves nothing behind, as they only read.

use super::context::{Content, LogContext, ReadError};
use crate::Purpose;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use levee_base::limits::LOG_READ_WINDOW;
use levee_base::{Epoch, LogPosition, Slot};

/// Slots of one epoch, read ahead.
pub(super) struct Window {
    epoch: Epoch,
    /// The slot that is handed over next.
    due: Slot,
    /// How many may be asked for at once.
    width: usize,
    head: Option<u64>,
    purpose: Purpose,
    asked: FuturesOrdered<BoxFuture<'static, Result<Content, ReadError>>>,
}

impl Window {
    pub(super) fn new(from: LogPosition, width: usize, head: Option<u64>, purpose: Purpose) -> Self {
        Self { epoch: from.epoch, due: from.slot, width, head, purpose, asked: FuturesOrdered::new() }
    }

    /// The content of `at`. Going on from slot to slot is what the window is for; anything else is read anew.
    pub(super) async fn read(&mut self, ctx: &LogContext, at: LogPosition) -> Result<Content, ReadError> {
        if (at.epoch, at.slot) != (self.epoch, self.due) {
            *self = Self::new(at, self.width, self.head, self.purpose);
        }
        while self.asked.len() < self.width {
            let slot = Slot(self.due.0 + self.asked.len() as u64);
            let ctx = ctx.clone();
            let (at, head, purpose) = (LogPosition { epoch: at.epoch, slot }, self.head, self.purpose);
            self.asked.push_back(Box::pin(async move { ctx.read_slot(at, head, purpose).await }));
        }
        let content = self.asked.next().await.expect("a window is at least one slot wide")?;
        self.due = self.due.next();
        if matches!(content, Content::Found(_)) {
            self.width = (self.width * 2).min(LOG_READ_WINDOW.max(self.width));
        }
        Ok(content)
    }
}
