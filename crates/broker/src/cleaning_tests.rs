//! Keyed compaction over the real store and metadata, in simulated time.

use super::*;
use crate::batch::build::Build;
use crate::led_topics::tests::{led, until};
use levee_base::limits::CLEANER_BACKOFF;

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
