//! A group of any kind: what offsets, listings and deletion ask of it.

use super::classic::{self, ClassicGroup};
use super::expiration::Expiration;
use super::turn::{Turn, text};
use crate::effects::Record;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use std::sync::Arc;

/// See the module's text.
#[derive(Debug)]
pub(crate) enum Group {
    /// Of the classic protocol, or one that only holds offsets.
    Classic(Box<ClassicGroup>),
}

impl Group {
    /// A group that was not there: only offsets, and clients of the classic protocol, make groups without more ado.
    pub(crate) fn new(id: Arc<str>, wall_ms: i64) -> Self {
        Self::Classic(Box::new(ClassicGroup::new(id, wall_ms)))
    }

    /// Its kind, as Kafka calls it.
    pub(crate) const fn type_name(&self) -> &'static str {
        match self {
            Self::Classic(_) => "classic",
        }
    }

    /// Its state, as Kafka calls it.
    pub(crate) const fn state_name(&self) -> &'static str {
        match self {
            Self::Classic(group) => group.state().name(),
        }
    }

    /// The type of its members' protocol; nothing for one that never had any.
    pub(crate) fn protocol_type(&self) -> &str {
        match self {
            Self::Classic(group) => group.protocol_type().unwrap_or_default(),
        }
    }

    /// Whether it has no members.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Classic(group) => group.state() == classic::State::Empty,
        }
    }

    /// Whether a member of this id and, if it is static, instance may commit offsets, as of a generation or an epoch.
    ///
    /// # Errors
    /// What to answer.
    pub(crate) fn validate_offset_commit(
        &self,
        member: &str,
        instance: Option<&str>,
        generation: i32,
        transactional: bool,
        _version: i16,
    ) -> Result<(), ResponseError> {
        match self {
            Self::Classic(group) => group.validate_offset_commit(member, instance, generation, transactional),
        }
    }

    /// Whether a member may be told committed offsets.
    ///
    /// # Errors
    /// What to answer.
    pub(crate) const fn validate_offset_fetch(
        &self,
        _member: Option<&str>,
        _epoch: i32,
    ) -> Result<(), ResponseError> {
        match self {
            Self::Classic(_) => Ok(()),
        }
    }

    /// Whether offsets may be deleted.
    ///
    /// # Errors
    /// What to answer.
    pub(crate) fn validate_offset_delete(&self) -> Result<(), ResponseError> {
        match self {
            Self::Classic(group) => group.validate_offset_delete(),
        }
    }

    /// Whether it may be deleted.
    ///
    /// # Errors
    /// What to answer.
    pub(crate) fn validate_delete(&self) -> Result<(), ResponseError> {
        match self {
            Self::Classic(group) => group.validate_delete(),
        }
    }

    /// Whether its members read a topic, whose offsets can't be deleted and don't expire then.
    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        match self {
            Self::Classic(group) => group.is_subscribed_to(topic),
        }
    }

    /// From when on the retention of its offsets counts.
    pub(crate) fn expiration(&self) -> Expiration {
        match self {
            Self::Classic(group) => group.expiration(),
        }
    }

    /// The records that delete it, but for its offsets'.
    pub(crate) fn tombstones(&self) -> Vec<Record> {
        match self {
            Self::Classic(group) => vec![classic::tombstone(&group.id)],
        }
    }

    /// It is deleted: what it waits for is forgotten.
    pub(crate) fn cancel_timers(&self, turn: &mut Turn<'_>) {
        match self {
            Self::Classic(group) => group.cancel_timers(turn),
        }
    }

    /// A member has committed offsets, not in a transaction.
    pub(crate) fn committed(&self, turn: &mut Turn<'_>, member: &str) {
        match self {
            Self::Classic(group) => group.committed(turn, member),
        }
    }

    /// Its coordinator has just taken over.
    pub(crate) fn loaded(&mut self, turn: &mut Turn<'_>) {
        match self {
            Self::Classic(group) => group.loaded(turn),
        }
    }

    /// What ListGroups tells of it.
    pub(crate) fn listed(&self, id: &str) -> ListedGroup {
        ListedGroup::default()
            .with_group_id(text(id).into())
            .with_protocol_type(text(self.protocol_type()))
            .with_group_state(text(self.state_name()))
            .with_group_type(text(self.type_name()))
    }
}
