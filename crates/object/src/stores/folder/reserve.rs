//! Room set aside so that a full disk can be emptied: deleting needs journal entries, trims and snapshots, and
//! those need room. The first of them that meets a full disk frees the reserve; until it can be filled again,
//! everybody else is refused, or records would take what was freed.
//!
//! A reserve is a help, and no condition: where the disk has room and yet none can be set aside, that is said once,
//! and everybody is admitted until the disk itself refuses.

use super::files::Files;
use crate::Purpose;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Room that must be left beside the reserve and the object before it is filled again, in bytes: what the file
/// system needs for itself.
const SLACK_BYTES: u64 = 4 * 1024 * 1024;

/// What there is of the reserve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Held,
    /// Given back, or never filled because the disk was full.
    Freed,
    /// This file system can't set room aside.
    Impossible,
}

/// The reserve of one folder.
#[derive(Debug)]
pub(super) struct Reserve {
    bytes: u64,
    /// Locked while the reserve is filled or freed, so that only one does either.
    state: Mutex<State>,
    /// Whether everybody is admitted: it is held, or there is none to keep.
    open: AtomicBool,
}

/// What may use the reserve. The probe at start is among it: a broker that starts on a full disk must come to where
/// it can delete.
const fn privileged(purpose: Purpose) -> bool {
    matches!(
        purpose,
        Purpose::Journal | Purpose::Snapshot | Purpose::Fence | Purpose::Collect | Purpose::Check
    )
}

impl Reserve {
    /// Fills the reserve if there is room for it. A folder on a full disk opens all the same.
    pub(super) fn open<F: Files>(files: &F, bytes: u64) -> Self {
        let reserve = Self { bytes, state: Mutex::new(State::Freed), open: AtomicBool::new(false) };
        let state = reserve.try_fill(files, &mut reserve.lock());
        if state == State::Freed {
            tracing::warn!(
                bytes,
                "the disk is full: no room is set aside for emptying it, records are refused"
            );
        }
        reserve
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: &mut State, to: State) {
        *state = to;
        self.open.store(to != State::Freed, Ordering::Release);
    }

    /// Whether a create of so many bytes may be tried.
    pub(super) fn admits<F: Files>(&self, files: &F, purpose: Purpose, bytes: u64) -> bool {
        if self.open.load(Ordering::Acquire) || privileged(purpose) {
            return true;
        }
        // Whoever opened a folder on a full disk never held the reserve, and is refused in the same way.
        self.refill_beside(files, bytes);
        self.open.load(Ordering::Acquire)
    }

    /// Frees the reserve for `purpose`; whether trying again makes sense.
    pub(super) fn release_for<F: Files>(&self, files: &F, purpose: Purpose) -> bool {
        if !privileged(purpose) {
            return false;
        }
        let mut state = self.lock();
        if *state != State::Held {
            return false;
        }
        self.set(&mut state, State::Freed);
        match files.set_reserve(0) {
            Ok(()) => {
                tracing::warn!(
                    bytes = self.bytes,
                    "the disk is full: the reserve is freed for metadata and deletion, records are refused"
                );
                true
            }
            Err(error) => {
                tracing::error!(%error, "the disk is full and the reserve can't be freed");
                false
            }
        }
    }

    /// Fills it again when there is room.
    pub(super) fn refill<F: Files>(&self, files: &F) {
        if !self.open.load(Ordering::Acquire) {
            self.refill_beside(files, 0);
        }
    }

    /// Fills it again when there is room for it and `bytes` more.
    fn refill_beside<F: Files>(&self, files: &F, bytes: u64) {
        let mut state = self.lock();
        // Another may have filled it while this one waited for the lock.
        if *state != State::Freed || files.free_bytes().unwrap_or(0) < self.bytes + bytes + SLACK_BYTES {
            return;
        }
        if self.try_fill(files, &mut state) == State::Held {
            tracing::info!(bytes = self.bytes, "there is room again: the reserve is filled");
        }
    }

    fn try_fill<F: Files>(&self, files: &F, state: &mut State) -> State {
        let to = match files.set_reserve(self.bytes) {
            Ok(()) => State::Held,
            Err(error) => {
                // Part of it may have been allocated.
                if let Err(error) = files.set_reserve(0) {
                    tracing::warn!(%error, "a reserve that was filled in part can't be freed");
                }
                if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
                    State::Freed
                } else {
                    tracing::warn!(%error, bytes = self.bytes, "no reserve here: this file system can't set room \
                        aside for emptying a full disk, so see to it that the disk does not fill up");
                    State::Impossible
                }
            }
        };
        self.set(state, to);
        to
    }
}
