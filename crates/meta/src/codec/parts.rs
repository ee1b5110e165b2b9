//! The parts of commands that come in numbers, to and from their messages: objects, extents, what is replaced.

use super::{CodecError, rows, wire};
use crate::command::{NewExtent, NewObject, Registration, Replaced};
use crate::ids::ObjectName;
use levee_base::{BrokerEpoch, NodeId, Offset, Slot, StreamId};
use std::ops::Range;

pub(super) fn registration_to(object: &Registration) -> wire::Registration {
    let extents = || object.extents.iter();
    wire::Registration {
        slot: object.slot.0,
        total_bytes: object.total_bytes,
        index_start: object.index.start,
        // A range that is upside down is refused by `apply`; it must get there as what it is.
        index_bytes: object.index.end.wrapping_sub(object.index.start),
        streams: extents().map(|extent| extent.stream.0).collect(),
        leader_epochs: extents().map(|extent| extent.leader_epoch).collect(),
        bases: extents().map(|extent| extent.range.start.0).collect(),
        counts: extents().map(|extent| extent.range.end.0.wrapping_sub(extent.range.start.0)).collect(),
        bytes: extents().map(|extent| extent.bytes).collect(),
    }
}

pub(super) fn registration_from(object: wire::Registration) -> Result<Registration, CodecError> {
    let wire::Registration { streams, leader_epochs, bases, counts, bytes, .. } = object;
    let rows = rows([streams.len(), leader_epochs.len(), bases.len(), counts.len(), bytes.len()])?;
    let extents = (0..rows).map(|i| NewExtent {
        stream: StreamId(streams[i]),
        leader_epoch: leader_epochs[i],
        range: offsets(bases[i], counts[i]),
        bytes: bytes[i],
    });
    let index = object.index_start..object.index_start.wrapping_add(object.index_bytes);
    let extents = extents.collect();
    Ok(Registration { slot: Slot(object.slot), total_bytes: object.total_bytes, index, extents })
}

fn offsets(base: u64, count: u64) -> Range<Offset> {
    Offset(base)..Offset(base.wrapping_add(count))
}

pub(super) fn new_object_to(object: &NewObject) -> wire::NewObject {
    let extents = || object.extents.iter();
    wire::NewObject {
        number: object.number,
        total_bytes: object.total_bytes,
        index_start: object.index.start,
        index_bytes: object.index.end.wrapping_sub(object.index.start),
        streams: extents().map(|extent| extent.stream.0).collect(),
        leader_epochs: extents().map(|extent| extent.leader_epoch).collect(),
        bases: extents().map(|extent| extent.range.start.0).collect(),
        counts: extents().map(|extent| extent.range.end.0.wrapping_sub(extent.range.start.0)).collect(),
        bytes: extents().map(|extent| extent.bytes).collect(),
        checkpoint_streams: object.checkpoints.iter().map(|(stream, _)| stream.0).collect(),
        checkpoint_offsets: object.checkpoints.iter().map(|(_, offset)| offset.0).collect(),
    }
}

pub(super) fn new_object_from(object: wire::NewObject) -> Result<NewObject, CodecError> {
    let wire::NewObject { streams, leader_epochs, bases, counts, bytes, .. } = &object;
    let count = rows([streams.len(), leader_epochs.len(), bases.len(), counts.len(), bytes.len()])?;
    let extents = (0..count).map(|i| NewExtent {
        stream: StreamId(streams[i]),
        leader_epoch: leader_epochs[i],
        range: offsets(bases[i], counts[i]),
        bytes: bytes[i],
    });
    rows([object.checkpoint_streams.len(), object.checkpoint_offsets.len()])?;
    let checkpoints = object.checkpoint_streams.iter().zip(&object.checkpoint_offsets);
    Ok(NewObject {
        number: object.number,
        total_bytes: object.total_bytes,
        index: object.index_start..object.index_start.wrapping_add(object.index_bytes),
        extents: extents.collect(),
        checkpoints: checkpoints.map(|(&stream, &offset)| (StreamId(stream), Offset(offset))).collect(),
    })
}

pub(super) fn replaced_to(replaced: &Replaced) -> wire::Replaced {
    let names = || replaced.objects.iter();
    wire::Replaced {
        stream: replaced.stream.0,
        base: replaced.range.start.0,
        count: replaced.range.end.0.wrapping_sub(replaced.range.start.0),
        nodes: names().map(|name| columns(name).0).collect(),
        epochs: names().map(|name| columns(name).1).collect(),
        numbers: names().map(|name| columns(name).2).collect(),
    }
}

pub(super) fn replaced_from(replaced: wire::Replaced) -> Result<Replaced, CodecError> {
    let wire::Replaced { stream, base, count, nodes, epochs, numbers } = replaced;
    let count_names = rows([nodes.len(), epochs.len(), numbers.len()])?;
    let name = |i: usize| match nodes[i].checked_sub(1) {
        None => Ok(ObjectName::Data { epoch: BrokerEpoch(epochs[i]), number: numbers[i] }),
        Some(node) => Ok(ObjectName::Wal {
            node: NodeId(u32::try_from(node).map_err(CodecError::malformed)?),
            epoch: BrokerEpoch(epochs[i]),
            slot: Slot(numbers[i]),
        }),
    };
    let objects = (0..count_names).map(name).collect::<Result<_, _>>()?;
    Ok(Replaced { stream: StreamId(stream), range: offsets(base, count), objects })
}

fn columns(name: &ObjectName) -> (u64, u64, u64) {
    match name {
        ObjectName::Data { epoch, number } => (0, epoch.0, *number),
        ObjectName::Wal { node, epoch, slot } => (u64::from(node.0) + 1, epoch.0, slot.0),
    }
}
