//! Accepts connections, so many at once, and lets them finish when the broker stops.

use super::connection::{Ended, Service, Shared, serve};
use levee_base::Clock;
use levee_base::limits::{CONNECTIONS, REQUEST_BYTES};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// Kafka's `connections.max.idle.ms`.
const IDLE: Duration = Duration::from_secs(600);
/// How long answers may take to leave when the broker stops.
const DRAIN: Duration = Duration::from_secs(10);
/// The wait after a failed accept, as when there are no file descriptors left.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// A listening socket.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    /// How many connections there are, for the metrics.
    pub connections: Arc<AtomicUsize>,
}

impl Listener {
    /// Listens on `address`.
    ///
    /// # Errors
    /// The system's, as when the address is in use.
    pub async fn bind(address: &str) -> io::Result<Self> {
        Ok(Self { socket: TcpListener::bind(address).await?, connections: Arc::default() })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system's.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until `stopping` becomes true and the connections have drained.
    pub async fn run(self, service: Arc<impl Service>, stopping: watch::Receiver<bool>, clock: Clock) {
        let request_memory = Arc::new(Semaphore::new(REQUEST_BYTES / 1024));
        let mut shared = Shared { request_memory, stopping, idle: IDLE, clock };
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                biased;
                _ = shared.stopping.wait_for(|stopping| *stopping) => break,
                Some(_) = connections.join_next() => continue,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((_, peer)) if connections.len() >= CONNECTIONS => {
                    tracing::warn!(%peer, "refused: there are {CONNECTIONS} connections already");
                }
                Ok((stream, peer)) => {
                    // Answers are written whole; without it they are only later.
                    let _ = stream.set_nodelay(true);
                    let (service, shared) = (service.clone(), shared.clone());
                    let count = self.connections.clone();
                    connections.spawn(async move {
                        count.fetch_add(1, Ordering::Relaxed);
                        match serve(stream, peer, service, shared).await {
                            Ok(()) => {}
                            Err(Ended::Io(error)) => tracing::debug!(%peer, %error, "a connection broke"),
                            Err(ended) => tracing::warn!(%peer, "{ended}"),
                        }
                        count.fetch_sub(1, Ordering::Relaxed);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "can't accept a connection");
                    clock.sleep(ACCEPT_AGAIN).await;
                }
            }
        }
        let drained = clock.timeout(DRAIN, async { while connections.join_next().await.is_some() {} }).await;
        if drained.is_none() {
            tracing::warn!("{} connections did not finish in time", connections.len());
        }
    }
}
