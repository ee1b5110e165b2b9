//! Reading what is not in memory: how many requests it takes, what it holds, who waits for whom.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod support;

use async_trait::async_trait;
use bytes::Bytes;
use levee_base::limits::{READ_AHEAD_BYTES_ALL, READ_FLIGHT_REQUESTS};
use levee_base::{BrokerEpoch, Clock, Offset, Random, StreamId};
use levee_object::stores::faulty::{FaultPlan, Faulty, Latency};
use levee_object::stores::memory::MemoryStore;
use levee_object::stores::metered::{Metered, Operation};
use levee_object::{Key, Page, Purpose, Result, Store};
use levee_store::{
    Cut, DiskCache, Extent, Metrics, ReadError, ReadOptions, Registered, StoreOptions, StreamStore,
    WalOptions,
};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::objects::{COUNT, batch, object};
use support::{Meta, context};
use tokio::sync::Notify;

const STREAM: StreamId = StreamId(1);
const MIB: usize = 1 << 20;
const KIB: usize = 1 << 10;

struct Rig {
    metered: Arc<Metered>,
    metrics: Arc<Metrics>,
    store: Arc<StreamStore>,
    meta: Arc<Meta>,
    clock: Clock,
}

impl Rig {
    /// A store over `inner` with streams that are all in these extents.
    fn over(inner: Arc<dyn Store>, reads: ReadOptions, extents: Vec<(StreamId, Extent)>) -> Self {
        Self::beside(None, inner, reads, extents)
    }

    /// The same beside a disk cache.
    fn beside(
        disk_cache: Option<Arc<DiskCache>>,
        inner: Arc<dyn Store>,
        reads: ReadOptions,
        extents: Vec<(StreamId, Extent)>,
    ) -> Self {
        let clock = Clock::simulated(0);
        let metered = Arc::new(Metered::new(inner, clock));
        let random = Random::seeded(1);
        let writer = random.writer_id();
        let ctx = context(metered.clone(), clock, random);
        let metrics = Arc::new(Metrics::default());
        let options = StoreOptions { wal: WalOptions::folder(), reads, disk_cache };
        let meta = Meta::new(&ctx);
        let store = StreamStore::open(ctx, BrokerEpoch(2), writer, meta.clone(), options, metrics.clone());
        let rig = Self { metered, metrics, store, meta, clock };
        rig.open_streams(extents);
        rig
    }

    fn open_streams(&self, mut extents: Vec<(StreamId, Extent)>) {
        extents.sort_by_key(|(stream, extent)| (*stream, extent.range.start));
        for of_one in extents.chunk_by(|a, b| a.0 == b.0) {
            let start = of_one[0].1.range.start;
            let extents: Vec<_> = of_one.iter().map(|(_, extent)| extent.clone()).collect();
            self.meta.hold(of_one[0].0, extents.clone());
            self.store.open_stream(of_one[0].0, 0, Registered { start, extents, checkpoint: None });
        }
    }

    fn gets(&self, purpose: Purpose) -> u64 {
        self.metered.metrics().requests(Operation::Get, purpose)
    }

    /// Gets of both kinds of readers.
    fn all_gets(&self) -> u64 {
        self.gets(Purpose::Tail) + self.gets(Purpose::CatchUp)
    }

    /// Reads from `from` to the end; returns the offset of each batch, whose bytes are checked.
    async fn read_all(&self, stream: StreamId, from: u64, max_bytes: usize) -> Vec<u64> {
        let (mut next, mut seen) = (Offset(from), Vec::new());
        loop {
            let runs = self.store.read(stream, next, max_bytes, true).await.unwrap();
            let Some(last) = runs.last() else { return seen };
            next = last.end;
            for run in runs {
                assert_eq!(bases(stream, &run.bytes).first(), Some(&run.base.0));
                seen.extend(bases(stream, &run.bytes));
            }
        }
    }
}

/// All batches of these tests are as long as their offset tells, and so can be told apart.
fn bases(stream: StreamId, mut bytes: &[u8]) -> Vec<u64> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let base = u64::from_le_bytes(bytes[..8].try_into().unwrap());
        let expected = batch(stream.0, base, length_at(base));
        assert!(bytes.starts_with(&expected), "batch {base}");
        found.push(base);
        bytes = &bytes[expected.len()..];
    }
    found
}

/// Around 64 KiB.
fn length_at(base: u64) -> usize {
    60 * KIB + (base as usize * 37) % (8 * KIB)
}

/// Blocks of four batches each, about 256 KiB, from `from` on.
fn blocks(stream: u64, from: u64, count: u64) -> Vec<(u64, u64, Vec<usize>)> {
    let each = 4 * u64::from(COUNT);
    (0..count)
        .map(|n| {
            let base = from + n * each;
            (stream, base, (0..4).map(|n| length_at(base + n * u64::from(COUNT))).collect())
        })
        .collect()
}

fn no_ahead(options: ReadOptions) -> ReadOptions {
    ReadOptions { ahead_bytes: 0, ..options }
}

#[tokio::test(start_paused = true)]
async fn blocks_that_lie_together_are_one_request() {
    // 64 blocks are 16 MiB.
    for reads in [ReadOptions::folder(), no_ahead(ReadOptions::SUITABLE)] {
        let objects = Arc::new(MemoryStore::new());
        let extents = object(&*objects, 0, &blocks(1, 0, 64)).await;
        let rig = Rig::over(objects, reads, extents);
        assert_eq!(rig.read_all(STREAM, 0, MIB).await.len(), 256);
        let spans = rig.metrics.cache_misses.get();
        assert!(spans <= 64 / 3 + 1, "{spans} requests");
        assert_eq!(rig.all_gets(), spans + 1, "and one for the index");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_goes_on_makes_few_requests() {
    // Two objects of 32 MiB.
    let objects = Arc::new(MemoryStore::new());
    let mut extents = object(&*objects, 0, &blocks(1, 0, 128)).await;
    extents.extend(object(&*objects, 1, &blocks(1, 128 * 4 * u64::from(COUNT), 128)).await);
    let rig = Rig::over(objects, ReadOptions::SUITABLE, extents);
    assert_eq!(rig.read_all(STREAM, 0, MIB).await.len(), 1024);
    // Four spans of three blocks each; the first are less, as the window grows, and where an object ends.
    let gets = rig.all_gets();
    assert!(gets <= 2 + 64 / 3 + 6, "{gets} requests");
    let usage = rig.metered.metrics().usage();
    let read: u64 = usage.iter().map(|usage| usage.bytes_read).sum();
    let given = 2 * 128 * 256 * KIB as u64;
    assert!(read < given + given / 20, "{read} bytes were read to give {given}: each once");
}

#[tokio::test(start_paused = true)]
async fn many_streams_with_little_each_are_read_together() {
    let objects = Arc::new(MemoryStore::new());
    let little: Vec<_> = (0..64).map(|stream| (stream, 0, vec![length_at(0)])).collect();
    let extents = object(&*objects, 0, &little).await;
    let rig = Rig::over(objects, ReadOptions::SUITABLE, extents);
    for stream in 0..64 {
        assert_eq!(rig.read_all(StreamId(stream), 0, MIB).await, [0]);
    }
    assert!(rig.all_gets() <= 1 + 64 / 3 + 1, "the index, and three at a time");
}

#[tokio::test(start_paused = true)]
async fn a_reader_of_more_streams_than_memory_holds_reads_each_byte_once() {
    let objects = Arc::new(MemoryStore::new());
    let mut extents = Vec::new();
    for stream in 0..40 {
        extents.extend(object(&*objects, stream, &blocks(stream, 0, 16)).await);
    }
    let reads = ReadOptions { cache_bytes: 8 * MIB, ahead_bytes_all: 8 * MIB, ..ReadOptions::SUITABLE };
    let rig = Rig::over(objects.clone(), reads, extents.clone());
    let (mut places, mut given) = ([Offset(0); 40], 0);
    while places.iter().any(|next| *next < Offset(16 * 8)) {
        for (stream, next) in (0..).map(StreamId).zip(&mut places) {
            let runs = rig.store.read(stream, *next, MIB, true).await.unwrap();
            given += runs.iter().map(|run| run.bytes.len() as u64).sum::<u64>();
            *next = runs.last().map_or(*next, |last| last.end);
        }
    }
    let usage = rig.metered.metrics().usage();
    let read: u64 = usage.iter().map(|usage| usage.bytes_read).sum();
    assert!(read < given + given / 10, "{read} bytes were read to give {given}");
}

#[tokio::test(start_paused = true)]
async fn readers_of_the_same_make_one_request() {
    let objects = Arc::new(MemoryStore::new());
    let extents = object(&*objects, 0, &blocks(1, 0, 64)).await;
    let slow = FaultPlan {
        latency: Latency { typical: Duration::from_millis(20), ..Latency::default() },
        ..FaultPlan::none()
    };
    let inner = Arc::new(Faulty::new(objects, slow, Clock::simulated(0), Random::seeded(5)));
    for reads in [ReadOptions::folder(), ReadOptions::SUITABLE] {
        let alone = Rig::over(inner.clone(), reads, extents.clone());
        alone.read_all(STREAM, 0, MIB).await;
        let rig = Rig::over(inner.clone(), reads, extents.clone());
        let readers = (0..20).map(|_| rig.read_all(STREAM, 0, MIB));
        let seen = futures::future::join_all(readers).await;
        assert!(seen.iter().all(|seen| seen.len() == 256));
        assert_eq!(rig.metrics.cache_misses.get(), alone.metrics.cache_misses.get(), "each span once");
        assert!(rig.all_gets() <= alone.all_gets(), "20 readers, and each request once");
    }
}

#[tokio::test(start_paused = true)]
async fn readers_that_follow_each_other_closely_read_once_however_far_ahead_is_read() {
    let objects = Arc::new(MemoryStore::new());
    let mut extents = Vec::new();
    for stream in 0..4 {
        extents.extend(object(&*objects, stream, &blocks(stream, 0, 128)).await);
    }
    // 128 MiB, of which a cache of 32 keeps little; and far more is read ahead than passes through it at once.
    let reads = ReadOptions { cache_bytes: 32 * MIB, ..ReadOptions::folder() };
    let alone = Rig::over(objects.clone(), reads, extents.clone());
    for stream in 0..4 {
        alone.read_all(StreamId(stream), 0, MIB).await;
    }
    let rig = Rig::over(objects, reads, extents);
    let mut places = [Offset(0); 4];
    while places[0] < Offset(128 * 8) {
        for (stream, next) in (0..).map(StreamId).zip(&mut places) {
            let one = rig.store.read(stream, *next, MIB, true).await.unwrap();
            let other = rig.store.read(stream, *next, MIB, true).await.unwrap();
            assert_eq!(one, other);
            *next = one.last().unwrap().end;
        }
    }
    assert_eq!(rig.all_gets(), alone.all_gets(), "as for one");
}

#[tokio::test(start_paused = true)]
async fn what_was_read_ahead_of_an_object_is_not_taken_for_what_has_replaced_it() {
    let objects = Arc::new(MemoryStore::new());
    let old = object(&*objects, 0, &blocks(1, 0, 32)).await;
    // The same batches, each a block of its own.
    let single: Vec<_> = (0..128).map(|n| (1, 2 * n, vec![length_at(2 * n)])).collect();
    let new = object(&*objects, 1, &single).await;
    let rig = Rig::over(objects, ReadOptions::SUITABLE, old);
    let (mut next, mut replaced) = (Offset(0), false);
    while next < Offset(256) {
        if next >= Offset(60) && !replaced {
            assert!(rig.metrics.read_ahead_held.get() > 0);
            rig.store.close_stream(STREAM);
            rig.open_streams(new.clone());
            replaced = true;
        }
        let runs = rig.store.read(STREAM, next, 300 * KIB, true).await.unwrap();
        assert_eq!(bases(STREAM, &runs[0].bytes)[0], next.0);
        next = runs.last().unwrap().end;
        rig.clock.sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_scan_leaves_what_many_read_where_it_is() {
    let objects = Arc::new(MemoryStore::new());
    let mut extents = Vec::new();
    // 64 MiB, four times the cache.
    for number in 0..4 {
        extents.extend(object(&*objects, number, &blocks(1, number * 64 * 8, 64)).await);
    }
    extents.extend(object(&*objects, 9, &blocks(2, 0, 24)).await);
    let reads = ReadOptions { cache_bytes: 16 * MIB, ..ReadOptions::SUITABLE };
    let rig = Rig::over(objects.clone(), reads, extents.clone());
    for _ in 0..3 {
        rig.read_all(StreamId(2), 0, MIB).await;
    }
    // In small reads, each of which touches what the one before did.
    assert_eq!(rig.read_all(STREAM, 0, 100 * KIB).await.len(), 1_024);
    assert!(rig.metrics.cache_bytes.get() <= 16 * MIB as u64);
    let before = rig.all_gets();
    assert_eq!(rig.read_all(StreamId(2), 0, MIB).await.len(), 96);
    assert_eq!(rig.all_gets(), before, "all of it is still there");
}

#[tokio::test(start_paused = true)]
async fn reading_ahead_hides_the_latency_from_who_goes_on_and_costs_nothing_to_who_jumps() {
    let objects = Arc::new(MemoryStore::new());
    let mut extents = Vec::new();
    for number in 0..8 {
        extents.extend(object(&*objects, number, &blocks(1, number * 64 * 8, 64)).await);
    }
    let mut took = Vec::new();
    for reads in [no_ahead(ReadOptions::SUITABLE), ReadOptions::SUITABLE] {
        let slow = FaultPlan {
            latency: Latency { typical: Duration::from_millis(40), ..Latency::default() },
            ..FaultPlan::none()
        };
        let inner = Arc::new(Faulty::new(objects.clone(), slow, Clock::simulated(0), Random::seeded(5)));
        let rig = Rig::over(inner, reads, extents.clone());
        let start = rig.clock.now();
        assert_eq!(rig.read_all(STREAM, 0, MIB).await.len(), 8 * 256);
        took.push(rig.clock.now() - start);
        assert!(rig.metrics.read_ahead_held.get() <= READ_AHEAD_BYTES_ALL as u64);

        let before = rig.metrics.read_ahead_bytes.get();
        for n in [100, 3_000, 700, 2_000] {
            let runs = rig.store.read(STREAM, Offset(n), 1, true).await.unwrap();
            assert_eq!(bases(STREAM, &runs[0].bytes), [n]);
        }
        assert_eq!(rig.metrics.read_ahead_bytes.get(), before, "nothing ahead of reads that don't go on");
    }
    // Eight indexes and 40 spans, one after the other, against memory that is there already; a store in memory takes no
    // time for bytes.
    assert!(took[0] > Duration::from_millis(48 * 20), "{took:?}");
    assert!(took[1] < took[0] / 3, "{took:?}");
}

/// A store whose gets for readers far behind don't return, or for which somebody does something.
struct Held {
    inner: MemoryStore,
    waiting: Mutex<usize>,
    go: Notify,
    on_missing: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    stalls: bool,
}

impl Held {
    fn new(stalls: bool) -> Arc<Self> {
        let (inner, go) = (MemoryStore::new(), Notify::new());
        Arc::new(Self { inner, waiting: Mutex::default(), go, on_missing: Mutex::default(), stalls })
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Held")
    }
}

#[async_trait]
impl Store for Held {
    fn location(&self) -> String {
        self.inner.location()
    }

    async fn create(&self, key: &Key, bytes: Bytes, purpose: Purpose) -> Result<()> {
        self.inner.create(key, bytes, purpose).await
    }

    async fn create_parts(&self, key: &Key, parts: Vec<Bytes>, purpose: Purpose) -> Result<()> {
        self.inner.create_parts(key, parts, purpose).await
    }

    async fn get(&self, key: &Key, range: Option<Range<u64>>, purpose: Purpose) -> Result<Bytes> {
        if self.stalls && purpose == Purpose::CatchUp {
            *self.waiting.lock().unwrap() += 1;
            self.go.notified().await;
        }
        let result = self.inner.get(key, range, purpose).await;
        if result.is_err()
            && let Some(act) = self.on_missing.lock().unwrap().take()
        {
            act();
        }
        result
    }

    async fn list(&self, prefix: &str, after: Option<&Key>, limit: usize, purpose: Purpose) -> Result<Page> {
        self.inner.list(prefix, after, limit, purpose).await
    }

    async fn delete(&self, key: &Key, purpose: Purpose) -> Result<()> {
        self.inner.delete(key, purpose).await
    }
}

#[tokio::test]
async fn what_memory_has_no_room_for_is_read_again_from_the_local_disk() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(DiskCache::open(folder.path(), 256 * MIB as u64, Clock::system()).unwrap());
    let objects = Arc::new(MemoryStore::new());
    let mut extents = Vec::new();
    for stream in 1..5 {
        extents.extend(object(&*objects, stream, &blocks(stream, 0, 64)).await);
    }
    let reads = ReadOptions { cache_bytes: 8 * MIB, ..ReadOptions::SUITABLE };
    let rig = Rig::beside(Some(disk.clone()), objects, reads, extents);
    let mut gets = Vec::new();
    for _ in 0..3 {
        let before = rig.all_gets();
        for stream in (1..5).map(StreamId) {
            assert_eq!(rig.read_all(stream, 0, MIB).await.len(), 256);
            // Until what has left memory is written.
            let written = || disk.metrics().written_bytes.get() + disk.metrics().passed_over.get();
            let mut last = u64::MAX;
            while std::mem::replace(&mut last, written()) != last {
                rig.clock.sleep(Duration::from_millis(50)).await;
            }
        }
        gets.push(rig.all_gets() - before);
    }
    assert!(gets[2] < gets[0] / 2, "{gets:?} requests, {:?}", disk.metrics());
    assert_eq!(disk.metrics().failures.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn readers_far_behind_that_get_no_answer_leave_those_near_the_end_alone() {
    let objects = Held::new(true);
    let mut extents = Vec::new();
    for stream in 0..100 {
        // Of 16 MiB the last 8 are near the end.
        extents.extend(object(&*objects, stream, &blocks(stream, 0, 64)).await);
    }
    let more: Vec<_> = blocks(7, 64 * 8, 20);
    extents.extend(object(&*objects, 1_000, &more).await);
    let rig = Arc::new(Rig::over(objects.clone(), ReadOptions::SUITABLE, extents));
    let stuck: Vec<_> = (0..100)
        .map(|stream| {
            let rig = rig.clone();
            tokio::spawn(async move { rig.store.read(StreamId(stream), Offset(0), MIB, true).await.unwrap() })
        })
        .collect();
    rig.clock.sleep(Duration::from_secs(1)).await;
    assert_eq!(*objects.waiting.lock().unwrap(), READ_FLIGHT_REQUESTS, "so many at once");
    let near_end = rig.store.read(StreamId(7), Offset(64 * 8), MIB, true).await.unwrap();
    assert_eq!(near_end[0].base, Offset(64 * 8));
    assert_eq!(rig.gets(Purpose::Tail), 2, "the index, and a MiB");
    while !stuck.iter().all(|reader| reader.is_finished()) {
        objects.go.notify_waiters();
        rig.clock.sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn readers_far_behind_are_throttled_by_bytes_and_by_requests() {
    let objects = Arc::new(MemoryStore::new());
    let extents = object(&*objects, 0, &blocks(1, 0, 128)).await;
    let by_bytes = ReadOptions { bytes_per_second: Some(MIB as u64), ..ReadOptions::SUITABLE };
    let by_requests = ReadOptions { requests_per_second: Some(1), ..ReadOptions::folder() };
    for reads in [by_bytes, by_requests] {
        let rig = Rig::over(objects.clone(), reads, extents.clone());
        let start = rig.clock.now();
        assert_eq!(rig.read_all(STREAM, 0, MIB).await.len(), 512);
        let took = rig.clock.now() - start;
        // About 24 MiB, in pieces of almost one, are far from the end.
        assert!(took >= Duration::from_secs(20) && took < Duration::from_secs(40), "{took:?}");
        assert!(rig.metrics.throttled_us.get() > 0);
        let (before, tail) = (rig.clock.now(), rig.gets(Purpose::Tail));
        assert_eq!(rig.read_all(STREAM, 120 * 8, MIB).await.len(), 32);
        assert_eq!(rig.clock.now(), before, "near the end nobody waits");
        assert!(rig.gets(Purpose::Tail) >= tail);
    }
}

#[tokio::test(start_paused = true)]
async fn what_compaction_has_emptied_never_ends_a_reader() {
    let objects = Arc::new(MemoryStore::new());
    let gaps = |base: u64, count: usize| (1, base, vec![0; count]);
    let mut extents = Vec::new();
    // Blocks, objects, and many objects in a row without a batch; a batch; and nothing after it.
    extents.extend(object(&*objects, 0, &[(1, 0, vec![0, length_at(2), 0]), gaps(6, 2)]).await);
    for number in 1..40 {
        extents.extend(object(&*objects, number, &[gaps(10 * number, 5)]).await);
    }
    extents.extend(object(&*objects, 40, &[gaps(400, 5), (1, 410, vec![0, length_at(412), 0])]).await);
    extents.extend(object(&*objects, 41, &[gaps(416, 2)]).await);
    let rig = Rig::over(objects, ReadOptions::SUITABLE, extents);
    for (from, expected) in [(0, 2), (2, 2), (3, 2), (4, 412), (57, 412), (411, 412), (413, 412)] {
        for (max_bytes, at_least_one) in [(1, true), (length_at(expected), false), (0, true)] {
            let runs = rig.store.read(STREAM, Offset(from), max_bytes, at_least_one).await.unwrap();
            assert_eq!(
                (runs.len(), runs[0].base, runs[0].end),
                (1, Offset(expected), Offset(expected + 2)),
                "{from}"
            );
            assert_eq!(bases(STREAM, &runs[0].bytes), [expected]);
        }
        assert!(rig.store.read(STREAM, Offset(from), 1, false).await.unwrap().is_empty(), "it is too long");
    }
    for from in [414, 415, 419, 420] {
        assert!(rig.store.read(STREAM, Offset(from), MIB, true).await.unwrap().is_empty(), "the end");
    }
    let mut batches = Vec::new();
    rig.store
        .replay(STREAM, Offset(0), Purpose::Recovery, &mut |batch| batches.push(batch.base.0))
        .await
        .unwrap();
    assert_eq!(batches, [2, 412]);
    assert_eq!(rig.read_all(STREAM, 0, MIB).await, [2, 412]);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_compaction_has_replaced_and_deleted_is_not_missed() {
    let objects = Held::new(false);
    let old = object(&*objects, 0, &blocks(1, 0, 8)).await;
    let new = object(&*objects, 1, &blocks(1, 0, 8)).await;
    objects.delete(&old[0].1.object.key, Purpose::Collect).await.unwrap();
    let rig = Arc::new(Rig::over(objects.clone(), ReadOptions::SUITABLE, old.clone()));
    let read = async |rig: &Rig| rig.store.read(STREAM, Offset(20), MIB, true).await;
    let error = read(&rig).await.unwrap_err();
    assert!(matches!(&error, ReadError::Missing { key, .. } if *key == old[0].1.object.key), "{error}");
    assert_eq!(rig.metrics.damaged_reads.get(), 1);

    let act = |rig: &Arc<Rig>, act: Box<dyn FnOnce(&Rig) + Send>| {
        let rig = rig.clone();
        *objects.on_missing.lock().unwrap() = Some(Box::new(move || act(&rig)));
    };
    let replaced = new.clone();
    act(
        &rig,
        Box::new(move |rig| {
            rig.store.close_stream(STREAM);
            rig.open_streams(replaced);
        }),
    );
    assert_eq!(read(&rig).await.unwrap()[0].base, Offset(20));
    assert_eq!(rig.metrics.damaged_reads.get(), 1);

    // The metadata has committed it, and the store learns of it in a moment.
    let rig = Arc::new(Rig::over(objects.clone(), ReadOptions::SUITABLE, old.clone()));
    rig.meta.hold(STREAM, new.iter().map(|(_, extent)| extent.clone()).collect());
    let learns = async {
        rig.clock.sleep(Duration::from_millis(120)).await;
        rig.store.close_stream(STREAM);
        rig.open_streams(new.clone());
    };
    let (found, ()) = tokio::join!(read(&rig), learns);
    assert_eq!(found.unwrap()[0].base, Offset(20));
    assert_eq!(rig.metrics.damaged_reads.get(), 0);

    let rig = Arc::new(Rig::over(objects.clone(), ReadOptions::SUITABLE, old));
    act(&rig, Box::new(|rig| rig.store.advance_start(STREAM, Offset(40))));
    let error = read(&rig).await.unwrap_err();
    assert!(matches!(error, ReadError::OutOfRange { .. }), "{error}");
    assert_eq!(rig.metrics.damaged_reads.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_corrupt_block_fails_its_own_stream_and_is_read_again_the_next_time() {
    let objects = Arc::new(MemoryStore::new());
    let extents = object(&*objects, 0, &[(1, 0, vec![length_at(0)]), (2, 0, vec![length_at(0)])]).await;
    let key = extents[0].1.object.key.clone();
    let good = objects.get(&key, None, Purpose::Inspect).await.unwrap();
    let mut bad = good.to_vec();
    bad[5_000] ^= 1;
    objects.delete(&key, Purpose::Inspect).await.unwrap();
    objects.create(&key, bad.into(), Purpose::Inspect).await.unwrap();
    let rig = Rig::over(objects.clone(), ReadOptions::SUITABLE, extents);
    let read = async |stream| rig.store.read(StreamId(stream), Offset(0), MIB, true).await;
    let error = read(1).await.unwrap_err();
    assert!(matches!(error, ReadError::Corrupt { .. }), "{error}");
    assert_eq!(read(2).await.unwrap().len(), 1, "in the same span");
    assert!(read(1).await.is_err());
    objects.delete(&key, Purpose::Inspect).await.unwrap();
    objects.create(&key, good, Purpose::Inspect).await.unwrap();
    assert_eq!(read(1).await.unwrap().len(), 1);
}

/// Three streams in objects of any layout, with gaps; readers with reads of any length; a store that is slow and fails.
async fn any_layout(seed: u64) {
    let random = Random::seeded(seed);
    let objects = Arc::new(MemoryStore::new());
    let (mut ends, mut expected, mut extents) = ([0u64; 3], vec![Vec::new(); 3], Vec::new());
    for number in 0..3 + random.below(8) {
        let mut blocks = Vec::new();
        for _ in 0..1 + random.below(12) {
            let stream = random.below(3) as usize;
            let base = ends[stream];
            let mut batches = Vec::new();
            for _ in 0..1 + random.below(4) {
                let gap = random.below(3) == 0;
                batches.push(if gap { 0 } else { length_at(ends[stream]) });
                if !gap {
                    expected[stream].push(ends[stream]);
                }
                ends[stream] += u64::from(COUNT);
            }
            blocks.push((stream as u64, base, batches));
        }
        if random.below(2) == 0 {
            // As compaction and uploads have it; else as the write-ahead log.
            blocks.sort();
        }
        extents.extend(object(&*objects, number, &blocks).await);
    }
    let plan = FaultPlan {
        latency: Latency {
            typical: Duration::from_millis(10),
            tail: Duration::from_secs(1),
            tail_chance: 0.1,
        },
        error_before: 0.1,
        ..FaultPlan::none()
    };
    let inner = Arc::new(Faulty::new(objects, plan, Clock::simulated(0), random.fork()));
    let reads = ReadOptions {
        cache_bytes: [0, 300 * KIB, 4 * MIB][random.below(3) as usize],
        ahead_bytes: [0, MIB, 8 * MIB][random.below(3) as usize],
        ahead_bytes_all: [300 * KIB, 16 * MIB][random.below(2) as usize],
        bytes_per_second: [None, Some(MIB as u64)][random.below(2) as usize],
        cut: [Cut::SUITABLE, Cut { one: 4 * MIB as u64, mixed: MIB as u64 }][random.below(2) as usize],
        ..ReadOptions::SUITABLE
    };
    let rig = Rig::over(inner, reads, extents);
    let readers = (0..6).map(|_| {
        let (random, rig) = (random.fork(), &rig);
        let stream = random.below(3) as usize;
        let (expected, end) = (&expected[stream], ends[stream]);
        async move {
            let stream = StreamId(stream as u64);
            let mut next = random.below(end + 1).min(random.below(end + 1));
            let first = expected.partition_point(|base| base + u64::from(COUNT) <= next);
            let mut seen = Vec::new();
            loop {
                let max_bytes = random.below(600 * KIB as u64) as usize;
                match rig.store.read(stream, Offset(next), max_bytes, true).await {
                    Ok(runs) => {
                        let Some(last) = runs.last() else { break };
                        let bytes: usize = runs.iter().map(|run| run.bytes.len()).sum();
                        seen.extend(runs.iter().flat_map(|run| bases(stream, &run.bytes)));
                        assert!(bytes <= max_bytes || seen.last() == Some(&(last.end.0 - 2)));
                        next = last.end.0;
                    }
                    Err(ReadError::Store(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            assert_eq!(seen, expected[first.min(expected.len())..], "from {next}");
        }
    });
    futures::future::join_all(readers).await;
    assert!(rig.metrics.cache_bytes.get() <= reads.cache_bytes as u64);
    assert!(rig.metrics.read_ahead_held.get() <= reads.ahead_bytes_all as u64);
}

#[test]
fn whatever_the_layout_and_the_store_every_batch_is_read_once_and_in_order() {
    for seed in 0..60 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(any_layout(seed));
    }
}
