//! The whole store on a memory store: what its users see.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod support;

use async_trait::async_trait;
use futures::FutureExt;
use levee_base::{BrokerEpoch, Clock, Offset, Random, Slot, StreamId};
use levee_object::log::{LogContext, fence_epoch};
use levee_object::stores::metered::{Metered, Operation};
use levee_object::{Purpose, Store};
use levee_store::format::{Index, ObjectHeader};
use levee_store::{
    AppendError, Metrics, NewBatch, ReadError, RecoverError, Registered, Registrar, RegistrarError,
    Replacement, Stopped, StreamStore, Trim, recover,
};
use std::sync::Arc;
use std::time::Duration;
use support::{Copies, Meta, context, open, small_options};
use tokio::sync::Notify;

const STREAM: StreamId = StreamId(1);

fn memory() -> (Arc<Copies>, LogContext) {
    let store = Arc::new(Copies::default());
    let ctx = context(store.clone(), Clock::simulated(0), Random::seeded(3));
    (store, ctx)
}

fn append(store: &StreamStore, stream: StreamId, bytes: &[u8]) -> Result<Slot, AppendError> {
    let base = store.end(stream).expect("open").appended;
    store.append(stream, base, &[NewBatch { bytes, count: 1, note: b"n" }])
}

async fn durable(store: &StreamStore, slot: Slot) {
    let mut status = store.status();
    let status = status.wait_for(|status| status.durable > slot || status.stopped.is_some()).await.unwrap();
    assert!(status.durable > slot, "{status:?}");
}

#[tokio::test(start_paused = true)]
async fn one_lone_append_is_one_object_at_once() {
    let (objects, ctx) = memory();
    let (epoch, store) = open(&ctx, &Meta::new(&ctx), small_options());
    store.open_stream(STREAM, 4, Registered::default());
    let before = ctx.clock.now();
    let slot = append(&store, STREAM, b"batch").unwrap();
    durable(&store, slot).await;
    assert_eq!(ctx.clock.now(), before, "nothing waits for the pace");
    let runs = store.read(STREAM, Offset(0), 100, true).await.unwrap();
    assert_eq!((runs.len(), &runs[0].bytes[..], runs[0].end), (1, &b"batch"[..], Offset(1)));
    let key = ctx.prefix.join_number(epoch.0).join_number(0);
    let object = objects.get(&key, None, Purpose::Inspect).await.unwrap();
    let header = ObjectHeader::decode(&object).unwrap();
    assert_eq!((header.total_bytes, header.blocks), (object.len() as u64, 1));
    let range = header.index.start as usize..header.index.end as usize;
    let index = Index::decode(&object.slice(range), header.index.start).unwrap();
    assert_eq!(index.blocks[0].leader_epoch, 4);
    assert_eq!(index.batches(&index.blocks[0]).next().unwrap().note, b"n");
}

#[tokio::test(start_paused = true)]
async fn appends_within_a_pace_share_an_object() {
    let (_, ctx) = memory();
    let (_, store) = open(&ctx, &Meta::new(&ctx), small_options());
    for stream in 0..4 {
        store.open_stream(StreamId(stream), 0, Registered::default());
    }
    durable(&store, append(&store, StreamId(0), b"first").unwrap()).await;
    let slots: Vec<_> = (0..4).map(|stream| append(&store, StreamId(stream), b"later").unwrap()).collect();
    assert_eq!(slots, [Slot(1); 4]);
    durable(&store, Slot(1)).await;
}

#[tokio::test(start_paused = true)]
async fn watchers_hear_of_their_streams_and_of_the_end() {
    let (_, ctx) = memory();
    let (epoch, store) = open(&ctx, &Meta::new(&ctx), small_options());
    for stream in 0..3 {
        store.open_stream(StreamId(stream), 0, Registered::default());
    }
    let (ours, others) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let _ours = store.watch(&[StreamId(0), StreamId(1)], &ours);
    let _others = store.watch(&[StreamId(2)], &others);
    append(&store, StreamId(1), b"x").unwrap();
    assert!(ours.notified().now_or_never().is_none(), "not before it is durable");
    ours.notified().await;
    assert_eq!(store.end(StreamId(1)).unwrap().durable, Offset(1));
    assert!(others.notified().now_or_never().is_none());
    fence_epoch(&ctx, epoch.into(), Slot(0), ctx.random.writer_id(), Some(4_096), |_| {}).await.unwrap();
    others.notified().await;
    let stopped = store.status().borrow().stopped.clone();
    assert!(matches!(stopped, Some(Stopped::Log(levee_object::log::Stopped::Fenced { .. }))), "{stopped:?}");
    assert_eq!(append(&store, StreamId(1), b"x"), Err(AppendError::Stopped));
    assert_eq!(store.read(StreamId(1), Offset(0), 9, true).await.unwrap().len(), 1, "reads go on");
}

#[tokio::test(start_paused = true)]
async fn what_was_pending_when_the_epoch_was_fenced_is_never_seen() {
    let (_, ctx) = memory();
    let (epoch, store) = open(&ctx, &Meta::new(&ctx), small_options());
    store.open_stream(STREAM, 0, Registered::default());
    durable(&store, append(&store, STREAM, b"kept").unwrap()).await;
    let recovered = recover(&ctx, epoch, Slot(0), ctx.random.writer_id()).await.unwrap();
    assert_eq!((recovered.fence, recovered.objects.len()), (Slot(1), 1));
    append(&store, STREAM, b"lost").unwrap();
    let mut status = store.status();
    status.wait_for(|status| status.stopped.is_some()).await.unwrap();
    let ends = store.end(STREAM).unwrap();
    assert_eq!((ends.durable, ends.appended), (Offset(1), Offset(2)));
    assert!(matches!(store.read(STREAM, Offset(1), 9, true).await.as_deref(), Ok([])));
    assert!(matches!(store.read(STREAM, Offset(2), 9, true).await, Err(ReadError::OutOfRange { .. })));
    let again = recover(&ctx, epoch, Slot(0), ctx.random.writer_id()).await.unwrap();
    assert_eq!((again.fence, again.objects), (recovered.fence, recovered.objects), "twice is once");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_makes_everything_durable_and_takes_nothing_more() {
    let (_, ctx) = memory();
    let meta = Meta::new(&ctx);
    let (epoch, store) = open(&ctx, &meta, small_options());
    store.open_stream(STREAM, 0, Registered::default());
    for n in 0..50 {
        append(&store, STREAM, &[n; 3_000]).unwrap();
    }
    let end = store.shutdown().await;
    let ends = store.end(STREAM).unwrap();
    assert_eq!((ends.durable, ends.appended), (Offset(50), Offset(50)));
    assert_eq!(append(&store, STREAM, b"x"), Err(AppendError::Stopped));
    assert!(matches!(store.status().borrow().stopped, Some(Stopped::Shutdown)));
    let recovered = recover(&ctx, epoch, meta.trim_point(), ctx.random.writer_id()).await.unwrap();
    assert_eq!(recovered.fence, end, "the fence goes right after the last object");
    assert_eq!(store.shutdown().await, end, "twice is once");
}

/// Fills stream 1 in a first life; returns the context and where the metadata saw it end.
async fn first_life(batches: u8) -> (Arc<Copies>, LogContext, Arc<Meta>) {
    let (objects, ctx) = memory();
    let meta = Meta::new(&ctx);
    let (epoch, store) = open(&ctx, &meta, small_options());
    store.open_stream(STREAM, 0, Registered::default());
    for n in 0..batches {
        durable(&store, append(&store, STREAM, &[n; 5_000]).unwrap()).await;
    }
    store.shutdown().await;
    let recovered = recover(&ctx, epoch, meta.trim_point(), ctx.random.writer_id()).await.unwrap();
    meta.close(epoch, &recovered);
    (objects, ctx, meta)
}

#[tokio::test(start_paused = true)]
async fn a_missing_or_corrupt_object_fails_its_reads_only() {
    let (objects, ctx, meta) = first_life(4).await;
    let extents = meta.extents(STREAM);
    assert_eq!(extents.len(), 4, "one object a batch");
    let replace = async |n: usize, bytes: Option<Vec<u8>>| {
        let key = &extents[n].object.key;
        objects.delete(key, Purpose::Inspect).await.unwrap();
        if let Some(bytes) = bytes {
            objects.create(key, bytes.into(), Purpose::Inspect).await.unwrap();
        }
    };
    let whole =
        async |n: usize| objects.get(&extents[n].object.key, None, Purpose::Inspect).await.unwrap().to_vec();
    replace(0, None).await;
    let mut record = whole(1).await;
    record[4_096 + 17] ^= 1;
    replace(1, Some(record)).await;
    let mut index = whole(2).await;
    let at = index.len() - 20;
    index[at] ^= 1;
    replace(2, Some(index)).await;
    let (_, store) = open(&ctx, &meta, small_options());
    store.open_stream(STREAM, 1, Registered { extents: extents.clone(), ..Registered::default() });
    let read = |n: u64| store.read(STREAM, Offset(n), 10, true);
    let named = |key: &levee_object::Key, n: usize| assert_eq!(key, &extents[n].object.key);
    match read(0).await.unwrap_err() {
        ReadError::Missing { key, .. } => named(&key, 0),
        other => panic!("{other}"),
    }
    for n in [1, 2] {
        match read(n as u64).await.unwrap_err() {
            ReadError::Corrupt { key, .. } => named(&key, n),
            other => panic!("{other}"),
        }
    }
    assert_eq!(read(3).await.unwrap()[0].bytes, vec![3; 5_000]);
    let error = store.replay(STREAM, Offset(0), Purpose::Recovery, &mut |_| {}).await.unwrap_err();
    assert!(matches!(error, ReadError::Missing { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_small_part_of_a_cold_block_does_not_keep_the_block() {
    let (_objects, ctx) = memory();
    let meta = Meta::new(&ctx);
    let (epoch, store) = open(&ctx, &meta, small_options());
    store.open_stream(STREAM, 0, Registered::default());
    // The first goes at once, the others within a pace and so as one block.
    for n in 0..11 {
        append(&store, STREAM, &[n; 2_000]).unwrap();
    }
    store.shutdown().await;
    let recovered = recover(&ctx, epoch, meta.trim_point(), ctx.random.writer_id()).await.unwrap();
    meta.close(epoch, &recovered);
    let (_, store) = open(&ctx, &meta, small_options());
    store.open_stream(STREAM, 1, meta.registered(STREAM));
    let read = async |max_bytes| store.read(STREAM, Offset(5), max_bytes, true).await.unwrap();
    // What the store in memory keeps is shared with whoever has a slice of it.
    let small = read(2_000).await;
    assert_eq!((small.len(), &small[0].bytes[..]), (1, &[5; 2_000][..]));
    assert!(small[0].bytes.is_unique(), "2,000 bytes hold no more than that");
    let large = read(20_000).await;
    assert_eq!(large.iter().map(|run| run.bytes.len()).sum::<usize>(), 6 * 2_000);
    assert!(!large[0].bytes.is_unique(), "a large part of a block is not copied");
}

#[tokio::test(start_paused = true)]
async fn another_objects_index_does_not_pass_for_ones_own() {
    let (objects, ctx, meta) = first_life(2).await;
    let extents = meta.extents(STREAM);
    let other = objects.get(&extents[1].object.key, None, Purpose::Inspect).await.unwrap();
    objects.delete(&extents[0].object.key, Purpose::Inspect).await.unwrap();
    objects.create(&extents[0].object.key, other, Purpose::Inspect).await.unwrap();
    let (_, store) = open(&ctx, &meta, small_options());
    store.open_stream(STREAM, 1, Registered { extents, ..Registered::default() });
    let error = store.read(STREAM, Offset(0), 10, true).await.unwrap_err();
    assert!(matches!(error, ReadError::Corrupt { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn recovery_names_a_corrupt_object_and_a_gap() {
    let (objects, ctx) = memory();
    let meta = Meta::new(&ctx);
    let (epoch, store) = open(&ctx, &meta, small_options());
    store.open_stream(STREAM, 0, Registered::default());
    for n in 0..3 {
        durable(&store, append(&store, STREAM, &[n; 100]).unwrap()).await;
    }
    drop(store);
    let key = |slot| ctx.prefix.join_number(epoch.0).join_number(slot);
    let good = objects.get(&key(1), None, Purpose::Inspect).await.unwrap();
    let mut bad = good.to_vec();
    let at = bad.len() - 1;
    bad[at] ^= 1;
    objects.delete(&key(1), Purpose::Inspect).await.unwrap();
    objects.create(&key(1), bad.into(), Purpose::Inspect).await.unwrap();
    let error = recover(&ctx, epoch, Slot(0), ctx.random.writer_id()).await.unwrap_err();
    assert!(matches!(&error, RecoverError::Corrupt { key: k, .. } if *k == key(1)), "{error}");

    // An epoch whose second object begins where its first does, as two writers would leave it.
    let (twice, clash) = (open(&ctx, &Meta::new(&ctx), small_options()).1, context_of(&ctx, "wal/2"));
    drop(twice);
    let meta = Meta::new(&clash);
    let (epoch, store) = open(&clash, &meta, small_options());
    store.open_stream(STREAM, 0, Registered::default());
    durable(&store, append(&store, STREAM, b"one").unwrap()).await;
    store.close_stream(STREAM);
    store.open_stream(STREAM, 0, Registered::default());
    let slot = append(&store, STREAM, b"two").unwrap();
    durable(&store, slot).await;
    let error = recover(&clash, epoch, Slot(0), clash.random.writer_id()).await.unwrap_err();
    let RecoverError::Gap { key, expected, found, .. } = error else { panic!("{error}") };
    assert_eq!((key.name(), expected, found), ("00000000000000000001", Offset(1), Offset(0)));
}

fn context_of(ctx: &LogContext, prefix: &str) -> LogContext {
    LogContext { prefix: levee_object::Key::new(prefix).unwrap(), ..ctx.clone() }
}

/// Reads of the store for replays and for readers.
fn gets(store: &Metered) -> u64 {
    [Purpose::Recovery, Purpose::Tail, Purpose::CatchUp]
        .iter()
        .map(|why| store.metrics().requests(Operation::Get, *why))
        .sum()
}

#[tokio::test(start_paused = true)]
async fn what_recovery_read_is_not_read_again_to_open_streams() {
    let (objects, ctx) = memory();
    let metered = Arc::new(Metered::new(objects, ctx.clock));
    let ctx = LogContext { store: metered.clone(), ..ctx };
    let meta = Meta::new(&ctx);
    let (epoch, store) = open(&ctx, &meta, small_options());
    store.open_stream(STREAM, 0, Registered::default());
    for n in 0..5 {
        durable(&store, append(&store, STREAM, &[n; 100]).unwrap()).await;
    }
    drop(store);
    let recovered = recover(&ctx, epoch, meta.trim_point(), ctx.random.writer_id()).await.unwrap();
    meta.close(epoch, &recovered);
    let (_, store) = open(&ctx, &meta, small_options());
    store.open_stream(STREAM, 1, meta.registered(STREAM));
    store.keep_indexes(recovered.indexes);
    let before = gets(&metered);
    let mut batches = 0;
    store.replay(STREAM, Offset(2), Purpose::Recovery, &mut |_| batches += 1).await.unwrap();
    assert_eq!((batches, gets(&metered)), (3, before));
    store.read(STREAM, Offset(4), 100, true).await.unwrap();
    assert_eq!(gets(&metered), before + 1, "one range of one object");
}

/// Refuses, or is never there.
struct No(Option<RegistrarError>);

#[async_trait]
impl Registrar for No {
    async fn trim(&self, _: Trim) -> Result<(), RegistrarError> {
        match &self.0 {
            Some(error) => Err(error.clone()),
            None => std::future::pending().await,
        }
    }

    async fn replace(&self, _: Replacement) -> Result<u32, RegistrarError> {
        std::future::pending().await
    }

    async fn abandon(&self, _: BrokerEpoch, _: Vec<u64>) -> Result<(), RegistrarError> {
        std::future::pending().await
    }

    fn streams(&self, _: BrokerEpoch, _: &[StreamId]) -> Vec<(StreamId, Registered)> {
        Vec::new()
    }
}

async fn fill(ctx: &LogContext, registrar: No) -> Arc<StreamStore> {
    let metrics = Arc::new(Metrics::default());
    let writer = ctx.random.writer_id();
    let epoch = levee_base::BrokerEpoch(5);
    let store =
        StreamStore::open(ctx.clone(), epoch, writer, Arc::new(registrar), small_options(), metrics.clone());
    store.open_stream(STREAM, 0, Registered::default());
    while let Ok(slot) = append(&store, STREAM, &[0; 2_000]) {
        let mut status = store.status();
        status.wait_for(|status| status.durable > slot || status.stopped.is_some()).await.unwrap();
        assert!(metrics.wal_objects.get() <= 24, "the limit holds");
    }
    store
}

#[tokio::test(start_paused = true)]
async fn a_registrar_that_does_not_answer_slows_producers_and_a_refusal_stops_the_store() {
    let (_, ctx) = memory();
    let store = fill(&ctx, No(None)).await;
    assert_eq!(append(&store, STREAM, b"x"), Err(AppendError::Full));
    assert!(ctx.clock.timeout(Duration::from_secs(60), store.room()).await.is_none(), "no room");
    let (_, ctx) = memory();
    let store = fill(&ctx, No(Some(RegistrarError::Refused("out".into())))).await;
    assert_eq!(append(&store, STREAM, b"x"), Err(AppendError::Stopped));
    store.room().await;
    assert!(matches!(&store.status().borrow().stopped, Some(Stopped::Refused(reason)) if reason == "out"));
}

#[tokio::test(start_paused = true)]
async fn a_registrar_that_is_away_for_a_while_is_waited_for() {
    let (_, ctx) = memory();
    let meta = Meta::new(&ctx);
    meta.fail_trims(5);
    let (_, store) = open(&ctx, &meta, small_options());
    store.open_stream(STREAM, 0, Registered::default());
    for n in 0..100u64 {
        let slot = loop {
            match append(&store, STREAM, &[n as u8; 2_000]) {
                Ok(slot) => break slot,
                Err(AppendError::Full) => store.room().await,
                Err(error) => panic!("{error}"),
            }
        };
        durable(&store, slot).await;
    }
    assert!(meta.trim_point() > Slot(70), "{:?}", meta.trim_point());
    let runs = store.read(STREAM, Offset(0), usize::MAX, true).await.unwrap();
    assert_eq!(runs[0].bytes[0], 0, "what was promoted in place is read in place");
}
