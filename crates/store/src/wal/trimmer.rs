//! Registers the oldest durable objects and moves the trim point, when there is half as much un-trimmed as may be.
//!
//! Order: first the commit, then the state. A commit whose outcome is not known is asked for again with the same
//! trim. Crash in between: the next owner reads the trim point from the metadata, and finds what is below it
//! registered. An unavailable registrar is tried for ever, and the limits slow the producers; a refusal means
//! that this epoch is out, and stops the store.

use crate::store::Shared;
use crate::types::{Registrar, RegistrarError, Stopped, Trim};
use levee_base::limits::{TRIM_BACKOFF_MAX, TRIM_BACKOFF_MIN};
use std::sync::Arc;

/// Trims until the store stops.
pub(crate) async fn trim(shared: Arc<Shared>, registrar: Arc<dyn Registrar>) {
    while !shared.is_stopped() {
        let one_at_a_time = shared.trims.lock().await;
        let next = shared.state().next_trim();
        let Some(next) = next else {
            drop(one_at_a_time);
            shared.trim.notified().await;
            continue;
        };
        if !commit(&shared, &*registrar, &next).await {
            return;
        }
        {
            let mut state = shared.state();
            state.trimmed(next);
            state.publish();
        }
        shared.room.notify_waiters();
    }
}

/// Whether the trim is committed; if not, the store has stopped.
async fn commit(shared: &Shared, registrar: &dyn Registrar, trim: &Trim) -> bool {
    let mut wait = TRIM_BACKOFF_MIN;
    loop {
        match registrar.trim(trim.clone()).await {
            Ok(()) => {
                if wait > TRIM_BACKOFF_MIN {
                    tracing::info!(epoch = trim.epoch.0, to = trim.to.0, "the trim was committed at last");
                }
                return true;
            }
            Err(RegistrarError::Refused(reason)) => {
                tracing::warn!(
                    epoch = trim.epoch.0,
                    to = trim.to.0,
                    reason,
                    "a trim was refused; the store stops"
                );
                shared.stop(Stopped::Refused(reason));
                return false;
            }
            Err(error @ RegistrarError::Unavailable(_)) => {
                if wait == TRIM_BACKOFF_MIN {
                    tracing::warn!(epoch = trim.epoch.0, to = trim.to.0, %error, "trying until it is");
                }
            }
        }
        if shared.is_stopped() {
            return false;
        }
        shared.ctx.clock.sleep(wait).await;
        wait = (wait * 2).min(TRIM_BACKOFF_MAX);
    }
}
