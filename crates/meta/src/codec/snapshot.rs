//! A snapshot: the whole state as of a position of the journal.
//!
//! Layout: magic (4 bytes), format version (4), CRC32C (4) of all that follows it and of the format version,
//! reserved zeros (4), cluster id (16), journal epoch (8), journal slot (8): the first entry that is *not* in
//! it, writer id (16), the body's length (8); all numbers little-endian; then the body, a protobuf message. A
//! decoded state has passed every invariant: what is wrong in itself is not used, whatever its checksum says.

use super::commands::{register_from, register_to, sender_from, sender_to};
use super::{CodecError, answers, checksum, rows, u32_at, u64_at, uuid, wire};
use crate::command::{Register, Resource};
use crate::ids::{ObjectId, ObjectName, TopicId};
use crate::state::answers::Window;
use crate::state::rules::NEWEST_VERSION;
use crate::state::settled::Settled;
use crate::state::shared::{ById, Rows};
use crate::state::streams::{Extent, Stream};
use crate::state::topics::collision_key;
use crate::state::{Broker, Garbage, Object, State, Topic, Wal};
use bytes::{BufMut, Bytes, BytesMut};
use levee_base::{BrokerEpoch, ClusterId, Epoch, LogPosition, NodeId, Offset, Slot, StreamId, WriterId};
use prost::Message;
use std::collections::BTreeMap;

const WHAT: &str = "metadata snapshot";
const MAGIC: &[u8; 4] = b"LVSN";
const FORMAT: u32 = 1;
/// The bytes of a snapshot before its body.
pub(crate) const HEAD_BYTES: usize = 72;

/// What a snapshot says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotHead {
    /// Whose it is.
    pub cluster: ClusterId,
    /// The first journal entry that is not in it.
    pub at: LogPosition,
    /// The writer of the journal epoch in which it was made.
    pub writer: WriterId,
}

/// A snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// What it says about itself.
    pub head: SnapshotHead,
    /// The journal's fences before `head.at`: the slot by the epoch that it ended. They are never collected.
    pub fences: BTreeMap<Epoch, Slot>,
    /// The state.
    pub state: State,
}

/// Writes a snapshot.
#[must_use]
pub fn encode_snapshot(head: &SnapshotHead, fences: &BTreeMap<Epoch, Slot>, state: &State) -> Bytes {
    let body = state_to(state, fences);
    let length = body.encoded_len();
    let mut out = BytesMut::with_capacity(HEAD_BYTES + length);
    out.put_slice(MAGIC);
    out.put_u32_le(FORMAT);
    out.put_u64_le(0);
    out.put_slice(head.cluster.0.as_bytes());
    out.put_u64_le(head.at.epoch.0);
    out.put_u64_le(head.at.slot.0);
    out.put_slice(head.writer.0.as_bytes());
    out.put_u64_le(length as u64);
    body.encode(&mut out).expect("a growing buffer takes any message");
    let crc = checksum(&[&out[4..8], &out[12..]]);
    out[8..12].copy_from_slice(&crc.to_le_bytes());
    out.freeze()
}

/// Reads what a snapshot says about itself from its first bytes, without its checksum.
///
/// # Errors
/// `NotA` and `Newer`.
pub fn decode_snapshot_head(bytes: &[u8]) -> Result<SnapshotHead, CodecError> {
    let not = || CodecError::NotA { what: WHAT };
    let head = bytes.get(..HEAD_BYTES).filter(|head| head.starts_with(MAGIC)).ok_or_else(not)?;
    let format = u32_at(head, 4).ok_or_else(not)?;
    if format > FORMAT {
        return Err(CodecError::Newer { what: format!("format {format} of a snapshot") });
    }
    let number = |at| u64_at(head, at).ok_or_else(not);
    Ok(SnapshotHead {
        cluster: ClusterId(uuid(&head[16..32])?),
        at: LogPosition { epoch: Epoch(number(32)?), slot: Slot(number(40)?) },
        writer: WriterId(uuid(&head[48..64])?),
    })
}

/// Reads a snapshot.
///
/// # Errors
/// Any `CodecError`.
pub fn decode_snapshot(bytes: &[u8]) -> Result<Snapshot, CodecError> {
    let head = decode_snapshot_head(bytes)?;
    let not = CodecError::NotA { what: WHAT };
    let body = &bytes[HEAD_BYTES..];
    if u64_at(bytes, 64) != Some(body.len() as u64) {
        return Err(not);
    }
    if u32_at(bytes, 8) != Some(checksum(&[&bytes[4..8], &bytes[12..]])) {
        return Err(CodecError::Damaged);
    }
    let body = wire::Snapshot::decode(body).map_err(CodecError::malformed)?;
    let fences = body.fences.iter().map(|(&epoch, &slot)| (Epoch(epoch), Slot(slot))).collect();
    let state = state_from(body)?;
    state.check_invariants().map_err(CodecError::malformed)?;
    Ok(Snapshot { head, fences, state })
}

fn state_to(state: &State, fences: &BTreeMap<Epoch, Slot>) -> wire::Snapshot {
    wire::Snapshot {
        version: state.version,
        position: state.position,
        next_stream: state.next_stream.0,
        next_object: state.next_object.0,
        next_producer_id: state.next_producer_id,
        brokers: state.brokers.iter().map(|(epoch, broker)| broker_to(*epoch, broker)).collect(),
        wals: state.wals.iter().map(|(epoch, wal)| wal_to(*epoch, wal)).collect(),
        topics: state.topics.iter().map(|(id, topic)| topic_to(state, *id, topic)).collect(),
        objects: Some(objects_to(&state.objects, is_wal)),
        garbage: Some(garbage_to(&state.garbage, is_wal)),
        data: Some(objects_to(&state.objects, is_data)),
        data_garbage: Some(garbage_to(&state.garbage, is_data)),
        windows: state.answers.by_sender.iter().map(|(sender, window)| window_to(*sender, window)).collect(),
        fences: fences.iter().map(|(epoch, slot)| (epoch.0, slot.0)).collect(),
        resources: state.configs.by_resource().iter().map(resource_to).collect(),
    }
}

fn state_from(body: wire::Snapshot) -> Result<State, CodecError> {
    if body.version > NEWEST_VERSION {
        return Err(CodecError::Newer { what: format!("metadata version {}", body.version) });
    }
    let mut state = State {
        version: body.version,
        position: body.position,
        next_stream: StreamId(body.next_stream),
        next_object: ObjectId(body.next_object),
        next_producer_id: body.next_producer_id,
        ..State::default()
    };
    for broker in body.brokers {
        let register = broker.register.ok_or_else(|| CodecError::malformed("a broker without details"))?;
        let Register { node, address, internal, process } = register_from(register)?;
        let settled = Settled { below: broker.settled_below, above: broker.settled.into_iter().collect() };
        let known = Broker { node, address, internal, process, settled };
        state.brokers.insert(BrokerEpoch(broker.epoch), known);
    }
    for wal in body.wals {
        let known = Wal { node: NodeId(wal.node), trim: Slot(wal.trim), fence: wal.fence.map(Slot) };
        state.wals.insert(BrokerEpoch(wal.epoch), known);
    }
    objects_from(&mut state, &body.objects.unwrap_or_default(), wal_name)?;
    garbage_from(&mut state, &body.garbage.unwrap_or_default(), wal_name)?;
    objects_from(&mut state, &body.data.unwrap_or_default(), data_name)?;
    garbage_from(&mut state, &body.data_garbage.unwrap_or_default(), data_name)?;
    for topic in body.topics {
        topic_from(&mut state, topic)?;
    }
    let resources = body.resources.into_iter().map(|resource| {
        let wire::ResourceConfigs { kind, name, configs } = resource;
        (Resource { kind, name }, configs)
    });
    state.configs = resources.collect();
    for window in body.windows {
        let sender = sender_from(window.broker, window.process)?;
        rows([window.numbers.len(), window.answers.len()])?;
        let mut answers = BTreeMap::new();
        let mut number = 0u64;
        for (delta, answer) in window.numbers.into_iter().zip(window.answers) {
            number = number.wrapping_add(delta);
            answers.insert(number, answers::answer_from(answer)?);
        }
        state.answers.by_sender.insert(sender, Window { heard: window.heard, answers });
    }
    Ok(state)
}

fn broker_to(epoch: BrokerEpoch, broker: &Broker) -> wire::Broker {
    let Broker { node, address, internal, process, settled } = broker.clone();
    wire::Broker {
        epoch: epoch.0,
        register: Some(register_to(&Register { node, address, internal, process })),
        settled_below: settled.below,
        settled: settled.above.into_iter().collect(),
    }
}

fn wal_to(epoch: BrokerEpoch, wal: &Wal) -> wire::Wal {
    wire::Wal { epoch: epoch.0, node: wal.node.0, trim: wal.trim.0, fence: wal.fence.map(|fence| fence.0) }
}

fn resource_to((resource, configs): (&Resource, &BTreeMap<String, String>)) -> wire::ResourceConfigs {
    let Resource { kind, name } = resource.clone();
    wire::ResourceConfigs { kind, name, configs: configs.clone() }
}

fn window_to(sender: crate::command::Sender, window: &Window) -> wire::Window {
    let (broker, process) = sender_to(sender);
    wire::Window {
        broker,
        process,
        heard: window.heard,
        numbers: differences(window.answers.keys().copied()).map(i64::cast_unsigned).collect(),
        answers: window.answers.values().map(answers::answer_to).collect(),
    }
}

fn topic_to(state: &State, id: TopicId, topic: &Topic) -> wire::Topic {
    let streams = topic.streams.iter().filter_map(|id| Some(stream_to(*id, state.streams.get(id)?)));
    wire::Topic {
        id: id.0.as_bytes().to_vec(),
        name: topic.name.clone(),
        configs: topic.configs.clone(),
        streams: streams.collect(),
    }
}

fn topic_from(state: &mut State, topic: wire::Topic) -> Result<(), CodecError> {
    let id = TopicId(uuid(&topic.id)?);
    let mut streams = Vec::with_capacity(topic.streams.len());
    for (partition, stream) in (0..).zip(topic.streams) {
        streams.push(StreamId(stream.id));
        let (stream_id, stream) = stream_from(state, id, partition, stream)?;
        state.streams.insert(stream_id, stream);
    }
    state.names.insert(collision_key(&topic.name), id);
    state.topics.insert(id, Topic { name: topic.name, streams, configs: topic.configs });
    Ok(())
}

fn stream_to(id: StreamId, stream: &Stream) -> wire::Stream {
    wire::Stream {
        id: id.0,
        leader: stream.leader.map(|leader| leader.0),
        leader_epoch: stream.leader_epoch,
        start: stream.start.0,
        base: stream.extents.first().map_or(stream.end, |first| first.base).0,
        counts: stream.extents().map(|extent| extent.range.end.0 - extent.range.start.0).collect(),
        bytes: stream.extents.iter().map(|extent| extent.bytes).collect(),
        objects: differences(stream.extents.iter().map(|extent| extent.object.0)).collect(),
        checkpoint: stream.checkpoint.map(|(offset, _)| offset.0),
        checkpoint_object: stream.checkpoint.map_or(0, |(_, object)| object.0),
    }
}

fn stream_from(
    state: &mut State,
    topic: TopicId,
    partition: u32,
    stream: wire::Stream,
) -> Result<(StreamId, Stream), CodecError> {
    let rows = rows([stream.counts.len(), stream.bytes.len(), stream.objects.len()])?;
    let mut refer = |object: u64| {
        let listed = state.objects.get_mut(&ObjectId(object));
        let listed = listed.ok_or_else(|| CodecError::malformed("an extent of an unlisted object"))?;
        listed.references = listed.references.saturating_add(1);
        Ok::<_, CodecError>(ObjectId(object))
    };
    let mut extents = Rows::default();
    let (mut base, mut object, mut bytes) = (stream.base, 0u64, 0u64);
    for i in 0..rows {
        object = object.wrapping_add_signed(stream.objects[i]);
        refer(object)?;
        bytes = bytes.saturating_add(stream.bytes[i]);
        extents.to_mut().push(Extent {
            base: Offset(base),
            bytes: stream.bytes[i],
            object: ObjectId(object),
        });
        let overflow = || CodecError::malformed("an offset beyond all numbers");
        base = base.checked_add(stream.counts[i]).ok_or_else(overflow)?;
    }
    let checkpoint = match stream.checkpoint {
        Some(offset) => Some((Offset(offset), refer(stream.checkpoint_object)?)),
        None => None,
    };
    let known = Stream {
        topic,
        partition,
        leader: stream.leader.map(BrokerEpoch),
        leader_epoch: stream.leader_epoch,
        start: Offset(stream.start),
        end: Offset(base),
        extents,
        bytes,
        checkpoint,
    };
    Ok((StreamId(stream.id), known))
}

fn is_wal(name: &ObjectName) -> bool {
    matches!(name, ObjectName::Wal { .. })
}

fn is_data(name: &ObjectName) -> bool {
    matches!(name, ObjectName::Data { .. })
}

/// Which epoch made an object, and its place in that.
fn place(name: &ObjectName) -> (u64, u64) {
    match name {
        ObjectName::Wal { epoch, slot, .. } => (epoch.0, slot.0),
        ObjectName::Data { epoch, number } => (epoch.0, *number),
    }
}

fn objects_to(objects: &ById<Object>, kind: impl Fn(&ObjectName) -> bool) -> wire::Objects {
    let rows = || objects.iter().filter(|(_, object)| kind(&object.name));
    wire::Objects {
        ids: differences(rows().map(|(id, _)| id.0)).collect(),
        epochs: differences(rows().map(|(_, o)| place(&o.name).0)).collect(),
        slots: differences(rows().map(|(_, o)| place(&o.name).1)).collect(),
        total_bytes: rows().map(|(_, o)| o.total_bytes).collect(),
        index_starts: rows().map(|(_, o)| o.index.start).collect(),
        index_bytes: rows().map(|(_, o)| o.index.end - o.index.start).collect(),
    }
}

/// Gives an object its name from its maker's epoch and its place in that.
type NameIt = fn(&State, BrokerEpoch, u64) -> Result<ObjectName, CodecError>;

fn objects_from(state: &mut State, objects: &wire::Objects, name_it: NameIt) -> Result<(), CodecError> {
    rows([objects.ids.len(), objects.index_starts.len(), objects.index_bytes.len()])?;
    let names = names_from(state, objects, name_it)?;
    for (i, (id, name)) in names.into_iter().enumerate() {
        let start = objects.index_starts[i];
        let index = start..start.saturating_add(objects.index_bytes[i]);
        state.objects.insert(id, Object { name, total_bytes: objects.total_bytes[i], index, references: 0 });
    }
    Ok(())
}

fn garbage_to(garbage: &ById<Garbage>, kind: impl Fn(&ObjectName) -> bool) -> wire::Objects {
    let rows = || garbage.iter().filter(|(_, garbage)| kind(&garbage.name));
    wire::Objects {
        ids: differences(rows().map(|(id, _)| id.0)).collect(),
        epochs: differences(rows().map(|(_, g)| place(&g.name).0)).collect(),
        slots: differences(rows().map(|(_, g)| place(&g.name).1)).collect(),
        total_bytes: rows().map(|(_, g)| g.total_bytes).collect(),
        index_starts: Vec::new(),
        index_bytes: Vec::new(),
    }
}

fn garbage_from(state: &mut State, garbage: &wire::Objects, name_it: NameIt) -> Result<(), CodecError> {
    let names = names_from(state, garbage, name_it)?;
    for ((id, name), &total_bytes) in names.into_iter().zip(&garbage.total_bytes) {
        state.garbage.insert(id, Garbage { name, total_bytes });
    }
    Ok(())
}

fn wal_name(state: &State, epoch: BrokerEpoch, slot: u64) -> Result<ObjectName, CodecError> {
    let wal = state.wals.get(&epoch).ok_or_else(|| CodecError::malformed("an object of no log"))?;
    Ok(ObjectName::Wal { node: wal.node, epoch, slot: Slot(slot) })
}

#[expect(clippy::unnecessary_wraps, reason = "the same call as for the other kind")]
fn data_name(_: &State, epoch: BrokerEpoch, number: u64) -> Result<ObjectName, CodecError> {
    Ok(ObjectName::Data { epoch, number })
}

fn names_from(
    state: &State,
    objects: &wire::Objects,
    name_it: NameIt,
) -> Result<Vec<(ObjectId, ObjectName)>, CodecError> {
    let rows =
        rows([objects.ids.len(), objects.epochs.len(), objects.slots.len(), objects.total_bytes.len()])?;
    let (mut id, mut epoch, mut place) = (0u64, 0u64, 0u64);
    let mut names = Vec::with_capacity(rows);
    for i in 0..rows {
        id = id.wrapping_add_signed(objects.ids[i]);
        epoch = epoch.wrapping_add_signed(objects.epochs[i]);
        place = place.wrapping_add_signed(objects.slots[i]);
        names.push((ObjectId(id), name_it(state, BrokerEpoch(epoch), place)?));
    }
    Ok(names)
}

/// Each number less the one before; the first one less 0.
fn differences(numbers: impl Iterator<Item = u64>) -> impl Iterator<Item = i64> {
    numbers.scan(0u64, |before, number| {
        let difference = number.wrapping_sub(*before).cast_signed();
        *before = number;
        Some(difference)
    })
}
