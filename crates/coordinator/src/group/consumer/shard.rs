//! Where consumer groups meet their shard: requests for them, their records and their timers; and groups that change
//! from one protocol to the other.

use super::{Call, Caller, ConsumerGroup, Outcome, Refusal, check_request};
use crate::context::{Client, Context};
use crate::effects::{Effects, Record, Token};
use crate::group::GroupShard;
use crate::group::classic::{self, ClassicGroup, Join, Waiting};
use crate::group::kind::{self, Group};
use crate::group::timers::Timer;
use crate::group::turn::{Turn, fit, text};
use crate::schema::consumer::Change;
use crate::schema::wire::SchemaError;
use crate::uuid_text;
use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::consumer_group_describe_response::DescribedGroup;
use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ConsumerGroupHeartbeatRequest as Heartbeat,
    ConsumerGroupHeartbeatResponse as Response, HeartbeatRequest, LeaveGroupRequest, LeaveGroupResponse,
    SyncGroupRequest,
};
use levee_base::Random;
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

type Groups = BTreeMap<Arc<str>, Group>;

impl<'a> Turn<'a> {
    /// What a consumer group goes by.
    fn call(&self) -> Call<'a> {
        Call {
            time: self.time,
            cluster: self.cluster,
            options: &self.options.consumer,
            classic_size_max: self.options.size_max,
            full: self.full,
        }
    }

    /// Sees to it that a group is called again when it has to be.
    pub(in crate::group) fn wait_for(&mut self, id: &Arc<str>, group: &ConsumerGroup) {
        let timer = Timer::Consumer(Arc::clone(id));
        match group.next_deadline() {
            Some(deadline) => self.set_timer(timer, deadline.saturating_sub(self.time.now)),
            None => self.timers.cancel(&timer),
        }
    }

    /// Carries out what has come of a call of a group.
    fn carry_out(&mut self, groups: &mut Groups, id: &Arc<str>, mut outcome: Outcome) {
        let last = outcome.downgrade.is_some().then(|| outcome.batches.pop().unwrap_or_default());
        for batch in outcome.batches {
            self.effects.append(batch.iter().map(|change| change.record(id)).collect());
        }
        if let Some(Group::Consumer(group)) = groups.get(id) {
            self.wait_for(id, group);
        }
        let (Some(last), Some(downgrade)) = (last, outcome.downgrade) else { return };
        let records = last.iter().map(|change| change.record(id)).collect();
        if let Some(group) = groups.get(id) {
            group.cancel_timers(self);
        }
        let group = ClassicGroup::of_consumer_group(self, Arc::clone(id), downgrade, records);
        groups.insert(Arc::clone(id), Group::Classic(Box::new(group)));
    }
}

/// A new member id, as Kafka makes them.
fn member_id(random: &Random) -> String {
    uuid_text::text(uuid_text::random(random))
}

fn not_found(message: String) -> Refusal {
    Refusal::new(ResponseError::GroupIdNotFound, message)
}

/// A consumer group that is there.
fn find<'a>(groups: &'a mut Groups, id: &str) -> Result<&'a mut ConsumerGroup, Refusal> {
    match groups.get_mut(id) {
        Some(Group::Consumer(group)) => Ok(group),
        Some(Group::Classic(_)) => Err(not_found(format!("Group {id} is not a consumer group."))),
        None => Err(not_found(format!("Group {id} not found."))),
    }
}

impl GroupShard {
    /// Takes a record of a consumer group.
    ///
    /// # Errors
    /// Bytes that are no record of the kind that they say.
    pub(in crate::group) fn replay_consumer(
        &mut self,
        key: &Bytes,
        value: Option<&Bytes>,
    ) -> Result<(), SchemaError> {
        let (id, change) = Change::parse(key, value)?;
        let id: Arc<str> = id.into();
        if value.is_some() && !matches!(self.groups.get(&id), Some(Group::Consumer(_))) {
            // What was there held offsets only, or has become this group.
            self.groups.insert(Arc::clone(&id), Group::Consumer(Box::new(ConsumerGroup::new(&id))));
        }
        if let Some(Group::Consumer(group)) = self.groups.get_mut(&id) {
            if change == Change::Group(None) {
                self.groups.remove(&id);
            } else {
                group.replay(&change);
            }
        }
        Ok(())
    }

    /// Serves ConsumerGroupHeartbeat.
    pub(in crate::group) fn consumer_heartbeat(
        &mut self,
        ctx: Context<'_>,
        waiting: Waiting,
        client: &Client,
        request: &Heartbeat,
    ) -> Effects {
        let (groups, mut turn) = self.turn(ctx);
        let served = check_request(request, waiting.version, &turn.options.consumer).and_then(|()| {
            if request.member_epoch < 0 {
                leave(groups, &mut turn, request)
            } else {
                beat(groups, &mut turn, client, request)
            }
        });
        match served {
            Ok(response) => turn.answer(waiting.token, response),
            Err(Refusal { error, message }) => {
                let response = Response::default().with_error_code(error.code());
                turn.answer_now(waiting.token, response.with_error_message(Some(text(&message))));
            }
        }
        turn.effects
    }

    /// Serves ConsumerGroupDescribe.
    pub(in crate::group) fn describe_consumer(
        &mut self,
        ctx: Context<'_>,
        token: Token,
        request: &ConsumerGroupDescribeRequest,
    ) -> Effects {
        let (groups, mut turn) = self.turn(ctx);
        let call = turn.call();
        let described = request.group_ids.iter().map(|id| {
            if id.is_empty() {
                return DescribedGroup::default().with_error_code(ResponseError::InvalidGroupId.code());
            }
            match find(groups, id) {
                Ok(group) => group.describe(&call),
                Err(Refusal { error, message }) => DescribedGroup::default()
                    .with_group_id(id.clone())
                    .with_error_code(error.code())
                    .with_error_message(Some(text(&message))),
            }
        });
        let response = ConsumerGroupDescribeResponse::default().with_groups(described.collect());
        turn.answer(token, response);
        turn.effects
    }

    /// A consumer group may have members to remove.
    pub(in crate::group) fn consumer_timed_out(&mut self, ctx: Context<'_>, id: &Arc<str>) -> Effects {
        let (groups, mut turn) = self.turn(ctx);
        let call = turn.call();
        if let Some(Group::Consumer(group)) = groups.get_mut(id) {
            let outcome = group.on_time(&call);
            turn.carry_out(groups, id, outcome);
        }
        turn.effects
    }
}

fn leave(groups: &mut Groups, turn: &mut Turn<'_>, request: &Heartbeat) -> Result<Response, Refusal> {
    let id: Arc<str> = (**request.group_id).into();
    let (response, outcome) = find(groups, &id)?.leave(&turn.call(), request)?;
    turn.carry_out(groups, &id, outcome);
    Ok(response)
}

fn beat(
    groups: &mut Groups,
    turn: &mut Turn<'_>,
    client: &Client,
    request: &Heartbeat,
) -> Result<Response, Refusal> {
    let id: Arc<str> = (**request.group_id).into();
    let new = if request.member_id.is_empty() { member_id(turn.random) } else { String::new() };
    let named = if request.member_id.is_empty() { &*new } else { &*request.member_id };
    let caller = Caller { client, member_id: named };
    let joins = request.member_epoch == 0;
    if let Some(Group::Consumer(group)) = groups.get_mut(&id) {
        let (response, outcome) = group.heartbeat(&turn.call(), caller, request)?;
        turn.carry_out(groups, &id, outcome);
        return Ok(response);
    }
    // The group is made, or made of a classic one, if the member can join it.
    let (mut group, mut records) = match groups.get(&id) {
        None if joins => {
            kind::admit(groups, turn, &id).map_err(|error| {
                Refusal::new(error, "There are too many groups; delete those that are no longer used.")
            })?;
            (ConsumerGroup::new(&id), Vec::new())
        }
        None => return Err(not_found(format!("Consumer group {id} not found."))),
        Some(group) if joins && group.is_empty() => (ConsumerGroup::new(&id), group.tombstones()),
        Some(Group::Classic(classic)) if joins => {
            let call = turn.call();
            ConsumerGroup::check_upgrade(&call, &id, classic.len(), classic.is_consumers())?;
            let (group, changes) = ConsumerGroup::upgrade(&call, &id, classic.upgrade())?;
            let mut records = vec![classic::tombstone(&id)];
            records.extend(changes.iter().map(|change| change.record(&id)));
            (group, records)
        }
        Some(_) => return Err(not_found(format!("Group {id} is not a consumer group."))),
    };
    let (response, mut outcome) = group.heartbeat(&turn.call(), caller, request)?;
    if !outcome.batches.is_empty() {
        // All of it happens or nothing.
        let first = outcome.batches.remove(0);
        records.extend(first.iter().map(|change| change.record(&id)));
    }
    if !fit(&records) {
        let message = "The group doesn't fit into a record batch.";
        return Err(Refusal::new(ResponseError::UnknownServerError, message));
    }
    turn.effects.append(records);
    if let Some(Group::Classic(classic)) = groups.get_mut(&id) {
        classic.hand_over(turn);
    }
    groups.insert(Arc::clone(&id), Group::Consumer(Box::new(group)));
    turn.carry_out(groups, &id, outcome);
    Ok(response)
}

/// Serves a JoinGroup for a consumer group. Returns false where there is none, or not any more: an empty one goes, if a
/// classic one is about to be made for the member.
pub(in crate::group) fn join(groups: &mut Groups, turn: &mut Turn<'_>, join: &Join) -> bool {
    let Some((id, Group::Consumer(group))) = groups.get_key_value(&**join.request.group_id) else {
        return false;
    };
    let id = Arc::clone(id);
    if group.is_empty() {
        // A member that is refused leaves the group what it is: its offsets have no other.
        if let Err((member, error)) = join.check_new_group(turn) {
            join.refuse(turn, member, error);
            return true;
        }
        if turn.full {
            join.refuse(turn, "", ResponseError::PolicyViolation);
            return true;
        }
        turn.effects.append(group.tombstones().iter().map(|change| change.record(&id)).collect());
        if let Some(group) = groups.remove(&id) {
            group.cancel_timers(turn);
        }
        return false;
    }
    if join.is_too_large() {
        join.refuse(turn, &join.request.member_id, ResponseError::InvalidRequest);
        return true;
    }
    let new = if join.request.member_id.is_empty() { member_id(turn.random) } else { String::new() };
    let named = if join.request.member_id.is_empty() { &*new } else { &*join.request.member_id };
    let caller = Caller { client: &join.client, member_id: named };
    let request = join.request.clone().with_rebalance_timeout_ms(join.rebalance_timeout_ms());
    let Some(Group::Consumer(group)) = groups.get_mut(&id) else { return false };
    match group.classic_join(&turn.call(), caller, &request, join.waiting.version) {
        Ok((response, _)) if response.error_code != 0 => {
            classic::refuse_join(turn, join.waiting, &response.member_id, ResponseError::MemberIdRequired);
        }
        Ok((response, outcome)) => {
            turn.carry_out(groups, &id, outcome);
            turn.answer(join.waiting.token, response);
        }
        Err(refusal) => classic::refuse_join(turn, join.waiting, "", refusal.error),
    }
    true
}

/// Serves a SyncGroup for a consumer group.
pub(in crate::group) fn sync(
    id: &Arc<str>,
    group: &mut ConsumerGroup,
    turn: &mut Turn<'_>,
    waiting: Waiting,
    request: &SyncGroupRequest,
) {
    if group.is_empty() {
        return classic::refuse_sync(turn, waiting, ResponseError::UnknownMemberId);
    }
    match group.classic_sync(&turn.call(), request) {
        Ok(response) => turn.answer(waiting.token, response),
        Err(refusal) => classic::refuse_sync(turn, waiting, refusal.error),
    }
    turn.wait_for(id, group);
}

/// Serves a Heartbeat for a consumer group.
pub(in crate::group) fn heartbeat(
    id: &Arc<str>,
    group: &mut ConsumerGroup,
    turn: &mut Turn<'_>,
    request: &HeartbeatRequest,
) -> Result<(), ResponseError> {
    let heard = group.classic_heartbeat(&turn.call(), request);
    turn.wait_for(id, group);
    heard.map_err(|refusal| refusal.error)
}

/// Serves a LeaveGroup for a consumer group.
pub(in crate::group) fn leave_classic(
    groups: &mut Groups,
    turn: &mut Turn<'_>,
    request: &LeaveGroupRequest,
) -> Result<LeaveGroupResponse, ResponseError> {
    let id: Arc<str> = (**request.group_id).into();
    let call = turn.call();
    let left = find(groups, &id).and_then(|group| group.classic_leave(&call, request));
    let (response, outcome) = left.map_err(|refusal| refusal.error)?;
    turn.carry_out(groups, &id, outcome);
    Ok(response)
}

/// The id of a topic of which a request has told the name only.
pub(in crate::group) fn topic_id(turn: &Turn<'_>, name: &str, id: Uuid) -> Uuid {
    if id.is_nil() { turn.cluster.topic(name).map_or(id, |topic| topic.id) } else { id }
}

/// A group has been loaded: its members are waited for.
pub(in crate::group) fn loaded(group: &mut ConsumerGroup, turn: &mut Turn<'_>) {
    group.loaded(&turn.call());
    turn.wait_for(&group.id().into(), group);
}

/// The records of a group's deletion.
pub(in crate::group) fn tombstones(group: &ConsumerGroup) -> Vec<Record> {
    group.tombstones().iter().map(|change| change.record(group.id())).collect()
}
