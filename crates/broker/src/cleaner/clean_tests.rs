//! Batches one by one: what becomes of each, to the byte where Kafka's layout says so, and what is left alone.

use super::*;
use crate::batch::build::{Build, rehash};
use crate::batch::{BatchView, Compression, HEADER_BYTES};
use levee_base::limits::CLEANER_BATCH_KEYS;
use proptest::prelude::*;
use std::collections::BTreeMap;

const LIMIT: usize = 1 << 20;
const SETTINGS: Settings =
    Settings { now_ms: 50_000, delete_retention_ms: 1_000, unpacked_bytes: LIMIT, checkpoint: i64::MAX };

fn view(bytes: &[u8]) -> BatchView<'_> {
    BatchView::first(bytes).unwrap()
}

/// A map of what the batches hold; those that can't be read are counted.
fn mapped(batches: &[Vec<u8>]) -> (OffsetMap, usize) {
    let mut mapping = Mapping::new(100_000, 0, Vec::new(), LIMIT);
    let unreadable = batches.iter().filter(|bytes| mapping.batch(&view(bytes)).is_err()).count();
    (mapping.finish(None), unreadable)
}

fn cleaner(batches: &[Vec<u8>]) -> Cleaner {
    Cleaner::new(mapped(batches).0, Vec::new(), BTreeMap::new(), SETTINGS)
}

fn clean(batches: &[Vec<u8>]) -> Vec<Verdict> {
    let mut cleaner = cleaner(batches);
    batches.iter().map(|bytes| cleaner.batch(&view(bytes)).unwrap()).collect()
}

fn rewritten(verdict: &Verdict) -> &[u8] {
    let Verdict::Rewrite(bytes) = verdict else { panic!("{verdict:?} is no new batch") };
    bytes
}

#[test]
fn what_is_outdated_goes_and_the_rest_stays_as_it_is() {
    let batches = [
        Build::new().record(1, "a", "1").record(2, "b", "1").at(0, 3).bytes(),
        Build::new().record(3, "a", "2").record(4, "c", "1").record(5, "a", "3").at(2, 3).bytes(),
        Build::new().record(6, "b", "2").record(7, "a", "4").at(5, 4).bytes(),
    ];
    let verdicts = clean(&batches);
    // Offset 3 is all that stays of the second batch: Kafka counts its timestamps from there.
    let expected = {
        let mut bytes = Build::new().record(4, "c", "1").at(2, 3).bytes();
        bytes[26] = 2; // last offset delta
        bytes[64] = 2; // the record's own, a zigzag 1
        rehash(&mut bytes);
        bytes
    };
    assert_eq!(verdicts, [Verdict::Drop, Verdict::Rewrite(expected), Verdict::Keep]);
}

#[test]
fn a_tombstone_waits_for_its_horizon() {
    let batches = [
        Build::new().record(1, "a", "1").at(0, 0).bytes(),
        Build::new().tombstone(2, "a").record(3, "b", "1").at(1, 0).bytes(),
    ];
    let verdicts = clean(&batches);
    assert_eq!(verdicts[0], Verdict::Drop);
    let waiting = rewritten(&verdicts[1]).to_vec();
    assert_eq!(view(&waiting).delete_horizon_ms(), Some(51_000));
    assert_eq!((view(&waiting).max_timestamp(), view(&waiting).count()), (3, 2));
    let later = |now_ms| {
        let map = mapped(std::slice::from_ref(&waiting)).0;
        let settings = Settings { now_ms, ..SETTINGS };
        Cleaner::new(map, Vec::new(), BTreeMap::new(), settings).batch(&view(&waiting)).unwrap()
    };
    assert_eq!(later(50_999), Verdict::Keep);
    let verdict = later(51_000);
    let after = view(rewritten(&verdict));
    assert_eq!((after.count(), after.base_offset(), after.last_offset()), (1, 1, 2));
    assert_eq!(after.delete_horizon_ms(), Some(51_000), "Kafka doesn't take it back");
}

#[test]
fn a_retention_beyond_all_time_keeps_tombstones_for_good() {
    let bytes = Build::new().tombstone(2, "a").at(1, 0).bytes();
    let settings = Settings { delete_retention_ms: i64::MAX, ..SETTINGS };
    let map = mapped(std::slice::from_ref(&bytes)).0;
    let verdict = Cleaner::new(map, Vec::new(), BTreeMap::new(), settings).batch(&view(&bytes)).unwrap();
    assert_eq!(view(rewritten(&verdict)).delete_horizon_ms(), Some(i64::MAX));
}

#[test]
fn records_without_keys_go() {
    let batches = [
        Build::new().record_without_key(1, "x").at(0, 0).bytes(),
        Build::new().record_without_key(1, "y").record(1, "a", "1").at(1, 0).bytes(),
        Build::new().record(1, "", "the empty key is a key").at(3, 0).bytes(),
    ];
    let mut cleaner = cleaner(&batches);
    let verdicts: Vec<_> = batches.iter().map(|bytes| cleaner.batch(&view(bytes)).unwrap()).collect();
    assert_eq!(verdicts[0], Verdict::Drop);
    assert_eq!(view(rewritten(&verdicts[1])).count(), 1);
    assert_eq!(verdicts[2], Verdict::Keep);
    let summary = cleaner.finish();
    assert_eq!(summary.counts.without_key, 2);
    assert_eq!(summary.cleaned_until, 4);
    assert_eq!((summary.counts.kept, summary.counts.dropped, summary.counts.rewritten), (1, 1, 1));
}

#[test]
fn an_active_producers_last_batch_stays_without_records() {
    let batches = [
        Build::new().record(1, "a", "1").producer(5, 2, 10).at(0, 3).bytes(),
        Build::new()
            .record(2, "a", "2")
            .record(9, "a", "3")
            .producer(5, 2, 11)
            .compressed(Compression::Zstd)
            .at(1, 3)
            .bytes(),
        Build::new().record(3, "a", "4").at(3, 3).bytes(),
    ];
    let producers = BTreeMap::from([(5, LastRecord { last_data_offset: Some(2), producer_epoch: 2 })]);
    let mut cleaner = Cleaner::new(mapped(&batches).0, Vec::new(), producers.clone(), SETTINGS);
    assert_eq!(cleaner.batch(&view(&batches[0])).unwrap(), Verdict::Drop);
    let verdict = cleaner.batch(&view(&batches[1])).unwrap();
    let empty = rewritten(&verdict);
    // Kafka's DefaultRecordBatch.writeEmptyHeader, by its fields.
    let mut expected = Vec::new();
    expected.extend_from_slice(&1_i64.to_be_bytes());
    expected.extend_from_slice(&49_i32.to_be_bytes());
    expected.extend_from_slice(&3_i32.to_be_bytes());
    expected.push(2);
    expected.extend_from_slice(&[0; 4]);
    expected.extend_from_slice(&0_i16.to_be_bytes());
    expected.extend_from_slice(&1_i32.to_be_bytes());
    expected.extend_from_slice(&(-1_i64).to_be_bytes());
    expected.extend_from_slice(&9_i64.to_be_bytes());
    expected.extend_from_slice(&5_i64.to_be_bytes());
    expected.extend_from_slice(&2_i16.to_be_bytes());
    expected.extend_from_slice(&11_i32.to_be_bytes());
    expected.extend_from_slice(&0_i32.to_be_bytes());
    rehash(&mut expected);
    assert_eq!(empty, expected);
    assert_eq!(cleaner.batch(&view(&batches[2])).unwrap(), Verdict::Keep);
    let map = || mapped(&[empty.to_vec(), batches[2].clone()]).0;
    let mut again = Cleaner::new(map(), Vec::new(), producers, SETTINGS);
    assert_eq!(again.batch(&view(empty)).unwrap(), Verdict::Keep);
    let mut forgotten = Cleaner::new(map(), Vec::new(), BTreeMap::new(), SETTINGS);
    assert_eq!(forgotten.batch(&view(empty)).unwrap(), Verdict::Drop);
}

#[test]
fn a_marker_outlives_its_transaction_by_the_retention() {
    let aborted = vec![Aborted { first_offset: 0, last_offset: 1, producer_id: 5 }];
    let data = Build::new().record(1, "a", "1").producer(5, 2, 0).attribute(4).at(0, 0).bytes();
    let marker = Build::marker(2, 5, 2, false).at(1, 0).bytes();
    let other = Build::new().record(1, "b", "1").at(2, 0).bytes();
    let pass = |batches: &[&[u8]], now_ms, aborted: &[Aborted], producers: &BTreeMap<i64, LastRecord>| {
        let mut mapping = Mapping::new(10, 0, aborted.to_vec(), LIMIT);
        batches.iter().for_each(|bytes| assert_eq!(mapping.batch(&view(bytes)).unwrap(), Room::More));
        let settings = Settings { now_ms, ..SETTINGS };
        let mut cleaner =
            Cleaner::new(mapping.finish(Some(3)), aborted.to_vec(), producers.clone(), settings);
        let verdicts: Vec<_> = batches.iter().map(|bytes| cleaner.batch(&view(bytes)).unwrap()).collect();
        (verdicts, cleaner.finish().aborted)
    };
    let nobody = BTreeMap::new();
    let (verdicts, remaining) = pass(&[&data, &marker, &other], 100, &aborted, &nobody);
    assert_eq!(verdicts, [Verdict::Drop, Verdict::Keep, Verdict::Keep]);
    assert_eq!(remaining, aborted, "its records were there when the pass began");
    let (verdicts, remaining) = pass(&[&marker, &other], 200, &remaining, &nobody);
    let waiting = rewritten(&verdicts[0]).to_vec();
    assert_eq!(view(&waiting).delete_horizon_ms(), Some(1_200));
    assert_eq!(remaining, []);
    assert_eq!(pass(&[&waiting, &other], 1_199, &[], &nobody).0[0], Verdict::Keep);
    assert_eq!(pass(&[&waiting, &other], 1_200, &[], &nobody).0[0], Verdict::Drop);
    // A producer of which only the marker is known keeps it, for the epoch.
    let by_marker =
        |epoch| BTreeMap::from([(5, LastRecord { last_data_offset: None, producer_epoch: epoch })]);
    let verdicts = pass(&[&waiting, &other], 1_200, &[], &by_marker(2)).0;
    let empty = view(rewritten(&verdicts[0]));
    assert!(empty.attributes().control() && empty.count() == 0 && empty.bytes().len() == HEADER_BYTES);
    assert_eq!(pass(&[empty.bytes(), &other], 9_000, &[], &by_marker(2)).0[0], Verdict::Keep);
    assert_eq!(pass(&[empty.bytes(), &other], 9_000, &[], &by_marker(3)).0[0], Verdict::Drop);
}

#[test]
fn a_marker_waits_for_a_checkpoint_that_has_seen_it() {
    let marker = Build::marker(2, 5, 2, true).at(7, 0).bytes();
    let pass = |bytes: &[u8], checkpoint, producers: &BTreeMap<i64, LastRecord>| {
        let mapping = Mapping::new(10, 0, Vec::new(), LIMIT);
        let settings = Settings { delete_retention_ms: 0, checkpoint, ..SETTINGS };
        let mut cleaner = Cleaner::new(mapping.finish(Some(9)), Vec::new(), producers.clone(), settings);
        cleaner.batch(&view(bytes)).unwrap()
    };
    let nobody = BTreeMap::new();
    let verdict = pass(&marker, 0, &nobody);
    let waiting = rewritten(&verdict);
    assert_eq!(view(waiting).delete_horizon_ms(), Some(50_000), "its horizon doesn't wait");
    // Nor is it emptied for its epoch: without its record it ends nothing when it is replayed.
    let by_marker = BTreeMap::from([(5, LastRecord { last_data_offset: None, producer_epoch: 2 })]);
    for checkpoint in [0, 6, 7] {
        assert_eq!(pass(waiting, checkpoint, &nobody), Verdict::Keep);
        assert_eq!(pass(waiting, checkpoint, &by_marker), Verdict::Keep);
    }
    assert_eq!(pass(waiting, 8, &nobody), Verdict::Drop);
    assert_eq!(view(rewritten(&pass(waiting, 8, &by_marker))).count(), 0);
}

#[test]
fn what_the_map_does_not_cover_stays() {
    let batches = [
        Build::new().record(1, "a", "1").record(1, "b", "1").record(1, "a", "2").at(0, 0).bytes(),
        Build::new().record(1, "a", "3").record_without_key(1, "x").at(3, 0).bytes(),
    ];
    let mut mapping = Mapping::new(2, 0, Vec::new(), LIMIT);
    assert_eq!(
        mapping.batch(&view(&batches[0])).unwrap(),
        Room::Full,
        "it ends within the batch, as Kafka's"
    );
    let map = mapping.finish(None);
    assert_eq!(map.end(), 2);
    let mut cleaner = Cleaner::new(map, Vec::new(), BTreeMap::new(), SETTINGS);
    assert_eq!(cleaner.batch(&view(&batches[0])).unwrap(), Verdict::Keep);
    assert_eq!(cleaner.batch(&view(&batches[1])).unwrap(), Verdict::Keep);
    // The next pass goes on from there, within the same batch.
    let mut mapping = Mapping::new(2, 2, Vec::new(), LIMIT);
    assert!(batches.iter().all(|bytes| mapping.batch(&view(bytes)).unwrap() == Room::More));
    let mut cleaner = Cleaner::new(mapping.finish(Some(5)), Vec::new(), BTreeMap::new(), SETTINGS);
    assert_eq!(view(rewritten(&cleaner.batch(&view(&batches[0])).unwrap())).count(), 1);
}

#[test]
fn more_keys_than_are_held_count_all_the_same() {
    let count = CLEANER_BATCH_KEYS + 10;
    let mut build = Build::new().compressed(Compression::Lz4);
    for n in 0..count {
        build = build.record(1, &format!("{n}"), "");
    }
    let large = build.bytes();
    let (map, unreadable) = mapped(std::slice::from_ref(&large));
    assert_eq!((map.len(), map.end(), unreadable), (count, count as i64, 0));
    let mut small = Mapping::new(count - 5, 0, Vec::new(), LIMIT);
    assert_eq!(small.batch(&view(&large)).unwrap(), Room::Full);
    assert_eq!(small.finish(None).end(), (count - 5) as i64);
}

/// Batches that say something else than they hold, all with a valid checksum unless it is that which lies.
fn unreadable() -> Vec<(&'static str, Vec<u8>)> {
    let build = || Build::new().record(1, "a", "1").record(1, "b", "1").at(1, 0);
    let patched = |at: usize, byte: u8| {
        let mut bytes = build().bytes();
        bytes[at] = byte;
        rehash(&mut bytes);
        bytes
    };
    let mut flipped = build().bytes();
    flipped[70] ^= 1;
    let mut bomb = build().record(1, "c", &"x".repeat(LIMIT)).compressed(Compression::Gzip).bytes();
    rehash(&mut bomb);
    vec![
        ("checksum", flipped),
        ("count too large", patched(60, 3)),
        ("count too small", patched(60, 1)),
        ("negative count", patched(57, 0xff)),
        ("unknown codec", patched(22, 5)),
        ("garbage for gzip", patched(22, 1)),
        ("an offset beyond the last", patched(26, 0)),
        ("offsets that don't ascend", patched(73, 0)),
        ("a key beyond its record", patched(65, 0x40)),
        ("unpacks to too much", bomb),
    ]
}

#[test]
fn what_cannot_be_read_stays_and_outdates_nothing() {
    for (what, bad) in unreadable() {
        let batches = [
            Build::new().record(1, "a", "0").at(0, 0).bytes(),
            bad,
            Build::new().record(1, "b", "2").at(5, 0).bytes(),
        ];
        let (map, unreadable) = mapped(&batches);
        assert_eq!((unreadable, map.end()), (1, 6), "{what}");
        let mut cleaner = Cleaner::new(map, Vec::new(), BTreeMap::new(), SETTINGS);
        assert_eq!(cleaner.batch(&view(&batches[0])).unwrap(), Verdict::Keep, "{what}");
        assert!(cleaner.batch(&view(&batches[1])).is_err(), "{what}");
        assert_eq!(cleaner.batch(&view(&batches[2])).unwrap(), Verdict::Keep, "{what}");
        let counts = cleaner.finish().counts;
        assert_eq!((counts.unreadable, counts.bytes_after), (1, counts.bytes_before), "{what}");
    }
}

proptest! {
    /// Whatever the bytes, nothing panics, and a batch with a wrong checksum is never changed.
    #[test]
    fn no_bytes_panic(
        codec in 0_i16..5, patches in prop::collection::vec((16_usize..110, any::<u8>()), 0..4), seal in any::<bool>(),
        start in 0_i64..4, aborted in any::<bool>(),
    ) {
        let codec = Compression::from_id(codec).unwrap();
        let build = Build::new().record(1, "a", "1").tombstone(2, "b").record(3, "a", "2");
        let mut bytes = build.producer(7, 1, 0).attribute(4).compressed(codec).at(0, 0).bytes();
        let sound = bytes.clone();
        for (at, byte) in patches {
            if let Some(target) = bytes.get_mut(at) {
                *target = byte;
            }
        }
        if seal {
            rehash(&mut bytes);
        }
        let Some(batch) = BatchView::first(&bytes) else { return Ok(()) };
        let ranges = vec![Aborted { first_offset: 0, last_offset: 9, producer_id: 7 }];
        let ranges = if aborted { ranges } else { Vec::new() };
        let mut mapping = Mapping::new(2, start, ranges.clone(), LIMIT);
        let _ = mapping.batch(&batch);
        let map = mapping.finish(Some(3));
        let mut cleaner = Cleaner::new(map, ranges, BTreeMap::new(), SETTINGS);
        let verdict = cleaner.batch(&batch);
        if !seal && bytes != sound {
            prop_assert!(matches!(verdict, Ok(Verdict::Keep) | Err(_)) || batch.crc() == batch.computed_crc());
        }
        if let Ok(Verdict::Rewrite(after)) = verdict {
            let after = view(&after);
            prop_assert_eq!(after.crc(), after.computed_crc());
            prop_assert_eq!((after.base_offset(), after.last_offset()), (batch.base_offset(), batch.last_offset()));
        }
    }
}
