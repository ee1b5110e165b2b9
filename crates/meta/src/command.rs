//! What can be asked of the cluster's metadata: plain data. What a command does is in `state`, how it is
//! written down in `codec`.

use crate::ids::{ObjectId, ProcessId, TopicId};
use levee_base::{BrokerEpoch, NodeId, Offset, Slot, StreamId};
use std::collections::BTreeMap;
use std::ops::Range;

/// A command with its identity: a repeat of the same sender's same number gets the first answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Who asks.
    pub sender: Sender,
    /// The sender's own count of its commands. It keeps fewer in flight than the state remembers answers.
    pub number: u64,
    /// What is asked.
    pub command: Command,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sender {
    /// A process that has no broker epoch, or whose command must outlive the one it has.
    Process(ProcessId),
    /// A registered broker. Once its epoch is out, all its commands are refused.
    Broker(BrokerEpoch),
}

/// A change to the cluster's metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Chooses the rules by which this command's successors are applied. Only upward.
    UseVersion {
        /// Which.
        version: u32,
    },
    /// A broker comes: opens its write-ahead log. Refused while its node id is live.
    Register(Register),
    /// A broker is gone: from here on each of its commands is refused. Its write-ahead log stays open until it
    /// is closed.
    Out {
        /// Whose.
        epoch: BrokerEpoch,
    },
    /// The log of `epoch` has been fenced at `fence`: registers what lies between its trim point and the fence,
    /// and hands its streams on.
    CloseWal {
        /// Whose log.
        epoch: BrokerEpoch,
        /// Where it ends.
        fence: Slot,
        /// Every slot from the trim point, or from earlier, up to the fence, in order.
        objects: Vec<Registration>,
        /// Who leads its streams from now on. Without one they wait for `Lead`.
        heir: Option<BrokerEpoch>,
    },
    /// The sender no longer needs the objects of its log below `to`: registers them in place.
    TrimWal {
        /// The sender's own.
        epoch: BrokerEpoch,
        /// The first slot that is kept.
        to: Slot,
        /// Every slot from the trim point up to `to`, in order.
        objects: Vec<Registration>,
    },
    /// Makes `leader` the leader of streams that have none. Those deleted meanwhile are passed over.
    Lead {
        /// Who is to lead them.
        leader: BrokerEpoch,
        /// Which streams.
        streams: Vec<StreamId>,
    },
    /// Creates a topic and its streams.
    CreateTopic {
        /// Its name, by Kafka's rules.
        name: String,
        /// Its id, drawn by the sender.
        topic: TopicId,
        /// How many partitions.
        partitions: u32,
        /// The settings that differ from the defaults. Opaque here: the broker checks them.
        configs: BTreeMap<String, String>,
        /// Who leads them.
        leader: BrokerEpoch,
    },
    /// Deletes a topic. Objects that nothing refers to any more become garbage.
    DeleteTopic {
        /// Which.
        topic: TopicId,
    },
    /// Hands out producer ids that nobody ever got before.
    AllocateProducerIds {
        /// How many.
        count: u32,
    },
    /// Forgets garbage whose objects have been deleted from the store. What is no garbage (any more) is passed over.
    Collected {
        /// Which.
        objects: Vec<ObjectId>,
    },
}

/// How a broker introduces itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Register {
    /// Its number in the cluster.
    pub node: NodeId,
    /// `host:port` for Kafka clients.
    pub address: String,
    /// `host:port` for other brokers; who wants its node id dials it. Empty where there is none.
    pub internal: String,
    /// Which run of the program.
    pub process: ProcessId,
}

/// An object of a write-ahead log that becomes part of its streams where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Where in its log.
    pub slot: Slot,
    /// Its length.
    pub total_bytes: u64,
    /// Where in it its index is, in bytes.
    pub index: Range<u64>,
    /// What it holds, in order within each stream.
    pub extents: Vec<NewExtent>,
}

/// A run of one stream's offsets within an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewExtent {
    /// Which stream.
    pub stream: StreamId,
    /// Under which of its leaders it was written.
    pub leader_epoch: u32,
    /// Which offsets; not empty.
    pub range: Range<Offset>,
    /// How many bytes of batches.
    pub bytes: u64,
}
