//! Why metadata can't go on. What may pass is waited out beneath; each of these needs a person.

use crate::codec::CodecError;
use levee_base::ClusterId;
use levee_object::Key;
use levee_object::log::ReadError;

/// Why the metadata can't be read, or not be read on.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MetaError {
    /// The journal itself.
    #[error(transparent)]
    Journal(#[from] ReadError),
    /// The store gave an answer that makes no sense for what was asked.
    #[error(transparent)]
    Store(#[from] levee_object::Error),
    /// A journal entry was read and not understood.
    #[error("the journal entry {key} can't be used: {source}. See it with `levee inspect`")]
    Entry {
        /// The entry.
        key: Key,
        /// Why.
        source: CodecError,
    },
    /// The newest snapshot was read and not understood. Why an older one is not taken silently: see `snapshots`.
    #[error(
        "the newest metadata snapshot {key} can't be used: {source}. The store changed or lost data that it had \
         acknowledged: look for what else it damaged. The snapshot before it and the journal since then are \
         still there; to start from those, move {key} away and start again"
    )]
    Snapshot {
        /// The snapshot.
        key: Key,
        /// Why.
        source: CodecError,
    },
    /// The newest snapshot was written by a newer version.
    #[error("the metadata snapshot {key} can't be used: {source}")]
    NewerSnapshot {
        /// The snapshot.
        key: Key,
        /// Why.
        source: CodecError,
    },
    /// The newest snapshot is another's, or of another place.
    #[error(
        "the metadata snapshot {key} belongs to cluster {found}, and this is cluster {expected}: two clusters must \
         not share a bucket and prefix; start Levee with the --store of its own cluster"
    )]
    ForeignSnapshot {
        /// The snapshot.
        key: Key,
        /// This cluster.
        expected: ClusterId,
        /// The snapshot's.
        found: ClusterId,
    },
}
