//! What must hold in every state of the model, and what must be reachable in it.

use super::{LogModel, Object, Placed, Role, State};
use levee_base::{Epoch, LogPosition};
use stateright::Property;

/// What somebody may rely on: the log as far as `end`, and how many of the acknowledged entries were
/// acknowledged before it began to read.
struct View<'a> {
    log: &'a [Placed],
    end: LogPosition,
    must: usize,
}

/// The rule of safety that a state breaks, if it does.
pub(super) fn violation(state: &State) -> Option<&'static str> {
    let two_owners = state.owners.windows(2).any(|pair| pair[0].0 == pair[1].0);
    if two_owners {
        return Some("two owners of one epoch");
    }
    // A reader that starts now, and is not disturbed: also what the next successor will find.
    let (now, end) = read_now(state);
    let now = View { log: &now, end, must: state.acknowledged.len() };
    if !state.acknowledged.iter().all(|entry| now.log.contains(entry)) {
        return Some("an acknowledged entry lost: who reads the log now does not find it in its place");
    }
    let views: Vec<View<'_>> = state
        .processes
        .iter()
        .filter_map(|process| match &process.role {
            Role::Owner { epoch, appender, log, must, .. } => {
                let end = LogPosition { epoch: *epoch, slot: appender.durable() };
                Some(View { log, end, must: usize::from(*must) })
            }
            Role::Reader { end, log, must, .. } => Some(View { log, end: *end, must: usize::from(*must) }),
            Role::Down | Role::Chain { .. } => None,
        })
        .chain([now])
        .collect();
    for view in &views {
        let missed = |(at, _): &&Placed, older: bool| older || *at < view.end;
        for (index, entry) in state.acknowledged.iter().enumerate() {
            if missed(&entry, index < view.must) && !view.log.contains(entry) {
                return Some("an acknowledged entry lost: a checked process has read the log without it");
            }
        }
        for other in &views {
            if other.log.iter().any(|entry| entry.0 < view.end && !view.log.contains(entry)) {
                return Some("two logs: checked processes have read different entries");
            }
        }
    }
    None
}

/// The newest snapshot and the chain from there to its first empty slot.
fn read_now(state: &State) -> (Vec<Placed>, LogPosition) {
    let (mut log, mut at) = (state.snapshot.clone(), state.trim);
    loop {
        match state.objects.get(&at) {
            Some(Object::Entry(_, payload)) => {
                log.push((at, *payload));
                at = at.next();
            }
            Some(Object::Fence(_)) => at = LogPosition::start_of(Epoch(at.epoch.0 + 1)),
            None => return (log, at),
        }
    }
}

/// States that must exist, or the model would be proving little.
pub(super) fn reached() -> Vec<Property<LogModel>> {
    vec![
        Property::sometimes("an entry is acknowledged in the first epoch", |_, state: &State| {
            state.acknowledged.iter().any(|(at, _)| at.epoch == Epoch(1))
        }),
        Property::sometimes("an entry is acknowledged in the second epoch", |_, state: &State| {
            state.acknowledged.iter().any(|(at, _)| at.epoch == Epoch(2))
        }),
        Property::sometimes("all entries are acknowledged, in two epochs", |model, state: &State| {
            state.acknowledged.len() == usize::from(model.bounds.entries)
                && state.acknowledged.iter().any(|(at, _)| at.epoch == Epoch(1))
                && state.acknowledged.iter().any(|(at, _)| at.epoch == Epoch(2))
        }),
        Property::sometimes("an acknowledged entry is trimmed and collected", |_, state: &State| {
            state.acknowledged.iter().any(|(at, _)| *at < state.trim && !state.objects.contains_key(at))
        }),
        Property::sometimes("a fence stands where an entry was collected", |_, state: &State| {
            state.acknowledged.iter().any(|(at, _)| matches!(state.objects.get(at), Some(Object::Fence(_))))
        }),
        Property::sometimes("a late entry lands behind its epoch's fence", |_, state: &State| {
            state.objects.iter().any(|(at, object)| {
                matches!(object, Object::Entry(..))
                    && state.objects.iter().any(|(fence, object)| {
                        fence.epoch == at.epoch && fence < at && matches!(object, Object::Fence(_))
                    })
            })
        }),
        Property::sometimes("a deposed writer still believes in itself", |_, state: &State| {
            let owns = |role: &Role| matches!(role, Role::Owner { .. });
            state.processes.iter().filter(|process| owns(&process.role)).count() == 2
        }),
        Property::sometimes("a third epoch has an owner", |_, state: &State| {
            state.owners.iter().any(|(epoch, _)| *epoch == Epoch(3))
        }),
    ]
}
