//! The folder store: objects as files, with the promises of a bucket.
//!
//! # Layout
//! The object `a/b/c` is the file `a/b/c`, and holds the object's bytes and nothing else. `.levee/` holds the
//! lock (with the holder's pid in it, for people) and the reserve; no key begins with a dot. A key can't be
//! another one's prefix segment here (`a` and `a/b`); such a create is `Unsupported`, and no part of Levee
//! makes such keys. Directories are made when needed and never removed.
//!
//! # Create: ordering
//! 1. The directory is opened or made. A directory is used only once the one above it was synced after it was
//!    seen there, so its own path survives.
//! 2. The bytes go into a staged file: without a name (O_TMPFILE) in the destination's directory, past the
//!    page cache (O_DIRECT). Where these are missing: a dot-name; the page cache.
//! 3. The file is synced. So a name, wherever it is seen, always names complete bytes.
//! 4. The name is linked without replacing: the kernel decides who wins. `EEXIST` is `AlreadyExists`.
//! 5. The directory is synced. Only then `Ok`.
//!
//! Step 3 costs a commit of its own. Linking first and syncing once would save it, but a reader could then
//! adopt an object whose bytes are not durable.
//!
//! # Crash
//! Power loss before step 4 leaves nothing; between 4 and the end of 5 the object is there or not, but if it is
//! there it is complete. A process that dies between 4 and 5 is the subtle case: its successor *sees* the name,
//! may act on it (a doubt read, a recovery), and loses it to a power loss later. So **a name counts only once
//! its directory has been synced after the name was seen**, and [`Store::get`] promises that what it returns is
//! durable. That is made cheap by knowing who could have linked what:
//! - Before we held the lock: others. Each directory is synced once, when this process opens it.
//! - Since: this process only. A name is registered as in doubt before it is linked, and leaves the register
//!   when its create is answered `Ok` (`doubt.rs`). A get that finds its name in the register syncs the
//!   directory first. A create that failed or found the name taken leaves it there.
//!
//! So a get costs a sync only for names whose create is in flight or went wrong, and once a directory. A
//! listing promises nothing about durability: whoever acts on a name reads it first.
//!
//! # Retry
//! After a failed sync of a file its pages are marked clean although they were not written (see the PostgreSQL
//! fsync discussion of 2018): a second sync would lie. The file is dropped, the create fails with `Unavailable`,
//! and whoever tries again stages anew. After a failed sync of a *directory* the name stays where it is: someone
//! may have read it already, so it must not be taken away. It stays in doubt, and the next get syncs again. A
//! journalling file system that can't commit its journal stops and refuses everything, so that sync does not
//! lie.
//!
//! # Delete
//! Unlinks, without a sync. A name that comes back after a power loss was garbage when it was deleted (below
//! the trim point, or referred to by nothing), still is, and is collected again; and the fenced log is made for
//! creates that land late, which looks the same. Deleting needs no room, so a full disk can be emptied.
//!
//! # Cancellation
//! Everything runs on blocking threads, in one go. Dropping the future does not stop it: a create may land
//! later, as on any store, and keeps its name in doubt until it has ended.
//!
//! # The page cache
//! Writes pass it by. Reads go through it for now: they serve recovery and catch-up, and our own caches stand
//! above them. What a read costs there (it fills fresh pages, and drops others) is to be measured when the
//! block cache comes; O_DIRECT reads need aligned buffers handed down to here.

mod bounce;
mod core;
mod dirs;
mod disk;
mod doubt;
mod failure;
mod file_system;
mod files;
mod lock;
#[cfg(test)]
mod power_loss_tests;
mod reader;
mod reserve;
mod rules;
#[cfg(test)]
mod sim;

pub use file_system::{FileSystem, file_system};
pub use reader::FolderReader;

use self::core::Folder;
use self::disk::{Disk, OpenError};
use self::rules::Rules;
use crate::stores::check_limit;
use crate::{Error, ErrorKind, Key, Page, Purpose, Result, Store};
use async_trait::async_trait;
use bytes::Bytes;
use levee_base::limits::FOLDER_RESERVE_BYTES;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A folder on one machine. See the module's text.
#[derive(Debug)]
pub struct FolderStore {
    path: PathBuf,
    folder: Arc<Folder<Disk>>,
}

impl FolderStore {
    /// Opens the folder `path`, makes it if it isn't there, and holds it until this is dropped.
    ///
    /// # Errors
    /// `Denied` when another process holds it (the reason names its pid) or the rights are missing; else as the
    /// disk has it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let shown = path.display().to_string();
        let absolute = std::path::absolute(path)
            .map_err(|error| failure::failure("open", &shown, "finding the path", error))?;
        let shown = absolute.display().to_string();
        let disk = Disk::open(&absolute).map_err(|error| match error {
            OpenError::Held { pid } => {
                let holder = pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
                let reason =
                    format!("{holder} holds this folder: stop it, or choose another folder (--store)");
                Error::new(ErrorKind::Denied, "open", &shown, reason)
            }
            OpenError::Failed { step, error } => failure::failure("open", &shown, step, error),
        })?;
        let folder = Folder::open(disk, FOLDER_RESERVE_BYTES, Rules::default())
            .map_err(|error| failure::failure("open", &shown, "syncing the folder", error))?;
        Ok(Self { path: absolute, folder: Arc::new(folder) })
    }

    /// The folder's absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `work` on a blocking thread.
    async fn blocking<T: Send + 'static>(
        &self,
        operation: &'static str,
        key: &str,
        work: impl FnOnce(&Folder<Disk>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let folder = self.folder.clone();
        match tokio::task::spawn_blocking(move || work(&folder)).await {
            Ok(result) => result,
            // The runtime is shutting down, or the work panicked: whether it took effect is not known.
            Err(error) => Err(Error::new(ErrorKind::Unavailable, operation, key, error)),
        }
    }
}

#[async_trait]
impl Store for FolderStore {
    fn location(&self) -> String {
        self.path.display().to_string()
    }

    async fn create(&self, key: &Key, bytes: Bytes, purpose: Purpose) -> Result<()> {
        self.create_parts(key, vec![bytes], purpose).await
    }

    async fn create_parts(&self, key: &Key, parts: Vec<Bytes>, purpose: Purpose) -> Result<()> {
        let of = key.clone();
        self.blocking("create", key.as_str(), move |folder| folder.create(&of, &parts, purpose)).await
    }

    async fn get(&self, key: &Key, range: Option<Range<u64>>, _purpose: Purpose) -> Result<Bytes> {
        let of = key.clone();
        self.blocking("get", key.as_str(), move |folder| folder.get(&of, range)).await
    }

    async fn list(&self, prefix: &str, after: Option<&Key>, limit: usize, _purpose: Purpose) -> Result<Page> {
        check_limit(prefix, limit)?;
        let (of, after) = (prefix.to_owned(), after.cloned());
        self.blocking("list", prefix, move |folder| folder.list(&of, after.as_ref(), limit)).await
    }

    async fn delete(&self, key: &Key, _purpose: Purpose) -> Result<()> {
        let of = key.clone();
        self.blocking("delete", key.as_str(), move |folder| folder.delete(&of)).await
    }
}
