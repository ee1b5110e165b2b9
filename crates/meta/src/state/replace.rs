//! Compaction's commit: objects in the place of parts of streams, holding the same offsets.
//!
//! Whoever compacted worked on an older state. A stream that was deleted meanwhile, or another compaction's, is left
//! out, and the rest goes on; of a stream whose start moved on only what is still kept is taken. A command that
//! contradicts itself is refused whole.

use crate::answer::{Answer, Refusal};
use crate::command::{NewExtent, NewObject, Replaced, Sender};
use crate::ids::{ObjectId, ObjectName};
use crate::state::State;
use crate::state::streams::{Extent, Stream};
use levee_base::{Offset, StreamId};
use std::collections::BTreeMap;
use std::ops::Range;

/// What replaces a part, in order, each with its object's place.
type Tiles<'a> = Vec<(usize, &'a NewExtent)>;

impl State {
    pub(super) fn replace(
        &mut self,
        sender: Sender,
        objects: &[NewObject],
        replaced: &[Replaced],
    ) -> Result<Answer, Refusal> {
        let epoch = self.check_numbers(sender, objects.iter().map(|object| object.number))?;
        objects.iter().try_for_each(NewObject::check)?;
        let tiles = tiles(objects, replaced)?;
        let ids: Vec<ObjectId> = objects.iter().map(|object| self.add_new_object(epoch, object)).collect();
        let mut left_out = 0;
        for (part, tiles) in replaced.iter().zip(tiles) {
            left_out += u32::from(!self.replace_part(part, &tiles, &ids));
        }
        for (object, id) in objects.iter().zip(&ids) {
            for &(stream, offset) in &object.checkpoints {
                self.set_checkpoint(epoch, stream, offset, *id);
            }
        }
        for id in ids {
            self.discard_unreferenced(id);
        }
        Ok(Answer::Replaced { left_out })
    }

    /// Whether it was replaced.
    fn replace_part(&mut self, part: &Replaced, tiles: &Tiles<'_>, ids: &[ObjectId]) -> bool {
        let Some(stream) = self.streams.get(&part.stream) else { return false };
        let Some(found) = self.find_part(stream, part) else { return false };
        let start = stream.start;
        let new: Vec<Extent> = tiles
            .iter()
            .filter(|(_, tile)| tile.range.end > start)
            .map(|(object, tile)| Extent { base: tile.range.start, bytes: tile.bytes, object: ids[*object] })
            .collect();
        let Some(stream) = self.streams.get_mut(&part.stream) else { return false };
        let added: u64 = new.iter().map(|extent| extent.bytes).fold(0, u64::saturating_add);
        let referred: Vec<ObjectId> = new.iter().map(|extent| extent.object).collect();
        let gone: Vec<Extent> = stream.extents.to_mut().splice(found, new).collect();
        let removed = gone.iter().map(|extent| extent.bytes).fold(0, u64::saturating_add);
        stream.bytes = stream.bytes.saturating_add(added).saturating_sub(removed);
        for object in referred {
            self.refer(object);
        }
        for extent in gone {
            self.release(extent.object);
        }
        true
    }

    /// Where the extents of a part are, if they are what the command says. Those that are missing in front must have
    /// gone with the start.
    fn find_part(&self, stream: &Stream, part: &Replaced) -> Option<Range<usize>> {
        let from = stream.extents.partition_point(|extent| extent.base < part.range.start);
        let to = stream.extents.partition_point(|extent| extent.base < part.range.end);
        let found = &stream.extents[from..to];
        let gone = part.objects.len().checked_sub(found.len())?;
        let whole = gone == 0 && found.first()?.base == part.range.start;
        let shortened = gone > 0 && from == 0 && stream.start > part.range.start;
        let ends = found.last().is_some() && stream.extent_end(to - 1) == part.range.end;
        let same = |(extent, name): (&Extent, &ObjectName)| {
            self.objects.get(&extent.object).is_some_and(|object| object.name == *name)
        };
        let held = found.iter().zip(&part.objects[gone..]).all(same);
        ((whole || shortened) && ends && held).then_some(from..to)
    }
}

/// What replaces each part: the new extents, which must be exactly its offsets.
fn tiles<'a>(objects: &'a [NewObject], replaced: &[Replaced]) -> Result<Vec<Tiles<'a>>, Refusal> {
    let mut by_place: BTreeMap<(StreamId, Offset), (usize, &NewExtent)> = BTreeMap::new();
    for (at, object) in objects.iter().enumerate() {
        for extent in &object.extents {
            let stream = extent.stream;
            if by_place.insert((stream, extent.range.start), (at, extent)).is_some() {
                return Err(Refusal::NotTiled { stream });
            }
        }
    }
    // Parts of a stream that overlap would name what the command itself has put there.
    let mut ranges: Vec<_> =
        replaced.iter().map(|part| (part.stream, part.range.start, part.range.end)).collect();
    ranges.sort_unstable();
    let overlap = ranges.windows(2).find(|pair| pair[0].0 == pair[1].0 && pair[1].1 < pair[0].2);
    if let Some(pair) = overlap {
        return Err(Refusal::NotTiled { stream: pair[0].0 });
    }
    let mut all = Vec::with_capacity(replaced.len());
    for Replaced { stream, range, objects } in replaced {
        let not = Refusal::NotTiled { stream: *stream };
        if range.start >= range.end || objects.is_empty() {
            return Err(not);
        }
        let (mut next, mut tiles) = (range.start, Vec::new());
        while next < range.end {
            let tile = by_place.remove(&(*stream, next)).ok_or_else(|| not.clone())?;
            next = tile.1.range.end;
            tiles.push(tile);
        }
        if next != range.end {
            return Err(not);
        }
        all.push(tiles);
    }
    match by_place.first_key_value() {
        Some((&(stream, _), _)) => Err(Refusal::NotTiled { stream }),
        None => Ok(all),
    }
}
