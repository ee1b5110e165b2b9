//! JoinGroup.

use super::member::protocol_bytes;
use super::{ClassicGroup, Member, Protocol, State, Waiting};
use crate::context::Client;
use crate::group::turn::{Turn, text};
use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse};
use levee_base::limits::{GROUP_MEMBER_BYTES, GROUP_PENDING_MEMBERS, GROUPS_PENDING_MEMBERS};
use std::sync::Arc;

/// The first version that hands out a member id before it lets a member join (KIP-394).
const VERSION_MEMBER_ID: i16 = 4;
/// The first version whose answer may be without a protocol's name.
const VERSION_NO_PROTOCOL: i16 = 7;
/// The first version in which a leader can be told not to assign (KIP-814).
const VERSION_SKIP_ASSIGNMENT: i16 = 9;

/// A JoinGroup.
#[derive(Debug, Clone)]
pub(crate) struct Join {
    /// Who waits for the answer.
    pub(crate) waiting: Waiting,
    /// Who asks.
    pub(crate) client: Client,
    /// What is asked.
    pub(crate) request: JoinGroupRequest,
}

impl Join {
    /// Refuses it.
    pub(crate) fn refuse(&self, turn: &mut Turn<'_>, member: &str, error: ResponseError) {
        refuse(turn, self.waiting, member, error);
    }

    fn instance(&self) -> Option<&str> {
        self.request.group_instance_id.as_deref()
    }

    /// Whether it can't be served, as it would be given a member id and too many of them wait to be used.
    fn is_too_much(&self, turn: &Turn<'_>, of_group: usize) -> bool {
        let named = !self.request.member_id.is_empty() || self.instance().is_some();
        !named
            && self.waiting.version >= VERSION_MEMBER_ID
            && (of_group >= GROUP_PENDING_MEMBERS || *turn.pending_members >= GROUPS_PENDING_MEMBERS)
    }

    /// Whether a group would be made for it.
    ///
    /// # Errors
    /// The member id to answer with, and COORDINATOR_NOT_AVAILABLE, or UNKNOWN_MEMBER_ID for one of another group.
    pub(crate) fn check_new_group(&self, turn: &Turn<'_>) -> Result<(), (&str, ResponseError)> {
        if self.is_too_much(turn, 0) {
            return Err(("", ResponseError::CoordinatorNotAvailable));
        }
        if self.request.member_id.is_empty() {
            return Ok(());
        }
        Err((&self.request.member_id, ResponseError::UnknownMemberId))
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.request.protocols.iter().map(|protocol| &*protocol.name)
    }

    /// What its protocols take in memory.
    fn protocols_bytes(&self) -> usize {
        let protocols = self.request.protocols.iter();
        protocols.map(|protocol| protocol_bytes(&protocol.name, &protocol.metadata)).sum()
    }

    /// Whether its protocols take more memory than they may.
    pub(crate) fn is_too_large(&self) -> bool {
        self.protocols_bytes() > GROUP_MEMBER_BYTES
    }

    /// How long a rebalance waits for the member; version 0 has the session's time-out for it.
    pub(crate) fn rebalance_timeout_ms(&self) -> i32 {
        if self.waiting.version == 0 {
            self.request.session_timeout_ms
        } else {
            self.request.rebalance_timeout_ms
        }
    }
}

/// Answers JoinGroup with an error.
pub(crate) fn refuse(turn: &mut Turn<'_>, waiting: Waiting, member: &str, error: ResponseError) {
    let response = unnamed(waiting).with_member_id(text(member)).with_error_code(error.code());
    turn.answer_now(waiting.token, response);
}

/// An answer that doesn't name a protocol, which old versions do by an empty name.
fn unnamed(waiting: Waiting) -> JoinGroupResponse {
    let response = JoinGroupResponse::default();
    if waiting.version >= VERSION_NO_PROTOCOL { response.with_protocol_name(None) } else { response }
}

impl ClassicGroup {
    /// Serves JoinGroup.
    pub(crate) fn join(&mut self, turn: &mut Turn<'_>, join: &Join) {
        let member = &*join.request.member_id;
        if !self.accepts(turn, member) {
            if let Some(id) = self.known_id(member) {
                turn.timers.cancel(&self.session(&id));
            }
            self.remove(turn, member);
            return join.refuse(turn, "", ResponseError::GroupMaxSizeReached);
        }
        if !self.supports(&join.request.protocol_type, join.names()) {
            return join.refuse(turn, member, ResponseError::InconsistentGroupProtocol);
        }
        if join.is_too_large() {
            return join.refuse(turn, member, ResponseError::InvalidRequest);
        }
        // Those that are there go on, static ones under a new id, too.
        let known = join.instance().and_then(|instance| self.static_members.get(instance));
        let known = self.members.get(known.map_or(member, |id| id));
        if turn.full && known.is_none_or(|known| join.protocols_bytes() > known.bytes()) {
            return join.refuse(turn, "", ResponseError::GroupMaxSizeReached);
        }
        if member.is_empty() { self.join_unknown(turn, join) } else { self.join_known(turn, join) }
    }

    fn known_id(&self, member: &str) -> Option<Arc<str>> {
        let pending = || self.pending_join.get(member);
        self.members.get_key_value(member).map(|(id, _)| id).or_else(pending).map(Arc::clone)
    }

    /// Whether there is room. While a rebalance is prepared those count that have joined it: if the bound was lowered,
    /// the last ones to come have no place.
    fn accepts(&self, turn: &Turn<'_>, member: &str) -> bool {
        match self.state {
            State::Empty => true,
            State::PreparingRebalance => {
                self.members.get(member).is_some_and(|member| member.joining.is_some())
                    || self.awaiting_join < turn.options.size_max
            }
            State::CompletingRebalance | State::Stable => {
                self.members.contains_key(member) || self.members.len() < turn.options.size_max
            }
        }
    }

    /// A client joins that has no member id.
    fn join_unknown(&mut self, turn: &mut Turn<'_>, join: &Join) {
        let named = join.instance().unwrap_or(&join.client.id);
        let id: Arc<str> = format!("{named}-{}", turn.random.uuid()).into();
        if let Some(instance) = join.instance() {
            return match self.static_members.get(instance).map(Arc::clone) {
                Some(before) => self.replace_static(turn, join, &before, id),
                None => self.add_member(turn, join, id),
            };
        }
        if join.waiting.version < VERSION_MEMBER_ID {
            return self.add_member(turn, join, id);
        }
        if join.is_too_much(turn, self.pending_join.len()) {
            // Clients try again, and by then some may have come or have been given up.
            return join.refuse(turn, "", ResponseError::CoordinatorNotAvailable);
        }
        tracing::debug!(group = &*self.id, member = &*id, "a member id is handed out");
        turn.set_timer_ms(self.session(&id), join.request.session_timeout_ms);
        join.refuse(turn, &id, ResponseError::MemberIdRequired);
        self.pending_bytes += id.len();
        self.pending_join.insert(id);
        *turn.pending_members += 1;
    }

    /// A client joins that has a member id.
    fn join_known(&mut self, turn: &mut Turn<'_>, join: &Join) {
        let member = &*join.request.member_id;
        if let Some(id) = self.pending_join.get(member).map(Arc::clone) {
            if join.instance().is_some() {
                // Ids are handed out to dynamic members only.
                return join.refuse(turn, "", ResponseError::UnknownServerError);
            }
            return self.add_member(turn, join, id);
        }
        if let Err(error) = self.validate_member(member, join.instance()) {
            return join.refuse(turn, member, error);
        }
        let Some((id, known)) = self.members.get_key_value(member) else {
            return join.refuse(turn, member, ResponseError::UnknownMemberId);
        };
        let (id, same) = (Arc::clone(id), known.matches(&join.request.protocols));
        let rejoins = match self.state {
            State::Empty => return join.refuse(turn, member, ResponseError::UnknownMemberId),
            State::PreparingRebalance => true,
            // One that missed its answer is told again. One with other metadata needs a rebalance.
            State::CompletingRebalance => !same,
            // The leader knows best why it wants one: topics may have changed.
            State::Stable => !same || self.is_leader(&id),
        };
        if rejoins {
            self.update_member(turn, join, &id);
            return self.rebalance(turn, "a member rejoins");
        }
        let response = self.joined(join.waiting, &id);
        turn.answer_now(join.waiting.token, response);
    }

    /// A member is new to the group.
    fn add_member(&mut self, turn: &mut Turn<'_>, join: &Join, id: Arc<str>) {
        let request = &join.request;
        let instance: Option<Arc<str>> = join.instance().map(Arc::from);
        let protocols = Protocol::all(&request.protocols);
        if self.state == State::PreparingRebalance && self.previous == Some(State::Empty) {
            self.new_member_added = true;
        }
        if self.members.is_empty() {
            self.protocol_type = Some((*request.protocol_type).into());
        }
        if let Some(instance) = &instance {
            self.static_members.insert(Arc::clone(instance), Arc::clone(&id));
        }
        if self.leader.is_none() {
            self.leader = Some(Arc::clone(&id));
        }
        self.supported.add(&protocols);
        self.awaiting_join += 1;
        self.forget_pending(turn, &id);
        let member = Member {
            id: Arc::clone(&id),
            instance,
            client_id: Arc::clone(&join.client.id),
            client_host: Arc::clone(&join.client.host),
            rebalance_timeout_ms: join.rebalance_timeout_ms(),
            session_timeout_ms: request.session_timeout_ms,
            protocols,
            assignment: Bytes::new(),
            joining: Some(join.waiting),
            syncing: None,
            is_new: true,
        };
        turn.set_timer(self.session(&id), turn.options.new_member_join_timeout);
        self.members.insert(member);
        self.rebalance(turn, "a member is new");
    }

    /// A member joins again, maybe with other protocols and time-outs.
    fn update_member(&mut self, turn: &mut Turn<'_>, join: &Join, id: &str) {
        let protocols = Protocol::all(&join.request.protocols);
        let Some(mut member) = self.members.get_mut(id) else { return };
        self.supported.remove(&member.protocols);
        self.supported.add(&protocols);
        member.protocols = protocols;
        member.rebalance_timeout_ms = join.rebalance_timeout_ms();
        member.session_timeout_ms = join.request.session_timeout_ms;
        match member.joining.replace(join.waiting) {
            // It asked before, on a connection that it gave up.
            Some(before) => refuse(turn, before, id, ResponseError::RebalanceInProgress),
            None => self.awaiting_join += 1,
        }
    }

    /// A static member comes back without its id, after a restart: it gets a new one, and the old one is fenced.
    fn replace_static(&mut self, turn: &mut Turn<'_>, join: &Join, before: &Arc<str>, id: Arc<str>) {
        let leader_before = self.leader.clone();
        let Some(old) = self.members.get(before).cloned() else { return };
        tracing::info!(group = &*self.id, from = &**before, to = &*id, "a static member has a new id");
        self.rename_static(turn, before, &id);
        self.update_member(turn, join, &id);
        // (By the session's time-out as it was: the one asked for counts from the next heartbeat on.)
        turn.set_timer_ms(self.session(&id), old.session_timeout_ms);
        match self.state {
            State::Stable if self.protocol.is_some() && self.protocol == self.select_protocol() => {
                self.rejoin_stable(turn, join, &id, leader_before.as_ref(), &old);
            }
            State::Stable => self.rebalance(turn, "a static member changes the protocol"),
            // The leader may have assigned to the old id already, so that the new one would get nothing.
            State::CompletingRebalance => self.prepare_rebalance(turn, "a static member has a new id"),
            State::PreparingRebalance | State::Empty => self.maybe_complete_join(turn),
        }
    }

    /// Gives a static member another id, and fences who has the old one.
    fn rename_static(&mut self, turn: &mut Turn<'_>, before: &Arc<str>, id: &Arc<str>) {
        let Some(mut member) = self.members.remove(before) else { return };
        turn.timers.cancel(&self.session(before));
        if let Some(waiting) = member.joining.take() {
            self.awaiting_join -= 1;
            refuse(turn, waiting, before, ResponseError::FencedInstanceId);
        }
        if let Some(waiting) = member.syncing.take() {
            super::sync::refuse(turn, waiting, ResponseError::FencedInstanceId);
        }
        member.id = Arc::clone(id);
        member.is_new = false;
        if self.is_leader(before) {
            self.leader = Some(Arc::clone(id));
        }
        if let Some(instance) = &member.instance {
            self.static_members.insert(Arc::clone(instance), Arc::clone(id));
        }
        self.members.insert(member);
    }

    /// A static member is back in a stable group, and nothing changes but its id: that is written, and no rebalance is
    /// needed.
    fn rejoin_stable(
        &mut self,
        turn: &mut Turn<'_>,
        join: &Join,
        id: &Arc<str>,
        leader_before: Option<&Arc<str>>,
        old: &Member,
    ) {
        self.awaiting_join -=
            usize::from(self.members.get_mut(id).and_then(|mut m| m.joining.take()).is_some());
        let record = self.record();
        if !crate::group::turn::fit(std::slice::from_ref(&record)) {
            self.undo_static(turn, join, id, old);
            let response = self
                .generation_response(join.waiting)
                .with_leader(text(leader_before.map_or("", |leader| leader)))
                .with_error_code(ResponseError::UnknownServerError.code());
            return turn.answer_now(join.waiting.token, response);
        }
        turn.effects.append(vec![record]);
        let response = if join.waiting.version >= VERSION_SKIP_ASSIGNMENT {
            self.joined(join.waiting, id).with_skip_assignment(self.is_leader(id))
        } else {
            // A leader that is told so would assign anew, which nobody waits for: it is left to believe that its
            // former self leads.
            self.generation_response(join.waiting)
                .with_member_id(text(id))
                .with_leader(text(leader_before.map_or("", |leader| leader)))
        };
        turn.answer(join.waiting.token, response);
    }

    /// The member's new id and what it came with can't be written: everything is as before.
    fn undo_static(&mut self, turn: &mut Turn<'_>, join: &Join, id: &Arc<str>, old: &Member) {
        let waiting = join.waiting;
        debug_assert!(self.members.get(id).is_some_and(|member| member.joining != Some(waiting)));
        self.rename_static(turn, id, &old.id);
        if let Some(mut member) = self.members.get_mut(&old.id) {
            self.supported.remove(&member.protocols);
            self.supported.add(&old.protocols);
            member.protocols.clone_from(&old.protocols);
            member.rebalance_timeout_ms = old.rebalance_timeout_ms;
            member.session_timeout_ms = old.session_timeout_ms;
        }
        turn.timers.cancel(&self.session(id));
        turn.set_timer_ms(self.session(&old.id), old.session_timeout_ms);
    }

    /// The current generation, as a JoinGroup is answered with.
    fn generation_response(&self, waiting: Waiting) -> JoinGroupResponse {
        unnamed(waiting)
            .with_generation_id(self.generation)
            .with_protocol_type(self.protocol_type().map(text))
            .with_protocol_name(self.protocol().map(text).or_else(|| unnamed(waiting).protocol_name))
            .with_leader(text(self.leader().unwrap_or_default()))
    }

    /// The answer for a member of the current generation; the leader is told all members.
    pub(super) fn joined(&self, waiting: Waiting, id: &str) -> JoinGroupResponse {
        let response = self.generation_response(waiting).with_member_id(text(id));
        if !self.is_leader(id) {
            return response;
        }
        let members = self.members.values().map(|member| member.as_joined(self.protocol())).collect();
        response.with_members(members)
    }
}
