//! The records of `__consumer_offsets` that hold groups of the consumer protocol (KIP-848): kinds 3 to 8, and 16.
//!
//! Each kind has one version so far, 0, whose value is flexible. Of kind 4, which releases before 4.1 kept the
//! subscribed topics in, only tombstones are written any more.

use super::wire::{Reader, SchemaError, Writer};
use crate::effects::Record;
use bytes::{Buf, Bytes};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// The kind of a group's key: its epoch.
pub const GROUP: i16 = 3;
/// The kind of the key of a group's subscribed topics, as releases before 4.1 kept them.
pub const PARTITION_METADATA: i16 = 4;
/// The kind of a member's key: who it is and what it subscribes to.
pub const MEMBER: i16 = 5;
/// The kind of a target assignment's key: its epoch.
pub const TARGET: i16 = 6;
/// The kind of the key of a member's target assignment.
pub const TARGET_MEMBER: i16 = 7;
/// The kind of the key of a member's current assignment.
pub const CURRENT_MEMBER: i16 = 8;
/// The kind of a regular expression's key: which topics it matches.
pub const REGULAR_EXPRESSION: i16 = 16;

/// The version of every value.
const VERSION: i16 = 0;
/// The tags of optional fields; every structure has one at most.
const TAG: u32 = 0;

type Read<T> = Result<T, SchemaError>;

/// Partitions by topic id.
pub type Partitions = BTreeMap<Uuid, BTreeSet<i32>>;

/// Partitions by topic id, each with the epoch at which its member got it (KIP-1251).
pub type Assigned = BTreeMap<Uuid, BTreeMap<i32, i32>>;

/// What the record of a group says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupEpoch {
    /// Its epoch.
    pub epoch: i32,
    /// The hash of the topics that it subscribes to (KIP-1101); 0 if there is none.
    pub metadata_hash: i64,
}

/// What the record of a target assignment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TargetEpoch {
    /// The group epoch that it was made for.
    pub epoch: i32,
    /// When it was made, in Unix milliseconds (KIP-1263); 0 if that is not known.
    pub timestamp_ms: i64,
}

/// A protocol that a member offers which joined by the classic protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassicProtocol {
    /// Its name: an assignor's.
    pub name: String,
    /// The member's subscription.
    pub metadata: Bytes,
}

/// What is peculiar to a member which joined by the classic protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassicMember {
    /// Its session timeout, in milliseconds.
    pub session_timeout_ms: i32,
    /// What it offers, by its preference.
    pub protocols: Vec<ClassicProtocol>,
}

/// What the record of a member says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberMetadata {
    /// Its instance id, if it is static.
    pub instance_id: Option<String>,
    /// Its rack.
    pub rack_id: Option<String>,
    /// Its client id.
    pub client_id: String,
    /// Its address.
    pub client_host: String,
    /// The topics that it subscribes to by name.
    pub subscribed_topic_names: BTreeSet<String>,
    /// The regular expression that it subscribes to; empty is none.
    pub subscribed_topic_regex: Option<String>,
    /// How long it may take to give partitions up, in milliseconds.
    pub rebalance_timeout_ms: i32,
    /// The assignor that it asks for.
    pub server_assignor: Option<String>,
    /// What a member of the classic protocol has beside that.
    pub classic: Option<ClassicMember>,
}

/// What the record of a member's current assignment says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CurrentAssignment {
    /// The member's epoch.
    pub epoch: i32,
    /// The one before it.
    pub previous_epoch: i32,
    /// Its state, as a number.
    pub state: i8,
    /// What it may use.
    pub assigned: Assigned,
    /// What it has to give up.
    pub pending_revocation: Assigned,
}

/// What a regular expression matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedRegex {
    /// The topics.
    pub topics: BTreeSet<String>,
    /// The version of the metadata that it was matched with: an offset in Kafka's metadata log.
    pub version: i64,
    /// When, in Unix milliseconds.
    pub timestamp_ms: i64,
}

/// What one record changes of a group. `None` is a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The group.
    Group(Option<GroupEpoch>),
    /// Whether there are subscribed topics kept as before 4.1.
    PartitionMetadata(bool),
    /// A member.
    Member(String, Option<MemberMetadata>),
    /// The target assignment.
    Target(Option<TargetEpoch>),
    /// A member's target assignment.
    TargetMember(String, Option<Partitions>),
    /// A member's current assignment.
    CurrentMember(String, Option<CurrentAssignment>),
    /// A regular expression.
    Regex(String, Option<ResolvedRegex>),
}

impl Change {
    /// Whether records of a kind are changes.
    #[must_use]
    pub const fn is(kind: i16) -> bool {
        matches!(kind, GROUP..=CURRENT_MEMBER | REGULAR_EXPRESSION)
    }

    /// The kind of its record.
    const fn kind(&self) -> i16 {
        match self {
            Self::Group(_) => GROUP,
            Self::PartitionMetadata(_) => PARTITION_METADATA,
            Self::Member(..) => MEMBER,
            Self::Target(_) => TARGET,
            Self::TargetMember(..) => TARGET_MEMBER,
            Self::CurrentMember(..) => CURRENT_MEMBER,
            Self::Regex(..) => REGULAR_EXPRESSION,
        }
    }

    /// The record of this change of `group`.
    #[must_use]
    pub fn record(&self, group: &str) -> Record {
        let mut key = Writer::new(self.kind(), false);
        key.string(group);
        let mut writer = Writer::new(VERSION, true);
        let value = match self {
            Self::Group(value) => value.as_ref().map(|value| value.write(&mut writer)),
            // Nothing but tombstones is written.
            Self::PartitionMetadata(_) => None,
            Self::Target(value) => value.as_ref().map(|value| value.write(&mut writer)),
            Self::Member(member, value) => {
                key.string(member);
                value.as_ref().map(|value| value.write(&mut writer))
            }
            Self::TargetMember(member, value) => {
                key.string(member);
                value.as_ref().map(|value| write_partitions(&mut writer, value))
            }
            Self::CurrentMember(member, value) => {
                key.string(member);
                value.as_ref().map(|value| value.write(&mut writer))
            }
            Self::Regex(regex, value) => {
                key.string(regex);
                value.as_ref().map(|value| value.write(&mut writer))
            }
        };
        Record { key: key.finish(), value: value.map(|()| writer.finish()) }
    }

    /// Reads a record: whose group it changes, and how.
    ///
    /// # Errors
    /// See [`SchemaError`]; `Kind` for what [`Change::is`] denies.
    pub fn parse(key: &Bytes, value: Option<&Bytes>) -> Read<(String, Self)> {
        let mut key = key.clone();
        let kind = key.try_get_i16().map_err(|_| SchemaError::Short)?;
        if !Self::is(kind) {
            return Err(SchemaError::Kind(kind));
        }
        let mut key = Reader::new(key, false);
        let group = key.string()?;
        let mut value = value.map(|value| version_0(value.clone())).transpose()?;
        let value = value.as_mut();
        let change = match kind {
            GROUP => Self::Group(value.map(GroupEpoch::read).transpose()?),
            PARTITION_METADATA => {
                Self::PartitionMetadata(value.map(read_partition_metadata).transpose()?.is_some())
            }
            MEMBER => Self::Member(key.string()?, value.map(MemberMetadata::read).transpose()?),
            TARGET => Self::Target(value.map(TargetEpoch::read).transpose()?),
            TARGET_MEMBER => Self::TargetMember(key.string()?, value.map(read_partitions).transpose()?),
            CURRENT_MEMBER => {
                Self::CurrentMember(key.string()?, value.map(CurrentAssignment::read).transpose()?)
            }
            _ => Self::Regex(key.string()?, value.map(ResolvedRegex::read).transpose()?),
        };
        Ok((group, change))
    }
}

/// The fields of a value, after its version.
fn version_0(mut value: Bytes) -> Read<Reader> {
    match value.try_get_i16().map_err(|_| SchemaError::Short)? {
        VERSION => Ok(Reader::new(value, true)),
        version => Err(SchemaError::Version(version)),
    }
}

/// The bytes of a tagged field.
fn field(write: impl FnOnce(&mut Writer)) -> Bytes {
    let mut writer = Writer::new(0, true);
    write(&mut writer);
    // A writer begins with a number, which fields don't have.
    writer.finish().slice(2..)
}

/// A tagged int64 that is left out when it is 0.
fn tagged_i64(writer: &mut Writer, value: i64) {
    if value == 0 {
        writer.tagged(&[]);
    } else {
        let value = field(|writer| {
            writer.i64(value);
        });
        writer.tagged(&[(TAG, value)]);
    }
}

fn read_tagged_i64(reader: &mut Reader) -> Read<i64> {
    let mut value = 0;
    reader.tagged(|tag, field| {
        if tag == TAG {
            value = field.i64()?;
        }
        Ok(())
    })?;
    Ok(value)
}

impl GroupEpoch {
    fn write(&self, writer: &mut Writer) {
        tagged_i64(writer.i32(self.epoch), self.metadata_hash);
    }

    fn read(reader: &mut Reader) -> Read<Self> {
        Ok(Self { epoch: reader.i32()?, metadata_hash: read_tagged_i64(reader)? })
    }
}

impl TargetEpoch {
    fn write(&self, writer: &mut Writer) {
        tagged_i64(writer.i32(self.epoch), self.timestamp_ms);
    }

    fn read(reader: &mut Reader) -> Read<Self> {
        Ok(Self { epoch: reader.i32()?, timestamp_ms: read_tagged_i64(reader)? })
    }
}

/// Goes through the topics that releases before 4.1 kept; that they are there is all that counts.
fn read_partition_metadata(reader: &mut Reader) -> Read<()> {
    reader.array(|topic| {
        topic.uuid()?;
        topic.string()?;
        topic.i32()?;
        topic.array(|partition| {
            partition.i32()?;
            partition.array(Reader::string)?;
            partition.no_tagged()
        })?;
        topic.no_tagged()
    })?;
    reader.no_tagged()
}

impl ClassicMember {
    fn write(&self, writer: &mut Writer) {
        writer.i8(1).i32(self.session_timeout_ms);
        writer.array(&self.protocols, |writer, protocol| {
            writer.string(&protocol.name).bytes(&protocol.metadata).tagged(&[]);
        });
        writer.tagged(&[]);
    }

    fn read(reader: &mut Reader) -> Read<Option<Self>> {
        // 1 is a structure, 0 is null; as a varint, which is one byte then.
        if reader.i8()? <= 0 {
            return Ok(None);
        }
        let session_timeout_ms = reader.i32()?;
        let protocols = reader.array(|protocol| {
            let (name, metadata) = (protocol.string()?, protocol.bytes()?);
            protocol.no_tagged()?;
            Ok(ClassicProtocol { name, metadata })
        })?;
        reader.no_tagged()?;
        Ok(Some(Self { session_timeout_ms, protocols }))
    }
}

impl MemberMetadata {
    fn write(&self, writer: &mut Writer) {
        let topics: Vec<_> = self.subscribed_topic_names.iter().collect();
        writer
            .nullable_string(self.instance_id.as_deref())
            .nullable_string(self.rack_id.as_deref())
            .string(&self.client_id)
            .string(&self.client_host)
            .array(&topics, |writer, topic| {
                writer.string(topic);
            })
            .nullable_string(self.subscribed_topic_regex.as_deref())
            .i32(self.rebalance_timeout_ms)
            .nullable_string(self.server_assignor.as_deref());
        // Kafka writes the null, too, though it is the default.
        let classic = field(|writer| match &self.classic {
            Some(classic) => classic.write(writer),
            None => {
                writer.i8(0);
            }
        });
        writer.tagged(&[(TAG, classic)]);
    }

    fn read(reader: &mut Reader) -> Read<Self> {
        let mut member = Self {
            instance_id: reader.nullable_string()?,
            rack_id: reader.nullable_string()?,
            client_id: reader.string()?,
            client_host: reader.string()?,
            subscribed_topic_names: reader.array(Reader::string)?.into_iter().collect(),
            subscribed_topic_regex: reader.nullable_string()?,
            rebalance_timeout_ms: reader.i32()?,
            server_assignor: reader.nullable_string()?,
            classic: None,
        };
        reader.tagged(|tag, field| {
            if tag == TAG {
                member.classic = ClassicMember::read(field)?;
            }
            Ok(())
        })?;
        Ok(member)
    }
}

fn write_partitions(writer: &mut Writer, partitions: &Partitions) {
    let topics: Vec<_> = partitions.iter().collect();
    writer.array(&topics, |writer, (topic, partitions)| {
        let partitions: Vec<i32> = partitions.iter().copied().collect();
        writer.uuid(**topic).array(&partitions, |writer, partition| {
            writer.i32(*partition);
        });
        writer.tagged(&[]);
    });
    writer.tagged(&[]);
}

fn read_partitions(reader: &mut Reader) -> Read<Partitions> {
    let topics = reader.array(|topic| {
        let (id, partitions) = (topic.uuid()?, topic.array(Reader::i32)?);
        topic.no_tagged()?;
        Ok((id, partitions.into_iter().collect()))
    })?;
    reader.no_tagged()?;
    Ok(topics.into_iter().collect())
}

impl CurrentAssignment {
    fn write(&self, writer: &mut Writer) {
        writer.i32(self.epoch).i32(self.previous_epoch).i8(self.state);
        for assigned in [&self.assigned, &self.pending_revocation] {
            let topics: Vec<_> = assigned.iter().collect();
            writer.array(&topics, |writer, (topic, partitions)| {
                let each: Vec<i32> = partitions.keys().copied().collect();
                writer.uuid(**topic).array(&each, |writer, partition| {
                    writer.i32(*partition);
                });
                let epochs: Vec<i32> = partitions.values().copied().collect();
                let epochs = field(|writer| {
                    writer.array(&epochs, |writer, epoch| {
                        writer.i32(*epoch);
                    });
                });
                writer.tagged(&[(TAG, epochs)]);
            });
        }
        writer.tagged(&[]);
    }

    fn read(reader: &mut Reader) -> Read<Self> {
        let (epoch, previous_epoch, state) = (reader.i32()?, reader.i32()?, reader.i8()?);
        let assigned = read_assigned(reader, epoch)?;
        let pending_revocation = read_assigned(reader, epoch)?;
        reader.no_tagged()?;
        Ok(Self { epoch, previous_epoch, state, assigned, pending_revocation })
    }
}

/// Assigned partitions of a member with `epoch`, at which it got those that no epoch is known of: a release before 4.3
/// wrote them.
fn read_assigned(reader: &mut Reader, epoch: i32) -> Read<Assigned> {
    let topics = reader.array(|topic| {
        let (id, partitions) = (topic.uuid()?, topic.array(Reader::i32)?);
        let mut epochs = None;
        topic.tagged(|tag, field| {
            if tag == TAG {
                epochs = field.nullable_array(Reader::i32)?;
            }
            Ok(())
        })?;
        let epochs = epochs
            .filter(|epochs| epochs.len() == partitions.len())
            .unwrap_or_else(|| vec![epoch.max(0); partitions.len()]);
        Ok((id, partitions.into_iter().zip(epochs).collect()))
    })?;
    Ok(topics.into_iter().collect())
}

impl ResolvedRegex {
    fn write(&self, writer: &mut Writer) {
        let topics: Vec<_> = self.topics.iter().collect();
        writer
            .array(&topics, |writer, topic| {
                writer.string(topic);
            })
            .i64(self.version)
            .i64(self.timestamp_ms)
            .tagged(&[]);
    }

    fn read(reader: &mut Reader) -> Read<Self> {
        let resolved = Self {
            topics: reader.array(Reader::string)?.into_iter().collect(),
            version: reader.i64()?,
            timestamp_ms: reader.i64()?,
        };
        reader.no_tagged()?;
        Ok(resolved)
    }
}

#[cfg(test)]
#[path = "consumer_tests.rs"]
mod tests;
