//! Asking a store until it answers: the waits in between, and telling about it once.

use crate::{Error, Result};
use levee_base::limits::{LOG_BACKOFF_MAX, LOG_BACKOFF_MIN};
use levee_base::{Clock, Random};
use std::fmt::Display;
use std::time::Duration;

/// The wait before a request is tried again: it doubles from one to the next, and is spread so that many who
/// wait for the same store do not come back at the same time. Logs an episode once when it begins and once when
/// it is over.
#[derive(Debug)]
pub(super) struct Patience {
    what: &'static str,
    waits: u32,
}

impl Patience {
    /// For a request that is named so in the log.
    pub(super) const fn new(what: &'static str) -> Self {
        Self { what, waits: 0 }
    }

    pub(super) async fn wait(
        &mut self,
        clock: Clock,
        random: &Random,
        subject: &impl Display,
        error: &Error,
    ) {
        if self.waits == 0 {
            tracing::warn!(%subject, %error, "{} failed; trying until the store answers", self.what);
        }
        let delay = backoff(self.waits, random);
        self.waits = self.waits.saturating_add(1);
        clock.sleep(delay).await;
    }

    pub(super) fn over(&mut self, subject: &impl Display) {
        if self.waits > 0 {
            tracing::info!(%subject, tries = self.waits + 1, "{} succeeded again", self.what);
            self.waits = 0;
        }
    }
}

/// Repeats `request` until the store answers, with a growing wait. `what` and `subject` name it in the log.
///
/// # Errors
/// The answers that are errors ([`crate::ErrorKind::is_answer`]): they do not get better by waiting.
pub async fn patiently<T, F: Future<Output = Result<T>>>(
    clock: Clock,
    random: &Random,
    what: &'static str,
    subject: &impl Display,
    mut request: impl FnMut() -> F,
) -> Result<T> {
    let mut patience = Patience::new(what);
    loop {
        match request().await {
            Err(error) if !error.kind.is_answer() => patience.wait(clock, random, subject, &error).await,
            Err(error) => return Err(error),
            Ok(answer) => {
                patience.over(subject);
                return Ok(answer);
            }
        }
    }
}

/// The wait after `waits` earlier ones: between half and all of a delay that doubles.
pub(super) fn backoff(waits: u32, random: &Random) -> Duration {
    let full = LOG_BACKOFF_MIN.saturating_mul(1 << waits.min(16)).min(LOG_BACKOFF_MAX);
    let micros = u64::try_from(full.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(micros / 2 + random.below(micros / 2 + 1))
}
