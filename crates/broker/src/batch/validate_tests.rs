//! Every rule once, and bytes that nobody would send.

use super::*;
use crate::batch::build::{Build, rehash};
use crate::batch::header::{AT_BASE_SEQUENCE, AT_COUNT, AT_LAST_OFFSET_DELTA, AT_MAX_TIMESTAMP};
use proptest::prelude::*;

const NOW: i64 = 1_700_000_000_000;
const VERSION: i16 = 11;

fn refusal(records: &[u8], rules: &Rules) -> Invalid {
    check(&mut records.to_vec(), VERSION, rules, NOW).expect_err("refused")
}

fn good() -> Vec<u8> {
    Build::new().producer(7, 0, 0).record(NOW, "k", "v").record(NOW + 1, "k", "w").bytes()
}

#[test]
fn a_good_batch_passes_and_junk_after_it_is_dropped() {
    let rules = Rules::default();
    let mut records = good();
    let size = records.len();
    assert_eq!(check(&mut records, VERSION, &rules, NOW).unwrap().count(), 2);
    // Less than a batch follows: Kafka's reader stops there without an error.
    records.extend_from_slice(&good()[..40]);
    assert_eq!(check(&mut records, VERSION, &rules, NOW).unwrap().view().bytes().len(), size);
}

#[test]
fn splitting_tells_none_from_several_from_corrupt() {
    let rules = Rules::default();
    assert_eq!(refusal(&[], &rules), Invalid::NoBatch);
    let whole = good();
    for size in [1, 11, 16, 60, whole.len() - 1] {
        assert_eq!(refusal(&whole[..size], &rules), Invalid::NoBatch, "{size}");
    }
    let twice = [whole.clone(), whole.clone()].concat();
    assert_eq!(refusal(&twice, &rules), Invalid::SeveralBatches);
    let mut old = whole.clone();
    old[16] = 1;
    assert_eq!(refusal(&old, &rules), Invalid::OldFormat { magic: 1 });
    old[16] = 3;
    assert_eq!(refusal(&old, &rules), Invalid::MagicByte { magic: 3 });
    let mut length = whole.clone();
    length[8..12].copy_from_slice(&13_i32.to_be_bytes());
    assert_eq!(refusal(&length, &rules), Invalid::Length { length: 13 });
    length[8..12].copy_from_slice(&(-1_i32).to_be_bytes());
    assert_eq!(refusal(&length, &rules), Invalid::Length { length: -1 });
    let mut short = whole[..60].to_vec();
    short[8..12].copy_from_slice(&48_i32.to_be_bytes());
    assert_eq!(refusal(&short, &rules), Invalid::Short { size: 60 });
}

#[test]
fn each_rule_of_the_header() {
    let rules = Rules::default();
    let change = |at: usize, value: &[u8]| {
        let mut bytes = good();
        bytes[at..at + value.len()].copy_from_slice(value);
        rehash(&mut bytes);
        refusal(&bytes, &rules)
    };
    assert_eq!(change(0, &5_i64.to_be_bytes()), Invalid::BaseOffset { base_offset: 5 });
    assert_eq!(change(AT_COUNT, &0_i32.to_be_bytes()), Invalid::Count { count: 0 });
    assert_eq!(
        change(AT_COUNT, &3_i32.to_be_bytes()),
        Invalid::Inconsistent { last_offset_delta: 1, count: 3 }
    );
    assert_eq!(
        change(AT_LAST_OFFSET_DELTA, &i32::MIN.to_be_bytes()),
        Invalid::OffsetRange { last_offset_delta: i32::MIN }
    );
    assert_eq!(
        change(AT_BASE_SEQUENCE, &(-1_i32).to_be_bytes()),
        Invalid::Sequence { producer_id: 7, base_sequence: -1 }
    );
    assert_eq!(change(21, &7_i16.to_be_bytes()), Invalid::UnknownCodec);
    assert_eq!(refusal(&Build::records(1, NOW).attribute(5).bytes(), &rules), Invalid::Control);
    let mut flipped = good();
    *flipped.last_mut().unwrap() ^= 1;
    assert!(matches!(refusal(&flipped, &rules), Invalid::Crc { .. }));
    let size = good().len();
    let tight = Rules { max_message_bytes: size, ..rules };
    assert!(check(&mut good(), VERSION, &tight, NOW).is_ok());
    let tighter = Rules { max_message_bytes: size - 1, ..rules };
    assert_eq!(refusal(&good(), &tighter), Invalid::TooLarge { size, limit: size - 1 });
}

#[test]
fn zstd_needs_a_newer_request() {
    let batch = Build::records(3, NOW).compressed(Compression::Zstd).bytes();
    let rules = Rules::default();
    let early = check(&mut batch.clone(), 6, &rules, NOW).expect_err("refused");
    assert_eq!(early, Invalid::ZstdTooEarly { version: 6 });
    assert!(check(&mut batch.clone(), 7, &rules, NOW).is_ok());
}

#[test]
fn records_of_the_future_are_named() {
    let rules = Rules { timestamp_after_max_ms: 1_000, ..Rules::default() };
    let batch = Build::new().record(NOW + 1_000, "k", "v").record(NOW + 1_001, "k", "v");
    for compression in [Compression::None, Compression::Lz4] {
        let Invalid::Timestamps { records } = refusal(&batch.clone().compressed(compression).bytes(), &rules)
        else {
            panic!("another refusal");
        };
        assert_eq!(records.iter().map(|error| error.index).collect::<Vec<_>>(), [1]);
    }
}

#[test]
fn records_of_the_past_are_refused_only_where_the_topic_says_so() {
    let batch = Build::new().record(NOW - 5_000, "k", "v").record(NOW, "k", "v").bytes();
    assert!(check(&mut batch.clone(), VERSION, &Rules::default(), NOW).is_ok());
    let rules = Rules { timestamp_before_max_ms: 4_999, ..Rules::default() };
    assert!(matches!(refusal(&batch, &rules), Invalid::Timestamps { records } if records.len() == 1));
}

#[test]
fn records_are_walked_unless_they_are_compressed() {
    let rules = Rules::default();
    let lies = |build: &Build| {
        let mut bytes = build.bytes();
        bytes[AT_COUNT..AT_COUNT + 4].copy_from_slice(&7_i32.to_be_bytes());
        bytes[AT_LAST_OFFSET_DELTA..AT_LAST_OFFSET_DELTA + 4].copy_from_slice(&6_i32.to_be_bytes());
        rehash(&mut bytes);
        bytes
    };
    let build = Build::records(3, NOW);
    assert!(matches!(refusal(&lies(&build), &rules), Invalid::Unreadable { .. }));
    let packed = lies(&build.compressed(Compression::Lz4));
    assert!(check(&mut packed.clone(), VERSION, &rules, NOW).is_ok());
    // Where the topic has it opened anyway, it is found out.
    let compacted = Rules { compacted: true, ..rules };
    assert!(matches!(refusal(&packed, &compacted), Invalid::Unreadable { .. }));
    let mut fewer = Build::records(3, NOW).compressed(Compression::Gzip).bytes();
    fewer[AT_COUNT..AT_COUNT + 4].copy_from_slice(&2_i32.to_be_bytes());
    fewer[AT_LAST_OFFSET_DELTA..AT_LAST_OFFSET_DELTA + 4].copy_from_slice(&1_i32.to_be_bytes());
    rehash(&mut fewer);
    assert!(matches!(refusal(&fewer, &compacted), Invalid::Unreadable { .. }));
}

#[test]
fn the_largest_timestamp_is_set_right_where_records_are_seen() {
    let mut bytes = Build::new().record(NOW, "k", "v").record(NOW + 7, "k", "w").bytes();
    for says in [NOW + 9, 5, i64::MAX] {
        bytes[AT_MAX_TIMESTAMP..AT_MAX_TIMESTAMP + 8].copy_from_slice(&says.to_be_bytes());
        rehash(&mut bytes);
        let checked = check(&mut bytes, VERSION, &Rules::default(), NOW).unwrap();
        assert_eq!(checked.view().max_timestamp(), NOW + 7);
        assert_eq!(checked.view().crc(), checked.view().computed_crc());
    }
}

#[test]
fn a_codec_that_does_not_exist_is_told_before_all_else_in_old_requests() {
    let mut bytes = good();
    bytes[21..23].copy_from_slice(&5_i16.to_be_bytes());
    let rules = Rules::default();
    assert_eq!(check(&mut bytes.clone(), 6, &rules, NOW).expect_err("refused"), Invalid::UnknownCodec);
    assert!(matches!(refusal(&bytes, &rules), Invalid::Crc { .. }));
}

#[test]
fn compacted_topics_need_keys() {
    let rules = Rules { compacted: true, ..Rules::default() };
    let batch = Build::new().record(NOW, "k", "v").record_without_key(NOW, "v").bytes();
    let Invalid::Keys { records } = refusal(&batch, &rules) else { panic!("another refusal") };
    assert_eq!(records[0].index, 1);
    assert!(check(&mut good(), VERSION, &rules, NOW).is_ok());
}

#[test]
fn a_producer_may_not_stamp_for_the_leader() {
    let stamped = Build::records(2, NOW).attribute(3).bytes();
    let leader = Rules { timestamp_type: TimestampType::LogAppendTime, ..Rules::default() };
    assert!(matches!(refusal(&stamped, &leader), Invalid::Timestamps { records } if records.len() == 2));
    // Where timestamps are the producer's, Kafka keeps the batch and takes the mark away.
    let mut bytes = stamped;
    let checked = check(&mut bytes, VERSION, &Rules::default(), NOW).unwrap();
    assert_eq!(checked.view().attributes().timestamp_type(), TimestampType::CreateTime);
    assert_eq!(checked.view().crc(), checked.view().computed_crc());
}

#[test]
fn record_errors_are_bounded() {
    let rules = Rules { timestamp_after_max_ms: 0, ..Rules::default() };
    let batch = Build::records(RECORD_ERRORS + 50, NOW + 1).bytes();
    assert!(
        matches!(refusal(&batch, &rules), Invalid::Timestamps { records } if records.len() == RECORD_ERRORS)
    );
}

fn codecs() -> impl Strategy<Value = Compression> {
    prop::sample::select(vec![
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ])
}

proptest! {
    #[test]
    fn no_bytes_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = check(&mut bytes, VERSION, &Rules::default(), NOW);
    }

    /// Changed bytes, with the checksum made good so that what lies behind it is reached too.
    #[test]
    fn no_mutation_panics(
        codec in codecs(),
        xerial in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<Option<prop::sample::Index>>(),
    ) {
        let mut build = Build::records(20, NOW).compressed(codec);
        if xerial && codec == Compression::Snappy {
            build = build.xerial();
        }
        let mut bytes = build.bytes();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if bytes.len() > 61 {
            rehash(&mut bytes);
        }
        let rules = Rules { compacted: true, timestamp_before_max_ms: 1, ..Rules::default() };
        if let Some(view) = BatchView::first(&bytes) {
            for record in records::open(&view, 1 << 20).into_iter().flatten() {
                let _ = record;
            }
        }
        let _ = check(&mut bytes, VERSION, &rules, NOW);
    }
}
