//! Writes a response body field by field, and lets runs of records pass by reference: they become parts of their
//! own, so that record bytes go from the cache to the socket without being copied.

use super::response::{Response, patch_length};
use bytes::{BufMut, Bytes, BytesMut};
use uuid::Uuid;

/// Who leads a partition (KIP-951).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leader {
    /// Its node id.
    pub id: i32,
    /// The leader epoch.
    pub epoch: i32,
}

/// Where a broker that is named as a leader listens (KIP-951).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its node id.
    pub id: i32,
    /// The host that it advertises.
    pub host: String,
    /// The port that it advertises.
    pub port: i32,
}

/// A response that is being written.
#[derive(Debug)]
pub struct Writer {
    buffer: BytesMut,
    flexible: bool,
    /// Runs of records, each with its place in `buffer`.
    runs: Vec<(usize, Bytes)>,
}

impl Writer {
    pub(super) const fn new(buffer: BytesMut, flexible: bool) -> Self {
        Self { buffer, flexible, runs: Vec::new() }
    }

    /// INT8.
    pub fn int8(&mut self, value: i8) {
        self.buffer.put_i8(value);
    }

    /// INT16.
    pub fn int16(&mut self, value: i16) {
        self.buffer.put_i16(value);
    }

    /// INT32.
    pub fn int32(&mut self, value: i32) {
        self.buffer.put_i32(value);
    }

    /// INT64.
    pub fn int64(&mut self, value: i64) {
        self.buffer.put_i64(value);
    }

    /// UUID.
    pub fn uuid(&mut self, value: Uuid) {
        self.buffer.put_slice(value.as_bytes());
    }

    /// UNSIGNED_VARINT.
    pub fn unsigned_varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.buffer.put_u8((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.buffer.put_u8(value as u8);
    }

    /// A nullable string. What is longer than a string can be on the wire is cut, at a character.
    pub fn text(&mut self, text: Option<&str>) {
        let text = text.map(|text| &text[..text.floor_char_boundary(i16::MAX as usize)]);
        let length = text.map(str::len);
        match (self.flexible, length) {
            (true, _) => self.unsigned_varint(length.map_or(0, |length| length as u32 + 1)),
            (false, None) => self.int16(-1),
            (false, Some(length)) => self.int16(length as i16),
        }
        self.buffer.put_slice(text.unwrap_or_default().as_bytes());
    }

    /// The length of an array or of bytes; `None` for null.
    pub fn length(&mut self, length: Option<usize>) {
        let length = length.map(|length| i32::try_from(length).unwrap_or(i32::MAX));
        if self.flexible {
            self.unsigned_varint(length.map_or(0, |length| length as u32 + 1));
        } else {
            self.int32(length.unwrap_or(-1));
        }
    }

    /// Records, as parts of their own.
    pub fn records(&mut self, runs: &[Bytes]) {
        self.length(Some(runs.iter().map(Bytes::len).sum()));
        for run in runs.iter().filter(|run| !run.is_empty()) {
            self.runs.push((self.buffer.len(), run.clone()));
        }
    }

    /// How many tagged fields follow; nothing in versions that have none.
    pub fn tagged_fields(&mut self, count: usize) {
        if self.flexible {
            self.unsigned_varint(count as u32);
        }
    }

    /// A tagged field that is a leader.
    pub fn tagged_leader(&mut self, tag: u32, leader: Leader) {
        self.unsigned_varint(tag);
        self.unsigned_varint(4 + 4 + 1);
        self.int32(leader.id);
        self.int32(leader.epoch);
        self.tagged_fields(0);
    }

    /// A tagged field that is an array of endpoints, without racks.
    pub fn tagged_endpoints(&mut self, tag: u32, endpoints: &[Endpoint]) {
        let mut value = Self::new(BytesMut::new(), true);
        value.length(Some(endpoints.len()));
        for endpoint in endpoints {
            value.int32(endpoint.id);
            value.text(Some(&endpoint.host));
            value.int32(endpoint.port);
            value.text(None);
            value.tagged_fields(0);
        }
        self.unsigned_varint(tag);
        self.unsigned_varint(value.buffer.len() as u32);
        self.buffer.put_slice(&value.buffer);
    }

    /// The response, cut into parts where runs of records lie.
    #[must_use]
    pub fn finish(mut self) -> Response {
        patch_length(&mut self.buffer, self.runs.iter().map(|(_, run)| run.len()).sum());
        let written = self.buffer.freeze();
        let mut parts = Vec::with_capacity(self.runs.len() * 2 + 1);
        let mut from = 0;
        for (at, run) in self.runs {
            if at > from {
                parts.push(written.slice(from..at));
                from = at;
            }
            parts.push(run);
        }
        if written.len() > from {
            parts.push(written.slice(from..));
        }
        Response::new(parts)
    }
}
