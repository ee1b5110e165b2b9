//! The cluster's metadata as a pure, deterministic state machine: no I/O, no clock, no randomness, no panic on
//! any command. Every node that applies the same journal has the same state.
//!
//! Each idea has a file of its own, which holds its data, what may be asked of it, and how its commands change
//! it. A command is checked whole before anything is changed, so one that is refused changes nothing but the
//! position and the remembered answers. By which rules commands are applied is itself said in the journal.

pub(crate) mod answers;
pub(crate) mod brokers;
pub(crate) mod configs;
pub mod invariants;
pub(crate) mod objects;
mod producers;
mod replace;
pub mod rules;
pub mod settled;
pub(crate) mod shared;
pub(crate) mod streams;
pub(crate) mod topics;
pub(crate) mod wal_rules;
pub(crate) mod wals;

#[cfg(test)]
pub(crate) mod generate;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

pub use brokers::Broker;
pub use objects::{Garbage, Object};
pub use streams::{Stream, StreamExtent};
pub use topics::{Topic, collision_key, is_topic_name};
pub use wals::Wal;

use crate::answer::{Answer, Refusal};
use crate::command::{Command, Envelope, Sender};
use crate::ids::{ObjectId, TopicId};
use answers::{Answers, Seen};
use configs::Configs;
use levee_base::{BrokerEpoch, StreamId};
use rules::Rules;
use shared::ById;
use std::collections::BTreeMap;
use wal_rules::{Broken, WalRules};

/// All that a cluster knows about itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct State {
    /// By which rules commands are applied; 0 before the journal says it.
    pub(crate) version: u32,
    /// How many commands were applied, the refused and repeated ones too.
    pub(crate) position: u64,
    pub(crate) brokers: BTreeMap<BrokerEpoch, Broker>,
    pub(crate) wals: BTreeMap<BrokerEpoch, Wal>,
    pub(crate) topics: BTreeMap<TopicId, Topic>,
    /// Topics by `topics::collision_key`. Follows from `topics`.
    pub(crate) names: BTreeMap<String, TopicId>,
    pub(crate) streams: BTreeMap<StreamId, Stream>,
    pub(crate) objects: ById<Object>,
    pub(crate) garbage: ById<Garbage>,
    pub(crate) next_stream: StreamId,
    pub(crate) next_object: ObjectId,
    pub(crate) next_producer_id: u64,
    pub(crate) answers: Answers,
    /// The settings of what is no topic.
    pub(crate) configs: Configs,
    /// All of them, outside tests.
    pub(crate) wal_rules: WalRules,
}

impl State {
    /// How many commands were applied. Each state of a cluster's history has another.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// By which rules commands are applied; 0 before the journal says it.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The answer that a command got before, if it was applied and that is remembered.
    #[must_use]
    pub fn answered(&self, envelope: &Envelope) -> Option<&Answer> {
        match self.answers.seen(self.rules(), envelope.sender, envelope.number) {
            Seen::Answered(answer) => Some(answer),
            Seen::Never | Seen::Forgotten => None,
        }
    }

    /// Applies one command and answers it. A repeat changes nothing but the position and gets the first answer.
    pub fn apply(&mut self, envelope: &Envelope) -> Answer {
        let at = self.position;
        self.position += 1;
        let Envelope { sender, number, command } = envelope;
        if let Sender::Broker(epoch) = *sender
            && !self.brokers.contains_key(&epoch)
            && !(matches!(command, Command::TrimWal { .. }) && self.wal_rules.breaks(Broken::TrimOnceOut))
        {
            return Answer::Refused(Refusal::EpochOut { epoch });
        }
        match self.answers.seen(self.rules(), *sender, *number) {
            Seen::Never => {}
            Seen::Answered(answer) => return answer.clone(),
            Seen::Forgotten => return Answer::Refused(Refusal::Forgotten { number: *number }),
        }
        let answer = self.execute(at, *sender, command).unwrap_or_else(Answer::Refused);
        // A broker that has just been put out, by itself even, has no answers kept: all it sends is refused.
        let kept = match sender {
            Sender::Broker(epoch) => self.brokers.contains_key(epoch),
            Sender::Process(_) => true,
        };
        if kept {
            let rules = self.rules();
            self.answers.remember(rules, at, *sender, *number, answer.clone());
        }
        answer
    }

    /// The rules in use.
    fn rules(&self) -> &'static Rules {
        Rules::of(self.version)
    }

    /// Refuses what came with a later version than the one in use.
    fn needs_version(&self, needed: u32) -> Result<(), Refusal> {
        let used = self.version;
        if used < needed { Err(Refusal::NotInVersion { needed, used }) } else { Ok(()) }
    }

    fn execute(&mut self, at: u64, sender: Sender, command: &Command) -> Result<Answer, Refusal> {
        let rules = self.rules();
        if self.version == 0 && !matches!(command, Command::UseVersion { .. }) {
            return Err(Refusal::NoVersion);
        }
        match command {
            Command::UseVersion { version } => self.use_version(*version),
            Command::Register(register) => self.register(at, register),
            Command::Out { epoch } => self.out(*epoch),
            Command::CloseWal { epoch, fence, objects, heir } => {
                self.close_wal(*epoch, *fence, objects, *heir)
            }
            Command::TrimWal { epoch, to, objects, uploads } => {
                self.trim_wal(sender, *epoch, *to, objects, uploads)
            }
            Command::Replace { objects, replaced } => self.replace(sender, objects, replaced),
            Command::Abandon { numbers } => self.abandon(sender, numbers),
            Command::AdvanceStarts { starts } => {
                registered(sender)?;
                self.advance_starts(starts)
            }
            Command::AlterTopic { topic, set, unset } => {
                registered(sender)?;
                self.alter_topic(rules, *topic, set, unset)
            }
            Command::AddPartitions { topic, partitions, leader } => {
                registered(sender)?;
                self.needs_version(2)?;
                self.add_partitions(rules, *topic, *partitions, *leader)
            }
            Command::AlterConfigs { resource, set, unset } => {
                registered(sender)?;
                self.needs_version(2)?;
                self.alter_configs(rules, resource, set, unset)
            }
            Command::Lead { leader, streams } => self.lead(*leader, streams),
            Command::CreateTopic { name, topic, partitions, configs, leader } => {
                registered(sender)?;
                self.create_topic(rules, name, *topic, *partitions, configs, *leader)
            }
            Command::DeleteTopic { topic } => {
                registered(sender)?;
                self.delete_topic(*topic)
            }
            Command::AllocateProducerIds { count } => {
                registered(sender)?;
                self.allocate_producer_ids(rules, *count)
            }
            Command::Collected { objects } => {
                registered(sender)?;
                self.forget_garbage(objects);
                Ok(Answer::Done)
            }
        }
    }

    fn use_version(&mut self, version: u32) -> Result<Answer, Refusal> {
        if version < self.version || version == 0 {
            return Err(Refusal::VersionInUse { used: self.version });
        }
        self.version = version;
        Ok(Answer::Done)
    }
}

/// That a sender is live was seen before; this is about processes that are no brokers.
fn registered(sender: Sender) -> Result<(), Refusal> {
    match sender {
        Sender::Broker(_) => Ok(()),
        Sender::Process(_) => Err(Refusal::NotRegistered),
    }
}
