//! The members of a classic group, and how much is kept of what they say.

use super::Member;
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// See the module's text: members by their ids.
#[derive(Debug, Default)]
pub(crate) struct Members {
    by_id: BTreeMap<Arc<str>, Member>,
    bytes: usize,
}

impl Deref for Members {
    type Target = BTreeMap<Arc<str>, Member>;

    fn deref(&self) -> &Self::Target {
        &self.by_id
    }
}

impl Members {
    /// What all of them take, in bytes.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn insert(&mut self, member: Member) {
        self.bytes += member.bytes();
        if let Some(before) = self.by_id.insert(Arc::clone(&member.id), member) {
            self.bytes -= before.bytes();
        }
    }

    pub(super) fn remove(&mut self, id: &str) -> Option<Member> {
        let member = self.by_id.remove(id)?;
        self.bytes -= member.bytes();
        Some(member)
    }

    pub(super) fn get_mut(&mut self, id: &str) -> Option<Changing<'_>> {
        let member = self.by_id.get_mut(id)?;
        Some(Changing { before: member.bytes(), member, all: &mut self.bytes })
    }

    /// Does something to each of them, in the order of their ids.
    pub(super) fn for_each_mut(&mut self, mut change: impl FnMut(&mut Member)) {
        for member in self.by_id.values_mut() {
            let before = member.bytes();
            change(member);
            self.bytes = self.bytes - before + member.bytes();
        }
    }
}

/// A member that may be changed.
#[derive(Debug)]
pub(super) struct Changing<'a> {
    member: &'a mut Member,
    /// What it took before.
    before: usize,
    all: &'a mut usize,
}

impl Deref for Changing<'_> {
    type Target = Member;

    fn deref(&self) -> &Member {
        self.member
    }
}

impl DerefMut for Changing<'_> {
    fn deref_mut(&mut self) -> &mut Member {
        self.member
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        *self.all = *self.all - self.before + self.member.bytes();
    }
}
