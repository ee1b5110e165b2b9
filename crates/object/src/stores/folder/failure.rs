//! What an I/O error means to whoever uses the store, and what a person can do about it.

use crate::{Error, ErrorKind};
use rustix::io::Errno;
use std::io;

/// The kind of an I/O error, and advice.
pub(super) fn judge(error: &io::Error) -> (ErrorKind, &'static str) {
    match Errno::from_io_error(error) {
        Some(Errno::NOSPC) => (ErrorKind::NoSpace, "the disk is full: make room, or shorten retention"),
        Some(Errno::DQUOT) => (ErrorKind::NoSpace, "the quota is used up: raise it, or shorten retention"),
        Some(Errno::ACCESS | Errno::PERM) => {
            (ErrorKind::Denied, "give the broker's user the right to read and write the folder")
        }
        Some(Errno::ROFS) => (
            ErrorKind::Denied,
            "the file system is mounted read-only: see the kernel's log, mount it for writing",
        ),
        Some(Errno::NAMETOOLONG) => (ErrorKind::Unsupported, "the key is too long for this file system"),
        Some(Errno::NOTDIR | Errno::ISDIR) => {
            (ErrorKind::Unsupported, "in a folder a key can't be another key's prefix segment")
        }
        Some(Errno::MFILE | Errno::NFILE) => {
            (ErrorKind::Unavailable, "too many open files: raise the limit (ulimit -n)")
        }
        _ => (ErrorKind::Unavailable, "see the kernel's log for the disk's state"),
    }
}

/// `step` of `operation` on `key` failed with `error`.
pub(super) fn failure(operation: &'static str, key: impl ToString, step: &str, error: io::Error) -> Error {
    let (kind, advice) = judge(&error);
    Error::new(kind, operation, key, format!("{step}: {error} ({advice})")).with_source(error)
}
