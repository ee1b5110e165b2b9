//! One process holds a folder. The kernel frees the lock on any death, so whoever gets it knows that the
//! predecessor is gone.

use rustix::fs::{FlockOperation, Mode, OFlags, flock, ftruncate, openat};
use rustix::io::{Errno, pread, pwrite};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// Held while this lives.
#[derive(Debug)]
pub(super) struct Lock {
    _file: OwnedFd,
}

/// Why the lock was not got.
#[derive(Debug)]
pub(super) enum Refused {
    /// Another process, or another store in this one, has it: its pid as the lock file tells it.
    Held { pid: Option<u32> },
    /// The lock can't be taken at all.
    Failed(io::Error),
}

impl Lock {
    /// Takes the lock file in `dir`, without waiting, and writes this process's pid into it.
    pub(super) fn take(dir: impl AsFd) -> Result<Self, Refused> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
        let file = openat(dir, "lock", flags, Mode::from_raw_mode(0o644))
            .map_err(|error| Refused::Failed(error.into()))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(Refused::Held { pid: holder(&file) }),
            Err(error) => return Err(Refused::Failed(error.into())),
        }
        // For people only, so a disk that is full must not keep us from the folder.
        let written = ftruncate(&file, 0)
            .and_then(|()| pwrite(&file, format!("{}\n", std::process::id()).as_bytes(), 0));
        if let Err(error) = written {
            tracing::warn!(%error, "the lock file does not tell this process's id");
        }
        Ok(Self { _file: file })
    }
}

fn holder(file: &OwnedFd) -> Option<u32> {
    let mut text = [0_u8; 16];
    let read = pread(file, &mut text, 0).ok()?;
    std::str::from_utf8(&text[..read]).ok()?.trim().parse().ok()
}
