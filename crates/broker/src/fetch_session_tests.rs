//! The life of sessions: made, used, forgotten, out of step, out of room.

use super::*;
use std::time::Duration;

fn key(topic: &str, partition: i32) -> Key {
    (TopicKey::Name(topic.into()), partition)
}

fn wanted(fetch_offset: i64) -> Wanted {
    Wanted { fetch_offset, max_bytes: 1 << 20, leader_epoch: -1, last_fetched_epoch: -1 }
}

fn asked(session_id: i32, epoch: i32) -> Asked {
    Asked { session_id, epoch, by_id: false }
}

const IDLE: Told = Told { high_watermark: 5, log_start_offset: 0, records: false, error: false };
const DATA: Told = Told { records: true, ..IDLE };
const ERROR: Told = Told { high_watermark: -1, log_start_offset: -1, records: false, error: true };

struct Fixture {
    sessions: FetchSessions,
    now: Instant,
}

impl Fixture {
    fn new(limit: usize, partitions: usize) -> Self {
        let sessions = FetchSessions::with_limits(Random::seeded(1), limit, partitions);
        Self { sessions, now: levee_base::Clock::system().now() }
    }

    fn later(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    /// A full request for so many partitions of a topic.
    fn create(&mut self, topic: &str, partitions: i32) -> i32 {
        let wanted: Vec<_> = (0..partitions).map(|at| (key(topic, at), wanted(0))).collect();
        let told = vec![IDLE; wanted.len()];
        let context = self.sessions.begin(self.now, asked(0, INITIAL_EPOCH), wanted, &[]).unwrap();
        self.sessions.finish(self.now, &context, &told).unwrap().0
    }

    fn next(&mut self, id: i32, epoch: i32, told: &[Told]) -> Result<Vec<bool>, SessionError> {
        let context = self.sessions.begin(self.now, asked(id, epoch), Vec::new(), &[])?;
        let (answered, keep) = self.sessions.finish(self.now, &context, told)?;
        assert_eq!(answered, id);
        Ok(keep)
    }
}

#[test]
fn an_empty_request_makes_a_session_that_ends_when_it_stays_empty() {
    let mut f = Fixture::new(10, 100);
    let id = f.create("a", 0);
    assert_ne!(id, NO_SESSION);
    let context = f.sessions.begin(f.now, asked(id, 1), Vec::new(), &[]).unwrap();
    assert_eq!((context.session_id(), f.sessions.len()), (NO_SESSION, 0));
}

#[test]
fn only_what_is_new_is_told() {
    let mut f = Fixture::new(10, 100);
    let id = f.create("a", 2);
    assert_ne!(id, NO_SESSION);
    assert_eq!(f.next(id, 1, &[IDLE, IDLE]), Ok(vec![false, false]));
    let grown = Told { high_watermark: 6, ..IDLE };
    assert_eq!(f.next(id, 2, &[grown, IDLE]), Ok(vec![true, false]));
    // The one that was told about is last now.
    let context = f.sessions.begin(f.now, asked(id, 3), Vec::new(), &[]).unwrap();
    assert_eq!(context.partitions.iter().map(|(key, _)| key.1).collect::<Vec<_>>(), [1, 0]);
    f.sessions.finish(f.now, &context, &[IDLE, grown]).unwrap();
    let trimmed = Told { log_start_offset: 3, ..IDLE };
    assert_eq!(f.next(id, 4, &[trimmed, grown]), Ok(vec![true, false]));
    assert_eq!(f.next(id, 5, &[DATA, Told { records: true, ..grown }]), Ok(vec![true, true]));
}

#[test]
fn an_error_is_told_each_time_and_so_is_what_comes_after_it() {
    let mut f = Fixture::new(10, 100);
    let id = f.create("a", 1);
    assert_eq!(f.next(id, 1, &[ERROR]), Ok(vec![true]));
    assert_eq!(f.next(id, 2, &[ERROR]), Ok(vec![true]));
    assert_eq!(f.next(id, 3, &[IDLE]), Ok(vec![true]));
    assert_eq!(f.next(id, 4, &[IDLE]), Ok(vec![false]));
}

#[test]
fn partitions_are_added_changed_and_forgotten() {
    let mut f = Fixture::new(10, 100);
    let id = f.create("a", 2);
    let changes = vec![(key("a", 1), wanted(9)), (key("b", 0), wanted(3))];
    let context = f.sessions.begin(f.now, asked(id, 1), changes, &[key("a", 0)]).unwrap();
    assert_eq!(context.partitions, [(key("a", 1), wanted(9)), (key("b", 0), wanted(3))]);
    assert_eq!(f.sessions.finish(f.now, &context, &[IDLE, IDLE]), Ok((id, vec![false, true])));
    assert_eq!(f.sessions.partitions(), 2);
    // Without any partition left there is no session any more.
    let all = [key("a", 1), key("b", 0)];
    let context = f.sessions.begin(f.now, asked(id, 2), Vec::new(), &all).unwrap();
    assert_eq!(f.sessions.finish(f.now, &context, &[]), Ok((NO_SESSION, vec![])));
    assert!(f.sessions.is_empty() && f.sessions.partitions() == 0);
    assert_eq!(f.next(id, 3, &[]), Err(SessionError::NotFound));
}

#[test]
fn epochs_find_duplicates() {
    let mut f = Fixture::new(10, 100);
    let id = f.create("a", 1);
    assert_eq!(f.next(id, 2, &[]), Err(SessionError::Epoch));
    let first = f.sessions.begin(f.now, asked(id, 1), Vec::new(), &[]).unwrap();
    // A duplicate that comes while the first is being served is refused; one that follows in order makes the
    // first one's answer void.
    assert_eq!(f.next(id, 1, &[]), Err(SessionError::Epoch));
    f.sessions.begin(f.now, asked(id, 2), Vec::new(), &[]).unwrap();
    assert_eq!(f.sessions.finish(f.now, &first, &[IDLE]), Err(SessionError::Epoch));
    assert_eq!(first.session_id(), id);
    assert_eq!(f.next(0, 1, &[]), Err(SessionError::NotFound));
    assert_eq!(next_epoch(i32::MAX), 1);
}

#[test]
fn a_full_request_ends_the_session_that_it_names() {
    let mut f = Fixture::new(10, 100);
    let id = f.create("a", 1);
    let context =
        f.sessions.begin(f.now, asked(id, FINAL_EPOCH), vec![(key("a", 0), wanted(0))], &[]).unwrap();
    assert_eq!(f.sessions.finish(f.now, &context, &[IDLE]), Ok((NO_SESSION, vec![true])));
    assert_eq!(f.next(id, 1, &[]), Err(SessionError::NotFound));
}

#[test]
fn a_session_keeps_to_names_or_ids() {
    let mut f = Fixture::new(10, 100);
    let id = f.create("a", 1);
    let by_id = Asked { by_id: true, ..asked(id, 1) };
    assert_eq!(f.sessions.begin(f.now, by_id, Vec::new(), &[]), Err(SessionError::TopicIds));
    assert_eq!(f.next(id, 1, &[IDLE]), Ok(vec![false]), "the refused request has changed nothing");
}

#[test]
fn a_full_cache_makes_place_for_what_is_worth_more() {
    let mut f = Fixture::new(2, 100);
    let small = f.create("a", 1);
    f.later(1);
    let large = f.create("b", 5);
    assert_eq!(f.create("c", 9), NO_SESSION, "the others are in use and new");
    f.later(121);
    // Both have been used within two minutes, and have existed for longer.
    f.next(small, 1, &[IDLE]).unwrap();
    f.next(large, 1, &[IDLE; 5]).unwrap();
    assert_eq!(f.create("c", 1), NO_SESSION, "not larger");
    let larger = f.create("c", 2);
    assert_ne!(larger, NO_SESSION);
    assert_eq!(f.next(small, 2, &[]), Err(SessionError::NotFound));
    // One that nobody uses goes first, whatever its size.
    f.later(100);
    f.next(larger, 1, &[IDLE; 2]).unwrap();
    f.later(21);
    assert_ne!(f.create("d", 1), NO_SESSION);
    assert_eq!(f.next(large, 2, &[]), Err(SessionError::NotFound));
    assert_eq!((f.sessions.len(), f.sessions.evictions()), (2, 2));
}

#[test]
fn partitions_of_all_sessions_are_bounded() {
    let mut f = Fixture::new(10, 10);
    let id = f.create("a", 6);
    assert_eq!(f.create("b", 5), NO_SESSION);
    assert_ne!(f.create("b", 4), NO_SESSION);
    let more = vec![(key("c", 0), wanted(0))];
    assert_eq!(f.sessions.begin(f.now, asked(id, 1), more, &[]), Err(SessionError::NotFound));
    assert_eq!((f.sessions.len(), f.sessions.partitions()), (1, 4));
}

#[test]
fn sessions_that_nobody_uses_make_room_for_partitions() {
    let mut f = Fixture::new(10, 10);
    let dead = [f.create("a", 4), f.create("b", 2)];
    f.later(1);
    let live = f.create("c", 4);
    f.later(120);
    assert_eq!(f.create("d", 11), NO_SESSION, "no room would be enough");
    assert_eq!(f.sessions.evictions(), 0);
    // As many go as are needed, those that were used least recently first, and none that is in use.
    let new = f.create("d", 5);
    assert_ne!(new, NO_SESSION);
    assert_eq!((f.sessions.len(), f.sessions.partitions(), f.sessions.evictions()), (2, 9, 2));
    for id in dead {
        assert_eq!(f.next(id, 1, &[]), Err(SessionError::NotFound));
    }
    assert_eq!(f.create("e", 2), NO_SESSION);
    assert_eq!(f.next(live, 1, &[IDLE; 4]), Ok(vec![false; 4]));
    // One that grows is worth more than one that is not used.
    f.later(121);
    f.next(live, 2, &[IDLE; 4]).unwrap();
    let more = vec![(key("f", 0), wanted(0)), (key("f", 1), wanted(0))];
    let context = f.sessions.begin(f.now, asked(live, 3), more, &[]).unwrap();
    assert_eq!((context.partitions.len(), f.sessions.len(), f.sessions.partitions()), (6, 1, 6));
    assert_eq!(f.next(new, 1, &[]), Err(SessionError::NotFound));
}
