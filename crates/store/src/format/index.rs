//! The index at an object's end: per block where it lies, what it holds and its checksum; per batch its number
//! of offsets, its length, and the caller's note. Opening a stream reads indexes, never records.

use super::{FormatError, array};
use bytes::Bytes;
use levee_base::limits::{BATCH_NOTE_BYTES, OBJECT_HEADER_BYTES};
use levee_base::{Epoch, Offset, StreamId};
use std::ops::Range;

const PART: &str = "index";
const MAGIC: [u8; 4] = *b"LVIX";
/// The version that is written. Readable: 1, which has no gaps, and 2.
const VERSION: u16 = 2;

/// Bytes before the first block's entry.
pub const INDEX_HEAD_BYTES: usize = 32;
/// Bytes of a block's entry.
pub const BLOCK_ENTRY_BYTES: usize = 56;
/// Bytes of a batch's entry, without its note.
pub const BATCH_ENTRY_BYTES: usize = 9;
const CRC_BYTES: usize = 4;

const _: () = assert!(BATCH_NOTE_BYTES <= u8::MAX as usize, "a note's length is one byte");

/// What a block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BlockKind {
    /// Batches of a stream, and gaps between them; contiguous.
    Batches,
    /// A stream's other state as of the block's offset, opaque. Readers of batches pass over it.
    Checkpoint,
}

/// A block, as the index describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// What it holds.
    pub kind: BlockKind,
    /// Whose it is.
    pub stream: StreamId,
    /// The stream's leader epoch when it was written.
    pub leader_epoch: u32,
    /// The offsets of its batches; of a checkpoint, empty at the offset it stands for.
    pub offsets: Range<Offset>,
    /// Where it begins, in bytes from the object's start.
    pub position: u64,
    /// Its length in bytes.
    pub bytes: u32,
    /// CRC-32C of all of it.
    pub crc: u32,
    /// Batches in it, gaps counted as batches.
    pub batches: u32,
    /// Where its batches' entries lie among those of the index.
    entries: Range<u32>,
}

impl Block {
    /// Where it lies, in bytes from the object's start.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        self.position..self.position + u64::from(self.bytes)
    }

    /// Checks the block's own bytes.
    ///
    /// # Errors
    /// When the length or the checksum is not the index's.
    pub fn verify(&self, bytes: &[u8]) -> Result<(), FormatError> {
        if bytes.len() != self.bytes as usize {
            return Err(FormatError::TooShort {
                part: "block",
                found: bytes.len(),
                needed: self.bytes as usize,
            });
        }
        if crc32c::crc32c(bytes) != self.crc {
            return Err(FormatError::Checksum { part: "block" });
        }
        Ok(())
    }
}

/// A batch, as the index describes it, or a gap: offsets whose batches compaction has removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchEntry<'a> {
    /// Offsets that it takes, at least 1.
    pub count: u32,
    /// Its length in bytes; 0 is a gap.
    pub bytes: u32,
    /// What the caller wrote with it; nothing for a gap.
    pub note: &'a [u8],
}

impl BatchEntry<'_> {
    /// A gap of `count` offsets.
    #[must_use]
    pub const fn gap(count: u32) -> Self {
        Self { count, bytes: 0, note: &[] }
    }

    /// Whether there is no batch at these offsets any more.
    #[must_use]
    pub const fn is_gap(&self) -> bool {
        self.bytes == 0
    }
}

/// A decoded index. The batches' entries stay encoded: they have been checked, and are decoded as they are read.
#[derive(Debug, Clone)]
pub struct Index {
    /// The broker epoch that made the object.
    pub epoch: Epoch,
    /// The object's number in it; of a write-ahead log object, the slot.
    pub number: u64,
    /// The blocks, in the order of their positions.
    pub blocks: Vec<Block>,
    entries: Bytes,
}

impl Index {
    /// The same in memory of its own: it doesn't keep what it was read from, or made in.
    #[must_use]
    pub fn apart(self) -> Self {
        Self { entries: Bytes::copy_from_slice(&self.entries), ..self }
    }

    /// The same with these blocks only, in memory of its own. `wanted` are their places, in order.
    #[must_use]
    pub fn only(&self, wanted: impl IntoIterator<Item = u32>) -> Self {
        let (mut blocks, mut entries) = (Vec::new(), Vec::new());
        for at in wanted {
            let mut block = self.blocks[at as usize].clone();
            let range = block.entries.start as usize..block.entries.end as usize;
            block.entries.start = entries.len() as u32;
            entries.extend_from_slice(&self.entries[range]);
            block.entries.end = entries.len() as u32;
            blocks.push(block);
        }
        Self { epoch: self.epoch, number: self.number, blocks, entries: entries.into() }
    }

    /// Reads an index that begins at `position` of its object.
    ///
    /// # Errors
    /// When the bytes are not an index, all of it and nothing more, or one that this version can't read.
    pub fn decode(bytes: &Bytes, position: u64) -> Result<Self, FormatError> {
        let least = INDEX_HEAD_BYTES + CRC_BYTES;
        if bytes.len() < least {
            return Err(FormatError::TooShort { part: PART, found: bytes.len(), needed: least });
        }
        if bytes[0..4] != MAGIC {
            return Err(FormatError::Magic { part: PART });
        }
        let crc_at = bytes.len() - CRC_BYTES;
        if crc32c::crc32c(&bytes[..crc_at]) != u32::from_le_bytes(array(bytes, crc_at)) {
            return Err(FormatError::Checksum { part: PART });
        }
        let version = u16::from_le_bytes(array(bytes, 4));
        if !(1..=VERSION).contains(&version) {
            return Err(FormatError::Version { part: PART, found: version, known: VERSION });
        }
        let count = u32::from_le_bytes(array(bytes, 24)) as usize;
        let entries_bytes = u32::from_le_bytes(array(bytes, 28)) as usize;
        let entries_at = count.checked_mul(BLOCK_ENTRY_BYTES).and_then(|n| n.checked_add(INDEX_HEAD_BYTES));
        let end = entries_at.and_then(|at| at.checked_add(entries_bytes));
        let (Some(entries_at), true) = (entries_at, end == Some(crc_at)) else {
            return Err(inconsistent("its parts don't add up to its length"));
        };
        let mut index = Self {
            epoch: Epoch(u64::from_le_bytes(array(bytes, 8))),
            number: u64::from_le_bytes(array(bytes, 16)),
            blocks: Vec::with_capacity(count),
            entries: bytes.slice(entries_at..crc_at),
        };
        let (mut entries_end, mut blocks_end) = (0, OBJECT_HEADER_BYTES as u64);
        for at in (INDEX_HEAD_BYTES..entries_at).step_by(BLOCK_ENTRY_BYTES) {
            let block = decode_block(&bytes[at..at + BLOCK_ENTRY_BYTES], &mut entries_end)?;
            if block.position < blocks_end {
                return Err(inconsistent("a block begins before the one before it ends"));
            }
            blocks_end = block
                .position
                .checked_add(u64::from(block.bytes))
                .filter(|end| *end <= position)
                .ok_or(inconsistent("a block reaches into the index"))?;
            index.check_entries(&block, version)?;
            index.blocks.push(block);
        }
        if entries_end as usize != index.entries.len() {
            return Err(inconsistent("there are batches of no block"));
        }
        Ok(index)
    }

    fn check_entries(&self, block: &Block, version: u16) -> Result<(), FormatError> {
        let mut rest = self
            .entries
            .get(block.entries.start as usize..block.entries.end as usize)
            .ok_or(inconsistent("a block's batches lie outside of it"))?;
        let (mut batches, mut offsets, mut bytes) = (0u32, 0u64, 0u64);
        while !rest.is_empty() {
            let (entry, after) = split_entry(rest).ok_or(inconsistent("a batch's entry is cut short"))?;
            let sound_gap = version > 1 && entry.note.is_empty();
            if entry.count == 0 || entry.note.len() > BATCH_NOTE_BYTES || entry.is_gap() && !sound_gap {
                return Err(inconsistent("a batch is empty, or its note too long"));
            }
            // Neither overflows: there are fewer than 2^32 entries.
            batches += 1;
            offsets += u64::from(entry.count);
            bytes += u64::from(entry.bytes);
            rest = after;
        }
        let spanned = block.offsets.end.0.checked_sub(block.offsets.start.0);
        let sound = match block.kind {
            BlockKind::Batches => batches > 0 && bytes == u64::from(block.bytes),
            BlockKind::Checkpoint => batches == 0,
        };
        if sound && batches == block.batches && spanned == Some(offsets) {
            Ok(())
        } else {
            Err(inconsistent("a block's batches don't add up to it"))
        }
    }

    /// The batches of one of this index's blocks, in order.
    pub fn batches<'a>(&'a self, block: &Block) -> impl Iterator<Item = BatchEntry<'a>> + use<'a> {
        let range = block.entries.start as usize..block.entries.end as usize;
        let mut rest = self.entries.get(range).unwrap_or_default();
        std::iter::from_fn(move || {
            let (entry, after) = split_entry(rest)?;
            rest = after;
            Some(entry)
        })
    }

    /// What it takes in memory, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.blocks.len() * size_of::<Block>() + self.entries.len()
    }
}

fn inconsistent(what: &'static str) -> FormatError {
    FormatError::Inconsistent { part: PART, what }
}

/// Reads a block's entry; its batches' entries follow those of the block before.
fn decode_block(entry: &[u8], entries_end: &mut u32) -> Result<Block, FormatError> {
    let kind = match entry[52] {
        1 => BlockKind::Batches,
        2 => BlockKind::Checkpoint,
        _ => return Err(inconsistent("a block's kind is unknown")),
    };
    let start = *entries_end;
    *entries_end = start
        .checked_add(u32::from_le_bytes(array(entry, 48)))
        .ok_or(inconsistent("a block's batches lie outside of it"))?;
    Ok(Block {
        kind,
        stream: StreamId(u64::from_le_bytes(array(entry, 0))),
        offsets: Offset(u64::from_le_bytes(array(entry, 8)))..Offset(u64::from_le_bytes(array(entry, 16))),
        position: u64::from_le_bytes(array(entry, 24)),
        bytes: u32::from_le_bytes(array(entry, 32)),
        crc: u32::from_le_bytes(array(entry, 36)),
        leader_epoch: u32::from_le_bytes(array(entry, 40)),
        batches: u32::from_le_bytes(array(entry, 44)),
        entries: start..*entries_end,
    })
}

fn split_entry(bytes: &[u8]) -> Option<(BatchEntry<'_>, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<BATCH_ENTRY_BYTES>()?;
    let note = rest.get(..usize::from(head[8]))?;
    let entry = BatchEntry {
        count: u32::from_le_bytes(array(head, 0)),
        bytes: u32::from_le_bytes(array(head, 4)),
        note,
    };
    Some((entry, &rest[note.len()..]))
}

/// An index that is being made, while batches are laid into the object.
#[derive(Debug, Default)]
pub struct IndexBuilder {
    blocks: Vec<Block>,
    entries: Vec<u8>,
}

impl IndexBuilder {
    /// The most that one more batch adds to the index, in bytes.
    pub const GROWTH_BYTES: usize = BLOCK_ENTRY_BYTES + BATCH_ENTRY_BYTES + BATCH_NOTE_BYTES;

    /// The block that was begun last.
    #[must_use]
    pub fn last(&self) -> Option<&Block> {
        self.blocks.last()
    }

    /// Blocks so far.
    #[must_use]
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Begins a block of batches, still empty, at `position` of the object.
    pub fn begin_block(&mut self, stream: StreamId, leader_epoch: u32, base: Offset, position: u64) {
        self.push(BlockKind::Batches, stream, leader_epoch, base, position);
    }

    /// Adds a checkpoint of a stream as of `offset`: `bytes` at `position` of the object, whose checksum is `crc`.
    pub fn add_checkpoint(&mut self, stream: StreamId, offset: Offset, position: u64, bytes: u32, crc: u32) {
        self.push(BlockKind::Checkpoint, stream, 0, offset, position);
        let block = self.blocks.last_mut().expect("it was pushed just before");
        (block.bytes, block.crc) = (bytes, crc);
    }

    fn push(&mut self, kind: BlockKind, stream: StreamId, leader_epoch: u32, base: Offset, position: u64) {
        let at = self.entries_len();
        self.blocks.push(Block {
            kind,
            stream,
            leader_epoch,
            offsets: base..base,
            position,
            bytes: 0,
            crc: 0,
            batches: 0,
            entries: at..at,
        });
    }

    /// Adds a batch, or a gap, to the last block; `crc` is now the checksum of all of the block.
    ///
    /// # Panics
    /// When no block was begun, or the note is longer than `BATCH_NOTE_BYTES`.
    pub fn add_batch(&mut self, entry: BatchEntry<'_>, crc: u32) {
        assert!(entry.note.len() <= BATCH_NOTE_BYTES, "a note has at most {BATCH_NOTE_BYTES} bytes");
        self.entries.extend_from_slice(&entry.count.to_le_bytes());
        self.entries.extend_from_slice(&entry.bytes.to_le_bytes());
        self.entries.push(entry.note.len() as u8);
        self.entries.extend_from_slice(entry.note);
        let end = self.entries_len();
        let block = self.blocks.last_mut().expect("a batch goes into a block that was begun");
        block.offsets.end.0 += u64::from(entry.count);
        block.bytes += entry.bytes;
        block.batches += 1;
        block.crc = crc;
        block.entries.end = end;
    }

    fn entries_len(&self) -> u32 {
        u32::try_from(self.entries.len()).expect("an object is far smaller than 4 GiB")
    }

    /// How long the encoded index is, in bytes.
    #[must_use]
    pub fn encoded_bytes(&self) -> usize {
        INDEX_HEAD_BYTES + self.blocks.len() * BLOCK_ENTRY_BYTES + self.entries.len() + CRC_BYTES
    }

    /// Encodes the index, handing its parts to `write` one after the other.
    pub fn encode(&self, epoch: Epoch, number: u64, mut write: impl FnMut(&[u8])) {
        let mut crc = 0;
        let mut put = |bytes: &[u8]| {
            crc = crc32c::crc32c_append(crc, bytes);
            write(bytes);
        };
        let mut head = [0; INDEX_HEAD_BYTES];
        head[0..4].copy_from_slice(&MAGIC);
        head[4..6].copy_from_slice(&VERSION.to_le_bytes());
        head[8..16].copy_from_slice(&epoch.0.to_le_bytes());
        head[16..24].copy_from_slice(&number.to_le_bytes());
        head[24..28].copy_from_slice(&(self.blocks.len() as u32).to_le_bytes());
        head[28..32].copy_from_slice(&self.entries_len().to_le_bytes());
        put(&head);
        for block in &self.blocks {
            let mut entry = [0; BLOCK_ENTRY_BYTES];
            entry[0..8].copy_from_slice(&block.stream.0.to_le_bytes());
            entry[8..16].copy_from_slice(&block.offsets.start.0.to_le_bytes());
            entry[16..24].copy_from_slice(&block.offsets.end.0.to_le_bytes());
            entry[24..32].copy_from_slice(&block.position.to_le_bytes());
            entry[32..36].copy_from_slice(&block.bytes.to_le_bytes());
            entry[36..40].copy_from_slice(&block.crc.to_le_bytes());
            entry[40..44].copy_from_slice(&block.leader_epoch.to_le_bytes());
            entry[44..48].copy_from_slice(&block.batches.to_le_bytes());
            let entries = block.entries.end - block.entries.start;
            entry[48..52].copy_from_slice(&entries.to_le_bytes());
            entry[52] = match block.kind {
                BlockKind::Batches => 1,
                BlockKind::Checkpoint => 2,
            };
            put(&entry);
        }
        put(&self.entries);
        write(&crc.to_le_bytes());
    }

    /// The decoded index, once `encoded` holds what [`IndexBuilder::encode`] wrote.
    ///
    /// # Panics
    /// When `encoded` has another length than the index.
    #[must_use]
    pub fn into_index(self, epoch: Epoch, number: u64, encoded: &Bytes) -> Index {
        assert_eq!(encoded.len(), self.encoded_bytes(), "the index is what was encoded");
        let end = encoded.len() - CRC_BYTES;
        Index { epoch, number, blocks: self.blocks, entries: encoded.slice(end - self.entries.len()..end) }
    }
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
