//! The examinations: each uses the store in one way and tells what it saw.

use super::{CheckOptions, LatencySummary};
use crate::{ErrorKind, Key, Purpose, Result, Store};
use bytes::Bytes;
use futures::future::join_all;
use levee_base::Clock;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

const PURPOSE: Purpose = Purpose::Check;

/// What an examination saw.
pub(super) enum Seen {
    /// The promise was kept.
    Kept(String),
    /// It was broken.
    Broken(String),
}

/// What examinations work with.
pub(super) struct Bench<'a> {
    pub(super) connections: &'a [Arc<dyn Store>],
    pub(super) below: Key,
    pub(super) options: CheckOptions,
}

impl Bench<'_> {
    fn store(&self) -> &dyn Store {
        &*self.connections[0]
    }

    /// Another connection than the first, where there is one.
    fn other(&self) -> &dyn Store {
        &*self.connections[self.connections.len() - 1]
    }

    /// Deletes everything; the keys that stay.
    pub(super) async fn clean_up(&self) -> Vec<String> {
        let prefix = format!("{}/", self.below);
        let (mut after, mut stay) = (None, Vec::new());
        loop {
            let Ok(page) = self.store().list(&prefix, after.as_ref(), 1_000, PURPOSE).await else {
                stay.push(format!("{prefix}*"));
                return stay;
            };
            for listed in &page.objects {
                if self.store().delete(&listed.key, PURPOSE).await.is_err() {
                    stay.push(listed.key.to_string());
                }
            }
            after = page.next();
            if after.is_none() {
                return stay;
            }
        }
    }
}

/// Bytes that name their writer.
fn of_writer(writer: usize) -> Bytes {
    Bytes::from(format!("writer {writer:04} ").repeat(300))
}

/// Several writers race for each of many keys, with bytes of their own.
pub(super) async fn race(bench: &Bench<'_>, in_parts: bool) -> Result<Seen> {
    let keys = if in_parts { bench.options.keys.div_ceil(5) } else { bench.options.keys };
    let mut unsure = 0;
    for n in 0..keys {
        let key = bench.below.join(if in_parts { "race-parts" } else { "race" }).join_number(n as u64);
        let tries = (0..bench.options.writers).map(|writer| {
            let store = &bench.connections[writer % bench.connections.len()];
            let key = &key;
            async move {
                if in_parts {
                    store.create_parts(key, vec![of_writer(writer)], PURPOSE).await
                } else {
                    store.create(key, of_writer(writer), PURPOSE).await
                }
            }
        });
        let results = join_all(tries).await;
        let winners: Vec<usize> = (0..results.len()).filter(|writer| results[*writer].is_ok()).collect();
        if winners.len() > 1 {
            let said =
                format!("{} of {} writers were told that they created {key}", winners.len(), results.len());
            return Ok(Seen::Broken(said));
        }
        let Some(winner) = winners.first() else {
            // Nobody was told: an answer was lost, or nothing works here.
            let all_failed = |kind: ErrorKind| kind != ErrorKind::AlreadyExists;
            let failures = results.into_iter().filter_map(std::result::Result::err);
            if let Some(error) = failures.into_iter().find(|error| all_failed(error.kind)) {
                if unsure > 2 || error.kind == ErrorKind::Unsupported {
                    return Err(error);
                }
                unsure += 1;
                continue;
            }
            return Ok(Seen::Broken(format!("all writers of the new key {key} were told that it is taken")));
        };
        let read = bench.other().get(&key, None, PURPOSE).await?;
        if read != of_writer(*winner) {
            return Ok(Seen::Broken(format!("{key} does not hold the bytes of the writer that created it")));
        }
    }
    let connections = bench.connections.len();
    let writers = bench.options.writers;
    Ok(Seen::Kept(format!(
        "one winner for each of {keys} keys, {writers} writers, {connections} connections"
    )))
}

/// A create of what is there already, with the same bytes and with others.
pub(super) async fn repeat(bench: &Bench<'_>) -> Result<Seen> {
    let key = bench.below.join("repeat");
    bench.store().create(&key, of_writer(1), PURPOSE).await?;
    for (store, writer) in [(bench.store(), 1), (bench.store(), 2), (bench.other(), 2), (bench.other(), 1)] {
        match store.create(&key, of_writer(writer), PURPOSE).await {
            Ok(()) => return Ok(Seen::Broken("a second create of a key succeeded".to_owned())),
            Err(error) if error.kind == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    if bench.other().get(&key, None, PURPOSE).await? != of_writer(1) {
        return Ok(Seen::Broken("a refused create has overwritten the key".to_owned()));
    }
    Ok(Seen::Kept("refused as taken, and the first bytes stay".to_owned()))
}

/// Reads through another connection right after a create.
pub(super) async fn read_after_create(bench: &Bench<'_>) -> Result<Seen> {
    for n in 0..bench.options.keys {
        let key = bench.below.join("read").join_number(n as u64);
        // A reader that was here before must not be remembered as 'not there'.
        match bench.other().get(&key, None, PURPOSE).await {
            Ok(_) => return Ok(Seen::Broken(format!("{key} was read before it was created"))),
            Err(error) if error.kind == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        bench.store().create(&key, of_writer(n), PURPOSE).await?;
        match bench.other().get(&key, None, PURPOSE).await {
            Ok(read) if read == of_writer(n) => {}
            Ok(_) => return Ok(Seen::Broken(format!("{key} was read with other bytes"))),
            Err(error) if error.kind == ErrorKind::NotFound => {
                return Ok(Seen::Broken(format!("{key} was not there right after its create")));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Seen::Kept(format!("{} objects seen at once, through another connection", bench.options.keys)))
}

/// Lists through another connection right after a create.
pub(super) async fn list_after_create(bench: &Bench<'_>) -> Result<Seen> {
    let below = bench.below.join("list");
    for n in 0..bench.options.keys {
        let key = below.join_number(n as u64);
        bench.store().create(&key, Bytes::new(), PURPOSE).await?;
        let page = bench.other().list(&format!("{below}/"), None, 1_000, PURPOSE).await?;
        if page.objects.last().is_none_or(|listed| listed.key != key) || page.objects.len() != n + 1 {
            return Ok(Seen::Broken(format!("{key} was not listed right after its create")));
        }
    }
    Ok(Seen::Kept(format!("{} objects listed at once, through another connection", bench.options.keys)))
}

/// Order by bytes, pages, and where a page begins.
pub(super) async fn listing(bench: &Bench<'_>) -> Result<Seen> {
    let names: BTreeSet<&str> =
        ["B", "a-b", "a.b", "a/b", "a/c/d", "a0", "aB/x", "a_b", "aa", "b"].into_iter().collect();
    let below = bench.below.join("order");
    for name in names.iter().rev() {
        bench.store().create(&below.join(name), Bytes::new(), PURPOSE).await?;
    }
    let prefix = format!("{below}/");
    for limit in [1, 3, 1_000] {
        let (mut listed, mut after) = (Vec::new(), None);
        loop {
            let page = bench.store().list(&prefix, after.as_ref(), limit, PURPOSE).await?;
            if page.objects.len() > limit {
                return Ok(Seen::Broken(format!("a page of {limit} held {}", page.objects.len())));
            }
            listed.extend(page.objects.iter().map(|object| object.key.as_str()[prefix.len()..].to_owned()));
            after = page.objects.last().map(|object| object.key.clone());
            if !page.more || after.is_none() || listed.len() > names.len() {
                break;
            }
        }
        if !listed.iter().map(String::as_str).eq(names.iter().copied()) {
            return Ok(Seen::Broken(format!(
                "pages of {limit} listed {listed:?}, the order of bytes is {names:?}"
            )));
        }
    }
    Ok(Seen::Kept("in the order of bytes, whole in pages of 1, 3 and 1,000".to_owned()))
}

/// Reads of parts of an object.
pub(super) async fn ranges(bench: &Bench<'_>) -> Result<Seen> {
    let contents: Bytes = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    let end = contents.len() as u64;
    let key = bench.below.join("ranges");
    bench.store().create(&key, contents.clone(), PURPOSE).await?;
    for range in [0..1, 0..256, 4_095..4_097, end - 1..end, 0..end, end - 10..end + 10] {
        let read = bench.store().get(&key, Some(range.clone()), PURPOSE).await?;
        if read != contents.slice(range.start as usize..range.end.min(end) as usize) {
            return Ok(Seen::Broken(format!("{range:?} of {end} bytes was read wrong")));
        }
    }
    match bench.store().get(&key, Some(end..end + 1), PURPOSE).await {
        Ok(_) => Ok(Seen::Broken("bytes beyond the end were read".to_owned())),
        Err(error) if error.kind == ErrorKind::OutOfRange => {
            Ok(Seen::Kept("right, and bounded by the end".to_owned()))
        }
        Err(error) => Err(error),
    }
}

/// Deletes, and what is seen afterwards.
pub(super) async fn deletes(bench: &Bench<'_>) -> Result<Seen> {
    let key = bench.below.join("deletes").join("one");
    for round in 0..3 {
        match bench.store().create(&key, of_writer(round), PURPOSE).await {
            Ok(()) => {}
            Err(error) if error.kind == ErrorKind::AlreadyExists => {
                return Ok(Seen::Broken("a deleted key can't be created again".to_owned()));
            }
            Err(error) => return Err(error),
        }
        bench.store().delete(&key, PURPOSE).await?;
        bench.store().delete(&key, PURPOSE).await?;
        match bench.other().get(&key, None, PURPOSE).await {
            Ok(_) => return Ok(Seen::Broken("a deleted object was read".to_owned())),
            Err(error) if error.kind == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        if !bench.other().list(key.as_str(), None, 10, PURPOSE).await?.objects.is_empty() {
            return Ok(Seen::Broken("a deleted object was listed".to_owned()));
        }
    }
    Ok(Seen::Kept("gone at once, for readers and listings".to_owned()))
}

/// Requests one at a time, with nothing else going on. What fails is left out: the examinations told.
pub(super) async fn latencies(bench: &Bench<'_>, clock: Clock) -> Vec<LatencySummary> {
    let (mut creates, mut gets, mut lists) = (Vec::new(), Vec::new(), Vec::new());
    let below = bench.below.join("latency");
    let contents = Bytes::from(vec![0x5a; 4_096]);
    for n in 0..bench.options.samples {
        let key = below.join_number(n as u64);
        let started = clock.now();
        if bench.store().create(&key, contents.clone(), PURPOSE).await.is_ok() {
            creates.push(clock.now() - started);
        }
        let started = clock.now();
        if bench.store().get(&key, None, PURPOSE).await.is_ok() {
            gets.push(clock.now() - started);
        }
        let started = clock.now();
        if bench.store().list(&format!("{below}/"), None, 1_000, PURPOSE).await.is_ok() {
            lists.push(clock.now() - started);
        }
    }
    let all = [("create 4 KiB", creates), ("get 4 KiB", gets), ("list", lists)];
    all.into_iter().filter_map(|(operation, samples)| summary(operation, samples)).collect()
}

fn summary(operation: &'static str, mut samples: Vec<Duration>) -> Option<LatencySummary> {
    samples.sort_unstable();
    let at = |part: usize| samples.get((samples.len() * part).div_ceil(100).saturating_sub(1)).copied();
    Some(LatencySummary {
        operation,
        count: samples.len(),
        p50: at(50)?,
        p99: at(99)?,
        max: *samples.last()?,
    })
}
