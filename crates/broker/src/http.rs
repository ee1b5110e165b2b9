//! The HTTP endpoint: `/metrics` for Prometheus, `/health` for people and load balancers, `/identity` for a
//! broker that finds its node id taken.

use crate::exposition;
use crate::holder::{self, Identity};
use crate::metrics::Metrics;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use levee_base::NodeId;
use levee_meta::ProcessId;
use levee_object::stores::metered::StoreMetrics;
use levee_store::DiskCacheMetrics;
use serde::Serialize;
use std::io;
use std::sync::{Arc, Mutex, OnceLock};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// How the broker is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Health {
    /// Whether clients are served.
    pub serving: bool,
    /// In words.
    pub reason: String,
}

/// What the endpoint shows.
#[derive(Debug)]
pub struct Shown {
    /// The broker's own counters.
    pub broker: Arc<Metrics>,
    /// The stream store's.
    pub streams: Arc<levee_store::Metrics>,
    /// The disk cache's, if there is one.
    pub disk_cache: OnceLock<Arc<DiskCacheMetrics>>,
    /// The object store's requests, once one is open.
    pub store: Mutex<Option<Arc<StoreMetrics>>>,
    /// How the broker is.
    pub health: watch::Sender<Health>,
    /// Its number.
    pub node: NodeId,
    /// Which run of the program, once the metadata is read.
    pub process: OnceLock<ProcessId>,
}

impl Shown {
    /// What a broker shows that has just been started.
    #[must_use]
    pub fn new(node: NodeId) -> Self {
        Self {
            broker: Arc::default(),
            streams: Arc::default(),
            disk_cache: OnceLock::new(),
            store: Mutex::default(),
            health: watch::Sender::new(Health { serving: false, reason: "starting".to_owned() }),
            node,
            process: OnceLock::new(),
        }
    }
}

/// Serves until `stopping` becomes true.
///
/// # Errors
/// The socket's.
pub async fn serve(
    listener: TcpListener,
    shown: Arc<Shown>,
    mut stopping: watch::Receiver<bool>,
) -> io::Result<()> {
    let (for_metrics, for_health, for_identity) = (shown.clone(), shown.clone(), shown);
    let router = Router::new()
        .route("/metrics", get(move || async move { metrics(&for_metrics) }))
        .route("/health", get(move || async move { health(&for_health) }))
        .route(holder::PATH, get(move || async move { identity(&for_identity) }));
    let stopped = async move {
        // An error is a sender that is gone: the broker has stopped.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    };
    axum::serve(listener, router).with_graceful_shutdown(stopped).await
}

fn json(status: StatusCode, document: &impl Serialize) -> Response {
    match serde_json::to_string(document) {
        Ok(text) => (status, [(header::CONTENT_TYPE, "application/json")], text + "\n").into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn health(shown: &Shown) -> Response {
    let health = shown.health.borrow().clone();
    let status = if health.serving { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json(status, &health)
}

fn identity(shown: &Shown) -> Response {
    let process_id = shown.process.get().map(ToString::to_string);
    json(StatusCode::OK, &Identity { node_id: shown.node.0, process_id })
}

fn metrics(shown: &Arc<Shown>) -> Response {
    match exposition::text(shown) {
        Ok(text) => ([(header::CONTENT_TYPE, exposition::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
