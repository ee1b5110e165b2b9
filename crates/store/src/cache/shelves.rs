//! Where spans lie in the file of the disk cache. Pure.
//!
//! The file is two *shelves*. Each is written round and round: what is new takes the place of what is oldest. A span
//! comes to the *new* shelf first, and to the *used* one, which is most of the file, when it comes again: because it was
//! read from the disk since, or when it has left the new shelf not long ago. So what one reader passes through, however
//! much it is, leaves the used shelf alone; this is the admission of S3-FIFO (Yang et al., SOSP 2023). As long as there
//! is room that nobody has had, all goes to the used shelf.

use super::SpanKey;
use levee_base::HashMap;
use levee_base::limits::{DISK_CACHE_LEFT, DISK_CACHE_NEW_PERCENT};
use std::collections::VecDeque;
use std::ops::Range;

/// A place in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    /// The bytes.
    range: Range<u64>,
    /// Their CRC-32C, once they are written.
    crc: Option<u32>,
    /// Read since it was written.
    used: bool,
    of: Which,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    New,
    Used,
}

/// A span, and where it was put.
type Entry = (SpanKey, Range<u64>);

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Shelves {
    new: Shelf,
    used: Shelf,
    places: HashMap<SpanKey, Place>,
    /// What has left the new shelf, the oldest first, with its bytes and when it left: as much as the used
    /// one holds, and so many at most.
    left: VecDeque<(SpanKey, u64, u64)>,
    left_at: HashMap<SpanKey, u64>,
    left_bytes: u64,
    leavings: u64,
    bytes: u64,
}

#[derive(Debug)]
struct Shelf {
    all: Range<u64>,
    /// Where the next one goes.
    next: u64,
    /// Whether the end was reached before.
    full: bool,
    /// The oldest first. What has moved since has another place by now.
    entries: VecDeque<Entry>,
}

impl Shelf {
    fn new(all: Range<u64>) -> Self {
        Self { next: all.start, full: false, all, entries: VecDeque::new() }
    }

    /// A place for so many bytes, and who has lain there.
    fn place(&mut self, key: &SpanKey, bytes: u64) -> Option<(Range<u64>, Vec<Entry>)> {
        if bytes > self.all.end - self.all.start {
            return None;
        }
        let mut gone = Vec::new();
        if self.all.end - self.next < bytes {
            let next = self.next;
            gone.extend(std::iter::from_fn(|| self.entries.pop_front_if(|(_, old)| old.start >= next)));
            (self.next, self.full) = (self.all.start, true);
        }
        let range = self.next..self.next + bytes;
        let covers = |old: &Range<u64>| old.start < range.end && range.start < old.end;
        gone.extend(std::iter::from_fn(|| self.entries.pop_front_if(|(_, old)| covers(old))));
        self.next = range.end;
        self.entries.push_back((key.clone(), range.clone()));
        Some((range, gone))
    }

    /// Whether there is room for so many bytes that nobody has had.
    fn has_room(&self, bytes: u64) -> bool {
        !self.full && self.all.end - self.next >= bytes
    }

    /// Whether less than half of the shelf is written before `range` is.
    fn is_old(&self, range: &Range<u64>) -> bool {
        let size = self.all.end - self.all.start;
        let before = (range.start + size - self.next) % size;
        before < size / 2
    }
}

impl Shelves {
    /// For a file of so many bytes.
    pub(crate) fn new(bytes: u64) -> Self {
        let new = bytes / 100 * DISK_CACHE_NEW_PERCENT;
        Self {
            new: Shelf::new(0..new),
            used: Shelf::new(new..bytes),
            places: HashMap::default(),
            left: VecDeque::new(),
            left_at: HashMap::default(),
            left_bytes: 0,
            leavings: 0,
            bytes: 0,
        }
    }

    /// Bytes of what is there.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether a span is there.
    pub(crate) fn has(&self, key: &SpanKey) -> bool {
        self.places.get(key).is_some_and(|place| place.crc.is_some())
    }

    /// Where a span is, for one who reads it.
    pub(crate) fn find(&mut self, key: &SpanKey) -> Option<(Range<u64>, u32)> {
        let place = self.places.get_mut(key)?;
        let crc = place.crc?;
        place.used = true;
        Some((place.range.clone(), crc))
    }

    /// Whether a span that has left memory would be written.
    pub(crate) fn wants(&self, key: &SpanKey, bytes: u64) -> bool {
        self.shelf_for(key, bytes).is_some()
    }

    fn shelf_for(&self, key: &SpanKey, bytes: u64) -> Option<Which> {
        match self.places.get(key) {
            Some(place) => match place.of {
                Which::New if place.used => Some(Which::Used),
                Which::Used if place.used && self.used.is_old(&place.range) => Some(Which::Used),
                _ => None,
            },
            None if self.left_at.contains_key(key) || self.used.has_room(bytes) => Some(Which::Used),
            None => Some(Which::New),
        }
    }

    /// Where a span of so many bytes that has left memory is to be written, if it is. Until it is [`Shelves::written`]
    /// it is not there.
    pub(crate) fn offer(&mut self, key: &SpanKey, bytes: u64) -> Option<Range<u64>> {
        let of = self.shelf_for(key, bytes)?;
        self.left_at.remove(key);
        let shelf = match of {
            Which::Used => &mut self.used,
            Which::New => &mut self.new,
        };
        let (range, gone) = shelf.place(key, bytes)?;
        for (key, old) in gone {
            self.leave(key, &old);
        }
        self.remove(key);
        self.bytes += bytes;
        self.places.insert(key.clone(), Place { range: range.clone(), crc: None, used: false, of });
        Some(range)
    }

    /// It is written there.
    pub(crate) fn written(&mut self, key: &SpanKey, range: &Range<u64>, crc: u32) {
        if let Some(place) = self.places.get_mut(key).filter(|place| place.range == *range) {
            place.crc = Some(crc);
        }
    }

    /// It is not there any more.
    pub(crate) fn remove(&mut self, key: &SpanKey) {
        if let Some(place) = self.places.remove(key) {
            self.bytes -= place.range.end - place.range.start;
        }
    }

    fn leave(&mut self, key: SpanKey, old: &Range<u64>) {
        let Some(place) = self.places.get(&key).filter(|place| place.range == *old) else { return };
        let remembered = place.of == Which::New;
        self.remove(&key);
        if remembered {
            self.leavings += 1;
            self.left_at.insert(key.clone(), self.leavings);
            self.left.push_back((key, old.end - old.start, self.leavings));
            self.left_bytes += old.end - old.start;
        }
        let most = self.used.all.end - self.used.all.start;
        while (self.left_bytes > most || self.left.len() > DISK_CACHE_LEFT)
            && let Some((key, bytes, at)) = self.left.pop_front()
        {
            self.left_bytes -= bytes;
            if self.left_at.get(&key) == Some(&at) {
                self.left_at.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use levee_object::Key;
    use proptest::prelude::*;

    fn key(number: u64) -> SpanKey {
        (Key::new("data").unwrap().join_number(number), 0)
    }

    fn keep(shelves: &mut Shelves, number: u64) -> bool {
        let range = shelves.offer(&key(number), 10);
        if let Some(range) = &range {
            shelves.written(&key(number), range, number as u32);
        }
        range.is_some()
    }

    #[test]
    fn what_is_passed_once_leaves_what_is_used_alone() {
        let mut shelves = Shelves::new(1_000);
        assert!((1_000..1_090).all(|number| keep(&mut shelves, number)), "there is room");
        for number in 0..5 {
            assert!(keep(&mut shelves, number));
            assert!(!keep(&mut shelves, number), "it is there");
            assert!(shelves.find(&key(number)).is_some());
            assert!(keep(&mut shelves, number), "it was used, and moves");
        }
        for number in 100..10_000 {
            keep(&mut shelves, number);
        }
        assert!((0..5).all(|number| shelves.has(&key(number))));
        assert!(shelves.has(&key(9_999)) && !shelves.has(&key(9_900)));
        assert!(shelves.bytes() <= 1_000);
    }

    #[test]
    fn what_comes_again_soon_after_it_left_is_used() {
        let mut shelves = Shelves::new(1_000);
        assert!((1_000..1_090).all(|number| keep(&mut shelves, number)), "there is room");
        for round in 0..2 {
            for number in 0..60 {
                assert_eq!(keep(&mut shelves, number), round == 0 || number < 50, "ten are there");
            }
        }
        assert!(
            (0..50).all(|number| shelves.has(&key(number))),
            "five times what the new shelf has room for"
        );
    }

    proptest! {
        /// Whatever comes: places don't overlap, and lie in the file.
        #[test]
        fn no_two_share_a_place(steps in prop::collection::vec((0u64..40, 1u64..60, 0u8..4), 1..400)) {
            let mut shelves = Shelves::new(1_000);
            for (number, bytes, what) in steps {
                match what {
                    0 => drop(shelves.find(&key(number))),
                    1 => shelves.remove(&key(number)),
                    _ => {
                        if let Some(range) = shelves.offer(&key(number), bytes) {
                            prop_assert_eq!(range.end - range.start, bytes);
                            shelves.written(&key(number), &range, 0);
                        }
                    }
                }
                let mut places: Vec<_> = shelves.places.values().map(|place| place.range.clone()).collect();
                places.sort_by_key(|range| range.start);
                prop_assert!(places.windows(2).all(|two| two[0].end <= two[1].start));
                prop_assert!(places.last().is_none_or(|last| last.end <= 1_000));
                let bytes: u64 = places.iter().map(|range| range.end - range.start).sum();
                prop_assert_eq!(bytes, shelves.bytes());
                prop_assert!(shelves.left_at.len() <= shelves.left.len());
            }
        }
    }
}
