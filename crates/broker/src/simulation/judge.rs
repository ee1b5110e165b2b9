//! What must hold of the metadata and of the bucket at every moment, judged from outside of all brokers.
//!
//! The bucket asks before each request takes effect: the newest state that any broker has seen is compared with the
//! last one, with what clients know, and with what lies in the bucket. What is wrong is kept until somebody asks, as
//! a panic in a broker's task would be a crash of that broker only.

use super::ledger::Ledger;
use crate::topic_config::TopicConfig;
use levee_base::{Clock, HashSet, Offset, StreamId};
use levee_meta::state::Stream;
use levee_meta::state::invariants::check_succession;
use levee_meta::{Metadata, ObjectName, State, TopicId};
use levee_object::Key;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::AddAssign;
use std::sync::{Arc, Mutex, MutexGuard};

/// The most that a topic's retention has ever allowed to go.
#[derive(Debug, Clone, Copy, Default)]
struct Loosest {
    ms: Option<i64>,
    bytes: Option<u64>,
    /// Whether keyed compaction may have removed records before.
    compacts: bool,
}

impl Loosest {
    fn and(self, config: &TopicConfig) -> Self {
        if !config.deletes {
            return self;
        }
        let less = |a: Option<i64>, b: Option<i64>| a.into_iter().chain(b).min();
        let bytes = self.bytes.into_iter().chain(config.retention_bytes).min();
        Self { ms: less(self.ms, config.retention_ms), bytes, compacts: self.compacts || config.compacts }
    }
}

/// How much there was to be judged.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// States of the metadata.
    pub(super) states: usize,
    /// Streams that begin later.
    pub(super) starts: usize,
    /// Streams with fewer extents and the same start: compacted.
    pub(super) compactions: usize,
    /// Streams with another checkpoint.
    pub(super) checkpoints: usize,
    /// Topics that are gone.
    pub(super) topics: usize,
    /// Objects of records that were deleted.
    pub(super) deletes: usize,
    /// Of these, those that the metadata never knew of.
    pub(super) orphans: usize,
}

impl AddAssign for Seen {
    fn add_assign(&mut self, other: Self) {
        self.states += other.states;
        self.starts += other.starts;
        self.compactions += other.compactions;
        self.checkpoints += other.checkpoints;
        self.topics += other.topics;
        self.deletes += other.deletes;
        self.orphans += other.orphans;
    }
}

#[derive(Debug, Default)]
struct Judged {
    /// What the brokers see, by the number of their process.
    views: BTreeMap<u64, Metadata>,
    newest: State,
    there: BTreeSet<Key>,
    deleted: HashSet<Key>,
    loosest: BTreeMap<TopicId, Loosest>,
    wrong: Option<String>,
    seen: Seen,
    /// Of all requests and their times.
    story: DefaultHasher,
}

/// Judges one history.
#[derive(Debug)]
pub(super) struct Judge {
    clock: Clock,
    pub(super) ledger: Arc<Mutex<Ledger>>,
    judged: Mutex<Judged>,
}

impl Judge {
    pub(super) fn new(clock: Clock) -> Arc<Self> {
        Arc::new(Self { clock, ledger: Arc::default(), judged: Mutex::default() })
    }

    fn judged(&self) -> MutexGuard<'_, Judged> {
        self.judged.lock().unwrap()
    }

    /// What a process sees counts from now on.
    pub(super) fn follow(&self, process: u64, metadata: &Metadata) {
        self.judged().views.insert(process, metadata.clone());
    }

    /// A process has ended.
    pub(super) fn leave(&self, process: u64) {
        self.look();
        self.judged().views.remove(&process);
    }

    /// Fails if anything was wrong so far.
    pub(super) fn ask(&self) {
        let wrong = self.judged().wrong.clone();
        assert!(wrong.is_none(), "{}", wrong.unwrap_or_default());
    }

    /// The newest durable state that anybody has seen.
    pub(super) fn newest<R>(&self, see: impl FnOnce(&State) -> R) -> R {
        self.look();
        see(&self.judged().newest)
    }

    pub(super) fn seen(&self) -> Seen {
        self.judged().seen
    }

    /// A request takes effect now.
    pub(super) fn hears(&self, operation: &str, key: &str) {
        self.look();
        (operation, key, self.clock.wall_ms()).hash(&mut self.judged().story);
    }

    /// A number that another story hardly has.
    pub(super) fn story(&self) -> u64 {
        self.judged().story.finish()
    }

    /// An object takes its place.
    pub(super) fn created(&self, key: &Key) {
        self.judged().there.insert(key.clone());
    }

    /// An object is about to be deleted.
    pub(super) fn deletes(&self, key: &Key) {
        self.hears("delete", key.as_str());
        let mut judged = self.judged();
        let referred = judged.newest.objects().any(|(_, object)| object.name.key() == *key);
        if referred {
            judged.wrong.get_or_insert(format!("{key} is deleted, and is referred to"));
        }
        if judged.there.remove(key)
            && let Some(name) = ObjectName::from_key(key)
        {
            let is_garbage = judged.newest.garbage().any(|(_, garbage)| garbage.name == name);
            judged.seen.deletes += 1;
            judged.seen.orphans += usize::from(!is_garbage);
        }
        judged.deleted.insert(key.clone());
    }

    /// Looks at the newest state, if there is one that was not seen before.
    pub(super) fn look(&self) {
        let mut judged = self.judged();
        let Judged { views, newest, .. } = &mut *judged;
        let positions = views.values().map(|seen| seen.view(State::position));
        let ahead = positions.zip(views.values()).max_by_key(|(position, _)| *position);
        let Some((_, metadata)) = ahead.filter(|(position, _)| *position > newest.position()) else { return };
        let before = std::mem::replace(newest, metadata.view(Clone::clone));
        judged.seen.states += 1;
        let outcome = judged.judge(&before, &self.ledger.lock().unwrap(), self.clock.wall_ms());
        if let Err(what) = outcome {
            judged.wrong.get_or_insert(what);
        }
    }
}

impl Judged {
    fn judge(&mut self, before: &State, ledger: &Ledger, now_ms: i64) -> Result<(), String> {
        let newest = &self.newest;
        newest.check_invariants().map_err(|violation| violation.to_string())?;
        check_succession(before, newest).map_err(|violation| violation.to_string())?;
        for (id, topic) in newest.topics() {
            let loosest = self.loosest.entry(id).or_default();
            *loosest = loosest.and(&TopicConfig::of(&topic.configs));
        }
        for (_, object) in newest.objects() {
            let key = object.name.key();
            if !self.there.contains(&key) {
                return Err(format!("{key} is referred to, and is not there"));
            }
            if self.deleted.contains(&key) {
                return Err(format!("{key} is referred to, and was deleted"));
            }
        }
        for (id, stream) in newest.streams() {
            let start = before.stream(id).map_or(Offset::ZERO, |known| known.start);
            if let Some(known) = before.stream(id) {
                let fewer = stream.extents().len() < known.extents().len();
                self.seen.compactions += usize::from(fewer && stream.start == start);
                self.seen.checkpoints += usize::from(known.checkpoint != stream.checkpoint);
            }
            if stream.start > start {
                self.seen.starts += 1;
                may_begin(self.loosest.get(&stream.topic), ledger, id, start, stream, now_ms)?;
            }
        }
        for (id, _) in before.topics().filter(|(id, _)| newest.topic(*id).is_none()) {
            self.seen.topics += 1;
            if !ledger.doomed.contains(&id) {
                return Err(format!("topic {id:?} is gone, and nobody asked for that"));
            }
        }
        Ok(())
    }
}

/// Whether a stream that began at `from` may begin at `to`: by what clients asked to be deleted, by time, or by size.
fn may_begin(
    loosest: Option<&Loosest>,
    ledger: &Ledger,
    id: StreamId,
    from: Offset,
    stream: &Stream,
    now_ms: i64,
) -> Result<(), String> {
    let (to, end) = (stream.start, stream.end);
    let Some(log) = ledger.logs.get(&id) else {
        return Err(format!("stream {id} begins at {to}, and nobody wrote to it"));
    };
    let Loosest { ms, bytes, compacts } = loosest.copied().unwrap_or_default();
    let expired = |ms| {
        let mut all = log.acknowledged(from..to);
        all.all(|(_, batch)| {
            now_ms - batch.timestamp > ms || compacts && log.is_outdated(batch, &ledger.transactions)
        })
    };
    let may = to <= log.deleted_to
        || ms.is_some_and(expired)
        || bytes.is_some_and(|bytes| log.bytes_from(to, end) >= bytes);
    if may {
        return Ok(());
    }
    Err(format!("stream {id} begins at {to} and not at {from}, and nothing allows that: {ms:?} {bytes:?}"))
}
