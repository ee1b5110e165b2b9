//! Keyed compaction over the real store and metadata, in simulated time.

use super::*;
use crate::batch::build::Build;
use crate::checkpointer::Lasts;
use crate::led_topics::tests::{led, led_with, until};
use levee_base::limits::{CHECKPOINT_EXTENTS, CLEANER_BACKOFF};
use levee_store::{PlanOptions, WalOptions};

async fn create(led: &LedTopics, configs: &[(&str, &str)]) -> Arc<PartitionLog> {
    let configs = configs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let id = led.create("keyed".to_owned(), 1, configs).await.unwrap();
    let topic = led.table.by_id(id.0).unwrap();
    let Partition::Here(log) = &topic.partitions[0] else { panic!("{topic:?}") };
    log.clone()
}

async fn append(log: &PartitionLog, build: Build) {
    let appended = log.append(&mut log.check(&mut build.bytes(), 9).unwrap()).unwrap();
    let slot = appended.slot.unwrap();
    log.status().wait_for(|status| status.durable > slot).await.unwrap();
}

/// The batches that are left: first offset, last offset, records.
async fn left(log: &PartitionLog) -> Vec<(i64, i64, i32)> {
    let (mut batches, mut from) = (Vec::new(), 0);
    let end = log.ends().unwrap().durable.0.cast_signed();
    while from < end {
        for run in log.read(from, 1 << 20, true).await.unwrap().runs {
            let mut rest = &run.bytes[..];
            while let Some(batch) = BatchView::first(rest) {
                batches.push((batch.base_offset(), batch.last_offset(), batch.count()));
                rest = &rest[batch.bytes().len()..];
            }
            from = run.end.0.cast_signed();
        }
    }
    batches
}

/// A topic whose segments are compacted as soon as they are rolled, and whose tombstones and markers last for no time.
const AT_ONCE: [(&str, &str); 4] = [
    ("cleanup.policy", "compact"),
    ("segment.ms", "1000"),
    ("min.cleanable.dirty.ratio", "0"),
    ("delete.retention.ms", "0"),
];

#[tokio::test(start_paused = true)]
async fn old_values_go_once_their_segment_is_rolled_and_registered() {
    let led = led().await;
    let configs =
        [("cleanup.policy", "compact"), ("segment.ms", "1000"), ("min.cleanable.dirty.ratio", "0.01")];
    let log = create(&led, &configs).await;
    let now = led.clock.wall_ms();
    // A batch of which one record is outdated, one that is outdated whole, and one that is not.
    append(&log, Build::new().record(now, "a", "1").record(now, "b", "1")).await;
    append(&log, Build::new().record(now, "a", "2")).await;
    append(&log, Build::new().producer(9, 0, 0).record(now, "a", "3")).await;
    append(&log, Build::new().record(now, "a", "4")).await;
    let maintained = led.clone();
    let maintaining = tokio::spawn(async move { maintained.maintain().await });
    until(&led, || log.ends().unwrap().registered == Offset(5)).await;
    led.clock.sleep(CLEANER_BACKOFF * 2).await;
    assert_eq!(left(&log).await.len(), 4, "the active segment is left alone");
    append(&log, Build::new().record(now + 1_001, "a", "5")).await;
    until(&led, || log.cleaned_until() == Offset(5)).await;
    // The last of a producer stays without records: the sequence number in it must last.
    assert_eq!(left(&log).await, [(0, 1, 1), (3, 3, 0), (4, 4, 1), (5, 5, 1)]);
    append(&log, Build::new().record(now + 3_000, "c", "1")).await;
    until(&led, || log.cleaned_until() == Offset(6)).await;
    assert_eq!(left(&log).await, [(0, 1, 1), (3, 3, 0), (5, 5, 1), (6, 6, 1)]);
    // The next round of checkpoints says where cleaning has come to.
    until(&led, || led.metadata.view(|state| state.stream(log.stream()).unwrap().checkpoint.is_some())).await;
    // Opened anew it is the same, and the producer goes on.
    maintaining.abort();
    let reopened = PartitionLog::open(
        log.streams().clone(),
        log.stream(),
        log.leader_epoch(),
        log.config(),
        led.clock,
        None,
    );
    let reopened = reopened.await.unwrap();
    assert_eq!(reopened.producers(), 1);
    append(&reopened, Build::new().producer(9, 0, 1).record(now, "d", "1")).await;
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_is_not_compacted_keeps_its_old_values() {
    let led = led().await;
    let log = create(&led, &[("segment.ms", "1"), ("min.cleanable.dirty.ratio", "0")]).await;
    for at in 0..5 {
        append(&log, Build::new().record(led.clock.wall_ms() + at * 10, "a", "1")).await;
    }
    let maintained = led.clone();
    let maintaining = tokio::spawn(async move { maintained.maintain().await });
    until(&led, || log.ends().unwrap().registered == Offset(5)).await;
    led.clock.sleep(CLEANER_BACKOFF * 2).await;
    assert_eq!(left(&log).await.len(), 5);
    maintaining.abort();
}

async fn durable(log: &PartitionLog, appended: crate::partition::Appended) {
    let slot = appended.slot.unwrap();
    log.status().wait_for(|status| status.durable > slot).await.unwrap();
}

/// A record of a key that is part of a producer's transaction, as a coordinator would write it.
async fn within(log: &PartitionLog, id: i64, key: &'static str) {
    let record = (Some(bytes::Bytes::from_static(key.as_bytes())), Some(bytes::Bytes::from_static(b"1")));
    durable(log, log.append_records(&[record], Some((id, 0))).unwrap()).await;
}

async fn end(log: &PartitionLog, id: i64, commit: bool) {
    durable(log, log.append_marker(id, 0, 0, commit, 1).unwrap()).await;
}

/// The first offsets of the batches, and of those that are read as committed, with the aborted transactions that are
/// named for them.
async fn seen(log: &PartitionLog) -> (Vec<i64>, Vec<(i64, i64)>) {
    let fetched = log.fetch(0, crate::partition::Isolation::Committed, 1 << 20, true).await.unwrap();
    let aborted = fetched.aborted.iter().map(|one| (one.producer_id, one.first_offset)).collect();
    (left(log).await.iter().map(|batch| batch.0).collect(), aborted)
}

#[tokio::test(start_paused = true)]
async fn what_is_undecided_stays_and_what_was_aborted_goes_before_its_marker() {
    let led = led().await;
    let log = create(&led, &AT_ONCE).await;
    let now = led.clock.wall_ms();
    append(&log, Build::new().record(now, "a", "1")).await;
    within(&log, 7, "a").await;
    end(&log, 7, false).await;
    within(&log, 7, "b").await;
    append(&log, Build::new().record(now + 100_000, "a", "2")).await;
    append(&log, Build::new().record(now + 200_000, "c", "1")).await;
    let maintained = led.clone();
    let maintaining = tokio::spawn(async move { maintained.maintain().await });
    until(&led, || log.ends().unwrap().registered == Offset(6)).await;
    led.clock.sleep(CLEANER_BACKOFF * 2).await;
    // The transaction that is open begins in the first segment, so nothing is cleaned.
    assert_eq!(log.cleaned_until(), Offset(0));
    assert_eq!(seen(&log).await, (vec![0, 1, 2, 3, 4, 5], vec![(7, 1)]));
    end(&log, 7, true).await;
    let next = |at: i64| Build::new().record(led.clock.wall_ms() + at * 600_000, "c", "1");
    append(&log, next(1)).await;
    until(&led, || log.cleaned_until() >= Offset(4)).await;
    until(&led, || log.aborted().is_empty()).await;
    // The aborted record is gone at once. Its marker has got a horizon in the pass after that, in which nothing of the
    // transaction was found any more, and goes in the next. The key's value was not outdated by what was aborted.
    for at in 2..5 {
        append(&log, next(at)).await;
        led.clock.sleep(CLEANER_BACKOFF * 2).await;
        let ends = log.ends().unwrap();
        until(&led, || log.ends().unwrap().registered >= ends.appended).await;
        led.clock.sleep(CLEANER_BACKOFF * 2).await;
    }
    let (offsets, aborted) = seen(&log).await;
    assert!(!offsets.contains(&1) && !offsets.contains(&2), "{offsets:?}");
    assert!(offsets.contains(&3) && offsets.contains(&4), "{offsets:?}");
    assert_eq!(aborted, []);
    // A successor knows it from the notes alone, and from the checkpoint.
    let open = |checkpoint| {
        let streams: Arc<dyn crate::partition::Streams> = led.store.clone();
        PartitionLog::open(streams, log.stream(), log.leader_epoch(), log.config(), led.clock, checkpoint)
    };
    assert!(open(None).await.unwrap().aborted().is_empty());
    // One that is older than the passes still has the transaction, of which nothing is left: nobody is told of it.
    let mut known = crate::partition::known::Known::default();
    let stale =
        [Build::new().producer(7, 0, -1).attribute(4).record(now, "a", "1"), Build::marker(now, 7, 0, false)];
    for (base, build) in [1, 2].into_iter().zip(stale) {
        let bytes = build.bytes();
        let note = Note::of(&BatchView::first(&bytes).unwrap(), now).encode();
        known.replay(BatchInfo { base: Offset(base), count: 1, bytes: 1, note: &note }).unwrap();
    }
    let checkpoint = crate::partition::checkpoint::encode(&known, Offset::ZERO).into();
    let stale = open(Some((Offset(3), checkpoint))).await.unwrap();
    assert_eq!(stale.aborted().len(), 1);
    assert_eq!(seen(&stale).await.1, []);
    maintaining.abort();
}

/// Waits until all that was appended is registered.
async fn registered(led: &LedTopics, log: &PartitionLog) {
    until(led, || log.ends().is_some_and(|ends| ends.registered == ends.appended)).await;
}

/// Makes one pass over all but a record that it appends.
async fn pass(led: &LedTopics, log: &PartitionLog, at: i64) {
    append(log, Build::new().record(led.clock.wall_ms() + at * 10_000, "c", "1")).await;
    registered(led, log).await;
    let mut dirty = Dirty::default();
    let job = led.dirtiest(&mut dirty).await.unwrap();
    assert!(led.clean_one(&job, &mut dirty).await);
    let ends = log.ends().unwrap();
    assert_eq!(log.cleaned_until(), Offset(ends.registered.0 - 1));
}

/// Opens a partition from the checkpoint that it has, and finds it as it is. As of which offset that is.
async fn same_when_opened(led: &LedTopics, log: &PartitionLog) -> u64 {
    let replay = led.store.replays().into_iter().find(|replay| replay.stream == log.stream()).unwrap();
    let checkpoint = replay.checkpoint.unwrap();
    let found = led.store.checkpoints(&[(log.stream(), checkpoint.clone())]).await.unwrap();
    let bytes = found[&log.stream()].clone();
    let opened = PartitionLog::open(
        log.streams().clone(),
        log.stream(),
        log.leader_epoch(),
        log.config(),
        led.clock,
        Some((checkpoint.offset, bytes)),
    );
    let opened = opened.await.unwrap();
    assert_eq!(opened.last_stable_offset(), log.last_stable_offset());
    assert_eq!(opened.active_producers(), log.active_producers());
    checkpoint.offset.0
}

/// A transaction is open in a checkpoint, and is cleaned away before there is another. Its marker has an epoch of its own
/// or the next transaction follows in the same one: in either case nothing keeps what the producer wrote in this one.
async fn open_in_a_checkpoint(own_epoch: bool, commit: bool) {
    // Where nothing is compacted, so that there are many extents.
    let compaction = PlanOptions { pieces: 1_000, fan_in: 1_000, ..PlanOptions::SUITABLE };
    let led = led_with(WalOptions { compaction, ..WalOptions::folder() }).await;
    let log = create(&led, &AT_ONCE).await;
    within(&log, 7, "b").await;
    for _ in 0..CHECKPOINT_EXTENTS {
        append(&log, Build::new().record(led.clock.wall_ms(), "b", "2")).await;
        registered(&led, &log).await;
    }
    let mut lasts = Lasts::default();
    led.checkpoint_once(&mut lasts).await;
    let marker = log.ends().unwrap().appended.0;
    assert_eq!(same_when_opened(&led, &log).await, marker);
    if own_epoch {
        durable(&log, log.append_marker(7, 1, 3, commit, 2).unwrap()).await;
    } else {
        durable(&log, log.append_marker(7, 0, 3, commit, 1).unwrap()).await;
        within(&log, 7, "d").await;
        durable(&log, log.append_marker(7, 0, 3, true, 1).unwrap()).await;
    }
    assert_eq!(log.last_stable_offset(), log.ends().map(|ends| ends.durable));
    let records_of_marker = async || {
        let batches = left(&log).await;
        assert_ne!(batches[0].0, 0, "the transaction's record is gone");
        batches.iter().find(|batch| batch.0 == marker.cast_signed()).map(|batch| batch.2)
    };
    for at in 1..6 {
        pass(&led, &log, at).await;
        assert_eq!(same_when_opened(&led, &log).await, marker, "the transaction is open in it");
        assert_eq!(records_of_marker().await, Some(1), "it must be found by who opens the partition");
    }
    // The passes are reason enough for another checkpoint, and what has seen the marker can do without it.
    led.checkpoint_once(&mut lasts).await;
    let seen = same_when_opened(&led, &log).await;
    assert!(seen > marker);
    pass(&led, &log, 6).await;
    assert_eq!(records_of_marker().await, own_epoch.then_some(0), "its epoch stays");
    assert_eq!(same_when_opened(&led, &log).await, seen);
    led.checkpoint_once(&mut lasts).await;
    assert!(same_when_opened(&led, &log).await > seen);
}

#[tokio::test(start_paused = true)]
async fn a_marker_stays_until_a_checkpoint_has_seen_it() {
    for (own_epoch, commit) in [(false, false), (false, true), (true, false), (true, true)] {
        open_in_a_checkpoint(own_epoch, commit).await;
    }
}
