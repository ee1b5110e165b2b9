//! What partitions ask of the store of streams. Production has one answer, `levee_store::StreamStore`; tests
//! have another, whose batches become durable when the test says so.

use async_trait::async_trait;
use levee_base::{Offset, Slot, StreamId};
use levee_object::{Key, Purpose};
use levee_store::{AppendError, BatchInfo, NewBatch, ReadError, Run, StoreStatus, StreamEnds, StreamStore};
use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::{Notify, watch};

/// Waits until a slot is durable, or never will be: what was durable before the log stopped is, and the rest is lost, as
/// it is when the store itself is gone.
pub async fn is_durable(status: &mut watch::Receiver<StoreStatus>, slot: Slot) -> bool {
    let settled = status.wait_for(|status| slot < status.durable || status.stopped.is_some()).await;
    settled.is_ok_and(|status| slot < status.durable)
}

/// Ends a watch when dropped.
pub type Watching = Box<dyn Send + Sync>;

/// The streams that one writer appends to and reads. The methods are `StreamStore`'s; see there.
#[async_trait]
pub trait Streams: Debug + Send + Sync + 'static {
    /// Appends all batches at `base`, which is the stream's end, or none. The slot is the last batch's.
    ///
    /// # Errors
    /// See [`AppendError`].
    fn append(&self, stream: StreamId, base: Offset, batches: &[NewBatch<'_>]) -> Result<Slot, AppendError>;

    /// Waits until an append may succeed, or the store has stopped.
    async fn room(&self);

    /// How far the store has come.
    fn status(&self) -> watch::Receiver<StoreStatus>;

    /// A stream's offsets, if it is open.
    fn ends(&self, stream: StreamId) -> Option<StreamEnds>;

    /// Notifies `notify` (`notify_one`) whenever one of the streams gains durable data or is closed, or the
    /// store stops. Watch first, then read, then wait: nothing is missed so.
    fn watch(&self, streams: &[StreamId], notify: &Arc<Notify>) -> Watching;

    /// Whole durable batches, from the one that holds `from` on.
    ///
    /// # Errors
    /// See [`ReadError`].
    async fn read(
        &self,
        stream: StreamId,
        from: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<Vec<Run>, ReadError>;

    /// What the indexes say of the durable batches, from the one that holds `from` on. They are read for this
    /// purpose.
    ///
    /// # Errors
    /// See [`ReadError`].
    async fn replay(
        &self,
        stream: StreamId,
        from: Offset,
        purpose: Purpose,
        each: &mut (dyn for<'a> FnMut(BatchInfo<'a>) + Send),
    ) -> Result<(), ReadError>;

    /// The first part of a stream that ends above `from` and lies in this object.
    fn part_in(&self, stream: StreamId, object: &Key, from: Offset) -> Option<Range<Offset>>;
}

#[async_trait]
impl Streams for StreamStore {
    fn append(&self, stream: StreamId, base: Offset, batches: &[NewBatch<'_>]) -> Result<Slot, AppendError> {
        Self::append(self, stream, base, batches)
    }

    async fn room(&self) {
        Self::room(self).await;
    }

    fn status(&self) -> watch::Receiver<StoreStatus> {
        Self::status(self)
    }

    fn ends(&self, stream: StreamId) -> Option<StreamEnds> {
        self.end(stream)
    }

    fn watch(&self, streams: &[StreamId], notify: &Arc<Notify>) -> Watching {
        Box::new(Self::watch(self, streams, notify))
    }

    async fn read(
        &self,
        stream: StreamId,
        from: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<Vec<Run>, ReadError> {
        Self::read(self, stream, from, max_bytes, at_least_one).await
    }

    async fn replay(
        &self,
        stream: StreamId,
        from: Offset,
        purpose: Purpose,
        each: &mut (dyn for<'a> FnMut(BatchInfo<'a>) + Send),
    ) -> Result<(), ReadError> {
        Self::replay(self, stream, from, purpose, each).await
    }

    fn part_in(&self, stream: StreamId, object: &Key, from: Offset) -> Option<Range<Offset>> {
        Self::part_in(self, stream, object, from)
    }
}
