//! What a connection asks of whoever answers its requests.

use crate::wire::frame::RequestHead;
use crate::wire::response::EncodeError;
use crate::wire::{Malformed, Response};
use bytes::Bytes;
use futures::future::BoxFuture;
use std::net::SocketAddr;
use std::time::Duration;

/// Why a connection is closed instead of a request being answered. Logged once, by the connection.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The request can't be read.
    #[error("malformed request: {0}")]
    Malformed(#[from] Malformed),
    /// The request can be read and is not served.
    #[error("{0}")]
    NotServed(String),
    /// A large request found no room in time.
    #[error("no memory for a Produce that takes {0} bytes: others wait for their answers, try again")]
    Busy(usize),
    /// An answer could not be encoded: a defect of ours.
    #[error("{0}")]
    Encode(#[from] EncodeError),
    /// A Produce with acks=0 failed: closing the connection is the only way to tell, as in Kafka.
    #[error("a Produce with acks=0 failed: {0}")]
    Unacknowledged(String),
}

/// An answer that is awaited when all earlier requests of the connection have been answered; `None` where the
/// request gets none.
pub type Answer = BoxFuture<'static, Result<Option<Response>, Refused>>;

/// Answers the requests of all connections.
///
/// There are two ways to a request. Most are *served*: each at its turn, after the answer to the one before has
/// been written, so that a client that pipelines requests and takes no answers costs one answer. Those for which
/// the service says so *enter* instead: at once, in the order of the connection, in place in its receive buffer;
/// while one waits to enter, nothing more is read from that connection.
pub trait Service: Send + Sync + 'static {
    /// Whether this request enters.
    fn enters(&self, head: &RequestHead) -> bool;

    /// Whether a request may wait for other clients, and for long: its memory is not counted meanwhile. The service bounds
    /// how large it may be.
    fn waits(&self, head: &RequestHead) -> bool {
        let _ = head;
        false
    }

    /// Takes a request in. Its bytes are gone afterwards; the answer may come later.
    fn enter(
        &self,
        peer: SocketAddr,
        head: &RequestHead,
        frame: &mut [u8],
    ) -> impl Future<Output = Result<Answer, Refused>> + Send;

    /// Serves a request.
    fn serve(
        &self,
        peer: SocketAddr,
        head: &RequestHead,
        frame: Bytes,
    ) -> impl Future<Output = Result<Option<Response>, Refused>> + Send;

    /// Told of each request that is done with, for metrics: how long from the arrival of its last byte to its
    /// answer, and the bytes of both.
    fn done(&self, head: &RequestHead, took: Duration, request_bytes: usize, response_bytes: usize) {
        let _ = (head, took, request_bytes, response_bytes);
    }
}
