//! Members of a consumer group that use the classic protocol. They are members like all others, but are told what they
//! get by rejoining: JoinGroup reconciles, SyncGroup tells, Heartbeat says when to rejoin.

use super::heartbeat::{Approach, write_member};
use super::member::{Member, MemberState, Owned, without_epochs};
use super::migrate::{by_id, by_name};
use super::outcome::{Outcome, Refusal};
use super::protocol::{PROTOCOL_TYPE, Subscription, version};
use super::timers::Wait;
use super::{Call, Caller, ConsumerGroup};
use crate::schema::consumer::{ClassicMember, ClassicProtocol};
use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse,
    SyncGroupRequest, SyncGroupResponse,
};
use kafka_protocol::protocol::StrBytes;

impl ConsumerGroup {
    /// Serves a JoinGroup. The answer's error is MEMBER_ID_REQUIRED where the client is to come back by the id that it
    /// gets.
    ///
    /// # Errors
    /// GROUP_MAX_SIZE_REACHED, INCONSISTENT_GROUP_PROTOCOL, UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID, UNKNOWN_SERVER_ERROR.
    pub fn classic_join(
        &mut self,
        call: &Call<'_>,
        caller: Caller<'_>,
        request: &JoinGroupRequest,
        version: i16,
    ) -> Result<(JoinGroupResponse, Outcome), Refusal> {
        let id = caller.member_id;
        self.check_size(call, id)?;
        self.check_protocols(id, request)?;
        let is_unknown = request.member_id.is_empty();
        let response = JoinGroupResponse::default().with_member_id(text(id));
        if version >= 4 && is_unknown && request.group_instance_id.is_none() {
            let response = response.with_error_code(ResponseError::MemberIdRequired.code());
            return Ok((response, Outcome::default()));
        }
        let instance_id = request.group_instance_id.as_deref();
        let joins = instance_id.is_none() || is_unknown;
        let approach = Approach { member_id: id, instance_id, joins, consumer: None };
        let mut records = Vec::new();
        let member = self.find_or_create(&approach, &mut records)?;
        let subscription = subscription(request)?;

        let mut updated = member.clone();
        update(&mut updated, caller, request, &subscription);
        let existing = instance_id.and_then(|id| self.state.static_member(id));
        let downgrade =
            existing.is_some_and(|existing| self.can_downgrade_replacing(call, existing, &updated));
        let both = (&member, &updated);
        self.check_room(call, both)?;
        let names_changed = write_member(both, &mut records);
        let (regex_update, resolve) = self.update_regex(call, both, &mut records)?;
        let changed = names_changed || regex_update.updated();
        let owned: Owned = by_id(call.cluster, &subscription.owned);
        let epoch = self.refresh_if_due(call, changed, both, &mut records);

        let mut outcome = Outcome::default();
        if downgrade {
            // With a stale assignment the classic group rebalances at once; otherwise its members go on.
            let stale = self.state.target_epoch < epoch;
            if !stale {
                let target = self.last_target(&updated);
                self.reconcile(call, &mut updated, &target, changed, Some(&owned), &mut records)?;
            }
            outcome = self.give_up(call, &updated, stale, records);
        } else {
            let target = self.update_target(call, epoch, both, &mut records);
            self.reconcile(call, &mut updated, &target, changed, Some(&owned), &mut records)?;
            self.commit(&mut outcome, records)?;
            if resolve && let Err(refusal) = self.resolve_regexes(call, &mut outcome) {
                tracing::warn!(group = self.id, %refusal, "patterns could not be matched");
            }
            let now = call.time.now;
            self.timers.cancel_join(id);
            self.timers.set(id, Wait::Session, now, request.session_timeout_ms);
            self.timers.set(id, Wait::Sync, now, request.rebalance_timeout_ms);
        }
        let protocol = updated.classic().and_then(|classic| classic.protocols.first());
        let response = response
            .with_generation_id(updated.epoch)
            .with_protocol_type(Some(StrBytes::from_static_str(PROTOCOL_TYPE)))
            .with_protocol_name(protocol.map(|protocol| text(&protocol.name)));
        Ok((response, outcome))
    }

    /// Serves a SyncGroup: tells a member what it has got by joining.
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID, ILLEGAL_GENERATION, INCONSISTENT_GROUP_PROTOCOL, REBALANCE_IN_PROGRESS,
    /// UNKNOWN_SERVER_ERROR.
    pub fn classic_sync(
        &mut self,
        call: &Call<'_>,
        request: &SyncGroupRequest,
    ) -> Result<SyncGroupResponse, Refusal> {
        let instance_id = request.group_instance_id.as_deref();
        let (member, classic) =
            self.classic_member(&request.member_id, instance_id, request.generation_id)?;
        let first = classic.protocols.first();
        let refuse = |message| Err(Refusal::new(ResponseError::InconsistentGroupProtocol, message));
        if let Some(asked) = request.protocol_type.as_ref().filter(|asked| asked.as_str() != PROTOCOL_TYPE) {
            return refuse(format!(
                "The protocol type {asked} from member {} request is not equal to the group protocol type \
                 {PROTOCOL_TYPE}.",
                member.id
            ));
        }
        let name = first.map_or("", |protocol| &protocol.name);
        if let Some(asked) = request.protocol_name.as_ref().filter(|asked| asked.as_str() != name) {
            return refuse(format!(
                "The protocol name {asked} from member {} request is not equal to the protocol name {name} \
                 returned in the join response.",
                member.id
            ));
        }
        let now = call.time.now;
        // Who has still something to give up has rejoined already, and is told to once more when it has.
        if self.state.target_epoch > member.epoch && member.state != MemberState::UnrevokedPartitions {
            let (id, timeout_ms) = (member.id.clone(), member.metadata.rebalance_timeout_ms);
            let message = format!(
                "A new rebalance is triggered in group {} and member {id} should rejoin to catch up.",
                self.id
            );
            self.timers.set_if_absent(&id, Wait::Join, now, timeout_ms);
            return Err(Refusal::new(ResponseError::RebalanceInProgress, message));
        }
        let metadata = first.map_or_else(Bytes::new, |protocol| protocol.metadata.clone());
        let Ok(version) = version(metadata) else {
            let message = "Malformed embedded consumer protocol in version deserialization.";
            return Err(Refusal::new(ResponseError::UnknownServerError, message));
        };
        let assignment = by_name(call.cluster, without_epochs(&member.assigned).into_iter());
        let (id, session_timeout_ms) = (member.id.clone(), classic.session_timeout_ms);
        self.timers.cancel_sync(&id);
        self.timers.set(&id, Wait::Session, now, session_timeout_ms);
        Ok(SyncGroupResponse::default()
            .with_protocol_type(request.protocol_type.clone())
            .with_protocol_name(request.protocol_name.clone())
            .with_assignment(assignment.write(version)))
    }

    /// Serves a Heartbeat of the classic protocol.
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID, ILLEGAL_GENERATION, and REBALANCE_IN_PROGRESS where the member has to rejoin.
    pub fn classic_heartbeat(&mut self, call: &Call<'_>, request: &HeartbeatRequest) -> Result<(), Refusal> {
        let instance_id = request.group_instance_id.as_deref();
        // Where nobody is left that uses the consumer protocol, as the group is too large to become a classic one, only
        // those who rejoin bring about another target.
        let alone = self.state.classic_members == self.state.members.len();
        let is_due = alone
            && self.may_replace_target(call)
            && (self.state.epoch > self.state.target_epoch || self.has_metadata_changed(call));
        let (member, classic) =
            self.classic_member(&request.member_id, instance_id, request.generation_id)?;
        let has_to_rejoin = is_due
            || member.epoch < self.state.target_epoch
            || member.state == MemberState::UnrevokedPartitions
            || (member.state == MemberState::UnreleasedPartitions && !self.waits_for_others(member));
        let (id, session_timeout_ms) = (member.id.clone(), classic.session_timeout_ms);
        let rebalance_timeout_ms = member.metadata.rebalance_timeout_ms;
        let now = call.time.now;
        self.timers.set(&id, Wait::Session, now, session_timeout_ms);
        if has_to_rejoin {
            self.timers.set_if_absent(&id, Wait::Join, now, rebalance_timeout_ms);
            return Err(Refusal::new(ResponseError::RebalanceInProgress, ""));
        }
        Ok(())
    }

    /// Serves a LeaveGroup. Members of either protocol can be removed by it.
    ///
    /// # Errors
    /// UNKNOWN_SERVER_ERROR for more members than one record batch can take.
    pub fn classic_leave(
        &mut self,
        call: &Call<'_>,
        request: &LeaveGroupRequest,
    ) -> Result<(LeaveGroupResponse, Outcome), Refusal> {
        let mut leaving = Vec::new();
        let mut responses = Vec::new();
        for identity in &request.members {
            let found = match identity.group_instance_id.as_deref() {
                None => {
                    let id = &*identity.member_id;
                    self.state.members.get(id).ok_or_else(|| self.unknown_member(id))
                }
                Some(instance_id) => {
                    let member = self.state.static_member(instance_id);
                    // A tool may name an instance id only.
                    let id = match member {
                        Some(member) if identity.member_id.is_empty() => &member.id,
                        _ => &*identity.member_id,
                    };
                    self.check_static(member, id, instance_id)
                }
            };
            let response = MemberResponse::default()
                .with_member_id(identity.member_id.clone())
                .with_group_instance_id(identity.group_instance_id.clone());
            responses.push(match found {
                Ok(member) => {
                    leaving.push(member.id.clone());
                    response
                }
                Err(refusal) => response.with_error_code(refusal.error.code()),
            });
        }
        let outcome = self.fence(call, &leaving)?;
        Ok((LeaveGroupResponse::default().with_members(responses), outcome))
    }

    /// Whether one of a new member's protocols is supported by all members that use the classic protocol.
    fn check_protocols(&self, id: &str, request: &JoinGroupRequest) -> Result<(), Refusal> {
        let all = self.state.classic_members;
        let supporters = |name: &str| self.state.classic_protocols.get(name).copied().unwrap_or(0);
        let supported = request.protocols.iter().any(|protocol| supporters(&protocol.name) == all);
        if request.protocol_type.as_str() == PROTOCOL_TYPE
            && (supported || (self.is_empty() && !request.protocols.is_empty()))
        {
            return Ok(());
        }
        let message = format!("Member {id}'s protocols are not supported.");
        Err(Refusal::new(ResponseError::InconsistentGroupProtocol, message))
    }

    /// A member that uses the classic protocol, in its generation.
    fn classic_member(
        &self,
        id: &str,
        instance_id: Option<&str>,
        generation: i32,
    ) -> Result<(&Member, &ClassicMember), Refusal> {
        let member = match instance_id {
            None => self.state.members.get(id).ok_or_else(|| self.unknown_member(id))?,
            Some(instance_id) => match self.state.static_member(instance_id) {
                None => {
                    let group = &self.id;
                    let message =
                        format!("Member with instance id {instance_id} is not a member of group {group}.");
                    return Err(Refusal::new(ResponseError::UnknownMemberId, message));
                }
                member => self.check_static(member, id, instance_id)?,
            },
        };
        let Some(classic) = member.classic() else {
            let message = format!("Member {} does not use the classic protocol.", member.id);
            return Err(Refusal::new(ResponseError::UnknownMemberId, message));
        };
        if member.epoch != generation {
            let message = format!(
                "The request generation id {generation} is not equal to the member epoch {} of member {}.",
                member.epoch, member.id
            );
            return Err(Refusal::new(ResponseError::IllegalGeneration, message));
        }
        Ok((member, classic))
    }

    /// Whether a member waits for partitions that others hold.
    fn waits_for_others(&self, member: &Member) -> bool {
        let assigned = |topic, partition| {
            member.assigned.get(topic).is_some_and(|partitions| partitions.contains_key(partition))
        };
        self.state.target.get(&member.id).into_iter().flatten().any(|(topic, partitions)| {
            partitions
                .iter()
                .any(|partition| !assigned(topic, partition) && self.state.is_held(*topic, *partition))
        })
    }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// What a member says it subscribes to: the same by all its protocols.
fn subscription(request: &JoinGroupRequest) -> Result<Subscription, Refusal> {
    let first = request.protocols.first().map_or_else(Bytes::new, |protocol| protocol.metadata.clone());
    Subscription::parse(first).map_err(|_| {
        let message = "Malformed embedded consumer protocol in subscription deserialization.";
        Refusal::new(ResponseError::UnknownServerError, message)
    })
}

/// Takes into a member what a request says of it.
fn update(member: &mut Member, caller: Caller<'_>, request: &JoinGroupRequest, subscription: &Subscription) {
    let metadata = &mut member.metadata;
    if let Some(id) = &request.group_instance_id {
        metadata.instance_id = Some(id.to_string());
    }
    if let Some(rack) = subscription.rack_id.as_ref().filter(|rack| !rack.is_empty()) {
        metadata.rack_id = Some(rack.clone());
    }
    if request.rebalance_timeout_ms != -1 {
        metadata.rebalance_timeout_ms = request.rebalance_timeout_ms;
    }
    metadata.subscribed_topic_names.clone_from(&subscription.topics);
    // The classic protocol has no patterns.
    metadata.subscribed_topic_regex = Some(String::new());
    metadata.client_id = caller.client.id.to_string();
    metadata.client_host = caller.client.host.to_string();
    // What is kept is copied, so that it doesn't hold on to a whole request.
    let protocols = request.protocols.iter().map(|protocol| ClassicProtocol {
        name: protocol.name.to_string(),
        metadata: Bytes::copy_from_slice(&protocol.metadata),
    });
    metadata.classic = Some(ClassicMember {
        session_timeout_ms: request.session_timeout_ms,
        protocols: protocols.collect(),
    });
}
