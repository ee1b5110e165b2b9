//! Clients for the clouds, made from a URL and the environment: the variables that the clouds' own tools read
//! (`AWS_*`, `GOOGLE_*`, `AZURE_*`), `AWS_ENDPOINT_URL` and `AWS_ALLOW_HTTP=true` for look-alikes, and
//! `AWS_CA_BUNDLE` for servers with certificates of their own.
//!
//! The crate's retries are off, so that every attempt is seen and judged by us. Over https payloads go
//! unsigned: hashing them costs as much as all the rest, TLS protects them on the way, and every block has a
//! checksum of its own. Over plain http they are signed, as nothing else protects them.

use super::answer::Connector;
use super::{Client, Cloud};
use crate::stores::resilient::time_for_bytes;
use crate::{Error, ErrorKind, Result};
use levee_base::limits::{COMMAND_BYTES, STORE_BYTES_PER_SECOND, STORE_CONNECT_TIMEOUT, STORE_HTTP_TIMEOUT};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::client::Certificate;
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::{ClientConfigKey, RetryConfig};
use std::sync::Arc;

fn refused(url: &str, reason: impl ToString) -> Error {
    Error::new(ErrorKind::Unsupported, "open", url, reason)
}

/// What every client is set to.
fn client_settings() -> [(ClientConfigKey, String); 2] {
    let longest = STORE_HTTP_TIMEOUT + time_for_bytes(COMMAND_BYTES as u64, STORE_BYTES_PER_SECOND);
    [
        // The last resort only, as it can't be set by request: answers are waited for in `answer`, by the request's
        // size, and whoever asks has a deadline.
        (ClientConfigKey::Timeout, format!("{} seconds", longest.as_secs())),
        (ClientConfigKey::ConnectTimeout, format!("{} seconds", STORE_CONNECT_TIMEOUT.as_secs())),
    ]
}

fn no_retries() -> RetryConfig {
    RetryConfig { max_retries: 0, ..RetryConfig::default() }
}

/// The certificates of `AWS_CA_BUNDLE`.
fn certificates(url: &str) -> Result<Vec<Certificate>> {
    let Some(path) = std::env::var_os("AWS_CA_BUNDLE") else { return Ok(Vec::new()) };
    let shown = path.display();
    let pem = std::fs::read(&path).map_err(|error| {
        refused(url, format!("AWS_CA_BUNDLE={shown} can't be read: {error}")).with_source(error)
    })?;
    Certificate::from_pem_bundle(&pem).map_err(|error| {
        refused(url, format!("AWS_CA_BUNDLE={shown} holds no PEM certificates: {error}")).with_source(error)
    })
}

/// A client for `bucket`.
pub(super) fn connect(cloud: Cloud, url: &str, bucket: &str) -> Result<Arc<dyn Client>> {
    // Fails when somebody installed one before, which then is the one to use.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let wrong = |error: object_store::Error| {
        refused(url, format!("the store can't be set up from the URL and the environment: {error}"))
            .with_source(error)
    };
    let connector = Connector { certificates: certificates(url)?, conditional_complete: cloud == Cloud::S3 };
    Ok(match cloud {
        Cloud::S3 => {
            let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
            for (key, value) in client_settings() {
                builder = builder.with_config(AmazonS3ConfigKey::Client(key), value);
            }
            let endpoint = [AmazonS3ConfigKey::S3Endpoint, AmazonS3ConfigKey::Endpoint]
                .iter()
                .find_map(|key| builder.get_config_value(key));
            let plain = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
            let builder = builder
                .with_unsigned_payload(!plain)
                .with_conditional_put(S3ConditionalPut::ETagMatch)
                .with_disable_bulk_delete(true)
                .with_retry(no_retries())
                .with_http_connector(connector);
            Arc::new(builder.build().map_err(wrong)?)
        }
        Cloud::Google => {
            let mut builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket);
            for (key, value) in client_settings() {
                builder = builder.with_config(GoogleConfigKey::Client(key), value);
            }
            let builder = builder.with_retry(no_retries()).with_http_connector(connector);
            Arc::new(builder.build().map_err(wrong)?)
        }
        Cloud::Azure => {
            let mut builder = MicrosoftAzureBuilder::from_env().with_container_name(bucket);
            for (key, value) in client_settings() {
                builder = builder.with_config(AzureConfigKey::Client(key), value);
            }
            let builder = builder.with_retry(no_retries()).with_http_connector(connector);
            Arc::new(builder.build().map_err(wrong)?)
        }
    })
}
