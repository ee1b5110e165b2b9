//! The settings of what is no topic: brokers, groups, subscriptions to clients' metrics. Which kinds there are, what
//! they are called and what they mean is the broker's.

use crate::answer::{Answer, Refusal};
use crate::command::Resource;
use crate::state::State;
use crate::state::rules::Rules;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a resource takes besides its name and settings, in bytes: counted, so that there is an end to small ones.
pub(crate) const RESOURCE_BYTES: u64 = 64;

/// Settings by resource. A clone shares them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Configs {
    by_resource: Arc<BTreeMap<Resource, BTreeMap<String, String>>>,
    /// What all of them take. Follows from `by_resource`: each command is checked against it, and they may be many.
    bytes: u64,
}

impl Configs {
    /// By resource, and in the order of these.
    pub(crate) fn by_resource(&self) -> &BTreeMap<Resource, BTreeMap<String, String>> {
        &self.by_resource
    }

    /// What all of them take, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Gives a resource other settings; none are forgotten with it.
    fn put(&mut self, resource: &Resource, configs: BTreeMap<String, String>) {
        let by_resource = Arc::make_mut(&mut self.by_resource);
        let before = if configs.is_empty() {
            by_resource.remove(resource)
        } else {
            self.bytes += bytes(resource, &configs);
            by_resource.insert(resource.clone(), configs)
        };
        self.bytes -= before.map_or(0, |before| bytes(resource, &before));
    }
}

impl FromIterator<(Resource, BTreeMap<String, String>)> for Configs {
    fn from_iter<I: IntoIterator<Item = (Resource, BTreeMap<String, String>)>>(all: I) -> Self {
        let by_resource = all.into_iter().collect();
        Self { bytes: all_bytes(&by_resource), by_resource: Arc::new(by_resource) }
    }
}

/// What settings take, in bytes.
pub(crate) fn config_bytes(configs: &BTreeMap<String, String>) -> u64 {
    configs.iter().map(|(name, value)| (name.len() + value.len()) as u64).sum()
}

/// What a resource takes with its settings, in bytes.
fn bytes(resource: &Resource, configs: &BTreeMap<String, String>) -> u64 {
    RESOURCE_BYTES + resource.name.len() as u64 + config_bytes(configs)
}

/// What all of them take, in bytes.
pub(crate) fn all_bytes(configs: &BTreeMap<Resource, BTreeMap<String, String>>) -> u64 {
    configs.iter().map(|(resource, configs)| bytes(resource, configs)).sum()
}

/// `configs` with `set` and without `unset`. What is in both is set.
pub(crate) fn changed(
    configs: &BTreeMap<String, String>,
    set: &BTreeMap<String, String>,
    unset: &BTreeSet<String>,
) -> BTreeMap<String, String> {
    let mut changed = configs.clone();
    changed.retain(|name, _| !unset.contains(name));
    changed.extend(set.iter().map(|(name, value)| (name.clone(), value.clone())));
    changed
}

impl State {
    /// The settings of a resource that is no topic; `None` if it has none.
    #[must_use]
    pub fn configs(&self, resource: &Resource) -> Option<&BTreeMap<String, String>> {
        self.configs.by_resource.get(resource)
    }

    /// All resources of a kind that have settings, by name.
    pub fn resources(&self, kind: u32) -> impl Iterator<Item = (&str, &BTreeMap<String, String>)> {
        let first = Resource { kind, name: String::new() };
        let of_kind = self.configs.by_resource.range(first..);
        let of_kind = of_kind.take_while(move |(resource, _)| resource.kind == kind);
        of_kind.map(|(resource, configs)| (resource.name.as_str(), configs))
    }

    pub(super) fn alter_configs(
        &mut self,
        rules: &Rules,
        resource: &Resource,
        set: &BTreeMap<String, String>,
        unset: &BTreeSet<String>,
    ) -> Result<Answer, Refusal> {
        let none = BTreeMap::new();
        let before = self.configs.by_resource.get(resource);
        let changed = changed(before.unwrap_or(&none), set, unset);
        if config_bytes(&changed) > rules.topic_config_bytes {
            return Err(Refusal::ConfigsTooLong { most_bytes: rules.topic_config_bytes });
        }
        let others = self.configs.bytes - before.map_or(0, |before| bytes(resource, before));
        // What becomes less is let through whatever the others take.
        let grows = bytes(resource, &changed) > before.map_or(0, |before| bytes(resource, before));
        if grows && others + bytes(resource, &changed) > rules.config_bytes {
            return Err(Refusal::TooManyConfigs { most_bytes: rules.config_bytes });
        }
        self.configs.put(resource, changed);
        Ok(Answer::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(kind: u32, name: &str) -> Resource {
        Resource { kind, name: name.to_owned() }
    }

    fn configs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn alter(
        state: &mut State,
        resource: &Resource,
        set: &[(&str, &str)],
        unset: &[&str],
    ) -> Result<Answer, Refusal> {
        let unset = unset.iter().map(|name| (*name).to_owned()).collect();
        let answer = state.alter_configs(&Rules::V2, resource, &configs(set), &unset);
        assert_eq!(state.check_invariants(), Ok(()));
        answer
    }

    #[test]
    fn settings_are_set_changed_and_forgotten_with_the_last() {
        let (mut state, group) = (State::default(), resource(32, "g"));
        assert_eq!(alter(&mut state, &group, &[("a", "1"), ("b", "2")], &["never"]), Ok(Answer::Done));
        assert_eq!(alter(&mut state, &group, &[("b", "3")], &["a", "b"]), Ok(Answer::Done));
        assert_eq!(state.configs(&group), Some(&configs(&[("b", "3")])));
        assert_eq!(alter(&mut state, &resource(4, ""), &[("c", "")], &[]), Ok(Answer::Done));
        assert_eq!(alter(&mut state, &resource(33, "h"), &[("d", "")], &[]), Ok(Answer::Done));
        let names =
            |state: &State, kind| state.resources(kind).map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
        assert_eq!(
            (names(&state, 4), names(&state, 32), names(&state, 5)),
            (vec![String::new()], vec!["g".into()], vec![])
        );
        assert_eq!(alter(&mut state, &group, &[], &["b"]), Ok(Answer::Done));
        assert_eq!((state.configs(&group), names(&state, 32)), (None, vec![]));
        assert_eq!(
            alter(&mut state, &group, &[], &["b"]),
            Ok(Answer::Done),
            "what was never set can be unset"
        );
    }

    #[test]
    fn what_all_take_follows_from_them() {
        let (mut state, group) = (State::default(), resource(32, "g"));
        let of = |bytes: u64| RESOURCE_BYTES + bytes;
        assert_eq!(alter(&mut state, &group, &[("a", "123")], &[]), Ok(Answer::Done));
        assert_eq!(state.configs.bytes(), of(1 + 4));
        assert_eq!(alter(&mut state, &resource(4, ""), &[("c", "")], &[]), Ok(Answer::Done));
        assert_eq!(alter(&mut state, &group, &[("a", "1"), ("b", "")], &[]), Ok(Answer::Done));
        assert_eq!(state.configs.bytes(), of(1 + 3) + of(1));
        let read: Configs = state.configs.by_resource().clone().into_iter().collect();
        assert_eq!(read, state.configs, "as a snapshot has it");
        assert_eq!(alter(&mut state, &group, &[], &["a", "b"]), Ok(Answer::Done));
        assert_eq!(state.configs.bytes(), of(1));
        assert_eq!(alter(&mut state, &resource(4, ""), &[], &["c"]), Ok(Answer::Done));
        assert_eq!(state.configs, Configs::default());
    }

    #[test]
    fn settings_are_bounded_each_and_together() {
        let mut state = State::default();
        let most = Rules::V2.topic_config_bytes as usize;
        let long = |less: usize| "x".repeat(most - 1 - less);
        let too_long = Err(Refusal::ConfigsTooLong { most_bytes: Rules::V2.topic_config_bytes });
        assert_eq!(alter(&mut state, &resource(32, "g"), &[("a", &long(0)), ("b", "")], &[]), too_long);
        let mut all = 0;
        let refused = loop {
            match alter(&mut state, &resource(32, &format!("{all:010}")), &[("a", &long(0))], &[]) {
                Ok(_) => all += 1,
                Err(refusal) => break refusal,
            }
        };
        assert_eq!(refused, Refusal::TooManyConfigs { most_bytes: Rules::V2.config_bytes });
        assert_eq!(all, Rules::V2.config_bytes as usize / (most + 10 + RESOURCE_BYTES as usize));
        // At the end of the room there is one that can still change, but not grow beyond it.
        assert_eq!(alter(&mut state, &resource(32, "0000000000"), &[("a", &long(5))], &[]), Ok(Answer::Done));
        assert_eq!(alter(&mut state, &resource(32, "0000000000"), &[], &["a"]), Ok(Answer::Done));
        assert_eq!(alter(&mut state, &resource(32, "new"), &[("a", &long(0))], &[]), Ok(Answer::Done));
    }
}
