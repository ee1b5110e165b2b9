//! The receive buffer: frames come out as they went in, however the bytes arrive.

#![no_main]

use bytes::BufMut;
use levee_broker::wire::frame::ReceiveBuffer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|pieces: Vec<Vec<u8>>| {
    let expected: Vec<u8> = pieces.concat();
    let (mut buffer, mut at, mut take) = (ReceiveBuffer::default(), 0, false);
    for mut piece in pieces.iter().map(Vec::as_slice) {
        while !piece.is_empty() {
            let Ok(length) = buffer.next_length() else { return };
            // What is announced is not allocated here: that is the connection's to account for.
            if length.is_some_and(|length| length > 1 << 20) {
                return;
            }
            let mut room = buffer.room(length.unwrap_or(0));
            let count = piece.len().min(room.remaining_mut());
            assert!(count > 0, "there is room as long as a frame is not complete");
            room.put_slice(&piece[..count]);
            piece = &piece[count..];
            while let Ok(Some(length)) = buffer.next_length() {
                let frame = expected.get(at + 4..at + 4 + length);
                if buffer.frame(length).is_none() {
                    break;
                }
                if take {
                    assert_eq!(Some(&buffer.take(length)[..]), frame);
                } else {
                    assert_eq!(buffer.frame(length).map(|frame| &*frame), frame);
                    buffer.consume(length);
                }
                take = !take;
                at += 4 + length;
                if at % 3 == 0 {
                    buffer.shrink();
                }
            }
        }
    }
});
