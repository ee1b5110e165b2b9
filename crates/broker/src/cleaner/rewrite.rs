//! Writes a batch anew with fewer records, or with none.
//!
//! A batch keeps its first and last offset, its producer with the sequence number of its first record, and its leader
//! epoch: the producer's last sequence number follows from them however few records are left. The layout is that of
//! Kafka's `MemoryRecords.filterTo` (and KIP-534 for the delete horizon, which takes the place of the base timestamp).

use super::scan::Scan;
use crate::batch::header::{
    AT_ATTRIBUTES, AT_BASE_TIMESTAMP, AT_COUNT, AT_CRC, AT_LENGTH, AT_MAX_TIMESTAMP, NO_TIMESTAMP,
    OVERHEAD_BYTES,
};
use crate::batch::pack::Packer;
use crate::batch::records::{Unreadable, invalid};
use crate::batch::{BatchView, Compression, HEADER_BYTES, TimestampType};

/// The batch without a record: what is left of a producer's last one.
pub(super) fn empty(batch: &BatchView<'_>) -> Vec<u8> {
    let mut out = batch.bytes()[..HEADER_BYTES].to_vec();
    let attributes = batch.attributes().rewritten(Compression::None, false).0;
    seal(&mut out, attributes, NO_TIMESTAMP, batch.max_timestamp(), 0);
    out
}

/// The batch with those records of which `kept` says so, by their order. `kept` has a `true`.
pub(super) fn with(
    batch: &BatchView<'_>,
    kept: &[bool],
    delete_horizon_ms: Option<i64>,
    limit_bytes: usize,
) -> Result<Vec<u8>, Unreadable> {
    let compression = batch.attributes().compression().ok_or_else(|| invalid("no codec has this number"))?;
    let mut scan = Scan::open(batch, limit_bytes)?;
    let mut out = Vec::with_capacity(batch.bytes().len());
    out.extend_from_slice(&batch.bytes()[..HEADER_BYTES]);
    let mut packer = Packer::new(compression, out)?;
    let mut base_timestamp = delete_horizon_ms;
    let (mut count, mut max_timestamp) = (0, NO_TIMESTAMP);
    for kept in kept {
        if *kept {
            let timestamp = scan.copy(Some((&mut packer, &mut base_timestamp)))?;
            max_timestamp = max_timestamp.max(timestamp.unwrap_or(NO_TIMESTAMP));
            count += 1;
        } else {
            scan.copy(None)?;
        }
    }
    let mut out = packer.finish()?;
    if batch.attributes().timestamp_type() == TimestampType::LogAppendTime {
        max_timestamp = batch.max_timestamp();
    }
    i32::try_from(out.len()).map_err(|_| invalid("it would be too long"))?;
    let attributes = batch.attributes().rewritten(compression, delete_horizon_ms.is_some()).0;
    seal(&mut out, attributes, base_timestamp.unwrap_or(NO_TIMESTAMP), max_timestamp, count);
    Ok(out)
}

/// Sets what differs from the batch that `out` was made from. `out` begins with that one's header.
fn seal(out: &mut [u8], attributes: i16, base_timestamp: i64, max_timestamp: i64, count: i32) {
    let length = i32::try_from(out.len() - OVERHEAD_BYTES).unwrap_or(i32::MAX);
    let mut set = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
    set(AT_LENGTH, &length.to_be_bytes());
    set(AT_ATTRIBUTES, &attributes.to_be_bytes());
    set(AT_BASE_TIMESTAMP, &base_timestamp.to_be_bytes());
    set(AT_MAX_TIMESTAMP, &max_timestamp.to_be_bytes());
    set(AT_COUNT, &count.to_be_bytes());
    let crc = crc32c::crc32c(&out[AT_ATTRIBUTES..]);
    out[AT_CRC..AT_CRC + 4].copy_from_slice(&crc.to_be_bytes());
}
