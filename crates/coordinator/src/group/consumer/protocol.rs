//! What consumers put into the classic protocol: their subscriptions and assignments, which brokers otherwise don't read.

use crate::schema::wire::{Reader, SchemaError, Writer};
use bytes::{Buf, Bytes};
use std::collections::{BTreeMap, BTreeSet};

/// The protocol type of consumers.
pub const PROTOCOL_TYPE: &str = "consumer";

/// The newest version of both; what is newer is read and written as this one.
const VERSION_MAX: i16 = 3;

/// A subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The topics.
    pub topics: BTreeSet<String>,
    /// The partitions that the member owns, by topic.
    pub owned: BTreeMap<String, BTreeSet<i32>>,
    /// Its rack.
    pub rack_id: Option<String>,
}

/// An assignment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Assignment {
    /// The partitions, by topic.
    pub partitions: BTreeMap<String, BTreeSet<i32>>,
    /// What a client's assignor adds.
    pub user_data: Option<Bytes>,
}

/// The version that some bytes begin with.
///
/// # Errors
/// `Short`, and `Version` for a negative one.
pub fn version(mut bytes: Bytes) -> Result<i16, SchemaError> {
    match bytes.try_get_i16().map_err(|_| SchemaError::Short)? {
        version @ ..0 => Err(SchemaError::Version(version)),
        version => Ok(version.min(VERSION_MAX)),
    }
}

fn open(mut bytes: Bytes) -> Result<(i16, Reader), SchemaError> {
    let version = version(bytes.clone())?;
    bytes.advance(2);
    Ok((version, Reader::new(bytes, false)))
}

fn read_partitions(reader: &mut Reader) -> Result<BTreeMap<String, BTreeSet<i32>>, SchemaError> {
    let topics = reader.array(|topic| {
        Ok((topic.string()?, topic.array(Reader::i32)?.into_iter().collect::<BTreeSet<i32>>()))
    })?;
    Ok(topics.into_iter().collect())
}

impl Subscription {
    /// Reads a subscription.
    ///
    /// # Errors
    /// See [`SchemaError`].
    pub fn parse(bytes: Bytes) -> Result<Self, SchemaError> {
        let (version, mut reader) = open(bytes)?;
        let topics = reader.array(Reader::string)?.into_iter().collect();
        // What a client's assignor adds to it concerns clients only.
        reader.nullable_bytes()?;
        let owned = if version >= 1 { read_partitions(&mut reader)? } else { BTreeMap::new() };
        if version >= 2 {
            // The generation that they were owned in.
            reader.i32()?;
        }
        let rack_id = if version >= 3 { reader.nullable_string()? } else { None };
        Ok(Self { topics, owned, rack_id })
    }
}

impl Assignment {
    /// Reads an assignment.
    ///
    /// # Errors
    /// See [`SchemaError`].
    pub fn parse(bytes: Bytes) -> Result<Self, SchemaError> {
        let (_, mut reader) = open(bytes)?;
        Ok(Self { partitions: read_partitions(&mut reader)?, user_data: reader.nullable_bytes()? })
    }

    /// Its bytes, in a version that [`version`] has given.
    #[must_use]
    pub fn write(&self, version: i16) -> Bytes {
        let topics: Vec<_> = self.partitions.iter().collect();
        let mut writer = Writer::new(version, false);
        writer.array(&topics, |writer, (topic, partitions)| {
            let partitions: Vec<i32> = partitions.iter().copied().collect();
            writer.string(topic).array(&partitions, |writer, partition| {
                writer.i32(*partition);
            });
        });
        match &self.user_data {
            Some(user_data) => writer.bytes(user_data),
            None => writer.i32(-1),
        };
        writer.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(parts: &[&[u8]]) -> Bytes {
        parts.concat().into()
    }

    const TOPICS: &[u8] = b"\0\0\0\x01\0\x01t";
    const NULL: &[u8] = &[0xff; 4];
    const OWNED: &[u8] = b"\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x02";

    #[test]
    fn every_version_of_a_subscription_is_read() {
        let topics = BTreeSet::from(["t".to_owned()]);
        let owned = BTreeMap::from([("t".to_owned(), BTreeSet::from([2]))]);
        let none = Subscription { topics, owned: BTreeMap::new(), rack_id: None };
        assert_eq!(Subscription::parse(bytes(&[b"\0\0", TOPICS, NULL])), Ok(none.clone()));
        let some = Subscription { owned, ..none };
        assert_eq!(Subscription::parse(bytes(&[b"\0\x01", TOPICS, NULL, OWNED])), Ok(some.clone()));
        assert_eq!(
            Subscription::parse(bytes(&[b"\0\x02", TOPICS, NULL, OWNED, b"\0\0\0\x07"])),
            Ok(some.clone())
        );
        let racked = Subscription { rack_id: Some("r".to_owned()), ..some };
        let rack = b"\0\0\0\x07\0\x01r";
        assert_eq!(Subscription::parse(bytes(&[b"\0\x03", TOPICS, NULL, OWNED, rack])), Ok(racked.clone()));
        // A later version only adds to it.
        assert_eq!(Subscription::parse(bytes(&[b"\0\x09", TOPICS, NULL, OWNED, rack, b"more"])), Ok(racked));
        assert_eq!(Subscription::parse(bytes(&[b"\xff\xff", TOPICS, NULL])), Err(SchemaError::Version(-1)));
        assert_eq!(Subscription::parse(bytes(&[b"\0"])), Err(SchemaError::Short));
        assert_eq!(Subscription::parse(bytes(&[b"\0\x01", TOPICS, NULL])), Err(SchemaError::Short));
    }

    #[test]
    fn an_assignment_is_read_as_it_was_written() {
        let partitions = BTreeMap::from([("t".to_owned(), BTreeSet::from([2]))]);
        let assignment = Assignment { partitions, user_data: None };
        let written = bytes(&[b"\0\x03", OWNED, NULL]);
        assert_eq!(assignment.write(3), written);
        assert_eq!(Assignment::parse(written), Ok(assignment.clone()));
        let custom = Assignment { user_data: Some(Bytes::from_static(b"x")), ..assignment };
        assert_eq!(Assignment::parse(custom.write(0)), Ok(custom));
    }
}
