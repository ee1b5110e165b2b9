//! Whether the last holder of a node id is still alive: one question to the internal address that it registered,
//! and what the answer means.
//!
//! Safety never rests on this. Whoever is put out by mistake is fenced at its log and acknowledges nothing more; a
//! wrong guess costs availability only. Waiting, and trying again, is `registration`'s part.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use levee_base::Clock;
use levee_base::limits::IDENTITY_BYTES;
use levee_meta::ProcessId;
use serde::{Deserialize, Serialize};
use std::io;
use std::time::Duration;
use tokio::net::TcpStream;

/// The path of the document that [`ask`] reads.
pub const PATH: &str = "/identity";

/// Who answers at an HTTP address: what [`PATH`] shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its `--node-id`.
    pub node_id: u32,
    /// Which run of the program, as its registration names it; none while it is still reading the metadata.
    pub process_id: Option<String>,
}

/// What asking once gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A broker answered.
    Answered(Identity),
    /// The machine is there, and nobody listens.
    Refused,
    /// No answer in time, or none that a broker gives: in words.
    Nothing(String),
}

/// What is known of the holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is gone: go on at once. Why.
    Gone(String),
    /// It is alive: leave it alone. Why.
    Alive(String),
    /// Nobody can tell: ask again, until the session time-out is over. Why.
    Unknown(String),
}

/// Who wants a node id that somebody holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Newcomer {
    /// A process that has just been started.
    Started,
    /// One that held the id itself and was fenced by the present holder.
    Fenced,
}

/// Judges an answer by the rules of the design's section on registration.
///
/// An address that leads back to the one who asks is, to a process that has just been started, the address of a
/// predecessor on the same machine. One that was fenced had the address all the time, so the holder lives
/// elsewhere and can't be reached by it: it steps back, or the two would fence each other for ever.
#[must_use]
pub fn judge(asked: &Asked, holder: ProcessId, own: ProcessId, newcomer: Newcomer) -> Verdict {
    match asked {
        Asked::Refused => Verdict::Gone("nobody listens there".to_owned()),
        Asked::Nothing(reason) => Verdict::Unknown(reason.clone()),
        Asked::Answered(Identity { process_id, .. }) => match process_id {
            Some(process) if *process == holder.to_string() => Verdict::Alive("it answers there".to_owned()),
            Some(process) if *process == own.to_string() && newcomer == Newcomer::Fenced => {
                let reason =
                    "it registered this broker's own internal address; each needs an --internal of its own";
                Verdict::Alive(reason.to_owned())
            }
            _ => Verdict::Gone("another process answers there".to_owned()),
        },
    }
}

/// Asks once who is at `address` (`host:port`), and waits for the answer as long as `limit`.
pub async fn ask(clock: Clock, address: &str, limit: Duration) -> Asked {
    match clock.timeout(limit, get(address)).await {
        Some(Ok(identity)) => Asked::Answered(identity),
        Some(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Asked::Refused,
        Some(Err(error)) => Asked::Nothing(error.to_string()),
        None => Asked::Nothing(format!("no answer within {limit:?}")),
    }
}

async fn get(address: &str) -> io::Result<Identity> {
    let socket = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await.map_err(io::Error::other)?;
    let request = Request::get(PATH).header(header::HOST, address).body(Empty::<Bytes>::new());
    let request = request.map_err(io::Error::other)?;
    let answer = async move {
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), IDENTITY_BYTES);
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        Ok::<_, io::Error>((status, body))
    };
    // The connection moves the bytes, and ends once the sender is gone; how it ends is in the answer.
    let (answer, _) = futures::future::join(answer, connection).await;
    match answer? {
        (StatusCode::OK, body) => serde_json::from_slice(&body)
            .map_err(|error| io::Error::other(format!("what answers there is no Levee broker: {error}"))),
        (status, _) => Err(io::Error::other(format!("what answers there is no Levee broker: {status}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use uuid::Uuid;

    const HOLDER: ProcessId = ProcessId(Uuid::from_u128(1));
    const LIMIT: Duration = Duration::from_millis(300);
    const OWN: ProcessId = ProcessId(Uuid::from_u128(2));

    fn answered(process: Option<ProcessId>) -> Asked {
        Asked::Answered(Identity { node_id: 1, process_id: process.map(|process| process.to_string()) })
    }

    #[test]
    fn only_the_same_process_counts_as_alive_and_silence_as_unknown() {
        let stranger = ProcessId(Uuid::from_u128(3));
        for newcomer in [Newcomer::Started, Newcomer::Fenced] {
            let judge = |asked| judge(&asked, HOLDER, OWN, newcomer);
            assert!(matches!(judge(answered(Some(HOLDER))), Verdict::Alive(_)));
            assert!(matches!(judge(answered(Some(stranger))), Verdict::Gone(_)));
            assert!(matches!(judge(answered(None)), Verdict::Gone(_)));
            assert!(matches!(judge(Asked::Refused), Verdict::Gone(_)));
            assert!(matches!(judge(Asked::Nothing("no answer".to_owned())), Verdict::Unknown(_)));
        }
    }

    #[test]
    fn an_address_that_leads_back_frees_the_id_for_a_new_process_and_not_for_a_fenced_one() {
        let back = answered(Some(OWN));
        assert!(matches!(judge(&back, HOLDER, OWN, Newcomer::Started), Verdict::Gone(_)));
        assert!(matches!(judge(&back, HOLDER, OWN, Newcomer::Fenced), Verdict::Alive(_)));
    }

    /// Asks a listener that answers every connection with `answer`.
    async fn ask_one_that_says(answer: &'static str) -> Asked {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let says = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let read = socket.read(&mut request).await.unwrap();
            assert!(request[..read].starts_with(b"GET /identity HTTP/1.1\r\n"));
            socket.write_all(answer.as_bytes()).await.unwrap();
        });
        let asked = ask(Clock::system(), &address, LIMIT).await;
        says.await.unwrap();
        asked
    }

    #[tokio::test]
    async fn what_is_no_broker_is_not_taken_for_one() {
        for answer in [
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 2000000\r\n\r\n{",
            "SSH-2.0-OpenSSH_9.6\r\n",
            "",
        ] {
            let asked = ask_one_that_says(answer).await;
            assert!(matches!(asked, Asked::Nothing(_)), "{answer:?}: {asked:?}");
        }
        let good =
            "HTTP/1.1 200 OK\r\ncontent-length: 34\r\n\r\n{\"node_id\":7,\"process_id\":\"a\",\"x\":1}";
        let good = ask_one_that_says(good).await;
        assert!(matches!(good, Asked::Nothing(_)), "cut short: {good:?}");
        let good =
            "HTTP/1.1 200 OK\r\ncontent-length: 36\r\n\r\n{\"node_id\":7,\"process_id\":\"a\",\"x\":1}";
        let identity = Identity { node_id: 7, process_id: Some("a".to_owned()) };
        assert_eq!(ask_one_that_says(good).await, Asked::Answered(identity));
    }

    #[tokio::test]
    async fn a_port_that_nobody_listens_on_refuses_and_one_that_never_answers_is_silent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = ask(Clock::system(), &address, LIMIT).await;
        assert!(matches!(asked, Asked::Nothing(_)), "{asked:?}");
        drop(listener);
        assert_eq!(ask(Clock::system(), &address, LIMIT).await, Asked::Refused);
    }
}
