//! A store by its URL, with everything around it that a broker wants.

use super::cloud::CloudStore;
use super::folder::FolderStore;
use super::memory::MemoryStore;
use super::metered::{Metered, StoreMetrics};
use super::resilient::{Resilient, RetryPolicy};
use crate::{Error, ErrorKind, Result, Store};
use levee_base::{Clock, Random};
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

/// Opens the store at `url`: `s3://`, `gs://`, `az://`, `memory://`, `file:///path`, or a path. A cloud is not
/// asked anything yet; a folder is made, if it isn't there, and held.
///
/// # Errors
/// `Unsupported` for a URL or an environment that is wrong; for a folder as [`FolderStore::open`].
pub fn open(url: &str, clock: Clock, random: &Random) -> Result<Opened> {
    let (base, kind): (Arc<dyn Store>, Kind) = match url.split_once("://") {
        None => (Arc::new(FolderStore::open(url)?), Kind::Folder),
        Some(("file", _)) => {
            let path = url::Url::parse(url).ok().and_then(|url| url.to_file_path().ok());
            let reason = "a file URL has an absolute path and no host: file:///path";
            let path = path.ok_or_else(|| Error::new(ErrorKind::Unsupported, "open", url, reason))?;
            (Arc::new(FolderStore::open(path)?), Kind::Folder)
        }
        Some(("memory", _)) => (Arc::new(MemoryStore::new()), Kind::Memory),
        Some(("s3" | "gs" | "az", _)) => (Arc::new(CloudStore::open(url)?), Kind::Cloud),
        Some((scheme, _)) => {
            let reason = format!("{scheme}:// is unknown: use s3, gs, az, file or memory, or give a path");
            return Err(Error::new(ErrorKind::Unsupported, "open", url, reason));
        }
    };
    let metered = Metered::new(base, clock);
    let metrics = metered.metrics();
    let store = Resilient::new(Arc::new(metered), RetryPolicy::default(), clock, random.fork());
    Ok(Opened { store: Arc::new(store), kind, metrics })
}
