//! The only place that reads a clock.
//!
//! Monotonic time is tokio's, so that a paused runtime is a simulation: time then moves only when every
//! task waits. Wall-clock time, which only stamps records and log lines, follows the same clock there.

#![allow(clippy::disallowed_methods)]

use std::time::Duration;
pub use tokio::time::Instant;

/// A clock that is handed down from whoever starts a node.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Source);

#[derive(Debug, Clone, Copy)]
enum Source {
    System,
    Simulated { started: Instant, wall_ms: i64 },
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A clock whose wall time is `wall_ms` (Unix milliseconds) now and follows the runtime's time.
    #[must_use]
    pub fn simulated(wall_ms: i64) -> Self {
        Self(Source::Simulated { started: Instant::now(), wall_ms })
    }

    /// Monotonic time.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant::now()
    }

    /// Wall-clock time in Unix milliseconds. Nothing's safety may rest on it.
    #[must_use]
    pub fn wall_ms(&self) -> i64 {
        match self.0 {
            Source::System => std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
            Source::Simulated { started, wall_ms } => {
                wall_ms + i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX)
            }
        }
    }

    /// Waits for `duration`.
    pub async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    /// Waits until `deadline`.
    pub async fn sleep_until(&self, deadline: Instant) {
        tokio::time::sleep_until(deadline).await;
    }

    /// Does work that takes long on a thread where it holds up nobody. A simulation does it at once and in place, as no
    /// seed says when a thread is done.
    ///
    /// # Errors
    /// When it panics.
    pub async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, tokio::task::JoinError> {
        match self.0 {
            Source::System => tokio::task::spawn_blocking(work).await,
            Source::Simulated { .. } => Ok(work()),
        }
    }

    /// Runs `future` for at most `limit`; `None` when the time was over first.
    pub async fn timeout<F: Future>(&self, limit: Duration, future: F) -> Option<F::Output> {
        tokio::time::timeout(limit, future).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn simulated_wall_time_follows_the_paused_runtime() {
        let clock = Clock::simulated(1_000);
        clock.sleep(Duration::from_millis(250)).await;
        assert_eq!(clock.wall_ms(), 1_250);
        let late = clock.timeout(Duration::from_secs(1), clock.sleep(Duration::from_secs(2))).await;
        assert!(late.is_none());
        assert_eq!(clock.wall_ms(), 2_250);
    }
}
