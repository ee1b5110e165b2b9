//! Incremental fetch sessions (KIP-227): what a consumer asked for last time, so that it needn't say it again, and
//! what it was told, so that nothing unchanged is told again. Pure; `handlers::fetch` holds it under a lock.
//!
//! A session is known by its id and by an epoch that grows with each of its requests, which finds duplicates and
//! requests out of order. It is bound to names or to ids of topics by the request that made it (KIP-516). Sessions
//! are bounded in number, as Kafka's, and by all the partitions that they remember. A new one may take the place
//! of one that has not been used for a while, or of a smaller one that has existed for a while; if there is none,
//! the client simply gets no session and keeps sending full requests. Room for partitions is made by those that have
//! not been used for a while.
//!
//! Partitions that were answered with something go to the end of their session's order, so that one with much
//! data doesn't starve those behind it when answers are cut at their limit.

use levee_base::Random;
use levee_base::limits::{FETCH_SESSION_EVICTION, FETCH_SESSION_PARTITIONS, FETCH_SESSIONS};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::time::Instant;
use uuid::Uuid;

/// The epoch of a request that wants a session, and is full.
pub const INITIAL_EPOCH: i32 = 0;
/// The epoch of a request that wants none, and is full.
pub const FINAL_EPOCH: i32 = -1;
/// Not a session.
pub const NO_SESSION: i32 = 0;

/// A topic, as a request names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum TopicKey {
    /// Before version 13.
    Name(Arc<str>),
    /// From version 13 on.
    Id(Uuid),
}

/// A partition, as a request names it.
pub type Key = (TopicKey, i32);

/// What a client wants of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// The offset to read from.
    pub fetch_offset: i64,
    /// The most bytes, but for the first batch.
    pub max_bytes: i32,
    /// The leader epoch that the client knows, -1 for none.
    pub leader_epoch: i32,
    /// The leader epoch of the last record that the client has, below 0 for none (KIP-595).
    pub last_fetched_epoch: i32,
}

/// What a client is told of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// The high watermark.
    pub high_watermark: i64,
    /// Where the partition begins.
    pub log_start_offset: i64,
    /// Whether there are records, or word of where the client's diverge.
    pub records: bool,
    /// Whether there is an error.
    pub error: bool,
}

/// A request's session fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// The session, or [`NO_SESSION`].
    pub session_id: i32,
    /// [`INITIAL_EPOCH`], [`FINAL_EPOCH`], or the number of the request in its session.
    pub epoch: i32,
    /// Whether the request names topics by id.
    pub by_id: bool,
}

/// Why a request has no answer but an error. Clients begin anew with a full request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// There is no such session, or none any more.
    #[error("there is no such fetch session")]
    NotFound,
    /// A duplicate, or out of order.
    #[error("the fetch session is at another epoch")]
    Epoch,
    /// Names where ids were used before, or the other way round.
    #[error("the fetch session names topics in another way")]
    TopicIds,
}

/// A request whose session is settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    kind: Kind,
    /// What to read, in this order.
    pub partitions: Vec<(Key, Wanted)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sessionless,
    /// A session is to be made, that names topics by id or not.
    Full {
        by_id: bool,
    },
    Incremental {
        session_id: i32,
        /// The session's epoch, unless another request comes in between.
        epoch: i32,
    },
}

#[derive(Debug)]
struct Cached {
    wanted: Wanted,
    /// What the client was told last, -1 for nothing yet or an error.
    high_watermark: i64,
    log_start_offset: i64,
    /// Its place in the session's order.
    order: u64,
}

#[derive(Debug)]
struct Session {
    by_id: bool,
    epoch: i32,
    created: Instant,
    used: Instant,
    partitions: BTreeMap<Key, Cached>,
    order: BTreeMap<u64, Key>,
    next_order: u64,
    /// Its number of partitions when it was used last: its place in `by_size`.
    size: usize,
}

impl Session {
    fn append(&mut self, key: Key, wanted: Wanted, told: Option<Told>) {
        let order = self.next_order;
        self.next_order += 1;
        self.order.insert(order, key.clone());
        let (high_watermark, log_start_offset) = match told {
            Some(told) if told.error => (-1, told.log_start_offset),
            Some(told) => (told.high_watermark, told.log_start_offset),
            None => (-1, -1),
        };
        self.partitions.insert(key, Cached { wanted, high_watermark, log_start_offset, order });
    }

    fn update(&mut self, partitions: Vec<(Key, Wanted)>, forgotten: &[Key]) {
        for (key, wanted) in partitions {
            match self.partitions.get_mut(&key) {
                Some(cached) => cached.wanted = wanted,
                None => self.append(key, wanted, None),
            }
        }
        for key in forgotten {
            if let Some(cached) = self.partitions.remove(key) {
                self.order.remove(&cached.order);
            }
        }
    }

    /// Remembers what the client is told. Says whether it has to be: whether anything is new.
    fn tell(&mut self, key: &Key, told: Told) -> bool {
        // Forgotten by another request since.
        let Some(cached) = self.partitions.get_mut(key) else { return false };
        let new = told.records
            || told.error
            || cached.high_watermark != told.high_watermark
            || cached.log_start_offset != told.log_start_offset;
        // After an error the next answer is told whatever it is.
        cached.high_watermark = if told.error { -1 } else { told.high_watermark };
        cached.log_start_offset = told.log_start_offset;
        if new {
            self.order.remove(&cached.order);
            cached.order = self.next_order;
            self.order.insert(cached.order, key.clone());
            self.next_order += 1;
        }
        new
    }

    fn ordered(&self) -> Vec<(Key, Wanted)> {
        let wanted = |key: &Key| self.partitions.get(key).map(|cached| (key.clone(), cached.wanted));
        self.order.values().filter_map(wanted).collect()
    }
}

/// All sessions of a broker.
#[derive(Debug)]
pub struct FetchSessions {
    limit: usize,
    partitions_limit: usize,
    random: Random,
    sessions: BTreeMap<i32, Session>,
    by_use: BTreeSet<(Instant, i32)>,
    /// (partitions, id) of those that have existed for long enough to make place for a larger one.
    by_size: BTreeSet<(usize, i32)>,
    partitions: usize,
    evictions: u64,
}

impl FetchSessions {
    /// None yet; ids are drawn from `random`.
    #[must_use]
    pub fn new(random: Random) -> Self {
        Self::with_limits(random, FETCH_SESSIONS, FETCH_SESSION_PARTITIONS)
    }

    /// The same with other bounds: sessions, and partitions in all of them.
    #[must_use]
    pub fn with_limits(random: Random, limit: usize, partitions_limit: usize) -> Self {
        Self {
            limit,
            partitions_limit,
            random,
            sessions: BTreeMap::new(),
            by_use: BTreeSet::new(),
            by_size: BTreeSet::new(),
            partitions: 0,
            evictions: 0,
        }
    }

    /// How many sessions there are, for metrics.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// How many partitions they remember, for metrics.
    #[must_use]
    pub fn partitions(&self) -> usize {
        self.partitions
    }

    /// How many sessions had to make place, for metrics.
    #[must_use]
    pub fn evictions(&self) -> u64 {
        self.evictions
    }

    /// Settles what a request asks for.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub fn begin(
        &mut self,
        now: Instant,
        asked: Asked,
        partitions: Vec<(Key, Wanted)>,
        forgotten: &[Key],
    ) -> Result<Context, SessionError> {
        if asked.epoch == INITIAL_EPOCH || asked.epoch == FINAL_EPOCH {
            // A full request ends the session that it names.
            self.remove(asked.session_id);
            let kind = match asked.epoch {
                FINAL_EPOCH => Kind::Sessionless,
                _ => Kind::Full { by_id: asked.by_id },
            };
            return Ok(Context { kind, partitions });
        }
        let session_id = asked.session_id;
        let session = self.sessions.get_mut(&session_id).ok_or(SessionError::NotFound)?;
        if session.epoch != asked.epoch {
            return Err(SessionError::Epoch);
        }
        if session.by_id != asked.by_id {
            return Err(SessionError::TopicIds);
        }
        session.update(partitions.clone(), forgotten);
        if session.partitions.is_empty() {
            self.remove(session_id);
            return Ok(Context { kind: Kind::Sessionless, partitions });
        }
        session.epoch = next_epoch(session.epoch);
        let epoch = session.epoch;
        let partitions = session.ordered();
        self.touch(session_id, now);
        if !self.make_room(now, 0) {
            // It has grown beyond what there is room for: the client begins anew.
            self.remove(session_id);
            return Err(SessionError::NotFound);
        }
        Ok(Context { kind: Kind::Incremental { session_id, epoch }, partitions })
    }

    /// Settles the answer: the session's id, and which of the partitions (`told`, in the order of the context's)
    /// are in it.
    ///
    /// # Errors
    /// [`SessionError::Epoch`] when another request has used the session in between; the answer carries the
    /// session's id all the same. See [`Context::session_id`].
    pub fn finish(
        &mut self,
        now: Instant,
        context: &Context,
        told: &[Told],
    ) -> Result<(i32, Vec<bool>), SessionError> {
        match context.kind {
            Kind::Sessionless => Ok((NO_SESSION, vec![true; told.len()])),
            Kind::Full { by_id } => Ok((self.create(now, by_id, context, told), vec![true; told.len()])),
            Kind::Incremental { session_id, epoch } => {
                // Kafka answers also when the session has been evicted; the next request will find it gone.
                let Some(session) = self.sessions.get_mut(&session_id) else {
                    return Ok((session_id, vec![true; told.len()]));
                };
                if session.epoch != epoch {
                    return Err(SessionError::Epoch);
                }
                let keys = context.partitions.iter().map(|(key, _)| key);
                let keep = keys.zip(told).map(|(key, told)| session.tell(key, *told)).collect();
                Ok((session_id, keep))
            }
        }
    }

    fn create(&mut self, now: Instant, by_id: bool, context: &Context, told: &[Told]) -> i32 {
        let size = context.partitions.len();
        if !self.make_room(now, size) {
            return NO_SESSION;
        }
        if self.sessions.len() >= self.limit && !self.evict(now, size) {
            return NO_SESSION;
        }
        let id = loop {
            let id = i32::try_from(1 + self.random.below(i32::MAX.unsigned_abs().into())).unwrap_or(1);
            if !self.sessions.contains_key(&id) {
                break id;
            }
        };
        let mut session = Session {
            by_id,
            epoch: next_epoch(INITIAL_EPOCH),
            created: now,
            used: now,
            partitions: BTreeMap::new(),
            order: BTreeMap::new(),
            next_order: 0,
            size: 0,
        };
        for ((key, wanted), told) in context.partitions.iter().zip(told) {
            if !session.partitions.contains_key(key) {
                session.append(key.clone(), *wanted, Some(*told));
            }
        }
        self.sessions.insert(id, session);
        self.touch(id, now);
        id
    }

    /// Makes place for a session of `size` partitions.
    fn evict(&mut self, now: Instant, size: usize) -> bool {
        let smaller = self.by_size.first().filter(|(least, _)| *least < size).map(|(_, id)| *id);
        let Some(id) = self.stale(now).or(smaller) else { return false };
        self.remove(id);
        self.evictions += 1;
        true
    }

    /// Makes room for `more` partitions. Clients that died leave their sessions behind, which may be few and large: they
    /// make room here long before there are too many.
    fn make_room(&mut self, now: Instant, more: usize) -> bool {
        if more > self.partitions_limit {
            return false;
        }
        while self.partitions + more > self.partitions_limit {
            let Some(id) = self.stale(now) else { return false };
            self.remove(id);
            self.evictions += 1;
        }
        true
    }

    /// The one that was used least recently, if that is so long ago that any other may take its place.
    fn stale(&self, now: Instant) -> Option<i32> {
        let (used, id) = self.by_use.first()?;
        (now.duration_since(*used) > FETCH_SESSION_EVICTION).then_some(*id)
    }

    /// Enters a session anew in the orders.
    fn touch(&mut self, id: i32, now: Instant) {
        if let Some(session) = self.sessions.get_mut(&id) {
            self.by_use.remove(&(session.used, id));
            self.by_size.remove(&(session.size, id));
            self.partitions = self.partitions - session.size + session.partitions.len();
            session.used = now;
            session.size = session.partitions.len();
            self.by_use.insert((session.used, id));
            if now.duration_since(session.created) > FETCH_SESSION_EVICTION {
                self.by_size.insert((session.size, id));
            }
        }
    }

    fn remove(&mut self, id: i32) {
        if let Some(session) = self.sessions.remove(&id) {
            self.by_use.remove(&(session.used, id));
            self.by_size.remove(&(session.size, id));
            self.partitions -= session.size;
        }
    }
}

impl Context {
    /// The session that the request is part of, or [`NO_SESSION`].
    #[must_use]
    pub fn session_id(&self) -> i32 {
        match self.kind {
            Kind::Incremental { session_id, .. } => session_id,
            Kind::Sessionless | Kind::Full { .. } => NO_SESSION,
        }
    }
}

/// Epochs go on with 1 after the largest; 0 and -1 have meanings of their own.
fn next_epoch(epoch: i32) -> i32 {
    epoch.checked_add(1).unwrap_or(1)
}

#[cfg(test)]
#[path = "fetch_session_tests.rs"]
mod tests;
