//! A batch's note: every note that is accepted is written back as it was, but for the bytes kept free.

#![no_main]

use levee_broker::partition::note::Note;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(note) = Note::decode(bytes) {
        let mut expected = bytes.to_vec();
        expected[1] = 0;
        expected[18..20].fill(0);
        if note.marker.is_some() {
            expected[54..56].fill(0);
        }
        assert_eq!(*note.encode(), *expected);
    }
});
