//! Whether an object is missing because its stream has moved on: it was compacted, or what it held was deleted.
//!
//! Objects are deleted once no stream refers to them in the metadata. What is known of open streams here may be a moment
//! older than that, and stays so when the answer to a commit was lost. So who misses an object asks the metadata, as far
//! as this broker has followed it, before he calls it damage, and what it says is what is known from then on.

use crate::registrar::Registered;
use crate::store::Shared;
use crate::types::ReadError;
use levee_base::limits::READ_VIEWS;
use levee_base::{Offset, StreamId};
use levee_object::Key;

/// The views of a stream that one reader takes at one place.
pub(crate) struct Views<'a> {
    shared: &'a Shared,
    from: Offset,
    taken: usize,
}

impl<'a> Views<'a> {
    pub(crate) fn new(shared: &'a Shared) -> Self {
        Self { shared, from: Offset::ZERO, taken: 0 }
    }

    /// Whether reading `stream` from `from` on failed only because it has moved on since it was looked up: then another
    /// look at it is worth taking. `false` after `READ_VIEWS` looks without getting any further, and when the metadata
    /// gives the stream to somebody else.
    pub(crate) async fn outdated(&mut self, stream: StreamId, from: Offset, error: &ReadError) -> bool {
        let ReadError::Missing { key, .. } = error else { return false };
        if from > self.from {
            (self.from, self.taken) = (from, 0);
        }
        if self.taken == READ_VIEWS || self.shared.is_registered(stream, from, key) {
            return false;
        }
        self.taken += 1;
        !self.shared.state().refers(stream, from, key) || self.shared.refresh(stream).await
    }
}

impl Shared {
    /// Whether an object holds a part of a stream from `from` on, as far as is known here and by the metadata.
    pub(crate) fn is_registered(&self, stream: StreamId, from: Offset, key: &Key) -> bool {
        if !self.state().refers(stream, from, key) {
            return false;
        }
        self.by_metadata(stream).is_some_and(|registered| {
            let from = from.max(registered.start);
            registered.extents.iter().any(|extent| extent.range.end > from && extent.object.key == *key)
        })
    }

    /// Has an open stream know what the metadata says of it. Whether that is anything: it may be led by another.
    pub(crate) async fn refresh(&self, stream: StreamId) -> bool {
        // What is being committed is known here before the next look.
        let _no_commit_between = self.trims.lock().await;
        let Some(registered) = self.by_metadata(stream) else { return false };
        let mut state = self.state();
        let Some(ends) = state.ends(stream) else { return false };
        let end = registered.extents.last().map_or(ends.registered, |extent| extent.range.end);
        // Another, who takes this broker for gone, may have closed its log with more than it knows to be durable.
        let sound = (ends.registered..=ends.durable).contains(&end);
        if sound {
            state.resync(stream, registered);
        }
        sound
    }

    fn by_metadata(&self, stream: StreamId) -> Option<Registered> {
        self.registrar.streams(self.epoch, &[stream]).pop().map(|(_, registered)| registered)
    }
}
