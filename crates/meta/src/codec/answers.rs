//! Answers and refusals to and from their messages. A refusal's code is never given another meaning.

use super::{CodecError, uuid, wire};
use crate::answer::{Answer, Refusal};
use crate::ids::{ProcessId, TopicId};
use levee_base::{BrokerEpoch, Offset, Slot, StreamId};
use prost::Message;
use wire::AnswerKind;

/// Writes an answer.
#[must_use]
pub fn encode_answer(answer: &Answer) -> Vec<u8> {
    answer_to(answer).encode_to_vec()
}

/// Reads an answer.
///
/// # Errors
/// `Newer` and `Malformed`.
pub fn decode_answer(bytes: &[u8]) -> Result<Answer, CodecError> {
    answer_from(wire::Answer::decode(bytes).map_err(CodecError::malformed)?)
}

pub(super) fn answer_to(answer: &Answer) -> wire::Answer {
    let kind = match answer {
        Answer::Done => AnswerKind::Done(true),
        Answer::Registered { epoch } => AnswerKind::Registered(epoch.0),
        Answer::TopicCreated { first } => AnswerKind::TopicCreated(first.0),
        Answer::ProducerIds { first } => AnswerKind::ProducerIds(*first),
        Answer::Trimmed { left_out } => AnswerKind::Trimmed(*left_out),
        Answer::Replaced { left_out } => AnswerKind::Replaced(*left_out),
        Answer::Refused(refusal) => AnswerKind::Refused(refusal_to(refusal)),
    };
    wire::Answer { kind: Some(kind) }
}

pub(super) fn answer_from(answer: wire::Answer) -> Result<Answer, CodecError> {
    let unknown = || CodecError::Newer { what: "an answer of an unknown kind".to_owned() };
    Ok(match answer.kind.ok_or_else(unknown)? {
        AnswerKind::Done(_) => Answer::Done,
        AnswerKind::Registered(epoch) => Answer::Registered { epoch: BrokerEpoch(epoch) },
        AnswerKind::TopicCreated(first) => Answer::TopicCreated { first: StreamId(first) },
        AnswerKind::ProducerIds(first) => Answer::ProducerIds { first },
        AnswerKind::Trimmed(left_out) => Answer::Trimmed { left_out },
        AnswerKind::Replaced(left_out) => Answer::Replaced { left_out },
        AnswerKind::Refused(refusal) => Answer::Refused(refusal_from(&refusal)?),
    })
}

fn refusal_to(refusal: &Refusal) -> wire::Refusal {
    let plain =
        |code, numbers: &[u64]| wire::Refusal { code, numbers: numbers.to_vec(), ..Default::default() };
    match refusal {
        Refusal::NoVersion => plain(1, &[]),
        Refusal::VersionInUse { used } => plain(2, &[u64::from(*used)]),
        Refusal::EpochOut { epoch } => plain(3, &[epoch.0]),
        Refusal::NotRegistered => plain(4, &[]),
        Refusal::Forgotten { number } => plain(5, &[*number]),
        Refusal::NodeLive { epoch, internal, process } => wire::Refusal {
            text: internal.clone(),
            id: process.0.as_bytes().to_vec(),
            ..plain(6, &[epoch.0])
        },
        Refusal::UnknownBroker { epoch } => plain(7, &[epoch.0]),
        Refusal::CannotLead { epoch } => plain(8, &[epoch.0]),
        Refusal::NotYourWal { epoch } => plain(9, &[epoch.0]),
        Refusal::WalClosed { fence } => plain(10, &[fence.0]),
        Refusal::FenceVoid { trim } => plain(11, &[trim.0]),
        Refusal::TrimBackward { trim } => plain(12, &[trim.0]),
        Refusal::SlotMissing { expected } => plain(13, &[expected.0]),
        Refusal::InvalidObject { slot } => plain(14, &[slot.0]),
        Refusal::UnknownStream { stream } => plain(15, &[stream.0]),
        Refusal::NotAtEnd { stream, ends, begins } => plain(16, &[stream.0, ends.0, begins.0]),
        Refusal::HasLeader { stream, leader } => plain(17, &[stream.0, leader.0]),
        Refusal::TopicExists { topic } => wire::Refusal { id: topic.0.as_bytes().to_vec(), ..plain(18, &[]) },
        Refusal::TopicCollides { existing } => wire::Refusal { text: existing.clone(), ..plain(19, &[]) },
        Refusal::TopicIdInUse => plain(20, &[]),
        Refusal::UnknownTopic => plain(21, &[]),
        Refusal::InvalidTopicName => plain(22, &[]),
        Refusal::InvalidTopicId => plain(23, &[]),
        Refusal::InvalidPartitions { most } => plain(24, &[u64::from(*most)]),
        Refusal::ConfigsTooLong { most_bytes } => plain(25, &[*most_bytes]),
        Refusal::InvalidCount { most } => plain(26, &[u64::from(*most)]),
        Refusal::ObjectSettled { number } => plain(27, &[*number]),
        Refusal::InvalidUpload { number } => plain(28, &[*number]),
        Refusal::NotTiled { stream } => plain(29, &[stream.0]),
        Refusal::NotInVersion { needed, used } => plain(30, &[u64::from(*needed), u64::from(*used)]),
        Refusal::NotMorePartitions { has } => plain(31, &[u64::from(*has)]),
        Refusal::TooManyConfigs { most_bytes } => plain(32, &[*most_bytes]),
    }
}

fn refusal_from(refusal: &wire::Refusal) -> Result<Refusal, CodecError> {
    let number = |i: usize| {
        let missing = || CodecError::malformed("a refusal lacks a detail");
        refusal.numbers.get(i).copied().ok_or_else(missing)
    };
    let small = |i: usize| number(i).and_then(|n| u32::try_from(n).map_err(CodecError::malformed));
    Ok(match refusal.code {
        1 => Refusal::NoVersion,
        2 => Refusal::VersionInUse { used: small(0)? },
        3 => Refusal::EpochOut { epoch: BrokerEpoch(number(0)?) },
        4 => Refusal::NotRegistered,
        5 => Refusal::Forgotten { number: number(0)? },
        6 => Refusal::NodeLive {
            epoch: BrokerEpoch(number(0)?),
            internal: refusal.text.clone(),
            process: ProcessId(uuid(&refusal.id)?),
        },
        7 => Refusal::UnknownBroker { epoch: BrokerEpoch(number(0)?) },
        8 => Refusal::CannotLead { epoch: BrokerEpoch(number(0)?) },
        9 => Refusal::NotYourWal { epoch: BrokerEpoch(number(0)?) },
        10 => Refusal::WalClosed { fence: Slot(number(0)?) },
        11 => Refusal::FenceVoid { trim: Slot(number(0)?) },
        12 => Refusal::TrimBackward { trim: Slot(number(0)?) },
        13 => Refusal::SlotMissing { expected: Slot(number(0)?) },
        14 => Refusal::InvalidObject { slot: Slot(number(0)?) },
        15 => Refusal::UnknownStream { stream: StreamId(number(0)?) },
        16 => Refusal::NotAtEnd {
            stream: StreamId(number(0)?),
            ends: Offset(number(1)?),
            begins: Offset(number(2)?),
        },
        17 => Refusal::HasLeader { stream: StreamId(number(0)?), leader: BrokerEpoch(number(1)?) },
        18 => Refusal::TopicExists { topic: TopicId(uuid(&refusal.id)?) },
        19 => Refusal::TopicCollides { existing: refusal.text.clone() },
        20 => Refusal::TopicIdInUse,
        21 => Refusal::UnknownTopic,
        22 => Refusal::InvalidTopicName,
        23 => Refusal::InvalidTopicId,
        24 => Refusal::InvalidPartitions { most: small(0)? },
        25 => Refusal::ConfigsTooLong { most_bytes: number(0)? },
        26 => Refusal::InvalidCount { most: small(0)? },
        27 => Refusal::ObjectSettled { number: number(0)? },
        28 => Refusal::InvalidUpload { number: number(0)? },
        29 => Refusal::NotTiled { stream: StreamId(number(0)?) },
        30 => Refusal::NotInVersion { needed: small(0)?, used: small(1)? },
        31 => Refusal::NotMorePartitions { has: small(0)? },
        32 => Refusal::TooManyConfigs { most_bytes: number(0)? },
        code => return Err(CodecError::Newer { what: format!("refusal {code}") }),
    })
}
