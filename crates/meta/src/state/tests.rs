//! The rules of the state by example.

use super::generate::{Reader, process, topic_id};
use super::rules::{NEWEST_VERSION, Rules};
use super::*;
use crate::command::{NewExtent, Register, Registration, Resource};
use crate::ids::ProcessId;
use levee_base::{NodeId, Offset, Slot};
use std::collections::BTreeSet;
use std::ops::Range;

/// A state, and commands that are put to it.
struct Cluster {
    state: State,
    reader: Reader,
}

impl Cluster {
    fn new() -> Self {
        let (mut state, mut reader) = (State::default(), Reader::default());
        assert_eq!(state.apply(&reader.first()), Answer::Done);
        Self { state, reader }
    }

    fn ask(&mut self, sender: Sender, command: Command) -> Answer {
        let envelope = self.reader.envelope(sender, command);
        let answer = self.state.apply(&envelope);
        assert_eq!(self.state.check_invariants(), Ok(()));
        answer
    }

    fn process(&mut self, command: Command) -> Answer {
        self.ask(Sender::Process(process(1)), command)
    }

    fn register(&mut self, node: u32) -> Answer {
        self.process(Command::Register(register(node)))
    }

    fn broker(&mut self, node: u32) -> BrokerEpoch {
        match self.register(node) {
            Answer::Registered { epoch } => epoch,
            other => panic!("{other:?}"),
        }
    }

    fn topic(&mut self, leader: BrokerEpoch, name: &str, id: u8, partitions: u32) -> Answer {
        let (name, topic) = (name.to_owned(), topic_id(id));
        let create = Command::CreateTopic { name, topic, partitions, configs: BTreeMap::new(), leader };
        self.ask(Sender::Broker(leader), create)
    }

    fn trim(&mut self, epoch: BrokerEpoch, to: u64, objects: Vec<Registration>) -> Answer {
        let (to, uploads) = (Slot(to), vec![]);
        self.ask(Sender::Broker(epoch), Command::TrimWal { epoch, to, objects, uploads })
    }
}

fn register(node: u32) -> Register {
    let node = NodeId(node);
    Register { node, address: "h:9092".to_owned(), internal: "h:9099".to_owned(), process: process(1) }
}

fn extent(stream: u64, leader_epoch: u32, range: Range<u64>) -> NewExtent {
    let range = Offset(range.start)..Offset(range.end);
    NewExtent { stream: StreamId(stream), leader_epoch, range, bytes: 10 }
}

fn object(slot: u64, extents: impl IntoIterator<Item = NewExtent>) -> Registration {
    let extents = extents.into_iter().collect();
    Registration { slot: Slot(slot), total_bytes: 8_192, index: 4_096..8_000, extents }
}

fn refused(refusal: Refusal) -> Answer {
    Answer::Refused(refusal)
}

const TRIMMED: Answer = Answer::Trimmed { left_out: 0 };

#[test]
fn nothing_is_done_before_the_journal_names_its_rules() {
    let (mut state, mut reader) = (State::default(), Reader::default());
    let sender = Sender::Process(process(1));
    let early = reader.envelope(sender, Command::Register(register(1)));
    assert_eq!(state.apply(&early), refused(Refusal::NoVersion));
    let version = reader.envelope(sender, Command::UseVersion { version: NEWEST_VERSION });
    assert_eq!(state.apply(&version), Answer::Done);
    let down = reader.envelope(sender, Command::UseVersion { version: 0 });
    assert_eq!(state.apply(&down), refused(Refusal::VersionInUse { used: NEWEST_VERSION }));
}

#[test]
fn what_came_with_a_later_version_waits_for_it() {
    let (mut state, mut reader) = (State::default(), Reader::default());
    state.apply(&reader.first_of(1));
    let registered =
        state.apply(&reader.envelope(Sender::Process(process(1)), Command::Register(register(1))));
    let Answer::Registered { epoch } = registered else { panic!("{registered:?}") };
    let (topic, leader, broker) = (topic_id(1), epoch, Sender::Broker(epoch));
    let resource = Resource { kind: 32, name: "g".to_owned() };
    let set = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
    let create =
        Command::CreateTopic { name: "t".into(), topic, partitions: 1, configs: BTreeMap::new(), leader };
    let later = [
        Command::AddPartitions { topic, partitions: 2, leader },
        Command::AlterConfigs { resource, set, unset: BTreeSet::new() },
    ];
    state.apply(&reader.envelope(broker, create));
    for command in &later {
        let answer = state.apply(&reader.envelope(broker, command.clone()));
        assert_eq!(answer, refused(Refusal::NotInVersion { needed: 2, used: 1 }));
    }
    let version = Command::UseVersion { version: 2 };
    assert_eq!(state.apply(&reader.envelope(Sender::Process(process(1)), version)), Answer::Done);
    for command in later {
        assert_eq!(state.apply(&reader.envelope(broker, command)), Answer::Done);
    }
}

#[test]
fn topics_get_more_partitions_and_never_fewer() {
    let mut cluster = Cluster::new();
    let epoch = cluster.broker(1);
    cluster.topic(epoch, "a", 1, 2);
    cluster.topic(epoch, "b", 2, 1);
    let mut add = |topic: u8, partitions, leader| {
        let command = Command::AddPartitions { topic: topic_id(topic), partitions, leader };
        (cluster.ask(Sender::Broker(epoch), command), cluster.state.clone())
    };
    assert_eq!(add(9, 3, epoch).0, refused(Refusal::UnknownTopic));
    for fewer in 0..=2 {
        assert_eq!(add(1, fewer, epoch).0, refused(Refusal::NotMorePartitions { has: 2 }));
    }
    let most = Rules::V2.topic_partitions;
    assert_eq!(add(1, most + 1, epoch).0, refused(Refusal::InvalidPartitions { most }));
    let unknown = BrokerEpoch(999);
    assert_eq!(add(1, 3, unknown).0, refused(Refusal::CannotLead { epoch: unknown }));
    let (answer, state) = add(1, 4, epoch);
    assert_eq!(answer, Answer::Done);
    let streams: Vec<u64> = state.topic(topic_id(1)).unwrap().streams.iter().map(|stream| stream.0).collect();
    assert_eq!(streams, [0, 1, 3, 4], "streams are not numbered by topic");
    let new = state.stream(StreamId(4)).unwrap();
    assert_eq!((new.topic, new.partition, new.leader, new.leader_epoch), (topic_id(1), 3, Some(epoch), 0));
    assert_eq!(add(1, most, epoch).0, Answer::Done);
}

#[test]
fn a_live_node_id_is_refused_until_its_holder_is_out() {
    let mut cluster = Cluster::new();
    let epoch = cluster.broker(1);
    assert_eq!(epoch, BrokerEpoch(1), "one command was applied before");
    let held = Refusal::NodeLive { epoch, internal: "h:9099".to_owned(), process: process(1) };
    assert_eq!(cluster.register(1), refused(held));
    let other = cluster.broker(2);
    assert!(other > epoch);
    assert_eq!(cluster.process(Command::Out { epoch }), Answer::Done);
    assert_eq!(cluster.process(Command::Out { epoch }), Answer::Done, "out is out");
    let unknown = BrokerEpoch(999);
    assert_eq!(
        cluster.process(Command::Out { epoch: unknown }),
        refused(Refusal::UnknownBroker { epoch: unknown })
    );
    let again = cluster.broker(1);
    assert!(again > other);
    assert_eq!(cluster.state.orphans().map(|(epoch, _)| epoch).collect::<Vec<_>>(), [epoch]);
}

#[test]
fn every_command_of_an_epoch_that_is_out_is_refused() {
    let mut cluster = Cluster::new();
    let epoch = cluster.broker(1);
    let envelope = cluster.reader.envelope(Sender::Broker(epoch), Command::AllocateProducerIds { count: 10 });
    assert_eq!(cluster.state.apply(&envelope), Answer::ProducerIds { first: 0 });
    assert_eq!(cluster.state.apply(&envelope), Answer::ProducerIds { first: 0 }, "a repeat");
    assert_eq!(cluster.process(Command::Out { epoch }), Answer::Done);
    assert_eq!(cluster.state.apply(&envelope), refused(Refusal::EpochOut { epoch }));
    assert_eq!(cluster.trim(epoch, 0, vec![]), refused(Refusal::EpochOut { epoch }));
    assert_eq!(cluster.topic(epoch, "t", 1, 1), refused(Refusal::EpochOut { epoch }));
}

#[test]
fn a_process_without_an_epoch_may_not_change_topics() {
    let mut cluster = Cluster::new();
    for command in [Command::AllocateProducerIds { count: 1 }, Command::DeleteTopic { topic: topic_id(1) }] {
        assert_eq!(cluster.process(command), refused(Refusal::NotRegistered));
    }
}

#[test]
fn answers_are_remembered_in_a_window_and_never_applied_again_below_it() {
    let mut cluster = Cluster::new();
    let epoch = cluster.broker(1);
    let ask = |number| Envelope {
        sender: Sender::Broker(epoch),
        number,
        command: Command::AllocateProducerIds { count: 1 },
    };
    let window = Rules::V1.answers;
    for number in 0..=window {
        assert_eq!(cluster.state.apply(&ask(number)), Answer::ProducerIds { first: number });
    }
    assert_eq!(cluster.state.apply(&ask(1)), Answer::ProducerIds { first: 1 });
    assert_eq!(cluster.state.apply(&ask(0)), refused(Refusal::Forgotten { number: 0 }));
    assert_eq!(cluster.state.next_producer_id(), window + 1);
}

#[test]
fn processes_heard_longest_ago_are_forgotten() {
    let mut cluster = Cluster::new();
    for n in 0..Rules::V1.processes as u128 + 10 {
        let sender = Sender::Process(ProcessId(uuid::Uuid::from_u128(n + 1)));
        cluster.ask(sender, Command::UseVersion { version: NEWEST_VERSION });
    }
    assert_eq!(cluster.state.answers.by_sender.len(), Rules::V1.processes);
    let oldest = Sender::Process(ProcessId(uuid::Uuid::from_u128(1)));
    assert!(!cluster.state.answers.by_sender.contains_key(&oldest));
}

#[test]
fn topics_are_refused_for_precise_reasons() {
    let mut cluster = Cluster::new();
    let epoch = cluster.broker(1);
    assert_eq!(cluster.topic(epoch, "a.b", 1, 3), Answer::TopicCreated { first: StreamId(0) });
    assert_eq!(cluster.topic(epoch, "a.b", 2, 3), refused(Refusal::TopicExists { topic: topic_id(1) }));
    let existing = "a.b".to_owned();
    assert_eq!(cluster.topic(epoch, "a_b", 2, 3), refused(Refusal::TopicCollides { existing }));
    assert_eq!(cluster.topic(epoch, "c", 1, 3), refused(Refusal::TopicIdInUse));
    for bad in ["", ".", "..", "a b", "ä", &"x".repeat(250)] {
        assert_eq!(cluster.topic(epoch, bad, 2, 1), refused(Refusal::InvalidTopicName), "{bad:?}");
    }
    let most = Rules::V1.topic_partitions;
    for partitions in [0, most + 1] {
        assert_eq!(cluster.topic(epoch, "c", 2, partitions), refused(Refusal::InvalidPartitions { most }));
    }
    let nil = Command::CreateTopic {
        name: "c".to_owned(),
        topic: TopicId(uuid::Uuid::nil()),
        partitions: 1,
        configs: BTreeMap::new(),
        leader: epoch,
    };
    assert_eq!(cluster.ask(Sender::Broker(epoch), nil), refused(Refusal::InvalidTopicId));

    assert_eq!(cluster.state.topic_by_name("a.b").map(|(id, _)| id), Some(topic_id(1)));
    assert_eq!(cluster.state.topic_by_name("a_b"), None);
    let delete = Command::DeleteTopic { topic: topic_id(1) };
    assert_eq!(cluster.ask(Sender::Broker(epoch), delete.clone()), Answer::Done);
    assert_eq!(cluster.ask(Sender::Broker(epoch), delete), refused(Refusal::UnknownTopic));
    let again = cluster.topic(epoch, "a_b", 2, 1);
    assert_eq!(again, Answer::TopicCreated { first: StreamId(3) }, "stream ids are not used again");
}

#[test]
fn trimming_registers_every_slot_in_place() {
    let mut cluster = Cluster::new();
    let epoch = cluster.broker(1);
    cluster.topic(epoch, "t", 1, 2);
    let first = object(0, [extent(0, 0, 0..5), extent(1, 0, 0..2), extent(0, 0, 5..7)]);
    let second = object(1, [extent(0, 0, 7..8)]);
    assert_eq!(
        cluster.trim(epoch, 2, vec![second.clone()]),
        refused(Refusal::SlotMissing { expected: Slot(0) })
    );
    assert_eq!(
        cluster.trim(epoch, 3, vec![first.clone(), second.clone()]),
        refused(Refusal::SlotMissing { expected: Slot(2) })
    );
    assert_eq!(cluster.trim(epoch, 2, vec![first.clone(), second]), TRIMMED);
    assert_eq!(cluster.trim(epoch, 1, vec![]), refused(Refusal::TrimBackward { trim: Slot(2) }));

    let stream = cluster.state.stream(StreamId(0)).unwrap();
    let shown: Vec<_> = stream.extents().map(|e| (e.range.start.0..e.range.end.0, e.bytes)).collect();
    assert_eq!(shown, [(0..7, 20), (7..8, 10)], "blocks of one object that follow each other are one extent");
    let listed = cluster.state.object(stream.extents().next().unwrap().object).unwrap();
    assert_eq!(listed.name.key().as_str(), "wal/1/00000000000000000001/00000000000000000000");
    assert_eq!(listed.references, 2);

    let gap = object(2, [extent(1, 0, 3..4)]);
    let at = Refusal::NotAtEnd { stream: StreamId(1), ends: Offset(2), begins: Offset(3) };
    assert_eq!(cluster.trim(epoch, 3, vec![gap]), refused(at));
    let unknown = object(2, [extent(9, 0, 0..4)]);
    assert_eq!(
        cluster.trim(epoch, 3, vec![unknown]),
        refused(Refusal::UnknownStream { stream: StreamId(9) })
    );
    for invalid in [
        object(2, [extent(1, 0, 2..2)]),
        Registration { index: Range { start: 5, end: 4 }, ..object(2, []) },
        Registration { index: 5..8_193, ..object(2, []) },
    ] {
        let slot = Slot(2);
        assert_eq!(cluster.trim(epoch, 3, vec![invalid]), refused(Refusal::InvalidObject { slot }));
    }
    let other = cluster.broker(2);
    let trim = Command::TrimWal { epoch, to: Slot(2), objects: vec![], uploads: vec![] };
    assert_eq!(cluster.ask(Sender::Broker(other), trim), refused(Refusal::NotYourWal { epoch }));
}

#[test]
fn closing_registers_hands_over_and_is_the_fences_check() {
    let mut cluster = Cluster::new();
    let old = cluster.broker(1);
    cluster.topic(old, "t", 1, 1);
    let objects: Vec<_> = (0..4).map(|slot| object(slot, [extent(0, 0, slot..slot + 1)])).collect();
    assert_eq!(cluster.trim(old, 2, objects[..2].to_vec()), TRIMMED);
    cluster.process(Command::Out { epoch: old });
    let new = cluster.broker(1);
    let close = |fence, objects: &[Registration]| Command::CloseWal {
        epoch: old,
        fence: Slot(fence),
        objects: objects.to_vec(),
        heir: Some(new),
    };
    let sender = Sender::Broker(new);
    assert_eq!(cluster.ask(sender, close(1, &[])), refused(Refusal::FenceVoid { trim: Slot(2) }));
    assert_eq!(
        cluster.ask(sender, close(4, &objects[..3])),
        refused(Refusal::SlotMissing { expected: Slot(3) })
    );
    // Whoever began to read before the last trim hands in slots that are registered already.
    assert_eq!(cluster.ask(sender, close(4, &objects)), TRIMMED);
    let closed = refused(Refusal::WalClosed { fence: Slot(4) });
    assert_eq!(cluster.ask(sender, close(4, &objects)), closed);
    let stream = cluster.state.stream(StreamId(0)).unwrap();
    assert_eq!((stream.leader, stream.leader_epoch, stream.end), (Some(new), 1, Offset(4)));
    assert_eq!(cluster.state.orphans().count(), 0);
}

#[test]
fn a_clean_shutdown_leaves_streams_for_whoever_comes() {
    let mut cluster = Cluster::new();
    let old = cluster.broker(1);
    cluster.topic(old, "t", 1, 2);
    let close = Command::CloseWal { epoch: old, fence: Slot(0), objects: vec![], heir: None };
    assert_eq!(cluster.ask(Sender::Broker(old), close), TRIMMED);
    assert_eq!(cluster.topic(old, "u", 2, 1), refused(Refusal::CannotLead { epoch: old }));
    cluster.process(Command::Out { epoch: old });
    let new = cluster.broker(1);
    let streams: Vec<_> = cluster.state.leaderless().map(|(id, _)| id).collect();
    let lead = Command::Lead { leader: new, streams };
    assert_eq!(cluster.ask(Sender::Broker(new), lead.clone()), Answer::Done);
    let led = Refusal::HasLeader { stream: StreamId(0), leader: new };
    assert_eq!(cluster.ask(Sender::Broker(new), lead), refused(led));
    assert_eq!(cluster.state.stream(StreamId(1)).unwrap().leader_epoch, 1);
}

#[test]
fn what_was_never_this_logs_to_give_is_left_out() {
    let mut cluster = Cluster::new();
    let (one, two) = (cluster.broker(1), cluster.broker(2));
    cluster.topic(one, "mine", 1, 1);
    cluster.topic(two, "theirs", 2, 1);
    cluster.topic(one, "gone", 3, 1);
    cluster.ask(Sender::Broker(two), Command::DeleteTopic { topic: topic_id(3) });
    let mixed = object(0, [extent(0, 0, 0..1), extent(1, 0, 0..9), extent(2, 0, 0..9), extent(0, 7, 5..6)]);
    assert_eq!(cluster.trim(one, 1, vec![mixed]), Answer::Trimmed { left_out: 3 });
    assert_eq!(cluster.state.stream(StreamId(0)).unwrap().end, Offset(1));
    assert_eq!(cluster.state.stream(StreamId(1)).unwrap().end, Offset::ZERO);
    // An object of which nothing is taken is garbage at once.
    assert_eq!(cluster.trim(one, 2, vec![object(1, [extent(2, 0, 9..10)])]), Answer::Trimmed { left_out: 1 });
    assert_eq!(cluster.state.garbage().count(), 1);
}

#[test]
fn an_object_is_garbage_when_its_last_extent_goes() {
    let mut cluster = Cluster::new();
    let epoch = cluster.broker(1);
    cluster.topic(epoch, "t", 1, 1);
    cluster.topic(epoch, "u", 2, 1);
    let shared = object(0, [extent(0, 0, 0..1), extent(1, 0, 0..1)]);
    assert_eq!(cluster.trim(epoch, 1, vec![shared]), TRIMMED);
    cluster.ask(Sender::Broker(epoch), Command::DeleteTopic { topic: topic_id(1) });
    assert_eq!((cluster.state.objects().count(), cluster.state.garbage().count()), (1, 0));
    cluster.ask(Sender::Broker(epoch), Command::DeleteTopic { topic: topic_id(2) });
    assert_eq!((cluster.state.objects().count(), cluster.state.garbage().count()), (0, 1));
}
