//! What the server really answered. The object_store crate folds status codes into few errors of its own and
//! keeps the rest private; every attempt is to be judged here. So requests pass through a client of ours that
//! notes the last status of the task's current request, and the error code in its body where the status alone tells
//! too little; gives up what is not answered in time; and adds the one header that the crate can't be asked for:
//! `If-None-Match: *` when a multipart upload is completed.

use crate::stores::resilient::time_for_bytes;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use levee_base::Clock;
use levee_base::limits::{STORE_BYTES_PER_SECOND, STORE_ERROR_BODY_BYTES, STORE_HTTP_TIMEOUT};
use object_store::ClientOptions;
use object_store::client::{
    Certificate, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    ReqwestConnector,
};
use std::cell::RefCell;

/// How the last request of an operation ended, as far as HTTP knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Ended {
    /// No request was sent.
    #[default]
    NotSent,
    /// With this status; its body may have been cut off.
    Status(u16),
    /// Without an answer in time.
    Timeout,
    /// Without a connection.
    Connect,
    /// The connection was lost, or what came was no HTTP.
    Broken,
}

/// What was seen of an operation's requests.
#[derive(Debug, Clone, Default)]
pub(super) struct Answer {
    pub(super) ended: Ended,
    /// The error code in the body of a 400 or 403, where there is one: S3 and its look-alikes say by these alike
    /// that a request is wrong, that it came too slowly, that a token has expired and that a quota is used up.
    pub(super) code: Option<String>,
    /// S3 names the version that a write made, where versioning is on or was.
    pub(super) version: Option<String>,
}

impl Answer {
    /// Whether the server says that all is well.
    pub(super) fn is_success(&self) -> bool {
        matches!(self.ended, Ended::Status(200..=299))
    }

    /// Whether the server says that there is nothing.
    pub(super) fn is_missing(&self) -> bool {
        self.ended == Ended::Status(404)
    }
}

tokio::task_local! {
    static ANSWER: RefCell<Answer>;
}

/// Runs one operation and notes what the server answered.
pub(super) async fn observed<T>(operation: impl Future<Output = T>) -> (T, Answer) {
    ANSWER
        .scope(RefCell::default(), async {
            let result = operation.await;
            (result, ANSWER.with(|answer| answer.borrow().clone()))
        })
        .await
}

/// Makes the clients that note answers.
#[derive(Debug)]
pub(super) struct Connector {
    /// Trusted beside the system's, for servers with certificates of their own.
    pub(super) certificates: Vec<Certificate>,
    /// Whether uploads in parts are completed only if the key is absent, by a header that is not signed.
    pub(super) conditional_complete: bool,
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let trust = |options: ClientOptions, certificate: &Certificate| {
            options.with_root_certificate(certificate.clone())
        };
        let options = self.certificates.iter().fold(options.clone(), trust);
        let client = ReqwestConnector::default().connect(&options)?;
        let (conditional_complete, clock) = (self.conditional_complete, Clock::system());
        Ok(HttpClient::new(Noting { client, conditional_complete, clock }))
    }
}

#[derive(Debug)]
struct Noting {
    client: HttpClient,
    conditional_complete: bool,
    clock: Clock,
}

/// Whether this is S3's `CompleteMultipartUpload`.
fn completes_upload(request: &HttpRequest) -> bool {
    let query = request.uri().query().unwrap_or_default();
    request.method() == "POST" && query.split('&').any(|pair| pair.starts_with("uploadId="))
}

/// The text of the first `<Code>` of an error's XML.
pub(super) fn error_code(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    Some(code.trim().to_owned())
}

/// Reads an error's body for its code, and puts back what was read for the crate, which quotes it. More than the bound
/// is no error text of a store, and left out; so is what the connection lost.
async fn read_code(response: HttpResponse) -> (HttpResponse, Option<String>) {
    let (parts, body) = response.into_parts();
    let (mut read, mut stream) = (BytesMut::new(), body.bytes_stream());
    while read.len() < STORE_ERROR_BODY_BYTES
        && let Some(Ok(bytes)) = stream.next().await
    {
        read.extend_from_slice(&bytes[..bytes.len().min(STORE_ERROR_BODY_BYTES - read.len())]);
    }
    let read: Bytes = read.freeze();
    let code = error_code(&read);
    (HttpResponse::from_parts(parts, read.into()), code)
}

#[async_trait]
impl HttpService for Noting {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if self.conditional_complete
            && completes_upload(&request)
            && let Ok(any) = "*".parse()
        {
            request.headers_mut().insert("if-none-match", any);
        }
        let bytes = request.body().content_length() as u64;
        let within = STORE_HTTP_TIMEOUT + time_for_bytes(bytes, STORE_BYTES_PER_SECOND);
        let late = || {
            let reason =
                std::io::Error::new(std::io::ErrorKind::TimedOut, format!("no answer within {within:?}"));
            Err(HttpError::new(HttpErrorKind::Timeout, reason))
        };
        // Dropping the request gives its connection up.
        let exchange = async {
            let response = self.client.execute(request).await?;
            Ok(match response.status().as_u16() {
                400 | 403 => read_code(response).await,
                _ => (response, None),
            })
        };
        let result = self.clock.timeout(within, exchange).await.unwrap_or_else(late);
        let (result, code) = match result {
            Ok((response, code)) => (Ok(response), code),
            Err(error) => (Err(error), None),
        };
        let ended = match &result {
            Ok(response) => Ended::Status(response.status().as_u16()),
            Err(error) => match error.kind() {
                HttpErrorKind::Timeout => Ended::Timeout,
                HttpErrorKind::Connect => Ended::Connect,
                _ => Ended::Broken,
            },
        };
        let version = result.as_ref().ok().and_then(|response| {
            let value = response.headers().get("x-amz-version-id")?;
            Some(value.to_str().ok()?.to_owned())
        });
        // Requests for credentials may come from elsewhere, where nobody asks.
        let _ = ANSWER.try_with(|answer| {
            let mut answer = answer.borrow_mut();
            answer.ended = ended;
            answer.code = code;
            if version.is_some() {
                answer.version = version;
            }
        });
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers always so.
    #[derive(Debug)]
    struct Says(u16, &'static str);

    #[async_trait]
    impl HttpService for Says {
        async fn call(&self, _: HttpRequest) -> Result<HttpResponse, HttpError> {
            let mut response = HttpResponse::new(self.1.to_owned().into());
            *response.status_mut() = self.0.try_into().expect("a status");
            Ok(response)
        }
    }

    #[tokio::test]
    async fn the_code_of_an_error_is_noted_and_its_text_is_still_there() {
        const QUOTA: &str = "<Error><Code>XMinioAdminBucketQuotaExceeded</Code></Error>";
        for (status, code) in [(400, Some("XMinioAdminBucketQuotaExceeded")), (200, None), (404, None)] {
            let client = HttpClient::new(Says(status, QUOTA));
            let noting = Noting { client, conditional_complete: false, clock: Clock::system() };
            let request = HttpRequest::new(Bytes::new().into());
            let (response, answer) = observed(noting.call(request)).await;
            assert_eq!((answer.ended, answer.code.as_deref()), (Ended::Status(status), code));
            assert_eq!(response.unwrap().into_body().bytes().await.unwrap(), QUOTA);
        }
    }
}
