//! The exhaustive model of write-ahead logs: brokers that write, trim, are put out, recover each other, restart and
//! sign off, on one store and one metadata, every interleaving within bounds.
//!
//! It drives what production runs: the log's machines (`Appender`, `Walk` and `Trimmer` of `levee_object::log`) and
//! [`crate::State::apply`], which alone decides about registrations, trims, closes and leaders. The journal beneath
//! it is one totally ordered log; the model of `levee_object::log` shows that, and here it is taken for granted.
//! What this file adds is an environment that is as unkind as the design allows:
//! * a create takes effect at any time after it was sent, also after its sender gave up on it or died, and any
//!   number of times (`Stray`, which is also what a hedge does); an answer comes at any time, or never (`Lose`);
//! * a process may stop between any two steps for as long as it likes, and may die and register again (`Start`);
//!   the close and the trim that it was about to send may have been sent, and are then committed at any time
//!   after its death, or never (`Late`);
//! * anybody may be put out at any time, rightly or wrongly (`Out`), and anybody registered may recover any
//!   open log, also one whose broker is alive (`Recover`): time-outs decide when, never whether it is safe;
//! * everything that may be deleted is deleted at any time, in any order (`Collect`), also objects below the trim
//!   point that extents refer to, as if compaction had copied each of them at once.
//!
//! Steps that only their own process can see are joined to the next that others can see, as in the log's own
//! model, which says why that loses nothing. A trim is one step for the same reason: decided earlier, it is a trim
//! to less, now. `Bounds::joined` takes them apart.
//!
//! Left out, as each is shown elsewhere: repeats of a command (they get the first answer: `state/tests`), so that
//! a commit whose answer is lost is one whose sender pauses; and streams that have several blocks in an object.
//!
//! `safety` has what must hold in every state; `checks` runs the model, whole and with rules broken.

mod checks;
mod safety;

use crate::answer::Answer;
use crate::command::{Command, Envelope, NewExtent, Register, Registration, Sender};
use crate::ids::{ProcessId, TopicId};
use crate::state::invariants::check_succession;
use crate::state::wal_rules::{self, WalRules};
use levee_base::{BrokerEpoch, Epoch, LogPosition, NodeId, Offset, Slot, StreamId, WriterId};
use levee_object::log::machines::{Appender, CreateAnswer, Request, Rules, Seen, Walk, WalkAsk, trimmer};
use levee_object::log::{EpochEnd, Trimmer, machines};
use stateright::{Model, Property};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use uuid::Uuid;

/// The one stream. All records go there.
const STREAM: StreamId = StreamId(0);

/// What is explored.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    processes: usize,
    /// Registrations, the first broker's not counted.
    starts: u8,
    /// Entries appended, by all writers together; each holds one record.
    entries: u8,
    /// Creates in flight.
    in_flight: usize,
    /// Recoveries of another's log that are begun.
    recoveries: u8,
    /// Brokers that shut down in an orderly way.
    sign_offs: u8,
    /// Brokers that are put out, those not counted whose node id is registered again.
    outs: u8,
    /// Whether steps that nobody else can see are joined to the next that somebody can.
    joined: bool,
}

/// What is broken: nothing, or what a test breaks.
#[derive(Debug, Clone, Copy, Default)]
struct Breaks {
    log: Option<machines::Broken>,
    wal: &'static [wal_rules::Broken],
    shell: Option<Shell>,
}

/// What a shell around the machines may do wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shell {
    /// Whoever recovers reads the log to its end and closes it there, without a fence.
    RecoverWithoutFence,
    /// The collector deletes the fence of a closed log too.
    CollectFence,
}

/// What an entry holds: one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Record {
    number: u8,
    offset: Offset,
    leader_epoch: u32,
}

/// An object in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Object {
    Entry(WriterId, Record),
    Fence(WriterId),
}

/// A create whose sender waits for the answer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Out {
    at: LogPosition,
    object: Object,
    created: bool,
}

/// A broker's own log, as long as it believes in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Writer {
    appender: Appender<Record>,
    trimmer: Trimmer,
    /// The record in each slot.
    records: Vec<Record>,
    /// Under which leader epoch it leads the stream, and the next record's offset.
    leads: Option<(u32, Offset)>,
}

/// The recovery of a log, or a broker's closing of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Recovery {
    of: BrokerEpoch,
    by: WriterId,
    walk: Walk,
    found: Vec<(Slot, Record)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Process {
    /// Its newest registration.
    epoch: Option<BrokerEpoch>,
    writer: Option<Writer>,
    recovery: Option<Recovery>,
    out: Vec<Out>,
}

/// A command that may be on its way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Sent {
    Trim { epoch: BrokerEpoch, to: Slot, objects: Vec<(Slot, Record)> },
    Close { epoch: BrokerEpoch, by: BrokerEpoch, fence: Slot, objects: Vec<(Slot, Record)> },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    objects: BTreeMap<LogPosition, Object>,
    /// Every create that was ever sent: each may still take effect wherever its slot is empty.
    sent: BTreeSet<(LogPosition, Object)>,
    metadata: Arc<crate::State>,
    processes: Vec<Process>,
    /// Commands of those who died.
    late: BTreeSet<Sent>,
    /// What clients were told.
    acknowledged: BTreeSet<(LogPosition, Record)>,
    /// Where each log was first closed.
    closed: BTreeMap<BrokerEpoch, Slot>,
    /// What a commit did that none may do.
    wrong: Option<&'static str>,
    entries: u8,
    starts: u8,
    recoveries: u8,
    sign_offs: u8,
    outs: u8,
}

#[derive(Clone, PartialEq, Eq)]
enum Action {
    /// A process dies if it ran, and registers.
    Start(usize),
    /// Somebody has this broker put out.
    Out(BrokerEpoch),
    /// A process begins to recover a log.
    Recover(usize, BrokerEpoch),
    /// A process begins to close its own log.
    SignOff(usize),
    /// Its recovery reads the next slot.
    Read(usize),
    /// It commits the close.
    Close(usize),
    /// It asks to lead the stream.
    Lead(usize),
    /// It sends a new entry.
    Append(usize),
    /// A create that somebody waits for reaches the store.
    Land(usize, usize),
    /// Its sender is told that it was created.
    Answer(usize, usize),
    /// Its sender gives up waiting.
    Lose(usize, usize),
    /// A writer reads a slot in doubt.
    Doubt(usize, Slot),
    /// An idle writer looks at its next slot.
    Look(usize),
    /// A create that nobody waits for reaches the store, late or once more.
    Stray(LogPosition, Object),
    /// A writer decides how far to trim.
    Propose(usize, Slot),
    /// Its trim is committed, or refused.
    Commit(usize),
    /// Both at once.
    Trim(usize, Slot),
    /// A command of one who died is committed, or refused.
    Late(Sent),
    /// An object is deleted.
    Collect(LogPosition),
}

#[derive(Clone)]
struct WalModel {
    bounds: Bounds,
    breaks: Breaks,
    /// Also look for states that show that the model is not idle.
    reach: bool,
}

fn position(epoch: BrokerEpoch, slot: Slot) -> LogPosition {
    LogPosition { epoch: Epoch::from(epoch), slot }
}

fn register(process: usize) -> Command {
    let number = u32::try_from(process).expect("the model has few processes") + 1;
    Command::Register(Register {
        node: NodeId(number),
        address: String::new(),
        internal: String::new(),
        process: ProcessId(Uuid::from_u128(u128::from(number))),
    })
}

/// What registers an entry. The record's number travels as the extent's length, so that the production state
/// says which record it takes to be where.
fn registration((slot, record): (Slot, Record)) -> Registration {
    let extent = NewExtent {
        stream: STREAM,
        leader_epoch: record.leader_epoch,
        range: record.offset..Offset(record.offset.0 + 1),
        bytes: record.number.into(),
    };
    Registration { slot, total_bytes: 2, index: 1..2, extents: vec![extent] }
}

impl State {
    /// Applies a command, as the journal does. One that is refused changes nothing.
    fn commit(&mut self, sender: Sender, command: Command) -> Result<Answer, crate::Refusal> {
        let mut next = crate::State::clone(&self.metadata);
        let answer = match next.apply(&Envelope { sender, number: 0, command }) {
            Answer::Refused(refusal) => return Err(refusal),
            answer => answer,
        };
        // Two histories that differ only in how many commands they took are one: the position matters only as
        // the next registration's epoch, and no command is ever repeated.
        next.position = next.wals.last_key_value().map_or(0, |(epoch, _)| epoch.0) + 1;
        next.answers = crate::state::answers::Answers::default();
        if let Err(violation) = next.check_invariants().and_then(|()| check_succession(&self.metadata, &next))
        {
            self.wrong.get_or_insert(violation.invariant);
        }
        self.metadata = Arc::new(next);
        Ok(answer)
    }

    /// Whether the log holds these entries, as whoever registers them says.
    fn holds(&self, epoch: BrokerEpoch, entries: &[(Slot, Record)]) -> bool {
        entries.iter().all(|&(slot, record)| {
            matches!(self.objects.get(&position(epoch, slot)), Some(Object::Entry(_, found)) if *found == record)
        })
    }

    /// A trim or a close. Whether it was accepted.
    fn commit_sent(&mut self, command: &Sent) -> bool {
        let trim_of = |epoch| self.metadata.wal(epoch).map_or(Slot::ZERO, |wal| wal.trim);
        let (epoch, objects) = match command {
            Sent::Trim { epoch, objects, .. } | Sent::Close { epoch, objects, .. } => (*epoch, objects),
        };
        let new: Vec<_> = objects.iter().filter(|(slot, _)| *slot >= trim_of(epoch)).copied().collect();
        let held = self.holds(epoch, &new);
        let objects = objects.iter().copied().map(registration).collect();
        let accepted = match *command {
            Sent::Trim { epoch, to, .. } => self
                .commit(Sender::Broker(epoch), Command::TrimWal { epoch, to, objects, uploads: vec![] })
                .is_ok(),
            Sent::Close { epoch, by, fence, .. } => {
                let heir = (by != epoch).then_some(by);
                let close = Command::CloseWal { epoch, fence, objects, heir };
                let accepted = self.commit(Sender::Broker(by), close).is_ok();
                if accepted && *self.closed.entry(epoch).or_insert(fence) != fence {
                    self.wrong = Some("two recoverers disagree about where the log ends");
                }
                accepted
            }
        };
        if accepted && !held {
            self.wrong = Some("an entry is registered that is not in the log");
        }
        accepted
    }

    fn send(&mut self, p: usize, at: LogPosition, object: Object) {
        self.sent.insert((at, object));
        let out = &mut self.processes[p].out;
        out.push(Out { at, object, created: false });
        out.sort_unstable();
    }
}

impl Process {
    /// The close that its recovery has come to.
    fn close(&self) -> Option<Sent> {
        let (recovery, by) = (self.recovery.as_ref()?, self.epoch?);
        let WalkAsk::Done(EpochEnd::Fenced { at: fence, .. } | EpochEnd::Open { next: fence }) =
            recovery.walk.ask()
        else {
            return None;
        };
        Some(Sent::Close { epoch: recovery.of, by, fence, objects: recovery.found.clone() })
    }

    /// The trim that its writer has decided on.
    fn trim(&self) -> Option<Sent> {
        let (writer, epoch) = (self.writer.as_ref()?, self.epoch?);
        let to = writer.trimmer.proposed_point()?.slot;
        let from = writer.trimmer.committed_point().slot;
        let slots = (0..).map(Slot).zip(&writer.records).filter(|(slot, _)| (from..to).contains(slot));
        Some(Sent::Trim { epoch, to, objects: slots.map(|(slot, &record)| (slot, record)).collect() })
    }

    fn signs_off(&self) -> bool {
        self.recovery.as_ref().is_some_and(|recovery| Some(recovery.of) == self.epoch)
    }
}

impl WalModel {
    fn rules(&self) -> Rules {
        Rules::without(self.breaks.log)
    }

    /// One broker that leads the stream.
    fn founded(&self) -> State {
        let mut metadata =
            crate::State { wal_rules: WalRules { broken: self.breaks.wal }, ..Default::default() };
        metadata.apply(&Envelope {
            sender: Sender::Process(ProcessId(Uuid::nil())),
            number: 0,
            command: Command::UseVersion { version: crate::state::rules::NEWEST_VERSION },
        });
        let mut state = State {
            objects: BTreeMap::new(),
            sent: BTreeSet::new(),
            metadata: Arc::new(metadata),
            processes: vec![
                Process { epoch: None, writer: None, recovery: None, out: Vec::new() };
                self.bounds.processes
            ],
            late: BTreeSet::new(),
            acknowledged: BTreeSet::new(),
            closed: BTreeMap::new(),
            wrong: None,
            entries: 0,
            starts: 0,
            recoveries: 0,
            sign_offs: 0,
            outs: 0,
        };
        self.start(&mut state, 0);
        state.starts = 0;
        let leader = state.processes[0].epoch.expect("it has just registered");
        let create = Command::CreateTopic {
            name: "t".to_owned(),
            topic: TopicId(Uuid::from_u128(1)),
            partitions: 1,
            configs: BTreeMap::new(),
            leader,
        };
        state.commit(Sender::Broker(leader), create).expect("the first topic is created");
        state
    }

    fn start(&self, state: &mut State, p: usize) {
        state.starts += 1;
        let process = &mut state.processes[p];
        state.late.extend(process.close());
        state.late.extend(process.trim());
        let sender = Sender::Process(ProcessId(Uuid::from_u128(p as u128 + 1)));
        if let Some((epoch, _)) = state.metadata.live(NodeId(p as u32 + 1)) {
            state.commit(sender, Command::Out { epoch }).expect("whoever is live can be put out");
        }
        let Ok(Answer::Registered { epoch }) = state.commit(sender, register(p)) else {
            unreachable!("a node id that is not live can be registered")
        };
        let id = WriterId(Uuid::from_u128(u128::from(epoch.0)));
        let writer = Writer {
            appender: Appender::new(id, Slot::ZERO, self.bounds.in_flight, self.rules()),
            trimmer: trimmer(position(epoch, Slot::ZERO), self.rules()),
            records: Vec::new(),
            leads: None,
        };
        state.processes[p] =
            Process { epoch: Some(epoch), writer: Some(writer), recovery: None, out: Vec::new() };
    }

    fn recover(&self, state: &mut State, p: usize, of: BrokerEpoch) {
        let trim = state.metadata.wal(of).map_or(Slot::ZERO, |wal| wal.trim);
        let begun = u128::from(state.recoveries) + u128::from(state.sign_offs);
        let by = WriterId(Uuid::from_u128(100 + begun));
        let fences = self.breaks.shell != Some(Shell::RecoverWithoutFence);
        let walk = Walk::new(trim, fences.then_some(by), self.rules());
        state.processes[p].recovery = Some(Recovery { of, by, walk, found: Vec::new() });
    }

    /// A recovery reads the slot that it asks for.
    fn read(state: &mut State, p: usize) {
        let State { objects, processes, .. } = state;
        let Some(Recovery { of, by, walk, found }) = &mut processes[p].recovery else { return };
        let WalkAsk::Get(slot) = walk.ask() else { return };
        let object = objects.get(&position(*of, slot)).copied();
        let step = walk.read(match object {
            None => Seen::Missing,
            Some(Object::Entry(by, _)) => Seen::Entry(by),
            Some(Object::Fence(by)) => Seen::Fence(by),
        });
        if let (true, Some(Object::Entry(_, record))) = (step.entry, object) {
            found.push((slot, record));
        }
        if let WalkAsk::Create(slot) = step.ask {
            let (at, fence) = (position(*of, slot), Object::Fence(*by));
            state.send(p, at, fence);
        }
    }

    fn close(state: &mut State, p: usize) {
        if let Some(close) = state.processes[p].close() {
            state.commit_sent(&close);
            // Refused or not, this recovery is over: where the fence is void, another begins.
            state.processes[p].recovery = None;
        }
    }

    /// A broker that leads the stream sends a record.
    fn append(state: &mut State, p: usize) {
        let number = state.entries + 1;
        let leads = Self::leads(state, p);
        let Process { epoch: Some(epoch), writer: Some(writer), .. } = &mut state.processes[p] else {
            return;
        };
        let Some((leader_epoch, offset)) = leads else { return };
        let record = Record { number, offset, leader_epoch };
        writer.leads = Some((leader_epoch, Offset(offset.0 + 1)));
        writer.records.push(record);
        let Request::Create(slot, record) = writer.appender.append(record) else { return };
        let (at, by) = (position(*epoch, slot), writer.appender.writer());
        state.entries = number;
        state.send(p, at, Object::Entry(by, record));
    }

    /// Under which leader epoch a broker leads the stream, and the next offset: what it goes by since it opened
    /// the stream, or what the metadata says now, with which it opens it.
    fn leads(state: &State, p: usize) -> Option<(u32, Offset)> {
        let process = &state.processes[p];
        let opened = process.writer.as_ref()?.leads;
        let stream = state.metadata.stream(STREAM)?;
        opened.or_else(|| (stream.leader == process.epoch).then_some((stream.leader_epoch, stream.end)))
    }

    /// Feeds a writer, keeps account of what it acknowledges, and carries out what it asks for.
    fn feed(
        state: &mut State,
        p: usize,
        input: impl FnOnce(&mut Appender<Record>) -> Option<Request<Record>>,
    ) {
        let State { processes, acknowledged, .. } = state;
        let Process { epoch: Some(epoch), writer: Some(writer), .. } = &mut processes[p] else { return };
        let (epoch, by) = (*epoch, writer.appender.writer());
        let before = writer.appender.durable();
        let request = input(&mut writer.appender);
        for slot in (before.0..writer.appender.durable().0).map(Slot) {
            acknowledged.insert((position(epoch, slot), writer.records[slot.0 as usize]));
        }
        if writer.appender.fenced().is_some() {
            // It knows that it is over. What it was about to commit may have been sent.
            state.late.extend(processes[p].trim());
            processes[p].writer = None;
            processes[p].out.retain(|out| matches!(out.object, Object::Fence(_)));
        }
        if let Some(Request::Create(slot, record)) = request {
            state.send(p, position(epoch, slot), Object::Entry(by, record));
        }
    }

    fn answer(&self, state: &mut State, p: usize, index: usize, answer: CreateAnswer) {
        let out = state.processes[p].out.remove(index);
        match out.object {
            Object::Fence(_) => {
                let Some(recovery) = &mut state.processes[p].recovery else { return };
                let ask = recovery.walk.answered(answer);
                if self.bounds.joined && matches!(ask, WalkAsk::Get(_)) {
                    Self::read(state, p);
                }
            }
            Object::Entry(..) => {
                Self::feed(state, p, |appender| appender.answered(out.at.slot, answer));
                if self.bounds.joined {
                    Self::doubt(state, p, out.at.slot);
                }
            }
        }
    }

    fn doubt(state: &mut State, p: usize, slot: Slot) {
        let in_doubt =
            state.processes[p].writer.as_ref().is_some_and(|writer| writer.appender.in_doubt(slot));
        if in_doubt {
            let holder = Self::holder(state, p, slot);
            Self::feed(state, p, |appender| appender.read(slot, holder));
        }
    }

    fn holder(state: &State, p: usize, slot: Slot) -> Option<WriterId> {
        state.objects.get(&position(state.processes[p].epoch?, slot)).map(|object| match object {
            Object::Entry(by, _) | Object::Fence(by) => *by,
        })
    }

    fn propose(state: &mut State, p: usize, wanted: Slot) {
        if let Process { epoch: Some(epoch), writer: Some(writer), .. } = &mut state.processes[p] {
            writer.trimmer.propose(Epoch::from(*epoch), wanted, writer.appender.durable());
        }
    }

    fn commit_trim(state: &mut State, p: usize) {
        let Some(trim) = state.processes[p].trim() else { return };
        let accepted = state.commit_sent(&trim);
        let process = &mut state.processes[p];
        if accepted {
            if let (Sent::Trim { epoch, to, .. }, Some(writer)) = (trim, &mut process.writer) {
                writer.trimmer.committed(position(epoch, to));
            }
        } else {
            // A refused trim stops the store.
            process.writer = None;
            process.out.retain(|out| matches!(out.object, Object::Fence(_)));
        }
    }

    /// Who may delete what: by what the metadata says, and by what a writer believes.
    fn may_delete(&self, state: &State, at: LogPosition) -> bool {
        let epoch = BrokerEpoch(at.epoch.0);
        let by_metadata = state.metadata.wal(epoch).is_some_and(|wal| {
            let mut trimmer = trimmer(position(epoch, wal.trim), self.rules());
            if let Some(fence) = wal.fence {
                trimmer.checked_fence(position(epoch, fence));
            }
            let at_fence = wal.fence.is_some_and(|fence| at == position(epoch, fence));
            trimmer.may_delete(at) || at_fence && self.breaks.shell == Some(Shell::CollectFence)
        });
        let own = state.processes.iter().filter(|process| process.epoch == Some(epoch));
        by_metadata
            || own.filter_map(|process| process.writer.as_ref()).any(|writer| writer.trimmer.may_delete(at))
    }

    fn process_actions(&self, state: &State, p: usize, actions: &mut Vec<Action>) {
        let process = &state.processes[p];
        // Processes that have never run are alike: they start in order.
        if state.starts < self.bounds.starts && state.processes[..p].iter().all(|other| other.epoch.is_some())
        {
            actions.push(Action::Start(p));
        }
        for (index, out) in process.out.iter().enumerate() {
            actions.push(if out.created { Action::Answer(p, index) } else { Action::Land(p, index) });
            actions.push(Action::Lose(p, index));
        }
        let Some(epoch) = process.epoch else { return };
        match &process.recovery {
            Some(recovery) => match recovery.walk.ask() {
                WalkAsk::Get(_) => actions.push(Action::Read(p)),
                WalkAsk::Create(_) => {}
                WalkAsk::Done(_) => actions.push(Action::Close(p)),
            },
            None => {
                if state.recoveries < self.bounds.recoveries {
                    let open = state.metadata.wals().filter(|(of, wal)| *of != epoch && wal.fence.is_none());
                    actions.extend(open.map(|(of, _)| Action::Recover(p, of)));
                }
                let open = state.metadata.wal(epoch).is_some_and(|wal| wal.fence.is_none());
                let idle = process.writer.as_ref().is_some_and(|writer| writer.appender.is_idle());
                if open && idle && state.sign_offs < self.bounds.sign_offs {
                    actions.push(Action::SignOff(p));
                }
            }
        }
        self.writer_actions(state, p, actions);
    }

    fn writer_actions(&self, state: &State, p: usize, actions: &mut Vec<Action>) {
        let process = &state.processes[p];
        let (Some(epoch), Some(writer)) = (process.epoch, &process.writer) else { return };
        let appender = &writer.appender;
        let leader = state.metadata.stream(STREAM).and_then(|stream| stream.leader);
        let vacant = leader.is_none_or(|leader| state.metadata.broker(leader).is_none());
        if vacant && leader != Some(epoch) && !process.signs_off() {
            actions.push(Action::Lead(p));
        }
        if appender.has_room()
            && state.entries < self.bounds.entries
            && Self::leads(state, p).is_some()
            && !process.signs_off()
        {
            actions.push(Action::Append(p));
        }
        if appender.look().is_some() {
            actions.push(Action::Look(p));
        }
        let doubts = appender.flights().map(|(slot, _)| slot).filter(|&slot| appender.in_doubt(slot));
        actions.extend(doubts.map(|slot| Action::Doubt(p, slot)));
        if writer.trimmer.proposed_point().is_some() {
            actions.push(Action::Commit(p));
        } else {
            let first = writer.trimmer.committed_point().slot.next();
            for wanted in (first.0..=appender.next().0).map(Slot) {
                actions.push(if self.bounds.joined {
                    Action::Trim(p, wanted)
                } else {
                    Action::Propose(p, wanted)
                });
            }
        }
    }
}

impl Model for WalModel {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.founded()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for p in 0..state.processes.len() {
            self.process_actions(state, p, actions);
        }
        if state.outs < self.bounds.outs {
            actions.extend(state.metadata.brokers().map(|(epoch, _)| Action::Out(epoch)));
        }
        actions.extend(state.late.iter().cloned().map(Action::Late));
        // While its sender still waits for the first effect, a second one is the same as a lost answer.
        let awaited = |at: LogPosition, object: Object| {
            let outs = state.processes.iter().flat_map(|process| &process.out);
            self.bounds.joined
                && outs.into_iter().any(|out| out.at == at && out.object == object && !out.created)
        };
        let free = |at: &LogPosition| !state.objects.contains_key(at);
        let late = state.sent.iter().filter(|(at, object)| free(at) && !awaited(*at, *object));
        actions.extend(late.map(|&(at, object)| Action::Stray(at, object)));
        let deletable = state.objects.keys().filter(|&&at| self.may_delete(state, at));
        actions.extend(deletable.map(|&at| Action::Collect(at)));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Start(p) => self.start(&mut state, p),
            Action::Out(epoch) => {
                state.outs += 1;
                let sender = Sender::Process(ProcessId(Uuid::nil()));
                state.commit(sender, Command::Out { epoch }).expect("whoever is live can be put out");
            }
            Action::Recover(p, of) => {
                state.recoveries += 1;
                self.recover(&mut state, p, of);
            }
            Action::SignOff(p) => {
                state.sign_offs += 1;
                let own = state.processes[p].epoch?;
                self.recover(&mut state, p, own);
            }
            Action::Read(p) => Self::read(&mut state, p),
            Action::Close(p) => Self::close(&mut state, p),
            Action::Lead(p) => {
                let leader = state.processes[p].epoch?;
                let lead = Command::Lead { leader, streams: vec![STREAM] };
                state.commit(Sender::Broker(leader), lead).ok()?;
            }
            Action::Append(p) => Self::append(&mut state, p),
            Action::Land(p, index) => {
                let State { processes, objects, .. } = &mut state;
                let out = &mut processes[p].out[index];
                if let std::collections::btree_map::Entry::Vacant(free) = objects.entry(out.at) {
                    free.insert(out.object);
                    out.created = true;
                    processes[p].out.sort_unstable();
                } else {
                    self.answer(&mut state, p, index, CreateAnswer::Exists);
                }
            }
            Action::Answer(p, index) => self.answer(&mut state, p, index, CreateAnswer::Created),
            Action::Lose(p, index) => self.answer(&mut state, p, index, CreateAnswer::Unknown),
            Action::Doubt(p, slot) => Self::doubt(&mut state, p, slot),
            Action::Look(p) => {
                let slot = state.processes[p].writer.as_ref()?.appender.next();
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
            Action::Commit(p) => Self::commit_trim(&mut state, p),
            Action::Trim(p, wanted) => {
                Self::propose(&mut state, p, wanted);
                Self::commit_trim(&mut state, p);
            }
            Action::Late(command) => {
                state.late.remove(&command);
                state.commit_sent(&command);
            }
            Action::Collect(at) => {
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
}
