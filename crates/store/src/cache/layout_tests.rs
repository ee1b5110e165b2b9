//! Tests of how an index is cut into spans: every block in one, none too long.

use super::*;
use crate::format::{BatchEntry, IndexBuilder};
use bytes::Bytes;
use levee_base::Epoch;
use levee_base::limits::OBJECT_HEADER_BYTES;
use proptest::prelude::*;

const CUT: Cut = Cut { one: 200_000, mixed: 10_000 };

/// Blocks one after the other: stream, bytes of its one batch (0 is a gap), and bytes before it that are no block's.
fn index(blocks: &[(u64, u32, u64)]) -> Arc<Index> {
    let mut builder = IndexBuilder::default();
    let mut position = OBJECT_HEADER_BYTES as u64;
    let mut ends = [0; 8];
    for &(stream, bytes, before) in blocks {
        position += before;
        let end = &mut ends[stream as usize];
        builder.begin_block(StreamId(stream), 0, Offset(*end), position);
        builder.add_batch(BatchEntry { count: 2, bytes, note: b"" }, 0);
        *end += 2;
        position += u64::from(bytes);
    }
    let mut encoded = Vec::new();
    builder.encode(Epoch(1), 1, |bytes| encoded.extend_from_slice(bytes));
    Arc::new(builder.into_index(Epoch(1), 1, &Bytes::from(encoded)))
}

fn ranges(blocks: &[(u64, u32, u64)]) -> Vec<Range<u32>> {
    let layout = Layout::new(index(blocks), CUT);
    layout.spans.iter().map(|span| span.blocks.clone()).collect()
}

#[test]
fn blocks_of_one_stream_are_read_together_and_those_of_several_while_they_are_small() {
    let far = READ_GAP_BYTES;
    // Beyond what is read whole.
    let large = (7, 70_000, 0);
    assert_eq!(ranges(&[large, (1, 100_000, 0), (1, 100_000, 0), (1, 1, 0)]), [0..1, 1..3, 3..4]);
    assert_eq!(ranges(&[large, (1, 5_000, 0), (2, 5_000, 0), (3, 1, 0)]), [0..1, 1..3, 3..4]);
    assert_eq!(
        ranges(&[large, (1, 500, 0), (2, 5_000, 0), (2, 9_000, 0)]),
        [0..1, 1..3, 3..4],
        "two streams'"
    );
    assert_eq!(ranges(&[large, (1, 500, 0), (1, 500, far), (1, 500, far + 1)]), [0..1, 1..3, 3..4]);
    assert_eq!(
        ranges(&[large, (1, 500, 0), (1, 0, 0), (1, 500, 0), (1, 0, 0)]),
        [0..1, 1..4],
        "gaps have no bytes"
    );
    assert_eq!(
        ranges(&[(1, 20_000, 0), (2, 20_000, 0), (3, 500, 0)]),
        vec![0..3],
        "a small object is read whole"
    );
    assert_eq!(ranges(&[(1, 0, 0)]), [], "nothing is to be read");
}

proptest! {
    #[test]
    fn each_block_is_in_one_span_and_is_found_by_its_stream(
        blocks in prop::collection::vec((0u64..4, prop_oneof![Just(0u32), 1u32..30_000], 0u64..90_000), 1..40),
        from in 0u64..40, range in (0u64..20, 0u64..20),
    ) {
        let index = index(&blocks);
        let layout = Layout::new(index.clone(), CUT);
        for (at, block) in (0u32..).zip(&index.blocks) {
            let of: Vec<_> = layout.spans.iter().filter(|span| span.blocks.contains(&at)).collect();
            match layout.span_of(at) {
                Some(span) => {
                    prop_assert_eq!(&of, &[layout.span(span)]);
                    let bytes = &layout.span(span).bytes;
                    prop_assert!(bytes.start <= block.position && block.range().end <= bytes.end);
                }
                None => prop_assert!(block.bytes == 0),
            }
        }
        prop_assert!(layout.spans.windows(2).all(|pair| pair[0].bytes.end <= pair[1].bytes.start));
        let small = index.blocks.last().unwrap().range().end <= OBJECT_HEAD_BYTES as u64;
        for span in layout.spans.iter().filter(|span| span.blocks.len() > 1 && !small) {
            let mut streams: Vec<_> = span.blocks.clone()
                .filter(|at| layout.block(*at).bytes > 0).map(|at| layout.block(at).stream).collect();
            streams.dedup();
            let most = if streams.len() == 1 { CUT.one } else { CUT.mixed };
            prop_assert!(span.bytes.end - span.bytes.start <= most);
        }
        let range = Offset(range.0 * 2)..Offset((range.0 + range.1) * 2);
        for stream in 0..4 {
            let found: Vec<_> = layout.blocks(StreamId(stream), &range, Offset(from)).collect();
            let expected: Vec<_> = (0u32..).zip(&index.blocks).filter(|(_, block)| {
                block.stream == StreamId(stream) && block.offsets.end > Offset(from)
                    && range.start <= block.offsets.start && block.offsets.end <= range.end
            }).map(|(at, _)| at).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
