//! A broker process of a simulated cluster: all of a node but its listeners, put together as `node` does it.

use super::bucket::Line;
use super::judge::Judge;
use crate::collector::collect;
use crate::holder::Newcomer;
use crate::led_topics::{Intervals, LedTopics};
use crate::registrar::MetadataRegistrar;
use crate::registration::tests::registrant_on;
use crate::registration::{Registrant, RegistrationError};
use levee_base::{Clock, Random};
use levee_meta::{ControllerOptions, Metadata};
use levee_object::Store;
use levee_store::{PlanOptions, ReadOptions, RecoverError, StoreOptions, StreamStore, WalOptions};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// How often retention, keyed compaction and checkpoints are looked after.
pub(super) const INTERVALS: Intervals = Intervals {
    retention: Duration::from_secs(2),
    cleaner: Duration::from_secs(3),
    checkpoints: Duration::from_secs(1),
};

/// Entries of the journal from one snapshot to the next.
pub(super) const SNAPSHOT_EVERY: u64 = 20;

/// Small enough that every limit is met within a history.
fn options() -> StoreOptions {
    let wal = WalOptions {
        pace: Duration::from_millis(2),
        light_bytes: 6 * 1_024,
        in_flight: 3,
        object_bytes: 16 * 1_024,
        untrimmed_bytes: 512 * 1_024,
        untrimmed_objects: 24,
        upload_after: Duration::from_millis(900),
        promoted_bytes: 4 * 1_024,
        buffer_bytes: 512 * 1_024,
        hedges: true,
        compaction: PlanOptions {
            object_bytes: 128 * 1_024,
            index_bytes: 32 * 1_024,
            piece_bytes: 4 * 1_024,
            pieces: 6,
            fan_in: 4,
            smallest_tier_bytes: 2 * 1_024,
        },
        compaction_bytes_per_second: 128 << 20,
    };
    // Nothing stays in memory for long, so that objects are read.
    StoreOptions {
        wal,
        reads: ReadOptions { cache_bytes: 64 * 1_024, ahead_bytes: 0, ..ReadOptions::SUITABLE },
        disk_cache: None,
    }
}

/// A broker that is registered.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) number: u64,
    pub(super) line: Arc<Line>,
    pub(super) metadata: Metadata,
    pub(super) led: Arc<LedTopics>,
    registrant: Registrant,
    maintaining: JoinHandle<()>,
}

impl Process {
    /// `None` where the store did not let it come up: it ends with an error then, and is started anew.
    pub(super) async fn start(
        number: u64,
        line: Arc<Line>,
        judge: &Judge,
        clock: Clock,
        random: Random,
    ) -> Option<Self> {
        let store: Arc<dyn Store> = line.clone();
        let controller =
            ControllerOptions { snapshot_every_entries: SNAPSHOT_EVERY, ..ControllerOptions::default() };
        let registrant = registrant_on(store.clone(), clock, random.clone(), controller).await;
        let (metadata, node) = (registrant.metadata.clone(), registrant.node);
        judge.follow(number, &metadata);
        let (epoch, indexes) = match registrant.register(Newcomer::Started, &mut None).await {
            Ok(registered) => registered,
            Err(RegistrationError::Recover { source: RecoverError::Store(error), .. })
                if !error.kind.is_answer() =>
            {
                return None;
            }
            Err(error) => panic!("{error}"),
        };
        let registrar = Arc::new(MetadataRegistrar(metadata.clone()));
        let (log, writer) = (registrant.log(node), random.writer_id());
        let streams = StreamStore::open(log, epoch, writer, registrar, options(), Arc::default());
        for recovered in indexes {
            streams.keep_indexes(recovered);
        }
        let led = LedTopics::new(node, epoch, metadata.clone(), streams, clock, random).at(INTERVALS);
        led.open_all().await;
        let led = Arc::new(led);
        let maintained = led.clone();
        let maintaining = tokio::spawn(async move {
            let collecting = collect(&maintained.metadata, &*store, clock);
            let mut status = maintained.store.status();
            tokio::select! {
                biased;
                _ = status.wait_for(|status| status.stopped.is_some()) => {}
                _ = futures::future::join(maintained.maintain(), collecting) => {}
            }
        });
        Some(Self { number, line, metadata, led, registrant, maintaining })
    }

    /// Ends at once.
    pub(super) fn kill(self, judge: &Judge) {
        self.line.cut();
        self.maintaining.abort();
        judge.leave(self.number);
    }

    /// Ends in order, if the store lets it.
    pub(super) async fn stop(self, judge: &Judge) -> bool {
        self.maintaining.abort();
        self.led.store.shutdown().await;
        let in_order = self.registrant.sign_off(self.led.epoch).await.is_ok();
        self.metadata.shutdown().await;
        self.kill(judge);
        in_order
    }
}
