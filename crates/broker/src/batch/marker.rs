//! Transaction markers: what the one record of a control batch says (Kafka's `EndTxnMarker`).
//!
//! | of | bytes | field |
//! |---|---|---|
//! | key | 2 | version, 0 |
//! | key | 2 | type: 0 abort, 1 commit; others end no transaction |
//! | value | 2 | version, 0 |
//! | value | 4 | the coordinator's epoch |

use super::BatchView;
use super::codec::Compression;
use super::records::{byte, varint, varlong};
use std::io::{self, Read};

const ABORT: i16 = 0;
const COMMIT: i16 = 1;

/// The end of a producer's transaction in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker {
    /// Whether its records count.
    pub commit: bool,
    /// The epoch of the coordinator that decided it.
    pub coordinator_epoch: i32,
}

impl Marker {
    /// What a control batch says; `None` if it is of another kind, holds no record any more, or can't be read.
    #[must_use]
    pub fn read(batch: &BatchView<'_>) -> Option<Self> {
        // What the broker writes it does not compress, and nobody else may write one.
        let plain = batch.attributes().compression() == Some(Compression::None);
        let readable = batch.attributes().control() && batch.count() > 0 && plain;
        if !readable {
            return None;
        }
        read(&mut batch.payload()).ok().flatten()
    }

    pub(super) fn key(self) -> [u8; 4] {
        let [high, low] = self.kind().to_be_bytes();
        [0, 0, high, low]
    }

    pub(super) fn value(self) -> [u8; 6] {
        let mut value = [0; 6];
        value[2..].copy_from_slice(&self.coordinator_epoch.to_be_bytes());
        value
    }

    /// The number of its type.
    #[must_use]
    pub fn kind(self) -> i16 {
        if self.commit { COMMIT } else { ABORT }
    }

    /// What a control record says by its key and value; `None` if it ends no transaction. Later versions begin as this
    /// one does.
    #[must_use]
    pub fn of_record(key: &[u8], value: &[u8]) -> Option<Self> {
        let [_, _, high, low] = *key.first_chunk()?;
        let [_, _, epoch @ ..] = *value.first_chunk::<6>()?;
        Self::of_kind(i16::from_be_bytes([high, low]), i32::from_be_bytes(epoch))
    }

    /// By the number of its type; `None` for a type that ends no transaction.
    #[must_use]
    pub fn of_kind(kind: i16, coordinator_epoch: i32) -> Option<Self> {
        match kind {
            ABORT => Some(Self { commit: false, coordinator_epoch }),
            COMMIT => Some(Self { commit: true, coordinator_epoch }),
            _ => None,
        }
    }
}

fn read(input: &mut &[u8]) -> io::Result<Option<Marker>> {
    let _length = varint(input)?;
    let _attributes = byte(input)?;
    let _timestamp = varlong(input)?;
    let _offset = varint(input)?;
    if varint(input)? < 4 {
        return Ok(None);
    }
    let (mut key, mut value) = ([0; 4], [0; 6]);
    input.read_exact(&mut key)?;
    if varint(input)? < 6 {
        return Ok(None);
    }
    input.read_exact(&mut value)?;
    Ok(Marker::of_record(&key, &value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::build::{Build, rehash};
    use proptest::prelude::*;

    fn of(build: &Build) -> Option<Marker> {
        Marker::read(&BatchView::first(&build.bytes()).unwrap())
    }

    #[test]
    fn only_commits_and_aborts_are_markers() {
        assert_eq!(of(&Build::marker(1, 2, 3, false)), Marker::of_kind(0, 0));
        assert_eq!(of(&Build::marker(1, 2, 3, true)), Marker::of_kind(1, 0));
        let control = |key: &[u8], value: &[u8]| {
            of(&Build::new().attribute(4).attribute(5).entry(1, Some(key), Some(value)))
        };
        assert_eq!(control(&[0, 0, 0, 1], &[0, 0, 0, 0, 1, 2]), Marker::of_kind(1, 258));
        assert_eq!(control(&[0, 0, 0, 2], &[0; 6]), None, "a leader change");
        assert_eq!(control(&[0, 0, 0], &[0; 6]), None);
        assert_eq!(control(&[0, 0, 0, 1], &[0; 5]), None);
        assert_eq!(of(&Build::records(1, 1)), None);
        assert_eq!(of(&Build::new().attribute(5)), None, "cleaned");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(payload in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut bytes = Build::marker(1, 2, 3, true).bytes();
            let size = bytes.len().min(61 + payload.len());
            bytes[61..size].copy_from_slice(&payload[..size - 61]);
            rehash(&mut bytes);
            let _ = Marker::read(&BatchView::first(&bytes).unwrap());
        }
    }
}
