//! Incremental fetch sessions (KIP-227): which partitions a client follows, and what it was told of them last,
//! so that neither has to repeat the rest. Pure.

use levee_base::limits::FETCH_SESSIONS;
use std::collections::{BTreeMap, VecDeque};
use uuid::Uuid;

/// The session epoch of a request that wants no session, and ends the one it names.
pub const FINAL_EPOCH: i32 = -1;
/// The session epoch of a full request that begins a session.
pub const INITIAL_EPOCH: i32 = 0;

/// A partition in a session: by name up to version 12, by id after.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Followed {
    /// Empty from version 13 on.
    pub name: String,
    /// Nil up to version 12.
    pub topic_id: Uuid,
    /// Which partition.
    pub index: i32,
}

/// From where and how much a client wants of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// The next offset it wants.
    pub offset: i64,
    /// Its idea of the leader's epoch, or -1.
    pub leader_epoch: i32,
    /// The most bytes it takes.
    pub max_bytes: i32,
}

/// What a client was told of a partition last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Told {
    /// High watermark.
    pub high_watermark: i64,
    /// Log start offset.
    pub log_start_offset: i64,
}

#[derive(Debug)]
struct Session {
    /// The epoch that the next request must have.
    next_epoch: i32,
    by_id: bool,
    /// In the order in which the client named them.
    order: VecDeque<Followed>,
    partitions: BTreeMap<Followed, (Wanted, Option<Told>)>,
}

/// The request's part that concerns sessions.
#[derive(Debug)]
pub struct SessionRequest {
    /// 0 for none yet.
    pub id: i32,
    /// See the constants.
    pub epoch: i32,
    /// Whether topics go by id.
    pub by_id: bool,
    /// Partitions that are new or changed, in order.
    pub named: Vec<(Followed, Wanted)>,
    /// Partitions to be forgotten.
    pub forgotten: Vec<Followed>,
}

/// What a request comes to.
#[derive(Debug, PartialEq, Eq)]
pub struct Turn {
    /// The session, or 0.
    pub id: i32,
    /// Whether partitions without news are left out of the answer.
    pub incremental: bool,
    /// What is to be fetched, in order.
    pub partitions: Vec<(Followed, Wanted, Option<Told>)>,
}

/// Why there is no such session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoTurn {
    /// FETCH_SESSION_ID_NOT_FOUND.
    UnknownId,
    /// INVALID_FETCH_SESSION_EPOCH.
    WrongEpoch,
    /// FETCH_SESSION_TOPIC_ID_ERROR: names and ids mixed.
    TopicIds,
}

/// All sessions of a broker; the one unused for longest goes first.
#[derive(Debug, Default)]
pub struct Sessions {
    sessions: BTreeMap<i32, Session>,
    /// From the one unused for longest.
    used: VecDeque<i32>,
}

impl Sessions {
    /// What a request is about. `new_id` is used when a session begins.
    ///
    /// # Errors
    /// When it names a session that there isn't, or not in turn.
    pub fn turn(&mut self, request: SessionRequest, new_id: i32) -> Result<Turn, NoTurn> {
        if request.epoch == FINAL_EPOCH || request.epoch == INITIAL_EPOCH {
            self.end(request.id);
            let partitions = request.named.iter().map(|(f, w)| (f.clone(), *w, None)).collect();
            let id = if request.epoch == INITIAL_EPOCH && new_id > 0 && !request.named.is_empty() {
                self.begin(new_id, request);
                new_id
            } else {
                0
            };
            return Ok(Turn { id, incremental: false, partitions });
        }
        let session = self.sessions.get_mut(&request.id).ok_or(NoTurn::UnknownId)?;
        if session.next_epoch != request.epoch {
            return Err(NoTurn::WrongEpoch);
        }
        if session.by_id != request.by_id {
            return Err(NoTurn::TopicIds);
        }
        session.next_epoch = request.epoch.checked_add(1).unwrap_or(1);
        for followed in &request.forgotten {
            if session.partitions.remove(followed).is_some() {
                session.order.retain(|other| other != followed);
            }
        }
        for (followed, wanted) in request.named {
            match session.partitions.get_mut(&followed) {
                Some(known) => known.0 = wanted,
                None => {
                    session.partitions.insert(followed.clone(), (wanted, None));
                    session.order.push_back(followed);
                }
            }
        }
        let partitions = session.order.iter().map(|followed| {
            let (wanted, told) = session.partitions[followed];
            (followed.clone(), wanted, told)
        });
        let turn = Turn { id: request.id, incremental: true, partitions: partitions.collect() };
        self.used.retain(|id| *id != request.id);
        self.used.push_back(request.id);
        Ok(turn)
    }

    /// What the answer tells of partitions. Those that got records go to the end of the order, so that all get
    /// their turn when the answer is full.
    pub fn told(&mut self, id: i32, told: impl IntoIterator<Item = (Followed, Told, bool)>) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        for (followed, told, records) in told {
            if let Some(known) = session.partitions.get_mut(&followed) {
                known.1 = Some(told);
                if records {
                    session.order.retain(|other| *other != followed);
                    session.order.push_back(followed);
                }
            }
        }
    }

    fn begin(&mut self, id: i32, request: SessionRequest) {
        while self.sessions.len() >= FETCH_SESSIONS {
            match self.used.pop_front() {
                Some(oldest) => self.sessions.remove(&oldest),
                None => break,
            };
        }
        let order = request.named.iter().map(|(followed, _)| followed.clone()).collect();
        let partitions =
            request.named.into_iter().map(|(followed, wanted)| (followed, (wanted, None))).collect();
        self.end(id);
        self.sessions.insert(id, Session { next_epoch: 1, by_id: request.by_id, order, partitions });
        self.used.push_back(id);
    }

    fn end(&mut self, id: i32) {
        if self.sessions.remove(&id).is_some() {
            self.used.retain(|used| *used != id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn followed(index: i32) -> Followed {
        Followed { name: "t".into(), topic_id: Uuid::nil(), index }
    }

    fn request(id: i32, epoch: i32, named: &[(i32, i64)], forgotten: &[i32]) -> SessionRequest {
        let wanted = |offset| Wanted { offset, leader_epoch: -1, max_bytes: 100 };
        SessionRequest {
            id,
            epoch,
            by_id: false,
            named: named.iter().map(|(index, offset)| (followed(*index), wanted(*offset))).collect(),
            forgotten: forgotten.iter().map(|index| followed(*index)).collect(),
        }
    }

    fn offsets(turn: &Turn) -> Vec<(i32, i64)> {
        turn.partitions.iter().map(|(followed, wanted, _)| (followed.index, wanted.offset)).collect()
    }

    #[test]
    fn a_session_remembers_what_is_not_repeated() {
        let mut sessions = Sessions::default();
        let turn = sessions.turn(request(0, INITIAL_EPOCH, &[(0, 5), (1, 6)], &[]), 9).unwrap();
        assert_eq!((turn.id, turn.incremental), (9, false));
        let turn = sessions.turn(request(9, 1, &[(1, 7), (2, 0)], &[0]), 0).unwrap();
        assert!(turn.incremental);
        assert_eq!(offsets(&turn), [(1, 7), (2, 0)]);
        sessions.told(9, [(followed(1), Told { high_watermark: 8, log_start_offset: 0 }, true)]);
        let turn = sessions.turn(request(9, 2, &[], &[]), 0).unwrap();
        assert_eq!(offsets(&turn), [(2, 0), (1, 7)], "who got records comes last");
        assert_eq!(turn.partitions[1].2.unwrap().high_watermark, 8);
    }

    #[test]
    fn epochs_and_ids_are_checked_and_sessions_end() {
        let mut sessions = Sessions::default();
        sessions.turn(request(0, INITIAL_EPOCH, &[(0, 5)], &[]), 9).unwrap();
        assert_eq!(sessions.turn(request(8, 1, &[], &[]), 0), Err(NoTurn::UnknownId));
        assert_eq!(sessions.turn(request(9, 2, &[], &[]), 0), Err(NoTurn::WrongEpoch));
        let by_id = SessionRequest { by_id: true, ..request(9, 1, &[], &[]) };
        assert_eq!(sessions.turn(by_id, 0), Err(NoTurn::TopicIds));
        sessions.turn(request(9, FINAL_EPOCH, &[], &[]), 0).unwrap();
        assert_eq!(sessions.turn(request(9, 1, &[], &[]), 0), Err(NoTurn::UnknownId));
    }

    #[test]
    fn their_number_is_bounded() {
        let mut sessions = Sessions::default();
        for id in 1..=i32::try_from(FETCH_SESSIONS).unwrap() + 10 {
            sessions.turn(request(0, INITIAL_EPOCH, &[(0, 0)], &[]), id).unwrap();
        }
        assert_eq!(sessions.sessions.len(), FETCH_SESSIONS);
        assert_eq!(sessions.turn(request(1, 1, &[], &[]), 0), Err(NoTurn::UnknownId));
    }
}
