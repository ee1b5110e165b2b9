//! What a node is started with, and what follows from it.

use super::StartError;
use crate::coordinators::CoordinatorConfig;
use crate::led_topics::Intervals;
use levee_base::{Clock, NodeId};
use levee_object::stores::Kind;
use levee_store::{DiskCache, ReadOptions, StoreOptions, WalOptions};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

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
    /// How often the partitions are looked after.
    pub intervals: Intervals,
    /// The coordinators of groups and transactions.
    pub coordinators: CoordinatorConfig,
    /// The write-ahead log's.
    pub wal: WalConfig,
    /// Of reading what is not in memory any more.
    pub reads: ReadConfig,
    /// A local disk for what has left memory.
    pub disk_cache: Option<DiskCacheConfig>,
}

/// A cache on a local disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskCacheConfig {
    /// The directory.
    pub path: PathBuf,
    /// What it takes there.
    pub bytes: u64,
}

impl NodeOptions {
    /// How the store of streams writes and reads. Opens the cache on disk.
    pub(super) fn streams(&self, kind: Kind, clock: Clock) -> Result<StoreOptions, StartError> {
        let open = |DiskCacheConfig { path, bytes }: &DiskCacheConfig| {
            let opened = DiskCache::open(path, *bytes, clock).map(Arc::new);
            opened.map_err(|source| StartError::DiskCache { path: path.clone(), source })
        };
        if self.disk_cache.is_some() && kind != Kind::Cloud {
            tracing::warn!("--disk-cache is of little use here: the store is on a disk itself");
        }
        let disk_cache = self.disk_cache.as_ref().map(open).transpose()?;
        Ok(StoreOptions { wal: self.wal.options(kind), reads: self.reads.options(kind), disk_cache })
    }
}

/// What is configured of reading; `None` takes what suits the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReadConfig {
    /// Memory for blocks of objects.
    pub cache_bytes: Option<usize>,
    /// How far ahead of one reader is read.
    pub ahead_bytes: Option<usize>,
    /// What readers far behind may have a second together.
    pub bytes_per_second: Option<u64>,
    /// The same in requests.
    pub requests_per_second: Option<u64>,
}

impl ReadConfig {
    fn options(&self, kind: Kind) -> ReadOptions {
        let suits = if kind == Kind::Cloud { ReadOptions::SUITABLE } else { ReadOptions::folder() };
        ReadOptions {
            cache_bytes: self.cache_bytes.unwrap_or(suits.cache_bytes),
            ahead_bytes: self.ahead_bytes.unwrap_or(suits.ahead_bytes),
            bytes_per_second: self.bytes_per_second,
            requests_per_second: self.requests_per_second,
            ..suits
        }
    }
}

impl NodeOptions {
    /// The broker's configurations that they stand for, by Kafka's names.
    pub(super) fn broker_configs(&self, host: &str, port: u16) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("advertised.listeners", format!("PLAINTEXT://{}", host_and_port(host, port))),
            ("auto.create.topics.enable", self.auto_create_topics.to_string()),
            ("broker.id", self.node.0.to_string()),
            ("broker.session.timeout.ms", self.session_timeout.as_millis().to_string()),
            (
                "group.initial.rebalance.delay.ms",
                self.coordinators.group_initial_rebalance_delay.as_millis().to_string(),
            ),
            ("log.cleaner.backoff.ms", self.intervals.cleaner.as_millis().to_string()),
            ("log.retention.check.interval.ms", self.intervals.retention.as_millis().to_string()),
            ("node.id", self.node.0.to_string()),
            ("num.partitions", self.num_partitions.to_string()),
            ("offsets.retention.minutes", (self.coordinators.offsets_retention.as_secs() / 60).to_string()),
            ("transaction.max.timeout.ms", self.coordinators.transaction_max_timeout.as_millis().to_string()),
        ])
    }
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
    /// For how long it may be durable before it is registered, however little of it there is.
    pub upload_after: Option<Duration>,
    /// Bytes a second that compaction moves.
    pub compaction_bytes_per_second: Option<u64>,
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
            upload_after: self.upload_after.unwrap_or(suits.upload_after),
            promoted_bytes: suits.promoted_bytes,
            hedges: suits.hedges,
            compaction: suits.compaction,
            compaction_bytes_per_second: self
                .compaction_bytes_per_second
                .unwrap_or(suits.compaction_bytes_per_second),
        }
    }
}

pub(super) fn host_and_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The address that is registered for other brokers, `host:port`, or empty. Warns where nobody can reach it.
pub(super) fn internal_address(
    options: &NodeOptions,
    host: &str,
    listens: SocketAddr,
    http: Option<SocketAddr>,
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
    if wanted && http.ip().is_loopback() && !listens.ip().is_loopback() {
        tracing::warn!(
            %http,
            "a second broker with this node id on another machine can't ask this one whether it is alive, and takes \
             over from it: give --http an address that brokers reach, or --internal HOST:PORT"
        );
    }
    host_and_port(host, http.port())
}
