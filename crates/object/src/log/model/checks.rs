//! Runs the model: unbroken it must be explored whole and show nothing; with any rule broken it must show a loss.

use super::{Action, Bounds, LogModel, Object, safety};
use crate::log::rules::Rules;
use stateright::{Checker, Model};
use std::fmt;
use std::time::Duration;

/// The bounds that the design names: 3 processes, 2 epochs, 2 entries, K = 2.
const FULL: Bounds =
    Bounds { processes: 3, starts: 3, entries: 2, in_flight: 2, epochs: 2, hedges: 0, founded: true };

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start { process, successor: true } => write!(f, "P{process} starts, to take over"),
            Self::Start { process, .. } => write!(f, "P{process} starts, to read"),
            Self::Read(p) => write!(f, "P{p} reads its next slot"),
            Self::Check(p) => write!(f, "P{p} reads the trim point again"),
            Self::Append(p) => write!(f, "P{p} sends an entry"),
            Self::Hedge(p, slot) => write!(f, "P{p} sends slot {slot} once more"),
            Self::Land(p, index) => write!(f, "a create of P{p} lands (its {index}. outstanding)"),
            Self::Answer(p, index) => write!(f, "P{p} is told 'created' (its {index}. outstanding)"),
            Self::Lose(p, index) => write!(f, "P{p} gets no answer (its {index}. outstanding)"),
            Self::Doubt(p, slot) => write!(f, "P{p} reads slot {slot}, which is in doubt"),
            Self::Look(p) => write!(f, "P{p} looks at its next slot"),
            Self::Stray(at, Object::Entry(_, n)) => write!(f, "entry {n} lands at {at}, late or again"),
            Self::Stray(at, Object::Fence(_)) => write!(f, "a fence lands at {at}, late or again"),
            Self::Propose(p) => write!(f, "P{p} decides how far to trim"),
            Self::Commit(p) => write!(f, "P{p} commits the trim point"),
            Self::Collect(p, at) => write!(f, "P{p} deletes {at}"),
        }
    }
}

#[test]
fn bounds_probe() {
    let number = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
    };
    let bounds = Bounds {
        starts: number("STARTS", 2) as u8,
        entries: number("ENTRIES", 2) as u8,
        epochs: number("EPOCHS", 2),
        hedges: number("HEDGES", 0) as u8,
        founded: number("FOUNDED", 1) == 1,
        ..FULL
    };
    let started = std::time::SystemTime::UNIX_EPOCH;
    let _ = started;
    let model = LogModel { bounds, rules: Rules::default(), reach: true };
    let checker = model.checker().threads(2).timeout(Duration::from_secs(200)).spawn_bfs().join();
    eprintln!(
        "{bounds:?}: {} unique, {} total, depth {}, done {}",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        checker.is_done()
    );
    for (name, path) in checker.discoveries() {
        eprintln!("{name}: {} steps", path.into_actions().len());
    }
    if let Some(path) = checker.discovery("safe") {
        for action in path.clone().into_actions() {
            eprintln!("  {action:?}");
        }
        eprintln!("{:?}", safety::violation(path.last_state()));
        eprintln!("{:#?}", path.last_state());
    }
}
