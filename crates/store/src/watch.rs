//! Waking readers that wait for a stream to grow.
//!
//! A waiter is entered once for many streams and leaves when its guard is dropped. The lock here is not the
//! store's, so that many waiters on thousands of streams do not hold up appends. A wake-up is a permit of the
//! waiter's own `Notify`: several streams that grow before it looks are one wake-up, and none is lost when it
//! comes between looking and waiting.

use levee_base::{HashMap, StreamId};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Who waits for which streams.
#[derive(Debug, Default)]
pub(crate) struct Watchers(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    /// Of each stream by their ids: thousands may wait for one, and each of them comes and goes alone.
    streams: HashMap<StreamId, BTreeMap<u64, Arc<Notify>>>,
}

impl Watchers {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn watch(self: &Arc<Self>, streams: &[StreamId], notify: &Arc<Notify>) -> WatchGuard {
        let mut waiting = self.lock();
        let id = waiting.next;
        waiting.next += 1;
        for stream in streams {
            waiting.streams.entry(*stream).or_default().insert(id, notify.clone());
        }
        WatchGuard { id, streams: streams.into(), watchers: self.clone() }
    }

    /// These streams have grown, or will not grow any more.
    pub(crate) fn wake(&self, streams: impl IntoIterator<Item = StreamId>) {
        let waiting = self.lock();
        if waiting.streams.is_empty() {
            return;
        }
        for stream in streams {
            for notify in waiting.streams.get(&stream).into_iter().flat_map(BTreeMap::values) {
                notify.notify_one();
            }
        }
    }

    /// Nothing will ever grow again.
    pub(crate) fn wake_all(&self) {
        for notify in self.lock().streams.values().flat_map(BTreeMap::values) {
            notify.notify_one();
        }
    }
}

/// Ends the waiting when dropped.
#[derive(Debug)]
#[must_use = "dropping it ends the waiting"]
pub struct WatchGuard {
    id: u64,
    streams: Box<[StreamId]>,
    watchers: Arc<Watchers>,
}

impl Drop for WatchGuard {
    fn drop(&mut self) {
        let mut waiting = self.watchers.lock();
        for stream in &self.streams {
            if let Some(waiters) = waiting.streams.get_mut(stream) {
                waiters.remove(&self.id);
                if waiters.is_empty() {
                    waiting.streams.remove(stream);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn a_waiter_is_woken_for_its_streams_only_and_leaves_nothing_behind() {
        let watchers = Arc::new(Watchers::default());
        let (one, two) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let first = watchers.watch(&[StreamId(1), StreamId(2)], &one);
        let second = watchers.watch(&[StreamId(2)], &two);
        watchers.wake([StreamId(1)]);
        assert!(one.notified().now_or_never().is_some(), "the permit is kept until somebody looks");
        assert!(two.notified().now_or_never().is_none());
        watchers.wake([StreamId(2), StreamId(2)]);
        assert!(one.notified().now_or_never().is_some() && two.notified().now_or_never().is_some());
        assert!(two.notified().now_or_never().is_none(), "two wake-ups are one");
        drop(first);
        watchers.wake_all();
        assert!(one.notified().now_or_never().is_none() && two.notified().now_or_never().is_some());
        drop(second);
        assert!(watchers.lock().streams.is_empty());
    }

    #[test]
    fn those_who_wait_for_the_same_stream_leave_in_any_order() {
        let watchers = Arc::new(Watchers::default());
        let notifies: Vec<_> = (0..5).map(|_| Arc::new(Notify::new())).collect();
        // A stream that is named twice is left once.
        let watch = |notify| Some(watchers.watch(&[StreamId(1), StreamId(1)], notify));
        let mut guards: Vec<_> = notifies.iter().map(watch).collect();
        for (at, left) in
            [(3, vec![0, 1, 2, 4]), (0, vec![1, 2, 4]), (4, vec![1, 2]), (1, vec![2]), (2, vec![])]
        {
            guards[at] = None;
            watchers.wake([StreamId(1)]);
            let woken =
                notifies.iter().enumerate().filter(|(_, notify)| notify.notified().now_or_never().is_some());
            assert_eq!(woken.map(|(at, _)| at).collect::<Vec<_>>(), left);
        }
        assert!(watchers.lock().streams.is_empty());
    }
}
