//! Writing with O_DIRECT: what is aligned goes to the disk from where it lies, the rest through an aligned
//! buffer, and the last block is padded and cut off again. Buffers are reused: touching fresh memory costs
//! more than copying.

use super::files::Files;
use bytes::Bytes;
use levee_base::limits::PAGE;
use std::io;
use std::sync::{Mutex, PoisonError};

/// What one bounce buffer holds, in bytes.
const BOUNCE_BYTES: usize = 1024 * 1024;
/// Bytes of one write, so that what others write meanwhile waits for one and not for all of a large file: what is given
/// to the disk at once is queued there at once.
const WRITE_BYTES: usize = 2 * 1024 * 1024;
/// Bounce buffers kept for reuse.
const BOUNCES: usize = 4;

/// A buffer whose usable part begins at a multiple of [`PAGE`].
#[derive(Debug)]
struct Bounce {
    memory: Vec<u8>,
    start: usize,
}

impl Bounce {
    fn new() -> Self {
        let memory = vec![0; BOUNCE_BYTES + PAGE];
        let start = memory.as_ptr().align_offset(PAGE);
        Self { memory, start }
    }

    fn bytes(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + BOUNCE_BYTES]
    }
}

/// Bounce buffers that wait for their next use.
#[derive(Debug, Default)]
pub(super) struct Bounces(Mutex<Vec<Bounce>>);

impl Bounces {
    fn take(&self) -> Bounce {
        let spare = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        spare.unwrap_or_else(Bounce::new)
    }

    fn give_back(&self, bounce: Bounce) {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < BOUNCES {
            spare.push(bounce);
        }
    }

    /// Writes `pieces`, one after the other, as the whole of `file`.
    pub(super) fn write<F: Files>(&self, files: &F, file: &F::File, pieces: &[Bytes]) -> io::Result<()> {
        if files.alignment() == 1 {
            let mut offset = 0;
            for piece in pieces {
                files.write_at(file, piece, offset)?;
                offset += piece.len() as u64;
            }
            return Ok(());
        }
        let mut bounce = None;
        let result = self.write_aligned(files, file, pieces, &mut bounce);
        if let Some(bounce) = bounce {
            self.give_back(bounce);
        }
        result
    }

    fn write_aligned<F: Files>(
        &self,
        files: &F,
        file: &F::File,
        pieces: &[Bytes],
        bounce: &mut Option<Bounce>,
    ) -> io::Result<()> {
        let unit = files.alignment();
        let mut offset = 0;
        let mut filled = 0;
        for piece in pieces {
            let mut rest = &piece[..];
            while !rest.is_empty() {
                if filled == 0 && rest.len() >= unit && rest.as_ptr().align_offset(unit) == 0 {
                    let (whole, tail) = rest.split_at(rest.len() / unit * unit);
                    for some in whole.chunks(WRITE_BYTES) {
                        files.write_at(file, some, offset)?;
                        offset += some.len() as u64;
                    }
                    rest = tail;
                    continue;
                }
                let buffer = bounce.get_or_insert_with(|| self.take()).bytes();
                let (now, later) = rest.split_at(rest.len().min(BOUNCE_BYTES - filled));
                buffer[filled..filled + now.len()].copy_from_slice(now);
                filled += now.len();
                rest = later;
                if filled == BOUNCE_BYTES {
                    files.write_at(file, buffer, offset)?;
                    offset += filled as u64;
                    filled = 0;
                }
            }
        }
        if filled > 0 {
            let padded = filled.next_multiple_of(unit);
            let buffer = bounce.get_or_insert_with(|| self.take()).bytes();
            buffer[filled..padded].fill(0);
            files.write_at(file, &buffer[..padded], offset)?;
            if padded != filled {
                files.truncate(file, offset + filled as u64)?;
            }
        }
        Ok(())
    }
}

const _: () = assert!(BOUNCE_BYTES.is_multiple_of(PAGE) && WRITE_BYTES.is_multiple_of(PAGE));
