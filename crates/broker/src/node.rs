//! A node: puts the store, the metadata, the broker and its listeners together, keeps the broker registered,
//! and takes everything apart in order.
//!
//! Coming up: listen (so that a taken port is known at once), open the store and wait for it if it can't be
//! reached, refuse it if it is proven unfit, read the metadata, register, recover, serve. When the broker finds
//! itself fenced it registers again in the same process. Going down: stop reading requests and let their answers
//! leave, make durable what is pending, close the log, sign off.

use crate::collector::collect;
use crate::current::{Config, Current};
use crate::handlers::Handlers;
use crate::handlers::backend::{Broker, Defaults};
use crate::http::{self, Health, Shown};
use crate::led_topics::LedTopics;
use crate::metrics::Metrics;
use crate::net::Listener;
use crate::registration::{MetadataRegistrar, Registrant, RegistrationError};
use crate::wire::frame::RequestHead;
use levee_base::{Clock, NodeId, Random};
use levee_meta::{ControllerOptions, MetaError, Metadata, MetadataContext};
use levee_object::Store;
use levee_object::stores::probe::{Fitness, probe};
use levee_object::stores::{self, Kind};
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
/// How long answers may take to leave when the broker stops.
const DRAIN: Duration = Duration::from_secs(10);
/// How often a registration that failed is tried again.
const REGISTER_AGAIN: Duration = Duration::from_secs(1);

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
    supervisor: JoinHandle<()>,
    listener: JoinHandle<()>,
    http: Option<JoinHandle<io::Result<()>>>,
}

/// What outlives a registration.
struct Parts {
    options: NodeOptions,
    registrant: Registrant,
    wal: WalOptions,
    shown: Arc<Shown>,
    clock: Clock,
    random: Random,
}

impl Node {
    /// Starts a node. `stop` ends the waiting for a store that can't be reached.
    ///
    /// # Errors
    /// When it can't start, and trying again would not help.
    pub async fn start(
        options: NodeOptions,
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
        let shown = Arc::new(Shown {
            broker: Arc::new(Metrics::default()),
            streams: Arc::new(levee_store::Metrics::default()),
            store: std::sync::Mutex::default(),
            health: watch::Sender::new(Health { serving: false, reason: "starting".to_owned() }),
        });
        let http = match &options.http {
            Some(address) => {
                let socket = TcpListener::bind(address).await;
                let socket =
                    socket.map_err(|source| StartError::Listen { address: address.clone(), source })?;
                Some(tokio::spawn(http::serve(socket, shown.clone(), stop.subscribe())))
            }
            None => None,
        };
        let opened = stores::open(&options.store, clock, &random)?;
        *shown.store.lock().unwrap_or_else(PoisonError::into_inner) = Some(opened.metrics.clone());
        fit(&opened.store, &shown, clock, &random, &mut stop.subscribe()).await?;
        let ctx = MetadataContext { store: opened.store.clone(), clock, random: random.clone() };
        let metadata = Metadata::start(ctx, ControllerOptions::default()).await?;
        let registrant = Registrant {
            metadata,
            store: opened.store.clone(),
            node: options.node,
            address: format!("{}:{}", host.0, host.1),
            clock,
            random: random.clone(),
        };
        let wal = options.wal.options(opened.kind);
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
        let parts = Parts { options, registrant, wal, shown, clock, random };
        let broker = parts.register().await?;
        let current = Arc::new(Current::new(config, broker.clone()));
        let counted = parts.shown.broker.clone();
        let observer = Box::new(move |head: &RequestHead, took, request_bytes, response_bytes| {
            counted.answered(head.api, took, request_bytes, response_bytes);
        });
        let handlers = Handlers::new(current.clone(), current.clone(), clock).with_observer(observer);
        let handlers = Arc::new(handlers);
        let (drained, all_drained) = watch::channel(false);
        let serving = listener.run(handlers, stop.subscribe(), DRAIN);
        let listening = tokio::spawn(async move {
            serving.await;
            drained.send_replace(true);
        });
        let location = opened.store.location();
        parts.healthy(true, "serving");
        let supervisor = tokio::spawn(parts.supervise(broker, current, all_drained));
        Ok(Self { address, location, stop, supervisor, listener: listening, http })
    }

    /// Stops in order. What has been acknowledged is durable whether this is called or not.
    pub async fn shutdown(self) {
        self.stop.send_replace(true);
        let ended = [("listener", self.listener.await), ("broker", self.supervisor.await)];
        for (part, ended) in ended {
            if let Err(error) = ended {
                tracing::error!(%error, "the {part} ended abnormally");
            }
        }
        if let Some(http) = self.http {
            match http.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "the HTTP endpoint failed"),
                Err(error) => tracing::error!(%error, "the HTTP endpoint ended abnormally"),
            }
        }
    }
}

/// Waits until the store answers, and refuses it when it is proven unfit.
async fn fit(
    store: &Arc<dyn Store>,
    shown: &Shown,
    clock: Clock,
    random: &Random,
    stop: &mut watch::Receiver<bool>,
) -> Result<(), StartError> {
    loop {
        match probe(&**store, random).await {
            Fitness::Fit => return Ok(()),
            Fitness::Unfit(reason) => return Err(StartError::Unfit { location: store.location(), reason }),
            Fitness::Unknown(error) => {
                tracing::warn!(%error, "waiting for the store");
                let reason = format!("waiting for the store: {error}");
                shown.health.send_replace(Health { serving: false, reason });
            }
        }
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return Err(StartError::Stopped),
            () = clock.sleep(STORE_AGAIN) => {}
        }
    }
}

impl Parts {
    fn healthy(&self, serving: bool, reason: &str) {
        self.shown.health.send_replace(Health { serving, reason: reason.to_owned() });
    }

    /// Registers and opens the log of the registration.
    async fn register(&self) -> Result<Arc<LedTopics>, RegistrationError> {
        let Self { options, registrant, clock, random, .. } = self;
        let (epoch, indexes) = registrant.register().await?;
        let metadata = registrant.metadata.clone();
        let registrar = Arc::new(MetadataRegistrar(metadata.clone()));
        let (log, writer) = (registrant.log(options.node), random.writer_id());
        let streams = StreamStore::open(log, epoch, writer, registrar, self.wal, self.shown.streams.clone());
        for recovered in indexes {
            streams.keep_indexes(recovered);
        }
        let led = LedTopics::new(options.node, epoch, metadata, streams, *clock, random.clone());
        led.open_all().await;
        Ok(Arc::new(led))
    }

    /// Keeps a broker registered until the connections have drained (`stop`), and signs it off.
    async fn supervise(
        self,
        mut broker: Arc<LedTopics>,
        current: Arc<Current>,
        mut stop: watch::Receiver<bool>,
    ) {
        loop {
            let mut status = broker.store.status();
            let fenced = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                () = broker.maintain() => continue,
                () = collect(&broker.metadata, &*self.registrant.store, self.clock) => continue,
                stopped = status.wait_for(|status| status.stopped.is_some()) => {
                    stopped.ok().and_then(|status| status.stopped.clone())
                }
            };
            let reason = fenced.map_or_else(|| "its store is gone".to_owned(), |stopped| stopped.to_string());
            tracing::warn!(epoch = %broker.epoch, %reason, "the broker's epoch has ended; registering again");
            self.healthy(false, &format!("registering again: {reason}"));
            match self.again(&mut stop).await {
                Some(next) => broker = next,
                None => break,
            }
            current.replace(broker.clone());
            self.healthy(true, "serving");
        }
        self.healthy(false, "stopping");
        broker.store.shutdown().await;
        if let Err(error) = self.registrant.sign_off(broker.epoch).await {
            tracing::warn!(%error, "could not sign off; the next start will recover");
        }
        self.registrant.metadata.shutdown().await;
    }

    /// Registers again and again until it succeeds; `None` when told to stop.
    async fn again(&self, stop: &mut watch::Receiver<bool>) -> Option<Arc<LedTopics>> {
        loop {
            match self.register().await {
                Ok(broker) => return Some(broker),
                Err(error) => tracing::warn!(%error, "can't register; trying again"),
            }
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return None,
                () = self.clock.sleep(REGISTER_AGAIN) => {}
            }
        }
    }
}
