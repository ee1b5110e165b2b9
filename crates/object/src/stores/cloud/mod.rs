//! Buckets: S3 and its look-alikes, Google Cloud Storage, Azure Blob, over the object_store crate, which
//! nothing else in Levee sees. One operation of the trait is one request, but for listings that the server
//! cuts short and for uploads in parts.
//!
//! # Uploads in parts
//! The crate completes a multipart upload unconditionally. On S3 our HTTP client adds `If-None-Match: *` to the
//! completing request (it need not be signed), so it creates only if absent there. Azure signs that header,
//! and Google ignores it for multipart uploads, so on these `create_parts` is `Unsupported`. An upload that is
//! given up is aborted as far as possible; the bucket wants a lifecycle rule that aborts incomplete uploads.
//!
//! # Crash, retry, cancellation
//! Nothing is kept here. A request whose future is dropped may still take effect.

mod answer;
mod connect;
mod failure;

use self::answer::{Answer, observed};
use crate::stores::check_limit;
use crate::{Error, ErrorKind, Key, Listed, Page, Purpose, Result, Store};
use async_trait::async_trait;
use bytes::Bytes;
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload,
};
use std::ops::Range;
use std::sync::Arc;
use url::Url;

/// Whose bucket it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cloud {
    S3,
    Google,
    Azure,
}

/// What the crate's clients can do that is used here.
trait Client: ObjectStore + PaginatedListStore {}
impl<T: ObjectStore + PaginatedListStore> Client for T {}

/// A bucket, or a prefix of one.
#[derive(Debug)]
pub struct CloudStore {
    cloud: Cloud,
    client: Arc<dyn Client>,
    /// Before every key: empty, or ending in a slash.
    below: String,
    url: String,
}

impl CloudStore {
    /// The store at `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`; credentials, region
    /// and endpoint come from the environment. Sends nothing yet.
    ///
    /// # Errors
    /// `Unsupported` when the URL or the environment is wrong.
    pub fn open(url: &str) -> Result<Self> {
        let refused = |reason: String| Error::new(ErrorKind::Unsupported, "open", url, reason);
        let parsed = Url::parse(url).map_err(|error| refused(format!("this is no URL: {error}")))?;
        let cloud = match parsed.scheme() {
            "s3" => Cloud::S3,
            "gs" => Cloud::Google,
            "az" => Cloud::Azure,
            other => return Err(refused(format!("{other}:// is no cloud store: use s3, gs or az"))),
        };
        let bucket = parsed.host_str().filter(|bucket| !bucket.is_empty());
        let bucket =
            bucket.ok_or_else(|| refused(format!("name the bucket: {}://bucket/prefix", parsed.scheme())))?;
        if parsed.query().is_some() || parsed.fragment().is_some() || parsed.port().is_some() {
            let reason = "a store's URL is scheme://bucket/prefix; all else comes from the environment";
            return Err(refused(reason.to_owned()));
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            let reason = "credentials come from the environment: in a URL they end in logs and process lists";
            return Err(Error::new(ErrorKind::Unsupported, "open", parsed.scheme(), reason));
        }
        let prefix = parsed.path().trim_matches('/');
        let below = if prefix.is_empty() {
            String::new()
        } else {
            Key::new(prefix).map_err(|error| refused(error.to_string()))?;
            format!("{prefix}/")
        };
        let client = connect::connect(cloud, url, bucket)?;
        Ok(Self { cloud, client, below, url: url.trim_end_matches('/').to_owned() })
    }

    /// Whether the bucket would tell if it kept versions.
    #[must_use]
    pub fn tells_versions(&self) -> bool {
        self.cloud == Cloud::S3
    }

    fn path(&self, key: &Key) -> Path {
        Path::from(format!("{}{key}", self.below))
    }

    /// Runs one operation; what failed is judged by what the server answered.
    async fn ask<T>(
        &self,
        operation: &'static str,
        key: &str,
        request: impl Future<Output = object_store::Result<T>>,
    ) -> Result<(T, Answer), (Error, Answer)> {
        match observed(request).await {
            (Ok(value), answer) => Ok((value, answer)),
            (Err(error), answer) => {
                Err((failure::failure(self.cloud, operation, key, &answer, error), answer))
            }
        }
    }

    /// Whether the object has no byte at `start`.
    async fn ends_before(&self, key: &Key, path: &Path, start: u64) -> Result<bool> {
        let (meta, _) =
            self.ask("get", key.as_str(), self.client.head(path)).await.map_err(|(error, _)| error)?;
        Ok(meta.size <= start)
    }

    /// Creates `key` and tells the version that the bucket gave it: `None` where it keeps none, or doesn't say.
    ///
    /// # Errors
    /// As [`Store::create`].
    pub async fn create_versioned(&self, key: &Key, bytes: Bytes) -> Result<Option<String>> {
        let path = self.path(key);
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let put = self.client.put_opts(&path, PutPayload::from_bytes(bytes), options);
        let (_, answer) = self.ask("create", key.as_str(), put).await.map_err(|(error, _)| error)?;
        // A bucket whose versioning is suspended says `null`.
        Ok(answer.version.filter(|version| version != "null"))
    }
}

#[async_trait]
impl Store for CloudStore {
    fn location(&self) -> String {
        self.url.clone()
    }

    async fn create(&self, key: &Key, bytes: Bytes, _purpose: Purpose) -> Result<()> {
        self.create_versioned(key, bytes).await.map(drop)
    }

    async fn create_parts(&self, key: &Key, parts: Vec<Bytes>, _purpose: Purpose) -> Result<()> {
        if self.cloud != Cloud::S3 {
            let reason =
                "this cloud completes uploads in parts unconditionally: create the object in one request";
            return Err(Error::new(ErrorKind::Unsupported, "create", key, reason));
        }
        let path = self.path(key);
        let begin = self.client.put_multipart_opts(&path, PutMultipartOptions::default());
        let (mut upload, _) = self.ask("create", key.as_str(), begin).await.map_err(|(error, _)| error)?;
        let send = async {
            for part in parts {
                upload.put_part(PutPayload::from_bytes(part)).await?;
            }
            upload.complete().await
        };
        let result = self.ask("create", key.as_str(), send).await;
        if result.is_err()
            && let Err(error) = upload.abort().await
        {
            tracing::debug!(%error, %key, "an upload in parts was not aborted; the lifecycle rule will");
        }
        result.map(drop).map_err(|(error, _)| error)
    }

    async fn get(&self, key: &Key, range: Option<Range<u64>>, _purpose: Purpose) -> Result<Bytes> {
        if let Some(range) = &range
            && range.start >= range.end
        {
            return Err(Error::new(ErrorKind::OutOfRange, "get", key, "the range is empty"));
        }
        let path = self.path(key);
        let start = range.as_ref().map(|range| range.start);
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        let read = async { self.client.get_opts(&path, options).await?.bytes().await };
        match self.ask("get", key.as_str(), read).await {
            Ok((bytes, _)) => Ok(bytes),
            Err((error, answer)) => match start {
                // Some servers answer a range beyond the end with success (Azurite does), which the crate refuses.
                // Only the length tells that from a damaged answer.
                Some(start) if answer.is_success() && self.ends_before(key, &path, start).await? => {
                    let reason = "the range lies beyond the object's end";
                    Err(Error::new(ErrorKind::OutOfRange, "get", key, reason))
                }
                _ => Err(error),
            },
        }
    }

    async fn list(&self, prefix: &str, after: Option<&Key>, limit: usize, _purpose: Purpose) -> Result<Page> {
        check_limit(prefix, limit)?;
        let whole = format!("{}{prefix}", self.below);
        let mut page = Page::default();
        // The crate takes an Azure object whose key is the whole prefix for a directory, and leaves it out.
        if self.cloud == Cloud::Azure
            && let Ok(key) = Key::new(prefix)
            && after.is_none_or(|after| *after < key)
        {
            match self.ask("list", prefix, self.client.head(&self.path(&key))).await {
                Ok((meta, _)) => page.objects.push(Listed { key, bytes: meta.size }),
                Err((_, answer)) if answer.is_missing() => {}
                Err((error, _)) => return Err(error),
            }
        }
        let mut options = PaginatedListOptions {
            offset: after.map(|after| format!("{}{after}", self.below)),
            max_keys: Some(limit),
            ..PaginatedListOptions::default()
        };
        // A server may cut a page short, and what is no key of ours is left out: so ask until it is full.
        loop {
            let ask =
                self.client.list_paginated(Some(whole.as_str()).filter(|p| !p.is_empty()), options.clone());
            let (listed, _) = self.ask("list", prefix, ask).await.map_err(|(error, _)| error)?;
            for object in listed.result.objects {
                let Some(Ok(key)) = object.location.as_ref().strip_prefix(&self.below).map(Key::new) else {
                    continue;
                };
                // A server may not know where to begin (Azurite ignores it) or begin with it (Azure does).
                if after.is_some_and(|after| key <= *after) {
                    continue;
                }
                if page.objects.len() == limit {
                    page.more = true;
                    return Ok(page);
                }
                page.objects.push(Listed { key, bytes: object.size });
            }
            let Some(token) = listed.page_token else { return Ok(page) };
            if page.objects.len() == limit {
                page.more = true;
                return Ok(page);
            }
            options.page_token = Some(token);
        }
    }

    async fn delete(&self, key: &Key, _purpose: Purpose) -> Result<()> {
        let path = self.path(key);
        let (result, answer) = observed(self.client.delete(&path)).await;
        match result {
            Err(object_store::Error::NotFound { .. }) | Ok(()) => Ok(()),
            Err(error) => Err(failure::failure(self.cloud, "delete", key.as_str(), &answer, error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_url_says_what_is_wrong_with_it() {
        for (url, expected) in [
            ("s3://", "name the bucket"),
            ("http://bucket/", "use s3, gs or az"),
            ("s3://bucket/a//b", "is not an object key"),
            ("s3://bucket?region=x", "comes from the environment"),
            ("s3://id:secret@bucket", "credentials come from the environment"),
        ] {
            let error = CloudStore::open(url).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Unsupported);
            assert!(error.to_string().contains(expected), "{error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
