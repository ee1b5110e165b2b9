//! The rules one by one, and random histories against a model that remembers everything.

use super::*;
use crate::partition::verifications::Verifications;
use proptest::prelude::*;

const ALL: Offset = Offset(u64::MAX);

fn claim(producer_id: i64, epoch: i16, base_sequence: i32, count: u32) -> Claim {
    Claim { producer_id, epoch, base_sequence, count, transactional: false }
}

fn place(base: u64, appended_ms: i64, durable: Offset) -> Place {
    Place { base: Offset(base), max_timestamp: 7, appended_ms, durable }
}

fn check(producers: &Producers, claim: &Claim) -> Result<Verdict, ProducerError> {
    producers.check(claim, Origin::Client(None), None)
}

fn with(claims: &[Claim]) -> Producers {
    let mut producers = Producers::new(100, 100);
    let mut base = 0;
    for claim in claims {
        assert_eq!(check(&producers, claim), Ok(Verdict::New));
        producers.record(claim, &place(base, 0, ALL));
        base += u64::from(claim.count);
    }
    producers
}

#[test]
fn a_repeated_batch_gets_the_first_ones_offset_and_only_the_last_five_are_known() {
    let sent: Vec<_> = (0..6).map(|n| claim(1, 0, n * 10, 10)).collect();
    let producers = with(&sent);
    for (at, claim) in sent.iter().enumerate().skip(1) {
        let Ok(Verdict::Duplicate(first)) = check(&producers, claim) else { panic!("batch {at}") };
        assert_eq!((first.base, first.count), (Offset(at as u64 * 10), 10));
    }
    let forgotten = ProducerError::OutOfOrder { producer_id: 1, got: 0, expected: 60 };
    assert_eq!(check(&producers, &sent[0]), Err(forgotten));
    // The same beginning with another end is not the same batch.
    assert!(check(&producers, &claim(1, 0, 50, 9)).is_err());
}

#[test]
fn sequence_numbers_go_on_with_zero_after_the_largest() {
    let producers = with(&[claim(1, 0, i32::MAX - 1, 2)]);
    assert_eq!(check(&producers, &claim(1, 0, 0, 1)), Ok(Verdict::New));
    let across = claim(1, 0, i32::MAX - 1, 4);
    assert_eq!(across.last_sequence(), 1);
    let producers = with(&[across]);
    assert_eq!(check(&producers, &claim(1, 0, 2, 1)), Ok(Verdict::New));
    assert!(matches!(check(&producers, &across), Ok(Verdict::Duplicate(_))));
    assert_eq!(claim(1, 0, i32::MAX, 1).last_sequence(), i32::MAX);
}

#[test]
fn epochs_only_grow_and_begin_at_zero() {
    let producers = with(&[claim(1, 3, 0, 5)]);
    let old = ProducerError::OldEpoch { producer_id: 1, epoch: 2, current: 3 };
    assert_eq!(check(&producers, &claim(1, 2, 5, 1)), Err(old));
    let gap = ProducerError::OutOfOrder { producer_id: 1, got: 5, expected: 0 };
    assert_eq!(check(&producers, &claim(1, 4, 5, 1)), Err(gap));
    assert_eq!(check(&producers, &claim(1, 4, 0, 1)), Ok(Verdict::New));
    // After the new epoch, the old one's batches are no duplicates any more.
    let producers = with(&[claim(1, 3, 0, 5), claim(1, 4, 0, 1)]);
    assert!(matches!(check(&producers, &claim(1, 3, 0, 5)), Err(ProducerError::OldEpoch { .. })));
}

#[test]
fn an_unknown_producer_may_begin_anywhere() {
    assert_eq!(check(&with(&[]), &claim(9, 4, 1_234, 1)), Ok(Verdict::New));
}

#[test]
fn what_was_removed_before_it_was_seen_may_have_been_of_any_producer() {
    let mut producers = Producers::new(100, 100);
    let asks = |producers: &Producers, claim: &Claim| {
        let mut verifications = Verifications::new(1);
        let (id, epoch, sequence) = (claim.producer_id, claim.epoch, claim.base_sequence);
        let guard = verifications.begin(id, epoch, sequence, true, 0);
        let claim = Claim { transactional: true, ..*claim };
        producers.check(&claim, Origin::Client(Some(guard)), verifications.get(id))
    };
    let ends = |producers: &mut Producers, producer_id, epoch, at| {
        producers.end(&End { producer_id, epoch, marker: None }, &place(at, 50, ALL));
    };
    let gap = |producer_id, got| Err(ProducerError::OutOfOrder { producer_id, got, expected: 0 });
    // Where all has been seen, a marker says that the epoch has just begun.
    ends(&mut producers, 1, 3, 0);
    assert_eq!(check(&producers, &claim(1, 3, 4, 1)), gap(1, 4));
    assert_eq!(asks(&producers, &claim(2, 0, 4, 1)), gap(2, 4));

    producers.lose_track();
    assert_eq!(asks(&producers, &claim(2, 0, 4, 1)), Ok(Verdict::New));
    ends(&mut producers, 1, 3, 1);
    for verdict in [check(&producers, &claim(1, 3, 4, 1)), asks(&producers, &claim(1, 3, 4, 1))] {
        assert_eq!(verdict, Ok(Verdict::New));
    }
    assert_eq!(
        check(&producers, &claim(1, 4, 4, 1)),
        gap(1, 4),
        "all of a newer epoch comes after its marker"
    );
    producers.record(&claim(1, 3, 4, 1), &place(2, 60, ALL));
    let expected = ProducerError::OutOfOrder { producer_id: 1, got: 4 + 2, expected: 5 };
    assert_eq!(check(&producers, &claim(1, 3, 6, 1)), Err(expected));
    ends(&mut producers, 1, 4, 3);
    assert_eq!(check(&producers, &claim(1, 4, 4, 1)), gap(1, 4));

    // Who wrote before that would have expired by now.
    producers.lost_before(&place(4, 50, ALL));
    producers.expire(51, ALL);
    assert_eq!(asks(&producers, &claim(2, 0, 4, 1)), gap(2, 4));
}

#[test]
fn silent_producers_expire_unless_they_have_something_pending() {
    let mut producers = Producers::new(100, 100);
    for id in 0..4 {
        producers.record(&claim(id, 0, 0, 1), &place(id.unsigned_abs(), id * 100, ALL));
    }
    producers.expire(250, Offset(1));
    assert_eq!(producers.len(), 3, "those at or above the durable end stay");
    producers.expire(250, ALL);
    assert_eq!(producers.len(), 1);
    assert!(matches!(check(&producers, &claim(3, 0, 0, 1)), Ok(Verdict::Duplicate(_))));
}

#[test]
fn beyond_the_limit_those_silent_for_longest_go() {
    let mut producers = Producers::new(2, 100);
    producers.record(&claim(1, 0, 0, 1), &place(0, 0, Offset(0)));
    producers.record(&claim(2, 0, 0, 1), &place(1, 0, Offset(0)));
    producers.record(&claim(3, 0, 0, 1), &place(2, 0, Offset(0)));
    assert_eq!(producers.len(), 3, "all of them are pending");
    producers.record(&claim(1, 0, 1, 1), &place(3, 0, Offset(3)));
    assert_eq!(producers.len(), 2);
    let known = |id| matches!(check(&producers, &claim(id, 0, 0, 1)), Ok(Verdict::Duplicate(_)));
    assert!(known(1) && !known(2) && known(3));
}

/// Every batch that a producer ever appended in its epoch, kept in the plainest way.
#[derive(Default)]
struct Model(Vec<(Claim, Offset)>);

impl Model {
    fn check(&self, claim: &Claim) -> Result<Option<Offset>, &'static str> {
        let all: Vec<_> = self.0.iter().filter(|(one, _)| one.producer_id == claim.producer_id).collect();
        let Some((last, _)) = all.last() else { return Ok(None) };
        if claim.epoch < last.epoch {
            return Err("epoch");
        }
        let same_epoch: Vec<_> = all.iter().filter(|(one, _)| one.epoch == claim.epoch).collect();
        if let Some((_, base)) = same_epoch.iter().rev().take(5).find(|(one, _)| one == claim) {
            return Ok(Some(*base));
        }
        let next = match same_epoch.last() {
            // One number after another: slow, and plainly right.
            Some((last, _)) => (0..last.count).fold(last.base_sequence, |n, _| n.checked_add(1).unwrap_or(0)),
            None => 0,
        };
        if claim.base_sequence == next { Ok(None) } else { Err("order") }
    }
}

proptest! {
    #[test]
    fn agrees_with_the_model(
        start in prop::sample::select(vec![0, 7, i32::MAX - 20]),
        steps in prop::collection::vec((0_i64..3, 0_i16..3, 0_u32..12, 1_u32..6, any::<bool>()), 1..120),
    ) {
        let mut producers = Producers::new(100, 100);
        let mut model = Model::default();
        let mut next = std::collections::BTreeMap::new();
        let mut end = 0_u64;
        for (id, epoch, back, count, honest) in steps {
            // An honest step continues; the others repeat, jump, or come from another epoch.
            let at = *next.get(&(id, epoch)).unwrap_or(&start);
            let back = if honest { 0 } else { i32::try_from(back).unwrap() };
            let base_sequence = at.checked_sub(back).filter(|at| *at >= 0).unwrap_or(at);
            let claim = claim(id, epoch, base_sequence, count);
            match (check(&producers, &claim), model.check(&claim)) {
                (Ok(Verdict::New), Ok(None)) => {
                    producers.record(&claim, &place(end, 0, ALL));
                    model.0.push((claim, Offset(end)));
                    next.insert((id, epoch), claim.last_sequence().checked_add(1).unwrap_or(0));
                    end += u64::from(count);
                }
                (Ok(Verdict::Duplicate(first)), Ok(Some(base))) => prop_assert_eq!(first.base, base),
                (Err(ProducerError::OldEpoch { .. }), Err("epoch")) => {
                    next.insert((id, epoch), 0);
                }
                (Err(ProducerError::OutOfOrder { .. }), Err("order")) => {
                    next.insert((id, epoch), 0);
                }
                (ours, theirs) => prop_assert!(false, "{claim:?}: {ours:?}, and the model says {theirs:?}"),
            }
        }
    }
}

#[test]
fn no_transaction_begins_beyond_the_bound_and_no_marker_is_refused() {
    let mut producers = Producers::new(100, 2);
    let within = |id| Claim { transactional: true, ..claim(id, 0, 0, 1) };
    let begin = |producers: &Producers, id| {
        let mut verifications = Verifications::new(1);
        let origin = Origin::Coordinator(Some(verifications.begin(id, 0, 0, false, 0)));
        producers.check(&within(id), origin, verifications.get(id))
    };
    for id in [1, 2] {
        assert_eq!(begin(&producers, id), Ok(Verdict::New));
        producers.record(&within(id), &place(id.unsigned_abs(), 0, ALL));
    }
    assert_eq!(begin(&producers, 3), Err(ProducerError::TooManyTransactions));
    assert_eq!(begin(&producers, 2), Ok(Verdict::New), "it is open");
    let end = |producers: &mut Producers, id, at, commit| {
        assert_eq!(producers.check_end(id, 0, 0, 1), Ok(()));
        let marker = Some(crate::batch::Marker { commit, coordinator_epoch: 0 });
        producers.end(&End { producer_id: id, epoch: 0, marker }, &place(at, 0, ALL));
    };
    end(&mut producers, 1, 3, false);
    assert_eq!(begin(&producers, 3), Err(ProducerError::TooManyTransactions), "what was aborted counts");
    end(&mut producers, 2, 4, true);
    assert_eq!(begin(&producers, 3), Ok(Verdict::New));
}

#[test]
fn open_transactions_are_not_forgotten_beyond_the_limit_of_producers() {
    let mut producers = Producers::new(1, 100);
    for id in 0..3 {
        let claim = Claim { transactional: true, ..claim(id, 0, 0, 1) };
        producers.record(&claim, &place(id.unsigned_abs(), 0, ALL));
    }
    producers.record(&claim(7, 0, 0, 1), &place(7, 0, ALL));
    producers.record(&claim(8, 0, 0, 1), &place(8, 0, ALL));
    let known: Vec<_> = producers.iter().map(|(id, _)| id).collect();
    assert_eq!(known, [0, 1, 2, 8]);
}
