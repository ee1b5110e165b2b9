//! Reads registered objects through the stream store, and says how fast and at what cost, beside what the store of
//! objects itself can do.
//!
//! `cargo run --release -p levee-store --example read_bench -- [--store URL] [--mib N] [--streams N] [--batch BYTES]
//! [--fetch-kib N] [--object-mib N] [--consumers N]`: makes objects of `--object-mib`, sorted by stream as compaction
//! leaves them (or, below 8 MiB, with the streams' blocks in turns, as the write-ahead log has them), then measures
//!
//! - range GETs of all of it, as many at once as readers may have: what the store can do;
//! - one block a request, nothing ahead and nothing kept: how streams were read before;
//! - as a broker reads by default; and a second consumer group on its heels.
//!
//! A consumer reads its streams in turns, so much of each as a client fetches, as a broker does for one connection. Makes
//! a folder or prefix of its own below the URL and deletes it. Drops the page cache before each measurement, if it may.

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use levee_base::{BrokerEpoch, Clock, ClusterId, Epoch, Offset, Random, StreamId};
use levee_object::log::LogContext;
use levee_object::stores::{Opened, open};
use levee_object::{Key, Purpose};
use levee_store::format::{BatchEntry, IndexBuilder};
use levee_store::{
    Cut, Extent, Metrics, NewExtent, ObjectRef, ReadOptions, Registered, Registrar, RegistrarError,
    Replacement, StoreOptions, StreamStore, Trim, WalOptions,
};
use std::error::Error;
use std::sync::Arc;

const MIB: usize = 1 << 20;
type Outcome<T> = Result<T, Box<dyn Error>>;

struct Arguments {
    store: String,
    bytes: usize,
    streams: u64,
    batch: usize,
    fetch: usize,
    object: usize,
    consumers: usize,
}

fn arguments() -> Outcome<Arguments> {
    let mut arguments = Arguments {
        store: "./read-bench".into(),
        bytes: 2_048 * MIB,
        streams: 12,
        batch: 16_384,
        fetch: MIB,
        object: 64 * MIB,
        consumers: 1,
    };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let value = given.next().ok_or(format!("{name} needs a value"))?;
        match name.as_str() {
            "--store" => arguments.store = value,
            "--mib" => arguments.bytes = value.parse::<usize>()? * MIB,
            "--streams" => arguments.streams = value.parse()?,
            "--batch" => arguments.batch = value.parse()?,
            "--fetch-kib" => arguments.fetch = value.parse::<usize>()? * 1_024,
            "--object-mib" => arguments.object = value.parse::<usize>()? * MIB,
            "--consumers" => arguments.consumers = value.parse()?,
            _ => return Err(format!("unknown option {name}").into()),
        }
    }
    Ok(arguments)
}

/// Nothing is written through the store here.
#[derive(Debug)]
struct Nobody;

#[async_trait]
impl Registrar for Nobody {
    async fn trim(&self, _: Trim) -> Result<(), RegistrarError> {
        Ok(())
    }

    async fn replace(&self, _: Replacement) -> Result<u32, RegistrarError> {
        Err(RegistrarError::Unavailable("a benchmark of reading".into()))
    }

    async fn abandon(&self, _: BrokerEpoch, _: Vec<u64>) -> Result<(), RegistrarError> {
        Ok(())
    }

    fn streams(&self, _: BrokerEpoch, _: &[StreamId]) -> Vec<(StreamId, Registered)> {
        Vec::new()
    }
}

/// User and system time of this process in seconds, in steps of 10 ms (`proc(5)`, fields 14 and 15).
fn cpu_seconds() -> Outcome<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| -> Outcome<f64> {
        Ok(fields.get(at).ok_or("/proc/self/stat is cut short")?.parse::<f64>()? / 100.0)
    };
    Ok(ticks(11)? + ticks(12)?)
}

struct Bench {
    arguments: Arguments,
    opened: Opened,
    prefix: Key,
    clock: Clock,
    random: Random,
    objects: Vec<Arc<ObjectRef>>,
    extents: Vec<Vec<Extent>>,
}

impl Bench {
    /// Makes the objects.
    async fn fill(&mut self) -> Outcome<()> {
        let Arguments { bytes, streams, batch, object, .. } = self.arguments;
        let noise: Vec<u8> = (0..batch).map(|_| self.random.next_u64() as u8).collect();
        let in_turns = object < 8 * MIB;
        let batches_of_one = (object / batch / streams as usize).max(1);
        let block = (256 * 1_024 / batch).max(1);
        self.extents = vec![Vec::new(); streams as usize];
        let mut next = vec![Offset(0); streams as usize];
        for number in 0..(bytes / object).max(1) as u64 {
            let blocks = batches_of_one.div_ceil(block);
            let count = |n: usize| block.min(batches_of_one - n * block);
            let order: Vec<(usize, usize)> = if in_turns {
                (0..blocks).flat_map(|n| (0..streams as usize).map(move |s| (s, n))).collect()
            } else {
                (0..streams as usize).flat_map(|s| (0..blocks).map(move |n| (s, n))).collect()
            };
            let mut builder = IndexBuilder::default();
            let mut whole = vec![0; 4_096];
            for (at, n) in order {
                let start = whole.len();
                builder.begin_block(StreamId(at as u64), 0, next[at], start as u64);
                let mut crc = 0;
                for _ in 0..count(n) {
                    whole.extend_from_slice(&noise);
                    crc = crc32c::crc32c_append(crc, &noise);
                    next[at].0 += 16;
                    let entry = BatchEntry { count: 16, bytes: batch as u32, note: &[7; 38] };
                    builder.add_batch(entry, crc);
                }
            }
            let start = whole.len() as u64;
            builder.encode(Epoch(1), number, |part| whole.extend_from_slice(part));
            let index = start..whole.len() as u64;
            let encoded = whole[start as usize..].to_vec().into();
            let decoded = builder.into_index(Epoch(1), number, &encoded);
            let key = self.prefix.join_number(1).join_number(number);
            let object = Arc::new(ObjectRef { key: key.clone(), total_bytes: whole.len() as u64, index });
            self.opened.store.create(&key, whole.into(), Purpose::Compact).await?;
            for NewExtent { stream, range, bytes, .. } in NewExtent::all_of(&decoded) {
                let extent = Extent { range, bytes, object: object.clone() };
                self.extents[stream.0 as usize].push(extent);
            }
            self.objects.push(object);
        }
        Ok(())
    }

    /// Says what `work`, which returns bytes, took.
    async fn measure(&self, what: &str, work: impl Future<Output = Outcome<u64>>) -> Outcome<f64> {
        let cold = std::fs::write("/proc/sys/vm/drop_caches", "1").is_ok();
        let gets = || {
            let usage = self.opened.metrics.usage();
            usage.iter().filter(|row| row.operation.name() == "get").map(|row| row.requests).sum::<u64>()
        };
        let (gets_before, cpu, start) = (gets(), cpu_seconds()?, self.clock.now());
        let bytes = work.await?;
        let seconds = self.clock.now().duration_since(start).as_secs_f64();
        let gib = bytes as f64 / (1 << 30) as f64;
        println!(
            "{what:34} {:6.0} MB/s  {:5.2} CPU s/GiB  {:6.0} GETs/GiB  {}",
            bytes as f64 / seconds / 1e6,
            (cpu_seconds()? - cpu) / gib,
            (gets() - gets_before) as f64 / gib,
            if cold { "" } else { "(page cache not dropped)" },
        );
        Ok(bytes as f64 / seconds / 1e6)
    }

    /// All bytes by range GETs of the length that readers use.
    async fn raw(&self, cut: Cut, at_once: usize) -> Outcome<u64> {
        let ranges = self.objects.iter().flat_map(|object| {
            let end = object.index.start;
            (4_096..end).step_by(cut.one as usize).map(move |at| (&object.key, at..(at + cut.one).min(end)))
        });
        let read = stream::iter(ranges)
            .map(|(key, range)| self.opened.store.get(key, Some(range), Purpose::CatchUp))
            .buffer_unordered(at_once)
            .try_fold(0, |sum, bytes| std::future::ready(Ok(sum + bytes.len() as u64)));
        Ok(read.await?)
    }

    fn open(&self, reads: ReadOptions) -> (Arc<StreamStore>, Arc<Metrics>) {
        let ctx = LogContext {
            store: self.opened.store.clone(),
            cluster: ClusterId(self.random.uuid()),
            prefix: self.prefix.join_number(999_999),
            clock: self.clock,
            random: self.random.clone(),
        };
        let metrics = Arc::new(Metrics::default());
        let options = StoreOptions { wal: WalOptions::folder(), reads, disk_cache: None };
        let writer = self.random.writer_id();
        let store =
            StreamStore::open(ctx, BrokerEpoch(2), writer, Arc::new(Nobody), options, metrics.clone());
        for (stream, extents) in (0..).zip(&self.extents) {
            store.open_stream(
                StreamId(stream),
                0,
                Registered { extents: extents.clone(), ..Registered::default() },
            );
        }
        (store, metrics)
    }

    /// Consumers that share the streams, each in a task of its own.
    async fn consume(&self, store: &Arc<StreamStore>) -> Outcome<u64> {
        let (all, fetch) = (self.arguments.consumers, self.arguments.fetch);
        let consumers = (0..all).map(|consumer| {
            let own = (0..self.arguments.streams).filter(|stream| *stream as usize % all == consumer);
            let ends: Vec<_> = own
                .map(|stream| (StreamId(stream), store.end(StreamId(stream)).expect("open").durable))
                .collect();
            let store = store.clone();
            tokio::spawn(async move {
                let mut places: Vec<_> =
                    ends.iter().map(|(stream, end)| (*stream, Offset(0), *end)).collect();
                let mut bytes = 0;
                while !places.is_empty() {
                    for (stream, next, _) in &mut places {
                        let runs = store.read(*stream, *next, fetch, true).await?;
                        bytes += runs.iter().map(|run| run.bytes.len() as u64).sum::<u64>();
                        *next = runs.last().map_or(*next, |run| run.end);
                    }
                    places.retain(|(_, next, end)| next < end);
                }
                Ok::<_, levee_store::ReadError>(bytes)
            })
        });
        let mut bytes = 0;
        for consumer in consumers.collect::<Vec<_>>() {
            bytes += consumer.await??;
        }
        Ok(bytes)
    }

    async fn run(&self) -> Outcome<()> {
        let default = ReadOptions::SUITABLE;
        let can = self.measure("the store itself", self.raw(default.cut, 8)).await?;
        let blocks = Cut { one: 256 * 1_024, mixed: 0 };
        let bare = ReadOptions { cache_bytes: 0, ahead_bytes: 0, cut: blocks, ..default };
        self.measure("a block a request, nothing ahead", self.consume(&self.open(bare).0)).await?;
        let no_ahead = ReadOptions { ahead_bytes: 0, ..default };
        self.measure("nothing ahead", self.consume(&self.open(no_ahead).0)).await?;
        let (store, metrics) = self.open(default);
        let rate = self.measure("as by default", self.consume(&store)).await?;
        println!("                                   {:.2} of what the store can do", rate / can);
        let (store, again) = (self.open(default).0, metrics.cache_misses.get());
        let two = async {
            let (one, other) = futures::future::join(self.consume(&store), self.consume(&store)).await;
            Ok(one? + other?)
        };
        self.measure("two groups at once", two).await?;
        println!("spans read by one group            {again}");
        Ok(())
    }

    async fn clean_up(&self) -> Outcome<()> {
        for object in &self.objects {
            self.opened.store.delete(&object.key, Purpose::Collect).await?;
        }
        Ok(())
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Outcome<()> {
    let arguments = arguments()?;
    let (clock, random) = (Clock::system(), Random::from_entropy());
    let opened = open(&arguments.store, clock, &random)?;
    let prefix = Key::new(format!("read-bench-{}", random.uuid()))?;
    let (objects, extents) = (Vec::new(), Vec::new());
    let mut bench = Bench { arguments, opened, prefix, clock, random, objects, extents };
    bench.fill().await?;
    let result = bench.run().await;
    bench.clean_up().await?;
    result
}
