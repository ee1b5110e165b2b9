//! Envelopes and commands to and from their messages.

use super::parts::{
    new_object_from, new_object_to, registration_from, registration_to, replaced_from, replaced_to,
};
use super::{CodecError, rows, uuid, wire};
use crate::command::{Command, Envelope, Register, Resource, Sender};
use crate::ids::{ObjectId, ProcessId, TopicId};
use crate::state::rules::NEWEST_VERSION;
use levee_base::{BrokerEpoch, NodeId, Offset, Slot, StreamId};
use prost::Message;

/// Writes an envelope.
#[must_use]
pub fn encode_envelope(envelope: &Envelope) -> Vec<u8> {
    envelope_to(envelope).encode_to_vec()
}

/// Reads an envelope.
///
/// # Errors
/// `Newer` and `Malformed`.
pub fn decode_envelope(bytes: &[u8]) -> Result<Envelope, CodecError> {
    envelope_from(wire::Envelope::decode(bytes).map_err(CodecError::malformed)?)
}

fn envelope_to(envelope: &Envelope) -> wire::Envelope {
    let (broker, process) = sender_to(envelope.sender);
    let command = Some(command_to(&envelope.command));
    wire::Envelope { broker, process, number: envelope.number, command }
}

pub(super) fn envelope_from(envelope: wire::Envelope) -> Result<Envelope, CodecError> {
    let sender = sender_from(envelope.broker, envelope.process)?;
    let unknown = || CodecError::Newer { what: "a command of an unknown kind".to_owned() };
    let command = command_from(envelope.command.ok_or_else(unknown)?)?;
    Ok(Envelope { sender, number: envelope.number, command })
}

pub(super) fn sender_to(sender: Sender) -> (Option<u64>, Option<Vec<u8>>) {
    match sender {
        Sender::Broker(epoch) => (Some(epoch.0), None),
        Sender::Process(process) => (None, Some(process.0.as_bytes().to_vec())),
    }
}

pub(super) fn sender_from(broker: Option<u64>, process: Option<Vec<u8>>) -> Result<Sender, CodecError> {
    match (broker, process) {
        (Some(epoch), None) => Ok(Sender::Broker(BrokerEpoch(epoch))),
        (None, Some(process)) => Ok(Sender::Process(ProcessId(uuid(&process)?))),
        _ => Err(CodecError::malformed("a sender is either a broker or a process")),
    }
}

fn command_to(command: &Command) -> wire::Command {
    match command {
        Command::UseVersion { version } => wire::Command::UseVersion(wire::UseVersion { version: *version }),
        Command::Register(register) => wire::Command::Register(register_to(register)),
        Command::Out { epoch } => wire::Command::Out(wire::Out { epoch: epoch.0 }),
        Command::CloseWal { epoch, fence, objects, heir } => wire::Command::CloseWal(wire::CloseWal {
            epoch: epoch.0,
            fence: fence.0,
            objects: objects.iter().map(registration_to).collect(),
            heir: heir.map(|heir| heir.0),
        }),
        Command::TrimWal { epoch, to, objects, uploads } => wire::Command::TrimWal(wire::TrimWal {
            epoch: epoch.0,
            to: to.0,
            objects: objects.iter().map(registration_to).collect(),
            uploads: uploads.iter().map(new_object_to).collect(),
        }),
        Command::Replace { objects, replaced } => wire::Command::Replace(wire::Replace {
            objects: objects.iter().map(new_object_to).collect(),
            replaced: replaced.iter().map(replaced_to).collect(),
        }),
        Command::Abandon { numbers } => wire::Command::Abandon(wire::Abandon { numbers: numbers.clone() }),
        Command::AdvanceStarts { starts } => wire::Command::AdvanceStarts(wire::AdvanceStarts {
            streams: starts.iter().map(|(stream, _)| stream.0).collect(),
            starts: starts.iter().map(|(_, start)| start.0).collect(),
        }),
        Command::AlterTopic { topic, set, unset } => wire::Command::AlterTopic(wire::AlterTopic {
            topic: topic.0.as_bytes().to_vec(),
            set: set.clone(),
            unset: unset.iter().cloned().collect(),
        }),
        Command::AddPartitions { topic, partitions, leader } => {
            wire::Command::AddPartitions(wire::AddPartitions {
                topic: topic.0.as_bytes().to_vec(),
                partitions: *partitions,
                leader: leader.0,
            })
        }
        Command::AlterConfigs { resource, set, unset } => wire::Command::AlterConfigs(wire::AlterConfigs {
            kind: resource.kind,
            name: resource.name.clone(),
            set: set.clone(),
            unset: unset.iter().cloned().collect(),
        }),
        Command::Lead { leader, streams } => wire::Command::Lead(wire::Lead {
            leader: leader.0,
            streams: streams.iter().map(|stream| stream.0).collect(),
        }),
        Command::CreateTopic { name, topic, partitions, configs, leader } => {
            wire::Command::CreateTopic(wire::CreateTopic {
                name: name.clone(),
                topic: topic.0.as_bytes().to_vec(),
                partitions: *partitions,
                configs: configs.clone(),
                leader: leader.0,
            })
        }
        Command::DeleteTopic { topic } => {
            wire::Command::DeleteTopic(wire::DeleteTopic { topic: topic.0.as_bytes().to_vec() })
        }
        Command::AllocateProducerIds { count } => {
            wire::Command::AllocateProducerIds(wire::AllocateProducerIds { count: *count })
        }
        Command::Collected { objects } => {
            wire::Command::Collected(wire::Collected { objects: objects.iter().map(|id| id.0).collect() })
        }
    }
}

fn command_from(command: wire::Command) -> Result<Command, CodecError> {
    Ok(match command {
        wire::Command::UseVersion(wire::UseVersion { version }) => {
            if version > NEWEST_VERSION {
                return Err(CodecError::Newer { what: format!("metadata version {version}") });
            }
            Command::UseVersion { version }
        }
        wire::Command::Register(register) => Command::Register(register_from(register)?),
        wire::Command::Out(out) => Command::Out { epoch: BrokerEpoch(out.epoch) },
        wire::Command::CloseWal(close) => Command::CloseWal {
            epoch: BrokerEpoch(close.epoch),
            fence: Slot(close.fence),
            objects: close.objects.into_iter().map(registration_from).collect::<Result<_, _>>()?,
            heir: close.heir.map(BrokerEpoch),
        },
        wire::Command::TrimWal(trim) => Command::TrimWal {
            epoch: BrokerEpoch(trim.epoch),
            to: Slot(trim.to),
            objects: trim.objects.into_iter().map(registration_from).collect::<Result<_, _>>()?,
            uploads: trim.uploads.into_iter().map(new_object_from).collect::<Result<_, _>>()?,
        },
        wire::Command::Replace(replace) => Command::Replace {
            objects: replace.objects.into_iter().map(new_object_from).collect::<Result<_, _>>()?,
            replaced: replace.replaced.into_iter().map(replaced_from).collect::<Result<_, _>>()?,
        },
        wire::Command::Abandon(abandon) => Command::Abandon { numbers: abandon.numbers },
        wire::Command::AdvanceStarts(wire::AdvanceStarts { streams, starts }) => {
            rows([streams.len(), starts.len()])?;
            let starts = streams.into_iter().zip(starts);
            Command::AdvanceStarts {
                starts: starts.map(|(stream, start)| (StreamId(stream), Offset(start))).collect(),
            }
        }
        wire::Command::AlterTopic(alter) => Command::AlterTopic {
            topic: TopicId(uuid(&alter.topic)?),
            set: alter.set,
            unset: alter.unset.into_iter().collect(),
        },
        wire::Command::AddPartitions(add) => Command::AddPartitions {
            topic: TopicId(uuid(&add.topic)?),
            partitions: add.partitions,
            leader: BrokerEpoch(add.leader),
        },
        wire::Command::AlterConfigs(alter) => Command::AlterConfigs {
            resource: Resource { kind: alter.kind, name: alter.name },
            set: alter.set,
            unset: alter.unset.into_iter().collect(),
        },
        wire::Command::Lead(lead) => Command::Lead {
            leader: BrokerEpoch(lead.leader),
            streams: lead.streams.into_iter().map(StreamId).collect(),
        },
        wire::Command::CreateTopic(create) => Command::CreateTopic {
            name: create.name,
            topic: TopicId(uuid(&create.topic)?),
            partitions: create.partitions,
            configs: create.configs,
            leader: BrokerEpoch(create.leader),
        },
        wire::Command::DeleteTopic(delete) => Command::DeleteTopic { topic: TopicId(uuid(&delete.topic)?) },
        wire::Command::AllocateProducerIds(allocate) => {
            Command::AllocateProducerIds { count: allocate.count }
        }
        wire::Command::Collected(collected) => {
            Command::Collected { objects: collected.objects.into_iter().map(ObjectId).collect() }
        }
    })
}

pub(super) fn register_to(register: &Register) -> wire::Register {
    wire::Register {
        node: register.node.0,
        address: register.address.clone(),
        internal: register.internal.clone(),
        process: register.process.0.as_bytes().to_vec(),
    }
}

pub(super) fn register_from(register: wire::Register) -> Result<Register, CodecError> {
    let process = ProcessId(uuid(&register.process)?);
    let wire::Register { node, address, internal, .. } = register;
    Ok(Register { node: NodeId(node), address, internal, process })
}
