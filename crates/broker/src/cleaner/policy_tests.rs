//! Where segments roll, what is cleanable of them, and when.

use super::*;
use proptest::prelude::*;

const MINUTE_MS: i64 = 60_000;

fn policy() -> Policy {
    Policy {
        segment_bytes: 1_000,
        segment_ms: MINUTE_MS,
        min_cleanable_dirty_ratio: 0.5,
        min_compaction_lag_ms: 0,
        max_compaction_lag_ms: i64::MAX,
    }
}

fn batch(offset: i64, bytes: u64, timestamp: i64) -> BatchSeen {
    BatchSeen {
        base_offset: offset,
        last_offset: offset,
        bytes,
        max_timestamp: timestamp,
        appended_ms: 10_000_000,
    }
}

fn fed(policy: &Policy, batches: &[BatchSeen]) -> Segments {
    let mut segments = Segments::new(policy, batches.first().map_or(0, |batch| batch.base_offset));
    batches.iter().for_each(|batch| segments.push(batch));
    segments
}

/// Where the plan ends, with nothing cleaned before and all of the log stable.
fn until(policy: &Policy, batches: &[BatchSeen], now_ms: i64) -> Option<i64> {
    fed(policy, batches).plan(policy, 0, i64::MAX, now_ms).map(|plan| plan.until)
}

#[test]
fn the_active_segment_is_never_cleaned() {
    assert_eq!(until(&policy(), &[], 0), None);
    assert_eq!(until(&policy(), &[batch(0, 100, 1), batch(1, 100, 2)], i64::MAX), None);
    let rolled = [batch(0, 100, 1), batch(1, 100, 2), batch(2, 100, 2 + MINUTE_MS)];
    assert_eq!(until(&policy(), &rolled, 0), Some(2));
    assert_eq!(fed(&policy(), &rolled).active(), Some(2));
}

#[test]
fn a_segment_rolls_just_beyond_its_size_and_its_time() {
    let active = |batches: &[BatchSeen]| fed(&policy(), batches).active();
    assert_eq!(active(&[batch(0, 600, 1), batch(1, 400, 1)]), Some(0));
    assert_eq!(active(&[batch(0, 600, 1), batch(1, 401, 1)]), Some(1));
    assert_eq!(active(&[batch(0, 2_000, 1)]), Some(0));
    assert_eq!(active(&[batch(0, 1, 1), batch(1, 1, 1 + MINUTE_MS)]), Some(0));
    assert_eq!(active(&[batch(0, 1, 1), batch(1, 1, 2 + MINUTE_MS)]), Some(1));
    // The segment's first batch counts, not its latest.
    let late_first = [batch(0, 1, 5 * MINUTE_MS), batch(1, 1, 0), batch(2, 1, 6 * MINUTE_MS)];
    assert_eq!(active(&late_first), Some(0));
    assert_eq!(active(&[batch(0, 1, 1), BatchSeen { last_offset: 1 << 31, ..batch(5, 1, 1) }]), Some(5));
}

#[test]
fn without_timestamps_the_append_time_rolls() {
    let at = |offset, appended_ms| BatchSeen { appended_ms, ..batch(offset, 1, -1) };
    assert_eq!(fed(&policy(), &[at(0, 0), at(1, MINUTE_MS)]).active(), Some(0));
    assert_eq!(fed(&policy(), &[at(0, 0), at(1, MINUTE_MS + 1)]).active(), Some(1));
}

#[test]
fn the_ratio_must_be_exceeded() {
    let batches = [batch(7, 1_000, 1), batch(8, 1, 1)];
    let segments = fed(&policy(), &batches);
    assert_eq!(segments.plan(&policy(), 1_000, i64::MAX, 0), None);
    let plan = segments.plan(&policy(), 999, i64::MAX, 0).unwrap();
    assert_eq!((plan.from, plan.until, plan.overdue), (7, 8, false));
    assert!(plan.dirty_ratio > 0.5 && plan.dirty_ratio < 0.501);
    let eager = Policy { min_cleanable_dirty_ratio: 0.0, ..policy() };
    assert_eq!(fed(&eager, &[batch(7, 1_000, 1)]).plan(&eager, 0, i64::MAX, 0), None, "nothing is cleanable");
}

#[test]
fn what_is_young_or_not_stable_ends_the_plan() {
    let batches: Vec<_> = (0..4).map(|n| batch(n * 10, 900, 1_000 + n)).collect();
    assert_eq!(until(&policy(), &batches, 0), Some(30));
    let lagging = Policy { min_compaction_lag_ms: 500, ..policy() };
    assert_eq!(until(&lagging, &batches, 1_501), Some(20), "the third is younger than 500 ms");
    assert_eq!(until(&lagging, &batches, 1_400), None);
    let stable_until = |offset| fed(&policy(), &batches).plan(&policy(), 0, offset, 0).map(|plan| plan.until);
    assert_eq!(stable_until(20), Some(20));
    assert_eq!(stable_until(19), Some(10), "whole segments only");
    assert_eq!(stable_until(9), None);
    // Without timestamps, it is the time of the append that is young.
    let unstamped: Vec<_> = (0..3).map(|n| batch(n, 900, -1)).collect();
    assert_eq!(until(&lagging, &unstamped, 10_000_100), None);
    assert_eq!(until(&lagging, &unstamped, 10_000_500), Some(2));
}

#[test]
fn what_is_overdue_is_cleaned_whatever_the_ratio() {
    let policy = Policy { max_compaction_lag_ms: 1_000, segment_ms: i64::MAX, ..policy() };
    let batches = [batch(0, 10, 5_000), batch(1, 10, 6_000), batch(2, 10, 6_001)];
    let segments = fed(&policy, &batches);
    assert_eq!(segments.active(), Some(2), "the lag rolls as segment.ms does");
    assert_eq!(segments.plan(&policy, 1_000_000, i64::MAX, 6_000), None);
    let plan = segments.plan(&policy, 1_000_000, i64::MAX, 6_001).unwrap();
    assert!(plan.overdue);
    assert_eq!(plan.until, 2);
}

#[test]
fn a_start_within_a_batch_is_the_first_dirty_offset() {
    let mut segments = Segments::new(&policy(), 5);
    segments.push(&BatchSeen { base_offset: 3, last_offset: 8, ..batch(3, 1_000, 1) });
    segments.push(&batch(9, 1, 1));
    let plan = segments.plan(&policy(), 0, i64::MAX, 0).unwrap();
    assert_eq!((plan.from, plan.until), (5, 9));
}

proptest! {
    /// Many segments are remembered as fewer: the plan stays the same without a lag, and cleans no more with one.
    #[test]
    fn what_is_forgotten_cleans_no_earlier(
        steps in prop::collection::vec((1_u64..1_500, 0_i64..2_000), 1..3_000), lag_ms in 0_i64..3_000_000,
    ) {
        let mut timestamp = 1;
        let batches: Vec<_> = (0..).zip(&steps).map(|(offset, (bytes, step_ms))| {
            timestamp += step_ms;
            batch(offset, *bytes, timestamp)
        }).collect();
        let segments = fed(&policy(), &batches);
        prop_assert!(segments.segments.len() <= CLEANER_SEGMENTS);
        // The oracle keeps every segment.
        let mut bases: Vec<(i64, i64)> = Vec::new();
        let (mut bytes, mut first_ms) = (0, 0);
        for seen in &batches {
            if bases.is_empty() || bytes + seen.bytes > 1_000 || seen.max_timestamp - first_ms > MINUTE_MS {
                bases.push((seen.base_offset, 0));
                (bytes, first_ms) = (0, seen.max_timestamp);
            }
            bytes += seen.bytes;
            bases.last_mut().unwrap().1 = seen.max_timestamp;
        }
        prop_assert_eq!(segments.active(), bases.last().map(|base| base.0));
        let plan = segments.plan(&policy(), 0, i64::MAX, 0);
        prop_assert_eq!(plan.map_or(0, |plan| plan.until), bases.last().unwrap().0);
        let lagging = Policy { min_compaction_lag_ms: lag_ms, ..policy() };
        let young = bases.iter().position(|base| lag_ms > 0 && base.1 > timestamp - lag_ms);
        let most = bases[young.unwrap_or(bases.len() - 1)].0;
        let plan = segments.plan(&lagging, 0, i64::MAX, timestamp);
        prop_assert!(plan.map_or(0, |plan| plan.until) <= most);
    }
}
