//! One behaviour of the shell at a time, on a kind store unless said otherwise.

use super::world::{Unkindness, World};
use crate::log::context::Content;
use crate::log::fence::{Walk, WalkAsk};
use crate::log::reader::Window;
use crate::log::rules::Rules;
use crate::log::*;
use crate::{Key, Purpose};
use bytes::Bytes;
use levee_base::limits::{LOG_HEADER_BYTES, LOG_READ_WINDOW};
use levee_base::{ClusterId, Epoch, LogPosition, Slot, WriterId};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const EPOCH: Epoch = Epoch(5);

fn id(number: u128) -> WriterId {
    WriterId(Uuid::from_u128(number))
}

fn payload(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_le_bytes())
}

fn open(ctx: &LogContext, epoch: Epoch, writer: WriterId, in_flight: usize) -> LogWriter {
    LogWriter::open(ctx.clone(), epoch, writer, Slot::ZERO, WriterOptions::new(in_flight, Purpose::Wal))
}

/// Reads an epoch from `from` on and hands its entries over in order, with nothing checked.
async fn read_epoch(
    ctx: &LogContext,
    epoch: Epoch,
    from: Slot,
    mut each: impl FnMut(SlotRead),
) -> Result<EpochEnd, ReadError> {
    let mut walk = Walk::new(from, None, Rules::default());
    let mut window = Window::new(LogPosition { epoch, slot: from }, LOG_READ_WINDOW, None, Purpose::Recovery);
    loop {
        match walk.ask() {
            WalkAsk::Get(slot) => {
                let content = window.read(ctx, LogPosition { epoch, slot }).await?;
                let step = walk.read(content.seen());
                if let Content::Found(read) = content
                    && step.entry
                {
                    each(read);
                }
            }
            WalkAsk::Create(_) => unreachable!("a reader fences nothing"),
            WalkAsk::Done(end) => return Ok(end),
        }
    }
}

async fn read_all(ctx: &LogContext, epoch: Epoch) -> (Vec<Bytes>, EpochEnd) {
    let mut entries = Vec::new();
    let end = read_epoch(ctx, epoch, Slot::ZERO, |read| {
        assert_eq!(read.slot, Slot(entries.len() as u64), "in order");
        entries.push(read.bytes.slice(LOG_HEADER_BYTES..));
    })
    .await
    .unwrap();
    (entries, end)
}

#[tokio::test(start_paused = true)]
async fn one_create_and_no_read_an_entry() {
    let world = World::new(1, Unkindness::default());
    let ctx = world.context("wal/1");
    let writer = open(&ctx, EPOCH, id(1), 4);
    for number in 0..200 {
        assert_eq!(writer.append(payload(number)).await.unwrap(), Slot(number));
    }
    assert_eq!(writer.drain().await.unwrap(), Slot(200));
    assert_eq!(writer.status().borrow().durable, Slot(200));
    assert_eq!(world.requests("create", Purpose::Wal), 200);
    assert_eq!(world.requests("get", Purpose::Doubt) + world.requests("get", Purpose::Look), 0);
    let (entries, end) = read_all(&ctx, EPOCH).await;
    assert_eq!(entries, (0..200).map(payload).collect::<Vec<_>>());
    assert_eq!(end, EpochEnd::Open { next: Slot(200) });
}

#[tokio::test(start_paused = true)]
async fn in_flight_is_bounded() {
    let world = World::new(2, Unkindness { fail_before: 1_000, ..Unkindness::default() });
    let writer = open(&world.context("wal/1"), EPOCH, id(1), 2);
    writer.append(payload(0)).await.unwrap();
    writer.append(payload(1)).await.unwrap();
    let third = world.clock.timeout(Duration::from_secs(60), writer.append(payload(2))).await;
    assert!(third.is_none(), "two are in flight, and the store takes none");
    world.set_unkindness(Unkindness::default());
    assert_eq!(writer.drain().await.unwrap(), Slot(2), "it waited for the store and went on");
}

/// A proxy's 400, or a 501 while the store is upgraded: what wrote before goes on when it is over.
#[tokio::test(start_paused = true)]
async fn a_store_that_refuses_for_a_while_is_waited_for() {
    let world = World::new(6, Unkindness { refused: 1_000, ..Unkindness::default() });
    let (ctx, journal) = (world.context("wal/1"), world.context("journal"));
    let writer = open(&ctx, EPOCH, id(1), 2);
    writer.append(payload(0)).await.unwrap();
    let over = world.clone();
    tokio::spawn(async move {
        over.clock.sleep(Duration::from_secs(60)).await;
        over.set_unkindness(Unkindness { refused: 300, ..Unkindness::default() });
    });
    // All that reads and ends a log waits too: its reads, its fence, and the trim point.
    let won = take_over(&journal, LogPosition::default(), &*world, |_, _| {}).await.unwrap();
    assert!(matches!(won, TakeOver::Won { epoch: Epoch(1), .. }), "{won:?}");
    assert_eq!(writer.drain().await.unwrap(), Slot(1));
    let fence = fence_epoch(&ctx, EPOCH, Slot::ZERO, id(2), None, |_| {}).await.unwrap();
    assert_eq!(fence, Fence { at: Slot(1), by: id(2) });
}

/// Of many entries some fail many times in a row, and all that follow wait for them.
#[tokio::test(start_paused = true)]
async fn a_store_that_refuses_half_of_all_requests_slows_a_log_and_does_not_stop_it() {
    let half = Unkindness { throttled: 500, read_fails: 500, ..Unkindness::default() };
    for seed in 0..20 {
        let world = World::new(seed, half);
        let writer = open(&world.context("wal/1"), EPOCH, id(1), 4);
        let (clock, mut status) = (world.clock, writer.status());
        let began = clock.now();
        let longest = tokio::spawn(async move {
            let mut longest = Duration::ZERO;
            loop {
                let before = clock.now();
                status.changed().await.unwrap();
                longest = longest.max(clock.now() - before);
                if status.borrow().durable == Slot(400) {
                    return longest;
                }
            }
        });
        for number in 0..400 {
            writer.append(payload(number)).await.unwrap();
        }
        let longest = longest.await.unwrap();
        let took = clock.now() - began;
        assert!(took < Duration::from_secs(80), "seed {seed}: {took:?} for 400 entries");
        assert!(longest < Duration::from_secs(12), "seed {seed}: nothing for {longest:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_settled_by_one_read() {
    let world = World::new(3, Unkindness { answer_lost: 1_000, ..Unkindness::default() });
    let ctx = world.context("wal/1");
    let writer = open(&ctx, EPOCH, id(1), 1);
    writer.append(payload(0)).await.unwrap();
    assert_eq!(writer.drain().await.unwrap(), Slot(1));
    assert_eq!(world.requests("create", Purpose::Wal), 1, "nothing is sent twice");
    assert_eq!(world.requests("get", Purpose::Doubt), 1);
}

#[tokio::test(start_paused = true)]
async fn a_fence_stops_a_writer_that_appends() {
    let world = World::new(4, Unkindness::default());
    let ctx = world.context("wal/1");
    let writer = open(&ctx, EPOCH, id(1), 2);
    writer.append(payload(0)).await.unwrap();
    writer.drain().await.unwrap();
    let mut seen = Vec::new();
    let fence = fence_epoch(&ctx, EPOCH, Slot::ZERO, id(2), None, |read| seen.push(read.slot)).await.unwrap();
    assert_eq!((fence, seen), (Fence { at: Slot(1), by: id(2) }, vec![Slot(0)]));
    // It may be told at once, or after it has sent.
    let _ = writer.append(payload(1)).await;
    assert!(matches!(writer.drain().await, Err(Stopped::Fenced { at: Slot(1), by, .. }) if by == id(2)));
    assert!(matches!(writer.append(payload(2)).await, Err(Stopped::Fenced { .. })));
    assert_eq!(read_all(&ctx, EPOCH).await.1, EpochEnd::Fenced { at: Slot(1), by: id(2) });
    let again = fence_epoch(&ctx, EPOCH, Slot::ZERO, id(3), Some(512), |_| {}).await.unwrap();
    assert_eq!(again, fence, "an epoch is ended once");
}

#[tokio::test(start_paused = true)]
async fn an_idle_writer_looks_and_learns_that_it_is_fenced() {
    let world = World::new(5, Unkindness::default());
    let ctx = world.context("wal/1");
    let writer = open(&ctx, EPOCH, id(1), 2);
    let mut status = writer.status();
    world.clock.sleep(Duration::from_secs(3)).await;
    assert!(status.borrow().stopped.is_none());
    assert!(world.requests("get", Purpose::Look) >= 2);
    fence_epoch(&ctx, EPOCH, Slot::ZERO, id(2), None, |_| {}).await.unwrap();
    let stopped =
        world.clock.timeout(Duration::from_secs(2), status.wait_for(|now| now.stopped.is_some())).await;
    assert!(matches!(stopped.unwrap().unwrap().stopped, Some(Stopped::Fenced { .. })));
}

#[tokio::test(start_paused = true)]
async fn slow_creates_are_hedged_and_not_after_a_throttle() {
    let world = World::new(6, Unkindness { slow: 20, ..Unkindness::default() });
    let ctx = world.context("wal/1");
    let writer = open(&ctx, EPOCH, id(1), 2);
    for number in 0..500 {
        writer.append(payload(number)).await.unwrap();
    }
    writer.drain().await.unwrap();
    let hedges = world.requests("create", Purpose::Hedge);
    assert!((1..=30).contains(&hedges), "{hedges} of 500 were sent twice");

    world.set_unkindness(Unkindness { throttled: 1_000, ..Unkindness::default() });
    writer.append(payload(500)).await.unwrap();
    world.clock.sleep(Duration::from_millis(100)).await;
    world.set_unkindness(Unkindness { slow: 20, ..Unkindness::default() });
    for number in 501..900 {
        writer.append(payload(number)).await.unwrap();
    }
    writer.drain().await.unwrap();
    assert_eq!(world.requests("create", Purpose::Hedge), hedges, "the store has asked for less");
    assert_eq!(read_all(&ctx, EPOCH).await.0, (0..900).map(payload).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn dropping_every_handle_closes_the_writer() {
    let world = World::new(7, Unkindness::default());
    let writer = open(&world.context("wal/1"), EPOCH, id(1), 2);
    let mut status = writer.status();
    drop(writer);
    let closed =
        world.clock.timeout(Duration::from_secs(5), status.wait_for(|now| now.stopped.is_some())).await;
    assert!(matches!(closed.unwrap().unwrap().stopped, Some(Stopped::Closed)));
}

#[tokio::test(start_paused = true)]
async fn dropping_every_handle_closes_a_writer_that_is_full() {
    let world = World::new(7, Unkindness { fail_before: 1_000, ..Unkindness::default() });
    let writer = open(&world.context("wal/1"), EPOCH, id(1), 1);
    writer.append(payload(0)).await.unwrap();
    let mut status = writer.status();
    drop(writer);
    let closed =
        world.clock.timeout(Duration::from_secs(5), status.wait_for(|now| now.stopped.is_some())).await;
    assert!(matches!(closed.unwrap().unwrap().stopped, Some(Stopped::Closed)));
}

#[tokio::test(start_paused = true)]
async fn another_clusters_objects_stop_everybody() {
    let world = World::new(8, Unkindness::default());
    let ctx = world.context("wal/1");
    let other = LogContext { cluster: ClusterId(Uuid::from_u128(8)), ..ctx.clone() };
    let writer = open(&other, EPOCH, id(9), 1);
    writer.append(payload(0)).await.unwrap();
    writer.drain().await.unwrap();
    let read = read_epoch(&ctx, EPOCH, Slot::ZERO, |_| {}).await;
    let error = read.unwrap_err();
    assert!(matches!(&error, ReadError::ForeignCluster { found, .. } if *found == other.cluster));
    assert!(error.to_string().contains("two clusters must not share"), "{error}");
    let fence = fence_epoch(&ctx, EPOCH, Slot::ZERO, id(1), None, |_| {}).await;
    assert!(matches!(fence, Err(ReadError::ForeignCluster { .. })));
    let ours = open(&ctx, EPOCH, id(1), 1);
    ours.append(payload(0)).await.unwrap();
    assert!(matches!(ours.drain().await, Err(Stopped::Unreadable(ReadError::ForeignCluster { .. }))));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_decoded_is_an_error_and_what_names_another_slot_is_missing() {
    let world = World::new(9, Unkindness::default());
    let ctx = world.context("wal/1");
    let writer = open(&ctx, EPOCH, id(1), 1);
    for number in 0..3 {
        writer.append(payload(number)).await.unwrap();
    }
    writer.drain().await.unwrap();
    let key = |slot| ctx.key(LogPosition { epoch: EPOCH, slot: Slot(slot) });
    // The object of slot 1 has the bytes of slot 2's.
    let second = world.object(&key(1)).unwrap();
    world.put(&key(1), world.object(&key(2)).unwrap());
    assert_eq!(read_all(&ctx, EPOCH).await.1, EpochEnd::Open { next: Slot(1) });
    let stuck = fence_epoch(&ctx, EPOCH, Slot::ZERO, id(2), None, |_| {}).await;
    assert!(matches!(stuck, Err(ReadError::Corrupt { .. })), "it does not go on for ever: {stuck:?}");
    for bad in [Bytes::new(), Bytes::from_static(b"torn"), second.slice(..second.len() - 1)] {
        world.put(&key(1), bad);
        let read = read_epoch(&ctx, EPOCH, Slot::ZERO, |_| {}).await;
        assert!(matches!(read, Err(ReadError::Corrupt { key: found, .. }) if found == key(1)));
    }
    // What follows an object in its file is not part of it.
    let mut long = world.object(&key(2)).unwrap().to_vec();
    long.extend_from_slice(b"another object's bytes");
    world.put(&key(2), long.into());
    let mut last = Bytes::new();
    read_epoch(&ctx, EPOCH, Slot(2), |read| last = read.bytes).await.unwrap();
    assert_eq!(last.slice(LOG_HEADER_BYTES..), payload(2));
}

#[tokio::test(start_paused = true)]
async fn a_head_is_enough_to_fence() {
    let world = World::new(10, Unkindness::default());
    let ctx = world.context("wal/1");
    let writer = open(&ctx, EPOCH, id(1), 4);
    for _ in 0..150 {
        writer.append(Bytes::from(vec![1; 10_000])).await.unwrap();
    }
    writer.drain().await.unwrap();
    let mut count = 0;
    let fence = fence_epoch(&ctx, EPOCH, Slot(3), id(2), Some(4_096), |read| {
        assert_eq!((read.bytes.len(), read.header.total_bytes), (4_096, 10_256));
        count += 1;
    })
    .await
    .unwrap();
    assert_eq!((fence.at, count), (Slot(150), 147));
}

#[tokio::test(start_paused = true)]
async fn one_of_many_begins_the_cluster_and_the_others_join() {
    for seed in 0..50 {
        let world =
            World::new(seed, Unkindness { answer_lost: 200, lands_late: 200, ..Unkindness::default() });
        let begin = |_| {
            let world = world.clone();
            async move {
                let (store, random) = (Arc::new(world.clone()), world.random.fork());
                let prefix = Key::new("journal").unwrap();
                genesis(store, prefix, world.clock, random, world.as_ref()).await.unwrap()
            }
        };
        let found = futures::future::join_all((0..5).map(begin)).await;
        assert!(found.iter().all(|genesis| genesis.cluster == found[0].cluster));
        let won: Vec<_> = found.iter().filter_map(|genesis| genesis.won).collect();
        assert!(matches!(won[..], [TakeOver::Won { epoch: Epoch(1), first: Slot::ZERO, .. }]), "{won:?}");
        assert_eq!(world.keys().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_chain_is_taken_over_and_followed() {
    let world = World::new(11, Unkindness::default());
    let ctx = world.context("journal");
    let mut expected = Vec::new();
    for epoch in 1..=4u64 {
        let mut items = Vec::new();
        let won = take_over(&ctx, LogPosition::default(), world.as_ref(), |at, item| items.push((at, item)));
        let TakeOver::Won { epoch: won, writer, first } = won.await.unwrap() else {
            panic!("nobody competes")
        };
        assert_eq!((won, first), (Epoch(epoch), Slot::ZERO));
        let last = LogPosition { epoch: Epoch(epoch - 1), slot: Slot(3 * u64::from(epoch > 1)) };
        expected.push((last, ChainItem::Fence { next_writer: writer }));
        assert_eq!(items, expected);
        let log = open(&ctx, won, writer, 1);
        for slot in 0..3 {
            log.append(payload(epoch * 10 + slot)).await.unwrap();
            let at = LogPosition { epoch: won, slot: Slot(slot) };
            expected.push((at, ChainItem::Entry(payload(epoch * 10 + slot))));
        }
        log.drain().await.unwrap();
    }
    let mut items = Vec::new();
    let each = |at, item| items.push((at, item));
    let followed = follow_checked(&ctx, LogPosition::default(), world.as_ref(), each).await.unwrap();
    let next = LogPosition { epoch: Epoch(4), slot: Slot(3) };
    assert_eq!((followed, &items), (Followed::To(next), &expected));
    // Once trimmed past a slot that reads as missing, what was read is void.
    let gone = LogPosition { epoch: Epoch(3), slot: Slot(1) };
    world.trim(LogPosition { epoch: Epoch(4), slot: Slot(1) });
    let store: &dyn crate::Store = &world;
    store.delete(&ctx.key(gone), Purpose::Collect).await.unwrap();
    let from = LogPosition::start_of(Epoch(3));
    assert_eq!(follow_checked(&ctx, from, world.as_ref(), |_, _| {}).await.unwrap(), Followed::Void);
    assert_eq!(take_over(&ctx, from, world.as_ref(), |_, _| {}).await.unwrap(), TakeOver::Void);
    let newest = LogPosition { epoch: Epoch(4), slot: Slot(1) };
    assert_eq!(follow_checked(&ctx, newest, world.as_ref(), |_, _| {}).await.unwrap(), Followed::To(next));
}
