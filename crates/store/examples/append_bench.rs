//! Appends batches to the stream store on a real folder and says what it cost.
//!
//! `cargo run --release -p levee-store --example append_bench -- [--folder DIR] [--mib N] [--batch BYTES]
//! [--streams N] [--outstanding-mib N]`: throughput, CPU seconds a GiB (of this process, the store's and the
//! producer's together), flush sizes and latencies, and what a flush costs in metadata. Makes a folder of its own
//! below DIR and removes it. Refuses a file system in memory, as its figures would mean nothing.

use async_trait::async_trait;
use levee_base::{BrokerEpoch, Clock, ClusterId, Offset, Random, Slot, StreamId};
use levee_object::log::LogContext;
use levee_object::stores::folder::{FolderStore, file_system};
use levee_object::{Key, Store};
use levee_store::metrics::FLUSH_BUCKETS_US;
use levee_store::{
    AppendError, Extent, Metrics, NewBatch, Registered, Registrar, RegistrarError, Replacement, StreamStore,
    Trim, WalOptions,
};
use std::collections::VecDeque;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const MIB: usize = 1 << 20;

/// Accepts every trim, and counts.
#[derive(Debug, Default)]
struct Accepts {
    objects: AtomicU64,
    extents: AtomicU64,
}

#[async_trait]
impl Registrar for Accepts {
    async fn trim(&self, trim: Trim) -> Result<(), RegistrarError> {
        self.objects.fetch_add(trim.objects.len() as u64, Relaxed);
        let extents: usize = trim.objects.iter().map(|object| object.extents.len()).sum();
        self.extents.fetch_add(extents as u64, Relaxed);
        Ok(())
    }

    async fn replace(&self, _: Replacement) -> Result<u32, RegistrarError> {
        Ok(0)
    }

    async fn abandon(&self, _: BrokerEpoch, _: Vec<u64>) -> Result<(), RegistrarError> {
        Ok(())
    }

    fn streams(&self, _: BrokerEpoch, _: &[StreamId]) -> Vec<(StreamId, Registered)> {
        Vec::new()
    }
}

struct Arguments {
    folder: String,
    bytes: usize,
    batch: usize,
    streams: u64,
    outstanding: usize,
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let mut arguments = Arguments {
        folder: ".".into(),
        bytes: 4_096 * MIB,
        batch: 16_384,
        streams: 12,
        outstanding: 24 * MIB,
    };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let value = given.next().ok_or(format!("{name} needs a value"))?;
        match name.as_str() {
            "--folder" => arguments.folder = value,
            "--mib" => arguments.bytes = value.parse::<usize>()? * MIB,
            "--batch" => arguments.batch = value.parse()?,
            "--streams" => arguments.streams = value.parse()?,
            "--outstanding-mib" => arguments.outstanding = value.parse::<usize>()? * MIB,
            _ => return Err(format!("unknown option {name}").into()),
        }
    }
    Ok(arguments)
}

/// User and system time of this process in seconds, in steps of 10 ms (`proc(5)`, fields 14 and 15).
fn cpu_seconds() -> Result<(f64, f64), Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| -> Result<f64, Box<dyn Error>> {
        Ok(fields.get(at).ok_or("/proc/self/stat is cut short")?.parse::<f64>()? / 100.0)
    };
    Ok((ticks(11)?, ticks(12)?))
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = arguments()?;
    let system = file_system(&arguments.folder)?;
    if system.in_memory {
        return Err(
            format!("{} is {}, in memory: choose a folder on a disk", arguments.folder, system.name).into()
        );
    }
    let folder = tempfile::tempdir_in(&arguments.folder)?;
    let objects: Arc<dyn Store> = Arc::new(FolderStore::open(folder.path())?);
    let (clock, random) = (Clock::system(), Random::from_entropy());
    let cluster = ClusterId(random.uuid());
    let ctx =
        LogContext { store: objects, cluster, prefix: Key::new("wal/1")?, clock, random: random.clone() };
    let (registrar, metrics) = (Arc::new(Accepts::default()), Arc::new(Metrics::default()));
    let options = WalOptions::folder();
    let store = StreamStore::open(
        ctx,
        BrokerEpoch(1),
        random.writer_id(),
        registrar.clone(),
        options,
        metrics.clone(),
    );
    for stream in 0..arguments.streams {
        store.open_stream(StreamId(stream), 0, Registered::default());
    }
    let bytes: Vec<u8> = (0..arguments.batch).map(|_| random.next_u64() as u8).collect();
    // As long as what the broker keeps of a batch: producer, epoch, sequence, timestamps, attributes.
    let batch = NewBatch { bytes: &bytes, count: 16, note: &[7; 38] };
    let (cpu_before, start) = (cpu_seconds()?, clock.now());
    produce(&store, &arguments, &batch).await?;
    store.shutdown().await;
    let seconds = clock.now().duration_since(start).as_secs_f64();
    let cpu = cpu_seconds()?;

    let gib = metrics.batch_bytes.get() as f64 / (1 << 30) as f64;
    let flushes = metrics.flushes.get();
    println!("file system            {}", system.name);
    println!(
        "batches                {} of {} bytes, {} streams",
        metrics.batches.get(),
        arguments.batch,
        arguments.streams
    );
    println!("throughput             {:.0} MiB/s, {seconds:.2} s", gib * 1_024.0 / seconds);
    println!(
        "CPU                    {:.2} s/GiB (user {:.2}, system {:.2})",
        (cpu.0 + cpu.1 - cpu_before.0 - cpu_before.1) / gib,
        (cpu.0 - cpu_before.0) / gib,
        (cpu.1 - cpu_before.1) / gib
    );
    println!(
        "flushes                {flushes}, {} KiB each",
        metrics.flushed_bytes.get() / flushes.max(1) / 1_024
    );
    for part in [50, 99] {
        println!("flush latency p{part}      {}", quantile(&metrics, part));
    }
    println!("full                   {} times", metrics.full.get());
    let (objects, extents) = (registrar.objects.load(Relaxed).max(1), registrar.extents.load(Relaxed));
    let each = extents as f64 / objects as f64;
    // Slots follow from the trim; each object has its length and its index's place, each extent five numbers.
    println!(
        "metadata a flush       {:.0} bytes journalled at 8 bytes a number, {:.0} in memory ({each:.1} extents)",
        24.0 + 40.0 * each,
        60.0 + size_of::<Extent>() as f64 * each
    );
    Ok(())
}

/// Appends round robin, with so many bytes at most that are not durable.
async fn produce(
    store: &StreamStore,
    arguments: &Arguments,
    batch: &NewBatch<'_>,
) -> Result<(), Box<dyn Error>> {
    let mut status = store.status();
    let mut pending: VecDeque<(Slot, usize)> = VecDeque::new();
    let (mut outstanding, mut stream) = (0, 0);
    let mut ends = vec![Offset(0); arguments.streams as usize];
    let mut left = arguments.bytes / arguments.batch;
    while left > 0 {
        let end = &mut ends[stream];
        match store.append(StreamId(stream as u64), *end, std::slice::from_ref(batch)) {
            Ok(slot) => {
                end.0 += u64::from(batch.count);
                outstanding += batch.bytes.len();
                match pending.back_mut() {
                    Some((last, bytes)) if *last == slot => *bytes += batch.bytes.len(),
                    _ => pending.push_back((slot, batch.bytes.len())),
                }
                stream = (stream + 1) % ends.len();
                left -= 1;
            }
            Err(AppendError::Full) => store.room().await,
            Err(error) => return Err(error.into()),
        }
        if outstanding >= arguments.outstanding
            && let Some((oldest, _)) = pending.front().copied()
        {
            let durable = status.wait_for(|now| now.durable > oldest || now.stopped.is_some()).await?;
            let durable = durable.durable;
            while let Some((_, bytes)) = pending.pop_front_if(|(slot, _)| *slot < durable) {
                outstanding -= bytes;
            }
        }
    }
    Ok(())
}

/// The bound of the bucket that so many of 100 flushes lie below.
fn quantile(metrics: &Metrics, part: u64) -> String {
    let total = metrics.flushes.get();
    let mut sum = 0;
    for (bucket, bound) in metrics.flush_latency.buckets.iter().zip(FLUSH_BUCKETS_US) {
        sum += bucket.get();
        if sum * 100 >= total * part {
            return format!("below {} ms", bound as f64 / 1_000.0);
        }
    }
    "above 30 s".into()
}
