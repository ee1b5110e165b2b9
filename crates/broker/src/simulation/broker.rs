//! A broker process as a client sees it: it serves what it was asked for, whether or not the client still waits.

use super::World;
use super::process::Process;
use crate::led_topics::LedTopics;
use kafka_protocol::messages::{RequestKind, ResponseKind};
use levee_base::Random;
use levee_coordinator::Client;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// Clients at most, and one more for what is no client's.
const LANES: u64 = 32;

/// How to reach it.
#[derive(Clone)]
pub(super) struct Broker {
    pub(super) world: Arc<World>,
    pub(super) led: Arc<LedTopics>,
    pub(super) random: Random,
    number: u64,
    lane: u64,
    /// What is being served. It ends with the process.
    serving: Arc<Mutex<JoinSet<()>>>,
}

impl Broker {
    pub(super) fn new(world: Arc<World>, process: &Process, random: Random) -> Self {
        let (led, number) = (process.led.clone(), process.number);
        Self { world, led, random, number, lane: 0, serving: Arc::default() }
    }

    /// For the client of this number, which draws from `random`.
    pub(super) fn of(&self, lane: usize, random: Random) -> Self {
        Self { lane: lane as u64, random, ..self.clone() }
    }

    /// Clients go on in milliseconds of their own: in which order those go on that wait for one durable object is drawn
    /// by tokio's watch channel, by no seed of ours.
    pub(super) async fn in_lane(&self, after_ms: u64) {
        let at = self.world.clock.wall_ms().cast_unsigned() + after_ms;
        let wait_ms = (LANES - at % LANES + self.lane) % LANES;
        self.world.clock.sleep(Duration::from_millis(after_ms + wait_ms)).await;
    }

    /// Whether no other has been started since.
    pub(super) fn is_current(&self) -> bool {
        self.world.is_current(self.number)
    }

    /// Has something served. `None` when the client waits no more, or nobody serves it: then it may be done all the same.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        serve: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        {
            let mut serving = self.serving.lock().unwrap();
            while serving.try_join_next().is_some() {}
            // A client that waits no more hears nothing.
            serving.spawn(async move { drop(answer.send(serve.await)) });
        }
        let patience_ms = if self.random.chance(0.1) { self.random.below(300) } else { 30_000 };
        let answered = self.world.clock.timeout(Duration::from_millis(patience_ms), answered).await;
        self.in_lane(1).await;
        answered?.ok()
    }

    /// Asks a coordinator.
    pub(super) async fn coordinate(&self, version: i16, request: RequestKind) -> Option<ResponseKind> {
        let led = self.led.clone();
        let client = Client { id: "simulated".into(), host: "127.0.0.1".into() };
        self.ask(async move { led.coordinators.coordinate(client, version, request).await }).await?
    }
}
