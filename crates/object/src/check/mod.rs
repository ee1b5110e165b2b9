//! `levee store check`: examines a store by using it, and says plainly whether Levee can run on it. Everything
//! happens below one new key, `check/<random>`, and is deleted afterwards.
//!
//! The store is used through several connections at once where it can be opened more than once, as a condition
//! that is checked by one front end alone is no condition. A failure that proves nothing (a time-out, a missing
//! right) leaves an examination not found out; only a broken promise that was seen makes a store unfit.

mod examine;
mod report;

pub use report::{CheckReport, Finding, LatencySummary, Outcome, Verdict, Versioning};

use crate::stores::cloud::CloudStore;
use crate::stores::{self, Kind};
use crate::{Error, ErrorKind, Key, Purpose, Result, Store};
use bytes::Bytes;
use examine::{Bench, Seen};
use levee_base::{Clock, Random};
use std::sync::Arc;
use std::time::Duration;

/// How thorough to be.
#[derive(Debug, Clone, Copy)]
pub struct CheckOptions {
    /// Connections to a cloud store.
    pub connections: usize,
    /// Writers that race for each key.
    pub writers: usize,
    /// Keys that are raced for, one after the other.
    pub keys: usize,
    /// Requests of each kind whose latency is measured.
    pub samples: usize,
}

impl Default for CheckOptions {
    /// Some hundreds of requests: less than a cent, and a minute on a slow store.
    fn default() -> Self {
        Self { connections: 3, writers: 8, keys: 25, samples: 50 }
    }
}

/// Examines the store at `url`.
///
/// # Errors
/// When it can't be opened. A store that can't be reached is opened, and its report says so.
pub async fn check_url(
    url: &str,
    options: CheckOptions,
    clock: Clock,
    random: &Random,
) -> Result<CheckReport> {
    let first = stores::open(url, clock, random)?;
    let mut connections = vec![first.store];
    if first.kind != Kind::Cloud {
        return check(&connections, options, clock, random).await;
    }
    for _ in 1..options.connections {
        connections.push(stores::open(url, clock, random)?.store);
    }
    let mut report = check(&connections, options, clock, random).await?;
    report.versioning = versioning(&CloudStore::open(url)?, random).await;
    Ok(report)
}

/// Examines a store through `connections`, at least one, which all lead to the same place.
///
/// # Errors
/// `Unsupported` when there is no connection.
pub async fn check(
    connections: &[Arc<dyn Store>],
    options: CheckOptions,
    clock: Clock,
    random: &Random,
) -> Result<CheckReport> {
    let Some(first) = connections.first() else {
        return Err(Error::new(ErrorKind::Unsupported, "check", "", "there is no connection to examine"));
    };
    let below = Key::new(format!("check/{}", random.uuid()))
        .map_err(|error| Error::new(ErrorKind::Unsupported, "check", "", error))?;
    let bench = Bench { connections, below, options };
    let mut findings = Vec::new();
    macro_rules! examine {
        ($name:literal, $needed:expr, $examination:expr, $consequence:literal) => {
            let seen = $examination.await;
            findings.push(finding($name, $needed, seen, $consequence));
        };
    }
    examine!(
        "create if absent, raced",
        true,
        examine::race(&bench, false),
        "Two brokers could own the same log: acknowledged records would be lost."
    );
    examine!(
        "create if absent in parts, raced",
        false,
        examine::race(&bench, true),
        "Objects written in parts could overwrite each other; Levee creates each object in one request."
    );
    examine!(
        "a create that already happened",
        true,
        examine::repeat(&bench),
        "A broker could not tell its own lost answer from another's object."
    );
    examine!(
        "read after create",
        true,
        examine::read_after_create(&bench),
        "A successor would not see all acknowledged records."
    );
    examine!(
        "list after create",
        true,
        examine::list_after_create(&bench),
        "A starting broker could overlook the newest metadata snapshot."
    );
    examine!(
        "listing order and pages",
        true,
        examine::listing(&bench),
        "A starting broker could overlook the newest metadata snapshot, and garbage would stay."
    );
    examine!(
        "range reads",
        true,
        examine::ranges(&bench),
        "Reads would return wrong bytes, or fetch whole objects."
    );
    examine!("deletes", true, examine::deletes(&bench), "Nothing would ever be freed.");
    let latencies = examine::latencies(&bench, clock).await;
    let left_behind = bench.clean_up().await;
    Ok(CheckReport {
        location: first.location(),
        verdict: CheckReport::judge(&findings),
        findings,
        latencies,
        versioning: Versioning::Unknown,
        left_behind,
    })
}

fn finding(name: &'static str, needed: bool, seen: Result<Seen>, consequence: &'static str) -> Finding {
    let (outcome, detail) = match seen {
        Ok(Seen::Kept(detail)) => (Outcome::Passed, detail),
        Ok(Seen::Broken(detail)) => (Outcome::Failed, detail),
        Err(error) if error.kind == ErrorKind::Unsupported => (Outcome::NotOffered, error.to_string()),
        Err(error) => (Outcome::Unknown, error.to_string()),
    };
    Finding { name, needed, outcome, detail, consequence }
}

/// S3 names the version of what is written where versioning is on.
async fn versioning(store: &CloudStore, random: &Random) -> Versioning {
    let Ok(key) = Key::new(format!("check/{}", random.uuid())) else { return Versioning::Unknown };
    let limit = Duration::from_secs(10);
    let created =
        Clock::system().timeout(limit, store.create_versioned(&key, Bytes::from_static(b"x"))).await;
    if let Err(error) = store.delete(&key, Purpose::Check).await {
        tracing::warn!(%error, "a key of the check stays in the store; it is safe to delete");
    }
    match created {
        Some(Ok(Some(_))) => Versioning::On,
        Some(Ok(None)) if store.tells_versions() => Versioning::NotSeen,
        _ => Versioning::Unknown,
    }
}

#[cfg(test)]
mod tests;
