//! What a folder costs: large creates, a few in flight, as the write-ahead log makes them under load, and small
//! ones one at a time, as it makes them when little is to do.
//!
//! `cargo run --release -p levee-object --example folder_bench -- [FOLDER] [GIB]`

use bytes::Bytes;
use futures::{StreamExt, stream};
use levee_base::Clock;
use levee_base::limits::{PAGE, WAL_IN_FLIGHT_FOLDER, WAL_OBJECT_BYTES};
use levee_object::stores::folder::{FolderStore, file_system};
use levee_object::{Key, Purpose, Store};
use std::error::Error;
use std::time::Duration;

const SMALL_CREATES: u64 = 2_000;

/// Bytes that begin at a multiple of [`PAGE`], as pooled buffers do.
fn aligned(bytes: usize) -> Bytes {
    let memory = Bytes::from(vec![0x5a; bytes + PAGE]);
    let start = memory.as_ptr().align_offset(PAGE);
    memory.slice(start..start + bytes)
}

/// The CPU time of this process, user and system, to a hundredth of a second.
fn cpu() -> Result<Duration, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The second field is the command's name, in brackets, and may hold anything.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |n: usize| fields.get(n).and_then(|field| field.parse::<u64>().ok()).ok_or("/proc/self/stat");
    Ok(Duration::from_millis((ticks(11)? + ticks(12)?) * 10))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or_else(|| "target/folder-bench".to_owned());
    let gib: u64 = arguments.next().unwrap_or_else(|| "2".to_owned()).parse()?;
    std::fs::create_dir_all(&path)?;
    let found = file_system(&path)?;
    if found.in_memory {
        return Err(format!("{path} is on {}, which is memory: name a folder on a disk", found.name).into());
    }
    let clock = Clock::system();
    let store = FolderStore::open(&path)?;
    println!("{} on {}", store.location(), found.name);

    let object = aligned(WAL_OBJECT_BYTES);
    let count = gib * (1 << 30) / object.len() as u64;
    let below = Key::new("bench")?.join_number(u64::from(std::process::id()));
    for large in [true, false] {
        let bytes = if large { object.clone() } else { aligned(PAGE) };
        let (count, in_flight) = if large { (count, WAL_IN_FLIGHT_FOLDER) } else { (SMALL_CREATES, 1) };
        let (started, cpu_before) = (clock.now(), cpu()?);
        let (store, below) = (&store, &below.join(if large { "large" } else { "small" }));
        let mut took: Vec<Duration> = stream::iter(0..count)
            .map(|n| {
                let bytes = bytes.clone();
                async move {
                    let started = clock.now();
                    store.create(&below.join_number(n), bytes, Purpose::Wal).await?;
                    Ok::<_, levee_object::Error>(clock.now() - started)
                }
            })
            .buffer_unordered(in_flight)
            .collect::<Vec<_>>()
            .await
            .into_iter()
            .collect::<Result<_, _>>()?;
        let (wall, used) = (clock.now() - started, cpu()? - cpu_before);
        took.sort_unstable();
        let at = |part: usize| took[(took.len() - 1) * part / 100];
        let total = count as f64 * bytes.len() as f64;
        println!(
            "{count} creates of {} KiB, {in_flight} in flight: {:.0} MiB/s, {:.2} CPU s/GiB, {:.2} ms CPU each, p50 {:.2?}, p99 {:.2?}",
            bytes.len() / 1024,
            total / f64::from(1 << 20) / wall.as_secs_f64(),
            used.as_secs_f64() / (total / f64::from(1 << 30)),
            used.as_secs_f64() * 1e3 / count as f64,
            at(50),
            at(99),
        );
        for n in 0..count {
            store.delete(&below.join_number(n), Purpose::Check).await?;
        }
    }
    Ok(())
}
