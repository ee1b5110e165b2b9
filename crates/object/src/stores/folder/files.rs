//! The file operations that the folder store is made of, and nothing else: a narrow trait, so that a layer
//! that loses power can stand beneath the store in place of the kernel.
//!
//! Every method is one system call or a few, blocks, and is called from blocking threads only. What each one
//! promises about power loss is what POSIX promises, not what a file system happens to do: data counts after
//! [`Files::sync`] of its file, a name after [`Files::sync_dir`] of its directory, nothing else does.

use bytes::Bytes;
use std::fmt::Debug;
use std::io;

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) is_dir: bool,
}

/// The file operations beneath a folder store.
pub(super) trait Files: Debug + Send + Sync + 'static {
    /// An open directory.
    type Dir: Debug + Send + Sync + 'static;
    /// An open file: a staged one that has no name yet, or one that was opened to be read.
    type File: Debug + Send + Sync + 'static;

    /// The folder itself.
    fn root(&self) -> io::Result<Self::Dir>;
    /// Opens the directory `name` in `above`.
    fn open_dir(&self, above: &Self::Dir, name: &str) -> io::Result<Self::Dir>;
    /// Makes the directory `name` in `above`.
    fn make_dir(&self, above: &Self::Dir, name: &str) -> io::Result<()>;
    /// Makes all names that `dir` has now survive.
    fn sync_dir(&self, dir: &Self::Dir) -> io::Result<()>;
    /// All names in `dir`, in any order, those that begin with a dot left out.
    fn entries(&self, dir: &Self::Dir) -> io::Result<Vec<Entry>>;

    /// What buffers, offsets and lengths of [`Files::write_at`] must be multiples of; 1 when anything goes.
    fn alignment(&self) -> usize;
    /// A new file for `dir` that has no name yet, and is gone if it never gets one.
    fn stage(&self, dir: &Self::Dir) -> io::Result<Self::File>;
    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, file: &Self::File, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Sets a file's length.
    fn truncate(&self, file: &Self::File, bytes: u64) -> io::Result<()>;
    /// Makes a file's data and length survive. After an error nothing is known about them, and a second try
    /// would answer `Ok` without having written anything (the kernel marks the pages clean).
    fn sync(&self, file: &Self::File) -> io::Result<()>;
    /// Gives a staged file its name; `AlreadyExists` when that is taken.
    fn link(&self, file: &Self::File, dir: &Self::Dir, name: &str) -> io::Result<()>;

    /// Opens a file to read it.
    fn open(&self, dir: &Self::Dir, name: &str) -> io::Result<Self::File>;
    /// An open file's length; `IsADirectory` when it is none.
    fn len(&self, file: &Self::File) -> io::Result<u64>;
    /// A named file's length.
    fn len_of(&self, dir: &Self::Dir, name: &str) -> io::Result<u64>;
    /// Reads `bytes` at `offset`, all of them.
    fn read_at(&self, file: &Self::File, bytes: usize, offset: u64) -> io::Result<Bytes>;
    /// Takes a name away.
    fn unlink(&self, dir: &Self::Dir, name: &str) -> io::Result<()>;

    /// Room that is left for us, in bytes.
    fn free_bytes(&self) -> io::Result<u64>;
    /// Makes the reserve take so many bytes; 0 gives its room back at once.
    fn set_reserve(&self, bytes: u64) -> io::Result<()>;
}
