//! A partition over streams whose durability the test decides.

use super::*;
use crate::batch::build::Build;
use crate::batch::header::{AT_COUNT, AT_LENGTH, AT_MAX_TIMESTAMP, OVERHEAD_BYTES};
use crate::batch::{BatchView, Compression, Rules, TimestampType};
use crate::partition::checkpoint::encode;
use crate::partition::claim::ProducerError;
use crate::partition::look_up::Located;
use crate::partition::note::{Note, NoteError};
use crate::partition::read::{FetchError, Isolation};
use crate::partition::simulated::Simulated;
use crate::partition::{AppendError, Appended};
use levee_base::Slot;
use levee_store::{NewBatch, Run};
use proptest::prelude::*;

const STREAM: StreamId = StreamId(1);
const NOW: i64 = 1_700_000_000_000;
const VERSION: i16 = 11;

async fn open_with(streams: &Arc<Simulated>, epoch: i32, config: LogConfig) -> PartitionLog {
    let streams: Arc<dyn Streams> = Arc::new(streams.clone());
    PartitionLog::open(streams, STREAM, epoch, config, Clock::simulated(NOW), None).await.unwrap()
}

async fn new_log(config: LogConfig) -> (Arc<Simulated>, PartitionLog) {
    let streams = Simulated::new();
    streams.open(STREAM, Offset::ZERO);
    let log = open_with(&streams, 3, config).await;
    (streams, log)
}

fn append(log: &PartitionLog, build: &Build) -> Result<Appended, AppendError> {
    let mut bytes = build.bytes();
    let mut checked = log.check(&mut bytes, VERSION).unwrap();
    log.append(&mut checked)
}

async fn read_all(log: &PartitionLog) -> Vec<Run> {
    log.read(0, 1 << 20, true).await.unwrap().runs
}

#[tokio::test(start_paused = true)]
async fn offsets_are_given_in_order_and_shown_when_durable() {
    let (streams, log) = new_log(LogConfig::default()).await;
    let first = append(&log, &Build::records(3, NOW)).unwrap();
    let second = append(&log, &Build::records(2, NOW)).unwrap();
    assert_eq!((first.base, second.base), (Offset(0), Offset(3)));
    assert_eq!((first.slot, second.slot), (Some(Slot(0)), Some(Slot(1))));
    assert_eq!(first.log_append_time_ms, None);
    assert!(read_all(&log).await.is_empty());
    assert_eq!(log.latest(Isolation::Uncommitted).unwrap().offset, Offset(0));
    streams.flush(1);
    assert_eq!(log.latest(Isolation::Uncommitted).unwrap().offset, Offset(3));
    streams.flush(1);
    let runs = read_all(&log).await;
    let view = BatchView::first(&runs[0].bytes).unwrap();
    assert_eq!((view.base_offset(), view.leader_epoch()), (0, 3));
    // An offset inside a batch gives all of it, the end gives nothing, and beyond it there is nothing.
    let inside = log.read(4, 1, true).await.unwrap().runs;
    assert_eq!((inside[0].base, inside[0].end), (Offset(3), Offset(5)));
    assert!(log.read(5, 1, true).await.unwrap().runs.is_empty());
    for from in [-1, 6] {
        assert!(matches!(log.read(from, 1, true).await, Err(FetchError::OutOfRange { .. })));
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_finds_its_batch_pending_and_then_durable_also_after_reopening() {
    let (streams, log) = new_log(LogConfig::default()).await;
    let batch = Build::records(4, NOW).producer(7, 0, 0);
    let first = append(&log, &batch).unwrap();
    let again = append(&log, &batch).unwrap();
    assert_eq!(again, first, "the same offset, and the same slot to wait for");
    assert_eq!(log.ends().unwrap().appended, Offset(4), "appended once");
    streams.flush_all();
    assert_eq!(append(&log, &batch).unwrap(), Appended { slot: None, ..first });
    let next = append(&log, &Build::records(1, NOW).producer(7, 0, 4)).unwrap();
    assert_eq!(next.base, Offset(4));
    let gap = append(&log, &Build::records(1, NOW).producer(7, 0, 6)).unwrap_err();
    assert_eq!(gap, AppendError::Producer(ProducerError::OutOfOrder { producer_id: 7, got: 6, expected: 5 }));

    // The second batch was not durable: the successor knows the first one only.
    let streams = streams.reopened();
    let log = open_with(&streams, 4, LogConfig::default()).await;
    assert_eq!(append(&log, &batch).unwrap(), Appended { slot: None, ..first });
    let next = append(&log, &Build::records(1, NOW).producer(7, 0, 4)).unwrap();
    assert_eq!((next.base, next.slot), (Offset(4), Some(Slot(1))));
}

#[tokio::test(start_paused = true)]
async fn a_producer_goes_on_after_its_last_batch_was_deleted_and_the_checkpoint_is_older() {
    let (streams, log) = new_log(LogConfig::default()).await;
    append(&log, &Build::records(4, NOW).producer(7, 0, 0)).unwrap();
    streams.flush_all();
    let checkpoint = Bytes::from(encode(&log.known(), Offset::ZERO));
    append(&log, &Build::records(1, NOW).producer(7, 0, 4)).unwrap();
    append(&log, &Build::records(1, NOW)).unwrap();
    streams.flush_all();
    let streams = streams.reopened();
    streams.set_start(STREAM, Offset(5));
    let (config, clock) = (LogConfig::default(), Clock::simulated(NOW));
    let over: Arc<dyn Streams> = Arc::new(streams.clone());
    let log =
        PartitionLog::open(over, STREAM, 4, config, clock, Some((Offset(4), checkpoint))).await.unwrap();
    let next = append(&log, &Build::records(1, NOW).producer(7, 0, 5)).unwrap();
    assert_eq!(next.base, Offset(6));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_found_no_room_may_be_tried_again() {
    for timestamp_type in [TimestampType::CreateTime, TimestampType::LogAppendTime] {
        let rules = Rules { timestamp_type, ..Rules::default() };
        let (streams, log) = new_log(TopicConfig { rules, ..TopicConfig::default() }.into()).await;
        let mut bytes = Build::records(2, NOW).producer(7, 0, 0).bytes();
        let mut checked = log.check(&mut bytes, VERSION).unwrap();
        streams.set_full(true);
        assert_eq!(log.append(&mut checked), Err(AppendError::Full));
        assert_eq!(log.producers(), 0, "a batch that was not taken leaves nothing behind");
        streams.set_full(false);
        append(&log, &Build::records(5, NOW)).unwrap();
        assert_eq!(log.append(&mut checked).unwrap().base, Offset(5));
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_taken_after_the_epoch_ended() {
    let (streams, log) = new_log(LogConfig::default()).await;
    append(&log, &Build::records(2, NOW)).unwrap();
    streams.stop();
    assert_eq!(append(&log, &Build::records(1, NOW)), Err(AppendError::NotLeader));
    assert!(read_all(&log).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_leaders_time_is_stamped_and_never_goes_back() {
    let rules = Rules { timestamp_type: TimestampType::LogAppendTime, ..Rules::default() };
    let config: LogConfig = TopicConfig { rules, ..TopicConfig::default() }.into();
    let (streams, log) = new_log(config).await;
    let first = append(&log, &Build::records(2, 5)).unwrap();
    assert_eq!(first.log_append_time_ms, Some(NOW));
    streams.flush_all();
    let runs = read_all(&log).await;
    let view = BatchView::first(&runs[0].bytes).unwrap();
    assert_eq!(view.max_timestamp(), NOW);
    assert_eq!(view.crc(), view.computed_crc());
    // A successor whose clock is behind goes on from where the log is.
    let streams: Arc<dyn Streams> = Arc::new(streams.reopened());
    let behind = Clock::simulated(NOW - 10_000);
    let log = PartitionLog::open(streams, STREAM, 4, config, behind, None).await.unwrap();
    assert_eq!(append(&log, &Build::records(1, 5)).unwrap().log_append_time_ms, Some(NOW));
}

#[tokio::test(start_paused = true)]
async fn epochs_of_clients_are_compared() {
    let (_, log) = new_log(LogConfig::default()).await;
    assert_eq!(log.check_epoch(-1), Ok(()));
    assert_eq!(log.check_epoch(3), Ok(()));
    assert_eq!(log.check_epoch(2), Err(EpochError::Fenced));
    assert_eq!(log.check_epoch(4), Err(EpochError::Unknown));
}

#[tokio::test(start_paused = true)]
async fn silent_producers_are_forgotten_by_the_leaders_clock_also_on_opening() {
    let config = LogConfig { producer_expiration_ms: 1_000, ..LogConfig::default() };
    let (streams, log) = new_log(config).await;
    // Old data, sent now: its timestamps say nothing about the producer.
    append(&log, &Build::records(1, 5).producer(1, 0, 0)).unwrap();
    streams.flush_all();
    log.expire_producers();
    assert_eq!(log.producers(), 1);
    Clock::system().sleep(std::time::Duration::from_millis(1_001)).await;
    append(&log, &Build::records(1, 5).producer(2, 0, 0)).unwrap();
    log.expire_producers();
    assert_eq!(log.producers(), 1);
    streams.flush_all();
    let reopened: Arc<dyn Streams> = Arc::new(streams.reopened());
    let later = Clock::simulated(NOW + 1_001);
    let log = PartitionLog::open(reopened, STREAM, 4, config, later, None).await.unwrap();
    assert_eq!(log.producers(), 1);
}

#[tokio::test(start_paused = true)]
async fn look_ups_by_time_name_the_record_and_the_epoch_that_wrote_it() {
    let (streams, log) = new_log(LogConfig::default()).await;
    assert_eq!(log.at_timestamp(0).await.unwrap(), None);
    assert_eq!(log.at_largest_timestamp().await.unwrap(), None);
    let batch = Build::new().record(10, "k", "v").record(30, "k", "v").record(20, "k", "v");
    append(&log, &batch.compressed(Compression::Zstd)).unwrap();
    append(&log, &Build::new().record(15, "k", "v").record(30, "k", "v")).unwrap();
    assert_eq!(log.at_timestamp(0).await.unwrap(), None, "nothing is durable");
    assert_eq!(log.at_largest_timestamp().await.unwrap(), None);
    streams.flush(1);
    let found = |offset, timestamp| {
        Some(Located { offset: Offset(offset), timestamp: Some(timestamp), leader_epoch: Some(3) })
    };
    assert_eq!(log.at_timestamp(11).await.unwrap(), found(1, 30));
    streams.flush(1);
    assert_eq!(log.at_timestamp(0).await.unwrap(), found(0, 10));
    assert_eq!(log.at_timestamp(30).await.unwrap(), found(1, 30));
    assert_eq!(log.at_timestamp(31).await.unwrap(), None);
    assert_eq!(log.at_largest_timestamp().await.unwrap(), found(1, 30));
    // The next leader's answers still name this epoch.
    let streams = streams.reopened();
    let log = open_with(&streams, 8, LogConfig::default()).await;
    assert_eq!(log.at_timestamp(30).await.unwrap(), found(1, 30));
    assert_eq!(log.earliest().unwrap().leader_epoch, Some(3));
    assert_eq!(log.latest(Isolation::Uncommitted).unwrap().leader_epoch, Some(8));
    // With the first batch gone, its timestamps are too.
    streams.set_start(STREAM, Offset(3));
    assert_eq!(log.at_timestamp(0).await.unwrap(), found(3, 15));
    assert_eq!(log.at_largest_timestamp().await.unwrap(), found(4, 30));
}

#[tokio::test(start_paused = true)]
async fn the_largest_timestamp_is_that_of_what_keyed_compaction_has_left() {
    let (streams, log) = new_log(LogConfig::default()).await;
    let outdated = || Build::new().record(10, "a", "1");
    let next = || Build::new().record(30, "c", "1").record(50, "b", "2").record(50, "d", "1");
    append(&log, &outdated().record(90, "b", "1")).unwrap();
    append(&log, &next()).unwrap();
    append(&log, &Build::records(1, 20)).unwrap();
    streams.flush_all();
    let found = |offset, timestamp| {
        Some(Located { offset: Offset(offset), timestamp: Some(timestamp), leader_epoch: Some(3) })
    };
    assert_eq!(log.at_largest_timestamp().await.unwrap(), found(1, 90));
    // What lies there after a pass: batches in so many offsets, from `first` on.
    let compacted = |first: u64, batches: Vec<(Vec<u8>, u32)>| {
        streams.open(STREAM, Offset(first));
        for (bytes, count) in batches {
            let view = BatchView::first(&bytes).unwrap();
            let (base, note) = (Offset(view.base_offset().cast_unsigned()), Note::of(&view, NOW).encode());
            streams.append(STREAM, base, &[NewBatch { bytes: &bytes, count, note: &note }]).unwrap();
        }
        streams.flush_all();
        streams.set_start(STREAM, Offset::ZERO);
    };
    let at = |build: Build, base: i64, count: u32| (build.at(base, 3).bytes(), count);
    let last = || at(Build::records(1, 20), 5, 1);
    compacted(0, vec![at(outdated(), 0, 2), at(next(), 2, 3), last()]);
    assert_eq!(log.at_largest_timestamp().await.unwrap(), found(3, 50), "the record is gone");
    compacted(2, vec![at(next(), 2, 3), last()]);
    assert_eq!(log.at_largest_timestamp().await.unwrap(), found(3, 50), "the batch is gone");
    compacted(5, vec![last()]);
    assert_eq!(log.at_largest_timestamp().await.unwrap(), found(5, 20), "and so is the next");
    // A producer's last batch that has no records any more keeps its largest timestamp. Kafka finds nothing in it.
    let mut empty = outdated().at(0, 3).bytes();
    empty.truncate(crate::batch::HEADER_BYTES);
    let length = i32::try_from(empty.len() - OVERHEAD_BYTES).unwrap();
    empty[AT_LENGTH..AT_LENGTH + 4].copy_from_slice(&length.to_be_bytes());
    empty[AT_MAX_TIMESTAMP..AT_MAX_TIMESTAMP + 8].copy_from_slice(&90_i64.to_be_bytes());
    empty[AT_COUNT..AT_COUNT + 4].fill(0);
    crate::batch::build::rehash(&mut empty);
    compacted(0, vec![(empty, 2), at(next(), 2, 3), last()]);
    assert_eq!(log.at_largest_timestamp().await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn stamped_batches_are_found_by_their_stamp() {
    let rules = Rules { timestamp_type: TimestampType::LogAppendTime, ..Rules::default() };
    let (streams, log) = new_log(TopicConfig { rules, ..TopicConfig::default() }.into()).await;
    append(&log, &Build::records(3, 5)).unwrap();
    streams.flush_all();
    let found = log.at_timestamp(NOW).await.unwrap().unwrap();
    assert_eq!((found.offset, found.timestamp), (Offset(0), Some(NOW)));
    let largest = log.at_largest_timestamp().await.unwrap().unwrap();
    assert_eq!((largest.offset, largest.timestamp), (Offset(0), Some(NOW)), "the first of all");
}

#[tokio::test(start_paused = true)]
async fn headers_that_lie_and_records_that_are_junk_do_not_break_look_ups() {
    let (streams, log) = new_log(LogConfig::default()).await;
    let mut lie = Build::records(2, 10).bytes();
    lie[35..43].copy_from_slice(&500_i64.to_be_bytes());
    crate::batch::build::rehash(&mut lie);
    log.append(&mut log.check(&mut lie, VERSION).unwrap()).unwrap();
    append(&log, &Build::records(1, 100)).unwrap();
    streams.flush_all();
    assert_eq!(log.at_timestamp(50).await.unwrap().unwrap().offset, Offset(2));
    let mut junk = Build::records(2, 700).compressed(Compression::Gzip).bytes();
    junk[61..].fill(0xab);
    crate::batch::build::rehash(&mut junk);
    log.append(&mut log.check(&mut junk, VERSION).unwrap()).unwrap();
    streams.flush_all();
    let found = log.at_timestamp(600).await.unwrap().unwrap();
    assert_eq!((found.offset, found.timestamp), (Offset(3), Some(700)));
}

#[tokio::test(start_paused = true)]
async fn a_note_of_another_release_stops_the_opening() {
    let streams = Simulated::new();
    streams.open(STREAM, Offset::ZERO);
    let bytes = Build::records(1, 1).bytes();
    let batch = NewBatch { bytes: &bytes, count: 1, note: b"?" };
    streams.append(STREAM, Offset::ZERO, &[batch]).unwrap();
    streams.flush_all();
    let streams: Arc<dyn Streams> = Arc::new(streams);
    let opened =
        PartitionLog::open(streams, STREAM, 1, LogConfig::default(), Clock::simulated(NOW), None).await;
    assert!(matches!(opened, Err(OpenError::Note(UnknownNote { error: NoteError::Version(b'?'), .. }))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Timestamps in any order, over many batches, before and after opening anew.
    #[test]
    fn look_ups_by_time_agree_with_a_scan(
        batches in prop::collection::vec(prop::collection::vec(0_i64..60, 1..5), 1..200),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let (streams, log) = new_log(LogConfig::default()).await;
            let mut all = Vec::new();
            for batch in &batches {
                let build = batch.iter().fold(Build::new(), |build, at| build.record(*at, "k", "v"));
                append(&log, &build).unwrap();
                streams.flush_all();
                all.extend(batch.iter().copied());
            }
            let reopened = open_with(&streams.reopened(), 9, LogConfig::default()).await;
            for log in [&log, &reopened] {
                for timestamp in 0..=61 {
                    let expected = all.iter().position(|at| *at >= timestamp);
                    let found = log.at_timestamp(timestamp).await.unwrap();
                    assert_eq!(found.map(|found| found.offset.0 as usize), expected);
                }
                let most = all.iter().max().unwrap();
                let largest = log.at_largest_timestamp().await.unwrap().unwrap();
                assert_eq!(Some(largest.offset.0 as usize), all.iter().position(|at| at == most));
            }
        });
    }
}
