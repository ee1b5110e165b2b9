//! Checkpoints at any place, of any release, and bytes that nobody wrote.

use super::super::claim::Place;
use super::super::note::Note;
use super::*;
use crate::batch::Marker;
use crate::batch::header::Attributes;
use levee_store::BatchInfo;
use proptest::prelude::*;

/// How many records, the producer's id and epoch, the largest timestamp, when it was appended, and what it is.
type Batch = (u32, i64, i16, i64, i64, u8);

fn replay(known: &mut Known, batches: &[Batch], mut base: u64) -> u64 {
    for (at, &(count, producer_id, producer_epoch, max_timestamp, appended_ms, kind)) in
        batches.iter().enumerate()
    {
        let plain = Attributes(0);
        let marker = |commit| Some(Marker { commit, coordinator_epoch: i32::from(kind) + 4 });
        let (attributes, marker) = match kind {
            0 => (plain, None),
            1 => (plain.with_transactional(), None),
            2 => (plain.with_transactional().with_control(), None),
            3 => (plain.with_transactional().with_control(), marker(true)),
            _ => (plain.with_transactional().with_control(), marker(false)),
        };
        let note = Note {
            attributes,
            leader_epoch: i32::try_from(at / 7).unwrap(),
            producer_id,
            producer_epoch,
            base_sequence: i32::try_from(at).unwrap() - 1,
            base_timestamp: 0,
            max_timestamp,
            appended_ms,
            marker,
        };
        known.replay(BatchInfo { base: Offset(base), count, bytes: 100, note: &note.encode() }).unwrap();
        base += u64::from(count);
    }
    base
}

fn batch() -> impl Strategy<Value = Batch> {
    (1_u32..9, -1_i64..5, 0_i16..3, -1_i64..90_000_000, 0_i64..90_000_000, 0_u8..5)
}

proptest! {
    /// Written and read back at any place, it goes on as if nothing had happened.
    #[test]
    fn a_replay_that_resumes_ends_where_one_without_checkpoints_ends(
        batches in prop::collection::vec(batch(), 0..300),
        cut in 0_usize..300,
        late: bool,
    ) {
        let (before, after) = batches.split_at(cut.min(batches.len()));
        let (mut whole, mut resumed) = (Known::default(), Known::default());
        if late {
            whole.begin_late();
            resumed.begin_late();
        }
        let at = replay(&mut whole, before, 0);
        replay(&mut resumed, before, 0);
        let (mut resumed, cleaned) = decode(&encode(&resumed, Offset(17))).unwrap();
        prop_assert_eq!(cleaned, Offset(17));
        replay(&mut whole, after, at);
        replay(&mut resumed, after, at);
        prop_assert_eq!(resumed.producers, whole.producers);
        prop_assert_eq!(resumed.times, whole.times);
        prop_assert_eq!(resumed.epochs, whole.epochs);
        prop_assert_eq!(resumed.appended_ms, whole.appended_ms);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>(), to: u8) {
        let _ = decode(&bytes);
        let mut known = Known::default();
        let batches =
            [(3, 1, 0, 5, 6, 0), (2, 2, 0, 7, 8, 1), (1, 2, 0, 9, 9, 4), (1, 3, 0, 9, 9, 1), (1, 4, 0, 9, 9, 3)];
        replay(&mut known, &batches, 0);
        let mut damaged = encode(&known, Offset(3));
        let at = at.index(damaged.len());
        damaged[at] = to;
        let _ = decode(&damaged);
    }
}

#[test]
fn what_earlier_releases_wrote_is_read() {
    let producer = WrittenProducer {
        id: 7,
        epoch: 2,
        appended_ms: 60,
        bases: vec![3, 5],
        counts: vec![2, 4],
        base_sequences: vec![0, 2],
        max_timestamps: vec![50, 40],
        ..WrittenProducer::default()
    };
    let written = Written { version: 1, producers: vec![producer], ..Written::default() };
    let (known, _) = decode(&written.encode_to_vec()).unwrap();
    let (mut same, last) = (Known::default(), [(3, 0, 2, 50), (5, 2, 4, 40)]);
    for (base, base_sequence, count, max_timestamp) in last {
        let claim = Claim { producer_id: 7, epoch: 2, base_sequence, count, transactional: false };
        let durable = Offset(u64::MAX);
        same.producers.record(&claim, &Place { base: Offset(base), max_timestamp, appended_ms: 60, durable });
    }
    assert_eq!(known.producers, same.producers);
}

#[test]
fn transactions_that_contradict_each_other_are_passed_over() {
    let mut known = Known::default();
    replay(&mut known, &[(1, 1, 0, 5, 6, 1), (1, 2, 0, 5, 6, 1), (1, 1, 0, 5, 6, 4)], 0);
    let sound = Written::decode(&*encode(&known, Offset::ZERO)).unwrap();
    assert_eq!((&*sound.aborted_lengths, &*sound.aborted_markers), (&[2][..], &[2][..]));
    assert_eq!(sound.producers[1].transaction, Some(1));
    let decodes = |change: fn(&mut Written)| {
        let mut written = sound.clone();
        change(&mut written);
        decode(&written.encode_to_vec()).map(|_| ())
    };
    assert_eq!(decodes(|_| ()), Ok(()));
    let unsound = |change| matches!(decodes(change), Err(CheckpointError::Unsound(_)));
    assert!(unsound(|w| w.aborted_lengths[0] = 3), "it begins before 0");
    assert!(unsound(|w| w.aborted_lengths[0] = 0));
    assert!(unsound(|w| w.aborted_markers.push(4)));
    assert!(unsound(|w| w.aborted_markers[0] = u64::MAX));
    assert!(unsound(|w| w.producers[0].transaction = Some(1)), "with another's batch");
    assert!(unsound(|w| w.producers[0].id = 2), "twice");
    assert!(unsound(|w| (w.producers[0].bases, w.producers[0].counts) = (vec![], vec![])));
    assert!(unsound(|w| w.producers[0].unknown = true), "with a batch");
}

#[test]
fn no_producer_is_known_when_what_followed_the_checkpoint_is_gone() {
    let mut known = Known::default();
    let end = replay(&mut known, &[(3, 1, 0, 5, 6, 0)], 0);
    let bytes: Bytes = encode(&known, Offset::ZERO).into();
    let producers = |start| {
        let resumed = Resumed::from(StreamId(1), Some((Offset(end), bytes.clone())), start);
        resumed.known.producers.len()
    };
    assert_eq!((producers(Offset::ZERO), producers(Offset(end)), producers(Offset(end + 1))), (1, 1, 0));
}

#[test]
fn what_cannot_be_used_is_passed_over() {
    let later = Written { version: 3, ..Written::default() }.encode_to_vec();
    assert_eq!(decode(&later).unwrap_err(), CheckpointError::Version(3));
    let resumed = Resumed::from(StreamId(1), Some((Offset(9), later.into())), Offset::ZERO);
    assert_eq!((resumed.offset, resumed.known.producers.len()), (Offset::ZERO, 0));
    let unsound = Written { version: 1, epochs: vec![1], ..Written::default() }.encode_to_vec();
    assert!(matches!(decode(&unsound), Err(CheckpointError::Unsound(_))));
}
