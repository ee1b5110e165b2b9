//! The guard and the kafka-protocol crate agree on every request of every version, and what the guard lets
//! through takes no more memory than it summed: measured by an allocator that counts, on well-formed bodies and
//! on broken ones.

// Helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestKind};
use levee_base::Random;
use levee_broker::wire::guard::shape::{Field, Kind, Message, Shape};
use levee_broker::wire::guard::{MESSAGES, decode, walk};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// What decoding takes beside what is summed: the reference count of the frame.
const SLACK: usize = 256;
/// What an error takes: its context, and a backtrace where the environment asks for one.
const ERROR_SLACK: usize = 16 * 1024;

struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    // While a thread ends, its counters are gone, and nobody asks for them.
    let _ = HELD.try_with(|held| {
        held.set(held.get() + bytes);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(held.get())));
    });
}

// SAFETY: every call is passed on to the system's allocator unchanged; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps `alloc`'s contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller keeps `dealloc`'s contract, which is the same.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs `work` and says how many bytes were held by it at its peak.
fn peak<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get();
    PEAK.set(before);
    let result = work();
    (result, usize::try_from(PEAK.get() - before).expect("the peak is at or above where it began"))
}

/// Writes random well-formed bodies.
struct Author<'a> {
    random: &'a Random,
    version: i16,
    flexible: bool,
    out: Vec<u8>,
}

impl Author<'_> {
    fn body(random: &Random, message: &Message, version: i16) -> Vec<u8> {
        let flexible = message.flexible.contain(version);
        let mut author = Author { random, version, flexible, out: Vec::new() };
        author.shape(message.body);
        author.out
    }

    fn varint(&mut self, mut value: usize) {
        while value >= 0x80 {
            self.out.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }

    fn shape(&mut self, shape: &Shape) {
        let here = |field: &&Field| field.versions.contain(self.version);
        let (plain, tagged): (Vec<_>, Vec<_>) =
            shape.0.iter().filter(here).partition(|field| field.tag.is_none());
        for field in plain {
            self.field(field);
        }
        if !self.flexible {
            return;
        }
        let known: Vec<_> = tagged.into_iter().filter(|_| self.random.chance(0.5)).collect();
        let unknown = if self.random.chance(0.3) { self.random.below(40) } else { 0 };
        self.varint(known.len() + unknown as usize);
        for field in known {
            let outer = std::mem::take(&mut self.out);
            self.field(field);
            let value = std::mem::replace(&mut self.out, outer);
            self.varint(field.tag.expect("only tagged fields come here") as usize);
            self.varint(value.len());
            self.out.extend(value);
        }
        for _ in 0..unknown {
            let (tag, size) = (100 + self.random.below(1_000), self.random.below(4));
            self.varint(tag as usize);
            self.varint(size as usize);
            self.out.extend(vec![7; size as usize]);
        }
    }

    fn field(&mut self, field: &Field) {
        let nullable = field.nullable.contain(self.version);
        let null = nullable && self.random.chance(0.3);
        match &field.kind {
            Kind::Struct(_) if null => self.out.push(0xff),
            Kind::Struct(shape) if nullable => {
                self.out.push(1);
                self.shape(shape);
            }
            kind => self.value(kind, null),
        }
    }

    fn length(&mut self, length: Option<usize>, short: bool) {
        match (self.flexible, short) {
            (true, _) => self.varint(length.map_or(0, |length| length + 1)),
            (false, true) => self.out.extend(length.map_or(-1, |length| length as i16).to_be_bytes()),
            (false, false) => self.out.extend(length.map_or(-1, |length| length as i32).to_be_bytes()),
        }
    }

    fn value(&mut self, kind: &Kind, null: bool) {
        let fixed = match kind {
            Kind::B1 => 1,
            Kind::B2 => 2,
            Kind::B4 => 4,
            Kind::B8 => 8,
            Kind::B16 => 16,
            Kind::Struct(shape) => return self.shape(shape),
            Kind::Text | Kind::Blob => {
                let length = (!null).then(|| self.random.below(200) as usize);
                self.length(length, matches!(kind, Kind::Text));
                self.out.extend(vec![b'x'; length.unwrap_or(0)]);
                return;
            }
            Kind::Array(element, _) => {
                let count = (!null).then(|| self.random.below(4) as usize);
                self.length(count, false);
                for _ in 0..count.unwrap_or(0) {
                    self.value(element, false);
                }
                return;
            }
        };
        for _ in 0..fixed {
            // 0 or 1, so that a boolean comes back as it was.
            self.out.push(self.random.below(2) as u8);
        }
    }
}

/// Versions that the crate's table of APIs claims, and its messages refuse.
const NOT_IN_THE_CRATE: [(ApiKey, i16); 3] =
    [(ApiKey::OffsetCommit, 10), (ApiKey::OffsetFetch, 10), (ApiKey::InitProducerId, 6)];

/// Every API and version that the guard and the crate know both.
fn known() -> impl Iterator<Item = (&'static Message, ApiKey, i16)> {
    MESSAGES.iter().filter_map(|message| Some((message, ApiKey::try_from(message.key).ok()?))).flat_map(
        |(message, api)| {
            let theirs = api.valid_versions();
            let versions = message.versions.0.max(theirs.min)..=message.versions.1.min(theirs.max);
            versions
                .map(move |version| (message, api, version))
                .filter(|row| !NOT_IN_THE_CRATE.contains(&(row.1, row.2)))
        },
    )
}

fn decode_within(api: ApiKey, version: i16, body: &[u8], memory: usize) -> Option<RequestKind> {
    let body = Bytes::copy_from_slice(body);
    let (decoded, taken) = peak(|| decode(api, version, body));
    let slack = if decoded.is_ok() { SLACK } else { ERROR_SLACK };
    assert!(taken <= memory + slack, "{api:?} {version} took {taken} bytes, summed were {memory}");
    decoded.ok()
}

#[test]
fn the_guard_and_the_crate_agree_on_well_formed_requests() {
    let mut covered = 0;
    for (message, api, version) in known() {
        covered += 1;
        let random =
            Random::seeded(u64::from(message.key.unsigned_abs()) << 16 | u64::from(version.unsigned_abs()));
        for round in 0..60 {
            let case = format!("{} version {version}, round {round}", message.name);
            let body = Author::body(&random, message, version);
            let walked = walk(message.key, version, &body).unwrap_or_else(|error| panic!("{case}: {error}"));
            assert_eq!(walked.bytes, body.len(), "{case}");
            let mut left = Bytes::from(body.clone());
            let request = RequestKind::decode(api, &mut left, version)
                .unwrap_or_else(|error| panic!("the crate on {case}: {error:#}"));
            assert!(left.is_empty(), "{case}: the crate leaves {} bytes", left.len());
            assert_eq!(decode_within(api, version, &body, walked.memory).as_ref(), Some(&request), "{case}");

            let mut encoded = BytesMut::new();
            if request.encode(&mut encoded, version).is_ok() {
                let again =
                    walk(message.key, version, &encoded).unwrap_or_else(|error| panic!("{case}: {error}"));
                assert_eq!(again.bytes, encoded.len(), "{case}");
            }
            for cut in [0, body.len() / 2, body.len().saturating_sub(1)] {
                if cut < body.len() {
                    assert!(walk(message.key, version, &body[..cut]).is_err(), "{case}, cut at {cut}");
                }
            }
        }
    }
    assert!(covered > 200, "only {covered} pairs of API and version were tried");
}

#[test]
fn what_the_guard_lets_through_never_takes_more_memory_than_summed() {
    let (mut accepted, mut refused) = (0, 0);
    for (message, api, version) in known() {
        let random =
            Random::seeded(0xbad << 32 | u64::from(message.key.unsigned_abs()) << 16 | version as u64);
        for _ in 0..150 {
            let mut body = Author::body(&random, message, version);
            for _ in 0..=random.below(3) {
                if body.is_empty() {
                    break;
                }
                let at = random.below(body.len() as u64) as usize;
                match random.below(4) {
                    0 => body[at] = random.next_u64() as u8,
                    1 => body.truncate(at),
                    2 => body[at] = [0xff, 0x7f, 0x80, 0xfe][random.below(4) as usize],
                    _ => body.extend((0..random.below(20)).map(|_| random.next_u64() as u8)),
                }
            }
            match walk(message.key, version, &body) {
                Ok(walked) => {
                    accepted += 1;
                    decode_within(api, version, &body, walked.memory);
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(accepted > 5_000 && refused > 5_000, "{accepted} accepted, {refused} refused");
}

#[test]
fn the_bound_is_tight_enough_to_serve_large_honest_requests() {
    // 100,000 partitions in one Fetch: 24 bytes each on the wire in version 4, less than 200 in memory.
    let mut body = vec![0; 4 + 4 + 4 + 4 + 1];
    body.extend(1_i32.to_be_bytes());
    body.extend([0, 1, b't']);
    body.extend(100_000_i32.to_be_bytes());
    body.extend(vec![0; 100_000 * 16]);
    let walked = walk(1, 4, &body).unwrap();
    assert_eq!(walked.bytes, body.len());
    assert!(decode_within(ApiKey::Fetch, 4, &body, walked.memory).is_some());
}
