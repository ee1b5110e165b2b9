//! A store by its URL, with everything around it that a broker wants.

use super::cloud::CloudStore;
use super::folder::{FolderReader, FolderStore};
use super::memory::MemoryStore;
use super::metered::{Metered, StoreMetrics};
use super::read_only::ReadOnly;
use super::resilient::{Resilient, RetryPolicy};
use crate::{Error, ErrorKind, Result, Store};
use levee_base::{Clock, Random};
use std::path::PathBuf;
use std::sync::Arc;

/// Where a store's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A folder on this machine, which this process holds.
    Folder,
    /// A bucket.
    Cloud,
    /// This process's memory.
    Memory,
}

/// An open store.
#[derive(Debug)]
pub struct Opened {
    /// With deadlines, retries of what can be repeated, and every request counted.
    pub store: Arc<dyn Store>,
    /// Where its bytes are.
    pub kind: Kind,
    /// The counts.
    pub metrics: Arc<StoreMetrics>,
}

/// A URL, understood.
enum Place<'a> {
    Folder(PathBuf),
    Cloud(&'a str),
    Memory,
}

fn place(url: &str) -> Result<Place<'_>> {
    match url.split_once("://") {
        None => Ok(Place::Folder(url.into())),
        Some(("file", _)) => {
            let path = url::Url::parse(url).ok().and_then(|url| url.to_file_path().ok());
            let reason = "a file URL has an absolute path and no host: file:///path";
            path.map(Place::Folder).ok_or_else(|| Error::new(ErrorKind::Unsupported, "open", url, reason))
        }
        Some(("memory", _)) => Ok(Place::Memory),
        Some(("s3" | "gs" | "az", _)) => Ok(Place::Cloud(url)),
        Some((scheme, _)) => {
            let reason = format!("{scheme}:// is unknown: use s3, gs, az, file or memory, or give a path");
            Err(Error::new(ErrorKind::Unsupported, "open", url, reason))
        }
    }
}

/// Opens the store at `url`: `s3://`, `gs://`, `az://`, `memory://`, `file:///path`, or a path. A cloud is not
/// asked anything yet; a folder is made, if it isn't there, and held.
///
/// # Errors
/// `Unsupported` for a URL or an environment that is wrong; for a folder as [`FolderStore::open`].
pub fn open(url: &str, clock: Clock, random: &Random) -> Result<Opened> {
    let (base, kind): (Arc<dyn Store>, Kind) = match place(url)? {
        Place::Folder(path) => (Arc::new(FolderStore::open(path)?), Kind::Folder),
        Place::Cloud(url) => (Arc::new(CloudStore::open(url)?), Kind::Cloud),
        Place::Memory => (Arc::new(MemoryStore::new()), Kind::Memory),
    };
    Ok(wrapped(base, kind, clock, random))
}

/// Opens the store at `url` as [`open`] does, to read it and nothing else: a folder that somebody holds, too. It
/// refuses creates and deletes. What it shows of a folder may not survive a power loss; see [`FolderReader`].
///
/// # Errors
/// As [`open`]; `NotFound` for a folder that isn't there.
pub fn open_to_read(url: &str, clock: Clock, random: &Random) -> Result<Opened> {
    let (base, kind): (Arc<dyn Store>, Kind) = match place(url)? {
        Place::Folder(path) => (Arc::new(FolderReader::open(path)?), Kind::Folder),
        Place::Cloud(url) => (Arc::new(ReadOnly::new(Arc::new(CloudStore::open(url)?))), Kind::Cloud),
        Place::Memory => {
            let reason = "memory is its process's own: there is nothing to read";
            return Err(Error::new(ErrorKind::Unsupported, "open", url, reason));
        }
    };
    Ok(wrapped(base, kind, clock, random))
}

fn wrapped(base: Arc<dyn Store>, kind: Kind, clock: Clock, random: &Random) -> Opened {
    let metered = Metered::new(base, clock);
    let metrics = metered.metrics();
    let store = Resilient::new(Arc::new(metered), RetryPolicy::default(), clock, random.fork());
    Opened { store: Arc::new(store), kind, metrics }
}
