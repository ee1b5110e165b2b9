//! Which protocols the members of a group support, which one is chosen, and what consumers say with theirs.

use super::{CONSUMER, ClassicGroup, Protocol, State};
use crate::schema::wire::Reader;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How many members support each protocol.
#[derive(Debug, Default)]
pub(super) struct Supported(BTreeMap<Arc<str>, usize>);

/// A member's protocols, each once.
fn names(protocols: &[Protocol]) -> BTreeSet<&Arc<str>> {
    protocols.iter().map(|protocol| &protocol.name).collect()
}

impl Supported {
    pub(super) fn add(&mut self, protocols: &[Protocol]) {
        for name in names(protocols) {
            *self.0.entry(Arc::clone(name)).or_default() += 1;
        }
    }

    pub(super) fn remove(&mut self, protocols: &[Protocol]) {
        for name in names(protocols) {
            if let Some(count) = self.0.get_mut(name) {
                *count -= 1;
                if *count == 0 {
                    self.0.remove(name);
                }
            }
        }
    }

    fn count(&self, name: &str) -> usize {
        self.0.get(name).copied().unwrap_or_default()
    }

    #[cfg(test)]
    pub(super) fn check<'a>(&self, members: impl Iterator<Item = &'a super::Member>) {
        let mut anew = Self::default();
        for member in members {
            anew.add(&member.protocols);
        }
        assert_eq!(anew.0, self.0, "the counts of protocols");
    }
}

impl ClassicGroup {
    /// Whether a member with such protocols can be in the group: all others must support one of them.
    pub(super) fn supports<'a>(&self, protocol_type: &str, mut names: impl Iterator<Item = &'a str>) -> bool {
        if self.state == State::Empty {
            return !protocol_type.is_empty() && names.next().is_some();
        }
        self.protocol_type() == Some(protocol_type)
            && names.any(|name| self.supported.count(name) == self.members.len())
    }

    /// The protocol of the next generation: each member votes for the one it likes best of those that all support.
    pub(super) fn select_protocol(&self) -> Option<Arc<str>> {
        let mut votes: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
        for member in self.members.values() {
            let all_support =
                |protocol: &&Protocol| self.supported.count(&protocol.name) == self.members.len();
            if let Some(protocol) = member.protocols.iter().find(all_support) {
                *votes.entry(&protocol.name).or_default() += 1;
            }
        }
        let most = votes.values().copied().max()?;
        let winners = votes.into_iter().filter(|(_, count)| *count == most).map(|(name, _)| name);
        winners.min_by_key(|name| bucket(name)).cloned()
    }

    /// The topics that its members subscribe to, where they are consumers and all say it in a way that is understood.
    pub(super) fn subscribed_topics(&self) -> Option<BTreeSet<Arc<str>>> {
        if self.protocol_type() != Some(CONSUMER) {
            return None;
        }
        if self.members.is_empty() {
            return Some(BTreeSet::new());
        }
        let protocol = self.protocol()?;
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            topics.extend(subscription(member.metadata(Some(protocol)))?);
        }
        Some(topics)
    }
}

/// Where Java's hash maps have a name when they are small. Between protocols with as many votes Kafka takes the first
/// one in that order: it doesn't mean to, but clients see it.
fn bucket(name: &str) -> u32 {
    let hash =
        name.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    let hash = hash.cast_unsigned();
    (hash ^ (hash >> 16)) & 15
}

/// The topics of a consumer's subscription. All its versions begin as the first one, which ends with the user data.
fn subscription(metadata: Bytes) -> Option<Vec<Arc<str>>> {
    let mut reader = Reader::new(metadata, false);
    reader.i16().ok()?;
    let topics = reader.array(Reader::string).ok()?;
    reader.nullable_bytes().ok()?;
    Some(topics.into_iter().map(Arc::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::wire::Writer;

    #[test]
    fn subscriptions_of_all_versions_are_understood_and_others_are_not() {
        for version in [0, 1, 3] {
            let mut writer = Writer::new(version, false);
            writer.array(&["a", "b"], |writer, topic| {
                writer.string(topic);
            });
            let topics = writer.bytes(b"user data").i32(0).finish();
            assert_eq!(subscription(topics), Some(vec!["a".into(), "b".into()]));
        }
        let null = Bytes::from_static(&[0, 1, 0xff, 0xff, 0xff, 0xff]);
        for bytes in [Bytes::new(), Bytes::from_static(b"\0\0"), Bytes::from_static(b"metadata"), null] {
            assert_eq!(subscription(bytes), None);
        }
    }

    #[test]
    fn names_lie_where_java_has_them() {
        // As `new HashMap` with these keys prints them.
        let mut names = ["range", "roundrobin", "sticky", "cooperative-sticky"];
        names.sort_by_key(|name| bucket(name));
        assert_eq!(names, ["sticky", "range", "roundrobin", "cooperative-sticky"]);
    }
}
