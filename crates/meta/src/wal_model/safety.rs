//! What must hold in every state of the model, and what must be reachable in it.

use super::{Object, Record, STREAM, State, WalModel, position};
use crate::ids::ObjectName;
use levee_base::{BrokerEpoch, Offset, Slot};
use stateright::Property;
use std::collections::BTreeMap;

/// The rule of safety that a state breaks, if it does.
pub(super) fn violation(state: &State) -> Option<&'static str> {
    // What the metadata says of itself goes last: a loss says more.
    let log = read_now(state);
    let mut given: BTreeMap<Offset, u8> = BTreeMap::new();
    for (at, record) in &state.acknowledged {
        if *given.entry(record.offset).or_insert(record.number) != record.number {
            return Some("an offset given twice: two acknowledged records have it");
        }
        if log.get(&record.offset) != Some(&record.number) {
            return Some("an acknowledged entry lost: whoever leads next does not find it at its offset");
        }
        let closed = state.closed.get(&BrokerEpoch(at.epoch.0));
        if closed.is_some_and(|&fence| at.slot >= fence) {
            return Some("an entry acknowledged at or after the fence");
        }
    }
    for (&epoch, &fence) in &state.closed {
        if state.metadata.wal(epoch).is_none_or(|wal| wal.fence != Some(fence)) {
            return Some("two recoverers disagree about where the log ends");
        }
        if outside(state, epoch, fence) {
            return Some("an entry is registered that is not in the closed prefix");
        }
    }
    state.wrong
}

/// Whether the metadata lists an object of a closed log that is not below its fence.
fn outside(state: &State, of: BrokerEpoch, fence: Slot) -> bool {
    let garbage = state.metadata.garbage().map(|(_, object)| object.name);
    let names = state.metadata.objects().map(|(_, object)| object.name).chain(garbage);
    names
        .into_iter()
        .any(|name| matches!(name, ObjectName::Wal { epoch, slot, .. } if epoch == of && slot >= fence))
}

/// Which record is at each offset, for whoever leads the stream next if nothing disturbs it: what is registered,
/// and what the leader's log holds above its trim point.
fn read_now(state: &State) -> BTreeMap<Offset, u8> {
    let stream = state.metadata.stream(STREAM).expect("nobody deletes the topic");
    let number = |bytes: u64| u8::try_from(bytes).expect("it was a record's number");
    let mut log: BTreeMap<Offset, u8> =
        stream.extents().map(|extent| (extent.range.start, number(extent.bytes))).collect();
    let Some((leader, wal)) = stream.leader.and_then(|leader| Some((leader, state.metadata.wal(leader)?)))
    else {
        return log;
    };
    let mut slot = wal.trim;
    while let Some(Object::Entry(_, record)) = state.objects.get(&position(leader, slot)) {
        let Record { number, offset, leader_epoch } = *record;
        if leader_epoch == stream.leader_epoch {
            log.insert(offset, number);
        }
        slot = slot.next();
    }
    log
}

/// States that must exist, or the model would be proving little.
pub(super) fn reached() -> Vec<Property<WalModel>> {
    vec![
        Property::sometimes("an entry is acknowledged by the heir", |_, state: &State| {
            let mut epochs = state.acknowledged.iter().map(|(at, _)| at.epoch);
            let first = epochs.next();
            epochs.any(|epoch| Some(epoch) != first)
        }),
        Property::sometimes("a recovery registers what was not acknowledged", |_, state: &State| {
            let stream = state.metadata.stream(STREAM).expect("nobody deletes the topic");
            stream.end.0 as usize > state.acknowledged.len()
        }),
        Property::sometimes("an acknowledged entry is trimmed and collected", |_, state: &State| {
            state.acknowledged.iter().any(|(at, _)| !state.objects.contains_key(at))
        }),
        Property::sometimes("a fence stands where an entry was collected", |_, state: &State| {
            state.acknowledged.iter().any(|(at, _)| matches!(state.objects.get(at), Some(Object::Fence(_))))
        }),
        Property::sometimes("a late entry lands behind the fence", |_, state: &State| behind(state, true)),
        Property::sometimes("a late fence lands behind the fence", |_, state: &State| behind(state, false)),
        Property::sometimes("a writer that is out still believes in itself", |_, state: &State| {
            state.processes.iter().any(|process| {
                let out = process.epoch.is_some_and(|epoch| state.metadata.broker(epoch).is_none());
                out && process.writer.is_some()
            })
        }),
        Property::sometimes("two recover one log at once", |_, state: &State| {
            let mut logs: Vec<_> =
                state.processes.iter().filter_map(|process| Some(process.recovery.as_ref()?.of)).collect();
            logs.sort_unstable();
            logs.windows(2).any(|pair| pair[0] == pair[1])
        }),
        Property::sometimes("a clean shutdown leaves the stream without a leader", |_, state: &State| {
            state.metadata.leaderless().next().is_some()
        }),
        Property::sometimes("the second recovery's heir leads", |_, state: &State| {
            state.metadata.stream(STREAM).is_some_and(|stream| stream.leader_epoch == 2)
        }),
    ]
}

/// Whether something lies behind the fence of a closed log: an entry, or else a fence.
fn behind(state: &State, entry: bool) -> bool {
    state.closed.iter().any(|(epoch, fence)| {
        state.objects.iter().any(|(at, object)| {
            at.epoch.0 == epoch.0 && at.slot > *fence && matches!(object, Object::Entry(..)) == entry
        })
    })
}
