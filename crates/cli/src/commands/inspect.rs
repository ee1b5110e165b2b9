//! `levee inspect`: what is in a store, without a broker or beside one that is live: it holds nothing and writes
//! nothing. Damage is shown beside what is whole; what a broker deletes while we look is no error.

use super::{Outcome, block_on};
use crate::args::{InspectArgs, InspectCommand, OutputFormat};
use crate::output;
use levee_base::limits::OBJECT_HEADER_BYTES;
use levee_base::{Clock, LogPosition, Random};
use levee_meta::inspect::{JournalContent, JournalEntry, list_journal, read_entry};
use levee_object::log::{Kind, LogHeader};
use levee_object::{ErrorKind, Key, Purpose, Store, stores};
use levee_store::format::{BlockKind, Index, ObjectHeader};
use serde::Serialize;
use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

/// Keys asked for at once.
const PAGE: usize = 1_000;

/// Runs `levee inspect`.
pub fn run(args: InspectArgs) -> Outcome {
    let format = args.output.output;
    block_on(async {
        match args.command {
            InspectCommand::Journal { url, last } => journal(&*open(&url)?, last, format).await,
            InspectCommand::Wal { url } => wal(&*open(&url)?, format).await,
            InspectCommand::Object { url, key } => object(&*open(&url)?, &key, format).await,
        }
    })
}

fn open(url: &str) -> Result<Arc<dyn Store>, Box<dyn Error>> {
    Ok(stores::open_to_read(url, Clock::system(), &Random::from_entropy())?.store)
}

async fn journal(store: &dyn Store, last: usize, format: OutputFormat) -> Outcome {
    let objects = list_journal(store, LogPosition::default()).await?;
    let mut entries = Vec::new();
    for object in &objects[objects.len().saturating_sub(last)..] {
        let at = LogPosition { epoch: levee_base::Epoch(object.epoch), slot: levee_base::Slot(object.slot) };
        match read_entry(store, at).await {
            Ok(entry) => entries.push(entry),
            Err(error) if error.kind == ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    output::print(format, &entries, &["KEY", "BYTES", "FROM", "NUMBER", "COMMAND", "DETAILS"], |entries| {
        entries.iter().flat_map(journal_rows).collect()
    })?;
    Ok(ExitCode::SUCCESS)
}

fn journal_rows(entry: &JournalEntry) -> Vec<Vec<String>> {
    let row = |from: &str, number: String, command: &str, details: String| {
        vec![entry.key.clone(), entry.bytes.to_string(), from.to_owned(), number, command.to_owned(), details]
    };
    match &entry.content {
        JournalContent::Fence => {
            vec![row("-", "-".to_owned(), "fence", format!("next writer {}", entry.writer))]
        }
        JournalContent::Unreadable { error } => vec![row("-", "-".to_owned(), "UNREADABLE", error.clone())],
        JournalContent::Entry { commands } => commands
            .iter()
            .map(|c| row(&c.sender, c.number.to_string(), c.command, c.details.clone()))
            .collect(),
    }
}

#[derive(Debug, Serialize)]
struct WalRow {
    log: String,
    objects: u64,
    bytes: u64,
    first: String,
    last: String,
    /// `None` when the last object was deleted after it was listed.
    fenced: Option<bool>,
}

async fn wal(store: &dyn Store, format: OutputFormat) -> Outcome {
    let mut logs: Vec<WalRow> = Vec::new();
    let mut after: Option<Key> = None;
    loop {
        let page = store.list("wal/", after.as_ref(), PAGE, Purpose::Inspect).await?;
        for object in &page.objects {
            let key = object.key.as_str();
            let (log, slot) = key.rsplit_once('/').unwrap_or((key, ""));
            let same = logs.last().is_some_and(|row| row.log == log);
            if !same {
                let (log, first) = (log.to_owned(), slot.to_owned());
                logs.push(WalRow { log, objects: 0, bytes: 0, first, last: String::new(), fenced: None });
            }
            if let Some(row) = logs.last_mut() {
                row.objects += 1;
                row.bytes += object.bytes;
                row.last = slot.to_owned();
            }
        }
        after = page.next();
        if after.is_none() {
            break;
        }
    }
    for row in &mut logs {
        let last = Key::new(format!("{}/{}", row.log, row.last))?;
        row.fenced = match store.get(&last, Some(0..OBJECT_HEADER_BYTES as u64), Purpose::Inspect).await {
            Ok(head) => Some(LogHeader::decode(&head).is_ok_and(|header| header.kind == Kind::Fence)),
            Err(error) if error.kind == ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
    }
    output::print(format, &logs, &["LOG", "OBJECTS", "BYTES", "FIRST", "LAST", "FENCED"], |logs| {
        let row = |r: &WalRow| {
            let fenced = match r.fenced {
                Some(true) => "yes",
                Some(false) => "no",
                None => "deleted meanwhile",
            };
            vec![
                r.log.clone(),
                r.objects.to_string(),
                r.bytes.to_string(),
                r.first.clone(),
                r.last.clone(),
                fenced.to_owned(),
            ]
        };
        logs.iter().map(row).collect()
    })?;
    Ok(ExitCode::SUCCESS)
}

#[derive(Debug, Serialize)]
struct BlockRow {
    stream: u64,
    leader_epoch: u32,
    first_offset: u64,
    end_offset: u64,
    batches: u32,
    position: u64,
    bytes: u32,
    kind: &'static str,
    checksum: String,
}

async fn object(store: &dyn Store, key: &str, format: OutputFormat) -> Outcome {
    let key = Key::new(key)?;
    let bytes = store.get(&key, None, Purpose::Inspect).await?;
    if LogHeader::decode(&bytes).is_ok_and(|header| header.kind == Kind::Fence) {
        output::line(&format!("{key} is a fence: the epoch ends before it"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let header =
        ObjectHeader::decode(&bytes).map_err(|error| format!("{key} has no valid header: {error}"))?;
    if format == OutputFormat::Table {
        output::line(&format!(
            "{key}: {:?}, cluster {}, writer {}, {} bytes, index at {}..{}",
            header.kind,
            header.cluster,
            header.writer,
            header.total_bytes,
            header.index.start,
            header.index.end
        ))?;
    }
    let range = usize::try_from(header.index.start)?..usize::try_from(header.index.end)?;
    if range.end > bytes.len() {
        return Err(
            format!("{key} is cut short: {} of {} bytes are there", bytes.len(), header.total_bytes).into()
        );
    }
    let index = Index::decode(&bytes.slice(range), header.index.start)
        .map_err(|error| format!("the index of {key} is damaged: {error}"))?;
    let mut damaged = false;
    let mut rows = Vec::new();
    for block in &index.blocks {
        let at = usize::try_from(block.range().start)?..usize::try_from(block.range().end)?;
        let checked = bytes
            .get(at)
            .map_or_else(|| Err("cut short".to_owned()), |b| block.verify(b).map_err(|e| e.to_string()));
        damaged |= checked.is_err();
        rows.push(BlockRow {
            stream: block.stream.0,
            leader_epoch: block.leader_epoch,
            first_offset: block.offsets.start.0,
            end_offset: block.offsets.end.0,
            batches: block.batches,
            position: block.position,
            bytes: block.bytes,
            kind: if block.kind == BlockKind::Batches { "batches" } else { "other" },
            checksum: checked.err().unwrap_or_else(|| "ok".to_owned()),
        });
    }
    let names = ["STREAM", "LEADER EPOCH", "FIRST", "END", "BATCHES", "POSITION", "BYTES", "CHECKSUM"];
    output::print(format, &rows, &names, |rows| {
        let row = |r: &BlockRow| {
            let numbers = [
                r.stream,
                u64::from(r.leader_epoch),
                r.first_offset,
                r.end_offset,
                u64::from(r.batches),
                r.position,
                u64::from(r.bytes),
            ];
            let mut cells: Vec<String> = numbers.iter().map(ToString::to_string).collect();
            cells.push(r.checksum.clone());
            cells
        };
        rows.iter().map(row).collect()
    })?;
    Ok(if damaged { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
