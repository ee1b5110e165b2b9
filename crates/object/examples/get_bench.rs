//! What a store itself can do: reads objects that are there by range GETs, so many at once, and prints bytes, seconds and
//! requests.
//!
//! `cargo run --release -p levee-object --example get_bench -- URL [KIB] [AT-ONCE] [MIB]`: ranges of KIB of all objects
//! below `data/` and `wal/` of a broker's store, until it has read MIB.

use futures::{StreamExt, TryStreamExt, stream};
use levee_base::{Clock, Random};
use levee_object::stores::open_to_read;
use levee_object::{Key, Purpose};
use std::error::Error;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("the URL of a store is missing")?;
    let mut number = |default: u64| arguments.next().map_or(Ok(default), |text| text.parse::<u64>());
    let (one, at_once, most) = (number(4_096)? * 1_024, number(16)?, number(1 << 20)? << 20);
    let clock = Clock::system();
    let opened = open_to_read(&url, clock, &Random::from_entropy())?;
    let (mut ranges, mut planned) = (Vec::new(), 0);
    for below in ["data/", "wal/"] {
        let mut after: Option<Key> = None;
        loop {
            let page = opened.store.list(below, after.as_ref(), 1_000, Purpose::Check).await?;
            for object in &page.objects {
                for start in (0..object.bytes).step_by(one as usize) {
                    if planned < most {
                        let end = object.bytes.min(start + one);
                        planned += end - start;
                        ranges.push((object.key.clone(), start..end));
                    }
                }
            }
            after = page.next();
            if after.is_none() {
                break;
            }
        }
    }
    let (requests, started) = (ranges.len(), clock.now());
    let store = &opened.store;
    let bytes = stream::iter(ranges)
        .map(|(key, range)| async move { store.get(&key, Some(range), Purpose::CatchUp).await })
        .buffer_unordered(at_once as usize)
        .try_fold(0, |sum, bytes| std::future::ready(Ok(sum + bytes.len() as u64)))
        .await?;
    let seconds = (clock.now() - started).as_secs_f64();
    println!("{bytes} {seconds:.3} {requests}");
    Ok(())
}
