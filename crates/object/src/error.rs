//! What a store may answer instead of what was asked for. Coarse outward: what can the caller do?

use crate::key::Key;
use std::sync::Arc;

/// A store's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure it is, by what the caller can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// A create found the key taken. By whom is only known after reading it.
    AlreadyExists,
    /// There is no such object.
    NotFound,
    /// The range lies beyond the object's end.
    OutOfRange,
    /// The store asks for less (429, 503 SlowDown): wait, and don't hedge.
    Throttled,
    /// No answer in time: whether it took effect is not known.
    Timeout,
    /// The store failed or can't be reached (5xx, a lost connection, an I/O error): worth trying again.
    Unavailable,
    /// The store refuses us (401, 403, EACCES): a person must act; trying again is still right.
    Denied,
    /// The disk is full or a quota is used up.
    NoSpace,
    /// The store can't do what was asked, or says so (unknown scheme, malformed request, 400, 405, 501). Only the probe
    /// and `check` conclude from it that a store won't do; where one has done before, it is an episode like another.
    Unsupported,
}

impl ErrorKind {
    /// The name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AlreadyExists => "already_exists",
            Self::NotFound => "not_found",
            Self::OutOfRange => "out_of_range",
            Self::Throttled => "throttled",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::Denied => "denied",
            Self::NoSpace => "no_space",
            Self::Unsupported => "unsupported",
        }
    }

    /// Whether this is an answer about the object. All else says that the store failed, and whoever depends on it waits
    /// until it does not. That is so for `Unsupported` too: a store that has passed its probe could do it, and a
    /// proxy in its way or an upgrade of it must not end what only waiting keeps correct.
    #[must_use]
    pub const fn is_answer(self) -> bool {
        matches!(self, Self::AlreadyExists | Self::NotFound | Self::OutOfRange)
    }
}

/// A failed request: what was asked, of which key, and why it failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{operation} {key}: {reason}")]
pub struct Error {
    /// What can be done about it.
    pub kind: ErrorKind,
    /// `create`, `get`, `list` or `delete`.
    pub operation: &'static str,
    /// The key or prefix.
    pub key: String,
    /// In words.
    pub reason: String,
    /// What lies beneath, where there is something.
    #[source]
    pub source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// A failure of `operation` on `key`.
    pub fn new(kind: ErrorKind, operation: &'static str, key: impl ToString, reason: impl ToString) -> Self {
        Self { kind, operation, key: key.to_string(), reason: reason.to_string(), source: None }
    }

    /// With what lies beneath.
    #[must_use]
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// A create that found its key taken.
    #[must_use]
    pub fn already_exists(key: &Key) -> Self {
        Self::new(ErrorKind::AlreadyExists, "create", key, "the key is taken")
    }

    /// A read of an object that isn't there.
    #[must_use]
    pub fn not_found(key: &Key) -> Self {
        Self::new(ErrorKind::NotFound, "get", key, "there is no such object")
    }
}
