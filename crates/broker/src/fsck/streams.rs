//! What must hold of the metadata by itself: a partition's extents are without a hole, and every object counts the
//! references that there are to it. Pure.

use super::finding::{Finding, Problem, Severity};
use super::{Checker, records};
use levee_base::{HashMap, Offset};
use levee_meta::ObjectId;
use std::ops::Range;

/// The places where extents don't go on where they should: where that is, and where they do. `start` may lie within the
/// first one, or beyond all of them; then there are none.
pub(super) fn holes(
    start: Offset,
    end: Offset,
    extents: impl Iterator<Item = Range<Offset>>,
) -> Vec<(Offset, Offset)> {
    let mut at = start.min(end);
    let mut holes = Vec::new();
    for (i, extent) in extents.enumerate() {
        let meets = if i == 0 { extent.start <= at } else { extent.start == at };
        if !meets || extent.start >= extent.end {
            holes.push((at, extent.start));
        }
        at = extent.end;
    }
    if at != end {
        holes.push((at, end));
    }
    holes
}

/// Objects whose counts of references are wrong: what is counted, and what there is. Objects that are not listed count
/// nothing.
pub(super) fn miscounted(
    references: impl Iterator<Item = ObjectId>,
    counted: impl Iterator<Item = (ObjectId, u32)>,
) -> Vec<(ObjectId, Option<u32>, u32)> {
    let mut found: HashMap<ObjectId, u32> = HashMap::default();
    for object in references {
        *found.entry(object).or_default() += 1;
    }
    let mut wrong = Vec::new();
    for (object, count) in counted {
        let there = found.remove(&object).unwrap_or(0);
        if there != count || count == 0 {
            wrong.push((object, Some(count), there));
        }
    }
    wrong.extend(found.into_iter().map(|(object, there)| (object, None, there)));
    wrong.sort_unstable();
    wrong
}

impl Checker<'_> {
    /// Checks the metadata's references.
    pub(super) fn references(&mut self) {
        let state = self.observer.state();
        let mut findings = Vec::new();
        let (mut partitions, mut extents) = (0, 0);
        for (id, stream) in state.streams() {
            partitions += 1;
            extents += stream.extents().len() as u64;
            for (due, found) in holes(stream.start, stream.end, stream.extents().map(|extent| extent.range)) {
                let detail = format!(
                    "the metadata lists no object for offset {due} of stream {id}, and goes on at {found}"
                );
                let affected = records(state, id, due..found).into_iter().collect();
                findings.push(Finding::new(
                    Severity::Damage,
                    Problem::Discontinuous,
                    None,
                    None,
                    detail,
                    affected,
                ));
            }
        }
        let held = state.streams().flat_map(|(_, stream)| stream.extents().map(|extent| extent.object));
        let checkpoints =
            state.streams().filter_map(|(_, stream)| stream.checkpoint.map(|(_, object)| object));
        let counted = state.objects().map(|(id, object)| (id, object.references));
        for (id, counted, there) in miscounted(held.chain(checkpoints), counted) {
            let key = state.object(id).map(|object| object.name.key().to_string());
            let detail = match counted {
                Some(counted) => {
                    format!("the metadata counts {counted} references to it, and there are {there}")
                }
                None => {
                    format!("the metadata refers {there} times to object {}, which it does not list", id.0)
                }
            };
            findings.push(Finding::new(Severity::Damage, Problem::Miscounted, key, None, detail, vec![]));
        }
        if findings.is_empty()
            && let Err(violation) = state.check_invariants()
        {
            let detail = violation.to_string();
            findings.push(Finding::new(Severity::Damage, Problem::Miscounted, None, None, detail, vec![]));
        }
        (self.counts.partitions, self.counts.extents) = (partitions, extents);
        for finding in findings {
            self.found(finding);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holes_of(start: u64, end: u64, extents: &[(u64, u64)]) -> Vec<(u64, u64)> {
        let extents = extents.iter().map(|&(from, to)| Offset(from)..Offset(to));
        holes(Offset(start), Offset(end), extents).into_iter().map(|(due, found)| (due.0, found.0)).collect()
    }

    #[test]
    fn a_hole_is_found_wherever_it_is() {
        assert_eq!(holes_of(0, 0, &[]), []);
        assert_eq!(holes_of(7, 30, &[(5, 10), (10, 30)]), []);
        assert_eq!(holes_of(40, 30, &[]), [], "a start beyond the end keeps nothing");
        assert_eq!(holes_of(0, 30, &[]), [(0, 30)]);
        assert_eq!(holes_of(0, 30, &[(5, 30)]), [(0, 5)]);
        assert_eq!(holes_of(0, 30, &[(0, 10), (12, 30)]), [(10, 12)]);
        assert_eq!(holes_of(0, 30, &[(0, 12), (10, 30)]), [(12, 10)], "an overlap");
        assert_eq!(holes_of(0, 30, &[(0, 10), (10, 20)]), [(20, 30)]);
        assert_eq!(holes_of(0, 30, &[(0, 10), (10, 10), (10, 30)]), [(10, 10)], "an empty extent");
    }

    #[test]
    fn a_count_that_is_off_is_found_and_a_reference_to_nothing_too() {
        let (one, two, three) = (ObjectId(1), ObjectId(2), ObjectId(3));
        let wrong = |references: &[ObjectId], counted: &[(ObjectId, u32)]| {
            miscounted(references.iter().copied(), counted.iter().copied())
        };
        assert_eq!(wrong(&[one, two, one], &[(one, 2), (two, 1)]), []);
        assert_eq!(wrong(&[one, two, one], &[(one, 1), (two, 2)]), [(one, Some(1), 2), (two, Some(2), 1)]);
        assert_eq!(wrong(&[three], &[(one, 0)]), [(one, Some(0), 0), (three, None, 1)]);
    }
}
