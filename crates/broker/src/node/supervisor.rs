//! Keeping a broker registered: from its registration until it signs off, over however many registrations.
//!
//! A broker that finds itself fenced registers again in the same process, unless its successor is alive: then it
//! stays up, says so in `/health`, and asks again from time to time. When the metadata can't be read on it says so
//! there, and serves reads.

use super::Shutdown;
use crate::collector::collect;
use crate::coordinators::CoordinatorConfig;
use crate::current::Current;
use crate::holder::Newcomer;
use crate::http::{Health, Shown};
use crate::led_topics::{Intervals, LedTopics};
use crate::registrar::MetadataRegistrar;
use crate::registration::{Registrant, RegistrationError};
use crate::sweeper::sweep;
use levee_base::clock::Instant;
use levee_base::{BrokerEpoch, Clock, Random};
use levee_meta::Role;
use levee_store::{StoreOptions, StreamStore};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often a registration that failed is tried again.
const REGISTER_AGAIN: Duration = Duration::from_secs(1);
/// How often a broker asks again whose node id is held by another that is alive.
const HELD_AGAIN: Duration = Duration::from_secs(5);

/// What outlives a registration.
pub(super) struct Supervisor {
    pub(super) registrant: Registrant,
    pub(super) streams: StoreOptions,
    pub(super) intervals: Intervals,
    pub(super) coordinators: CoordinatorConfig,
    pub(super) shown: Arc<Shown>,
    pub(super) clock: Clock,
    pub(super) random: Random,
}

/// Waits until this process can't go on with the metadata, and says why and what to do.
async fn metadata_failure(mut role: watch::Receiver<Role>) -> String {
    let failed = role.wait_for(|role| matches!(role, Role::Failed(_))).await;
    match failed.as_deref() {
        Ok(Role::Failed(error)) => format!(
            "the cluster's metadata can't be read on: {error}. Records can be read, nothing can be written. Repair \
             what this names (`levee inspect journal` shows what is there), then restart this broker"
        ),
        // It is told before it ends, unless it panics.
        _ => "the controller ended abnormally: records can be read, nothing can be written. Restart this broker, and \
              report what its log says"
            .to_owned(),
    }
}

impl Supervisor {
    pub(super) fn healthy(&self, serving: bool, reason: &str) {
        self.shown.health.send_replace(Health { serving, reason: reason.to_owned() });
    }

    /// Registers and opens the log of the registration. `held` as for [`Registrant::register`].
    pub(super) async fn register(
        &self,
        newcomer: Newcomer,
        held: &mut Option<BrokerEpoch>,
    ) -> Result<Arc<LedTopics>, RegistrationError> {
        let Self { registrant, clock, random, .. } = self;
        let (epoch, indexes) = registrant.register(newcomer, held).await?;
        let metadata = registrant.metadata.clone();
        let registrar = Arc::new(MetadataRegistrar(metadata.clone()));
        let (log, writer) = (registrant.log(registrant.node), random.writer_id());
        let streams = StreamStore::open(
            log,
            epoch,
            writer,
            registrar,
            self.streams.clone(),
            self.shown.streams.clone(),
        );
        for recovered in indexes {
            streams.keep_indexes(recovered);
        }
        let led = LedTopics::new(registrant.node, epoch, metadata, streams, *clock, random.clone())
            .at(self.intervals)
            .coordinating(self.coordinators);
        led.open_all().await;
        Ok(Arc::new(led))
    }

    /// Keeps a broker registered until the connections have drained (`stop`), and signs it off.
    pub(super) async fn run(
        self,
        mut broker: Arc<LedTopics>,
        current: Arc<Current>,
        mut stop: watch::Receiver<bool>,
    ) -> Shutdown {
        let mut since = self.clock.now();
        let mut metadata_failed = false;
        loop {
            let mut status = broker.store.status();
            let fenced = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                reason = metadata_failure(self.registrant.metadata.role()), if !metadata_failed => {
                    // What is in the store can still be read, so it is served on.
                    tracing::error!(%reason, "nothing can be changed from here on; records that are there are served");
                    self.healthy(false, &reason);
                    metadata_failed = true;
                    continue;
                }
                () = broker.maintain() => continue,
                () = collect(&broker.metadata, &*self.registrant.store, self.clock) => continue,
                () = sweep(&broker.metadata, &*self.registrant.store, self.clock) => continue,
                stopped = status.wait_for(|status| status.stopped.is_some()) => {
                    stopped.ok().and_then(|status| status.stopped.clone())
                }
            };
            let reason = fenced.map_or_else(|| "its store is gone".to_owned(), |stopped| stopped.to_string());
            tracing::warn!(epoch = %broker.epoch, %reason, "the broker's epoch has ended; registering again");
            self.healthy(false, &format!("registering again: {reason}"));
            // Two brokers that can't ask each other don't fence each other more often than this.
            let not_before = since + self.registrant.session_timeout;
            let next = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                next = self.again(not_before) => next,
            };
            broker = next;
            since = self.clock.now();
            current.replace(broker.clone());
            self.healthy(true, "serving");
        }
        self.healthy(false, "stopping");
        broker.store.shutdown().await;
        let how = match self.registrant.sign_off(broker.epoch).await {
            Ok(()) => Shutdown::InOrder,
            Err(error) => {
                tracing::warn!(%error, "could not sign off; the next start will recover");
                Shutdown::AtOnce
            }
        };
        self.registrant.metadata.shutdown().await;
        how
    }

    /// Registers again and again until it succeeds.
    async fn again(&self, not_before: Instant) -> Arc<LedTopics> {
        self.clock.sleep_until(not_before).await;
        let (mut told, mut held) = (String::new(), None);
        loop {
            let error = match self.register(Newcomer::Fenced, &mut held).await {
                Ok(broker) => return broker,
                Err(error) => error,
            };
            let wait = match error {
                RegistrationError::Held { .. } => HELD_AGAIN,
                _ => REGISTER_AGAIN,
            };
            // The same trouble is told once, however long it lasts.
            let text = error.to_string();
            if text != told {
                tracing::warn!(%error, "can't register; trying on");
                self.healthy(false, &format!("can't register: {text}"));
                told = text;
            }
            self.clock.sleep(wait).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_controller_that_ends_without_a_word_is_a_failure_and_one_that_is_replaced_is_none() {
        let (report, role) = watch::channel(Role::StandingBy);
        let mut failure = Box::pin(metadata_failure(role));
        report.send_replace(Role::Leading { epoch: levee_base::Epoch(1) });
        report.send_replace(Role::StandingBy);
        assert!(futures::poll!(&mut failure).is_pending());
        drop(report);
        let reason = failure.await;
        assert!(reason.contains("estart this broker"), "{reason}");
    }
}
