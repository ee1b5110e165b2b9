//! Random histories for tests: steps without meaning of their own, that shrink well, and their reading as
//! commands against the state at hand, most of them sensible and some of them wrong.

use crate::command::{
    Command, Envelope, NewExtent, NewObject, Register, Registration, Replaced, Resource, Sender,
};
use crate::ids::{ObjectId, ProcessId, TopicId};
use crate::state::State;
use crate::state::rules::NEWEST_VERSION;
use levee_base::{BrokerEpoch, NodeId, Offset, Slot, StreamId};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// One step of a random history.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    kind: u8,
    who: u8,
    what: u8,
    size: u8,
    /// Makes some number wrong, where it is small.
    twist: u8,
}

/// Histories of up to `steps` steps.
pub(crate) fn histories(steps: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = (0u8..32, any::<u8>(), any::<u8>(), 0u8..6, any::<u8>());
    let step = step.prop_map(|(kind, who, what, size, twist)| Step { kind, who, what, size, twist });
    prop::collection::vec(step, 0..steps)
}

/// Reads steps as envelopes, numbering each sender's.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    numbers: BTreeMap<Sender, u64>,
}

pub(crate) fn process(n: u8) -> ProcessId {
    ProcessId(Uuid::from_u128(0x1000 + u128::from(n)))
}

pub(crate) fn topic_id(n: u8) -> TopicId {
    TopicId(Uuid::from_u128(0x2000 + u128::from(n)))
}

fn pick<T: Copy>(from: &[T], n: u8) -> Option<T> {
    (!from.is_empty()).then(|| from[usize::from(n) % from.len()])
}

impl Reader {
    pub(crate) fn envelope(&mut self, sender: Sender, command: Command) -> Envelope {
        let number = self.numbers.entry(sender).or_default();
        let envelope = Envelope { sender, number: *number, command };
        *number += 1;
        envelope
    }

    /// The history's first command, without which all others are refused.
    pub(crate) fn first(&mut self) -> Envelope {
        self.first_of(NEWEST_VERSION)
    }

    /// The same, by older rules.
    pub(crate) fn first_of(&mut self, version: u32) -> Envelope {
        self.envelope(Sender::Process(process(0)), Command::UseVersion { version })
    }

    pub(crate) fn read(&mut self, state: &State, step: Step) -> Envelope {
        let live: Vec<BrokerEpoch> = state.brokers().map(|(epoch, _)| epoch).collect();
        let broker = pick(&live, step.who).unwrap_or(BrokerEpoch(u64::from(step.who)));
        let wals: Vec<BrokerEpoch> =
            state.wals().filter(|(_, wal)| wal.fence.is_none()).map(|(epoch, _)| epoch).collect();
        let by_process = Sender::Process(process(step.who % 3));
        let by_broker = Sender::Broker(broker);
        let (sender, command) = match step.kind {
            0..3 => {
                let node = NodeId(u32::from(step.what % 3));
                let (address, internal) = (format!("host{node}:9092"), format!("host{node}:9099"));
                let process = process(step.who % 3);
                (by_process, Command::Register(Register { node, address, internal, process }))
            }
            3..5 => {
                let name = ["a", "b", "a.b", "a_b", "..", "c-1"][usize::from(step.what) % 6].to_owned();
                let topic = topic_id(step.twist);
                let configs = BTreeMap::from([("retention.ms".to_owned(), step.size.to_string())]);
                let partitions = u32::from(step.size);
                (by_broker, Command::CreateTopic { name, topic, partitions, configs, leader: broker })
            }
            5 => {
                let topics: Vec<TopicId> = state.topics().map(|(id, _)| id).collect();
                let topic = pick(&topics, step.what).unwrap_or(topic_id(step.what));
                (by_broker, Command::DeleteTopic { topic })
            }
            6 => (by_broker, Command::AllocateProducerIds { count: u32::from(step.what) }),
            7 => (by_process, Command::Out { epoch: broker }),
            8..11 => {
                let epoch = pick(&wals, step.what).unwrap_or(broker);
                let heir = (!step.twist.is_multiple_of(3)).then_some(broker);
                let (fence, objects) = Self::objects(state, epoch, step);
                (by_broker, Command::CloseWal { epoch, fence, objects, heir })
            }
            11 => {
                let streams = state.leaderless().map(|(id, _)| id).chain([StreamId(0)]);
                let streams = streams.take(usize::from(step.size)).collect();
                (by_broker, Command::Lead { leader: broker, streams })
            }
            // As a collector of what another has collected may send it: with one that is none, and again.
            13 => {
                let garbage = state.garbage().map(|(id, _)| id).take(usize::from(step.size));
                let objects = garbage.chain([ObjectId(u64::from(step.what))]).collect();
                (if step.twist == 0 { by_process } else { by_broker }, Command::Collected { objects })
            }
            22 => {
                let topics: Vec<TopicId> = state.topics().map(|(id, _)| id).collect();
                let topic = pick(&topics, step.what).unwrap_or(topic_id(step.what));
                let has = state.topic(topic).map_or(0, |topic| topic.streams.len() as u32);
                let partitions = if step.twist == 0 { 1 << 20 } else { has + u32::from(step.size) };
                (by_broker, Command::AddPartitions { topic, partitions, leader: broker })
            }
            23 => {
                let resource = Resource {
                    kind: u32::from(step.what % 3),
                    name: ["", "a", "b"][usize::from(step.size % 3)].to_owned(),
                };
                let name = ["x", "y"][usize::from(step.twist) % 2].to_owned();
                let long = if step.twist == 3 { 1 << 17 } else { usize::from(step.who) };
                let (set, unset) = match step.size % 2 {
                    0 => (BTreeMap::from([(name, "v".repeat(long))]), BTreeSet::new()),
                    _ => (BTreeMap::new(), BTreeSet::from([name])),
                };
                let sender = if step.twist == 5 { by_process } else { by_broker };
                (sender, Command::AlterConfigs { resource, set, unset })
            }
            24..27 => (by_broker, Self::replace(state, broker, step)),
            27 => {
                let numbers = (0..u64::from(step.size)).map(|n| Self::number(state, broker, step) + 2 * n);
                (by_broker, Command::Abandon { numbers: numbers.collect() })
            }
            28..30 => {
                let streams: Vec<StreamId> = state.streams().map(|(id, _)| id).collect();
                let stream = pick(&streams, step.what).unwrap_or(StreamId(u64::from(step.what)));
                let (start, end) = state.stream(stream).map_or((0, 0), |s| (s.start.0, s.end.0));
                let beyond = u64::from(step.twist.is_multiple_of(4)) * 3;
                let start = start + (end.saturating_sub(start) * u64::from(step.size) / 5) + beyond;
                (by_broker, Command::AdvanceStarts { starts: vec![(stream, Offset(start))] })
            }
            30 => {
                let topics: Vec<TopicId> = state.topics().map(|(id, _)| id).collect();
                let topic = pick(&topics, step.what).unwrap_or(topic_id(step.what));
                let name = ["retention.ms", "cleanup.policy"][usize::from(step.twist) % 2].to_owned();
                let (set, unset) = match step.size % 2 {
                    0 => (BTreeMap::from([(name, step.who.to_string())]), BTreeSet::new()),
                    _ => (BTreeMap::new(), BTreeSet::from([name])),
                };
                (by_broker, Command::AlterTopic { topic, set, unset })
            }
            12 => (by_process, Command::UseVersion { version: NEWEST_VERSION }),
            _ => {
                let (to, mut objects) = Self::objects(state, broker, step);
                let uploads = Self::gather(state, broker, step, &mut objects);
                (by_broker, Command::TrimWal { epoch: broker, to, objects, uploads })
            }
        };
        self.envelope(sender, command)
    }

    /// A number that is not settled yet, but for a twist.
    fn number(state: &State, epoch: BrokerEpoch, step: Step) -> u64 {
        let fresh = (0..).find(|&n| state.broker(epoch).is_none_or(|broker| !broker.settled.contains(n)));
        let fresh = fresh.unwrap_or(0) + u64::from(step.twist % 3);
        if step.twist == 11 { u64::from(step.what) } else { fresh }
    }

    /// Moves some of the objects' extents into one that was gathered.
    fn gather(state: &State, epoch: BrokerEpoch, step: Step, objects: &mut [Registration]) -> Vec<NewObject> {
        if step.twist.is_multiple_of(2) {
            return Vec::new();
        }
        let mut extents = Vec::new();
        for (at, object) in objects.iter_mut().enumerate() {
            if step.what >> (at % 8) & 1 == 0 {
                extents.append(&mut object.extents);
            }
        }
        let checkpoints =
            extents.iter().filter(|e| e.range.end.0 % 2 == 0).map(|e| (e.stream, e.range.end)).collect();
        let number = Self::number(state, epoch, step);
        vec![NewObject { number, total_bytes: 9_000, index: 8_000..9_000, extents, checkpoints }]
    }

    /// Some neighbouring extents of some streams, as one object or two.
    fn replace(state: &State, epoch: BrokerEpoch, step: Step) -> Command {
        let number = Self::number(state, epoch, step);
        let mut objects: Vec<NewObject> = (0..2)
            .map(|n| NewObject {
                number: number + n,
                total_bytes: 9_000,
                index: 8_000..9_000,
                extents: vec![],
                checkpoints: vec![],
            })
            .collect();
        let mut replaced = Vec::new();
        for (stream, known) in state.streams().filter(|(id, _)| step.what >> (id.0 % 8) & 1 == 1) {
            let skipped = usize::from(step.size % 2);
            let part: Vec<_> = known.extents().skip(skipped).take(1 + usize::from(step.size)).collect();
            let (Some(first), Some(last)) = (part.first(), part.last()) else { continue };
            let mut range = first.range.start..last.range.end;
            let middle = Offset((range.start.0 + range.end.0) / 2);
            let names = part.iter().filter_map(|extent| Some(state.object(extent.object)?.name));
            let mut names: Vec<_> = names.collect();
            match step.twist {
                12..22 => names.reverse(),
                // As if the start had moved on since.
                22..52 if range.start.0 > 0 => {
                    range.start = Offset(range.start.0 - 1);
                    names.insert(0, crate::ids::ObjectName::Data { epoch: BrokerEpoch(0), number: 0 });
                }
                _ => {}
            }
            let tiles = match range.start < middle && step.who.is_multiple_of(2) {
                true => vec![range.start..middle, middle..range.end],
                false => vec![range.clone()],
            };
            let short = u64::from(step.twist == 52);
            for (tile, object) in tiles.into_iter().zip(&mut objects) {
                let range = tile.start..Offset(tile.end.0 - short);
                object.extents.push(NewExtent { stream, leader_epoch: 0, range, bytes: 50 });
                if let Some((offset, _)) = known.checkpoint {
                    object.checkpoints.push((stream, offset));
                }
            }
            replaced.push(Replaced { stream, range, objects: names });
        }
        Command::Replace { objects, replaced }
    }

    /// Objects that continue the log of `epoch`, and where they end.
    fn objects(state: &State, epoch: BrokerEpoch, step: Step) -> (Slot, Vec<Registration>) {
        let from = state.wal(epoch).map_or(Slot::ZERO, |wal| wal.trim);
        let led: Vec<StreamId> = state.led_by(epoch).map(|(id, _)| id).collect();
        let mut ends: BTreeMap<StreamId, Offset> = BTreeMap::new();
        let mut objects = Vec::new();
        for i in 0..u64::from(step.size % 4) {
            let mut extents = Vec::new();
            for j in 0..step.what % 5 {
                let stream = pick(&led, step.twist.wrapping_add(j)).unwrap_or(StreamId(u64::from(j)));
                let known = state.stream(stream);
                let start = *ends.entry(stream).or_insert(known.map_or(Offset::ZERO, |s| s.end));
                let end = Offset(start.0 + 1 + u64::from(step.who % 4));
                ends.insert(stream, end);
                let stale = u32::from(step.twist == 7);
                let leader_epoch = known.map_or(0, |s| s.leader_epoch) + stale;
                let skipped = u64::from(step.twist == 8);
                let range = Offset(start.0 + skipped)..end;
                extents.push(NewExtent { stream, leader_epoch, range, bytes: 100 + i });
            }
            let slot = Slot(from.0 + i + u64::from(step.twist == 9));
            objects.push(Registration { slot, total_bytes: 8_192, index: 4_096..8_192, extents });
        }
        (Slot(from.0 + objects.len() as u64 + u64::from(step.twist == 10)), objects)
    }
}

/// Applies a whole history. Returns what was applied, with the answers.
pub(crate) fn run(steps: &[Step]) -> (State, Vec<(Envelope, crate::answer::Answer)>) {
    let (mut state, mut reader, mut applied) = (State::default(), Reader::default(), Vec::new());
    let first = reader.first();
    let answer = state.apply(&first);
    applied.push((first, answer));
    for &step in steps {
        let envelope = reader.read(&state, step);
        let answer = state.apply(&envelope);
        applied.push((envelope, answer));
    }
    (state, applied)
}
