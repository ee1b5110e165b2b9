//! A whole request: header, guard, and the crate's decoder behind it. Run with `-rss_limit_mb` and
//! `-malloc_limit_mb` a little above the bound of one request, so that an allocation it does not cover is found.

#![no_main]

use bytes::Bytes;
use levee_broker::wire::frame::RequestHead;
use levee_broker::wire::guard;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|frame: &[u8]| {
    let Ok(head) = RequestHead::parse(frame) else { return };
    let body = frame.get(head.body..).expect("a body begins within its frame");
    if let Ok(walked) = guard::walk(head.api as i16, head.version, body) {
        assert!(walked.bytes <= body.len());
        let _ = guard::decode(head.api, head.version, Bytes::copy_from_slice(body));
    }
});
