//! Open directories, by path. A directory is in here only once the one above it has been synced after it was
//! seen there, and it itself after it was opened: so its path survives, and so does every name that was in it
//! before. Names that come later are this process's own, as it holds the folder's lock, and `doubt` knows them.
//!
//! Directories are never removed, so what was true of one once stays true when it is opened again.

use super::doubt::{Doubts, Moment};
use super::files::Files;
use super::rules::{Rule, Rules};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Directories kept open at most, but for those in use.
const OPEN: usize = 256;

/// An open directory and its names in doubt.
#[derive(Debug)]
pub(super) struct OpenDir<F: Files> {
    pub(super) handle: F::Dir,
    doubts: Mutex<Doubts>,
}

/// An attempt to link a name; dropped without [`Attempt::durable`] it leaves the name in doubt.
#[derive(Debug)]
pub(super) struct Attempt<'a, F: Files> {
    dir: &'a OpenDir<F>,
    name: &'a str,
    synced: Option<Moment>,
}

impl<F: Files> OpenDir<F> {
    /// Poison is ignored: the register's methods don't panic half way.
    fn doubts(&self) -> MutexGuard<'_, Doubts> {
        self.doubts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Called before `name` is linked, and so before anybody can see it.
    pub(super) fn attempt<'a>(&'a self, name: &'a str) -> Attempt<'a, F> {
        self.doubts().begin(name);
        Attempt { dir: self, name, synced: None }
    }

    /// Whether a name that was seen may be gone after a power loss.
    pub(super) fn doubts_name(&self, name: &str) -> bool {
        self.doubts().doubts(name)
    }

    /// Makes all names that are here now survive. No lock is held while the disk works.
    pub(super) fn sync(&self, files: &F) -> io::Result<Moment> {
        let moment = self.doubts().moment();
        files.sync_dir(&self.handle)?;
        self.doubts().synced(moment);
        Ok(moment)
    }
}

impl<F: Files> Attempt<'_, F> {
    /// The link stands, and the directory's sync that began at `moment`, after it, has succeeded.
    pub(super) fn durable(mut self, moment: Moment) {
        self.synced = Some(moment);
    }
}

impl<F: Files> Drop for Attempt<'_, F> {
    fn drop(&mut self) {
        self.dir.doubts().end(self.name, self.synced);
    }
}

/// All open directories of a folder.
#[derive(Debug)]
pub(super) struct Dirs<F: Files> {
    open: Mutex<BTreeMap<String, Arc<OpenDir<F>>>>,
}

impl<F: Files> Dirs<F> {
    /// With the folder itself, synced so that what a predecessor linked in it counts.
    pub(super) fn new(files: &F, rules: Rules) -> io::Result<Self> {
        let root = OpenDir { handle: files.root()?, doubts: Mutex::default() };
        if rules.holds(Rule::SyncBeforeDoubtfulRead) {
            files.sync_dir(&root.handle)?;
        }
        Ok(Self { open: Mutex::new(BTreeMap::from([(String::new(), Arc::new(root))])) })
    }

    fn cached(&self) -> MutexGuard<'_, BTreeMap<String, Arc<OpenDir<F>>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The directory `path`, segments joined by `/`; `NotFound` when it isn't there and `make` is not set.
    pub(super) fn get(&self, files: &F, rules: Rules, path: &str, make: bool) -> io::Result<Arc<OpenDir<F>>> {
        if let Some(dir) = self.cached().get(path) {
            return Ok(dir.clone());
        }
        // A path that isn't cached has a segment, so only the folder itself has nothing above it.
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        let above = self.get(files, rules, above, make)?;
        let (handle, made) = match files.open_dir(&above.handle, name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && make => {
                let made = match files.make_dir(&above.handle, name) {
                    Ok(()) => true,
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
                    Err(error) => return Err(error),
                };
                (files.open_dir(&above.handle, name)?, made)
            }
            other => (other?, false),
        };
        if rules.holds(Rule::SyncAboveNewDirectory) {
            above.sync(files)?;
        }
        // One that is new holds nothing yet that a predecessor could have linked.
        if !made && rules.holds(Rule::SyncBeforeDoubtfulRead) {
            files.sync_dir(&handle)?;
        }
        Ok(self.keep(path, handle))
    }

    /// Whoever comes second takes the first one's entry: the names in doubt must be in one place.
    fn keep(&self, path: &str, handle: F::Dir) -> Arc<OpenDir<F>> {
        let mut open = self.cached();
        if open.len() >= OPEN {
            open.retain(|path, dir| {
                path.is_empty() || Arc::strong_count(dir) > 1 || !dir.doubts().is_empty()
            });
        }
        let new = || Arc::new(OpenDir { handle, doubts: Mutex::default() });
        open.entry(path.to_owned()).or_insert_with(new).clone()
    }
}
