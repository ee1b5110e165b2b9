//! What members subscribe to, by name and by pattern, and what a change of it brings about.

use super::member::Member;
use super::outcome::{Outcome, Refusal};
use super::patterns;
use super::state::{State, SubscribedTopics, count, count_member, count_regex};
use super::{Call, ConsumerGroup};
use crate::context::Cluster;
use crate::re2;
use crate::schema::consumer::{Change, GroupEpoch};
use kafka_protocol::ResponseError;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use uuid::Uuid;

/// Patterns are not matched anew before so long after they were, in milliseconds.
const REGEX_REFRESH_MIN_INTERVAL_MS: i64 = 10_000;

/// What a heartbeat changes of its member's pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RegexUpdate {
    /// Nothing.
    None,
    /// It is another, which has yet to be matched.
    Updated,
    /// It is another, and it is known what that matches.
    UpdatedAndResolved,
}

impl RegexUpdate {
    pub(super) fn updated(self) -> bool {
        self != Self::None
    }
}

/// Whether all of some members subscribe to the same topics, by the counts that go with them.
fn is_homogeneous(regexes: &BTreeMap<String, usize>, subscribed: &SubscribedTopics, members: usize) -> bool {
    match regexes.values().next() {
        None => subscribed.values().all(|count| count.by_name == members),
        Some(&first) => {
            first == members && subscribed.values().all(|count| count.by_regex == 1 && count.by_name == 0)
        }
    }
}

impl State {
    /// Whether all members subscribe to the same topics, if `updated` is in `member`'s place. (Kafka looks at the members
    /// as they were before, where a pattern that has yet to be matched begins no epoch; and then takes one member's topics
    /// for everybody's.)
    pub(super) fn is_homogeneous_with(&self, member: &Member, updated: &Member) -> bool {
        let is_static = |id: &str| self.static_members.contains_key(id);
        let is_new = !self.members.contains_key(&updated.id) && !updated.instance_id().is_some_and(is_static);
        let members = self.members.len() + usize::from(is_new);
        is_homogeneous(&self.regexes_with(member, updated), &self.subscribed_with(member, updated), members)
    }

    /// The names of the topics that a member subscribes to, by name and by pattern.
    pub(super) fn subscription<'a>(&'a self, member: &'a Member) -> impl Iterator<Item = &'a String> {
        let resolved = member.regex().and_then(|regex| self.resolved.get(regex));
        let names = &member.metadata.subscribed_topic_names;
        names.iter().chain(resolved.into_iter().flat_map(|resolved| &resolved.topics))
    }

    /// The topics that a member subscribes to and that exist.
    pub(super) fn subscribed_ids(&self, member: &Member, cluster: &dyn Cluster) -> BTreeSet<Uuid> {
        self.subscription(member).filter_map(|name| cluster.topic(name)).map(|topic| topic.id).collect()
    }

    /// The counts of topics if `updated` were in `member`'s place.
    fn subscribed_with(&self, member: &Member, updated: &Member) -> SubscribedTopics {
        let mut subscribed = self.subscribed.clone();
        count_member(&mut subscribed, member, false);
        count_member(&mut subscribed, updated, true);
        if let Some(regex) = member.regex().filter(|regex| updated.regex() != Some(*regex))
            && self.regexes.get(regex) == Some(&1)
            && let Some(resolved) = self.resolved.get(regex)
        {
            count_regex(&mut subscribed, resolved, false);
        }
        subscribed
    }

    /// The counts of patterns if `updated` were in `member`'s place.
    fn regexes_with(&self, member: &Member, updated: &Member) -> BTreeMap<String, usize> {
        let mut regexes = self.regexes.clone();
        if let Some(regex) = member.regex() {
            count(&mut regexes, regex, false);
        }
        if let Some(regex) = updated.regex() {
            count(&mut regexes, regex, true);
        }
        regexes
    }

    /// The counts of topics without some members, and without some patterns.
    pub(super) fn subscribed_without(
        &self,
        members: &[&Member],
        regexes: &BTreeSet<String>,
    ) -> SubscribedTopics {
        let mut subscribed = self.subscribed.clone();
        for member in members {
            count_member(&mut subscribed, member, false);
        }
        for resolved in regexes.iter().filter_map(|regex| self.resolved.get(regex)) {
            count_regex(&mut subscribed, resolved, false);
        }
        subscribed
    }
}

impl ConsumerGroup {
    /// Whether the topics have to be looked at again.
    pub(super) fn has_metadata_expired(&mut self, call: &Call<'_>) -> bool {
        self.topics.has_expired(&self.state.subscribed, call.cluster, call.time)
    }

    /// Whether the topics are others than those of the group's epoch. If so, whoever comes next begins another.
    pub(super) fn has_metadata_changed(&mut self, call: &Call<'_>) -> bool {
        if !self.has_metadata_expired(call) {
            return false;
        }
        let changed = self.topics.hash(&self.state.subscribed, call.cluster) != self.state.metadata_hash;
        if changed {
            self.topics.expire();
        } else {
            self.topics.refreshed(call.time);
        }
        changed
    }

    /// Computes the hash of the topics that are subscribed to with `updated` in `member`'s place. Returns the epoch: a new
    /// one begins if the hash is another, or if `bump` says so.
    pub(super) fn refresh_metadata(
        &mut self,
        call: &Call<'_>,
        bump: bool,
        (member, updated): (&Member, &Member),
        records: &mut Vec<Change>,
    ) -> i32 {
        let subscribed = self.state.subscribed_with(member, updated);
        let epoch = self.next_epoch(call, &subscribed, bump, records);
        if self.state.has_partition_metadata {
            records.push(Change::PartitionMetadata(false));
        }
        epoch
    }

    /// The epoch of a group that subscribes to these topics: the next one if they are others than before, or if `bump`
    /// says so.
    fn next_epoch(
        &mut self,
        call: &Call<'_>,
        subscribed: &SubscribedTopics,
        bump: bool,
        records: &mut Vec<Change>,
    ) -> i32 {
        let metadata_hash = self.topics.hash(subscribed, call.cluster);
        self.topics.refreshed(call.time);
        if !bump && metadata_hash == self.state.metadata_hash {
            return self.state.epoch;
        }
        let epoch = self.state.epoch.saturating_add(1);
        records.push(Change::Group(Some(GroupEpoch { epoch, metadata_hash })));
        epoch
    }

    /// Takes a member's pattern into account, if it is another than before. Returns what has changed, and whether
    /// patterns are to be matched.
    ///
    /// # Errors
    /// INVALID_REGULAR_EXPRESSION for a pattern that can't be compiled.
    pub(super) fn update_regex(
        &mut self,
        call: &Call<'_>,
        (member, updated): (&Member, &Member),
        records: &mut Vec<Change>,
    ) -> Result<(RegexUpdate, bool), Refusal> {
        let (old, new) = (member.regex(), updated.regex());
        let subscribers = |regex: &str| self.state.regexes.get(regex).copied().unwrap_or(0);
        let mut update = RegexUpdate::None;
        let mut refresh = false;
        if member.metadata.subscribed_topic_regex != updated.metadata.subscribed_topic_regex {
            update = RegexUpdate::Updated;
            if let Some(old) = old.filter(|old| subscribers(old) == 1) {
                records.push(Change::Regex(old.to_owned(), None));
            }
            match new {
                Some(new) if subscribers(new) == 0 => {
                    re2::compile(new).map_err(|why| {
                        let message =
                            format!("SubscribedTopicRegex `{new}` is not a valid regular expression: {why}.");
                        Refusal::new(ResponseError::InvalidRegularExpression, message)
                    })?;
                    refresh = true;
                }
                Some(new) if self.state.resolved.contains_key(new) => {
                    update = RegexUpdate::UpdatedAndResolved;
                }
                Some(_) => {}
                None if old.is_some() => update = RegexUpdate::UpdatedAndResolved,
                None => {}
            }
        }
        if !refresh && self.state.regexes.is_empty() {
            return Ok((update, false));
        }
        // All are matched together, so that they begin one epoch only; not too often; and only once it is due.
        let last_ms = self.state.resolved.values().next().map(|resolved| resolved.timestamp_ms);
        if last_ms
            .is_some_and(|last_ms| call.time.wall_ms <= last_ms.saturating_add(REGEX_REFRESH_MIN_INTERVAL_MS))
        {
            return Ok((update, false));
        }
        let regexes = self.state.regexes_with(member, updated);
        refresh |= regexes.len() != self.state.resolved.len();
        let interval = Duration::from_millis(REGEX_REFRESH_MIN_INTERVAL_MS.unsigned_abs());
        refresh |= self.topics.matched_at.is_none_or(|before| call.time.now >= before + interval);
        Ok((update, refresh && !regexes.is_empty()))
    }

    /// Matches all patterns anew. Where there are others than before, or it was too long ago, that is written down; and
    /// if other topics are subscribed to, a new epoch begins. It is a batch of its own, after that of the heartbeat
    /// which gave rise to it: Kafka does it on another thread.
    ///
    /// # Errors
    /// See `commit`.
    pub(super) fn resolve_regexes(&mut self, call: &Call<'_>, outcome: &mut Outcome) -> Result<(), Refusal> {
        self.topics.matched_at = Some(call.time.now);
        let patterns = self.state.regexes.keys().cloned().collect();
        let resolved = patterns::resolve(&patterns, call.cluster, call.time.wall_ms);
        let none = BTreeSet::new();
        let is_due = resolved.iter().any(|(pattern, new)| {
            self.state.resolved.get(pattern).is_none_or(|old| {
                let too_old = call.options.regex_refresh_interval_ms;
                // Topics that are gone are cleared up when there is another reason.
                !new.topics.is_subset(&old.topics)
                    || new.timestamp_ms > old.timestamp_ms.saturating_add(too_old)
            })
        });
        if !is_due {
            return Ok(());
        }
        let mut records = Vec::new();
        let mut subscribed = self.state.subscribed.clone();
        let mut bump = false;
        for (pattern, new) in resolved {
            let old = self.state.resolved.get(&pattern);
            if *old.map_or(&none, |old| &old.topics) != new.topics {
                bump = true;
                if let Some(old) = old {
                    count_regex(&mut subscribed, old, false);
                }
                count_regex(&mut subscribed, &new, true);
            }
            records.push(Change::Regex(pattern, Some(new)));
        }
        self.next_epoch(call, &subscribed, bump, &mut records);
        self.commit(outcome, records)
    }
}
