//! Room set aside so that a full disk can be emptied: deleting needs journal entries, trims and snapshots, and
//! those need room. The first of them that meets a full disk frees the reserve; until it can be filled again,
//! everybody else is refused, or records would take what was freed.

use super::files::Files;
use crate::Purpose;
use std::sync::atomic::{AtomicBool, Ordering};

/// Room that must be left beside the reserve and the object before it is filled again, in bytes: what the file
/// system needs for itself.
const SLACK_BYTES: u64 = 4 * 1024 * 1024;

/// Whether the reserve is held.
#[derive(Debug)]
pub(super) struct Reserve {
    bytes: u64,
    held: AtomicBool,
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
        let reserve = Self { bytes, held: AtomicBool::new(false) };
        if let Err(error) = reserve.try_fill(files) {
            tracing::warn!(%error, bytes, "no room is set aside for emptying a full disk");
        }
        reserve
    }

    /// Whether a create of so many bytes may be tried.
    pub(super) fn admits<F: Files>(&self, files: &F, purpose: Purpose, bytes: u64) -> bool {
        if self.held.load(Ordering::Acquire) || privileged(purpose) {
            return true;
        }
        let room = files.free_bytes().unwrap_or(0);
        if room >= self.bytes + bytes + SLACK_BYTES {
            self.refill(files);
        }
        // Whoever opened a folder on a full disk never held the reserve, and is refused in the same way.
        self.held.load(Ordering::Acquire)
    }

    /// Frees the reserve for `purpose`; whether trying again makes sense.
    pub(super) fn release_for<F: Files>(&self, files: &F, purpose: Purpose) -> bool {
        if !privileged(purpose) || !self.held.swap(false, Ordering::AcqRel) {
            return false;
        }
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
        if self.held.load(Ordering::Acquire) {
            return;
        }
        let room = files.free_bytes().unwrap_or(0);
        if room >= self.bytes + SLACK_BYTES && self.try_fill(files).is_ok() {
            tracing::info!(bytes = self.bytes, "there is room again: the reserve is filled");
        }
    }

    fn try_fill<F: Files>(&self, files: &F) -> std::io::Result<()> {
        match files.set_reserve(self.bytes) {
            Ok(()) => {
                self.held.store(true, Ordering::Release);
                Ok(())
            }
            Err(error) => {
                // Part of it may have been allocated.
                if let Err(error) = files.set_reserve(0) {
                    tracing::warn!(%error, "a reserve that was filled in part can't be freed");
                }
                Err(error)
            }
        }
    }
}
