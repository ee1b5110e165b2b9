//! Golden bytes, round trips, and bytes that nobody should have written.

use super::*;
use crate::answer::{Answer, Refusal};
use crate::command::{Command, NewExtent, NewObject, Register, Registration, Replaced, Resource, Sender};
use crate::ids::{ObjectId, ObjectName, ProcessId, TopicId};
use crate::state::State;
use crate::state::generate::{Reader, histories, run};
use expect_test::{Expect, expect};
use levee_base::{BrokerEpoch, ClusterId, Epoch, LogPosition, NodeId, Offset, Slot, StreamId, WriterId};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn head() -> SnapshotHead {
    SnapshotHead {
        cluster: ClusterId(Uuid::from_u128(1)),
        at: LogPosition { epoch: Epoch(2), slot: Slot(3) },
        writer: WriterId(Uuid::from_u128(4)),
    }
}

fn commands() -> Vec<(&'static str, Command)> {
    let epoch = BrokerEpoch(300);
    let extents = vec![
        NewExtent {
            stream: StreamId(5),
            leader_epoch: 1,
            range: Offset(1_000)..Offset(1_016),
            bytes: 16_000,
        },
        NewExtent { stream: StreamId(6), leader_epoch: 0, range: Offset(0)..Offset(1), bytes: 70 },
    ];
    let upload = NewObject {
        number: 3,
        total_bytes: 24_576,
        index: 20_480..24_000,
        extents: extents.clone(),
        checkpoints: vec![(StreamId(5), Offset(1_016))],
    };
    let replaced = Replaced {
        stream: StreamId(5),
        range: Offset(1_000)..Offset(1_016),
        objects: vec![
            ObjectName::Wal { node: NodeId(1), epoch, slot: Slot(9) },
            ObjectName::Data { epoch, number: 2 },
        ],
    };
    let object = Registration { slot: Slot(9), total_bytes: 24_576, index: 20_480..24_000, extents };
    let register = Register {
        node: NodeId(1),
        address: "h:9092".to_owned(),
        internal: "i:9099".to_owned(),
        process: ProcessId(Uuid::from_u128(7)),
    };
    let configs = BTreeMap::from([("retention.ms".to_owned(), "1".to_owned())]);
    let topic = TopicId(Uuid::from_u128(8));
    vec![
        ("UseVersion", Command::UseVersion { version: 1 }),
        ("Register", Command::Register(register)),
        ("Out", Command::Out { epoch }),
        (
            "CloseWal",
            Command::CloseWal {
                epoch,
                fence: Slot(10),
                objects: vec![object.clone()],
                heir: Some(BrokerEpoch(301)),
            },
        ),
        ("TrimWal", Command::TrimWal { epoch, to: Slot(10), objects: vec![object], uploads: vec![] }),
        ("Lead", Command::Lead { leader: epoch, streams: vec![StreamId(5), StreamId(6)] }),
        (
            "CreateTopic",
            Command::CreateTopic { name: "t".to_owned(), topic, partitions: 12, configs, leader: epoch },
        ),
        ("DeleteTopic", Command::DeleteTopic { topic }),
        ("AllocateProducerIds", Command::AllocateProducerIds { count: 1_000 }),
        ("Collected", Command::Collected { objects: vec![ObjectId(1), ObjectId(300)] }),
        (
            "TrimWal, gathered",
            Command::TrimWal { epoch, to: Slot(10), objects: vec![], uploads: vec![upload.clone()] },
        ),
        ("Replace", Command::Replace { objects: vec![upload], replaced: vec![replaced] }),
        ("Abandon", Command::Abandon { numbers: vec![1, 300] }),
        ("AdvanceStarts", Command::AdvanceStarts { starts: vec![(StreamId(5), Offset(1_016))] }),
        (
            "AlterTopic",
            Command::AlterTopic {
                topic,
                set: BTreeMap::from([("retention.ms".to_owned(), "1".to_owned())]),
                unset: BTreeSet::from(["segment.ms".to_owned()]),
            },
        ),
        ("AddPartitions", Command::AddPartitions { topic, partitions: 24, leader: epoch }),
        (
            "AlterConfigs",
            Command::AlterConfigs {
                resource: Resource { kind: 32, name: "g".to_owned() },
                set: BTreeMap::from([("consumer.session.timeout.ms".to_owned(), "1".to_owned())]),
                unset: BTreeSet::from(["consumer.heartbeat.interval.ms".to_owned()]),
            },
        ),
    ]
}

fn refusals() -> Vec<Refusal> {
    let (epoch, slot, stream) = (BrokerEpoch(300), Slot(9), StreamId(5));
    let (topic, process) = (TopicId(Uuid::from_u128(8)), ProcessId(Uuid::from_u128(7)));
    vec![
        Refusal::NoVersion,
        Refusal::VersionInUse { used: 1 },
        Refusal::EpochOut { epoch },
        Refusal::NotRegistered,
        Refusal::Forgotten { number: 2 },
        Refusal::NodeLive { epoch, internal: "i:9099".to_owned(), process },
        Refusal::UnknownBroker { epoch },
        Refusal::CannotLead { epoch },
        Refusal::NotYourWal { epoch },
        Refusal::WalClosed { fence: slot },
        Refusal::FenceVoid { trim: slot },
        Refusal::TrimBackward { trim: slot },
        Refusal::SlotMissing { expected: slot },
        Refusal::InvalidObject { slot },
        Refusal::UnknownStream { stream },
        Refusal::NotAtEnd { stream, ends: Offset(2), begins: Offset(3) },
        Refusal::HasLeader { stream, leader: epoch },
        Refusal::TopicExists { topic },
        Refusal::TopicCollides { existing: "a.b".to_owned() },
        Refusal::TopicIdInUse,
        Refusal::UnknownTopic,
        Refusal::InvalidTopicName,
        Refusal::InvalidTopicId,
        Refusal::InvalidPartitions { most: 4 },
        Refusal::ConfigsTooLong { most_bytes: 5 },
        Refusal::InvalidCount { most: 6 },
        Refusal::ObjectSettled { number: 7 },
        Refusal::InvalidUpload { number: 8 },
        Refusal::NotTiled { stream },
        Refusal::NotInVersion { needed: 2, used: 1 },
        Refusal::NotMorePartitions { has: 4 },
        Refusal::TooManyConfigs { most_bytes: 5 },
    ]
}

fn check(lines: impl Iterator<Item = String>, expected: &Expect) {
    expected.assert_eq(&lines.collect::<Vec<_>>().join("\n"));
}

#[test]
fn commands_are_written_as_they_always_were() {
    let lines = commands().into_iter().map(|(name, command)| {
        let envelope = Envelope { sender: Sender::Broker(BrokerEpoch(300)), number: 2, command };
        let bytes = encode_envelope(&envelope);
        assert_eq!(decode_envelope(&bytes).as_ref(), Ok(&envelope));
        format!("{name} {}", hex(&bytes))
    });
    check(
        lines,
        &expect![[r#"
            UseVersion 08ac02180222020801
            Register 08ac0218022a2408011206683a393039321a06693a39303939221000000000000000000000000000000007
            Out 08ac021802320308ac02
            CloseWal 08ac0218023a2d08ac02100a1a2308091080c0011880a00120c01b2a020506320201003a03e80700420210014a03807d4620ad02
            TrimWal 08ac021802422a08ac02100a1a2308091080c0011880a00120c01b2a020506320201003a03e80700420210014a03807d46
            Lead 08ac0218024a0708ac0212020506
            CreateTopic 08ac021802522d0a0174121000000000000000000000000000000008180c22110a0c726574656e74696f6e2e6d7312013128ac02
            DeleteTopic 08ac0218025a120a1000000000000000000000000000000008
            AllocateProducerIds 08ac021802620308e807
            Collected 08ac0218026a050a0301ac02
            TrimWal, gathered 08ac021802423108ac02100a222a08031080c0011880a00120c01b2a020506320201003a03e80700420210014a03807d465201055a02f807
            Replace 08ac02180272430a2a08031080c0011880a00120c01b2a020506320201003a03e80700420210014a03807d465201055a02f8071215080510e8071810220202002a04ac02ac0232020902
            Abandon 08ac0218027a050a0301ac02
            AdvanceStarts 08ac0218028201070a01051202f807
            AlterTopic 08ac0218028a01310a100000000000000000000000000000000812110a0c726574656e74696f6e2e6d731201311a0a7365676d656e742e6d73
            AddPartitions 08ac0218029201170a1000000000000000000000000000000008101818ac02
            AlterConfigs 08ac0218029a014708201201671a200a1b636f6e73756d65722e73657373696f6e2e74696d656f75742e6d73120131221e636f6e73756d65722e6865617274626561742e696e74657276616c2e6d73"#]],
    );
    let process = Sender::Process(ProcessId(Uuid::from_u128(7)));
    let envelope = Envelope { sender: process, number: 0, command: Command::Out { epoch: BrokerEpoch(1) } };
    let entry = encode_entry([encode_envelope(&envelope).as_slice()].into_iter());
    assert_eq!(decode_entry(&entry), Ok(vec![envelope]));
    expect!["4c564a4501000000487b04ce180000000a1612100000000000000000000000000000000732020801"]
        .assert_eq(&hex(&entry));
}

#[test]
fn answers_are_written_as_they_always_were() {
    let answers = [
        Answer::Done,
        Answer::Registered { epoch: BrokerEpoch(300) },
        Answer::TopicCreated { first: StreamId(5) },
        Answer::ProducerIds { first: 0 },
        Answer::Trimmed { left_out: 0 },
        Answer::Replaced { left_out: 1 },
    ];
    let lines = answers.into_iter().chain(refusals().into_iter().map(Answer::Refused)).map(|answer| {
        let bytes = encode_answer(&answer);
        assert_eq!(decode_answer(&bytes).as_ref(), Ok(&answer));
        format!("{answer:?} {}", hex(&bytes))
    });
    check(
        lines,
        &expect![[r#"
            Done 0801
            Registered { epoch: BrokerEpoch(300) } 10ac02
            TopicCreated { first: StreamId(5) } 1805
            ProducerIds { first: 0 } 2000
            Trimmed { left_out: 0 } 2800
            Replaced { left_out: 1 } 3801
            Refused(NoVersion) 32020801
            Refused(VersionInUse { used: 1 }) 32050802120101
            Refused(EpochOut { epoch: BrokerEpoch(300) }) 320608031202ac02
            Refused(NotRegistered) 32020804
            Refused(Forgotten { number: 2 }) 32050805120102
            Refused(NodeLive { epoch: BrokerEpoch(300), internal: "i:9099", process: ProcessId(00000000-0000-0000-0000-000000000007) }) 322008061202ac021a06693a39303939221000000000000000000000000000000007
            Refused(UnknownBroker { epoch: BrokerEpoch(300) }) 320608071202ac02
            Refused(CannotLead { epoch: BrokerEpoch(300) }) 320608081202ac02
            Refused(NotYourWal { epoch: BrokerEpoch(300) }) 320608091202ac02
            Refused(WalClosed { fence: Slot(9) }) 3205080a120109
            Refused(FenceVoid { trim: Slot(9) }) 3205080b120109
            Refused(TrimBackward { trim: Slot(9) }) 3205080c120109
            Refused(SlotMissing { expected: Slot(9) }) 3205080d120109
            Refused(InvalidObject { slot: Slot(9) }) 3205080e120109
            Refused(UnknownStream { stream: StreamId(5) }) 3205080f120105
            Refused(NotAtEnd { stream: StreamId(5), ends: Offset(2), begins: Offset(3) }) 320708101203050203
            Refused(HasLeader { stream: StreamId(5), leader: BrokerEpoch(300) }) 32070811120305ac02
            Refused(TopicExists { topic: TopicId(00000000-0000-0000-0000-000000000008) }) 32140812221000000000000000000000000000000008
            Refused(TopicCollides { existing: "a.b" }) 320708131a03612e62
            Refused(TopicIdInUse) 32020814
            Refused(UnknownTopic) 32020815
            Refused(InvalidTopicName) 32020816
            Refused(InvalidTopicId) 32020817
            Refused(InvalidPartitions { most: 4 }) 32050818120104
            Refused(ConfigsTooLong { most_bytes: 5 }) 32050819120105
            Refused(InvalidCount { most: 6 }) 3205081a120106
            Refused(ObjectSettled { number: 7 }) 3205081b120107
            Refused(InvalidUpload { number: 8 }) 3205081c120108
            Refused(NotTiled { stream: StreamId(5) }) 3205081d120105
            Refused(NotInVersion { needed: 2, used: 1 }) 3206081e12020201
            Refused(NotMorePartitions { has: 4 }) 3205081f120104
            Refused(TooManyConfigs { most_bytes: 5 }) 32050820120105"#]],
    );
}

#[test]
fn a_snapshot_is_written_as_it_always_was() {
    let (mut state, mut reader) = (State::default(), Reader::default());
    // One of a journal that is yet by the first rules.
    state.apply(&reader.first_of(1));
    let process = Sender::Process(ProcessId(Uuid::from_u128(7)));
    for (_, command) in commands() {
        let sender =
            if matches!(command, Command::Register(_)) { process } else { Sender::Broker(BrokerEpoch(1)) };
        let command = match command {
            Command::CreateTopic { name, topic, configs, .. } => {
                Command::CreateTopic { name, topic, partitions: 2, configs, leader: BrokerEpoch(1) }
            }
            Command::UseVersion { .. }
            | Command::Lead { .. }
            | Command::DeleteTopic { .. }
            | Command::Collected { .. }
            | Command::Replace { .. }
            | Command::Abandon { .. }
            | Command::AdvanceStarts { .. }
            | Command::AlterTopic { .. }
            | Command::AddPartitions { .. }
            | Command::AlterConfigs { .. } => continue,
            Command::TrimWal { uploads, .. } if !uploads.is_empty() => continue,
            other => other,
        };
        state.apply(&reader.envelope(sender, command));
    }
    let extents = (0..2).map(|stream| NewExtent {
        stream: StreamId(stream),
        leader_epoch: 0,
        range: Offset(0)..Offset(7),
        bytes: 700,
    });
    let object =
        Registration { slot: Slot(0), total_bytes: 8_192, index: 5_000..5_100, extents: extents.collect() };
    let empty = Registration { slot: Slot(1), extents: vec![], ..object.clone() };
    let upload = NewObject {
        number: 2,
        total_bytes: 9_000,
        index: 8_000..9_000,
        extents: vec![NewExtent {
            stream: StreamId(1),
            leader_epoch: 0,
            range: Offset(7)..Offset(9),
            bytes: 100,
        }],
        checkpoints: vec![(StreamId(0), Offset(7))],
    };
    let objects = vec![object, empty];
    let trim = Command::TrimWal { epoch: BrokerEpoch(1), to: Slot(2), objects, uploads: vec![upload] };
    let answer = state.apply(&reader.envelope(Sender::Broker(BrokerEpoch(1)), trim));
    assert_eq!(answer, Answer::Trimmed { left_out: 0 });
    let fences = BTreeMap::from([(Epoch(0), Slot(0)), (Epoch(1), Slot(4))]);
    let bytes = encode_snapshot(&head(), &fences, &state);
    assert_eq!(decode_snapshot(&bytes), Ok(Snapshot { head: head(), fences, state }));
    expect!["4c56534e010000004d2d2001000000000000000000000000000000000000000102000000000000000300000000000000000000000000000000000000000000044501000000000000080110081802200328e807322b0801122408011206683a393039321a06693a393039392210000000000000000000000000000000072201023a06080110011802424d0a10000000000000000000000000000000081201741a110a0c726574656e74696f6e2e6d73120131221010013201073a02bc0542010048075002221108011001320207023a03bc0564420200044a140a01001201021a0100220280402a028827320164520d0a01021201021a0102220280405a1b12100000000000000000000000000000000718012201002a0210015a191210000000000000000000000000000010002201002a0208015a360801180722060001010101012a08320608071202ac022a08320608071202ac022a08320608091202ac022a0218002a0220002a02280062006204080110046a150a01041201021a01042202a8462a02c03e3202e8077200"].assert_eq(&hex(&bytes));
}

#[test]
fn a_snapshot_of_version_2_has_more_partitions_and_settings() {
    let (mut state, mut reader) = (State::default(), Reader::default());
    state.apply(&reader.first());
    let (process, broker) = (Sender::Process(ProcessId(Uuid::from_u128(7))), BrokerEpoch(1));
    for (_, command) in commands() {
        let (sender, command) = match command {
            Command::Register(register) => (process, Command::Register(register)),
            Command::CreateTopic { name, topic, configs, .. } => (
                Sender::Broker(broker),
                Command::CreateTopic { name, topic, partitions: 1, configs, leader: broker },
            ),
            Command::AddPartitions { topic, .. } => {
                (Sender::Broker(broker), Command::AddPartitions { topic, partitions: 2, leader: broker })
            }
            alter @ Command::AlterConfigs { .. } => (Sender::Broker(broker), alter),
            _ => continue,
        };
        let answer = state.apply(&reader.envelope(sender, command));
        assert!(!matches!(answer, Answer::Refused(_)), "{answer:?}");
    }
    let bytes = encode_snapshot(&head(), &BTreeMap::new(), &state);
    assert_eq!(decode_snapshot(&bytes), Ok(Snapshot { head: head(), fences: BTreeMap::new(), state }));
    expect!["4c56534e01000000ff0a755b00000000000000000000000000000000000000010200000000000000030000000000000000000000000000000000000000000004ea0000000000000008021005180232280801122408011206683a393039321a06693a393039392210000000000000000000000000000000073a040801100142320a10000000000000000000000000000000081201741a110a0c726574656e74696f6e2e6d73120131220210012204080110014a0052005a1b12100000000000000000000000000000000718012201002a0210015a191210000000000000000000000000000010002201002a0208015a150801180422030001012a0218002a0208012a0208016a0072007a2708201201671a200a1b636f6e73756d65722e73657373696f6e2e74696d656f75742e6d73120131"].assert_eq(&hex(&bytes));
}

#[test]
fn what_a_newer_levee_wrote_is_named_so() {
    let newer = |result: Result<(), CodecError>| assert!(matches!(result, Err(CodecError::Newer { .. })));
    // An envelope of a command with tag 31, which nobody knows.
    newer(decode_envelope(&[0x08, 0x01, 0xfa, 0x01, 0x00]).map(drop));
    let version = Command::UseVersion { version: crate::state::rules::NEWEST_VERSION + 1 };
    let envelope = Envelope { sender: Sender::Broker(BrokerEpoch(1)), number: 0, command: version };
    newer(decode_envelope(&encode_envelope(&envelope)).map(drop));
    newer(decode_answer(&[0x78, 0x01]).map(drop));
    newer(decode_answer(&[0x32, 0x02, 0x08, 0x7f]).map(drop));
    let mut entry = encode_entry(std::iter::empty()).to_vec();
    entry[4] = 9;
    newer(decode_entry(&entry).map(drop));
    let mut snapshot = encode_snapshot(&head(), &BTreeMap::new(), &State::default()).to_vec();
    snapshot[4] = 9;
    newer(decode_snapshot(&snapshot).map(drop));
    let state = State { version: 9, ..State::default() };
    newer(decode_snapshot(&encode_snapshot(&head(), &BTreeMap::new(), &state)).map(drop));
}

#[test]
fn a_snapshot_that_breaks_an_invariant_is_refused_whatever_its_checksum() {
    let wal = crate::state::Wal { node: NodeId(1), trim: Slot(0), fence: None };
    // No command was applied, and yet there is a log that one has opened.
    let state = State { wals: BTreeMap::from([(BrokerEpoch(5), wal)]), ..State::default() };
    let bytes = encode_snapshot(&head(), &BTreeMap::new(), &state);
    assert!(matches!(decode_snapshot(&bytes), Err(CodecError::Malformed { .. })));
}

proptest! {
    #[test]
    fn histories_and_their_states_survive_writing_and_reading(steps in histories(60), cut in 0usize..61) {
        let (whole, applied) = run(&steps);
        let encoded: Vec<_> = applied.iter().map(|(envelope, _)| encode_envelope(envelope)).collect();
        let entry = encode_entry(encoded.iter().map(Vec::as_slice));
        let read = decode_entry(&entry);
        prop_assert_eq!(read.as_ref(), Ok(&applied.iter().map(|(envelope, _)| envelope.clone()).collect()));
        for (_, answer) in &applied {
            let read = decode_answer(&encode_answer(answer));
            prop_assert_eq!(read.as_ref(), Ok(answer));
        }
        // A snapshot in the middle of the history, and the rest applied to what it gives.
        let cut = cut.min(applied.len());
        let mut state = State::default();
        for (envelope, _) in &applied[..cut] {
            state.apply(envelope);
        }
        let fences = BTreeMap::from([(Epoch(0), Slot(0))]);
        let read = decode_snapshot(&encode_snapshot(&head(), &fences, &state));
        prop_assert_eq!(read.as_ref().map(|snapshot| &snapshot.state), Ok(&state));
        let mut state = read.map(|snapshot| snapshot.state).unwrap_or_default();
        for (envelope, answer) in &applied[cut..] {
            prop_assert_eq!(&state.apply(envelope), answer);
        }
        prop_assert_eq!(state, whole);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = (decode_entry(&bytes), decode_envelope(&bytes), decode_answer(&bytes), decode_snapshot(&bytes));
        // Behind a right checksum, too.
        let mut snapshot = encode_snapshot(&head(), &BTreeMap::new(), &State::default()).to_vec();
        snapshot.truncate(64);
        snapshot.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        snapshot.extend_from_slice(&bytes);
        let crc = checksum(&[&snapshot[4..8], &snapshot[12..]]);
        snapshot[8..12].copy_from_slice(&crc.to_le_bytes());
        let _ = decode_snapshot(&snapshot);
        let _ = decode_entry(&encode_entry([bytes.as_slice()].into_iter()));
    }

    #[test]
    fn damage_is_found(steps in histories(30), at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let (state, applied) = run(&steps);
        let encoded: Vec<_> = applied.iter().map(|(envelope, _)| encode_envelope(envelope)).collect();
        let mut entry = encode_entry(encoded.iter().map(Vec::as_slice)).to_vec();
        let mut snapshot = encode_snapshot(&head(), &BTreeMap::new(), &state).to_vec();
        let i = at.index(entry.len());
        entry[i] ^= 1 << bit;
        prop_assert!(decode_entry(&entry).is_err());
        let i = at.index(snapshot.len());
        snapshot[i] ^= 1 << bit;
        prop_assert!(decode_snapshot(&snapshot).is_err());
    }
}
