//! A store that refuses every create and delete: what tools that only look get, so that a slip in one of them
//! can't harm a live cluster.

use crate::{Error, ErrorKind, Key, Page, Purpose, Result, Store};
use async_trait::async_trait;
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;

/// Reads and lists as the store beneath does; refuses all else.
#[derive(Debug)]
pub struct ReadOnly {
    inner: Arc<dyn Store>,
}

impl ReadOnly {
    /// Lets nothing but gets and lists through to `inner`.
    #[must_use]
    pub const fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner }
    }
}

/// The answer to a create or a delete.
pub(super) fn refused(operation: &'static str, key: &Key) -> Error {
    Error::new(ErrorKind::Unsupported, operation, key, "this store was opened to be read only")
}

#[async_trait]
impl Store for ReadOnly {
    fn location(&self) -> String {
        self.inner.location()
    }

    async fn create(&self, key: &Key, _bytes: Bytes, _purpose: Purpose) -> Result<()> {
        Err(refused("create", key))
    }

    async fn create_parts(&self, key: &Key, _parts: Vec<Bytes>, _purpose: Purpose) -> Result<()> {
        Err(refused("create", key))
    }

    async fn get(&self, key: &Key, range: Option<Range<u64>>, purpose: Purpose) -> Result<Bytes> {
        self.inner.get(key, range, purpose).await
    }

    async fn list(&self, prefix: &str, after: Option<&Key>, limit: usize, purpose: Purpose) -> Result<Page> {
        self.inner.list(prefix, after, limit, purpose).await
    }

    async fn delete(&self, key: &Key, _purpose: Purpose) -> Result<()> {
        Err(refused("delete", key))
    }
}
