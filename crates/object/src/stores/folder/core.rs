//! The folder store's operations, one after the other in one thread: what `FolderStore` runs on blocking
//! threads and the power-loss simulation runs over files of its own. See the folder's text for the order.

use super::bounce::Bounces;
use super::dirs::{Dirs, OpenDir};
use super::failure::failure;
use super::files::{Entry, Files};
use super::reserve::Reserve;
use super::rules::{Rule, Rules};
use crate::stores::range_within;
use crate::{Error, ErrorKind, Key, Listed, Page, Purpose, Result};
use bytes::Bytes;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// An open folder.
#[derive(Debug)]
pub(super) struct Folder<F: Files> {
    files: F,
    dirs: Dirs<F>,
    bounces: Bounces,
    reserve: Reserve,
    rules: Rules,
}

/// The path of the directory that holds `key`.
pub(super) fn directory_of(key: &Key) -> &str {
    key.as_str().rsplit_once('/').map_or("", |(directory, _)| directory)
}

impl<F: Files> Folder<F> {
    /// `reserve_bytes` are set aside for what must go on when the disk is full.
    pub(super) fn open(files: F, reserve_bytes: u64, rules: Rules) -> io::Result<Self> {
        let dirs = Dirs::new(&files, rules)?;
        let reserve = Reserve::open(&files, reserve_bytes);
        Ok(Self { files, dirs, bounces: Bounces::default(), reserve, rules })
    }

    #[cfg(test)]
    pub(super) fn files(&self) -> &F {
        &self.files
    }

    /// Creates `key` with `pieces` one after the other, unless it exists.
    pub(super) fn create(&self, key: &Key, pieces: &[Bytes], purpose: Purpose) -> Result<()> {
        let bytes = pieces.iter().map(|piece| piece.len() as u64).sum();
        if !self.reserve.admits(&self.files, purpose, bytes) {
            let reason = "the disk is full, what is left is kept for metadata and deletion: make room, \
                          or shorten retention";
            return Err(Error::new(ErrorKind::NoSpace, "create", key, reason));
        }
        match self.try_create(key, pieces) {
            // Nothing was linked, so this is a first try still.
            Err(error)
                if error.kind == ErrorKind::NoSpace && self.reserve.release_for(&self.files, purpose) =>
            {
                self.try_create(key, pieces)
            }
            other => other,
        }
    }

    fn try_create(&self, key: &Key, pieces: &[Bytes]) -> Result<()> {
        let fail = |step| move |error| failure("create", key, step, error);
        let dir = self
            .dirs
            .get(&self.files, self.rules, directory_of(key), true)
            .map_err(fail("making the directory"))?;
        let file = self.files.stage(&dir.handle).map_err(fail("staging the file"))?;
        self.bounces.write(&self.files, &file, pieces).map_err(fail("writing"))?;
        self.sync_file(&file).map_err(fail("syncing the file"))?;
        let attempt = dir.attempt(key.name());
        match self.files.link(&file, &dir.handle, key.name()) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(self.taken(key, &dir));
            }
            Err(error) => return Err(fail("linking the file")(error)),
        }
        if self.rules.holds(Rule::SyncDirectory) {
            attempt.durable(dir.sync(&self.files).map_err(fail("syncing the directory"))?);
        }
        Ok(())
    }

    /// Once only: the kernel marks pages clean that it failed to write, so a second sync would succeed
    /// without having written them. The caller drops the file instead.
    fn sync_file(&self, file: &F::File) -> io::Result<()> {
        if !self.rules.holds(Rule::SyncFile) {
            return Ok(());
        }
        match self.files.sync(file) {
            Err(_) if !self.rules.holds(Rule::AbandonAfterFailedSync) => self.files.sync(file),
            result => result,
        }
    }

    /// The name is taken: by an object, or by a directory, which no object can be created over.
    fn taken(&self, key: &Key, dir: &Arc<OpenDir<F>>) -> Error {
        match self.files.open(&dir.handle, key.name()).and_then(|file| self.files.len(&file)) {
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
                failure("create", key, "linking the file", error)
            }
            _ => Error::already_exists(key),
        }
    }

    /// Reads `range` of `key`, once its name is sure to survive.
    pub(super) fn get(&self, key: &Key, range: Option<Range<u64>>) -> Result<Bytes> {
        let dir = self
            .dirs
            .get(&self.files, self.rules, directory_of(key), false)
            .map_err(not_read(key, "opening the directory"))?;
        let file = self.files.open(&dir.handle, key.name()).map_err(not_read(key, "opening the file"))?;
        if dir.doubts_name(key.name()) && self.rules.holds(Rule::SyncBeforeDoubtfulRead) {
            dir.sync(&self.files).map_err(not_read(key, "syncing the directory of a name in doubt"))?;
        }
        read(&self.files, &file, key, range)
    }

    /// Takes the name away. The directory is not synced: a name that comes back after a power loss is garbage
    /// that was garbage before, and is collected again.
    pub(super) fn delete(&self, key: &Key) -> Result<()> {
        let result = self
            .dirs
            .get(&self.files, self.rules, directory_of(key), false)
            .and_then(|dir| self.files.unlink(&dir.handle, key.name()));
        match result {
            Ok(()) => {
                self.reserve.refill(&self.files);
                Ok(())
            }
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => {
                    Ok(())
                }
                _ => Err(failure("delete", key, "unlinking", error)),
            },
        }
    }

    /// Lists in the order of the whole keys' bytes.
    pub(super) fn list(&self, prefix: &str, after: Option<&Key>, limit: usize) -> Result<Page> {
        list(&self.files, prefix, after, limit)
    }
}

/// What a failed `step` of a get means. A path that leads through a file, or ends at a directory, names nothing.
pub(super) fn not_read(key: &Key, step: &'static str) -> impl Fn(io::Error) -> Error {
    move |error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => {
            Error::not_found(key)
        }
        _ => failure("get", key, step, error),
    }
}

/// Reads `range` of the open `file` of `key`.
pub(super) fn read<F: Files>(
    files: &F,
    file: &F::File,
    key: &Key,
    range: Option<Range<u64>>,
) -> Result<Bytes> {
    let bytes = files.len(file).map_err(not_read(key, "reading the file's length"))?;
    let range = range_within(key, range, bytes)?;
    let wanted = usize::try_from(range.end - range.start)
        .map_err(|_| Error::new(ErrorKind::Unsupported, "get", key, "the range does not fit into memory"))?;
    files.read_at(file, wanted, range.start).map_err(not_read(key, "reading"))
}

/// Lists in the order of the whole keys' bytes.
pub(super) fn list<F: Files>(files: &F, prefix: &str, after: Option<&Key>, limit: usize) -> Result<Page> {
    let mut walk = Walk { files, prefix, after: after.map(Key::as_str), limit, page: Page::default() };
    let root = files.root().map_err(|error| failure("list", prefix, "opening the folder", error))?;
    walk.directory(&root, "").map_err(|error| failure("list", prefix, "reading a directory", error))?;
    Ok(walk.page)
}

/// A walk through directories that yields keys in the order of their bytes. Within a directory a directory
/// `a` sorts as `a/`, since that is what its keys begin with: `a-b` < `a/b` < `a0`.
///
/// Each page reads the directories it touches anew; that suits directories of some thousands of names.
struct Walk<'a, F: Files> {
    files: &'a F,
    prefix: &'a str,
    after: Option<&'a str>,
    limit: usize,
    page: Page,
}

impl<F: Files> Walk<'_, F> {
    /// Adds what is in `dir`, whose keys begin with `path` (empty, or ending in a slash).
    fn directory(&mut self, dir: &F::Dir, path: &str) -> io::Result<()> {
        let mut found: Vec<(String, Entry)> = self
            .files
            .entries(dir)?
            .into_iter()
            .map(|entry| (format!("{path}{}{}", entry.name, if entry.is_dir { "/" } else { "" }), entry))
            .filter(|(name, entry)| self.may_match(name, entry.is_dir))
            .collect();
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (name, entry) in found {
            if self.page.more {
                return Ok(());
            }
            if entry.is_dir {
                match self.files.open_dir(dir, &entry.name) {
                    Ok(below) => self.directory(&below, &name)?,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
                continue;
            }
            // Files that people put here are no objects.
            let Ok(key) = Key::new(&name) else { continue };
            match self.files.len_of(dir, &entry.name) {
                Ok(_) if self.page.objects.len() == self.limit => self.page.more = true,
                Ok(bytes) => self.page.objects.push(Listed { key, bytes }),
                // Deleted since the directory was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether `name`, or a key that begins with it if it is a directory's, belongs to the listing.
    fn may_match(&self, name: &str, is_dir: bool) -> bool {
        let prefix_ok = name.starts_with(self.prefix) || (is_dir && self.prefix.starts_with(name));
        let after_ok = self.after.is_none_or(|after| name > after || (is_dir && after.starts_with(name)));
        prefix_ok && after_ok
    }
}
