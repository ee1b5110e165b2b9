//! Takes the oldest durable objects out of the write-ahead log, when there is half as much of it as may be, or when
//! they are old: gathers what is small in them into an object of level 1, registers that and what stays where it is,
//! and moves the trim point.
//!
//! Order: first the upload, then the commit, then the state. A commit whose outcome is not known is asked for again
//! with the same trim. Crash in between: the next owner reads the trim point from the metadata, and finds what is
//! below it registered. An unavailable registrar is tried for ever, and the limits slow the producers; a refusal
//! means that this epoch is out, and stops the store.

use crate::registrar::{NewObject, Trim};
use crate::state::{NextTrim, Window};
use crate::store::Shared;
use crate::upload::{NotCreated, make};
use levee_object::Purpose;
use std::sync::Arc;

/// Trims until the store stops.
pub(crate) async fn trim(shared: Arc<Shared>) {
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
        let committed = shared.committed("a trim", || shared.registrar.trim(next.clone())).await;
        if committed.is_none() {
            return;
        }
        {
            let mut state = shared.state();
            state.trimmed(next);
            state.publish();
        }
        shared.room.notify_waiters();
        shared.compact.notify_one();
        if !gave_up.is_empty() && shared.registrar.abandon(shared.epoch, gave_up.clone()).await.is_ok() {
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
        match make(&gathered, &shared.stamp(number), &shared.copies).await {
            Some((new, sealed)) => match shared.make(new, sealed, Purpose::Upload).await {
                Ok(made) => {
                    shared.metrics.uploads.add(1);
                    shared.metrics.uploaded_bytes.add(made.new.total_bytes);
                    uploads.push(shared.keep_index(made));
                }
                Err(NotCreated::NoSpace) => {}
                Err(NotCreated::Stopped) => return None,
            },
            None => tracing::error!("an upload is larger than the memory for uploads; please report this"),
        }
        if uploads.is_empty() {
            gathered.promote_all();
            gave_up.push(number);
        }
    }
    Some(Trim { epoch: shared.epoch, to, objects: gathered.objects, uploads })
}
