//! One regression test for each form in which an array, or what is like one, can lie about its length.

use super::*;

/// Produce, version 3: no transactional id, acks, timeout, and a topic array of 2^31 - 1.
#[test]
fn a_classic_array_that_lies_is_refused() {
    let body = [&[0xff, 0xff, 0, 1, 0, 0, 0, 1][..], &[0x7f, 0xff, 0xff, 0xff]].concat();
    assert_eq!(walk(0, 3, &body), Err(Malformed::TooMuchMemory { limit: DECODED_REQUEST_BYTES }));
}

#[test]
fn a_classic_array_that_would_fit_in_memory_but_is_not_there_is_refused() {
    let body = [&[0xff, 0xff, 0, 1, 0, 0, 0, 1][..], &[0, 0, 0x10, 0]].concat();
    assert_eq!(walk(0, 3, &body), Err(Malformed::Truncated { wanted: 2, left: 0 }));
}

#[test]
fn a_compact_array_that_lies_is_refused() {
    let body = [&[0, 0, 1, 0, 0, 0, 1][..], &[0xff, 0xff, 0xff, 0xff, 0x0f]].concat();
    assert_eq!(walk(0, 9, &body), Err(Malformed::TooMuchMemory { limit: DECODED_REQUEST_BYTES }));
}

/// Metadata, versions 1 and 9: the topic array may be null.
#[test]
fn a_nullable_array_that_lies_is_refused_and_null_is_not() {
    let too_much = Err(Malformed::TooMuchMemory { limit: DECODED_REQUEST_BYTES });
    assert_eq!(walk(3, 1, &[0x7f, 0xff, 0xff, 0xff]), too_much);
    assert_eq!(walk(3, 9, &[0xff, 0xff, 0xff, 0xff, 0x0f]), too_much);
    assert_eq!(walk(3, 1, &[0xff, 0xff, 0xff, 0xff]), Ok(Walked { bytes: 4, memory: 0 }));
    assert_eq!(walk(3, 9, &[0, 1, 0, 0, 0]), Ok(Walked { bytes: 5, memory: 0 }));
    assert_eq!(walk(3, 0, &[0xff, 0xff, 0xff, 0xff]), Err(Malformed::Null));
    assert_eq!(walk(3, 1, &[0xff, 0xff, 0xff, 0xfe]), Err(Malformed::NegativeLength(-2)));
}

/// ListOffsets, version 1: one topic "t" whose partition array lies.
#[test]
fn a_nested_array_that_lies_is_refused() {
    let body = [&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 0, 1, b't'][..], &[0x7f, 0xff, 0xff, 0xff]].concat();
    assert_eq!(walk(2, 1, &body), Err(Malformed::TooMuchMemory { limit: DECODED_REQUEST_BYTES }));
}

/// DeleteTopics, version 1, of strings, and FindCoordinator, version 4, of compact strings.
#[test]
fn an_array_of_primitives_that_lies_is_refused() {
    let too_much = Err(Malformed::TooMuchMemory { limit: DECODED_REQUEST_BYTES });
    assert_eq!(walk(20, 1, &[0x7f, 0xff, 0xff, 0xff]), too_much);
    assert_eq!(walk(10, 4, &[0, 0xff, 0xff, 0xff, 0xff, 0x0f]), too_much);
}

/// BrokerHeartbeat, version 1: the offline directories are an array in a tagged field.
#[test]
fn an_array_in_a_tagged_field_that_lies_is_refused() {
    let head = [0; 4 + 8 + 8 + 1 + 1];
    let lies = [&head[..], &[1, 0, 5, 0xff, 0xff, 0xff, 0xff, 0x0f]].concat();
    assert_eq!(walk(63, 1, &lies), Err(Malformed::TooMuchMemory { limit: DECODED_REQUEST_BYTES }));
    let beyond_its_field = [&head[..], &[1, 0, 1, 2], &[0; 16]].concat();
    assert_eq!(walk(63, 1, &beyond_its_field), Err(Malformed::Truncated { wanted: 16, left: 0 }));
    let short_of_its_field = [&head[..], &[1, 0, 2, 1, 0]].concat();
    assert_eq!(walk(63, 1, &short_of_its_field), Err(Malformed::TaggedField(1)));
}

/// ApiVersions, version 3: two empty strings, then the tagged fields.
#[test]
fn tagged_fields_are_bounded_in_number_and_size() {
    assert_eq!(walk(18, 3, &[1, 1, 0]), Ok(Walked { bytes: 3, memory: 0 }));
    assert_eq!(walk(18, 3, &[1, 1, 1, 7, 0]), Ok(Walked { bytes: 5, memory: TAG_MAP_BYTES }));
    let many = [&[1, 1, 0xff, 0xff, 0xff, 0xff, 0x0f][..], &[7, 0].repeat(100)].concat();
    assert_eq!(walk(18, 3, &many), Err(Malformed::Truncated { wanted: 1, left: 0 }));
    let long = [1, 1, 1, 7, 0xff, 0xff, 0xff, 0xff, 0x0f];
    assert_eq!(walk(18, 3, &long), Err(Malformed::Truncated { wanted: u32::MAX as usize, left: 0 }));
}

/// Small on the wire, large in memory: Produce, version 9, with topics of four bytes each.
#[test]
fn amplification_is_summed() {
    let count = 1_000_000_u32;
    let mut body = vec![0, 0, 1, 0, 0, 0, 1];
    let mut length = count + 1;
    while length >= 0x80 {
        body.push(length as u8 | 0x80);
        length >>= 7;
    }
    body.push(length as u8);
    body.extend([1, 1, 0].repeat(count as usize));
    body.push(0);
    assert_eq!(walk(0, 9, &body), Err(Malformed::TooMuchMemory { limit: DECODED_REQUEST_BYTES }));
}

/// DescribeTopicPartitions, version 0: no topics, a limit, and a cursor that may be null.
#[test]
fn the_marker_of_a_nullable_struct_is_one_of_two() {
    assert!(walk(75, 0, &[1, 0, 0, 0, 1, 0xff, 0]).is_ok());
    assert!(walk(75, 0, &[1, 0, 0, 0, 1, 1, 2, b't', 0, 0, 0, 0, 0, 0]).is_ok());
    assert_eq!(walk(75, 0, &[1, 0, 0, 0, 1, 0, 0]), Err(Malformed::StructMarker(0)));
}

#[test]
fn what_kafka_does_not_know_is_refused() {
    assert_eq!(walk(7, 0, &[]), Err(Malformed::UnknownApi(7)));
    assert_eq!(walk(-1, 0, &[]), Err(Malformed::UnknownApi(-1)));
    assert_eq!(walk(3, 99, &[]), Err(Malformed::UnknownVersion { api: 3, version: 99 }));
    assert_eq!(walk(3, -1, &[]), Err(Malformed::UnknownVersion { api: 3, version: -1 }));
}

#[test]
fn the_table_is_in_the_order_of_its_keys() {
    assert!(MESSAGES.is_sorted_by_key(|message| message.key));
    assert_eq!(MESSAGES.len(), 89);
}
