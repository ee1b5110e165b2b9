//! What groups wait for, by the time when they no longer do. A timer of the same name replaces the one before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What may become due.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A member of a classic group, pending ones included, should have been heard of.
    Session {
        /// Its group.
        group: Arc<str>,
        /// Its id.
        member: Arc<str>,
    },
    /// A classic group's rebalance waits no longer for members.
    Join(Arc<str>),
    /// A classic group waits no longer for SyncGroup.
    Sync(Arc<str>),
    /// A consumer group has something to do.
    Consumer(Arc<str>),
    /// Look for offsets and groups that nothing needs any more.
    Expiry,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: BTreeSet<(Duration, Timer)>,
    deadlines: BTreeMap<Timer, Duration>,
}

impl Timers {
    /// Sets a timer to `delay` from `now`, a millisecond at least: what is set while timers are run is never run in the
    /// same go.
    pub(crate) fn set(&mut self, timer: Timer, now: Duration, delay: Duration) {
        let deadline = now.saturating_add(delay.max(Duration::from_millis(1)));
        if let Some(before) = self.deadlines.insert(timer.clone(), deadline) {
            self.due.remove(&(before, timer.clone()));
        }
        self.due.insert((deadline, timer));
    }

    /// Forgets a timer, if it is set.
    pub(crate) fn cancel(&mut self, timer: &Timer) {
        if let Some(deadline) = self.deadlines.remove(timer) {
            self.due.remove(&(deadline, timer.clone()));
        }
    }

    /// When the next one is due.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.due.first().map(|(deadline, _)| *deadline)
    }

    /// Takes the next one that is due at `now`.
    pub(crate) fn pop(&mut self, now: Duration) -> Option<Timer> {
        self.next().filter(|deadline| *deadline <= now)?;
        let (_, timer) = self.due.pop_first()?;
        self.deadlines.remove(&timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_has_one_deadline_and_they_come_in_order() {
        let ms = Duration::from_millis;
        let mut timers = Timers::default();
        let join = |name: &str| Timer::Join(name.into());
        timers.set(join("a"), ms(0), ms(10));
        timers.set(join("b"), ms(0), ms(5));
        timers.set(Timer::Expiry, ms(0), ms(7));
        timers.set(join("a"), ms(0), ms(3));
        timers.cancel(&Timer::Expiry);
        assert_eq!(timers.next(), Some(ms(3)));
        assert_eq!(timers.pop(ms(2)), None);
        assert_eq!(timers.pop(ms(5)), Some(join("a")));
        // What is set for now is not due now.
        timers.set(join("a"), ms(5), ms(0));
        assert_eq!(timers.pop(ms(5)), Some(join("b")));
        assert_eq!(timers.pop(ms(5)), None);
        assert_eq!(timers.pop(ms(6)), Some(join("a")));
        assert_eq!(timers.next(), None);
    }
}
