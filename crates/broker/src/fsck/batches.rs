//! The record batches of a block: each whole, with its own checksum, at the offset that the index gives it. Pure, and
//! the only part that knows what a batch is.

use super::object::{Fault, Harm};
use super::{Part, Problem};
use crate::batch::{BatchView, Marker};
use crate::partition::note::Note;
use levee_base::Offset;
use levee_store::format::{BatchEntry, Block, Index};

/// Checks the batches of `block`, whose bytes are what the index says. Returns how many there are.
pub(super) fn check(index: &Index, block: &Block, bytes: &[u8], faults: &mut Vec<Fault>) -> u64 {
    let (mut base, mut at, mut batches) = (block.offsets.start, 0usize, 0);
    for entry in index.batches(block) {
        let end = Offset(base.0 + u64::from(entry.count));
        if !entry.is_gap() {
            batches += 1;
            let whole = bytes.get(at..at + entry.bytes as usize).unwrap_or_default();
            if let Err(detail) = check_one(whole, base, &entry, block.leader_epoch) {
                let start = block.position + at as u64;
                faults.push(Fault {
                    problem: Problem::Corrupt,
                    part: Part::Batch,
                    detail: format!(
                        "the batch at bytes {start} to {}: {detail}",
                        start + u64::from(entry.bytes)
                    ),
                    harm: Harm::Offsets(block.stream, base..end),
                });
            }
            at += entry.bytes as usize;
        }
        base = end;
    }
    batches
}

fn check_one(bytes: &[u8], base: Offset, entry: &BatchEntry<'_>, leader_epoch: u32) -> Result<(), String> {
    let view = BatchView::first(bytes).ok_or("it is no record batch of version 2")?;
    if view.bytes().len() != bytes.len() {
        return Err(format!("it is {} bytes long where the index has {}", view.bytes().len(), bytes.len()));
    }
    if view.crc() != view.computed_crc() {
        return Err("its own checksum is wrong".to_owned());
    }
    if u64::try_from(view.base_offset()) != Ok(base.0) {
        return Err(format!("its base offset is {} where the index has {base}", view.base_offset()));
    }
    let count = i64::from(view.last_offset_delta()) + 1;
    if count != i64::from(entry.count) {
        return Err(format!("it takes {count} offsets where the index has {}", entry.count));
    }
    if u32::try_from(view.leader_epoch()) != Ok(leader_epoch) {
        return Err(format!(
            "its leader epoch is {} where the index has {leader_epoch}",
            view.leader_epoch()
        ));
    }
    let note = Note::decode(entry.note).map_err(|error| error.to_string())?;
    let (of_note, of_batch) = (
        (note.leader_epoch, note.producer_id, note.producer_epoch, note.base_sequence),
        (view.leader_epoch(), view.producer_id(), view.producer_epoch(), view.base_sequence()),
    );
    if of_note != of_batch {
        return Err(format!(
            "the index notes leader epoch, producer, its epoch and sequence as {of_note:?}, and it has {of_batch:?}"
        ));
    }
    let (of_note, of_batch) = (note.marker, Marker::read(&view));
    if of_note != of_batch {
        return Err(format!("the index notes it as the marker {of_note:?}, and it is {of_batch:?}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::build::Build;

    #[test]
    fn a_note_says_of_a_marker_what_the_marker_says() {
        let bytes = Build::marker(1, 7, 2, false).at(5, 3).bytes();
        let note = Note::of(&BatchView::first(&bytes).unwrap(), 1);
        let check = |note: &Note| {
            let note = note.encode();
            let entry = BatchEntry { count: 1, bytes: bytes.len() as u32, note: &note };
            check_one(&bytes, Offset(5), &entry, 3)
        };
        assert_eq!(check(&note), Ok(()));
        let other = Some(Marker { commit: true, coordinator_epoch: 0 });
        assert!(check(&Note { marker: other, ..note }).unwrap_err().contains("marker"));
        assert!(check(&Note { marker: None, ..note }).is_err());
    }
}
