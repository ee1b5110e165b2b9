//! What a consumer group waits for: per member, until when.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What a member is waited for to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wait {
    /// To send any heartbeat.
    Session,
    /// To leave an epoch, by giving up what it has to.
    Rebalance {
        /// That epoch.
        epoch: i32,
    },
    /// To rejoin, by the classic protocol.
    Join,
    /// To fetch its assignment, by the classic protocol.
    Sync,
}

impl Wait {
    /// Of each kind a member has one timer.
    const fn kind(self) -> u8 {
        match self {
            Self::Session => 0,
            Self::Rebalance { .. } => 1,
            Self::Join => 2,
            Self::Sync => 3,
        }
    }
}

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Timers {
    due: BTreeSet<(Duration, Arc<str>, u8)>,
    waits: BTreeMap<(Arc<str>, u8), (Duration, Wait)>,
}

impl Timers {
    /// Sets a timer to some milliseconds from now, a millisecond at least; one of the same kind is replaced.
    pub(super) fn set(&mut self, member: &str, wait: Wait, now: Duration, delay_ms: i32) {
        let delay = Duration::from_millis(u64::try_from(delay_ms).unwrap_or(0).max(1));
        let deadline = now.saturating_add(delay);
        self.cancel(member, wait.kind());
        let member: Arc<str> = member.into();
        self.due.insert((deadline, Arc::clone(&member), wait.kind()));
        self.waits.insert((member, wait.kind()), (deadline, wait));
    }

    /// Sets a timer if there is none of its kind.
    pub(super) fn set_if_absent(&mut self, member: &str, wait: Wait, now: Duration, delay_ms: i32) {
        if !self.waits.contains_key(&(Arc::from(member), wait.kind())) {
            self.set(member, wait, now, delay_ms);
        }
    }

    fn cancel(&mut self, member: &str, kind: u8) {
        if let Some(((member, kind), (deadline, _))) = self.waits.remove_entry(&(Arc::from(member), kind)) {
            self.due.remove(&(deadline, member, kind));
        }
    }

    /// Forgets that a member has to give something up.
    pub(super) fn cancel_rebalance(&mut self, member: &str) {
        self.cancel(member, Wait::Rebalance { epoch: 0 }.kind());
    }

    /// Forgets that a member has to rejoin.
    pub(super) fn cancel_join(&mut self, member: &str) {
        self.cancel(member, Wait::Join.kind());
    }

    /// Forgets that a member has to fetch its assignment.
    pub(super) fn cancel_sync(&mut self, member: &str) {
        self.cancel(member, Wait::Sync.kind());
    }

    /// Forgets all that a member is waited for.
    pub(super) fn cancel_all(&mut self, member: &str) {
        for kind in Wait::Session.kind()..=Wait::Sync.kind() {
            self.cancel(member, kind);
        }
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Duration> {
        self.due.first().map(|(deadline, ..)| *deadline)
    }

    /// Takes the next one that is due at `now`.
    pub(super) fn pop(&mut self, now: Duration) -> Option<(Arc<str>, Wait)> {
        self.next().filter(|deadline| *deadline <= now)?;
        let (_, member, kind) = self.due.pop_first()?;
        let (_, wait) = self.waits.remove(&(Arc::clone(&member), kind))?;
        Some((member, wait))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_has_one_timer_of_each_kind() {
        let ms = Duration::from_millis;
        let mut timers = Timers::default();
        timers.set("a", Wait::Rebalance { epoch: 1 }, ms(0), 10);
        timers.set("a", Wait::Rebalance { epoch: 2 }, ms(0), 20);
        timers.set("a", Wait::Session, ms(0), 5);
        timers.set("b", Wait::Join, ms(0), 15);
        timers.set_if_absent("b", Wait::Join, ms(0), 1);
        assert_eq!(timers.next(), Some(ms(5)));
        assert_eq!(timers.pop(ms(4)), None);
        assert_eq!(timers.pop(ms(30)), Some(("a".into(), Wait::Session)));
        assert_eq!(timers.pop(ms(30)), Some(("b".into(), Wait::Join)));
        assert_eq!(timers.pop(ms(30)), Some(("a".into(), Wait::Rebalance { epoch: 2 })));
        timers.set("a", Wait::Sync, ms(0), -1);
        assert_eq!(timers.next(), Some(ms(1)));
        timers.cancel_all("a");
        assert_eq!(timers.next(), None);
    }
}
