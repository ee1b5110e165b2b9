//! The groups of one partition of `__consumer_offsets`: their members and their offsets.
//!
//! [`GroupShard`] is what the partition's records say, and what lives in memory only: who waits for what, and until
//! when. This file takes requests to where they are served; `kind` is what a group is whatever its protocol, `classic`
//! and `consumer` the protocols, `offsets` what is committed, `commit`, `fetch` and `admin` the requests about that.
//!
//! Another kind of group has its place in [`kind::Group`], its timers in [`timers::Timer`], and its records in
//! [`GroupShard::replay`]. Offsets, listing, describing, deletion and expiry then ask it what they ask any group.

mod admin;
pub mod classic;
mod commit;
pub mod consumer;
mod expiration;
mod fetch;
mod kind;
mod offsets;
mod options;
mod producers;
mod sizes;
mod timers;
mod turn;

pub use options::GroupOptions;

use crate::context::{Context, Request};
use crate::effects::{Effects, Producer, Token};
use crate::schema::consumer::Change;
use crate::schema::group::{self as schema, GroupMetadataKey, GroupMetadataValue};
use crate::schema::group::{OffsetCommitKey, OffsetCommitValue};
use crate::schema::wire::SchemaError;
use bytes::Bytes;
use classic::{ClassicGroup, Join, Waiting};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{
    HeartbeatRequest, HeartbeatResponse, LeaveGroupRequest, LeaveGroupResponse, RequestKind,
    SyncGroupRequest, leave_group_request::MemberIdentity, leave_group_response::MemberResponse,
};
use kind::Group;
use levee_base::Random;
use offsets::Offsets;
use sizes::Sizes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use timers::{Timer, Timers};
use turn::Turn;

/// The first version of LeaveGroup that names several members.
const LEAVE_MEMBERS: i16 = 3;
/// The first version of SyncGroup that must say the protocol's type and name.
const SYNC_PROTOCOL: i16 = 5;

/// See the module's text.
#[derive(Debug)]
pub struct GroupShard {
    options: GroupOptions,
    random: Random,
    groups: BTreeMap<Arc<str>, Group>,
    offsets: Offsets,
    timers: Timers,
    /// Member ids that were handed out and are not used yet.
    pending_members: usize,
    sizes: Sizes,
    /// The time of the newest record that was replayed.
    replayed_ms: i64,
}

impl GroupShard {
    /// A shard that knows nothing. Replay its partition, then call [`Self::loaded`], and only then hand it requests.
    #[must_use]
    pub fn new(options: GroupOptions, random: Random) -> Self {
        Self {
            options,
            random,
            groups: BTreeMap::new(),
            offsets: Offsets::default(),
            timers: Timers::default(),
            pending_members: 0,
            sizes: Sizes::default(),
            replayed_ms: 0,
        }
    }

    /// A record of the partition, in order of offsets. `producer` is the transaction that its batch belongs to: offsets
    /// of open transactions wait for the marker. `timestamp_ms` is its batch's.
    ///
    /// Records of kinds that are not known are passed over: a newer release may have written them.
    ///
    /// # Errors
    /// Bytes that are no record of the kind that they say.
    pub fn replay(
        &mut self,
        producer: Option<Producer>,
        key: Bytes,
        value: Option<Bytes>,
        timestamp_ms: i64,
    ) -> Result<(), SchemaError> {
        self.replayed_ms = self.replayed_ms.max(timestamp_ms);
        match schema::kind_of(&key)? {
            schema::OFFSET_COMMIT | schema::OFFSET_COMMIT_LEGACY => {
                let key = OffsetCommitKey::read(key)?;
                let value = value.map(OffsetCommitValue::read).transpose()?;
                if value.is_some() {
                    let group = Arc::clone(&key.group);
                    let new = |id| Group::new(id, timestamp_ms);
                    self.groups.entry(group).or_insert_with_key(|id| new(Arc::clone(id)));
                }
                self.offsets.apply(producer, &key, value, timestamp_ms);
            }
            schema::GROUP_METADATA => {
                let GroupMetadataKey { group: id } = GroupMetadataKey::read(key)?;
                match value.map(GroupMetadataValue::read).transpose()? {
                    Some(value) => {
                        let group = ClassicGroup::of_record(Arc::clone(&id), value);
                        self.groups.insert(id, Group::Classic(Box::new(group)));
                    }
                    None => {
                        if matches!(self.groups.get(&id), Some(Group::Classic(_))) {
                            self.groups.remove(&id);
                        }
                    }
                }
            }
            kind if Change::is(kind) => self.replay_consumer(&key, value.as_ref())?,
            kind => tracing::debug!(kind, "a record of a kind that is not known is passed over"),
        }
        Ok(())
    }

    /// A transaction's marker in the partition, in order of offsets with its records.
    pub fn replay_marker(&mut self, producer: Producer, commit: bool) {
        self.offsets.end_transaction(producer, commit, self.replayed_ms);
    }

    /// All has been replayed: this broker coordinates these groups from now on.
    #[must_use]
    pub fn loaded(&mut self, ctx: Context<'_>) -> Effects {
        tracing::debug!(groups = self.groups.len(), "groups are loaded");
        self.measure_all();
        let (groups, mut turn) = self.turn(ctx);
        for group in groups.values_mut() {
            group.loaded(&mut turn);
        }
        turn.set_timer(Timer::Expiry, turn.options.offsets_retention_check_interval);
        turn.effects
    }

    /// Serves a request about groups of this shard.
    ///
    /// The shell has split what names several groups, and has found the names of topics that are named by their ids.
    #[must_use]
    pub fn handle(&mut self, ctx: Context<'_>, request: Request) -> Effects {
        let changed = sizes::changed_by(&request.kind);
        let effects = self.serve(ctx, request);
        for group in changed {
            self.measure(&group);
        }
        effects
    }

    fn serve(&mut self, ctx: Context<'_>, request: Request) -> Effects {
        let Request { token, client, version, kind } = request;
        let waiting = Waiting { token, version };
        match kind {
            RequestKind::JoinGroup(request) => self.join(ctx, &Join { waiting, client, request }),
            RequestKind::SyncGroup(request) => self.sync(ctx, waiting, &request),
            RequestKind::Heartbeat(request) => self.heartbeat(ctx, token, &request),
            RequestKind::LeaveGroup(request) => self.leave(ctx, waiting, request),
            RequestKind::ConsumerGroupHeartbeat(request) => {
                self.consumer_heartbeat(ctx, waiting, &client, &request)
            }
            RequestKind::ConsumerGroupDescribe(request) => self.describe_consumer(ctx, token, &request),
            RequestKind::OffsetCommit(request) => self.commit(ctx, waiting, request),
            RequestKind::TxnOffsetCommit(request) => self.commit_in_transaction(ctx, waiting, request),
            RequestKind::OffsetFetch(request) => self.fetch(waiting, request),
            RequestKind::OffsetDelete(request) => self.delete_offsets(ctx, token, request),
            RequestKind::DescribeGroups(request) => self.describe(waiting, &request),
            RequestKind::ListGroups(request) => self.list(token, &request),
            RequestKind::DeleteGroups(request) => self.delete(ctx, token, request),
            other => {
                // A mistake of the shell's, which no client can cause.
                tracing::error!(?other, "a request that is not about groups");
                Effects::default()
            }
        }
    }

    /// The transaction marker for this producer has been appended to the partition, after all effects so far.
    #[must_use]
    pub fn transaction_ended(&mut self, ctx: Context<'_>, producer: Producer, commit: bool) -> Effects {
        self.offsets.end_transaction(producer, commit, ctx.time.wall_ms);
        Effects::default()
    }

    /// Topics came, went or grew. The offsets of those that went are deleted.
    #[must_use]
    pub fn cluster_changed(&mut self, ctx: Context<'_>, deleted_topics: &[(String, uuid::Uuid)]) -> Effects {
        let mut records = Vec::new();
        for (topic, id) in deleted_topics {
            for key in self.offsets.keys_of_topic(topic, *id) {
                self.offsets.delete(&key);
                records.push(offsets::tombstone(&key));
            }
        }
        let (groups, mut turn) = self.turn(ctx);
        for group in groups.values_mut() {
            if let Group::Consumer(group) = group {
                group.request_metadata_refresh();
            }
        }
        turn.append_in_batches(records);
        turn.effects
    }

    /// When [`Self::tick`] should be called, in terms of [`Time::now`](crate::Time).
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.timers.next()
    }

    /// Does what is due.
    #[must_use]
    pub fn tick(&mut self, ctx: Context<'_>) -> Effects {
        let mut effects = Effects::default();
        while let Some(timer) = self.timers.pop(ctx.time.now) {
            effects.extend(self.fire(ctx, &timer));
            self.measure_of(&timer);
        }
        effects
    }

    fn fire(&mut self, ctx: Context<'_>, timer: &Timer) -> Effects {
        if *timer == Timer::Expiry {
            let effects = self.expire(ctx);
            let interval = self.options.offsets_retention_check_interval;
            self.timers.set(Timer::Expiry, ctx.time.now, interval);
            return effects;
        }
        if let Timer::Consumer(group) = timer {
            return self.consumer_timed_out(ctx, group);
        }
        let (groups, mut turn) = self.turn(ctx);
        match timer {
            Timer::Expiry | Timer::Consumer(_) => {}
            Timer::Session { group, member } => {
                if let Some(Group::Classic(group)) = groups.get_mut(group) {
                    group.session_timed_out(&mut turn, member);
                }
            }
            Timer::Join(group) => {
                if let Some(Group::Classic(group)) = groups.get_mut(group) {
                    group.join_timed_out(&mut turn);
                }
            }
            Timer::Sync(group) => {
                if let Some(Group::Classic(group)) = groups.get_mut(group) {
                    group.sync_timed_out(&mut turn);
                }
            }
        }
        turn.effects
    }

    /// The groups, and what they act with during a call.
    fn turn<'a>(&'a mut self, ctx: Context<'a>) -> (&'a mut BTreeMap<Arc<str>, Group>, Turn<'a>) {
        let Self { options, random, groups, timers, pending_members, sizes, .. } = self;
        (groups, Turn::new(ctx, options, random, timers, pending_members, sizes.are_full()))
    }

    /// Forgets a group that was deleted.
    fn forget_group(&mut self, ctx: Context<'_>, id: &str) {
        if let Some(group) = self.groups.remove(id) {
            let (_, mut turn) = self.turn(ctx);
            group.cancel_timers(&mut turn);
        }
    }

    fn join(&mut self, ctx: Context<'_>, join: &Join) -> Effects {
        let request = &join.request;
        let sessions = self.options.session_timeout_min_ms..=self.options.session_timeout_max_ms;
        let (groups, mut turn) = self.turn(ctx);
        if request.group_id.is_empty() {
            join.refuse(&mut turn, &request.member_id, ResponseError::InvalidGroupId);
        } else if !sessions.contains(&request.session_timeout_ms) {
            join.refuse(&mut turn, &request.member_id, ResponseError::InvalidSessionTimeout);
        } else if consumer::shard::join(groups, &mut turn, join) {
            // It was for a consumer group.
        } else if let Some(Group::Classic(group)) = groups.get_mut(&**request.group_id) {
            group.join(&mut turn, join);
        } else if let Err((member, error)) = join.check_new_group(&turn) {
            join.refuse(&mut turn, member, error);
        } else if let Err(error) = kind::admit(groups, &turn, &request.group_id) {
            join.refuse(&mut turn, "", error);
        } else {
            let id: Arc<str> = (**request.group_id).into();
            let mut group = ClassicGroup::new(Arc::clone(&id), turn.time.wall_ms);
            let record = group.empty_record();
            let before = turn.effects.appends.len();
            group.join(&mut turn, join);
            let written = turn.effects.appends.len() > before;
            match turn.effects.appends.last_mut() {
                _ if written => {}
                // The tombstones of the consumer group that it was.
                Some(append) => append.records.push(record),
                None => turn.effects.append(vec![record]),
            }
            groups.insert(id, Group::Classic(Box::new(group)));
        }
        turn.effects
    }

    fn sync(&mut self, ctx: Context<'_>, waiting: Waiting, request: &SyncGroupRequest) -> Effects {
        let (groups, mut turn) = self.turn(ctx);
        let unsaid = request.protocol_type.is_none() || request.protocol_name.is_none();
        if waiting.version >= SYNC_PROTOCOL && unsaid {
            classic::refuse_sync(&mut turn, waiting, ResponseError::InconsistentGroupProtocol);
        } else if request.group_id.is_empty() {
            classic::refuse_sync(&mut turn, waiting, ResponseError::InvalidGroupId);
        } else {
            match groups.get_mut(&**request.group_id) {
                Some(Group::Classic(group)) => group.sync(&mut turn, waiting, request),
                Some(Group::Consumer(group)) => {
                    let id = (**request.group_id).into();
                    consumer::shard::sync(&id, group, &mut turn, waiting, request);
                }
                None => classic::refuse_sync(&mut turn, waiting, ResponseError::UnknownMemberId),
            }
        }
        turn.effects
    }

    fn heartbeat(&mut self, ctx: Context<'_>, token: Token, request: &HeartbeatRequest) -> Effects {
        let (groups, mut turn) = self.turn(ctx);
        let instance = request.group_instance_id.as_deref();
        let heard = match groups.get_mut(&**request.group_id) {
            _ if request.group_id.is_empty() => Err(ResponseError::InvalidGroupId),
            Some(Group::Classic(group)) => {
                group.heartbeat(&mut turn, &request.member_id, instance, request.generation_id)
            }
            Some(Group::Consumer(group)) => {
                let id = (**request.group_id).into();
                consumer::shard::heartbeat(&id, group, &mut turn, request)
            }
            None => Err(ResponseError::UnknownMemberId),
        };
        let error_code = heard.err().map_or(0, |error| error.code());
        turn.answer_now(token, HeartbeatResponse::default().with_error_code(error_code));
        turn.effects
    }

    fn leave(&mut self, ctx: Context<'_>, waiting: Waiting, request: LeaveGroupRequest) -> Effects {
        let (groups, mut turn) = self.turn(ctx);
        let members = if waiting.version >= LEAVE_MEMBERS {
            request.members
        } else {
            vec![MemberIdentity::default().with_member_id(request.member_id)]
        };
        let unknown = |member: MemberIdentity| {
            MemberResponse::default()
                .with_member_id(member.member_id)
                .with_group_instance_id(member.group_instance_id)
                .with_error_code(ResponseError::UnknownMemberId.code())
        };
        let left = match groups.get_mut(&**request.group_id) {
            _ if request.group_id.is_empty() => Err(ResponseError::InvalidGroupId),
            Some(Group::Classic(group)) => Ok(group.leave(&mut turn, &members)),
            Some(Group::Consumer(_)) => {
                let request =
                    LeaveGroupRequest::default().with_group_id(request.group_id).with_members(members);
                consumer::shard::leave_classic(groups, &mut turn, &request).map(|left| left.members)
            }
            None => Ok(members.into_iter().map(unknown).collect()),
        };
        let response = LeaveGroupResponse::default();
        let response = match left {
            Err(error) => response.with_error_code(error.code()),
            Ok(members) if waiting.version >= LEAVE_MEMBERS => response.with_members(members),
            // What became of the only one that it could name.
            Ok(members) => response.with_error_code(members.first().map_or(0, |member| member.error_code)),
        };
        turn.answer(waiting.token, response);
        turn.effects
    }
}

#[cfg(test)]
mod tests;
