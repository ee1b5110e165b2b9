//! The join phase: it begins, waits for members, and ends with a generation.

use super::{ClassicGroup, Initial, State, join, sync};
use crate::group::timers::Timer;
use crate::group::turn::Turn;
use kafka_protocol::ResponseError;
use std::sync::Arc;

impl ClassicGroup {
    /// Begins a rebalance, or ends the one that there is, if all have joined.
    pub(super) fn rebalance(&mut self, turn: &mut Turn<'_>, reason: &'static str) {
        if self.state == State::PreparingRebalance {
            self.maybe_complete_join(turn);
        } else {
            self.prepare_rebalance(turn, reason);
        }
    }

    /// Begins a rebalance.
    pub(crate) fn prepare_rebalance(&mut self, turn: &mut Turn<'_>, reason: &'static str) {
        if self.state == State::CompletingRebalance {
            self.reset_assignment(turn, ResponseError::RebalanceInProgress);
        }
        self.pending_sync.clear();
        turn.timers.cancel(&Timer::Sync(Arc::clone(&self.id)));
        let first = self.state == State::Empty;
        self.transition(turn, State::PreparingRebalance);
        tracing::info!(group = &*self.id, generation = self.generation, reason, "a rebalance begins");
        if first {
            let delay = turn.options.initial_rebalance_delay;
            let timeout_ms = u64::from(self.rebalance_timeout_ms().unsigned_abs());
            let remaining = std::time::Duration::from_millis(timeout_ms).saturating_sub(delay);
            self.initial = Some(Initial { delay, remaining });
            turn.set_timer(Timer::Join(Arc::clone(&self.id)), delay);
        } else if self.has_all_joined() {
            self.complete_join(turn);
        } else {
            turn.set_timer_ms(Timer::Join(Arc::clone(&self.id)), self.rebalance_timeout_ms());
        }
    }

    /// Ends the join phase if all have joined. The first one of a group ends by its timer only.
    pub(super) fn maybe_complete_join(&mut self, turn: &mut Turn<'_>) {
        let first = self.previous == Some(State::Empty);
        if self.state == State::PreparingRebalance && !first && self.has_all_joined() {
            self.complete_join(turn);
        }
    }

    /// The join phase has waited for long enough.
    pub(crate) fn join_timed_out(&mut self, turn: &mut Turn<'_>) {
        if self.state != State::PreparingRebalance {
            return;
        }
        if let Some(Initial { delay, remaining }) = self.initial
            && self.new_member_added
            && !remaining.is_zero()
        {
            self.new_member_added = false;
            let next = turn.options.initial_rebalance_delay.min(remaining);
            self.initial = Some(Initial { delay: next, remaining: remaining.saturating_sub(delay) });
            return turn.set_timer(Timer::Join(Arc::clone(&self.id)), next);
        }
        self.complete_join(turn);
    }

    /// Ends the join phase: dynamic members that have not joined are gone, static ones stay until their session ends.
    pub(super) fn complete_join(&mut self, turn: &mut Turn<'_>) {
        turn.timers.cancel(&Timer::Join(Arc::clone(&self.id)));
        self.initial = None;
        let late: Vec<_> = self
            .members
            .values()
            .filter(|member| member.joining.is_none() && member.instance.is_none())
            .map(|member| Arc::clone(&member.id))
            .collect();
        for member in late {
            tracing::info!(
                group = &*self.id,
                member = &*member,
                "a member has not joined the rebalance in time"
            );
            turn.timers.cancel(&self.session(&member));
            self.remove(turn, &member);
        }
        if !self.members.is_empty() && !self.elect_joined_leader() {
            // Nobody is there to assign. Static members' sessions end sooner or later.
            let timeout_ms = self.rebalance_timeout_ms();
            return turn.set_timer_ms(Timer::Join(Arc::clone(&self.id)), timeout_ms);
        }
        self.next_generation(turn);
    }

    /// Sees to it that the leader is one that has joined; false if nobody has.
    fn elect_joined_leader(&mut self) -> bool {
        let joined = |id: &Arc<str>| self.members.get(id).is_some_and(|member| member.joining.is_some());
        if self.leader.as_ref().is_some_and(joined) {
            return true;
        }
        let Some(member) = self.members.values().find(|member| member.joining.is_some()) else {
            return false;
        };
        self.leader = Some(Arc::clone(&member.id));
        true
    }

    fn next_generation(&mut self, turn: &mut Turn<'_>) {
        self.generation = self.generation.wrapping_add(1);
        self.pending_sync.clear();
        self.protocol = self.select_protocol();
        self.subscribed = self.subscribed_topics();
        if self.members.is_empty() {
            self.transition(turn, State::Empty);
            tracing::info!(group = &*self.id, generation = self.generation, "a group is empty");
            return turn.effects.append(vec![self.record()]);
        }
        self.transition(turn, State::CompletingRebalance);
        let members = self.members.len();
        tracing::info!(group = &*self.id, generation = self.generation, members, "a generation begins");
        let ids: Vec<_> = self.members.keys().map(Arc::clone).collect();
        for id in ids {
            let Some(mut member) = self.members.get_mut(&id) else { continue };
            member.is_new = false;
            let (waiting, session_timeout_ms) = (member.joining.take(), member.session_timeout_ms);
            drop(member);
            if let Some(waiting) = waiting {
                self.awaiting_join -= 1;
                let response = self.joined(waiting, &id);
                turn.answer_now(waiting.token, response);
            }
            turn.set_timer_ms(self.session(&id), session_timeout_ms);
            self.pending_sync.insert(id);
        }
        turn.set_timer_ms(Timer::Sync(Arc::clone(&self.id)), self.rebalance_timeout_ms());
    }

    /// Removes a member, or an id that was handed out. What it still waits for is refused, so that it finds out.
    pub(super) fn remove(&mut self, turn: &mut Turn<'_>, id: &str) {
        if let Some(member) = self.members.remove(id) {
            self.supported.remove(&member.protocols);
            if let Some(waiting) = member.joining {
                self.awaiting_join -= 1;
                join::refuse(turn, waiting, "", ResponseError::UnknownMemberId);
            }
            if let Some(waiting) = member.syncing {
                sync::refuse(turn, waiting, ResponseError::UnknownMemberId);
            }
            if let Some(instance) = &member.instance {
                self.static_members.remove(instance);
            }
        }
        if self.is_leader(id) {
            self.leader = self.members.keys().next().map(Arc::clone);
        }
        self.forget_pending(turn, id);
        self.pending_sync.remove(id);
    }

    /// An id that was handed out is used, or given up.
    pub(super) fn forget_pending(&mut self, turn: &mut Turn<'_>, id: &str) {
        if self.pending_join.remove(id) {
            self.pending_bytes -= id.len();
            *turn.pending_members -= 1;
        }
    }
}
