//! Groups of the classic protocol: JoinGroup, SyncGroup, Heartbeat, LeaveGroup. Members are assigned by one of them.
//!
//! A generation is begun by the join phase (`PreparingRebalance`): members (re)join until all have or the rebalance
//! timeout is over. The last one to be there completes it: a protocol is chosen, everybody is told the generation and
//! the leader all members (`CompletingRebalance`). What the leader then sends with SyncGroup is written and handed out
//! (`Stable`).
//!
//! Only generations that were handed out, and empty ones, are written. Everything in between lives in memory: a
//! coordinator that takes over knows the last one, and members find out at their next heartbeat that it has to be
//! done anew.
//!
//! This file is the group's data and what can be asked of it; `join`, `rebalance`, `sync` and `session` are what
//! happens to it, `records` its bytes.

mod join;
mod member;
mod members;
mod migrate;
mod protocols;
mod rebalance;
mod records;
mod session;
mod sync;

pub(crate) use join::{Join, refuse as refuse_join};
pub(crate) use member::{Member, Protocol, Waiting};
pub(crate) use records::tombstone;
pub(crate) use sync::refuse as refuse_sync;

use super::expiration::Expiration;
use super::timers::Timer;
use super::turn::{Turn, text};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_groups_response::DescribedGroup;
use members::Members;
use protocols::Supported;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// The protocol type of consumers.
pub(crate) const CONSUMER: &str = "consumer";

/// Where a group stands. (Kafka's `Dead` is a group that doesn't exist.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It has no members.
    Empty,
    /// It waits for members to join.
    PreparingRebalance,
    /// It waits for the leader's assignment.
    CompletingRebalance,
    /// Everybody is told what is theirs.
    Stable,
}

impl State {
    /// As Kafka calls it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// The first rebalance of an empty group, which waits for further members.
#[derive(Debug, Clone, Copy)]
struct Initial {
    /// How long it waits now.
    delay: Duration,
    /// How long it may wait beyond that.
    remaining: Duration,
}

/// See the module's text.
#[derive(Debug)]
pub(crate) struct ClassicGroup {
    pub(crate) id: Arc<str>,
    state: State,
    /// The state before that.
    previous: Option<State>,
    /// Since when it is in its state, in Unix milliseconds. Records of old versions don't say.
    state_since_ms: Option<i64>,
    /// None for a group that never had members: a simple one, that only holds offsets.
    protocol_type: Option<Arc<str>>,
    /// The protocol that was chosen.
    protocol: Option<Arc<str>>,
    generation: i32,
    leader: Option<Arc<str>>,
    members: Members,
    /// Member ids by instance id.
    static_members: BTreeMap<Arc<str>, Arc<str>>,
    /// Ids that were handed out and whose members have not joined yet.
    pending_join: BTreeSet<Arc<str>>,
    /// What these take, in bytes.
    pending_bytes: usize,
    /// What all members were assigned last, in bytes.
    assigned_bytes: usize,
    /// Members that have yet to send SyncGroup.
    pending_sync: BTreeSet<Arc<str>>,
    /// Members whose JoinGroup waits.
    awaiting_join: usize,
    supported: Supported,
    /// The topics that consumers subscribe to, where that is known.
    subscribed: Option<BTreeSet<Arc<str>>>,
    /// A member came while the first rebalance waits.
    new_member_added: bool,
    initial: Option<Initial>,
}

impl ClassicGroup {
    /// A group without members.
    pub(crate) fn new(id: Arc<str>, wall_ms: i64) -> Self {
        Self {
            id,
            state: State::Empty,
            previous: None,
            state_since_ms: Some(wall_ms),
            protocol_type: None,
            protocol: None,
            generation: 0,
            leader: None,
            members: Members::default(),
            static_members: BTreeMap::new(),
            pending_join: BTreeSet::new(),
            pending_bytes: 0,
            assigned_bytes: 0,
            pending_sync: BTreeSet::new(),
            awaiting_join: 0,
            supported: Supported::default(),
            subscribed: None,
            new_member_added: false,
            initial: None,
        }
    }

    /// What it takes in memory that its clients say, in bytes.
    pub(crate) const fn bytes(&self) -> usize {
        self.members.bytes() + self.pending_bytes
    }

    pub(crate) const fn state(&self) -> State {
        self.state
    }

    pub(crate) fn protocol_type(&self) -> Option<&str> {
        self.protocol_type.as_deref()
    }

    pub(crate) fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    pub(crate) fn leader(&self) -> Option<&str> {
        self.leader.as_deref()
    }

    pub(crate) fn is_consumers(&self) -> bool {
        self.protocol_type() == Some(CONSUMER)
    }

    fn is_leader(&self, member: &str) -> bool {
        self.leader() == Some(member)
    }

    /// Whether consumers of it subscribe to a topic. Where that isn't known, consumers may.
    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        self.subscribed.as_ref().map_or(self.is_consumers(), |topics| topics.contains(topic))
    }

    /// The longest that any of its members wants to be waited for, in milliseconds.
    fn rebalance_timeout_ms(&self) -> i32 {
        self.members.values().map(|member| member.rebalance_timeout_ms).max().unwrap_or(0).max(0)
    }

    fn has_all_joined(&self) -> bool {
        self.members.len() == self.awaiting_join && self.pending_join.is_empty()
    }

    fn transition(&mut self, turn: &Turn<'_>, state: State) {
        self.previous = Some(self.state);
        self.state = state;
        self.state_since_ms = Some(turn.time.wall_ms);
    }

    /// Whether a request may come from a member: a static one's id must be the one that its instance has now.
    fn validate_member(&self, member: &str, instance: Option<&str>) -> Result<(), ResponseError> {
        if let Some(instance) = instance {
            match self.static_members.get(instance) {
                None => return Err(ResponseError::UnknownMemberId),
                Some(id) if **id != *member => return Err(ResponseError::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(member) { Ok(()) } else { Err(ResponseError::UnknownMemberId) }
    }

    /// Whether offsets may be committed, plainly or in a transaction.
    pub(crate) fn validate_offset_commit(
        &self,
        member: &str,
        instance: Option<&str>,
        generation: i32,
        transactional: bool,
    ) -> Result<(), ResponseError> {
        if generation < 0 && self.state == State::Empty {
            // By an admin, or by a consumer that takes its partitions without the group.
            return Ok(());
        }
        if generation >= 0 || !member.is_empty() || instance.is_some() {
            self.validate_member(member, instance)?;
            if generation != self.generation {
                return Err(ResponseError::IllegalGeneration);
            }
        } else if !transactional && self.state != State::Empty {
            // Old transactional clients don't say who they are.
            return Err(ResponseError::UnknownMemberId);
        }
        if !transactional && self.state == State::CompletingRebalance {
            return Err(ResponseError::RebalanceInProgress);
        }
        Ok(())
    }

    /// Whether offsets may be deleted: not under members of whom it isn't known what they read.
    pub(crate) fn validate_offset_delete(&self) -> Result<(), ResponseError> {
        if self.state == State::Empty || self.is_consumers() {
            Ok(())
        } else {
            Err(ResponseError::NonEmptyGroup)
        }
    }

    /// Whether the group may be deleted.
    pub(crate) fn validate_delete(&self) -> Result<(), ResponseError> {
        if self.state == State::Empty { Ok(()) } else { Err(ResponseError::NonEmptyGroup) }
    }

    /// From when on the retention of its offsets counts.
    pub(crate) fn expiration(&self) -> Expiration {
        match (&self.protocol_type, self.state) {
            (None, _) => Expiration::SinceCommit,
            (Some(_), State::Empty) => self.state_since_ms.map_or(Expiration::SinceCommit, Expiration::Since),
            (Some(_), State::Stable) if self.is_consumers() && self.subscribed.is_some() => {
                Expiration::SinceCommit
            }
            (Some(_), _) => Expiration::Never,
        }
    }

    /// What DescribeGroups tells of it.
    pub(crate) fn describe(&self) -> DescribedGroup {
        let protocol = if self.state == State::Stable { self.protocol() } else { None };
        let members = self.members.values().map(|member| member.as_described(protocol)).collect();
        DescribedGroup::default()
            .with_group_id(text(&self.id).into())
            .with_group_state(text(self.state.name()))
            .with_protocol_type(text(self.protocol_type().unwrap_or_default()))
            .with_protocol_data(text(protocol.unwrap_or_default()))
            .with_members(members)
    }

    fn session(&self, member: &Arc<str>) -> Timer {
        Timer::Session { group: Arc::clone(&self.id), member: Arc::clone(member) }
    }

    /// It is deleted: what it waits for is forgotten.
    pub(crate) fn cancel_timers(&self, turn: &mut Turn<'_>) {
        *turn.pending_members -= self.pending_join.len();
        for member in self.members.keys().chain(&self.pending_join) {
            turn.timers.cancel(&self.session(member));
        }
        turn.timers.cancel(&Timer::Join(Arc::clone(&self.id)));
        turn.timers.cancel(&Timer::Sync(Arc::clone(&self.id)));
    }

    #[cfg(test)]
    pub(crate) const fn generation(&self) -> i32 {
        self.generation
    }

    /// Everything that a record says of a group whose state is written, but for when a stable one became so: it is
    /// written just before that.
    #[cfg(test)]
    pub(crate) fn settled(&self) -> String {
        let since = self.state_since_ms.filter(|_| self.state == State::Empty);
        let protocol = self.protocol();
        let members = self.members.values().map(|member| {
            let timeouts = (member.session_timeout_ms, member.rebalance_timeout_ms);
            let (metadata, assignment) = (member.metadata(protocol), &member.assignment);
            format!("{}/{:?}: {timeouts:?} {metadata:?} {assignment:?}", member.id, member.instance)
        });
        let members: Vec<_> = members.collect();
        let Self { state, generation, leader, protocol_type, subscribed, .. } = self;
        format!(
            "{state:?} {generation} {since:?} {protocol_type:?} {protocol:?} {leader:?} {subscribed:?} {members:?}"
        )
    }

    /// Adds the requests that wait; how many ids were handed out whose members have not joined yet.
    #[cfg(test)]
    pub(crate) fn waits(&self, tokens: &mut Vec<crate::effects::Token>) -> usize {
        for member in self.members.values() {
            tokens.extend(member.joining.iter().chain(&member.syncing).map(|waiting| waiting.token));
        }
        self.pending_join.len()
    }

    /// What must always hold.
    #[cfg(test)]
    pub(crate) fn check(&self) {
        let awaiting = self.members.values().filter(|member| member.joining.is_some()).count();
        assert_eq!(awaiting, self.awaiting_join, "members whose JoinGroup waits");
        assert_eq!(self.members.is_empty(), self.leader.is_none(), "members have a leader");
        if let Some(leader) = &self.leader {
            assert!(self.members.contains_key(leader), "the leader is a member");
        }
        for (instance, id) in &self.static_members {
            assert_eq!(self.members[id].instance.as_ref(), Some(instance));
        }
        for (id, member) in self.members.iter() {
            assert_eq!(id, &member.id);
            assert!(!self.pending_join.contains(id));
            if let Some(instance) = &member.instance {
                assert_eq!(self.static_members.get(instance), Some(id));
            }
            match self.state {
                State::Empty => panic!("an empty group with members"),
                State::PreparingRebalance => assert!(member.syncing.is_none()),
                State::CompletingRebalance => assert!(member.joining.is_none()),
                State::Stable => assert!(member.joining.is_none() && member.syncing.is_none()),
            }
        }
        self.supported.check(self.members.values());
        assert_eq!(self.members.bytes(), self.members.values().map(Member::bytes).sum::<usize>());
        assert_eq!(self.pending_bytes, self.pending_join.iter().map(|id| id.len()).sum::<usize>());
        match self.state {
            State::Empty => assert!(self.protocol.is_none() || self.generation == 0),
            State::PreparingRebalance => {}
            State::CompletingRebalance | State::Stable => {
                let chosen = self.protocol.as_ref().expect("a protocol is chosen");
                for member in self.members.values() {
                    assert!(member.protocols.iter().any(|protocol| protocol.name == *chosen));
                }
            }
        }
    }
}
