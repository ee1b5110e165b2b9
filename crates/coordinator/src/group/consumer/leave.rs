//! Members that go: they leave, or nothing is heard of them in time.

use super::heartbeat::remove_member;
use super::member::{EPOCH_LEAVE_STATIC, Member};
use super::outcome::{Outcome, Refusal};
use super::timers::Wait;
use super::{Call, ConsumerGroup};
use crate::schema::consumer::{Assigned, Change, GroupEpoch};
use kafka_protocol::messages::{
    ConsumerGroupHeartbeatRequest as Heartbeat, ConsumerGroupHeartbeatResponse as Response,
};
use std::collections::{BTreeMap, BTreeSet};

impl ConsumerGroup {
    /// Serves a heartbeat of a member that leaves: for good, or, as a static one may, for a while.
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID.
    pub fn leave(&mut self, call: &Call<'_>, request: &Heartbeat) -> Result<(Response, Outcome), Refusal> {
        let id = &*request.member_id;
        let member = match request.instance_id.as_deref() {
            None => self.state.members.get(id).ok_or_else(|| self.unknown_member(id))?,
            Some(instance_id) => self.check_static(self.state.static_member(instance_id), id, instance_id)?,
        };
        let response = Response::default()
            .with_member_id(Some(request.member_id.clone()))
            .with_member_epoch(request.member_epoch);
        if request.member_epoch != EPOCH_LEAVE_STATIC {
            return Ok((response, self.fence(call, &[id.to_owned()])?));
        }
        // It keeps what it has, for whoever comes back by its instance id.
        let mut member = member.clone();
        member.epoch = EPOCH_LEAVE_STATIC;
        member.pending_revocation = Assigned::new();
        for epoch in member.assigned.values_mut().flat_map(BTreeMap::values_mut) {
            *epoch = 0;
        }
        let mut outcome = Outcome::default();
        self.commit(&mut outcome, vec![Change::CurrentMember(member.id.clone(), Some(member.current()))])?;
        Ok((response, outcome))
    }

    /// Removes members. If those that stay all use the classic protocol, the group is to go on as a classic one.
    ///
    /// # Errors
    /// UNKNOWN_SERVER_ERROR for more members than one record batch can take.
    pub(super) fn fence(&mut self, call: &Call<'_>, ids: &[String]) -> Result<Outcome, Refusal> {
        let mut outcome = Outcome::default();
        let ids: BTreeSet<&String> = ids.iter().collect();
        let leaving: Vec<&Member> = ids.iter().filter_map(|id| self.state.members.get(*id)).collect();
        if leaving.is_empty() {
            return Ok(outcome);
        }
        if self.can_downgrade_without(call, &leaving) {
            let leaving = leaving.iter().map(|member| member.id.clone()).collect();
            outcome.batches.push(self.tombstones());
            outcome.downgrade = Some(self.downgrade(call, &leaving, None, true));
            return Ok(outcome);
        }
        let mut records = Vec::new();
        for member in &leaving {
            remove_member(&member.id, &mut records);
        }
        let regexes = self.unused_regexes(&leaving);
        records.extend(regexes.iter().map(|regex| Change::Regex(regex.clone(), None)));
        let subscribed = self.state.subscribed_without(&leaving, &regexes);
        let metadata_hash = self.topics.hash(&subscribed, call.cluster);
        let epoch = self.state.epoch.saturating_add(1);
        records.push(Change::Group(Some(GroupEpoch { epoch, metadata_hash })));
        self.commit(&mut outcome, records)?;
        for id in ids {
            self.timers.cancel_all(id);
        }
        Ok(outcome)
    }

    /// The patterns that nobody subscribes to without some members.
    fn unused_regexes(&self, leaving: &[&Member]) -> BTreeSet<String> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for regex in leaving.iter().filter_map(|member| member.regex()) {
            *counts.entry(regex).or_default() += 1;
        }
        counts
            .into_iter()
            .filter(|(regex, count)| self.state.regexes.get(*regex) == Some(count))
            .map(|(regex, _)| regex.to_owned())
            .collect()
    }

    /// Removes whoever was not heard of in time. Call it when `next_deadline` has come.
    pub fn on_time(&mut self, call: &Call<'_>) -> Outcome {
        let mut all = Outcome::default();
        while let Some((id, wait)) = self.timers.pop(call.time.now) {
            let Some(member) = self.state.members.get(&*id) else { continue };
            // Who has gone on to another epoch has given up what it had to.
            if matches!(wait, Wait::Rebalance { epoch } if epoch != member.epoch) {
                continue;
            }
            tracing::info!(group = self.id, member = %id, ?wait, "a member is gone: it was not heard of in time");
            match self.fence(call, &[id.to_string()]) {
                Ok(outcome) => {
                    all.batches.extend(outcome.batches);
                    all.downgrade = outcome.downgrade;
                }
                Err(refusal) => tracing::warn!(group = self.id, %refusal, "a member could not be removed"),
            }
            if all.downgrade.is_some() {
                break;
            }
        }
        all
    }
}
