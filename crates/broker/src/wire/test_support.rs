//! What several tests need.

use kafka_protocol::messages::{ApiKey, RequestHeader};
use kafka_protocol::protocol::Encodable;

/// The header of a request, as a client writes it.
pub fn head(api: ApiKey, version: i16) -> Vec<u8> {
    let mut frame = bytes::BytesMut::new();
    RequestHeader::default()
        .with_request_api_key(api as i16)
        .with_request_api_version(version)
        .with_correlation_id(77)
        .encode(&mut frame, api.request_header_version(version))
        .expect("a header encodes");
    frame.to_vec()
}
