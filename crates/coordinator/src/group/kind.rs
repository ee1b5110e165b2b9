//! A group of any kind: what offsets, listings and deletion ask of it.

use super::classic::{self, ClassicGroup};
use super::consumer::{self, CommitCheck, ConsumerGroup};
use super::expiration::Expiration;
use super::timers::Timer;
use super::turn::{Turn, text};
use crate::effects::Record;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use levee_base::limits::GROUPS;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Whether there is room for a group that is not there yet.
///
/// # Errors
/// POLICY_VIOLATION. Kafka has no bound.
pub(crate) fn admit(
    groups: &BTreeMap<Arc<str>, Group>,
    turn: &Turn<'_>,
    id: &str,
) -> Result<(), ResponseError> {
    if groups.len() < GROUPS && !turn.full {
        return Ok(());
    }
    tracing::debug!(
        group = id,
        groups = groups.len(),
        "a new group is refused: this partition of __consumer_offsets has as many, or as much is kept of them, as may \
         be; delete those that are no longer used"
    );
    Err(ResponseError::PolicyViolation)
}

/// See the module's text.
#[derive(Debug)]
pub(crate) enum Group {
    /// Of the classic protocol, or one that only holds offsets.
    Classic(Box<ClassicGroup>),
    /// Of the consumer protocol (KIP-848).
    Consumer(Box<ConsumerGroup>),
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
            Self::Consumer(_) => "consumer",
        }
    }

    /// Its state, as Kafka calls it.
    pub(crate) fn state_name(&self) -> &'static str {
        match self {
            Self::Classic(group) => group.state().name(),
            Self::Consumer(group) => group.group_state().name(),
        }
    }

    /// The type of its members' protocol; nothing for one that never had any.
    pub(crate) fn protocol_type(&self) -> &str {
        match self {
            Self::Classic(group) => group.protocol_type().unwrap_or_default(),
            Self::Consumer(_) => consumer::protocol::PROTOCOL_TYPE,
        }
    }

    /// What is kept of what its clients say, in bytes.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Classic(group) => group.bytes(),
            Self::Consumer(group) => group.bytes(),
        }
    }

    /// Whether it has no members.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Classic(group) => group.state() == classic::State::Empty,
            Self::Consumer(group) => group.is_empty(),
        }
    }

    /// Whether a member of this id and, if it is static, instance may commit offsets, as of a generation or an epoch; each
    /// partition is to be checked by what this gives.
    ///
    /// # Errors
    /// What to answer.
    pub(crate) fn validate_offset_commit(
        &self,
        member: &str,
        instance: Option<&str>,
        generation: i32,
        transactional: bool,
        version: i16,
    ) -> Result<CommitCheck, ResponseError> {
        match self {
            Self::Classic(group) => {
                group.validate_offset_commit(member, instance, generation, transactional)?;
                Ok(CommitCheck::default())
            }
            Self::Consumer(group) => group
                .check_commit(member, instance, generation, transactional, version)
                .map_err(|refusal| refusal.error),
        }
    }

    /// Whether a member may be told committed offsets.
    ///
    /// # Errors
    /// What to answer.
    pub(crate) fn validate_offset_fetch(
        &self,
        member: Option<&str>,
        epoch: i32,
    ) -> Result<(), ResponseError> {
        match self {
            Self::Classic(_) => Ok(()),
            Self::Consumer(group) => group.check_fetch(member, epoch).map_err(|refusal| refusal.error),
        }
    }

    /// Whether offsets may be deleted.
    ///
    /// # Errors
    /// What to answer.
    pub(crate) fn validate_offset_delete(&self) -> Result<(), ResponseError> {
        match self {
            Self::Classic(group) => group.validate_offset_delete(),
            Self::Consumer(_) => Ok(()),
        }
    }

    /// Whether it may be deleted.
    ///
    /// # Errors
    /// What to answer.
    pub(crate) fn validate_delete(&self) -> Result<(), ResponseError> {
        match self {
            Self::Classic(group) => group.validate_delete(),
            Self::Consumer(group) => group.check_delete().map_err(|refusal| refusal.error),
        }
    }

    /// Whether its members read a topic, whose offsets can't be deleted and don't expire then.
    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        match self {
            Self::Classic(group) => group.is_subscribed_to(topic),
            Self::Consumer(group) => group.is_subscribed_to(topic),
        }
    }

    /// From when on the retention of its offsets counts.
    pub(crate) fn expiration(&self) -> Expiration {
        match self {
            Self::Classic(group) => group.expiration(),
            Self::Consumer(_) => Expiration::SinceCommit,
        }
    }

    /// The records that delete it, but for its offsets'.
    pub(crate) fn tombstones(&self) -> Vec<Record> {
        match self {
            Self::Classic(group) => vec![classic::tombstone(&group.id)],
            Self::Consumer(group) => consumer::shard::tombstones(group),
        }
    }

    /// It is deleted: what it waits for is forgotten.
    pub(crate) fn cancel_timers(&self, turn: &mut Turn<'_>) {
        match self {
            Self::Classic(group) => group.cancel_timers(turn),
            Self::Consumer(group) => turn.timers.cancel(&Timer::Consumer(group.id().into())),
        }
    }

    /// A member has committed offsets, not in a transaction.
    pub(crate) fn committed(&self, turn: &mut Turn<'_>, member: &str) {
        match self {
            Self::Classic(group) => group.committed(turn, member),
            // Only heartbeats say that a member is alive.
            Self::Consumer(_) => {}
        }
    }

    /// Its coordinator has just taken over.
    pub(crate) fn loaded(&mut self, turn: &mut Turn<'_>) {
        match self {
            Self::Classic(group) => group.loaded(turn),
            Self::Consumer(group) => consumer::shard::loaded(group, turn),
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
