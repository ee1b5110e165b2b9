//! A metadata snapshot: any bytes are read or refused, and what is read is what writing it again gives.

#![no_main]

use levee_meta::codec::{decode_snapshot, encode_snapshot};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    check(data);
    // With the head and its checksum put right, what is behind them is reached too.
    let mut whole = b"LVSN\x01\0\0\0".to_vec();
    whole.resize(64, 0);
    whole.extend((data.len() as u64).to_le_bytes());
    whole.extend(data);
    let crc = crc32c::crc32c_append(crc32c::crc32c(&whole[4..8]), &whole[12..]);
    whole[8..12].copy_from_slice(&crc.to_le_bytes());
    check(&whole);
});

fn check(bytes: &[u8]) {
    let Ok(read) = decode_snapshot(bytes) else { return };
    let again = decode_snapshot(&encode_snapshot(&read.head, &read.fences, &read.state));
    assert_eq!(again, Ok(read));
}
