//! A journal entry and the commands in it: any bytes are read or refused; what is read is what writing it again
//! gives; and whatever a command says, the state takes it or refuses it, and stays right.

#![no_main]

use levee_meta::State;
use levee_meta::codec::{decode_entry, encode_entry, encode_envelope};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: Vec<Vec<u8>>| {
    let _ = decode_entry(&data.concat());
    // With the frame and its checksum put right, what is behind them is reached too.
    let Ok(envelopes) = decode_entry(&encode_entry(data.iter().map(Vec::as_slice))) else { return };
    let encoded: Vec<Vec<u8>> = envelopes.iter().map(encode_envelope).collect();
    let again = decode_entry(&encode_entry(encoded.iter().map(Vec::as_slice)));
    assert_eq!(again.as_ref(), Ok(&envelopes));
    let mut state = State::default();
    for envelope in &envelopes {
        state.apply(envelope);
    }
    assert_eq!(state.check_invariants(), Ok(()));
});
