//! Frames: a four-byte length, a request header, a body. A connection owns one `ReceiveBuffer` and reads into it;
//! what the frames in it mean is decided elsewhere. No I/O here.

use super::cursor::{Cursor, Malformed};
use super::guard;
use bytes::buf::Limit;
use bytes::{BufMut, Bytes};
use kafka_protocol::messages::ApiKey;
use levee_base::limits::{FRAME_BYTES, RECEIVE_BUFFER_BYTES};
use std::mem;
use std::ops::Range;

/// The bytes of a frame's length.
pub const LENGTH_BYTES: usize = 4;

/// A frame that can't be: nothing that follows on the connection can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadLength {
    /// Below zero.
    #[error("a frame of {0} bytes is announced: is this a Kafka client, without TLS?")]
    Negative(i32),
    /// The first bytes of a TLS handshake.
    #[error("this is a TLS handshake, and this listener speaks plain Kafka: set security.protocol=PLAINTEXT")]
    Tls,
    /// The first bytes of an HTTP request.
    #[error(
        "this is an HTTP request, and this is the port for Kafka clients: metrics and health are at --http"
    )]
    Http,
    /// More than [`FRAME_BYTES`].
    #[error("a frame of {0} bytes is announced, more than the {FRAME_BYTES} allowed: send smaller requests")]
    TooLarge(usize),
}

/// What a connection has received and not yet worked off. Frames lie in it in one piece, for use in place.
///
/// It never allocates more than asked for, so that its memory can be accounted for by [`ReceiveBuffer::allocated`].
#[derive(Debug, Default)]
pub struct ReceiveBuffer {
    bytes: Vec<u8>,
    /// What lies before this has been worked off.
    start: usize,
}

impl ReceiveBuffer {
    /// The length of the frame that comes next, without its own four bytes, as soon as it is known.
    ///
    /// # Errors
    /// `BadLength` when no frame can have it.
    pub fn next_length(&self) -> Result<Option<usize>, BadLength> {
        let Some(&head) = self.received().first_chunk() else { return Ok(None) };
        let length = i32::from_be_bytes(head);
        match usize::try_from(length) {
            Err(_) => Err(BadLength::Negative(length)),
            Ok(length) if length > FRAME_BYTES => Err(match &head {
                // A record of type handshake, version 3.x (RFC 8446, 5.1).
                [0x16, 0x03, ..] => BadLength::Tls,
                b"GET " | b"HEAD" | b"POST" | b"PUT " | b"OPTI" | b"DELE" | b"CONN" | b"PRI " => {
                    BadLength::Http
                }
                _ => BadLength::TooLarge(length),
            }),
            Ok(length) => Ok(Some(length)),
        }
    }

    /// What has been received and not worked off.
    #[must_use]
    pub fn received(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// The frame of this length, once all of it is there.
    pub fn frame(&mut self, length: usize) -> Option<&mut [u8]> {
        self.bytes.get_mut(self.start + LENGTH_BYTES..self.start + LENGTH_BYTES + length)
    }

    /// Forgets the frame of this length, which is there.
    pub fn consume(&mut self, length: usize) {
        self.start += LENGTH_BYTES + length;
        if self.start >= self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
        }
    }

    /// Takes the frame of this length, which is there, out of the buffer: copies it if it is small, or gives it
    /// the buffer's memory.
    pub fn take(&mut self, length: usize) -> Bytes {
        let frame = self.start + LENGTH_BYTES..self.start + LENGTH_BYTES + length;
        if LENGTH_BYTES + length <= RECEIVE_BUFFER_BYTES {
            let copy = Bytes::copy_from_slice(&self.bytes[frame]);
            self.consume(length);
            return copy;
        }
        let rest = self.bytes.split_off(frame.end);
        let bytes = mem::replace(&mut self.bytes, rest);
        self.start = 0;
        Bytes::from(bytes).slice(frame)
    }

    /// Where to read to: the rest of a frame of this length, or of as much as each connection may hold. Nothing is
    /// read ahead beyond that, so what is left after a frame never makes the buffer large. Not empty as long as the
    /// frame is not complete.
    pub fn room(&mut self, length: usize) -> Limit<&mut Vec<u8>> {
        let wanted = (LENGTH_BYTES + length).max(RECEIVE_BUFFER_BYTES);
        if self.start + wanted > self.bytes.capacity() {
            self.bytes.drain(..self.start);
            self.start = 0;
            self.bytes.reserve_exact(wanted.saturating_sub(self.bytes.len()));
        }
        let limit = wanted.saturating_sub(self.received().len());
        (&mut self.bytes).limit(limit)
    }

    /// What it holds of memory, in bytes.
    #[must_use]
    pub const fn allocated(&self) -> usize {
        self.bytes.capacity()
    }

    /// Gives memory back, down to what has been received and the size that each connection may have.
    pub fn shrink(&mut self) {
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.shrink_to(RECEIVE_BUFFER_BYTES);
    }
}

/// The header of a request, and where things lie in its frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHead {
    /// The API, known to the crate.
    pub api: ApiKey,
    /// The version of the request. One that the guard knows, but for ApiVersions, which may have any.
    pub version: i16,
    /// What the answer repeats.
    pub correlation_id: i32,
    /// Whether lengths are compact and structs end in tagged fields.
    pub flexible: bool,
    client_id: Option<Range<usize>>,
    /// Where the body begins.
    pub body: usize,
}

impl RequestHead {
    /// Parses the header of `frame`: version 1, or 2 for flexible requests (KIP-482).
    ///
    /// An ApiVersions request of a version that nobody knows yet is answered all the same (KIP-511), so its header
    /// is read up to the correlation id and its body is taken to be empty.
    ///
    /// # Errors
    /// Any: the connection can't go on, for the length of an unknown header is unknown.
    pub fn parse(frame: &[u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(frame);
        let (key, version) = (cursor.int16()?, cursor.int16()?);
        let api = ApiKey::try_from(key).map_err(|()| Malformed::UnknownApi(key))?;
        let message = guard::message(key).ok_or(Malformed::UnknownApi(key))?;
        let correlation_id = cursor.int32()?;
        let flexible = message.flexible.contain(version);
        if !message.versions.contain(version) {
            return match api {
                ApiKey::ApiVersions => {
                    Ok(Self { api, version, correlation_id, flexible, client_id: None, body: frame.len() })
                }
                _ => Err(Malformed::UnknownVersion { api: key, version }),
            };
        }
        // The client id's length stays an INT16 in flexible headers.
        let client_id = match cursor.short_length(false)? {
            None => None,
            Some(length) => {
                let start = frame.len() - cursor.left();
                std::str::from_utf8(cursor.take(length)?).map_err(|_| Malformed::Utf8)?;
                Some(start..start + length)
            }
        };
        if flexible {
            cursor.skip_tagged_fields()?;
        }
        Ok(Self { api, version, correlation_id, flexible, client_id, body: frame.len() - cursor.left() })
    }

    /// The client's name for itself, from the frame that this header was parsed from.
    #[must_use]
    pub fn client_id<'a>(&self, frame: &'a [u8]) -> Option<&'a str> {
        frame.get(self.client_id.clone()?).and_then(|bytes| std::str::from_utf8(bytes).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use kafka_protocol::messages::RequestHeader;
    use kafka_protocol::protocol::{Encodable, StrBytes};

    #[test]
    fn headers_of_every_api_and_version_are_read_as_the_crate_writes_them() {
        for message in guard::MESSAGES {
            let Ok(api) = ApiKey::try_from(message.key) else { continue };
            let known = api.valid_versions();
            for version in known.min.max(message.versions.0)..=known.max.min(message.versions.1) {
                for client_id in [None, Some(""), Some("rdkafka")] {
                    let header = RequestHeader::default()
                        .with_request_api_key(message.key)
                        .with_request_api_version(version)
                        .with_correlation_id(77)
                        .with_client_id(client_id.map(StrBytes::from_static_str));
                    let mut frame = BytesMut::new();
                    header.encode(&mut frame, api.request_header_version(version)).unwrap();
                    let body = frame.len();
                    frame.put_slice(b"body");
                    let head = RequestHead::parse(&frame).unwrap();
                    assert_eq!(
                        (head.api, head.version, head.correlation_id, head.body),
                        (api, version, 77, body)
                    );
                    assert_eq!(head.client_id(&frame), client_id);
                    assert_eq!(head.flexible, message.flexible.contain(version));
                    for cut in 0..body {
                        assert!(RequestHead::parse(&frame[..cut]).is_err());
                    }
                }
            }
        }
    }

    #[test]
    fn an_unknown_version_is_accepted_of_api_versions_only() {
        let head = RequestHead::parse(&[0, 18, 0, 99, 0, 0, 0, 5, 0xff]).unwrap();
        assert_eq!((head.api, head.version, head.correlation_id), (ApiKey::ApiVersions, 99, 5));
        assert_eq!(
            RequestHead::parse(&[0, 3, 0, 99, 0, 0, 0, 5, 0xff, 0xff]),
            Err(Malformed::UnknownVersion { api: 3, version: 99 })
        );
        assert_eq!(RequestHead::parse(&[0x47, 0x45, 0x54, 0x20, 0, 0]), Err(Malformed::UnknownApi(0x4745)));
    }

    #[test]
    fn frames_lie_in_one_piece_and_large_ones_are_given_back() {
        let mut buffer = ReceiveBuffer::default();
        assert_eq!(buffer.next_length(), Ok(None));
        let large = RECEIVE_BUFFER_BYTES * 3;
        buffer.room(0).put_slice(&[0, 0, 0, 2, 7, 8]);
        buffer.room(0).put_u32(large as u32);
        assert_eq!(buffer.next_length(), Ok(Some(2)));
        assert_eq!(buffer.frame(2).unwrap(), &[7, 8]);
        buffer.consume(2);
        assert_eq!(buffer.next_length(), Ok(Some(large)));
        assert!(buffer.frame(large).is_none());
        let mut room = buffer.room(large);
        assert_eq!(room.remaining_mut(), large, "nothing is read ahead of a large frame");
        room.put_bytes(1, large);
        assert_eq!(buffer.allocated(), large + LENGTH_BYTES, "no more than asked for");
        assert_eq!(buffer.frame(large).unwrap().len(), large);
        buffer.consume(large);
        assert!(buffer.received().is_empty());
        buffer.room(0).put_slice(&[0, 0, 0, 1]);
        buffer.shrink();
        assert_eq!(buffer.allocated(), RECEIVE_BUFFER_BYTES);
        assert_eq!(buffer.next_length(), Ok(Some(1)));
    }

    #[test]
    fn a_frame_that_is_taken_leaves_what_follows_it() {
        for length in [3, RECEIVE_BUFFER_BYTES * 2] {
            let mut buffer = ReceiveBuffer::default();
            let mut room = buffer.room(length + 100);
            room.put_u32(0);
            room.put_u32(length as u32);
            room.put_bytes(9, length);
            room.put_slice(&[0, 0, 0, 1, 5]);
            assert!(buffer.take(0).is_empty());
            assert_eq!(buffer.take(length), vec![9; length]);
            assert_eq!(buffer.frame(1).unwrap(), &[5]);
        }
    }

    #[test]
    fn frames_beyond_the_limit_are_refused() {
        let mut buffer = ReceiveBuffer::default();
        buffer.room(0).put_slice(b"\xff\xff\xff\xff");
        assert_eq!(buffer.next_length(), Err(BadLength::Negative(-1)));
        let mut buffer = ReceiveBuffer::default();
        buffer.room(0).put_slice(b"\x7f\xff\xff\xff");
        assert_eq!(buffer.next_length(), Err(BadLength::TooLarge(0x7fff_ffff)));
        let mut buffer = ReceiveBuffer::default();
        buffer.room(0).put_slice(b"GET / HTTP/1.1\r\n");
        assert_eq!(buffer.next_length(), Err(BadLength::Http));
        let mut buffer = ReceiveBuffer::default();
        buffer.room(0).put_slice(b"\x16\x03\x01\x02\0");
        assert_eq!(buffer.next_length(), Err(BadLength::Tls));
    }
}
