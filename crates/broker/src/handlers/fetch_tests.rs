//! Requests over streams that grow when the test says so.

use super::*;
use crate::batch::BatchView;
use crate::batch::build::Build;
use crate::partition::Topic as Known;
use crate::partition::log::LogConfig;
use crate::partition::simulated::Simulated;
use futures::FutureExt;
use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use kafka_protocol::protocol::StrBytes;
use levee_base::{Offset, Random};
use uuid::Uuid;

const NOW: i64 = 1_700_000_000_000;
const NAMES: i16 = 12;
const IDS: i16 = 16;
const TOPIC: Uuid = Uuid::from_u128(5);

struct Fixture {
    streams: Arc<Simulated>,
    logs: Vec<Arc<PartitionLog>>,
    fetcher: Fetcher,
    clock: Clock,
}

impl Fixture {
    async fn new() -> Self {
        Self::of(2).await
    }

    /// With so many partitions, and one more that is led elsewhere.
    async fn of(partitions: u64) -> Self {
        let (streams, clock) = (Simulated::new(), Clock::simulated(NOW));
        let mut logs = Vec::new();
        for stream in (0..partitions).map(StreamId) {
            streams.open(stream, Offset::ZERO);
            let streams: Arc<dyn Streams> = Arc::new(streams.clone());
            let config = LogConfig::default();
            logs.push(Arc::new(PartitionLog::open(streams, stream, 3, config, clock, None).await.unwrap()));
        }
        let mut partitions: Vec<_> = logs.iter().cloned().map(Partition::Here).collect();
        partitions.push(Partition::Elsewhere(Leader { id: 8, epoch: 4 }));
        let table = Arc::new(PartitionTable::default());
        table.insert(Known { name: "t".into(), id: TOPIC, configs: Default::default(), partitions });
        let fetcher = Fetcher::new(table, FetchSessions::new(Random::seeded(3)), clock, 1);
        Self { streams, logs, fetcher, clock }
    }

    /// Appends a batch of `count` records, and says how long it is.
    fn append(&self, partition: usize, count: usize) -> usize {
        let mut bytes = Build::records(count, NOW).bytes();
        let log = &self.logs[partition];
        log.append(&mut log.check(&mut bytes, 11).unwrap()).unwrap();
        bytes.len()
    }
}

fn partition(index: i32, offset: i64) -> FetchPartition {
    FetchPartition::default()
        .with_partition(index)
        .with_fetch_offset(offset)
        .with_current_leader_epoch(-1)
        .with_partition_max_bytes(1 << 20)
}

fn request(partitions: Vec<FetchPartition>) -> FetchRequest {
    let topic = FetchTopic::default()
        .with_topic(TopicName(StrBytes::from_static_str("t")))
        .with_topic_id(TOPIC)
        .with_partitions(partitions);
    FetchRequest::default()
        .with_max_wait_ms(500)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_session_epoch(-1)
        .with_topics(vec![topic])
}

fn one(response: &FetchResponse) -> &FetchedPartition {
    assert_eq!((response.topics.len(), response.topics[0].partitions.len()), (1, 1));
    &response.topics[0].partitions[0]
}

fn bytes(partition: &FetchedPartition) -> usize {
    partition.records.iter().map(bytes::Bytes::len).sum()
}

#[tokio::test(start_paused = true)]
async fn what_is_durable_is_answered_at_once() {
    let f = Fixture::new().await;
    let length = f.append(0, 3);
    f.append(0, 2);
    f.streams.flush(1);
    let response = f.fetcher.fetch(request(vec![partition(0, 1)]), NAMES).now_or_never().unwrap();
    let fetched = one(&response);
    assert_eq!((fetched.error_code, fetched.high_watermark, fetched.last_stable_offset), (0, 3, 3));
    assert_eq!((fetched.log_start_offset, &fetched.aborted), (0, &None));
    assert_eq!(bytes(fetched), length, "all of the batch that holds the offset, and nothing pending");
    let view = BatchView::first(&fetched.records[0]).unwrap();
    assert_eq!((view.base_offset(), view.leader_epoch()), (0, 3));
    let committed = request(vec![partition(0, 1)]).with_isolation_level(1);
    assert_eq!(one(&f.fetcher.fetch(committed, NAMES).await).aborted, Some(vec![]));
}

#[tokio::test(start_paused = true)]
async fn an_isolation_level_that_does_not_exist_fails_as_in_kafka() {
    let f = Fixture::new().await;
    f.append(0, 3);
    f.streams.flush_all();
    for level in [2, -1] {
        let ask = |index| request(vec![partition(index, 0)]).with_isolation_level(level);
        let response = f.fetcher.fetch(ask(0), NAMES).now_or_never().unwrap();
        assert_eq!((response.error_code, one(&response).error_code), (-1, -1));
        assert_eq!((one(&response).high_watermark, &one(&response).aborted), (-1, &Some(vec![])));
        let by_id = f.fetcher.fetch(ask(0), IDS).now_or_never().unwrap();
        assert_eq!((by_id.error_code, by_id.topics.len()), (-1, 0));
        // It does not come so far where there is nothing to read.
        let unknown = f.fetcher.fetch(ask(9), NAMES).await;
        assert_eq!((unknown.error_code, one(&unknown).error_code), (0, 3));
    }
}

#[tokio::test(start_paused = true)]
async fn a_bound_below_zero_fails_where_there_is_something_to_read() {
    let f = Fixture::new().await;
    let length = f.append(0, 3);
    f.append(1, 1);
    f.streams.flush_all();
    let below = |index, offset| partition(index, offset).with_partition_max_bytes(-1);
    let got = |response: FetchResponse| -> Vec<(i16, usize)> {
        response.topics[0].partitions.iter().map(|one| (one.error_code, bytes(one))).collect()
    };
    let asked = request(vec![below(1, 0), partition(0, 0)]);
    assert_eq!(got(f.fetcher.fetch(asked, NAMES).await), [(-1, 0), (0, length)]);
    // What is named twice counts by what is said last.
    let asked = request(vec![below(0, 0), partition(1, 1), partition(0, 0)]);
    assert_eq!(got(f.fetcher.fetch(asked, NAMES).await), [(0, length), (0, 0)]);
    assert_eq!(got(f.fetcher.fetch(request(vec![below(0, 3)]), NAMES).await), [(0, 0)], "at its end");
    assert_eq!(got(f.fetcher.fetch(request(vec![below(0, 4)]), NAMES).await), [(1, 0)], "beyond it");
    // For all: the first one fails, and one batch is given of those that follow.
    let asked = request(vec![partition(9, 0), partition(1, 0), partition(0, 0)]).with_max_bytes(-1);
    assert_eq!(got(f.fetcher.fetch(asked, NAMES).await), [(3, 0), (-1, 0), (0, length)]);
    let asked = request(vec![partition(1, 1), partition(0, 0)]).with_max_bytes(-1);
    assert_eq!(got(f.fetcher.fetch(asked, NAMES).await), [(0, 0), (0, length)]);
}

#[tokio::test(start_paused = true)]
async fn who_has_other_records_is_told_where_they_part() {
    let f = Fixture::new().await;
    f.append(0, 3);
    f.streams.flush_all();
    let ask = |offset, epoch| request(vec![partition(0, offset).with_last_fetched_epoch(epoch)]);
    for (offset, epoch, code, diverging) in [
        (0, -2, 0, None),
        (2, 3, 0, None),
        (3, 3, 0, None),
        (4, 3, 0, Some((3, 3))),
        (9, 3, 0, Some((3, 3))),
        (0, 4, 1, None),
        (-1, 3, 1, None),
    ] {
        let response = f.fetcher.fetch(ask(offset, epoch), NAMES).await;
        let fetched = one(&response);
        assert_eq!(
            (fetched.error_code, fetched.diverging_epoch),
            (code, diverging),
            "{offset} after {epoch}"
        );
        if diverging.is_some() {
            assert_eq!((fetched.high_watermark, fetched.log_start_offset, bytes(fetched)), (3, 0, 0));
        }
    }
    let waits = f.fetcher.fetch(ask(9, 3), NAMES).now_or_never();
    assert!(waits.is_some(), "it is answered at once");
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_for_enough_bytes_and_no_longer_than_it_says() {
    let f = Fixture::new().await;
    let began = f.clock.now();
    let idle = f.fetcher.fetch(request(vec![partition(0, 0)]), NAMES).await;
    assert_eq!((one(&idle).error_code, bytes(one(&idle))), (0, 0));
    assert_eq!(f.clock.now() - began, Duration::from_millis(500));

    let began = f.clock.now();
    let length = f.append(0, 2);
    let two = i32::try_from(length + 1).unwrap();
    let both = request(vec![partition(0, 0), partition(1, 0)]).with_min_bytes(two);
    let (response, ()) = tokio::join!(f.fetcher.fetch(both, NAMES), async {
        f.clock.sleep(Duration::from_millis(100)).await;
        f.streams.flush_all();
        f.clock.sleep(Duration::from_millis(100)).await;
        f.append(1, 2);
        f.streams.flush_all();
    });
    assert_eq!(f.clock.now() - began, Duration::from_millis(200));
    let got: Vec<_> = response.topics[0].partitions.iter().map(bytes).collect();
    assert_eq!(got, [length, length]);
    assert_eq!(f.streams.watchers(), 0, "nobody is watching any more");
}

#[tokio::test(start_paused = true)]
async fn answers_that_nobody_takes_make_others_smaller_and_keep_none_waiting() {
    let f = Fixture::new().await;
    let lengths = [f.append(0, 1), f.append(0, 1)];
    f.streams.flush_all();
    let ask = || request(vec![partition(0, 0)]).with_min_bytes(1_000_000);
    let all = u32::try_from(FETCH_ANSWERS_BYTES).unwrap();
    let held = f.fetcher.memory.clone().try_acquire_many_owned(all).unwrap();
    let response = f.fetcher.fetch(ask(), NAMES).now_or_never().unwrap();
    assert_eq!(bytes(one(&response)), lengths[0], "the first batch, at once");
    drop(held);
    let response = f.fetcher.fetch(request(vec![partition(0, 0)]), NAMES).now_or_never().unwrap();
    assert_eq!(bytes(one(&response)), lengths[0] + lengths[1]);
    let counted = FETCH_ANSWERS_BYTES - f.fetcher.memory.available_permits();
    assert_eq!(counted, lengths[0] + lengths[1], "what is answered counts until it is written");
    drop(response);
    assert_eq!(f.fetcher.memory.available_permits(), FETCH_ANSWERS_BYTES);
}

#[tokio::test(start_paused = true)]
async fn a_reader_at_the_end_waits_also_while_memory_is_short() {
    let f = Fixture::new().await;
    let all = u32::try_from(FETCH_ANSWERS_BYTES).unwrap();
    let held = f.fetcher.memory.clone().try_acquire_many_owned(all).unwrap();
    let began = f.clock.now();
    let idle = f.fetcher.fetch(request(vec![partition(0, 0)]), NAMES).await;
    assert_eq!((one(&idle).error_code, bytes(one(&idle))), (0, 0));
    assert_eq!(f.clock.now() - began, Duration::from_millis(500));
    let ask = request(vec![partition(0, 0)]).with_min_bytes(1_000_000);
    let length = f.append(0, 2);
    let (response, ()) = tokio::join!(f.fetcher.fetch(ask, NAMES), async {
        f.clock.sleep(Duration::from_millis(100)).await;
        f.streams.flush_all();
    });
    assert_eq!(
        f.clock.now() - began,
        Duration::from_millis(600),
        "what comes is given as soon as it is there"
    );
    assert_eq!(bytes(one(&response)), length);
    // Who wants no waiting is not kept.
    let ask = request(vec![partition(0, 2)]).with_min_bytes(0);
    assert!(f.fetcher.fetch(ask, NAMES).now_or_never().is_some());
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn a_request_reserves_no_more_than_its_partitions_may_give() {
    let f = Fixture::new().await;
    let long = f.append(0, 200);
    let short = f.append(1, 1);
    f.streams.flush_all();
    // One of them is not known here, and a first batch is given whatever is said.
    let limited = |index: i32, bytes: usize| {
        partition(index, 0).with_partition_max_bytes(i32::try_from(bytes).unwrap())
    };
    let asked = || request(vec![limited(0, 1), limited(1, short), partition(9, 0)]);
    f.streams.set_held(true);
    let mut fetch = std::pin::pin!(f.fetcher.fetch(asked(), NAMES));
    assert!(fetch.as_mut().now_or_never().is_none());
    assert_eq!(FETCH_ANSWERS_BYTES - f.fetcher.memory.available_permits(), 1 + short);
    f.streams.set_held(false);
    let given: Vec<_> = fetch.await.topics[0].partitions.iter().map(bytes).collect();
    assert_eq!(given, [long, short, 0], "a long first batch takes none of the room that is not scarce");
}

#[tokio::test(start_paused = true)]
async fn no_request_waits_for_longer_than_the_bound() {
    let f = Fixture::new().await;
    let began = f.clock.now();
    let endless = request(vec![partition(0, 0)]).with_max_wait_ms(i32::MAX);
    f.fetcher.fetch(endless, NAMES).await;
    assert_eq!(f.clock.now() - began, FETCH_WAIT);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_gives_up_leaves_no_watcher() {
    let f = Fixture::new().await;
    let waiting = f.fetcher.fetch(request(vec![partition(0, 0)]), NAMES);
    assert!(f.clock.timeout(Duration::from_millis(50), waiting).await.is_none());
    assert_eq!(f.streams.watchers(), 0);
}

#[tokio::test(start_paused = true)]
async fn errors_end_the_waiting_but_unknown_topics_do_not() {
    let f = Fixture::new().await;
    let now = |partitions, version| f.fetcher.fetch(request(partitions), version).now_or_never();
    let beyond = now(vec![partition(0, 1)], NAMES).unwrap();
    assert_eq!((one(&beyond).error_code, one(&beyond).high_watermark), (1, -1));
    assert_eq!(one(&now(vec![partition(0, -1)], NAMES).unwrap()).error_code, 1);
    assert_eq!(one(&now(vec![partition(9, 0)], NAMES).unwrap()).error_code, 3);
    assert!(now(vec![partition(9, 0), partition(0, 0)], NAMES).is_none());
    let elsewhere = now(vec![partition(2, 0), partition(0, 0)], IDS).unwrap();
    let elsewhere = &elsewhere.topics[0].partitions[0];
    assert_eq!((elsewhere.error_code, elsewhere.current_leader), (6, Some(Leader { id: 8, epoch: 4 })));
    let mut unknown = request(vec![partition(0, 0)]);
    unknown.topics[0].topic_id = Uuid::from_u128(6);
    assert_eq!(one(&f.fetcher.fetch(unknown, IDS).await).error_code, 100);
    // Appended and not durable is not out of range: it is waited for.
    f.append(0, 2);
    assert!(now(vec![partition(0, 2)], NAMES).is_none());
    f.streams.flush_all();
    f.streams.set_broken(true);
    assert_eq!(one(&now(vec![partition(0, 0)], NAMES).unwrap()).error_code, 56);
}

#[tokio::test(start_paused = true)]
async fn leader_epochs_are_compared() {
    let f = Fixture::new().await;
    let with = |epoch| request(vec![partition(0, 0).with_current_leader_epoch(epoch)]);
    let fenced = f.fetcher.fetch(with(2), IDS).now_or_never().unwrap();
    assert_eq!(one(&fenced).error_code, 74);
    assert_eq!(one(&fenced).current_leader, Some(Leader { id: 1, epoch: 3 }));
    assert_eq!(one(&f.fetcher.fetch(with(2), NAMES).now_or_never().unwrap()).current_leader, None);
    assert_eq!(one(&f.fetcher.fetch(with(4), IDS).now_or_never().unwrap()).error_code, 75);
    assert!(f.fetcher.fetch(with(3), IDS).now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn limits_cut_between_batches_and_never_give_nothing() {
    let f = Fixture::new().await;
    let length = f.append(0, 2);
    for _ in 0..3 {
        f.append(0, 2);
        f.append(1, 2);
    }
    f.streams.flush_all();
    let limited = |all: usize, each: usize| {
        let each = i32::try_from(each).unwrap();
        let with = |index| partition(index, 0).with_partition_max_bytes(each);
        let all = i32::try_from(all).unwrap();
        let response = f.fetcher.fetch(request(vec![with(0), with(1)]).with_max_bytes(all), NAMES);
        let response = response.now_or_never().unwrap();
        response.topics[0].partitions.iter().map(|one| bytes(one) / length).collect::<Vec<_>>()
    };
    assert_eq!(limited(1 << 20, 1 << 20), [4, 3]);
    assert_eq!(limited(1 << 20, 2 * length + 1), [2, 2]);
    assert_eq!(limited(5 * length, 1 << 20), [4, 1]);
    assert_eq!(limited(1, 1), [1, 0]);
    assert_eq!(limited(0, 0), [1, 0]);
    assert_eq!(limited(1 << 20, length - 1), [1, 0], "only the first of all is larger than its limit");
    let small = |index, offset| partition(index, offset).with_partition_max_bytes(1);
    let response = f.fetcher.fetch(request(vec![small(0, 8), small(1, 2)]), NAMES).now_or_never().unwrap();
    let given: Vec<_> = response.topics[0].partitions.iter().map(bytes).collect();
    assert_eq!(given, [0, length], "the first that has one, whichever that is");
}

#[tokio::test(start_paused = true)]
async fn what_waiting_would_not_bring_is_not_waited_for() {
    let f = Fixture::new().await;
    let length = f.append(0, 2);
    f.append(0, 2);
    f.streams.flush_all();
    let bytes_of = |count: usize| i32::try_from(count * length).unwrap();
    let one_at_a_time = partition(0, 0).with_partition_max_bytes(bytes_of(1));
    let both = request(vec![one_at_a_time]).with_min_bytes(bytes_of(2));
    let response = f.fetcher.fetch(both, NAMES).now_or_never().unwrap();
    assert_eq!(bytes(one(&response)), length);
}

#[tokio::test(start_paused = true)]
async fn a_long_first_batch_takes_the_others_room() {
    let f = Fixture::new().await;
    let long = f.append(0, 200);
    let short = f.append(1, 1);
    f.streams.flush_all();
    let room = i32::try_from(long - 1).unwrap();
    let small = partition(0, 0).with_partition_max_bytes(1);
    let response = f.fetcher.fetch(request(vec![small, partition(1, 0)]).with_max_bytes(room), NAMES);
    let response = response.now_or_never().unwrap();
    let given: Vec<_> = response.topics[0].partitions.iter().map(bytes).collect();
    assert_eq!(given, [long, 0], "and {short} more would be too many");
}

#[tokio::test(start_paused = true)]
async fn what_an_answer_has_no_room_for_is_not_read() {
    let f = Fixture::of(50).await;
    let length = f.append(0, 2);
    f.append(0, 2);
    for partition in 1..50 {
        f.append(partition, 2);
        f.append(partition, 2);
    }
    f.streams.flush_all();
    let all = request((0..50).map(|index| partition(index, 0)).collect());
    let room = i32::try_from(3 * length + length / 2).unwrap();
    let response = f.fetcher.fetch(all.with_max_bytes(room), NAMES).await;
    let given: Vec<_> = response.topics[0].partitions.iter().map(|one| bytes(one) / length).collect();
    assert_eq!((given[..3].to_vec(), given.iter().sum::<usize>()), (vec![2, 1, 0], 3));
    assert!(f.streams.reads() <= 3, "{} reads", f.streams.reads());
}

#[tokio::test(start_paused = true)]
async fn a_session_is_told_what_is_new() {
    let f = Fixture::new().await;
    let full = request(vec![partition(0, 0), partition(1, 0)]).with_session_epoch(0);
    let response = f.fetcher.fetch(full, IDS).await;
    let id = response.session_id;
    assert!(id > 0);
    assert_eq!(response.topics[0].partitions.len(), 2);
    assert_eq!(response.topics[0].topic, Topic::Id(TOPIC));
    let next = |epoch| {
        FetchRequest::default()
            .with_max_wait_ms(500)
            .with_min_bytes(1)
            .with_max_bytes(1 << 20)
            .with_session_id(id)
            .with_session_epoch(epoch)
    };
    let idle = f.fetcher.fetch(next(1), IDS).await;
    assert_eq!((idle.session_id, idle.topics.len()), (id, 0));
    f.append(1, 2);
    f.streams.flush_all();
    let grown = f.fetcher.fetch(next(2), IDS).now_or_never().unwrap();
    assert_eq!((one(&grown).index, one(&grown).high_watermark), (1, 2));
    // By name it is another session's request, and with the wrong epoch nobody's.
    assert_eq!(f.fetcher.fetch(next(3), NAMES).await.error_code, 106);
    assert_eq!(f.fetcher.fetch(next(2), IDS).await.error_code, 71);
    // The one moves on, the other is forgotten.
    let mut moved = next(3);
    moved.topics = request(vec![partition(1, 2)]).topics;
    moved.forgotten_topics_data =
        vec![ForgottenTopic::default().with_topic_id(TOPIC).with_partitions(vec![0])];
    f.append(0, 1);
    f.append(1, 1);
    f.streams.flush_all();
    let response = f.fetcher.fetch(moved, IDS).now_or_never().unwrap();
    assert_eq!((one(&response).index, one(&response).high_watermark), (1, 3));
    let gone = next(1).with_session_id(id ^ 1);
    let gone = f.fetcher.fetch(gone, IDS).await;
    assert_eq!((gone.error_code, gone.session_id), (70, 0));
}

#[tokio::test(start_paused = true)]
async fn a_reader_of_committed_records_waits_until_they_are_decided() {
    let f = Fixture::new().await;
    let length = f.append(0, 2);
    let log = &f.logs[0];
    log.append_records(&[(None, None)], Some((7, 0))).unwrap();
    f.streams.flush_all();
    let ask = |from| request(vec![partition(0, from)]).with_isolation_level(1);
    let response = f.fetcher.fetch(ask(0), NAMES).now_or_never().unwrap();
    let fetched = one(&response);
    assert_eq!((bytes(fetched), fetched.high_watermark, fetched.last_stable_offset), (length, 3, 2));
    assert_eq!(fetched.aborted, Some(vec![]));
    let all = f.fetcher.fetch(request(vec![partition(0, 2)]), NAMES).now_or_never().unwrap();
    assert!(bytes(one(&all)) > 0, "others are given it");
    assert_eq!((one(&all).last_stable_offset, &one(&all).aborted), (2, &None));
    let began = f.clock.now();
    let (response, ()) = tokio::join!(f.fetcher.fetch(ask(2), NAMES), async {
        f.clock.sleep(Duration::from_millis(100)).await;
        log.append_marker(7, 0, 0, false, 1).unwrap();
        f.clock.sleep(Duration::from_millis(100)).await;
        f.streams.flush_all();
    });
    assert_eq!(f.clock.now() - began, Duration::from_millis(200), "until the marker is durable");
    let fetched = one(&response);
    assert_eq!((fetched.last_stable_offset, &fetched.aborted), (4, &Some(vec![(7, 2)])));
    assert!(bytes(fetched) > 0, "the reader leaves them out, and sees the marker");
}
