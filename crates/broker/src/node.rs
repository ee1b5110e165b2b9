//! A node: puts the store, the metadata, the broker and its listeners together, keeps the broker registered,
//! and takes everything apart in order.
//!
//! Coming up: listen (so that a taken port is known at once), open the store and wait for it if it can't be
//! reached, refuse it if it is proven unfit, read the metadata, register, recover, serve. When the broker finds
//! itself fenced it registers again in the same process, unless its successor is alive: then it stays up, says so
//! in `/health`, and asks again from time to time. When the metadata can't be read on it says so there, and serves
//! reads. Going down: stop reading requests and let their answers leave, make durable what is pending, close the log,
//! sign off. Each of these has so much time and no more: what is not done then the next start does, as after a crash.
//! The HTTP endpoint goes last, so that nobody takes a broker that is draining for one that is gone.

use crate::collector::collect;
use crate::current::{Config, Current};
use crate::handlers::Handlers;
use crate::handlers::backend::{Broker, Defaults};
use crate::holder::Newcomer;
use crate::http::{self, Health, Shown};
use crate::led_topics::LedTopics;
use crate::net::Listener;
use crate::registration::{MetadataRegistrar, Registrant, RegistrationError};
use crate::wire::frame::RequestHead;
use levee_base::clock::Instant;
use levee_base::limits::{STOP_CONNECTIONS, STOP_HTTP, STOP_STORE};
use levee_base::{BrokerEpoch, Clock, NodeId, Random};
use levee_meta::{ControllerOptions, MetaError, Metadata, MetadataContext, Role};
use levee_object::Store;
use levee_object::stores::probe::{Fitness, clean_up, probe};
use levee_object::stores::{self, Kind, Opened};
use levee_store::{StreamStore, WalOptions};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How often a store that can't be reached is tried again.
const STORE_AGAIN: Duration = Duration::from_secs(2);
/// How often a registration that failed is tried again.
const REGISTER_AGAIN: Duration = Duration::from_secs(1);
/// How often a broker asks again whose node id is held by another that is alive.
const HELD_AGAIN: Duration = Duration::from_secs(5);

/// What a node is started with.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// The store's URL or path.
    pub store: String,
    /// Where to listen for Kafka clients.
    pub listen: String,
    /// Where clients are told to connect; where it listens when `None`.
    pub advertise: Option<(String, u16)>,
    /// Where to listen for HTTP; nowhere when `None`.
    pub http: Option<String>,
    /// `host:port` where other brokers reach the HTTP endpoint; the host of `advertise` and the port of `http`
    /// when `None`.
    pub internal: Option<String>,
    /// How long the last holder of the node id may stay silent before it counts as gone, on a store without a lock.
    pub session_timeout: Duration,
    /// This broker's number.
    pub node: NodeId,
    /// Kafka's `auto.create.topics.enable`.
    pub auto_create_topics: bool,
    /// Kafka's `num.partitions`.
    pub num_partitions: u32,
    /// The write-ahead log's.
    pub wal: WalConfig,
}

/// What is configured of the write-ahead log; `None` takes what suits the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WalConfig {
    /// The least time between two flushes.
    pub pace: Option<Duration>,
    /// Flushes in flight.
    pub in_flight: Option<usize>,
    /// Un-registered bytes.
    pub untrimmed_bytes: Option<usize>,
    /// Un-registered objects.
    pub untrimmed_objects: Option<usize>,
    /// Memory for records.
    pub buffer_bytes: Option<usize>,
}

impl WalConfig {
    fn options(&self, kind: Kind) -> WalOptions {
        let suits = if kind == Kind::Cloud { WalOptions::cloud() } else { WalOptions::folder() };
        WalOptions {
            pace: self.pace.unwrap_or(suits.pace),
            in_flight: self.in_flight.unwrap_or(suits.in_flight),
            object_bytes: suits.object_bytes,
            untrimmed_bytes: self.untrimmed_bytes.unwrap_or(suits.untrimmed_bytes),
            untrimmed_objects: self.untrimmed_objects.unwrap_or(suits.untrimmed_objects),
            buffer_bytes: self.buffer_bytes.unwrap_or(suits.buffer_bytes),
            hedges: suits.hedges,
        }
    }
}

/// Why a node can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address can't be listened on.
    #[error("can't listen on {address}: {source}")]
    Listen {
        /// Which.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The address says nothing that a client could connect to.
    #[error("{0} is a wildcard address, which no client can connect to: give --advertise HOST:PORT")]
    Wildcard(SocketAddr),
    /// The store can't be opened.
    #[error(transparent)]
    Store(#[from] levee_object::Error),
    /// The store will not do.
    #[error("{location} will not do as a store: {reason}. `levee store check` tells more")]
    Unfit {
        /// Which store.
        location: String,
        /// Why.
        reason: String,
    },
    /// The metadata can't be read.
    #[error(transparent)]
    Metadata(#[from] MetaError),
    /// The broker can't register.
    #[error(transparent)]
    Registration(#[from] RegistrationError),
    /// It was told to stop before it had started.
    #[error("stopped before it was up")]
    Stopped,
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    /// Where it listens for Kafka clients.
    pub address: SocketAddr,
    /// Where everything is kept.
    pub location: String,
    stop: watch::Sender<bool>,
    supervisor: JoinHandle<Shutdown>,
    listener: JoinHandle<()>,
    http: Option<Http>,
    clock: Clock,
}

/// The HTTP endpoint, which lives longer than everything else.
#[derive(Debug)]
struct Http {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<io::Result<()>>,
}

/// How a node ended. What was acknowledged is durable in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Shutdown {
    /// What was pending is durable, and the broker has signed off.
    InOrder,
    /// The store did not answer in time: the next start recovers, as after a crash.
    AtOnce,
}

/// What outlives a registration.
struct Parts {
    registrant: Registrant,
    wal: WalOptions,
    shown: Arc<Shown>,
    clock: Clock,
    random: Random,
}

impl Node {
    /// Starts a node. `stop` ends the waiting for a store that can't be reached, or for the node id's last holder.
    ///
    /// # Errors
    /// When it can't start, and trying again would not help.
    pub async fn start(
        options: NodeOptions,
        clock: Clock,
        random: Random,
        stop: watch::Sender<bool>,
    ) -> Result<Self, StartError> {
        let store = options.store.clone();
        Self::start_on(options, move |random| stores::open(&store, clock, random), clock, random, stop).await
    }

    /// Starts a node on the store that `open` opens, whatever the options name.
    ///
    /// # Errors
    /// As [`Node::start`].
    pub async fn start_on(
        options: NodeOptions,
        open: impl FnOnce(&Random) -> levee_object::Result<Opened>,
        clock: Clock,
        random: Random,
        stop: watch::Sender<bool>,
    ) -> Result<Self, StartError> {
        let bound = Listener::bind(&options.listen, clock).await.and_then(|l| Ok((l.local_addr()?, l)));
        let (address, listener) =
            bound.map_err(|source| StartError::Listen { address: options.listen.clone(), source })?;
        let host = match &options.advertise {
            Some(host) => host.clone(),
            None if address.ip().is_unspecified() => return Err(StartError::Wildcard(address)),
            None => (address.ip().to_string(), address.port()),
        };
        let shown = Arc::new(Shown::new(options.node));
        let http = match &options.http {
            Some(address) => Some(Http::start(address, shown.clone()).await?),
            None => None,
        };
        let opened = open(&random)?;
        *shown.store.lock().unwrap_or_else(PoisonError::into_inner) = Some(opened.metrics.clone());
        let internal = internal_address(&options, &host.0, address, http.as_ref(), opened.kind);
        let mut stopping = stop.subscribe();
        let coming_up = async {
            fit(&opened.store, &shown, clock, &random).await?;
            let ctx = MetadataContext { store: opened.store.clone(), clock, random: random.clone() };
            let controller =
                ControllerOptions { hedges: opened.kind == Kind::Cloud, ..ControllerOptions::default() };
            let metadata = Metadata::start(ctx, controller).await?;
            // It is set once, here.
            let _ = shown.process.set(metadata.process());
            let registrant = Registrant {
                metadata,
                store: opened.store.clone(),
                node: options.node,
                address: host_and_port(&host.0, host.1),
                internal,
                exclusive: opened.kind != Kind::Cloud,
                session_timeout: options.session_timeout,
                clock,
                random: random.clone(),
            };
            let wal = options.wal.options(opened.kind);
            let parts = Parts { registrant, wal, shown: shown.clone(), clock, random: random.clone() };
            parts.healthy(false, "registering");
            let broker = parts.register(Newcomer::Started, &mut None).await?;
            Ok::<_, StartError>((parts, broker))
        };
        let (parts, broker) = tokio::select! {
            biased;
            _ = stopping.wait_for(|stop| *stop) => return Err(StartError::Stopped),
            up = coming_up => up?,
        };
        let config = Config {
            broker: Broker {
                id: i32::try_from(options.node.0).unwrap_or(i32::MAX),
                host: host.0,
                port: host.1,
            },
            defaults: Defaults {
                partitions: options.num_partitions,
                // One replica is Levee's: the others are the store's.
                replication_factor: 1,
                auto_create: options.auto_create_topics,
            },
        };
        let current = Arc::new(Current::new(config, broker.clone()));
        let counted = shown.broker.clone();
        let observer = Box::new(move |head: &RequestHead, took, request_bytes, response_bytes| {
            counted.answered(head.api, took, request_bytes, response_bytes);
        });
        let handlers = Handlers::new(current.clone(), current.clone(), clock).with_observer(observer);
        let handlers = Arc::new(handlers);
        let (drained, all_drained) = watch::channel(false);
        let serving = listener.run(handlers, stop.subscribe(), STOP_CONNECTIONS);
        let listening = tokio::spawn(async move {
            serving.await;
            drained.send_replace(true);
        });
        let location = opened.store.location();
        parts.healthy(true, "serving");
        let supervisor = tokio::spawn(parts.supervise(broker, current, all_drained));
        Ok(Self { address, location, stop, supervisor, listener: listening, http, clock })
    }

    /// Where it listens for HTTP.
    #[must_use]
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(|http| http.address)
    }

    /// Stops in order, in bounded time. What has been acknowledged is durable whether this is called or not.
    pub async fn shutdown(self) -> Shutdown {
        self.stop.send_replace(true);
        if let Err(error) = self.listener.await {
            tracing::error!(%error, "the listener ended abnormally");
        }
        let mut supervisor = self.supervisor;
        let how = match self.clock.timeout(STOP_STORE, &mut supervisor).await {
            Some(Ok(how)) => how,
            Some(Err(error)) => {
                tracing::error!(%error, "the broker ended abnormally");
                Shutdown::AtOnce
            }
            None => {
                supervisor.abort();
                tracing::warn!(waited = ?STOP_STORE, "the store does not answer");
                Shutdown::AtOnce
            }
        };
        if let Some(http) = self.http {
            http.stop(self.clock).await;
        }
        how
    }
}

impl Http {
    async fn start(address: &str, shown: Arc<Shown>) -> Result<Self, StartError> {
        let bound = TcpListener::bind(address).await.and_then(|socket| Ok((socket.local_addr()?, socket)));
        let (at, socket) =
            bound.map_err(|source| StartError::Listen { address: address.to_owned(), source })?;
        let (stop, stopping) = watch::channel(false);
        Ok(Self { address: at, stop, task: tokio::spawn(http::serve(socket, shown, stopping)) })
    }

    async fn stop(mut self, clock: Clock) {
        self.stop.send_replace(true);
        match clock.timeout(STOP_HTTP, &mut self.task).await {
            Some(Ok(Ok(()))) => {}
            Some(Ok(Err(error))) => tracing::warn!(%error, "the HTTP endpoint failed"),
            Some(Err(error)) => tracing::error!(%error, "the HTTP endpoint ended abnormally"),
            // Somebody keeps a connection open.
            None => self.task.abort(),
        }
    }
}

fn host_and_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The address that is registered for other brokers, `host:port`, or empty. Warns where nobody can reach it.
fn internal_address(
    options: &NodeOptions,
    host: &str,
    listens: SocketAddr,
    http: Option<&Http>,
    kind: Kind,
) -> String {
    let wanted = kind == Kind::Cloud;
    if let Some(internal) = &options.internal {
        return internal.clone();
    }
    let Some(http) = http else {
        if wanted {
            tracing::warn!(
                "without --http nobody can ask this broker whether it is alive: a restart after a crash waits for \
                 --session-timeout-ms, and a second broker with this node id takes over from it"
            );
        }
        return String::new();
    };
    if wanted && http.address.ip().is_loopback() && !listens.ip().is_loopback() {
        tracing::warn!(
            http = %http.address,
            "a second broker with this node id on another machine can't ask this one whether it is alive, and takes \
             over from it: give --http an address that brokers reach, or --internal HOST:PORT"
        );
    }
    host_and_port(host, http.address.port())
}

/// Waits until the store answers, and refuses it when it is proven unfit.
async fn fit(store: &Arc<dyn Store>, shown: &Shown, clock: Clock, random: &Random) -> Result<(), StartError> {
    loop {
        let (fitness, key) = probe(&**store, random).await;
        let cleaned = store.clone();
        tokio::spawn(async move { clean_up(&*cleaned, &key).await });
        match fitness {
            Fitness::Fit => return Ok(()),
            Fitness::Unfit(reason) => return Err(StartError::Unfit { location: store.location(), reason }),
            Fitness::Unknown(error) => {
                tracing::warn!(%error, "waiting for the store");
                let reason = format!("waiting for the store: {error}");
                shown.health.send_replace(Health { serving: false, reason });
            }
        }
        clock.sleep(STORE_AGAIN).await;
    }
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

impl Parts {
    fn healthy(&self, serving: bool, reason: &str) {
        self.shown.health.send_replace(Health { serving, reason: reason.to_owned() });
    }

    /// Registers and opens the log of the registration. `held` as for [`Registrant::register`].
    async fn register(
        &self,
        newcomer: Newcomer,
        held: &mut Option<BrokerEpoch>,
    ) -> Result<Arc<LedTopics>, RegistrationError> {
        let Self { registrant, clock, random, .. } = self;
        let (epoch, indexes) = registrant.register(newcomer, held).await?;
        let metadata = registrant.metadata.clone();
        let registrar = Arc::new(MetadataRegistrar(metadata.clone()));
        let (log, writer) = (registrant.log(registrant.node), random.writer_id());
        let streams = StreamStore::open(log, epoch, writer, registrar, self.wal, self.shown.streams.clone());
        for recovered in indexes {
            streams.keep_indexes(recovered);
        }
        let led = LedTopics::new(registrant.node, epoch, metadata, streams, *clock, random.clone());
        led.open_all().await;
        Ok(Arc::new(led))
    }

    /// Keeps a broker registered until the connections have drained (`stop`), and signs it off.
    async fn supervise(
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
