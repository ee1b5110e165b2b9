//! Heartbeat, LeaveGroup, and what happens to members that are not heard of.

use super::{ClassicGroup, State};
use crate::group::turn::Turn;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use std::sync::Arc;

impl ClassicGroup {
    /// Serves Heartbeat.
    pub(crate) fn heartbeat(
        &self,
        turn: &mut Turn<'_>,
        member: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<(), ResponseError> {
        self.validate_member(member, instance)?;
        if generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        if self.state == State::Empty {
            return Err(ResponseError::UnknownMemberId);
        }
        self.renew_session(turn, member);
        if self.state == State::PreparingRebalance { Err(ResponseError::RebalanceInProgress) } else { Ok(()) }
    }

    /// A member has been heard of.
    fn renew_session(&self, turn: &mut Turn<'_>, member: &str) {
        if let Some((id, member)) = self.members.get_key_value(member) {
            turn.set_timer_ms(self.session(id), member.session_timeout_ms);
        }
    }

    /// A member has committed offsets, which says that it is alive.
    pub(crate) fn committed(&self, turn: &mut Turn<'_>, member: &str) {
        if matches!(self.state, State::Stable | State::PreparingRebalance) {
            self.renew_session(turn, member);
        }
    }

    /// Its coordinator has just taken over: all members' sessions begin.
    pub(crate) fn loaded(&mut self, turn: &mut Turn<'_>) {
        for id in self.members.keys() {
            self.renew_session(turn, id);
        }
        if self.members.len() > turn.options.size_max {
            self.prepare_rebalance(turn, "the group is larger than it may be");
        }
    }

    /// A member, or the client that an id was handed out to, has not been heard of for too long.
    pub(crate) fn session_timed_out(&mut self, turn: &mut Turn<'_>, id: &str) {
        if self.pending_join.contains(id) {
            self.remove(turn, id);
            return self.removed(turn, false);
        }
        if self.members.get(id).is_some_and(|member| !member.is_heard()) {
            tracing::info!(group = &*self.id, member = id, "a member's session is over");
            self.remove(turn, id);
            self.removed(turn, true);
        }
    }

    fn removed(&mut self, turn: &mut Turn<'_>, member: bool) {
        match self.state {
            State::PreparingRebalance if self.has_all_joined() => self.complete_join(turn),
            State::CompletingRebalance | State::Stable if member => {
                self.prepare_rebalance(turn, "a member's session is over");
            }
            _ => {}
        }
    }

    /// Serves LeaveGroup.
    pub(crate) fn leave(&mut self, turn: &mut Turn<'_>, members: &[MemberIdentity]) -> Vec<MemberResponse> {
        let mut any = false;
        let responses = members
            .iter()
            .map(|leaving| {
                let left = self.leave_one(turn, &leaving.member_id, leaving.group_instance_id.as_deref());
                any |= left.is_ok();
                MemberResponse::default()
                    .with_member_id(leaving.member_id.clone())
                    .with_group_instance_id(leaving.group_instance_id.clone())
                    .with_error_code(left.err().map_or(0, |error| error.code()))
            })
            .collect();
        match self.state {
            State::CompletingRebalance | State::Stable if any => {
                self.prepare_rebalance(turn, "members leave");
            }
            State::PreparingRebalance if any => self.maybe_complete_join(turn),
            _ => {}
        }
        responses
    }

    fn leave_one(
        &mut self,
        turn: &mut Turn<'_>,
        member: &str,
        instance: Option<&str>,
    ) -> Result<(), ResponseError> {
        let id = if member.is_empty() {
            // Admins remove static members by their instance.
            let known = instance.and_then(|instance| self.static_members.get(instance));
            Arc::clone(known.ok_or(ResponseError::UnknownMemberId)?)
        } else if let Some(id) = self.pending_join.get(member) {
            Arc::clone(id)
        } else {
            self.validate_member(member, instance)?;
            member.into()
        };
        tracing::info!(group = &*self.id, member = &*id, "a member leaves");
        turn.timers.cancel(&self.session(&id));
        self.remove(turn, &id);
        Ok(())
    }
}
