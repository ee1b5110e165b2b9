//! The writer of one epoch, as a pure state machine: answers go in, requests come out.
//!
//! It keeps up to K creates in flight. A slot's bytes are fixed when they are first sent, and the same ones are
//! sent until the slot's fate is known. Only an answer that says 'created' means created. Everything else is
//! doubt, which reading the slot settles: our own writer id means created, another's means that the epoch has
//! been fenced and this writer stops for good, and nothing there means send again. Entry n is durable when
//! every entry up to n is known to be created; nothing is acknowledged before that.
//!
//! What doesn't belong here: when to hedge, look or try again (`writer`), and what an entry holds.

use super::rules::{Broken, Rules};
use levee_base::{Slot, WriterId};
use std::collections::VecDeque;

/// What a store said to a create.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CreateAnswer {
    /// It was created by this request.
    Created,
    /// The key is taken, perhaps by an earlier try of ours.
    Exists,
    /// An error, or no answer: it may have been created, or may yet be.
    Unknown,
}

/// What the writer asks of the store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Request<P> {
    /// Create this slot with these bytes.
    Create(Slot, P),
    /// Read who holds this slot.
    Read(Slot),
}

/// Why an epoch is over for its writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fenced {
    /// The slot that turned out to be another's.
    pub at: Slot,
    /// Whose it is.
    pub by: WriterId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Fate {
    /// A create is out.
    Sent,
    /// No create's answer is awaited any more; the slot is being read.
    Doubt,
    /// Known to be created with our bytes.
    Created,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Flight<P> {
    payload: P,
    fate: Fate,
    hedged: bool,
}

/// The state of one epoch's writer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Appender<P> {
    writer: WriterId,
    in_flight: usize,
    /// The first slot not known durable; that of `flights`' first element.
    durable: Slot,
    flights: VecDeque<Flight<P>>,
    fenced: Option<Fenced>,
    rules: Rules,
}

impl<P: Clone> Appender<P> {
    /// A writer of an epoch whose slots below `first` are not its own to write.
    pub fn new(writer: WriterId, first: Slot, in_flight: usize, rules: Rules) -> Self {
        assert!(in_flight > 0, "a writer needs room for one entry");
        Self { writer, in_flight, durable: first, flights: VecDeque::new(), fenced: None, rules }
    }

    /// Who writes.
    #[cfg(any(test, feature = "model"))]
    pub fn writer(&self) -> WriterId {
        self.writer
    }

    /// The first slot not known durable.
    pub fn durable(&self) -> Slot {
        self.durable
    }

    /// The slot of the next entry.
    pub fn next(&self) -> Slot {
        Slot(self.durable.0 + self.flights.len() as u64)
    }

    /// Why this writer has stopped, once it has.
    pub fn fenced(&self) -> Option<Fenced> {
        self.fenced
    }

    /// Whether an entry may be sent now.
    pub fn has_room(&self) -> bool {
        self.fenced.is_none() && self.flights.len() < self.in_flight
    }

    /// Whether nothing is in flight.
    pub fn is_idle(&self) -> bool {
        self.flights.is_empty()
    }

    /// Fixes an entry's bytes and sends them. The caller has asked `has_room`.
    pub fn append(&mut self, payload: P) -> Request<P> {
        assert!(self.has_room(), "an entry may only be sent when there is room");
        let slot = self.next();
        self.flights.push_back(Flight { payload: payload.clone(), fate: Fate::Sent, hedged: false });
        Request::Create(slot, payload)
    }

    /// A create of `slot` was answered. Answers to hedges and to earlier tries may come at any time.
    pub fn answered(&mut self, slot: Slot, answer: CreateAnswer) -> Option<Request<P>> {
        let trusted = answer == CreateAnswer::Exists && self.rules.breaks(Broken::EntryExistsIsSuccess);
        if answer == CreateAnswer::Created || trusted {
            self.created(slot);
            return None;
        }
        let flight = self.flight(slot)?;
        match flight.fate {
            Fate::Sent => {
                flight.fate = Fate::Doubt;
                Some(Request::Read(slot))
            }
            Fate::Doubt | Fate::Created => None,
        }
    }

    /// A slot in doubt was read: it belongs to `holder`, or to nobody yet.
    pub fn read(&mut self, slot: Slot, holder: Option<WriterId>) -> Option<Request<P>> {
        match holder {
            Some(by) => {
                self.held(slot, by);
                None
            }
            None => {
                let newest = self.flights.back().map(|flight| flight.payload.clone());
                let rules = self.rules;
                let flight = self.flight(slot).filter(|flight| flight.fate == Fate::Doubt)?;
                flight.fate = Fate::Sent;
                flight.hedged = false;
                if let Some(other) = newest.filter(|_| rules.breaks(Broken::ResendOtherBytes)) {
                    flight.payload = other;
                }
                Some(Request::Create(slot, flight.payload.clone()))
            }
        }
    }

    /// The bytes of a slot whose create is slow, to be sent once more. At most once a try.
    pub fn hedge(&mut self, slot: Slot) -> Option<Request<P>> {
        let flight = self.flight(slot).filter(|flight| flight.fate == Fate::Sent && !flight.hedged)?;
        flight.hedged = true;
        Some(Request::Create(slot, flight.payload.clone()))
    }

    /// The slot that an idle writer looks at, to learn that it has been fenced.
    pub fn look(&self) -> Option<Request<P>> {
        (self.fenced.is_none() && self.is_idle()).then(|| Request::Read(self.next()))
    }

    /// What a look found. Entries may have been sent since, so that our own may be found there too.
    pub fn looked(&mut self, slot: Slot, holder: Option<WriterId>) {
        if let Some(by) = holder {
            self.held(slot, by);
        }
    }

    fn held(&mut self, slot: Slot, by: WriterId) {
        if by == self.writer {
            self.created(slot);
        } else if self.fenced.is_none() && slot >= self.durable {
            self.fenced = Some(Fenced { at: slot, by });
        }
    }

    /// A slot that is durable, or beyond those sent, has no flight: answers to its hedges come late.
    fn flight(&mut self, slot: Slot) -> Option<&mut Flight<P>> {
        if self.fenced.is_some() {
            return None;
        }
        let index = usize::try_from(slot.0.checked_sub(self.durable.0)?).ok()?;
        self.flights.get_mut(index)
    }

    fn created(&mut self, slot: Slot) {
        let out_of_order = self.rules.breaks(Broken::AcknowledgeOutOfOrder);
        let Some(flight) = self.flight(slot) else { return };
        flight.fate = Fate::Created;
        if out_of_order {
            while self.durable <= slot {
                self.advance();
            }
        }
        while self.flights.front().is_some_and(|flight| flight.fate == Fate::Created) {
            self.advance();
        }
    }

    fn advance(&mut self) {
        self.flights.pop_front();
        self.durable = self.durable.next();
    }

    /// The payloads in flight with their slots, for the model's account of what was acknowledged.
    #[cfg(any(test, feature = "model"))]
    pub fn flights(&self) -> impl Iterator<Item = (Slot, &P)> {
        (self.durable.0..).map(Slot).zip(self.flights.iter().map(|flight| &flight.payload))
    }

    /// Whether reading this slot is what the writer waits for.
    #[cfg(any(test, feature = "model"))]
    pub fn in_doubt(&self, slot: Slot) -> bool {
        let index = slot.0.checked_sub(self.durable.0).and_then(|index| usize::try_from(index).ok());
        self.fenced.is_none()
            && index
                .and_then(|index| self.flights.get(index))
                .is_some_and(|flight| flight.fate == Fate::Doubt)
    }
}
