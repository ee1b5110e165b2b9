//! Tests of the offsets' order.

use super::*;

fn at(partition: i32) -> OffsetCommitKey {
    OffsetCommitKey { group: "g".into(), topic: "t".into(), partition }
}

fn value(offset: i64) -> Option<OffsetCommitValue> {
    Some(OffsetCommitValue {
        offset,
        leader_epoch: -1,
        metadata: "".into(),
        commit_timestamp_ms: 0,
        expire_timestamp_ms: None,
        topic_id: Uuid::nil(),
    })
}

const A: Producer = Producer { id: 1, epoch: 0 };
const B: Producer = Producer { id: 2, epoch: 0 };

fn committed(offsets: &Offsets, partition: i32) -> Option<i64> {
    offsets.check();
    offsets.committed("g", "t", partition).map(|value| value.offset)
}

#[test]
fn of_a_plain_and_a_transactional_commit_the_one_written_later_counts() {
    let mut offsets = Offsets::default();
    offsets.apply(Some(A), &at(0), value(10), 0);
    offsets.apply(None, &at(0), value(20), 0);
    offsets.apply(None, &at(1), value(20), 0);
    offsets.apply(Some(A), &at(1), value(10), 0);
    assert_eq!((committed(&offsets, 0), committed(&offsets, 1)), (Some(20), Some(20)));
    assert!(offsets.is_pending("g", "t", 0) && offsets.has_pending("g"));
    offsets.end_transaction(A, true, 0);
    assert_eq!((committed(&offsets, 0), committed(&offsets, 1)), (Some(20), Some(10)));
    assert!(!offsets.is_pending("g", "t", 0) && !offsets.has_pending("g"));
}

#[test]
fn an_aborted_transaction_leaves_nothing() {
    let mut offsets = Offsets::default();
    offsets.apply(None, &at(0), value(5), 0);
    offsets.apply(Some(A), &at(0), value(10), 0);
    offsets.apply(Some(B), &at(0), value(11), 0);
    offsets.end_transaction(A, false, 0);
    assert_eq!(committed(&offsets, 0), Some(5));
    assert!(offsets.is_pending("g", "t", 0), "of the other producer");
    offsets.end_transaction(B, true, 0);
    offsets.end_transaction(B, true, 0);
    assert_eq!(committed(&offsets, 0), Some(11));
}

#[test]
fn a_deleted_offset_is_not_brought_back_by_a_marker() {
    let mut offsets = Offsets::default();
    offsets.apply(None, &at(0), value(5), 0);
    offsets.apply(Some(A), &at(0), value(10), 0);
    offsets.apply(Some(B), &at(0), value(10), 0);
    offsets.apply(Some(B), &at(1), value(10), 0);
    offsets.apply(None, &at(0), None, 0);
    assert_eq!(committed(&offsets, 0), None);
    assert_eq!(offsets.keys_of("g").into_iter().collect::<Vec<_>>(), [at(1)]);
    offsets.end_transaction(A, true, 0);
    offsets.end_transaction(B, true, 0);
    assert_eq!((committed(&offsets, 0), committed(&offsets, 1)), (None, Some(10)));
}

#[test]
fn offsets_of_a_topic_that_has_the_name_of_a_deleted_one_stay() {
    let (old, new) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let mut offsets = Offsets::default();
    for (partition, id) in [(0, old), (1, new), (2, Uuid::nil())] {
        let value = value(5).map(|value| OffsetCommitValue { topic_id: id, ..value });
        offsets.apply(None, &at(partition), value.clone(), 0);
        offsets.apply(Some(A), &at(partition + 10), value, 0);
    }
    let deleted: Vec<_> = offsets.keys_of_topic("t", old).into_iter().collect();
    assert_eq!(deleted, [at(0), at(2), at(10), at(12)]);
    assert!(offsets.keys_of_topic("u", old).is_empty());
}

#[test]
fn there_is_room_for_so_many_offsets_and_always_for_what_replaces_others() {
    let with = |partition, metadata: &str| {
        let value = value(1).unwrap();
        (at(partition), OffsetCommitValue { metadata: metadata.into(), ..value })
    };
    let mut offsets = Offsets::default();
    for (producer, (key, value)) in [(None, with(0, "four")), (Some(A), with(0, "four"))] {
        offsets.apply(producer, &key, Some(value), 0);
    }
    offsets.check();
    assert_eq!((offsets.held.offsets, offsets.held.metadata_bytes), (2, 8));
    offsets.held = Held { offsets: COMMITTED_OFFSETS, metadata_bytes: OFFSETS_METADATA_BYTES };
    for producer in [None, Some(A)] {
        assert!(offsets.has_room(producer, &[with(0, "")]));
        assert!(offsets.has_room(producer, &[with(0, "same")]));
        assert!(!offsets.has_room(producer, &[with(0, "longer")]));
        assert!(!offsets.has_room(producer, &[with(1, "")]));
    }
    assert!(!offsets.has_room(Some(B), &[with(0, "")]));
    offsets.held.offsets -= 1;
    assert!(offsets.has_room(Some(B), &[with(0, "")]));
    assert!(!offsets.has_room(Some(B), &[with(0, ""), with(1, "")]));
}
