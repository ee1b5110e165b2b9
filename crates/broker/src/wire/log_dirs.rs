//! The answer to DescribeLogDirs: the kafka-protocol crate ends at version 4. The request of version 5 is that of 4.

use super::frame::RequestHead;
use super::response::Response;
use std::ops::RangeInclusive;

/// The versions that can be written.
pub const VERSIONS: RangeInclusive<i16> = 1..=5;
/// The last version of the request that differs from the one before it.
pub const REQUEST_VERSION: i16 = 4;

/// What is said of a directory whose size can't be told (KIP-827).
const UNKNOWN_BYTES: i64 = -1;

/// The one log directory that there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogDir {
    /// Where it is.
    pub path: String,
    /// What is in it.
    pub topics: Vec<LogDirTopic>,
}

/// A topic in a log directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogDirTopic {
    /// Its name.
    pub name: String,
    /// Partitions, each with its size in bytes.
    pub partitions: Vec<(i32, i64)>,
}

impl LogDir {
    /// The answer to a request of a version in [`VERSIONS`].
    #[must_use]
    pub fn encode(&self, head: &RequestHead) -> Response {
        let version = head.version;
        let mut w = Response::writer(head);
        w.int32(0); // throttle_time_ms
        if version >= 3 {
            w.int16(0); // error_code
        }
        w.length(Some(1));
        w.int16(0); // error_code
        w.text(Some(&self.path));
        w.length(Some(self.topics.len()));
        for topic in &self.topics {
            w.text(Some(&topic.name));
            w.length(Some(topic.partitions.len()));
            for &(index, bytes) in &topic.partitions {
                w.int32(index);
                w.int64(bytes);
                w.int64(0); // offset_lag: nobody follows
                w.int8(0); // is_future_key: nothing moves to another directory
                w.tagged_fields(0);
            }
            w.tagged_fields(0);
        }
        if version >= 4 {
            w.int64(UNKNOWN_BYTES); // total_bytes
            w.int64(UNKNOWN_BYTES); // usable_bytes
        }
        if version >= 5 {
            w.int8(0); // is_cordoned: there is no other directory to place partitions in
        }
        w.tagged_fields(0);
        w.tagged_fields(0);
        w.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::test_support::head;
    use bytes::{Buf, Bytes};
    use kafka_protocol::messages::{ApiKey, DescribeLogDirsResponse};
    use kafka_protocol::protocol::Decodable;

    fn encoded(version: i16) -> Bytes {
        let dir = LogDir {
            path: "s3://bucket/prefix".to_owned(),
            topics: vec![LogDirTopic { name: "t".to_owned(), partitions: vec![(0, 5), (3, 1 << 40)] }],
        };
        let head = RequestHead::parse(&head(ApiKey::DescribeLogDirs, version)).unwrap();
        let (parts, _) = dir.encode(&head).into_parts();
        let mut bytes = Bytes::from(parts.concat());
        // The length, the correlation id and the header's tagged fields.
        bytes.advance(if head.flexible { 9 } else { 8 });
        bytes
    }

    #[test]
    fn the_crate_reads_what_is_written() {
        for version in *VERSIONS.start()..=REQUEST_VERSION {
            let mut bytes = encoded(version);
            let read = DescribeLogDirsResponse::decode(&mut bytes, version).unwrap();
            assert!(bytes.is_empty(), "{version}");
            let [dir] = &read.results[..] else { panic!("{read:?}") };
            assert_eq!((&*dir.log_dir, dir.total_bytes, dir.usable_bytes), ("s3://bucket/prefix", -1, -1));
            let sizes: Vec<_> =
                dir.topics[0].partitions.iter().map(|p| (p.partition_index, p.partition_size)).collect();
            assert_eq!((&**dir.topics[0].name, sizes), ("t", vec![(0, 5), (3, 1 << 40)]));
        }
    }

    #[test]
    fn version_5_says_that_the_directory_takes_partitions() {
        let (four, five) = (encoded(4), encoded(5));
        // One byte more, before the tagged fields of the directory and of the answer.
        assert_eq!(five[..], [&four[..four.len() - 2], &[0, 0, 0]].concat()[..]);
    }
}
