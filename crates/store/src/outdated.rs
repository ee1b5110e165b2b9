//! Whether an object is missing because its stream has moved on: it was compacted, or what it held was deleted.
//!
//! Objects are deleted once no stream refers to them in the metadata. What this process knows of its streams may be a
//! moment older than that: so the metadata has the last word, and who looked too early waits for what it says to come.

use crate::backoff::Backoff;
use crate::store::Shared;
use crate::types::ReadError;
use levee_base::limits::READ_VIEWS;
use levee_base::{Offset, StreamId};
use levee_object::Key;

/// The views of a stream that one reader takes.
pub(crate) struct Views<'a> {
    shared: &'a Shared,
    taken: usize,
    backoff: Backoff,
}

impl<'a> Views<'a> {
    pub(crate) fn new(shared: &'a Shared) -> Self {
        Self { shared, taken: 0, backoff: Backoff::new(shared.ctx.clock) }
    }

    /// Whether reading `stream` from `from` on failed only because it has moved on since it was looked up: then another
    /// look at it is worth taking. `false` after `READ_VIEWS` looks.
    pub(crate) async fn outdated(&mut self, stream: StreamId, from: Offset, error: &ReadError) -> bool {
        let ReadError::Missing { key, .. } = error else { return false };
        if self.taken == READ_VIEWS || self.shared.is_registered(stream, from, key) {
            return false;
        }
        self.taken += 1;
        if self.shared.state().refers(stream, from, key) {
            self.backoff.wait().await;
        }
        true
    }
}

impl Shared {
    /// Whether an object holds a part of a stream from `from` on, as far as is known here and by the metadata.
    pub(crate) fn is_registered(&self, stream: StreamId, from: Offset, key: &Key) -> bool {
        if !self.state().refers(stream, from, key) {
            return false;
        }
        let registered = self.registrar.streams(self.epoch, &[stream]);
        registered.iter().any(|(_, registered)| {
            let from = from.max(registered.start);
            registered.extents.iter().any(|extent| extent.range.end > from && extent.object.key == *key)
        })
    }
}
