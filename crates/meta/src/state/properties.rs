//! Properties of random histories.

use super::generate::{Reader, histories, run};
use super::invariants::check_succession;
use super::*;
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::BTreeSet;

/// What the position and the answers say apart, refused commands change nothing.
fn without_bookkeeping(state: &State) -> State {
    State { position: 0, answers: Answers::default(), ..state.clone() }
}

proptest! {
    #[test]
    fn invariants_hold_after_every_command(steps in histories(80)) {
        let (mut state, mut reader) = (State::default(), Reader::default());
        state.apply(&reader.first());
        for step in steps {
            let before = state.clone();
            let answer = state.apply(&reader.read(&before, step));
            prop_assert_eq!(state.check_invariants(), Ok(()));
            prop_assert_eq!(check_succession(&before, &state), Ok(()));
            if matches!(answer, Answer::Refused(_)) {
                prop_assert_eq!(without_bookkeeping(&before), without_bookkeeping(&state));
            }
        }
    }

    #[test]
    fn a_repeat_gets_the_first_answer_and_changes_nothing(steps in histories(60), again in any::<u64>()) {
        let (mut once, mut twice, mut reader) = (State::default(), State::default(), Reader::default());
        let first = reader.first();
        once.apply(&first);
        twice.apply(&first);
        for (i, step) in steps.into_iter().enumerate() {
            // Both follow the same commands at the same positions: what is repeated to one is idle to the other.
            let envelope = reader.read(&once, step);
            let answer = once.apply(&envelope);
            prop_assert_eq!(twice.apply(&envelope), answer.clone());
            if again >> (i % 64) & 1 == 1 {
                let repeat = twice.apply(&envelope);
                let out = matches!(&repeat, Answer::Refused(Refusal::EpochOut { .. }));
                prop_assert!(repeat == answer || out, "{:?} became {:?}", answer, repeat);
                once.position += 1;
            }
            prop_assert_eq!(&once, &twice);
        }
    }
}

#[test]
fn random_histories_do_all_there_is_to_do() {
    // A generator whose commands are all refused would make the properties above empty.
    let done = RefCell::new(BTreeSet::new());
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    runner
        .run(&histories(80), |steps| {
            let (state, applied) = run(&steps);
            for (envelope, answer) in applied {
                let kind = format!("{:?}", envelope.command);
                let kind = kind.split([' ', '(', '{']).next().unwrap_or_default().to_owned();
                let refusal = format!("{answer:?}").contains("Refused");
                if let (Command::Replace { replaced, .. }, Answer::Replaced { left_out }) =
                    (&envelope.command, &answer)
                {
                    let (parts, left_out) = (replaced.len(), *left_out as usize);
                    let what = [(left_out > 0, "left out"), (left_out < parts, "replaced")];
                    done.borrow_mut().extend(what.iter().filter(|w| w.0).map(|w| w.1.to_owned()));
                }
                done.borrow_mut().insert(format!("{kind} {}", if refusal { "refused" } else { "done" }));
            }
            let seen = |what: &str, is: bool| {
                if is {
                    done.borrow_mut().insert(what.to_owned());
                }
            };
            seen("checkpoints", state.streams().any(|(_, stream)| stream.checkpoint.is_some()));
            seen("starts beyond the end", state.streams().any(|(_, stream)| stream.start > stream.end));
            if state.garbage().next().is_some() {
                done.borrow_mut().insert("garbage".to_owned());
            }
            if state.objects().any(|(_, object)| object.references > 1) {
                done.borrow_mut().insert("shared objects".to_owned());
            }
            Ok(())
        })
        .unwrap();
    let all = "Abandon done, Abandon refused, AddPartitions done, AddPartitions refused, AdvanceStarts done, AdvanceStarts refused, AllocateProducerIds done, \
               AllocateProducerIds refused, AlterConfigs done, AlterConfigs refused, AlterTopic done, AlterTopic refused, CloseWal done, CloseWal refused, \
               Collected done, Collected refused, CreateTopic done, CreateTopic refused, DeleteTopic done, DeleteTopic refused, Lead done, \
               Lead refused, Out done, Out refused, Register done, Register refused, Replace done, Replace refused, TrimWal done, \
               TrimWal refused, UseVersion done, checkpoints, garbage, left out, replaced, shared objects, \
               starts beyond the end";
    assert_eq!(done.into_inner().into_iter().collect::<Vec<_>>().join(", "), all);
}
