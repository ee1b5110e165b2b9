//! The HTTP endpoint: `/metrics` for Prometheus, `/health` for people and load balancers.

use crate::metrics::{Metrics, histogram, metric, sample};
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use levee_object::stores::metered::{LATENCY_BOUNDS, StoreMetrics};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// How the broker is.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// The object store's requests, once one is open.
    pub store: Mutex<Option<Arc<StoreMetrics>>>,
    /// How the broker is.
    pub health: watch::Sender<Health>,
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
    let (for_metrics, for_health) = (shown.clone(), shown);
    let router = Router::new()
        .route("/metrics", get(move || async move { metrics(&for_metrics) }))
        .route("/health", get(move || async move { health(&for_health) }));
    let stopped = async move {
        // An error is a sender that is gone: the broker has stopped.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    };
    axum::serve(listener, router).with_graceful_shutdown(stopped).await
}

fn health(shown: &Shown) -> Response {
    let Health { serving, reason } = shown.health.borrow().clone();
    let status = if serving { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let reason = reason.replace('\\', "\\\\").replace('"', "\\\"").replace(['\n', '\r'], " ");
    let body = format!("{{\"serving\":{serving},\"reason\":\"{reason}\"}}\n");
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn metrics(shown: &Shown) -> Response {
    let mut out = String::new();
    shown.broker.write(&mut out);
    streams(&mut out, &shown.streams);
    if let Some(store) = shown.store.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
        requests(&mut out, store);
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], out).into_response()
}

fn streams(out: &mut String, m: &levee_store::Metrics) {
    let rows = [
        ("levee_wal_flushes_total", "counter", "Objects that were sealed and sent.", m.flushes.get()),
        ("levee_wal_flushed_bytes_total", "counter", "Their bytes.", m.flushed_bytes.get()),
        ("levee_wal_batches_total", "counter", "Batches that were appended.", m.batches.get()),
        (
            "levee_wal_full_total",
            "counter",
            "Appends that had to wait because a limit was reached.",
            m.full.get(),
        ),
        (
            "levee_wal_untrimmed_bytes",
            "gauge",
            "Write-ahead log that is not registered yet.",
            m.wal_bytes.get(),
        ),
        ("levee_wal_untrimmed_objects", "gauge", "The same in objects.", m.wal_objects.get()),
        ("levee_wal_in_flight", "gauge", "Objects sent and not yet durable.", m.in_flight.get()),
        ("levee_wal_trims_total", "counter", "Trims that were committed.", m.trims.get()),
        ("levee_tail_cache_objects", "gauge", "Objects in memory.", m.tail_objects.get()),
        ("levee_buffer_bytes", "gauge", "Buffers held.", m.buffer_bytes.get()),
        ("levee_index_cache_bytes", "gauge", "Cached indexes.", m.index_cache_bytes.get()),
        ("levee_tail_reads_total", "counter", "Reads served from memory.", m.tail_reads.get()),
        ("levee_cold_reads_total", "counter", "Reads that went to the store.", m.cold_reads.get()),
        (
            "levee_damaged_reads_total",
            "counter",
            "Reads that met a missing or corrupt object.",
            m.damaged_reads.get(),
        ),
    ];
    for (name, kind, help, value) in rows {
        metric(out, name, kind, help);
        sample(out, name, "", value);
    }
    let name = "levee_wal_flush_seconds";
    metric(out, name, "histogram", "From sealing an object to its being durable.");
    let counts: Vec<u64> = m.flush_latency.buckets.iter().map(levee_store::metrics::Counter::get).collect();
    histogram(out, name, "", &levee_store::metrics::FLUSH_BUCKETS_US, &counts, m.flush_latency.sum_us.get());
}

fn requests(out: &mut String, store: &StoreMetrics) {
    let usage = store.usage();
    let labels = |operation: &str, purpose: &str| format!("operation=\"{operation}\",purpose=\"{purpose}\"");
    metric(out, "levee_store_requests_total", "counter", "Requests to the object store.");
    for row in &usage {
        sample(
            out,
            "levee_store_requests_total",
            &labels(row.operation.name(), row.purpose.name()),
            row.requests,
        );
    }
    metric(
        out,
        "levee_store_unanswered_total",
        "counter",
        "Requests whose caller gave up, or needed the answer no more.",
    );
    for row in &usage {
        sample(
            out,
            "levee_store_unanswered_total",
            &labels(row.operation.name(), row.purpose.name()),
            row.unanswered,
        );
    }
    metric(out, "levee_store_errors_total", "counter", "Requests that failed.");
    for row in &usage {
        for (kind, count) in &row.errors {
            let labels = labels(row.operation.name(), row.purpose.name());
            sample(out, "levee_store_errors_total", &format!("{labels},kind=\"{}\"", kind.name()), count);
        }
    }
    metric(out, "levee_store_bytes_total", "counter", "Bytes written to and read from the object store.");
    for row in &usage {
        let labels = labels(row.operation.name(), row.purpose.name());
        sample(out, "levee_store_bytes_total", &labels, row.bytes_written + row.bytes_read);
    }
    let name = "levee_store_request_seconds";
    metric(out, name, "histogram", "How long requests to the object store took.");
    let bounds: Vec<u64> =
        LATENCY_BOUNDS.iter().map(|b| u64::try_from(b.as_micros()).unwrap_or(u64::MAX)).collect();
    for row in &usage {
        let sum_us = u64::try_from(row.latency_total.as_micros()).unwrap_or(u64::MAX);
        let labels = labels(row.operation.name(), row.purpose.name());
        histogram(out, name, &labels, &bounds, &row.latency_buckets, sum_us);
    }
}
