//! The latest offset of every key, by the key's hash: bounded in memory, whatever the keys are.
//!
//! Two keys with the same hash would count as one, and the older one's record would be lost. Producers choose the
//! keys, so the hash has to resist whoever looks for such a pair: it is the first 128 bits of SHA-256, for which
//! that takes 2^64 steps, and for accidents among the keys of one pass the odds are below 2^-80. (Kafka takes MD5,
//! for which pairs are easily made.) SHA-256 comes with ring, which the binary holds for TLS, and processors have
//! instructions for it.
//!
//! An open table of 24 bytes an entry, nine tenths of it used at most, as in Kafka's `SkimpyOffsetMap`. It is
//! allocated at once, as zeros, so that the system backs only what is touched.

use levee_base::limits::CLEANER_MAP_KEYS;
use ring::digest::{Context, SHA256};

/// What stands for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyHash([u64; 2]);

impl KeyHash {
    /// The hash of a key that is in memory.
    #[must_use]
    pub fn of(key: &[u8]) -> Self {
        let mut hasher = KeyHasher::new();
        hasher.update(key);
        hasher.finish()
    }
}

/// Hashes a key that comes in pieces.
#[derive(Clone)]
pub struct KeyHasher(Context);

impl KeyHasher {
    /// Of nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    /// The next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The hash of all pieces.
    #[must_use]
    pub fn finish(self) -> KeyHash {
        let digest = self.0.finish();
        let (mut high, mut low) = ([0; 8], [0; 8]);
        high.copy_from_slice(&digest.as_ref()[..8]);
        low.copy_from_slice(&digest.as_ref()[8..16]);
        KeyHash([u64::from_be_bytes(high), u64::from_be_bytes(low)])
    }
}

impl Default for KeyHasher {
    fn default() -> Self {
        Self::new()
    }
}

/// Places tried at strides that the hash gives, before those that follow the first one in a row.
const STRIDES: u64 = 8;

/// The latest offset of every key of a stretch of the log.
#[derive(Debug)]
pub struct OffsetMap {
    /// Hash, and offset plus one; a place with 0 there is free.
    table: Vec<[u64; 3]>,
    keys: usize,
    keys_max: usize,
    end: i64,
}

impl OffsetMap {
    /// Room for `keys` of them, at least one and at most [`CLEANER_MAP_KEYS`]. It covers offsets from `start` on,
    /// and none of them yet.
    #[must_use]
    pub fn new(keys: usize, start: i64) -> Self {
        let keys_max = keys.clamp(1, CLEANER_MAP_KEYS);
        let places = keys_max + keys_max / 9 + 1;
        Self { table: vec![[0; 3]; places], keys: 0, keys_max, end: start }
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys == 0
    }

    /// Whether it takes no key any more.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.keys >= self.keys_max
    }

    /// The first offset that it doesn't cover: of no record from there on it can be said whether it is the latest
    /// of its key.
    #[must_use]
    pub fn end(&self) -> i64 {
        self.end
    }

    /// Says that all offsets before `end` are covered.
    pub fn cover(&mut self, end: i64) {
        self.end = self.end.max(end);
    }

    /// The key's latest offset.
    #[must_use]
    pub fn get(&self, key: KeyHash) -> Option<i64> {
        let [_, _, offset] = self.table[self.place(key)];
        offset.checked_sub(1).and_then(|offset| i64::try_from(offset).ok())
    }

    /// Notes that `key` has a record at `offset`, which is not negative, and covers it. False, and nothing is noted,
    /// when the map is full.
    #[must_use]
    pub fn put(&mut self, key: KeyHash, offset: i64) -> bool {
        if self.is_full() {
            return false;
        }
        let Ok(stored) = u64::try_from(offset) else { return false };
        let place = self.place(key);
        if self.table[place][2] == 0 {
            self.keys += 1;
        }
        self.table[place] = [key.0[0], key.0[1], stored + 1];
        self.cover(offset + 1);
        true
    }

    /// Where the key is, or where it would go. There is always a free place, so this ends.
    fn place(&self, key: KeyHash) -> usize {
        let places = self.table.len() as u64;
        let first = key.0[0] % places;
        for attempt in 0..STRIDES + places {
            let place = if attempt < STRIDES {
                key.0[0].wrapping_add(attempt.wrapping_mul(key.0[1])) % places
            } else {
                (first + 1 + attempt - STRIDES) % places
            } as usize;
            let [high, low, offset] = self.table[place];
            if offset == 0 || [high, low] == key.0 {
                return place;
            }
        }
        unreachable!("a tenth of the table is free")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn it_says_what_an_ordered_map_says(
            room in 1_usize..50, puts in prop::collection::vec((0_u32..60, 0_i64..1_000), 0..200),
        ) {
            let mut map = OffsetMap::new(room, 0);
            let mut model: BTreeMap<u32, i64> = BTreeMap::new();
            for (key, offset) in puts {
                let taken = map.put(KeyHash::of(&key.to_be_bytes()), offset);
                prop_assert_eq!(taken, model.len() < room);
                if taken {
                    model.insert(key, offset);
                }
            }
            prop_assert_eq!(map.len(), model.len());
            prop_assert_eq!(map.is_full(), model.len() == room);
            for key in 0..60_u32 {
                prop_assert_eq!(map.get(KeyHash::of(&key.to_be_bytes())), model.get(&key).copied());
            }
        }
    }

    #[test]
    fn a_key_in_pieces_is_the_same_key() {
        let mut hasher = KeyHasher::new();
        hasher.update(b"a k");
        hasher.update(b"");
        hasher.update(b"ey");
        assert_eq!(hasher.finish(), KeyHash::of(b"a key"));
        assert_ne!(KeyHash::of(b"a key"), KeyHash::of(b"a kez"));
        assert_ne!(KeyHash::of(b""), KeyHash::of(b"\0"));
    }

    #[test]
    fn it_covers_what_it_was_told_and_never_less() {
        let mut map = OffsetMap::new(1, 7);
        assert_eq!(map.end(), 7);
        assert!(map.put(KeyHash::of(b"k"), 9));
        assert_eq!(map.end(), 10);
        assert!(!map.put(KeyHash::of(b"k"), 20), "a full map takes nothing, not even a key that it knows");
        assert_eq!((map.end(), map.get(KeyHash::of(b"k"))), (10, Some(9)));
        map.cover(5);
        assert_eq!(map.end(), 10);
    }
}
