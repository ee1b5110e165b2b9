//! Retention over the real store and metadata, in simulated time.

use super::*;
use crate::batch::build::Build;
use crate::led_topics::tests::{led, settle};
use levee_base::limits::RETENTION_EVERY;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const HOUR_MS: i64 = 3_600_000;

async fn create(led: &LedTopics, name: &str, configs: &[(&str, &str)]) -> Arc<PartitionLog> {
    let configs = configs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let id = led.create(name.to_owned(), 1, configs).await.unwrap();
    let topic = led.table.by_id(id.0).unwrap();
    let Partition::Here(log) = &topic.partitions[0] else { panic!("{topic:?}") };
    log.clone()
}

async fn append(log: &PartitionLog, count: usize, timestamp: i64) {
    let appended =
        log.append(&mut log.check(&mut Build::records(count, timestamp).bytes(), 9).unwrap()).unwrap();
    let slot = appended.slot.unwrap();
    log.status().wait_for(|status| status.durable > slot).await.unwrap();
}

fn starts(logs: &[&Arc<PartitionLog>]) -> Vec<u64> {
    logs.iter().map(|log| log.ends().unwrap().start.0).collect()
}

fn committed(led: &LedTopics, log: &PartitionLog) -> u64 {
    led.metadata.view(|state| state.stream(log.stream()).unwrap().start.0)
}

#[tokio::test(start_paused = true)]
async fn what_has_expired_goes_from_the_metadata_first_and_then_for_readers() {
    let led = led().await;
    let hour = create(&led, "hour", &[("retention.ms", "3600000")]).await;
    let ever = create(&led, "ever", &[("retention.ms", "-1")]).await;
    let compacted = create(&led, "compacted", &[("retention.ms", "1"), ("cleanup.policy", "compact")]).await;
    let now = led.clock.wall_ms();
    for log in [&hour, &ever, &compacted] {
        append(log, 3, now - 2 * HOUR_MS).await;
        append(log, 4, now - HOUR_MS / 2).await;
    }
    led.retain_once().await;
    assert_eq!(starts(&[&hour, &ever, &compacted]), [3, 0, 0]);
    assert_eq!((committed(&led, &hour), committed(&led, &ever)), (3, 0));
    // The rest grows old without a further write, and goes by the task alone.
    let maintained = led.clone();
    let maintaining = tokio::spawn(async move { maintained.maintain().await });
    led.clock.sleep(Duration::from_millis(3_600_000 / 2) + RETENTION_EVERY * 2).await;
    assert_eq!(starts(&[&hour, &ever, &compacted]), [7, 0, 0]);
    assert_eq!(committed(&led, &hour), 7);
    append(&hour, 1, led.clock.wall_ms()).await;
    assert_eq!(hour.ends().unwrap().durable, Offset(8), "and it goes on where it was");
    maintaining.abort();
}

#[tokio::test(start_paused = true)]
async fn configurations_take_effect_at_once_whoever_changed_them() {
    let led = led().await;
    let log = create(&led, "t", &[]).await;
    let id = led.table.by_name("t").unwrap().id;
    let set = |value: &str| BTreeMap::from([("retention.ms".to_owned(), value.to_owned())]);
    led.alter(id, set("5"), BTreeSet::new()).await.unwrap();
    assert_eq!(log.config().topic.retention_ms, Some(5));
    let maintained = led.clone();
    let maintaining = tokio::spawn(async move { maintained.maintain().await });
    settle(&led).await;
    let unset = BTreeSet::new();
    let topic = levee_meta::TopicId(id);
    led.metadata.commit(Command::AlterTopic { topic, set: set("6"), unset }).await.unwrap();
    settle(&led).await;
    assert_eq!(log.config().topic.retention_ms, Some(6));
    let unset = BTreeSet::from(["retention.ms".to_owned()]);
    led.metadata.commit(Command::AlterTopic { topic, set: BTreeMap::new(), unset }).await.unwrap();
    settle(&led).await;
    assert_eq!(log.config().topic, crate::topic_config::TopicConfig::default());
    let Partition::Here(same) = &led.table.by_id(id).unwrap().partitions[0] else { panic!() };
    assert!(Arc::ptr_eq(same, &log), "the log stays open all the while");
    maintaining.abort();
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_nobody_waits_for_is_shown_all_the_same() {
    let led = led().await;
    let log = create(&led, "t", &[]).await;
    append(&log, 3, led.clock.wall_ms()).await;
    drop(led.starts.advance(vec![(log.stream(), Offset(2))]));
    settle(&led).await;
    assert_eq!(starts(&[&log]), [2]);
    assert_eq!(committed(&led, &log), 2);
}
