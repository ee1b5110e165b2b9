//! Connections over loopback sockets, with a service that does what each test says.

use super::*;
use crate::wire::Response;
use crate::wire::frame::RequestHead;
use crate::wire::test_support::head as header;
use bytes::Bytes;
use kafka_protocol::messages::ApiKey;
use levee_base::Clock;
use levee_base::limits::{
    CONNECTION_IDLE, FRAME_BYTES, FRAME_BYTES_PER_SECOND, FRAME_GRACE, PIPELINE_REQUESTS,
    PIPELINE_SMALL_BYTES, RECEIVE_BUFFER_BYTES, REQUEST_BYTES,
};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinHandle;

/// Produce enters and is answered when `gate` lets it; Fetch is answered with `large` bytes; Metadata echoes the
/// length of its frame; Heartbeat gets no answer; LeaveGroup is refused.
#[derive(Debug)]
struct Script {
    gate: Arc<Semaphore>,
    entered: AtomicUsize,
    changed: Notify,
    served: AtomicUsize,
    large: Bytes,
}

impl Script {
    async fn entered(&self, count: usize) {
        loop {
            let changed = self.changed.notified();
            if self.entered.load(Ordering::SeqCst) >= count {
                return;
            }
            changed.await;
        }
    }
}

fn answer(head: &RequestHead, value: usize, records: &[Bytes]) -> Response {
    let mut writer = Response::writer(head);
    writer.int32(value as i32);
    writer.records(records);
    writer.finish()
}

impl Service for Script {
    fn enters(&self, head: &RequestHead) -> bool {
        head.api == ApiKey::Produce
    }

    async fn enter(&self, _: SocketAddr, head: &RequestHead, frame: &mut [u8]) -> Result<Answer, Refused> {
        let sum = frame[head.body..].iter().map(|byte| usize::from(*byte)).sum();
        self.entered.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_waiters();
        let (gate, head) = (Arc::clone(&self.gate), head.clone());
        Ok(Box::pin(async move {
            gate.acquire().await.unwrap().forget();
            Ok(Some(answer(&head, sum, &[])))
        }))
    }

    async fn serve(
        &self,
        _: SocketAddr,
        head: &RequestHead,
        frame: Bytes,
    ) -> Result<Option<Response>, Refused> {
        self.served.fetch_add(1, Ordering::SeqCst);
        match head.api {
            ApiKey::Fetch => {
                Ok(Some(answer(head, 0, &vec![self.large.slice(..1_024); self.large.len() / 1_024])))
            }
            ApiKey::Heartbeat => Ok(None),
            ApiKey::LeaveGroup => Err(Refused::NotServed("not here".into())),
            _ => Ok(Some(answer(head, frame.len(), &[]))),
        }
    }
}

struct Running {
    address: SocketAddr,
    service: Arc<Script>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

async fn start(connections: usize) -> Running {
    let service = Arc::new(Script {
        gate: Arc::new(Semaphore::new(0)),
        entered: AtomicUsize::new(0),
        changed: Notify::new(),
        served: AtomicUsize::new(0),
        large: Bytes::from(vec![7; 1 << 20]),
    });
    let listener =
        Listener::bind("127.0.0.1:0", Clock::system()).await.unwrap().with_connections(connections);
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(listener.run(Arc::clone(&service), stopped, Duration::from_secs(20)));
    Running { address, service, stop, task }
}

fn frame(api: ApiKey, version: i16, correlation_id: i32, body: &[u8]) -> Vec<u8> {
    let mut request = header(api, version);
    request[4..8].copy_from_slice(&correlation_id.to_be_bytes());
    request.extend(body);
    [&(request.len() as u32).to_be_bytes()[..], &request].concat()
}

/// The correlation id of the next answer, and the number in it.
async fn next(client: &mut TcpStream) -> (i32, i32) {
    let length = client.read_u32().await.unwrap() as usize;
    let mut answer = vec![0; length];
    client.read_exact(&mut answer).await.unwrap();
    let number = |at: usize| i32::from_be_bytes(answer[at..at + 4].try_into().unwrap());
    (number(0), number(4))
}

async fn is_closed(client: &mut TcpStream) -> bool {
    // A connection with bytes that nobody read is reset instead of ended.
    matches!(client.read(&mut [0]).await, Ok(0) | Err(_))
}

#[tokio::test]
async fn requests_enter_at_once_and_are_answered_in_order() {
    let running = start(10).await;
    let mut client = TcpStream::connect(running.address).await.unwrap();
    let mut requests = frame(ApiKey::Produce, 3, 1, &[1, 2, 3]);
    requests.extend(frame(ApiKey::Metadata, 1, 2, b"xx"));
    requests.extend(frame(ApiKey::Heartbeat, 0, 3, b""));
    requests.extend(frame(ApiKey::Produce, 3, 4, &[4; 5]));
    client.write_all(&requests).await.unwrap();
    running.service.entered(2).await;
    assert_eq!(running.service.served.load(Ordering::SeqCst), 0, "it is not the turn of what is served");
    running.service.gate.add_permits(1);
    assert_eq!(next(&mut client).await, (1, 6));
    let metadata = header(ApiKey::Metadata, 1).len() as i32 + 2;
    assert_eq!(next(&mut client).await, (2, metadata));
    running.service.gate.add_permits(1);
    assert_eq!(next(&mut client).await, (4, 20), "a request without an answer is passed over");
}

#[tokio::test]
async fn a_frame_arrives_whole_whatever_its_size_and_pieces() {
    let running = start(10).await;
    running.service.gate.add_permits(100);
    let mut client = TcpStream::connect(running.address).await.unwrap();
    let sizes = [0, 1, 16_000, 16_384, 16_385, 100_000, 3_000_000, 5, 40_000];
    let mut expected = Vec::new();
    let mut requests = Vec::new();
    for (id, size) in (0_i32..).zip(sizes) {
        requests.extend(frame(ApiKey::Produce, 3, 2 * id, &vec![1; size]));
        requests.extend(frame(ApiKey::Metadata, 1, 2 * id + 1, &vec![1; size]));
        expected.push((2 * id, size as i32));
        expected.push((2 * id + 1, (size + header(ApiKey::Metadata, 1).len()) as i32));
    }
    let (mut read, mut write) = client.split();
    let writing = async {
        for piece in requests.chunks(7_001) {
            write.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let reading = async {
        for row in expected {
            let length = read.read_u32().await.unwrap();
            let (id, number) = (read.read_i32().await.unwrap(), read.read_i32().await.unwrap());
            assert_eq!((id, number), row);
            read.read_exact(&mut vec![0; length as usize - 8]).await.unwrap();
        }
    };
    tokio::join!(writing, reading);
}

#[tokio::test]
async fn no_more_requests_are_read_than_may_wait() {
    let running = start(10).await;
    let mut client = TcpStream::connect(running.address).await.unwrap();
    let count = PIPELINE_REQUESTS + 50;
    let requests: Vec<u8> = (0..count).flat_map(|id| frame(ApiKey::Produce, 3, id as i32, b"r")).collect();
    client.write_all(&requests).await.unwrap();
    running.service.entered(PIPELINE_REQUESTS).await;
    // The others would be entered by now if they could be: they arrived in the same segment.
    let mut other = TcpStream::connect(running.address).await.unwrap();
    other.write_all(&frame(ApiKey::Metadata, 1, 9, b"")).await.unwrap();
    assert_eq!(next(&mut other).await.0, 9);
    assert_eq!(running.service.entered.load(Ordering::SeqCst), PIPELINE_REQUESTS);
    running.service.gate.add_permits(count);
    for id in 0..count {
        assert_eq!(next(&mut client).await.0, id as i32);
    }
}

#[tokio::test]
async fn a_client_that_takes_no_answers_holds_one_and_stalls_itself_only() {
    let running = start(10).await;
    let mut deaf = TcpStream::connect(running.address).await.unwrap();
    let requests: Vec<u8> = (0..100).flat_map(|id| frame(ApiKey::Fetch, 4, id, b"")).collect();
    deaf.write_all(&requests).await.unwrap();
    let mut other = TcpStream::connect(running.address).await.unwrap();
    for id in 0..100 {
        other.write_all(&frame(ApiKey::Metadata, 1, id, b"")).await.unwrap();
        assert_eq!(next(&mut other).await.0, id);
    }
    // 100 MiB of answers don't fit in the sockets' buffers.
    assert!(running.service.served.load(Ordering::SeqCst) < 200);
    for id in 0..100 {
        assert_eq!(next(&mut deaf).await.0, id, "it gets all of them when it reads");
    }
}

#[tokio::test]
async fn what_is_no_request_closes_its_own_connection() {
    let running = start(10).await;
    let mut good = TcpStream::connect(running.address).await.unwrap();
    let garbage: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\n\r\n",
        &[0xff; 16],
        &((FRAME_BYTES + 1) as u32).to_be_bytes(),
        &[0, 0, 0, 0],
        &[0, 0, 0, 8, 0x7f, 0xff, 0, 0, 0, 0, 0, 1],
        &[0, 0, 0, 10, 0, 3, 0, 99, 0, 0, 0, 1, 0xff, 0xff],
    ];
    for bytes in garbage {
        let mut bad = TcpStream::connect(running.address).await.unwrap();
        bad.write_all(bytes).await.unwrap();
        assert!(is_closed(&mut bad).await, "{bytes:?}");
    }
    let mut refused = TcpStream::connect(running.address).await.unwrap();
    let requests = [frame(ApiKey::Metadata, 1, 1, b""), frame(ApiKey::LeaveGroup, 0, 2, b"")].concat();
    refused.write_all(&requests).await.unwrap();
    assert_eq!(next(&mut refused).await.0, 1, "what came before is answered");
    assert!(is_closed(&mut refused).await);
    good.write_all(&frame(ApiKey::Metadata, 1, 5, b"")).await.unwrap();
    assert_eq!(next(&mut good).await.0, 5);
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed() {
    let running = start(1).await;
    let mut first = TcpStream::connect(running.address).await.unwrap();
    first.write_all(&frame(ApiKey::Metadata, 1, 1, b"")).await.unwrap();
    assert_eq!(next(&mut first).await.0, 1);
    let mut second = TcpStream::connect(running.address).await.unwrap();
    assert!(is_closed(&mut second).await);
    first.write_all(&frame(ApiKey::Metadata, 1, 2, b"")).await.unwrap();
    assert_eq!(next(&mut first).await.0, 2);
}

#[tokio::test]
async fn what_was_sent_before_closing_is_answered() {
    let running = start(10).await;
    let mut client = TcpStream::connect(running.address).await.unwrap();
    client.write_all(&frame(ApiKey::Produce, 3, 1, b"")).await.unwrap();
    client.shutdown().await.unwrap();
    running.service.entered(1).await;
    running.service.gate.add_permits(1);
    assert_eq!(next(&mut client).await.0, 1);
    assert!(is_closed(&mut client).await);
}

#[tokio::test]
async fn shutdown_reads_nothing_more_and_lets_answers_finish() {
    let running = start(10).await;
    let mut client = TcpStream::connect(running.address).await.unwrap();
    client.write_all(&frame(ApiKey::Produce, 3, 1, b"")).await.unwrap();
    running.service.entered(1).await;
    running.stop.send(true).unwrap();
    running.service.gate.add_permits(2);
    assert_eq!(next(&mut client).await.0, 1);
    assert!(is_closed(&mut client).await);
    running.task.await.unwrap();
    assert!(TcpStream::connect(running.address).await.is_err());
    assert_eq!(running.service.entered.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn answers_that_do_not_finish_are_given_up_after_the_grace() {
    let running = start(10).await;
    let mut client = TcpStream::connect(running.address).await.unwrap();
    client.write_all(&frame(ApiKey::Produce, 3, 1, b"")).await.unwrap();
    running.service.entered(1).await;
    running.stop.send(true).unwrap();
    assert!(is_closed(&mut client).await);
    running.task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_requests_is_closed_unless_it_waits_for_an_answer() {
    let clock = Clock::system();
    let running = start(10).await;
    let mut idle = TcpStream::connect(running.address).await.unwrap();
    let mut waiting = TcpStream::connect(running.address).await.unwrap();
    waiting.write_all(&frame(ApiKey::Produce, 3, 1, b"")).await.unwrap();
    running.service.entered(1).await;
    let from = clock.now();
    assert!(is_closed(&mut idle).await);
    assert!(clock.now() - from >= CONNECTION_IDLE - Duration::from_secs(1));
    clock.sleep(CONNECTION_IDLE * 3).await;
    running.service.gate.add_permits(1);
    assert_eq!(next(&mut waiting).await.0, 1);
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_does_not_arrive_closes_its_connection() {
    let clock = Clock::system();
    let running = start(10).await;
    let mut client = TcpStream::connect(running.address).await.unwrap();
    let from = clock.now();
    client.write_all(&frame(ApiKey::Produce, 3, 1, b"body")[..10]).await.unwrap();
    assert!(is_closed(&mut client).await);
    assert!((FRAME_GRACE..FRAME_GRACE * 2).contains(&(clock.now() - from)));
}

/// Connections that have begun the largest request there may be, after `sent` bytes of it, each after a request that was
/// answered: what was sent with that has been read by then.
async fn begin_large(running: &Running, count: usize, sent: usize) -> Vec<TcpStream> {
    let mut clients = Vec::new();
    for _ in 0..count {
        let mut client = TcpStream::connect(running.address).await.unwrap();
        let length = (FRAME_BYTES as u32).to_be_bytes();
        let first = frame(ApiKey::Metadata, 1, 1, b"");
        client.write_all(&[&first[..], &length, &vec![0; sent]].concat()).await.unwrap();
        assert_eq!(next(&mut client).await.0, 1);
        clients.push(client);
    }
    clients
}

/// How long a request of another client waits for its answer.
async fn answered_after(running: &Running, body: &[u8]) -> Duration {
    let clock = Clock::system();
    let from = clock.now();
    let mut client = TcpStream::connect(running.address).await.unwrap();
    client.write_all(&frame(ApiKey::Metadata, 1, 7, body)).await.unwrap();
    assert_eq!(next(&mut client).await.0, 7);
    clock.now() - from
}

/// As many of the largest requests as don't fit.
const TOO_MANY: usize = REQUEST_BYTES / FRAME_BYTES + 1;

#[tokio::test(start_paused = true)]
async fn a_length_alone_holds_no_memory_that_others_wait_for() {
    let running = start(10).await;
    let _large = begin_large(&running, TOO_MANY, 0).await;
    assert!(
        answered_after(&running, &[0; 10 * RECEIVE_BUFFER_BYTES]).await < FRAME_GRACE,
        "it waited for what others have only announced"
    );
}

#[tokio::test(start_paused = true)]
async fn small_requests_wait_for_no_large_ones() {
    let running = start(10).await;
    let _large = begin_large(&running, TOO_MANY, 2 * RECEIVE_BUFFER_BYTES).await;
    assert!(answered_after(&running, b"").await < FRAME_GRACE, "it waited in one line with large requests");
}

#[tokio::test(start_paused = true)]
async fn a_large_frame_that_stops_arriving_closes_its_connection() {
    let clock = Clock::system();
    let running = start(10).await;
    for sent in [0, 100, 3 * RECEIVE_BUFFER_BYTES] {
        let from = clock.now();
        let mut client = begin_large(&running, 1, sent).await.remove(0);
        assert!(is_closed(&mut client).await);
        let took = clock.now() - from;
        assert!((FRAME_GRACE..FRAME_GRACE * 2).contains(&took), "{sent} bytes: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_frame_may_arrive_slowly_and_is_not_charged_for_waiting() {
    let clock = Clock::system();
    let running = start(10).await;
    let blocking = begin_large(&running, TOO_MANY - 1, 2 * RECEIVE_BUFFER_BYTES).await;
    // It fills what there is beside those, so it waits until they are given up.
    let request = frame(ApiKey::Metadata, 1, 7, &vec![1; REQUEST_BYTES - (TOO_MANY - 1) * FRAME_BYTES]);
    let mut client = TcpStream::connect(running.address).await.unwrap();
    let (mut read, mut write) = client.split();
    let from = clock.now();
    let writing = async {
        write.write_all(&request[..2 * RECEIVE_BUFFER_BYTES]).await.unwrap();
        clock.sleep(FRAME_GRACE * 3 / 2).await;
        for piece in request[2 * RECEIVE_BUFFER_BYTES..].chunks(FRAME_BYTES_PER_SECOND * 2) {
            write.write_all(piece).await.unwrap();
            clock.sleep(Duration::from_secs(1)).await;
        }
    };
    let reading = async {
        read.read_u32().await.unwrap();
        assert_eq!(read.read_i32().await.unwrap(), 7);
    };
    tokio::join!(writing, reading);
    assert!(clock.now() - from > FRAME_GRACE * 3);
    drop(blocking);
}

#[tokio::test]
async fn small_requests_that_wait_are_bounded_and_all_answered() {
    let running = start(10).await;
    let mut client = TcpStream::connect(running.address).await.unwrap();
    let metadata = frame(ApiKey::Metadata, 1, 2, &[0; PIPELINE_SMALL_BYTES / 4]);
    let mut requests = frame(ApiKey::Produce, 3, 1, b"");
    for _ in 0..20 {
        requests.extend(&metadata);
    }
    requests.extend(frame(ApiKey::Produce, 3, 3, b""));
    client.write_all(&requests).await.unwrap();
    running.service.entered(1).await;
    // What can be read is read before another connection's request is answered: it arrived at once.
    let mut other = TcpStream::connect(running.address).await.unwrap();
    other.write_all(&frame(ApiKey::Metadata, 1, 9, b"")).await.unwrap();
    assert_eq!(next(&mut other).await.0, 9);
    assert_eq!(running.service.entered.load(Ordering::SeqCst), 1, "the second is behind more than may wait");
    running.service.gate.add_permits(2);
    assert_eq!(next(&mut client).await.0, 1);
    for _ in 0..20 {
        assert_eq!(next(&mut client).await.0, 2);
    }
    assert_eq!(next(&mut client).await.0, 3);
}
