//! Transactions in a partition: the rules one by one, and random histories against a plain scan of what is durable.

use super::*;
use crate::batch::BatchView;
use crate::batch::build::Build;
use crate::cleaner::Aborted;
use crate::partition::checkpoint::encode;
use crate::partition::known::Known;
use crate::partition::log::LogConfig;
use crate::partition::read::{FetchError, Fetched, Isolation};
use crate::partition::simulated::Simulated;
use crate::partition::verifications::Verifications;
use crate::partition::{PartitionLog, Streams};
use levee_base::{Clock, StreamId};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const STREAM: StreamId = StreamId(1);
const NOW: i64 = 1_700_000_000_000;
/// Where each transaction has an epoch of its own.
const TV2: i8 = 2;

async fn open(streams: &Arc<Simulated>, epoch: i32, checkpoint: Option<(Offset, Bytes)>) -> PartitionLog {
    let streams: Arc<dyn Streams> = Arc::new(streams.clone());
    let clock = Clock::simulated(NOW);
    PartitionLog::open(streams, STREAM, epoch, LogConfig::default(), clock, checkpoint).await.unwrap()
}

async fn new_log() -> (Arc<Simulated>, PartitionLog) {
    let streams = Simulated::new();
    streams.open(STREAM, Offset::ZERO);
    let log = open(&streams, 3, None).await;
    (streams, log)
}

fn append(log: &PartitionLog, build: &Build, guard: Option<Guard>) -> Result<u64, AppendError> {
    let mut bytes = build.bytes();
    let mut checked = log.check(&mut bytes, 12).unwrap();
    log.append_verified(&mut checked, guard).map(|appended| appended.base.0)
}

fn batch(id: i64, epoch: i16, sequence: i32) -> Build {
    Build::records(1, NOW).producer(id, epoch, sequence).attribute(4)
}

/// A batch of a transaction, verified where it must be.
fn transactional(log: &PartitionLog, id: i64, epoch: i16, sequence: i32) -> Result<u64, AppendError> {
    let guard = log.verify(id, epoch, sequence, false)?;
    append(log, &batch(id, epoch, sequence), guard)
}

fn end(log: &PartitionLog, id: i64, epoch: i16, commit: bool) -> Result<u64, AppendError> {
    log.append_marker(id, epoch, 0, commit, 1).map(|appended| appended.base.0)
}

fn stable(log: &PartitionLog) -> u64 {
    log.last_stable_offset().unwrap().0
}

async fn committed(log: &PartitionLog, from: i64) -> Fetched {
    log.fetch(from, Isolation::Committed, 1 << 20, true).await.unwrap()
}

fn refused(result: Result<u64, AppendError>) -> ProducerError {
    match result {
        Err(AppendError::Producer(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_decided_before_its_marker_is_durable() {
    let (streams, log) = new_log().await;
    assert_eq!(append(&log, &Build::records(2, NOW), None).unwrap(), 0);
    assert_eq!(transactional(&log, 1, 0, 0).unwrap(), 2);
    assert!(
        log.ongoing_transaction(1, 0) && !log.ongoing_transaction(1, 1) && !log.ongoing_transaction(2, 0)
    );
    assert_eq!(stable(&log), 0, "nothing is durable");
    streams.flush_all();
    assert_eq!(stable(&log), 2);
    let fetched = committed(&log, 0).await;
    assert_eq!((fetched.runs[0].end, fetched.more, fetched.last_stable), (Offset(2), false, Offset(2)));
    assert!(committed(&log, 2).await.runs.is_empty() && committed(&log, 3).await.runs.is_empty());
    let all = log.read(0, 1 << 20, true).await.unwrap();
    assert_eq!((all.runs[0].end, all.aborted.len()), (Offset(3), 0));
    assert_eq!(end(&log, 1, 0, false).unwrap(), 3);
    assert!(!log.ongoing_transaction(1, 0));
    assert_eq!(stable(&log), 2, "the marker may yet be lost");
    streams.flush_all();
    assert_eq!(stable(&log), 4);
    let fetched = committed(&log, 0).await;
    assert_eq!(fetched.aborted, [Aborted { first_offset: 2, last_offset: 3, producer_id: 1 }]);
    assert!(log.read(0, 1 << 20, true).await.unwrap().aborted.is_empty(), "nobody asked");
    // Only what the batches that are given overlap with is named.
    assert_eq!(committed(&log, 3).await.aborted.len(), 1);
    assert!(log.fetch(0, Isolation::Committed, 1, true).await.unwrap().aborted.is_empty());
}

#[tokio::test(start_paused = true)]
async fn batches_around_a_transaction_are_checked_as_by_kafka() {
    let (_, log) = new_log().await;
    // Without the coordinator's word no transaction begins.
    assert_eq!(refused(append(&log, &batch(1, 0, 0), None)), ProducerError::NotVerified);
    let guard = log.verify(1, 0, 0, false).unwrap();
    assert!(guard.is_some());
    append(&log, &batch(1, 0, 0), guard).unwrap();
    assert_eq!(log.verify(1, 0, 1, false).unwrap(), None, "it is open");
    append(&log, &batch(1, 0, 1), None).unwrap();
    let outside = Build::records(1, NOW).producer(1, 0, 2);
    assert_eq!(refused(append(&log, &outside, None)), ProducerError::NotTransactional { producer_id: 1 });
    assert_eq!(append(&log, &batch(1, 0, 1), None).unwrap(), 1, "a repetition");
    end(&log, 1, 0, true).unwrap();
    assert_eq!(append(&log, &batch(1, 0, 1), None).unwrap(), 1, "still a repetition");
    assert_eq!(refused(append(&log, &batch(1, 0, 2), None)), ProducerError::NotVerified);
    append(&log, &outside, None).unwrap();
    // A newer epoch has the transaction verified again even if one is open.
    transactional(&log, 1, 0, 3).unwrap();
    assert!(log.verify(1, 1, 0, false).unwrap().is_some());
    assert_eq!(refused(append(&log, &batch(1, 1, 0), None)), ProducerError::NotVerified);
    transactional(&log, 1, 1, 0).unwrap();
    let old = ProducerError::OldEpoch { producer_id: 1, epoch: 0, current: 1 };
    assert_eq!(log.verify(1, 0, 4, false), Err(AppendError::Producer(old)));
    assert_eq!(refused(append(&log, &batch(1, 0, 4), None)), old);
    // Without a producer there is no transaction, whatever the batch says.
    append(&log, &Build::records(1, NOW).attribute(4), None).unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_comes_after_a_marker_needs_a_new_word_of_the_coordinator() {
    let (_, log) = new_log().await;
    let guard = log.verify(1, 0, 0, false).unwrap();
    end(&log, 1, 0, false).unwrap();
    assert_eq!(refused(append(&log, &batch(1, 0, 0), guard)), ProducerError::NotVerified);
    // The batch that came first must be the first to be appended.
    let first = log.verify(1, 0, 0, false).unwrap();
    let second = log.verify(1, 0, 1, false).unwrap();
    assert_eq!(first, second);
    let late = ProducerError::OutOfOrder { producer_id: 1, got: 1, expected: 0 };
    assert_eq!(refused(append(&log, &batch(1, 0, 1), second)), late);
    append(&log, &batch(1, 0, 0), first).unwrap();
    append(&log, &batch(1, 0, 1), None).unwrap();
    // A producer with an epoch for each transaction begins with 0, known or not; others with what they like.
    let guard = log.verify(2, 5, 3, true).unwrap();
    let late = ProducerError::OutOfOrder { producer_id: 2, got: 3, expected: 0 };
    assert_eq!(refused(append(&log, &batch(2, 5, 3), guard)), late);
    let guard = log.verify(3, 5, 3, false).unwrap();
    append(&log, &batch(3, 5, 3), guard).unwrap();
}

#[tokio::test(start_paused = true)]
async fn markers_are_checked_by_the_version_of_the_protocol() {
    let (_, log) = new_log().await;
    let marker = |epoch, coordinator, version| {
        log.append_marker(1, epoch, coordinator, true, version).map(|appended| appended.base.0)
    };
    let old = |epoch, current| ProducerError::OldEpoch { producer_id: 1, epoch, current };
    transactional(&log, 1, 3, 0).unwrap();
    assert_eq!(refused(marker(2, 0, 1)), old(2, 3));
    assert_eq!(refused(marker(3, 0, TV2)), old(3, 3), "each transaction has its own");
    marker(4, 7, TV2).unwrap();
    marker(4, 7, TV2).expect("it was sent again");
    let fenced = |open| ProducerError::OldCoordinator { producer_id: 1, epoch: 6, current: 7, open };
    assert_eq!(refused(marker(5, 6, TV2)), fenced(false));
    // The marker's epoch is the producer's: it begins with 0, and what is late is refused.
    assert_eq!(log.verify(1, 3, 1, true), Err(AppendError::Producer(old(3, 4))));
    let guard = log.verify(1, 4, 0, true).unwrap();
    append(&log, &batch(1, 4, 0), guard).unwrap();
    assert_eq!(refused(marker(5, 6, TV2)), fenced(true));
    assert_eq!(refused(marker(4, 8, TV2)), old(4, 4));
    let known = log.active_producers()[0];
    assert_eq!((known.epoch, known.coordinator_epoch, known.last_sequence), (4, 7, 0));
    assert_eq!((known.transaction, known.last_timestamp), (Some(Offset(3)), NOW));
    // In the first protocol, the same epoch goes on.
    marker(4, 8, 1).unwrap();
    append(&log, &Build::records(1, NOW).producer(1, 4, 1), None).unwrap();
    // Nothing follows the last epoch of all.
    transactional(&log, 1, i16::MAX, 0).unwrap();
    marker(i16::MAX, 8, TV2).unwrap();
    // A producer that is not known: by its marker it is.
    log.append_marker(9, 2, 1, false, TV2).unwrap();
    let known = log.active_producers()[1];
    assert_eq!((known.producer_id, known.epoch, known.last_sequence, known.transaction), (9, 2, -1, None));
    let gap = ProducerError::OutOfOrder { producer_id: 9, got: 1, expected: 0 };
    assert_eq!(refused(append(&log, &Build::records(1, NOW).producer(9, 2, 1), None)), gap);
}

#[tokio::test(start_paused = true)]
async fn a_verification_for_the_next_transaction_outlives_the_marker_before() {
    let (_, log) = new_log().await;
    let guard = log.verify(1, 0, 0, true).unwrap();
    append(&log, &batch(1, 0, 0), guard).unwrap();
    // The coordinator has answered the client before this marker is written.
    let next = log.verify(1, 1, 0, true).unwrap();
    log.append_marker(1, 1, 0, true, TV2).unwrap();
    append(&log, &batch(1, 1, 0), next).unwrap();
}

#[tokio::test(start_paused = true)]
async fn coordinators_write_without_numbers() {
    let (streams, log) = new_log().await;
    let record = |key: &str| (Some(Bytes::copy_from_slice(key.as_bytes())), None);
    let plain = log.append_records(&[record("a"), record("b")], None).unwrap();
    assert_eq!((plain.base, plain.slot), (Offset(0), Some(Slot(0))));
    let within = log.append_records(&[record("c")], Some((5, 1))).unwrap();
    log.append_records(&[record("d")], Some((5, 1))).unwrap();
    assert_eq!(within.base, Offset(2));
    assert!(log.ongoing_transaction(5, 1));
    let none = log.append_records(&[], None).unwrap();
    assert_eq!((none.base, none.slot), (Offset(4), None));
    let long = vec![(None, Some(Bytes::from(vec![0; 2 << 20])))];
    assert_eq!(log.append_records(&long, None), Err(AppendError::TooLarge));
    let old = log.append_records(&[record("e")], Some((5, 0)));
    assert_eq!(
        old,
        Err(AppendError::Producer(ProducerError::OldEpoch { producer_id: 5, epoch: 0, current: 1 }))
    );
    let guard = log.verify(6, 0, -1, false).unwrap();
    end(&log, 6, 0, false).unwrap();
    let late = log.append_records_verified(&[record("f")], Some((6, 0)), guard);
    assert_eq!(late, Err(AppendError::Producer(ProducerError::NotVerified)));
    streams.flush_all();
    assert_eq!(stable(&log), 2);
    let reopened = open(&streams.reopened(), 4, None).await;
    assert_eq!(reopened.active_producers(), log.active_producers());
    let runs = log.read(0, 1 << 20, true).await.unwrap().runs;
    assert_eq!(BatchView::first(&runs[0].bytes).map(|view| view.count()), Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_producer_with_an_open_transaction_is_not_forgotten() {
    let streams = Simulated::new();
    streams.open(STREAM, Offset::ZERO);
    let over: Arc<dyn Streams> = Arc::new(streams.clone());
    let config = LogConfig { producer_expiration_ms: 1_000, ..LogConfig::default() };
    let clock = Clock::simulated(NOW);
    let log = PartitionLog::open(over, STREAM, 1, config, clock, None).await.unwrap();
    transactional(&log, 1, 0, 0).unwrap();
    append(&log, &Build::records(1, NOW).producer(2, 0, 0), None).unwrap();
    let guard = log.verify(3, 0, 0, false).unwrap();
    streams.flush_all();
    clock.sleep(std::time::Duration::from_millis(1_001)).await;
    log.expire_producers();
    let known: Vec<_> = log.active_producers().iter().map(|producer| producer.producer_id).collect();
    assert_eq!(known, [1]);
    assert_eq!(refused(append(&log, &batch(3, 0, 0), guard)), ProducerError::NotVerified, "it has expired");
    end(&log, 1, 0, true).unwrap();
    streams.flush_all();
    clock.sleep(std::time::Duration::from_millis(1_001)).await;
    log.expire_producers();
    assert!(log.active_producers().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_start_that_moves_takes_aborted_transactions_with_it() {
    let (streams, log) = new_log().await;
    for producer in [1, 2] {
        transactional(&log, producer, 0, 0).unwrap();
        end(&log, producer, 0, false).unwrap();
    }
    transactional(&log, 3, 0, 0).unwrap();
    append(&log, &Build::records(3, NOW), None).unwrap();
    streams.flush_all();
    streams.set_start(STREAM, Offset(2));
    log.start_moved();
    assert_eq!(log.aborted().iter().map(|one| one.producer_id).collect::<Vec<_>>(), [2]);
    assert_eq!(stable(&log), 4);
    // Even without its records an open transaction holds the rest back, as long as it is known.
    streams.set_start(STREAM, Offset(6));
    log.start_moved();
    assert_eq!((stable(&log), log.aborted().len()), (6, 0));
    let reopened = open(&streams.reopened(), 4, None).await;
    assert_eq!(stable(&reopened), 8);
}

#[tokio::test(start_paused = true)]
async fn what_is_removed_while_it_is_read_is_not_taken_for_committed() {
    let (streams, log) = new_log().await;
    for producer in [1, 2] {
        transactional(&log, producer, 0, 0).unwrap();
        end(&log, producer, 0, false).unwrap();
    }
    streams.flush_all();
    let read = |remove: fn(&Simulated, &PartitionLog)| {
        streams.set_held(true);
        let fetch = log.fetch(0, Isolation::Committed, 1 << 20, true);
        let (streams, log, before) = (streams.clone(), &log, streams.reads());
        async move {
            let removed = async {
                assert_eq!(streams.reads(), before + 1);
                remove(&streams, log);
                streams.set_held(false);
            };
            let (fetched, ()) = tokio::join!(fetch, removed);
            (fetched, streams.reads() - before)
        }
    };
    let (fetched, reads) = read(|_, _| {}).await;
    assert_eq!((fetched.unwrap().aborted.len(), reads), (2, 1));
    // Keyed compaction has left nothing of the first one, and is read.
    let (fetched, reads) = read(|_, log| log.set_aborted(&log.aborted(), &log.aborted()[1..])).await;
    assert_eq!((fetched.unwrap().aborted.len(), reads), (1, 2));
    let (fetched, reads) = read(|streams, log| {
        streams.set_start(STREAM, Offset(4));
        log.start_moved();
    })
    .await;
    assert!(matches!(fetched, Err(FetchError::OutOfRange { start: Offset(4), .. })), "{fetched:?}");
    assert_eq!(reads, 1);
}

#[test]
fn damage_leaves_transactions_open_and_knows_nobody_else() {
    let mut known = Known::default();
    let replay = |known: &mut Known, base: u64, build: &Build| {
        let bytes = build.bytes();
        let note = Note::of(&BatchView::first(&bytes).unwrap(), NOW);
        let info = levee_store::BatchInfo { base: Offset(base), count: 1, bytes: 1, note: &note.encode() };
        known.replay(info).unwrap();
    };
    replay(&mut known, 0, &batch(1, 4, 0));
    replay(&mut known, 1, &Build::records(1, NOW).producer(2, 0, 0));
    known.pass_over(Offset(2)..Offset(5));
    let stable = |known: &Known, end| known.producers.transactions().last_stable(Offset(0), Offset(end)).0;
    assert_eq!((known.producers.len(), stable(&known, 5)), (1, 0));
    // Whether its transaction still goes on is the coordinator's to say, and what number comes next nobody's.
    assert!(!known.producers.has_open_transaction(1, 4));
    let claim = Claim { producer_id: 1, epoch: 4, base_sequence: 7, count: 1, transactional: true };
    assert_eq!(known.producers.check(&claim, Origin::Client(None), None), Err(ProducerError::NotVerified));
    let mut verifications = Verifications::new(1);
    let origin = Origin::Coordinator(Some(verifications.begin(1, 4, 7, false, NOW)));
    assert_eq!(known.producers.check(&claim, origin, verifications.get(1)), Ok(Verdict::New));
    replay(&mut known, 5, &Build::marker(NOW, 1, 4, false));
    assert_eq!(stable(&known, 6), 6);
    let aborted: Vec<_> = known.producers.transactions().iter().collect();
    assert_eq!(aborted, [Aborted { first_offset: 0, last_offset: 5, producer_id: 1 }]);
}

/// What a reader of committed records keeps of a fetch, as Kafka's consumer goes about it.
fn consume(fetched: &Fetched, from: u64, kept: &mut BTreeSet<i64>) -> u64 {
    let mut to_come: Vec<_> = fetched.aborted.iter().map(|one| (one.first_offset, one.producer_id)).collect();
    to_come.sort_unstable_by(|a, b| b.cmp(a));
    let (mut aborted, mut next) = (BTreeSet::new(), from);
    for run in &fetched.runs {
        let mut rest = &run.bytes[..];
        while let Some(batch) = BatchView::first(rest) {
            while let Some((_, id)) = to_come.pop_if(|(first, _)| *first <= batch.last_offset()) {
                aborted.insert(id);
            }
            let id = batch.producer_id();
            if batch.attributes().control() {
                if Marker::read(&batch).is_some_and(|marker| !marker.commit) {
                    aborted.remove(&id);
                }
            } else if !(batch.attributes().transactional() && aborted.contains(&id)) {
                kept.extend(batch.base_offset()..=batch.last_offset());
            }
            rest = &rest[batch.bytes().len()..];
        }
        next = run.end.0;
    }
    next
}

/// One batch as it was appended.
#[derive(Debug, Clone, Copy)]
struct Sent {
    id: i64,
    base: u64,
    count: u64,
    transactional: bool,
    /// Whether it commits, if it is a marker.
    marker: Option<bool>,
}

/// What a scan of the first `durable` offsets finds: the last stable offset, what was aborted, and which offsets are
/// committed below it.
fn scan(sent: &[Sent], durable: u64) -> (u64, Vec<Aborted>, BTreeSet<i64>) {
    let mut open: BTreeMap<i64, Vec<Sent>> = BTreeMap::new();
    let (mut aborted, mut kept) = (Vec::new(), BTreeSet::new());
    let offsets = |one: &Sent| one.base.cast_signed()..(one.base + one.count).cast_signed();
    for one in sent.iter().filter(|one| one.base < durable) {
        match one.marker {
            None if one.transactional => open.entry(one.id).or_default().push(*one),
            None => kept.extend(offsets(one)),
            Some(commit) => {
                let batches = open.remove(&one.id).unwrap_or_default();
                if commit {
                    kept.extend(batches.iter().flat_map(offsets));
                } else if let Some(first) = batches.first() {
                    aborted.push(Aborted {
                        first_offset: first.base.cast_signed(),
                        last_offset: one.base.cast_signed(),
                        producer_id: one.id,
                    });
                }
            }
        }
    }
    let stable = open.values().map(|batches| batches[0].base).min().unwrap_or(durable);
    kept.retain(|offset| *offset < stable.cast_signed());
    (stable, aborted, kept)
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// A batch of so many records, in a transaction or not.
    Batch(i64, u64, bool),
    /// A marker, by either protocol.
    Marker(i64, bool, bool),
    /// So many batches become durable.
    Flush(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => (0_i64..4, 1_u64..4, prop::bool::weighted(0.8)).prop_map(|(id, n, t)| Step::Batch(id, n, t)),
        3 => (0_i64..4, any::<bool>(), any::<bool>()).prop_map(|(id, c, two)| Step::Marker(id, c, two)),
        2 => (1_u64..6).prop_map(Step::Flush),
    ];
    prop::collection::vec(step, 1..80)
}

/// The producers' side: what each sends next.
#[derive(Default)]
struct Producers {
    next: BTreeMap<i64, (i16, i32)>,
}

impl Producers {
    fn step(&mut self, log: &PartitionLog, step: Step) -> Option<Sent> {
        let (id, count, transactional, marker) = match step {
            Step::Batch(id, count, transactional) => (id, count, transactional, None),
            Step::Marker(id, commit, two) => {
                let (epoch, sequence) = self.next.entry(id).or_default();
                if two {
                    (*epoch, *sequence) = (*epoch + 1, 0);
                }
                let version = if two { TV2 } else { 1 };
                let appended = log.append_marker(id, *epoch, 0, commit, version).unwrap();
                let (base, marker) = (appended.base.0, Some(commit));
                return Some(Sent { id, base, count: 1, transactional: true, marker });
            }
            Step::Flush(_) => return None,
        };
        let (epoch, sequence) = self.next.entry(id).or_default();
        // Once a transaction is open all is part of it.
        let transactional = transactional || log.ongoing_transaction(id, *epoch);
        let build = Build::records(usize::try_from(count).unwrap(), NOW).producer(id, *epoch, *sequence);
        let build = if transactional { build.attribute(4) } else { build };
        let guard = match transactional {
            true => log.verify(id, *epoch, *sequence, false).unwrap(),
            false => None,
        };
        let base = append(log, &build, guard).unwrap();
        *sequence += i32::try_from(count).unwrap();
        Some(Sent { id, base, count, transactional, marker })
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    /// After each flush the log says of its transactions what a scan of the durable batches says, and so does the log of
    /// a successor, from the notes alone or from a checkpoint on; and readers of committed records get those and no others.
    #[test]
    fn what_is_durable_decides(steps in steps(), cut in any::<prop::sample::Index>(), max in 1_usize..2_000) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (streams, log) = new_log().await;
            let (mut producers, mut sent) = (Producers::default(), Vec::new());
            let mut checkpoint = None;
            let cut = cut.index(steps.len());
            for (at, step) in steps.into_iter().chain([Step::Flush(u64::from(u32::MAX))]).enumerate() {
                sent.extend(producers.step(&log, step));
                if let Step::Flush(slots) = step {
                    streams.flush(slots);
                    let durable = log.ends().unwrap().durable;
                    let (expected, aborted, kept) = scan(&sent, durable.0);
                    let reopened = open(&streams.reopened(), 4, None).await;
                    let resumed = open(&streams.reopened(), 4, checkpoint.clone()).await;
                    for log in [&log, &reopened, &resumed] {
                        assert_eq!(stable(log), expected);
                        let decided = |one: &Aborted| one.last_offset < durable.0.cast_signed();
                        let mut known = log.aborted();
                        known.retain(decided);
                        assert_eq!(known, aborted);
                        let (mut from, mut got) = (0, BTreeSet::new());
                        loop {
                            let fetched = log
                                .fetch(i64::try_from(from).unwrap(), Isolation::Committed, max, true)
                                .await
                                .unwrap();
                            if fetched.runs.is_empty() {
                                break;
                            }
                            from = consume(&fetched, from, &mut got);
                        }
                        assert_eq!((from, &got), (expected, &kept));
                    }
                    assert_eq!(reopened.known().producers, resumed.known().producers);
                    if checkpoint.is_none() && at >= cut {
                        checkpoint = Some((durable, encode(&reopened.known(), Offset::ZERO).into()));
                    }
                    if durable == log.ends().unwrap().appended {
                        log.state().settle(durable);
                        assert_eq!(reopened.known().producers, log.known().producers);
                    }
                }
            }
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_transaction_of_a_checkpoint_is_not_known_when_what_followed_is_gone() {
    let (streams, log) = new_log().await;
    transactional(&log, 1, 0, 0).unwrap();
    streams.flush_all();
    let checkpoint: Bytes = encode(&log.known(), Offset::ZERO).into();
    end(&log, 1, 0, false).unwrap();
    append(&log, &Build::records(2, NOW), None).unwrap();
    streams.flush_all();
    let checkpoint = |at| Some((Offset(at), checkpoint.clone()));
    let resumed = open(&streams.reopened(), 4, checkpoint(1)).await;
    assert_eq!((stable(&resumed), resumed.aborted().len()), (4, 1));
    let shorter = streams.reopened();
    shorter.set_start(STREAM, Offset(2));
    let resumed = open(&shorter, 4, checkpoint(1)).await;
    assert_eq!((stable(&resumed), resumed.aborted().len(), resumed.producers()), (4, 0, 0));
}

/// What a successor of `streams` opens from a checkpoint, when the partition begins at `start`.
async fn shortened(streams: &Simulated, start: u64, checkpoint: Option<(Offset, Bytes)>) -> PartitionLog {
    let shorter = streams.reopened();
    shorter.set_start(STREAM, Offset(start));
    open(&shorter, 4, checkpoint).await
}

#[tokio::test(start_paused = true)]
async fn a_producer_goes_on_after_its_batches_were_removed_and_its_marker_was_not() {
    let (streams, log) = new_log().await;
    transactional(&log, 1, 0, 0).unwrap();
    streams.flush_all();
    let checkpoint: Bytes = encode(&log.known(), Offset::ZERO).into();
    transactional(&log, 1, 0, 1).unwrap();
    end(&log, 1, 0, true).unwrap();
    streams.flush_all();
    for checkpoint in [None, Some((Offset(1), checkpoint))] {
        let log = shortened(&streams, 2, checkpoint).await;
        assert_eq!(log.active_producers()[0].last_sequence, -1);
        // That is so, too, for who comes after this one.
        let again: Bytes = encode(&log.known(), Offset::ZERO).into();
        for log in [log, shortened(&streams, 2, Some((Offset(3), again))).await] {
            assert_eq!(transactional(&log, 1, 0, 2), Ok(3));
            let gap = ProducerError::OutOfOrder { producer_id: 1, got: 4, expected: 3 };
            assert_eq!(refused(append(&log, &batch(1, 0, 4), None)), gap);
        }
    }
    // A marker that comes later says no more than one that was there before.
    let log = shortened(&streams, 3, None).await;
    end(&log, 1, 0, true).unwrap();
    transactional(&log, 1, 0, 2).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_transaction_goes_on_after_its_first_batch_was_removed() {
    let (streams, log) = new_log().await;
    let checkpoint: Bytes = encode(&log.known(), Offset::ZERO).into();
    let guard = log.verify(1, 5, 0, true).unwrap();
    append(&log, &batch(1, 5, 0), guard).unwrap();
    append(&log, &Build::records(2, NOW), None).unwrap();
    streams.flush_all();
    for checkpoint in [None, Some((Offset(0), checkpoint))] {
        let log = shortened(&streams, 1, checkpoint).await;
        assert_eq!(stable(&log), 3);
        let guard = log.verify(1, 5, 1, true).unwrap();
        assert!(guard.is_some(), "whether the transaction still goes on is the coordinator's to say");
        assert_eq!(append(&log, &batch(1, 5, 1), guard), Ok(3));
        log.append_marker(1, 6, 0, false, TV2).unwrap();
        let aborted = Aborted { first_offset: 3, last_offset: 4, producer_id: 1 };
        assert_eq!(log.aborted(), [aborted]);
        // Its next transaction has been seen from its beginning.
        let guard = log.verify(1, 6, 1, true).unwrap();
        let gap = ProducerError::OutOfOrder { producer_id: 1, got: 1, expected: 0 };
        assert_eq!(refused(append(&log, &batch(1, 6, 1), guard)), gap);
    }
    // Where all has been seen, the first batch of a transaction can't have gone before.
    let guard = log.verify(2, 5, 1, true).unwrap();
    let gap = ProducerError::OutOfOrder { producer_id: 2, got: 1, expected: 0 };
    assert_eq!(refused(append(&log, &batch(2, 5, 1), guard)), gap);
}

#[tokio::test]
async fn offsets_that_come_after_their_transaction_has_ended_are_refused() {
    let (_, log) = new_log().await;
    let records = [(Some(Bytes::from_static(b"key")), Some(Bytes::from_static(b"value")))];
    let guard = log.verify(7, 0, -1, false).unwrap();
    assert!(guard.is_some(), "the coordinator is to be asked");
    log.check_records((7, 0), guard).unwrap();
    log.append_records_verified(&records, Some((7, 0)), guard).unwrap();
    // The second finds it open, and then its marker comes.
    let guard = log.verify(7, 0, -1, false).unwrap();
    assert_eq!(guard, None);
    log.check_records((7, 0), guard).unwrap();
    end(&log, 7, 0, false).unwrap();
    assert_eq!(log.check_records((7, 0), guard), Err(ProducerError::NotVerified.into()));
    // One that asks anew, and whose marker comes in between, has lost its right, too.
    let guard = log.verify(7, 0, -1, false).unwrap();
    end(&log, 7, 0, false).unwrap();
    assert_eq!(log.check_records((7, 0), guard), Err(ProducerError::NotVerified.into()));
}
