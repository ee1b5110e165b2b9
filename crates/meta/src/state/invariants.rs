//! What must hold of every state, and between a state and its successor: named, so that tests, the simulation
//! and `levee fsck` say which one broke. None of them is needed to run; all of them are needed to be right.

use crate::command::Sender;
use crate::ids::{ObjectId, ObjectName};
use crate::state::rules::Rules;
use crate::state::{State, configs, topics};
use levee_base::StreamId;
use std::collections::{BTreeMap, BTreeSet};

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invariant {invariant} is broken: {detail}")]
pub struct Violation {
    /// Which one.
    pub invariant: &'static str,
    /// By what.
    pub detail: String,
}

type Check = Result<(), Violation>;

macro_rules! ensure {
    ($invariant:literal, $holds:expr, $($detail:tt)*) => {
        if !$holds {
            return Err(Violation { invariant: $invariant, detail: format!($($detail)*) });
        }
    };
}

impl State {
    /// Checks everything that must hold of a state. Takes time in proportion to the whole state.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn check_invariants(&self) -> Check {
        extents_are_contiguous(self)?;
        references_are_exact(self)?;
        ids_are_below_their_counters(self)?;
        topics_own_their_streams(self)?;
        one_live_broker_a_node(self)?;
        closed_wals_are_trimmed_to_their_fence(self)?;
        leaders_can_lead(self)?;
        garbage_is_not_listed(self)?;
        configs_are_bounded(self)?;
        only_live_brokers_are_remembered(self)
    }
}

/// Checks what must hold between a state and a later one of the same history.
///
/// # Errors
/// The first invariant that does not hold.
pub fn check_succession(before: &State, after: &State) -> Check {
    ensure!(
        "positions_ascend",
        before.position <= after.position,
        "{} > {}",
        before.position,
        after.position
    );
    ensure!("versions_ascend", before.version <= after.version, "{} > {}", before.version, after.version);
    ensure!(
        "ids_are_not_used_again",
        before.next_stream <= after.next_stream
            && before.next_object <= after.next_object
            && before.next_producer_id <= after.next_producer_id,
        "a counter went down"
    );
    let collected =
        before.objects.keys().find(|id| !after.objects.contains_key(id) && !after.garbage.contains_key(id));
    ensure!(
        "only_garbage_is_forgotten",
        collected.is_none(),
        "object {collected:?} was listed and is unknown"
    );
    for (epoch, wal) in &before.wals {
        let later = after.wals.get(epoch);
        let ascends = later.is_some_and(|later| {
            wal.node == later.node
                && wal.trim <= later.trim
                && (wal.fence.is_none() || wal.fence == later.fence)
        });
        ensure!("trim_points_ascend_and_fences_stay", ascends, "WAL {epoch}: {wal:?} became {later:?}");
        let revived = !before.brokers.contains_key(epoch) && after.brokers.contains_key(epoch);
        ensure!("out_is_for_ever", !revived, "broker {epoch} is live again");
    }
    for (id, topic) in &before.topics {
        let Some(later) = after.topics.get(id) else { continue };
        let grows = later.name == topic.name && later.streams.starts_with(&topic.streams);
        ensure!("topics_only_grow", grows, "topic {id} lost partitions or its name");
    }
    for (id, stream) in &before.streams {
        let Some(later) = after.streams.get(id) else { continue };
        let ascends = stream.end <= later.end
            && stream.start <= later.start
            && stream.leader_epoch <= later.leader_epoch
            && (stream.leader == later.leader
                || later.leader.is_none()
                || stream.leader_epoch < later.leader_epoch);
        ensure!("streams_only_grow", ascends, "stream {id} went back");
    }
    Ok(())
}

fn extents_are_contiguous(state: &State) -> Check {
    for (id, stream) in state.streams() {
        // One that starts beyond what is registered keeps none of it.
        let mut at = stream.start.min(stream.end);
        for (i, extent) in stream.extents().enumerate() {
            // The first one may begin below the start: a start can lie within an extent.
            let meets = if i == 0 { extent.range.start <= at } else { extent.range.start == at };
            ensure!(
                "extents_are_contiguous",
                meets && extent.range.start < extent.range.end,
                "stream {id}: {:?} after {at}",
                extent.range
            );
            at = extent.range.end;
        }
        ensure!("extents_are_contiguous", at == stream.end, "stream {id} ends at {}, not {at}", stream.end);
        let (bytes, kept) =
            (stream.extents().map(|e| e.bytes).fold(0, u64::saturating_add), stream.extents().len());
        ensure!(
            "bytes_are_exact",
            bytes == stream.bytes,
            "stream {id} counts {} bytes of {bytes}",
            stream.bytes
        );
        let passed = stream.start >= stream.end && kept > 0;
        ensure!("what_is_below_the_start_is_gone", !passed, "stream {id} keeps what lies below its start");
        let beyond = stream.checkpoint.is_some_and(|(offset, _)| offset > stream.end);
        ensure!("checkpoints_are_of_what_is_registered", !beyond, "stream {id}: {:?}", stream.checkpoint);
    }
    Ok(())
}

fn references_are_exact(state: &State) -> Check {
    let mut references: BTreeMap<ObjectId, u32> = BTreeMap::new();
    for extent in state.streams.values().flat_map(|stream| stream.extents.iter()) {
        *references.entry(extent.object).or_default() += 1;
    }
    for (_, object) in state.streams.values().filter_map(|stream| stream.checkpoint) {
        *references.entry(object).or_default() += 1;
    }
    for (id, object) in state.objects.iter() {
        let found = references.remove(id).unwrap_or(0);
        ensure!(
            "references_are_exact",
            found == object.references && found > 0,
            "object {id:?} counts {} references and has {found}",
            object.references
        );
    }
    ensure!(
        "references_are_exact",
        references.is_empty(),
        "extents refer to missing objects: {references:?}"
    );
    Ok(())
}

fn ids_are_below_their_counters(state: &State) -> Check {
    let holds = state.streams.keys().all(|&id| id < state.next_stream)
        && state.objects.keys().chain(state.garbage.keys()).all(|&id| id < state.next_object)
        && state.wals.keys().chain(state.brokers.keys()).all(|epoch| epoch.0 < state.position);
    ensure!("ids_are_below_their_counters", holds, "an id could be given twice");
    let names: BTreeSet<_> =
        state.objects.values().map(|o| o.name).chain(state.garbage.values().map(|g| g.name)).collect();
    let distinct = names.len() == state.objects.len() + state.garbage.len();
    ensure!("objects_have_one_id", distinct, "an object is listed twice");
    Ok(())
}

fn topics_own_their_streams(state: &State) -> Check {
    let mut owned: BTreeSet<StreamId> = BTreeSet::new();
    for (id, topic) in &state.topics {
        ensure!(
            "topics_are_found_by_name",
            state.names.get(&topics::collision_key(&topic.name)) == Some(id),
            "topic {id} is not found as {:?}",
            topic.name
        );
        for (partition, stream) in (0u32..).zip(&topic.streams) {
            let ours = state.streams.get(stream).is_some_and(|s| s.topic == *id && s.partition == partition);
            ensure!(
                "topics_own_their_streams",
                ours && owned.insert(*stream),
                "stream {stream} is not partition {partition} of topic {id}"
            );
        }
    }
    ensure!("topics_own_their_streams", owned.len() == state.streams.len(), "a stream has no topic");
    ensure!("topics_are_found_by_name", state.names.len() == state.topics.len(), "a name has no topic");
    Ok(())
}

fn one_live_broker_a_node(state: &State) -> Check {
    let mut nodes = BTreeSet::new();
    for (epoch, broker) in &state.brokers {
        let node = broker.node;
        ensure!("one_live_broker_a_node", nodes.insert(node), "node {node} is live twice");
        let opened = state.wals.get(epoch).is_some_and(|wal| wal.node == node);
        ensure!("a_registration_opens_a_wal", opened, "broker epoch {epoch} has no WAL");
    }
    Ok(())
}

fn closed_wals_are_trimmed_to_their_fence(state: &State) -> Check {
    for (epoch, wal) in &state.wals {
        let holds = wal.fence.is_none_or(|fence| wal.trim == fence);
        ensure!("closed_wals_are_trimmed_to_their_fence", holds, "WAL {epoch}: {wal:?}");
    }
    Ok(())
}

/// A stream whose leader is out still belongs to that leader's log, until it is closed.
fn leaders_can_lead(state: &State) -> Check {
    for (id, stream) in &state.streams {
        let Some(leader) = stream.leader else { continue };
        let open = state.wals.get(&leader).is_some_and(|wal| wal.fence.is_none());
        ensure!("leaders_have_open_wals", open, "stream {id} is led by {leader}, whose WAL is closed");
    }
    Ok(())
}

fn garbage_is_not_listed(state: &State) -> Check {
    let both = state.garbage.keys().find(|id| state.objects.contains_key(id));
    ensure!("garbage_is_not_listed", both.is_none(), "object {both:?} is listed and garbage");
    let unregistered = |name: &ObjectName| match *name {
        ObjectName::Wal { node, epoch, slot } => {
            !state.wals.get(&epoch).is_some_and(|wal| wal.node == node && slot < wal.trim)
        }
        ObjectName::Data { epoch, number } => {
            !state.wals.contains_key(&epoch)
                || state.brokers.get(&epoch).is_some_and(|broker| !broker.settled.contains(number))
        }
    };
    let names = state.objects.values().map(|o| &o.name).chain(state.garbage.values().map(|g| &g.name));
    let untrimmed = names.into_iter().find(|name| unregistered(name));
    ensure!(
        "listed_objects_are_settled",
        untrimmed.is_none(),
        "{untrimmed:?} is not below its trim point, or was never committed nor abandoned"
    );
    Ok(())
}

fn configs_are_bounded(state: &State) -> Check {
    let empty = state.configs.by_resource().iter().find(|(_, configs)| configs.is_empty());
    ensure!("a_resource_has_settings", empty.is_none(), "{empty:?}");
    let bytes = configs::all_bytes(state.configs.by_resource());
    let kept = state.configs.bytes();
    ensure!("settings_are_counted", kept == bytes, "they take {bytes} bytes, not {kept}");
    ensure!("settings_are_bounded", bytes <= Rules::V2.config_bytes, "they take {bytes} bytes");
    Ok(())
}

fn only_live_brokers_are_remembered(state: &State) -> Check {
    for sender in state.answers.by_sender.keys() {
        let holds = match sender {
            Sender::Broker(epoch) => state.brokers.contains_key(epoch),
            Sender::Process(_) => true,
        };
        ensure!("only_live_brokers_are_remembered", holds, "{sender:?} is out");
    }
    Ok(())
}
