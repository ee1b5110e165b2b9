//! What a consumer group says to requests that concern offsets, and to its deletion.

use super::ConsumerGroup;
use super::member::Member;
use super::outcome::Refusal;
use crate::schema::consumer::Assigned;
use kafka_protocol::ResponseError;
use uuid::Uuid;

/// Whether a commit that is allowed in general is allowed for a partition (KIP-1251).
#[derive(Debug)]
pub struct CommitCheck<'a> {
    /// The member, if it is in a later epoch than the commit, and the epoch of the commit.
    older: Option<(&'a Member, i32)>,
}

impl CommitCheck<'_> {
    /// Checks a partition.
    ///
    /// # Errors
    /// STALE_MEMBER_EPOCH, or ILLEGAL_GENERATION for a member of the classic protocol: the commit is older than the
    /// member's right to the partition, or the member has none.
    pub fn partition(&self, topic: &str, topic_id: Uuid, partition: i32) -> Result<(), Refusal> {
        let Some((member, epoch)) = self.older else { return Ok(()) };
        let epoch_of = |assigned: &Assigned| assigned.get(&topic_id)?.get(&partition).copied();
        let since = epoch_of(&member.assigned).or_else(|| epoch_of(&member.pending_revocation));
        let message = match since {
            Some(since) if epoch >= since => return Ok(()),
            Some(since) => format!(
                "Received {} {epoch} is older than assignment epoch {since} for partition {topic}-{partition}.",
                epoch_name(member)
            ),
            None => {
                format!("Partition {topic}-{partition} is not assigned or pending revocation for member.")
            }
        };
        Err(Refusal::new(stale(member), message))
    }
}

const fn stale(member: &Member) -> ResponseError {
    if member.uses_classic() { ResponseError::IllegalGeneration } else { ResponseError::StaleMemberEpoch }
}

const fn epoch_name(member: &Member) -> &'static str {
    if member.uses_classic() { "generation id" } else { "member epoch" }
}

impl ConsumerGroup {
    /// Checks an OffsetCommit or a TxnOffsetCommit.
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID, UNSUPPORTED_VERSION, and STALE_MEMBER_EPOCH, or ILLEGAL_GENERATION for a member of the classic
    /// protocol.
    pub fn check_commit(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
        epoch: i32,
        is_transactional: bool,
        version: i16,
    ) -> Result<CommitCheck<'_>, Refusal> {
        let all = CommitCheck { older: None };
        // Tools may commit for a group that nobody is in,
        if epoch < 0 && self.is_empty() {
            return Ok(all);
        }
        // and producers that name no member always.
        if is_transactional && epoch == -1 && member_id.is_empty() && instance_id.is_none() {
            return Ok(all);
        }
        let member = self.state.members.get(member_id).ok_or_else(|| self.unknown_member(member_id))?;
        if !is_transactional && !member.uses_classic() && version < 9 {
            let message =
                "OffsetCommit version 9 or above must be used by members using the consumer group protocol";
            return Err(Refusal::new(ResponseError::UnsupportedVersion, message));
        }
        match epoch.cmp(&member.epoch) {
            std::cmp::Ordering::Equal => Ok(all),
            std::cmp::Ordering::Less => Ok(CommitCheck { older: Some((member, epoch)) }),
            std::cmp::Ordering::Greater => {
                let name = epoch_name(member);
                let current = member.epoch;
                let message =
                    format!("Received {name} {epoch} is newer than current member epoch {current}.");
                Err(Refusal::new(stale(member), message))
            }
        }
    }

    /// Checks an OffsetFetch.
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID, and STALE_MEMBER_EPOCH, or ILLEGAL_GENERATION for a member of the classic protocol.
    pub fn check_fetch(&self, member_id: Option<&str>, epoch: i32) -> Result<(), Refusal> {
        if member_id.is_none() && epoch < 0 {
            return Ok(());
        }
        let id = member_id.unwrap_or_default();
        let member = self.state.members.get(id).ok_or_else(|| self.unknown_member(id))?;
        if epoch == member.epoch {
            return Ok(());
        }
        let name = if member.uses_classic() { "generation id" } else { "member epoch" };
        let expected = member.epoch;
        let message =
            format!("The received {name} {epoch} does not match the expected member epoch {expected}.");
        Err(Refusal::new(stale(member), message))
    }

    /// Checks a deletion of the group.
    ///
    /// # Errors
    /// NON_EMPTY_GROUP.
    pub fn check_delete(&self) -> Result<(), Refusal> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(Refusal::new(ResponseError::NonEmptyGroup, "The group is not empty."))
        }
    }
}
