//! DescribeGroups, ListGroups and DeleteGroups.

use super::GroupShard;
use super::classic::Waiting;
use super::kind::Group;
use super::offsets::tombstone;
use super::turn::{fit, text};
use crate::context::Context;
use crate::effects::{Effects, Token};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::DescribedGroup;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse, GroupId,
    ListGroupsRequest, ListGroupsResponse,
};
use std::collections::BTreeSet;

/// The first version of DescribeGroups that says that a group is not there (KIP-1043).
const DESCRIBE_NOT_FOUND: i16 = 6;

impl GroupShard {
    /// Serves DescribeGroups. Groups of other kinds than the classic one count as not there.
    pub(super) fn describe(&self, waiting: Waiting, request: &DescribeGroupsRequest) -> Effects {
        let groups = request.groups.iter().map(|id| match self.groups.get(&***id) {
            Some(Group::Classic(group)) => group.describe(),
            Some(Group::Consumer(_)) => {
                not_described(id, waiting.version, &format!("Group {} is not a classic group.", &***id))
            }
            None => not_described(id, waiting.version, &format!("Group {} not found.", &***id)),
        });
        let response = DescribeGroupsResponse::default().with_groups(groups.collect());
        let mut effects = Effects::default();
        effects.answer(waiting.token, response.into());
        effects
    }

    /// Serves ListGroups.
    pub(super) fn list(&self, token: Token, request: &ListGroupsRequest) -> Effects {
        let groups = self.groups.iter().filter(|(_, group)| {
            let is = |wanted: &str, name: &str| wanted.eq_ignore_ascii_case(name);
            let mut states = request.states_filter.iter();
            let mut types = request.types_filter.iter();
            (request.states_filter.is_empty() || states.any(|state| is(state, group.state_name())))
                && (request.types_filter.is_empty() || types.any(|kind| is(kind, group.type_name())))
        });
        let groups = groups.map(|(id, group)| group.listed(id)).collect();
        let mut effects = Effects::default();
        effects.answer(token, ListGroupsResponse::default().with_groups(groups).into());
        effects
    }

    /// Serves DeleteGroups: the groups go with all their offsets.
    pub(super) fn delete(&mut self, ctx: Context<'_>, token: Token, request: DeleteGroupsRequest) -> Effects {
        let asked: BTreeSet<GroupId> = request.groups_names.into_iter().collect();
        let deletable = |id: &GroupId| {
            let group = self.groups.get(&***id).ok_or(ResponseError::GroupIdNotFound)?;
            group.validate_delete()?;
            Ok::<_, ResponseError>(group)
        };
        let mut records = Vec::new();
        let mut results = Vec::new();
        let mut deleted = Vec::new();
        for id in asked {
            let error = match deletable(&id) {
                Ok(group) => {
                    let keys = self.offsets.keys_of(&id);
                    records.extend(keys.iter().map(tombstone));
                    records.extend(group.tombstones());
                    deleted.push((id.clone(), keys));
                    None
                }
                Err(error) => Some(error),
            };
            results.push((id, error));
        }
        let mut effects = Effects::default();
        if fit(&records) {
            for (id, keys) in deleted {
                for key in &keys {
                    self.offsets.delete(key);
                }
                self.forget_group(ctx, &id);
            }
            effects.append(records);
        } else {
            // They are deleted all or none.
            for (_, error) in &mut results {
                *error = Some(ResponseError::UnknownServerError);
            }
        }
        let results = results.into_iter().map(|(id, error)| {
            DeletableGroupResult::default()
                .with_group_id(id)
                .with_error_code(error.map_or(0, |error| error.code()))
        });
        let response = DeleteGroupsResponse::default().with_results(results.collect());
        effects.answer(token, response.into());
        effects
    }
}

/// What is told of a group that can't be described.
pub(super) fn not_described(id: &GroupId, version: i16, message: &str) -> DescribedGroup {
    let group = DescribedGroup::default().with_group_id(id.clone()).with_group_state(text("Dead"));
    if version < DESCRIBE_NOT_FOUND {
        return group;
    }
    group.with_error_code(ResponseError::GroupIdNotFound.code()).with_error_message(Some(text(message)))
}
