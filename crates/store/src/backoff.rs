//! Trying until it is answered: the waits between two tries, and a commit that is asked for until the metadata decides.

use crate::registrar::RegistrarError;
use crate::store::Shared;
use crate::types::Stopped;
use levee_base::Clock;
use levee_base::limits::{TRIM_BACKOFF_MAX, TRIM_BACKOFF_MIN};
use std::time::Duration;

/// The waits between two tries: each is twice the one before, up to a bound.
#[derive(Debug)]
pub(crate) struct Backoff {
    clock: Clock,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, next: TRIM_BACKOFF_MIN }
    }

    /// Whether nothing has been waited for yet.
    pub(crate) fn is_first(&self) -> bool {
        self.next == TRIM_BACKOFF_MIN
    }

    pub(crate) async fn wait(&mut self) {
        self.clock.sleep(self.next).await;
        self.next = (self.next * 2).min(TRIM_BACKOFF_MAX);
    }
}

impl Shared {
    /// Asks for a commit until it is made. `None` when the store has stopped: it does when the metadata refuses, for
    /// then this epoch is out.
    pub(crate) async fn committed<T, F: Future<Output = Result<T, RegistrarError>>>(
        &self,
        what: &'static str,
        ask: impl Fn() -> F,
    ) -> Option<T> {
        let (epoch, mut backoff) = (self.epoch.0, Backoff::new(self.ctx.clock));
        loop {
            match ask().await {
                Ok(answer) => {
                    if !backoff.is_first() {
                        tracing::info!(epoch, what, "committed at last");
                    }
                    return Some(answer);
                }
                Err(RegistrarError::Refused(reason)) => {
                    tracing::warn!(epoch, what, reason, "the metadata refuses; the store stops");
                    self.stop(Stopped::Refused(reason));
                    return None;
                }
                Err(error @ RegistrarError::Unavailable(_)) if backoff.is_first() => {
                    tracing::warn!(epoch, what, %error, "trying until it is committed");
                }
                Err(RegistrarError::Unavailable(_)) => {}
            }
            if self.is_stopped() {
                return None;
            }
            backoff.wait().await;
        }
    }
}
