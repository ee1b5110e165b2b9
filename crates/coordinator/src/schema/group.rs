//! The records of `__consumer_offsets` that hold offsets and classic groups: kinds 0 and 1 (an offset) and 2 (a group).
//!
//! Apache Kafka 4.3 writes offsets in version 4, or in version 1 where a client asked for a retention of its own, and
//! groups in version 3.

use super::wire::{Reader, SchemaError, Writer};
use bytes::{Buf, Bytes};
use std::sync::Arc;
use uuid::Uuid;

/// The kind of an offset's key as releases before 0.9 numbered it; laid out as [`OFFSET_COMMIT`].
pub const OFFSET_COMMIT_LEGACY: i16 = 0;
/// The kind of an offset's key.
pub const OFFSET_COMMIT: i16 = 1;
/// The kind of a classic group's key.
pub const GROUP_METADATA: i16 = 2;

/// The newest version of both values that is read.
const VERSION_MAX: i16 = 4;
/// The first version with flexible lengths, of both values.
const VERSION_FLEXIBLE: i16 = 4;
/// The version that an offset is written in.
const OFFSET_VERSION: i16 = 4;
/// The version of an offset whose client asked for a retention of its own: the only one with a field for it.
const OFFSET_VERSION_EXPIRING: i16 = 1;
/// The version that a group is written in: the newest that is not flexible.
const GROUP_VERSION: i16 = 3;
/// The tag of an offset's topic id.
const TAG_TOPIC_ID: u32 = 0;

type Read<T> = Result<T, SchemaError>;

/// The kind of a key, without reading the rest of it.
///
/// # Errors
/// `Short`.
pub fn kind_of(key: &Bytes) -> Read<i16> {
    key.clone().try_get_i16().map_err(|_| SchemaError::Short)
}

/// Takes kind or version off the front.
fn number(mut bytes: Bytes) -> Read<(i16, Bytes)> {
    let number = bytes.try_get_i16().map_err(|_| SchemaError::Short)?;
    Ok((number, bytes))
}

/// A value's version, and what follows it.
fn value(bytes: Bytes) -> Read<(i16, Reader)> {
    let (version, rest) = number(bytes)?;
    if !(0..=VERSION_MAX).contains(&version) {
        return Err(SchemaError::Version(version));
    }
    Ok((version, Reader::new(rest, version >= VERSION_FLEXIBLE)))
}

/// Whose offset a record holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OffsetCommitKey {
    /// The group.
    pub group: Arc<str>,
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
}

impl OffsetCommitKey {
    /// The key's bytes.
    #[must_use]
    pub fn write(&self) -> Bytes {
        Writer::new(OFFSET_COMMIT, false).string(&self.group).string(&self.topic).i32(self.partition).finish()
    }

    /// Reads a key of kind [`OFFSET_COMMIT`] or [`OFFSET_COMMIT_LEGACY`].
    ///
    /// # Errors
    /// See [`SchemaError`].
    pub fn read(bytes: Bytes) -> Read<Self> {
        let (kind, rest) = number(bytes)?;
        if !matches!(kind, OFFSET_COMMIT | OFFSET_COMMIT_LEGACY) {
            return Err(SchemaError::Kind(kind));
        }
        let mut reader = Reader::new(rest, false);
        Ok(Self { group: reader.string()?.into(), topic: reader.string()?.into(), partition: reader.i32()? })
    }
}

/// A committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetCommitValue {
    /// The offset.
    pub offset: i64,
    /// The leader epoch of the last record that was consumed, -1 where it is not known.
    pub leader_epoch: i32,
    /// What the client added.
    pub metadata: Box<str>,
    /// When it was committed, in Unix milliseconds.
    pub commit_timestamp_ms: i64,
    /// When it expires, in Unix milliseconds, where its client asked for a retention of its own.
    pub expire_timestamp_ms: Option<i64>,
    /// The topic's id, nil where the client did not name the topic by it.
    pub topic_id: Uuid,
}

impl OffsetCommitValue {
    /// The value's bytes. With an own time of expiry it has neither a leader epoch nor a topic id, as in Kafka.
    #[must_use]
    pub fn write(&self) -> Bytes {
        if let Some(expire_timestamp_ms) = self.expire_timestamp_ms {
            return Writer::new(OFFSET_VERSION_EXPIRING, false)
                .i64(self.offset)
                .string(&self.metadata)
                .i64(self.commit_timestamp_ms)
                .i64(expire_timestamp_ms)
                .finish();
        }
        let topic_id = (TAG_TOPIC_ID, Bytes::copy_from_slice(self.topic_id.as_bytes()));
        let tagged = if self.topic_id.is_nil() { &[][..] } else { std::slice::from_ref(&topic_id) };
        Writer::new(OFFSET_VERSION, true)
            .i64(self.offset)
            .i32(self.leader_epoch)
            .string(&self.metadata)
            .i64(self.commit_timestamp_ms)
            .tagged(tagged)
            .finish()
    }

    /// Reads a value of any version.
    ///
    /// # Errors
    /// See [`SchemaError`].
    pub fn read(bytes: Bytes) -> Read<Self> {
        let (version, mut reader) = value(bytes)?;
        let offset = reader.i64()?;
        let leader_epoch = if version >= 3 { reader.i32()? } else { -1 };
        let metadata = reader.string()?.into_boxed_str();
        let commit_timestamp_ms = reader.i64()?;
        let expire_timestamp_ms = if version == 1 { reader.i64()? } else { -1 };
        let mut topic_id = Uuid::nil();
        reader.tagged(|tag, field| {
            if tag == TAG_TOPIC_ID {
                topic_id = field.uuid()?;
            }
            Ok(())
        })?;
        Ok(Self {
            offset,
            leader_epoch,
            metadata,
            commit_timestamp_ms,
            expire_timestamp_ms: (expire_timestamp_ms != -1).then_some(expire_timestamp_ms),
            topic_id,
        })
    }
}

/// Which classic group a record is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMetadataKey {
    /// The group.
    pub group: Arc<str>,
}

impl GroupMetadataKey {
    /// The key's bytes.
    #[must_use]
    pub fn write(&self) -> Bytes {
        Writer::new(GROUP_METADATA, false).string(&self.group).finish()
    }

    /// Reads a key of kind [`GROUP_METADATA`].
    ///
    /// # Errors
    /// See [`SchemaError`].
    pub fn read(bytes: Bytes) -> Read<Self> {
        let (kind, rest) = number(bytes)?;
        if kind != GROUP_METADATA {
            return Err(SchemaError::Kind(kind));
        }
        Ok(Self { group: Reader::new(rest, false).string()?.into() })
    }
}

/// A classic group, as of its last completed rebalance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMetadataValue {
    /// The protocol type, empty for a group that never had members.
    pub protocol_type: String,
    /// The generation.
    pub generation: i32,
    /// The name of the protocol that was chosen.
    pub protocol: Option<String>,
    /// The leader's member id.
    pub leader: Option<String>,
    /// When the group came to its state, in Unix milliseconds; -1 where it is not known (versions below 2).
    pub current_state_timestamp_ms: i64,
    /// The members.
    pub members: Vec<MemberMetadata>,
}

/// A member of a classic group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberMetadata {
    /// Its id.
    pub member_id: String,
    /// The instance id of a static member.
    pub group_instance_id: Option<String>,
    /// The client id it joined with.
    pub client_id: String,
    /// The address it joined from.
    pub client_host: String,
    /// How long a rebalance waits for it, in milliseconds; -1 where it is not known (version 0).
    pub rebalance_timeout_ms: i32,
    /// How long it may be silent, in milliseconds.
    pub session_timeout_ms: i32,
    /// Its metadata for the chosen protocol.
    pub subscription: Bytes,
    /// What the leader assigned to it.
    pub assignment: Bytes,
}

impl GroupMetadataValue {
    /// The value's bytes.
    #[must_use]
    pub fn write(&self) -> Bytes {
        Writer::new(GROUP_VERSION, false)
            .string(&self.protocol_type)
            .i32(self.generation)
            .nullable_string(self.protocol.as_deref())
            .nullable_string(self.leader.as_deref())
            .i64(self.current_state_timestamp_ms)
            .array(&self.members, |writer, member| {
                writer
                    .string(&member.member_id)
                    .nullable_string(member.group_instance_id.as_deref())
                    .string(&member.client_id)
                    .string(&member.client_host)
                    .i32(member.rebalance_timeout_ms)
                    .i32(member.session_timeout_ms)
                    .bytes(&member.subscription)
                    .bytes(&member.assignment);
            })
            .finish()
    }

    /// Reads a value of any version.
    ///
    /// # Errors
    /// See [`SchemaError`].
    pub fn read(bytes: Bytes) -> Read<Self> {
        let (version, mut reader) = value(bytes)?;
        let group = Self {
            protocol_type: reader.string()?,
            generation: reader.i32()?,
            protocol: reader.nullable_string()?,
            leader: reader.nullable_string()?,
            current_state_timestamp_ms: if version >= 2 { reader.i64()? } else { -1 },
            members: reader.array(|reader| {
                let member = MemberMetadata {
                    member_id: reader.string()?,
                    group_instance_id: if version >= 3 { reader.nullable_string()? } else { None },
                    client_id: reader.string()?,
                    client_host: reader.string()?,
                    rebalance_timeout_ms: if version >= 1 { reader.i32()? } else { -1 },
                    session_timeout_ms: reader.i32()?,
                    subscription: reader.bytes()?,
                    assignment: reader.bytes()?,
                };
                reader.no_tagged()?;
                Ok(member)
            })?,
        };
        reader.no_tagged()?;
        Ok(group)
    }
}

#[cfg(test)]
#[path = "group_tests.rs"]
mod tests;
