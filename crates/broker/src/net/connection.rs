//! One connection: a reader that takes requests off the socket in order, and a writer that answers them in the
//! same order. Both are parts of one task.
//!
//! Everything is bounded. The reader stops reading the socket, and TCP slows the client, while
//! - `PIPELINE_REQUESTS` requests, or `PIPELINE_BYTES` of them, wait for their turn;
//! - the bytes of its next request don't fit in what all connections may hold together (`REQUEST_BYTES`);
//! - a request waits to enter (the write-ahead log is full).
//!
//! A request that fits into the receive buffer that every connection has takes nothing of what is shared, so no large
//! request of anybody keeps heartbeats waiting. A larger one does once it has filled that buffer: a length alone holds
//! nothing, and what has begun must go on arriving.
//!
//! It never waits for memory while it holds some that only it can free, so connections can't wait for each other.
//! The writer makes one answer at a time: a client that doesn't take its answers holds one, and stalls nobody else.
//!
//! Cancellation: when the peer has closed its side, or on shutdown, what has been read is still answered. When
//! writing fails, requests that have not begun are dropped; what has entered stays entered.

use super::listener::Shared;
use super::service::{Answer, Refused, Service};
use crate::wire::frame::{BadLength, LENGTH_BYTES, ReceiveBuffer, RequestHead};
use bytes::{Buf, Bytes};
use levee_base::clock::Instant;
use levee_base::limits::{
    CONNECTION_IDLE, FRAME_BYTES_PER_SECOND, FRAME_GRACE, PIPELINE_BYTES, PIPELINE_REQUESTS,
    PIPELINE_SMALL_BYTES, RECEIVE_BUFFER_BYTES, RECEIVE_BUFFER_IDLE, REQUEST_BYTES, WRITE_PARTS, WRITE_STALL,
};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tracing::{debug, warn};

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("closed by the client")]
    Closed,
    #[error("this broker stops")]
    Stopped,
    #[error("no request for {} s", CONNECTION_IDLE.as_secs())]
    Idle,
    #[error("a request of {0} bytes did not arrive in time")]
    Slow(usize),
    #[error("the client took no answer for {} s", WRITE_STALL.as_secs())]
    Stalled,
    #[error("{0}")]
    Length(#[from] BadLength),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// A request that has been read.
struct Pending {
    head: RequestHead,
    arrived: Instant,
    bytes: usize,
    work: Work,
    _place: OwnedSemaphorePermit,
}

enum Work {
    Entered(Answer),
    Waiting { frame: Bytes, held: Held },
}

/// What a request that waits to be served counts for.
struct Held {
    _queued: OwnedSemaphorePermit,
    /// Of what all connections share; nothing for a small request.
    _memory: Option<OwnedSemaphorePermit>,
}

/// Serves one connection until it ends, and logs why.
pub async fn run<S: Service>(socket: TcpStream, peer: SocketAddr, service: Arc<S>, shared: Arc<Shared>) {
    debug!(%peer, "connected");
    let (read, write) = socket.into_split();
    let (queue, pending) = mpsc::channel(PIPELINE_REQUESTS);
    let reader = Reader {
        socket: read,
        peer,
        service: Arc::clone(&service),
        shared: Arc::clone(&shared),
        buffer: ReceiveBuffer::default(),
        kept: None,
        places: Arc::new(Semaphore::new(PIPELINE_REQUESTS)),
        queued_bytes: Arc::new(Semaphore::new(PIPELINE_BYTES)),
        queued_small_bytes: Arc::new(Semaphore::new(PIPELINE_SMALL_BYTES)),
    };
    let mut writer = Writer { socket: write, peer, service, shared };
    // The reader owns the queue's sender: once it has ended, the writer answers what is left and ends too.
    let mut reading = Box::pin(reader.run(queue));
    let mut writing = Box::pin(writer.run(pending));
    let end = tokio::select! {
        biased;
        ended = &mut writing => ended.err().unwrap_or(End::Closed),
        end = &mut reading => {
            drop(reading);
            match writing.await {
                Ok(()) => end,
                Err(failed) => if matches!(end, End::Closed | End::Stopped) { failed } else { end },
            }
        }
    };
    match end {
        End::Closed | End::Stopped | End::Idle | End::Io(_) => debug!(%peer, reason = %end, "closed"),
        End::Slow(_) | End::Stalled | End::Length(_) | End::Refused(_) => {
            warn!(%peer, reason = %end, "closing a connection");
        }
    }
}

struct Reader<S> {
    socket: OwnedReadHalf,
    peer: SocketAddr,
    service: Arc<S>,
    shared: Arc<Shared>,
    buffer: ReceiveBuffer,
    /// What a receive buffer beyond the size that everybody may have counts for.
    kept: Option<OwnedSemaphorePermit>,
    places: Arc<Semaphore>,
    queued_bytes: Arc<Semaphore>,
    queued_small_bytes: Arc<Semaphore>,
}

impl<S: Service> Reader<S> {
    async fn run(mut self, queue: mpsc::Sender<Pending>) -> End {
        loop {
            match self.next(&queue).await {
                Ok(()) => {}
                Err(end) => return end,
            }
        }
    }

    /// Reads one request and hands it on.
    async fn next(&mut self, queue: &mpsc::Sender<Pending>) -> Result<(), End> {
        let length = self.length().await?;
        let place = self.until_stopped(acquire(&self.places, 1)).await?;
        self.fill(length).await?;
        let arrived = self.shared.clock.now();
        let Some(frame) = self.buffer.frame(length) else { return Err(End::Closed) };
        let head = RequestHead::parse(frame).map_err(Refused::from)?;
        let work = if self.service.enters(&head) {
            let answer = self.service.enter(self.peer, &head, frame).await?;
            self.buffer.consume(length);
            Work::Entered(answer)
        } else {
            self.take(length).await?
        };
        self.give_back_under_pressure();
        let pending = Pending { head, arrived, bytes: LENGTH_BYTES + length, work, _place: place };
        // There is a place for each; the writer is gone only when this whole connection is.
        queue.send(pending).await.map_err(|_| End::Closed)
    }

    /// Waits for the next frame's length.
    async fn length(&mut self) -> Result<usize, End> {
        let mut since = self.shared.clock.now();
        loop {
            if let Some(length) = self.buffer.next_length()? {
                return Ok(length);
            }
            let limit = if self.kept.is_some() { RECEIVE_BUFFER_IDLE } else { CONNECTION_IDLE };
            if self.receive(0, limit).await? {
                continue;
            }
            if self.kept.is_some() {
                self.give_back();
            } else if self.places.available_permits() < PIPELINE_REQUESTS {
                // It waits for an answer: it is not idle.
                since = self.shared.clock.now();
            } else if self.shared.clock.now() - since >= CONNECTION_IDLE {
                return Err(End::Idle);
            }
        }
    }

    /// Reads until the frame is whole.
    async fn fill(&mut self, length: usize) -> Result<(), End> {
        let mut began = self.shared.clock.now();
        self.begin(length, began).await?;
        if is_small(length) {
            return Ok(());
        }
        let asked = self.shared.clock.now();
        self.make_room(length).await?;
        // Nothing was read while it waited, so that this is not the client's time.
        began += self.shared.clock.now() - asked;
        while self.buffer.frame(length).is_none() {
            let left = self.left(began);
            if !self.receive(length, left).await? {
                return Err(End::Slow(length));
            }
        }
        Ok(())
    }

    /// Reads as much of the frame as the receive buffer of every connection has room for.
    async fn begin(&mut self, length: usize, began: Instant) -> Result<(), End> {
        let first = length.min(RECEIVE_BUFFER_BYTES - LENGTH_BYTES);
        while self.buffer.frame(first).is_none() {
            let mut limit = self.left(began);
            if self.kept.is_some() {
                let kept_until = began + RECEIVE_BUFFER_IDLE;
                limit = limit.min(kept_until.saturating_duration_since(self.shared.clock.now()));
            }
            if self.receive(first, limit).await? {
                continue;
            }
            if self.kept.is_none() {
                return Err(End::Slow(length));
            }
            // It doesn't need the large buffer yet, and others may.
            self.give_back();
        }
        Ok(())
    }

    /// How long a frame that began then may take to send anything more, by what has arrived of it.
    fn left(&self, began: Instant) -> Duration {
        let arrived = self.buffer.received().len().saturating_sub(LENGTH_BYTES);
        let earned = Duration::from_secs(arrived as u64) / FRAME_BYTES_PER_SECOND as u32;
        (began + FRAME_GRACE + earned).saturating_duration_since(self.shared.clock.now())
    }

    /// Makes room for a frame of this length, which is not small, and accounts for it.
    async fn make_room(&mut self, length: usize) -> Result<(), End> {
        let wanted = LENGTH_BYTES + length;
        if self.kept.is_some() && wanted <= self.buffer.allocated() {
            return Ok(());
        }
        self.give_back();
        let memory = acquire(&self.shared.request_bytes, wanted);
        self.kept = Some(self.until_stopped(memory).await?);
        Ok(())
    }

    /// Takes a frame out of the buffer, to be served at its turn.
    async fn take(&mut self, length: usize) -> Result<Work, End> {
        let held = if is_small(length) {
            let queued = match Arc::clone(&self.queued_small_bytes).try_acquire_many_owned(permits(length)) {
                Ok(queued) => queued,
                Err(_) => {
                    // What is kept is given back first, so that nobody waits for us while we wait.
                    self.give_back();
                    self.until_stopped(acquire(&self.queued_small_bytes, length)).await?
                }
            };
            Held { _queued: queued, _memory: None }
        } else {
            let queued = acquire(&self.queued_bytes, length.min(PIPELINE_BYTES));
            Held { _queued: self.until_stopped(queued).await?, _memory: self.kept.take() }
        };
        Ok(Work::Waiting { frame: self.buffer.take(length), held })
    }

    /// Receives something, with room for a frame of `length`; false when nothing came within `limit`.
    async fn receive(&mut self, length: usize, limit: Duration) -> Result<bool, End> {
        let mut stop = self.shared.stop.clone();
        let mut room = self.buffer.room(length);
        let read = self.socket.read_buf(&mut room);
        let read = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return Err(End::Stopped),
            read = self.shared.clock.timeout(limit, read) => read,
        };
        match read {
            None => Ok(false),
            Some(Ok(0)) => Err(End::Closed),
            Some(Ok(_)) => Ok(true),
            Some(Err(error)) => Err(error.into()),
        }
    }

    async fn until_stopped<T>(&self, wait: impl Future<Output = T>) -> Result<T, End> {
        let mut stop = self.shared.stop.clone();
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => Err(End::Stopped),
            done = wait => Ok(done),
        }
    }

    /// Shrinks the receive buffer, if it is large, and gives back what it counts for.
    fn give_back(&mut self) {
        self.buffer.shrink();
        self.kept = None;
    }

    /// A large buffer is kept for the next frame, as first touching memory is dear, but not when others need it.
    fn give_back_under_pressure(&mut self) {
        let scarce = self.shared.request_bytes.available_permits() < REQUEST_BYTES / 2;
        if scarce || self.kept.is_none() {
            self.give_back();
        }
    }
}

/// Whether a frame of this length fits into the receive buffer that every connection has.
const fn is_small(length: usize) -> bool {
    LENGTH_BYTES + length <= RECEIVE_BUFFER_BYTES
}

/// Waits for `count` permits. Those asked for never exceed what there is in all.
async fn acquire(semaphore: &Arc<Semaphore>, count: usize) -> OwnedSemaphorePermit {
    Arc::clone(semaphore).acquire_many_owned(permits(count)).await.expect("these semaphores are never closed")
}

fn permits(count: usize) -> u32 {
    u32::try_from(count).expect("a frame's length was checked against its limit")
}

struct Writer<S> {
    socket: OwnedWriteHalf,
    peer: SocketAddr,
    service: Arc<S>,
    shared: Arc<Shared>,
}

impl<S: Service> Writer<S> {
    async fn run(&mut self, mut pending: mpsc::Receiver<Pending>) -> Result<(), End> {
        while let Some(Pending { head, arrived, bytes, work, _place: place }) = pending.recv().await {
            let response = match work {
                Work::Entered(answer) => answer.await?,
                Work::Waiting { frame, held } => {
                    // Those that it waits for may need the memory to be read.
                    let held = (!self.service.waits(&head)).then_some(held);
                    let response = self.service.serve(self.peer, &head, frame).await?;
                    // The request is gone: its memory is free before a slow client has taken the answer.
                    drop(held);
                    response
                }
            };
            let mut written = 0;
            if let Some(response) = response {
                written = response.bytes();
                let (parts, _memory) = response.into_parts();
                self.write(parts.into()).await?;
            }
            self.service.done(&head, self.shared.clock.now() - arrived, bytes, written);
            drop(place);
        }
        self.socket.shutdown().await?;
        Ok(())
    }

    /// Writes all parts, without joining them.
    async fn write(&mut self, mut parts: VecDeque<Bytes>) -> Result<(), End> {
        while !parts.is_empty() {
            let written = {
                let slices: Vec<_> = parts.iter().take(WRITE_PARTS).map(|part| IoSlice::new(part)).collect();
                let write = self.socket.write_vectored(&slices);
                self.shared.clock.timeout(WRITE_STALL, write).await.ok_or(End::Stalled)??
            };
            if written == 0 {
                return Err(io::Error::from(io::ErrorKind::WriteZero).into());
            }
            advance(&mut parts, written);
        }
        Ok(())
    }
}

/// Drops the first `count` bytes, and parts that are empty.
fn advance(parts: &mut VecDeque<Bytes>, mut count: usize) {
    while let Some(first) = parts.front_mut() {
        if first.len() > count {
            first.advance(count);
            return;
        }
        count -= first.len();
        parts.pop_front();
    }
}
