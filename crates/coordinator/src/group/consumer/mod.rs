//! Groups of the consumer protocol (KIP-848).
//!
//! Members send heartbeats, and the coordinator does all the rest. A group has an *epoch*, which grows whenever its
//! members or their topics change; a *target assignment*, which an assignor makes for an epoch of the group; and its
//! members' *current assignments*, each with the epoch that it has been taken to. Each heartbeat takes its member one
//! step further from the current assignment to the target (`reconcile`).
//!
//! [`ConsumerGroup`] is what records say (`state`), and what need not survive: timers, and what is known of topics. A
//! call reads the state, makes records, applies them and hands them out. So a group that was loaded from its records is
//! the one that was, and a call that is refused has changed nothing.
//!
//! Members may use the classic protocol, too (`classic`): so groups move from one protocol to the other while they
//! work, and back (`migrate`).

mod assignor;
mod check;
mod classic;
mod describe;
mod downgrade_size;
mod hash;
mod heartbeat;
mod leave;
mod member;
mod migrate;
mod options;
mod outcome;
mod patterns;
pub mod protocol;
mod reconcile;
mod request;
pub(in crate::group) mod shard;
mod state;
mod subscription;
mod target;
mod timers;
mod topics;

pub use assignor::Assignor;
pub use check::CommitCheck;
pub use migrate::{Upgrade, UpgradedMember};
pub use options::{ConsumerOptions, MigrationPolicy};
pub use outcome::{Downgrade, DowngradedMember, Outcome, Refusal};
pub use request::check as check_request;

use crate::context::{Client, Cluster, Time};
use crate::group::turn::fit;
use crate::schema::consumer::Change;
use kafka_protocol::ResponseError;
use options::GroupSettings;
use state::State;
use std::time::Duration;
use timers::{Timers, Wait};
use topics::TopicCache;

/// What a call goes by.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// When it is made.
    pub time: Time,
    /// The cluster.
    pub cluster: &'a dyn Cluster,
    /// How groups are to behave.
    pub options: &'a ConsumerOptions,
    /// The most members that a classic group may have.
    pub classic_size_max: usize,
    /// Whether as much is kept of what clients say as may be.
    pub full: bool,
}

impl std::fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("time", &self.time).finish_non_exhaustive()
    }
}

/// Who asks, and by which id it is a member.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// Who asks.
    pub client: &'a Client,
    /// The member id of the request, or a new one if it has none.
    pub member_id: &'a str,
}

/// The states of a group, as it tells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupState {
    /// It has no members.
    Empty,
    /// Its target assignment is older than the group.
    Assigning,
    /// Not all members have arrived at the target assignment.
    Reconciling,
    /// They have.
    Stable,
}

impl GroupState {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Assigning => "Assigning",
            Self::Reconciling => "Reconciling",
            Self::Stable => "Stable",
        }
    }
}

/// See the module's text.
#[derive(Debug)]
pub struct ConsumerGroup {
    id: String,
    state: State,
    timers: Timers,
    topics: TopicCache,
}

impl ConsumerGroup {
    /// A group without records.
    #[must_use]
    pub fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            state: State::new(),
            timers: Timers::default(),
            topics: TopicCache::default(),
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Takes what a record says that was read. Once all are read, [`Self::loaded`] is due.
    pub fn replay(&mut self, change: &Change) {
        self.state.apply(change);
    }

    /// All records are read: members are waited for from now on.
    pub fn loaded(&mut self, call: &Call<'_>) {
        let timeout_ms = self.settings(call).session_timeout_ms;
        for member in self.state.members.values() {
            self.timers.set(&member.id, Wait::Session, call.time.now, timeout_ms);
            if member.state == member::MemberState::UnrevokedPartitions {
                let wait = Wait::Rebalance { epoch: member.epoch };
                self.timers.set(&member.id, wait, call.time.now, member.metadata.rebalance_timeout_ms);
            }
        }
    }

    /// When [`Self::on_time`] is to be called next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.timers.next()
    }

    /// How many members it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.members.len()
    }

    /// Whether it has no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.state.members.is_empty()
    }

    /// What it takes in memory that its clients say, in bytes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.state.member_bytes
    }

    /// Its state.
    #[must_use]
    pub fn group_state(&self) -> GroupState {
        let arrived = |member: &member::Member| member.is_reconciled_to(self.state.target_epoch);
        if self.is_empty() {
            GroupState::Empty
        } else if self.state.epoch > self.state.target_epoch {
            GroupState::Assigning
        } else if self.state.members.values().all(arrived) {
            GroupState::Stable
        } else {
            GroupState::Reconciling
        }
    }

    /// Whether some member subscribes to a topic.
    #[must_use]
    pub fn is_subscribed_to(&self, topic: &str) -> bool {
        self.state.subscribed.contains_key(topic)
    }

    /// Has the next heartbeat look at the topics anew, without waiting until it is time to.
    pub fn request_metadata_refresh(&mut self) {
        self.topics.request_refresh();
    }

    fn settings(&self, call: &Call<'_>) -> GroupSettings {
        GroupSettings::new(call.options, &call.cluster.group_configs(&self.id))
    }

    /// Applies the records of a batch and hands them out.
    ///
    /// # Errors
    /// UNKNOWN_SERVER_ERROR, as in Kafka, for more than one record batch can take.
    fn commit(&mut self, outcome: &mut Outcome, batch: Vec<Change>) -> Result<(), Refusal> {
        let records: Vec<_> = batch.iter().map(|change| change.record(&self.id)).collect();
        if !fit(&records) {
            // What it has seen of the topics is not written down.
            self.topics.expire();
            let message = "The group's assignment doesn't fit into a record batch.";
            return Err(Refusal::new(ResponseError::UnknownServerError, message));
        }
        for change in &batch {
            self.state.apply(change);
        }
        if !batch.is_empty() {
            outcome.batches.push(batch);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "group_tests.rs"]
mod tests;
