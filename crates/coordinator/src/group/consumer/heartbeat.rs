//! ConsumerGroupHeartbeat, but for leaving: a member joins, says what it wants and what it owns, and is told what it gets.

use super::member::{EPOCH_JOIN, EPOCH_LEAVE_STATIC, Member, MemberState, Owned, is_subset, without_epochs};
use super::outcome::{Outcome, Refusal};
use super::reconcile::Reconciliation;
use super::request::owned;
use super::subscription::RegexUpdate;
use super::target::Target;
use super::timers::Wait;
use super::{Call, Caller, ConsumerGroup};
use crate::schema::consumer::{Assigned, Change};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions};
use kafka_protocol::messages::{
    ConsumerGroupHeartbeatRequest as Heartbeat, ConsumerGroupHeartbeatResponse as Response,
};
use kafka_protocol::protocol::StrBytes;

/// How a member turns to the group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Approach<'a> {
    pub(super) member_id: &'a str,
    pub(super) instance_id: Option<&'a str>,
    /// Whether it may be a new member.
    pub(super) joins: bool,
    /// Its epoch and what it owns; none for one that uses the classic protocol.
    pub(super) consumer: Option<(i32, Option<&'a Owned>)>,
}

impl ConsumerGroup {
    /// Serves a heartbeat of a member that doesn't leave.
    ///
    /// # Errors
    /// GROUP_MAX_SIZE_REACHED, UNKNOWN_MEMBER_ID, FENCED_MEMBER_EPOCH, UNRELEASED_INSTANCE_ID, FENCED_INSTANCE_ID,
    /// INVALID_REGULAR_EXPRESSION, UNKNOWN_SERVER_ERROR.
    pub fn heartbeat(
        &mut self,
        call: &Call<'_>,
        caller: Caller<'_>,
        request: &Heartbeat,
    ) -> Result<(Response, Outcome), Refusal> {
        self.check_size(call, &request.member_id)?;
        let owned = owned(request);
        let approach = Approach {
            member_id: caller.member_id,
            instance_id: request.instance_id.as_deref(),
            joins: request.member_epoch == EPOCH_JOIN,
            consumer: Some((request.member_epoch, owned.as_ref())),
        };
        let mut records = Vec::new();
        let member = self.find_or_create(&approach, &mut records)?;
        let mut updated = member.clone();
        update(&mut updated, caller, request);
        let both = (&member, &updated);
        self.check_room(call, both)?;
        let names_changed = write_member(both, &mut records);
        let (regex_update, resolve) = self.update_regex(call, both, &mut records)?;
        let subscription_changed = names_changed || regex_update.updated();
        // A pattern that has yet to be matched begins an epoch of its own once it is.
        let bump = self.state.epoch == 0 || names_changed || regex_update == RegexUpdate::UpdatedAndResolved;
        let epoch = self.refresh_if_due(call, bump, both, &mut records);
        let target = self.update_target(call, epoch, both, &mut records);
        let rebalance =
            self.reconcile(call, &mut updated, &target, subscription_changed, owned.as_ref(), &mut records)?;

        let mut outcome = Outcome::default();
        self.commit(&mut outcome, records)?;
        self.wait_for(call, &updated, rebalance);
        let settings = self.settings(call);
        self.timers.set(&updated.id, Wait::Session, call.time.now, settings.session_timeout_ms);
        if resolve && let Err(refusal) = self.resolve_regexes(call, &mut outcome) {
            // The heartbeat itself has succeeded; the next one tries again.
            tracing::warn!(group = self.id, %refusal, "patterns could not be matched");
        }

        let mut response = Response::default()
            .with_member_id(Some(StrBytes::from_string(updated.id.clone())))
            .with_member_epoch(updated.epoch)
            .with_heartbeat_interval_ms(settings.heartbeat_interval_ms);
        // Whoever tells all of itself wants to be told all; others, what has changed.
        let is_full = request.rebalance_timeout_ms != -1
            && (request.subscribed_topic_names.is_some() || request.subscribed_topic_regex.is_some())
            && owned.is_some();
        if request.member_epoch == EPOCH_JOIN || is_full || member.assigned != updated.assigned {
            response.assignment = Some(assignment(&updated.assigned));
        }
        Ok((response, outcome))
    }

    /// Whether another member may join.
    ///
    /// # Errors
    /// GROUP_MAX_SIZE_REACHED.
    pub(super) fn check_size(&self, call: &Call<'_>, member_id: &str) -> Result<(), Refusal> {
        let most = call.options.size_max;
        if self.state.members.len() < most || self.state.members.contains_key(member_id) {
            return Ok(());
        }
        let message = format!("The consumer group has reached its maximum capacity of {most} members.");
        Err(Refusal::new(ResponseError::GroupMaxSizeReached, message))
    }

    /// Whether there is room for what a member says now.
    ///
    /// # Errors
    /// GROUP_MAX_SIZE_REACHED. Kafka has no bound.
    pub(super) fn check_room(
        &self,
        call: &Call<'_>,
        (member, updated): (&Member, &Member),
    ) -> Result<(), Refusal> {
        // A static member may have come back by another id.
        let is_static = |id: &str| self.state.static_members.contains_key(id);
        let known =
            self.state.members.contains_key(&updated.id) || updated.instance_id().is_some_and(is_static);
        if !call.full || (known && updated.bytes() <= member.bytes()) {
            return Ok(());
        }
        let message = "There is no room for more groups and members; delete groups that are no longer used.";
        Err(Refusal::new(ResponseError::GroupMaxSizeReached, message))
    }

    /// The member that a request comes from: as it is, or a new one. A static member that comes back by another id takes
    /// the place of the one it was.
    pub(super) fn find_or_create(
        &self,
        approach: &Approach<'_>,
        records: &mut Vec<Change>,
    ) -> Result<Member, Refusal> {
        let Approach { member_id, instance_id, joins, consumer } = *approach;
        let by_id = || self.state.members.get(member_id).cloned();
        let Some(instance_id) = instance_id else {
            let member = match by_id() {
                Some(member) => member,
                None if joins => Member::new(member_id),
                None => return Err(self.unknown_member(member_id)),
            };
            if let Some((epoch, owned)) = consumer {
                check_epoch(&member, epoch, owned)?;
            }
            return Ok(member);
        };
        match (self.state.static_member(instance_id), joins) {
            (None, true) => Ok(by_id().unwrap_or_else(|| Member::new(member_id))),
            (Some(before), true) => {
                // Of two that use the consumer protocol the second one has to wait until the first one has left.
                if consumer.is_some() && !before.uses_classic() && before.epoch != EPOCH_LEAVE_STATIC {
                    return Err(Refusal::new(
                        ResponseError::UnreleasedInstanceId,
                        format!(
                            "Static member {member_id} with instance id {instance_id} cannot join the group \
                             because the instance id is owned by {} member.",
                            before.id
                        ),
                    ));
                }
                let mut member = before.clone();
                member_id.clone_into(&mut member.id);
                member.epoch = EPOCH_JOIN;
                member.previous_epoch = EPOCH_JOIN;
                self.replace_member(before, &member, records);
                Ok(member)
            }
            (before, false) => {
                let before = self.check_static(before, member_id, instance_id)?;
                if let Some((epoch, owned)) = consumer {
                    check_epoch(before, epoch, owned)?;
                }
                Ok(before.clone())
            }
        }
    }

    /// The member of an instance id, which must be this one.
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID.
    pub(super) fn check_static<'a>(
        &self,
        member: Option<&'a Member>,
        member_id: &str,
        instance_id: &str,
    ) -> Result<&'a Member, Refusal> {
        let Some(member) = member else {
            let message = format!("Instance id {instance_id} is unknown.");
            return Err(Refusal::new(ResponseError::UnknownMemberId, message));
        };
        if member.id != member_id {
            let message = format!(
                "Static member {member_id} with instance id {instance_id} was fenced by member {}.",
                member.id
            );
            return Err(Refusal::new(ResponseError::FencedInstanceId, message));
        }
        Ok(member)
    }

    pub(super) fn unknown_member(&self, member_id: &str) -> Refusal {
        let message = format!("Member {member_id} is not a member of group {}.", self.id);
        Refusal::new(ResponseError::UnknownMemberId, message)
    }

    /// Puts a member into another's place. The other's timers find nobody when they are due.
    fn replace_member(&self, before: &Member, member: &Member, records: &mut Vec<Change>) {
        remove_member(&before.id, records);
        records.push(Change::Member(member.id.clone(), Some(member.metadata.clone())));
        let target = self.state.target.get(&before.id).cloned().unwrap_or_default();
        records.push(Change::TargetMember(member.id.clone(), Some(target)));
        records.push(Change::CurrentMember(member.id.clone(), Some(member.current())));
    }

    /// Looks at the topics if a new epoch has to begin or if it is time to. Returns the epoch.
    pub(super) fn refresh_if_due(
        &mut self,
        call: &Call<'_>,
        bump: bool,
        both: (&Member, &Member),
        records: &mut Vec<Change>,
    ) -> i32 {
        if bump || self.has_metadata_expired(call) {
            self.refresh_metadata(call, bump, both, records)
        } else {
            self.state.epoch
        }
    }

    /// Takes a member one step further to its target. Returns whether it waits for something else then.
    pub(super) fn reconcile(
        &mut self,
        call: &Call<'_>,
        member: &mut Member,
        target: &Target,
        subscription_changed: bool,
        owned: Option<&Owned>,
        records: &mut Vec<Change>,
    ) -> Result<bool, Refusal> {
        if !subscription_changed && member.is_reconciled_to(target.epoch) {
            return Ok(false);
        }
        let before = member.clone();
        let reconciled = Reconciliation {
            target_epoch: target.epoch,
            target: &target.partitions,
            subscribed: &self.state.subscribed_ids(member, call.cluster),
            subscription_changed,
            owned,
            is_held: &|topic, partition| self.state.is_held(topic, partition),
        }
        .apply(member);
        if reconciled.is_err() {
            // What the group has seen of the topics meanwhile is not written down.
            self.topics.expire();
        }
        reconciled?;
        let changed = *member != before;
        if changed {
            records.push(Change::CurrentMember(member.id.clone(), Some(member.current())));
        }
        Ok(changed)
    }

    /// Waits for a member to give up what it has to, or no longer. Those of the classic protocol rejoin in time.
    pub(super) fn wait_for(&mut self, call: &Call<'_>, member: &Member, changed: bool) {
        if !changed || member.uses_classic() {
            return;
        }
        if member.state == MemberState::UnrevokedPartitions {
            let wait = Wait::Rebalance { epoch: member.epoch };
            self.timers.set(&member.id, wait, call.time.now, member.metadata.rebalance_timeout_ms);
        } else {
            self.timers.cancel_rebalance(&member.id);
        }
    }
}

/// The tombstones of a member, in the order that they are read in.
pub(super) fn remove_member(id: &str, records: &mut Vec<Change>) {
    records.push(Change::CurrentMember(id.to_owned(), None));
    records.push(Change::TargetMember(id.to_owned(), None));
    records.push(Change::Member(id.to_owned(), None));
}

/// Writes a member down if it has changed. Returns whether it subscribes to other topics by name.
pub(super) fn write_member((member, updated): (&Member, &Member), records: &mut Vec<Change>) -> bool {
    if member == updated {
        return false;
    }
    records.push(Change::Member(updated.id.clone(), Some(updated.metadata.clone())));
    member.metadata.subscribed_topic_names != updated.metadata.subscribed_topic_names
}

/// Takes into a member what a request says of it.
fn update(member: &mut Member, caller: Caller<'_>, request: &Heartbeat) {
    let metadata = &mut member.metadata;
    if let Some(id) = &request.instance_id {
        metadata.instance_id = Some(id.to_string());
    }
    if let Some(id) = &request.rack_id {
        metadata.rack_id = Some(id.to_string());
    }
    if request.rebalance_timeout_ms != -1 {
        metadata.rebalance_timeout_ms = request.rebalance_timeout_ms;
    }
    if let Some(assignor) = &request.server_assignor {
        metadata.server_assignor = Some(assignor.to_string());
    }
    if let Some(names) = &request.subscribed_topic_names {
        metadata.subscribed_topic_names = names.iter().map(|name| name.to_string()).collect();
    }
    if let Some(regex) = &request.subscribed_topic_regex {
        metadata.subscribed_topic_regex = Some(regex.to_string());
    }
    metadata.client_id = caller.client.id.to_string();
    metadata.client_host = caller.client.host.to_string();
    metadata.classic = None;
}

/// Checks the epoch that a member says it is in. The one before will do as long as the member has nothing that isn't its
/// own: the answer that took it further may have been lost.
fn check_epoch(member: &Member, epoch: i32, owned: Option<&Owned>) -> Result<(), Refusal> {
    let is_repeat =
        || epoch == member.previous_epoch && owned.is_some_and(|owned| is_subset(owned, &member.assigned));
    let than = match epoch.cmp(&member.epoch) {
        _ if epoch == EPOCH_JOIN => return Ok(()),
        std::cmp::Ordering::Equal => return Ok(()),
        std::cmp::Ordering::Greater => "greater",
        std::cmp::Ordering::Less if is_repeat() => return Ok(()),
        std::cmp::Ordering::Less => "smaller",
    };
    Err(Refusal::new(
        ResponseError::FencedMemberEpoch,
        format!(
            "The consumer group member has a {than} member epoch ({epoch}) than the one known by the group \
             coordinator ({}). The member must abandon all its partitions and rejoin.",
            member.epoch
        ),
    ))
}

fn assignment(assigned: &Assigned) -> Assignment {
    let topics = without_epochs(assigned).into_iter().map(|(topic, partitions)| {
        TopicPartitions::default().with_topic_id(topic).with_partitions(partitions.into_iter().collect())
    });
    Assignment::default().with_topic_partitions(topics.collect())
}
