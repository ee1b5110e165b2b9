//! Everything that is counted, as OpenMetrics text: names, help and labels. The counters themselves are plain
//! atomics where they are counted, and are read when somebody asks; prometheus-client knows the format.

use crate::http::Shown;
use crate::metrics::{Api, BOUNDS_US, Metrics};
use levee_object::stores::metered::{LATENCY_BOUNDS, StoreMetrics, Usage};
use levee_store::DiskCacheMetrics;
use levee_store::metrics::{Counter, FLUSH_BUCKETS_US};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};

/// The content type of [`text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics as OpenMetrics text.
///
/// # Errors
/// Never, as a string takes it all.
pub fn text(shown: &Arc<Shown>) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("levee");
    registry.register_collector(Box::new(shown.clone()));
    let mut out = String::new();
    text::encode(&mut out, &registry)?;
    Ok(out)
}

impl Collector for Shown {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let out = &mut encoder;
        build(out)?;
        gauge(out, "serving", None, "Whether clients are served", u64::from(self.health.borrow().serving))?;
        apis(out, &self.broker)?;
        streams(out, &self.streams)?;
        if let Some(metrics) = self.disk_cache.get() {
            disk_cache(out, metrics)?;
        }
        match self.store.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            Some(store) => requests(out, store),
            None => Ok(()),
        }
    }
}

/// What is counted or measured of something: name, unit, help, value.
type Counted<T> = (&'static str, Option<Unit>, &'static str, fn(&T) -> u64);

fn family<'a>(
    out: &'a mut DescriptorEncoder<'_>,
    (name, unit, help): (&'a str, Option<&'a Unit>, &str),
    kind: MetricType,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    out.encode_descriptor(name, &format!("{help}."), unit, kind)
}

fn build(out: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let mut info = family(out, ("build", None, "What is running"), MetricType::Info)?;
    info.encode_info(&[("version", env!("CARGO_PKG_VERSION"))])
}

fn gauge(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    unit: Option<&Unit>,
    help: &str,
    value: u64,
) -> fmt::Result {
    family(out, (name, unit, help), MetricType::Gauge)?.encode_gauge(&value)
}

fn counters<T>(out: &mut DescriptorEncoder<'_>, counted: &[Counted<T>], of: &T) -> fmt::Result {
    for (name, unit, help, value) in counted {
        family(out, (name, unit.as_ref(), help), MetricType::Counter)?
            .encode_counter::<NoLabelSet, _, u64>(&value(of), None)?;
    }
    Ok(())
}

fn gauges<T>(out: &mut DescriptorEncoder<'_>, measured: &[Counted<T>], of: &T) -> fmt::Result {
    for (name, unit, help, value) in measured {
        gauge(out, name, unit.as_ref(), help, value(of))?;
    }
    Ok(())
}

/// A counter of microseconds, shown in seconds.
fn counter_seconds(out: &mut DescriptorEncoder<'_>, name: &str, help: &str, us: u64) -> fmt::Result {
    family(out, (name, Some(&Unit::Seconds), help), MetricType::Counter)?
        .encode_counter::<NoLabelSet, _, u64>(&seconds(us), None)
}

/// A histogram in seconds, of counts a bucket (not cumulative; the last has no bound).
fn histogram(out: &mut MetricEncoder<'_>, bounds: &[f64], counts: &[u64], sum: f64) -> fmt::Result {
    let bounds = bounds.iter().copied().chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = bounds.zip(counts.iter().copied()).collect();
    out.encode_histogram::<NoLabelSet>(sum, counts.iter().sum(), &buckets, None)
}

fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

fn apis(out: &mut DescriptorEncoder<'_>, metrics: &Metrics) -> fmt::Result {
    let counters: [Counted<Api>; 3] = [
        ("requests", None, "Requests that were answered, by API", |api| api.requests()),
        ("request", Some(Unit::Bytes), "Bytes of requests, by API", |api| api.request_bytes.load(Relaxed)),
        ("response", Some(Unit::Bytes), "Bytes of answers, by API", |api| api.response_bytes.load(Relaxed)),
    ];
    for (name, unit, help, value) in &counters {
        let mut rows = family(out, (name, unit.as_ref(), help), MetricType::Counter)?;
        for (key, api) in metrics.used() {
            rows.encode_family(&[("api", format!("{key:?}"))])?
                .encode_counter::<NoLabelSet, _, u64>(&value(api), None)?;
        }
    }
    let help = "Time from reading a request to its answer, by API";
    let mut rows = family(out, ("request", Some(&Unit::Seconds), help), MetricType::Histogram)?;
    let bounds = BOUNDS_US.map(seconds);
    for (key, api) in metrics.used() {
        let counts = api.buckets.each_ref().map(|bucket| bucket.load(Relaxed));
        let sum = seconds(api.sum_us.load(Relaxed));
        histogram(&mut rows.encode_family(&[("api", format!("{key:?}"))])?, &bounds, &counts, sum)?;
    }
    Ok(())
}

fn streams(out: &mut DescriptorEncoder<'_>, m: &levee_store::Metrics) -> fmt::Result {
    let counted: [Counted<levee_store::Metrics>; 21] = [
        ("wal_flushes", None, "Objects that were sealed and sent", |m| m.flushes.get()),
        ("wal_flushed", Some(Unit::Bytes), "Bytes of objects that were sealed and sent", |m| {
            m.flushed_bytes.get()
        }),
        ("wal_batches", None, "Batches that were appended", |m| m.batches.get()),
        ("wal_batch", Some(Unit::Bytes), "Bytes of batches that were appended", |m| m.batch_bytes.get()),
        ("wal_full", None, "Appends that had to wait because a limit was reached", |m| m.full.get()),
        ("wal_trims", None, "Trims that were committed", |m| m.trims.get()),
        ("wal_extents", None, "Extents that trims registered", |m| m.extents.get()),
        ("promoted", Some(Unit::Bytes), "Batches that stay in the write-ahead log's objects", |m| {
            m.promoted_bytes.get()
        }),
        ("uploads", None, "Objects gathered from the write-ahead log", |m| m.uploads.get()),
        ("uploaded", Some(Unit::Bytes), "Bytes of objects gathered from the write-ahead log", |m| {
            m.uploaded_bytes.get()
        }),
        ("compactions", None, "Compactions that were committed", |m| m.compactions.get()),
        ("compacted", Some(Unit::Bytes), "Bytes of batches that compactions moved", |m| {
            m.compacted_bytes.get()
        }),
        ("rewritten", Some(Unit::Bytes), "Bytes of batches that keyed compaction went through", |m| {
            m.rewritten_bytes.get()
        }),
        ("checkpoints", None, "Checkpoints of partitions that were written", |m| m.checkpoints.get()),
        ("checkpoint", Some(Unit::Bytes), "Bytes of these checkpoints", |m| m.checkpoint_bytes.get()),
        ("block_cache_hits", None, "Blocks of objects that readers found in memory", |m| m.cache_hits.get()),
        ("block_cache_misses", None, "Blocks that it lacked, those read ahead included", |m| {
            m.cache_misses.get()
        }),
        ("read_ahead", Some(Unit::Bytes), "Bytes read before a reader asked for them", |m| {
            m.read_ahead_bytes.get()
        }),
        ("tail_reads", None, "Reads served from memory", |m| m.tail_reads.get()),
        ("cold_reads", None, "Reads that went to the store", |m| m.cold_reads.get()),
        ("damaged_reads", None, "Reads that met a missing or corrupt object", |m| m.damaged_reads.get()),
    ];
    counters(out, &counted, m)?;
    let measured: [Counted<levee_store::Metrics>; 8] = [
        ("wal_untrimmed", Some(Unit::Bytes), "Write-ahead log that is not registered yet", |m| {
            m.wal_bytes.get()
        }),
        ("wal_untrimmed_objects", None, "The same in objects", |m| m.wal_objects.get()),
        ("wal_in_flight", None, "Objects that are sent and not yet durable", |m| m.in_flight.get()),
        ("tail_cache_objects", None, "Objects in memory", |m| m.tail_objects.get()),
        ("buffer", Some(Unit::Bytes), "Buffers held for objects in memory and those being filled", |m| {
            m.buffer_bytes.get()
        }),
        ("index_cache", Some(Unit::Bytes), "Cached indexes of objects", |m| m.index_cache_bytes.get()),
        ("block_cache", Some(Unit::Bytes), "Cached blocks of objects", |m| m.cache_bytes.get()),
        ("read_ahead_held", Some(Unit::Bytes), "Bytes that readers are ahead by", |m| {
            m.read_ahead_held.get()
        }),
    ];
    gauges(out, &measured, m)?;
    let help = "Time that readers far behind waited for their throttle, all requests together";
    counter_seconds(out, "catch_up_throttled", help, m.throttled_us.get())?;
    let help = "From sealing an object to its being durable";
    let mut flushes = family(out, ("wal_flush", Some(&Unit::Seconds), help), MetricType::Histogram)?;
    let counts = m.flush_latency.buckets.each_ref().map(Counter::get);
    histogram(&mut flushes, &FLUSH_BUCKETS_US.map(seconds), &counts, seconds(m.flush_latency.sum_us.get()))
}

fn disk_cache(out: &mut DescriptorEncoder<'_>, m: &DiskCacheMetrics) -> fmt::Result {
    gauge(out, "disk_cache", Some(&Unit::Bytes), "Blocks of objects on the local disk", m.bytes.get())?;
    let counted: [Counted<DiskCacheMetrics>; 5] = [
        ("disk_cache_hits", None, "Blocks that were read from the local disk and not from the store", |m| {
            m.hits.get()
        }),
        ("disk_cache_read", Some(Unit::Bytes), "Bytes read from it", |m| m.read_bytes.get()),
        ("disk_cache_written", Some(Unit::Bytes), "Bytes written to it", |m| m.written_bytes.get()),
        ("disk_cache_passed_over", None, "Blocks that were not kept as others were being written", |m| {
            m.passed_over.get()
        }),
        (
            "disk_cache_failures",
            None,
            "Reads and writes of the local disk that failed, and what it gave that was not what was written",
            |m| m.failures.get(),
        ),
    ];
    counters(out, &counted, m)
}

fn requests(out: &mut DescriptorEncoder<'_>, store: &StoreMetrics) -> fmt::Result {
    let usage = store.usage();
    let labels = |row: &Usage| [("operation", row.operation.name()), ("purpose", row.purpose.name())];
    let counters: [Counted<Usage>; 4] = [
        ("store_requests", None, "Requests to the object store", |row| row.requests),
        ("store_unanswered", None, "Requests that were given up before an answer came", |row| row.unanswered),
        ("store_written", Some(Unit::Bytes), "Bytes that creates carried", |row| row.bytes_written),
        ("store_read", Some(Unit::Bytes), "Bytes that gets returned", |row| row.bytes_read),
    ];
    for (name, unit, help, value) in &counters {
        let mut rows = family(out, (name, unit.as_ref(), help), MetricType::Counter)?;
        for row in &usage {
            rows.encode_family(&labels(row))?.encode_counter::<NoLabelSet, _, u64>(&value(row), None)?;
        }
    }
    let help = "Requests that the store answered with an error, by its kind";
    let mut rows = family(out, ("store_errors", None, help), MetricType::Counter)?;
    for row in &usage {
        for (kind, count) in &row.errors {
            let [operation, purpose] = labels(row);
            rows.encode_family(&[operation, purpose, ("kind", kind.name())])?
                .encode_counter::<NoLabelSet, _, u64>(count, None)?;
        }
    }
    let help = "How long requests to the object store took";
    let mut rows = family(out, ("store_request", Some(&Unit::Seconds), help), MetricType::Histogram)?;
    let bounds = LATENCY_BOUNDS.map(|bound| bound.as_secs_f64());
    for row in &usage {
        let sum = row.latency_total.as_secs_f64();
        histogram(&mut rows.encode_family(&labels(row))?, &bounds, &row.latency_buckets, sum)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Health;
    use kafka_protocol::messages::ApiKey;
    use std::time::Duration;

    #[test]
    fn requests_are_shown_by_api_and_the_text_ends_as_the_standard_wants() {
        let shown = Arc::new(Shown::new(levee_base::NodeId(1)));
        shown.health.send_replace(Health { serving: true, reason: "serving".to_owned() });
        shown.broker.answered(ApiKey::Produce, Duration::from_millis(2), 100, 20);
        shown.broker.answered(ApiKey::Produce, Duration::from_secs(60), 100, 20);
        let text = text(&shown).unwrap();
        for line in [
            "# HELP levee_requests Requests that were answered, by API.",
            "# TYPE levee_requests counter",
            "levee_requests_total{api=\"Produce\"} 2",
            "levee_request_bytes_total{api=\"Produce\"} 200",
            "levee_response_bytes_total{api=\"Produce\"} 40",
            "# UNIT levee_request_seconds seconds",
            "levee_request_seconds_bucket{le=\"0.001\",api=\"Produce\"} 0",
            "levee_request_seconds_bucket{le=\"0.0025\",api=\"Produce\"} 1",
            "levee_request_seconds_bucket{le=\"+Inf\",api=\"Produce\"} 2",
            "levee_request_seconds_sum{api=\"Produce\"} 60.002",
            "levee_serving 1",
            "levee_wal_untrimmed_bytes 0",
            "levee_block_cache_bytes 0",
            "levee_catch_up_throttled_seconds_total 0.0",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "no {line:?} in\n{text}");
        }
        let heads = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        let names: Vec<&str> = heads.map(|(name, _)| name).collect();
        let mut unique = names.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), names.len(), "each family has one head");
    }
}
