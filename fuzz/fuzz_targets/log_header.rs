//! The 256 bytes that every object of a log begins with: any bytes are read or refused, and what is read is what
//! writing it again gives.
#![no_main]

use levee_object::log::{LogHeader, Stamp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    check(data);
    // The checksum keeps all but a few inputs out: put it right, and what is behind it is reached too.
    if let Some(head) = data.get(..256) {
        let mut head = head.to_vec();
        let crc = crc32c::crc32c(&head[..252]);
        head[252..].copy_from_slice(&crc.to_le_bytes());
        check(&head);
    }
});

fn check(bytes: &[u8]) {
    let Ok(header) = LogHeader::decode(bytes) else { return };
    let LogHeader { kind, cluster, epoch, slot, writer, total_bytes } = header;
    let mut again = [0; 256];
    Stamp { cluster, epoch, slot, writer }.write(kind, total_bytes, &mut again);
    assert_eq!(LogHeader::decode(&again), Ok(header));
}
