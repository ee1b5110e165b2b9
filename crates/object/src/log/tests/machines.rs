//! Property tests of the pure parts, one machine at a time. What they do together is for the model to show.

use crate::log::Trimmer;
use crate::log::append::{Appender, CreateAnswer, Request};
use crate::log::fence::{EpochEnd, Seen, Walk, WalkAsk};
use crate::log::rules::Rules;
use levee_base::{Epoch, LogPosition, Slot, WriterId};
use proptest::prelude::*;
use std::collections::BTreeMap;
use uuid::Uuid;

const ME: WriterId = WriterId(Uuid::from_u128(1));
const OTHER: WriterId = WriterId(Uuid::from_u128(2));

/// What happens next: each names one of the requests that are out, modulo their number.
#[derive(Debug, Clone)]
enum Step {
    Append,
    Hedge(usize),
    /// The store carries a create out, and its answer arrives, or gets lost.
    Effect(usize, bool),
    /// A create is given up before it had an effect; it may have one later.
    GiveUp(usize),
    /// A create that was given up has its effect.
    Late(usize),
    Read(usize),
    /// Somebody else creates the slot this far above the durable prefix, if nobody has.
    Fence(u64),
    Look,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Append),
        1 => any::<usize>().prop_map(Step::Hedge),
        6 => (any::<usize>(), any::<bool>()).prop_map(|(index, answered)| Step::Effect(index, answered)),
        1 => any::<usize>().prop_map(Step::GiveUp),
        1 => any::<usize>().prop_map(Step::Late),
        4 => any::<usize>().prop_map(Step::Read),
        1 => (0u64..4).prop_map(Step::Fence),
        1 => Just(Step::Look),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_writer_acknowledges_only_what_is_there_in_order_and_never_changes_bytes(
        in_flight in 1usize..5, first in 0u64..3, steps in prop::collection::vec(step(), 0..150),
    ) {
        let mut machine = Appender::new(ME, Slot(first), in_flight, Rules::default());
        let mut store: BTreeMap<Slot, (WriterId, u64)> = BTreeMap::new();
        let mut bytes: BTreeMap<Slot, u64> = BTreeMap::new();
        let (mut creates, mut late) = (Vec::<(Slot, u64)>::new(), Vec::<(Slot, u64)>::new());
        let mut reads: Vec<Slot> = Vec::new();
        let mut appended = 0;
        for step in steps {
            let before = machine.durable();
            let request = match step {
                Step::Append if machine.has_room() => {
                    appended += 1;
                    Some(machine.append(appended))
                }
                Step::Hedge(index) => machine.hedge(Slot(first + index as u64 % 20)),
                Step::Effect(index, answered) if !creates.is_empty() => {
                    let (slot, payload) = creates.swap_remove(index % creates.len());
                    let answer = match store.contains_key(&slot) {
                        true => CreateAnswer::Exists,
                        false => CreateAnswer::Created,
                    };
                    store.entry(slot).or_insert((ME, payload));
                    machine.answered(slot, if answered { answer } else { CreateAnswer::Unknown })
                }
                Step::GiveUp(index) if !creates.is_empty() => {
                    let create = creates.swap_remove(index % creates.len());
                    late.push(create);
                    machine.answered(create.0, CreateAnswer::Unknown)
                }
                Step::Late(index) if !late.is_empty() => {
                    let (slot, payload) = late.swap_remove(index % late.len());
                    store.entry(slot).or_insert((ME, payload));
                    None
                }
                Step::Read(index) if !reads.is_empty() => {
                    let slot = reads.swap_remove(index % reads.len());
                    machine.read(slot, store.get(&slot).map(|(by, _)| *by))
                }
                Step::Fence(above) => {
                    store.entry(Slot(machine.durable().0 + above)).or_insert((OTHER, 0));
                    None
                }
                Step::Look => {
                    if let Some(Request::Read(slot)) = machine.look() {
                        machine.looked(slot, store.get(&slot).map(|(by, _)| *by));
                    }
                    None
                }
                _ => None,
            };
            match request {
                Some(Request::Create(slot, payload)) => {
                    prop_assert_eq!(*bytes.entry(slot).or_insert(payload), payload, "a slot's bytes are fixed");
                    creates.push((slot, payload));
                }
                Some(Request::Read(slot)) => reads.push(slot),
                None => {}
            }
            prop_assert!(machine.durable() >= before && machine.next() >= machine.durable());
            prop_assert!(machine.next().0 - machine.durable().0 <= in_flight as u64);
            for slot in (first..machine.durable().0).map(Slot) {
                prop_assert_eq!(store.get(&slot), Some(&(ME, bytes[&slot])), "durable means ours, and there");
            }
            if let Some(fenced) = machine.fenced() {
                prop_assert_eq!(store[&fenced.at].0, OTHER);
                prop_assert!(fenced.at >= machine.durable() && !machine.has_room());
            }
        }
    }

    #[test]
    fn a_fence_goes_into_the_first_empty_slot_or_another_was_there_before(
        slots in prop::collection::vec(0u8..12, 0..20), from in 0u64..4,
        answers in prop::collection::vec(0u8..3, 40), taken_first in any::<bool>(),
    ) {
        // 0: nothing, 1: another's fence, otherwise an entry.
        let mut store: BTreeMap<Slot, Seen> = (0..).map(Slot).zip(slots).filter_map(|(slot, what)| match what {
            0 => None,
            1 => Some((slot, Seen::Fence(OTHER))),
            _ => Some((slot, Seen::Entry(OTHER))),
        }).collect();
        let first_empty = (from..).map(Slot).find(|slot| !matches!(store.get(slot), Some(Seen::Entry(_)))).unwrap();
        let mut walk = Walk::new(Slot(from), Some(ME), Rules::default());
        let (mut answers, mut entries) = (answers.into_iter(), Vec::new());
        let mut race = taken_first;
        let end = loop {
            match walk.ask() {
                WalkAsk::Get(slot) => {
                    let seen = store.get(&slot).copied().unwrap_or(Seen::Missing);
                    if walk.read(seen).entry {
                        entries.push(slot);
                    }
                }
                WalkAsk::Create(slot) => {
                    if std::mem::take(&mut race) {
                        // Its writer was faster.
                        store.insert(slot, Seen::Entry(OTHER));
                    }
                    let free = !store.contains_key(&slot);
                    let answer = match (answers.next().unwrap_or(0), free) {
                        (0, true) => { store.insert(slot, Seen::Fence(ME)); CreateAnswer::Created }
                        (1, true) => { store.insert(slot, Seen::Fence(ME)); CreateAnswer::Unknown }
                        (_, true) => CreateAnswer::Unknown,
                        (_, false) => CreateAnswer::Exists,
                    };
                    walk.answered(answer);
                }
                WalkAsk::Done(end) => break end,
            }
        };
        let EpochEnd::Fenced { at, by } = end else { panic!("it ends in a fence") };
        prop_assert_eq!(store[&at], Seen::Fence(by));
        prop_assert!(at == first_empty || taken_first && at > first_empty);
        prop_assert_eq!(entries, (from..at.0).map(Slot).collect::<Vec<_>>(), "what is before it was read");
    }

    #[test]
    fn what_counts_is_never_deleted(
        trims in prop::collection::vec((0u64..4, 0u64..6, 0u64..6), 1..6), fences in prop::collection::vec(0u64..6, 4),
        known in prop::collection::vec(any::<bool>(), 4),
    ) {
        let mut trimmer = Trimmer::new(LogPosition::default());
        let fence = |epoch: u64| LogPosition { epoch: Epoch(epoch), slot: Slot(fences[epoch as usize]) };
        (0..4).filter(|&epoch| known[epoch as usize]).for_each(|epoch| trimmer.checked_fence(fence(epoch)));
        let all = (0..4).flat_map(|epoch| (0..9).map(move |slot| (epoch, slot)));
        let all = all.map(|(epoch, slot)| LogPosition { epoch: Epoch(epoch), slot: Slot(slot) });
        let now = |trimmer: &Trimmer| all.clone().filter(|&at| trimmer.may_delete(at)).collect::<Vec<_>>();
        let mut deletable = now(&trimmer);
        for (epoch, wanted, durable) in trims {
            let durable = Slot(durable).min(fence(epoch).slot);
            let to = trimmer.propose(Epoch(epoch), Slot(wanted), durable);
            prop_assert!(to.epoch == Epoch(epoch) && to.slot <= durable);
            prop_assert_eq!(&now(&trimmer), &deletable, "a proposal frees nothing");
            trimmer.committed(to);
            let freed = now(&trimmer);
            // Where the trim point has left an epoch whose fence is not known, nothing of it is deleted any more.
            let kept = |at: &&LogPosition| known[at.epoch.0 as usize];
            prop_assert!(deletable.iter().filter(kept).all(|at| freed.contains(at)), "once freed, always free");
            for at in &freed {
                prop_assert!(*at != fence(at.epoch.0), "a fence that counts");
                let above_checked = known[at.epoch.0 as usize] && at.slot > fence(at.epoch.0).slot;
                prop_assert!(*at < trimmer.committed_point() || above_checked);
            }
            deletable = freed;
        }
    }
}
