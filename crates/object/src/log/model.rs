//! The exhaustive model of the fenced log: every interleaving of a few processes on one store, within bounds.
//!
//! The processes are the production state machines (`append`, `fence`, `chain`, `trim`); this file only carries
//! their requests to a store that is as unkind as the design allows:
//! * a create takes effect at any time after it was sent, also after its sender gave up on it or died, and any
//!   number of times (`Stray`); an answer comes at any time after that, or never (`Lose`);
//! * a process may stop between any two steps for as long as it likes (the others just go on), and may die and
//!   start again under a new writer id, at any point (`Start`);
//! * whoever may delete an object does so at any time, in any order (`Collect`).
//!
//! Steps that only their own process can see are joined to the next one that others can see, as they may as
//! well happen just before it. So a read is one step (answered late, it is a process that pauses after it); an
//! answer that is lost is followed by the read that settles the doubt; 'created' for a fence is followed by the
//! check; and a trim is one step (decided earlier, it is a trim to less than the durable prefix now). A process
//! that dies for good is one that pauses for ever. `Bounds::joined` takes them apart again, for the rules that
//! can only be broken in between.
//!
//! `safety` has what must hold in every state; `checks` runs the model, whole and with each rule broken.

mod checks;
mod safety;

use super::append::{Appender, CreateAnswer, Request};
use super::chain::{Chain, ChainAsk, Outcome, Took, writer_id};
use super::fence::Seen;
use super::rules::{Broken, Rules};
use super::trim::Trimmer;
use levee_base::{Epoch, LogPosition, Slot, WriterId};
use stateright::{Model, Property};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// What is explored.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    processes: usize,
    /// Starts and restarts of processes, the first writer's not counted.
    starts: u8,
    /// Entries appended, by all writers together.
    entries: u8,
    /// Creates in flight.
    in_flight: usize,
    /// The last epoch that is written or fenced.
    epochs: u64,
    /// Creates sent twice by their writer.
    hedges: u8,
    /// Whether there is a first writer already; otherwise the cluster begins here, at `0/0`.
    founded: bool,
    /// Whether steps that nobody else can see are joined to the next that somebody can.
    joined: bool,
}

/// An object in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Object {
    Entry(WriterId, u8),
    Fence(WriterId),
}

/// An entry where it stands in the log.
type Placed = (LogPosition, u8);

/// A create whose sender waits for the answer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Out {
    at: LogPosition,
    object: Object,
    created: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Role {
    Down,
    /// Reading the chain, perhaps to take it over. `must` acknowledged entries were there when it began.
    Chain {
        chain: Chain,
        trim: LogPosition,
        log: Vec<Placed>,
        fences: Vec<LogPosition>,
        must: u8,
    },
    /// Writing an epoch. `log` is what it read when it took over, and what it acknowledged since.
    Owner {
        epoch: Epoch,
        appender: Appender<u8>,
        trimmer: Trimmer,
        log: Vec<Placed>,
        must: u8,
    },
    /// Done reading, and checked.
    Reader {
        end: LogPosition,
        trimmer: Trimmer,
        log: Vec<Placed>,
        must: u8,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Process {
    writer: Option<WriterId>,
    role: Role,
    out: Vec<Out>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    objects: BTreeMap<LogPosition, Object>,
    /// Every create that was ever sent: each may still take effect wherever its slot is empty.
    sent: BTreeSet<(LogPosition, Object)>,
    /// The newest snapshot: its position, and the entries whose effect it holds.
    trim: LogPosition,
    snapshot: Vec<Placed>,
    processes: Vec<Process>,
    /// What clients were told, in that order.
    acknowledged: Vec<Placed>,
    /// Who believed, after its check, to own which epoch.
    owners: Vec<(Epoch, WriterId)>,
    entries: u8,
    starts: u8,
    hedges: u8,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    /// A process starts, or dies and starts again: to take over, or only to read.
    Start { process: usize, successor: bool },
    /// It reads the next slot.
    Read(usize),
    /// It reads the trim point again: the check.
    Check(usize),
    /// It sends a new entry.
    Append(usize),
    /// It sends a slot once more, though no answer has come.
    Hedge(usize, Slot),
    /// A create that somebody waits for reaches the store.
    Land(usize, usize),
    /// Its sender is told that it was created.
    Answer(usize, usize),
    /// Its sender gives up waiting: the answer is lost, or the create is late.
    Lose(usize, usize),
    /// A writer reads a slot in doubt.
    Doubt(usize, Slot),
    /// An idle writer looks at its next slot.
    Look(usize),
    /// A create that nobody waits for reaches the store, late or once more.
    Stray(LogPosition, Object),
    /// A writer decides how far to trim.
    Propose(usize, Slot),
    /// Its snapshot is created.
    Commit(usize),
    /// Both at once.
    Trim(usize, Slot),
    /// It deletes an object.
    Collect(usize, LogPosition),
}

#[derive(Clone)]
struct LogModel {
    bounds: Bounds,
    rules: Rules,
    /// Also look for states that show that the model is not idle.
    reach: bool,
}

fn writer(number: u8) -> WriterId {
    WriterId(Uuid::from_u128(u128::from(number)))
}

impl LogModel {
    fn founded(&self) -> State {
        let mut state = State {
            objects: BTreeMap::new(),
            sent: BTreeSet::new(),
            trim: LogPosition::default(),
            snapshot: Vec::new(),
            processes: vec![
                Process { writer: None, role: Role::Down, out: Vec::new() };
                self.bounds.processes
            ],
            acknowledged: Vec::new(),
            owners: Vec::new(),
            entries: 0,
            starts: 0,
            hedges: 0,
        };
        if self.bounds.founded {
            let (first, fence) = (writer(0), LogPosition::default());
            state.objects.insert(fence, Object::Fence(first));
            state.sent.insert((fence, Object::Fence(first)));
            state.trim = LogPosition::start_of(Epoch(1));
            state.processes[0].writer = Some(first);
            let mut trimmer = Trimmer::with_rules(state.trim, self.rules);
            trimmer.checked_fence(fence);
            self.own(&mut state, 0, Epoch(1), trimmer, Vec::new(), 0);
        }
        state
    }

    fn own(&self, state: &mut State, p: usize, epoch: Epoch, trimmer: Trimmer, log: Vec<Placed>, must: u8) {
        let writer = state.processes[p].writer.expect("whoever owns an epoch has an id");
        let appender = Appender::new(writer, Slot::ZERO, self.bounds.in_flight, self.rules);
        state.owners.push((epoch, writer));
        state.owners.sort_unstable();
        state.processes[p].role = Role::Owner { epoch, appender, trimmer, log, must };
    }

    fn start(&self, state: &mut State, p: usize, successor: bool) {
        state.starts += 1;
        let id = writer_id(state.processes[p].writer, writer(state.starts), self.rules);
        let chain = if successor {
            Chain::successor(state.trim, id, self.rules)
        } else {
            Chain::reader(state.trim, self.rules)
        };
        let must = u8::try_from(state.acknowledged.len()).expect("the model has few entries");
        let role =
            Role::Chain { chain, trim: state.trim, log: state.snapshot.clone(), fences: Vec::new(), must };
        state.processes[p] = Process { writer: Some(id), role, out: Vec::new() };
    }

    fn send(state: &mut State, p: usize, at: LogPosition, object: Object) {
        state.sent.insert((at, object));
        let out = &mut state.processes[p].out;
        out.push(Out { at, object, created: false });
        out.sort_unstable();
    }

    /// A chain has moved on: sends what it asks for, or ends it.
    fn go_on(&self, state: &mut State, p: usize, ask: ChainAsk) {
        match ask {
            // What it awaits is a step of its own.
            ChainAsk::Get(_) | ChainAsk::ReadTrim => {}
            ChainAsk::Create(at) => {
                let by = state.processes[p].writer.expect("a successor has an id");
                Self::send(state, p, at, Object::Fence(by));
            }
            ChainAsk::Done(outcome) => {
                let role = std::mem::replace(&mut state.processes[p].role, Role::Down);
                let Role::Chain { trim, log, fences, must, .. } = role else { return };
                let mut trimmer = Trimmer::with_rules(trim, self.rules);
                fences.iter().for_each(|&fence| trimmer.checked_fence(fence));
                match outcome {
                    Outcome::Won(epoch) => self.own(state, p, epoch, trimmer, log, must),
                    // It follows the fence that was first.
                    Outcome::Lost(next) => {
                        let chain = Chain::reader(next, self.rules);
                        state.processes[p].role = Role::Chain { chain, trim, log, fences, must };
                    }
                    Outcome::Reached(end) => {
                        trimmer.found_empty(end);
                        state.processes[p].role = Role::Reader { end, trimmer, log, must };
                    }
                    Outcome::Void => state.processes[p].out.clear(),
                }
            }
        }
    }

    fn chain_read(&self, state: &mut State, p: usize) {
        let State { objects, processes, .. } = state;
        let Role::Chain { chain, log, fences, .. } = &mut processes[p].role else { return };
        let ChainAsk::Get(at) = chain.ask() else { return };
        let object = objects.get(&at).copied();
        let step = chain.read(match object {
            None => Seen::Missing,
            Some(Object::Entry(by, _)) => Seen::Entry(by),
            Some(Object::Fence(by)) => Seen::Fence(by),
        });
        match (step.took, object) {
            (Took::Entry(at), Some(Object::Entry(_, payload))) => log.push((at, payload)),
            (Took::Fence(at, _), _) => fences.push(at),
            _ => {}
        }
        self.go_on(state, p, step.ask);
    }

    /// Feeds a writer, keeps account of what it acknowledges, and carries out what it asks for.
    fn feed(state: &mut State, p: usize, input: impl FnOnce(&mut Appender<u8>) -> Option<Request<u8>>) {
        let State { processes, acknowledged, .. } = state;
        let Role::Owner { epoch, appender, log, .. } = &mut processes[p].role else { return };
        let (epoch, by) = (*epoch, appender.writer());
        let flights: Vec<(Slot, u8)> = appender.flights().map(|(slot, payload)| (slot, *payload)).collect();
        let request = input(appender);
        for (slot, payload) in flights.into_iter().filter(|(slot, _)| *slot < appender.durable()) {
            let at = LogPosition { epoch, slot };
            log.push((at, payload));
            acknowledged.push((at, payload));
        }
        if appender.fenced().is_some() {
            // It knows that it is over.
            processes[p].role = Role::Down;
            processes[p].out.clear();
        }
        if let Some(Request::Create(slot, payload)) = request {
            Self::send(state, p, LogPosition { epoch, slot }, Object::Entry(by, payload));
        }
    }

    fn answer(&self, state: &mut State, p: usize, index: usize, answer: CreateAnswer) {
        let out = state.processes[p].out.remove(index);
        if let Role::Chain { chain, fences, .. } = &mut state.processes[p].role {
            let step = chain.answered(answer);
            if let Took::Fence(at, _) = step.took {
                fences.push(at);
            }
            self.go_on(state, p, step.ask);
            if self.bounds.joined {
                match step.ask {
                    ChainAsk::Get(_) => self.chain_read(state, p),
                    ChainAsk::ReadTrim => self.check(state, p),
                    ChainAsk::Create(_) | ChainAsk::Done(_) => {}
                }
            }
        } else {
            Self::feed(state, p, |appender| appender.answered(out.at.slot, answer));
            if self.bounds.joined {
                self.doubt(state, p, out.at.slot);
            }
        }
    }

    fn check(&self, state: &mut State, p: usize) {
        let now = state.trim;
        if let Role::Chain { chain, trim, .. } = &mut state.processes[p].role {
            *trim = now;
            let ask = chain.trimmed(now);
            self.go_on(state, p, ask);
        }
    }

    /// A writer reads a slot, if it is in doubt.
    fn doubt(&self, state: &mut State, p: usize, slot: Slot) {
        let in_doubt = matches!(&state.processes[p].role,
            Role::Owner { appender, .. } if appender.in_doubt(slot));
        if in_doubt {
            let holder = Self::holder(state, p, slot);
            Self::feed(state, p, |appender| appender.read(slot, holder));
        }
    }

    fn propose(state: &mut State, p: usize, wanted: Slot) {
        if let Role::Owner { epoch, appender, trimmer, .. } = &mut state.processes[p].role {
            trimmer.propose(*epoch, wanted, appender.durable());
        }
    }

    fn commit(state: &mut State, p: usize) {
        let Role::Owner { trimmer, log, .. } = &mut state.processes[p].role else { return };
        let Some(to) = trimmer.proposed_point() else { return };
        trimmer.committed(to);
        if to > state.trim {
            state.snapshot = log.iter().filter(|(at, _)| *at < to).copied().collect();
            state.trim = to;
        }
    }

    fn holder(state: &State, p: usize, slot: Slot) -> Option<WriterId> {
        let Role::Owner { epoch, .. } = &state.processes[p].role else { return None };
        state.objects.get(&LogPosition { epoch: *epoch, slot }).map(|object| match object {
            Object::Entry(by, _) | Object::Fence(by) => *by,
        })
    }

    /// Who may delete what: a checked process, by the rules of `trim`.
    fn may_delete(&self, role: &Role, at: LogPosition) -> bool {
        match role {
            Role::Owner { trimmer, .. } | Role::Reader { trimmer, .. } => trimmer.may_delete(at),
            Role::Chain { trim, fences, .. } if self.rules.breaks(Broken::CollectBeforeCheck) => {
                let mut trimmer = Trimmer::with_rules(*trim, self.rules);
                fences.iter().for_each(|&fence| trimmer.checked_fence(fence));
                trimmer.may_delete(at)
            }
            Role::Chain { .. } | Role::Down => false,
        }
    }

    fn process_actions(&self, state: &State, p: usize, actions: &mut Vec<Action>) {
        let process = &state.processes[p];
        // Processes that have never run are alike: they start in order.
        let in_order = state.processes[..p].iter().all(|earlier| earlier.writer.is_some());
        if state.starts < self.bounds.starts && in_order {
            actions.push(Action::Start { process: p, successor: true });
            actions.push(Action::Start { process: p, successor: false });
        }
        for (index, out) in process.out.iter().enumerate() {
            actions.push(if out.created { Action::Answer(p, index) } else { Action::Land(p, index) });
            actions.push(Action::Lose(p, index));
        }
        match &process.role {
            Role::Chain { chain, .. } => match chain.ask() {
                ChainAsk::Get(_) => actions.push(Action::Read(p)),
                ChainAsk::ReadTrim => actions.push(Action::Check(p)),
                ChainAsk::Create(_) | ChainAsk::Done(_) => {}
            },
            Role::Owner { epoch, appender, trimmer, .. } => {
                if epoch.0 <= self.bounds.epochs {
                    if appender.has_room() && state.entries < self.bounds.entries {
                        actions.push(Action::Append(p));
                    }
                    if appender.look().is_some() {
                        actions.push(Action::Look(p));
                    }
                }
                for (slot, _) in appender.flights() {
                    if appender.in_doubt(slot) {
                        actions.push(Action::Doubt(p, slot));
                    } else if state.hedges < self.bounds.hedges {
                        actions.push(Action::Hedge(p, slot));
                    }
                }
                // Trimming twice to the same slot changes nothing.
                let done = trimmer.committed_point();
                let first = if done.epoch == *epoch { done.slot.next() } else { Slot::ZERO };
                for wanted in (first.0..=appender.next().0).map(Slot) {
                    if self.bounds.joined {
                        actions.push(Action::Trim(p, wanted));
                    } else {
                        actions.push(Action::Propose(p, wanted));
                    }
                }
                if trimmer.proposed_point().is_some() {
                    actions.push(Action::Commit(p));
                }
            }
            Role::Down | Role::Reader { .. } => {}
        }
        let deletable = state.objects.keys().filter(|&&at| self.may_delete(&process.role, at));
        actions.extend(deletable.map(|&at| Action::Collect(p, at)));
    }
}

impl Model for LogModel {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.founded()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for p in 0..state.processes.len() {
            self.process_actions(state, p, actions);
        }
        // While its sender still waits for the first effect, a second one is the same as a lost answer.
        let awaited = |at: LogPosition, object: Object| {
            let outs = state.processes.iter().flat_map(|process| &process.out);
            self.bounds.joined
                && outs.into_iter().any(|out| out.at == at && out.object == object && !out.created)
        };
        let free = |at: &LogPosition| !state.objects.contains_key(at);
        let late = state.sent.iter().filter(|(at, object)| free(at) && !awaited(*at, *object));
        actions.extend(late.map(|&(at, object)| Action::Stray(at, object)));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Start { process, successor } => self.start(&mut state, process, successor),
            Action::Read(p) => self.chain_read(&mut state, p),
            Action::Check(p) => self.check(&mut state, p),
            Action::Append(p) => {
                state.entries += 1;
                let payload = state.entries;
                Self::feed(&mut state, p, |appender| Some(appender.append(payload)));
            }
            Action::Hedge(p, slot) => {
                state.hedges += 1;
                Self::feed(&mut state, p, |appender| appender.hedge(slot));
            }
            Action::Land(p, index) => {
                let State { processes, objects, .. } = &mut state;
                let out = &mut processes[p].out[index];
                if let Entry::Vacant(free) = objects.entry(out.at) {
                    free.insert(out.object);
                    out.created = true;
                    processes[p].out.sort_unstable();
                } else {
                    self.answer(&mut state, p, index, CreateAnswer::Exists);
                }
            }
            Action::Answer(p, index) => self.answer(&mut state, p, index, CreateAnswer::Created),
            Action::Lose(p, index) => self.answer(&mut state, p, index, CreateAnswer::Unknown),
            Action::Doubt(p, slot) => self.doubt(&mut state, p, slot),
            Action::Look(p) => {
                let Role::Owner { appender, .. } = &state.processes[p].role else { return None };
                let slot = appender.next();
                let holder = Self::holder(&state, p, slot);
                Self::feed(&mut state, p, |appender| {
                    appender.looked(slot, holder);
                    None
                });
            }
            Action::Stray(at, object) => {
                state.objects.insert(at, object);
            }
            Action::Propose(p, wanted) => Self::propose(&mut state, p, wanted),
            Action::Commit(p) => Self::commit(&mut state, p),
            Action::Trim(p, wanted) => {
                Self::propose(&mut state, p, wanted);
                Self::commit(&mut state, p);
            }
            Action::Collect(_, at) => {
                state.objects.remove(&at);
            }
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties =
            vec![Property::always("safe", |_, state: &State| safety::violation(state).is_none())];
        if self.reach {
            properties.extend(safety::reached());
        }
        properties
    }

    fn within_boundary(&self, state: &State) -> bool {
        state.sent.iter().all(|(at, _)| at.epoch.0 <= self.bounds.epochs)
    }
}
