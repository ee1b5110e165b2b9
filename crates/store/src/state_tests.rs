//! The state by itself: stages, limits, eviction, and the paths that tests of the whole store hit by luck only.

use super::*;
use crate::format::{IndexBuilder, ObjectKind};
use crate::registrar::{NewExtent, Registered, Registration, Trim};
use crate::types::ReadError;
use levee_base::limits::PAGE;
use levee_base::{Clock, ClusterId, Epoch, WriterId};
use levee_object::log::Stamp;

const STREAM: StreamId = StreamId(1);

fn options() -> WalOptions {
    WalOptions {
        pace: std::time::Duration::ZERO,
        light_bytes: 2 * PAGE,
        in_flight: 2,
        object_bytes: 8 * PAGE,
        untrimmed_bytes: 64 * PAGE,
        untrimmed_objects: 8,
        compaction_bytes_per_second: 1 << 30,
        upload_after: std::time::Duration::from_secs(60),
        promoted_bytes: 4 * PAGE,
        buffer_bytes: 128 * PAGE,
        hedges: true,
        compaction: crate::compact::PlanOptions::SUITABLE,
    }
    .workable()
}

struct Rig {
    state: State,
    pool: Pool,
    now: Instant,
}

impl Rig {
    fn new(options: WalOptions) -> Self {
        let size = options.one_buffer_bytes();
        let pool = Pool::new(size, options.buffer_bytes / size, Arc::default());
        let prefix = Key::new("wal/1").unwrap().join_number(7);
        let mut state = State::new(options, BrokerEpoch(7), prefix, pool.clone(), Arc::default());
        state.open_stream(STREAM, Stream::new(0, Registered::default()));
        Self { state, pool, now: Clock::system().now() }
    }

    fn append(&mut self, bytes: usize) -> Result<Slot, AppendError> {
        let base = self.state.ends(STREAM).unwrap().appended;
        let bytes = vec![base.0 as u8; bytes];
        self.state.append(STREAM, base, &[NewBatch { bytes: &bytes, count: 1, note: b"" }])
    }

    /// Seals the oldest object that waits.
    fn seal(&mut self) -> Slot {
        let cut = self.state.send().expect("something waits");
        let slot = Slot(cut.number());
        let (cluster, writer) = (ClusterId::default(), WriterId::default());
        let sealed = cut.seal(ObjectKind::Wal, &Stamp { cluster, epoch: Epoch(7), slot, writer });
        assert_eq!(sealed.index_range.end, sealed.bytes.len() as u64);
        self.state.sealed(sealed, self.now);
        slot
    }

    fn flush(&mut self) -> Vec<StreamId> {
        let slot = self.seal();
        self.state.durable(slot.next(), self.now)
    }

    /// What is to be trimmed next, all of it promoted as where there is no room for copies.
    fn next_trim(&mut self) -> Option<Trim> {
        let NextTrim::Now(Window { to, mut gathered }) = self.state.next_trim(self.now) else { return None };
        gathered.promote_all();
        Some(Trim { epoch: BrokerEpoch(7), to, objects: gathered.objects, uploads: Vec::new() })
    }

    /// Offsets that a read from `from` gets out of memory; `None` if it has to go to the store.
    fn read(&self, from: u64) -> Option<Range<u64>> {
        match self.state.read(STREAM, Offset(from), usize::MAX, true).unwrap() {
            Found::Tail(runs) => {
                Some(runs.first().map_or(0..0, |first| first.base.0..runs.last().unwrap().end.0))
            }
            Found::Cold(_) => None,
        }
    }
}

#[test]
fn nothing_is_visible_before_it_is_durable() {
    let mut rig = Rig::new(options());
    assert_eq!(rig.append(10), Ok(Slot(0)));
    assert_eq!(rig.read(0), Some(0..0));
    rig.seal();
    assert_eq!(rig.read(0), Some(0..0));
    assert!(matches!(
        rig.state.read(STREAM, Offset(1), 1, true),
        Err(ReadError::OutOfRange { from: Offset(1), .. })
    ));
    assert_eq!(rig.state.durable(Slot(1), rig.now), [STREAM]);
    assert_eq!(rig.read(0), Some(0..1));
    assert_eq!(rig.append(10), Ok(Slot(1)), "what comes later is in the next object");
    rig.seal();
    rig.state.stop(Stopped::Shutdown);
    assert_eq!(rig.read(0), Some(0..1), "what was pending is never shown");
    assert_eq!(rig.append(10), Err(AppendError::Stopped));
    assert!(rig.state.has_room(), "nobody waits for a store that has stopped");
}

#[test]
fn an_append_that_does_not_fit_begins_the_next_object_and_a_full_one_waits_for_no_pace() {
    let mut rig = Rig::new(options());
    assert_eq!(rig.append(5 * PAGE), Ok(Slot(0)));
    assert_eq!(rig.state.waiting(), Waiting::Open);
    assert_eq!(rig.append(11 * PAGE), Ok(Slot(1)), "one buffer has no room for both");
    assert_eq!(rig.state.waiting(), Waiting::Full);
    rig.flush();
    rig.flush();
    assert_eq!(rig.state.waiting(), Waiting::Nothing, "the second was full by itself");
    assert_eq!(rig.read(0), Some(0..2));
    assert_eq!(rig.append(options().buffer_bytes), Err(AppendError::TooLarge));
    assert_eq!(rig.state.ends(STREAM).unwrap().appended, Offset(2));
    assert_eq!(rig.append(17 * PAGE), Ok(Slot(2)), "what is longer than a buffer has memory of its own");
    rig.flush();
    assert_eq!(rig.read(2), Some(2..3));
}

#[test]
fn an_object_is_light_until_it_has_more_than_is_light() {
    let mut rig = Rig::new(options());
    assert_eq!(rig.append(10), Ok(Slot(0)));
    assert_eq!(rig.state.waiting(), Waiting::Light);
    assert_eq!(rig.append(2 * PAGE), Ok(Slot(0)));
    assert_eq!(rig.state.waiting(), Waiting::Open);
    for slot in 1..4 {
        rig.flush();
        assert_eq!(rig.append(10), Ok(Slot(slot)));
        assert_eq!(rig.state.waiting(), Waiting::Light);
    }
    rig.flush();
    assert_eq!(rig.append(10), Ok(Slot(4)));
    assert_eq!(rig.state.waiting(), Waiting::Open, "four of eight wait to be trimmed");
}

#[test]
fn small_objects_share_a_buffer() {
    let mut rig = Rig::new(WalOptions { untrimmed_objects: 100, ..options() });
    for _ in 0..8 {
        rig.append(100).unwrap();
        rig.flush();
    }
    assert_eq!(rig.pool.held(), 1, "eight objects of less than two pages in sixteen pages");
    rig.append(100).unwrap();
    assert_eq!(rig.pool.held(), 2);
}

#[test]
fn trimming_starts_at_half_of_the_objects_and_goes_down_to_a_quarter() {
    let mut rig = Rig::new(options());
    for n in 0..4 {
        assert_eq!(rig.next_trim(), None, "after {n}");
        rig.append(100).unwrap();
        rig.seal();
    }
    assert_eq!(rig.next_trim(), None, "nothing is durable");
    rig.state.durable(Slot(4), rig.now);
    let trim = rig.next_trim().expect("half is reached");
    assert_eq!((trim.to, trim.objects.len()), (Slot(3), 3), "down to below a quarter of eight");
    let extent = NewExtent { stream: STREAM, leader_epoch: 0, range: Offset(2)..Offset(3), bytes: 100 };
    assert_eq!(trim.objects[2].extents, [extent]);
    rig.state.trimmed(trim);
    assert_eq!(rig.next_trim(), None);
    assert_eq!(rig.read(0), Some(0..4), "trimmed objects stay in memory");
}

#[test]
fn at_the_limit_appends_are_refused_until_something_is_trimmed() {
    let mut rig = Rig::new(options());
    for _ in 0..8 {
        rig.append(100).unwrap();
        rig.flush();
    }
    assert!(!rig.state.has_room());
    assert_eq!(rig.append(100), Err(AppendError::Full));
    let trim = rig.next_trim().unwrap();
    rig.state.trimmed(trim);
    assert!(rig.state.has_room());
    rig.append(100).unwrap();
}

#[test]
fn without_a_buffer_trimmed_objects_go_oldest_first_and_untrimmed_ones_never() {
    let options =
        WalOptions { buffer_bytes: 0, untrimmed_objects: 100, untrimmed_bytes: 1 << 30, ..options() };
    let mut rig = Rig::new(options.workable());
    for _ in 0..4 {
        rig.append(14 * PAGE).unwrap();
        rig.flush();
    }
    assert_eq!(rig.append(14 * PAGE), Err(AppendError::Full), "four buffers, all of them un-trimmed");
    assert!(!rig.state.has_room());
    let trim = rig.next_trim().expect("starving starts trimming too");
    assert_eq!(trim.to, Slot(4));
    rig.state.trimmed(trim);
    assert!(rig.state.has_room());
    // A reader that holds on to the oldest object keeps its buffer.
    let Found::Tail(held) = rig.state.read(STREAM, Offset(0), 1, true).unwrap() else { panic!("in memory") };
    assert_eq!(rig.append(14 * PAGE), Ok(Slot(4)));
    assert_eq!(rig.read(1), None, "two objects had to go for one buffer");
    assert_eq!(rig.read(2), Some(2..4));
    assert_eq!((held[0].bytes.len(), held[0].bytes[0]), (14 * PAGE, 0), "and is as it was");
    let Found::Cold(cold) = rig.state.read(STREAM, Offset(0), 1, true).unwrap() else { panic!("evicted") };
    let extents = cold.extents;
    assert_eq!(extents[0].object.key.as_str(), "wal/1/00000000000000000007/00000000000000000000");
    assert_eq!(extents.len(), 1);
}

#[test]
fn a_registration_joins_blocks_that_go_on_and_no_others() {
    let mut builder = IndexBuilder::default();
    let mut position = 4096;
    for (stream, leader_epoch, base, bytes) in
        [(1, 0, 0, 10), (2, 0, 5, 10), (1, 0, 1, 20), (1, 1, 2, 30), (2, 0, 6, 40), (2, 0, 9, 50)]
    {
        builder.begin_block(StreamId(stream), leader_epoch, Offset(base), position);
        builder.add_batch(crate::format::BatchEntry { count: 1, bytes, note: b"" }, 0);
        position += u64::from(bytes);
    }
    let mut encoded = Vec::new();
    builder.encode(Epoch(7), 0, |bytes| encoded.extend_from_slice(bytes));
    let index = Index::decode(&encoded.into(), position).unwrap();
    let registration = Registration::of(Slot(0), 1, 0..1, &index);
    let expected = [
        (1, 0, Offset(0)..Offset(2), 30),
        (2, 0, Offset(5)..Offset(7), 50),
        (1, 1, Offset(2)..Offset(3), 30),
        (2, 0, Offset(9)..Offset(10), 50),
    ];
    let found = registration.extents.into_iter().map(|e| (e.stream.0, e.leader_epoch, e.range, e.bytes));
    assert!(found.eq(expected));
}

#[test]
fn what_is_old_is_trimmed_all_of_it_however_little_there_is() {
    let mut rig = Rig::new(options());
    rig.append(100).unwrap();
    rig.flush();
    let NextTrim::At(Some(due)) = rig.state.next_trim(rig.now) else { panic!("something will be old") };
    rig.now = due;
    rig.append(100).unwrap();
    rig.flush();
    let NextTrim::Now(Window { to, gathered }) = rig.state.next_trim(due) else { panic!("it is old") };
    assert_eq!((to, gathered.parts.len(), gathered.copied_bytes), (Slot(2), 2, 200));
    let trim = rig.next_trim().expect("it has not been done yet");
    rig.state.trimmed(trim);
    assert!(matches!(rig.state.next_trim(due), NextTrim::At(None)), "there is nothing left");
}

#[test]
fn a_stream_whose_start_moves_past_what_is_registered_goes_on_from_there() {
    let mut rig = Rig::new(options());
    for _ in 0..4 {
        rig.append(100).unwrap();
        rig.flush();
    }
    let trim = rig.next_trim().unwrap();
    rig.state.advance_start(STREAM, Offset(4));
    rig.state.advance_start(STREAM, Offset(1));
    rig.state.advance_start(STREAM, Offset(5));
    assert_eq!(rig.state.ends(STREAM).unwrap().start, Offset(4), "not back, and not beyond what is durable");
    rig.state.trimmed(trim);
    for _ in 0..3 {
        rig.append(100).unwrap();
        rig.flush();
    }
    let trim = rig.next_trim().unwrap();
    rig.state.trimmed(trim);
    let stream = &rig.state.streams[&STREAM];
    assert_eq!(
        stream.extents.iter().map(|e| e.range.clone()).collect::<Vec<_>>(),
        [Offset(4)..Offset(5), Offset(5)..Offset(6)]
    );
    assert!(rig.state.read(STREAM, Offset(3), 1, true).is_err());
    assert_eq!(rig.read(4), Some(4..7));
}

#[test]
fn a_stream_that_was_closed_gets_nothing_of_what_was_pending() {
    let mut rig = Rig::new(options());
    rig.append(100).unwrap();
    rig.state.close_stream(STREAM);
    rig.state.open_stream(STREAM, Stream::new(1, Registered::default()));
    assert!(rig.flush().is_empty());
    assert_eq!(rig.state.ends(STREAM).unwrap().durable, Offset(0));
}

#[test]
fn reads_begin_with_the_batch_that_holds_the_offset_and_end_with_whole_ones() {
    let mut rig = Rig::new(options());
    let batch = |byte: u8| vec![byte; 100];
    let (a, b, c) = (batch(1), batch(2), batch(3));
    let batches = [&a, &b, &c].map(|bytes| NewBatch { bytes, count: 10, note: b"" });
    rig.state.append(STREAM, Offset(0), &batches).unwrap();
    rig.flush();
    let read =
        |from, max, at_least_one| match rig.state.read(STREAM, Offset(from), max, at_least_one).unwrap() {
            Found::Tail(runs) => {
                runs.into_iter().map(|run| (run.base.0, run.end.0, run.bytes.len())).collect::<Vec<_>>()
            }
            Found::Cold(_) => panic!("in memory"),
        };
    assert_eq!(read(0, 1_000, false), [(0, 30, 300)]);
    assert_eq!(read(15, 1_000, false), [(10, 30, 200)]);
    assert_eq!(read(19, 199, false), [(10, 20, 100)]);
    assert_eq!(read(20, 99, false), []);
    assert_eq!(read(20, 99, true), [(20, 30, 100)]);
    assert_eq!(read(0, 99, true), [(0, 10, 100)]);
    assert_eq!(read(30, 99, true), []);
}
