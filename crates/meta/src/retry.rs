//! Asking a store until it answers. Each episode is logged once when it begins and once when it is over.

use levee_base::limits::{LOG_BACKOFF_MAX, LOG_BACKOFF_MIN};
use levee_base::{Clock, Random};
use levee_object::{Error, Result};

/// Repeats `request` until it succeeds or fails for good, with a growing wait.
pub(crate) async fn patiently<T, F: Future<Output = Result<T>>>(
    clock: Clock,
    random: &Random,
    doing: &'static str,
    mut request: impl FnMut() -> F,
) -> Result<T, Error> {
    let mut wait = LOG_BACKOFF_MIN;
    let mut waited = false;
    loop {
        match request().await {
            Err(error) if error.kind.is_transient() => {
                if !waited {
                    tracing::warn!(%error, "{doing}: the store does not answer as it should; trying on");
                }
                waited = true;
                // Half of the wait is random, so that many who were refused together don't return together.
                let half = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX) / 2;
                clock.sleep(wait / 2 + std::time::Duration::from_micros(random.below(half))).await;
                wait = LOG_BACKOFF_MAX.min(wait * 2);
            }
            other => {
                if waited {
                    tracing::info!("{doing}: the store answers again");
                }
                return other;
            }
        }
    }
}
