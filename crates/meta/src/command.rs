//! What can be asked of the cluster's metadata: plain data. What a command does is in `state`, how it is
//! written down in `codec`.

use crate::ids::{ObjectId, ObjectName, ProcessId, TopicId};
use levee_base::{BrokerEpoch, NodeId, Offset, Slot, StreamId};
use std::collections::{BTreeMap, BTreeSet};
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
    /// The sender no longer needs the objects of its log below `to`: registers what stays in them, and the objects
    /// that the rest was gathered into. Together they continue their streams.
    TrimWal {
        /// The sender's own.
        epoch: BrokerEpoch,
        /// The first slot that is kept.
        to: Slot,
        /// Every slot from the trim point up to `to`, in order. Without extents an object is garbage.
        objects: Vec<Registration>,
        /// What was gathered.
        uploads: Vec<NewObject>,
    },
    /// Puts objects that the sender compacted in the place of parts of streams. A stream that is gone, or whose
    /// extents are others by now, is left out, and the rest goes on.
    Replace {
        /// The objects. Their extents tile what is replaced.
        objects: Vec<NewObject>,
        /// What is replaced.
        replaced: Vec<Replaced>,
    },
    /// The sender will never commit the objects of these numbers: they are garbage, if they exist.
    Abandon {
        /// Their numbers.
        numbers: Vec<u64>,
    },
    /// Streams begin later: retention, and `DeleteRecords`. Who begins there or later already stays.
    AdvanceStarts {
        /// Where each begins now. May lie above what is registered: then that is dropped when it comes.
        starts: Vec<(StreamId, Offset)>,
    },
    /// Changes a topic's settings.
    AlterTopic {
        /// Which.
        topic: TopicId,
        /// These get these values. Opaque here: the broker checks them.
        set: BTreeMap<String, String>,
        /// These go back to their defaults.
        unset: BTreeSet<String>,
    },
    /// Gives a topic more partitions. From version 2 on.
    AddPartitions {
        /// Which.
        topic: TopicId,
        /// How many it has then.
        partitions: u32,
        /// Who leads the new ones.
        leader: BrokerEpoch,
    },
    /// Changes the settings of a resource that is no topic. One without settings is not kept. From version 2 on.
    AlterConfigs {
        /// Which.
        resource: Resource,
        /// These get these values. Opaque here: the broker checks them.
        set: BTreeMap<String, String>,
        /// These go back to their defaults.
        unset: BTreeSet<String>,
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

/// Something that has settings and is no topic: brokers, groups.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    /// What it is. Opaque here: the broker has the numbers.
    pub kind: u32,
    /// Its name; empty where the kind has defaults for all of them.
    pub name: String,
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

/// An object that the sender gathered or compacted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewObject {
    /// Its number among those that its maker's epoch makes. Settled once: committed or abandoned.
    pub number: u64,
    /// Its length.
    pub total_bytes: u64,
    /// Where in it its index is, in bytes.
    pub index: Range<u64>,
    /// What it holds.
    pub extents: Vec<NewExtent>,
    /// Whose other state it holds, and as of which offset.
    pub checkpoints: Vec<(StreamId, Offset)>,
}

/// A part of a stream that was written anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// Which stream.
    pub stream: StreamId,
    /// Which offsets: where an extent begins, and where one ends.
    pub range: Range<Offset>,
    /// What holds them until now, in the order of the extents.
    pub objects: Vec<ObjectName>,
}

/// A run of one stream's offsets within an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewExtent {
    /// Which stream.
    pub stream: StreamId,
    /// Under which of its leaders it was written. Not looked at when it replaces others.
    pub leader_epoch: u32,
    /// Which offsets; not empty.
    pub range: Range<Offset>,
    /// How many bytes of batches.
    pub bytes: u64,
}
