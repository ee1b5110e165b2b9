//! Keys of objects.

use std::fmt;
use std::sync::Arc;

/// The longest key, in bytes. S3 allows 1,024, less what the bucket URL's own prefix takes.
pub const KEY_BYTES: usize = 512;

/// A relative key: segments of `[A-Za-z0-9._-]`, joined by `/`; no segment is empty, `.` or `..`, none begins
/// with a dot (the folder store keeps its own files there), so a key is the same in a bucket and a folder.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

/// A string that is no key.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not an object key: segments of A-Z a-z 0-9 . _ - joined by '/', none beginning with a dot")]
pub struct InvalidKey(String);

impl Key {
    /// Checks and wraps `key`.
    ///
    /// # Errors
    /// `InvalidKey` when it is not of the form above.
    pub fn new(key: impl AsRef<str>) -> Result<Self, InvalidKey> {
        let key = key.as_ref();
        let segment_ok = |s: &str| {
            !s.is_empty()
                && !s.starts_with('.')
                && s.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        };
        if key.len() <= KEY_BYTES && key.split('/').all(segment_ok) {
            Ok(Self(key.into()))
        } else {
            Err(InvalidKey(key.to_owned()))
        }
    }

    /// The key as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A key below this one.
    ///
    /// # Panics
    /// When `name` is no valid segment or path: names below a key are made by the program.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        Self::new(format!("{}/{name}", self.0)).expect("names below a key are made by the program")
    }

    /// A key below this one for a number, in 20 digits, so that keys list in the order of their numbers.
    #[must_use]
    pub fn join_number(&self, number: u64) -> Self {
        self.join(&format!("{number:020}"))
    }

    /// The last segment.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_relative_paths_are_keys() {
        for good in ["a", "wal/1/00000000000000000002", "a-b_c.d"] {
            assert_eq!(Key::new(good).unwrap().as_str(), good);
        }
        for bad in
            ["", "/a", "a/", "a//b", "..", "a/../b", ".levee/x", "a b", "ä", &"x".repeat(KEY_BYTES + 1)]
        {
            assert!(Key::new(bad).is_err(), "{bad}");
        }
        assert_eq!(Key::new("a").unwrap().join_number(7).name(), "00000000000000000007");
    }
}
