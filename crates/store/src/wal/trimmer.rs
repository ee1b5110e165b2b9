//! Takes the oldest durable objects out of the write-ahead log, when there is half as much of it as may be, or when
//! they are old: gathers what is small in them into an object of level 1, registers that and what stays where it is,
//! and moves the trim point.
//!
//! Order: first the upload, then the commit, then the state. A commit whose outcome is not known is asked for again
//! with the same trim. Crash in between: the next owner reads the trim point from the metadata, and finds what is
//! below it registered. An unavailable registrar is tried for ever, and the limits slow the producers; a refusal
//! means that this epoch is out, and stops the store.

use crate::registrar::{NewObject, Registrar, RegistrarError, Trim};
use crate::state::{NextTrim, Window};
use crate::store::Shared;
use crate::types::Stopped;
use crate::upload::{Created, create, make, stamp};
use levee_base::limits::{TRIM_BACKOFF_MAX, TRIM_BACKOFF_MIN};
use levee_object::Purpose;
use std::sync::Arc;

/// Trims until the store stops.
pub(crate) async fn trim(shared: Arc<Shared>, registrar: Arc<dyn Registrar>) {
    let clock = shared.ctx.clock;
    let mut gave_up = Vec::new();
    while !shared.is_stopped() {
        let one_at_a_time = shared.trims.lock().await;
        let next = shared.state().next_trim(clock.now());
        let window = match next {
            NextTrim::Now(window) => window,
            NextTrim::At(then) => {
                drop(one_at_a_time);
                match then {
                    None => shared.trim.notified().await,
                    Some(then) => tokio::select! {
                        biased;
                        () = shared.trim.notified() => {}
                        () = clock.sleep_until(then) => {}
                    },
                }
                continue;
            }
        };
        let Some(next) = prepare(&shared, window, &mut gave_up).await else { return };
        if !commit(&shared, &*registrar, &next).await {
            return;
        }
        {
            let mut state = shared.state();
            state.trimmed(next);
            state.publish();
        }
        shared.room.notify_waiters();
        shared.compact.notify_one();
        if !gave_up.is_empty() && registrar.abandon(shared.epoch, gave_up.clone()).await.is_ok() {
            gave_up.clear();
        }
    }
}

/// Uploads what is to be copied, and says what to commit. `None` when the store has stopped.
async fn prepare(shared: &Shared, window: Window, gave_up: &mut Vec<u64>) -> Option<Trim> {
    let Window { to, mut gathered } = window;
    let mut uploads: Vec<NewObject> = Vec::new();
    if !gathered.parts.is_empty() {
        let number = shared.next_number();
        let stamp = stamp(shared.ctx.cluster, shared.epoch, number, shared.writer);
        match make(&gathered, &stamp, &shared.copies).await {
            Some((new, sealed)) => {
                let key = shared.data.join_number(number);
                match create(shared, &key, &sealed.bytes, Purpose::Upload).await {
                    Created::Yes => {
                        shared.metrics.uploads.add(1);
                        shared.metrics.uploaded_bytes.add(new.total_bytes);
                        shared.indexes.put(&key, Arc::new(sealed.index));
                        uploads.push(new);
                    }
                    Created::NoSpace => {}
                    Created::Foreign => {
                        shared.stop(Stopped::Refused(format!("{key} is another process's object")));
                        return None;
                    }
                    Created::Stopped => return None,
                }
            }
            None => tracing::error!("an upload is larger than the memory for uploads; please report this"),
        }
        if uploads.is_empty() {
            gathered.promote_all();
            gave_up.push(number);
        }
    }
    Some(Trim { epoch: shared.epoch, to, objects: gathered.objects, uploads })
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
