//! Two tasks around the log's writer: one seals objects and gives them to it, one makes what it reports visible.
//!
//! The first alone holds the writer. It asks the pacer, takes the oldest object that waits, and lets the log
//! seal it into its slot, so it is sealed only when it really goes. The second alone moves the durable prefix.
//! When the store is dropped both are aborted, which abandons what is in flight as a crash would.

use crate::format::ObjectKind;
use crate::open_object::CutObject;
use crate::store::Shared;
use crate::types::Stopped;
use crate::wal::pacer::{Decision, Pacer};
use bytes::Bytes;
use levee_object::log::{self, Entry, LogStatus, LogWriter, Stamp};
use std::sync::Arc;
use tokio::sync::watch;

/// An object on its way into the log.
struct WalEntry {
    shared: Arc<Shared>,
    object: CutObject,
}

impl Entry for WalEntry {
    fn seal(self, stamp: &Stamp) -> Bytes {
        let sealed = self.object.seal(ObjectKind::Wal, stamp);
        let bytes = sealed.bytes.clone();
        self.shared.state().sealed(sealed, self.shared.ctx.clock.now());
        bytes
    }
}

/// Seals and sends until the store is drained or stopped. Dropping the writer then ends its task.
pub(crate) async fn flush(shared: Arc<Shared>, log: LogWriter, mut pacer: Pacer) {
    let clock = shared.ctx.clock;
    loop {
        let now = clock.now();
        let (decision, object) = {
            let mut state = shared.state();
            if state.stopped().is_some() || state.drained() {
                return;
            }
            let decision = pacer.decide(now, state.waiting(), state.in_flight());
            (decision, if decision == Decision::Flush { state.send() } else { None })
        };
        match (decision, object) {
            (Decision::Flush, Some(object)) => {
                pacer.flushed(now);
                let entry = WalEntry { shared: shared.clone(), object };
                if log.append(entry).await.is_err() {
                    // Why is in the log's status, which the other task passes on.
                    return;
                }
            }
            (Decision::Until(then), _) => tokio::select! {
                biased;
                () = shared.flush.notified() => {}
                () = clock.sleep_until(then) => {}
            },
            _ => shared.flush.notified().await,
        }
    }
}

/// Makes durable objects visible, in order, until the log stops.
pub(crate) async fn settle(shared: Arc<Shared>, mut log: watch::Receiver<LogStatus>) {
    loop {
        let LogStatus { durable, stopped } = log.borrow_and_update().clone();
        let drained = {
            let mut state = shared.state();
            if state.stopped().is_some() {
                return;
            }
            let grown = state.durable(durable, shared.ctx.clock.now());
            state.publish();
            let drained = state.drained();
            drop(state);
            shared.watchers.wake(grown);
            drained
        };
        shared.status.send_if_modified(|status| {
            let grown = status.durable < durable && status.stopped.is_none();
            if grown {
                status.durable = durable;
            }
            grown
        });
        // Places in flight are free, and there may be something to trim.
        shared.flush.notify_one();
        shared.trim.notify_one();
        let stopped = match stopped {
            Some(log::Stopped::Closed) if drained => Some(Stopped::Shutdown),
            Some(stopped) => Some(Stopped::Log(stopped)),
            None => None,
        };
        if let Some(stopped) = stopped {
            shared.stop(stopped);
            return;
        }
        // An error means that the writer is gone, and its last status says why.
        if log.changed().await.is_err() && log.borrow().stopped.is_none() {
            shared.stop(Stopped::Log(log::Stopped::Closed));
            return;
        }
    }
}
