//! SyncGroup: the leader's assignment is written and handed out.

use super::{ClassicGroup, State, Waiting};
use crate::group::timers::Timer;
use crate::group::turn::{Turn, fit, text};
use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{SyncGroupRequest, SyncGroupResponse};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What each member may be assigned beside what it had, in bytes, where there is no room.
const ASSIGNMENT_BYTES: usize = 1_024;

/// Answers SyncGroup with an error.
pub(crate) fn refuse(turn: &mut Turn<'_>, waiting: Waiting, error: ResponseError) {
    turn.answer_now(waiting.token, SyncGroupResponse::default().with_error_code(error.code()));
}

/// Whether what a member believes of the protocol is not so. Clients of old versions don't say.
fn differs(asked: Option<&str>, chosen: Option<&str>) -> bool {
    matches!((asked, chosen), (Some(asked), Some(chosen)) if asked != chosen)
}

impl ClassicGroup {
    /// Serves SyncGroup.
    pub(crate) fn sync(&mut self, turn: &mut Turn<'_>, waiting: Waiting, request: &SyncGroupRequest) {
        if let Err(error) = self.validate_sync(request) {
            return refuse(turn, waiting, error);
        }
        let Some((id, _)) = self.members.get_key_value(&*request.member_id) else {
            return refuse(turn, waiting, ResponseError::UnknownMemberId);
        };
        let id = Arc::clone(id);
        match self.state {
            State::Empty => refuse(turn, waiting, ResponseError::UnknownMemberId),
            State::PreparingRebalance => refuse(turn, waiting, ResponseError::RebalanceInProgress),
            State::CompletingRebalance => {
                self.synced(turn, &id);
                let before = self.members.get_mut(&id).and_then(|mut member| member.syncing.replace(waiting));
                if let Some(before) = before {
                    // It asked before, on a connection that it gave up.
                    refuse(turn, before, ResponseError::RebalanceInProgress);
                }
                if self.is_leader(&id) {
                    self.assign(turn, request);
                }
            }
            State::Stable => {
                self.synced(turn, &id);
                let response = self.assigned(&id);
                turn.answer(waiting.token, response);
            }
        }
    }

    fn validate_sync(&self, request: &SyncGroupRequest) -> Result<(), ResponseError> {
        if self.state == State::Empty {
            return Err(ResponseError::UnknownMemberId);
        }
        self.validate_member(&request.member_id, request.group_instance_id.as_deref())?;
        if request.generation_id != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        if differs(request.protocol_type.as_deref(), self.protocol_type())
            || differs(request.protocol_name.as_deref(), self.protocol())
        {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        Ok(())
    }

    /// A member has sent its SyncGroup.
    fn synced(&mut self, turn: &mut Turn<'_>, id: &str) {
        self.pending_sync.remove(id);
        if self.pending_sync.is_empty() {
            turn.timers.cancel(&Timer::Sync(Arc::clone(&self.id)));
        }
    }

    /// The leader has assigned. Who is not assigned anything gets nothing.
    fn assign(&mut self, turn: &mut Turn<'_>, request: &SyncGroupRequest) {
        let assigned: BTreeMap<&str, &Bytes> = request
            .assignments
            .iter()
            .map(|assignment| (&*assignment.member_id, &assignment.assignment))
            .collect();
        let mut bytes = 0;
        self.members.for_each_mut(|member| {
            let assignment = assigned.get(&*member.id);
            member.assignment = assignment.map_or_else(Bytes::new, |bytes| Bytes::copy_from_slice(bytes));
            bytes += member.assignment.len();
        });
        let record = self.record();
        let has_room = !turn.full || bytes <= self.assigned_bytes + ASSIGNMENT_BYTES * self.members.len();
        if !has_room || !fit(std::slice::from_ref(&record)) {
            tracing::warn!(group = &*self.id, bytes, has_room, "a group's assignment is too large");
            self.reset_assignment(turn, ResponseError::UnknownServerError);
            return self.rebalance(turn, "the assignment is too large");
        }
        self.assigned_bytes = bytes;
        turn.effects.append(vec![record]);
        self.transition(turn, State::Stable);
        let members = self.members.len();
        tracing::info!(group = &*self.id, generation = self.generation, members, "a group is stable");
        let ids: Vec<_> = self.members.keys().map(Arc::clone).collect();
        for id in ids {
            let Some(mut member) = self.members.get_mut(&id) else { continue };
            let session_timeout_ms = member.session_timeout_ms;
            let Some(waiting) = member.syncing.take() else { continue };
            drop(member);
            let response = self.assigned(&id);
            turn.answer(waiting.token, response);
            // Who waits isn't expected to send heartbeats; from now on it is.
            turn.set_timer_ms(self.session(&id), session_timeout_ms);
        }
    }

    /// A member's assignment, as SyncGroup is answered with.
    fn assigned(&self, id: &str) -> SyncGroupResponse {
        SyncGroupResponse::default()
            .with_protocol_type(self.protocol_type().map(text))
            .with_protocol_name(self.protocol().map(text))
            .with_assignment(self.members.get(id).map(|member| member.assignment.clone()).unwrap_or_default())
    }

    /// Nothing is assigned any more, and who waits for it is told.
    pub(super) fn reset_assignment(&mut self, turn: &mut Turn<'_>, error: ResponseError) {
        let ids: Vec<_> = self.members.keys().map(Arc::clone).collect();
        for id in ids {
            let session = self.session(&id);
            let Some(mut member) = self.members.get_mut(&id) else { continue };
            member.assignment = Bytes::new();
            if let Some(waiting) = member.syncing.take() {
                turn.set_timer_ms(session, member.session_timeout_ms);
                refuse(turn, waiting, error);
            }
        }
    }

    /// Members that were told their generation have not asked for what is theirs in time: they are gone.
    pub(crate) fn sync_timed_out(&mut self, turn: &mut Turn<'_>) {
        if !matches!(self.state, State::CompletingRebalance | State::Stable) || self.pending_sync.is_empty() {
            return;
        }
        for id in std::mem::take(&mut self.pending_sync) {
            tracing::info!(group = &*self.id, member = &*id, "a member has not sent SyncGroup in time");
            turn.timers.cancel(&self.session(&id));
            self.remove(turn, &id);
        }
        self.prepare_rebalance(turn, "members have not sent SyncGroup in time");
    }
}
