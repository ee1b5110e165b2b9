//! Reads one object and has it checked: in one request when it is small, else its header, its index and then its blocks
//! in pieces. Holds one answer of the store at a time.

use super::object::{
    Expected, Fault, check_block, check_extents, check_header, check_index, check_registered, pieces,
};
use super::reader::Reader;
use super::{Part, Problem};
use bytes::Bytes;
use levee_base::limits::{FSCK_FAULTS, FSCK_READ_BYTES, OBJECT_HEAD_BYTES, OBJECT_HEADER_BYTES};
use levee_base::{ClusterId, WriterId};
use levee_meta::ObjectName;
use levee_object::log::{Kind, LogHeader};
use levee_object::{ErrorKind, Key, Result};
use levee_store::format::Index;
use std::ops::Range;

/// What came of one object.
#[derive(Debug, Default)]
pub(super) struct Examined {
    pub(super) faults: Vec<Fault>,
    /// It is not there, or went while it was read.
    pub(super) missing: bool,
    pub(super) blocks: u64,
    pub(super) batches: u64,
    /// Its index, where that is sound.
    pub(super) index: Option<Index>,
}

/// How objects are looked at.
#[derive(Clone, Copy)]
pub(super) struct Examiner<'a> {
    pub(super) reader: &'a Reader,
    pub(super) cluster: ClusterId,
    /// Headers and indexes only.
    pub(super) quick: bool,
}

/// An object of a log's tail, which the metadata doesn't know yet.
pub(super) enum Tail {
    Missing,
    /// The log ends here.
    Fence,
    Entry {
        writer: Option<WriterId>,
        total_bytes: u64,
        examined: Examined,
    },
}

impl Examiner<'_> {
    /// Checks a registered object.
    ///
    /// # Errors
    /// When the store does not answer at all; what it can't give of this object is a fault of that.
    pub(super) async fn registered(self, expected: &Expected) -> Result<Examined> {
        let mut examined = Examined::default();
        match self.all_of(expected, &mut examined).await {
            Ok(()) => {}
            Err(error) if error.kind == ErrorKind::NotFound => examined.missing = true,
            Err(error) => self.unreadable(&error, &mut examined).await?,
        }
        Ok(examined)
    }

    /// Checks an object of a log's tail.
    ///
    /// # Errors
    /// As [`Examiner::registered`].
    pub(super) async fn tail(self, name: ObjectName) -> Result<Tail> {
        let key = name.key();
        let mut examined = Examined::default();
        let (mut writer, mut total_bytes) = (None, 0);
        let head = match self.reader.get(&key, 0..OBJECT_HEAD_BYTES as u64).await {
            Ok(head) => head,
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(Tail::Missing),
            Err(error) if error.kind == ErrorKind::OutOfRange => {
                examined.faults.push(Fault::corrupt(Part::Header, "it is empty"));
                return Ok(Tail::Entry { writer, total_bytes, examined });
            }
            Err(error) => {
                self.unreadable(&error, &mut examined).await?;
                return Ok(Tail::Entry { writer, total_bytes, examined });
            }
        };
        if LogHeader::decode(&head.bytes).is_ok_and(|header| header.kind == Kind::Fence) {
            return Ok(Tail::Fence);
        }
        let header = check_header(&head.bytes, &name, self.cluster);
        drop(head);
        match header {
            Err(fault) => examined.faults.push(fault),
            Ok(header) => {
                (writer, total_bytes) = (Some(header.writer), header.total_bytes);
                let (extents, checkpoints) = (Vec::new(), Vec::new());
                let index = header.index;
                let expected = Expected { name, key, total_bytes, index, extents, checkpoints };
                examined = self.registered(&expected).await?;
            }
        }
        if examined.missing { Ok(Tail::Missing) } else { Ok(Tail::Entry { writer, total_bytes, examined }) }
    }

    async fn all_of(self, expected: &Expected, examined: &mut Examined) -> Result<()> {
        let Expected { key, total_bytes, .. } = expected;
        let at_once = if self.quick { OBJECT_HEAD_BYTES as u64 } else { FSCK_READ_BYTES };
        if *total_bytes <= at_once {
            let read = self.reader.get(key, 0..*total_bytes).await?;
            let Some(index) =
                heads(expected, &read.bytes, self.cluster, examined, |range| slice(&read.bytes, 0, &range))
            else {
                return Ok(());
            };
            if !self.quick {
                let bytes = &read.bytes;
                blocks(&index, 0..index.blocks.len(), |range| slice(bytes, 0, &range), examined);
            }
            examined.index = Some(index);
            return Ok(());
        }
        let header = self.read(key, 0..OBJECT_HEADER_BYTES as u64).await?;
        let encoded = self.read(key, expected.index.clone()).await?;
        let Some(index) = heads(expected, &header, self.cluster, examined, |_| encoded) else {
            return Ok(());
        };
        if !self.quick {
            for (range, members) in pieces(&index.blocks, FSCK_READ_BYTES) {
                let read = match self.reader.get(key, range.clone()).await {
                    Ok(read) => read.bytes,
                    // Its end is missing: every block in it is cut short.
                    Err(error) if error.kind == ErrorKind::OutOfRange => Bytes::new(),
                    Err(error) => return Err(error),
                };
                blocks(&index, members, |block| slice(&read, range.start, &block), examined);
            }
        }
        examined.index = Some(index);
        Ok(())
    }

    /// A copy of a part that is kept while others are read; nothing of it where the object is too short.
    async fn read(self, key: &Key, range: Range<u64>) -> Result<Bytes> {
        match self.reader.get(key, range).await {
            Ok(read) => Ok(Bytes::copy_from_slice(&read.bytes)),
            Err(error) if error.kind == ErrorKind::OutOfRange => Ok(Bytes::new()),
            Err(error) => Err(error),
        }
    }

    /// Whether the store can't give this object, or nothing at all: then nothing can be said about anything.
    async fn unreadable(self, error: &levee_object::Error, examined: &mut Examined) -> Result<()> {
        let elsewhere = levee_meta::journal_prefix().join_number(0).join_number(0);
        match self.reader.get(&elsewhere, 0..1).await {
            Err(nothing) if !nothing.kind.is_answer() => Err(error.clone()),
            _ => {
                let part =
                    if error.kind == ErrorKind::OutOfRange { "it is cut short" } else { "it can't be read" };
                let detail = format!("{part}: {}", error.reason);
                examined
                    .faults
                    .push(Fault { problem: Problem::Corrupt, ..Fault::corrupt(Part::Header, detail) });
                Ok(())
            }
        }
    }
}

/// Checks header and index. A header that is damaged does not keep the rest from being read: the metadata says where
/// the index is.
fn heads(
    expected: &Expected,
    header: &[u8],
    cluster: ClusterId,
    examined: &mut Examined,
    index: impl FnOnce(Range<u64>) -> Bytes,
) -> Option<Index> {
    let header = check_header(header, &expected.name, cluster);
    match &header {
        Ok(header) => examined.faults.extend(check_registered(header, expected)),
        Err(fault) => examined.faults.push(fault.clone()),
    }
    match check_index(&index(expected.index.clone()), &expected.name, &expected.index) {
        Ok(index) => {
            if header.is_ok_and(|header| header.blocks as usize != index.blocks.len()) {
                let detail = "it has another number of blocks than the header says";
                examined.faults.push(Fault::corrupt(Part::Index, detail));
            }
            examined.faults.extend(check_extents(&index, expected));
            Some(index)
        }
        Err(fault) => {
            examined.faults.push(fault);
            None
        }
    }
}

fn blocks(
    index: &Index,
    members: Range<usize>,
    bytes: impl Fn(Range<u64>) -> Bytes,
    examined: &mut Examined,
) {
    for block in &index.blocks[members] {
        examined.blocks += 1;
        let before = examined.faults.len();
        examined.batches += check_block(index, block, &bytes(block.range()), &mut examined.faults);
        let found = examined.faults.len();
        if found > FSCK_FAULTS {
            // Of a large object that is wrong throughout the list would be as long as the object.
            examined.faults.truncate(before.max(FSCK_FAULTS));
            if before <= FSCK_FAULTS {
                let detail = "there are more faults in its blocks than are listed";
                examined.faults.push(Fault::corrupt(Part::Block, detail));
            }
        }
    }
}

/// `range` of an object of which `bytes` begin at `start`; what is missing at the end is left out.
fn slice(bytes: &Bytes, start: u64, range: &Range<u64>) -> Bytes {
    let at = |position: u64| {
        usize::try_from(position.saturating_sub(start)).unwrap_or(usize::MAX).min(bytes.len())
    };
    bytes.slice(at(range.start)..at(range.end).max(at(range.start)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use levee_base::{Epoch, Offset, StreamId};
    use levee_store::format::{BatchEntry, IndexBuilder};

    #[test]
    fn an_object_that_is_wrong_throughout_is_summed_up() {
        let mut builder = IndexBuilder::default();
        let count = 3 * FSCK_FAULTS;
        for at in 0..count as u64 {
            builder.begin_block(StreamId(1), 0, Offset(at), 4096 + 8 * at);
            builder.add_batch(BatchEntry { count: 1, bytes: 8, note: b"" }, 0);
        }
        let mut encoded = Vec::new();
        builder.encode(Epoch(1), 0, |part| encoded.extend_from_slice(part));
        let index = Index::decode(&encoded.into(), 4096 + 8 * count as u64).unwrap();
        let mut examined = Examined::default();
        blocks(&index, 0..count, |_| Bytes::from_static(b"whatever"), &mut examined);
        assert_eq!((examined.blocks, examined.faults.len()), (count as u64, FSCK_FAULTS + 1));
        assert_eq!(examined.faults.last().unwrap().harm, super::super::object::Harm::All);
    }

    #[test]
    fn a_slice_ends_where_the_bytes_do() {
        let bytes = Bytes::from_static(b"0123456789");
        assert_eq!(&slice(&bytes, 100, &(102..105))[..], b"234");
        assert_eq!(&slice(&bytes, 100, &(108..115))[..], b"89");
        assert_eq!(&slice(&bytes, 100, &(115..120))[..], b"");
        assert_eq!(&slice(&bytes, 100, &(90..101))[..], b"0");
    }
}
