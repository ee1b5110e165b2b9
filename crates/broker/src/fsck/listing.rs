//! Lists the store and sorts what is there: what is referred to, what a live broker may still be writing, and what
//! nothing will ever refer to.
//!
//! Names are listed first and the metadata is read afterwards, so the rule of the sweeper decides
//! ([`levee_meta::State::is_orphan`]): what the metadata does not know then, and nobody can commit any more, stays
//! unknown for ever. No clock is asked. So many names are kept at once; then the metadata is read on, and they are
//! judged.

use super::finding::{Finding, Problem, Severity};
use super::{CheckError, Checker};
use levee_base::limits::FSCK_NAMES;
use levee_base::{BrokerEpoch, HashMap, Slot};
use levee_meta::{ObjectId, ObjectName, State, journal_prefix};
use levee_object::{Key, Purpose};

/// Keys of one page of a listing.
const PAGE: usize = 1_000;

/// What was listed and needs a second look, or is needed later.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// Orphans by the metadata as it was read after they were listed, with their lengths.
    pub(super) orphans: Vec<(ObjectName, u64)>,
    /// What the metadata had as garbage.
    pub(super) garbage: Vec<(ObjectId, ObjectName, u64)>,
    /// Of each epoch's log the last slot that is there.
    pub(super) last_slots: HashMap<BrokerEpoch, Slot>,
    /// The journal's own objects.
    pub(super) journal: Vec<(Key, u64)>,
    /// Objects that a live broker may be about to commit.
    pub(super) in_the_making: u64,
    pub(super) objects: u64,
    pub(super) bytes: u64,
}

/// Where an object stands that the metadata neither lists nor has as garbage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing will ever refer to it.
    Orphan,
    /// It is part of an open log, or its fence, or may be committed yet.
    Kept,
    /// The metadata has never heard of its maker.
    Unknown,
}

pub(super) fn standing(state: &State, name: &ObjectName) -> Standing {
    let known = match *name {
        ObjectName::Wal { node, epoch, .. } => state.wal(epoch).is_some_and(|wal| wal.node == node),
        ObjectName::Data { epoch, .. } => state.wal(epoch).is_some(),
    };
    match (state.is_orphan(name), known) {
        (true, _) => Standing::Orphan,
        (false, true) => Standing::Kept,
        (false, false) => Standing::Unknown,
    }
}

/// What a key is, by its form alone.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Records(ObjectName),
    Journal,
    /// What a start, or `levee store check`, tried the store with.
    Trial,
    Foreign,
}

fn place(key: &Key) -> Place {
    if let Some(name) = ObjectName::from_key(key) {
        return Place::Records(name);
    }
    let number = |digits: &str| digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
    let parts: Vec<&str> = key.as_str().split('/').collect();
    match parts.as_slice() {
        [journal, epoch, slot] if *journal == journal_prefix().as_str() && number(epoch) && number(slot) => {
            Place::Journal
        }
        [journal, "snapshots", epoch, slot]
            if *journal == journal_prefix().as_str() && number(epoch) && number(slot) =>
        {
            Place::Journal
        }
        ["probe" | "check", _, ..] => Place::Trial,
        _ => Place::Foreign,
    }
}

impl Checker<'_> {
    /// Lists everything, and reads the metadata on as names are judged.
    pub(super) async fn list(&mut self) -> Result<Listed, CheckError> {
        let mut listed = Listed::default();
        let mut names: HashMap<ObjectName, u64> = HashMap::default();
        let mut after: Option<Key> = None;
        self.progress.begin("listing", 0);
        loop {
            let page = self.reader.store.list("", after.as_ref(), PAGE, Purpose::Inspect).await?;
            for object in &page.objects {
                listed.objects += 1;
                listed.bytes += object.bytes;
                match place(&object.key) {
                    Place::Records(name) => {
                        if let ObjectName::Wal { epoch, slot, .. } = name {
                            let last = listed.last_slots.entry(epoch).or_default();
                            *last = slot.max(*last);
                        }
                        names.insert(name, object.bytes);
                    }
                    Place::Journal => listed.journal.push((object.key.clone(), object.bytes)),
                    Place::Trial => self.found(trial(&object.key, object.bytes)),
                    Place::Foreign => self.found(foreign(&object.key, object.bytes)),
                }
            }
            self.progress.add(page.objects.len() as u64);
            after = page.next();
            if names.len() >= FSCK_NAMES || after.is_none() {
                self.observer.catch_up().await?;
                if self.observer.complete() {
                    self.judge(std::mem::take(&mut names), &mut listed);
                }
            }
            if after.is_none() {
                return Ok(listed);
            }
        }
    }

    fn judge(&mut self, mut names: HashMap<ObjectName, u64>, listed: &mut Listed) {
        let state = self.observer.state();
        // What lives is struck out first, in one walk.
        for (_, object) in state.objects() {
            names.remove(&object.name);
        }
        for (id, garbage) in state.garbage() {
            if let Some(bytes) = names.remove(&garbage.name) {
                listed.garbage.push((id, garbage.name, bytes));
            }
        }
        let mut rest: Vec<(ObjectName, u64)> = names.into_iter().collect();
        rest.sort_unstable();
        let mut unknown = Vec::new();
        for (name, bytes) in rest {
            match standing(state, &name) {
                // What is beyond the limit the next check finds.
                Standing::Orphan if listed.orphans.len() == FSCK_NAMES => {}
                Standing::Orphan => listed.orphans.push((name, bytes)),
                Standing::Kept => {
                    listed.in_the_making += u64::from(matches!(name, ObjectName::Data { .. }));
                }
                Standing::Unknown => unknown.push((name, bytes)),
            }
        }
        for (name, bytes) in unknown {
            self.found(of_nobody(&name, bytes));
        }
    }
}

fn foreign(key: &Key, bytes: u64) -> Finding {
    let detail = "it is no object of Levee's layout".to_owned();
    let key = Some(key.to_string());
    Finding::new(Severity::Note, Problem::Foreign, key, None, detail, vec![]).with_bytes(bytes)
}

fn trial(key: &Key, bytes: u64) -> Finding {
    let detail = "left over from a start that tried the store, or from `levee store check`".to_owned();
    Finding::new(Severity::Waste, Problem::Garbage, Some(key.to_string()), None, detail, vec![])
        .with_bytes(bytes)
        .with_remedy("Delete it when no broker is starting and no `levee store check` is running")
}

fn of_nobody(name: &ObjectName, bytes: u64) -> Finding {
    let detail = "no broker of the epoch in its key has registered in this journal".to_owned();
    Finding::new(Severity::Note, Problem::Foreign, Some(name.key().to_string()), None, detail, vec![])
        .with_bytes(bytes)
        .with_remedy(
            "It comes from another cluster, or the journal was replaced by an older copy. In the second case don't \
             start a broker: it would give this epoch away again. Restore the newest journal, or move all such \
             objects elsewhere first",
        )
}
