//! Accepts connections, up to a limit, and lets them finish on shutdown.

use super::service::Service;
use super::{connection, descriptors};
use levee_base::Clock;
use levee_base::limits::REQUEST_BYTES;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tracing::{info, warn};

/// After a failed accept (no file descriptors left, most likely), the next try waits so long.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// What all connections share.
#[derive(Debug)]
pub struct Shared {
    /// Time.
    pub clock: Clock,
    /// Request bytes that may yet be held, of [`REQUEST_BYTES`].
    pub request_bytes: Arc<Semaphore>,
    /// Becomes true when no more requests shall be read.
    pub stop: watch::Receiver<bool>,
}

/// A listening socket.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    clock: Clock,
    connections: usize,
}

impl Listener {
    /// Binds `address`. There may be as many connections as [`descriptors::connections`] says.
    ///
    /// # Errors
    /// When the address can't be resolved, is taken, or may not be used.
    pub async fn bind(address: impl ToSocketAddrs, clock: Clock) -> io::Result<Self> {
        Ok(Self { socket: TcpListener::bind(address).await?, clock, connections: descriptors::connections() })
    }

    /// With another limit of connections.
    #[must_use]
    pub const fn with_connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// The address that it is bound to.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves connections until `stop` becomes true, or its sender is gone. Then it accepts and reads nothing more,
    /// lets the pending answers finish, and drops what is left after `grace`.
    pub async fn run<S: Service>(self, service: Arc<S>, mut stop: watch::Receiver<bool>, grace: Duration) {
        let shared = Arc::new(Shared {
            clock: self.clock,
            request_bytes: Arc::new(Semaphore::new(REQUEST_BYTES)),
            stop: stop.clone(),
        });
        let mut running = JoinSet::new();
        // Neither is logged for each connection: who opens them in a loop would fill the log.
        let (mut failing, mut full) = (false, false);
        loop {
            let accepted = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                Some(_) = running.join_next() => continue,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((socket, peer)) => {
                    failing = false;
                    if running.len() < self.connections {
                        full = false;
                        admit(socket, peer, &mut running, &service, &shared);
                    } else if !full {
                        full = true;
                        warn!(%peer, limit = self.connections, "closing new connections, as many as allowed are \
                            open: raise the limit of open files (ulimit -n), or find the client that leaks them");
                    }
                }
                Err(error) => {
                    if !failing {
                        warn!(%error, "no connection can be accepted; trying on (are the file descriptors used up?)");
                    }
                    failing = true;
                    self.clock.sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
        drop(self.socket);
        let all_done = async { while running.join_next().await.is_some() {} };
        if self.clock.timeout(grace, all_done).await.is_none() {
            info!(connections = running.len(), "closing connections whose answers did not finish in time");
            running.shutdown().await;
        }
    }
}

fn admit<S: Service>(
    socket: TcpStream,
    peer: SocketAddr,
    running: &mut JoinSet<()>,
    service: &Arc<S>,
    shared: &Arc<Shared>,
) {
    if let Err(error) = socket.set_nodelay(true) {
        // The peer is gone already.
        info!(%peer, %error, "closing a new connection");
        return;
    }
    running.spawn(connection::run(socket, peer, Arc::clone(service), Arc::clone(shared)));
}
