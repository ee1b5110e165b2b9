//! The messages as they are written: protobuf, the structs written by hand. A tag is never given another
//! meaning, and never used again. What is numerous is written in columns, as packed lists: half the bytes.
//!
//! A reader passes over fields that it doesn't know, so a new field may only be written once the journal's
//! version says that every reader knows it. A new kind of command or answer stops a reader that doesn't know it.

use prost::{Message, Oneof};

#[derive(Clone, PartialEq, Message)]
pub(super) struct Entry {
    #[prost(message, repeated, tag = "1")]
    pub(super) envelopes: Vec<Envelope>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Envelope {
    #[prost(uint64, optional, tag = "1")]
    pub(super) broker: Option<u64>,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub(super) process: Option<Vec<u8>>,
    #[prost(uint64, tag = "3")]
    pub(super) number: u64,
    #[prost(oneof = "Command", tags = "4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19")]
    pub(super) command: Option<Command>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Command {
    #[prost(message, tag = "4")]
    UseVersion(UseVersion),
    #[prost(message, tag = "5")]
    Register(Register),
    #[prost(message, tag = "6")]
    Out(Out),
    #[prost(message, tag = "7")]
    CloseWal(CloseWal),
    #[prost(message, tag = "8")]
    TrimWal(TrimWal),
    #[prost(message, tag = "9")]
    Lead(Lead),
    #[prost(message, tag = "10")]
    CreateTopic(CreateTopic),
    #[prost(message, tag = "11")]
    DeleteTopic(DeleteTopic),
    #[prost(message, tag = "12")]
    AllocateProducerIds(AllocateProducerIds),
    #[prost(message, tag = "13")]
    Collected(Collected),
    #[prost(message, tag = "14")]
    Replace(Replace),
    #[prost(message, tag = "15")]
    Abandon(Abandon),
    #[prost(message, tag = "16")]
    AdvanceStarts(AdvanceStarts),
    #[prost(message, tag = "17")]
    AlterTopic(AlterTopic),
    #[prost(message, tag = "18")]
    AddPartitions(AddPartitions),
    #[prost(message, tag = "19")]
    AlterConfigs(AlterConfigs),
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct UseVersion {
    #[prost(uint32, tag = "1")]
    pub(super) version: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Register {
    #[prost(uint32, tag = "1")]
    pub(super) node: u32,
    #[prost(string, tag = "2")]
    pub(super) address: String,
    #[prost(string, tag = "3")]
    pub(super) internal: String,
    #[prost(bytes = "vec", tag = "4")]
    pub(super) process: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Out {
    #[prost(uint64, tag = "1")]
    pub(super) epoch: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CloseWal {
    #[prost(uint64, tag = "1")]
    pub(super) epoch: u64,
    #[prost(uint64, tag = "2")]
    pub(super) fence: u64,
    #[prost(message, repeated, tag = "3")]
    pub(super) objects: Vec<Registration>,
    #[prost(uint64, optional, tag = "4")]
    pub(super) heir: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TrimWal {
    #[prost(uint64, tag = "1")]
    pub(super) epoch: u64,
    #[prost(uint64, tag = "2")]
    pub(super) to: u64,
    #[prost(message, repeated, tag = "3")]
    pub(super) objects: Vec<Registration>,
    #[prost(message, repeated, tag = "4")]
    pub(super) uploads: Vec<NewObject>,
}

/// The extents are the rows of the first five columns, the checkpoints those of the last two.
#[derive(Clone, PartialEq, Message)]
pub(super) struct NewObject {
    #[prost(uint64, tag = "1")]
    pub(super) number: u64,
    #[prost(uint64, tag = "2")]
    pub(super) total_bytes: u64,
    #[prost(uint64, tag = "3")]
    pub(super) index_start: u64,
    #[prost(uint64, tag = "4")]
    pub(super) index_bytes: u64,
    #[prost(uint64, repeated, tag = "5")]
    pub(super) streams: Vec<u64>,
    #[prost(uint32, repeated, tag = "6")]
    pub(super) leader_epochs: Vec<u32>,
    #[prost(uint64, repeated, tag = "7")]
    pub(super) bases: Vec<u64>,
    #[prost(uint64, repeated, tag = "8")]
    pub(super) counts: Vec<u64>,
    #[prost(uint64, repeated, tag = "9")]
    pub(super) bytes: Vec<u64>,
    #[prost(uint64, repeated, tag = "10")]
    pub(super) checkpoint_streams: Vec<u64>,
    #[prost(uint64, repeated, tag = "11")]
    pub(super) checkpoint_offsets: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Replace {
    #[prost(message, repeated, tag = "1")]
    pub(super) objects: Vec<NewObject>,
    #[prost(message, repeated, tag = "2")]
    pub(super) replaced: Vec<Replaced>,
}

/// The names are the rows of the last three columns. `nodes` holds 0 for an object that is no write-ahead log's, and
/// else the node id plus 1.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Replaced {
    #[prost(uint64, tag = "1")]
    pub(super) stream: u64,
    #[prost(uint64, tag = "2")]
    pub(super) base: u64,
    #[prost(uint64, tag = "3")]
    pub(super) count: u64,
    #[prost(uint64, repeated, tag = "4")]
    pub(super) nodes: Vec<u64>,
    #[prost(uint64, repeated, tag = "5")]
    pub(super) epochs: Vec<u64>,
    #[prost(uint64, repeated, tag = "6")]
    pub(super) numbers: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Abandon {
    #[prost(uint64, repeated, tag = "1")]
    pub(super) numbers: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AdvanceStarts {
    #[prost(uint64, repeated, tag = "1")]
    pub(super) streams: Vec<u64>,
    #[prost(uint64, repeated, tag = "2")]
    pub(super) starts: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AlterTopic {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) topic: Vec<u8>,
    #[prost(btree_map = "string, string", tag = "2")]
    pub(super) set: std::collections::BTreeMap<String, String>,
    #[prost(string, repeated, tag = "3")]
    pub(super) unset: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AddPartitions {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) topic: Vec<u8>,
    #[prost(uint32, tag = "2")]
    pub(super) partitions: u32,
    #[prost(uint64, tag = "3")]
    pub(super) leader: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AlterConfigs {
    #[prost(uint32, tag = "1")]
    pub(super) kind: u32,
    #[prost(string, tag = "2")]
    pub(super) name: String,
    #[prost(btree_map = "string, string", tag = "3")]
    pub(super) set: std::collections::BTreeMap<String, String>,
    #[prost(string, repeated, tag = "4")]
    pub(super) unset: Vec<String>,
}

/// The extents are the rows of the five columns.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Registration {
    #[prost(uint64, tag = "1")]
    pub(super) slot: u64,
    #[prost(uint64, tag = "2")]
    pub(super) total_bytes: u64,
    #[prost(uint64, tag = "3")]
    pub(super) index_start: u64,
    #[prost(uint64, tag = "4")]
    pub(super) index_bytes: u64,
    #[prost(uint64, repeated, tag = "5")]
    pub(super) streams: Vec<u64>,
    #[prost(uint32, repeated, tag = "6")]
    pub(super) leader_epochs: Vec<u32>,
    #[prost(uint64, repeated, tag = "7")]
    pub(super) bases: Vec<u64>,
    #[prost(uint64, repeated, tag = "8")]
    pub(super) counts: Vec<u64>,
    #[prost(uint64, repeated, tag = "9")]
    pub(super) bytes: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Lead {
    #[prost(uint64, tag = "1")]
    pub(super) leader: u64,
    #[prost(uint64, repeated, tag = "2")]
    pub(super) streams: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CreateTopic {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) topic: Vec<u8>,
    #[prost(uint32, tag = "3")]
    pub(super) partitions: u32,
    #[prost(btree_map = "string, string", tag = "4")]
    pub(super) configs: std::collections::BTreeMap<String, String>,
    #[prost(uint64, tag = "5")]
    pub(super) leader: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct DeleteTopic {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) topic: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct AllocateProducerIds {
    #[prost(uint32, tag = "1")]
    pub(super) count: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Collected {
    #[prost(uint64, repeated, tag = "1")]
    pub(super) objects: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Answer {
    #[prost(oneof = "AnswerKind", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub(super) kind: Option<AnswerKind>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum AnswerKind {
    #[prost(bool, tag = "1")]
    Done(bool),
    #[prost(uint64, tag = "2")]
    Registered(u64),
    #[prost(uint64, tag = "3")]
    TopicCreated(u64),
    #[prost(uint64, tag = "4")]
    ProducerIds(u64),
    #[prost(uint32, tag = "5")]
    Trimmed(u32),
    #[prost(message, tag = "6")]
    Refused(Refusal),
    #[prost(uint32, tag = "7")]
    Replaced(u32),
}

/// Which refusal it is, and its details in the order in which `Refusal` declares them.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Refusal {
    #[prost(uint32, tag = "1")]
    pub(super) code: u32,
    #[prost(uint64, repeated, tag = "2")]
    pub(super) numbers: Vec<u64>,
    #[prost(string, tag = "3")]
    pub(super) text: String,
    #[prost(bytes = "vec", tag = "4")]
    pub(super) id: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Snapshot {
    #[prost(uint32, tag = "1")]
    pub(super) version: u32,
    #[prost(uint64, tag = "2")]
    pub(super) position: u64,
    #[prost(uint64, tag = "3")]
    pub(super) next_stream: u64,
    #[prost(uint64, tag = "4")]
    pub(super) next_object: u64,
    #[prost(uint64, tag = "5")]
    pub(super) next_producer_id: u64,
    #[prost(message, repeated, tag = "6")]
    pub(super) brokers: Vec<Broker>,
    #[prost(message, repeated, tag = "7")]
    pub(super) wals: Vec<Wal>,
    #[prost(message, repeated, tag = "8")]
    pub(super) topics: Vec<Topic>,
    #[prost(message, optional, tag = "9")]
    pub(super) objects: Option<Objects>,
    #[prost(message, optional, tag = "10")]
    pub(super) garbage: Option<Objects>,
    #[prost(message, repeated, tag = "11")]
    pub(super) windows: Vec<Window>,
    /// The journal's fences: the slot by the epoch that it ended.
    #[prost(btree_map = "uint64, uint64", tag = "12")]
    pub(super) fences: std::collections::BTreeMap<u64, u64>,
    /// Those that were gathered or compacted, with their numbers for slots.
    #[prost(message, optional, tag = "13")]
    pub(super) data: Option<Objects>,
    #[prost(message, optional, tag = "14")]
    pub(super) data_garbage: Option<Objects>,
    /// Written from version 2 on.
    #[prost(message, repeated, tag = "15")]
    pub(super) resources: Vec<ResourceConfigs>,
}

/// The settings of what is no topic.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ResourceConfigs {
    #[prost(uint32, tag = "1")]
    pub(super) kind: u32,
    #[prost(string, tag = "2")]
    pub(super) name: String,
    #[prost(btree_map = "string, string", tag = "3")]
    pub(super) configs: std::collections::BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Broker {
    #[prost(uint64, tag = "1")]
    pub(super) epoch: u64,
    #[prost(message, optional, tag = "2")]
    pub(super) register: Option<Register>,
    /// All of its objects' numbers below this are settled,
    #[prost(uint64, tag = "3")]
    pub(super) settled_below: u64,
    /// and these.
    #[prost(uint64, repeated, tag = "4")]
    pub(super) settled: Vec<u64>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Wal {
    #[prost(uint64, tag = "1")]
    pub(super) epoch: u64,
    #[prost(uint32, tag = "2")]
    pub(super) node: u32,
    #[prost(uint64, tag = "3")]
    pub(super) trim: u64,
    #[prost(uint64, optional, tag = "4")]
    pub(super) fence: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Topic {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) id: Vec<u8>,
    #[prost(string, tag = "2")]
    pub(super) name: String,
    #[prost(btree_map = "string, string", tag = "3")]
    pub(super) configs: std::collections::BTreeMap<String, String>,
    /// Partition 0 first.
    #[prost(message, repeated, tag = "4")]
    pub(super) streams: Vec<Stream>,
}

/// The extents are the rows of the three columns; `objects` holds each one's id less the one before.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Stream {
    #[prost(uint64, tag = "1")]
    pub(super) id: u64,
    #[prost(uint64, optional, tag = "2")]
    pub(super) leader: Option<u64>,
    #[prost(uint32, tag = "3")]
    pub(super) leader_epoch: u32,
    #[prost(uint64, tag = "4")]
    pub(super) start: u64,
    /// Where the first extent begins, or the end if there is none.
    #[prost(uint64, tag = "5")]
    pub(super) base: u64,
    #[prost(uint64, repeated, tag = "6")]
    pub(super) counts: Vec<u64>,
    #[prost(uint64, repeated, tag = "7")]
    pub(super) bytes: Vec<u64>,
    #[prost(sint64, repeated, tag = "8")]
    pub(super) objects: Vec<i64>,
    /// As of which offset its other state is in `checkpoint_object`.
    #[prost(uint64, optional, tag = "9")]
    pub(super) checkpoint: Option<u64>,
    #[prost(uint64, tag = "10")]
    pub(super) checkpoint_object: u64,
}

/// Objects of one kind, in columns. `ids`, `epochs` and `slots` hold each one's less the one before.
/// How many extents refer to each follows from the streams.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Objects {
    #[prost(sint64, repeated, tag = "1")]
    pub(super) ids: Vec<i64>,
    #[prost(sint64, repeated, tag = "2")]
    pub(super) epochs: Vec<i64>,
    #[prost(sint64, repeated, tag = "3")]
    pub(super) slots: Vec<i64>,
    #[prost(uint64, repeated, tag = "4")]
    pub(super) total_bytes: Vec<u64>,
    /// Empty for garbage.
    #[prost(uint64, repeated, tag = "5")]
    pub(super) index_starts: Vec<u64>,
    /// Empty for garbage.
    #[prost(uint64, repeated, tag = "6")]
    pub(super) index_bytes: Vec<u64>,
}

/// The answers remembered for a sender; `numbers` holds each one's less the one before.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Window {
    #[prost(uint64, optional, tag = "1")]
    pub(super) broker: Option<u64>,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub(super) process: Option<Vec<u8>>,
    #[prost(uint64, tag = "3")]
    pub(super) heard: u64,
    #[prost(uint64, repeated, tag = "4")]
    pub(super) numbers: Vec<u64>,
    #[prost(message, repeated, tag = "5")]
    pub(super) answers: Vec<Answer>,
}
