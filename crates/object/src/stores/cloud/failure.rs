//! From what a cloud answered to what a caller can do about it.

use super::Cloud;
use super::answer::{Answer, Ended};
use crate::{Error, ErrorKind};
use object_store::client::{HttpError, HttpErrorKind};
use std::error::Error as StdError;

/// What an error's code tells that its status (400 or 403) doesn't.
///
/// S3's codes: <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>. The quotas are MinIO's
/// (`XMinioAdminBucketQuotaExceeded`, a 400) and Ceph's (`QuotaExceeded`, a 403).
fn by_code(code: &str) -> Option<(ErrorKind, &'static str)> {
    Some(match code {
        "RequestTimeout" => (ErrorKind::Timeout, "the request did not reach the store in time"),
        "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" => {
            (ErrorKind::Denied, "the credentials' token has expired: renew it")
        }
        "IncompleteBody" | "BadDigest" | "XAmzContentSHA256Mismatch" => {
            (ErrorKind::Unavailable, "the request was damaged on its way")
        }
        code if code.contains("QuotaExceeded") => {
            (ErrorKind::NoSpace, "the bucket's quota is used up: raise it, or shorten retention")
        }
        _ => return None,
    })
}

/// Which kind of failure it was, and what to do.
fn judge(
    cloud: Cloud,
    operation: &str,
    answer: &Answer,
    error: &object_store::Error,
) -> (ErrorKind, &'static str) {
    const DENIED: &str = "check the credentials, their rights on the bucket, and the clock";
    if let Some(judged) = answer.code.as_deref().and_then(by_code) {
        return judged;
    }
    match (answer.ended, operation) {
        (Ended::Status(412), "create") => (ErrorKind::AlreadyExists, "the key is taken"),
        // Azure says so when the key is taken; S3 when another write of it is under way, which proves nothing.
        (Ended::Status(409), "create") if cloud == Cloud::Azure => {
            (ErrorKind::AlreadyExists, "the key is taken")
        }
        (Ended::Status(409), _) => (ErrorKind::Unavailable, "another write of the key is under way: read it"),
        (Ended::Status(404), "get") => (ErrorKind::NotFound, "there is no such object"),
        (Ended::Status(404), _) => (ErrorKind::Denied, "create the bucket, or correct its name in the URL"),
        (Ended::Status(416), _) => (ErrorKind::OutOfRange, "the range lies beyond the object's end"),
        (Ended::Status(429 | 503), _) => (ErrorKind::Throttled, "the store asks for fewer requests"),
        (Ended::Status(408 | 504), _) | (Ended::Timeout, _) => {
            (ErrorKind::Timeout, "the store did not answer in time")
        }
        (Ended::Status(401 | 403), _) => (ErrorKind::Denied, DENIED),
        (Ended::Status(507), _) => (ErrorKind::NoSpace, "the store is full"),
        (Ended::Status(301 | 307 | 308), _) => {
            (ErrorKind::Unsupported, "set the bucket's own region (AWS_REGION)")
        }
        (Ended::Status(501 | 405), _) => (ErrorKind::Unsupported, "the store does not know this request"),
        (Ended::Status(400), _) => (ErrorKind::Unsupported, "the store calls the request malformed"),
        (Ended::Status(500..=599), _) => (ErrorKind::Unavailable, "the store failed"),
        (Ended::Status(_), _) => match body_failure(error) {
            Some(HttpErrorKind::Timeout) => {
                (ErrorKind::Timeout, "the answer did not come to its end in time")
            }
            _ => (ErrorKind::Unavailable, "the answer can't be used"),
        },
        (Ended::Connect, _) => {
            (ErrorKind::Unavailable, "no connection: check the endpoint, the network and the certificates")
        }
        (Ended::Broken, _) => (ErrorKind::Unavailable, "the connection was lost"),
        (Ended::NotSent, _) => match error {
            object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
                (ErrorKind::Denied, DENIED)
            }
            object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. } => {
                (ErrorKind::Unsupported, "the store can't do this")
            }
            _ => (ErrorKind::Unavailable, "no request could be sent: check the configuration"),
        },
    }
}

/// What cut the body off, if something did.
fn body_failure(error: &object_store::Error) -> Option<HttpErrorKind> {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(http) = error.downcast_ref::<HttpError>() {
            return Some(http.kind());
        }
        cause = error.source();
    }
    None
}

/// The deepest cause.
fn root(error: &object_store::Error) -> Option<String> {
    let mut cause = error.source()?;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Some(cause.to_string())
}

/// A failed operation.
pub(super) fn failure(
    cloud: Cloud,
    operation: &'static str,
    key: &str,
    answer: &Answer,
    error: object_store::Error,
) -> Error {
    let (kind, advice) = judge(cloud, operation, answer, &error);
    let reason = match kind {
        ErrorKind::AlreadyExists | ErrorKind::NotFound | ErrorKind::OutOfRange => advice.to_owned(),
        _ => match root(&error) {
            // The crate's own text leaves out what matters most: why a connection failed.
            Some(root) if answer.ended == Ended::Connect => format!("{advice} ({error}: {root})"),
            _ => format!("{advice} ({error})"),
        },
    };
    Error::new(kind, operation, key, reason).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::super::answer::error_code;
    use super::*;

    fn kind(cloud: Cloud, operation: &str, ended: Ended) -> ErrorKind {
        let error = object_store::Error::Generic { store: "test", source: "nothing".into() };
        judge(cloud, operation, &Answer { ended, ..Answer::default() }, &error).0
    }

    #[test]
    fn only_a_key_that_is_known_to_be_taken_already_exists() {
        for cloud in [Cloud::S3, Cloud::Google, Cloud::Azure] {
            assert_eq!(kind(cloud, "create", Ended::Status(412)), ErrorKind::AlreadyExists);
            assert_eq!(kind(cloud, "create", Ended::Status(503)), ErrorKind::Throttled);
            assert_eq!(kind(cloud, "create", Ended::Status(500)), ErrorKind::Unavailable);
            assert_eq!(kind(cloud, "create", Ended::Timeout), ErrorKind::Timeout);
        }
        assert_eq!(kind(Cloud::S3, "create", Ended::Status(409)), ErrorKind::Unavailable);
        assert_eq!(kind(Cloud::Azure, "create", Ended::Status(409)), ErrorKind::AlreadyExists);
    }

    #[test]
    fn a_code_tells_what_passes_from_what_is_wrong_for_good() {
        let error = object_store::Error::Generic { store: "test", source: "nothing".into() };
        for (status, code, kind) in [
            (400, "RequestTimeout", ErrorKind::Timeout),
            (400, "ExpiredToken", ErrorKind::Denied),
            (400, "XMinioAdminBucketQuotaExceeded", ErrorKind::NoSpace),
            (403, "QuotaExceeded", ErrorKind::NoSpace),
            (403, "AccessDenied", ErrorKind::Denied),
            (400, "InvalidArgument", ErrorKind::Unsupported),
            (400, "AuthorizationHeaderMalformed", ErrorKind::Unsupported),
        ] {
            let body =
                format!("<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>m</Message></Error>");
            let code = error_code(body.as_bytes());
            let answer = Answer { ended: Ended::Status(status), code, version: None };
            assert_eq!(judge(Cloud::S3, "create", &answer, &error).0, kind, "{body}");
        }
        for none in [&b""[..], b"<Code>", b"\xff<Code>a</Code>", b"</Code><Code>"] {
            assert_eq!(error_code(none), None);
        }
    }

    #[test]
    fn a_missing_object_is_told_from_a_missing_bucket_where_that_is_possible() {
        assert_eq!(kind(Cloud::S3, "get", Ended::Status(404)), ErrorKind::NotFound);
        assert_eq!(kind(Cloud::S3, "create", Ended::Status(404)), ErrorKind::Denied);
        assert_eq!(kind(Cloud::S3, "list", Ended::Status(404)), ErrorKind::Denied);
        assert_eq!(kind(Cloud::S3, "get", Ended::Status(403)), ErrorKind::Denied);
    }
}
