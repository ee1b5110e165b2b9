//! Checkpoints over the real store and metadata, in simulated time.

use super::*;
use crate::batch::build::Build;
use crate::led_topics::tests::{led_with, until};
use levee_meta::TopicId;
use levee_store::{ObjectRef, PlanOptions, WalOptions};
use std::ops::Range;

/// Where nothing is compacted.
async fn led() -> Arc<LedTopics> {
    let compaction = PlanOptions { pieces: 1_000, fan_in: 1_000, ..PlanOptions::SUITABLE };
    led_with(WalOptions { compaction, ..WalOptions::folder() }).await
}

async fn create(led: &LedTopics, name: &str) -> (TopicId, Arc<PartitionLog>) {
    let id = led.create(name.to_owned(), 1, BTreeMap::new()).await.unwrap();
    let topic = led.table.by_id(id.0).unwrap();
    let Partition::Here(log) = &topic.partitions[0] else { panic!("{topic:?}") };
    (id, log.clone())
}

/// Appends batches of one idempotent producer, each of which becomes an extent of its own.
async fn extents(led: &LedTopics, log: &PartitionLog, producer: i64, sequences: Range<i32>) {
    for sequence in sequences {
        let now = led.clock.wall_ms();
        let build = Build::new().producer(producer, 0, sequence).record(now, "key", "value");
        let appended = log.append(&mut log.check(&mut build.bytes(), 9).unwrap()).unwrap();
        let slot = appended.slot.unwrap();
        log.status().wait_for(|status| status.durable > slot).await.unwrap();
        until(led, || log.ends().unwrap().registered == log.ends().unwrap().durable).await;
    }
}

fn kept(led: &LedTopics, log: &PartitionLog) -> Option<Offset> {
    led.metadata.view(|state| state.stream(log.stream()).unwrap().checkpoint.map(|(offset, _)| offset))
}

/// Opens a partition anew from its checkpoint, and without: both know the same.
async fn reopened(led: &LedTopics, log: &PartitionLog) -> usize {
    let replay = led.store.replays().into_iter().find(|replay| replay.stream == log.stream()).unwrap();
    let checkpoint = replay.checkpoint.unwrap();
    let found = led.store.checkpoints(&[(log.stream(), checkpoint.clone())]).await.unwrap();
    let bytes = found[&log.stream()].clone();
    let open = |checkpoint| {
        let streams = log.streams().clone();
        PartitionLog::open(streams, log.stream(), log.leader_epoch(), log.config(), led.clock, checkpoint)
    };
    let (from, whole) = (open(Some((checkpoint.offset, bytes))).await.unwrap(), open(None).await.unwrap());
    let known = |log: &PartitionLog| encode(&log.known(), Offset::ZERO);
    assert_eq!(known(&from), known(&whole));
    replay.extents
}

#[tokio::test(start_paused = true)]
async fn a_partition_gets_a_checkpoint_when_a_replay_would_be_long() {
    let led = led().await;
    let (_, log) = create(&led, "a").await;
    let mut lasts = Lasts::default();
    extents(&led, &log, 7, 0..15).await;
    led.checkpoint_once(&mut lasts).await;
    assert_eq!(kept(&led, &log), None);
    extents(&led, &log, 7, 15..17).await;
    led.checkpoint_once(&mut lasts).await;
    assert_eq!(kept(&led, &log), Some(Offset(17)));
    assert_eq!(reopened(&led, &log).await, 0);
    extents(&led, &log, 7, 17..20).await;
    led.checkpoint_once(&mut lasts).await;
    assert_eq!(kept(&led, &log), Some(Offset(17)), "three more are no reason for another");
    assert_eq!(reopened(&led, &log).await, 3);
    extents(&led, &log, 7, 20..34).await;
    led.checkpoint_once(&mut lasts).await;
    assert_eq!(kept(&led, &log), Some(Offset(34)), "it goes on from the one before");
    assert_eq!(reopened(&led, &log).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_that_is_gone_or_damaged_is_made_anew_from_all_there_is() {
    let led = led().await;
    let (_, log) = create(&led, "a").await;
    let mut lasts = Lasts::default();
    extents(&led, &log, 7, 0..16).await;
    led.checkpoint_once(&mut lasts).await;
    let replay = led.store.replays().pop().unwrap();
    let Checkpoint { offset, object } = replay.checkpoint.unwrap();
    // Another offset than any that the object has.
    let wanted = [(log.stream(), Checkpoint { offset: Offset(3), object: object.clone() })];
    assert!(led.store.checkpoints(&wanted).await.unwrap().is_empty());
    let key = levee_object::Key::new("data/1/999").unwrap();
    let gone = Arc::new(ObjectRef { key, ..(*object).clone() });
    let wanted = [(log.stream(), Checkpoint { offset, object: gone })];
    assert!(led.store.checkpoints(&wanted).await.unwrap().is_empty());
    // A checkpoint is made from nothing as well.
    let (made, _) = log.checkpoint(None).await.unwrap().unwrap();
    let found = led.store.checkpoints(&[(log.stream(), Checkpoint { offset, object })]).await.unwrap();
    assert_eq!(made.bytes, found[&log.stream()]);
    let (made, _) = log.checkpoint(Some((offset, "junk".into()))).await.unwrap().unwrap();
    assert_eq!(made.bytes, found[&log.stream()]);
}

fn replay(stream: u64, extents: usize, object: Option<u64>) -> Replay {
    let checkpoint = object.map(|object| {
        let key = levee_object::Key::new("data/1").unwrap().join_number(object);
        let object = Arc::new(ObjectRef { key, total_bytes: 9, index: 0..9 });
        Checkpoint { offset: Offset(1), object }
    });
    Replay { stream: StreamId(stream), extents, checkpoint }
}

fn streams(due: &[(StreamId, Option<Checkpoint>)]) -> Vec<u64> {
    due.iter().map(|(stream, _)| stream.0).collect()
}

#[test]
fn large_checkpoints_are_written_less_often_and_what_was_cleaned_is_kept_soon() {
    let replays = [replay(1, 15, None), replay(2, 16, None), replay(3, 30, Some(1)), replay(4, 0, Some(1))];
    let lasts = Lasts::from_iter([
        (StreamId(3), Last { bytes: 31 * 1_024, cleaned_until: Offset(5) }),
        (StreamId(4), Last { bytes: 10, cleaned_until: Offset(5) }),
    ]);
    let cleaned = |at| BTreeMap::from([(StreamId(4), Offset(at))]);
    assert_eq!(streams(&due(&replays, &cleaned(5), &lasts)), [2]);
    assert_eq!(streams(&due(&replays, &cleaned(6), &lasts)), [2, 4]);
}

#[test]
fn objects_that_hold_checkpoints_do_not_pile_up() {
    let limit = CHECKPOINT_OBJECTS as u64;
    let mut replays: Vec<Replay> = (0..limit).map(|n| replay(n, 0, Some(n))).collect();
    assert!(due(&replays, &BTreeMap::new(), &Lasts::default()).is_empty());
    // The emptiest go, and those of the fullest stay.
    replays.extend((0..50).map(|n| replay(1_000 + n, 0, Some(500))));
    replays.push(replay(2_000, 0, Some(501)));
    assert_eq!(due(&replays, &BTreeMap::new(), &Lasts::default()).len(), 2);
    assert!(
        due(&replays, &BTreeMap::new(), &Lasts::default())
            .iter()
            .all(|(stream, _)| stream.0 < 1_000 || stream.0 == 2_000)
    );
}
