//! A node: puts the store, the metadata, the broker and its listeners together, keeps the broker registered,
//! and takes everything apart in order.
//!
//! Coming up: listen (so that a taken port is known at once), open the store and wait for it if it can't be
//! reached, refuse it if it is proven unfit, read the metadata, register, recover, serve; from then on `supervisor`
//! keeps the broker registered. Going down: stop reading requests and let their answers leave, make durable what is pending, close the log,
//! sign off. Each of these has so much time and no more: what is not done then the next start does, as after a crash.
//! The HTTP endpoint goes last, so that nobody takes a broker that is draining for one that is gone.

mod options;
mod supervisor;

pub use options::{DiskCacheConfig, NodeOptions, ReadConfig, WalConfig};

use crate::current::{Config, Current};
use crate::handlers::Handlers;
use crate::handlers::backend::{Broker, Defaults};
use crate::holder::Newcomer;
use crate::http::{self, Health, Shown};
use crate::net::Listener;
use crate::registration::{Registrant, RegistrationError};
use crate::wire::frame::RequestHead;
use levee_base::limits::{STOP_CONNECTIONS, STOP_HTTP, STOP_STORE};
use levee_base::{Clock, Random};
use levee_meta::{ControllerOptions, MetaError, Metadata, MetadataContext};
use levee_object::Store;
use levee_object::stores::probe::{Fitness, clean_up, probe};
use levee_object::stores::{self, Kind, Opened};
use options::{host_and_port, internal_address};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use supervisor::Supervisor;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How often a store that can't be reached is tried again.
const STORE_AGAIN: Duration = Duration::from_secs(2);

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
    /// There can be no cache on the local disk.
    #[error(
        "no disk cache can be made in {}: {source}. Give --disk-cache a directory that can be written and has room for \
         --disk-cache-mib, or leave it out",
        path.display()
    )]
    DiskCache {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
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
        let streams = options.streams(opened.kind, clock)?;
        if let Some(disk_cache) = &streams.disk_cache {
            // It is set once, here.
            let _ = shown.disk_cache.set(disk_cache.metrics().clone());
        }
        let http_address = http.as_ref().map(|http| http.address);
        let internal = internal_address(&options, &host.0, address, http_address, opened.kind);
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
            let supervisor = Supervisor {
                registrant,
                streams,
                intervals: options.intervals,
                coordinators: options.coordinators,
                shown: shown.clone(),
                clock,
                random: random.clone(),
            };
            supervisor.healthy(false, "registering");
            let broker = supervisor.register(Newcomer::Started, &mut None).await?;
            Ok::<_, StartError>((supervisor, broker))
        };
        let (supervisor, broker) = tokio::select! {
            biased;
            _ = stopping.wait_for(|stop| *stop) => return Err(StartError::Stopped),
            up = coming_up => up?,
        };
        let location = opened.store.location();
        let config = Config {
            location: location.clone(),
            broker_configs: options.broker_configs(&host.0, host.1),
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
        let handlers =
            Handlers::new(current.clone(), current.clone(), current.clone(), clock).with_observer(observer);
        let handlers = Arc::new(handlers);
        let (drained, all_drained) = watch::channel(false);
        let serving = listener.run(handlers, stop.subscribe(), STOP_CONNECTIONS);
        let listening = tokio::spawn(async move {
            serving.await;
            drained.send_replace(true);
        });
        supervisor.healthy(true, "serving");
        let supervisor = tokio::spawn(supervisor.run(broker, current, all_drained));
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
