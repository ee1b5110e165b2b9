//! Writing, being killed at any moment, and recovering from nothing but the store: every batch that was
//! acknowledged is there, bit for bit, and no offset belongs to two.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod support;

use levee_base::{Clock, Offset, Random, Slot, StreamId};
use levee_object::log::LogContext;
use levee_object::stores::faulty::{FaultPlan, Faulty};
use levee_object::stores::folder::{FolderStore, file_system};
use levee_object::{Purpose, Store};
use levee_store::{AppendError, NewBatch, NewCheckpoint, ReadError, RecoverError, StreamStore, recover};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use support::{Copies, Meta, content, context, open, small_options};

const STREAMS: u64 = 5;

/// Histories that are simulated: `just sim` asks for many, and for which ones.
fn seeds() -> std::ops::Range<u64> {
    let number = |name, default| std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default);
    let first = number("LEVEE_SIM_FIRST_SEED", 0);
    first..first + number("LEVEE_SIM_SEEDS", 8)
}

struct Written {
    slot: Slot,
    count: u32,
    bytes: Vec<u8>,
    note: Vec<u8>,
}

/// What was appended, by stream and base offset; and what of it was acknowledged.
#[derive(Default)]
struct Ledger {
    acknowledged: BTreeMap<(StreamId, Offset), Written>,
}

/// Appends random batches until it is stopped, and acknowledges what becomes durable.
async fn produce(store: &StreamStore, ledger: &mut Ledger, random: &Random, kill_at: u64, clock: Clock) {
    let mut pending: BTreeMap<(StreamId, Offset), Written> = BTreeMap::new();
    let status = store.status();
    let end = clock.now() + Duration::from_millis(kill_at);
    while clock.now() < end {
        let stream = StreamId(random.below(STREAMS));
        let base = store.end(stream).expect("open").appended;
        let batch = |random: &Random| {
            let largest = if random.chance(0.05) { 40_000 } else { 3_000 };
            let bytes = content(random, 1 + random.below(largest) as usize);
            (1 + random.below(9) as u32, bytes, content(random, random.below(65) as usize))
        };
        let batches: Vec<_> = (0..1 + random.below(3)).map(|_| batch(random)).collect();
        let new: Vec<_> =
            batches.iter().map(|(count, bytes, note)| NewBatch { bytes, count: *count, note }).collect();
        match store.append(stream, base, &new) {
            Ok(slot) => {
                let mut base = base;
                for (count, bytes, note) in batches {
                    pending.insert((stream, base), Written { slot, count, bytes, note });
                    base.0 += u64::from(count);
                }
            }
            Err(AppendError::Full) => {
                let _ = clock.timeout(Duration::from_millis(100), store.room()).await;
            }
            Err(AppendError::TooLarge) => {}
            Err(error) => panic!("{error}"),
        }
        if random.chance(0.3) {
            clock.sleep(Duration::from_millis(random.below(4))).await;
        }
        let durable = status.borrow().durable;
        let acknowledged: Vec<_> =
            pending.iter().filter(|(_, batch)| batch.slot < durable).map(|(at, _)| *at).collect();
        for at in acknowledged {
            let batch = pending.remove(&at).unwrap();
            assert!(ledger.acknowledged.insert(at, batch).is_none(), "offset {at:?} was given twice");
        }
    }
}

/// Appends one batch that nobody waits for.
async fn last_words(store: &StreamStore, random: &Random) {
    let (stream, bytes) = (StreamId(random.below(STREAMS)), content(random, 100));
    let base = store.end(stream).expect("open").appended;
    let batch = NewBatch { bytes: &bytes, count: 1, note: b"" };
    while store.append(stream, base, &[batch]) == Err(AppendError::Full) {
        store.room().await;
    }
}

/// Reads up to `end` at least; what is in flight may become durable meanwhile.
async fn read_to(store: &StreamStore, stream: StreamId, end: Offset, random: &Random) -> Vec<u8> {
    let (mut from, mut all) = (Offset(0), Vec::new());
    while from < end {
        let max = random.below(200_000) as usize;
        match store.read(stream, from, max, true).await {
            Ok(runs) => {
                assert!(!runs.is_empty(), "there is more");
                for run in runs {
                    assert_eq!(run.base, from, "runs go on where the one before ends");
                    all.extend_from_slice(&run.bytes);
                    from = run.end;
                }
            }
            Err(ReadError::Store(error)) if !error.kind.is_answer() => {}
            Err(error) => panic!("{error}"),
        }
    }
    all
}

/// Every acknowledged batch lies where its offset says, by index and by record bytes.
async fn verify(store: &StreamStore, ledger: &Ledger, random: &Random) {
    for stream in (0..STREAMS).map(StreamId) {
        let mut infos = Vec::new();
        loop {
            infos.clear();
            let mut each = |info: levee_store::BatchInfo<'_>| {
                infos.push((info.base, info.count, info.bytes, info.note.to_vec()));
            };
            match store.replay(stream, Offset(0), Purpose::Recovery, &mut each).await {
                Ok(()) => break,
                Err(ReadError::Store(error)) if !error.kind.is_answer() => {}
                Err(error) => panic!("{error}"),
            }
        }
        let end = infos.last().map_or(Offset(0), |(base, count, ..)| Offset(base.0 + u64::from(*count)));
        let all = read_to(store, stream, end, random).await;
        let (mut next, mut at, mut found) = (Offset(0), 0, 0);
        for (base, count, bytes, note) in infos {
            assert_eq!(base, next, "offsets are contiguous");
            let own = &all[at..at + bytes as usize];
            if let Some(written) = ledger.acknowledged.get(&(stream, base)) {
                assert!(written.bytes == own && written.note == note && written.count == count);
                found += 1;
            }
            next.0 += u64::from(count);
            at += bytes as usize;
        }
        assert!(at <= all.len());
        let due = ledger.acknowledged.range((stream, Offset(0))..(stream.next(), Offset(0))).count();
        assert_eq!(found, due, "acknowledged batches of stream {stream} are missing");
    }
}

/// What a checkpoint of a stream as of an offset says, long enough to be of several sizes.
fn known(stream: StreamId, offset: Offset) -> bytes::Bytes {
    format!("{stream} {offset} ").repeat(1 + (offset.0 % 97) as usize).into()
}

/// Writes checkpoints of some streams, as of what is registered, again and again.
async fn checkpoint(store: &StreamStore, random: &Random, clock: Clock) {
    loop {
        clock.sleep(Duration::from_millis(100 + random.below(900))).await;
        let streams = (0..STREAMS).map(StreamId).filter(|_| random.chance(0.5));
        let new: Vec<NewCheckpoint> = streams
            .map(|stream| {
                let offset = store.end(stream).expect("open").registered;
                NewCheckpoint { stream, offset, bytes: known(stream, offset) }
            })
            .collect();
        // On a rough store there may be no room.
        let _ = store.write_checkpoints(&new).await;
    }
}

/// The checkpoints that the metadata has are there, and as they were written. Returns how many there are.
async fn verify_checkpoints(store: &StreamStore, meta: &Meta) -> usize {
    let wanted: Vec<_> = (0..STREAMS)
        .map(StreamId)
        .filter_map(|stream| Some((stream, meta.registered(stream).checkpoint?)))
        .collect();
    let found = loop {
        match store.checkpoints(&wanted).await {
            Ok(found) => break found,
            Err(error) => assert!(!error.kind.is_answer(), "{error}"),
        }
    };
    for (stream, checkpoint) in &wanted {
        assert_eq!(found[stream], known(*stream, checkpoint.offset));
    }
    found.len()
}

async fn recover_until_read(
    ctx: &LogContext,
    epoch: levee_base::BrokerEpoch,
    from: Slot,
) -> levee_store::Recovered {
    loop {
        match recover(ctx, epoch, from, ctx.random.writer_id()).await {
            Ok(recovered) => return recovered,
            Err(RecoverError::Store(error)) if !error.kind.is_answer() => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// What happened.
#[derive(Debug, Default, PartialEq, Eq)]
struct Lived {
    /// Batches that were acknowledged.
    acknowledged: usize,
    /// Lives that ended with something in flight.
    in_flight: u32,
    /// Objects that nothing referred to any more, and that were deleted at once.
    collected: usize,
    compactions: usize,
    /// Checkpoints that were read by the life after.
    checkpoints: usize,
}

/// Lives and dies `lives` times, for up to `lifetime_ms` each.
async fn live(store: Arc<dyn Store>, clock: Clock, random: Random, lives: u32, lifetime_ms: u64) -> Lived {
    let ctx = context(store, clock, random.fork());
    let meta = Meta::new(&ctx);
    let (mut ledger, mut in_flight, mut indexes) = (Ledger::default(), 0, None);
    let (mut collected, mut checkpoints) = (0, 0);
    for life in 0..lives {
        let (epoch, store) = open(&ctx, &meta, small_options());
        for stream in (0..STREAMS).map(StreamId) {
            store.open_stream(stream, life, meta.registered(stream));
        }
        // Without them every index is read again, and small objects whole.
        if let Some(indexes) = indexes.take_if(|_| random.chance(0.5)) {
            store.keep_indexes(indexes);
        }
        verify(&store, &ledger, &random).await;
        checkpoints += verify_checkpoints(&store, &meta).await;
        meta.fail_trims(random.below(3) as u32);
        let collecting = async {
            loop {
                collected += meta.collect(&*ctx.store).await;
                clock.sleep(Duration::from_millis(1 + random.below(20))).await;
            }
        };
        let producing = produce(&store, &mut ledger, &random, random.below(lifetime_ms), clock);
        tokio::select! {
            biased;
            () = producing => {}
            () = collecting => {}
            () = checkpoint(&store, &random, clock) => {}
        }
        if random.chance(0.3) {
            verify(&store, &ledger, &random).await;
        }
        if random.chance(0.1) {
            store.shutdown().await;
        } else {
            // Whatever came before, most lives end with a flush under way; some of them well under way.
            last_words(&store, &random).await;
            if random.chance(0.3) {
                clock.sleep(Duration::from_millis(random.below(3))).await;
            }
        }
        in_flight += u32::from((0..STREAMS).any(|stream| {
            let ends = store.end(StreamId(stream)).unwrap();
            ends.durable < ends.appended
        }));
        drop(store);
        // A trim of the store that was dropped may still be committed until the epoch is closed.
        let recovered = recover_until_read(&ctx, epoch, meta.trim_point()).await;
        meta.close(epoch, &recovered);
        indexes = Some(recovered.indexes);
    }
    let (acknowledged, compactions) = (ledger.acknowledged.len(), meta.replacements());
    Lived { acknowledged, in_flight, collected, compactions, checkpoints }
}

#[tokio::test(start_paused = true)]
async fn a_faulty_store_loses_nothing_that_was_acknowledged() {
    let mut all = Lived::default();
    for seed in seeds() {
        println!("LEVEE_SIM_FIRST_SEED={seed} LEVEE_SIM_SEEDS=1 reproduces what fails below");
        let clock = Clock::simulated(0);
        let random = Random::seeded(seed);
        let inner = Arc::new(Copies::default());
        let store = Arc::new(Faulty::new(inner, FaultPlan::rough(), clock, random.fork()));
        let lived = live(store, clock, random, 8, 4_000).await;
        all.acknowledged += lived.acknowledged;
        all.in_flight += lived.in_flight;
        all.collected += lived.collected;
        all.compactions += lived.compactions;
        all.checkpoints += lived.checkpoints;
    }
    let enough = all.acknowledged > 2_000
        && all.in_flight > 30
        && all.collected > 300
        && all.compactions > 40
        && all.checkpoints > 100;
    assert!(enough || seeds().count() < 8, "{all:?}");
    println!("{all:?}");
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_is_the_same_run() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let (clock, random) = (Clock::simulated(0), Random::seeded(77));
        let inner = Arc::new(Copies::default());
        let store = Arc::new(Faulty::new(inner, FaultPlan::rough(), clock, random.fork()));
        let result = live(store, clock, random.clone(), 6, 8_000).await;
        runs.push((result, random.next_u64(), clock.wall_ms()));
    }
    assert_eq!(runs[0], runs[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let system = file_system(folder.path()).unwrap();
    assert!(!system.in_memory, "{} is in memory: set TMPDIR to a folder on a disk", system.name);
    let store = Arc::new(FolderStore::open(folder.path()).unwrap());
    let lived = live(store, Clock::system(), Random::seeded(1), 24, 400).await;
    assert!(lived.acknowledged > 500 && lived.in_flight > 4 && lived.collected > 100, "{lived:?}");
}
