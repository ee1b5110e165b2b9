//! The Produce parser: what it accepts, the guard accepts, and both see the same length.

#![no_main]

use levee_broker::wire::guard;
use levee_broker::wire::produce::ProduceRequest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, Vec<u8>)| {
    let (version, mut body) = (i16::from(input.0 % 16), input.1);
    let walked = guard::walk(0, version, &body);
    if let Ok(request) = ProduceRequest::parse(version, &mut body) {
        assert!(walked.is_ok(), "the guard refuses what the parser accepts: {walked:?}");
        for partition in request.topics.into_iter().flat_map(|topic| topic.partitions) {
            if let Some(records) = partition.records {
                records.fill(0xff);
            }
        }
    }
});
