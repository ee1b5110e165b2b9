//! Which requests bring what compaction wants of objects. Pure.
//!
//! What is wanted comes in the order in which it is written anew: sorted by stream, while each stream's pieces lie in
//! many objects. Most objects are sorted by stream too, so neighbours in an object are wanted one soon after the other,
//! and one request brings them all; what it brings is held until the last of it was taken. An object has one request at a
//! time that is partly taken, so of `objects` objects no more than `objects * most` bytes are held.

use levee_base::limits::COMPACT_GAP_BYTES;
use std::ops::Range;

/// A part of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    /// Which object.
    pub(super) object: usize,
    /// Where, in bytes from its start.
    pub(super) range: Range<u64>,
    /// How much of what is wanted it brings.
    pub(super) brings: usize,
}

/// The requests for `wanted` (an object's number below `objects`, and where in it, in order), of `most` bytes each but
/// for what is longer by itself; and for each of `wanted` which request brings it. Each request is first needed after
/// the one before it. What has no bytes needs none.
pub(super) fn requests(
    wanted: &[(usize, Range<u64>)],
    objects: usize,
    most: u64,
) -> (Vec<Request>, Vec<Option<usize>>) {
    let mut requests: Vec<Request> = Vec::new();
    let mut last: Vec<Option<usize>> = vec![None; objects];
    let mut brought = Vec::with_capacity(wanted.len());
    for (object, range) in wanted {
        if range.is_empty() {
            brought.push(None);
            continue;
        }
        let at = match last[*object] {
            Some(at) if joins(&mut requests[at], range, most) => at,
            _ => {
                requests.push(Request { object: *object, range: range.clone(), brings: 0 });
                requests.len() - 1
            }
        };
        requests[at].brings += 1;
        last[*object] = Some(at);
        brought.push(Some(at));
    }
    (requests, brought)
}

/// Has `request` bring `range` too, if that lies in it or close behind it.
fn joins(request: &mut Request, range: &Range<u64>, most: u64) -> bool {
    let own = &mut request.range;
    let within = own.start <= range.start && range.end <= own.end;
    let behind = own.end <= range.start && range.start - own.end <= COMPACT_GAP_BYTES;
    let joins = within || behind && range.end - own.start <= most;
    if joins {
        own.end = own.end.max(range.end);
    }
    joins
}

#[cfg(test)]
mod tests {
    use super::*;
    use levee_base::HashMap;
    use proptest::prelude::*;

    #[test]
    fn pieces_of_many_streams_in_objects_that_are_sorted_are_few_requests() {
        const PIECE: u64 = 1_000;
        let piece = |stream: u64, object: usize| (object, stream * PIECE..(stream + 1) * PIECE);
        let wanted: Vec<_> =
            (0..500).flat_map(|stream| (0..4).map(move |object| piece(stream, object))).collect();
        let (all, brought) = requests(&wanted, 4, 100_000);
        assert_eq!(all.len(), 4 * 5);
        assert_eq!(brought[..6], [Some(0), Some(1), Some(2), Some(3), Some(0), Some(1)]);
        let (apart, _) =
            requests(&[(0, 0..10), (0, 10 + COMPACT_GAP_BYTES + 1..COMPACT_GAP_BYTES + 20)], 1, u64::MAX);
        assert_eq!(apart.len(), 2, "what lies far apart is not joined");
    }

    proptest! {
        /// Whatever is wanted in whatever order: all of it is brought, in requests that are first needed one after the
        /// other, and no more is held than is said.
        #[test]
        fn all_that_is_wanted_is_brought_and_what_is_held_is_bounded(
            wanted in prop::collection::vec((0usize..5, 0u64..3_000_000, 0u64..50_000), 0..200),
            sorted: bool, most in 1u64..1_000_000,
        ) {
            let mut wanted: Vec<_> =
                wanted.into_iter().map(|(object, at, bytes)| (object, at..at + bytes)).collect();
            if sorted {
                wanted.sort_by_key(|(_, range)| range.start);
            }
            let (requests, brought) = requests(&wanted, 5, most);
            let longest = wanted.iter().map(|(_, range)| range.end - range.start).max().unwrap_or(0);
            let (mut left, mut received): (HashMap<usize, usize>, _) = (HashMap::default(), 0);
            for ((object, range), request) in wanted.iter().zip(&brought) {
                let Some(at) = *request else {
                    prop_assert!(range.is_empty());
                    continue;
                };
                let request = &requests[at];
                prop_assert!(request.object == *object);
                prop_assert!(request.range.start <= range.start && range.end <= request.range.end);
                prop_assert!(request.range.end - request.range.start <= most.max(longest));
                if at == received {
                    received += 1;
                    left.insert(at, request.brings);
                }
                let more = left.get_mut(&at);
                prop_assert!(more.is_some(), "it came before, and not all of it was taken");
                *more.unwrap() -= 1;
                left.retain(|_, more| *more > 0);
                prop_assert!(left.len() <= 5, "one request for each object");
            }
            prop_assert_eq!(received, requests.len());
            prop_assert!(left.is_empty());
        }
    }
}
