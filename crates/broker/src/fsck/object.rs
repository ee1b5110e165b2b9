//! One object against what the metadata says of it: header, index, extents, blocks. Pure: it is given bytes.

use super::{Part, Problem, batches};
use bytes::Bytes;
use levee_base::{ClusterId, Offset, StreamId};
use levee_meta::ObjectName;
use levee_object::Key;
use levee_object::log::LogHeader;
use levee_store::format::{Block, BlockKind, Index, ObjectHeader, ObjectKind};
use std::ops::Range;

/// An extent, as the metadata lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) stream: StreamId,
    pub(super) range: Range<Offset>,
    pub(super) bytes: u64,
}

/// What an object should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) name: ObjectName,
    pub(super) key: Key,
    pub(super) total_bytes: u64,
    pub(super) index: Range<u64>,
    pub(super) extents: Vec<Held>,
    /// Checkpoints in it that streams refer to.
    pub(super) checkpoints: Vec<(StreamId, Offset)>,
}

/// What a fault makes unreadable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Harm {
    /// All that the object holds.
    All,
    /// These offsets, as far as the metadata refers to them here.
    Offsets(StreamId, Range<Offset>),
    /// A stream's checkpoint.
    Checkpoint(StreamId, Offset),
    /// Nothing: what can be read does not agree with a count.
    Nothing,
}

/// Something about an object that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) problem: Problem,
    pub(super) part: Part,
    pub(super) detail: String,
    pub(super) harm: Harm,
}

impl Fault {
    pub(super) fn corrupt(part: Part, detail: impl ToString) -> Self {
        Self { problem: Problem::Corrupt, part, detail: detail.to_string(), harm: Harm::All }
    }
}

/// Checks an object's first 4 KiB, and that they belong to the object of this name.
pub(super) fn check_header(
    bytes: &[u8],
    name: &ObjectName,
    cluster: ClusterId,
) -> Result<ObjectHeader, Fault> {
    let fault = |detail: String| Fault::corrupt(Part::Header, detail);
    let log = LogHeader::decode(bytes).map_err(|error| fault(error.to_string()))?;
    let header = ObjectHeader::decode(bytes).map_err(|error| fault(error.to_string()))?;
    let same = header.cluster == log.cluster
        && (header.epoch, header.number) == (log.epoch, log.slot.0)
        && (header.writer, header.total_bytes) == (log.writer, log.total_bytes);
    if !same {
        return Err(fault("the object header does not agree with the log's header".to_owned()));
    }
    if header.cluster != cluster {
        return Err(fault(format!(
            "it belongs to cluster {}, and this is cluster {cluster}",
            header.cluster
        )));
    }
    let (epoch, number, wal) = match *name {
        ObjectName::Wal { epoch, slot, .. } => (epoch.0, slot.0, true),
        ObjectName::Data { epoch, number } => (epoch.0, number, false),
    };
    if (header.epoch.0, header.number) != (epoch, number) {
        let says = format!("it says that it is number {} of epoch {}", header.number, header.epoch);
        return Err(fault(says));
    }
    if wal != (header.kind == ObjectKind::Wal) {
        return Err(fault(format!("it is of the kind {:?}", header.kind)));
    }
    Ok(header)
}

/// Checks that a header says what the metadata says.
pub(super) fn check_registered(header: &ObjectHeader, expected: &Expected) -> Option<Fault> {
    let agrees = header.total_bytes == expected.total_bytes && header.index == expected.index;
    (!agrees).then(|| {
        let detail = format!(
            "it has {} bytes and its index at {:?}, and the metadata lists {} and {:?}",
            header.total_bytes, header.index, expected.total_bytes, expected.index
        );
        Fault::corrupt(Part::Header, detail)
    })
}

/// Checks the index of an object.
pub(super) fn check_index(bytes: &Bytes, name: &ObjectName, range: &Range<u64>) -> Result<Index, Fault> {
    let due = range.end.saturating_sub(range.start);
    if (bytes.len() as u64) < due {
        let found = bytes.len();
        return Err(Fault::corrupt(
            Part::Index,
            format!("it is cut short: {found} bytes of {due} are there"),
        ));
    }
    let index = Index::decode(bytes, range.start).map_err(|error| Fault::corrupt(Part::Index, error))?;
    let own = match *name {
        ObjectName::Wal { epoch, slot, .. } => (epoch.0, slot.0),
        ObjectName::Data { epoch, number } => (epoch.0, number),
    };
    if (index.epoch.0, index.number) == own {
        Ok(index)
    } else {
        Err(Fault::corrupt(Part::Index, "it is another object's"))
    }
}

/// Checks that the index has what the metadata refers to: each extent whole, contiguous, and of as many bytes.
pub(super) fn check_extents(index: &Index, expected: &Expected) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut blocks: Vec<&Block> = index.blocks.iter().filter(|b| b.kind == BlockKind::Batches).collect();
    blocks.sort_by_key(|block| (block.stream, block.offsets.start, block.leader_epoch));
    for Held { stream, range, bytes } in &expected.extents {
        let (mut next, mut found) = (range.start, 0u64);
        let first =
            blocks.partition_point(|block| (block.stream, block.offsets.start) < (*stream, range.start));
        let mut own = blocks[first..]
            .iter()
            .take_while(|b| b.stream == *stream && b.offsets.end <= range.end)
            .peekable();
        while let Some(block) = own.next() {
            // The same offset under two leaders: the later one's counts.
            let superseded = own.peek().is_some_and(|after| after.offsets.start == block.offsets.start);
            if block.offsets.start == next && !superseded {
                next = block.offsets.end;
                found = found.saturating_add(u64::from(block.bytes));
            }
        }
        if next != range.end {
            let (from, to) = (range.start, range.end);
            faults.push(Fault {
                problem: Problem::Discontinuous,
                part: Part::Index,
                detail: format!(
                    "the metadata lists offsets {from} to {to} here, and from {next} on the index has none"
                ),
                harm: Harm::Offsets(*stream, next..range.end),
            });
        } else if found != *bytes {
            faults.push(Fault {
                problem: Problem::Miscounted,
                part: Part::Index,
                detail: format!(
                    "the index has {found} bytes of stream {stream}, and the metadata counts {bytes}"
                ),
                harm: Harm::Nothing,
            });
        }
    }
    for &(stream, offset) in &expected.checkpoints {
        let there = index.blocks.iter().any(|block| {
            block.kind == BlockKind::Checkpoint && (block.stream, block.offsets.start) == (stream, offset)
        });
        if !there {
            faults.push(Fault {
                problem: Problem::Missing,
                part: Part::Checkpoint,
                detail: format!("the index has no checkpoint of stream {stream} as of offset {offset}"),
                harm: Harm::Checkpoint(stream, offset),
            });
        }
    }
    faults
}

/// Checks a block and its batches. Returns how many batches there are.
pub(super) fn check_block(index: &Index, block: &Block, bytes: &[u8], faults: &mut Vec<Fault>) -> u64 {
    let checkpoint = block.kind == BlockKind::Checkpoint;
    match block.verify(bytes) {
        Ok(()) if checkpoint => 0,
        Ok(()) => batches::check(index, block, bytes, faults),
        Err(error) => {
            let Range { start, end } = block.range();
            faults.push(Fault {
                problem: Problem::Corrupt,
                part: if checkpoint { Part::Checkpoint } else { Part::Block },
                detail: format!("the block at bytes {start} to {end}: {error}"),
                harm: if checkpoint {
                    Harm::Checkpoint(block.stream, block.offsets.start)
                } else {
                    Harm::Offsets(block.stream, block.offsets.clone())
                },
            });
            0
        }
    }
}

/// Joins blocks that have bytes into ranges of at most `most` bytes, but for a block that is longer.
pub(super) fn pieces(blocks: &[Block], most: u64) -> Vec<(Range<u64>, Range<usize>)> {
    let mut joined: Vec<(Range<u64>, Range<usize>)> = Vec::new();
    for (at, block) in blocks.iter().enumerate() {
        let range = block.range();
        match joined.last_mut() {
            Some((bytes, members)) if range.end - bytes.start <= most => {
                bytes.end = range.end;
                members.end = at + 1;
            }
            _ => joined.push((range, at..at + 1)),
        }
    }
    joined.retain(|(bytes, _)| bytes.start < bytes.end);
    joined
}

#[cfg(test)]
#[path = "object_tests.rs"]
mod tests;
