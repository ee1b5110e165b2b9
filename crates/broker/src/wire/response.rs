//! An answer as it goes to the socket: its length, header and body in as many parts as it is cheapest in.

use super::frame::{LENGTH_BYTES, RequestHead};
use super::writer::Writer;
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, ResponseKind};
use kafka_protocol::protocol::Encodable;
use std::fmt::Display;
use tokio::sync::OwnedSemaphorePermit;

/// An answer, ready to be written.
#[derive(Debug)]
pub struct Response {
    parts: Vec<Bytes>,
    bytes: usize,
    memory: Option<OwnedSemaphorePermit>,
}

/// The crate refused to encode what a handler answered: a defect of ours.
#[derive(Debug, thiserror::Error)]
#[error("the answer to {api:?} version {version} does not encode: {reason}")]
pub struct EncodeError {
    api: ApiKey,
    version: i16,
    reason: String,
}

impl Response {
    /// From parts that begin with the length.
    pub(super) fn new(parts: Vec<Bytes>) -> Self {
        let bytes = parts.iter().map(Bytes::len).sum();
        Self { parts, bytes, memory: None }
    }

    /// A message of the crate's, in `version`, which differs from the request's only for an ApiVersions of a
    /// version that is not known.
    ///
    /// # Errors
    /// `EncodeError` when a field has no place in that version.
    pub fn message<M: Encodable>(head: &RequestHead, version: i16, body: &M) -> Result<Self, EncodeError> {
        Self::encoded(head, version, |buffer| body.encode(buffer, version))
    }

    /// A message of the crate's, whichever it is.
    ///
    /// # Errors
    /// `EncodeError` when a field has no place in that version.
    pub fn kind(head: &RequestHead, version: i16, body: &ResponseKind) -> Result<Self, EncodeError> {
        Self::encoded(head, version, |buffer| body.encode(buffer, version))
    }

    fn encoded<E: Display>(
        head: &RequestHead,
        version: i16,
        encode: impl FnOnce(&mut BytesMut) -> Result<(), E>,
    ) -> Result<Self, EncodeError> {
        let mut buffer = begin(head);
        encode(&mut buffer).map_err(|error| EncodeError {
            api: head.api,
            version,
            reason: error.to_string(),
        })?;
        patch_length(&mut buffer, 0);
        Ok(Self::new(vec![buffer.freeze()]))
    }

    /// A writer of our own for the body.
    #[must_use]
    pub fn writer(head: &RequestHead) -> Writer {
        Writer::new(begin(head), head.flexible)
    }

    /// With what it counts for of the memory for answers.
    #[must_use]
    pub fn holding(mut self, memory: Option<OwnedSemaphorePermit>) -> Self {
        self.memory = memory;
        self
    }

    /// The parts, in order, and what they count for, to be given back when they have been written.
    #[must_use]
    pub fn into_parts(self) -> (Vec<Bytes>, Option<OwnedSemaphorePermit>) {
        (self.parts, self.memory)
    }

    /// Its length with everything, in bytes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Room for the length, and the response header: version 1 for flexible requests but for ApiVersions (KIP-511).
fn begin(head: &RequestHead) -> BytesMut {
    let mut buffer = BytesMut::with_capacity(256);
    buffer.put_bytes(0, LENGTH_BYTES);
    buffer.put_i32(head.correlation_id);
    if head.flexible && head.api != ApiKey::ApiVersions {
        buffer.put_u8(0);
    }
    buffer
}

/// Writes the length over the room that was left for it; `more` bytes follow that are not in `buffer`.
pub(super) fn patch_length(buffer: &mut [u8], more: usize) {
    // Fetch and DescribeConfigs are bounded by themselves, the others by what one request may name times what is told of
    // each. Of 2 GiB and more the length is negative as clients read it, and they close.
    let length = u32::try_from(buffer.len() - LENGTH_BYTES + more).unwrap_or(u32::MAX);
    buffer[..LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
}
