//! How long it takes to open a partition of 100 GiB that lies in 1,000 objects, on a store with S3's latency: without a
//! checkpoint, and with one.
//!
//! `cargo run --release -p levee-broker --example open_bench -- [--extents N] [--mib-each N] [--batch-kib N]
//! [--latency-ms N] [--producers N]`: makes sparse files that have their indexes and no records, opens them through the
//! folder store, and lets every request take from half to one and a half of the latency. Needs a file system that knows
//! sparse files. Makes a folder of its own and deletes it.

use async_trait::async_trait;
use levee_base::limits::CHECKPOINT_EXTENTS;
use levee_base::{BrokerEpoch, Clock, ClusterId, Epoch, Offset, Random, StreamId};
use levee_broker::batch::header::Attributes;
use levee_broker::partition::checkpoint::encode;
use levee_broker::partition::known::Known;
use levee_broker::partition::note::Note;
use levee_broker::partition::{LogConfig, PartitionLog, Streams};
use levee_object::Key;
use levee_object::Purpose;
use levee_object::log::LogContext;
use levee_object::stores::faulty::{FaultPlan, Faulty, Latency};
use levee_object::stores::folder::FolderStore;
use levee_store::format::{BatchEntry, IndexBuilder};
use levee_store::{
    BatchInfo, Checkpoint, Extent, NewCheckpoint, ObjectRef, Registered, Registrar, RegistrarError,
    Replacement, StreamStore, Trim, WalOptions, data_prefix,
};
use std::error::Error;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

type Outcome<T> = Result<T, Box<dyn Error>>;
const STREAM: StreamId = StreamId(1);
const MIB: u64 = 1 << 20;

#[derive(Debug)]
struct Arguments {
    extents: u64,
    mib_each: u64,
    batch_kib: u64,
    latency_ms: u64,
    producers: u64,
}

fn arguments() -> Outcome<Arguments> {
    let mut all = Arguments { extents: 1_000, mib_each: 102, batch_kib: 16, latency_ms: 30, producers: 100 };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let value = given.next().ok_or(format!("{name} needs a value"))?.parse()?;
        match name.as_str() {
            "--extents" => all.extents = value,
            "--mib-each" => all.mib_each = value,
            "--batch-kib" => all.batch_kib = value,
            "--latency-ms" => all.latency_ms = value,
            "--producers" => all.producers = value,
            _ => return Err(format!("unknown option {name}").into()),
        }
    }
    Ok(all)
}

/// Takes everything, and remembers where a checkpoint is.
#[derive(Debug, Default)]
struct Takes(Mutex<Option<Checkpoint>>);

#[async_trait]
impl Registrar for Takes {
    async fn trim(&self, _: Trim) -> Result<(), RegistrarError> {
        Ok(())
    }

    async fn replace(&self, replacement: Replacement) -> Result<u32, RegistrarError> {
        for new in replacement.objects {
            let key = data_prefix(replacement.epoch).join_number(new.number);
            let object = Arc::new(ObjectRef { key, total_bytes: new.total_bytes, index: new.index });
            let offset = new.checkpoints.first().map_or(Offset::ZERO, |(_, offset)| *offset);
            *self.0.lock().map_err(|_| RegistrarError::Refused("poisoned".into()))? =
                Some(Checkpoint { offset, object });
        }
        Ok(0)
    }

    async fn abandon(&self, _: BrokerEpoch, _: Vec<u64>) -> Result<(), RegistrarError> {
        Ok(())
    }

    fn streams(&self, _: BrokerEpoch, _: &[StreamId]) -> Vec<(StreamId, Registered)> {
        Vec::new()
    }
}

/// Makes the objects, all but their records.
fn fill(folder: &Path, all: &Arguments) -> Outcome<Vec<Extent>> {
    let batch = all.batch_kib * 1_024;
    let batches = all.mib_each * MIB / batch;
    let mut next = Offset(0);
    let (mut extents, mut sequences) = (Vec::new(), vec![0; all.producers.max(1) as usize]);
    for number in 0..all.extents {
        let (start, mut builder) = (next, IndexBuilder::default());
        for at in 0..batches {
            if at % (256 * 1_024 / batch).max(1) == 0 {
                builder.begin_block(STREAM, 0, next, 4_096 + at * batch);
            }
            let producer = (number * batches + at) % all.producers.max(1);
            let sequence = &mut sequences[producer as usize];
            let time = (number * batches + at).cast_signed();
            let note = Note {
                attributes: Attributes(0),
                leader_epoch: 0,
                producer_id: producer.cast_signed(),
                producer_epoch: 0,
                base_sequence: *sequence,
                base_timestamp: time,
                max_timestamp: time,
                appended_ms: time,
                marker: None,
            };
            *sequence += 16;
            let note = note.encode();
            builder.add_batch(BatchEntry { count: 16, bytes: batch as u32, note: &note }, 0);
            next.0 += 16;
        }
        let mut index = Vec::new();
        builder.encode(Epoch(1), number, |part| index.extend_from_slice(part));
        let (at, key) = (4_096 + batches * batch, Key::new("data")?.join_number(1).join_number(number));
        let path = folder.join(key.as_str());
        std::fs::create_dir_all(path.parent().ok_or("a key has a folder")?)?;
        let (file, total_bytes) = (File::create(path)?, at + index.len() as u64);
        file.set_len(total_bytes)?;
        file.write_all_at(&index, at)?;
        let object = Arc::new(ObjectRef { key, total_bytes, index: at..total_bytes });
        extents.push(Extent { range: start..next, bytes: batches * batch, object });
    }
    Ok(extents)
}

struct Bench {
    store: Arc<Faulty>,
    registrar: Arc<Takes>,
    extents: Vec<Extent>,
    clock: Clock,
    random: Random,
    epoch: u64,
}

impl Bench {
    /// A store that has cached nothing.
    fn cold(&mut self, checkpoint: Option<Checkpoint>) -> Outcome<Arc<StreamStore>> {
        self.epoch += 1;
        let ctx = LogContext {
            store: self.store.clone(),
            cluster: ClusterId(self.random.uuid()),
            prefix: Key::new("wal")?,
            clock: self.clock,
            random: self.random.clone(),
        };
        let (writer, registrar) = (self.random.writer_id(), self.registrar.clone());
        let epoch = BrokerEpoch(self.epoch);
        let store = StreamStore::open(ctx, epoch, writer, registrar, WalOptions::cloud(), Arc::default());
        let registered = Registered { start: Offset::ZERO, extents: self.extents.clone(), checkpoint };
        store.open_stream(STREAM, 0, registered);
        Ok(store)
    }

    /// Opens the partition, from its checkpoint if it has one, and says what that took.
    async fn open(&mut self, what: &str, checkpoint: Option<Checkpoint>) -> Outcome<()> {
        let mut took = Vec::new();
        for _ in 0..5 {
            let store = self.cold(checkpoint.clone())?;
            let began = self.clock.now();
            let known = match &checkpoint {
                Some(checkpoint) => {
                    let found = store.checkpoints(&[(STREAM, checkpoint.clone())]).await?;
                    let bytes = found.get(&STREAM).ok_or("the checkpoint is gone")?;
                    Some((checkpoint.offset, bytes.clone()))
                }
                None => None,
            };
            let streams: Arc<dyn Streams> = store;
            PartitionLog::open(streams, STREAM, 0, LogConfig::default(), self.clock, known).await?;
            took.push(self.clock.now().duration_since(began));
        }
        took.sort_unstable();
        println!("{what:58} {:>8.1?} ({:.1?} to {:.1?})", took[2], took[0], took[4]);
        Ok(())
    }

    /// Makes a checkpoint as of the end of the extent before the last `after`.
    async fn checkpoint(&mut self, after: usize) -> Outcome<(Checkpoint, usize)> {
        let store = self.cold(None)?;
        let offset = self.extents[self.extents.len() - after - 1].range.end;
        let (mut known, mut failed) = (Known::default(), None);
        let mut each = |batch: BatchInfo<'_>| {
            if batch.base < offset && failed.is_none() {
                failed = known.replay(batch).err();
            }
        };
        store.replay(STREAM, Offset::ZERO, Purpose::Recovery, &mut each).await?;
        failed.map_or(Ok(()), Err)?;
        let bytes = encode(&known, Offset::ZERO);
        let size = bytes.len();
        store.write_checkpoints(&[NewCheckpoint { stream: STREAM, offset, bytes: bytes.into() }]).await?;
        let written = self.registrar.0.lock().map_err(|_| "poisoned")?.clone();
        Ok((written.ok_or("no checkpoint was written")?, size))
    }
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let all = arguments()?;
    let folder = PathBuf::from(format!("./open-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let result = run(&folder, &all).await;
    std::fs::remove_dir_all(&folder)?;
    result
}

async fn run(folder: &Path, all: &Arguments) -> Outcome<()> {
    let (clock, random) = (Clock::system(), Random::from_entropy());
    let extents = fill(folder, all)?;
    let (bytes, index): (u64, u64) = extents.iter().fold((0, 0), |(bytes, index), extent| {
        (bytes + extent.bytes, index + extent.object.index.end - extent.object.index.start)
    });
    println!(
        "{} GiB in {} objects, batches of {} KiB by {} producers; {} MiB of indexes; {} ms a request",
        bytes >> 30,
        extents.len(),
        all.batch_kib,
        all.producers,
        index >> 20,
        all.latency_ms
    );
    let typical = Duration::from_millis(all.latency_ms);
    let latency = Latency { typical, tail: typical * 5, tail_chance: 0.01 };
    let plan = FaultPlan { latency, ..FaultPlan::none() };
    let inner = Arc::new(FolderStore::open(folder)?);
    let store = Arc::new(Faulty::new(inner, plan, clock, random.fork()));
    let registrar = Arc::new(Takes::default());
    let mut bench = Bench { store, registrar, extents, clock, random, epoch: 1 };
    bench.open("without a checkpoint", None).await?;
    for after in [0, CHECKPOINT_EXTENTS.min(bench.extents.len() - 1)] {
        let (checkpoint, size) = bench.checkpoint(after).await?;
        let what = format!("from a checkpoint of {} KiB and {after} objects since", size / 1_024);
        bench.open(&what, Some(checkpoint)).await?;
    }
    Ok(())
}
