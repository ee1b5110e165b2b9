//! A folder that is only read, beside the process that holds it or without one. It takes no lock, makes nothing,
//! and syncs nothing, so rights to read are enough.
//!
//! That is safe because an object never changes, and gets its name only when all of its bytes are durable
//! (`core.rs`): whatever name is seen, what it names is whole. Two things are weaker than in [`super::FolderStore`]:
//! a name may be gone after a power loss that follows, as its directory may not have been synced yet; and the
//! holder may delete between a listing and a read. Both are fine for showing things to people. Nothing may be
//! decided on them, and nothing can be carried out: creates and deletes are refused.

use super::core::{directory_of, list, not_read, read};
use super::disk::Disk;
use super::failure::failure;
use super::files::Files;
use crate::stores::check_limit;
use crate::stores::read_only::refused;
use crate::{Error, ErrorKind, Key, Page, Purpose, Result, Store};
use async_trait::async_trait;
use bytes::Bytes;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A folder that is only read. See the module's text.
#[derive(Debug)]
pub struct FolderReader {
    path: PathBuf,
    disk: Arc<Disk>,
}

impl FolderReader {
    /// Opens the folder `path`, which must be there.
    ///
    /// # Errors
    /// `NotFound` when it isn't; `Denied` without the right to read it; else as the disk has it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let shown = path.display();
        let absolute =
            std::path::absolute(path).map_err(|error| failure("open", shown, "finding the path", error))?;
        let shown = absolute.display();
        let disk = Disk::open_to_read(&absolute).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                Error::new(ErrorKind::NotFound, "open", shown, "there is no such folder: check the path")
            }
            _ => failure("open", shown, "opening the folder", error),
        })?;
        Ok(Self { path: absolute, disk: Arc::new(disk) })
    }

    /// Runs `work` on a blocking thread.
    async fn blocking<T: Send + 'static>(
        &self,
        operation: &'static str,
        key: &str,
        work: impl FnOnce(&Disk) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let disk = self.disk.clone();
        match tokio::task::spawn_blocking(move || work(&disk)).await {
            Ok(result) => result,
            Err(error) => Err(Error::new(ErrorKind::Unavailable, operation, key, error)),
        }
    }
}

fn get(disk: &Disk, key: &Key, range: Option<Range<u64>>) -> Result<Bytes> {
    let mut dir = disk.root().map_err(not_read(key, "opening the folder"))?;
    for name in directory_of(key).split('/').filter(|name| !name.is_empty()) {
        dir = disk.open_dir(&dir, name).map_err(not_read(key, "opening the directory"))?;
    }
    let file = disk.open(&dir, key.name()).map_err(not_read(key, "opening the file"))?;
    read(disk, &file, key, range)
}

#[async_trait]
impl Store for FolderReader {
    fn location(&self) -> String {
        self.path.display().to_string()
    }

    async fn create(&self, key: &Key, _bytes: Bytes, _purpose: Purpose) -> Result<()> {
        Err(refused("create", key))
    }

    async fn create_parts(&self, key: &Key, _parts: Vec<Bytes>, _purpose: Purpose) -> Result<()> {
        Err(refused("create", key))
    }

    async fn get(&self, key: &Key, range: Option<Range<u64>>, _purpose: Purpose) -> Result<Bytes> {
        let of = key.clone();
        self.blocking("get", key.as_str(), move |disk| get(disk, &of, range)).await
    }

    async fn list(&self, prefix: &str, after: Option<&Key>, limit: usize, _purpose: Purpose) -> Result<Page> {
        check_limit(prefix, limit)?;
        let (of, after) = (prefix.to_owned(), after.cloned());
        self.blocking("list", prefix, move |disk| list(disk, &of, after.as_ref(), limit)).await
    }

    async fn delete(&self, key: &Key, _purpose: Purpose) -> Result<()> {
        Err(refused("delete", key))
    }
}
