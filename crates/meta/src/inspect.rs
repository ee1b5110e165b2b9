//! Showing the journal and its snapshots to people: plain structs, read from a store without a broker.
//!
//! It reads what is there and judges nothing: damage is shown beside what is whole. It writes nothing, and its
//! view of a live cluster may be out of date by the time it is shown.

use crate::codec::{self, CodecError};
use crate::command::{Command, Envelope, NewExtent, NewObject, Registration, Sender};
use crate::snapshots::{Snapshots, journal_prefix, position};
use crate::state::State;
use levee_base::limits::LOG_HEADER_BYTES;
use levee_base::{Clock, LogPosition, Random};
use levee_object::log::{Kind, LogHeader};
use levee_object::{Purpose, Result, Store};
use serde::Serialize;
use std::sync::Arc;

/// Keys of one page of a listing.
const PAGE: usize = 1_000;

/// An object of the journal, as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JournalObject {
    /// Its key.
    pub key: String,
    /// Its epoch.
    pub epoch: u64,
    /// Its slot.
    pub slot: u64,
    /// Its length.
    pub bytes: u64,
}

/// An object of the journal, as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JournalEntry {
    /// Its key.
    pub key: String,
    /// Which cluster it says it belongs to.
    pub cluster: String,
    /// Who wrote it.
    pub writer: String,
    /// Its length.
    pub bytes: u64,
    /// What it is.
    pub content: JournalContent,
}

/// What an object of the journal is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum JournalContent {
    /// The end of its epoch. Its writer writes the next one.
    Fence,
    /// Commands, in the order in which they are applied.
    Entry {
        /// The commands.
        commands: Vec<CommandShown>,
    },
    /// It can't be understood.
    Unreadable {
        /// Why.
        error: String,
    },
}

/// A command in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CommandShown {
    /// Who sent it.
    pub sender: String,
    /// The sender's number for it.
    pub number: u64,
    /// Its kind.
    pub command: &'static str,
    /// Its details.
    pub details: String,
}

/// A snapshot, as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SnapshotObject {
    /// Its key.
    pub key: String,
    /// The epoch of the first entry that is not in it.
    pub epoch: u64,
    /// The slot of the first entry that is not in it.
    pub slot: u64,
    /// Its length.
    pub bytes: u64,
}

/// A snapshot, as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SnapshotShown {
    /// Its key.
    pub key: String,
    /// Which cluster it says it belongs to.
    pub cluster: String,
    /// Who wrote it.
    pub writer: String,
    /// The state in it.
    pub state: StateShown,
}

/// A state in plain numbers and words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StateShown {
    /// By which rules commands are applied.
    pub version: u32,
    /// How many commands were applied.
    pub position: u64,
    /// The live brokers.
    pub brokers: Vec<BrokerShown>,
    /// All write-ahead logs.
    pub wals: Vec<WalShown>,
    /// The topics.
    pub topics: Vec<TopicShown>,
    /// What is no topic and has settings.
    pub resources: Vec<ResourceShown>,
    /// Objects that extents refer to.
    pub objects: usize,
    /// Objects that wait to be deleted.
    pub garbage: Vec<String>,
    /// The first producer id that nobody has.
    pub next_producer_id: u64,
}

/// A live broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BrokerShown {
    /// Its epoch.
    pub epoch: u64,
    /// Its number in the cluster.
    pub node: u32,
    /// `host:port` for Kafka clients.
    pub address: String,
    /// `host:port` for other brokers.
    pub internal: String,
    /// Which run of the program.
    pub process: String,
}

/// A write-ahead log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WalShown {
    /// Its epoch.
    pub epoch: u64,
    /// Whose it is.
    pub node: u32,
    /// The first slot that isn't registered.
    pub trim: u64,
    /// Where it ends, once it is closed.
    pub fence: Option<u64>,
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TopicShown {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
    /// The settings that differ from the defaults.
    pub configs: std::collections::BTreeMap<String, String>,
    /// Its partitions.
    pub partitions: Vec<PartitionShown>,
}

/// Something that has settings and is no topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResourceShown {
    /// What it is, by Kafka's number.
    pub kind: u32,
    /// Its name.
    pub name: String,
    /// The settings that differ from the defaults.
    pub configs: std::collections::BTreeMap<String, String>,
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionShown {
    /// Its stream.
    pub stream: u64,
    /// Its leader's epoch as a broker.
    pub leader: Option<u64>,
    /// How many leaders it had before.
    pub leader_epoch: u32,
    /// The first offset kept.
    pub start: u64,
    /// The end of the registered offsets.
    pub end: u64,
    /// Bytes of batches.
    pub bytes: u64,
    /// Its extents: first offset, end offset, object.
    pub extents: Vec<(u64, u64, String)>,
}

/// Lists the journal's entries and fences, in order, from `from` on.
///
/// # Errors
/// The store's.
pub async fn list_journal(store: &dyn Store, from: LogPosition) -> Result<Vec<JournalObject>> {
    let prefix = format!("{}/", journal_prefix());
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = store.list(&prefix, after.as_ref(), PAGE, Purpose::Inspect).await?;
        for object in &page.objects {
            if let Some(at) = position(&prefix, &object.key).filter(|&at| at >= from) {
                let (epoch, slot) = (at.epoch.0, at.slot.0);
                found.push(JournalObject { key: object.key.to_string(), epoch, slot, bytes: object.bytes });
            }
        }
        match page.next() {
            Some(last) => after = Some(last),
            None => return Ok(found),
        }
    }
}

/// Reads an entry or a fence of the journal.
///
/// # Errors
/// The store's. What can't be understood is shown as such.
pub async fn read_entry(store: &dyn Store, at: LogPosition) -> Result<JournalEntry> {
    let key = journal_prefix().join_number(at.epoch.0).join_number(at.slot.0);
    let object = store.get(&key, None, Purpose::Inspect).await?;
    let (key, bytes) = (key.to_string(), object.len() as u64);
    Ok(match LogHeader::decode(&object) {
        Ok(header) => JournalEntry {
            key,
            cluster: header.cluster.to_string(),
            writer: header.writer.to_string(),
            bytes,
            content: content(header.kind, object.get(LOG_HEADER_BYTES..).unwrap_or_default()),
        },
        Err(error) => JournalEntry {
            key,
            cluster: String::new(),
            writer: String::new(),
            bytes,
            content: JournalContent::Unreadable { error: error.to_string() },
        },
    })
}

fn content(kind: Kind, payload: &[u8]) -> JournalContent {
    if kind == Kind::Fence {
        return JournalContent::Fence;
    }
    match codec::decode_entry(payload) {
        Ok(envelopes) => JournalContent::Entry { commands: envelopes.iter().map(show_command).collect() },
        Err(error) => JournalContent::Unreadable { error: error.to_string() },
    }
}

/// Lists the snapshots, oldest first.
///
/// # Errors
/// The store's.
pub async fn list_snapshots(store: &Arc<dyn Store>) -> Result<Vec<SnapshotObject>> {
    let snapshots = Snapshots {
        store: store.clone(),
        clock: Clock::system(),
        random: Random::seeded(0),
        purpose: Purpose::Inspect,
    };
    let show = |(at, bytes): (LogPosition, u64)| SnapshotObject {
        key: Snapshots::key(at).to_string(),
        epoch: at.epoch.0,
        slot: at.slot.0,
        bytes,
    };
    Ok(snapshots.list().await?.into_iter().map(show).collect())
}

/// Reads a snapshot. The inner error says why it can't be understood.
///
/// # Errors
/// The store's.
pub async fn read_snapshot(
    store: &dyn Store,
    at: LogPosition,
) -> Result<std::result::Result<SnapshotShown, CodecError>> {
    let key = Snapshots::key(at);
    let object = store.get(&key, None, Purpose::Inspect).await?;
    Ok(codec::decode_snapshot(&object).map(|snapshot| SnapshotShown {
        key: key.to_string(),
        cluster: snapshot.head.cluster.to_string(),
        writer: snapshot.head.writer.to_string(),
        state: show_state(&snapshot.state),
    }))
}

/// A state in plain numbers and words.
#[must_use]
pub fn show_state(state: &State) -> StateShown {
    let brokers = state.brokers().map(|(epoch, broker)| BrokerShown {
        epoch: epoch.0,
        node: broker.node.0,
        address: broker.address.clone(),
        internal: broker.internal.clone(),
        process: broker.process.to_string(),
    });
    let wals = state.wals().map(|(epoch, wal)| WalShown {
        epoch: epoch.0,
        node: wal.node.0,
        trim: wal.trim.0,
        fence: wal.fence.map(|fence| fence.0),
    });
    let topics = state.topics().map(|(id, topic)| TopicShown {
        name: topic.name.clone(),
        id: id.to_string(),
        configs: topic.configs.clone(),
        partitions: topic.streams.iter().filter_map(|&stream| show_partition(state, stream)).collect(),
    });
    let resources = state.configs.by_resource().iter().map(|(resource, configs)| ResourceShown {
        kind: resource.kind,
        name: resource.name.clone(),
        configs: configs.clone(),
    });
    StateShown {
        version: state.version(),
        position: state.position(),
        brokers: brokers.collect(),
        wals: wals.collect(),
        topics: topics.collect(),
        resources: resources.collect(),
        objects: state.objects().count(),
        garbage: state.garbage().map(|(_, garbage)| garbage.name.key().to_string()).collect(),
        next_producer_id: state.next_producer_id(),
    }
}

fn show_partition(state: &State, id: levee_base::StreamId) -> Option<PartitionShown> {
    let stream = state.stream(id)?;
    let object = |id| state.object(id).map_or_else(String::new, |object| object.name.key().to_string());
    let extents = stream.extents().map(|e| (e.range.start.0, e.range.end.0, object(e.object)));
    Some(PartitionShown {
        stream: id.0,
        leader: stream.leader.map(|leader| leader.0),
        leader_epoch: stream.leader_epoch,
        start: stream.start.0,
        end: stream.end.0,
        bytes: stream.bytes(),
        extents: extents.collect(),
    })
}

fn show_command(envelope: &Envelope) -> CommandShown {
    let sender = match envelope.sender {
        Sender::Process(process) => format!("process {process}"),
        Sender::Broker(epoch) => format!("broker epoch {epoch}"),
    };
    let (command, details) = match &envelope.command {
        Command::UseVersion { version } => ("UseVersion", format!("version {version}")),
        Command::Register(register) => (
            "Register",
            format!(
                "node {} at {}, internal address {:?}, process {}",
                register.node, register.address, register.internal, register.process
            ),
        ),
        Command::Out { epoch } => ("Out", format!("broker epoch {epoch}")),
        Command::CloseWal { epoch, fence, objects, heir } => {
            let heir = heir.map_or_else(|| "nobody".to_owned(), |heir| format!("broker epoch {heir}"));
            let objects = show_objects(objects);
            ("CloseWal", format!("WAL {epoch} ends at slot {fence}; heir {heir}; {objects}"))
        }
        Command::TrimWal { epoch, to, objects, uploads } => {
            let uploads = show_uploads(uploads);
            ("TrimWal", format!("WAL {epoch} to slot {to}; {}; gathered: {uploads}", show_objects(objects)))
        }
        Command::Replace { objects, replaced } => {
            let replaced = replaced.iter().map(|part| {
                let (from, to) = (part.range.start, part.range.end);
                format!("{}:{from}..{to} of {} objects", part.stream, part.objects.len())
            });
            let replaced = replaced.collect::<Vec<_>>().join(" ");
            ("Replace", format!("{replaced} by {}", show_uploads(objects)))
        }
        Command::Abandon { numbers } => ("Abandon", format!("objects {numbers:?}")),
        Command::AdvanceStarts { starts } => {
            let starts = starts.iter().map(|(stream, start)| format!("{stream}:{start}"));
            ("AdvanceStarts", starts.collect::<Vec<_>>().join(" "))
        }
        Command::AlterTopic { topic, set, unset } => {
            ("AlterTopic", format!("{topic} sets {set:?}, unsets {unset:?}"))
        }
        Command::AddPartitions { topic, partitions, leader } => {
            ("AddPartitions", format!("{topic} to {partitions}, the new ones led by broker epoch {leader}"))
        }
        Command::AlterConfigs { resource, set, unset } => (
            "AlterConfigs",
            format!("of kind {} {:?} sets {set:?}, unsets {unset:?}", resource.kind, resource.name),
        ),
        Command::Lead { leader, streams } => {
            ("Lead", format!("broker epoch {leader} leads {} streams", streams.len()))
        }
        Command::CreateTopic { name, topic, partitions, configs, leader } => (
            "CreateTopic",
            format!("{name} ({topic}), {partitions} partitions, led by broker epoch {leader}, {configs:?}"),
        ),
        Command::DeleteTopic { topic } => ("DeleteTopic", topic.to_string()),
        Command::AllocateProducerIds { count } => ("AllocateProducerIds", format!("{count} ids")),
        Command::Collected { objects } => ("Collected", format!("{} objects", objects.len())),
    };
    CommandShown { sender, number: envelope.number, command, details }
}

fn show_objects(objects: &[Registration]) -> String {
    let shown = objects.iter().map(|object| {
        format!(
            "slot {} of {} bytes holds {}",
            object.slot,
            object.total_bytes,
            show_extents(&object.extents)
        )
    });
    joined(shown.collect())
}

fn show_uploads(objects: &[NewObject]) -> String {
    let shown = objects.iter().map(|object| {
        let (number, bytes, extents) = (object.number, object.total_bytes, show_extents(&object.extents));
        format!("object {number} of {bytes} bytes holds {extents}")
    });
    joined(shown.collect())
}

fn show_extents(extents: &[NewExtent]) -> String {
    let shown = extents.iter().map(|e| format!("{}:{}..{}", e.stream, e.range.start, e.range.end));
    shown.collect::<Vec<_>>().join(" ")
}

fn joined(shown: Vec<String>) -> String {
    if shown.is_empty() { "no objects".to_owned() } else { shown.join("; ") }
}
