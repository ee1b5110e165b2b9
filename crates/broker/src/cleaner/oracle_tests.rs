//! Random logs cleaned in random passes, against an oracle that knows only plain records.

use super::*;
use crate::batch::build::Build;
use crate::batch::{BatchView, Compression};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

const LIMIT: usize = 1 << 20;
const RETENTION_MS: i64 = 1_000;
const NOW_MS: i64 = 1_000_000;

/// Offset, timestamp, key, value.
type Plain = (i64, i64, Option<Vec<u8>>, Option<Vec<u8>>);

#[derive(Debug, Clone)]
enum Step {
    /// Producer 0 is none, 1 and 2 are idempotent, 3 and 4 transactional.
    Send {
        producer: i64,
        codec: i16,
        stamped: bool,
        records: Vec<(Option<u8>, Option<u8>, i64)>,
    },
    End {
        producer: i64,
        commit: bool,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = prop_oneof![9 => (0_u8..6).prop_map(Some), 1 => Just(None)];
    let record = (key, prop::option::weighted(0.8, any::<u8>()), -1_i64..5_000);
    let records = prop::collection::vec(record, 1..6);
    let send = (0_i64..5, 0_i16..6, prop::bool::weighted(0.2), records)
        .prop_map(|(producer, codec, stamped, records)| Step::Send { producer, codec, stamped, records });
    let end = (3_i64..5, any::<bool>()).prop_map(|(producer, commit)| Step::End { producer, commit });
    prop::collection::vec(prop_oneof![4 => send, 1 => end], 1..30)
}

/// A log, and what a partition would know of it.
#[derive(Debug, Clone, Default)]
struct Log {
    batches: Vec<Vec<u8>>,
    aborted: Vec<Aborted>,
    producers: BTreeMap<i64, LastRecord>,
    end: i64,
}

impl Log {
    fn of(steps: &[Step]) -> Self {
        let mut log = Self::default();
        let mut open: BTreeMap<i64, i64> = BTreeMap::new();
        let mut sequences: BTreeMap<i64, i32> = BTreeMap::new();
        let closing = (3..5).map(|producer| Step::End { producer, commit: producer == 3 });
        for step in steps.iter().cloned().chain(closing) {
            match step {
                Step::Send { producer, codec, stamped, records } => {
                    let mut build = Build::new().at(log.end, 7).header("h");
                    if producer > 0 {
                        let sequence = sequences.entry(producer).or_default();
                        build = build.producer(producer, 1, *sequence);
                        *sequence += i32::try_from(records.len()).unwrap();
                    }
                    if producer >= 3 {
                        open.entry(producer).or_insert(log.end);
                        build = build.attribute(4);
                    }
                    build = match Compression::from_id(codec) {
                        Some(codec) => build.compressed(codec),
                        None => build.xerial(),
                    };
                    if stamped {
                        build = build.attribute(3);
                    }
                    for (key, value, timestamp) in &records {
                        let key = key.map(|key| [key]);
                        let value = value.map(|value| vec![value; usize::from(value)]);
                        build = build.entry(*timestamp, key.as_ref().map(|key| &key[..]), value.as_deref());
                    }
                    let last = log.append(build);
                    if producer > 0 {
                        let last = LastRecord { last_data_offset: Some(last), producer_epoch: 1 };
                        log.producers.insert(producer, last);
                    }
                }
                Step::End { producer, commit } => {
                    let Some(first_offset) = open.remove(&producer) else { continue };
                    let marker = Build::marker(9, producer, 1, commit).at(log.end, 7);
                    let last_offset = log.append(marker);
                    if !commit {
                        log.aborted.push(Aborted { first_offset, last_offset, producer_id: producer });
                    }
                }
            }
        }
        log
    }

    fn append(&mut self, build: Build) -> i64 {
        let bytes = build.bytes();
        let last = BatchView::first(&bytes).unwrap().last_offset();
        self.batches.push(bytes);
        self.end = last + 1;
        last
    }

    fn views(&self) -> impl Iterator<Item = BatchView<'_>> {
        self.batches.iter().map(|bytes| BatchView::first(bytes).unwrap())
    }

    /// One pass over the dirty offsets up to `until`, with room for so many keys; where it ended.
    fn clean(&mut self, from: i64, until: i64, keys: usize, now_ms: i64) -> i64 {
        let mut mapping = Mapping::new(keys, from, self.aborted.clone(), LIMIT);
        let full = self
            .views()
            .filter(|batch| batch.last_offset() >= from && batch.base_offset() < until)
            .any(|batch| mapping.batch(&batch).unwrap() == Room::Full);
        let map = mapping.finish((!full).then_some(until));
        let settings = Settings {
            now_ms,
            delete_retention_ms: RETENTION_MS,
            unpacked_bytes: LIMIT,
            checkpoint: i64::MAX,
        };
        let mut cleaner = Cleaner::new(map, self.aborted.clone(), self.producers.clone(), settings);
        let end = cleaner.end();
        let mut after = Vec::new();
        for batch in self.views() {
            match cleaner.batch(&batch).unwrap() {
                Verdict::Keep => after.push(batch.bytes().to_vec()),
                Verdict::Drop => assert!(batch.base_offset() < end),
                Verdict::Rewrite(bytes) => {
                    assert!(batch.base_offset() < end);
                    same_frame(&batch, &bytes);
                    after.push(bytes);
                }
            }
        }
        let bytes_before = self.batches.iter().map(|batch| batch.len() as u64).sum::<u64>();
        let bytes_after = after.iter().map(|batch| batch.len() as u64).sum::<u64>();
        let summary = cleaner.finish();
        assert_eq!((summary.counts.bytes_before, summary.counts.bytes_after), (bytes_before, bytes_after));
        assert_eq!(summary.cleaned_until, end);
        self.aborted = summary.aborted;
        self.batches = after;
        end
    }

    /// Passes until nothing below `until` is dirty.
    fn clean_all(&mut self, mut from: i64, until: i64, keys: usize, now_ms: i64) {
        while from < until {
            let end = self.clean(from, until, keys, now_ms);
            assert!(end > from, "every pass gets on");
            from = end;
        }
    }

    fn records(&self) -> Vec<Plain> {
        self.views().filter(|batch| !batch.attributes().control()).flat_map(|batch| decode(&batch)).collect()
    }

    /// Where batches begin, and the end.
    fn boundaries(&self) -> Vec<i64> {
        self.views().map(|batch| batch.base_offset()).chain([self.end]).collect()
    }

    fn is_aborted(&self, batch: &BatchView<'_>) -> bool {
        batch.attributes().transactional()
            && self.aborted.iter().any(|range| {
                range.producer_id == batch.producer_id()
                    && (range.first_offset..range.last_offset).contains(&batch.base_offset())
            })
    }

    /// What is to be left of the records after all below `until` was cleaned.
    fn expected(&self, until: i64, with_tombstones: bool) -> Vec<Plain> {
        let committed: BTreeSet<i64> = self
            .views()
            .filter(|batch| !self.is_aborted(batch))
            .flat_map(|batch| decode(&batch))
            .map(|record| record.0)
            .collect();
        let mut latest = BTreeMap::new();
        for (offset, _, key, _) in self.records() {
            if let Some(key) = key.filter(|_| offset < until && committed.contains(&offset)) {
                latest.insert(key, offset);
            }
        }
        let latest: BTreeSet<i64> = latest.into_values().collect();
        let mut all = self.records();
        all.retain(|(offset, _, _, value)| {
            *offset >= until || (latest.contains(offset) && (with_tombstones || value.is_some()))
        });
        all
    }
}

/// What a rewritten batch has in common with the one before.
fn same_frame(before: &BatchView<'_>, bytes: &[u8]) {
    let after = BatchView::first(bytes).unwrap();
    assert_eq!(after.bytes().len(), bytes.len());
    assert_eq!(after.crc(), after.computed_crc());
    let frame = |batch: &BatchView<'_>| {
        let attributes = batch.attributes();
        (
            (batch.base_offset(), batch.last_offset(), batch.leader_epoch()),
            (batch.producer_id(), batch.producer_epoch(), batch.base_sequence()),
            (attributes.control(), attributes.transactional(), attributes.timestamp_type()),
        )
    };
    assert_eq!(frame(before), frame(&after));
    let records = decode(&after);
    assert_eq!(usize::try_from(after.count()).unwrap(), records.len());
    if records.is_empty() {
        assert_eq!((after.max_timestamp(), after.bytes().len()), (before.max_timestamp(), 61));
        assert_eq!(after.delete_horizon_ms(), None);
    } else {
        assert_eq!(after.attributes().compression(), before.attributes().compression());
        assert_eq!(after.max_timestamp(), records.iter().map(|record| record.1).max().unwrap());
    }
}

fn decode(batch: &BatchView<'_>) -> Vec<Plain> {
    let mut plain = Vec::new();
    let compression = batch.attributes().compression().unwrap();
    if !batch.payload().is_empty() {
        compression.open(batch.payload(), LIMIT).unwrap().read_to_end(&mut plain).unwrap();
    }
    let mut rest = &plain[..];
    let varint = |rest: &mut &[u8]| crate::batch::records::varlong(rest).unwrap();
    let mut out = Vec::new();
    while !rest.is_empty() {
        let length = usize::try_from(varint(&mut rest)).unwrap();
        let (mut body, after) = rest.split_at(length);
        rest = after;
        body = &body[1..];
        let timestamp = batch.base_timestamp() + varint(&mut body);
        let offset = batch.base_offset() + varint(&mut body);
        let mut field = || {
            let length = usize::try_from(varint(&mut body)).ok()?;
            let (field, after) = body.split_at(length);
            body = after;
            Some(field.to_vec())
        };
        let (key, value) = (field(), field());
        if !batch.attributes().control() {
            assert_eq!(body, b"\x02\x02h\x0avalue");
        }
        let stamped = batch.attributes().timestamp_type() == crate::batch::TimestampType::LogAppendTime;
        out.push((offset, if stamped { batch.max_timestamp() } else { timestamp }, key, value));
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn what_is_left_is_what_the_oracle_says(
        steps in steps(), cut in any::<prop::sample::Index>(), until in any::<prop::sample::Index>(),
        keys in 1_usize..12, active in any::<[bool; 4]>(),
    ) {
        let mut log = Log::of(&steps);
        log.producers.retain(|producer, _| active[usize::try_from(*producer).unwrap() - 1]);
        let boundaries = log.boundaries();
        let until = *until.get(&boundaries);
        let cut = *cut.get(&boundaries);
        let original = log.clone();

        // One pass, two, and as many as a small map takes: the same records.
        let mut once = log.clone();
        once.clean(0, until, 1_000, NOW_MS);
        let mut twice = log.clone();
        twice.clean(0, cut.min(until), 1_000, NOW_MS);
        twice.clean(cut.min(until), until, 1_000, NOW_MS);
        log.clean_all(0, until, keys, NOW_MS);
        let expected = original.expected(until, true);
        prop_assert_eq!(&once.records(), &expected);
        prop_assert_eq!(&twice.records(), &expected);
        prop_assert_eq!(&log.records(), &expected);
        prop_assert!(once.records().is_sorted_by(|a, b| a.0 < b.0));

        // What lies beyond the end is the same byte for byte.
        let beyond = |log: &Log| -> Vec<Vec<u8>> {
            log.views().filter(|batch| batch.base_offset() >= until).map(|batch| batch.bytes().to_vec()).collect()
        };
        prop_assert_eq!(beyond(&once), beyond(&original));
        prop_assert_eq!(beyond(&log), beyond(&original));

        // Every active producer's last batch is there, with its sequence.
        let sequences = |log: &Log| -> Vec<(i64, i32, i32)> {
            let last = |batch: &BatchView<'_>| log.producers.get(&batch.producer_id())
                .is_some_and(|last| last.last_data_offset == Some(batch.last_offset()));
            log.views().filter(last)
                .map(|batch| (batch.producer_id(), batch.base_sequence(), batch.last_offset_delta())).collect()
        };
        prop_assert_eq!(sequences(&once), sequences(&original));
        prop_assert_eq!(sequences(&log), sequences(&original));

        // Cleaned again before a horizon passes: the same records, and the same bytes unless a transaction's
        // marker has only now outlived its records.
        let mut again = once.clone();
        again.clean(0, until, 1_000, NOW_MS + RETENTION_MS - 1);
        prop_assert_eq!(again.records(), once.records());
        let transactional = original.views().any(|batch| batch.attributes().transactional());
        prop_assert!(transactional || again.batches == once.batches);
        let mut settled = again.clone();
        settled.clean(0, until, 1_000, NOW_MS + RETENTION_MS - 1);
        prop_assert_eq!(&settled.batches, &again.batches);

        // After it there are no tombstones. Without the producer's state the empty batches go, then their markers
        // get a horizon, and then those go.
        let late_ms = NOW_MS + 2 * RETENTION_MS;
        settled.clean(0, until, 1_000, late_ms);
        prop_assert_eq!(settled.records(), original.expected(until, false));
        settled.producers.clear();
        settled.clean(0, until, 1_000, late_ms);
        for pass in 1..3 {
            settled.clean(0, until, 1_000, late_ms + pass * RETENTION_MS);
        }
        prop_assert_eq!(settled.records(), original.expected(until, false));
        let stable = settled.batches.clone();
        settled.clean(0, until, 1_000, late_ms + 9 * RETENTION_MS);
        prop_assert_eq!(&settled.batches, &stable);
        for batch in settled.views().filter(|batch| batch.base_offset() < until) {
            prop_assert!(batch.count() > 0, "empty batches are for active producers");
        }
        let below: Vec<_> = settled.aborted.iter().filter(|range| range.last_offset < until).collect();
        prop_assert!(below.is_empty(), "nothing is left of them: {below:?}");
    }
}
