//! The trait that every store serves: the least that the fenced log and the stream store need.
//!
//! A store is strongly consistent: once a create has been answered, every get and every list sees it.
//! No method tries again by itself but for the `Resilient` wrapper, which never repeats a create: only
//! whoever knows the bytes can tell whether an answer that was lost means success.

use crate::{Key, Purpose, Result};
use async_trait::async_trait;
use bytes::Bytes;
use std::fmt::Debug;
use std::ops::Range;

/// One object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: Key,
    /// Its length in bytes.
    pub bytes: u64,
}

/// One page of a listing, in the order of the keys' bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The objects.
    pub objects: Vec<Listed>,
    /// Whether there are more after the last one.
    pub more: bool,
}

impl Page {
    /// After which key the next page begins; `None` when this is the last.
    #[must_use]
    pub fn next(&self) -> Option<Key> {
        self.objects.last().filter(|_| self.more).map(|last| last.key.clone())
    }
}

/// An object store. See the module's text for what it promises.
#[async_trait]
pub trait Store: Debug + Send + Sync {
    /// Where it is, for people: a URL, or an absolute path.
    fn location(&self) -> String;

    /// Creates `key` with `bytes`, in one request, unless it exists. `Ok` means created, and durable.
    ///
    /// # Errors
    /// `AlreadyExists` when the key is taken, perhaps by an earlier try of the same caller. After any other
    /// error the object may have been created, or may yet be.
    async fn create(&self, key: &Key, bytes: Bytes, purpose: Purpose) -> Result<()>;

    /// Creates `key` as [`Store::create`] does, in parts that are uploaded one after the other (S3's multipart
    /// upload). All parts but the last have the same size, of at least 5 MiB.
    ///
    /// # Errors
    /// As `create`; `Unsupported` where the store can't create in parts only if absent.
    async fn create_parts(&self, key: &Key, parts: Vec<Bytes>, purpose: Purpose) -> Result<()>;

    /// Reads `range` of `key`, or all of it. A range that ends beyond the object gives what there is.
    ///
    /// What is returned is durable: it can't be gone after a crash.
    ///
    /// # Errors
    /// `NotFound`; `OutOfRange` when the range begins at or beyond the end, or is empty.
    async fn get(&self, key: &Key, range: Option<Range<u64>>, purpose: Purpose) -> Result<Bytes>;

    /// Lists at most `limit` objects (1 to 1,000) whose keys begin with `prefix` (any string; a prefix of key
    /// bytes, not of segments) and come after `after`, in the order of their bytes.
    ///
    /// # Errors
    /// Never `NotFound`: nothing there is an empty page.
    async fn list(&self, prefix: &str, after: Option<&Key>, limit: usize, purpose: Purpose) -> Result<Page>;

    /// Deletes `key`. Deleting what isn't there succeeds.
    ///
    /// # Errors
    /// After an error it may have been deleted.
    async fn delete(&self, key: &Key, purpose: Purpose) -> Result<()>;
}
