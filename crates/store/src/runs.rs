//! Cutting what a reader asked for out of blocks: whole batches, from the one that holds the offset, up to a
//! number of bytes. The same for blocks in memory and blocks read from objects.
//!
//! Nothing is copied, with one exception: of bytes that were read for this reader alone, a run that is less than
//! half is copied out. A slice keeps all of what it was cut from, so a reader that wants little of a large block
//! would hold many times the bytes that it is counted for.

use crate::format::{Block, Index};
use crate::types::Run;
use bytes::Bytes;
use levee_base::Offset;
use std::ops::Range;

/// Gathers runs.
#[derive(Debug)]
pub(crate) struct Runs {
    done: Vec<Run>,
    open: Option<OpenRun>,
    /// The next offset that is wanted.
    from: Offset,
    left: usize,
    /// The next batch is taken whatever its length.
    at_least_one: bool,
    /// Small runs are copied out.
    apart: bool,
}

/// A run that the next block may go on.
#[derive(Debug)]
struct OpenRun {
    parent: Bytes,
    range: Range<usize>,
    base: Offset,
}

impl Runs {
    pub(crate) fn new(from: Offset, max_bytes: usize, at_least_one: bool) -> Self {
        Self { done: Vec::new(), open: None, from, left: max_bytes, at_least_one, apart: false }
    }

    /// For blocks that nobody else holds: keeps what was taken, not what it was cut from.
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

    /// Takes what is wanted of a block that begins at `at` of `parent`. Says whether more may be taken: not when
    /// a batch was left out because it was too large.
    pub(crate) fn add(&mut self, index: &Index, block: &Block, parent: &Bytes, at: usize) -> bool {
        let (mut offset, mut position) = (block.offsets.start, at);
        let (mut start, mut base, mut more) = (at, self.from, true);
        for batch in index.batches(block) {
            let end = Offset(offset.0 + u64::from(batch.count));
            let bytes = batch.bytes as usize;
            if end <= self.from {
                start = position + bytes;
            } else if bytes <= self.left || self.at_least_one {
                if start == position {
                    base = offset;
                }
                self.left = self.left.saturating_sub(bytes);
                self.at_least_one = false;
                self.from = end;
            } else {
                more = false;
                break;
            }
            (offset, position) = (end, position + bytes);
        }
        if start < position {
            self.put(parent, start..position, base);
        }
        more
    }

    fn put(&mut self, parent: &Bytes, range: Range<usize>, base: Offset) {
        if let Some(open) = &mut self.open
            && (open.parent.as_ptr(), open.parent.len()) == (parent.as_ptr(), parent.len())
            && open.range.end == range.start
        {
            open.range.end = range.end;
            return;
        }
        self.close(base);
        self.open = Some(OpenRun { parent: parent.clone(), range, base });
    }

    fn close(&mut self, end: Offset) {
        if let Some(OpenRun { parent, range, base }) = self.open.take() {
            let bytes = if self.apart && range.len() < parent.len() / 2 {
                Bytes::copy_from_slice(&parent[range])
            } else {
                parent.slice(range)
            };
            self.done.push(Run { base, end, bytes });
        }
    }

    /// What was gathered.
    pub(crate) fn finish(mut self) -> Vec<Run> {
        self.close(self.from);
        self.done
    }
}
