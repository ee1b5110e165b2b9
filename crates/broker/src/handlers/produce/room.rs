//! Memory for large Produce requests and their answers.

use crate::net::Refused;
use levee_base::Clock;
use levee_base::limits::{PRODUCED_BYTES, PRODUCED_WAIT, RECEIVE_BUFFER_BYTES};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What large Produce requests that have not been answered may yet take, of [`PRODUCED_BYTES`].
#[derive(Debug)]
pub struct Room {
    clock: Clock,
    left: Arc<Semaphore>,
}

impl Room {
    /// With room for all of it.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, left: Arc::new(Semaphore::new(PRODUCED_BYTES)) }
    }

    /// Takes `memory` bytes, to be given back once the request has been answered. Small requests take nothing, so that
    /// they wait for none: their number is bounded by each connection's pipeline.
    ///
    /// # Errors
    /// `Busy` when there is no room within [`PRODUCED_WAIT`]. It can't wait for longer: its frame takes memory, too, and
    /// what it waits for may be a client that takes no answers.
    pub async fn take(&self, memory: usize) -> Result<Option<OwnedSemaphorePermit>, Refused> {
        if memory <= RECEIVE_BUFFER_BYTES {
            return Ok(None);
        }
        let permits = u32::try_from(memory).expect("parsing bounds the memory of one request");
        let room = Arc::clone(&self.left).acquire_many_owned(permits);
        match self.clock.timeout(PRODUCED_WAIT, room).await {
            Some(room) => Ok(Some(room.expect("this semaphore is never closed"))),
            None => Err(Refused::Busy(memory)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use levee_base::limits::DECODED_REQUEST_BYTES;

    #[tokio::test(start_paused = true)]
    async fn large_requests_wait_for_each_other_and_not_for_ever() {
        let clock = Clock::simulated(0);
        let room = Room::new(clock);
        let mut held = Vec::new();
        for _ in 0..PRODUCED_BYTES / DECODED_REQUEST_BYTES {
            held.push(room.take(DECODED_REQUEST_BYTES).now_or_never().expect("room").unwrap().unwrap());
        }
        let small = room.take(RECEIVE_BUFFER_BYTES).now_or_never().expect("no wait for a small one");
        assert!(small.unwrap().is_none());
        let from = clock.now();
        assert!(matches!(room.take(100_000).await, Err(Refused::Busy(100_000))));
        assert_eq!(clock.now() - from, PRODUCED_WAIT);
        let answered = async {
            clock.sleep(PRODUCED_WAIT / 2).await;
            held.pop();
        };
        let (taken, ()) = tokio::join!(room.take(DECODED_REQUEST_BYTES), answered);
        assert!(taken.unwrap().is_some());
    }
}
