//! What a command is answered with: plain data. Refusals are precise here; the broker maps them to Kafka's
//! error codes.

use crate::ids::{ProcessId, TopicId};
use levee_base::{BrokerEpoch, Offset, Slot, StreamId};

/// The answer to a command.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Answer {
    /// It is done, or was already so.
    Done,
    /// To `Register`.
    Registered {
        /// The broker's epoch, and its write-ahead log's.
        epoch: BrokerEpoch,
    },
    /// To `CreateTopic`. The partitions' streams are numbered upward from this one.
    TopicCreated {
        /// Partition 0's stream.
        first: StreamId,
    },
    /// To `AllocateProducerIds`.
    ProducerIds {
        /// The first of those that were asked for; the others follow it.
        first: u64,
    },
    /// To `TrimWal` and `CloseWal`.
    Trimmed {
        /// How many extents were left out, as their topic is deleted or their stream has another leader.
        left_out: u32,
    },
    /// To `Replace`.
    Replaced {
        /// How many parts were left out, as their stream is gone or held by other objects by now.
        left_out: u32,
    },
    /// It was refused; nothing changed.
    Refused(Refusal),
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// The journal doesn't say yet by which rules it goes.
    #[error("the journal has no version yet")]
    NoVersion,
    /// The version asked for is below the one in use.
    #[error("version {used} is in use, and versions only go up")]
    VersionInUse {
        /// The one in use.
        used: u32,
    },
    /// The sender's epoch is out: it must register again.
    #[error("broker epoch {epoch} is out; register again")]
    EpochOut {
        /// The sender's.
        epoch: BrokerEpoch,
    },
    /// Only a registered broker may ask for this.
    #[error("only a registered broker may ask for this")]
    NotRegistered,
    /// A repeat so late that its answer is forgotten. It is not applied again.
    #[error("command {number} is so old that its answer is forgotten")]
    Forgotten {
        /// Its number.
        number: u64,
    },
    /// The node id is taken by a live broker.
    #[error("the node id is held by broker epoch {epoch} (process {process}, internal address {internal:?})")]
    NodeLive {
        /// Who holds it.
        epoch: BrokerEpoch,
        /// Where it can be dialled.
        internal: String,
        /// Which run of the program it is.
        process: ProcessId,
    },
    /// No broker ever had this epoch.
    #[error("there was never a broker epoch {epoch}")]
    UnknownBroker {
        /// The one that was named.
        epoch: BrokerEpoch,
    },
    /// The broker that is to lead is out, or its log is closed.
    #[error("broker epoch {epoch} can't lead: it is out, or its write-ahead log is closed")]
    CannotLead {
        /// The one that was named.
        epoch: BrokerEpoch,
    },
    /// A log is trimmed by its own broker only.
    #[error("the write-ahead log of broker epoch {epoch} is trimmed by its own broker only")]
    NotYourWal {
        /// Whose it is.
        epoch: BrokerEpoch,
    },
    /// The log is closed.
    #[error("the write-ahead log is closed at slot {fence}")]
    WalClosed {
        /// Where it ends.
        fence: Slot,
    },
    /// The trim point lies above the fence: the fence is void.
    #[error("the write-ahead log is trimmed to slot {trim}, above the fence: the fence is void")]
    FenceVoid {
        /// The trim point.
        trim: Slot,
    },
    /// A trim point never goes down.
    #[error("the write-ahead log is trimmed to slot {trim} already")]
    TrimBackward {
        /// The trim point.
        trim: Slot,
    },
    /// The objects are not those between the trim point and the new one, each once and in order.
    #[error("slot {expected} is missing from the objects, which must be in order and without gaps")]
    SlotMissing {
        /// The first one that is missing.
        expected: Slot,
    },
    /// An object's numbers contradict each other.
    #[error("the object of slot {slot} contradicts itself: an empty range, or an index outside of it")]
    InvalidObject {
        /// Which.
        slot: Slot,
    },
    /// There was never such a stream.
    #[error("there was never a stream {stream}")]
    UnknownStream {
        /// Which.
        stream: StreamId,
    },
    /// An extent doesn't begin where its stream ends.
    #[error("an extent of stream {stream} begins at {begins}, but the stream ends at {ends}")]
    NotAtEnd {
        /// Which stream.
        stream: StreamId,
        /// Where the stream ends.
        ends: Offset,
        /// Where the extent begins.
        begins: Offset,
    },
    /// The stream has a leader.
    #[error("stream {stream} is led by broker epoch {leader}")]
    HasLeader {
        /// Which stream.
        stream: StreamId,
        /// Its leader.
        leader: BrokerEpoch,
    },
    /// There is a topic of this name.
    #[error("topic exists with id {topic}")]
    TopicExists {
        /// Its id.
        topic: TopicId,
    },
    /// There is a topic whose name differs only in `.` and `_`, which metrics can't tell apart.
    #[error("the name collides with topic {existing:?}: '.' and '_' count as the same")]
    TopicCollides {
        /// Its name.
        existing: String,
    },
    /// There is a topic of this id.
    #[error("the topic id is in use")]
    TopicIdInUse,
    /// There is no such topic.
    #[error("there is no such topic")]
    UnknownTopic,
    /// Not a topic's name.
    #[error("a topic's name is 1 to 249 of A-Z a-z 0-9 . _ - and neither '.' nor '..'")]
    InvalidTopicName,
    /// Not a topic's id.
    #[error("a topic's id is not all zeros")]
    InvalidTopicId,
    /// Too few or too many partitions.
    #[error("a topic has 1 to {most} partitions")]
    InvalidPartitions {
        /// The most it can have.
        most: u32,
    },
    /// The settings are too long.
    #[error("a topic's settings take at most {most_bytes} bytes")]
    ConfigsTooLong {
        /// The most they can take.
        most_bytes: u64,
    },
    /// An object's number was committed or abandoned before, or too many below it were not.
    #[error(
        "object number {number} can't be committed: it was settled before, or too many before it were not"
    )]
    ObjectSettled {
        /// Which.
        number: u64,
    },
    /// A new object's numbers contradict each other.
    #[error("object {number} contradicts itself: an empty range, or an index outside of it")]
    InvalidUpload {
        /// Which.
        number: u64,
    },
    /// What replaces a part of a stream does not hold exactly its offsets.
    #[error("the new extents of stream {stream} are not exactly what is replaced")]
    NotTiled {
        /// Which stream.
        stream: StreamId,
    },
    /// The command came with a version that the journal doesn't have yet.
    #[error("this needs version {needed} of the metadata, and {used} is in use")]
    NotInVersion {
        /// The one it came with.
        needed: u32,
        /// The one in use.
        used: u32,
    },
    /// A topic never loses partitions.
    #[error("the topic has {has} partitions already")]
    NotMorePartitions {
        /// How many it has.
        has: u32,
    },
    /// The settings of all that is no topic are too long together.
    #[error("the settings of brokers, groups and the like take at most {most_bytes} bytes together")]
    TooManyConfigs {
        /// The most they can take.
        most_bytes: u64,
    },
    /// Too few or too many producer ids at once, or none are left.
    #[error("producer ids come in blocks of 1 to {most}")]
    InvalidCount {
        /// The most at once.
        most: u32,
    },
}
