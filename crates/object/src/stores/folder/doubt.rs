//! Which names of a directory are not known to survive a power loss: a pure register, no I/O.
//!
//! A name comes into doubt when this process is about to link it, and leaves it when a sync of the directory
//! that began after the last attempt on the name had ended has succeeded (or, for the attempt itself, a sync
//! that began after its link while nobody else tried the name). An attempt that fails, or finds the name
//! taken, leaves the name in doubt: the next reader pays for one sync.

use std::collections::BTreeMap;

/// More names than these in doubt are forgotten one by one and remembered as 'all of them'.
const NAMES: usize = 1_024;

/// A moment in the life of one register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Moment(u64);

#[derive(Debug)]
struct Mark {
    in_flight: u32,
    last: Moment,
}

/// The register of one directory.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    now: Moment,
    names: BTreeMap<String, Mark>,
    all_until: Option<Moment>,
}

impl Doubts {
    /// An attempt to link `name` begins.
    pub(super) fn begin(&mut self, name: &str) {
        self.now.0 += 1;
        let now = self.now;
        let mark = self.names.entry(name.to_owned()).or_insert(Mark { in_flight: 0, last: now });
        mark.in_flight += 1;
        mark.last = now;
    }

    /// The attempt ends. `synced` is the moment at which its own successful sync of the directory began.
    pub(super) fn end(&mut self, name: &str, synced: Option<Moment>) {
        self.now.0 += 1;
        let now = self.now;
        if let Some(mark) = self.names.get_mut(name) {
            mark.in_flight -= 1;
            if mark.in_flight == 0 && synced.is_some_and(|synced| mark.last <= synced) {
                self.names.remove(name);
            } else {
                mark.last = now;
            }
        }
        if self.names.len() > NAMES {
            self.names.retain(|_, mark| mark.in_flight > 0);
            self.all_until = Some(now);
        }
    }

    /// What to hand to [`Doubts::synced`]; asked for before the sync begins.
    pub(super) fn moment(&self) -> Moment {
        self.now
    }

    /// A sync of the directory that began at `moment` has succeeded.
    pub(super) fn synced(&mut self, moment: Moment) {
        self.names.retain(|_, mark| mark.in_flight > 0 || mark.last > moment);
        if self.all_until.is_some_and(|until| until <= moment) {
            self.all_until = None;
        }
    }

    /// Whether `name` may be gone after a power loss.
    pub(super) fn doubts(&self, name: &str) -> bool {
        self.all_until.is_some() || self.names.contains_key(name)
    }

    /// Whether nothing is in doubt.
    pub(super) fn is_empty(&self) -> bool {
        self.all_until.is_none() && self.names.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_in_doubt_from_before_its_link_until_its_own_sync() {
        let mut doubts = Doubts::default();
        doubts.begin("a");
        assert!(doubts.doubts("a") && !doubts.doubts("b"));
        let moment = doubts.moment();
        doubts.synced(moment);
        assert!(doubts.doubts("a"), "the attempt is still in flight");
        doubts.end("a", Some(moment));
        assert!(doubts.is_empty());
    }

    #[test]
    fn a_failed_attempt_leaves_doubt_until_a_later_sync() {
        let mut doubts = Doubts::default();
        doubts.begin("a");
        let too_early = doubts.moment();
        doubts.end("a", None);
        doubts.synced(too_early);
        assert!(doubts.doubts("a"), "the sync may have begun before the link");
        doubts.synced(doubts.moment());
        assert!(doubts.is_empty());
    }

    #[test]
    fn a_second_attempt_on_the_name_keeps_it_in_doubt() {
        let mut doubts = Doubts::default();
        doubts.begin("a");
        let first = doubts.moment();
        doubts.begin("a");
        doubts.end("a", Some(first));
        assert!(doubts.doubts("a"));
        doubts.end("a", None);
        assert!(doubts.doubts("a"));
        doubts.synced(doubts.moment());
        assert!(doubts.is_empty());
    }

    #[test]
    fn too_many_names_in_doubt_are_all_names() {
        let mut doubts = Doubts::default();
        doubts.begin("in flight");
        for n in 0..=NAMES {
            doubts.begin(&n.to_string());
            doubts.end(&n.to_string(), None);
        }
        assert!(doubts.names.len() < NAMES && doubts.doubts("0") && doubts.doubts("never tried"));
        doubts.synced(doubts.moment());
        assert!(doubts.doubts("in flight") && !doubts.doubts("0"));
    }
}
