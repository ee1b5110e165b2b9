//! One connection: its requests are begun in order and answered in order.
//!
//! A reader begins requests, a writer waits for their answers and writes them. Whether the next request may
//! begin before the last is answered is the service's to say: Produce requests follow each other into the log
//! while earlier ones wait to be durable (`Begun::Pipelined`); after any other request the reader waits for its
//! answer, as Kafka does. A client that doesn't read its answers stops the writer, that fills the queue, and
//! that stops the reader: it holds up nobody else.

use crate::wire::frame::{BadLength, ReceiveBuffer, RequestHead};
use crate::wire::{Malformed, Response};
use bytes::Buf;
use futures::future::BoxFuture;
use levee_base::Clock;
use levee_base::limits::{PIPELINE_REQUESTS, WRITE_PARTS};
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

/// A receive buffer that has grown is kept for so many frames, so that a producer of large frames does not have
/// it allocated anew for each.
const LARGE_FRAMES: u32 = 10_000;

/// A request that has begun.
pub enum Begun {
    /// Its effect has its place in the order; the next request may begin.
    Pipelined(BoxFuture<'static, Option<Response>>),
    /// The next request begins after its answer. `None` is no answer at all (acks=0).
    Alone(BoxFuture<'static, Option<Response>>),
    /// The connection is to be closed once the requests before are answered.
    Close(String),
}

/// Who answers requests.
pub trait Service: Send + Sync + 'static {
    /// Begins a request: `frame` is the whole frame without its length, `head` its header. Holds up the
    /// connection until it returns, and by that slows a client down.
    fn begin<'a>(
        &'a self,
        head: RequestHead,
        frame: &'a mut [u8],
        peer: SocketAddr,
    ) -> impl Future<Output = Begun> + Send + 'a;
}

/// What all connections share.
#[derive(Debug, Clone)]
pub struct Shared {
    /// Bytes of requests that may be held at once, in KiB.
    pub request_memory: Arc<Semaphore>,
    /// Becomes true when the broker stops: nothing more is read.
    pub stopping: watch::Receiver<bool>,
    /// Connections that are silent for so long are closed.
    pub idle: Duration,
    /// For the above.
    pub clock: Clock,
}

/// An answer on its way, and whom to tell when it is written.
struct Pending {
    answer: BoxFuture<'static, Option<Response>>,
    written: Option<oneshot::Sender<()>>,
}

/// Why a connection ended, where it is worth a word.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// The client sent what is no request.
    #[error("{0}; closing the connection: is the client a Kafka client?")]
    Malformed(#[from] Malformed),
    /// The frame is larger than allowed.
    #[error("{0}; closing the connection")]
    Length(#[from] BadLength),
    /// The service wants it closed.
    #[error("{0}; closing the connection")]
    Refused(String),
    /// The socket broke.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Serves a connection to its end.
///
/// # Errors
/// When it ended otherwise than by the client closing it, or the broker stopping.
pub async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    service: Arc<impl Service>,
    shared: Shared,
) -> Result<(), Ended> {
    let (mut input, output) = stream.into_split();
    let (queue, pending) = mpsc::channel(PIPELINE_REQUESTS);
    let mut writer = tokio::spawn(write_answers(output, pending));
    let read = read_requests(&mut input, peer, &*service, shared, queue);
    // A broken writer ends the reading; the end of reading lets the writer finish what has begun.
    tokio::select! {
        biased;
        written = &mut writer => written.map_err(io::Error::other)?.map_err(Ended::Io),
        ended = read => {
            let written = writer.await.map_err(io::Error::other)?;
            ended.and(written.map_err(Ended::Io))
        }
    }
}

async fn read_requests(
    input: &mut (impl AsyncReadExt + Unpin),
    peer: SocketAddr,
    service: &impl Service,
    mut shared: Shared,
    queue: mpsc::Sender<Pending>,
) -> Result<(), Ended> {
    let mut buffer = ReceiveBuffer::default();
    let mut large = 0_u32;
    loop {
        let Some(length) = next_length(input, &mut buffer, &mut shared).await? else { return Ok(()) };
        let kib = u32::try_from(length.div_ceil(1024)).unwrap_or(u32::MAX);
        let Ok(memory) = shared.request_memory.acquire_many(kib).await else { return Ok(()) };
        while buffer.whole_frame(length).is_none() {
            if input.read_buf(buffer.room(length)).await? == 0 {
                return Ok(());
            }
        }
        let Some(frame) = buffer.whole_frame(length) else { return Ok(()) };
        let head = RequestHead::parse(frame)?;
        let begun = service.begin(head, frame, peer).await;
        drop(memory);
        buffer.consume(length);
        if buffer.is_large() && buffer.is_empty() {
            large += 1;
            if large > LARGE_FRAMES {
                buffer.shrink();
                large = 0;
            }
        }
        match begun {
            Begun::Pipelined(answer) => {
                if queue.send(Pending { answer, written: None }).await.is_err() {
                    return Ok(());
                }
            }
            Begun::Alone(answer) => {
                let (written, done) = oneshot::channel();
                let sent = queue.send(Pending { answer, written: Some(written) }).await;
                // The writer drops the sender when it breaks: it reports why.
                if sent.is_err() || done.await.is_err() {
                    return Ok(());
                }
            }
            Begun::Close(reason) => return Err(Ended::Refused(reason)),
        }
    }
}

/// Waits for a frame's length; `None` when there are no more frames.
async fn next_length(
    input: &mut (impl AsyncReadExt + Unpin),
    buffer: &mut ReceiveBuffer,
    shared: &mut Shared,
) -> Result<Option<usize>, Ended> {
    loop {
        if let Some(length) = buffer.next_length()? {
            return Ok(Some(length));
        }
        let read = tokio::select! {
            biased;
            _ = shared.stopping.wait_for(|stopping| *stopping) => return Ok(None),
            read = shared.clock.timeout(shared.idle, input.read_buf(buffer.room(0))) => read,
        };
        match read {
            // Silent for too long, or closed by the client.
            None | Some(Ok(0)) => return Ok(None),
            Some(read) => read?,
        };
    }
}

async fn write_answers(
    mut output: impl AsyncWrite + Unpin,
    mut pending: mpsc::Receiver<Pending>,
) -> io::Result<()> {
    while let Some(Pending { answer, written }) = pending.recv().await {
        if let Some(response) = answer.await {
            write_parts(&mut output, response).await?;
        }
        if let Some(written) = written {
            // The reader is gone when the connection ends; nobody has to be told then.
            let _ = written.send(());
        }
    }
    Ok(())
}

async fn write_parts(output: &mut (impl AsyncWrite + Unpin), response: Response) -> io::Result<()> {
    let mut parts = response.into_parts();
    let mut first = 0;
    while first < parts.len() {
        let slices: Vec<IoSlice<'_>> =
            parts[first..].iter().take(WRITE_PARTS).map(|part| IoSlice::new(part)).collect();
        let mut written = output.write_vectored(&slices).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        while written > 0 {
            let taken = written.min(parts[first].len());
            parts[first].advance(taken);
            written -= taken;
            if parts[first].is_empty() {
                first += 1;
            }
        }
        while first < parts.len() && parts[first].is_empty() {
            first += 1;
        }
    }
    Ok(())
}
