//! Cutting what a reader asked for out of blocks: whole batches, from the one that holds the offset, up to a
//! number of bytes. The same for blocks in memory and blocks read from objects.
//!
//! Nothing is copied, with one exception: of bytes that were read from an object, a run that is a small part is copied
//! out. A slice keeps all of what it was cut from, so a reader that wants little of a large span would hold many times
//! the bytes that it is counted for, when the cache has let go of it.

use crate::format::{Block, Index};
use crate::types::Run;
use bytes::Bytes;
use levee_base::Offset;
use std::ops::Range;

/// A run that is less than one part in so many is copied out.
const APART: usize = 4;

/// Gathers runs.
#[derive(Debug)]
pub(crate) struct Runs {
    done: Vec<Run>,
    open: Option<OpenRun>,
    /// The next offset that is wanted.
    from: Offset,
    left: usize,
    /// The offset after the last batch that was taken.
    end: Offset,
    bytes: usize,
    /// The next batch is taken whatever its length.
    at_least_one: bool,
    /// A batch was left out because it was too large.
    full: bool,
    /// Small runs are copied out.
    apart: bool,
}

/// A run that the next block may go on.
#[derive(Debug)]
struct OpenRun {
    parent: Bytes,
    range: Range<usize>,
    base: Offset,
    end: Offset,
}

impl Runs {
    pub(crate) fn new(from: Offset, max_bytes: usize, at_least_one: bool) -> Self {
        Self {
            done: Vec::new(),
            open: None,
            from,
            left: max_bytes,
            end: from,
            bytes: 0,
            at_least_one,
            full: false,
            apart: false,
        }
    }

    /// For what need not stay in memory: keeps what was taken, not what it was cut from.
    pub(crate) fn apart(self) -> Self {
        Self { apart: true, ..self }
    }

    /// The next offset that is wanted.
    pub(crate) fn next(&self) -> Offset {
        self.from
    }

    /// Bytes that may still be taken.
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// The offset after the last batch that was taken; where it began if there is none.
    pub(crate) fn end(&self) -> Offset {
        self.end
    }

    /// Bytes that were taken.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing was taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Whether a batch was left out because it was too large.
    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    /// Takes what is wanted of a block that begins at `at` of `parent`, and passes over its gaps. Says whether more
    /// may be taken.
    pub(crate) fn add(&mut self, index: &Index, block: &Block, parent: &Bytes, at: usize) -> bool {
        let (mut offset, mut position) = (block.offsets.start, at);
        let (mut start, mut base) = (at, self.from);
        for batch in index.batches(block) {
            let end = Offset(offset.0 + u64::from(batch.count));
            let bytes = batch.bytes as usize;
            if end <= self.from {
                start = position + bytes;
            } else if batch.is_gap() {
                self.from = end;
            } else if bytes <= self.left || self.at_least_one {
                if start == position {
                    base = offset;
                }
                self.left = self.left.saturating_sub(bytes);
                self.bytes += bytes;
                self.at_least_one = false;
                (self.from, self.end) = (end, end);
            } else {
                self.full = true;
                break;
            }
            (offset, position) = (end, position + bytes);
        }
        if start < position {
            self.put(parent, start..position, base);
        }
        !self.full
    }

    fn put(&mut self, parent: &Bytes, range: Range<usize>, base: Offset) {
        if let Some(open) = &mut self.open
            && (open.parent.as_ptr(), open.parent.len()) == (parent.as_ptr(), parent.len())
            && open.range.end == range.start
        {
            (open.range.end, open.end) = (range.end, self.end);
            return;
        }
        self.close();
        self.open = Some(OpenRun { parent: parent.clone(), range, base, end: self.end });
    }

    fn close(&mut self) {
        if let Some(OpenRun { parent, range, base, end }) = self.open.take() {
            let bytes = if self.apart && range.len() < parent.len() / APART {
                Bytes::copy_from_slice(&parent[range])
            } else {
                parent.slice(range)
            };
            self.done.push(Run { base, end, bytes });
        }
    }

    /// What was gathered.
    pub(crate) fn finish(mut self) -> Vec<Run> {
        self.close();
        self.done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{BatchEntry, IndexBuilder};
    use levee_base::{Epoch, StreamId};

    /// One block at offset 10: batches of two offsets each, and gaps (no bytes). Batch `n` has bytes `n`.
    fn block(batches: &[u32]) -> (Index, Bytes) {
        let mut builder = IndexBuilder::default();
        let mut bytes = Vec::new();
        builder.begin_block(StreamId(1), 0, Offset(10), 4_096);
        for (n, length) in (0u8..).zip(batches) {
            builder.add_batch(BatchEntry { count: 2, bytes: *length, note: b"" }, 0);
            bytes.resize(bytes.len() + *length as usize, n);
        }
        let mut encoded = Vec::new();
        builder.encode(Epoch(1), 0, |part| encoded.extend_from_slice(part));
        (builder.into_index(Epoch(1), 0, &encoded.into()), bytes.into())
    }

    /// What a read gives: the offsets and the first byte of each run; and what it leaves.
    fn read(
        batches: &[u32],
        from: u64,
        max_bytes: usize,
        at_least_one: bool,
    ) -> (Vec<(u64, u64, u8, usize)>, Runs) {
        let (index, bytes) = block(batches);
        let mut runs = Runs::new(Offset(from), max_bytes, at_least_one);
        runs.add(&index, &index.blocks[0], &bytes, 0);
        let done = Runs { done: Vec::new(), open: runs.open.take(), ..runs };
        let (next, end, bytes, full) = (done.from, done.end, done.bytes, done.full);
        let given =
            done.finish().into_iter().map(|run| (run.base.0, run.end.0, run.bytes[0], run.bytes.len()));
        let left = Runs { from: next, end, bytes, full, ..Runs::new(next, 0, false) };
        (given.collect(), left)
    }

    #[test]
    fn gaps_are_passed_over_and_never_given() {
        let batches = [0, 3, 0, 0, 4, 0];
        let (given, left) = read(&batches, 10, 100, false);
        assert_eq!(given, [(12, 20, 1, 7)], "one run, as the bytes lie together");
        assert_eq!(
            (left.next(), left.end()),
            (Offset(22), Offset(20)),
            "it has looked at more than it gives"
        );
        assert_eq!(
            read(&batches, 15, 100, false).0,
            [(18, 20, 4, 4)],
            "a place in a gap is the next batch's"
        );
        assert_eq!(read(&batches, 13, 3, false).0, [(12, 14, 1, 3)], "a place in a batch is its own");
        let (given, left) = read(&batches, 20, 100, true);
        assert!(given.is_empty() && left.is_empty() && !left.is_full());
        assert_eq!((left.next(), left.end()), (Offset(22), Offset(20)));
    }

    #[test]
    fn a_gap_is_not_the_one_that_a_reader_gets_at_least() {
        assert_eq!(read(&[0, 3, 3], 10, 0, true).0, [(12, 14, 1, 3)]);
        let (given, left) = read(&[0, 3], 10, 2, false);
        assert!(given.is_empty() && left.is_full(), "it does not fit");
        assert_eq!(left.next(), Offset(12));
    }
}
