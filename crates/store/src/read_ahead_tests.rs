//! Tests of read-ahead: what is asked for grows with sequential reading, and its bounds hold.

use super::*;
use levee_base::Clock;
use proptest::prelude::*;

const STREAM: StreamId = StreamId(1);
const BOUNDS: Bounds = Bounds {
    min: 10,
    max: 40,
    all: 100,
    together: 0,
    readers: 8,
    readers_of_stream: 4,
    idle: Duration::from_secs(5),
};

/// One byte an offset; what is held for an offset is the number of the span of 10 that has it.
struct World {
    ahead: ReadAhead<u64>,
    now: Instant,
}

impl World {
    fn new(bounds: Bounds) -> Self {
        Self { ahead: ReadAhead::new(bounds), now: Clock::system().now() }
    }

    /// Loads what is wanted. Returns the spans.
    fn fill(&mut self, id: ReaderId) -> Vec<u64> {
        let mut loaded = Vec::new();
        while let Some(wanted) = self.ahead.wanted(id) {
            let span = wanted.from.0 / 10;
            if self.ahead.takes(id, wanted.from, &[10], self.now) == 0 {
                self.ahead.stop(id);
                break;
            }
            self.ahead.put(id, Offset(span * 10)..Offset(span * 10 + 10), 10, span);
            loaded.push(span);
        }
        loaded
    }

    /// A read of offsets; returns what was loaded ahead for it.
    fn read(&mut self, stream: StreamId, offsets: Range<u64>) -> Vec<u64> {
        let (from, to) = (Offset(offsets.start), Offset(offsets.end));
        let (id, fill) = self.ahead.begin(stream, from, self.now);
        let loaded = if fill { self.fill(id) } else { Vec::new() };
        let last = (to.0 - 1) / 10;
        let within = (Offset(last * 10)..Offset(last * 10 + 10), 10, last);
        let passed = self.ahead.end(id, from..to, (to.0 - from.0) as usize, Some(within));
        assert!(passed.iter().all(|span| span * 10 + 10 <= to.0), "{passed:?}");
        loaded
    }
}

#[test]
fn a_window_opens_on_the_second_read_doubles_as_it_is_used_and_a_jump_starts_anew() {
    let mut world = World::new(BOUNDS);
    assert!(world.read(STREAM, 0..5).is_empty(), "most first reads are the only one");
    assert_eq!(world.read(STREAM, 5..10), [1], "what it is in is not what it is ahead by");
    assert_eq!(world.read(STREAM, 10..20), [2, 3], "it has read as much as the window: twice that");
    assert_eq!(world.read(STREAM, 20..30), [4]);
    assert_eq!(world.read(STREAM, 30..40), [5, 6, 7]);
    for at in 4..20 {
        let held = world.ahead.held();
        assert!(held <= 40 + 10, "the window is bounded, and {held} is more");
        world.read(STREAM, at * 10..at * 10 + 10);
    }
    assert!(world.read(STREAM, 900..905).is_empty(), "it jumped");
    assert_eq!(world.read(STREAM, 905..910).len(), 1, "from the beginning");
}

#[test]
fn a_read_that_is_repeated_or_overlaps_is_the_same_readers_and_changes_nothing() {
    let mut world = World::new(BOUNDS);
    world.read(STREAM, 0..10);
    assert_eq!(world.read(STREAM, 10..15), [1, 2]);
    let (id, fill) = world.ahead.begin(STREAM, Offset(10), world.now);
    assert!(!fill, "it is as far ahead as it was");
    assert_eq!(world.ahead.find(id, Offset(12)), Some(1), "the span that it is in is held");
    assert_eq!(world.ahead.find(id, Offset(30)), None);
    assert!(world.ahead.end(id, Offset(10)..Offset(15), 5, None).is_empty());
    assert_eq!(world.ahead.readers.len(), 1);
}

#[test]
fn readers_share_the_memory_and_silent_ones_give_way() {
    let mut world = World::new(Bounds { all: 50, ..BOUNDS });
    let go_on = |world: &mut World, stream: u64, reads: u64| {
        for at in 0..reads {
            world.read(StreamId(stream), at * 10..at * 10 + 10);
        }
    };
    go_on(&mut world, 1, 10);
    assert_eq!(world.ahead.held(), 40);
    go_on(&mut world, 2, 10);
    assert_eq!(world.ahead.held(), 40, "for the second there is the span that it is in, and no more");
    world.now += BOUNDS.idle;
    go_on(&mut world, 2, 10);
    let (id, _) = world.ahead.begin(StreamId(2), Offset(100), world.now);
    assert!(world.ahead.find(id, Offset(139)).is_some(), "all of its window");
    assert!(!world.ahead.by_stream.contains_key(&StreamId(1)), "the first has been silent for long");
}

#[test]
fn readers_are_remembered_up_to_a_number_of_each_stream_and_of_all() {
    let mut world = World::new(BOUNDS);
    for at in 0..20 {
        world.read(STREAM, at * 100..at * 100 + 5);
    }
    assert_eq!(world.ahead.readers.len(), 4);
    for stream in 2..50 {
        world.read(StreamId(stream), 0..5);
    }
    assert_eq!((world.ahead.readers.len(), world.ahead.by_use.len(), world.ahead.by_stream.len()), (8, 8, 8));
}

proptest! {
    #[test]
    fn what_is_held_is_what_is_counted_and_never_too_much(
        reads in prop::collection::vec((0u64..3, 0u64..30, 1u64..25, 0u64..4, any::<bool>()), 1..200),
    ) {
        let mut world = World::new(BOUNDS);
        let mut places = [0; 3];
        for (stream, jump, length, seconds, jumps) in reads {
            world.now += Duration::from_secs(seconds);
            let place = &mut places[stream as usize];
            if jumps {
                *place = jump * 7;
            }
            let range = *place..*place + length;
            *place += length;
            world.read(StreamId(stream), range);
            let held: usize = world.ahead.readers.values().flat_map(|reader| &reader.held).map(|held| held.bytes).sum();
            prop_assert_eq!(held, world.ahead.held());
            prop_assert!(held <= BOUNDS.all);
            for reader in world.ahead.readers.values() {
                let spans: Vec<_> = reader.held.iter().map(|held| held.what).collect();
                prop_assert!(spans.windows(2).all(|pair| pair[0] < pair[1]), "{spans:?}");
                prop_assert!(reader.window <= BOUNDS.max && reader.ahead() < reader.window.max(1) + 10);
            }
        }
    }
}
