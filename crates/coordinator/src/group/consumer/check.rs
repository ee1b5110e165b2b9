//! What a consumer group says to requests that concern offsets, and to its deletion.

use super::ConsumerGroup;
use super::outcome::Refusal;
use crate::schema::consumer::Assigned;
use kafka_protocol::ResponseError;
use uuid::Uuid;

/// Whether a commit that is allowed in general is allowed for a partition (KIP-1251).
#[derive(Debug, Default)]
pub struct CommitCheck {
    /// Of a commit that is older than its member's epoch.
    older: Option<Older>,
}

#[derive(Debug)]
struct Older {
    /// The epoch of the commit.
    epoch: i32,
    /// What the member holds, and since when.
    held: Assigned,
    uses_classic: bool,
}

impl CommitCheck {
    /// Checks a partition.
    ///
    /// # Errors
    /// STALE_MEMBER_EPOCH, or ILLEGAL_GENERATION for a member of the classic protocol: the commit is older than the
    /// member's right to the partition, or the member has none.
    pub fn partition(&self, topic: &str, topic_id: Uuid, partition: i32) -> Result<(), Refusal> {
        let Some(Older { epoch, held, uses_classic }) = &self.older else { return Ok(()) };
        let message = match held.get(&topic_id).and_then(|partitions| partitions.get(&partition)) {
            Some(since) if epoch >= since => return Ok(()),
            Some(since) => format!(
                "Received {} {epoch} is older than assignment epoch {since} for partition {topic}-{partition}.",
                epoch_name(*uses_classic)
            ),
            None => {
                format!("Partition {topic}-{partition} is not assigned or pending revocation for member.")
            }
        };
        Err(Refusal::new(stale(*uses_classic), message))
    }
}

const fn stale(uses_classic: bool) -> ResponseError {
    if uses_classic { ResponseError::IllegalGeneration } else { ResponseError::StaleMemberEpoch }
}

const fn epoch_name(uses_classic: bool) -> &'static str {
    if uses_classic { "generation id" } else { "member epoch" }
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
    ) -> Result<CommitCheck, Refusal> {
        let all = CommitCheck::default();
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
            std::cmp::Ordering::Less => {
                let mut held = member.pending_revocation.clone();
                for (topic, partitions) in &member.assigned {
                    held.entry(*topic).or_default().extend(partitions);
                }
                let older = Older { epoch, held, uses_classic: member.uses_classic() };
                Ok(CommitCheck { older: Some(older) })
            }
            std::cmp::Ordering::Greater => {
                let name = epoch_name(member.uses_classic());
                let current = member.epoch;
                let message =
                    format!("Received {name} {epoch} is newer than current member epoch {current}.");
                Err(Refusal::new(stale(member.uses_classic()), message))
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
        let name = epoch_name(member.uses_classic());
        let expected = member.epoch;
        let message =
            format!("The received {name} {epoch} does not match the expected member epoch {expected}.");
        Err(Refusal::new(stale(member.uses_classic()), message))
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
